//! TLS towards servers: real nodes that speak it, and an HAProxy that demands what nodes of 1.6 cannot.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::authority::Authority;
use crate::support::haproxy::Haproxy;
use crate::support::lab::{brisk, pool_keys};
use crate::support::ports::free_port;
use crate::support::wait::SOON;
use crate::support::{
    Behaviour, Haflux, Influxd, Lab, Options, StandIn, carry_out, http, query, status, wait_until,
    write,
};
use serde_json::Value;

/// What the page says of the only server of a backend.
fn server(url: &str, backend: &str) -> Value {
    let mut page = status::page(url);
    let backends = page["backends"].as_array_mut().expect("backends");
    let mut backends = backends.iter_mut();
    let found = backends.find(|one| one["name"] == backend);
    found.expect("a backend of that name")["servers"][0].take()
}

/// Waits until its check says this of a server that is down.
#[track_caller]
fn is_down_because(url: &str, backend: &str, reason: &str) {
    wait_until(&format!("{backend}: {reason}"), SOON, || {
        let server = server(url, backend);
        let check = &server["last_check"];
        let is_said = check["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains(reason));
        server["status"] == "down" && check["code"] == "L6RSP" && is_said
    });
}

#[track_caller]
fn is_up(url: &str, backend: &str) {
    wait_until(&format!("{backend} to be up"), SOON, || {
        let server = server(url, backend);
        server["status"] == "up" && server["last_check"]["code"] == "L7OK"
    });
}

/// How many handshakes with the server of a backend failed so.
fn failures(url: &str, backend: &str, reason: &str) -> u64 {
    let server = server(url, backend);
    server["tls"]["failures"][reason]
        .as_u64()
        .expect("a number")
}

#[test]
fn everything_goes_to_nodes_inside_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    let certificate = authority.sign("node.pem", "influx.example", 90);
    let ca = authority.certificate();
    let lab = Lab::start_with(Options::default().secure(&certificate), |text| {
        pool_keys(&format!("tls = {{ ca = \"{ca}\" }}"))(brisk(text))
    });
    assert!(lab.node1.url().starts_with("https://"));
    let url = lab.influx_url();

    lab.carry_out("", "CREATE DATABASE telegraf");
    lab.write_points(0..20);
    // Several records of TLS, each way.
    let many: String = (0..9_000).map(|n| format!("many v={n} {n}\n")).collect();
    assert_eq!(write(&url, "telegraf", many).status, 204);
    lab.both_hold("telegraf", "m", 20);
    lab.both_hold("telegraf", "many", 9_000);
    for _ in 0..4 {
        let answer = query(&url, "telegraf", "SELECT v FROM many");
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains(",8999]"), "{}", answer.body.len());
    }
    lab.carry_out("telegraf", "DELETE FROM m WHERE time < 10");
    lab.both_hold("telegraf", "m", 10);
    lab.haflux.order(&["compare"]);

    let backend = "influx_back";
    is_up(&url, backend);
    let tls = server(&url, backend)["tls"].take();
    assert_eq!(tls["is_spoken"], true);
    let count = |name: &str| tls[name].as_u64().expect("a number");
    // All but the first few, if they were not made at the same time.
    assert!(count("resumed") >= 5, "{tls}");
    // Connections are kept: replication, reads and haflux's own questions need few, checks one each.
    let reuses = server(&url, backend)["reuses"].as_u64();
    assert!(reuses.is_some_and(|reuses| reuses > 0));
    let all = tls["failures"].as_object().expect("failures");
    assert!(all.values().all(|count| *count == 0), "{tls}");
    let checked = lab.haflux.order(&["check"]);
    assert!(checked.contains(", by TLS as 127.0.0.1"), "{checked}");
}

