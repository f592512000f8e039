//! Why a handshake with a server made no connection.

use std::io;
use std::time::Duration;

use rustls::{CertificateError, Error, InvalidMessage};
use thiserror::Error;

use crate::stats::ServerHandshakeFailure;

/// Why a handshake with a server made no connection. Nothing of a request was sent.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// Who signed the certificate is not trusted.
    #[error("no authority that is trusted here has signed its certificate")]
    UnknownAuthority(#[source] Error),
    /// The certificate is of another time.
    #[error("its certificate has expired")]
    Expired(#[source] Error),
    /// The certificate is of another time.
    #[error("its certificate is not valid yet")]
    NotYetValid(#[source] Error),
    /// The certificate is another server's.
    #[error("{}", wrong_name(.0))]
    WrongName(#[source] Error),
    /// The authority has taken the certificate back.
    #[error("its certificate is revoked")]
    Revoked(#[source] Error),
    /// The certificate is of no use for another reason.
    #[error("its certificate cannot be used: {0}")]
    BadCertificate(#[source] Error),
    /// What answers does not speak TLS.
    #[error("it does not speak TLS")]
    Plain(#[source] Error),
    /// No version or cipher is spoken by both.
    #[error("it speaks no version or cipher that is spoken here: {0}")]
    Incompatible(#[source] Error),
    /// The server ends the handshake, which it does of a client whose certificate is missing or not good.
    #[error("it turns the connection down: {0}")]
    TurnedDown(#[source] Error),
    /// What the server sends is malformed.
    #[error("what it sends is no handshake: {0}")]
    Malformed(#[source] Error),
    /// The connection broke.
    #[error("the connection ended inside the handshake: {0}")]
    Left(#[source] io::Error),
    /// It did not come to its end in time.
    #[error("no handshake within {0:?}")]
    Slow(Duration),
}

impl HandshakeError {
    /// What `error` of a handshake means.
    pub(crate) fn of(error: io::Error) -> Self {
        match error.get_ref().and_then(|source| source.downcast_ref()) {
            Some(source) => Self::of_library(Error::clone(source)),
            None => Self::Left(error),
        }
    }

    /// What an error of the library means.
    pub(crate) fn of_library(error: Error) -> Self {
        use CertificateError as Bad;
        match &error {
            Error::InvalidCertificate(bad) => match bad {
                // The second: an authority of the same name is trusted, with another key.
                Bad::UnknownIssuer | Bad::BadSignature => Self::UnknownAuthority(error),
                Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired(error),
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => Self::NotYetValid(error),
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::WrongName(error),
                Bad::Revoked => Self::Revoked(error),
                _ => Self::BadCertificate(error),
            },
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::Plain(error),
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::Incompatible(error),
            Error::AlertReceived(_) => Self::TurnedDown(error),
            _ => Self::Malformed(error),
        }
    }

    /// As what it counts.
    pub(crate) fn failure(&self) -> ServerHandshakeFailure {
        match self {
            Self::UnknownAuthority(_) => ServerHandshakeFailure::UnknownAuthority,
            Self::Expired(_) | Self::NotYetValid(_) => ServerHandshakeFailure::Expired,
            Self::WrongName(_) => ServerHandshakeFailure::WrongName,
            Self::Revoked(_) | Self::BadCertificate(_) => ServerHandshakeFailure::BadCertificate,
            Self::Plain(_) => ServerHandshakeFailure::Plain,
            Self::Incompatible(_) => ServerHandshakeFailure::Incompatible,
            Self::TurnedDown(_) => ServerHandshakeFailure::TurnedDown,
            Self::Malformed(_) => ServerHandshakeFailure::Malformed,
            Self::Left(_) => ServerHandshakeFailure::Left,
            Self::Slow(_) => ServerHandshakeFailure::Slow,
        }
    }
}

/// The most names of a certificate that are shown.
const MOST_NAMES: usize = 4;

fn wrong_name(error: &Error) -> String {
    let Error::InvalidCertificate(CertificateError::NotValidForNameContext {
        expected,
        presented,
    }) = error
    else {
        return "its certificate is made out to another name".to_owned();
    };
    let expected = expected.to_str();
    if presented.is_empty() {
        return format!(
            "its certificate is not made out to {expected}: it has no name in subjectAltName"
        );
    }
    let shown = presented.iter().take(MOST_NAMES);
    let shown: Vec<&str> = shown.map(|name| bare(name)).collect();
    let more = if presented.len() > MOST_NAMES {
        " and others"
    } else {
        ""
    };
    format!(
        "its certificate is not made out to {expected}, but to {}{more}",
        shown.join(", ")
    )
}

/// The name in what webpki shows of one: `DnsName("influx.example.org")`, `IpAddress(10.0.2.2)`.
fn bare(shown: &str) -> &str {
    let inside = shown.split_once('(');
    let inside = inside.and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(shown).trim_matches('"')
}
