//! What there is to compare: the pieces of time that no node's shard group crosses, and the measurements in them.

use std::collections::BTreeMap;

use bstr::BStr;

use crate::control::Compared;
use crate::heal::node::Slice;
use crate::heal::schema::{Beginnings, Schema, ShardGroup};
use crate::influx::query_answer::policy_duration;

/// How much later than its policy says a point may be gone: a node drops what is too old by its own clock, and shard group by shard
/// group.
const MARGIN: i64 = 60_000_000_000;

/// A piece of a policy's time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece {
    pub(super) database: String,
    pub(super) policy: String,
    pub(super) from: i64,
    pub(super) until: i64,
}

/// The pieces of time that the nodes' shard groups fill, cut wherever one of them ends on any node, in the order of database, policy
/// and time.
pub(super) fn pieces(nodes: &[Vec<ShardGroup>], places: &Compared) -> Vec<Piece> {
    let mut groups: BTreeMap<(&str, &str), Vec<(i64, i64)>> = BTreeMap::new();
    for of_node in nodes {
        let beginnings = Beginnings::of(of_node);
        for group in of_node {
            let wanted = places.databases.is_empty() || places.databases.contains(&group.database);
            if wanted {
                let of_policy = groups.entry((&group.database, &group.policy)).or_default();
                of_policy.push((group.from, beginnings.reach(group)));
            }
        }
    }
    let mut pieces = Vec::new();
    for ((database, policy), groups) in groups {
        for (from, until) in cut(&groups) {
            let from = from.max(places.from.unwrap_or(i64::MIN));
            let until = until.min(places.until.unwrap_or(i64::MAX));
            if from < until {
                pieces.push(Piece {
                    database: database.to_owned(),
                    policy: policy.to_owned(),
                    from,
                    until,
                });
            }
        }
    }
    pieces
}

/// The time that these fill together, cut at the end of each.
fn cut(groups: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut cuts: Vec<i64> = groups
        .iter()
        .flat_map(|(from, until)| [*from, *until])
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    let pairs = cuts.iter().zip(cuts.iter().skip(1));
    let is_filled = |from: i64, until: i64| {
        groups
            .iter()
            .any(|group| group.0 <= from && until <= group.1)
    };
    pairs
        .map(|(from, until)| (*from, *until))
        .filter(|(from, until)| is_filled(*from, *until))
        .collect()
}

/// Leaves out what is older than a policy keeps on any node, because each node drops it in its own time. `now`: in nanoseconds since
/// 1970.
pub(super) fn leave_out_expired(pieces: Vec<Piece>, schemas: &[Schema], now: i64) -> Vec<Piece> {
    let keeps = |piece: &Piece| {
        let databases = schemas.iter().flat_map(|schema| &schema.databases);
        let policies = databases
            .filter(|database| database.name == piece.database)
            .flat_map(|database| &database.policies)
            .filter(|policy| policy.name == piece.policy);
        let durations = policies.filter_map(|policy| policy_duration(&policy.duration));
        durations.filter(|duration| !duration.is_zero()).min()
    };
    let clipped = pieces.into_iter().map(|piece| {
        let Some(keeps) = keeps(&piece) else {
            return piece;
        };
        let keeps = i64::try_from(keeps.as_nanos()).unwrap_or(i64::MAX);
        let oldest = now.saturating_sub(keeps).saturating_add(MARGIN);
        Piece {
            from: piece.from.max(oldest),
            ..piece
        }
    });
    clipped.filter(|piece| piece.from < piece.until).collect()
}

impl Piece {
    /// One measurement of it.
    pub(super) fn slice(&self, measurement: &BStr) -> Slice {
        Slice {
            database: self.database.clone(),
            policy: self.policy.clone(),
            measurement: measurement.to_owned(),
            from: self.from,
            until: self.until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heal::schema::{Database, Policy};

    fn group(policy: &str, from: i64, until: i64) -> ShardGroup {
        ShardGroup {
            database: "d".to_owned(),
            policy: policy.to_owned(),
            from,
            until,
        }
    }

    const SECOND: i64 = 1_000_000_000;
    const HOUR: i64 = 3_600 * SECOND;

    fn times(pieces: &[Piece]) -> Vec<(&str, i64, i64)> {
        let pieces = pieces.iter();
        pieces
            .map(|piece| (piece.policy.as_str(), piece.from, piece.until))
            .collect()
    }

    #[test]
    fn no_piece_crosses_a_shard_group_of_any_node() {
        let group = |policy, from: i64, until: i64| group(policy, from * HOUR, until * HOUR);
        let one = vec![group("a", 0, 10), group("a", 10, 20), group("b", 0, 5)];
        let other = vec![group("a", 4, 14), group("a", 30, 40)];
        // A group may go on for a fraction of a second behind the whole ones that are shown.
        let end = |hour: i64| hour * HOUR + SECOND;
        let found = pieces(&[one, other], &Compared::default());
        assert_eq!(
            times(&found),
            [
                ("a", 0, 4 * HOUR),
                ("a", 4 * HOUR, 10 * HOUR),
                ("a", 10 * HOUR, end(14)),
                ("a", end(14), end(20)),
                ("a", 30 * HOUR, end(40)),
                ("b", 0, end(5))
            ]
        );
    }

    #[test]
    fn what_is_not_asked_for_is_left_out() {
        let groups = [vec![group("a", 0, 10), group("a", 10, 20)]];
        let places = Compared {
            from: Some(5),
            until: Some(10),
            ..Compared::default()
        };
        assert_eq!(times(&pieces(&groups, &places)), [("a", 5, 10)]);
        let places = Compared {
            databases: vec!["other".to_owned()],
            ..Compared::default()
        };
        assert!(pieces(&groups, &places).is_empty());
    }

    #[test]
    fn what_a_policy_keeps_no_more_is_left_out() {
        let hour = HOUR;
        let schema = |duration: &str| Schema {
            databases: vec![Database {
                name: "d".to_owned(),
                policies: vec![Policy {
                    name: "a".to_owned(),
                    duration: duration.to_owned(),
                    shard_duration: "1h0m0s".to_owned(),
                    replication: 1,
                    is_default: true,
                    future_limit: String::new(),
                    past_limit: String::new(),
                }],
                queries: Vec::new(),
            }],
            users: Vec::new(),
        };
        let all = || {
            pieces(
                &[vec![group("a", 0, hour), group("a", hour, 2 * hour)]],
                &Compared::default(),
            )
        };
        let kept = |schemas: &[Schema]| leave_out_expired(all(), schemas, 2 * hour + hour / 2);
        assert_eq!(times(&kept(&[schema("0s"), schema("0s")])), times(&all()));
        assert_eq!(
            times(&kept(&[schema("2h0m0s"), schema("1h0m0s")])),
            [("a", hour + hour / 2 + MARGIN, 2 * hour + SECOND)]
        );
    }
}