/// One backend for each table of TLS, with the frontend of the same name, all to the server at `address`.
fn before(folder: &Path, backends: &[(&str, String, String)]) -> Haflux {
    let mut text = "[server]\ndata_dir = \"FOLDER/data\"\nlog_level = \"debug\"\n\
         [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\nmetrics_uri = \"/metrics\"\n"
        .to_owned();
    for (name, address, keys) in backends {
        text += &format!(
            "[[frontend]]\nname = \"{name}\"\nbind = \"127.0.0.1:PORT({name})\"\ndefault_backend = \"{name}\"\n\
             [[backend]]\nname = \"{name}\"\n{keys}\ncheck = {{ http = \"/ping\", interval = \"100ms\" }}\n\
             servers = [{{ name = \"one\", address = \"{address}\" }}]\n"
        );
    }
    Haflux::start(&folder.join("haflux"), &text)
}

#[test]
fn a_server_that_is_not_who_it_should_be_is_down_and_gets_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(&folder.path().join("authority"));
    let stranger = Authority::new(&folder.path().join("stranger"));
    let good = authority.sign("node.pem", "influx.example", 90);
    let expired = authority.sign_expired("expired.pem", "influx.example");
    let itself = authority.sign_itself("itself.pem", "influx.example");
    let node = StandIn::start(|request| Behaviour::status(200, &request.target));
    let door = Door::open(
        folder.path(),
        &node.address(),
        &[
            ("good", &format!("ssl crt {good}")),
            ("expired", &format!("ssl crt {expired}")),
            ("itself", &format!("ssl crt {itself}")),
            ("old", &format!("ssl crt {good} ssl-max-ver TLSv1.2")),
            ("told", &format!("accept-proxy ssl crt {good}")),
            ("plain", ""),
        ],
    );
    let ca = format!("ca = \"{}\"", authority.certificate());
    let keys = |keys: &str| format!("tls = {{ {keys} }}");
    let named = format!("{ca}, server_name = \"influx.example\"");
    let backends = [
        ("right", door.address("good"), keys(&named)),
        (
            "unknown",
            door.address("good"),
            keys(&format!("ca = \"{}\"", stranger.certificate())),
        ),
        ("system", door.address("good"), "tls = true".to_owned()),
        (
            "misnamed",
            door.address("good"),
            keys(&format!("{ca}, server_name = \"other.example\"")),
        ),
        ("expired", door.address("expired"), keys(&ca)),
        ("plain", door.address("plain"), keys(&ca)),
        (
            "newer",
            door.address("old"),
            keys(&format!("{ca}, min_version = \"1.3\"")),
        ),
        (
            "unverified",
            door.address("expired"),
            keys("verify = \"none\", server_name = \"other.example\""),
        ),
        (
            "itself",
            door.address("itself"),
            keys(&format!("ca = \"{itself}\"")),
        ),
        (
            "told",
            door.address("told"),
            format!("send_proxy = \"v2\"\n{}", keys(&ca)),
        ),
    ];
    let haflux = before(folder.path(), &backends);
    let page = haflux.url("page");
    for (backend, reason, counted) in [
        (
            "unknown",
            "no authority that is trusted here has signed its certificate",
            "unknown_authority",
        ),
        (
            "system",
            "no authority that is trusted here has signed its certificate",
            "unknown_authority",
        ),
        (
            "misnamed",
            "not made out to other.example, but to influx.example",
            "wrong_name",
        ),
        ("expired", "its certificate has expired", "expired"),
        ("plain", "it does not speak TLS", "plain"),
        ("newer", "it turns the connection down", "turned_down"),
    ] {
        is_down_because(&page, backend, reason);
        assert!(failures(&page, backend, counted) > 0, "{backend}");
        let answer = http::get(&format!("{}/of_{backend}", haflux.url(backend)));
        assert_eq!(answer.status, 503, "{backend}");
    }
    for backend in ["right", "unverified", "itself", "told"] {
        is_up(&page, backend);
        let path = format!("/of_{backend}");
        let answer = http::get(&format!("{}{path}", haflux.url(backend)));
        assert_eq!((answer.status, answer.text()), (200, path));
        // What Pingora's own path sends, because its end is not known.
        assert_eq!(upload(&haflux.address(backend)), 200, "{backend}");
    }
    let seen = node.requests();
    let ours = |target: &str| ["/ping", "/upload"].contains(&target);
    let mut others: Vec<String> = seen
        .iter()
        .map(|request| request.target.clone())
        .filter(|target| !ours(target))
        .collect();
    others.sort();
    assert_eq!(
        others,
        ["/of_itself", "/of_right", "/of_told", "/of_unverified"]
    );
    let warned = haflux.told(&["check"]);
    let warned = String::from_utf8_lossy(&warned.stderr).into_owned();
    assert_eq!(warned.matches("are not verified").count(), 1, "{warned}");
    haflux.says("are not verified");
    assert!(warned.contains("unverified\".tls.verify") || warned.contains("tls.verify"));
}

