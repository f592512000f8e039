//! Lines that come by UDP are on both nodes, and what is no line is not.

use std::net::UdpSocket;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support;
use crate::support::lab::relay_keys;
use crate::support::process::Process;
use crate::support::wait::SOON;
use crate::support::{
    Haflux, Lab, Options, beside, http, query_as, same_points, status, wait_for, wait_until,
};
use serde_json::Value;

/// A listener of the lab's relay, with more keys.
fn with_udp(keys: &str) -> impl FnOnce(String) -> String {
    let listener = format!(
        "\n[[udp]]\nbind = \"127.0.0.1:UDP(lines)\"\nrelay = \"influx_relay\"\ndb = \"telegraf\"\n{keys}\n"
    );
    move |text| text + &listener
}

fn lab(keys: &str) -> Lab {
    let lab = Lab::start_with(Options::default(), with_udp(keys));
    lab.create_database("telegraf");
    lab
}

struct Sender {
    socket: UdpSocket,
    port: u16,
}

impl Sender {
    fn to(lab: &Lab) -> Sender {
        Sender {
            socket: UdpSocket::bind("127.0.0.1:0").expect("a socket"),
            port: lab.haflux.udp_port("lines"),
        }
    }

    fn send(&self, datagram: impl AsRef<[u8]>) {
        self.socket
            .send_to(datagram.as_ref(), ("127.0.0.1", self.port))
            .expect("a datagram can be sent");
    }
}

/// The listener's counters.
fn counters(lab: &Lab) -> Value {
    status::page(&lab.influx_url())["udp"][0].take()
}

fn counted(lab: &Lab, key: &str) -> u64 {
    counters(lab)[key].as_u64().expect("a number")
}

#[test]
fn good_lines_are_on_both_nodes_with_the_same_times_and_bad_ones_on_none() {
    let lab = lab("precision = \"ms\"");
    let sender = Sender::to(&lab);
    for point in 0..200 {
        // One bad line, for which InfluxDB's own listener would drop the datagram; one good line without a time.
        sender.send(format!(
            "dated v={point} {point}\nbad v=\nundated,n={point} v={point}\n"
        ));
    }
    // What one sender leaves open is not another's loss.
    sender.send("open s=\"no end");
    sender.send("# c:\\");
    sender.send("dated v=200 200");
    sender.send("");
    lab.both_hold("telegraf", "dated", 201);
    lab.both_hold("telegraf", "undated", 200);
    let shown = lab.node1.query("telegraf", "SHOW MEASUREMENTS");
    assert_eq!(
        shown["results"][0]["series"][0]["values"],
        serde_json::json!([["dated"], ["undated"]])
    );
    // Milliseconds.
    let last = lab.node2.query("telegraf", "SELECT last(v) FROM dated");
    assert_eq!(
        last["results"][0]["series"][0]["values"][0][0],
        200_000_000_u64
    );
    let stamp = lab.node2.query("telegraf", "SELECT last(v) FROM undated");
    let stamp = stamp["results"][0]["series"][0]["values"][0][0]
        .as_u64()
        .expect("a time");
    assert_eq!(stamp % 1_000_000, 0);
    let counters = counters(&lab);
    assert_eq!(counters["packets"], 204);
    assert_eq!(counters["lines"], 401);
    assert_eq!(counters["refused_lines"], 201);
    for key in ["dropped_packets", "kernel_drops", "read_errors"] {
        assert_eq!(counters[key], 0, "{key}");
    }
    let records = counters["records"].as_u64().expect("a number");
    assert!((1..150).contains(&records), "{records} records");
    let page = http::get(&format!("{}/haproxy?stats", lab.influx_url())).text();
    assert!(page.contains("<h2 id=\"udp\">UDP</h2>"));
    lab.haflux.says("lines were no line protocol");
}

