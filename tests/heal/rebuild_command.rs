//! `haflux replica rebuild`: a node without data holds all that the others hold after one command, while clients write and read, and
//! whatever is killed meanwhile. On real nodes; what they hold is compared by the tests' own means.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support;
use crate::support::lab::relay_keys;
use crate::support::wait::SOON;
use crate::support::{
    Held, Influxd, Lab, Options, Tmux, beside, same_points, status, try_write_with, wait_until,
    wait_until_level,
};

const DATABASES: [&str; 3] = ["telegraf", "with \"odd\" name", "no autogen"];

/// The second node is filled.
const REBUILD: [&str; 4] = ["replica", "rebuild", "influxlab2", "--yes"];

/// Day by day, from 2001-09-09 on.
const DAY: i64 = 86_400;
const DAYS: i64 = 30;
const BEGIN: i64 = 1_000_000_000;

fn write_seconds(url: &str, parameters: &[(&str, &str)], lines: &str) -> u16 {
    try_write_with(url, &[parameters, &[("precision", "s")]].concat(), lines)
}

/// Nodes, one of them without anything, that haflux has set aside; `keys`: more of the relay's; `bulk`: as [`fill`] takes it.
fn lab_with_an_empty_node(keys: &str, bulk: usize) -> Lab {
    let keys = format!("rewind = \"1s\"\nretry = {{ max = \"500ms\" }}\n{keys}");
    let mut lab = Lab::start_with(Options::default(), relay_keys(&keys));
    fill(&lab, bulk);
    lose_the_disk(&mut lab.node2);
    wait_until("the second replica to be diverged", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "diverged"
    });
    lab
}

/// The same, and a rebuild that takes some seconds.
fn slow_lab() -> Lab {
    lab_with_an_empty_node("heal = { max_rate = \"64KiB\" }", 15_000)
}

fn lose_the_disk(node: &mut Influxd) {
    node.kill9();
    node.wipe();
    node.restart();
}

/// Points of all types, with odd names, in several policies and shard groups, and all else that a node has. `bulk`: bytes of a text in
/// each shard group of one policy.
fn fill(lab: &Lab, bulk: usize) {
    let url = lab.influx_url();
    for database in DATABASES {
        let name = database.replace('"', "\\\"");
        lab.carry_out("", &format!("CREATE DATABASE \"{name}\""));
    }
    for statement in [
        "CREATE RETENTION POLICY daily ON telegraf DURATION INF REPLICATION 1 SHARD DURATION 1d",
        "CREATE RETENTION POLICY \"odd \\\"policy\" ON telegraf DURATION 5200w REPLICATION 2 DEFAULT",
        "CREATE RETENTION POLICY only ON \"no autogen\" DURATION INF REPLICATION 1 SHARD DURATION 1d DEFAULT",
        "DROP RETENTION POLICY autogen ON \"no autogen\"",
        "CREATE USER ada WITH PASSWORD 'secret'",
        "CREATE USER root WITH PASSWORD 'other' WITH ALL PRIVILEGES",
        "CREATE USER carl WITH PASSWORD 'unknown'",
        "GRANT READ ON telegraf TO ada",
        "GRANT ALL ON \"no autogen\" TO ada",
        "CREATE CONTINUOUS QUERY idle ON telegraf BEGIN SELECT mean(v) AS v INTO never FROM nothing GROUP BY time(1h) END",
    ] {
        lab.carry_out("", statement);
    }
    for day in 0..DAYS {
        let time = BEGIN + day * DAY;
        let number = day * 1_000_000_007;
        // A field of one type in one shard, and of another in the next.
        let v = match day % 3 {
            0 => format!("{number}.5"),
            1 => format!("{number}i"),
            _ => "\"te\\\"xt\\\\ \"".to_owned(),
        };
        let lines = format!(
            "m,host=a\\ b,ünï=\"x\\,y v={v},least=-9223372036854775808i,tiny=5e-324,f={number}.25 {time}\n\
             m,host=c is=true,text=\"line\nend, \\\"quoted\\\"\" {time}\n\
             odd\\ name\\,\"with\"=equal,select=where time\\ s={day}i,host=1 {time}\n\
             only{} v={day} {time}\n",
            day % 4
        );
        for parameters in [
            &[("db", DATABASES[0]), ("rp", "daily")][..],
            &[("db", DATABASES[2])],
        ] {
            assert_eq!(write_seconds(&url, parameters, &lines), 204, "{lines}");
        }
        let lines = format!("bulk text=\"{}\" {time}", "x".repeat(bulk));
        assert_eq!(write_seconds(&url, &[("db", DATABASES[2])], &lines), 204);
        let lines = weekly(day);
        for parameters in [&[("db", DATABASES[1])][..], &[("db", DATABASES[0])]] {
            assert_eq!(write_seconds(&url, parameters, &lines), 204);
        }
    }
    // Its shards stay as they are, each with a type of its own for `v`.
    lab.carry_out(
        "",
        "ALTER RETENTION POLICY daily ON telegraf SHARD DURATION 1w",
    );
    wait_until_level(lab, SOON).expect("both have it");
}

