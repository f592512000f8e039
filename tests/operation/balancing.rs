//! Frontends, rules and pools of the whole program: who gets a request, and what happens when a server does not take it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::support;
use crate::support::http;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, Lab, StandIn, wait_until, websocket, write};

fn named(name: &'static str) -> StandIn {
    StandIn::start(move |_| Behaviour::status(200, name))
}

#[test]
fn the_lab_sends_each_path_where_the_lab_said() {
    let lab = Lab::start();
    lab.create_database("telegraf");
    assert_eq!(
        http::get(&format!("{}/d/dashboard?orgId=1", lab.grafana_url())).text(),
        "Grafana"
    );
    let url = lab.influx_url();
    assert_eq!(write(&url, "telegraf", "routed v=1 1").status, 204);
    let databases = http::get(&format!("{url}/query?q=SHOW+DATABASES"));
    assert_eq!(databases.status, 200);
    assert!(databases.text().contains("telegraf"));
    assert_eq!(http::get(&format!("{url}/ping")).status, 204);
    for front in [lab.grafana_url(), url] {
        let page = http::get(&format!("{front}/haproxy?stats"));
        assert_eq!(page.status, 200);
        for name in [
            "http_front",
            "influx_front",
            "influx_back",
            "grafana_back",
            "influx_relay",
            "influxlab2",
        ] {
            assert!(page.text().contains(name), "{name} is not on the page");
        }
    }
}

#[test]
fn both_file_formats_run_the_same() {
    for (file, text) in [
        (
            "haflux.toml",
            "[[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"pool\"\n[[backend]]\nname = \"pool\"\nservers = [{ name = \"a\", address = \"ADDRESS\" }]\n",
        ),
        (
            "haflux.yaml",
            "frontend:\n  - name: front\n    bind: 127.0.0.1:PORT(front)\n    default_backend: pool\nbackend:\n  - name: pool\n    servers:\n      - { name: a, address: \"ADDRESS\" }\n",
        ),
    ] {
        let server = named("here");
        let folder = tempfile::tempdir().expect("a folder");
        let haflux = Haflux::start_file(
            folder.path(),
            file,
            &text.replace("ADDRESS", &server.address()),
        );
        assert_eq!(http::get(&haflux.url("front")).text(), "here", "{file}");
    }
}

