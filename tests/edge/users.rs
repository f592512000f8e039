//! haflux's own users: who they are, what they may do, and in whose name their requests reach the nodes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::support::authority::Authority;
use crate::support::edge::counted;
use crate::support::http::{Answer, get, query_string, request};
use crate::support::lab::replace;
use crate::support::ports::free_port;
use crate::support::programs::{python, run, succeeds};
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, Influxd, Lab, Options, StandIn, status, wait_until};
use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

type Parameters = &'static [(&'static str, &'static str)];

/// A line of a user with a password, hashed quickly.
pub(crate) fn line(name: &str, password: &str) -> String {
    let hash = bcrypt::hash(password, 4).expect("a hash");
    format!("{name}:{hash}\n")
}

/// The same with Argon2.
fn argon2_line(name: &str, password: &str) -> String {
    let params = Params::new(64, 1, 1, None).expect("parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = SaltString::encode_b64(b"some salt").expect("a salt");
    let hash = argon2.hash_password(password.as_bytes(), &salt);
    format!("{name}:{}\n", hash.expect("a hash"))
}

pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// Writes a file of users that nobody else can read.
fn write_users(folder: &Path, text: &str) -> PathBuf {
    fs::create_dir_all(folder).expect("a folder");
    let file = folder.join("users");
    fs::write(&file, text).expect("a file");
    file
}

/// What `haflux users …` prints on its two outputs when it is given `input`.
pub(crate) fn users_command(arguments: &[&str], input: &str) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haflux"));
    command.arg("users").args(arguments);
    let streams = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = streams.spawn().expect("haflux");
    let stdin = running.stdin.take().expect("its input");
    std::io::Write::write_all(&mut &stdin, input.as_bytes()).expect("a line");
    drop(stdin);
    let output = running.wait_with_output().expect("haflux");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    assert!(output.status.success());
    (text(output.stdout), text(output.stderr))
}

/// haflux with `[users]` and these keys of it before a node: frontend `front` of a replicated pool, and `plain`, each with `keys`.
fn before(node: &str, home: &Path, users: &str, keys: &str) -> Haflux {
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\nlog_level = \"debug\"\n\
         [users]\nfile = \"FOLDER/users\"\n{users}\n\
         [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\nauth = true\n{keys}\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{node}\" }}]\n\
         [[frontend]]\nname = \"plain\"\nbind = \"127.0.0.1:PORT(plain)\"\ndefault_backend = \"plain_back\"\nauth = true\n{keys}\n\
         [[backend]]\nname = \"plain_back\"\nservers = [{{ name = \"one\", address = \"{node}\" }}]\n"
    );
    Haflux::start(home, &configuration)
}

/// One request, by the header and in the URL.
fn ask(url: &str, path: &str, parameters: &[(&str, &str)], authorization: &str) -> Answer {
    let url = format!("{url}{path}?{}", query_string(parameters));
    let header = [("Authorization", authorization)];
    let headers = if authorization.is_empty() {
        &[][..]
    } else {
        &header
    };
    let body: &[u8] = if path == "/write" { b"m v=1 1" } else { b"" };
    request("POST", &url, headers, body)
}

#[track_caller]
fn assert_nobody(answer: &Answer, words: &str) {
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(answer.text(), format!("{{\"error\":\"{words}\"}}\n"));
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Basic realm=\"InfluxDB\"")
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-influxdb-error"), None);
}

