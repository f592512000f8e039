//! Nodes whose users differ: who a login of the pool is on each of them.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use crate::support::authority::Authority;
use crate::support::http::{Answer, query_string, request};
use crate::support::wait::SOON;
use crate::support::{Haflux, Influxd, Options, wait_until};
use crate::users::{basic, line};

const DATABASE: &str = "d";

/// A node inside TLS, with an administrator and with somebody who may write and read.
fn node(
    folder: &Path,
    certificate: &str,
    administrator: (&str, &str),
    writer: (&str, &str),
) -> Influxd {
    let options = Options::default().auth().secure(certificate);
    let mut node = Influxd::start_with(folder, options);
    let (name, password) = administrator;
    let create = format!("CREATE USER {name} WITH PASSWORD '{password}' WITH ALL PRIVILEGES");
    node.query("", &create);
    node.log_in(name, password);
    let (name, password) = writer;
    for statement in [
        format!("CREATE USER {name} WITH PASSWORD '{password}'"),
        format!("CREATE DATABASE {DATABASE}"),
        format!("GRANT ALL ON {DATABASE} TO {name}"),
    ] {
        node.query("", &statement);
    }
    node
}

fn configuration(authority: &str, one: &Influxd, two: &Influxd) -> String {
    let login = |name: &str| format!("username = \"{name}\", password_file = \"FOLDER/{name}\"");
    let pool = format!(
        "tls = {{ ca = {authority:?} }}\n\
         login = [{{ users = \"boss\", {} }}, {{ users = \"telegraf\", {} }}]\n\
         servers = [{{ name = \"one\", address = \"{}\" }}, {{ name = \"two\", address = \"{}\", login = [\
         {{ instead_of = \"root\", {} }}, {{ instead_of = \"writer\", {} }}] }}]\n",
        login("root"),
        login("writer"),
        one.address(),
        two.address(),
        login("admin"),
        login("scribe"),
    );
    format!(
        "[server]\ndata_dir = \"FOLDER/data\"\nlog_level = \"debug\"\n\
         [users]\nfile = \"FOLDER/users\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\nauth = true\n\
         [[frontend]]\nname = \"plain\"\nbind = \"127.0.0.1:PORT(plain)\"\ndefault_backend = \"plain_back\"\nauth = true\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\nrewind = \"1s\"\nheal = {{ {} }}\n\
         [[udp]]\nbind = \"127.0.0.1:UDP(udp)\"\nrelay = \"relay\"\ndb = \"{DATABASE}\"\n{}\n\
         [[backend]]\nname = \"back\"\n{pool}\
         [[backend]]\nname = \"plain_back\"\n{pool}",
        login("root"),
        login("writer").replace(", ", "\n"),
    )
}

fn ask(url: &str, path: &str, parameters: &[(&str, &str)], who: &str, body: &[u8]) -> Answer {
    let url = format!("{url}{path}?{}", query_string(parameters));
    request("POST", &url, &[("Authorization", who)], body)
}

#[track_caller]
fn assert_holds(node: &Influxd, measurement: &str) {
    let count = format!("SELECT count(v) FROM {measurement}");
    wait_until("the point", SOON, || {
        let rows = node.query(DATABASE, &count).to_string();
        rows.contains("\"count\"")
    });
}