#[test]
fn the_largest_datagrams_and_a_retention_policy_of_ones_own() {
    let lab = lab("rp = \"week\"");
    for node in [&lab.node1, &lab.node2] {
        node.query(
            "telegraf",
            "CREATE RETENTION POLICY week ON telegraf DURATION INF REPLICATION 1",
        );
    }
    let sender = Sender::to(&lab);
    let mut datagram = String::new();
    let mut points = 0;
    while datagram.len() < 65_400 {
        datagram += &format!("large,host=somewhere v={points} {points}\n");
        points += 1;
    }
    for _ in 0..20 {
        sender.send(&datagram);
    }
    lab.both_hold("telegraf", "week\".\"large", points);
    wait_until("all datagrams", SOON, || {
        counted(&lab, "lines") == points * 20
    });
}

#[test]
fn a_node_that_was_down_gets_what_came_meanwhile() {
    let mut lab = lab("");
    let sender = Sender::to(&lab);
    sender.send("outage v=0 0");
    lab.both_hold("telegraf", "outage", 1);
    lab.node2.kill9();
    for point in 1..100 {
        sender.send(format!("outage v={point} {point}"));
        sender.send(format!("outage,stamped=yes v={point}"));
    }
    wait_until("all points on the node that is up", SOON, || {
        lab.node1.count("telegraf", "outage", "v") >= 101 && counted(&lab, "lines") == 199
    });
    lab.node2.restart();
    let stamped = lab.node1.count("telegraf", "outage", "v");
    lab.both_hold("telegraf", "outage", stamped);
}

#[test]
fn with_no_node_up_lines_are_kept_even_if_writes_are_rejected() {
    let rejecting = relay_keys("on_unavailable = \"reject\"");
    let mut lab = Lab::start_with(Options::default(), |text| with_udp("")(rejecting(text)));
    lab.create_database("telegraf");
    lab.node1.kill9();
    lab.node2.kill9();
    let sender = Sender::to(&lab);
    for point in 0..50 {
        sender.send(format!("kept v={point} {point}"));
    }
    wait_until("all lines in the journal", SOON, || {
        counted(&lab, "lines") == 50 && counted(&lab, "records") > 0
    });
    // Whatever haflux has gathered or read, it is stopped and started before a node is back.
    lab.haflux.restart();
    lab.node1.restart();
    lab.node2.restart();
    lab.both_hold("telegraf", "kept", 50);
}

/// Datagrams come all the time, so at each stop haflux and the kernel hold some.
#[test]
fn what_was_read_before_a_stop_is_kept() {
    let mut lab = lab("");
    let sender = Sender::to(&lab);
    let sent = AtomicU64::new(0);
    let send = |_, over: &AtomicBool| {
        while !over.load(Ordering::Relaxed) {
            let point = sent.fetch_add(1, Ordering::Relaxed);
            sender.send(format!("stopped v={point} {point}"));
            std::thread::sleep(Duration::from_micros(200));
        }
    };
    beside(1, send, || {
        for _ in 0..4 {
            wait_until("datagrams to be read", SOON, || {
                counted(&lab, "packets") > 300
            });
            assert!(lab.haflux.terminate().success());
            lab.haflux.restart();
        }
    });
    assert!(lab.haflux.terminate().success());
    let log = lab.haflux.log();
    let kept: Vec<u64> = log
        .lines()
        .filter_map(|line| line.split_once(" datagrams and kept ")?.1.split_once(' '))
        .filter_map(|(lines, _)| lines.parse().ok())
        .collect();
    assert_eq!(kept.len(), 5, "{log}");
    lab.haflux.restart();
    lab.both_hold("telegraf", "stopped", kept.iter().sum());
}

