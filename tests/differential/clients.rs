//! The clients that people use, unchanged: `curl`, the `influx` command, Python's `influxdb`.

use crate::support::programs::{python, run, succeeds};
use crate::support::wait::SOON;
use crate::support::{Lab, wait_until};

#[test]
fn curl_writes_and_reads() {
    let lab = Lab::start();
    lab.create_database("telegraf");
    let url = lab.influx_url();
    let written = run(
        "curl",
        &[
            "-sS",
            "-i",
            "-XPOST",
            &format!("{url}/write?db=telegraf"),
            "--data-binary",
            "curled v=1 1",
        ],
    );
    assert!(succeeds(&written).starts_with("HTTP/1.1 204"));
    // A body large enough for curl to ask first: Expect: 100-continue.
    let large = "curled,host=somewhere v=2 2\n".repeat(60_000);
    let file = lab.folder().join("large");
    std::fs::write(&file, large).expect("a file");
    let written = run(
        "curl",
        &[
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            "Expect: 100-continue",
            "-XPOST",
            &format!("{url}/write?db=telegraf"),
            "--data-binary",
            &format!("@{}", file.display()),
        ],
    );
    assert_eq!(succeeds(&written), "204");
    for node in [&lab.node1, &lab.node2] {
        wait_until("both points", SOON, || {
            node.count("telegraf", "curled", "v") == 2
        });
    }
    let read = run(
        "curl",
        &[
            "-sS",
            "-G",
            &format!("{url}/query?db=telegraf"),
            "--data-urlencode",
            "q=SELECT count(v) FROM curled",
        ],
    );
    assert!(succeeds(&read).contains("[\"1970-01-01T00:00:00Z\",2]"));
}

#[test]
fn the_influx_command_writes_and_reads() {
    let lab = Lab::start();
    lab.create_database("telegraf");
    let address = lab.haflux.address("influx_front");
    let (host, port) = address.split_once(':').expect("host:port");
    let influx = |statement: &str| {
        run(
            "influx",
            &[
                "-host",
                host,
                "-port",
                port,
                "-database",
                "telegraf",
                "-execute",
                statement,
            ],
        )
    };
    succeeds(&influx("INSERT shell,host=a v=42 7"));
    for node in [&lab.node1, &lab.node2] {
        wait_until("the inserted point", SOON, || {
            node.count("telegraf", "shell", "v") == 1
        });
    }
    let read = succeeds(&influx("SELECT * FROM shell"));
    assert!(read.contains("42"), "{read}");
    assert!(succeeds(&influx("SHOW DATABASES")).contains("telegraf"));
}

#[test]
fn pythons_client_writes_and_reads() {
    let lab = Lab::start();
    lab.create_database("telegraf");
    let address = lab.haflux.address("influx_front");
    let (host, port) = address.split_once(':').expect("host:port");
    let script = r#"
import sys, time
from influxdb import InfluxDBClient
from influxdb.exceptions import InfluxDBClientError
client = InfluxDBClient(sys.argv[1], int(sys.argv[2]), database="telegraf")
assert client.ping(), "ping"
points = [{"measurement": "python", "tags": {"n": str(n)}, "fields": {"v": float(n)}, "time": n} for n in range(500)]
assert client.write_points(points, batch_size=100)
assert client.write(["python,n=x v=1 1"], {"db": "telegraf"}, protocol="line")
# The other node may be a moment behind the one that acknowledged.
for _ in range(3000):
    result = list(client.query("SELECT count(v) FROM python").get_points())
    if result and result[0]["count"] == 501:
        break
    time.sleep(0.01)
else:
    raise SystemExit(f"not all points: {result}")
try:
    client.write_points([{"measurement": "python", "fields": {"v": "text"}, "time": 1}])
    raise SystemExit("a conflict of types was not told")
except InfluxDBClientError as error:
    assert error.code == 400 and "field type conflict" in str(error), error
print({d["name"] for d in client.get_list_database()})
"#;
    let written = lab.folder().join("client.py");
    std::fs::write(&written, script).expect("a file");
    let said = succeeds(&run(
        python(),
        &[written.to_str().expect("a plain name"), host, port],
    ));
    assert!(said.contains("telegraf"), "{said}");
    for node in [&lab.node1, &lab.node2] {
        wait_until("all points", SOON, || {
            node.count("telegraf", "python", "v") == 501
        });
    }
}
