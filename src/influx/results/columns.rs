//! What the columns of a series hold, as far as it can be told from JSON.

use std::collections::HashMap;

use super::document::{Document, Series, Value};

/// The Go type of a column's numbers and texts, where that shows in CSV or MessagePack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Each value is of the type that its JSON shows; a whole number is an `int64`.
    Plain,
    /// Numbers are `float64`, whole ones too.
    Float,
    /// Texts that read as a time are times.
    Time,
    /// `uint64`.
    Unsigned,
    /// `int`, which InfluxDB's CSV passes over: the cell shows what stood there before.
    Int,
}

/// First columns of `SHOW …` and `EXPLAIN`: names that are texts, even if one reads as a time. The first column of a `SELECT` is
/// its time, but may bear any name (`SELECT time AS t`).
const TEXT_COLUMNS: [&str; 9] = [
    "name",
    "key",
    "tagKey",
    "fieldKey",
    "user",
    "database",
    "retention_policy",
    "QUERY PLAN",
    "EXPLAIN ANALYZE",
];

/// How the answers of some `SHOW` statements begin, and the column in which they hold numbers that are not `int64`.
const ODD_COLUMNS: [(&[&str], usize, Kind); 5] = [
    (
        &["name", "duration", "shardGroupDuration", "replicaN"],
        3,
        Kind::Int,
    ),
    (&["qid", "query", "database"], 0, Kind::Unsigned),
    (
        &["id", "database", "retention_policy", "shard_group"],
        0,
        Kind::Unsigned,
    ),
    (
        &["id", "database", "retention_policy", "shard_group"],
        3,
        Kind::Unsigned,
    ),
    (
        &["id", "database", "retention_policy", "start_time"],
        0,
        Kind::Unsigned,
    ),
];

/// The kinds of all columns of an answer. One fraction anywhere in a column of a statement tells of all of that column, in
/// whichever series or chunk.
pub(super) struct Columns<'answer> {
    kinds: HashMap<(i64, &'answer [String]), Vec<Kind>>,
}

impl<'answer> Columns<'answer> {
    /// Looks through an answer. With `epoch`, times are plain numbers.
    pub(super) fn of(documents: &'answer [Document<'_>], epoch: bool) -> Self {
        let mut kinds: HashMap<_, Vec<Kind>> = HashMap::new();
        for result in documents.iter().flat_map(|document| &document.results) {
            for series in &result.series {
                let kinds = kinds
                    .entry((result.statement_id, series.columns.as_slice()))
                    .or_insert_with(|| at_first_sight(&series.columns, epoch));
                for row in &series.values {
                    for (kind, value) in kinds.iter_mut().zip(row) {
                        if matches!(kind, Kind::Plain | Kind::Time)
                            && matches!(value, Value::Float(_))
                        {
                            *kind = Kind::Float;
                        }
                    }
                }
            }
        }
        Self { kinds }
    }

    /// One for each column of a series of that statement.
    pub(super) fn kinds<'a>(&'a self, statement_id: i64, series: &'a Series<'_>) -> &'a [Kind] {
        self.kinds
            .get(&(statement_id, series.columns.as_slice()))
            .map_or(&[], Vec::as_slice)
    }
}

/// By the columns' names.
fn at_first_sight(columns: &[String], epoch: bool) -> Vec<Kind> {
    let mut kinds = vec![Kind::Plain; columns.len()];
    if !epoch
        && let (Some(name), Some(kind)) = (columns.first(), kinds.first_mut())
        && !TEXT_COLUMNS.contains(&name.as_str())
    {
        *kind = Kind::Time;
    }
    for (beginning, column, odd) in ODD_COLUMNS {
        let begins = columns.len() >= beginning.len()
            && columns.iter().zip(beginning).all(|(name, odd)| name == odd);
        if begins && let Some(kind) = kinds.get_mut(column) {
            *kind = odd;
        }
    }
    kinds
}
