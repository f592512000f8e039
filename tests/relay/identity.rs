//! A node that comes back is asked for a point that it must have (rule R1): who lost it is diverged, before any write.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::influxd::Options;
use crate::support::lab::relay_keys;
use crate::support::wait::SOON;
use crate::support::{
    Behaviour, Haflux, Influxd, Lab, StandIn, carry_out, http, query_with, relay_over, status,
    wait_until, write_until_taken,
};

const FIRST: &str = "replica influxlab ";
const SECOND: &str = "replica influxlab2 ";

/// Where everything is written.
const TELEGRAF: [(&str, &str); 1] = [("db", "telegraf")];

fn lab(options: Options, keys: &str) -> Lab {
    let keys = format!("retry = {{ max = \"500ms\" }}\n{keys}");
    Lab::start_with(options, relay_keys(&keys))
}

fn quick_lab() -> Lab {
    let lab = lab(Options::default(), "rewind = \"200ms\"");
    lab.create_database("telegraf");
    lab
}

/// Waits until the places of both replicas were saved with a proof of this time.
#[track_caller]
fn wait_for_proof(haflux: &Haflux, nanoseconds: i64) {
    let text = format!("\"time\":{nanoseconds}}}");
    let saved = || {
        let tables = files(&haflux.folder().join("data"), "cursors.");
        tables
            .iter()
            .any(|table| String::from_utf8_lossy(table).matches(&text).count() == 2)
    };
    wait_until("both cursors to be saved with the proof", SOON, saved);
}

fn files(folder: &Path, prefix: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            found.extend(files(&entry.path(), prefix));
        } else if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.extend(std::fs::read(entry.path()));
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Copies a stopped node's data to a folder beside it, and starts it again.
fn take_copy(lab: &mut Lab) {
    lab.node2.stop();
    for part in ["meta", "data", "wal"] {
        let from = lab.folder().join("influxlab2").join(part);
        copy(&from, &lab.folder().join("copy").join(part));
    }
    lab.node2.restart();
}

/// Puts that copy in the place of the node's data.
fn put_back(lab: &mut Lab) {
    lab.node2.stop();
    lab.node2.wipe();
    copy(&lab.folder().join("copy"), &lab.folder().join("influxlab2"));
    lab.node2.restart();
}

fn wipe(node: &mut Influxd) {
    node.stop();
    node.wipe();
    node.restart();
}

#[test]
fn a_node_that_is_wiped_while_nothing_is_written_is_diverged_at_once() {
    let mut lab = quick_lab();
    write_until_taken(&lab.influx_url(), &TELEGRAF, "wiped,host=a v=1 5");
    wait_for_proof(&lab.haflux, 5);
    wipe(&mut lab.node2);
    lab.haflux.says("replica influxlab2 is diverged: it is not the node it was: database \"telegraf\" is not there");
    // The other serves on, alone.
    write_until_taken(&lab.influx_url(), &TELEGRAF, "wiped,host=a v=2 6");
    assert_eq!(lab.node1.count("telegraf", "wiped", "v"), 2);
    assert_eq!(
        lab.node2.query("", "SHOW DATABASES")["results"][0]["series"][0]["values"],
        serde_json::Value::Null
    );
    assert!(!lab.haflux.log().contains(&format!("{FIRST}is diverged")));
}

#[test]
fn a_node_that_is_wiped_while_haflux_is_down_is_diverged() {
    let mut lab = quick_lab();
    write_until_taken(&lab.influx_url(), &TELEGRAF, "wiped v=1 5");
    wait_for_proof(&lab.haflux, 5);
    lab.haflux.kill9();
    wipe(&mut lab.node2);
    lab.node2.create_database("telegraf");
    lab.haflux.restart();
    lab.haflux.says("replica influxlab2 is diverged: it is not the node it was: database \"telegraf\" has not the point of measurement \"wiped\"");
}

