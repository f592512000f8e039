//! How many connections each address has: one client must not take all of a frontend's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a frontend says that it closes connections.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// The connections of a frontend, served and waiting, by address.
#[derive(Debug)]
pub(in crate::proxy) struct Sources {
    most: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// No larger than the number of connections.
    counts: HashMap<IpAddr, usize>,
    said: Option<Instant>,
}

/// One connection, until it is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct SourceSlot {
    sources: Arc<Sources>,
    address: IpAddr,
}

impl Sources {
    /// No connections; each address may have `most`.
    pub(in crate::proxy) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            table: Mutex::default(),
        })
    }

    /// Counts a connection from `address`; `None` if that has as many as it may.
    pub(in crate::proxy) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<SourceSlot> {
        let address = address.to_canonical();
        let mut table = self.table();
        let count = table.counts.entry(address).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(table);
        Some(SourceSlot {
            sources: Arc::clone(self),
            address,
        })
    }

    /// Whether it is time to say again that connections are closed.
    pub(in crate::proxy) fn is_to_be_said(&self) -> bool {
        let mut table = self.table();
        let is_due = table.said.is_none_or(|said| said.elapsed() >= SAID_EVERY);
        if is_due {
            table.said = Some(Instant::now());
        }
        is_due
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SourceSlot {
    fn drop(&mut self) {
        let mut table = self.sources.table();
        if let Entry::Occupied(mut entry) = table.counts.entry(self.address) {
            match entry.get().checked_sub(1) {
                Some(left @ 1..) => *entry.get_mut() = left,
                _ => {
                    entry.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let sources = Sources::new(2);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = sources.enter(address("10.0.0.1")).unwrap();
        let _second = sources.enter(address("::ffff:10.0.0.1")).unwrap();
        assert!(sources.enter(address("10.0.0.1")).is_none());
        let other = sources.enter(address("10.0.0.2")).unwrap();
        drop(first);
        let _third = sources.enter(address("10.0.0.1")).unwrap();
        drop(other);
        assert_eq!(sources.table().counts.len(), 1);
        assert!(sources.is_to_be_said());
        assert!(!sources.is_to_be_said());
    }
}
