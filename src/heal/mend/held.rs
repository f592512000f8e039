//! What nodes hold of the series of a batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::plan::{Held, Span};
use super::strip::Strip;
use crate::heal::node::{Node, NodeError, Slice};
use crate::heal::place::{Fields, Tags};
use crate::heal::schema::{Beginnings, ShardGroup};

/// Where the shard groups of one database begin and end, on several nodes, by policy: of a question that crosses one InfluxDB answers
/// values of one type only.
#[derive(Debug, Default)]
pub(super) struct Cuts(BTreeMap<String, BTreeSet<i64>>);

impl Cuts {
    /// So do those of one more node.
    pub(super) fn add(&mut self, groups: &[ShardGroup], database: &str) {
        let beginnings = Beginnings::of(groups);
        for group in groups.iter().filter(|group| group.database == database) {
            let of_policy = self.0.entry(group.policy.clone()).or_default();
            of_policy.extend([group.from, group.until, beginnings.reach(group)]);
        }
    }

    /// These times, none of which crosses a shard group of a policy any more.
    fn apart(&self, policy: &str, spans: &[Span]) -> Vec<Span> {
        let none = BTreeSet::new();
        let cuts = self.0.get(policy).unwrap_or(&none);
        let mut apart = Vec::with_capacity(spans.len());
        for (from, until) in spans {
            let mut from = *from;
            for cut in cuts.range(from.saturating_add(1)..).copied() {
                if cut > *until {
                    break;
                }
                apart.push((from, cut.saturating_sub(1)));
                from = cut;
            }
            apart.push((from, *until));
        }
        apart
    }
}

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

/// What a node holds of a series in these times, in a policy whose shard groups end at `cuts`.
pub(super) async fn held(
    node: &Node,
    slice: &Slice,
    tags: &Tags,
    spans: &[Span],
    cuts: &Cuts,
) -> Result<Held, NodeError> {
    let spans = cuts.apart(&slice.policy, spans);
    let mut read = read(node, slice, &[(tags, &spans)]).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_question_crosses_a_shard_group_of_its_policy() {
        const SECOND: i64 = 1_000_000_000;
        let group = |policy: &str, from: i64, until: i64| ShardGroup {
            database: "d".to_owned(),
            policy: policy.to_owned(),
            from: from * SECOND,
            until: until * SECOND,
        };
        let mut cuts = Cuts::default();
        cuts.add(&[group("p", 0, 10), group("p", 10, 20)], "d");
        cuts.add(&[group("p", 5, 15), group("other", 0, 7)], "d");
        let seconds = |spans: &[Span]| -> Vec<Span> {
            let apart = cuts.apart("p", spans).into_iter();
            apart
                .map(|(from, until)| (from / SECOND, (until + 1) / SECOND))
                .collect()
        };
        let span = |from: i64, until: i64| (from * SECOND, until * SECOND - 1);
        assert_eq!(
            seconds(&[span(1, 4), span(4, 12), span(20, 30)]),
            [(1, 4), (4, 5), (5, 10), (10, 12), (20, 21), (21, 30)]
        );
        let moment = (10 * SECOND, 10 * SECOND);
        assert_eq!(cuts.apart("p", &[moment]), [moment]);
        assert_eq!(cuts.apart("unknown", &[span(0, 30)]), [span(0, 30)]);
    }
}
