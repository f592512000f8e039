//! Connections for Pingora: for its own path, and for its checks.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::{BError, Error, ErrorType};

use super::greeting::Greeting;
use crate::dial::{Call, DialError, Dialer};
use crate::tls::HandshakeError;

/// Makes Pingora's connections to one server.
///
/// Pingora speaks plain HTTP on them: what is inside TLS is hidden from it. So its pool, which would tell them apart by their
/// descriptors, must keep none of them.
#[derive(Debug)]
pub(in crate::proxy) struct PingoraDial {
    pub(in crate::proxy) dialer: Arc<Dialer>,
    pub(in crate::proxy) greeting: Option<Greeting>,
    /// How long a connection may take to be made.
    pub(in crate::proxy) longest: Duration,
}

#[async_trait]
impl L4Connect for PingoraDial {
    async fn connect(&self, address: &SocketAddr) -> pingora::Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Err(Error::new(ErrorType::SocketError));
        };
        let call = Call {
            beginning: self.greeting.as_ref().map_or(&[], Greeting::bytes),
            ..Call::within(self.longest)
        };
        let dialled = self.dialer.dial(*address, call).await;
        let connection = dialled.map_err(not_connected)?;
        Ok(connection.into_pingora())
    }
}

/// The error as Pingora has it.
pub(in crate::proxy) fn not_connected(error: DialError) -> BError {
    let kind = match &error {
        DialError::Tcp(error) => match error.kind() {
            ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => ErrorType::ConnectNoRoute,
            _ => ErrorType::ConnectError,
        },
        DialError::Slow(_) => ErrorType::ConnectTimedout,
        DialError::Handshake(HandshakeError::Slow(_)) => ErrorType::TLSHandshakeTimedout,
        DialError::Handshake(_) => ErrorType::TLSHandshakeFailure,
    };
    Error::because(kind, "no connection", error).into_up()
}

/// Why there is no connection, if that is what went wrong.
pub(in crate::proxy) fn dial_error(error: &Error) -> Option<&DialError> {
    error.cause.as_deref()?.downcast_ref()
}