#[test]
fn a_session_ends_with_the_servers_certificate() {
    const SHORT_TIME: u32 = 12;
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(&folder.path().join("authority"));
    let node = StandIn::start(|_| Behaviour::status(200, "here"));
    let begun = Instant::now();
    let brief = authority.sign_briefly("node.pem", "influx.example", SHORT_TIME);
    let door = Door::open(
        folder.path(),
        &node.address(),
        &[
            ("new", &format!("ssl crt {brief} ssl-min-ver TLSv1.3")),
            ("old", &format!("ssl crt {brief} ssl-max-ver TLSv1.2")),
        ],
    );
    let keys = format!("tls = {{ ca = \"{}\" }}", authority.certificate());
    let backends = ["new", "old"].map(|name| (name, door.address(name), keys.clone()));
    let haflux = before(folder.path(), &backends);
    let page = haflux.url("page");
    for backend in ["new", "old"] {
        wait_until("sessions to go on", SOON, || {
            server(&page, backend)["tls"]["resumed"]
                .as_u64()
                .is_some_and(|resumed| resumed > 2)
        });
        assert_eq!(server(&page, backend)["status"], "up");
    }
    let end = Duration::from_secs(u64::from(SHORT_TIME) + 1);
    std::thread::sleep(end.saturating_sub(begun.elapsed()));
    for backend in ["new", "old"] {
        is_down_because(&page, backend, "its certificate has expired");
    }
}

/// Sends a body in chunks, and more than is held in memory; the answer's status.
fn upload(address: &str) -> u16 {
    let mut connection = TcpStream::connect(address).expect("a connection");
    let head = "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.write_all(head.as_bytes()).expect("it is open");
    let piece = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
    for _ in 0..20 {
        connection.write_all(&piece).expect("it is open");
    }
    connection.write_all(b"0\r\n\r\n").expect("it is open");
    let mut reader = std::io::BufReader::new(http::UntilDeadline {
        connection: connection.into(),
        end: Instant::now() + SOON,
    });
    let answer = http::read_answer(&mut reader, false);
    answer.expect("an answer").0.status
}

/// An HAProxy that speaks TLS on ports of its own and hands what is inside to a server.
struct Door {
    ports: Vec<(String, u16)>,
    _haproxy: Haproxy,
}

impl Door {
    /// `binds`: names, and what HAProxy's `bind` says behind the address.
    fn open(folder: &Path, address: &str, binds: &[(&str, &str)]) -> Self {
        let mut text = format!(
            "global\n stats socket {}/haproxy.sock\ndefaults\n mode http\n timeout client 30s\n timeout server 30s\n timeout connect 5s\n",
            folder.display()
        );
        let mut ports = Vec::new();
        for (name, parameters) in binds {
            let port = free_port();
            text += &format!(
                "listen {name}\n bind 127.0.0.1:{port} {parameters}\n server one {address}\n"
            );
            ports.push(((*name).to_owned(), port));
        }
        Self {
            ports,
            _haproxy: Haproxy::start(folder, &text),
        }
    }

    fn address(&self, name: &str) -> String {
        let mut ports = self.ports.iter();
        let found = ports.find(|(known, _)| known == name);
        format!("127.0.0.1:{}", found.expect("a door of that name").1)
    }
}

