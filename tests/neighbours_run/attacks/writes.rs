//! Writes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::house::{EVIL, EVIL_USER, GOOD, READER};
use super::{Attacker, request};

fn write(who: &str, database: &str, body: &[u8]) -> Vec<u8> {
    request("POST", &format!("/write?db={database}&{who}"), "", body)
}

/// The answer repeats each line with its reason.
fn bad_lines(attacker: &mut Attacker<'_>) -> Vec<u8> {
    let lines = *attacker
        .rng
        .choice(&[8000, 8000, 3000, 50_000])
        .expect("there are some");
    "x\n".repeat(lines).into_bytes()
}

pub fn long_refusals(attacker: &mut Attacker<'_>) {
    let body = bad_lines(attacker);
    attacker.send(&write(EVIL_USER, EVIL, &body));
}

pub fn long_refusals_of_a_stranger(attacker: &mut Attacker<'_>) {
    let body = bad_lines(attacker);
    attacker.send(&write("", GOOD, &body));
}

pub fn many_reasons(attacker: &mut Attacker<'_>) {
    let mut body = String::new();
    for number in 0..attacker.rng.usize(20..200) {
        let _ = writeln!(body, "bad{number} x");
    }
    attacker.send(&write(EVIL_USER, EVIL, body.as_bytes()));
}

/// A node sorts them in quadratic time.
pub fn many_tags(attacker: &mut Attacker<'_>) {
    let mut line = String::from("tags");
    for _ in 0..*attacker
        .rng
        .choice(&[100_000, 100_000, 30_000, 5000])
        .expect("there are some")
    {
        let _ = write!(line, ",t{}=1", attacker.rng.u32(..));
    }
    line.push_str(" v=1 1");
    attacker.send(&write(EVIL_USER, EVIL, line.as_bytes()));
}

pub fn of_a_stranger(attacker: &mut Attacker<'_>) {
    let line = format!("pulse v={}i {}", -1, attacker.rng.u32(..));
    attacker.send(&write("", GOOD, line.as_bytes()));
}

/// Each of them writes once; some have a name that exists, so that the node computes a hash.
pub fn of_ever_new_strangers(attacker: &mut Attacker<'_>) {
    let number = attacker.rng.u64(..);
    let user = if attacker.rng.u8(..20) == 0 {
        "good".to_owned()
    } else {
        format!("stranger{number}")
    };
    let who = format!("u={user}&p={number}");
    attacker.send(&write(&who, GOOD, b"pulse v=-1i 1"));
}

pub fn of_a_reader(attacker: &mut Attacker<'_>) {
    let database = if attacker.rng.bool() { EVIL } else { GOOD };
    attacker.send(&write(READER, database, b"pulse v=-1i 1"));
}

static BOMBS: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    // One line that unfolds to more than a node takes at once, many empty lines, many lines that are refused.
    let line = [
        b"bomb s=\"".to_vec(),
        vec![b'a'; 26_000_000],
        b"\" 1\n".to_vec(),
    ]
    .concat();
    let empty = packed(&vec![b'\n'; 4 << 20]);
    let bad = packed("x\n".repeat(1 << 20).as_bytes());
    [packed(&line), empty.repeat(50), bad.repeat(20)]
});

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("a Vec takes it");
    encoder.finish().expect("a Vec takes it")
}

pub fn gzip_bombs(attacker: &mut Attacker<'_>) {
    let bomb = attacker.rng.choice(BOMBS.iter()).expect("there are some");
    let target = format!("/write?db={EVIL}&{EVIL_USER}");
    attacker.send(&request(
        "POST",
        &target,
        "Content-Encoding: gzip\r\n",
        bomb,
    ));
}

static HUGE: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let field = [
        b"huge s=\"".to_vec(),
        vec![b'a'; 12_000_000],
        b"\" 1\n".to_vec(),
    ]
    .concat();
    [field, vec![b'x'; 20_000_000]]
});

pub fn huge_lines(attacker: &mut Attacker<'_>) {
    let line = attacker.rng.choice(HUGE.iter()).expect("there are some");
    attacker.send(&write(EVIL_USER, EVIL, line));
}

static UNSTAMPED: LazyLock<Vec<u8>> = LazyLock::new(|| "u v=1\n".repeat(2_000_000).into_bytes());

/// Each line is given a time, so the record is larger than the body.
pub fn unstamped(attacker: &mut Attacker<'_>) {
    // The issue is memory: four at once are enough for that, and more only take the processors from everybody.
    if attacker.number < 4 {
        attacker.send(&write(EVIL_USER, EVIL, &UNSTAMPED));
    }
}

pub fn to_databases_that_are_not_there(attacker: &mut Attacker<'_>) {
    let database = format!("none{}", attacker.rng.u32(..));
    let who = if attacker.rng.bool() { EVIL_USER } else { "" };
    attacker.send(&write(who, &database, b"m v=1 1"));
}

/// Chunks of one byte, and sizes that are none.
pub fn chunked(attacker: &mut Attacker<'_>) {
    let target = format!("/write?db={EVIL}&{EVIL_USER}");
    let mut bytes =
        format!("POST {target} HTTP/1.1\r\nHost: haflux\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for byte in "chunks v=1 1\n".repeat(attacker.rng.usize(1..400)).bytes() {
        bytes.extend_from_slice(b"1\r\n");
        bytes.push(byte);
        bytes.extend_from_slice(b"\r\n");
    }
    let end = [
        "0\r\n\r\n",
        "ffffffffffffffff\r\n",
        "-1\r\n",
        "zz\r\n",
        "0\r\nX: y\r\n\r\n",
    ];
    bytes.extend_from_slice(attacker.rng.choice(end).expect("there are some").as_bytes());
    attacker.send(&bytes);
}
