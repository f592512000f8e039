"""Python's `influxdb`, led through phases.

usage: v1.py HOST PORT USER PASSWORD
"""

import pathlib
import sys

from influxdb import InfluxDBClient

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
from steps import be_led, in_any_order, step

HOST, PORT, USER, PASSWORD = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
BATCHES, POINTS = 10, 50

client = InfluxDBClient(HOST, PORT, USER, PASSWORD, "python")
packed = InfluxDBClient(HOST, PORT, USER, PASSWORD, "python", gzip=True)
as_json = InfluxDBClient(HOST, PORT, USER, PASSWORD, "python", headers={"Accept": "application/json"})
stranger = InfluxDBClient(HOST, PORT, USER, "wrong", "python")


def points(first):
    return [
        {"measurement": "probe", "tags": {"n": str(n % 5)}, "time": n,
         "fields": {"v": n / 4, "count": n, "text": f"say \"{n}\"", "on": n % 2 == 0}}
        for n in range(first, first + POINTS)
    ]


def phase(number):
    first = number * BATCHES * POINTS
    if number == 0:
        step("create", client.create_database, "python")
    for batch in range(BATCHES):
        writer = packed if batch % 3 == 0 else client
        step(f"write {batch}", writer.write_points, points(first + batch * POINTS))
        step(f"count {batch}", client.query, "SELECT count(v), last(count) FROM probe")
    step("policy", client.create_retention_policy, f"kept{number}", "INF", 1)
    step("policies", client.get_list_retention_policies)
    step("copy", client.query, f"SELECT v INTO kept{number}.copy FROM probe WHERE time >= {first} GROUP BY *", method="POST")
    step("copied", client.query, f"SELECT count(v), sum(v) FROM kept{number}.copy")
    step("delete", client.query, f"DELETE FROM probe WHERE time = {first + 1}", method="POST")
    step("chunked", as_json.query, f"SELECT v FROM probe WHERE time >= {first}", chunked=True, chunk_size=100)
    step("bad line", client.write_points, ["probe v="], protocol="line")
    step("some bad lines", client.write_points, [f"lines v={number} {number}", "bad"], protocol="line")
    step("conflict", client.write_points, ["probe,n=1 v=\"text\" 1"], protocol="line")
    step("unknown database", client.write_points, ["probe v=1 1"], database="nowhere", protocol="line")
    step("bad query", client.query, "SELECT * FROM")
    step("wrong password reads", stranger.query, "SELECT * FROM probe LIMIT 1")
    step("wrong password writes", stranger.write_points, ["probe v=1 1"], protocol="line")
    step("database", client.create_database, "odd" if number % 2 == 0 else "even")
    step("drop", client.drop_database, "even")
    step("write to odd", client.write_points, [f"lines v={number} {number}"], database="odd", protocol="line")
    step("user", client.create_user, f"user{number}", "password")
    step("grant", client.grant_privilege, "read", "odd", f"user{number}")
    reader = InfluxDBClient(HOST, PORT, f"user{number}", "password", "odd")
    step("reader reads", reader.query, "SELECT * FROM lines")
    step("reader writes", reader.write_points, ["lines v=1 1"], protocol="line")
    step("databases", in_any_order(client.get_list_database))
    step("measurements", client.get_list_measurements)
    step("series", client.get_list_series)


be_led(phase)
