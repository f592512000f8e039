//! No secret of any request reaches the log, however much of it is asked for, in whatever form and wherever it goes.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::http::raw;
use crate::support::lab::brisk;
use crate::support::programs::{run, succeeds};
use crate::support::wait::SOON;
use crate::support::{Haflux, Influxd, Lab, Options, wait_until};

const SECRET: &str = "s3cr3t";

/// Good and bad requests with the secret in every place where one may stand.
fn requests() -> Vec<Vec<u8>> {
    let places = |start: &str, end: &str| {
        let whole = format!(
            "{start}\r\nHost: x\r\nAuthorization: Basic {SECRET}\r\nCookie: {SECRET}\r\nX-{SECRET}: {SECRET}\r\n{end}"
        );
        whole.into_bytes()
    };
    let query =
        format!("q=CREATE+USER+u+WITH+PASSWORD+'{SECRET}'&u={SECRET}&p={SECRET}&token={SECRET}");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let length = query.len();
    let mut requests = vec![
        places(&format!("GET /query?{query} HTTP/1.1"), "\r\n"),
        places(&format!("GET /query?{query}\"<>é HTTP/1.1"), "\r\n"),
        places(&format!("GET http://x/query?{query} HTTP/1.1"), "\r\n"),
        places(
            "POST /query HTTP/1.1",
            &format!("{form}Content-Length: {length}\r\n\r\n{query}"),
        ),
        places(
            &format!("POST /write?db=t&{query} HTTP/1.1"),
            &format!("Content-Length: 6\r\n\r\n{SECRET}"),
        ),
        places(
            &format!("POST /write?{query} HTTP/1.1"),
            &format!("Content-Length: 90\r\n\r\n{SECRET}"),
        ),
        // Malformed in each of its parts.
        places(&format!("GET /query?{query}#{SECRET} HTTP/1.1"), "\r\n"),
        places(&format!("GET /query? {query} HTTP/1.1"), "\r\n"),
        places(
            &format!("GET http://{SECRET}:{SECRET}@x/query?{query} HTTP/1.1"),
            "\r\n",
        ),
        places(&format!("GET foo:/query?{query} HTTP/1.1"), "\r\n"),
        places(
            &format!("GET /query;p={SECRET}?{query} HTTP/1.1"),
            &format!("{SECRET}\r\n\r\n"),
        ),
        places(&format!("GET /query?{query} HTTP/9.1"), "\r\n"),
        places(&format!("GET /query?{query}"), "\r\n"),
        places(&format!("GET\t/query?{query}\tHTTP/1.1"), "\r\n"),
        places(&format!("{SECRET}\u{1}"), "\r\n"),
        places(
            &format!("GET /query?{query} HTTP/1.1"),
            &format!("A{SECRET} : {SECRET}\r\n\r\n"),
        ),
        places(
            &format!("GET /query?{query} HTTP/1.1"),
            &format!(" {SECRET}\r\n\r\n"),
        ),
        places(
            &format!("GET /query?{query} HTTP/1.1"),
            &format!("A: {SECRET}\0\r\n\r\n"),
        ),
        places(
            &format!("GET /query?{query} HTTP/1.1"),
            &format!("Host: {SECRET}\r\n\r\n"),
        ),
        places(
            &format!("POST /query?{query} HTTP/1.1"),
            &format!("Content-Length: {SECRET}\r\n\r\n"),
        ),
        places(
            &format!("POST /query?{query} HTTP/1.1"),
            &format!("Transfer-Encoding: {SECRET}\r\n\r\n"),
        ),
        places(
            &format!("POST /query?{query} HTTP/1.1"),
            &format!("Expect: {SECRET}\r\n\r\n"),
        ),
        places(
            "POST /query HTTP/1.1",
            &format!("Transfer-Encoding: chunked\r\n\r\n{SECRET}\r\n"),
        ),
        places(
            "POST /query HTTP/1.1",
            &format!("Transfer-Encoding: chunked\r\n\r\n3;{SECRET}\r\nabcd{SECRET}"),
        ),
        places(
            "POST /write?db=t HTTP/1.1",
            &format!("Transfer-Encoding: chunked\r\n\r\n6\r\n{SECRET}\nz"),
        ),
        places(
            &format!("GET /query?{query} HTTP/1.1"),
            &format!("A: {}\r\n\r\n", SECRET.repeat(20_000)),
        ),
        places(&format!("GET /p={SECRET} HTTP/1.1"), "\r\n"),
        places(&format!("GET /query%3Fp={SECRET} HTTP/1.1"), "\r\n"),
        // Breaks off.
        places(&format!("GET /query?{query} HTTP/1.1"), ""),
    ];
    let tail = requests
        .iter()
        .map(|request| [request, &b"GET / HTTP/1.1\r\n"[..]].concat());
    let tail: Vec<_> = tail.collect();
    requests.extend(tail);
    requests
}

