//! Whether the target holds what the source holds.

use std::path::Path;
use std::sync::Arc;

use crate::heal::error::WorkError;
use crate::heal::node::Node;
use crate::heal::progress::Progress;
use crate::relay::Relay;

/// Compares the two, and makes the target hold what the source holds where they differ.
///
/// # Errors
/// They still differ, or cannot be asked.
pub(super) async fn of(
    _relay: &Arc<Relay>,
    _source: &Node,
    _target: &Node,
    _folder: &Path,
    progress: &Progress,
) -> Result<(), WorkError> {
    progress.note("stub");
    Ok(())
}
