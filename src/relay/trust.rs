//! Whom to believe while nobody can be asked (rule W6).
//!
//! A write that comes while no replica is in reach is journaled before any node has seen its credentials. It is taken only
//! if the same credentials (none counts too) wrote to the same database lately; else a stranger could fill the journal with
//! what every node will refuse.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::influx::Credentials;

/// Pairs of credentials and database that are remembered.
const MAX_KNOWN: usize = 4096;

/// Who wrote where, and when.
#[derive(Debug)]
pub(super) struct Trust {
    lasts: Duration,
    known: Mutex<HashMap<String, Vec<Writer>>>,
}

#[derive(Debug)]
struct Writer {
    credentials: Credentials,
    accepted: Instant,
}

impl Trust {
    pub(super) fn new(lasts: Duration) -> Trust {
        Trust {
            lasts,
            known: Mutex::new(HashMap::new()),
        }
    }

    /// A replica applied a write of theirs.
    pub(super) fn accepted(&self, credentials: &Credentials, database: &str, now: Instant) {
        let mut known = self.known();
        if let Some(writers) = known.get_mut(database)
            && let Some(writer) = writers
                .iter_mut()
                .find(|writer| writer.credentials == *credentials)
        {
            writer.accepted = now;
            return;
        }
        if known.values().map(Vec::len).sum::<usize>() >= MAX_KNOWN {
            self.forget(&mut known, now);
        }
        known.entry(database.to_owned()).or_default().push(Writer {
            credentials: credentials.clone(),
            accepted: now,
        });
    }

    /// Whether they may write although nobody can be asked.
    pub(super) fn holds(&self, credentials: &Credentials, database: &str, now: Instant) -> bool {
        let known = self.known();
        let writer = known.get(database).and_then(|writers| {
            writers
                .iter()
                .find(|writer| writer.credentials == *credentials)
        });
        writer.is_some_and(|writer| now.saturating_duration_since(writer.accepted) < self.lasts)
    }

    /// Those whose time is over; and if that is nobody, all: they will be known again with their next write.
    fn forget(&self, known: &mut HashMap<String, Vec<Writer>>, now: Instant) {
        known.retain(|_, writers| {
            writers.retain(|writer| now.saturating_duration_since(writer.accepted) < self.lasts);
            !writers.is_empty()
        });
        if known.values().map(Vec::len).sum::<usize>() >= MAX_KNOWN {
            known.clear();
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Vec<Writer>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Credentials {
        Credentials::Authorization(name.as_bytes().to_vec())
    }

    #[test]
    fn only_who_wrote_to_the_database_lately_is_believed() {
        let trust = Trust::new(Duration::from_secs(60));
        let start = Instant::now();
        assert!(!trust.holds(&Credentials::None, "db", start));
        trust.accepted(&Credentials::None, "db", start);
        trust.accepted(&user("a"), "db", start);
        assert!(trust.holds(&Credentials::None, "db", start));
        assert!(trust.holds(&user("a"), "db", start));
        assert!(!trust.holds(&user("b"), "db", start));
        assert!(!trust.holds(&user("a"), "other", start));
        assert!(!trust.holds(&user("a"), "db", start + Duration::from_secs(60)));
    }

    #[test]
    fn strangers_do_not_fill_it() {
        let trust = Trust::new(Duration::from_secs(60));
        let start = Instant::now();
        for number in 0..3 * MAX_KNOWN {
            trust.accepted(&user(&number.to_string()), "db", start);
        }
        assert!(trust.known().values().map(Vec::len).sum::<usize>() <= MAX_KNOWN);
    }
}
