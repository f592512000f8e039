//! Reads and statements.

use std::sync::LazyLock;

use super::super::house::{EVIL, EVIL_USER, GOOD, READER};
use super::{Attacker, form, request, statement};

/// A change first, so that it is a statement; then megabytes of answer.
pub fn statements_with_big_answers(attacker: &mut Attacker<'_>) {
    let accept = *attacker
        .rng
        .choice(&[
            "",
            "Accept: text/csv\r\n",
            "Accept: application/x-msgpack\r\n",
        ])
        .expect("there are some");
    let headers = format!("Content-Type: application/x-www-form-urlencoded\r\n{accept}");
    let target = format!("/query?db={EVIL}&{EVIL_USER}");
    let body = form("DELETE FROM nothing; SELECT * FROM big");
    attacker.send(&request("POST", &target, &headers, &body));
}

/// A million of them overflow a node's stack.
fn parentheses(attacker: &mut Attacker<'_>) -> String {
    let depth = *attacker
        .rng
        .choice(&[1_000_000, 1_000_000, 100_000, 5000])
        .expect("there are some");
    let closed = if attacker.rng.bool() { depth } else { 0 };
    format!("{}v=1{}", "(".repeat(depth), ")".repeat(closed))
}

pub fn nested_reads(attacker: &mut Attacker<'_>) {
    let nested = parentheses(attacker);
    let query = format!("SELECT v FROM big WHERE {nested}");
    attacker.send(&statement(READER, EVIL, &query));
}

pub fn nested_statements(attacker: &mut Attacker<'_>) {
    let nested = parentheses(attacker);
    let query = format!("DELETE FROM nothing WHERE {nested}");
    attacker.send(&statement(EVIL_USER, EVIL, &query));
}

pub fn nested_subqueries(attacker: &mut Attacker<'_>) {
    let depth = *attacker
        .rng
        .choice(&[200_000, 10_000, 300])
        .expect("there are some");
    let query = format!(
        "{}big{}",
        "SELECT * FROM (".repeat(depth),
        ")".repeat(depth)
    );
    attacker.send(&statement(READER, EVIL, &query));
}

/// The node says 401; taken, each would be a barrier in the journal.
pub fn async_of_a_stranger(attacker: &mut Attacker<'_>) {
    let target = "/query?async=true&q=DROP+DATABASE+zz";
    attacker.send(&request("POST", target, "", b""));
}

static PAIRS: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    [
        vec![b'&'; 16_000_000],
        vec![b';'; 9_000_000],
        "a=b&".repeat(4_000_000).into_bytes(),
    ]
});

pub fn floods_of_pairs(attacker: &mut Attacker<'_>) {
    let who = if attacker.rng.bool() { EVIL_USER } else { "" };
    let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
    let body = attacker.rng.choice(PAIRS.iter()).expect("there are some");
    attacker.send(&request("POST", &format!("/query?{who}"), headers, body));
}

static PARTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let part = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n";
    (part.repeat(200_000) + "--x--\r\n").into_bytes()
});

pub fn floods_of_parts(attacker: &mut Attacker<'_>) {
    let who = if attacker.rng.bool() { EVIL_USER } else { "" };
    let headers = "Content-Type: multipart/form-data; boundary=x\r\n";
    attacker.send(&request("POST", &format!("/query?{who}"), headers, &PARTS));
}

pub fn floods_of_statements(attacker: &mut Attacker<'_>) {
    let query = match attacker.rng.u8(..3) {
        0 => ";".repeat(9_000_000),
        1 => "SHOW DATABASES;".repeat(100_000),
        _ => "DELETE FROM nothing;".repeat(50_000),
    };
    attacker.send(&statement(EVIL_USER, EVIL, &query));
}

/// Each is right, and runs alone.
pub fn small_statements(attacker: &mut Attacker<'_>) {
    attacker.send(&statement(
        EVIL_USER,
        EVIL,
        "DELETE FROM nothing WHERE time < 0",
    ));
}

pub fn statements_of_a_reader(attacker: &mut Attacker<'_>) {
    let (database, query) = *attacker
        .rng
        .choice(&[
            (EVIL, "DROP MEASUREMENT big"),
            (GOOD, "DROP MEASUREMENT pulse"),
            (GOOD, "DROP DATABASE good"),
            (GOOD, "SET PASSWORD FOR good = 'x'"),
            (EVIL, "SELECT * INTO copy FROM big"),
        ])
        .expect("there are some");
    attacker.send(&statement(READER, database, query));
}