#[test]
fn a_node_that_is_put_back_to_an_older_copy_is_diverged() {
    let mut lab = quick_lab();
    write_until_taken(&lab.influx_url(), &TELEGRAF, "copied v=1 5");
    wait_for_proof(&lab.haflux, 5);
    take_copy(&mut lab);
    lab.haflux.says(&format!("{SECOND}is the node it was"));
    write_until_taken(&lab.influx_url(), &TELEGRAF, "copied v=2 6");
    wait_for_proof(&lab.haflux, 6);
    put_back(&mut lab);
    lab.haflux.says("replica influxlab2 is diverged: it is not the node it was: database \"telegraf\" has not the point of measurement \"copied\" at 6 ns");
}

#[test]
fn what_a_node_lost_within_rewind_is_sent_again() {
    let mut lab = lab(Options::default(), "rewind = \"5s\"");
    lab.create_database("telegraf");
    write_until_taken(&lab.influx_url(), &TELEGRAF, "lost v=1 5");
    wait_for_proof(&lab.haflux, 5);
    take_copy(&mut lab);
    lab.haflux.says(&format!("{SECOND}is the node it was"));
    for point in 6..20 {
        write_until_taken(
            &lab.influx_url(),
            &TELEGRAF,
            format!("lost v={point} {point}"),
        );
    }
    wait_until("the points on the node", SOON, || {
        lab.node2.count("telegraf", "lost", "v") == 15
    });
    put_back(&mut lab);
    lab.haflux
        .says(&format!("{SECOND}answers; from record 2 on"));
    wait_until("the points on the node again", SOON, || {
        lab.node2.count("telegraf", "lost", "v") == 15
    });
    lab.assert_same("telegraf");
    assert!(!lab.haflux.log().contains("is diverged"));
}

#[test]
fn of_two_nodes_whose_addresses_were_swapped_the_emptier_one_is_diverged() {
    let mut lab = quick_lab();
    write_until_taken(&lab.influx_url(), &TELEGRAF, "swapped v=1 5");
    wait_for_proof(&lab.haflux, 5);
    lab.node2.kill9();
    write_until_taken(&lab.influx_url(), &TELEGRAF, "swapped v=2 6");
    wait_until("the first one's place to be saved", SOON, || {
        let tables = files(&lab.haflux.folder().join("data"), "cursors.");
        tables
            .iter()
            .any(|table| String::from_utf8_lossy(table).contains("\"time\":6}"))
    });
    lab.haflux.terminate();
    lab.node2.restart();
    let file = lab.haflux.file().to_owned();
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let (one, two) = (lab.node1.address(), lab.node2.address());
    let text = text
        .replace(&one, "ONE")
        .replace(&two, &one)
        .replace("ONE", &two);
    std::fs::write(&file, text).expect("the configuration");
    lab.haflux.restart();
    lab.haflux
        .says("replica influxlab is diverged: it is not the node it was");
    lab.haflux.says(&format!("{SECOND}is the node it was"));
    write_until_taken(&lab.influx_url(), &TELEGRAF, "swapped v=3 7");
    assert_eq!(lab.node1.count("telegraf", "swapped", "v"), 3);
    assert_eq!(lab.node2.count("telegraf", "swapped", "v"), 1);
    assert!(!lab.haflux.log().contains(&format!("{SECOND}is diverged")));
}

#[test]
fn a_node_that_only_restarted_goes_on() {
    let mut lab = quick_lab();
    // Names that need every kind of escape, and a policy that is not the default one.
    for node in [&lab.node1, &lab.node2] {
        node.query(
            "",
            "CREATE RETENTION POLICY \"r p\" ON telegraf DURATION INF REPLICATION 1",
        );
    }
    let odd = r#"my\ "m"\,x,ho\ st=it's\ a\=b,dir=C:\x,v=tag v\ "\==1,v=2 -5"#;
    let to = [("db", "telegraf"), ("rp", "r p")];
    write_until_taken(&lab.influx_url(), &to, odd);
    wait_for_proof(&lab.haflux, -5);
    lab.node2.restart();
    lab.haflux
        .says("replica influxlab2 is the node it was: it has the point");
    write_until_taken(&lab.influx_url(), &TELEGRAF, "restarted v=1 6");
    wait_for_proof(&lab.haflux, 6);
    // The default policy is another one now: the point is found where it is.
    for node in [&lab.node1, &lab.node2] {
        node.query("", "ALTER RETENTION POLICY \"r p\" ON telegraf DEFAULT");
    }
    lab.node2.kill9();
    lab.node2.restart();
    wait_until("the node to be known again", SOON, || {
        let known = format!("{SECOND}is the node it was");
        lab.haflux.log().matches(&known).count() == 2
    });
    assert!(!lab.haflux.log().contains("is diverged"));
}