#[test]
fn a_wrong_file_starts_nothing_and_says_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("haflux.toml");
    std::fs::write(&file, "[[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:1\"\ndefault_backend = \"pol\"\n[[backend]]\nname = \"pool\"\nbalence = \"x\"\nservers = []\n").expect("a file");
    let path = file.to_str().expect("a plain name");
    for command in ["run", "check"] {
        let output = Haflux::command(&[command, "--config", path]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        for expected in [
            "pol",
            "did you mean \"pool\"",
            "balence",
            "did you mean \"balance\"",
            "servers",
        ] {
            assert!(said.contains(expected), "{expected:?} is not in {said}");
        }
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("haflux.toml");
    let address = taken.local_addr().expect("an address");
    std::fs::write(&file, format!("[[frontend]]\nname = \"front\"\nbind = \"{address}\"\ndefault_backend = \"pool\"\n[[backend]]\nname = \"pool\"\nservers = [{{ name = \"a\", address = \"127.0.0.1:9\" }}]\n")).expect("a file");
    let output = Haflux::command(&["run", "--config", file.to_str().expect("a plain name")]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(
        said.contains(&address.to_string()) && said.contains("in use") && said.contains("front"),
        "{said}"
    );
}

#[test]
fn reads_take_turns_over_both_nodes_and_survive_the_death_of_one() {
    let mut lab = Lab::start();
    lab.create_database("telegraf");
    let url = lab.influx_url();
    // The node's own count of queries; its name there holds its address.
    let served = |node: &support::Influxd| {
        let counters = http::get(&format!("{}/debug/vars", node.url())).json();
        let http = counters
            .as_object()
            .and_then(|counters| counters.iter().find(|(name, _)| name.starts_with("httpd")));
        http.and_then(|(_, counters)| counters["values"]["queryReq"].as_u64())
            .expect("the node counts queries")
    };
    let before = (served(&lab.node1), served(&lab.node2));
    for _ in 0..20 {
        assert_eq!(
            http::get(&format!("{url}/query?q=SHOW+DATABASES")).status,
            200
        );
    }
    assert_eq!(
        (served(&lab.node1) - before.0, served(&lab.node2) - before.1),
        (10, 10)
    );
    lab.node1.kill9();
    for _ in 0..20 {
        assert_eq!(
            http::get(&format!("{url}/query?q=SHOW+DATABASES")).status,
            200
        );
        assert_eq!(
            http::post(
                &format!(
                    "{url}/query?{}",
                    http::query_string(&[("q", "SHOW DATABASES")])
                ),
                ""
            )
            .status,
            200
        );
    }
    lab.haflux.says("influx_back/influxlab is DOWN");
    lab.node1.restart();
    lab.haflux.says("influx_back/influxlab is UP");
}

#[test]
fn with_no_server_up_the_answer_is_503_at_once_and_names_the_backend() {
    let mut lab = Lab::start();
    lab.grafana.refuse();
    lab.haflux.says("grafana_back/influxlab is DOWN");
    let page = http::request("GET", &lab.grafana_url(), &[("Accept", "text/html")], b"");
    assert_eq!(page.status, 503);
    assert!(page.text().contains("grafana_back"), "{}", page.text());
    lab.node1.kill9();
    lab.node2.kill9();
    let url = format!("{}/query?q=SHOW+DATABASES", lab.influx_url());
    wait_until("a 503 in JSON", SOON, || {
        let answer = http::get(&url);
        answer.status == 503
            && answer.json()["error"]
                .as_str()
                .is_some_and(|error| error.contains("influx_back"))
    });
}

/// Grafana's live connection: an upgrade through port 80's pool, in both directions.
#[test]
fn a_websocket_passes_through_a_plain_pool() {
    let address = websocket::echo();
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(
        folder.path(),
        &format!(
            "[[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"pool\"\n[[backend]]\nname = \"pool\"\nservers = [{{ name = \"a\", address = \"{address}\" }}]\n"
        ),
    );
    let connection = TcpStream::connect(haflux.address("front")).expect("haflux");
    connection.set_read_timeout(Some(SOON)).expect("a timeout");
    let (mut socket, _) = tungstenite::client(
        format!("ws://{}/api/live/ws", haflux.address("front")),
        connection,
    )
    .expect("an upgrade");
    for text in ["one", "two"] {
        socket.send(tungstenite::Message::text(text)).expect("sent");
        assert_eq!(
            socket
                .read()
                .expect("an echo")
                .into_text()
                .expect("text")
                .as_str(),
            text
        );
    }
}

/// InfluxDB's `chunked=true`: what a node has sent arrives before the node has finished.
#[test]
fn an_answer_streams_through_as_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = [0; 4096];
            if !matches!(connection.read(&mut request), Ok(read) if request[..read].starts_with(b"GET /query"))
            {
                let _ =
                    connection.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
                continue;
            }
            let _ = connection.write_all(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n",
            );
            let waited = may_go_on.lock().expect("the only user").recv_timeout(SOON);
            let _ = connection.write_all(if waited.is_ok() {
                b"5\r\nlast\n\r\n0\r\n\r\n"
            } else {
                b"5\r\nlate\n\r\n0\r\n\r\n"
            });
        }
    });
    for relay in [
        "",
        "[[relay]]\nname = \"relay\"\nreplicate_to = \"pool\"\n[server]\ndata_dir = \"FOLDER/data\"\n",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let haflux = Haflux::start(
            folder.path(),
            &format!(
                "[[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"pool\"\n[[backend]]\nname = \"pool\"\ncheck = false\nservers = [{{ name = \"a\", address = \"{address}\" }}]\n{relay}"
            ),
        );
        let mut connection = TcpStream::connect(haflux.address("front")).expect("haflux");
        connection.set_read_timeout(Some(SOON)).expect("a timeout");
        connection
            .write_all(b"GET /query?chunked=true HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .expect("sent");
        let mut received = Vec::new();
        let mut buffer = [0; 1024];
        while !String::from_utf8_lossy(&received).contains("first\n") {
            let read = connection.read(&mut buffer).expect("the first piece");
            assert_ne!(
                read,
                0,
                "closed before the first piece: {}",
                String::from_utf8_lossy(&received)
            );
            received.extend_from_slice(&buffer[..read]);
        }
        go_on.send(()).expect("the server waits");
        let rest = http::read_until_silent(&mut connection).expect("the rest");
        assert!(
            String::from_utf8_lossy(&rest).contains("last\n"),
            "{}",
            String::from_utf8_lossy(&rest)
        );
        assert!(!received.is_empty());
    }
}
