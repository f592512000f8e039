//! A field that has another type than the source's.
//!
//! A field's type is fixed within a shard, and stays so when all of its values are deleted: only `DROP MEASUREMENT` frees it. So a
//! measurement in which a node refuses the source's values is dropped there and copied whole from the source, if it is small
//! enough for the time in which writes may wait.

use std::collections::BTreeSet;

use bstr::{BStr, BString, ByteSlice};

use super::kept::head_of;
use super::write::Piece;
use super::{Mend, PAUSE, TRIES};
use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError, Slice, append_lines, is_sayable};
use crate::heal::place::Name;
use crate::heal::schema::{Beginnings, shard_groups};
use crate::influx::influxql::identifier;

/// A measurement in which a node refuses values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Conflict {
    pub(super) node: usize,
    pub(super) database: String,
    pub(super) measurement: BString,
}

/// All points of a measurement: lines, slice by slice.
struct Copy {
    slices: Vec<(Slice, Vec<u8>)>,
    points: u64,
}

/// Why a measurement is not copied whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Obstacle {
    /// Another try may be quicker.
    #[error("it was not copied in the time for which writes may wait (heal.gate)")]
    Time,
    /// It has too many points.
    #[error("there are more points than are held at once (heal.max_points)")]
    TooMany,
    /// Dropped, some of its points could not be written again.
    #[error("some of its points cannot be written as lines")]
    Unwritable,
}

impl Mend<'_> {
    /// Copies the measurements in which values were refused. Whether there are any.
    pub(super) async fn copy_measurements(&mut self) -> Result<bool, WorkError> {
        let conflicts = std::mem::take(&mut self.conflicts);
        let is_any = !conflicts.is_empty();
        for conflict in conflicts {
            self.copy_measurement(&conflict).await?;
        }
        Ok(is_any)
    }

    async fn copy_measurement(&mut self, conflict: &Conflict) -> Result<(), WorkError> {
        let name = |at: Option<usize>| {
            at.and_then(|at| self.names.get(at))
                .map_or("", String::as_str)
        };
        let (source, target) = (name(self.source), name(Some(conflict.node)));
        let mut tries = 0;
        let obstacle = loop {
            let tried = match self.try_to_copy(conflict).await {
                // Of other measurements that says nothing.
                Err(WorkError::Node(
                    error @ (NodeError::Refused { .. }
                    | NodeError::Busy { .. }
                    | NodeError::Unreadable { .. }
                    | NodeError::Unaskable { .. }),
                )) => {
                    self.progress.note(format!(
                        "{} in {}: a field has another type on {target} than on {source}, and that is not mended: {error}",
                        Name(conflict.measurement.as_bstr()),
                        conflict.database
                    ));
                    return Ok(());
                }
                tried => tried?,
            };
            match tried {
                None => return Ok(()),
                Some(Obstacle::Time) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Some(obstacle) => break obstacle,
            }
        };
        self.progress.note(format!(
            "{} in {}: a field has another type on {target} than on {source}, and {obstacle}: haflux replica rebuild {target} does it",
            Name(conflict.measurement.as_bstr()),
                        conflict.database
        ));
        Ok(())
    }

    /// What stands against it, if something does.
    async fn try_to_copy(&mut self, conflict: &Conflict) -> Result<Option<Obstacle>, WorkError> {
        let Conflict {
            node: at,
            database,
            measurement,
        } = conflict;
        let source = self.source.and_then(|source| self.prompt.get(source));
        let (Some(source), Some(target)) = (source, self.prompt.get(*at)) else {
            return Ok(None);
        };
        let name = measurement.to_str().ok();
        let Some(name) = name.filter(|_| is_sayable(measurement.as_bstr())) else {
            return Ok(Some(Obstacle::Unwritable));
        };
        self.progress
            .step(format!("copying {measurement} in {database}"));
        let closed = self.close_gate().await?;
        let most = self.relay.settings().heal.max_points;
        let reads = futures_util::future::try_join(
            copy(source, database, measurement.as_bstr(), most),
            copy(target, database, measurement.as_bstr(), most),
        );
        // Half of the time is for writing.
        let Ok(read) = tokio::time::timeout(closed.left() / 2, reads).await else {
            return Ok(Some(Obstacle::Time));
        };
        let (wanted, there) = match read {
            Err(NodeError::LargeChunk { .. }) => return Ok(Some(Obstacle::Time)),
            read => read?,
        };
        let (wanted, there) = match (wanted, there) {
            (Ok(wanted), Ok(there)) => (wanted, there),
            (Err(obstacle), _) | (_, Err(obstacle)) => return Ok(Some(obstacle)),
        };
        let databases = BTreeSet::from([database.clone()]);
        let noted = self.relay.will_change(&closed, self.names, &databases);
        if noted.await.is_err() {
            return Ok(Some(Obstacle::Time));
        }
        let mut kept = Vec::new();
        for (slice, lines) in there.slices {
            kept.extend(head_of(target.name(), &slice).into_bytes());
            kept.extend(lines);
        }
        self.kept.keep(*at, target.name(), &kept)?;
        let statement = format!("DROP MEASUREMENT {}", identifier(name));
        let dropped = target.ask(database, &statement).await;
        let mut refusals = Vec::new();
        for (slice, lines) in wanted.slices {
            // A note of its own tells of them.
            let pieces = Piece::cut(measurement.as_bstr(), lines, false).collect();
            let place = (database.as_str(), slice.policy.as_str());
            refusals.extend(self.write(*at, target, place, pieces).await?);
        }
        drop(closed);
        dropped?;
        if refusals.is_empty() {
            self.progress.note(format!(
                "{}, database {database}: {measurement} was copied whole, {} points, because a field had another type",
                target.name(),
                wanted.points
            ));
        }
        for refusal in refusals {
            match refusal.is_of_type() {
                true => self.progress.note(format!(
                    "{} in {database} is refused still: its fields have another type",
                    Name(measurement.as_bstr())
                )),
                false => self.tell_refusal(refusal),
            }
        }
        Ok(None)
    }
}

/// All points that a node holds of a measurement, if there are no more than this.
async fn copy(
    node: &Node,
    database: &str,
    measurement: &BStr,
    mut most: usize,
) -> Result<Result<Copy, Obstacle>, NodeError> {
    let mut copy = Copy {
        slices: Vec::new(),
        points: 0,
    };
    let groups = shard_groups(node).await?;
    let beginnings = Beginnings::of(&groups);
    for group in groups.iter().filter(|group| group.database == database) {
        let slice = Slice {
            database: group.database.clone(),
            policy: group.policy.clone(),
            measurement: measurement.to_owned(),
            from: group.from,
            until: beginnings.reach(group),
        };
        let mut lines = Vec::new();
        let mut stream = node.points(&slice).await?;
        while let Some(series) = stream.next().await? {
            let points = series.rows.len();
            if points > most {
                return Ok(Err(Obstacle::TooMany));
            }
            most -= points;
            copy.points += u64::try_from(points).unwrap_or(u64::MAX);
            if append_lines(&mut lines, measurement, &series) > 0 {
                return Ok(Err(Obstacle::Unwritable));
            }
        }
        if !lines.is_empty() {
            copy.slices.push((slice, lines));
        }
    }
    Ok(Ok(copy))
}
