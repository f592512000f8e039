//! TLS that is not what it should be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::super::support::door::Wire;
use super::Attacker;
use super::connections::hold;

/// Handshakes that one attacker leaves half done.
const MANY_HALVES: usize = 150;

/// The head of a ClientHello of 512 bytes, of which nothing more comes.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

fn connect(attacker: &mut Attacker<'_>) -> Option<TcpStream> {
    let connection = attacker.tcp_from(attacker.source(), &attacker.targets.influx);
    if connection.is_none() {
        attacker.count("no connection");
    }
    connection
}

/// A handshake that stops in the middle of its first message.
pub fn half(attacker: &mut Attacker<'_>) {
    hold(attacker, MANY_HALVES, None, |attacker| {
        let mut connection = connect(attacker)?;
        connection.write_all(HELLO).ok()?;
        attacker.count("begun");
        Some(connection)
    });
}

/// What is no ClientHello: bytes, records of other kinds, plain HTTP.
pub fn garbage(attacker: &mut Attacker<'_>) {
    let Some(mut connection) = connect(attacker) else {
        return;
    };
    let mut bytes = match attacker.rng.u8(..4) {
        0 => HELLO.to_vec(),
        1 => b"\x17\x03\x03\x40\x00".to_vec(),
        2 => b"GET /ping HTTP/1.1\r\nHost: haflux\r\n\r\n".to_vec(),
        _ => Vec::new(),
    };
    let garbage = attacker.rng.usize(1..20_000);
    bytes.extend(std::iter::repeat_with(|| attacker.rng.u8(..)).take(garbage));
    // It may be closed before all is sent.
    let _ = connection.write_all(&bytes);
    let came = connection.read(&mut [0; 64]);
    attacker.count(match came {
        Ok(0) => "closed",
        Ok(_) => "an alert",
        Err(_) => "reset or silence",
    });
}

/// Whole handshakes, one behind the other, and nothing inside.
pub fn floods(attacker: &mut Attacker<'_>) {
    let came = match attacker.connect() {
        Some(_) => "a handshake",
        None => "no handshake",
    };
    attacker.count(came);
}

/// Asks for a new handshake on a connection of TLS 1.2.
pub fn renegotiations(attacker: &mut Attacker<'_>) {
    let address = attacker.targets.influx.address();
    let child = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", address])
        .args(["-bind", &format!("{}:0", attacker.source())])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.expect("openssl");
    if let Some(mut stdin) = child.stdin.take() {
        for _ in 0..20 {
            attacker.rest(Duration::from_millis(20));
            // It may have ended.
            let _ = stdin.write_all(b"R\n");
        }
    }
    attacker.rest(Duration::from_millis(100));
    let _ = child.kill();
    let ended = child.wait().expect("its end");
    attacker.count(if ended.code().is_some() {
        "ended"
    } else {
        "went on"
    });
}

/// New keys, again and again.
pub fn key_updates(attacker: &mut Attacker<'_>) {
    let Some(Wire::Secure(mut connection)) = attacker.connect() else {
        return attacker.count("no handshake");
    };
    for _ in 0..5000 {
        if !attacker.goes_on() {
            return;
        }
        if connection.conn.refresh_traffic_keys().is_err() || connection.flush().is_err() {
            return attacker.count("ended");
        }
    }
    attacker.count("5000 taken");
}
