//! The log: where it goes, in which form, how much of it, and that nobody waits for it.
//!
//! Syslog receivers are sockets of the test: whoever reads syslog on a machine of users reads all of it.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support;
use crate::support::http::{self, raw};
use crate::support::ports::free_port;
use crate::support::process::Process;
use crate::support::status::page;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, Influxd, Lab, StandIn, wait_until};
use serde_json::Value;

/// One frontend before one plain pool; `server` are keys of `[server]`, `logs` tables `[[log]]`.
fn plain(server: &str, logs: &str, address: &str) -> String {
    format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n{server}\n{logs}\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\nstats_uri = \"/haproxy?stats\"\ndefault_backend = \"back\"\n\
         [[backend]]\nname = \"back\"\ncheck = false\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n"
    )
}

fn receive(socket: &UdpSocket) -> String {
    let mut space = [0; 65536];
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    let length = socket.recv(&mut space).expect("a line of the log");
    String::from_utf8_lossy(&space[..length]).into_owned()
}

/// A line of HAProxy's layout with everything replaced that differs between two programs and two requests: what is left is the same.
fn shape(line: &str) -> String {
    let (priority, rest) = line.split_once('>').expect("a priority");
    let (_, rest) = rest.split_once("]: ").expect("a process id");
    let (before, request) = rest.split_once('"').expect("a request");
    let words: Vec<String> = before
        .split_whitespace()
        .enumerate()
        .map(|(position, word)| match position {
            // The client, the date, the bytes with the header in HAProxy's.
            0 => "127.0.0.1:PORT".to_owned(),
            1 => {
                let digits = |one: char| if one.is_ascii_digit() { '9' } else { one };
                let shown: String = word.chars().map(digits).collect();
                shown.replace(&word[4..7], "Mon")
            }
            6 => "BYTES".to_owned(),
            4 | 10 => {
                let times = word.split('/').map(|time| match time {
                    "-1" => "-1",
                    _ => "N",
                });
                times.collect::<Vec<_>>().join("/")
            }
            _ => word.to_owned(),
        })
        .collect();
    format!("{priority}> {} \"{}", words.join(" "), request.trim_end())
}

#[test]
fn the_access_log_is_haproxys() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    let [ours, theirs] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    let to = |socket: &UdpSocket| socket.local_addr().expect("an address");
    let logs = format!(
        "[[log]]\nto = \"syslog:{}\"\nsyslog = \"rfc3164\"\nlines = \"access\"\n[[log]]\nto = \"stderr\"\nlines = \"messages\"",
        to(&ours)
    );
    let haflux = Haflux::start(
        &folder.path().join("haflux"),
        &plain("", &logs, &node.address()),
    );
    let port = free_port();
    let file = folder.path().join("haproxy.cfg");
    let configuration = format!(
        "global\n log {} local0\ndefaults\n mode http\n log global\n option httplog\n timeout client 10s\n timeout server 10s\n timeout connect 10s\n\
         frontend front\n bind 127.0.0.1:{port}\n stats uri /haproxy?stats\n default_backend back\n\
         backend back\n server one {}\n",
        to(&theirs),
        node.address()
    );
    std::fs::write(&file, configuration).expect("haproxy's configuration");
    let _haproxy = Process::start(
        "haproxy",
        Command::new("haproxy").arg("-db").arg("-f").arg(&file),
        &folder.path().join("haproxy.log"),
    );
    wait_until("haproxy", SOON, || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    // HAProxy logs the connection that only looked whether it listens.
    receive(&theirs);
    for request in [
        "GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /query?db=t&epoch=ms HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /nowhere?a=%22b%22 HTTP/1.0\r\nHost: x\r\n\r\n",
        "POST /write?db=none HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\na b=1",
        "GET /haproxy?stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "\u{1} / nonsense\r\n\r\n",
    ] {
        let lines = [
            (haflux.address("front"), &ours),
            (format!("127.0.0.1:{port}"), &theirs),
        ];
        let [ours, theirs] = lines.map(|(address, log)| {
            let _ = raw(&address, request.as_bytes(), Duration::from_secs(2));
            receive(log)
        });
        assert_eq!(shape(&ours), shape(&theirs), "{ours}\n{theirs}");
    }
}

