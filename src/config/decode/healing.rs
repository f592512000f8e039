//! `heal`, `compare` and `rerun_continuous_queries` of `[[relay]]`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::login::login;
use crate::config::error::Origin;
use crate::config::field::{Field, Keys, Table};
use crate::config::model::Relay;
use crate::config::tree::Text;

const KEYS: Keys = Keys::with_secret(&[
    "username",
    "password_file",
    "parallel",
    "max_rate",
    "max_load",
    "max_points",
    "rpc_port",
    "gate",
]);

/// The most places that are read at once: each is a question that the node answers from its files.
const MOST_PARALLEL: i128 = 64;

/// The least and the most points: fewer would make many small steps of a large difference, more need gigabytes.
const POINTS: RangeInclusive<i128> = 1_000..=10_000_000;

/// The least and the most bytes a second.
const SLOWEST: usize = 64 << 10;
const FASTEST: usize = 1 << 40;

/// Gives the file with the password, and where it is named.
pub(super) fn decode(table: &Table<'_>, relay: &mut Relay) -> Option<(PathBuf, Origin)> {
    relay.compare = table
        .get("compare")
        .filter(is_given)
        .and_then(|field| field.duration());
    relay.rerun_continuous_queries = table
        .get("rerun_continuous_queries")
        .filter(is_given)
        .and_then(|field| field.duration());
    let table = table
        .get("heal")?
        .table(KEYS, "a table such as { parallel = 2 }")?;
    let heal = &mut relay.heal;
    heal.parallel = table.whole("parallel", 1..=MOST_PARALLEL, heal.parallel);
    heal.max_points = table.whole("max_points", POINTS, heal.max_points);
    heal.gate = table.duration("gate", heal.gate);
    heal.max_rate = table
        .get("max_rate")
        .filter(is_given)
        .and_then(|field| field.size(SLOWEST..=FASTEST))
        .map(|bytes| bytes as u64);
    heal.max_load = table
        .get("max_load")
        .filter(is_given)
        .and_then(|field| field.whole(1..=100));
    heal.rpc_port = table
        .get("rpc_port")
        .filter(is_given)
        .and_then(|field| field.whole(1..=i128::from(u16::MAX)));
    heal.login = login(&table);
    let login = heal.login.as_ref()?;
    let origin = table.get("password_file")?.origin();
    Some((login.password_file.clone(), origin))
}

/// 0, of any unit, is as if the key were not there.
fn is_given(field: &Field<'_>) -> bool {
    let is_unit = |letter: char| letter.is_ascii_alphabetic();
    let is_zero = |text: &Text| text.value.trim_end_matches(is_unit) == "0";
    field.as_whole() != Some(0) && !field.as_text().is_some_and(is_zero)
}
