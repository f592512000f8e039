//! HAProxy's runtime socket, asked with `socat` as HAProxy's tools do, and compared with a real HAProxy before the same servers.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::authority::Authority;
use crate::support::ports::free_port;
use crate::support::wait::{SOON, wait_for};
use crate::support::{Behaviour, Haflux, Haproxy, StandIn, http, wait_until};
use serde_json::Value;
use tempfile::TempDir;

/// What is said to these lines, by `socat`.
#[track_caller]
fn ask(socket: &Path, lines: &str) -> String {
    let mut socat = Command::new("socat")
        .args(["-t", "20", "-"])
        .arg(format!("UNIX-CONNECT:{}", socket.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("socat; scripts/test installs it");
    let mut to = socat.stdin.take().expect("its input");
    to.write_all(lines.as_bytes()).expect("written");
    to.write_all(b"\n").expect("written");
    drop(to);
    let output = socat.wait_with_output().expect("its output");
    String::from_utf8(output.stdout).expect("text")
}

/// haflux and HAProxy before the same two servers.
struct Both {
    haflux: Haflux,
    _haproxy: Haproxy,
    _servers: Vec<StandIn>,
    folder: TempDir,
}

impl Both {
    fn start() -> Both {
        let folder = tempfile::tempdir().expect("a folder");
        let servers = [(); 2].map(|()| StandIn::start(|_| Behaviour::status(200, "well")));
        let [one, two] = [servers[0].address(), servers[1].address()];
        let shown = folder.path().display();
        let haproxy = format!(
            "global\n  stats socket {shown}/haproxy.sock mode 660 level admin\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n\
             frontend front\n  bind 127.0.0.1:{}\n  default_backend back\n\
             frontend front2\n  bind 127.0.0.1:{}\n  default_backend other\n\
             backend back\n  option httpchk GET /ping\n  default-server inter 100ms rise 2 fall 3\n\
             \x20 server one {one} check weight 10\n  server two {two} check\n\
             backend other\n  server three {two} weight 3\n",
            free_port(),
            free_port()
        );
        let haflux = format!(
            "[server]\ndata_dir = \"FOLDER/data\"\n\
             stats_socket = {{ path = \"{shown}/haflux.sock\", mode = \"660\", level = \"admin\" }}\n\
             [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\n\
             [[frontend]]\nname = \"front2\"\nbind = \"127.0.0.1:PORT(front2)\"\ndefault_backend = \"other\"\n\
             [[backend]]\nname = \"back\"\ncheck = {{ http = \"/ping\", interval = \"100ms\", rise = 2, fall = 3 }}\n\
             servers = [{{ name = \"one\", address = \"{one}\", weight = 10 }}, {{ name = \"two\", address = \"{two}\" }}]\n\
             [[backend]]\nname = \"other\"\ncheck = false\n\
             servers = [{{ name = \"three\", address = \"{two}\", weight = 3 }}]\n"
        );
        std::fs::create_dir_all(folder.path().join("haflux/data")).expect("a folder");
        let both = Both {
            _haproxy: Haproxy::start(folder.path(), &haproxy),
            haflux: Haflux::start(&folder.path().join("haflux"), &haflux),
            _servers: servers.into(),
            folder,
        };
        for socket in both.sockets() {
            wait_until("the checks to have passed", SOON, || {
                let state = ask(&socket, "show servers state back");
                let mut lines = state.lines().skip(2).filter(|line| !line.is_empty());
                lines.all(|line| line.split(' ').nth(11) == Some("3"))
            });
        }
        both
    }

    fn sockets(&self) -> [PathBuf; 2] {
        ["haflux.sock", "haproxy.sock"].map(|name| self.folder.path().join(name))
    }

    /// Both must say the same.
    #[track_caller]
    fn same(&self, command: &str) -> String {
        let [ours, theirs] = self.sockets().map(|socket| ask(&socket, command));
        assert_eq!(ours, theirs, "{command}");
        ours
    }

    /// The servers' states must come to be the same, but for their numbers and the times since when they are. Not at once: a
    /// check that is under way shows.
    #[track_caller]
    fn same_states(&self, command: &str) {
        let states = || {
            self.sockets()
                .map(|socket| timeless(&ask(&socket, command)))
        };
        let mut last = states();
        for _ in 0..50 {
            if last[0] == last[1] {
                return;
            }
            last = states();
        }
        assert_eq!(last[0], last[1], "{command}");
    }
}

fn timeless(states: &str) -> Vec<String> {
    let line = |line: &str| {
        let mut columns: Vec<&str> = line.split(' ').collect();
        if columns.len() == 25 {
            columns[9] = "time";
            // HAProxy's socket is a proxy, too.
            columns[0] = "number";
        }
        columns.join(" ")
    };
    states.split('\n').map(line).collect()
}

#[test]
fn the_answers_are_haproxys() {
    let both = Both::start();
    assert_eq!(both.same("show backend"), "# name\nback\nother\n\n");
    both.same_states("show servers state");
    both.same_states("show servers state other");
    for command in [
        "show servers state nowhere",
        "get weight back/one",
        "get weight back/nobody",
        "get weight nowhere/one",
        "get weight",
        "set server back/two state drain",
        "set server back/one weight 50%",
        "get weight back/one",
        "set server back/one weight 0",
        "set server back/one weight 300",
        "set server back/one weight -1%",
        "set server back/one weight",
        "set server back/one weight 10",
        "set weight other/three 400%",
        "get weight other/three",
        "set server back/two state away",
        "set server back/nobody state drain",
        "set server nowhere/one state drain",
        "set server back state drain",
        "set server",
        "enable server",
        "enable server back/nobody",
        "show cli level",
        "show backend;show cli level",
        "user;set server back/one state drain;show cli level",
        "prompt\nshow backend\nset server back/two state drain\nquit",
        "prompt;show cli level",
        "quit",
        "show backend\nshow cli level",
        "set timeout cli 20",
    ] {
        both.same(command);
    }
    both.same_states("show servers state");
    both.same("disable server other/three");
    both.same("set server back/two state maint");
    both.same_states("show servers state other");
    both.same("enable server other/three");
    both.same("set server back/two state ready");
    for socket in both.sockets() {
        wait_until("it to be up", SOON, || {
            let state = ask(&socket, "show servers state back");
            state.contains(" two 127.0.0.1 2 0 ")
        });
    }
    both.same_states("show servers state back");
}

/// The servers of `back` as both tell them: the columns of their states that checks and TLS fill, and of `show stat` those of the
/// last check.
fn checks_of(socket: &Path) -> Vec<[String; 10]> {
    let states = ask(socket, "show servers state back");
    let states = states.lines().skip(2).filter(|line| !line.is_empty());
    let stat = ask(socket, "show stat back 4 -1");
    let mut rows = stat.lines().filter(|line| !line.is_empty());
    let header: Vec<&str> = rows.next().expect("a header").split(',').collect();
    let place = |name: &str| header.iter().position(|column| *column == name);
    let [status, words] = ["check_status", "check_desc"].map(|name| place(name).expect("it"));
    let described = states.zip(rows).map(|(state, row)| {
        let state: Vec<&str> = state.split(' ').collect();
        let row: Vec<&str> = row.split(',').collect();
        // In HAProxy a check that is under way has a star.
        let code = row[status].trim_start_matches("* ");
        // Name, state, status and result of the check, health, TLS, port and addresses of checks.
        [3, 5, 10, 11, 12, 20, 21, 22]
            .map(|column| state[column])
            .into_iter()
            .chain([code, row[words]])
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .try_into()
            .expect("ten columns")
    });
    described.collect()
}

#[test]
fn what_checks_of_servers_behind_tls_found_is_told_as_haproxy_tells_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let shown = folder.path().display();
    let authority = Authority::new(folder.path());
    let certificate = authority.sign("node.pem", "influx.example", 90);
    let ca = authority.certificate();
    let server = StandIn::start(|_| Behaviour::status(200, "well"));
    let plain = server.address();
    // The kernel makes the connection, and nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = listener.local_addr().expect("its address");
    let secure = free_port();
    let (_, asked) = plain.split_once(':').expect("a port");
    let (nobody, unasked) = (free_port(), free_port());
    let haproxy = format!(
        "global\n  stats socket {shown}/haproxy.sock mode 660 level admin\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n  timeout check 200ms\n\
         frontend secure\n  bind 127.0.0.1:{secure} ssl crt {certificate}\n  http-request return status 200\n\
         frontend front\n  bind 127.0.0.1:{}\n  default_backend back\n\
         backend back\n  default-server inter 500ms rise 1 fall 1 check\n\
         \x20 server secure 127.0.0.1:{secure} ssl verify required ca-file {ca}\n\
         \x20 server broken {plain} ssl verify required ca-file {ca}\n\
         \x20 server silent {silent} ssl verify required ca-file {ca}\n\
         \x20 server gone 127.0.0.1:{nobody}\n\
         backend aside\n  default-server inter 200ms rise 1 fall 1 port {asked}\n\
         \x20 server aside 127.0.0.1:{nobody} check\n\
         \x20 server unasked 127.0.0.1:{unasked}\n",
        free_port()
    );
    let haflux = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         stats_socket = {{ path = \"{shown}/haflux.sock\", mode = \"660\", level = \"admin\" }}\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\n\
         [[frontend]]\nname = \"front2\"\nbind = \"127.0.0.1:PORT(front2)\"\ndefault_backend = \"aside\"\n\
         [[backend]]\nname = \"back\"\n\
         check = {{ tcp = true, interval = \"200ms\", timeout = \"500ms\", rise = 1, fall = 1 }}\n\
         servers = [\
         {{ name = \"secure\", address = \"127.0.0.1:{secure}\", tls = {{ ca = \"{ca}\" }} }}, \
         {{ name = \"broken\", address = \"{plain}\", tls = {{ ca = \"{ca}\" }} }}, \
         {{ name = \"silent\", address = \"{silent}\", tls = {{ ca = \"{ca}\" }} }}, \
         {{ name = \"gone\", address = \"127.0.0.1:{nobody}\" }}]\n\
         [[backend]]\nname = \"aside\"\n\
         check = {{ tcp = true, interval = \"200ms\", rise = 1, fall = 1, port = {asked} }}\n\
         servers = [{{ name = \"aside\", address = \"127.0.0.1:{nobody}\" }}, \
         {{ name = \"unasked\", address = \"127.0.0.1:{unasked}\", check = false }}]\n"
    );
    std::fs::create_dir_all(folder.path().join("haflux/data")).expect("a folder");
    let both = Both {
        _haproxy: Haproxy::start(folder.path(), &haproxy),
        haflux: Haflux::start(&folder.path().join("haflux"), &haflux),
        _servers: vec![server],
        folder,
    };
    let [ours, theirs] = both.sockets().map(|socket| {
        wait_for("all to be checked", SOON, || {
            let checks = checks_of(&socket);
            let codes = checks.iter().map(|[.., code, _]| code);
            let are_told = codes.eq(["L6OK", "L6RSP", "L6TOUT", "L4CON"]);
            // HAProxy's last result is gone while the next check is under way.
            let is_known = |[_, _, _, result, ..]: &[String; 10]| result != "0";
            (are_told && checks.iter().all(is_known)).then_some(checks)
        })
    });
    assert_eq!(ours, theirs);
    both.same_states("show servers state aside");
}

#[test]
fn an_order_on_the_socket_is_carried_out() {
    let both = Both::start();
    let [socket, _] = both.sockets();
    let other = || http::get(&both.haflux.url("front2")).status;
    assert_eq!(other(), 200);
    assert_eq!(ask(&socket, "set server other/three state drain"), "\n");
    assert_eq!(other(), 503);
    let list = both.haflux.order(&["server", "list"]);
    assert!(list.contains("DRAIN"), "both sockets are one: {list}");
    assert_eq!(ask(&socket, "set server other/three state ready"), "\n");
    assert_eq!(other(), 200);
    // JSON is spoken here, too.
    let said = ask(
        &socket,
        "{\"command\":\"server_state\",\"backend\":\"other\",\"server\":\"three\",\"state\":\"maint\"}",
    );
    assert!(
        said.starts_with("{\"done\":\"other/three is in maint"),
        "{said}"
    );
    assert_eq!(other(), 503);
}

#[test]
fn the_process_is_described_in_haproxys_names() {
    let mut both = Both::start();
    let [ours, theirs] = both.sockets().map(|socket| ask(&socket, "show info"));
    let names = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| line.split_once(": ").expect("a name").0.to_owned())
            .collect()
    };
    let known = names(&theirs);
    for name in names(&ours) {
        assert!(known.contains(&name), "{name} is none of HAProxy's");
    }
    for value in [
        "Name: haflux".to_owned(),
        format!("Version: {}", env!("CARGO_PKG_VERSION")),
        format!("Pid: {}", both.haflux.id()),
        "Maxconn: 4000".to_owned(),
        "Uptime: 0d 0h00m".to_owned(),
    ] {
        assert!(ours.contains(&value), "{value}: {ours}");
    }
    assert!(ours.ends_with("\n\n"));
}