#[test]
fn lines_as_json_go_to_a_file_that_may_be_renamed() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    let logs = "[[log]]\nto = \"FOLDER/log.json\"\nformat = \"json\"\n[[log]]\nto = \"FOLDER/plain\"\nlines = \"messages\"";
    let mut haflux = Haflux::start(
        &folder.path().join("haflux"),
        &plain("", logs, &node.address()),
    );
    let file = haflux.folder().join("log.json");
    let url = haflux.url("front");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    for round in 0..3 {
        for number in 0..20 {
            http::get(&format!(
                "{url}/ping?round={round}&number={number}&p=secret"
            ));
        }
        std::fs::rename(&file, haflux.folder().join(format!("log.json.{round}"))).expect("renamed");
    }
    http::get(&format!("{url}/ping?last"));
    wait_until("the last line", SOON, || read(&file).contains("?last"));
    haflux.terminate();
    let all: String = (0..3)
        .map(|round| read(&haflux.folder().join(format!("log.json.{round}"))))
        .chain([read(&file)])
        .collect();
    let lines: Vec<Value> = all
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    let (access, messages): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line["kind"] == "access");
    let targets: BTreeSet<&str> = access
        .iter()
        .filter_map(|line| line["target"].as_str())
        .collect();
    assert_eq!((access.len(), targets.len()), (61, 61), "{all}");
    assert!(
        targets.contains("/ping?round=1&number=7&p=***"),
        "{targets:?}"
    );
    let first = access[0];
    assert_eq!(
        (&first["client"], &first["status"]),
        (&"127.0.0.1".into(), &204.into())
    );
    assert_eq!(
        (&first["frontend"], &first["server"]),
        (&"front".into(), &"one".into())
    );
    assert!(first["total_ms"].is_u64() && first["answered_ms"].is_u64());
    let texts: Vec<&str> = messages
        .iter()
        .filter_map(|line| line["text"].as_str())
        .collect();
    assert!(
        texts
            .iter()
            .any(|text| text.contains("stopping on SIGTERM")),
        "{texts:?}"
    );
    let plain = read(&haflux.folder().join("plain"));
    assert!(
        plain.contains("server: stopped") && !plain.contains(" access: "),
        "{plain}"
    );
    assert_eq!(haflux.log(), "", "nothing goes to standard error");
}