#[test]
fn a_client_is_known_by_what_influxdb_takes_and_the_node_hears_none_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options::default().set("http", "log-enabled", "true");
    let node = Influxd::start_with(&folder.path().join("node"), options);
    node.create_database("d");
    let home = folder.path().join("haflux");
    let (token, drawn) = users_command(&["token", "eva"], "");
    let drawn = drawn.trim();
    let adam = argon2_line("adam", "Wurzel-9/+");
    let users = [line("eva", "Bl4tt;&+#x"), adam, token].concat();
    write_users(&home, &users);
    let rules =
        "rules = [{ users = \"eva\", write = \"d\" }, { users = \"adam\", read_only = true }]";
    let haflux = before(&node.address(), &home, "max_failures = 1000", rules);

    let eva: Parameters = &[("u", "eva"), ("p", "Bl4tt;&+#x")];
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        let known: [(Parameters, String); 7] = [
            (eva, String::new()),
            (eva, basic("eva", "wrong")),
            (&[], basic("eva", "Bl4tt;&+#x")),
            (&[], basic("eva", drawn)),
            (&[], "Token eva:Bl4tt;&+#x".to_owned()),
            (&[], format!("Token {drawn}")),
            (&[], format!("Bearer {drawn}")),
        ];
        for (parameters, authorization) in &known {
            let with = |more: &[(&'static str, &'static str)]| {
                let all = parameters.iter().copied().chain(more.iter().copied());
                all.collect::<Vec<_>>()
            };
            let wrote = ask(&url, "/write", &with(&[("db", "d")]), authorization);
            assert_eq!(wrote.status, 204, "{authorization}: {}", wrote.text());
            let query = with(&[("q", "SELECT v FROM m"), ("db", "d")]);
            let read = ask(&url, "/query", &query, authorization);
            assert!(read.text().contains("\"m\""), "{}", read.text());
            let state = with(&[("q", "DROP MEASUREMENT nothing"), ("db", "d")]);
            assert_eq!(ask(&url, "/query", &state, authorization).status, 200);
        }
        // The rules mean haflux's users.
        let adam = basic("adam", "Wurzel-9/+");
        let write = [("db", "d")];
        let refused = ask(&url, "/write", &write, &adam);
        assert_eq!(refused.status, 403);
        assert!(refused.text().contains("only reads are allowed"));
        let refused = ask(&url, "/write", &[("db", "other")], &known[2].1);
        assert_eq!(refused.status, 403);
        let read = [("q", "SHOW DATABASES")];
        assert_eq!(ask(&url, "/query", &read, &adam).status, 200);

        let before = counted(&haflux, front, "auth_refusals");
        let unreadable = "unable to parse authentication credentials";
        let nobody: [(Parameters, String, &str); 13] = [
            (&[], String::new(), unreadable),
            (&[("u", "eva")], String::new(), unreadable),
            (&[], "Basic !".to_owned(), unreadable),
            (&[], "Basic".to_owned(), unreadable),
            (&[], "Strange x".to_owned(), unreadable),
            (&[], basic("", "x"), "username required"),
            (&[], basic("eva", "wrong"), "authorization failed"),
            (&[], basic("eva", ""), "authorization failed"),
            (&[], basic("Eva", "Bl4tt;&+#x"), "authorization failed"),
            (&[], basic("adam", drawn), "authorization failed"),
            (&[], basic("nobody", "x"), "authorization failed"),
            (&[], "Token eva:wrong".to_owned(), "authorization failed"),
            (&[], format!("Bearer {drawn}0"), "authorization failed"),
        ];
        for (parameters, authorization, words) in &nobody {
            assert_nobody(&ask(&url, "/query", parameters, authorization), words);
        }
        let torn = request("GET", &format!("{url}/query?q=x;u=eva&p=x"), &[], b"");
        assert_nobody(&torn, unreadable);
        assert_nobody(&get(&format!("{url}/debug/vars")), unreadable);
        assert_nobody(&get(&format!("{url}/metrics")), unreadable);
        let refused = nobody.len() as u64 + 3;
        assert_eq!(counted(&haflux, front, "auth_refusals"), before + refused);
        // What a node tells everybody.
        assert_eq!(get(&format!("{url}/ping")).status, 204);
        let ping = request(
            "GET",
            &format!("{url}/ping?u=x&p=y"),
            &[("Authorization", "x")],
            b"",
        );
        assert_eq!(ping.status, 204);
        assert_eq!(
            request("OPTIONS", &format!("{url}/query"), &[], b"").status,
            200
        );
    }

    // Nobody else has seen what clients said.
    let sent = node.log();
    assert!(sent.contains("\"POST /write?db=d "), "{sent}");
    let logged = haflux.log();
    for secret in ["Bl4tt", "Wurzel", drawn, "eva", "adam"] {
        assert!(!sent.contains(secret), "the node heard {secret}");
        assert!(!logged.contains(secret), "the log shows {secret}");
    }
    haflux.says("a wrong password, token or user's name from 127.0.0.1");
}

