//! Tries again what may pass, until a person ends it.

use std::time::Duration;

use log::warn;

use crate::heal::error::WorkError;
use crate::heal::node::NodeError;
use crate::heal::progress::Progress;

/// How often an answer that cannot be read is asked for again.
const UNREADABLE: u32 = 5;

/// What is done, and how long to wait before it is tried again.
pub(super) struct Patience<'a> {
    progress: &'a Progress,
    phase: String,
    min: Duration,
    max: Duration,
}

impl<'a> Patience<'a> {
    /// `phase`: what is done, for a person. Waits grow from `min` to `max`.
    pub(super) fn new(
        progress: &'a Progress,
        phase: &str,
        min: Duration,
        max: Duration,
    ) -> Patience<'a> {
        progress.step(phase);
        Patience {
            progress,
            phase: phase.to_owned(),
            min,
            max,
        }
    }

    /// Carries `attempt` out until it succeeds, or fails for a reason that stays.
    ///
    /// # Errors
    /// That reason, or a person has ended it.
    pub(super) async fn until_done<T, F>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, WorkError>
    where
        F: Future<Output = Result<T, NodeError>>,
    {
        let mut waited: Option<Duration> = None;
        let mut unreadable = 0;
        loop {
            let tried = tokio::select! {
                tried = attempt() => tried,
                () = self.progress.cancelled() => return Err(WorkError::Cancelled),
            };
            let error = match tried {
                Ok(done) => {
                    if waited.is_some() {
                        self.progress.step(&self.phase);
                    }
                    return Ok(done);
                }
                Err(error @ (NodeError::Unreachable { .. } | NodeError::Busy { .. })) => error,
                Err(NodeError::LargeChunk { .. }) => continue,
                Err(error @ NodeError::Unreadable { .. }) if unreadable < UNREADABLE => {
                    unreadable += 1;
                    error
                }
                Err(error) => return Err(error.into()),
            };
            if waited.is_none() {
                warn!("{}: {error}", self.phase);
            }
            self.progress
                .step(format!("{}, and waiting: {error}", self.phase));
            let wait = waited.map_or(self.min, |wait| wait.saturating_mul(2).min(self.max));
            waited = Some(wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.progress.cancelled() => return Err(WorkError::Cancelled),
            }
        }
    }
}