#[test]
fn a_point_that_its_policy_no_longer_keeps_proves_nothing() {
    let mut lab = quick_lab();
    for node in [&lab.node1, &lab.node2] {
        node.query(
            "",
            "CREATE RETENTION POLICY short ON telegraf DURATION 1h REPLICATION 1",
        );
    }
    // InfluxDB takes it still. Clocks may differ, so that it may be gone already; the test makes it be gone.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("now");
    let nanoseconds = i64::try_from(now.as_nanos()).expect("a time") - 57 * 60_000_000_000;
    let to = [("db", "telegraf"), ("rp", "short")];
    let line = format!("old v=1 {nanoseconds}");
    write_until_taken(&lab.influx_url(), &to, line);
    wait_for_proof(&lab.haflux, nanoseconds);
    lab.node2.query("telegraf", "DROP MEASUREMENT old");
    lab.node2.restart();
    lab.haflux.says("replica influxlab2 is taken for the node it was, without proof: its retention policy does not keep points so old");
    assert!(!lab.haflux.log().contains("is diverged"));
}

/// Nodes that ask for credentials, with an administrator `root` and a user `writer` who may only write.
fn lab_with_users() -> Lab {
    let options = Options::default().auth().asked_as("root", "root");
    let lab = lab(options, "rewind = \"200ms\"");
    for node in [&lab.node1, &lab.node2] {
        for statement in [
            "CREATE USER root WITH PASSWORD 'root' WITH ALL PRIVILEGES",
            "CREATE DATABASE telegraf",
            "CREATE USER writer WITH PASSWORD 'sesame'",
            "GRANT WRITE ON telegraf TO writer",
        ] {
            carry_out(&node.url(), &by_root(statement));
        }
    }
    lab
}

/// What a writer says who has this password.
fn by_writer(password: &str) -> [(&str, &str); 3] {
    [("db", "telegraf"), ("u", "writer"), ("p", password)]
}

fn by_root(statement: &str) -> [(&str, &str); 4] {
    [
        ("db", "telegraf"),
        ("q", statement),
        ("u", "root"),
        ("p", "root"),
    ]
}

/// A statement through haflux, carried out by both replicas.
fn state(lab: &Lab, statement: &str) {
    let settled = || lab.haflux.log().matches(" is settled: ").count();
    let before = settled();
    carry_out(&lab.influx_url(), &by_root(statement));
    wait_until("both replicas to have carried it out", SOON, || {
        settled() == before + 2
    });
}

#[test]
fn a_writer_who_may_not_read_is_no_reason_to_mistrust_but_an_empty_node_is() {
    let mut lab = lab_with_users();
    write_until_taken(&lab.influx_url(), &by_writer("sesame"), "secret v=1 5");
    wait_for_proof(&lab.haflux, 5);
    lab.node2.restart();
    lab.haflux
        .says("replica influxlab2 is taken for the node it was, without proof: it answers 403");
    write_until_taken(&lab.influx_url(), &by_writer("sesame"), "secret v=2 6");
    wait_for_proof(&lab.haflux, 6);
    wipe(&mut lab.node2);
    lab.haflux.says("replica influxlab2 is diverged: it is not the node it was: database \"telegraf\" is not there");
    assert!(!lab.haflux.log().contains("sesame"));
}

