//! The configuration is read again while clients work: none of them notices, and what it says holds from then on.
//!
//! For a longer run under load:
//!
//! ```text
//! HAFLUX_RELOAD_REQUESTS=1000000 cargo test --release --test operation under_load -- --nocapture
//! ```

use std::collections::BTreeSet;
use std::io::BufReader;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::lab::replace;
use crate::support::wait::SOON;
use crate::support::{
    Behaviour, Crowd, Haflux, Lab, Length, StandIn, http, same_points, status, wait_until,
};

fn hang_up(haflux: &mut Haflux) {
    signal(haflux, "-HUP");
}

fn signal(haflux: &mut Haflux, name: &str) {
    let id = haflux.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status();
    assert!(sent.expect("kill").success());
}

/// One GET on a connection that stays open.
fn get_on(connection: &mut BufReader<TcpStream>, target: &str) -> http::Answer {
    use std::io::Write;
    let request = format!("GET {target} HTTP/1.1\r\nHost: here\r\n\r\n");
    let sent = connection.get_mut().write_all(request.as_bytes());
    sent.expect("the connection is open");
    let (answer, stays) = http::read_answer(connection, false).expect("an answer");
    assert!(stays, "the connection stays open");
    answer
}

fn connect(address: &str) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(address).expect("a connection"))
}

#[test]
fn no_request_fails_while_the_configuration_changes_under_load() {
    let mut lab = Lab::start();
    lab.create_database("telegraf");
    let url = lab.influx_url();
    let first = std::fs::read_to_string(lab.haflux.file()).expect("the file");
    let second = replace(
        first.clone(),
        &[
            (
                "balance = \"roundrobin\"",
                "balance = \"leastconn\"\nread_wait = \"2s\"",
            ),
            ("interval = \"2s\"", "interval = \"100ms\""),
            ("path_beg = \"/write\"", "path = [\"/write\", \"/write/\"]"),
            (
                "[server]",
                "[server]\nlog_level = \"debug\"\nstop_timeout = \"20s\"",
            ),
            (
                "name = \"influx_front\"",
                "name = \"influx_front\"\nmaxconn = 1000\ntimeout = { client = \"40s\" }",
            ),
            (
                "name = \"grafana_back\"",
                "name = \"more\"\nservers = [{ name = \"m\", address = \"127.0.0.1:1\" }]\n[[backend]]\nname = \"grafana_back\"",
            ),
        ],
    );
    let length = Length::from_environment("HAFLUX_RELOAD_REQUESTS", 1500);
    let pause = Duration::from_millis(if length.is_asked { 1000 } else { 50 });
    let slowest = Duration::from_secs(30) + Duration::from_millis(3 * length.requests);
    let begun = Instant::now();
    let mut reloads = 0;
    let crowd = Crowd::work_beside(&url, &length, |crowd| {
        let mut kept = connect(&lab.haflux.address("influx_front"));
        while crowd.answered() < length.requests || reloads < 10 {
            let text = if reloads % 2 == 0 { &second } else { &first };
            std::fs::write(lab.haflux.file(), text).expect("the file");
            let said = lab.haflux.order(&["reload"]);
            assert!(said.contains("taken"), "{said}");
            reloads += 1;
            assert_eq!(get_on(&mut kept, "/query?q=SHOW+DATABASES").status, 200);
            std::thread::sleep(pause);
            let requests = crowd.answered();
            assert!(begun.elapsed() < slowest, "{requests} requests");
        }
    });
    println!(
        "{} requests over {reloads} reloads in {:?}, none failed; the longest took {:?}",
        crowd.answered(),
        begun.elapsed(),
        crowd.longest()
    );
    let page = status::page(&url);
    let servers = &page["backends"][0]["servers"];
    for server in servers.as_array().expect("servers") {
        assert_eq!(server["downs"], 0, "{server}");
        assert_eq!(server["status"], "up", "{server}");
    }
    let count = page["relays"][0]["acknowledged"].as_u64();
    assert_eq!(count, Some(1 + crowd.acknowledged()), "counters go on");
    let log = lab.haflux.log();
    assert!(
        !log.contains("server influx_back/"),
        "a kept server changed its state"
    );
    wait_until("both nodes to be equal", SOON, || {
        same_points(&lab.node1, &lab.node2, "telegraf").is_empty()
    });
    assert!(lab.haflux.terminate().success());
}

