//! Whether another replica's data was copied to a node before it is taken back (rule R4).
//!
//! When a rebuild begins, the pin of the journal takes a note of what there is to be copied: the identity point and databases
//! of the replica whose place it pins, and how many measurements each database has, as far as its writers may ask. Before the
//! node is taken back it is asked for the same. What it lacks counts only if another replica has it: a statement may have
//! removed it meanwhile. One that was dropped meanwhile and made again is missed all the same; so haflux's own rebuild, which copies
//! whatever there is and knows what it made, has only those judged who write.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::influx::Credentials;
use crate::influx::influxql::identifier;
use crate::influx::query_answer::Row;
use crate::relay::record::write::Destination;
use crate::relay::replica::handle::Replica;
use crate::relay::replica::identity_point::IdentityPoint;
use crate::relay::replica::known::Known;
use crate::relay::replica::questions::{Asked, DatabaseAnswer, PointAnswer, Unanswered};
use crate::relay::replicator::cursor_metadata::CursorMetadata;
use crate::shown;

/// Databases whose measurements are counted.
const MOST: usize = 64;

/// Bytes of the name of one that is counted.
const LONGEST: usize = 256;

/// InfluxDB's own database, of which each node has its own.
const INTERNAL: &str = crate::influx::influxql::NODE_LOCAL_DATABASE;

/// Databases, and how many measurements they have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::relay) struct Contents {
    measurements: BTreeMap<String, u64>,
}

impl Contents {
    /// Whether there are none.
    pub(in crate::relay) fn is_empty(&self) -> bool {
        self.measurements.is_empty()
    }

    /// What a node has, as far as these credentials may ask; nothing if they may not, or it does not answer.
    pub(in crate::relay) async fn of(replica: &Replica, credentials: &[Credentials]) -> Contents {
        let mut contents = Contents::default();
        let Some(asked) = asked(replica) else {
            return contents;
        };
        for credentials in credentials {
            let databases = asked.rows("SHOW DATABASES", "", credentials).await;
            let databases = databases.ok().flatten().unwrap_or_default();
            for row in &databases {
                let Some(name) = first_text(row) else {
                    continue;
                };
                let is_counted = contents.measurements.contains_key(name);
                let is_full = contents.measurements.len() >= MOST;
                if is_counted || is_full || name == INTERNAL || name.len() > LONGEST {
                    continue;
                }
                if let Some(count) = measurements(asked, name, credentials).await {
                    contents.measurements.insert(name.to_owned(), count);
                }
            }
        }
        contents
    }

    /// What of this, as it was when the copy began, neither the copy has nor a statement took from the source.
    fn lacking(&self, source: &Contents, copy: &Contents) -> Option<String> {
        self.measurements.iter().find_map(|(name, at_begin)| {
            let now = source.measurements.get(name)?;
            let least = *at_begin.min(now);
            match copy.measurements.get(name) {
                None => Some(format!("database {:?} is not there, or its writers may not ask about it there", shown::name(name))),
                Some(copied) if *copied < least => Some(format!(
                    "database {:?} has {copied} measurements there, and at least {least} were to be copied",
                    shown::name(name)
                )),
                Some(_) => None,
            }
        })
    }
}

/// How many measurements the database has.
async fn measurements(asked: Asked<'_>, database: &str, credentials: &Credentials) -> Option<u64> {
    let statement = format!(
        "SHOW MEASUREMENT EXACT CARDINALITY ON {}",
        identifier(database)
    );
    let rows = asked.rows(&statement, database, credentials).await.ok()??;
    // A database without any has no row.
    match rows.first() {
        None => Some(0),
        Some(row) => row.first()?.1.as_u64(),
    }
}

fn first_text(row: &Row) -> Option<&str> {
    row.first()?.1.as_str()
}

fn asked(replica: &Replica) -> Option<Asked<'_>> {
    Some(Asked {
        client: &replica.client,
        address: replica.address()?,
    })
}

/// Whose credentials may be asked with.
pub(in crate::relay) fn credentials(
    known: &Known,
    identity_point: Option<&IdentityPoint>,
) -> Vec<Credentials> {
    let mut all: Vec<Credentials> = Vec::new();
    for place in known.destinations(identity_point) {
        if !all.contains(&place.credentials) {
            all.push(place.credentials);
        }
    }
    all
}