#[test]
fn a_request_reaches_each_node_by_the_account_that_its_user_has_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("haflux");
    fs::create_dir_all(&home).expect("a folder");
    for (name, text) in [
        ("users", [line("boss", "b"), line("telegraf", "t")].concat()),
        ("root", "of one".to_owned()),
        ("writer", "w of one".to_owned()),
        ("admin", "of two".to_owned()),
        ("scribe", "s of two".to_owned()),
    ] {
        fs::write(home.join(name), text).expect("a file");
    }
    let place = |name: &str| folder.path().join(name);
    let authority = Authority::new(folder.path());
    let certificate = authority.sign("node.pem", "influx.example", 90);
    let node =
        |name, administrator, writer| node(&place(name), &certificate, administrator, writer);
    let mut one = node("one", ("root", "of one"), ("writer", "w of one"));
    let mut two = node("two", ("admin", "of two"), ("scribe", "s of two"));
    let configuration = configuration(&authority.certificate(), &one, &two);
    let haflux = Haflux::start(&home, &configuration);
    let (front, plain) = (haflux.url("front"), haflux.url("plain"));
    let (boss, telegraf) = (basic("boss", "b"), basic("telegraf", "t"));
    let in_database = [("db", DATABASE)];

    let write = |body: &str| ask(&front, "/write", &in_database, &telegraf, body.as_bytes());
    wait_until("a write to be taken", SOON, || {
        write("m v=1 1").status == 204
    });
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let udp = ("127.0.0.1", haflux.udp_port("udp"));
    socket
        .send_to(b"datagram v=1 1\n", udp)
        .expect("a datagram");
    for node in [&one, &two] {
        assert_holds(node, "m");
        assert_holds(node, "datagram");
    }

    // What came while a node was away reaches it by its own accounts, too.
    two.stop();
    let create = [("q", "CREATE DATABASE e")];
    let created = ask(&front, "/query", &create, &boss, b"");
    assert_eq!(created.status, 200, "{}", created.text());
    assert_eq!(write("late v=7 7").status, 204);
    two.restart();
    two.log_in("admin", "of two");
    assert_holds(&two, "late");
    wait_until("the database that it missed", SOON, || {
        two.query("", "SHOW DATABASES")
            .to_string()
            .contains("\"e\"")
    });

    // So does a letter that is sent again.
    let planted = two.write(DATABASE, "refused v=\"a string\" 1\n");
    assert_eq!(planted.status, 204, "{}", planted.text());
    assert_eq!(write("refused v=3 3").status, 204);
    wait_until("a dead letter", SOON, || {
        haflux.order(&["dead-letters", "list"]).contains("conflict")
    });
    two.query(DATABASE, "DROP MEASUREMENT refused");
    haflux.order(&["dead-letters", "replay", "all", "--yes"]);
    assert_holds(&two, "refused");

    // haflux's own questions, too: it is let in everywhere, and takes an account for the one in whose place it is.
    let told = |order: &[&str]| {
        let told = haflux.told(order);
        let said = String::from_utf8_lossy(&told.stdout).into_owned();
        (told.status.code(), said)
    };
    let (status, said) = told(&["compare"]);
    assert_eq!(status, Some(0), "{said}");
    two.query("", "GRANT READ ON e TO scribe");
    let (status, said) = told(&["compare"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("user writer on e: one: - | two: READ"),
        "{said}"
    );
    let (status, said) = told(&["mend", "--from", "one", "--yes"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        !said.contains("DROP USER") && !said.contains("lacks"),
        "{said}"
    );
    two.query("", "REVOKE ALL ON e FROM scribe");
    let (status, said) = told(&["mend", "--from", "two", "--yes"]);
    assert_eq!(status, Some(0), "{said}");

    // A password is changed where it differs, and is read again.
    two.query("", "SET PASSWORD FOR scribe = 'new'");
    fs::write(home.join("scribe"), "new").expect("a file");
    haflux.order(&["reload"]);
    one.stop();
    // Reads of the replicated pool, and of the plain one in two ways: the second has a body that is passed on as it comes.
    let read = [("q", "SELECT v FROM late"), ("db", DATABASE)];
    let padded = format!("{}&x={}", query_string(&read), "x".repeat(300_000));
    let form = [
        ("Authorization", telegraf.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    for url in [&front, &plain] {
        // Its checks may have to see that it is back.
        wait_until("the other one to be read", SOON, || {
            let answer = ask(url, "/query", &read, &telegraf, b"");
            answer.text().contains("late")
        });
        let answer = request("POST", &format!("{url}/query"), &form, padded.as_bytes());
        assert!(answer.text().contains("late"), "{}", answer.text());
    }
    assert_eq!(write("alone v=1 1").status, 204);
    assert_holds(&two, "alone");
    one.restart();
    one.log_in("root", "of one");
    assert_holds(&one, "alone");
    for secret in ["of one", "of two"] {
        assert!(!haflux.log().contains(secret), "the log shows {secret}");
    }
}
