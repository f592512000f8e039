//! Waits: for the nodes to apply what the journal holds, and for a node that is busy.

use std::time::{Duration, Instant};

use super::verify::PAUSE;
use super::{Comparison, Look};
use crate::heal::error::WorkError;
use crate::heal::gate;
use crate::heal::node::{Node, NodeError};
use crate::relay::NotSettled;

/// How often it is looked who is behind.
const LOOK: Duration = Duration::from_secs(1);

/// Pauses before a node is asked again that was away or busy.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 15];

impl Comparison<'_> {
    /// Carries `attempt` out, and again after a pause while a node is away or busy.
    ///
    /// # Errors
    /// What failed: it would fail again, or was tried often enough.
    pub(super) async fn patiently<T, E, F>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, WorkError>
    where
        E: Into<WorkError>,
        F: Future<Output = Result<T, E>>,
    {
        let mut pauses = PAUSES.iter();
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error.into(),
            };
            if matches!(error, WorkError::Node(NodeError::LargeChunk { .. })) {
                continue;
            }
            match pauses.next() {
                Some(pause) if matches!(&error, WorkError::Node(error) if error.may_pass()) => {
                    self.progress.note(format!("asked again: {error}"));
                    tokio::time::sleep(Duration::from_secs(*pause)).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Returns when every node has applied what the journal holds, and what began at `began` lies behind by [`PAUSE`].
    pub(super) async fn settle(&self, began: Instant) -> Result<(), WorkError> {
        tokio::time::sleep(PAUSE.saturating_sub(began.elapsed())).await;
        let until = Instant::now() + gate::PATIENCE;
        loop {
            let error = match self.relay.settled(LOOK).await {
                Ok(()) => return Ok(()),
                // Of a node that is not compared nothing is awaited.
                Err(NotSettled::Behind(behind))
                    if self
                        .nodes
                        .iter()
                        .all(|node| behind.iter().all(|name| name != node.name())) =>
                {
                    return Ok(());
                }
                Err(error) => error,
            };
            if Instant::now() >= until {
                return Err(WorkError::Impossible(error.to_string()));
            }
        }
    }

    /// What is seen while the relay's gate is closed, with all that the journal holds on each node. None if that is
    /// [not asked for](Look), or takes longer than clients may wait for it.
    pub(super) async fn while_nothing_moves<T>(
        &self,
        look: impl Future<Output = Result<T, WorkError>>,
    ) -> Result<Option<T>, WorkError> {
        if self.look == Look::Likely {
            return Ok(None);
        }
        let names: Vec<&str> = self.nodes.iter().map(Node::name).collect();
        gate::while_closed(self.relay, &names, self.progress, look).await
    }
}
