//! A good client beside bad ones: what the bad ones cost it, and how much memory they cost haflux.

use std::time::{Duration, Instant};

use super::beside::beside;
use super::haflux::Haflux;
use super::http;

/// How a good client fared that wrote and read ten times a second.
#[derive(Debug, Clone, Copy)]
pub struct Fared {
    /// Requests.
    pub requests: usize,
    /// Requests that were not answered 2xx.
    pub failures: usize,
    /// Half of them took no longer.
    pub p50: Duration,
    /// 99 of 100 of them took no longer.
    pub p99: Duration,
}

/// Lets eight threads `attack` for `lasting`, again and again, while a good client writes to and reads from `database` at `url`.
/// With no attack the client has it calm.
pub fn beside_attack(
    url: &str,
    database: &str,
    lasting: Duration,
    attack: Option<&(dyn Fn() + Sync)>,
) -> Fared {
    let threads = if attack.is_some() { 8 } else { 0 };
    let work = |_: usize, over: &std::sync::atomic::AtomicBool| {
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            if let Some(attack) = attack {
                attack();
            }
        }
    };
    beside(threads, work, || good_client(url, database, lasting))
}

/// The most memory that haflux ever had resident (`VmHWM`, proc_pid_status(5)), in bytes.
pub fn peak_memory(haflux: &mut Haflux) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", haflux.id()));
    let status = status.expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: u64 = kibibytes.expect("a size").parse().expect("a number");
    kibibytes * 1024
}

fn good_client(url: &str, database: &str, lasting: Duration) -> Fared {
    let began = Instant::now();
    let (mut took, mut failures) = (Vec::new(), 0);
    let mut number = 0_u32;
    let write = format!("{url}/write?db={database}");
    let read = format!("{url}/query?db={database}&q=SELECT+last(v)+FROM+good");
    while began.elapsed() < lasting {
        number += 1;
        let line = format!("good v={number} {number}");
        for (method, target, body) in [("POST", &write, line.as_bytes()), ("GET", &read, b"")] {
            let asked = Instant::now();
            let answer = http::try_request(method, target, &[], body);
            took.push(asked.elapsed());
            if !answer.is_ok_and(|answer| answer.status / 100 == 2) {
                failures += 1;
            }
        }
        std::thread::sleep((Duration::from_millis(100) * number).saturating_sub(began.elapsed()));
    }
    took.sort();
    let at = |hundredths: usize| took[(took.len() * hundredths / 100).min(took.len() - 1)];
    Fared {
        requests: took.len(),
        failures,
        p50: at(50),
        p99: at(99),
    }
}
