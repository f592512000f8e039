//! What may be logged of an error of Pingora's.

use std::fmt;
use std::io;

use pingora::Error;

use crate::dial::DialError;
use crate::proxy::pool::pingora_dial::dial_error;

/// Where an error came from and of which kind it is. Its context is left out, because that quotes headers and bodies.
pub(in crate::proxy) struct ErrorKind<'a>(pub(in crate::proxy) &'a Error);

impl fmt::Display for ErrorKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        let source = error.esource().as_str();
        let source = if source.is_empty() { "Local" } else { source };
        write!(f, "{source} {}", error.etype().as_str())?;
        if let Some(DialError::Handshake(reason)) = dial_error(error) {
            return write!(f, ": {reason}");
        }
        if let Some(cause) = error.root_cause().downcast_ref::<io::Error>() {
            write!(f, ": {}", cause.kind())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::{ErrorType, OrErr};

    #[test]
    fn the_context_is_left_out() {
        let error = Error::explain(ErrorType::InvalidHTTPHeader, "buf: secret");
        assert_eq!(ErrorKind(&error).to_string(), "Local InvalidHTTPHeader");
        let reset: io::Result<()> = Err(io::ErrorKind::ConnectionReset.into());
        let error = reset
            .or_err(ErrorType::ReadError, "secret")
            .unwrap_err()
            .into_up();
        assert_eq!(
            ErrorKind(&error).to_string(),
            "Upstream ReadError: connection reset"
        );
    }
}
