//! What haflux is watched for meanwhile: its memory, its end, and lanes that stand still.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::http::{Reply, Sending, exchange};
use super::support::lock;
use super::support::memory::resident_peak;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// How long the status page may take; without it nothing is known of the lanes.
const PAGE: Duration = Duration::from_secs(2);

/// A replica whose lanes had something to do and did not move.
#[derive(Debug, Clone)]
pub struct Stall {
    pub replica: String,
    pub from: Duration,
    pub until: Duration,
    /// What it was last said to suffer from.
    pub error: String,
}

impl Stall {
    pub fn length(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}

/// What was seen.
pub struct Watch {
    begun: Instant,
    id: Arc<AtomicU32>,
    peak: AtomicU64,
    /// How often haflux ended without being told to.
    ends: AtomicU64,
    stalls: Mutex<Vec<Stall>>,
}

impl Watch {
    /// `id` is haflux's, 0 while it is away.
    pub fn new(begun: Instant, id: Arc<AtomicU32>) -> Self {
        Self {
            begun,
            id,
            peak: AtomicU64::new(0),
            ends: AtomicU64::new(0),
            stalls: Mutex::default(),
        }
    }

    /// The most that haflux ever had resident, in bytes.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// How often haflux ended by itself.
    pub fn ends(&self) -> u64 {
        self.ends.load(Ordering::Relaxed)
    }

    /// Watches its memory until `over`.
    pub fn memory(&self, over: &AtomicBool) {
        let mut ended = 0;
        while !over.load(Ordering::Relaxed) {
            let id = self.id.load(Ordering::Relaxed);
            match resident_peak(id) {
                _ if id == 0 => {}
                Some(peak) => {
                    self.peak.fetch_max(peak, Ordering::Relaxed);
                }
                // Unless it has been told to meanwhile.
                None if self.id.load(Ordering::Relaxed) == id && ended != id => {
                    ended = id;
                    self.ends.fetch_add(1, Ordering::Relaxed);
                }
                None => {}
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Watches its lanes until `over`. A replica's cursor is where its slowest lane is.
    pub fn lanes(&self, over: &AtomicBool, address: &str) {
        let mut standing: BTreeMap<String, (u64, Stall)> = BTreeMap::new();
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            let now = self.begun.elapsed();
            let Some(relay) = page(address) else {
                continue;
            };
            for replica in relay["replicas"].as_array().map_or(&[][..], Vec::as_slice) {
                let name = replica["name"].as_str().unwrap_or_default().to_owned();
                let cursor = replica["cursor"].as_u64().unwrap_or(0);
                let waits = replica["lag"]["records"].as_u64().unwrap_or(0) > 0;
                let error = replica["last_error"].to_string();
                match standing.get_mut(&name) {
                    Some((at, stall)) if waits && *at == cursor => {
                        stall.until = now;
                        stall.error = error;
                    }
                    _ => {
                        let stall = Stall {
                            replica: name.clone(),
                            from: now,
                            until: now,
                            error,
                        };
                        if let Some((_, ended)) = standing.insert(name, (cursor, stall)) {
                            self.keep(ended);
                        }
                    }
                }
            }
        }
        for (_, stall) in standing.into_values() {
            self.keep(stall);
        }
    }

    fn keep(&self, stall: Stall) {
        if stall.length() > LOOK * 4 {
            lock(&self.stalls).push(stall);
        }
    }

    /// The longest time that a replica's lanes stood still while neither it nor haflux was away. An absence is told by the name
    /// of the replica, `haflux`'s are all replicas'.
    pub fn longest_stall(
        &self,
        absences: &BTreeMap<String, Vec<(Duration, Duration)>>,
    ) -> Option<Stall> {
        let stalls = lock(&self.stalls);
        let parts = stalls.iter().flat_map(|stall| {
            let of = |name: &str| absences.get(name).cloned().unwrap_or_default();
            let mut away = of("haflux");
            away.extend(of(&stall.replica));
            away.sort_unstable();
            let mut parts = Vec::new();
            let mut rest = stall.clone();
            for (from, until) in away {
                if until <= rest.from || from >= rest.until {
                    continue;
                }
                parts.push(Stall {
                    until: from.max(rest.from),
                    ..rest.clone()
                });
                rest.from = until.min(rest.until);
            }
            parts.push(rest);
            parts
        });
        parts.max_by_key(Stall::length)
    }
}

/// What the status page says of the only relay.
fn page(address: &str) -> Option<Value> {
    let request =
        format!("GET /haproxy?stats;json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    match exchange(address, request.as_bytes(), Sending::Open, PAGE) {
        Reply::Answer(answer) if answer.status == 200 => {
            let mut page: Value = serde_json::from_slice(&answer.body).ok()?;
            Some(page["relays"][0].take())
        }
        _ => None,
    }
}
