//! What is asked, and how its answer is read.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::Value;

use super::OWNERS;
use super::book::{Book, Key};
use super::support::long_run::Request;
use super::support::long_run::model::Found;
use super::support::long_run::questions::query;
use super::things::{DATABASES, FIELDS, POLICIES, STRANGE, identifier, read};

/// The second policy of an owner's database.
pub const EXTRA: &str = "extra, \"p\"";

/// An owner's database.
pub fn own(owner: usize) -> String {
    format!("own {owner} \"x\"")
}

/// One statement that reads.
#[derive(Debug, Clone)]
pub enum Ask {
    /// All points of a measurement in a policy.
    Measurement {
        owner: usize,
        database: usize,
        policy: usize,
        measurement: String,
    },
    Databases,
    Policies {
        owner: usize,
    },
    Inside {
        owner: usize,
        policy: usize,
    },
}

impl Ask {
    /// Any.
    pub fn any(rng: &mut Rng, book: &Book) -> Ask {
        let owner = rng.usize(..OWNERS);
        match rng.u8(..100) {
            0..85 => {
                let thing = rng
                    .choice(&book.things[owner])
                    .expect("an owner has things");
                Ask::Measurement {
                    owner,
                    database: thing.database,
                    policy: rng.usize(..POLICIES.len()),
                    measurement: thing.measurement.clone(),
                }
            }
            85..88 => Ask::Databases,
            88..91 => Ask::Policies { owner },
            _ => Ask::Inside {
                owner,
                policy: rng.usize(..2),
            },
        }
    }

    /// All that can be asked.
    pub fn all(book: &Book) -> Vec<Ask> {
        let mut asks = vec![Ask::Databases];
        for (owner, things) in book.things.iter().enumerate() {
            let mut measurements: Vec<(usize, &str)> = things
                .iter()
                .map(|thing| (thing.database, thing.measurement.as_str()))
                .collect();
            measurements.sort_unstable();
            measurements.dedup();
            for policy in 0..POLICIES.len() {
                asks.push(Ask::Inside { owner, policy });
                asks.extend(
                    measurements
                        .iter()
                        .map(|(database, measurement)| Ask::Measurement {
                            owner,
                            database: *database,
                            policy,
                            measurement: (*measurement).to_owned(),
                        }),
                );
            }
            asks.push(Ask::Policies { owner });
        }
        asks
    }

    /// For the tally.
    pub fn name(&self) -> &'static str {
        match self {
            Ask::Measurement { .. } => "read points",
            Ask::Databases => "read databases",
            Ask::Policies { .. } => "read policies",
            Ask::Inside { .. } => "read inside",
        }
    }

    /// What its answer tells of.
    pub fn keys(&self, book: &Book) -> Vec<(usize, Key)> {
        match self {
            Ask::Measurement {
                owner,
                database,
                policy,
                measurement,
            } => {
                let things = book.things_in(*owner, *database, measurement);
                let keys = things.into_iter().flat_map(|thing| {
                    (0..FIELDS.len()).map(move |field| Key::Field {
                        thing,
                        policy: *policy,
                        field,
                    })
                });
                keys.map(|key| (*owner, key)).collect()
            }
            Ask::Databases => (0..OWNERS).map(|owner| (owner, Key::Database)).collect(),
            Ask::Policies { owner } => vec![(*owner, Key::Policy)],
            Ask::Inside { owner, policy } => vec![(*owner, Key::Inside { policy: *policy })],
        }
    }

    /// A request that asks it.
    pub fn request(&self, rng: &mut Rng, mark: &str) -> Request {
        let (database, text) = match self {
            Ask::Measurement {
                database,
                policy,
                measurement,
                ..
            } => {
                let (database, policy) = (DATABASES[*database], POLICIES[*policy]);
                let from = format!("{}.{}", identifier(policy), identifier(measurement));
                match rng.bool() {
                    true => (String::new(), format!("{}.{from}", identifier(database))),
                    false => (database.to_owned(), from),
                }
            }
            Ask::Databases => (String::new(), String::new()),
            Ask::Policies { owner } => (String::new(), identifier(&own(*owner))),
            Ask::Inside { owner, policy } => {
                let policy = ["autogen", EXTRA][*policy];
                (own(*owner), format!("{}.inside", identifier(policy)))
            }
        };
        let text = match self {
            Ask::Measurement { .. } => format!("SELECT * FROM {text} GROUP BY *"),
            Ask::Databases => "SHOW DATABASES".to_owned(),
            Ask::Policies { .. } => format!("SHOW RETENTION POLICIES ON {text}"),
            Ask::Inside { .. } => format!("SELECT v FROM {text}"),
        };
        query(rng, &database, &text, mark)
    }

    /// What a result shows; what is not in it was not there. An error if it is one, or shows what cannot be.
    pub fn found(
        &self,
        book: &Book,
        result: &Value,
    ) -> Result<BTreeMap<(usize, Key), Found>, String> {
        if let Some(error) = result["error"].as_str() {
            let gone = match self {
                Ask::Policies { .. } => error.contains("database not found"),
                Ask::Inside { .. } => {
                    error.contains("database not found")
                        || error.contains("retention policy not found")
                }
                Ask::Measurement { .. } | Ask::Databases => false,
            };
            return match gone {
                true => Ok(BTreeMap::new()),
                false => Err(error.to_owned()),
            };
        }
        let mut found = BTreeMap::new();
        let series = result["series"].as_array().map_or(&[][..], Vec::as_slice);
        for one in series {
            let columns = one["columns"].as_array().map_or(&[][..], Vec::as_slice);
            let rows = one["values"].as_array().map_or(&[][..], Vec::as_slice);
            for row in rows {
                self.found_in(book, one, columns, row, &mut found);
            }
        }
        Ok(found)
    }

    fn found_in(
        &self,
        book: &Book,
        series: &Value,
        columns: &[Value],
        row: &Value,
        found: &mut BTreeMap<(usize, Key), Found>,
    ) {
        let name = row[0].as_str().unwrap_or_default();
        match self {
            Ask::Measurement {
                owner,
                database,
                policy,
                measurement,
            } => {
                let things = book.things_in(*owner, *database, measurement);
                let thing = things
                    .into_iter()
                    .find(|thing| book.things[*owner][*thing].is_at(&series["tags"], &row[0]));
                for (field, name) in FIELDS.iter().enumerate() {
                    let column = columns.iter().position(|column| column == name);
                    let Some(content) = column.and_then(|column| read(field, &row[column])) else {
                        continue;
                    };
                    // Nobody writes anywhere else: shown as a value that was never sent.
                    let (thing, content) = match thing {
                        Some(thing) => (thing, content),
                        None => (0, STRANGE),
                    };
                    let key = Key::Field {
                        thing,
                        policy: *policy,
                        field,
                    };
                    found.insert((*owner, key), Found::Value(content));
                }
            }
            Ask::Databases => {
                let owner = (0..OWNERS).find(|owner| own(*owner) == name);
                found.extend(owner.map(|owner| ((owner, Key::Database), Found::Something)));
            }
            Ask::Policies { owner } => {
                if name == EXTRA {
                    found.insert((*owner, Key::Policy), Found::Something);
                }
            }
            Ask::Inside { owner, policy } => {
                let content = row[1].as_u64().unwrap_or(STRANGE);
                let key = Key::Inside { policy: *policy };
                found.insert((*owner, key), Found::Value(content));
            }
        }
    }
}
