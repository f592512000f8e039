//! An open loop: `paced ADDRESS write|read PATH RATE CONNECTIONS SECONDS` sends requests at fixed moments, however late the
//! answers are, and counts each latency from the moment at which its request was due. A closed loop such as wrk sends less
//! while the server is slow, and so hides what a client at a fixed rate would have waited.
//!
//! It prints one line: `RESULT rate p50 p99 requests errors`, latencies in milliseconds.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::exit;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone)]
struct Plan {
    address: String,
    writes: bool,
    path: String,
    rate: u32,
    connections: u32,
    seconds: u32,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    errors: usize,
}

fn main() {
    let Some(plan) = plan(std::env::args().skip(1)) else {
        eprintln!("usage: paced ADDRESS write|read PATH RATE CONNECTIONS SECONDS");
        exit(2);
    };
    let begin = Instant::now() + Duration::from_millis(100);
    let connections: Vec<_> = (0..plan.connections)
        .map(|number| {
            let plan = plan.clone();
            thread::spawn(move || run(&plan, number, begin))
        })
        .collect();
    let mut all = Seen::default();
    for connection in connections {
        match connection.join() {
            Ok(Ok(seen)) => {
                all.latencies.extend(seen.latencies);
                all.errors += seen.errors;
            }
            Ok(Err(error)) => {
                eprintln!("{}: {error}", plan.address);
                exit(1);
            }
            Err(_) => exit(1),
        }
    }
    let took = begin.elapsed().as_secs_f64();
    all.latencies.sort_unstable();
    let at = |percent: usize| {
        let index = all.latencies.len() * percent / 100;
        let latency = all.latencies.get(index).copied().unwrap_or_default();
        latency.as_secs_f64() * 1000.0
    };
    let requests = all.latencies.len();
    let rate = requests as f64 / took;
    println!(
        "RESULT {rate:.0} {:.3} {:.3} {requests} {}",
        at(50),
        at(99),
        all.errors
    );
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Option<Plan> {
    Some(Plan {
        address: arguments.next()?,
        writes: arguments.next()? == "write",
        path: arguments.next()?,
        rate: arguments.next()?.parse().ok()?,
        connections: arguments.next()?.parse().ok()?,
        seconds: arguments.next()?.parse().ok()?,
    })
}

/// Sends every request whose number, modulo the connections, is that of this connection.
fn run(plan: &Plan, number: u32, begin: Instant) -> io::Result<Seen> {
    let mut stream = TcpStream::connect(&plan.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut seen = Seen::default();
    let mut answer = Vec::new();
    for turn in (number..plan.rate * plan.seconds).step_by(plan.connections as usize) {
        let due = begin + Duration::from_secs(1) * turn / plan.rate;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(request(plan, turn).as_bytes())?;
        let good = read_answer(&mut stream, &mut answer)?;
        seen.latencies.push(due.elapsed());
        seen.errors += usize::from(!good);
    }
    Ok(seen)
}

fn request(plan: &Plan, turn: u32) -> String {
    let Plan { address, path, .. } = plan;
    if plan.writes {
        let body = format!(
            "cpu,host=host{} v={turn}i {}000000000\n",
            turn % 100,
            1_600_000_000 + turn
        );
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{body}")
    } else {
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")
    }
}

/// Reads one whole answer. Returns whether its status is 2xx.
fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<bool> {
    answer.clear();
    let mut piece = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&piece[..read]);
        if is_whole(answer) {
            return Ok(answer.starts_with(b"HTTP/1.1 2"));
        }
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    if head.contains("\r\ntransfer-encoding: chunked") {
        return answer.ends_with(b"\r\n0\r\n\r\n");
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0);
    answer.len() >= end + 4 + length
}