/// What [`fill`] writes last on each of its days.
fn weekly(day: i64) -> String {
    let time = BEGIN + day * DAY;
    let number = day * 1_000_000_007;
    format!(
        "weekly,day={} v={number}i {time}\nweekly w=1 {time}",
        day % 7
    )
}

/// Clients that write and read through haflux while `steps` go on. Returns how many requests failed, and how many did not.
fn beside_clients(lab: &mut Lab, steps: impl FnOnce(&mut Lab)) -> (u64, u64) {
    let url = lab.influx_url();
    let (failed, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = |client: usize, over: &AtomicBool| {
        for number in 1_u64.. {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let is_done = if client == 0 {
                let lines = format!(
                    "during v={number} {number}\nrising,place={} v={number}i 1\nm,host=c v={number} {}",
                    number % 8,
                    BEGIN - 40 * DAY
                );
                let database = DATABASES[usize::from(number % 3 == 0)];
                write_seconds(&url, &[("db", database)], &lines) == 204
            } else {
                let query = "SELECT count(w) FROM weekly WHERE day = ''";
                let query = support::query_url(&url, &[("db", DATABASES[0]), ("q", query)]);
                let answer = support::http::try_request("GET", &query, &[], b"");
                answer.is_ok_and(|answer| answer.status == 200 && answer.text().contains("30"))
            };
            let counter = if is_done { &done } else { &failed };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    };
    beside(2, work, || steps(lab));
    (failed.into_inner(), done.into_inner())
}

/// Both nodes must hold the same.
#[track_caller]
fn assert_equal(lab: &Lab, left: &Influxd, right: &Influxd) {
    wait_until_level(lab, SOON).expect("all have everything");
    for database in DATABASES {
        assert_eq!(same_points(left, right, database), [""; 0], "{database}");
    }
    for statement in ["SHOW DATABASES", "SHOW CONTINUOUS QUERIES"] {
        assert_eq!(listed(left, statement), listed(right, statement));
    }
    let relay = status::relay(&lab.influx_url());
    assert_eq!(relay["dead_letters"], 0, "{relay:#}");
}

/// What a node lists, which each lists in its own order.
fn listed(node: &Influxd, statement: &str) -> BTreeSet<String> {
    let answer = node.query("", statement);
    let series = answer["results"][0]["series"].as_array();
    let series = series.into_iter().flatten();
    let rows = series.filter_map(|series| Some((&series["name"], series["values"].as_array()?)));
    let rows = rows.flat_map(|(name, rows)| rows.iter().map(move |row| format!("{name} {row}")));
    rows.collect()
}

/// The file that says how far a rebuild has come.
fn is_unfinished(lab: &Lab) -> bool {
    let folder = lab.haflux.folder().join("data/influx_relay");
    folder.join("rebuild.json").exists()
}

/// How many slices are noted as copied.
fn copied_slices(lab: &Lab) -> usize {
    let folder = lab.haflux.folder().join("data/influx_relay");
    let text = fs::read_to_string(folder.join("rebuild.slices")).unwrap_or_default();
    text.lines().count()
}

#[test]
fn one_command_fills_an_empty_node_while_clients_write_and_read() {
    let mut lab = lab_with_an_empty_node("", 1);
    let passwords = lab.folder().join("passwords");
    fs::write(&passwords, "ada:secret\nroot:other\n").expect("a file");
    let passwords = passwords.display().to_string();
    let why = lab.haflux.refuses(&["replica", "rebuild", "influxlab2"]);
    assert!(why.contains("nothing is done without a yes"), "{why}");
    let (failed, done) = beside_clients(&mut lab, |lab| {
        let users = ["--users", &passwords];
        let said = lab.haflux.order(&[&REBUILD[..], &users].concat());
        assert!(said.contains("influxlab2 is rebuilt, "), "{said}");
        assert!(said.contains("carl"), "{said}");
    });
    assert!(failed == 0 && done > 20, "{failed} of {done}");
    assert!(!is_unfinished(&lab));
    assert_equal(&lab, &lab.node1, &lab.node2);
    for statement in ["SHOW GRANTS FOR ada", "SHOW GRANTS FOR root"] {
        assert_eq!(listed(&lab.node1, statement), listed(&lab.node2, statement));
    }
    let users = lab.node2.query("", "SHOW USERS").to_string();
    assert!(
        users.contains("[\"root\",true]") && users.contains("[\"ada\",false]"),
        "{users}"
    );
    assert!(!users.contains("carl"), "{users}");
}

#[test]
fn a_rebuild_goes_on_when_haflux_and_the_nodes_were_killed() {
    let mut lab = slow_lab();
    let file = lab.haflux.file().display().to_string();
    let (_, done) = beside_clients(&mut lab, |lab| {
        let begin = || support::Haflux::command(&[&REBUILD[..], &["--config", &file]].concat());
        std::thread::scope(|scope| {
            let command = scope.spawn(begin);
            wait_until("some slices to be copied", SOON, || copied_slices(lab) > 5);
            lab.haflux.kill9();
            let output = command.join().expect("it ends");
            assert!(!output.status.success(), "{output:?}");
        });
        assert!(is_unfinished(lab));
        let before = copied_slices(lab);
        lab.haflux.restart();
        wait_until("it to go on", SOON, || copied_slices(lab) > before + 3);
        for node in [&mut lab.node1, &mut lab.node2] {
            node.kill9();
            node.restart();
        }
        wait_until("it to come to its end", Duration::from_secs(120), || {
            !is_unfinished(lab)
        });
        let went_on = lab.haflux.log().lines().any(|line| {
            let number = line.split_once(" slices were copied by a run before");
            let number = number.and_then(|(text, _)| text.rsplit(' ').next()?.parse().ok());
            number.is_some_and(|number: usize| number >= before)
        });
        assert!(went_on, "{before} slices");
    });
    assert!(done > 20, "{done}");
    assert_equal(&lab, &lab.node1, &lab.node2);
}

/// What was dropped and made again behind the pin may not be in the copy: it comes with the journal.
#[test]
fn a_measurement_that_is_dropped_and_made_again_meanwhile_stops_no_rebuild() {
    let lab = slow_lab();
    let parameters = [("db", DATABASES[0]), ("rp", "daily")];
    std::thread::scope(|scope| {
        let command = scope.spawn(|| lab.haflux.told(&REBUILD));
        wait_until("the journal to be pinned", SOON, || {
            let standing = lab.haflux.order(&["replica", "status"]);
            standing.contains("rebuilding")
        });
        lab.carry_out(DATABASES[0], "DROP MEASUREMENT only3");
        // Listed without it, and made again when the list is past.
        wait_until("some slices to be copied", SOON, || copied_slices(&lab) > 3);
        let lines = format!("only3 v=1 {BEGIN}");
        assert_eq!(write_seconds(&lab.influx_url(), &parameters, &lines), 204);
        let output = command.join().expect("it ends");
        assert!(output.status.success(), "{output:?}");
    });
    assert_equal(&lab, &lab.node1, &lab.node2);
}

/// The same for a whole database, with the newest point that the target had when its rebuild began: none of it is in the copy.
#[test]
fn a_database_that_is_dropped_and_made_again_meanwhile_stops_no_rebuild() {
    let mut lab = slow_lab();
    // What may be under way to the target is waited for, after the journal is pinned and before the source is asked what it has.
    lab.haflux.edit(&[("rewind = \"1s\"", "rewind = \"6s\"")]);
    lab.haflux.restart();
    std::thread::scope(|scope| {
        let command = scope.spawn(|| lab.haflux.told(&REBUILD));
        wait_until("the journal to be pinned", SOON, || {
            let standing = lab.haflux.order(&["replica", "status"]);
            standing.contains("rebuilding")
        });
        lab.carry_out("", "DROP DATABASE telegraf");
        assert_eq!(copied_slices(&lab), 0, "it was dropped too late");
        wait_until("some slices to be copied", SOON, || copied_slices(&lab) > 3);
        lab.carry_out("", "CREATE DATABASE telegraf");
        let parameters = [("db", "telegraf")];
        assert_eq!(
            write_seconds(&lab.influx_url(), &parameters, &weekly(DAYS - 1)),
            204
        );
        let output = command.join().expect("it ends");
        assert!(output.status.success(), "{output:?}");
    });
    assert_equal(&lab, &lab.node1, &lab.node2);
}

/// A node that holds a part of what is copied would serve it.
#[test]
fn nobody_takes_a_node_back_or_begins_by_hand_while_haflux_copies_to_it() {
    let lab = slow_lab();
    let problem = || {
        let page = status::page(&lab.influx_url());
        let problems = page["problems"].as_array().cloned().unwrap_or_default();
        let of_target =
            |problem: &&serde_json::Value| problem["what"] == "Replica influxlab2 is diverged";
        problems.iter().find(of_target).map(ToString::to_string)
    };
    let diverged = problem().expect("it is diverged");
    assert!(
        diverged.contains("haflux replica rebuild influxlab2") && !diverged.contains("readmit"),
        "{diverged}"
    );
    std::thread::scope(|scope| {
        let command = scope.spawn(|| lab.haflux.told(&REBUILD));
        wait_until("some slices to be copied", SOON, || copied_slices(&lab) > 3);
        for order in [
            &["rebuild-begin", "influxlab2"][..],
            &["readmit", "influxlab2"],
            &["readmit", "influxlab2", "--as-it-is"],
        ] {
            let why = lab.haflux.refuses(&[&["replica"], order].concat());
            let reason =
                "a rebuild of influxlab2 is under way: haflux replica rebuild --cancel first";
            assert!(why.contains(reason), "{order:?}: {why}");
        }
        let problem = problem().expect("it is being rebuilt");
        assert!(
            problem.contains("haflux replica rebuild --follow") && !problem.contains("readmit"),
            "{problem}"
        );
        let said = lab.haflux.order(&["replica", "rebuild", "--cancel"]);
        assert!(said.contains("haflux replica status"), "{said}");
        command.join().expect("it ends");
    });
    for order in ["rebuild-begin", "readmit"] {
        let why = lab.haflux.told(&["replica", order, "influxlab2"]);
        assert!(!format!("{why:?}").contains("--cancel"), "{why:?}");
    }
}

#[test]
fn a_rebuild_that_is_cancelled_goes_on_when_it_is_begun_again() {
    let mut lab = slow_lab();
    std::thread::scope(|scope| {
        let command = scope.spawn(|| lab.haflux.told(&REBUILD));
        wait_until("some slices to be copied", SOON, || copied_slices(&lab) > 3);
        let why = lab.haflux.refuses(&REBUILD);
        assert!(why.contains("a rebuild is under way"), "{why}");
        lab.haflux.order(&["replica", "rebuild", "--cancel"]);
        let output = command.join().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("it was cancelled"), "{said}");
    });
    let before = copied_slices(&lab);
    lab.haflux
        .edit(&[("max_rate = \"64KiB\"", "max_rate = \"1GiB\"")]);
    lab.haflux.restart();
    let standing = lab.haflux.order(&["replica", "status"]);
    assert!(standing.contains("rebuilding"), "{standing}");
    let why = lab.haflux.refuses(&["replica", "readmit", "influxlab2"]);
    assert!(why.contains("it may hold a part only"), "{why}");
    assert_eq!(copied_slices(&lab), before, "nobody has begun it again");
    for order in ["--cancel", "--follow"] {
        lab.haflux.refuses(&["replica", "rebuild", order]);
    }
    let said = lab.haflux.order(&REBUILD);
    assert!(
        said.contains(" slices were copied by a run before"),
        "{said}"
    );
    assert_equal(&lab, &lab.node1, &lab.node2);
}

#[test]
fn a_third_and_a_fourth_node_come_in_while_clients_write_and_read() {
    let mut lab = Lab::start_with(
        Options::default(),
        relay_keys("rewind = \"1s\"\nretry = { max = \"500ms\" }"),
    );
    fill(&lab, 1);
    for number in [3, 4] {
        let folder = lab.folder().join(format!("influxlab{number}"));
        lab.further.push(Influxd::start(&folder));
    }
    let url = lab.influx_url();
    let folder = lab.folder().to_owned();
    let held = Held::start(&mut lab.haflux, &url, &folder);
    let (failed, done) = beside_clients(&mut lab, |lab| {
        let mut last = line(2, &lab.node2);
        for (number, node) in (3..).zip(&lab.further) {
            let more = format!("{last}{}", line(number, node));
            lab.haflux.edit(&[(&last, &more)]);
            held.upgrade();
            let name = format!("influxlab{number}");
            lab.haflux.order(&["replica", "rebuild", &name, "--yes"]);
            last = line(number, node);
        }
    });
    assert!(failed == 0 && done > 20, "{failed} of {done}");
    assert_equal(&lab, &lab.node1, &lab.node2);
    for node in &lab.further {
        assert_equal(&lab, &lab.node1, node);
    }
    held.end();
}

/// The line of a server in the configuration.
fn line(number: usize, node: &Influxd) -> String {
    let address = node.address();
    format!("  {{ name = \"influxlab{number}\", address = \"{address}\" }},\n")
}

#[test]
fn a_server_that_is_taken_out_is_forgotten_and_no_old_friend_when_it_comes_back() {
    let keys = "rewind = \"1s\"\nretry = { max = \"500ms\" }";
    let mut lab = Lab::start_with(Options::default(), relay_keys(keys));
    lab.carry_out("", "CREATE DATABASE telegraf");
    let write =
        |lab: &Lab, lines: &str| write_seconds(&lab.influx_url(), &[("db", "telegraf")], lines);
    assert_eq!(write(&lab, "known v=1 1"), 204);
    wait_until_level(&lab, SOON).expect("both have it");
    assert_eq!(lab.node2.write("telegraf", "m v=\"text\" 1").status, 204);
    assert_eq!(write(&lab, "m v=1 1"), 204);
    let open_letters = |lab: &Lab| status::relay(&lab.influx_url())["open_dead_letters"].clone();
    wait_until("a dead letter", SOON, || open_letters(&lab) == 1);

    let second = line(2, &lab.node2);
    lab.haflux.edit(&[(&second, "")]);
    lab.haflux.restart();
    for once in [
        "influxlab2 is no replica any more; its place in the journal is given up",
        "dead letters of influxlab2, which is no replica any more: 1; if it does not come back: haflux dead-letters drop all --replica influxlab2 --yes",
    ] {
        lab.haflux.says(once);
        assert_eq!(lab.haflux.log().matches(once).count(), 1, "{once}");
    }
    let compared = lab.haflux.told(&["compare"]);
    let said = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert_eq!(compared.status.code(), Some(2), "{compared:?}");
    assert!(
        said.contains("has one node, influxlab: there is no other"),
        "{said}"
    );
    assert_eq!(write(&lab, "m v=2 2"), 204);
    let inspected = || lab.haflux.order(&["journal", "inspect"]);
    wait_until("nothing to be kept for it", SOON, || {
        !inspected().contains("influxlab2")
    });

    // Meanwhile it went another way.
    assert_eq!(lab.node2.write("telegraf", "foreign v=1 1").status, 204);
    let first = format!("address = \"{}\" }},\n", lab.node1.address());
    lab.haflux.edit(&[(&first, &format!("{first}{second}"))]);
    lab.haflux.restart();
    wait_until("it to be diverged", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "diverged"
    });
    assert_eq!(write(&lab, "m v=3 3"), 204);
    lab.haflux.order(&REBUILD);
    wait_until_level(&lab, SOON).expect("both have it");
    assert_eq!(same_points(&lab.node1, &lab.node2, "telegraf"), [""; 0]);
    assert_eq!(lab.node2.count("telegraf", "m", "v"), 3);
    // It holds what it had refused.
    wait_until("the letter to be closed", SOON, || open_letters(&lab) == 0);
}