#[test]
fn of_two_nodes_that_are_wiped_one_is_diverged_and_the_last_one_goes_on() {
    let mut lab = quick_lab();
    write_until_taken(&lab.influx_url(), &TELEGRAF, "both v=1 5");
    wait_for_proof(&lab.haflux, 5);
    for node in [&mut lab.node1, &mut lab.node2] {
        node.stop();
        node.wipe();
    }
    lab.node1.restart();
    lab.node2.restart();
    let missing = "it is not the node it was: database \"telegraf\" is not there";
    lab.haflux.says(&format!("is diverged: {missing}"));
    lab.haflux.says("no other replica follows, so it goes on");
    lab.create_database("telegraf");
    write_until_taken(&lab.influx_url(), &TELEGRAF, "both v=2 6");
    lab.haflux.restart();
    write_until_taken(&lab.influx_url(), &TELEGRAF, "both v=3 7");
    assert_eq!(lab.haflux.log().matches("is diverged").count(), 1);
    let points = [&lab.node1, &lab.node2].map(|node| node.count("telegraf", "both", "v"));
    assert!(points.contains(&0) && points.contains(&2), "{points:?}");
}

#[test]
fn a_node_that_refuses_credentials_that_it_took_is_held_and_nobody_reads_from_it() {
    let mut lab = lab_with_users();
    write_until_taken(&lab.influx_url(), &by_writer("sesame"), "secret v=1 5");
    wait_for_proof(&lab.haflux, 5);
    lab.haflux.kill9();
    wipe(&mut lab.node2);
    carry_out(
        &lab.node2.url(),
        &by_root("CREATE USER root WITH PASSWORD 'root' WITH ALL PRIVILEGES"),
    );
    lab.haflux.restart();
    lab.haflux.says("replica influxlab2 is held: it answers 401 to credentials with which it had accepted writes to database \"telegraf\", and influxlab takes them");
    for _ in 0..6 {
        let answer = query_with(&lab.influx_url(), &by_root("SELECT v FROM secret"));
        assert!(
            answer
                .text()
                .contains("[\"1970-01-01T00:00:00.000000005Z\",1]"),
            "{}",
            answer.text()
        );
    }
    let status = lab.haflux.order(&["replica", "status"]);
    assert!(status.contains("readmit influxlab2 --as-it-is"), "{status}");
    // Its users are back, and so it is known that its data is not.
    for statement in [
        "CREATE USER writer WITH PASSWORD 'sesame'",
        "CREATE DATABASE telegraf",
        "GRANT ALL ON telegraf TO writer",
    ] {
        carry_out(&lab.node2.url(), &by_root(statement));
    }
    lab.haflux
        .says("replica influxlab2 is diverged: it is not the node it was");
    assert!(!lab.haflux.log().contains("sesame"));
}

#[test]
fn a_password_that_was_changed_everywhere_is_no_sign_of_another_disk() {
    let mut lab = lab_with_users();
    write_until_taken(&lab.influx_url(), &by_writer("sesame"), "secret v=1 5");
    wait_for_proof(&lab.haflux, 5);
    state(&lab, "SET PASSWORD FOR writer = 'another'");
    lab.node2.restart();
    lab.haflux.says("replica influxlab2 is taken for the node it was, without proof: it answers 401 to credentials with which it had accepted writes to database \"telegraf\", and influxlab refuses them too");
    // With nobody to ask it is held, until a person says what it is.
    lab.node1.kill9();
    lab.node2.restart();
    lab.haflux
        .says("no other replica can be asked whether it takes them");
    lab.haflux
        .order(&["replica", "readmit", "influxlab2", "--as-it-is"]);
    write_until_taken(&lab.influx_url(), &by_writer("another"), "secret v=2 6");
    assert_eq!(lab.node2.count("telegraf", "secret", "v"), 2);
}

#[test]
fn what_removes_nothing_leaves_the_proof_and_what_removes_points_the_database() {
    let mut lab = quick_lab();
    write_until_taken(&lab.influx_url(), &TELEGRAF, "into v=1 5");
    wait_for_proof(&lab.haflux, 5);
    state(&lab, "SELECT v INTO copied FROM \"into\"");
    wipe(&mut lab.node2);
    lab.haflux
        .says("replica influxlab2 is diverged: it is not the node it was: database");

    let mut lab = quick_lab();
    write_until_taken(&lab.influx_url(), &TELEGRAF, "deleted v=1 5");
    wait_for_proof(&lab.haflux, 5);
    state(&lab, "DELETE FROM deleted");
    lab.node2.restart();
    lab.haflux.says(&format!(
        "{SECOND}is taken for the node it was, without proof: no write is known"
    ));
    wipe(&mut lab.node2);
    lab.haflux.says("replica influxlab2 is diverged: it is not the node it was: database \"telegraf\" is not there, in which it had accepted writes");
}

