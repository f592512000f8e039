//! The house: the lab with credentials, the good client's database and the others', and a server that takes tunnels.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use super::RELAY_TIMEOUT;
use super::support::authority::Authority;
use super::support::long_run::Setup;
use super::support::long_run::plan::number;
use super::support::{Influxd, Lab, Options};

/// The good client's.
pub const GOOD: &str = "good";

/// Where attackers with credentials may write.
pub const EVIL: &str = "evil";

/// Points of `big` in [`EVIL`]: a `SELECT *` of it answers with several megabytes.
const BIG: usize = 60_000;

/// Longer than any pause.
pub const REWIND: Duration = Duration::from_secs(4);

/// The parameters that say who asks. A password is the user's name.
pub const ADMIN: &str = "u=admin&p=admin";
pub const GOOD_USER: &str = "u=good&p=good";
pub const EVIL_USER: &str = "u=evil&p=evil";
pub const READER: &str = "u=reader&p=reader";

/// A certificate, where everybody speaks TLS.
pub struct Secure {
    /// The authority that has signed it.
    pub authority: String,
    certificate: String,
}

/// What `HAFLUX_SOAK_TLS` says.
pub static SECURE: LazyLock<Option<Secure>> = LazyLock::new(|| {
    if number("HAFLUX_SOAK_TLS") != Some(1) {
        return None;
    }
    let authority = Authority::new(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("neighbours"));
    Some(Secure {
        certificate: authority.sign("site.pem", "localhost", 90),
        authority: authority.certificate(),
    })
});

/// Starts the lab.
pub fn start() -> Lab {
    let tunnels = take_tunnels();
    let setup = Setup {
        count: 2,
        nodes: Options::default().auth().asked_as("admin", "admin"),
        databases: &[GOOD, EVIL],
        timeout: RELAY_TIMEOUT,
        rewind: REWIND,
        // Attackers write a gigabyte while a node is away.
        relay: "max_backlog = \"4GiB\"",
        pool: "on_stale = \"reject\"\nread_wait = \"1s\"",
        check: Duration::from_millis(500),
        access_log: false,
        late: false,
        grafana: Some(&tunnels),
        certificate: SECURE.as_ref().map(|secure| secure.certificate.as_str()),
        nodes_run: &|nodes| {
            for node in nodes {
                let admin = "CREATE USER admin WITH PASSWORD 'admin' WITH ALL PRIVILEGES";
                node.query("", admin);
            }
        },
    };
    let (lab, _) = setup.start();
    for node in [&lab.node1, &lab.node2] {
        furnish(node);
    }
    lab
}

fn furnish(node: &Influxd) {
    for statement in [
        "CREATE USER good WITH PASSWORD 'good'",
        "CREATE USER evil WITH PASSWORD 'evil'",
        "CREATE USER reader WITH PASSWORD 'reader'",
        "GRANT ALL ON good TO good",
        "GRANT ALL ON evil TO evil",
        "GRANT READ ON evil TO reader",
    ] {
        node.query("", statement);
    }
    let mut lines = String::new();
    for number in 0..BIG {
        lines.push_str(&format!(
            "big v={number}i,text=\"some text, some more\" {number}\n"
        ));
    }
    let answer = node.write(EVIL, &lines);
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// A server that agrees to every upgrade and then says nothing. Returns its address; it ends with the test's process.
fn take_tunnels() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound port").to_string();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for connection in listener.incoming().flatten() {
            if let Ok(connection) = agree(connection) {
                open.push(connection);
            }
        }
    });
    address
}

fn agree(connection: TcpStream) -> std::io::Result<TcpStream> {
    connection.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut reader = BufReader::new(connection);
    let mut upgrade = false;
    loop {
        let mut line = String::new();
        let read = reader.read_line(&mut line)?;
        upgrade |= line.to_ascii_lowercase().starts_with("upgrade:");
        if read == 0 || line.trim_end().is_empty() {
            break;
        }
    }
    let mut connection = reader.into_inner();
    connection.write_all(if upgrade {
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    } else {
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    })?;
    Ok(connection)
}
