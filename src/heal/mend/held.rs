//! What nodes hold of the series of a batch.

use std::collections::HashMap;

use super::plan::{Held, Span};
use super::strip::Strip;
use crate::heal::node::{Node, NodeError, Slice};
use crate::heal::place::{Fields, Tags};

/// The parts of a batch that are of one measurement of one policy each, as far as they stand together.
pub(super) fn of_one_measurement(batch: &[Strip]) -> impl Iterator<Item = &[Strip]> {
    let place = |strip: &Strip| {
        let Slice {
            database,
            policy,
            measurement,
            ..
        } = &strip.slice;
        (database.clone(), policy.clone(), measurement.clone())
    };
    batch.chunk_by(move |one, other| place(one) == place(other))
}

/// What a node holds of each of these series of one measurement at their times, and near them.
pub(super) async fn held_of_all(
    node: &Node,
    strips: &[Strip],
) -> Result<HashMap<Tags, Held>, NodeError> {
    let Some(first) = strips.first() else {
        return Ok(HashMap::new());
    };
    let spans: Vec<Vec<Span>> = strips.iter().map(Strip::spans).collect();
    let wanted = strips.iter().zip(&spans);
    let wanted = wanted.map(|(strip, spans)| (&strip.tags, spans.as_slice()));
    read(node, &first.slice, &wanted.collect::<Vec<_>>()).await
}

/// What a node holds of a series in these times.
pub(super) async fn held(
    node: &Node,
    slice: &Slice,
    tags: &Tags,
    spans: &[Span],
) -> Result<Held, NodeError> {
    let mut read = read(node, slice, &[(tags, spans)]).await?;
    Ok(read.remove(tags).unwrap_or_default())
}

async fn read(
    node: &Node,
    slice: &Slice,
    wanted: &[(&Tags, &[Span])],
) -> Result<HashMap<Tags, Held>, NodeError> {
    let read = match node.points_of(slice, wanted).await {
        Err(error) if error.is_absent() => return Ok(HashMap::new()),
        read => read?,
    };
    let mut held: HashMap<Tags, Held> = HashMap::new();
    for series in read {
        let points = held.entry(series.tags).or_default();
        for (time, values) in series.rows {
            let fields = series.fields.iter().zip(values);
            let fields = fields.filter_map(|(name, value)| Some((name.clone(), value?)));
            let mut fields: Fields = fields.collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            points.insert(time, fields);
        }
    }
    Ok(held)
}