/// Looks whether the node holds what was noted when its rebuild began, and lets those in who write.
///
/// # Errors
/// What it lacks and another replica has, or why it cannot be asked.
pub(in crate::relay) async fn check(
    target: &Replica,
    others: &[&Replica],
    begin: &CursorMetadata,
) -> Result<(), String> {
    let check = Check::of(target, others)?;
    if let Some(identity_point) = &begin.identity_point {
        check.point(identity_point).await?;
    }
    for place in begin.known.destinations(begin.identity_point.as_ref()) {
        match check.copy.database(&place).await.map_err(unanswered)? {
            DatabaseAnswer::There => {}
            DatabaseAnswer::Missing => {
                let what = format!("database {:?} is not there", shown::name(&place.database));
                check.unlike_others(&place, &what).await?;
            }
            DatabaseAnswer::Refused(status) => check.refused(&place, status).await?,
        }
    }
    let credentials = credentials(&begin.known, begin.identity_point.as_ref());
    let copied = Contents::of(target, &credentials).await;
    for (source, _) in &check.sources {
        let now = Contents::of(source, &credentials).await;
        if let Some(lacking) = begin.at_copy.lacking(&now, &copied) {
            return Err(lacking);
        }
    }
    Ok(())
}

/// Looks only whether the node knows those who write: for a copy that haflux itself has made. What that lacks was dropped behind
/// the pin, and comes with the journal if it was made again, as rights do that were taken and given again.
///
/// # Errors
/// Whom it does not know and another replica does, or why it cannot be asked.
pub(in crate::relay) async fn check_writers(
    target: &Replica,
    others: &[&Replica],
    begin: &CursorMetadata,
) -> Result<(), String> {
    let check = Check::of(target, others)?;
    for place in begin.known.destinations(begin.identity_point.as_ref()) {
        let answer = check.copy.database(&place).await.map_err(unanswered)?;
        if let DatabaseAnswer::Refused(status @ 401) = answer {
            check.refused(&place, status).await?;
        }
    }
    Ok(())
}

fn unanswered(error: Unanswered) -> String {
    error.to_string()
}

/// Who is asked: the node, and the replicas that can be reached of which it is to be a copy.
struct Check<'a> {
    copy: Asked<'a>,
    sources: Vec<(&'a Replica, Asked<'a>)>,
}

impl<'a> Check<'a> {
    fn of(target: &'a Replica, others: &[&'a Replica]) -> Result<Check<'a>, String> {
        let copy = asked(target).ok_or_else(|| target.why_nowhere())?;
        let sources = others
            .iter()
            .filter_map(|other| Some((*other, asked(other)?)));
        Ok(Check {
            copy,
            sources: sources.collect(),
        })
    }

    async fn point(&self, identity_point: &IdentityPoint) -> Result<(), String> {
        let answer = self.copy.point(identity_point).await.map_err(unanswered)?;
        let PointAnswer::Missing(what) = answer else {
            return Ok(());
        };
        for (source, asked) in &self.sources {
            if matches!(asked.point(identity_point).await, Ok(PointAnswer::There)) {
                let name = &source.stats.name;
                return Err(format!("{what} as {name} had, and that {name} has"));
            }
        }
        Ok(())
    }

    async fn refused(&self, place: &Destination, status: u16) -> Result<(), String> {
        let what = format!(
            "it answers {status} to who writes to database {:?}",
            shown::name(&place.database)
        );
        self.unlike_others(place, &what).await
    }

    /// An error with these words, if another replica takes writes there.
    async fn unlike_others(&self, place: &Destination, what: &str) -> Result<(), String> {
        for (source, asked) in &self.sources {
            if matches!(asked.database(place).await, Ok(DatabaseAnswer::There)) {
                return Err(format!("{what}, unlike at {}", source.stats.name));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(of: &[(&str, u64)]) -> Contents {
        Contents {
            measurements: of
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
        }
    }

    #[test]
    fn what_was_dropped_or_made_meanwhile_is_not_missed() {
        let begin = contents(&[("a", 5), ("b", 2), ("gone", 9)]);
        let now = contents(&[("a", 3), ("b", 7), ("new", 1)]);
        assert_eq!(begin.lacking(&now, &contents(&[("a", 3), ("b", 2)])), None);
        let lacking =
            |copy: &[(&str, u64)]| begin.lacking(&now, &contents(copy)).unwrap_or_default();
        assert!(lacking(&[("a", 2), ("b", 2)]).contains("\"a\" has 2"));
        assert!(lacking(&[("a", 3)]).contains("\"b\" is not there"));
    }
}
