//! `queries` of `[[frontend]]`.

use crate::config::field::{Keys, Table};
use crate::config::model::{QueryGuards, Unbounded};

const KEYS: Keys = Keys::of(&[
    "max_running",
    "max_running_per_user",
    "max_time",
    "unbounded",
    "slow",
]);

pub(in crate::config) const UNBOUNDED: [(&str, Unbounded); 2] =
    [("allow", Unbounded::Allow), ("refuse", Unbounded::Refuse)];

pub(super) fn decode(table: &Table<'_>) -> QueryGuards {
    const EXPECTED: &str = "a table such as { max_running = 50, max_time = \"1m\" }";
    let table = table
        .get("queries")
        .and_then(|field| field.table(KEYS, EXPECTED));
    let Some(table) = table else {
        return QueryGuards::default();
    };
    let most = |key| table.get(key).and_then(|field| field.whole(1..=1_000_000));
    let time = |key| table.get(key).and_then(|field| field.duration());
    QueryGuards {
        max_running: most("max_running"),
        max_running_per_user: most("max_running_per_user"),
        max_time: time("max_time"),
        unbounded: table.choice("unbounded", &UNBOUNDED, Unbounded::Allow),
        slow: time("slow"),
    }
}
