//! `haflux replica rebuild` where the target does not take every point, not as many bytes at once, or not what a person gives.

use std::fs;

use crate::support::lab::relay_keys;
use crate::support::wait::SOON;
use crate::support::{self, Influxd, Lab, Options, status, wait_until, wait_until_level};

const REBUILD: [&str; 4] = ["replica", "rebuild", "influxlab2", "--yes"];

/// The second node has these options, and is set aside without anything; the first one has a point of `known`.
fn lab(second: Options) -> Lab {
    // One slice after the other: a limit counts what was there before a request.
    let keys = "rewind = \"1s\"\nretry = { max = \"500ms\" }\nheal = { parallel = 1 }";
    let mut lab = Lab::start_each(Options::default(), second, Vec::new(), relay_keys(keys));
    lab.carry_out("", "CREATE DATABASE telegraf");
    assert_eq!(lab.write("telegraf", "known v=1 1").status, 204);
    wait_until_level(&lab, SOON).expect("both have it");
    lab.node2.kill9();
    lab.node2.wipe();
    lab.node2.restart();
    wait_until("the second replica to be diverged", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "diverged"
    });
    lab
}

#[test]
fn points_that_a_limit_of_the_target_forbids_are_named_and_all_others_are_copied() {
    const WEEKS: &str = "1209600000000000";
    let lab = lab(Options::default().set("data", "max-values-per-tag", "50"));
    let line = |number, time: &str| format!("m,host=h{number} v=1 {time}\n");
    let early = (0..60).map(|number| line(number, "1"));
    // One of the later points is of a series that is there.
    let later = [0].into_iter().chain(60..90);
    let later = later.map(|number| line(number, WEEKS));
    let lines: String = early.chain(later).collect();
    assert_eq!(lab.node1.write("telegraf", &lines).status, 204);
    let z = format!("z,host=h v=1 {WEEKS}");
    assert_eq!(lab.node1.write("telegraf", &z).status, 204);
    let said = lab.haflux.told(&REBUILD);
    assert!(!said.status.success(), "{said:?}");
    let said = format!("{said:?}");
    for words in [
        "influxlab2 does not take some points of telegraf.autogen",
        "max-values-per-tag limit exceeded",
        "influxlab2 serves, and differs from influxlab in 30 points",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Once in each round of the proof, not for each point.
    let told = said.matches("m in telegraf is not mended").count();
    assert!((1..5).contains(&told), "{said}");
    assert_eq!(status::replica(&lab.influx_url(), 1)["status"], "fresh");
    for (measurement, points) in [("m", 61), ("z", 1), ("known", 1)] {
        assert_eq!(lab.node2.count("telegraf", measurement, "v"), points);
    }
}

/// A node takes 25 MB by one request.
#[test]
fn long_texts_are_copied_in_pieces() {
    let lab = lab(Options::default());
    let text = "x".repeat(60_000);
    let times: Vec<u64> = (0..600).collect();
    for times in times.chunks(50) {
        let lines: String = times
            .iter()
            .map(|time| format!("long text=\"{text}\" {time}\n"))
            .collect();
        assert_eq!(lab.node1.write("telegraf", &lines).status, 204);
    }
    let said = lab.haflux.order(&REBUILD);
    assert!(said.contains("influxlab2 is rebuilt, "), "{said}");
    assert_eq!(lab.node2.count("telegraf", "long", "text"), 600);
}

/// Two nodes that know `root` and `ada`; haflux asks in the name of `root`.
fn lab_with_users(folder: &std::path::Path) -> Lab {
    let password = folder.join("password");
    fs::write(&password, "all\n").expect("a file");
    let keys = format!(
        "rewind = \"1s\"\nheal = {{ username = \"root\", password_file = \"{}\" }}",
        password.display()
    );
    let options = Options::default().auth().asked_as("root", "all");
    let lab = Lab::start_with(options, relay_keys(&keys));
    for statement in [
        "CREATE USER root WITH PASSWORD 'all' WITH ALL PRIVILEGES",
        "CREATE DATABASE telegraf",
        "CREATE USER ada WITH PASSWORD 'first'",
        "GRANT ALL ON telegraf TO ada",
    ] {
        let parameters = support::parameters(Some(("root", "all")), &[("q", statement)]);
        support::carry_out(&lab.influx_url(), &parameters);
    }
    wait_until_level(&lab, SOON).expect("both have it");
    lab
}

/// Whether a node lets this user in.
fn lets_in(node: &Influxd, user: &str, password: &str) -> bool {
    let parameters = support::parameters(Some((user, password)), &[("q", "SHOW DATABASES")]);
    support::query_with(&node.url(), &parameters).status == 200
}

#[test]
fn a_password_that_no_statement_can_say_is_refused_before_anything_begins_and_is_shown_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let lab = lab_with_users(folder.path());
    lab.node2.query("", "DROP USER ada");
    let file = folder.path().join("users");
    let users = file.display().to_string();
    let rebuild = [&REBUILD[..], &["--users", &users]].concat();
    // The line ends of an old Macintosh, and a character that is none.
    for text in [
        "carl:x\rada:TOPSECRET\r",
        "# people\nada:TOP\0SECRET\n",
        "ada:TOPSECRET\r",
    ] {
        fs::write(&file, text).expect("a file");
        let why = lab.haflux.refuses(&rebuild);
        let line = text.lines().count();
        assert!(why.contains(&format!("users, line {line}: ")), "{why}");
        let log = lab.haflux.log();
        let state = lab.haflux.order(&["status"]);
        for shown in [&why, &log, &state] {
            assert!(!shown.contains("SECRET"), "{text:?}: {shown}");
        }
        assert_eq!(status::replica(&lab.influx_url(), 1)["status"], "fresh");
    }
    fs::write(&file, "# people\r\nada:se\\cr'et\r\n").expect("a file");
    lab.haflux.order(&rebuild);
    assert!(lets_in(&lab.node2, "ada", "se\\cr'et"));
}

