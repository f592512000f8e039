//! How many connections each address has: one client must not take all of a frontend's.

use std::sync::Arc;

use crate::per_source::{PerSource, Place};
use crate::source::Source;

/// The connections of a frontend, served and waiting, by address.
#[derive(Debug)]
pub(in crate::proxy) struct Sources {
    connections: Arc<PerSource>,
}

impl Sources {
    /// No connections; each address may have `most`.
    pub(in crate::proxy) fn new(most: usize) -> Self {
        Self {
            // All of them together are bounded where they wait.
            connections: PerSource::new(usize::MAX, most),
        }
    }

    /// Each address may have `most` from now on; connections that are there stay.
    pub(in crate::proxy) fn change(&self, most: usize) {
        self.connections.change(usize::MAX, most);
    }

    /// Counts a connection from `source`; `None` if that has as many as it may.
    pub(in crate::proxy) fn enter(&self, source: Source) -> Option<Place> {
        self.connections.enter(source)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let sources = Sources::new(2);
        let address = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        let first = sources.enter(address("10.0.0.1")).unwrap();
        let _second = sources.enter(address("::ffff:10.0.0.1")).unwrap();
        assert!(sources.enter(address("10.0.0.1")).is_none());
        let other = sources.enter(address("10.0.0.2")).unwrap();
        drop(first);
        let _third = sources.enter(address("10.0.0.1")).unwrap();
        drop(other);
        assert_eq!(sources.connections.sources(), 1);
    }
}
