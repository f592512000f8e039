//! What can be wrong with a body on its way, as an error that passes through Pingora and is known again behind it.

use std::error::Error;
use std::io;

use http::StatusCode;

/// Why a body does not arrive whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::proxy) enum BodyFault {
    /// The client closed its sending side inside the body. The text is InfluxDB's.
    #[error("unexpected EOF")]
    Ended,
    /// The body came slower than `min_body_rate` for longer than `timeout.http_body`.
    #[error("the request's body did not come in time")]
    Slow,
    /// The framing of the body is malformed.
    #[error("malformed chunks in the request's body")]
    Malformed,
}

impl BodyFault {
    /// The fault that `error` comes from, if it comes from one.
    pub(in crate::proxy) fn of(error: &pingora::Error) -> Option<Self> {
        let cause: &(dyn Error + 'static) = error.root_cause();
        let cause = cause.downcast_ref::<io::Error>()?;
        cause.get_ref()?.downcast_ref::<Self>().copied()
    }

    /// The status of the answer to a request with such a body.
    pub(in crate::proxy) fn status(self) -> StatusCode {
        match self {
            Self::Ended | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl From<BodyFault> for io::Error {
    fn from(fault: BodyFault) -> Self {
        let kind = match fault {
            BodyFault::Ended => io::ErrorKind::UnexpectedEof,
            BodyFault::Slow => io::ErrorKind::TimedOut,
            BodyFault::Malformed => io::ErrorKind::InvalidData,
        };
        Self::new(kind, fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::{ErrorType, OrErr};

    #[test]
    fn a_fault_is_known_behind_pingora() {
        for fault in [BodyFault::Ended, BodyFault::Slow, BodyFault::Malformed] {
            let read: Result<(), io::Error> = Err(fault.into());
            let error = read
                .or_err(ErrorType::ReadError, "reading body")
                .unwrap_err();
            let error = pingora::Error::because(ErrorType::ReadError, "again", error);
            assert_eq!(BodyFault::of(&error), Some(fault));
        }
        assert_eq!(
            BodyFault::of(&pingora::Error::new(ErrorType::ReadError)),
            None
        );
    }
}