/// As the last try ended, and how often it went to another server.
#[test]
fn a_request_that_was_moved_is_logged_as_it_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = StandIn::start(|_| Behaviour::status(200, "answered"));
    let closing = StandIn::start(|_| Behaviour::Close);
    let dead = format!("127.0.0.1:{}", free_port());
    let backend = |name: &str, servers: &str| {
        format!("[[backend]]\nname = \"{name}\"\ncheck = false\nservers = [{servers}]\n")
    };
    let to_dead = format!("{{ name = \"dead\", address = \"{dead}\" }}");
    let to_node = format!("{{ name = \"node\", address = \"{}\" }}", node.address());
    let to_closing = format!(
        "{{ name = \"closing\", address = \"{}\" }}",
        closing.address()
    );
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n[[log]]\nto = \"FOLDER/log.json\"\nformat = \"json\"\nlines = \"access\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\nstats_uri = \"/haproxy?stats\"\n\
         use_backend = [{{ backend = \"alone\", if = {{ path = \"/alone\" }} }}, {{ backend = \"breaks\", if = {{ path = \"/breaks\" }} }}]\n\
         default_backend = \"two\"\n{}{}{}",
        backend("alone", &to_dead),
        backend("breaks", &format!("{to_closing}, {to_node}")),
        backend("two", &format!("{to_dead}, {to_node}")),
    );
    let mut haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    let url = haflux.url("front");
    let upload = vec![b'x'; 20_000];
    for (method, path, status) in [
        ("POST", "/two", 200),
        ("PUT", "/breaks", 200),
        ("POST", "/alone", 503),
    ] {
        for body in [&b"x"[..], &upload] {
            // The second one begins at the other server.
            for _ in 0..2 {
                let answer = http::request(method, &format!("{url}{path}"), &[], body);
                assert_eq!(answer.status, status, "{path}");
            }
        }
    }
    let page = page(&url);
    let moved_from = |backend: usize| {
        let moved = &page["backends"][backend]["servers"][0]["redispatches"];
        moved.as_u64().expect("a number")
    };
    let [alone, breaks, two] = [0, 1, 2].map(moved_from);
    assert!(alone == 0 && breaks >= 2 && two >= 2, "{page}");
    haflux.terminate();
    let log = std::fs::read_to_string(haflux.folder().join("log.json")).expect("the log");
    let lines = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let lines: Vec<Value> = lines
        .filter(|line: &Value| line["method"] != "GET")
        .collect();
    assert_eq!(lines.len(), 12, "{log}");
    let mut moves = 0;
    for line in &lines {
        let expected = match line["backend"] == "alone" {
            true => ("SC", 503),
            false => ("--", 200),
        };
        let ended = line["termination"].as_str().expect("letters");
        assert!(ended.starts_with(expected.0), "{line}");
        assert_eq!(line["status"], expected.1, "{line}");
        let count = line["moved"].as_u64().expect("a number");
        assert!(count <= u64::from(line["backend"] != "alone"), "{line}");
        moves += count;
    }
    assert_eq!(moves, breaks + two, "{log}");
}

#[test]
fn nobody_waits_for_a_target_that_takes_nothing() {
    const REQUESTS: usize = 400;
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    let path = folder.path().join("syslog");
    let syslog = UnixDatagram::bind(&path).expect("a socket");
    let logs = format!(
        "[[log]]\nto = \"syslog:{}\"\nqueue = \"64KiB\"\nfacility = \"daemon\"",
        path.display()
    );
    let haflux = Haflux::start(
        &folder.path().join("haflux"),
        &plain("", &logs, &node.address()),
    );
    let url = haflux.url("front");
    let pad = "x".repeat(1500);
    let begun = Instant::now();
    for number in 0..REQUESTS {
        let answer = http::get(&format!("{url}/ping?number={number}&pad={pad}"));
        assert_eq!(answer.status, 204);
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let dropped = page(&url)["log"]["targets"][0]["dropped"].as_u64();
    let dropped = usize::try_from(dropped.expect("a counter")).expect("not many");
    assert!(dropped > 0);
    syslog.set_read_timeout(Some(SOON)).expect("a timeout");
    let (mut seen, mut said) = (0, 0);
    let mut space = [0; 65536];
    while seen + said < REQUESTS {
        let length = syslog.recv(&mut space).expect("a line");
        let line = String::from_utf8_lossy(&space[..length]).into_owned();
        let (priority, _) = line.split_once('>').expect("a priority");
        let priority: u8 = priority[1..].parse().expect("a number");
        assert_eq!(priority / 8, 3, "{line}");
        if line.contains("/ping?number=") {
            seen += 1;
        } else if let Some(count) =
            line.strip_suffix(" lines were dropped because this target did not take them")
        {
            let (_, count) = count.rsplit_once(' ').expect("a number");
            said += count.parse::<usize>().expect("a number");
        }
    }
    assert!(said >= dropped, "{said} of {dropped}");
}

#[test]
fn a_target_that_cannot_be_had_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("haflux.toml");
    let logs = format!("[[log]]\nto = \"{}/none/log\"", folder.path().display());
    let configuration = plain("", &logs, "127.0.0.1:1")
        .replace("PORT(front)", &free_port().to_string())
        .replace("FOLDER", &folder.path().display().to_string());
    std::fs::write(&file, configuration).expect("a configuration");
    let output = Haflux::command(&["run", "--config", file.to_str().expect("plain")]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("none/log\" cannot be opened: No such file"),
        "{said}"
    );
}

