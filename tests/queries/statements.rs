//! Statements are replicated: every node carries out every change, in its place among the writes, and the client gets InfluxDB's
//! own answer (rules S1, S2, S4, S5 and S6). What a real node cannot be made to show is in `statements_faults.rs`.

use crate::support::http;
use crate::support::lab::relay_keys;
use crate::support::wait::SOON;
use crate::support::{Influxd, Lab, Options, query_with, status, wait_until};

/// The lab, with a relay that does not wait for long.
fn impatient() -> Lab {
    let keys = "rewind = \"500ms\"\ntimeout = \"2s\"";
    Lab::start_with(Options::default(), relay_keys(keys))
}

fn databases(node: &Influxd) -> Vec<String> {
    let answer = node.query("", "SHOW DATABASES");
    let values = answer["results"][0]["series"][0]["values"].as_array();
    let names = values.into_iter().flatten();
    names
        .filter_map(|row| row[0].as_str().map(str::to_owned))
        .filter(|name| name != "_internal")
        .collect()
}

#[track_caller]
fn on_both(lab: &Lab, what: &str, holds: impl Fn(&Influxd) -> bool) {
    for node in [&lab.node1, &lab.node2] {
        wait_until(what, SOON, || holds(node));
    }
}

#[test]
fn a_database_is_made_on_both_nodes_and_the_answer_is_influxdbs() {
    let lab = Lab::start();
    let direct = lab.node1.query_answer("", "CREATE DATABASE direct");
    let answer = query_with(&lab.influx_url(), &[("q", "CREATE DATABASE mine")]);
    assert_eq!(
        (answer.status, answer.text()),
        (direct.status, direct.text())
    );
    assert_eq!(answer.header("content-type"), direct.header("content-type"));
    assert_eq!(
        answer.header("x-influxdb-version"),
        direct.header("x-influxdb-version")
    );
    on_both(&lab, "the database", |node| {
        databases(node).contains(&"mine".to_owned())
    });
    // By GET as well, with InfluxDB's warning about it.
    let target = "/query?q=CREATE+DATABASE+got";
    let answer = http::get(&format!("{}{target}", lab.influx_url()));
    assert!(
        answer.text().contains("deprecated use of"),
        "{}",
        answer.text()
    );
    on_both(&lab, "the database", |node| {
        databases(node).contains(&"got".to_owned())
    });
    // And a write right after it is good.
    assert_eq!(lab.write("mine", "cpu v=1 1").status, 204);
}

#[test]
fn a_node_that_was_down_gets_statements_and_writes_in_their_order() {
    let mut lab = impatient();
    lab.carry_out("", "CREATE DATABASE telegraf");
    assert_eq!(lab.write("telegraf", "old v=1 1\nkept v=1 1").status, 204);
    on_both(&lab, "the points", |node| {
        node.count("telegraf", "old", "v") == 1
    });
    lab.node2.stop();
    lab.carry_out("", "CREATE DATABASE later");
    assert_eq!(lab.write("later", "cpu v=1 1").status, 204);
    lab.carry_out("telegraf", "DROP MEASUREMENT old");
    assert_eq!(lab.write("telegraf", "old v=2 2\nold v=3 3").status, 204);
    lab.carry_out("telegraf", "DELETE FROM kept WHERE time < 2");
    assert_eq!(lab.write("telegraf", "kept v=2 2").status, 204);
    lab.carry_out("telegraf", "SELECT v INTO copied FROM old");
    lab.node2.restart();
    on_both(&lab, "everything", |node| {
        node.query_answer("later", "SELECT v FROM cpu")
            .text()
            .contains("cpu")
            && node.count("telegraf", "copied", "v") == 2
    });
    for node in [&lab.node1, &lab.node2] {
        assert_eq!(
            node.count("telegraf", "old", "v"),
            2,
            "nothing later was swallowed"
        );
        assert_eq!(node.count("telegraf", "kept", "v"), 1);
    }
}