#[test]
fn nodes_that_ask_for_credentials_get_those_of_the_listener() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "open sesame\n").expect("a password");
    let listeners = format!(
        r#"
[[udp]]
bind = "127.0.0.1:UDP(lines)"
relay = "influx_relay"
db = "telegraf"
username = "lines"
password_file = {file:?}

[[udp]]
bind = "127.0.0.1:UDP(bare)"
relay = "influx_relay"
db = "telegraf"
"#
    );
    let mut lab = Lab::start_with(Options::default().auth(), |text| text + &listeners);
    lab.node1.log_in("admin", "all");
    lab.node2.log_in("admin", "all");
    let url = lab.influx_url();
    let admin = Some(("admin", "all"));
    let first = "CREATE USER admin WITH PASSWORD 'all' WITH ALL PRIVILEGES";
    assert_eq!(query_as(&url, None, "", first).status, 200);
    for statement in [
        "CREATE DATABASE telegraf",
        "CREATE USER lines WITH PASSWORD 'open sesame'",
        "GRANT WRITE ON telegraf TO lines",
    ] {
        let answer = query_as(&url, admin, "", statement);
        assert!(!answer.text().contains("error"), "{}", answer.text());
    }
    // Both listeners ask at the start what they may do.
    lab.haflux.restart();
    let listener = |number: usize| status::page(&lab.influx_url())["udp"][number].clone();
    wait_until(
        "the nodes' refusal of the listener without a user",
        SOON,
        || listener(1)["refusing_nodes"] == 2,
    );
    Sender::to(&lab).send("named v=1 1");
    lab.both_hold("telegraf", "named", 1);
    assert_eq!(listener(0)["refusing_nodes"], 0);
    let bare = lab.haflux.udp_port("bare");
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    sender
        .send_to(b"bare v=1 1", ("127.0.0.1", bare))
        .expect("a datagram");
    wait_until("the statement and the record to be refused", SOON, || {
        (0..2).all(|number| {
            let replica = status::replica(&lab.influx_url(), number);
            replica["refused"] == 2
        })
    });
    let page = status::page(&lab.influx_url());
    let problems = page["problems"].to_string();
    assert!(
        problems.contains("2 nodes refuse what comes by UDP"),
        "{problems}"
    );
    for said in [
        "give this listener username and password_file",
        "is not carried out here: CREATE DATABASE",
    ] {
        lab.haflux.says(said);
    }
    let log = lab.haflux.log();
    assert!(!log.contains("sesame") && !page.to_string().contains("sesame"));
}

#[test]
fn a_database_that_nodes_refused_to_make_is_made_when_they_would() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "open sesame\n").expect("a password");
    let listener = format!(
        r#"
[[udp]]
bind = "127.0.0.1:UDP(lines)"
relay = "influx_relay"
db = "later"
username = "lines"
password_file = {file:?}
"#
    );
    let mut lab = Lab::start_with(Options::default().auth(), |text| text + &listener);
    lab.node1.log_in("lines", "open sesame");
    lab.node2.log_in("lines", "open sesame");
    Sender::to(&lab).send("m v=1 1");
    wait_until("both nodes to refuse the statement", SOON, || {
        (0..2).all(|number| {
            let replica = status::replica(&lab.influx_url(), number);
            replica["refused"].as_u64() >= Some(1)
        })
    });
    let first = "CREATE USER lines WITH PASSWORD 'open sesame' WITH ALL PRIVILEGES";
    let made = query_as(&lab.influx_url(), None, "", first);
    assert_eq!(made.status, 200, "{}", made.text());
    for node in [&lab.node1, &lab.node2] {
        wait_until("lines to be stored", SOON, || {
            Sender::to(&lab).send("m v=1 1");
            let stored = node.query_answer("later", "SELECT v FROM m");
            stored.text().contains("\"values\"")
        });
    }
}