#[test]
fn a_node_that_is_wiped_within_the_first_rewind_is_diverged() {
    for ends in [false, true] {
        let mut lab = lab(Options::default(), "");
        lab.create_database("telegraf");
        write_until_taken(&lab.influx_url(), &TELEGRAF, "early v=1 5");
        wait_until("both to have taken the point", SOON, || {
            let relay = status::relay(&lab.influx_url());
            let replicas = relay["replicas"].as_array().cloned().unwrap_or_default();
            replicas.iter().all(|replica| replica["applied"] == 1)
        });
        if ends {
            wait_until("both to be known to have the database", SOON, || {
                files(&lab.haflux.folder().join("data"), "cursors.")
                    .iter()
                    .any(|table| {
                        let text = String::from_utf8_lossy(table);
                        text.matches("\"known\":[{\"name\":\"telegraf\"").count() == 2
                    })
            });
            lab.haflux.kill9();
        }
        wipe(&mut lab.node2);
        if ends {
            lab.haflux.restart();
        }
        lab.haflux.says("replica influxlab2 is diverged: it is not the node it was: database \"telegraf\" is not there");
    }
}

/// Stands before a node that says of its process what a virtual machine says that was put back with its memory: that it is
/// still the same. No real node can be made to.
fn same_process(node: &Influxd) -> StandIn {
    let url = node.url();
    StandIn::start(move |request| {
        if request.path() == "/debug/vars" {
            return Behaviour::status(200, "{\"system\": {\"started\":\"2026-01-01T00:00:00Z\"}}");
        }
        let target = format!("{url}{}", request.target);
        match http::try_request(&request.method, &target, &[], &request.body) {
            Ok(answer) => Behaviour::Answer {
                status: answer.status,
                headers: Vec::new(),
                body: answer.body,
            },
            Err(_) => Behaviour::Close,
        }
    })
}

#[test]
fn a_process_that_is_the_same_on_an_older_disk_is_asked_all_the_same() {
    for (rewind, is_repaired) in [("200ms", false), ("60s", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let nodes = ["one", "two"].map(|name| Influxd::start(&folder.path().join(name)));
        let [one, mut two] = nodes;
        for node in [&one, &two] {
            node.create_database("telegraf");
        }
        let (first, mut second) = (same_process(&one), same_process(&two));
        let keys = format!("rewind = \"{rewind}\"");
        let haflux = Haflux::start(
            &folder.path().join("haflux"),
            &relay_over(&[&first, &second], &keys),
        );
        let write = |two: &Influxd, point: u64| {
            let line = format!("older v={point} {point}");
            write_until_taken(&haflux.url("front"), &TELEGRAF, line);
            wait_until("the point on both", SOON, || {
                [&one, two]
                    .iter()
                    .all(|node| node.count("telegraf", "older", "v") == point)
            });
            if !is_repaired {
                wait_for_proof(&haflux, i64::try_from(point).expect("a small number"));
            }
        };
        write(&two, 1);
        two.stop();
        let parts = ["meta", "data", "wal"];
        for part in parts {
            copy(
                &two.folder().join(part),
                &folder.path().join("copy").join(part),
            );
        }
        two.restart();
        write(&two, 2);
        two.stop();
        two.wipe();
        copy(&folder.path().join("copy"), two.folder());
        two.restart();
        // Its connections are from before.
        second.refuse();
        second.accept_again();
        if is_repaired {
            wait_until("it to be sent again what it lost", SOON, || {
                two.count("telegraf", "older", "v") == 2
            });
        } else {
            haflux.says("replica node1 is diverged: it is not the node it was");
        }
    }
}
