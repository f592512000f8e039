//! What the sockets ask of whoever keeps the configuration.

use async_trait::async_trait;

use super::replicas::ControlError;

/// Whoever keeps the configuration that the process runs by.
#[async_trait]
pub trait Configuration: Send + Sync {
    /// Reads the configuration file again and goes on by it; with `dry_run` only says what that would do. Returns what it
    /// changes, for a person.
    ///
    /// # Errors
    /// Why nothing was changed, or would be.
    async fn reload(&self, dry_run: bool) -> Result<String, ControlError>;
}