#[test]
fn a_node_that_was_away_gets_what_it_missed_in_the_name_that_the_user_has_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = [line("boss", "b"), line("telegraf", "t"), line("guest", "g")];
    let users = write_users(folder.path(), &text.concat());
    for (name, password) in [("root", "of all"), ("writer", "of some")] {
        fs::write(folder.path().join(name), password).expect("a file");
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut lab = Lab::start_with(Options::default().auth(), |configuration| {
        let login = format!(
            "name = \"influx_back\"\nlogin = [{{ users = \"boss\", username = \"root\", password_file = \"{}\" }}, \
             {{ users = \"tele*\", username = \"writer\", password_file = \"{}\" }}]",
            path("root"),
            path("writer")
        );
        let table = format!("[users]\nfile = \"{}\"\n\n[[relay]]", users.display());
        replace(
            configuration,
            &[
                (
                    "name = \"influx_front\"",
                    "name = \"influx_front\"\nauth = true",
                ),
                ("name = \"influx_back\"", &login),
                ("[[relay]]", &table),
            ],
        )
    });
    for node in [&mut lab.node1, &mut lab.node2] {
        node.query(
            "",
            "CREATE USER root WITH PASSWORD 'of all' WITH ALL PRIVILEGES",
        );
        node.log_in("root", "of all");
        for statement in [
            "CREATE USER writer WITH PASSWORD 'of some'",
            "CREATE DATABASE d",
            "GRANT WRITE ON d TO writer",
        ] {
            node.query("", statement);
        }
    }
    let url = lab.influx_url();
    let (boss, telegraf) = (basic("boss", "b"), basic("telegraf", "t"));
    wait_until("a write to be taken", SOON, || {
        ask(&url, "/write", &[("db", "d")], &telegraf).status == 204
    });
    // What the nodes' user may not, haflux's user may not.
    let create = [("q", "CREATE DATABASE e")];
    assert_eq!(ask(&url, "/query", &create, &telegraf).status, 403);
    let read = [("q", "SELECT v FROM m"), ("db", "d")];
    let refused = ask(&url, "/query", &read, &telegraf);
    assert!(refused.text().contains("writer"), "{}", refused.text());
    // For whom no login is, nodes that ask want some.
    let guest = ask(&url, "/query", &read, &basic("guest", "g"));
    assert_nobody(&guest, "unable to parse authentication credentials");

    lab.node2.stop();
    assert_eq!(ask(&url, "/query", &create, &boss).status, 200);
    let lines = request(
        "POST",
        &format!("{url}/write?db=d"),
        &[("Authorization", &telegraf)],
        b"late v=7 7",
    );
    assert_eq!(lines.status, 204, "{}", lines.text());
    lab.node2.restart();
    lab.node2.log_in("root", "of all");
    lab.both_hold("d", "late", 1);
    // A write does not wait for a statement about another database.
    wait_until("the database that it missed", SOON, || {
        let databases = lab.node2.query("", "SHOW DATABASES").to_string();
        databases.contains("\"e\"")
    });
}