#[test]
fn a_file_that_cannot_be_taken_changes_nothing_and_says_why() {
    let mut lab = Lab::start();
    let right = std::fs::read_to_string(lab.haflux.file()).expect("the file");
    let ping = format!("{}/ping", lab.influx_url());
    let mut kept = connect(&lab.haflux.address("influx_front"));
    assert_eq!(get_on(&mut kept, "/query?q=SHOW+DATABASES").status, 200);

    lab.haflux.edit(&[(
        "default_backend = \"influx_back\"",
        "default_backend = \"nowhere\"",
    )]);
    lab.haflux
        .edit(&[("balance = \"roundrobin\"", "balance = \"robin\"")]);
    let said = lab.haflux.refuses(&["reload"]);
    for expected in [
        "no backend or relay is named \"nowhere\"",
        "\"robin\"",
        "2 errors",
        "nothing was changed",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    hang_up(&mut lab.haflux);
    wait_until("the log to say why", SOON, || {
        let log = lab.haflux.log();
        log.contains("is named \"nowhere\"") && log.contains("haflux goes on as it was")
    });
    assert_eq!(http::get(&ping).status, 204);

    // Of a file with a change that needs a restart, nothing is taken.
    std::fs::write(lab.haflux.file(), &right).expect("the file");
    lab.haflux.edit(&[(
        "[[relay]]\nname = \"influx_relay\"",
        "[[relay]]\nack = \"all\"\nname = \"influx_relay\"",
    )]);
    lab.haflux.edit(&[(
        "name = \"influx_front\"",
        "name = \"influx_front\"\nmaxconn_per_source = 1",
    )]);
    for arguments in [&["reload", "--dry-run"][..], &["reload"]] {
        let said = lab.haflux.refuses(arguments);
        for expected in [
            "frontend \"influx_front\", maxconn_per_source: 500 -> 1\n",
            "relay \"influx_relay\", ack: \"any\" -> \"all\" (needs a restart)",
            "nothing was changed",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
    let _second = connect(&lab.haflux.address("influx_front"));
    assert_eq!(
        http::get(&ping).status,
        204,
        "maxconn_per_source is what it was"
    );

    std::fs::write(lab.haflux.file(), &right).expect("the file");
    lab.haflux
        .edit(&[("balance = \"roundrobin\"", "balance = \"random\"")]);
    let expected = "backend \"influx_back\", balance: \"roundrobin\" -> \"random\"\n";
    let said = lab.haflux.order(&["reload", "--dry-run"]);
    assert_eq!(said, format!("{expected}a reload takes all of it\n"));
    assert_eq!(
        status::page(&lab.influx_url())["backends"][0]["balance"],
        "roundrobin"
    );
    assert_eq!(lab.haflux.order(&["reload"]), format!("{expected}taken\n"));
    assert_eq!(
        status::page(&lab.influx_url())["backends"][0]["balance"],
        "random"
    );
    let said = lab.haflux.order(&["reload"]);
    assert_eq!(said, "the file says what haflux runs by already\n");
    assert_eq!(
        get_on(&mut kept, "/query?q=SHOW+DATABASES").status,
        200,
        "the connection of the beginning"
    );
}

/// A frontend before a pool of plain servers, with a relay beside it: that has a control socket.
fn plain(servers: &str) -> String {
    format!(
        r#"
[server]
data_dir = "FOLDER/data"
[[frontend]]
name = "front"
bind = "127.0.0.1:PORT(front)"
stats_uri = "/haproxy?stats"
default_backend = "web"
[[frontend]]
name = "relay_front"
bind = "127.0.0.1:PORT(relay)"
default_backend = "relay"
[[relay]]
name = "relay"
replicate_to = "nodes"
[[backend]]
name = "nodes"
check = false
servers = [{{ name = "node", address = "127.0.0.1:1" }}]
[[backend]]
name = "web"
check = {{ http = "/health", interval = "100ms", rise = 2, fall = 2 }}
retries = 0
servers = [{servers}]
"#
    )
}

fn server(name: &str, stand_in: &StandIn) -> String {
    format!(
        "{{ name = \"{name}\", address = \"{}\" }}",
        stand_in.address()
    )
}

fn asked(stand_in: &StandIn) -> usize {
    stand_in.requests_for("/health").len()
}

fn named(name: &'static str) -> StandIn {
    StandIn::start(move |_| Behaviour::status(200, name))
}

#[test]
fn what_scripts_send_to_haproxy_does_what_it_does_there() {
    let node = named("a");
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = Haflux::start(folder.path(), &plain(&server("a", &node)));
    haflux.edit(&[("retries = 0", "retries = 1")]);
    signal(&mut haflux, "-USR2");
    haflux.says("reload of");
    signal(&mut haflux, "-USR1");
    assert_eq!(haflux.wait().code(), Some(0), "it stops gracefully");
}

#[test]
fn servers_come_and_go_and_those_that_stay_keep_their_state() {
    let (a, b, c) = (named("a"), named("b"), named("c"));
    let folder = tempfile::tempdir().expect("a folder");
    let (in_a, in_b, in_c) = (server("a", &a), server("b", &b), server("c", &c));
    let mut haflux = Haflux::start(folder.path(), &plain(&format!("{in_a}, {in_b}")));
    let url = haflux.url("front");
    let bodies = |path: &str| -> BTreeSet<String> {
        let asked = (0..8).map(|_| http::get(&format!("{url}{path}")));
        asked.map(|answer| answer.text()).collect()
    };
    let set = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let up = |name: &str| {
        let page = status::page(&url);
        let servers = page["backends"][1]["servers"]
            .as_array()
            .expect("servers")
            .clone();
        servers
            .into_iter()
            .find(|server| server["name"] == name)
            .expect("the server")
    };
    assert_eq!(bodies("/"), set(&["a", "b"]));
    // B falls, and stays down over a reload that changes its pool.
    b.behave(|_| Behaviour::status(500, "b"));
    wait_until("b to be down", SOON, || up("b")["status"] == "down");
    let requests = up("a")["traffic"]["requests"].as_u64();
    haflux.edit(&[
        (&in_a, &format!("{in_c}, {in_a}")),
        ("rise = 2", "rise = 3"),
    ]);
    hang_up(&mut haflux);
    wait_until("c to be asked", SOON, || bodies("/").contains("c"));
    assert_eq!(bodies("/"), set(&["a", "c"]), "b is still down");
    let since = up("b");
    assert_eq!(
        (since["status"].as_str(), since["downs"].as_u64()),
        (Some("down"), Some(1))
    );
    assert!(
        up("a")["traffic"]["requests"].as_u64() > requests,
        "it counts on"
    );
    b.behave(|_| Behaviour::status(200, "b"));
    wait_until("b to be up again", SOON, || up("b")["status"] == "up");
    assert_eq!(bodies("/"), set(&["a", "b", "c"]));
    // A leaves: it gets no request and no check any more.
    haflux.edit(&[(&format!("{in_a}, "), "")]);
    haflux.order(&["reload"]);
    assert_eq!(bodies("/"), set(&["b", "c"]));
    let (before, others) = (asked(&a), asked(&c));
    wait_until("checks of another one", SOON, || asked(&c) > others + 5);
    assert!(asked(&a) <= before + 1, "one may have been under way");
    // Rules and backends, on a connection that was there before.
    let mut kept = connect(&haflux.address("front"));
    assert_ne!(get_on(&mut kept, "/a").text(), "a");
    haflux.edit(&[
            (
                "stats_uri = \"/haproxy?stats\"",
                "stats_uri = \"/status\"\nuse_backend = [{ backend = \"only\", if = { path = \"/a\" } }]",
            ),
            (
                "[[backend]]\nname = \"web\"",
                &format!(
                    "[[backend]]\nname = \"only\"\nservers = [{in_a}]\n[[backend]]\nname = \"web\""
                ),
            ),
        ],
    );
    haflux.order(&["reload"]);
    assert_eq!(get_on(&mut kept, "/a").text(), "a");
    assert_ne!(get_on(&mut kept, "/b").text(), "a");
    assert_eq!(
        http::get(&format!("{url}/status;json")).json()["backends"][1]["name"],
        "only"
    );
}

/// A server goes on being asked where it was only as long as the configuration names that place.
#[test]
fn a_server_does_not_move_to_a_name_that_nobody_answers_for() {
    let (a, b) = (named("a"), named("b"));
    let folder = tempfile::tempdir().expect("a folder");
    let in_a = server("a", &a);
    let mut haflux = Haflux::start(folder.path(), &plain(&in_a));
    let url = haflux.url("front");
    let servers = || status::page(&url)["backends"][1]["servers"].clone();
    let lost = "{ name = \"a\", address = \"a.nowhere.invalid:8086\" }";
    haflux.edit(&[(&in_a, lost)]);
    for arguments in [&["reload", "--dry-run"][..], &["reload"]] {
        let said = haflux.refuses(arguments);
        for expected in [
            "backend \"web\", server \"a\", address: \"a.nowhere.invalid:8086\" cannot be resolved",
            "nothing was changed",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
    assert_eq!(servers()[0]["address"], a.address());
    assert_eq!(http::get(&format!("{url}/")).text(), "a");

    // One that is new is down, as at a start.
    let new = "{ name = \"new\", address = \"new.nowhere.invalid:8086\" }";
    haflux.edit(&[(lost, &format!("{in_a}, {new}"))]);
    haflux.order(&["reload"]);
    assert_eq!(servers()[1]["status"], "down");
    assert_eq!(http::get(&format!("{url}/")).text(), "a");
    assert_eq!(
        haflux.order(&["reload"]),
        "the file says what haflux runs by already\n"
    );

    // A name that is known moves it at once.
    let port = b.address().replace("127.0.0.1:", "");
    let moved = format!("{{ name = \"a\", address = \"localhost:{port}\" }}");
    haflux.edit(&[(&in_a, &moved), (&format!(", {new}"), "")]);
    haflux.order(&["reload"]);
    assert_eq!(http::get(&format!("{url}/")).text(), "b");
    assert!(haflux.terminate().success());
}

/// Resident bytes, threads and open files of a process.
fn holds(id: u32) -> (u64, usize, usize) {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a size");
    let kibibytes: u64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    let entries = |folder: &str| {
        let folder = Path::new("/proc").join(id.to_string()).join(folder);
        std::fs::read_dir(folder).expect("a folder").count()
    };
    (kibibytes * 1024, entries("task"), entries("fd"))
}

#[test]
fn fifty_reloads_leave_nothing_behind() {
    let (a, b) = (named("a"), named("b"));
    let folder = tempfile::tempdir().expect("a folder");
    let (in_a, in_b) = (server("a", &a), server("b", &b));
    let mut haflux = Haflux::start(folder.path(), &plain(&format!("{in_a}, {in_b}")));
    let url = haflux.url("front");
    let id = haflux.id();
    let mut kept = connect(&haflux.address("front"));
    let mut reload = |rounds: usize| {
        for round in 0..rounds {
            let (from, to) = match round % 2 {
                0 => ("retries = 0", "retries = 1\nbalance = \"random\""),
                _ => ("retries = 1\nbalance = \"random\"", "retries = 0"),
            };
            haflux.edit(&[(from, to)]);
            haflux.order(&["reload"]);
            assert_eq!(get_on(&mut kept, "/").status, 200);
        }
    };
    reload(10);
    let before = holds(id);
    reload(50);
    let after = holds(id);
    assert!(
        after.0 < before.0 + (8 << 20),
        "memory: {before:?} {after:?}"
    );
    assert!(after.1 <= before.1 + 1, "threads: {before:?} {after:?}");
    assert!(after.2 <= before.2 + 4, "files: {before:?} {after:?}");
    // One task checks each server: ten times a second, not fifty times as often.
    let (begun, first) = (Instant::now(), asked(&a));
    wait_until("some checks", SOON, || asked(&a) >= first + 10);
    assert!(
        begun.elapsed() > Duration::from_millis(700),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(status::page(&url)["backends"][1]["servers"][0]["downs"], 0);
}
