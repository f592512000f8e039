//! Requests that can be read in two ways, or in none.

use super::super::house::{ADMIN, EVIL, EVIL_USER};
use super::{Attacker, request};

/// What would change something if it were taken for what it nearly is.
pub fn requests(attacker: &mut Attacker<'_>) {
    let number = attacker.rng.u8(..4);
    let create = format!("q=CREATE+DATABASE+odd{number}&{ADMIN}");
    let drop = format!("q=DROP+DATABASE+odd{number}&{ADMIN}");
    let query = if attacker.rng.bool() { &create } else { &drop };
    let write = format!("/write?db={EVIL}&{EVIL_USER}");
    let line = b"odd v=1 1";
    let raw = |text: String| text.into_bytes();
    let bytes = match attacker.rng.u8(..24) {
        // Targets.
        0 => request("POST", &format!("foo:/query?{query}"), "", b""),
        1 => request("POST", &format!("foo:query?{query}"), "", b""),
        2 => request("POST", &format!("http://elsewhere/query?{query}"), "", b""),
        3 => request("POST", &format!("HTTP://elsewhere/query?{query}"), "", b""),
        4 => request("POST", &format!("ftp://elsewhere/query?{query}"), "", b""),
        5 => request("POST", &format!("//query?{query}"), "", b""),
        6 => request("POST", &format!("/query#?{query}"), "", b""),
        7 => request(
            "POST",
            &format!("/query?db={EVIL}&{EVIL_USER}&q=DROP+MEASUREMENT+frag#2"),
            "",
            b"",
        ),
        8 => request("POST", &format!("/%71uery?{query}"), "", b""),
        9 => request("POST", &format!("/query;x?{query}"), "", b""),
        10 => request("OPTIONS", "*", "", b""),
        11 => request("CONNECT", "127.0.0.1:8086", "", b""),
        // Raw bytes in them.
        12 => request(
            "GET",
            &format!("/query?db={EVIL}&{EVIL_USER}&q=SELECT+*+FROM+\"odd\"+WHERE+v<2+AND+v>0"),
            "",
            b"",
        ),
        13 => request(
            "GET",
            &format!("/query?db={EVIL}&{EVIL_USER}&q=SELECT+*+FROM+\"ö\""),
            "",
            b"",
        ),
        14 => request("GET", &format!("/query?q=SHOW+DATABASES&{query}"), "", b""),
        // Headers.
        15 => request("POST", &write, "Transfer-Encoding: gzip, chunked\r\n", line),
        16 => request("POST", &write, "Expect: 200-ok\r\n", line),
        17 => raw(format!(
            "POST {write} HTTP/1.1\r\nContent-Length: 9\r\n\r\nodd v=1 1"
        )),
        18 => request("POST", &write, "Host: another\r\n", line),
        19 => request("POST", &write, "Content-Length: 3\r\n", line),
        20 => request(
            "POST",
            &format!("/query?{EVIL_USER}"),
            "Content-Type: application/x-www-form-urlencoded; ch\u{e4}rset=\u{fc}\r\n",
            create.as_bytes(),
        ),
        21 => request(
            "POST",
            "/query",
            "Content-Type: text/plain\r\nContent-Type: application/x-www-form-urlencoded\r\n",
            create.as_bytes(),
        ),
        22 => raw(format!(
            "POST {write} HTTP/1.0\r\nContent-Length: 9\r\n\r\nodd v=1 1"
        )),
        _ => raw(format!(
            "POST {write} HTTP/1.1\nHost: haflux\nContent-Length: 9\n\nodd v=1 1"
        )),
    };
    attacker.send(&bytes);
}

/// Good requests one behind the other, and then what is none.
pub fn pipelined_garbage(attacker: &mut Attacker<'_>) {
    let good = request(
        "POST",
        &format!("/write?db={EVIL}&{EVIL_USER}"),
        "",
        b"pipe v=1 1",
    );
    let mut bytes = good.repeat(attacker.rng.usize(1..50));
    let garbage = attacker.rng.usize(1..2000);
    bytes.extend(std::iter::repeat_with(|| attacker.rng.u8(..)).take(garbage));
    attacker.send(&bytes);
}

/// Mostly begun like a request.
pub fn random_bytes(attacker: &mut Attacker<'_>) {
    let mut bytes = match attacker.rng.u8(..4) {
        0 => Vec::new(),
        1 => b"POST /write?db=".to_vec(),
        2 => b"GET /query?q=".to_vec(),
        _ => format!("POST /write?db={EVIL}&{EVIL_USER} HTTP/1.1\r\n").into_bytes(),
    };
    let garbage = attacker.rng.usize(1..4000);
    bytes.extend(std::iter::repeat_with(|| attacker.rng.u8(..)).take(garbage));
    bytes.extend_from_slice(b"\r\n\r\n");
    attacker.send(&bytes);
}
