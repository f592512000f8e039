//! Closes the relay's [gate](crate::relay) for a work that changes nodes past the journal, or must see them while nothing moves.

use std::time::{Duration, Instant};

use super::error::WorkError;
use super::node::NodeError;
use super::progress::Progress;
use crate::relay::{GateClosed, GateError, Relay};

/// How long nodes that are behind are waited for, with the gate open, or closed for moments in which they do not come to the end.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A pause before it is tried again, in which clients are served.
const PAUSE: Duration = Duration::from_secs(1);

/// What is seen while it is closed, with all that the journal holds on the nodes of these names. Nothing if that takes longer than
/// clients may wait for it.
///
/// # Errors
/// [`WorkError`]: as [`close`], or of `look`.
pub(super) async fn while_closed<T>(
    relay: &Relay,
    nodes: &[impl AsRef<str>],
    progress: &Progress,
    look: impl Future<Output = Result<T, WorkError>>,
) -> Result<Option<T>, WorkError> {
    let closed = close(relay, nodes, progress).await?;
    let seen = tokio::time::timeout(closed.left() / 2, look).await;
    drop(closed);
    seen.ok().transpose()
}

/// Closes it as soon as the nodes of these names are near enough; another one need not have come so far.
///
/// # Errors
/// [`WorkError`]: a node does not come near, or a person has ended the work.
pub(super) async fn close<'relay>(
    relay: &'relay Relay,
    nodes: &[impl AsRef<str>],
    progress: &Progress,
) -> Result<GateClosed<'relay>, WorkError> {
    let awaited = |name: &str| nodes.iter().any(|node| node.as_ref() == name);
    let until = Instant::now() + PATIENCE;
    let tried = async {
        loop {
            match relay.close_gate(PATIENCE, awaited).await {
                Ok(closed) => return Ok(closed),
                Err(GateError::IsClosed) => {}
                Err(GateError::Ended(ended)) => return Err(NodeError::from(ended).into()),
                Err(GateError::NotSettled(_)) if Instant::now() < until => {}
                Err(GateError::NotSettled(error)) => {
                    return Err(WorkError::Impossible(error.to_string()));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = progress.cancelled() => Err(WorkError::Cancelled),
        closed = tried => closed,
    }
}
