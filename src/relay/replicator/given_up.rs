//! What a replica lacks, and was waited for long enough: a record that it refuses for the same want is not held again.
//!
//! A statement may bring what is wanting, so nothing is given up any more when one was carried out. A restart begins anew, too.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;

use crate::influx::Credentials;
use crate::relay::record::write::Destination;

/// Wants that are known; past it the oldest is waited for once more.
const MOST: usize = 1024;

/// What a replica lacks for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Want {
    Database,
    RetentionPolicy,
    /// The user, or a right.
    Rights,
    /// A shard that the node could open.
    Shard,
}

/// The wants of one replica.
#[derive(Debug, Default)]
pub(super) struct GivenUp {
    known: HashSet<u64>,
    /// The same, in their order.
    order: VecDeque<u64>,
    keys: RandomState,
}

impl GivenUp {
    /// A record that goes there was held for its time.
    pub(super) fn insert(&mut self, want: Want, destination: &Destination) {
        self.add(self.key(want, destination));
    }

    /// A statement of this sender was, for want of rights.
    pub(super) fn insert_sender(&mut self, sender: &Credentials) {
        self.add(self.key_of_sender(sender));
    }

    fn add(&mut self, key: u64) {
        if self.known.insert(key) {
            self.order.push_back(key);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether one was.
    pub(super) fn contains(&self, want: Want, destination: &Destination) -> bool {
        !self.known.is_empty() && self.known.contains(&self.key(want, destination))
    }

    /// Whether a statement of this sender was.
    pub(super) fn contains_sender(&self, sender: &Credentials) -> bool {
        !self.known.is_empty() && self.known.contains(&self.key_of_sender(sender))
    }

    /// A statement was carried out.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }

    fn key(&self, want: Want, destination: &Destination) -> u64 {
        let database = &destination.database;
        match want {
            Want::Database => self.keys.hash_one((want, database)),
            Want::RetentionPolicy | Want::Shard => {
                self.keys
                    .hash_one((want, database, &destination.retention_policy))
            }
            Want::Rights => self
                .keys
                .hash_one((want, database, &destination.credentials)),
        }
    }

    fn key_of_sender(&self, sender: &Credentials) -> u64 {
        self.keys.hash_one((Want::Rights, sender))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influx::Precision;
    use crate::relay::record::write::Form;

    fn to(database: &str, policy: &str, user: &str) -> Destination {
        Destination {
            form: Form::LineProtocol,
            precision: Precision::Seconds,
            consistency: None,
            database: database.to_owned(),
            retention_policy: policy.to_owned(),
            credentials: Credentials::Parameters {
                user: user.into(),
                password: Vec::new(),
            },
        }
    }

    #[test]
    fn what_is_wanting_tells_who_is_not_waited_for_again() {
        let mut given_up = GivenUp::default();
        for (want, same, other) in [
            (Want::Database, to("a", "q", "w"), to("b", "p", "v")),
            (Want::RetentionPolicy, to("a", "p", "w"), to("a", "q", "v")),
            (Want::Rights, to("a", "q", "v"), to("a", "p", "w")),
            (Want::Shard, to("a", "p", "w"), to("a", "q", "v")),
        ] {
            assert!(!given_up.contains(want, &same));
            given_up.insert(want, &to("a", "p", "v"));
            assert!(given_up.contains(want, &same) && !given_up.contains(want, &other));
        }
        let (sender, other) = (to("", "", "v").credentials, Credentials::None);
        assert!(!given_up.contains_sender(&sender));
        given_up.insert_sender(&sender);
        assert!(given_up.contains_sender(&sender) && !given_up.contains_sender(&other));
        given_up.clear();
        assert!(!given_up.contains(Want::Database, &to("a", "p", "v")));
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut given_up = GivenUp::default();
        for number in 0..MOST + 10 {
            given_up.insert(Want::Database, &to(&number.to_string(), "", ""));
        }
        assert_eq!((given_up.known.len(), given_up.order.len()), (MOST, MOST));
        assert!(!given_up.contains(Want::Database, &to("9", "", "")));
        assert!(given_up.contains(Want::Database, &to("10", "", "")));
    }
}