#[test]
fn of_the_lists_of_revoked_servers_the_newest_of_each_key_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = Authority::new(&folder.path().join("old"));
    let new = Authority::new(&folder.path().join("new"));
    for authority in [&old, &new] {
        for server in ["good.pem", "revoked.pem"] {
            authority.sign(server, "influx.example", 90);
        }
    }
    let read = |file: String| std::fs::read(file).expect("a file");
    let both = [read(old.certificate()), read(new.certificate())].concat();
    let lists = [
        old.list("09", &[]),
        old.list("0A", &["revoked.pem"]),
        new.list("01", &["revoked.pem"]),
    ];
    std::fs::write(new.file("both.pem"), both).expect("a file");
    std::fs::write(new.file("lists.pem"), lists.concat()).expect("a file");
    let keys = format!(
        "tls = {{ ca = \"{}\", crl = \"{}\" }}",
        new.file("both.pem"),
        new.file("lists.pem")
    );
    let servers = [
        ("good_old", old.file("good.pem")),
        ("good_new", new.file("good.pem")),
        ("revoked_old", old.file("revoked.pem")),
        ("revoked_new", new.file("revoked.pem")),
    ];
    let binds = servers
        .each_ref()
        .map(|(name, file)| (*name, format!("ssl crt {file}")));
    let binds = binds.each_ref().map(|(name, bind)| (*name, bind.as_str()));
    let node = StandIn::start(|request| Behaviour::status(200, &request.target));
    let door = Door::open(folder.path(), &node.address(), &binds);
    let backends = servers
        .each_ref()
        .map(|(name, _)| (*name, door.address(name), keys.clone()));
    let haflux = before(folder.path(), &backends);
    let page = haflux.url("page");
    for good in ["good_old", "good_new"] {
        is_up(&page, good);
    }
    for revoked in ["revoked_old", "revoked_new"] {
        is_down_because(&page, revoked, "revoked");
    }
}

#[test]
fn a_relay_writes_to_no_node_that_is_not_verified_until_a_reload_knows_its_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = Authority::new(&folder.path().join("old"));
    let new = Authority::new(&folder.path().join("new"));
    let node = Options::default().secure(&new.sign("node.pem", "influx.example", 90));
    let node = Influxd::start_with(&folder.path().join("node"), node);
    node.create_database("telegraf");
    let trusted = folder.path().join("trusted.pem");
    std::fs::copy(old.certificate(), &trusted).expect("a file");
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\nstats_uri = \"/haproxy?stats\"\ndefault_backend = \"relay\"\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\nack = \"journal\"\nretry = {{ min = \"50ms\", max = \"200ms\" }}\ntrust_for = \"1h\"\n\
         [[backend]]\nname = \"back\"\ncheck = {{ http = \"/ping\", interval = \"100ms\" }}\n\
         tls = {{ ca = \"{}\" }}\nservers = [{{ name = \"one\", address = \"{}\" }}]\n",
        trusted.display(),
        node.address()
    );
    let haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    let url = haflux.url("front");
    is_down_because(&url, "back", "no authority that is trusted here");
    wait_until("the replica to say why", SOON, || {
        let replica = status::replica(&url, 0);
        let error = replica["last_error"]["text"].as_str().unwrap_or_default();
        replica["status"] == "down" && error.contains("TLS: no authority that is trusted here")
    });
    assert_eq!(node.count("telegraf", "m", "v"), 0);

    // Files that cannot be used change nothing.
    std::fs::write(&trusted, "nothing").expect("a file");
    let said = haflux.refuses(&["reload"]);
    assert!(said.contains("holds no certificate"), "{said}");
    assert!(said.contains("nothing was changed"), "{said}");
    std::fs::copy(new.certificate(), &trusted).expect("a file");
    let said = haflux.order(&["reload"]);
    assert!(
        said.contains("backend \"back\", server \"one\", tls: its files hold other certificates"),
        "{said}"
    );
    is_up(&url, "back");
    wait_until("the write to be taken", SOON, || {
        write(&url, "telegraf", "m v=1 1").status == 204
    });
    wait_until("the write to arrive", SOON, || {
        node.count("telegraf", "m", "v") == 1
    });
    carry_out(&url, &[("db", "telegraf"), ("q", "DROP MEASUREMENT m")]);

    // Connections that were made before are not used on.
    std::fs::copy(old.certificate(), &trusted).expect("a file");
    haflux.order(&["reload"]);
    is_down_because(&url, "back", "no authority that is trusted here");
    assert_eq!(write(&url, "telegraf", "m v=2 2").status, 204);
    wait_until("the replica to be tried", SOON, || {
        let replica = status::replica(&url, 0);
        replica["status"] == "down"
    });
    assert_eq!(node.count("telegraf", "m", "v"), 0);
    std::fs::copy(new.certificate(), &trusted).expect("a file");
    haflux.order(&["reload"]);
    wait_until("the write to arrive", SOON, || {
        node.count("telegraf", "m", "v") == 1
    });
}