#[test]
fn no_secret_is_logged_at_any_level() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    node.create_database("t");
    let address = node.address();
    let configuration = |level: &str| {
        format!(
            "[server]\ndata_dir = \"FOLDER/data\"\nlog_level = \"{level}\"\n\
             [[log]]\nto = \"stderr\"\n\
             [[log]]\nto = \"FOLDER/log.json\"\nformat = \"json\"\n\
             [[log]]\nto = \"syslog:FOLDER/syslog\"\n\
             [[log]]\nto = \"syslog:FOLDER/syslog\"\nformat = \"json\"\nsyslog = \"rfc5424\"\n\
             [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\n\
             [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\n\
             [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n\
             [[frontend]]\nname = \"plain\"\nbind = \"127.0.0.1:PORT(plain)\"\ndefault_backend = \"plain_back\"\n\
             [[backend]]\nname = \"plain_back\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n\
             [[frontend]]\nname = \"dead\"\nbind = \"127.0.0.1:PORT(dead)\"\ndefault_backend = \"dead_back\"\n\
             [[backend]]\nname = \"dead_back\"\ncheck = false\nservers = [{{ name = \"none\", address = \"127.0.0.1:1\" }}]\n"
        )
    };
    for (level, overridden) in [
        ("debug", None),
        ("info", Some("trace")),
        ("info", Some("pingora=debug,info")),
    ] {
        let environment: Vec<_> = overridden
            .map(|filters| ("RUST_LOG".to_owned(), filters.to_owned()))
            .into_iter()
            .collect();
        let folder = folder.path().join(overridden.unwrap_or(level));
        std::fs::create_dir_all(&folder).expect("a folder");
        let syslog = UnixDatagram::bind(folder.join("syslog")).expect("a socket");
        syslog.set_read_timeout(Some(SOON)).expect("a timeout");
        let reading = std::thread::spawn(move || {
            let (mut all, mut space) = (String::new(), [0; 65536]);
            let mut ends = 0;
            while ends < 2 {
                let length = syslog
                    .recv(&mut space)
                    .expect("a line before the last ones");
                let line = String::from_utf8_lossy(&space[..length]);
                ends += usize::from(line.ends_with("stopped") || line.ends_with("stopped\"}"));
                all.push_str(&line);
                all.push('\n');
            }
            all
        });
        let mut haflux = Haflux::start_in(&folder, &configuration(level), &environment);
        for front in ["front", "plain", "dead"] {
            for request in requests() {
                // Some get an answer, some are cut off: only the log counts.
                let _ = raw(&haflux.address(front), &request, Duration::from_millis(100));
            }
        }
        haflux.says(" PR-- ");
        haflux.terminate();
        let json = std::fs::read_to_string(folder.join("log.json")).expect("a file");
        let syslog = reading.join().expect("a reader");
        assert!(json.contains("\"termination\":\"PR\"") && syslog.contains(" PR-- "));
        let log = haflux.log() + &json + &syslog;
        let bad: Vec<&str> = log.lines().filter(|line| line.contains(SECRET)).collect();
        assert!(bad.is_empty(), "{level} {overridden:?}: {bad:#?}");
        let verbose = log.lines().find(|line| {
            (line.contains(" DEBUG ") || line.contains(" TRACE ")) && line.contains(" pingora")
        });
        assert_eq!(verbose, None);
    }
}

/// InfluxDB itself takes out of a URL what stands before a space, and nothing out of a form.
#[test]
fn no_password_reaches_the_log_of_a_node() {
    let options = Options::default().set("http", "log-enabled", "true");
    let lab = Lab::start_with(options, brisk);
    let url = format!("{}/query", lab.influx_url());
    let ways: [(&str, &[&str]); 4] = [
        ("get", &["-G"]),
        ("post", &["-G", "-XPOST"]),
        ("form", &[]),
        ("file", &["-F"]),
    ];
    for (name, options) in ways {
        for statement in [
            format!("CREATE USER {name} WITH PASSWORD '{SECRET} {SECRET}'"),
            format!("SET PASSWORD FOR {name} = '{SECRET} {SECRET}'"),
        ] {
            let query = format!("q={statement}");
            let how = match options {
                ["-F"] => vec!["-F", &query],
                _ => [options, &["--data-urlencode", &query]].concat(),
            };
            let said = succeeds(&run("curl", &[&["-sS", &url][..], &how].concat()));
            assert!(!said.contains("error"), "{name}: {said}");
        }
    }
    for node in lab.nodes() {
        wait_until("the statements", SOON, || {
            node.query("", "SHOW USERS").to_string().contains("file")
        });
        wait_until("the log of their requests", SOON, || {
            node.log().matches("/query").count() >= 8
        });
        let log = node.log();
        assert!(!log.contains(SECRET), "{log}");
    }
}
