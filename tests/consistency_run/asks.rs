//! What is asked, and how its answer is read.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::Value;

use super::book::{Key, OWN_DATABASES, PLACES};
use super::names::{
    copy, measurement_owner, named, own_database, own_database_number, register, set,
};
use super::support::long_run::Request;
use super::support::long_run::model::Found;
use super::support::long_run::questions::query;
use super::{DATABASES, OWNERS};

/// What a value stands for that cannot have been written.
const STRANGE: u64 = u64::MAX;

/// One statement that reads.
#[derive(Debug, Clone, Copy)]
pub enum Ask {
    Register {
        owner: usize,
        database: usize,
        place: usize,
    },
    /// Those of all owners.
    Registers {
        database: usize,
    },
    Named {
        owner: usize,
        database: usize,
    },
    Copy {
        owner: usize,
        database: usize,
    },
    Set {
        owner: usize,
        database: usize,
    },
    Inside {
        owner: usize,
        number: usize,
    },
    Databases,
    Measurements {
        database: usize,
    },
}

impl Ask {
    /// Any.
    pub fn any(rng: &mut Rng) -> Ask {
        let (owner, database) = (rng.usize(..OWNERS), rng.usize(..DATABASES.len()));
        match rng.u8(..100) {
            0..25 => Ask::Register {
                owner,
                database,
                place: rng.usize(..PLACES),
            },
            25..35 => Ask::Registers { database },
            35..45 => Ask::Named { owner, database },
            45..55 => Ask::Copy { owner, database },
            55..75 => Ask::Set { owner, database },
            75..85 => Ask::Inside {
                owner,
                number: rng.usize(..OWN_DATABASES),
            },
            85..93 => Ask::Databases,
            _ => Ask::Measurements { database },
        }
    }

    /// All that can be asked.
    pub fn all() -> Vec<Ask> {
        let mut asks = vec![Ask::Databases];
        for database in 0..DATABASES.len() {
            asks.extend([Ask::Registers { database }, Ask::Measurements { database }]);
            for owner in 0..OWNERS {
                asks.extend([
                    Ask::Named { owner, database },
                    Ask::Copy { owner, database },
                    Ask::Set { owner, database },
                ]);
            }
        }
        for owner in 0..OWNERS {
            asks.extend((0..OWN_DATABASES).map(|number| Ask::Inside { owner, number }));
        }
        asks
    }

