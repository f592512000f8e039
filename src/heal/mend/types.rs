//! A field that has another type than the source's.
//!
//! A field's type is fixed within a shard, and stays so when all of its values are deleted: only `DROP MEASUREMENT` frees it. So a
//! measurement in which a node refuses the source's values is dropped there and copied whole from the source, if it is small
//! enough for the time in which writes may wait.

use std::collections::BTreeSet;

use super::batch::Piece;
use super::kept::head_of;
use super::{Mend, close_gate};
use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError, Slice, append_lines};
use crate::heal::schema::shard_groups;
use crate::influx::influxql::identifier;

/// A measurement in which a node refuses values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Conflict {
    node: usize,
    database: String,
    measurement: String,
}

/// All points of a measurement: lines, slice by slice.
struct Copy {
    slices: Vec<(Slice, Vec<u8>)>,
    points: u64,
}

impl Mend<'_> {
    /// A node refuses to write points of a measurement.
    pub(super) fn refused(
        &mut self,
        node: usize,
        database: &str,
        measurement: String,
        error: &NodeError,
    ) {
        let is_of_type = error.to_string().contains("field type conflict");
        let is_all_of_it = self.places.from.is_none() && self.places.until.is_none();
        if is_of_type && is_all_of_it && self.source.is_some() {
            self.conflicts.insert(Conflict {
                node,
                database: database.to_owned(),
                measurement,
            });
        } else {
            self.progress.note(format!(
                "{measurement} in {database} is not mended: {error}"
            ));
        }
    }

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
        let Conflict {
            node: at,
            database,
            measurement,
        } = conflict;
        let source = self.source.and_then(|source| self.nodes.get(source));
        let (Some(source), Some(target)) = (source, self.nodes.get(*at)) else {
            return Ok(());
        };
        self.progress
            .step(format!("copying {measurement} in {database}"));
        let closed = close_gate(self.relay, self.names, self.progress).await?;
        let most = self.relay.settings().heal.max_points;
        let reads = futures_util::future::try_join(
            copy(source, database, measurement, most),
            copy(target, database, measurement, most),
        );
        let too_large = || {
            format!(
                "{measurement} in {database}: a field has another type on {} than on {}, and there are too many points (heal.max_points, heal.gate) to copy all of them while writes wait: haflux replica rebuild {} does it",
                target.name(),
                source.name(),
                target.name()
            )
        };
        // Half of the time is for writing.
        let read = tokio::time::timeout(closed.left() / 2, reads).await;
        let (wanted, there) = match read {
            Ok(Ok((Some(wanted), Some(there)))) => (wanted, there),
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(_)) | Err(_) => {
                self.progress.note(too_large());
                return Ok(());
            }
        };
        let mut kept = Vec::new();
        for (slice, lines) in there.slices {
            kept.extend(head_of(target.name(), &slice).into_bytes());
            kept.extend(lines);
        }
        self.kept.keep(*at, target.name(), &kept)?;
        let databases = BTreeSet::from([database.clone()]);
        let noted = self.relay.will_change(&closed, self.names, &databases);
        if let Err(error) = noted.await {
            return Err(WorkError::Impossible(error.to_string()));
        }
        let statement = format!("DROP MEASUREMENT {}", identifier(measurement));
        let dropped = target.ask(database, &statement).await;
        for (slice, lines) in wanted.slices {
            let piece = Piece {
                measurement: measurement.clone(),
                lines,
            };
            let place = (database.as_str(), slice.policy.as_str());
            self.write(*at, target, place, vec![piece]).await?;
        }
        drop(closed);
        dropped?;
        for conflict in std::mem::take(&mut self.conflicts) {
            self.progress.note(format!(
                "{} in {} is refused still: its fields have another type",
                conflict.measurement, conflict.database
            ));
        }
        self.progress.note(format!(
            "{}, database {database}: {measurement} was copied whole, {} points, because a field had another type",
            target.name(),
            wanted.points
        ));
        Ok(())
    }
}

/// All points that a node holds of a measurement; none if there are more than this.
async fn copy(
    node: &Node,
    database: &str,
    measurement: &str,
    mut most: usize,
) -> Result<Option<Copy>, NodeError> {
    let mut copy = Copy {
        slices: Vec::new(),
        points: 0,
    };
    for group in shard_groups(node).await? {
        if group.database != database {
            continue;
        }
        let slice = Slice {
            database: group.database,
            policy: group.policy,
            measurement: measurement.to_owned(),
            from: group.from,
            until: group.until,
        };
        let mut lines = Vec::new();
        let mut stream = node.points(&slice).await?;
        while let Some(series) = stream.next().await? {
            let points = series.rows.len();
            if points > most {
                return Ok(None);
            }
            most -= points;
            copy.points += u64::try_from(points).unwrap_or(u64::MAX);
            if append_lines(&mut lines, measurement, &series) > 0 {
                // Dropped, these could not be written again.
                return Ok(None);
            }
        }
        if !lines.is_empty() {
            copy.slices.push((slice, lines));
        }
    }
    Ok(Some(copy))
}