#[test]
fn where_nodes_know_users_the_empty_one_gets_its_administrator_and_those_whose_passwords_are_given()
{
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    fs::write(&password, "all\n").expect("a file");
    let heal = format!(
        "rewind = \"1s\"\nheal = {{ username = \"root\", password_file = \"{}\" }}",
        password.display()
    );
    let options = Options::default().auth().asked_as("root", "all");
    let mut lab = Lab::start_with(options, relay_keys(&heal));
    let root = Some(("root", "all"));
    let carry_out = |lab: &Lab, statement: &str| {
        let parameters = [("q", statement)];
        support::carry_out(&lab.influx_url(), &support::parameters(root, &parameters));
    };
    carry_out(
        &lab,
        "CREATE USER root WITH PASSWORD 'all' WITH ALL PRIVILEGES",
    );
    carry_out(&lab, "CREATE DATABASE telegraf");
    for user in ["writer", "reader"] {
        carry_out(
            &lab,
            &format!("CREATE USER {user} WITH PASSWORD 'pass:word'"),
        );
        carry_out(&lab, &format!("GRANT ALL ON telegraf TO {user}"));
    }
    let writer = support::parameters(Some(("writer", "pass:word")), &[("db", "telegraf")]);
    let write = |lab: &Lab, lines: &str| write_seconds(&lab.influx_url(), &writer, lines);
    assert_eq!(write(&lab, "m v=1 1\nm v=2 2"), 204);
    wait_until_level(&lab, SOON).expect("both have it");
    lose_the_disk(&mut lab.node2);
    wait_until("the second replica to be found out", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] != "fresh"
    });
    let why = lab.haflux.refuses(&REBUILD);
    // Who writes would be refused there.
    assert!(
        why.contains("reader, writer") && why.contains("401"),
        "{why}"
    );
    assert_eq!(write(&lab, "m v=3 3"), 204);
    let passwords = folder.path().join("passwords");
    fs::write(&passwords, "writer:pass:word\n").expect("a file");
    let passwords = passwords.display().to_string();
    let said = lab
        .haflux
        .order(&[&REBUILD[..], &["--users", &passwords]].concat());
    assert!(
        said.contains("It goes on where it was: step readmit"),
        "{said}"
    );
    assert!(
        said.contains("does not have") && said.contains(": reader."),
        "{said}"
    );
    assert_eq!(write(&lab, "m v=4 4"), 204);
    wait_until_level(&lab, SOON).expect("both have it");
    assert_eq!(same_points(&lab.node1, &lab.node2, "telegraf"), [""; 0]);
    assert_eq!(lab.node2.count("telegraf", "m", "v"), 4);
    // At a terminal a person is asked for those that are missing.
    carry_out(&lab, "CREATE USER guest WITH PASSWORD 'any'");
    wait_until_level(&lab, SOON).expect("both have it");
    lab.node2.query("", "DROP USER guest");
    let tmux = Tmux::start(folder.path());
    let before = tmux.settings(&folder.path().join("before"));
    let command = format!(
        "{} replica rebuild influxlab2 --config {}; echo \"ended=$?\"",
        env!("CARGO_BIN_EXE_haflux"),
        lab.haflux.file().display()
    );
    let begin = || {
        tmux.types("clear");
        tmux.presses(&["Enter"]);
        tmux.waits("empty screen", |screen| !screen.contains("ended"));
        tmux.types(&command);
        tmux.presses(&["Enter"]);
        tmux.sees("Go on? [y/N]");
        tmux.types("y");
        tmux.presses(&["Enter"]);
        tmux.sees("Password of guest:");
    };
    begin();
    tmux.presses(&["C-c"]);
    tmux.sees("haflux: nothing was done");
    tmux.sees("ended=1");
    assert_eq!(tmux.settings(&folder.path().join("after")), before);
    begin();
    tmux.presses(&["Enter"]);
    tmux.sees("guest is left out.");
    tmux.sees("Password of reader:");
    tmux.types("se:cret");
    tmux.presses(&["Enter"]);
    tmux.sees("influxlab2 is rebuilt");
    tmux.sees("ended=0");
    let screen = tmux.screen();
    assert!(!screen.contains("se:cret"), "{screen}");
    assert!(
        screen.contains("does not have") && screen.contains(": guest."),
        "{screen}"
    );
    let reader = support::parameters(Some(("reader", "se:cret")), &[("db", "telegraf")]);
    assert_eq!(write_seconds(&lab.node2.url(), &reader, "m v=5 4"), 204);
    let grants = listed(&lab.node2, "SHOW GRANTS FOR writer");
    assert_eq!(grants, listed(&lab.node1, "SHOW GRANTS FOR writer"));
}

#[test]
fn what_cannot_be_rebuilt_is_left_alone() {
    let lab = lab_with_an_empty_node("", 1);
    let before = lab.node1.query("", "SHOW DATABASES");
    for (order, reason) in [
        (&["influxlab3"][..], "there is no node influxlab3"),
        (&["influxlab"], "no other node is fresh"),
        (
            &["influxlab", "--from", "influxlab2"],
            "influxlab2 is not fresh",
        ),
        (
            &["influxlab2", "--from", "influxlab2"],
            "cannot be copied to itself",
        ),
    ] {
        let rebuild = ["replica", "rebuild", "--yes"];
        let why = lab.haflux.refuses(&[&rebuild[..], order].concat());
        assert!(why.contains(reason), "{why}");
    }
    assert_eq!(lab.node1.query("", "SHOW DATABASES"), before);
    assert_eq!(status::replica(&lab.influx_url(), 0)["status"], "fresh");
    assert!(!is_unfinished(&lab));
}
