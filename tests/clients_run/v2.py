"""Python's `influxdb-client` with a token, led through phases.

usage: v2.py HOST PORT USER PASSWORD
"""

import pathlib
import sys

from influxdb_client import InfluxDBClient, Point, PostBucketRequest, WriteOptions
from influxdb_client.client.write_api import SYNCHRONOUS

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
from steps import be_led, step

HOST, PORT, USER, PASSWORD = sys.argv[1:5]
BATCHES, POINTS = 10, 50

client = InfluxDBClient(f"http://{HOST}:{PORT}", token=f"{USER}:{PASSWORD}", org="-")
packed = InfluxDBClient(f"http://{HOST}:{PORT}", token=f"{USER}:{PASSWORD}", org="-", enable_gzip=True)
stranger = InfluxDBClient(f"http://{HOST}:{PORT}", token=f"{USER}:wrong", org="-")


def said(call):
    """Without the headers that its exceptions tell: they differ from answer to answer."""
    def calls(*arguments, **options):
        try:
            return call(*arguments, **options)
        except Exception as error:
            status = getattr(error, "status", "-")
            body = getattr(error, "body", None) or error
            return f"{type(error).__name__} {status} {body}"
    return calls


def point(n):
    return Point("probe").tag("n", str(n % 5)).field("v", n / 4).field("count", n).field("text", f"say \"{n}\"").time(n)


def write(writer, records, bucket="python/autogen"):
    writer.write_api(write_options=SYNCHRONOUS).write(bucket, record=records)


def write_in_background(records):
    """The client's own batches and tries; what it gave up, and why."""
    failures = []
    options = WriteOptions(batch_size=20, flush_interval=50, max_retries=3)
    with client.write_api(options, error_callback=lambda _, data, error: failures.append([error.status, error.body])) as api:
        api.write("python/autogen", record=records)
    return failures


def flux(text):
    tables = client.query_api().query(text)
    return [[str(record.values.get(name)) for name in ("_time", "_value", "n", "_field")] for table in tables for record in table]


def make_bucket(name):
    """From 1.11 on."""
    wanted = PostBucketRequest(name=name, org_id="0000000000000000", retention_rules=[])
    return client.buckets_api().create_bucket(bucket=wanted).name


def phase(number):
    first = number * (BATCHES + 1) * POINTS
    count = 'from(bucket: "python/autogen") |> range(start: 1970-01-01T00:00:00Z) |> filter(fn: (r) => r._measurement == "probe" and r._field == "count") |> count() |> sort(columns: ["n"])'
    for batch in range(BATCHES):
        records = [point(n) for n in range(first + batch * POINTS, first + (batch + 1) * POINTS)]
        step(f"write {batch}", said(write), packed if batch % 3 == 0 else client, records)
        step(f"count {batch}", said(flux), count)
    step("batches", said(write_in_background), [point(n) for n in range(first + BATCHES * POINTS, first + (BATCHES + 1) * POINTS)])
    step("count", said(flux), count)
    step("csv", said(lambda: len(list(client.query_api().query_csv(count)))))
    step("bad line", said(write), client, "probe v=")
    step("some bad lines", said(write), client, [f"lines v={number} {number}", "bad"])
    step("conflict", said(write), client, "probe,n=1 v=\"text\" 1")
    step("unknown bucket", said(write), client, "probe v=1 1", "nowhere/autogen")
    step("no bucket", said(write), client, "probe v=1 1", "")
    step("wrong token writes", said(write), stranger, "probe v=1 1")
    step("wrong token reads", said(stranger.query_api().query), count)
    step("bad Flux", said(client.query_api().query), "from(")
    step("bucket", said(make_bucket), f"made{number}/autogen")
    step("write to it", said(write), client, f"probe v={number} {number}", f"made{number}/autogen")
    step("delete", said(client.delete_api().delete), "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000002Z", "n=1", "python/autogen")
    step("count after it", said(flux), count)
    step("copy", said(flux), 'from(bucket: "python/autogen") |> range(start: 1970-01-01T00:00:00Z) |> filter(fn: (r) => r._field == "count") |> set(key: "_measurement", value: "copy") |> to(bucket: "python/autogen")')
    step("count of copies", said(flux), count.replace("probe", "copy"))
    step("ping", said(client.ping))
    step("version", said(client.version))


be_led(phase)