#[test]
fn a_certificate_names_its_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(&folder.path().join("authority"));
    let site = authority.sign("site.pem", "localhost", 90);
    let eva = authority.sign("eva.pem", "Eva.Example", 90);
    let other = authority.sign("other.pem", "other.example", 90);
    let node = StandIn::start(|request| {
        let said = request.header("authorization").unwrap_or("nothing");
        Behaviour::status(200, said)
    });
    let home = folder.path().join("haflux");
    let (adam, _) = users_command(&["hash", "adam"], "a\n");
    let users = format!("eva:$certificate$eva.example\n{adam}");
    write_users(&home, &users);
    fs::write(home.join("password"), "of the node").expect("a file");
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n[users]\nfile = \"FOLDER/users\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\nauth = true\n\
         tls = {{ certificate = \"{site}\", client_certificate = \"optional\", client_ca = \"{}\" }}\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{}\" }}]\n\
         login = {{ users = \"eva\", username = \"e\", password_file = \"FOLDER/password\" }}\n",
        authority.certificate(),
        node.address()
    );
    let haflux = Haflux::start(&home, &configuration);
    let address = haflux.address("front");
    let curl = |more: &[&str]| {
        let url = format!("https://{address}/query");
        let usual = ["-ksS", "-w", " %{http_code}", &url];
        succeeds(&run("curl", &[&usual, more].concat()))
    };
    let mapped = format!("{} 200", basic("e", "of the node"));
    assert_eq!(curl(&["--cert", &eva]), mapped);
    for version in ["1.2", "1.3"] {
        let version = ["--tls-max", version];
        let twice = format!("https://{address}/ping");
        // The second connection resumes the session of the first.
        let said = curl(
            &[
                &version[..],
                &["--cert", &eva, "-H", "Connection: close", &twice],
            ]
            .concat(),
        );
        assert!(said.starts_with(&mapped), "{said}");
    }
    assert!(curl(&["--cert", &other]).ends_with(" 401"));
    assert!(curl(&[]).ends_with(" 401"));
    // What a client says itself counts more.
    let adam = basic("adam", "a");
    let header = format!("Authorization: {adam}");
    assert_eq!(curl(&["--cert", &eva, "-H", &header]), "nothing 200");
}

#[test]
fn a_reload_reads_the_file_again_and_a_line_that_means_nothing_refuses_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = StandIn::start(|_| Behaviour::status(200, "{}"));
    let home = folder.path().join("haflux");
    let file = write_users(&home, &line("eva", "old"));
    let haflux = before(&node.address(), &home, "max_failures = 5", "");
    let url = haflux.url("plain");
    let status = |password: &str| ask(&url, "/query", &[], &basic("eva", password)).status;
    assert_eq!((status("old"), status("new")), (200, 401));
    let same = haflux.order(&["reload"]);
    assert!(same.contains("runs by already"), "{same}");

    fs::write(
        &file,
        format!("# people\neva:{{SHA}}secret\n{}", line("eva", "new")),
    )
    .expect("a file");
    let refused = haflux.refuses(&["reload"]);
    let expected = format!("{}, line 2: expected a hash by bcrypt", file.display());
    assert!(refused.contains(&expected), "{refused}");
    assert!(!refused.contains("secret"), "{refused}");
    assert_eq!((status("old"), status("new")), (200, 401));
    let checked = Command::new(env!("CARGO_BIN_EXE_haflux"))
        .args(["check", "--config"])
        .arg(haflux.file())
        .output()
        .expect("haflux");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        !checked.status.success() && said.contains(&expected),
        "{said}"
    );

    fs::write(&file, line("eva", "new")).expect("a file");
    let taken = haflux.order(&["reload"]);
    assert!(taken.contains("users: their file holds others"), "{taken}");
    assert_eq!((status("old"), status("new")), (401, 200));

    // Who guesses is not checked any more, and does not keep out who is known.
    let statuses: Vec<u16> = (0..9).map(|number| status(&number.to_string())).collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 429).count(),
        5,
        "{statuses:?}"
    );
    let last = ask(&url, "/query", &[], &basic("eva", "9"));
    assert_eq!(last.header("retry-after"), Some("1"));
    assert!(
        last.text().contains("users.max_failures"),
        "{}",
        last.text()
    );
    assert_eq!(counted(&haflux, "plain", "auth_limited"), 6);
    assert_eq!(status("new"), 200);
}