#[test]
fn a_write_of_a_missing_database_is_refused_and_good_once_it_was_made() {
    let lab = Lab::start();
    let refused = lab.write("telegraf", "cpu v=1 1");
    assert_eq!(refused.status, 404, "{}", refused.text());
    lab.carry_out("", "CREATE DATABASE telegraf");
    assert_eq!(lab.write("telegraf", "cpu v=2 2").status, 204);
    on_both(&lab, "the database", |node| {
        databases(node).contains(&"telegraf".to_owned())
    });
    on_both(&lab, "the point", |node| {
        node.count("telegraf", "cpu", "v") == 1
    });
}

#[test]
fn refusals_are_influxdbs_own() {
    let lab = Lab::start();
    lab.node1.create_database("direct");
    let cases = [
        ("", "CREATE DATABSE x"),
        ("", "DROP USER nobody"),
        ("nowhere", "DROP MEASUREMENT m"),
        (
            "",
            "CREATE DATABASE fine; DROP USER nobody; CREATE DATABASE never",
        ),
        (
            "",
            "CREATE RETENTION POLICY p ON nowhere DURATION 1h REPLICATION 1",
        ),
    ];
    for wrong in [
        "BOGUS",
        "CREATE DATABASE",
        "SELECT * INTO",
        "CREATE DATABASE a b",
    ] {
        let asked = [("q", wrong), ("async", "true")];
        let through = query_with(&lab.influx_url(), &asked);
        let direct = query_with(&lab.node1.url(), &asked);
        assert_eq!(
            (through.status, through.text()),
            (direct.status, direct.text()),
            "{wrong} in the background"
        );
    }
    for (database, statement) in cases {
        let through = query_with(&lab.influx_url(), &[("db", database), ("q", statement)]);
        let direct = lab.node1.query_answer(database, statement);
        assert_eq!(
            (through.status, through.text()),
            (direct.status, direct.text()),
            "{statement}"
        );
    }
    on_both(&lab, "the first of three", |node| {
        databases(node).contains(&"fine".to_owned())
    });
    on_both(&lab, "not the last of three", |node| {
        !databases(node).contains(&"never".to_owned())
    });
    assert_eq!(
        status::relay(&lab.influx_url())["dead_letters"],
        0,
        "what all refuse is nobody's dead letter"
    );
}

#[test]
fn now_is_the_moment_of_acceptance_on_every_node() {
    let mut lab = impatient();
    lab.carry_out("", "CREATE DATABASE telegraf");
    on_both(&lab, "the database", |node| {
        databases(node).contains(&"telegraf".to_owned())
    });
    lab.node2.stop();
    // Stamped with the time of its coming.
    assert_eq!(lab.write("telegraf", "before v=1").status, 204);
    lab.carry_out(
        "telegraf",
        "DELETE FROM before WHERE time > now() - 1h AND time <= now()",
    );
    assert_eq!(lab.write("telegraf", "before v=2").status, 204);
    let aggregate =
        "SELECT mean(v) INTO means FROM before WHERE time > now() - 10s GROUP BY time(1s)";
    lab.carry_out("telegraf", aggregate);
    let count = |node: &Influxd| node.count("telegraf", "before", "v");
    assert_eq!(count(&lab.node1), 1);
    // Long enough for an aggregate that ended at each node's own now to differ.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(lab.write("telegraf", "before v=3").status, 204);
    lab.node2.restart();
    on_both(&lab, "both points", |node| count(node) == 2);
    let means = |node: &Influxd| node.query("telegraf", "SELECT mean FROM means");
    wait_until("the same means", SOON, || {
        means(&lab.node1) == means(&lab.node2)
    });
}

#[test]
fn drop_shard_is_refused_with_an_explanation_and_changes_nothing() {
    let lab = Lab::start();
    lab.carry_out("", "CREATE DATABASE telegraf");
    assert_eq!(lab.write("telegraf", "cpu v=1 1").status, 204);
    let answer = query_with(&lab.influx_url(), &[("q", "DROP SHARD 1")]);
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("DROP SHARD is not replicated"),
        "{}",
        answer.text()
    );
    on_both(&lab, "the point", |node| {
        node.count("telegraf", "cpu", "v") == 1
    });
}