#[test]
fn an_address_in_use_is_an_error_at_once_that_names_the_listener() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = taken.local_addr().expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("haflux.toml");
    let data = folder.path().join("data");
    let configuration = format!(
        r#"
[server]
data_dir = {data:?}
[[frontend]]
name = "front"
bind = "127.0.0.1:{}"
default_backend = "relay"
[[relay]]
name = "relay"
replicate_to = "pool"
[[backend]]
name = "pool"
check = false
servers = [{{ name = "a", address = "127.0.0.1:1" }}]
[[udp]]
bind = "{address}"
relay = "relay"
db = "telegraf"
"#,
        support::ports::free_port()
    );
    std::fs::write(&file, configuration).expect("a configuration");
    let file = file.to_str().expect("a plain name");
    let checked = Haflux::command(&["check", "--config", file]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}");
    assert!(
        said.contains(&format!(
            "udp on {address} to relay relay\n    lines go to database \"telegraf\", its default retention policy; times in nanoseconds\n    the kernel is asked to hold 8MiB until they are read\n"
        )),
        "{said}"
    );
    let run = Haflux::command(&["run", "--config", file]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!(
            "udp: cannot listen on {address}: Address already in use"
        )),
        "{said}"
    );
}

#[test]
fn a_buffer_that_the_kernel_does_not_give_is_told_with_both_sizes() {
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").expect("a limit");
    let limit: u64 = limit.trim().parse().expect("a number");
    if limit >= 1 << 30 {
        return;
    }
    let lab = lab("read_buffer = \"1GiB\"");
    lab.haflux.says("net.core.rmem_max");
    let log = lab.haflux.log();
    let told = log
        .lines()
        .find(|line| line.contains("net.core.rmem_max"))
        .unwrap_or_else(|| panic!("{log}"));
    assert!(told.contains("read_buffer is 1GiB"), "{told}");
}

/// collectd writes with its own plugin for InfluxDB's UDP, unchanged.
#[test]
fn collectds_points_are_on_both_nodes() {
    let lab = lab("precision = \"ms\"");
    let folder = lab.folder().join("collectd");
    std::fs::create_dir(&folder).expect("a folder");
    let file = folder.join("collectd.conf");
    let configuration = format!(
        r#"
Hostname "collected"
FQDNLookup false
BaseDir "{folder}"
PIDFile "{folder}/collectd.pid"
TypesDB "/usr/share/collectd/types.db"
Interval 1
LoadPlugin logfile
<Plugin logfile>
  LogLevel info
  File STDOUT
</Plugin>
LoadPlugin load
LoadPlugin memory
LoadPlugin write_influxdb_udp
<Plugin write_influxdb_udp>
  Server "127.0.0.1" "{port}"
</Plugin>
"#,
        folder = folder.display(),
        port = lab.haflux.udp_port("lines"),
    );
    std::fs::write(&file, configuration).expect("a configuration");
    let mut collectd = Process::start(
        "collectd",
        Command::new("/usr/sbin/collectd")
            .arg("-f")
            .arg("-C")
            .arg(&file),
        &folder.join("collectd.log"),
    );
    let measurements = |node: &support::Influxd| -> Vec<String> {
        let answer = node.query("telegraf", "SHOW MEASUREMENTS");
        let values = answer["results"][0]["series"][0]["values"].as_array();
        values
            .into_iter()
            .flatten()
            .filter_map(|value| value[0].as_str().map(str::to_owned))
            .collect()
    };
    for node in [&lab.node1, &lab.node2] {
        let found = wait_for("collectd's measurements", SOON, || {
            let found = measurements(node);
            (found.len() >= 2).then_some(found)
        });
        assert!(found.iter().any(|name| name.contains("load")), "{found:?}");
        assert!(
            found.iter().any(|name| name.contains("memory")),
            "{found:?}"
        );
    }
    collectd.terminate(SOON);
    assert_eq!(counted(&lab, "refused_lines"), 0, "{}", counters(&lab));
    // What was on its way arrives; then both hold the same.
    wait_until("both nodes to hold the same", SOON, || {
        same_points(&lab.node1, &lab.node2, "telegraf").is_empty()
    });
    let recent = lab.node1.query(
        "telegraf",
        "SELECT * FROM /load/ WHERE time > now() - 5m AND time < now() + 1m AND host = 'collected'",
    );
    assert!(
        recent["results"][0]["series"][0]["values"]
            .as_array()
            .is_some_and(|values| !values.is_empty()),
        "{recent}"
    );
}