/// A line of HAProxy's typed format without its value, and without the number of the proxy, which is another one.
fn without_value(line: &str) -> String {
    let mut parts = line.splitn(4, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (key, tags, kind) = (part(), part(), part());
    let mut key: Vec<&str> = key.split('.').collect();
    if key.len() == 6 {
        key.remove(1);
    }
    format!("{}:{tags}:{kind}", key.join("."))
}

/// The items of HAProxy's JSON without their values, and without the numbers of their proxies.
fn items(text: &str) -> Vec<Value> {
    let mut items: Vec<Value> = Vec::new();
    let all: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    for item in all.as_array().expect("a list") {
        match item.as_array() {
            Some(row) => items.extend(row.iter().cloned()),
            None => items.push(item.clone()),
        }
    }
    for item in &mut items {
        let item = item.as_object_mut().expect("an object");
        item.remove("proxyId");
        item["value"]
            .as_object_mut()
            .expect("an object")
            .remove("value");
    }
    items
}

#[test]
fn values_have_haproxys_places_tags_and_types() {
    let both = Both::start();
    let ask_both = |command: &str| both.sockets().map(|socket| ask(&socket, command));
    for (command, at_least) in [
        ("show stat front 1 -1", 25),
        ("show stat back 6 -1", 125),
        ("show stat other 6 -1", 80),
        ("show info", 17),
    ] {
        let [ours, theirs] = ask_both(&format!("{command} typed"));
        let known: BTreeSet<String> = theirs.lines().map(without_value).collect();
        let lines: Vec<&str> = ours.lines().filter(|line| !line.is_empty()).collect();
        for line in &lines {
            assert!(known.contains(&without_value(line)), "{line}\n{theirs}");
        }
        assert!(lines.len() >= at_least, "{command}: {}", lines.len());
        assert!(ours.ends_with('\n') && theirs.ends_with('\n'));
        let blank = |text: &str| text.lines().filter(|line| line.is_empty()).count();
        assert_eq!(blank(&ours), blank(&theirs), "{command}");

        let [ours, theirs] = ask_both(&format!("{command} json"));
        let end = |text: &str| text.rsplit(']').next().map(str::to_owned);
        assert_eq!(end(&ours), end(&theirs), "{command}");
        let known = items(&theirs);
        let items = items(&ours);
        for item in &items {
            assert!(known.contains(item), "{item}\n{theirs}");
        }
        assert_eq!(items.len(), lines.len(), "{command}");
    }

    // Where nothing moves, a line is HAProxy's to the byte, but for the number of the proxy.
    let [ours, theirs] = ask_both("show stat back 4 2 typed").map(|text| {
        let lines = text.lines().filter(|line| !line.is_empty()).map(|line| {
            let (letter, rest) = line.split_once('.').expect("a letter");
            let (_, rest) = rest.split_once('.').expect("a number");
            format!("{letter}.{rest}")
        });
        lines.collect::<BTreeSet<String>>()
    });
    for part in [
        "S.2.0.pxname.1:KNS:str:back",
        "S.2.1.svname.1:KNS:str:two",
        "S.2.7.stot.1:MCP:u64:0",
        "S.2.17.status.1:SGP:str:UP",
        "S.2.18.weight.1:MaP:u32:1",
        "S.2.37.check_code.1:MOP:u32:200",
        "S.2.55.lastsess.1:MAP:s32:-1",
    ] {
        assert!(theirs.contains(part), "HAProxy has no {part}: {theirs:?}");
        assert!(ours.contains(part), "no {part}: {ours:?}");
    }

    // What is left out is left out by both.
    both.same("set server back/two state maint");
    for command in ["show stat back 4 -1 no-maint", "show stat back 4 -1 up"] {
        let names = ask_both(command).map(|csv| {
            let rows = csv.lines().skip(1).filter(|line| !line.is_empty());
            let names = rows.map(|row| row.split(',').nth(1).map(str::to_owned));
            names.collect::<Vec<_>>()
        });
        assert_eq!(
            names,
            [(); 2].map(|()| vec![Some("one".to_owned())]),
            "{command}"
        );
    }
}

/// The proxies and services of a CSV; what is no row, as it stands.
fn services(csv: &str) -> Vec<String> {
    let services = csv.lines().map(|line| {
        let mut cells = line.splitn(3, ',');
        [cells.next(), cells.next()].map(Option::unwrap_or_default)
    });
    services.map(|service| service.join(" ")).collect()
}

#[test]
fn the_rows_that_are_asked_for_are_haproxys() {
    let both = Both::start();
    for words in [
        "-1 -1 1",
        "-1 -1 0",
        "-1 0 -1",
        "-1 0 1",
        "-1 3 2",
        "-1 4 2",
        "-1 8 -1",
        "-1 9 1",
        "-1 -2 -2",
        "-1 x x",
        "-1 4 1abc",
        "-1",
        "-1 4",
        "back",
        "back 4",
        "back -1 2",
        "back -1 -1 up",
        "0 -1 -1",
        "99 -1 -1",
        "nobody -1 -1",
        "up -1 1",
        "domain",
        "domain nonsense",
        "domain proxy",
        "domain proxy up",
        "domain proxy back -1 -1",
        "domain proxy back 4 2 up",
        "domain proxy -1 4 1",
        "-1 4 -1 domain proxy",
        "typed domain proxy",
    ] {
        let command = format!("show stat {words}");
        let [ours, theirs] = both
            .sockets()
            .map(|socket| services(&ask(&socket, &command)));
        assert_eq!(ours, theirs, "{command}");
    }
}

#[test]
fn every_command_that_help_lists_is_in_the_manual() {
    let manual = include_str!("../../docs/operation.md");
    let both = Both::start();
    let [socket, _] = both.sockets();
    let help = ask(&socket, "help");
    let commands = help.lines().filter_map(|line| line.strip_prefix("  "));
    for command in commands {
        let words = command.split(|one: char| "[<:(".contains(one)).next();
        let words = words.unwrap_or_default().trim();
        assert!(manual.contains(&format!("`{words}")), "{words}");
    }
}

#[test]
fn who_is_not_allowed_or_not_understood_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = StandIn::start(|_| Behaviour::status(200, "well"));
    let socket = folder.path().join("stats.sock");
    let group = rustix::process::getegid().as_raw();
    let configuration = format!(
        "[server]\ndata_dir = \"/nonexistent/haflux\"\n\
         stats_socket = {{ path = \"{}\", mode = \"620\", group = \"{group}\", timeout = \"1s\", maxconn = 2 }}\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{}\" }}]\n",
        socket.display(),
        server.address()
    );
    let mut haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    let metadata = std::fs::metadata(&socket).expect("a socket");
    assert_eq!(
        (metadata.permissions().mode() & 0o777, metadata.gid()),
        (0o620, group)
    );

    // The level is HAProxy's default.
    assert_eq!(
        ask(&socket, "set server back/one state drain"),
        "Permission denied\n\n"
    );
    assert_eq!(ask(&socket, "get weight back/one"), "1 (initial 1)\n\n");
    let said = ask(
        &socket,
        "{\"command\":\"server_state\",\"backend\":\"back\",\"server\":\"one\",\"state\":\"drain\"}",
    );
    assert!(said.contains("not_allowed"), "{said}");
    assert_eq!(http::get(&haflux.url("front")).status, 200);
    let help = ask(&socket, "help");
    assert!(
        help.starts_with("The following commands are valid at this level:\n"),
        "{help}"
    );
    for command in [
        "show stat",
        "set server <bk>/<srv> [opts]",
        "replica status",
        "quit",
    ] {
        assert!(help.contains(&format!("  {command}")), "{command}: {help}");
    }
    assert!(ask(&socket, "reboot").starts_with("Unknown command."));
    let long = ask(&socket, &"x".repeat(100_000));
    assert!(long.is_empty() || long.contains("at most"), "{long}");

    // Two who are silent are sent away, and the third has its turn.
    let silent: Vec<_> = (0..2)
        .map(|_| std::os::unix::net::UnixStream::connect(&socket).expect("connected"))
        .collect();
    assert_eq!(ask(&socket, "get weight back/one"), "1 (initial 1)\n\n");
    drop(silent);
    assert!(haflux.terminate().success());
    assert!(!socket.exists());
}