#[test]
fn with_no_node_up_a_statement_is_turned_away_before_it_is_journaled() {
    let mut lab = impatient();
    lab.carry_out("", "CREATE DATABASE telegraf");
    lab.node1.stop();
    lab.node2.stop();
    wait_until("haflux to notice", SOON, || {
        let answer = query_with(&lab.influx_url(), &[("q", "CREATE DATABASE unwanted")]);
        assert_ne!(answer.status, 200);
        answer.status == 503 && answer.text().contains("nothing was done")
    });
    let refused = query_with(&lab.influx_url(), &[("q", "CREATE DATABASE neither")]);
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    lab.node1.restart();
    lab.node2.restart();
    wait_until("statements to be taken again", SOON, || {
        query_with(&lab.influx_url(), &[("q", "CREATE DATABASE wanted")]).status == 200
    });
    on_both(&lab, "only what was taken", |node| {
        let there = databases(node);
        there.contains(&"wanted".to_owned()) && !there.contains(&"neither".to_owned())
    });
}

#[test]
fn every_place_of_a_statement_is_seen() {
    let lab = Lab::start();
    let url = lab.influx_url();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let posted = http::request(
        "POST",
        &format!("{url}/query"),
        &form,
        b"q=CREATE+DATABASE+in_a_form",
    );
    assert_eq!(posted.status, 200, "{}", posted.text());
    let multipart = [("content-type", "multipart/form-data; boundary=XX")];
    let body = "--XX\r\nContent-Disposition: form-data; name=\"q\"; filename=\"q.txt\"\r\n\r\nCREATE DATABASE uploaded\r\n--XX--\r\n";
    let uploaded = http::request("POST", &format!("{url}/query"), &multipart, body.as_bytes());
    assert_eq!(uploaded.status, 200, "{}", uploaded.text());
    let asynchronous = query_with(
        &lab.influx_url(),
        &[
            ("q", "CREATE DATABASE in_the_background"),
            ("async", "true"),
        ],
    );
    assert_eq!((asynchronous.status, asynchronous.body.len()), (204, 0));
    assert_eq!(
        asynchronous.header("content-type"),
        Some("application/json")
    );
    on_both(&lab, "all of them", |node| {
        let there = databases(node);
        let all = ["in_a_form", "uploaded", "in_the_background"];
        all.iter().all(|name| there.contains(&(*name).to_owned()))
    });
}

#[test]
fn users_and_passwords_go_to_both_nodes_and_into_no_log() {
    let lab = Lab::start_with(Options::default().auth(), |text| text);
    let admin = "CREATE USER admin WITH PASSWORD 'very secret' WITH ALL PRIVILEGES";
    let answer = query_with(&lab.influx_url(), &[("q", admin)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let credentials = [("u", "admin"), ("p", "very secret")];
    let as_admin = |statement: &str| {
        let mut parameters = credentials.to_vec();
        parameters.push(("q", statement));
        query_with(&lab.influx_url(), &parameters)
    };
    let created = as_admin("CREATE DATABASE telegraf");
    assert_eq!(created.status, 200, "{}", created.text());
    let none = query_with(&lab.influx_url(), &[("q", "CREATE DATABASE stranger")]);
    assert_eq!(none.status, 401, "{}", none.text());
    assert_eq!(
        none.header("www-authenticate"),
        Some("Basic realm=\"InfluxDB\"")
    );
    for node in [&lab.node1, &lab.node2] {
        let asked = |statement: &str| {
            let text = http::query_string(&[credentials[0], credentials[1], ("q", statement)]);
            http::post(&format!("{}/query?{text}", node.url()), "").text()
        };
        wait_until("the user and the database", SOON, || {
            asked("SHOW DATABASES").contains("telegraf")
        });
        assert!(asked("SHOW USERS").contains("[\"admin\",true]"));
        assert!(!asked("SHOW DATABASES").contains("stranger"));
    }
    assert!(!lab.haflux.log().contains("very secret"));
    lab.haflux.says("CREATE USER");
}
