//! Over HTTP/2, too, no read goes back in time: what one request wrote, the next one reads, on the same connection and on another.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::http::query_string;
use crate::support::http2::Http2;
use crate::support::relay::relay_over_addresses;
use crate::support::wait::SOON;
use crate::support::{Haflux, Influxd, status, wait_until};

/// How much later than haflux sends it a write comes to the second node. Reads are not held up, or they would come behind it all the same.
const DELAY: Duration = Duration::from_millis(50);

/// Two nodes of which the second one lags, and haflux with `keys` in their pool.
struct Site {
    haflux: Haflux,
    nodes: [Influxd; 2],
    _folder: tempfile::TempDir,
}

impl Site {
    fn start(keys: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let nodes = ["one", "two"].map(|name| Influxd::start(&folder.path().join(name)));
        for node in &nodes {
            node.create_database("db");
        }
        let addresses = [nodes[0].address(), lagging(&nodes[1].address())];
        let configuration = relay_over_addresses(&addresses, "rewind = \"100ms\"");
        let pool = "default_backend = \"pool\"";
        assert!(configuration.contains(pool) && configuration.contains("check = false"));
        let configuration = configuration
            .replace(pool, &format!("{pool}\nhttp2 = {{ plain = true }}"))
            .replace("check = false", &format!("check = false\n{keys}"));
        Self {
            haflux: Haflux::start(&folder.path().join("haflux"), &configuration),
            nodes,
            _folder: folder,
        }
    }

    fn connect(&self) -> Http2 {
        Http2::connect(1, &self.haflux.address("reads"), 65_535)
    }
}

/// Passes connections on to `to`, writes later than they came. It runs until the test ends.
fn lagging(to: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let to = to.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&to) else {
                continue;
            };
            std::thread::spawn(move || {
                std::thread::scope(|scope| {
                    scope.spawn(|| copy(&client, &server));
                    copy(&server, &client);
                });
            });
        }
    });
    address
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let mut bytes = [0; 16 << 10];
    while let Ok(read) = from.read(&mut bytes)
        && read > 0
    {
        if bytes.starts_with(b"POST /write") {
            std::thread::sleep(DELAY);
        }
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    // The other side may have left.
    let _ = to.shutdown(Shutdown::Write);
}

/// Writes the point of this number, and waits for the word that it is there.
fn write(client: &mut Http2, number: u64) {
    let (answer, mut body) = client.begin("POST", "/write?db=db", &[], false);
    let line = format!("m v={number} {number}");
    body.send_data(line.into(), true).expect("a body");
    let (status, text) = client.whole(answer).expect("an answer");
    assert_eq!(status, 204, "{}", String::from_utf8_lossy(&text));
}

fn count(client: &mut Http2) -> u64 {
    let query = query_string(&[("db", "db"), ("q", "SELECT count(v) FROM m")]);
    let answer = client.ask(&format!("/query?{query}"));
    let (status, text) = client.whole(answer).expect("an answer");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&text));
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let row = &json["results"][0]["series"][0]["values"][0];
    row[1].as_u64().unwrap_or(0)
}

const ROUNDS: u64 = 60;

/// How many reads, on the writer's connection and on another, lacked what was acknowledged just before.
fn behind(site: &Site) -> usize {
    let (mut writer, mut other) = (site.connect(), site.connect());
    let mut behind = 0;
    for number in 1..=ROUNDS {
        write(&mut writer, number);
        let seen = [count(&mut writer), count(&mut other)];
        behind += seen.iter().filter(|seen| **seen != number).count();
    }
    behind
}

#[test]
fn what_one_stream_has_written_others_read_at_once_while_a_node_lags() {
    let site = Site::start("on_stale = \"reject\"");
    assert_eq!(behind(&site), 0);
    let page = status::page(&site.haflux.url("front"));
    assert_eq!(page["frontends"][1]["http2"]["connections"], 2);
    // What it lacked comes to it later.
    wait_until("the second node", SOON, || {
        site.nodes[1].count("db", "m", "v") == ROUNDS
    });
    // The node lags: whoever does not ask for fresh reads meets it.
    let site = Site::start("reads = \"any\"");
    assert!(behind(&site) > 0);
}
