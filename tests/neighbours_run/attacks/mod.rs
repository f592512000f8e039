//! The attacks, one generator each. [`ALL`] is the table; a name is what `HAFLUX_NEIGHBOURS_ATTACK` takes.
//!
//! Attackers come from other addresses than the good client: each of the eight connections of an attack has a thread, and an
//! attack that holds many connections shares them out.
//!
//! - [`writes`], [`queries`]: requests that are complete.
//! - [`connections`]: requests that never are, and clients that do not read or say nothing.
//! - [`odd`]: requests that can be read in two ways, or in none.
//! - [`handshakes`]: TLS that is not what it should be; [`streams`]: floods of HTTP/2 inside it.

mod connections;
mod handshakes;
mod odd;
mod queries;
mod streams;
mod writes;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use socket2::{Domain, Socket, Type};

use super::support::door::{Door, Wire};
use super::support::http::{Reply, Sending, exchange_on};
use super::tally::Tally;

/// Connections of an attack.
pub const CONNECTIONS: usize = 8;

/// How long an attacker waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// An attack.
#[derive(Clone, Copy)]
pub struct Attack {
    pub name: &'static str,
    /// Between two strikes of a connection: a flood would only measure who sends it.
    pace: Duration,
    strike: fn(&mut Attacker<'_>),
}

const fn attack(name: &'static str, pace_ms: u64, strike: fn(&mut Attacker<'_>)) -> Attack {
    Attack {
        name,
        pace: Duration::from_millis(pace_ms),
        strike,
    }
}

/// All of them.
pub const ALL: &[Attack] = &[
    attack("long-refusals", 100, writes::long_refusals),
    attack(
        "long-refusals-stranger",
        100,
        writes::long_refusals_of_a_stranger,
    ),
    attack("many-reasons", 50, writes::many_reasons),
    attack("many-tags", 500, writes::many_tags),
    attack("stranger-writes", 5, writes::of_a_stranger),
    attack("stranger-crowd", 20, writes::of_ever_new_strangers),
    attack("reader-writes", 20, writes::of_a_reader),
    attack("gzip-bombs", 500, writes::gzip_bombs),
    attack("huge-lines", 1000, writes::huge_lines),
    attack("unstamped-bodies", 2000, writes::unstamped),
    attack(
        "thousands-of-databases",
        5,
        writes::to_databases_that_are_not_there,
    ),
    attack("chunked-writes", 50, writes::chunked),
    attack(
        "big-statement-answers",
        500,
        queries::statements_with_big_answers,
    ),
    attack("nested-read", 500, queries::nested_reads),
    attack("nested-statement", 500, queries::nested_statements),
    attack("nested-subqueries", 500, queries::nested_subqueries),
    attack("async-strangers", 5, queries::async_of_a_stranger),
    attack("pair-floods", 1000, queries::floods_of_pairs),
    attack("multipart-floods", 500, queries::floods_of_parts),
    attack("statement-floods", 500, queries::floods_of_statements),
    attack("small-statements", 20, queries::small_statements),
    attack("reader-statements", 20, queries::statements_of_a_reader),
    attack("announced-bodies", 100, connections::announced_bodies),
    attack(
        "announced-bodies-stranger",
        100,
        connections::announced_bodies_of_a_stranger,
    ),
    attack("slow-bodies-many", 100, connections::many_slow_bodies),
    attack("unfinished-headers", 100, connections::unfinished_headers),
    attack("silent-connections", 100, connections::silent),
    attack("half-closing", 20, connections::half_closing),
    attack("slow-readers", 100, connections::slow_readers),
    attack("upgrades-refused", 100, connections::upgrades_of_a_node),
    attack("idle-tunnels", 100, connections::idle_tunnels),
    attack("leaving-clients", 20, connections::leaving),
    attack("odd-requests", 20, odd::requests),
    attack("pipelined-garbage", 50, odd::pipelined_garbage),
    attack("random-bytes", 20, odd::random_bytes),
];

/// Those that only TLS has.
pub const SECURE: &[Attack] = &[
    attack("half-handshakes", 100, handshakes::half),
    attack("garbage-hellos", 5, handshakes::garbage),
    attack("handshake-floods", 5, handshakes::floods),
    attack("renegotiations", 500, handshakes::renegotiations),
    attack("key-updates", 100, handshakes::key_updates),
    attack("h2-rapid-resets", 50, streams::rapid_resets),
    attack("h2-settings", 50, streams::settings),
    attack("h2-pings", 50, streams::pings),
    attack("h2-continuations", 50, streams::continuations),
    attack("h2-empty-data", 50, streams::empty_data),
    attack("h2-tiny-windows", 100, streams::tiny_windows),
    attack("h2-unfinished-bodies", 100, streams::unfinished_bodies),
];