/// haflux before a node to which its users are let in by a login of the pool, and on the only server by another one. Behind it the files
/// of users and of both passwords, which nobody else can read.
fn with_logins(home: &Path, node: &str) -> (Haflux, [PathBuf; 3]) {
    let users = write_users(home, &line("eva", "e"));
    let (pool, own) = (home.join("pool"), home.join("own"));
    fs::write(&pool, "p one").expect("a file");
    fs::write(&own, "o one").expect("a file");
    let files = [users, pool, own];
    for file in &files {
        fs::set_permissions(file, Permissions::from_mode(0o600)).expect("a mode");
    }
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n[users]\nfile = \"FOLDER/users\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\nauth = true\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"other\"\n\
         [[backend]]\nname = \"other\"\nservers = [{{ name = \"one\", address = \"{node}\" }}]\n\
         [[backend]]\nname = \"back\"\nlogin = {{ username = \"p\", password_file = \"FOLDER/pool\" }}\n\
         servers = [{{ name = \"one\", address = \"{node}\", login = {{ instead_of = \"p\", username = \"o\", password_file = \"FOLDER/own\" }} }}]\n"
    );
    (Haflux::start(home, &configuration), files)
}

#[test]
fn a_reload_says_which_passwords_of_nodes_are_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = StandIn::start(|request| {
        Behaviour::status(200, request.header("authorization").unwrap_or("nothing"))
    });
    let (haflux, [_, pool, own]) = with_logins(&folder.path().join("haflux"), &node.address());
    let url = haflux.url("front");
    let offered = || ask(&url, "/query", &[], &basic("eva", "e")).text();
    assert_eq!(offered(), basic("o", "o one"));
    let same = haflux.order(&["reload"]);
    assert!(same.contains("runs by already"), "{same}");

    let of_pool = "backend \"back\", login: its password files hold others\n";
    let of_server = "backend \"back\", server \"one\", login: its password files hold others\n";
    for (file, text, line, other) in [
        (&pool, "p two", of_pool, of_server),
        (&own, "o two", of_server, of_pool),
    ] {
        fs::write(file, text).expect("a file");
        for arguments in [&["reload", "--dry-run"][..], &["reload"]] {
            let said = haflux.order(arguments);
            assert!(said.contains(line) && !said.contains(other), "{said}");
            assert!(!said.contains("two"), "{said}");
        }
        let own = fs::read_to_string(&own).expect("a file");
        assert_eq!(offered(), basic("o", &own));
        let same = haflux.order(&["reload", "--dry-run"]);
        assert!(same.contains("runs by already"), "{same}");
    }
}

#[test]
fn a_reload_warns_of_files_that_everybody_can_read_or_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = StandIn::start(|_| Behaviour::status(200, "{}"));
    let (haflux, files) = with_logins(&folder.path().join("haflux"), &node.address());
    haflux.order(&["reload"]);
    assert!(!haflux.log().contains("everybody on this machine"));
    for file in &files {
        fs::set_permissions(file, Permissions::from_mode(0o646)).expect("a mode");
    }
    haflux.order(&["reload"]);
    for file in &files {
        let file = file.display();
        haflux.says(&format!(
            "{file} holds a secret, and everybody on this machine can read it"
        ));
        haflux.says(&format!("everybody on this machine can write {file}"));
    }
}

