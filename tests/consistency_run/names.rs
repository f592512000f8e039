//! How things are called in the nodes.

use super::OWNERS;
use super::book::OWN_DATABASES;

/// A register. It has a measurement for itself: InfluxDB 1.6 forgets the other series of a measurement, until it is started
/// again, when a series is deleted that one request had created with two points, as joined writes do.
pub fn register(owner: usize, place: usize) -> String {
    format!("register_{owner}_{place}")
}

/// An owner's measurement that goes by its name.
pub fn named(owner: usize) -> String {
    format!("named_{owner}")
}

/// Whose measurement of that kind it is.
pub fn measurement_owner(name: &str) -> Option<usize> {
    let owner = name.strip_prefix("named_")?.parse().ok()?;
    (owner < OWNERS).then_some(owner)
}

/// An owner's measurement that is copied into.
pub fn copy(owner: usize) -> String {
    format!("copy_{owner}")
}

/// An owner's set.
pub fn set(owner: usize) -> String {
    format!("set_{owner}")
}

/// An owner's database.
pub fn own_database(owner: usize, number: usize) -> String {
    format!("own {owner} {number}")
}

/// Whose database it is, and which.
pub fn own_database_number(name: &str) -> Option<(usize, usize)> {
    let (owner, number) = name.strip_prefix("own ")?.split_once(' ')?;
    let (owner, number) = (owner.parse().ok()?, number.parse().ok()?);
    (owner < OWNERS && number < OWN_DATABASES).then_some((owner, number))
}
