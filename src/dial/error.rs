//! Why there is no connection.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::tls::HandshakeError;

/// Why a connection to a server was not made.
#[derive(Debug, Error)]
pub enum DialError {
    /// There is no TCP connection.
    #[error(transparent)]
    Tcp(io::Error),
    /// There is no TCP connection in time.
    #[error("no connection within {0:?}")]
    Slow(Duration),
    /// The server is there, but the handshake of TLS failed.
    #[error("TLS: {0}")]
    Handshake(#[source] HandshakeError),
}