#[test]
fn a_stranger_does_not_hear_that_a_pool_is_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("haflux");
    write_users(&home, &line("eva", "e"));
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n[users]\nfile = \"FOLDER/users\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\nauth = true\n\
         rules = {{ read = \"d\" }}\n\
         [[backend]]\nname = \"back\"\ncheck = {{ tcp = true, interval = \"100ms\", fall = 1 }}\n\
         servers = [{{ name = \"one\", address = \"127.0.0.1:{}\" }}]\n",
        free_port()
    );
    let haflux = Haflux::start(&home, &configuration);
    let url = haflux.url("front");
    let eva = basic("eva", "e");
    let read = [("q", "SELECT v FROM m"), ("db", "d")];
    wait_until("the pool to be down", SOON, || {
        let answer = ask(&url, "/query", &read, &eva);
        answer.status == 503 && answer.text().contains("back")
    });
    let nobody = ask(&url, "/query", &read, "");
    assert_nobody(&nobody, "unable to parse authentication credentials");
    let forbidden = [("q", "SELECT v FROM m"), ("db", "e")];
    let forbidden = ask(&url, "/query", &forbidden, &eva);
    assert_eq!(forbidden.status, 403, "{}", forbidden.text());
}

#[test]
fn a_crowd_of_guesses_waits_for_its_turn_and_no_longer_than_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = StandIn::start(|_| Behaviour::status(200, "{}"));
    let home = folder.path().join("haflux");
    // Half a second and more for each check.
    let hash = bcrypt::hash("slow", 4)
        .expect("a hash")
        .replace("$04$", "$09$");
    write_users(&home, &format!("eva:{hash}\n{}", line("adam", "a")));
    let keys = "at_once = 1\nmax_waiting = 8\nmax_failures = 1000";
    let haflux = before(&node.address(), &home, keys, "");
    let url = haflux.url("plain");
    assert_eq!(ask(&url, "/query", &[], &basic("adam", "a")).status, 200);
    let guesses: Vec<u16> = thread::scope(|scope| {
        let guess = |number: usize| {
            let url = &url;
            scope.spawn(move || ask(url, "/query", &[], &basic("eva", &number.to_string())).status)
        };
        let all: Vec<_> = (0..20).map(guess).collect();
        // Meanwhile who is known is served.
        assert_eq!(ask(&url, "/query", &[], &basic("adam", "a")).status, 200);
        all.into_iter()
            .map(|one| one.join().expect("an answer"))
            .collect()
    });
    let count = |status: u16| guesses.iter().filter(|one| **one == status).count();
    assert!(count(401) >= 2 && count(503) >= 1, "{guesses:?}");
    assert_eq!(count(401) + count(503), 20, "{guesses:?}");
    let refused = status::frontend(&haflux.url("page"), "plain");
    assert_eq!(refused["auth_limited"], count(503));
}

#[test]
fn pythons_client_and_the_shell_log_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    let home = folder.path().join("haflux");
    write_users(&home, &line("eva", "pass: word"));
    let haflux = before(&node.address(), &home, "", "");
    let address = haflux.address("front");
    let (host, port) = address.split_once(':').expect("host:port");
    let script = r#"
import sys
from influxdb import InfluxDBClient
from influxdb.exceptions import InfluxDBClientError
client = InfluxDBClient(sys.argv[1], int(sys.argv[2]), "eva", "pass: word", "d")
client.create_database("d")
assert client.ping()
assert client.write_points([{"measurement": "m", "fields": {"v": 1.0}}])
assert len(list(client.query("SELECT v FROM m").get_points())) == 1
try:
    InfluxDBClient(sys.argv[1], int(sys.argv[2]), "eva", "wrong", "d").get_list_database()
except InfluxDBClientError as error:
    assert error.code == 401 and "authorization failed" in error.content, error
else:
    raise SystemExit("a wrong password is taken")
"#;
    succeeds(&run(python(), &["-c", script, host, port]));
    let shell = |password: &str| {
        let usual = [
            "-host",
            host,
            "-port",
            port,
            "-username",
            "eva",
            "-password",
            password,
        ];
        let output = run(
            "influx",
            &[&usual[..], &["-execute", "SHOW DATABASES"]].concat(),
        );
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let said = shell("pass: word");
    assert!(said.lines().any(|line| line == "d"), "{said}");
    let said = shell("wrong");
    assert!(said.contains("authorization failed"), "{said}");
}
