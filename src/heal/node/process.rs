//! Which process answers at a node's address.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Node, NodeError, text};
use crate::influx::Started;

/// A process of InfluxDB. Two addresses at which the same one answers are one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::heal) struct Process {
    /// Its number on its machine.
    number: Option<u64>,
    /// When it started, to the nanosecond.
    pub(super) started: Started,
}

impl Node {
    /// The process that answers.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(in crate::heal) fn process(&self) -> BoxFuture<'_, Result<Process, NodeError>> {
        async move {
            let rows = self.ask("", "SHOW DIAGNOSTICS FOR 'system'").await?;
            let row = rows.first();
            let started = row.and_then(|row| Started::said(text(row, "started")));
            let number = row.and_then(|row| row.iter().find(|(name, _)| name == "PID"));
            Ok(Process {
                number: number.and_then(|(_, number)| number.as_u64()),
                started: started
                    .ok_or_else(|| self.unreadable("it does not say when it started"))?,
            })
        }
        .boxed()
    }
}
