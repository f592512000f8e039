//! Requests that are never complete, and clients that do not read or say nothing.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::house::{EVIL, EVIL_USER, READER};
use super::super::support::http::{Reply, Sending};
use super::{Attacker, head, request, statement};

/// What a body is announced with: InfluxDB takes it.
const ANNOUNCED: usize = 16_777_215;

/// Connections that are held by an attacker whose attack is about their number.
const MANY_BODIES: usize = 230;
const MANY_SILENT: usize = 260;
const MANY_TUNNELS: usize = 185;

pub fn announced_bodies(attacker: &mut Attacker<'_>) {
    announce(attacker, EVIL_USER);
}

pub fn announced_bodies_of_a_stranger(attacker: &mut Attacker<'_>) {
    announce(attacker, "");
}

fn announce(attacker: &mut Attacker<'_>, who: &str) {
    let target = format!("/write?db={EVIL}&{who}");
    let Some(mut connection) = attacker.begin(&head("POST", &target, "", ANNOUNCED)) else {
        return;
    };
    while attacker.goes_on() {
        if connection.write_all(b"m").is_err() {
            attacker.count("closed");
            return;
        }
        attacker.rest(Duration::from_millis(500));
    }
}

pub fn many_slow_bodies(attacker: &mut Attacker<'_>) {
    let target = format!("/write?db={EVIL}&{EVIL_USER}");
    let head = head("POST", &target, "", ANNOUNCED);
    hold(attacker, MANY_BODIES, Some(b"m"), |attacker| {
        attacker.begin(&head)
    });
}

pub fn unfinished_headers(attacker: &mut Attacker<'_>) {
    let mut bytes = b"GET /ping HTTP/1.1\r\nHost: haflux\r\n".to_vec();
    while bytes.len() < 1_000_000 {
        bytes.extend_from_slice(format!("X-Header-{}: ", bytes.len()).as_bytes());
        bytes.resize(bytes.len() + 4000, b'a');
        bytes.extend_from_slice(b"\r\n");
    }
    hold(attacker, 60, Some(b"X: y\r\n"), |attacker| {
        attacker.begin(&bytes)
    });
}

/// All from one address.
pub fn silent(attacker: &mut Attacker<'_>) {
    hold(attacker, MANY_SILENT, None, |attacker| {
        let source = Ipv4Addr::new(127, 0, 7, 100);
        let connection = attacker.connect_from(source, &attacker.targets.influx);
        attacker.count(if connection.is_some() {
            "begun"
        } else {
            "not begun"
        });
        connection
    });
}

/// Opens so many connections, and keeps them until the attack is over; meanwhile `drip` is sent over each now and then.
pub(super) fn hold<W: Write>(
    attacker: &mut Attacker<'_>,
    many: usize,
    drip: Option<&[u8]>,
    open: impl Fn(&mut Attacker<'_>) -> Option<W>,
) {
    let mut held = Vec::new();
    while attacker.goes_on() && held.len() < many {
        match open(attacker) {
            Some(connection) => held.push(connection),
            None => attacker.rest(Duration::from_millis(50)),
        }
    }
    while attacker.goes_on() && !held.is_empty() {
        attacker.rest(Duration::from_millis(500));
        if let Some(drip) = drip {
            let before = held.len();
            held.retain_mut(|connection| connection.write_all(drip).is_ok());
            attacker
                .tally
                .add(attacker.name, "closed", (before - held.len()) as u64);
        }
    }
}

/// It says that it sends no more, and waits for its answer.
pub fn half_closing(attacker: &mut Attacker<'_>) {
    let bytes = match attacker.rng.u8(..3) {
        0 => b"GET /ping HTTP/1.1\r\nHost: haflux\r\n\r\n".to_vec(),
        1 => request(
            "GET",
            &format!("/query?db={EVIL}&q=SHOW+MEASUREMENTS&{READER}"),
            "",
            b"",
        ),
        _ => request(
            "POST",
            &format!("/write?db={EVIL}&{EVIL_USER}"),
            "",
            b"half v=1 1",
        ),
    };
    if let Reply::Closed | Reply::Silence = attacker.send_and(&bytes, Sending::Ended) {
        attacker.count("of which should have been answered");
    }
}

/// Reads a large answer a little at a time.
pub fn slow_readers(attacker: &mut Attacker<'_>) {
    let query = statement(READER, EVIL, "SELECT * FROM big");
    let Some(mut connection) = attacker.begin(&query) else {
        return;
    };
    let mut buffer = [0; 1024];
    while attacker.goes_on() {
        match connection.read(&mut buffer) {
            Ok(0) | Err(_) => {
                attacker.count("ended");
                return;
            }
            Ok(_) => attacker.rest(Duration::from_millis(100)),
        }
    }
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A node does not agree to any.
pub fn upgrades_of_a_node(attacker: &mut Attacker<'_>) {
    let bytes = request("GET", &format!("/ping?{READER}"), UPGRADE, b"");
    hold(attacker, 20, None, |attacker| attacker.begin(&bytes));
}

pub fn idle_tunnels(attacker: &mut Attacker<'_>) {
    let bytes = format!("GET /live HTTP/1.1\r\nHost: haflux\r\n{UPGRADE}\r\n");
    hold(attacker, MANY_TUNNELS, None, |attacker| {
        let mut connection = attacker.connect_to(&attacker.targets.plain)?;
        connection.write_all(bytes.as_bytes()).ok()?;
        let mut status = [0; 12];
        connection.read_exact(&mut status).ok()?;
        let status = String::from_utf8_lossy(&status).into_owned();
        attacker.count(status.trim_start_matches("HTTP/1.1 "));
        Some(connection)
    });
}

/// It is gone before its answer.
pub fn leaving(attacker: &mut Attacker<'_>) {
    let bytes = match attacker.rng.u8(..3) {
        0 => statement(READER, EVIL, "SELECT * FROM big"),
        1 => statement(EVIL_USER, EVIL, "DELETE FROM nothing WHERE time < 0"),
        _ => request(
            "POST",
            &format!("/write?db={EVIL}&{EVIL_USER}"),
            "",
            b"left v=1 1",
        ),
    };
    drop(attacker.begin(&bytes));
}
