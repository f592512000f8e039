//! Servers that a person takes out of service: drain, maint and weights, over restarts, on real nodes.

use std::time::Duration;

use crate::support::lab::{brisk, replace};
use crate::support::wait::SOON;
use crate::support::{Haflux, Influxd, Lab, Options, http, read, status, wait_until, write};
use serde_json::Value;

const NODE2: &str = "influx_back/influxlab2";

/// What the page says of a server of the nodes' pool.
fn server(lab: &Lab, number: usize) -> Value {
    let mut page = status::page(&lab.influx_url());
    let backends = page["backends"].as_array_mut().expect("backends");
    let pool = backends
        .iter_mut()
        .find(|backend| backend["name"] == "influx_back");
    pool.expect("the pool")["servers"][number].take()
}

fn requests(lab: &Lab, number: usize) -> u64 {
    let requests = &server(lab, number)["traffic"]["requests"];
    requests.as_u64().expect("a number")
}

/// Reads that must be answered.
#[track_caller]
fn read_often(lab: &Lab, times: usize) {
    for _ in 0..times {
        let answer = read(&lab.influx_url(), "telegraf", "SELECT count(v) FROM m");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// What has been asked of a node: pings, queries and writes, by its own count.
fn heard(node: &Influxd) -> Vec<u64> {
    let variables = http::get(&format!("{}/debug/vars", node.url())).json();
    let variables = variables.as_object().expect("an object");
    let of_http = variables.iter().find(|(name, _)| name.starts_with("httpd"));
    let (_, of_http) = of_http.expect("numbers of HTTP");
    ["pingReq", "queryReq", "writeReq"]
        .map(|name| of_http["values"][name].as_u64().expect("a number"))
        .to_vec()
}

#[test]
fn a_drained_server_gets_writes_and_no_reads_until_it_is_ready() {
    let lab = Lab::start_brisk();
    lab.write_points(0..5);
    lab.both_hold("telegraf", "m", 5);
    let said = lab.haflux.order(&["server", "drain", NODE2]);
    assert!(
        said.starts_with("influx_back/influxlab2 is in drain"),
        "{said}"
    );
    let (before1, before2) = (requests(&lab, 0), requests(&lab, 1));
    read_often(&lab, 20);
    lab.write_points(5..15);
    assert_eq!(requests(&lab, 0), before1 + 20);
    assert_eq!(requests(&lab, 1), before2);
    lab.both_hold("telegraf", "m", 15);
    let drained = server(&lab, 1);
    assert_eq!(
        (&drained["status"], &drained["admin"]),
        (&"drain".into(), &"drain".into())
    );
    // Its checks go on.
    let checked = drained["last_check"]["at"].clone();
    wait_until("another check", SOON, || {
        server(&lab, 1)["last_check"]["at"] != checked
    });
    let list = lab.haflux.order(&["server", "list"]);
    let line = list.lines().find(|line| line.starts_with(NODE2));
    assert!(line.is_some_and(|line| line.contains("DRAIN")), "{list}");

    lab.haflux.order(&["server", "ready", NODE2]);
    read_often(&lab, 20);
    assert_eq!(requests(&lab, 1), before2 + 10, "in turn again");
    assert_eq!(server(&lab, 1)["status"], "up");
}

#[test]
fn a_server_in_maint_hears_nothing_over_restarts_and_is_sent_all_of_it_when_it_is_ready() {
    let mut lab = Lab::start_brisk();
    lab.write_points(0..5);
    lab.both_hold("telegraf", "m", 5);
    let is_quiet = |lab: &Lab| status::replica(&lab.influx_url(), 1)["status"] == "maint";
    lab.haflux.order(&["server", "maint", NODE2]);
    wait_until("the relay to know", SOON, || is_quiet(&lab));
    assert_eq!(server(&lab, 1)["status"], "maint");
    // What was under way when the order came has come to its end.
    std::thread::sleep(Duration::from_millis(300));
    let mut before = heard(&lab.node2);
    lab.write_points(5..15);
    read_often(&lab, 10);
    let behind = |lab: &Lab| status::replica(&lab.influx_url(), 1)["lag"]["records"].as_u64();
    assert_eq!(behind(&lab), Some(10), "its backlog grows");
    let said = lab.haflux.order(&["replica", "status"]);
    assert!(said.contains("its backlog grows"), "{said}");
    let notice = status::page(&lab.influx_url())["notices"][0].take();
    assert_eq!(
        notice["what"],
        "Server influx_back/influxlab2 is in maint by order"
    );
    assert_eq!(
        notice["commands"][0],
        "haflux server ready influx_back/influxlab2"
    );

    lab.haflux.restart();
    lab.write_points(15..20);
    lab.haflux.kill9();
    lab.haflux.restart();
    lab.write_points(20..25);
    read_often(&lab, 10);
    wait_until("the relay to know", SOON, || is_quiet(&lab));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(heard(&lab.node2), before, "pings, queries, writes");
    assert!(behind(&lab) >= Some(20));

    lab.haflux.order(&["server", "ready", NODE2]);
    // Asking adds to what the node is asked; the order is enough to wait for.
    before = vec![0; 3];
    wait_until("the node to be asked", SOON, || heard(&lab.node2) > before);
    lab.both_hold("telegraf", "m", 25);
    wait_until("it to be fresh", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "fresh"
    });
    assert_eq!(server(&lab, 1)["status"], "up");
    let notices = status::page(&lab.influx_url())["notices"].take();
    assert_eq!(notices, Value::Array(Vec::new()));
}

#[test]
fn orders_and_weights_outlive_a_stop_and_a_kill() {
    let mut lab = Lab::start_brisk();
    lab.haflux.order(&["server", "drain", NODE2]);
    lab.haflux
        .order(&["server", "weight", "influx_back/influxlab", "7"]);
    lab.haflux.kill9();
    lab.haflux.restart();
    let seen = |lab: &Lab| {
        let weight = server(lab, 0)["weight"].as_u64();
        (weight, server(lab, 1)["admin"].as_str().map(str::to_owned))
    };
    assert_eq!(seen(&lab), (Some(7), Some("drain".to_owned())));
    lab.haflux.restart();
    assert_eq!(seen(&lab), (Some(7), Some("drain".to_owned())));
    let list = lab.haflux.order(&["server", "list"]);
    assert!(list.contains("7 (of 1)"), "{list}");
    // Back to what the configuration says.
    lab.haflux
        .order(&["server", "weight", "influx_back/influxlab", "100%"]);
    lab.haflux.order(&["server", "ready", NODE2]);
    lab.haflux.restart();
    assert_eq!(seen(&lab), (Some(1), Some("ready".to_owned())));

    // A damaged file is set aside, and everybody is ready.
    lab.haflux.order(&["server", "drain", NODE2]);
    lab.haflux.terminate();
    let file = lab.haflux.folder().join("data/server-states.json");
    std::fs::write(&file, "{\"checksum\":1").expect("written");
    lab.haflux.restart();
    assert_eq!(seen(&lab), (Some(1), Some("ready".to_owned())));
    lab.haflux.says("was set aside");
}

#[test]
fn with_no_server_ready_reads_get_503_and_writes_go_on() {
    let lab = Lab::start_brisk();
    lab.write_points(0..3);
    lab.both_hold("telegraf", "m", 3);
    lab.haflux
        .order(&["server", "drain", "influx_back/influxlab"]);
    lab.haflux.order(&["server", "drain", NODE2]);
    for query in ["SELECT v FROM m", "SHOW DATABASES", "SHOW STATS"] {
        let answer = read(&lab.influx_url(), "telegraf", query);
        assert_eq!(answer.status, 503, "{query}");
        assert!(
            answer.text().contains("in drain or maint"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(http::get(&format!("{}/ping", lab.influx_url())).status, 503);
    lab.write_points(3..6);
    lab.both_hold("telegraf", "m", 6);
    lab.haflux.order(&["server", "maint", NODE2]);
    lab.write_points(6..9);
    lab.haflux
        .order(&["server", "maint", "influx_back/influxlab"]);
    // Known credentials write on: the journal has it.
    lab.write_points(9..12);
    lab.haflux
        .order(&["server", "ready", "influx_back/influxlab"]);
    lab.haflux.order(&["server", "ready", NODE2]);
    lab.both_hold("telegraf", "m", 12);
}

#[test]
fn for_ack_a_server_in_maint_is_one_that_is_down() {
    let lab = Lab::start_with(Options::default(), |text| {
        brisk(replace(
            text,
            &[(
                "replicate_to = \"influx_back\"",
                "replicate_to = \"influx_back\"\nack = \"all\"",
            )],
        ))
    });
    lab.create_database("telegraf");
    lab.write_points(0..2);
    lab.haflux.order(&["server", "drain", NODE2]);
    lab.write_points(2..4);
    lab.haflux.order(&["server", "maint", NODE2]);
    wait_until("the relay to know", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "maint"
    });
    let answer = write(&lab.influx_url(), "telegraf", "m v=9 9");
    assert_eq!(answer.status, 503, "{}", answer.text());
    lab.haflux.order(&["server", "ready", NODE2]);
    wait_until("a write to be vouched for by all", SOON, || {
        write(&lab.influx_url(), "telegraf", "m v=9 9").status == 204
    });
    lab.both_hold("telegraf", "m", 5);
}

#[test]
fn a_plain_pool_is_drained_too_and_wrong_names_are_told() {
    let lab = Lab::start_brisk();
    let grafana = || http::get(&format!("{}/login", lab.grafana_url()));
    assert_eq!(grafana().status, 200);
    lab.haflux
        .order(&["server", "drain", "grafana_back/influxlab"]);
    assert_eq!(grafana().status, 503);
    lab.haflux
        .order(&["server", "ready", "grafana_back/influxlab"]);
    assert_eq!(grafana().status, 200);
    lab.haflux
        .order(&["server", "weight", "grafana_back/influxlab", "0"]);
    assert_eq!(grafana().status, 503);
    lab.haflux
        .order(&["server", "weight", "grafana_back/influxlab", "100%"]);
    assert_eq!(grafana().status, 200);

    for (arguments, words) in [
        (
            &["server", "drain", "influx_bck/influxlab"][..],
            "did you mean \"influx_back\"?",
        ),
        (
            &["server", "drain", "influx_back/influxlab22"],
            "did you mean \"influxlab2\"?",
        ),
        (
            &["server", "ready", "influxlab2"],
            "\"influxlab2\" is no BACKEND/SERVER",
        ),
        (&["server", "weight", NODE2, "257"], "between 0 and 256"),
        (&["server", "weight", NODE2, "heavy"], "garbage"),
    ] {
        let output = lab.haflux.told(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let nobody = folder.path().join("haflux.toml");
    let text = std::fs::read_to_string(lab.haflux.file()).expect("read");
    let elsewhere = folder.path().to_str().expect("a plain name");
    let data = lab.haflux.folder().join("data");
    let text = text.replace(data.to_str().expect("a plain name"), elsewhere);
    std::fs::write(&nobody, text).expect("written");
    let nobody = nobody.to_str().expect("a plain name");
    let output = Haflux::command(&["server", "list", "--config", nobody]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("haflux does not run here"));
}