impl Attack {
    /// Strikes again and again from connection `number` until `until` or until it is `over`.
    pub fn go_on_until(
        &self,
        until: Instant,
        over: &AtomicBool,
        targets: &Targets,
        tally: &Tally,
        number: usize,
        rng: Rng,
    ) {
        let mut attacker = Attacker {
            name: self.name,
            number,
            targets,
            tally,
            until,
            over,
            rng,
        };
        while attacker.goes_on() {
            let next = Instant::now() + self.pace;
            (self.strike)(&mut attacker);
            attacker.rest_until(next);
        }
    }
}

/// Whom they strike.
pub struct Targets {
    /// The frontend of InfluxDB's clients.
    pub influx: Door,
    /// The same by HTTP/2, if it speaks TLS.
    pub streams: Door,
    /// The frontend of a plain pool whose server takes tunnels.
    pub plain: Door,
}

/// One connection's worth of an attack.
pub struct Attacker<'a> {
    name: &'static str,
    number: usize,
    targets: &'a Targets,
    tally: &'a Tally,
    until: Instant,
    over: &'a AtomicBool,
    pub rng: Rng,
}

impl Attacker<'_> {
    fn goes_on(&self) -> bool {
        Instant::now() < self.until && !self.over.load(Ordering::Relaxed)
    }

    fn rest(&self, time: Duration) {
        self.rest_until(Instant::now() + time);
    }

    fn rest_until(&self, moment: Instant) {
        const STEP: Duration = Duration::from_millis(50);
        while self.goes_on() {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(STEP));
        }
    }

    /// Sends bytes to the frontend of InfluxDB's clients, and counts what comes.
    fn send(&mut self, bytes: &[u8]) -> Reply {
        self.send_and(bytes, Sending::Open)
    }

    fn send_and(&mut self, bytes: &[u8], sending: Sending) -> Reply {
        let reply = match self.connect() {
            Some(connection) => exchange_on(connection, bytes, sending, PATIENCE),
            None => Reply::Refused,
        };
        self.tally.count(self.name, &reply);
        reply
    }

    fn connect(&self) -> Option<Wire> {
        self.connect_to(&self.targets.influx)
    }

    /// From an address of this attacker's own.
    fn connect_to(&self, door: &Door) -> Option<Wire> {
        self.connect_from(self.source(), door)
    }

    fn source(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, 7, u8::try_from(self.number).unwrap_or(u8::MAX))
    }

    fn connect_from(&self, source: Ipv4Addr, door: &Door) -> Option<Wire> {
        door.enter(self.tcp_from(source, door)?).ok()
    }

    /// Without a handshake.
    fn tcp_from(&self, source: Ipv4Addr, door: &Door) -> Option<TcpStream> {
        let address: SocketAddr = door.address().parse().expect("an address");
        let connect = || -> std::io::Result<TcpStream> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((source, 0)).into())?;
            socket.connect_timeout(&address.into(), PATIENCE)?;
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(socket.into())
        };
        connect().ok()
    }

    /// Opens a connection and begins a request; counts it.
    fn begin(&mut self, bytes: &[u8]) -> Option<Wire> {
        let begun = self.connect().and_then(|mut connection| {
            connection.write_all(bytes).ok()?;
            Some(connection)
        });
        let came = if begun.is_some() {
            "begun"
        } else {
            "not begun"
        };
        self.tally.add(self.name, came, 1);
        begun
    }

    fn count(&self, came: &str) {
        self.tally.add(self.name, came, 1);
    }
}

/// A request with a body of that length.
fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = head(method, target, headers, body.len());
    bytes.extend_from_slice(body);
    bytes
}

/// What stands before such a body. `headers` are whole lines.
fn head(method: &str, target: &str, headers: &str, length: usize) -> Vec<u8> {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: haflux\r\n{headers}Content-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// POST to `/query` with these statements in a form.
fn statement(who: &str, database: &str, statements: &str) -> Vec<u8> {
    let target = format!("/query?db={database}&{who}");
    let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
    request("POST", &target, headers, &form(statements))
}

/// `q=…`, with only that escaped which a form must escape.
fn form(statements: &str) -> Vec<u8> {
    let mut body = b"q=".to_vec();
    for byte in statements.bytes() {
        match byte {
            b' ' => body.push(b'+'),
            b'+' | b'%' | b'&' | b';' | b'=' | b'"' | b'\n' => {
                body.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            other => body.push(other),
        }
    }
    body
}
