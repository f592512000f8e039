//! The databases that a replica is known to have, because it accepted writes for them.
//!
//! They outlive the point of the [`IdentityPoint`]: a node whose point may have been removed by a statement, or
//! whose writer may not read, still has the database. Only names and writers are kept. What a write was accepted for is there
//! until a statement drops it, wherever the replica's cursor is set back to, because nothing goes back past a statement.

use serde::{Deserialize, Serialize};

use crate::influx::{Credentials, Precision};
use crate::relay::record::removal::Removal;
use crate::relay::record::write::{Destination, Form, WriteRecord};
use crate::relay::replica::identity_point::{IdentityPoint, credentials};

/// How many are kept: the first ones that writes were accepted for.
const MOST: usize = 8;

/// Bytes of a name and of credentials that are kept.
const LONGEST: usize = 1024;

/// A few databases and who may write to them. `Debug` shows no credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::relay) struct Known {
    databases: Vec<Database>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Database {
    name: String,
    /// Whose write was accepted last.
    #[serde(with = "credentials")]
    credentials: Credentials,
}

impl Known {
    /// The replica accepted this record. Returns whether its database is new here.
    pub(in crate::relay) fn accepted(&mut self, record: &WriteRecord) -> bool {
        let Destination {
            database: name,
            credentials,
            ..
        } = &record.destination;
        let is_full = self.databases.len() >= MOST;
        let known = self.databases.iter_mut().find(|known| known.name == *name);
        let is_kept = name.len() + credentials.length() <= LONGEST;
        match known {
            Some(known) if known.credentials == *credentials || !is_kept => false,
            Some(known) => {
                known.credentials.clone_from(credentials);
                false
            }
            None if is_full || !is_kept => false,
            None => {
                self.databases.push(Database {
                    name: name.clone(),
                    credentials: credentials.clone(),
                });
                true
            }
        }
    }

    /// Databases that are being removed are not to be missed.
    pub(in crate::relay) fn forget(&mut self, removal: &Removal) {
        self.databases
            .retain(|known| !removal.takes_database(&known.name));
    }

    /// Where an empty write asks for each of them; for that of the identity point too.
    pub(in crate::relay) fn destinations(
        &self,
        identity_point: Option<&IdentityPoint>,
    ) -> Vec<Destination> {
        let of_identity_point = identity_point.map(IdentityPoint::destination);
        let others = self.databases.iter().map(|known| Destination {
            form: Form::LineProtocol,
            precision: Precision::Nanoseconds,
            consistency: None,
            database: known.name.clone(),
            retention_policy: String::new(),
            credentials: known.credentials.clone(),
        });
        let mut all: Vec<Destination> = of_identity_point.into_iter().collect();
        for destination in others {
            if !all.contains(&destination) {
                all.push(destination);
            }
        }
        all
    }

    /// Whether there are none.
    pub(in crate::relay) fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::replica::identity_point::tests::record;

    fn of(database: &str) -> WriteRecord {
        let mut record = record("m v=1 5");
        record.destination.database = database.to_owned();
        record
    }

    fn names(known: &Known) -> Vec<String> {
        let destinations = known.destinations(None).into_iter();
        destinations
            .map(|destination| destination.database)
            .collect()
    }

    #[test]
    fn the_first_ones_are_kept_and_their_newest_writers() {
        let mut known = Known::default();
        assert!(known.accepted(&of("a")));
        assert!(!known.accepted(&of("a")));
        let mut other = of("a");
        other.destination.credentials = Credentials::None;
        assert!(!known.accepted(&other));
        assert_eq!(known.destinations(None)[0].credentials, Credentials::None);
        for number in 0..2 * MOST {
            known.accepted(&of(&number.to_string()));
        }
        assert_eq!(names(&known).len(), MOST);
        assert!(!known.accepted(&of(&"x".repeat(LONGEST))));
        known.forget(&Removal::Databases(Some(vec!["a".to_owned()])));
        assert!(!names(&known).contains(&"a".to_owned()));
        known.forget(&Removal::Points(None));
        assert_eq!(names(&known).len(), MOST - 1);
        let text = serde_json::to_string(&known).expect("JSON");
        assert_eq!(serde_json::from_str::<Known>(&text).expect("read"), known);
        known.forget(&Removal::Databases(None));
        assert!(known.is_empty());
    }
}