#[test]
fn a_node_that_ends_and_returns_is_said_once_in_our_words() {
    let mut lab = Lab::start_with(Default::default(), |text| {
        text.replacen("[server]", "[server]\nlog_level = \"debug\"", 1)
    });
    lab.create_database("t");
    support::write(&lab.influx_url(), "t", "m v=1 1");
    let states = |log: &str, what: &str| -> Vec<String> {
        let lines = log.lines().filter(|line| line.contains(what));
        lines.map(str::to_owned).collect()
    };
    lab.node2.kill9();
    support::write(&lab.influx_url(), "t", "m v=2 2");
    lab.haflux.says("influx_back/influxlab2 is DOWN");
    lab.node2.restart();
    lab.both_hold("t", "m", 2);
    lab.haflux.says("influx_back/influxlab2 is UP");
    lab.haflux.terminate();
    let log = lab.haflux.log();
    for (what, times) in [
        ("influx_back/influxlab2 is DOWN", 1),
        ("influx_back/influxlab2 is UP", 1),
        ("replica influxlab2 answers; from record", 2),
        ("Backend {", 0),
        ("Inet(", 0),
        ("healthy", 0),
        (" pingora", 0),
    ] {
        let found = states(&log, what);
        assert_eq!(found.len(), times, "{what}: {found:#?}");
    }
    // Only if the relay finds it out before the check does.
    let broken = states(&log, "replica influxlab2 takes no writes");
    assert!(broken.len() <= 1, "{broken:#?}");
}

#[test]
fn levels_change_while_it_runs_and_repeats_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    let server = "log_repeats = 2\nlog_repeat_time = \"1s\"";
    let configuration = plain(server, "", "127.0.0.1:1")
        + &format!(
            "[[relay]]\nname = \"relay\"\nreplicate_to = \"pool\"\n\
             [[backend]]\nname = \"pool\"\nservers = [{{ name = \"node\", address = \"{}\" }}]\n",
            node.address()
        );
    let haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    let ping = |word: &str| {
        let answer = http::get(&format!("{}/ping?{word}", haflux.url("front")));
        assert_eq!(answer.status, 503);
    };
    let debug = || {
        let log = haflux.log();
        let lines = log
            .lines()
            .filter(|line| line.contains(" DEBUG proxy::forward: back: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    ping("before");
    assert_eq!(haflux.order(&["log-level"]).trim(), "info,access=on");
    assert_eq!(debug(), [""; 0]);
    let now = haflux.order(&["log-level", "proxy=debug,relay::intake=warn"]);
    assert_eq!(now.trim(), "info,proxy=debug,relay::intake=warn,access=on");
    for _ in 0..10 {
        ping("after");
    }
    let tries = debug;
    wait_until("what was held back", SOON, || {
        tries()
            .iter()
            .any(|line| line.contains("more of this message were held back)"))
    });
    let before = tries().len();
    assert_eq!(before, 3, "{:?}", tries());
    haflux.order(&["log-level", "proxy=info,access=off"]);
    ping("unheard");
    haflux.order(&["log-level", "access=on"]);
    ping("heard");
    haflux.says("?heard");
    assert!(!haflux.log().contains("?unheard"));
    assert_eq!(tries().len(), before);
    let refused = haflux.refuses(&["log-level", "raley=debug"]);
    assert!(refused.contains("did you mean \"relay\"?"), "{refused}");
    assert!(
        haflux
            .refuses(&["log-level", "relay=loud"])
            .contains("\"loud\" is no level")
    );
    assert!(haflux.order(&["log-level"]).contains("proxy=info"));
}