    /// For the tally.
    pub fn name(self) -> &'static str {
        match self {
            Ask::Register { .. } => "read register",
            Ask::Registers { .. } => "read all registers",
            Ask::Named { .. } => "read named",
            Ask::Copy { .. } => "read copy",
            Ask::Set { .. } => "read set",
            Ask::Inside { .. } => "read inside",
            Ask::Databases => "read databases",
            Ask::Measurements { .. } => "read measurements",
        }
    }

    /// Whether its answer tells of that thing.
    pub fn covers(self, owner: usize, key: &Key) -> bool {
        match (self, *key) {
            (
                Ask::Register {
                    owner: of,
                    database: in_,
                    place: at,
                },
                Key::Register { database, place },
            ) => (of, in_, at) == (owner, database, place),
            (Ask::Registers { database: in_ }, Key::Register { database, .. })
            | (Ask::Measurements { database: in_ }, Key::Named { database }) => in_ == database,
            (
                Ask::Named {
                    owner: of,
                    database: in_,
                },
                Key::Named { database },
            )
            | (
                Ask::Copy {
                    owner: of,
                    database: in_,
                },
                Key::Copy { database },
            )
            | (
                Ask::Set {
                    owner: of,
                    database: in_,
                },
                Key::Element { database, .. },
            ) => (of, in_) == (owner, database),
            (
                Ask::Inside {
                    owner: of,
                    number: at,
                },
                Key::Inside { number },
            ) => (of, at) == (owner, number),
            (Ask::Databases, Key::Database { .. }) => true,
            _ => false,
        }
    }

    /// The database that it is about.
    fn database(self) -> Option<String> {
        match self {
            Ask::Register { database, .. }
            | Ask::Registers { database }
            | Ask::Named { database, .. }
            | Ask::Copy { database, .. }
            | Ask::Set { database, .. }
            | Ask::Measurements { database } => Some(DATABASES[database].to_owned()),
            Ask::Inside { owner, number } => Some(own_database(owner, number)),
            Ask::Databases => None,
        }
    }

    /// Its text. Either `db=` says which database is meant, or the text itself (`qualified`).
    fn text(self, qualified: Option<&str>) -> String {
        let database = self.database().filter(|_| qualified.is_some());
        let from = |measurement: &str| match (&database, qualified) {
            (Some(database), Some(policy)) => format!("\"{database}\".{policy}.\"{measurement}\""),
            _ => format!("\"{measurement}\""),
        };
        match self {
            Ask::Register { owner, place, .. } => format!(
                "SELECT v FROM {} GROUP BY owner, place",
                from(&register(owner, place))
            ),
            Ask::Registers { .. } => match (&database, qualified) {
                (Some(database), Some(policy)) => format!(
                    "SELECT v FROM \"{database}\".{policy}./^register_/ GROUP BY owner, place"
                ),
                _ => "SELECT v FROM /^register_/ GROUP BY owner, place".to_owned(),
            },
            Ask::Named { owner, .. } => format!("SELECT v FROM {}", from(&named(owner))),
            Ask::Copy { owner, .. } => format!("SELECT v FROM {}", from(&copy(owner))),
            Ask::Set { owner, .. } => format!("SELECT v FROM {}", from(&set(owner))),
            Ask::Inside { .. } => format!("SELECT v FROM {}", from("inside")),
            Ask::Databases => "SHOW DATABASES".to_owned(),
            Ask::Measurements { .. } => match database {
                Some(database) => format!("SHOW MEASUREMENTS ON \"{database}\""),
                None => "SHOW MEASUREMENTS".to_owned(),
            },
        }
    }

    /// What a result shows; what is not in it was not there. An error if it is one.
    pub fn found(self, result: &Value) -> Result<BTreeMap<(usize, Key), Found>, String> {
        if let Some(error) = result["error"].as_str() {
            let gone = matches!(self, Ask::Inside { .. }) && error.contains("database not found");
            return if gone {
                Ok(BTreeMap::new())
            } else {
                Err(error.to_owned())
            };
        }
        let series = result["series"].as_array().map_or(&[][..], Vec::as_slice);
        let mut found = BTreeMap::new();
        for one in series {
            let rows = one["values"].as_array().map_or(&[][..], Vec::as_slice);
            for row in rows {
                if let Some((owner, key, shown)) = self.found_in(one, row) {
                    found.insert((owner, key), shown);
                }
            }
        }
        Ok(found)
    }

    fn found_in(self, series: &Value, row: &Value) -> Option<(usize, Key, Found)> {
        let name = row[0].as_str().unwrap_or_default();
        let value = row[1].as_u64().unwrap_or(STRANGE);
        // Every point has a time of its own: a value anywhere else was never written.
        let at = |time: u64| {
            let seconds = row[0].as_u64().map(|nanos| nanos / 1_000_000_000);
            Found::Value(if seconds == Some(time) {
                value
            } else {
                STRANGE
            })
        };
        Some(match self {
            Ask::Register { database, .. } | Ask::Registers { database } => {
                let tag = |tag: &str| series["tags"][tag].as_str()?.parse().ok();
                let (owner, place) = (tag("owner")?, tag("place")?);
                let key = Key::Register { database, place };
                (owner, key, at(place as u64))
            }
            Ask::Named { owner, database } => (owner, Key::Named { database }, at(0)),
            Ask::Copy { owner, database } => (owner, Key::Copy { database }, at(0)),
            Ask::Set { owner, database } => {
                let key = |number| Key::Element { database, number };
                (owner, key(value), at(value))
            }
            Ask::Inside { owner, number } => (owner, Key::Inside { number }, at(0)),
            Ask::Databases => {
                let (owner, number) = own_database_number(name)?;
                (owner, Key::Database { number }, Found::Something)
            }
            Ask::Measurements { database } => {
                let owner = measurement_owner(name)?;
                (owner, Key::Named { database }, Found::Something)
            }
        })
    }
}

/// A request that asks all of this, which is about one database unless the statements say themselves which they mean.
pub fn request(rng: &mut Rng, asks: &[Ask], mark: &str) -> Request {
    let mut databases: Vec<String> = asks.iter().filter_map(|ask| ask.database()).collect();
    databases.dedup();
    let qualified = databases.len() > 1 || rng.u8(..3) == 0;
    let policy = if rng.bool() { "autogen" } else { "" };
    let texts: Vec<String> = asks
        .iter()
        .map(|ask| ask.text(qualified.then_some(policy)))
        .collect();
    // What is not needed may be there all the same, and mean another database.
    let database = if !qualified {
        databases.pop().unwrap_or_default()
    } else if rng.bool() {
        DATABASES[0].to_owned()
    } else {
        String::new()
    };
    query(rng, &database, &texts.join("; "), mark)
}