#[test]
fn a_node_that_demands_a_certificate_is_shown_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(&folder.path().join("authority"));
    let site = authority.sign("node.pem", "influx.example", 90);
    let own = authority.sign("own.pem", "haflux", 90);
    let ca = authority.certificate();
    let node = Influxd::start(&folder.path().join("node"));
    node.create_database("telegraf");
    let bind = format!("ssl crt {site} ca-file {ca} verify required");
    let old = format!("{bind} ssl-max-ver TLSv1.2");
    let doors = [("new", bind.as_str()), ("old", old.as_str())];
    let door = Door::open(folder.path(), &node.address(), &doors);
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\nstats_uri = \"/haproxy?stats\"\nmetrics_uri = \"/metrics\"\ndefault_backend = \"relay\"\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\nretry = {{ min = \"50ms\", max = \"200ms\" }}\n\
         [[backend]]\nname = \"back\"\ncheck = {{ http = \"/ping\", interval = \"100ms\" }}\n\
         servers = [{{ name = \"one\", address = \"{}\", tls = {{ ca = \"{ca}\" }} }}]\n",
        door.address("new")
    );
    let haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    let url = haflux.url("front");
    for version in ["new", "old"] {
        is_down_because(&url, "back", "it turns the connection down");
        wait_until("the replica to be down", SOON, || {
            status::replica(&url, 0)["status"] == "down"
        });
        let without = format!("tls = {{ ca = \"{ca}\" }}");
        let with = format!("tls = {{ ca = \"{ca}\", certificate = \"{own}\" }}");
        haflux.edit(&[(&without, &with)]);
        haflux.order(&["reload"]);
        is_up(&url, "back");
        // Its checks may find it up before the relay does.
        wait_until("the write to be taken", SOON, || {
            write(&url, "telegraf", format!("{version} v=1 1")).status == 204
        });
        wait_until("the write to arrive", SOON, || {
            node.count("telegraf", version, "v") == 1
        });
        if version == "new" {
            let [new, old] = ["new", "old"].map(|name| door.address(name));
            haflux.edit(&[(&with, &without), (&new, &old)]);
            haflux.order(&["reload"]);
        }
    }
    let metrics = http::get(&format!("{url}/metrics")).text();
    let line = format!(
        "haflux_server_certificate_not_after_seconds{{backend=\"back\",server=\"one\",certificate=\"{own}\"}} "
    );
    assert!(metrics.contains(&line), "{metrics}");

    authority.sign("own.pem", "haflux", 5);
    let said = haflux.told(&["check"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("own.pem expires in 4 days"), "{said}");
    let said = haflux.order(&["reload"]);
    assert!(said.contains("its files hold other certificates"), "{said}");
    wait_until("the page to say it", Duration::from_secs(10), || {
        let problems = status::page(&url)["problems"].take();
        let problems = problems.as_array().cloned().unwrap_or_default();
        problems.iter().any(|problem| {
            let what = problem["what"].as_str().unwrap_or_default();
            let why = problem["why"].as_str().unwrap_or_default();
            what.contains("own.pem expires in ") && why.starts_with("Server back/one is shown it")
        })
    });
}
