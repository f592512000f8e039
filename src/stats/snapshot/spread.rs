//! How many nodes have what was written: a record on one node only is lost with that node.

use std::iter::Sum;

use serde::{Deserialize, Serialize};

use super::{ReplicaView, Status};
use crate::stats::units::{Bytes, Count};

/// Records by the number of nodes that have them, as cursors tell. A cursor is never ahead of what its node has, so no number is too
/// small but for [`Spread::at_least`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Records that one node has and no other: behind the cursor of one replica and ahead of all others', and with two replicas the
    /// open dead letters too.
    pub one_node: Count,
    /// Their bytes in the journal, without the dead letters'.
    pub one_node_bytes: Bytes,
    /// Records that no node has; they stand in the journal alone.
    pub no_node: Count,
    /// Their bytes.
    pub no_node_bytes: Bytes,
    /// There may be more on one node only, because a diverged replica lacks nobody knows what.
    pub at_least: bool,
}

impl Spread {
    const NONE: Spread = Spread {
        one_node: Count(0),
        one_node_bytes: Bytes(0),
        no_node: Count(0),
        no_node_bytes: Bytes(0),
        at_least: false,
    };

    /// What the cursors of a relay's replicas say, its journal's head being at `head`. `records_between`: how many there are
    /// above the one number, up to the other.
    pub(super) fn of(
        replicas: &[ReplicaView],
        head: u64,
        head_offset: u64,
        open_dead_letters: Count,
        records_between: impl Fn(u64, u64) -> u64,
    ) -> Spread {
        let first_two = |places: &mut dyn Iterator<Item = u64>| {
            places.fold((0, 0), |(first, second), place| match place > first {
                true => (place, first),
                false => (first, second.max(place)),
            })
        };
        let (first, second) = first_two(&mut replicas.iter().map(|replica| replica.cursor.0));
        let (far, near) = first_two(&mut replicas.iter().map(|replica| replica.cursor_offset.0));
        // A cursor that is beyond the head was read later than it.
        let head = head.max(first);
        let head_offset = head_offset.max(far);
        // With one replica all is on one node, by the configuration.
        let has_two = replicas.len() > 1;
        let letters = match replicas.len() == 2 {
            true => open_dead_letters.0,
            false => 0,
        };
        let follow = replicas.iter().filter(|r| r.status != Status::Diverged);
        Spread {
            one_node: Count(match has_two {
                true => records_between(second, first).saturating_add(letters),
                false => 0,
            }),
            one_node_bytes: Bytes(if has_two { far - near } else { 0 }),
            no_node: Count(records_between(first, head)),
            no_node_bytes: Bytes(head_offset - far),
            at_least: has_two && follow.count() < 2,
        }
    }

    /// Whether every record is known to be on two nodes.
    pub fn is_safe(&self) -> bool {
        self.one_node.is_zero() && self.no_node.is_zero() && !self.at_least
    }
}

impl Sum for Spread {
    fn sum<I: Iterator<Item = Spread>>(spreads: I) -> Spread {
        spreads.fold(Spread::NONE, |sum, one| Spread {
            one_node: Count(sum.one_node.0.saturating_add(one.one_node.0)),
            one_node_bytes: Bytes(sum.one_node_bytes.0.saturating_add(one.one_node_bytes.0)),
            no_node: Count(sum.no_node.0.saturating_add(one.no_node.0)),
            no_node_bytes: Bytes(sum.no_node_bytes.0.saturating_add(one.no_node_bytes.0)),
            at_least: sum.at_least || one.at_least,
        })
    }
}
