//! The picture of a relay: its journal from the tail to the head, and where each replica stands in it. Places are percentages of
//! the width, so that the picture fits any screen with its text in one size.

use super::snapshot::{RelayView, ReplicaView, Status};
use super::units::Bytes;

/// The narrowest part of the journal that is drawn: less is what clients have under way.
const NARROWEST: u64 = 64 << 10;
/// Heights, in pixels: of the journal with its scale, and of a replica.
const TOP: usize = 66;
const LANE: usize = 58;

/// What is drawn of a relay.
pub(super) struct Picture<'a> {
    pub(super) relay: &'a RelayView,
    /// Bytes before the head that the width stands for.
    pub(super) window: Bytes,
    /// Where the slowest replica that follows stands.
    pub(super) tail: Place,
    /// Where `max_backlog` ends, if that is in sight.
    pub(super) limit: Option<Place>,
    /// Bytes before the head at a quarter, the half and three quarters of the width.
    pub(super) ticks: [(Place, Bytes); 3],
    pub(super) lanes: Vec<Lane<'a>>,
}

/// One replica.
pub(super) struct Lane<'a> {
    pub(super) replica: &'a ReplicaView,
    /// Pixels from the top.
    pub(super) top: usize,
    /// Its cursor; nothing of one that does not follow.
    pub(super) cursor: Option<Place>,
}

/// A place from 0 (the left edge) to 10,000 (the head).
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

impl Place {
    /// So many bytes before the head.
    fn before_head(bytes: u64, window: u64) -> Place {
        let part = u128::from(bytes) * 10_000 / u128::from(window.max(1));
        Place(10_000_u64.saturating_sub(part.try_into().unwrap_or(u64::MAX)))
    }

    /// What lies between it and the head.
    pub(super) fn rest(self) -> Place {
        Place(10_000 - self.0)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}%", self.0 / 100, self.0 % 100)
    }
}

impl<'a> Picture<'a> {
    pub(super) fn of(relay: &'a RelayView) -> Picture<'a> {
        let farthest = relay.backlog.0;
        // A power of two, so that the scale stays while replicas move; with room to the left of the slowest.
        let room = farthest.saturating_add(farthest / 16).max(NARROWEST);
        let window = room.checked_next_power_of_two().unwrap_or(u64::MAX);
        let place = |bytes| Place::before_head(bytes, window);
        let limit = relay.max_backlog.0;
        let lanes = relay.replicas.iter().enumerate().map(|(number, replica)| {
            let follows = replica.status != Status::Diverged;
            Lane {
                replica,
                top: TOP + number * LANE,
                cursor: follows.then(|| place(replica.lag.bytes.0)),
            }
        });
        Picture {
            relay,
            window: Bytes(window),
            tail: place(farthest),
            limit: (limit > 0 && limit <= window).then(|| place(limit)),
            ticks: [3, 2, 1].map(|quarters| {
                let bytes = window / 4 * quarters;
                (place(bytes), Bytes(bytes))
            }),
            lanes: lanes.collect(),
        }
    }

    pub(super) fn height(&self) -> usize {
        TOP + self.lanes.len() * LANE
    }

    /// What it shows, for who does not see it.
    pub(super) fn description(&self) -> String {
        let replicas = self.relay.replicas.iter().map(|replica| {
            let lag = &replica.lag;
            match replica.status {
                Status::Diverged => format!("{}: diverged", replica.name),
                Status::Fresh if lag.records.is_zero() => format!("{}: at the head", replica.name),
                status => format!(
                    "{}: {}, {} records and {} behind",
                    replica.name,
                    status.word(),
                    lag.records,
                    lag.bytes
                ),
            }
        });
        let replicas: Vec<String> = replicas.collect();
        format!(
            "The last {} of the journal, whose head is record {}. {}.",
            self.window,
            self.relay.head,
            replicas.join(". ")
        )
    }
}
