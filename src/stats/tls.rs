//! What is counted of TLS on a frontend and towards a server.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{Counter, Gauge};

/// A certificate is spoken of when it is valid for less than this: 14 days.
pub const CERTIFICATE_ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// TLS on one frontend.
#[derive(Debug, Default, Clone)]
pub struct TlsStats {
    /// Handshakes that made a connection.
    pub handshakes: Counter,
    /// Of those, the ones that went on with an earlier session.
    pub resumed: Counter,
    /// Handshakes under way, with those that wait to begin.
    pub under_way: Arc<Gauge>,
    failures: [Counter; HandshakeFailure::ALL.len()],
    /// What is shown to clients now.
    pub certificates: Arc<ArcSwap<Vec<CertificateStats>>>,
    /// What authorities say of these.
    pub staples: Arc<ArcSwap<Vec<StapleStats>>>,
}

impl TlsStats {
    /// Counts a handshake that made no connection.
    pub fn count_failure(&self, failure: HandshakeFailure) {
        if let Some(counter) = self.counter(failure) {
            counter.increment();
        }
    }

    /// How many failed so.
    pub fn failures(&self, failure: HandshakeFailure) -> u64 {
        self.counter(failure).map_or(0, Counter::get)
    }

    fn counter(&self, failure: HandshakeFailure) -> Option<&Counter> {
        let place = HandshakeFailure::ALL.iter().position(|one| *one == failure);
        self.failures.get(place?)
    }
}

/// Why a handshake made no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The client does not speak TLS.
    Plain,
    /// It did not come to its end in time.
    Slow,
    /// Too many others were under way.
    Busy,
    /// The client left.
    Left,
    /// The client speaks nothing that is spoken here: version, ciphers or what is inside.
    Incompatible,
    /// The client has no certificate, or none that is good.
    ClientCertificate,
    /// The client turns the connection down, most often because of the certificate.
    TurnedDown,
    /// What the client sends is malformed.
    Malformed,
}

impl HandshakeFailure {
    /// All that there are.
    pub const ALL: [Self; 8] = [
        Self::Plain,
        Self::Slow,
        Self::Busy,
        Self::Left,
        Self::Incompatible,
        Self::ClientCertificate,
        Self::TurnedDown,
        Self::Malformed,
    ];
}

/// TLS towards one server.
#[derive(Debug, Default, Clone)]
pub struct ServerTlsStats {
    /// Whether new connections to it are inside TLS.
    pub is_spoken: Arc<AtomicBool>,
    /// Handshakes that made a connection.
    pub handshakes: Counter,
    /// Of those, the ones that went on with an earlier session.
    pub resumed: Counter,
    failures: [Counter; ServerHandshakeFailure::ALL.len()],
    /// What the server is shown if it asks for a certificate.
    pub certificate: Arc<ArcSwapOption<CertificateStats>>,
}

impl ServerTlsStats {
    /// Counts a handshake that made no connection.
    pub fn count_failure(&self, failure: ServerHandshakeFailure) {
        if let Some(counter) = self.counter(failure) {
            counter.increment();
        }
    }

    /// How many failed so.
    pub fn failures(&self, failure: ServerHandshakeFailure) -> u64 {
        self.counter(failure).map_or(0, Counter::get)
    }

    fn counter(&self, failure: ServerHandshakeFailure) -> Option<&Counter> {
        let mut all = ServerHandshakeFailure::ALL.iter();
        self.failures.get(all.position(|one| *one == failure)?)
    }
}

/// Why a handshake with a server made no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerHandshakeFailure {
    /// No authority that is trusted has signed its certificate.
    UnknownAuthority,
    /// Its certificate has expired, or is not valid yet.
    Expired,
    /// Its certificate is made out to another name.
    WrongName,
    /// Its certificate is revoked, or of no use for another reason.
    BadCertificate,
    /// It does not speak TLS.
    Plain,
    /// It speaks no version or cipher that haflux speaks.
    Incompatible,
    /// It turns the connection down, most often because of the certificate that haflux shows.
    TurnedDown,
    /// What it sends is malformed.
    Malformed,
    /// It closed the connection.
    Left,
    /// The handshake did not come to its end in time.
    Slow,
}

impl ServerHandshakeFailure {
    /// All that there are.
    pub const ALL: [Self; 10] = [
        Self::UnknownAuthority,
        Self::Expired,
        Self::WrongName,
        Self::BadCertificate,
        Self::Plain,
        Self::Incompatible,
        Self::TurnedDown,
        Self::Malformed,
        Self::Left,
        Self::Slow,
    ];
}

/// A certificate that haflux shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateStats {
    /// Its file.
    pub file: String,
    /// The names that it is made out to.
    pub names: Vec<String>,
    /// Its last second.
    pub not_after: SystemTime,
}

/// What an authority says of a certificate, which is shown with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StapleStats {
    /// The file of the certificate.
    pub certificate: String,
    /// Its own file.
    pub file: String,
    /// From when until when it is good; without an end if it says none. Nothing of one that is of no use.
    pub good: Option<(SystemTime, Option<SystemTime>)>,
    /// Why it is of no use.
    pub fault: Option<String>,
}