#[test]
fn users_that_the_node_has_keep_their_passwords_and_those_that_the_rebuild_made_may_get_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let lab = lab_with_users(folder.path());
    let file = folder.path().join("users");
    let users = file.display().to_string();
    let rebuild = [&REBUILD[..], &["--users", &users]].concat();
    fs::write(&file, "ada:other\nroot:none\n").expect("a file");
    let said = lab.haflux.order(&rebuild);
    assert!(said.contains("keep their passwords: ada, root."), "{said}");
    assert!(lets_in(&lab.node2, "ada", "first"));
    assert!(lets_in(&lab.node2, "root", "all"));
    // A password that was mistyped lets nobody in who writes, so the rebuild stops.
    let ada = support::parameters(Some(("ada", "first")), &[("db", "telegraf")]);
    let write = || support::write_with(&lab.influx_url(), &ada, "m v=1").status;
    assert_eq!(write(), 204);
    wait_until_level(&lab, SOON).expect("both have it");
    lab.node2.query("", "DROP USER ada");
    fs::write(&file, "ada:mistyped\n").expect("a file");
    let why = lab.haflux.refuses(&rebuild);
    assert!(
        why.contains("401") && why.contains("begun again it goes on where it was"),
        "{why}"
    );
    fs::write(&file, "ada:first\n").expect("a file");
    let said = lab.haflux.order(&rebuild);
    assert!(said.contains("It goes on where it was"), "{said}");
    assert!(lets_in(&lab.node2, "ada", "first"));
}

#[test]
fn of_a_rebuild_that_did_not_begin_it_is_said_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let lab = lab_with_users(folder.path());
    // The source does not know who asks any more.
    fs::write(folder.path().join("password"), "wrong\n").expect("a file");
    let why = lab.haflux.refuses(&REBUILD);
    assert!(
        why.contains("401") && why.contains("Nothing was begun"),
        "{why}"
    );
    assert!(!why.contains("begun again"), "{why}");
    assert_eq!(status::replica(&lab.influx_url(), 1)["status"], "fresh");
}
