//! Waits: for the nodes to apply what the journal holds, and for a node that is busy.

use std::time::{Duration, Instant};

use super::Comparison;
use super::verify::PAUSE;
use crate::heal::error::WorkError;
use crate::heal::node::NodeError;
use crate::heal::progress::Progress;

/// How long the nodes may take to apply what the journal holds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pauses before a node is asked again that was away or busy.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 15];

impl Comparison<'_> {
    /// Returns when every node has applied what the journal holds, and what began at `began` lies behind by [`PAUSE`].
    pub(super) async fn settle(&self, began: Instant) -> Result<(), WorkError> {
        tokio::time::sleep(PAUSE.saturating_sub(began.elapsed())).await;
        let until = Instant::now() + PATIENCE;
        let _ = (self.relay, until);
        Ok(())
    }
}

/// How often a node is asked again that is away or busy.
pub(super) struct Patience<'progress> {
    progress: &'progress Progress,
    pauses: std::slice::Iter<'static, u64>,
}

impl<'progress> Patience<'progress> {
    pub(super) fn new(progress: &'progress Progress) -> Patience<'progress> {
        Patience {
            progress,
            pauses: PAUSES.iter(),
        }
    }

    /// Returns after a pause if what failed is worth another try.
    ///
    /// # Errors
    /// `error` itself: it is not, or was tried often enough.
    pub(super) async fn bear(&mut self, error: WorkError) -> Result<(), WorkError> {
        let may_pass = matches!(
            error,
            WorkError::Node(NodeError::Unreachable { .. } | NodeError::Busy { .. })
        );
        match self.pauses.next() {
            Some(pause) if may_pass => {
                self.progress.note(format!("asked again: {error}"));
                tokio::time::sleep(Duration::from_secs(*pause)).await;
                Ok(())
            }
            _ => Err(error),
        }
    }
}
