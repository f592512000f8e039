//! TLS of frontends and towards servers: handshakes, certificates, staples.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::stats::tls::{
    CertificateStats, HandshakeFailure, ServerHandshakeFailure, ServerTlsStats, StapleStats,
    TlsStats,
};
use crate::stats::units::{Count, Moment, Span};

/// TLS on one frontend.
#[derive(Debug, Serialize, Deserialize)]
pub struct TlsView {
    /// Handshakes that made a connection.
    pub handshakes: Count,
    /// Of those, the ones that went on with an earlier session.
    pub resumed: Count,
    /// Handshakes under way, with those that wait to begin.
    pub under_way: Count,
    /// Handshakes that made no connection.
    pub failures: HandshakeFailuresView,
    /// What clients are shown.
    pub certificates: Vec<CertificateView>,
    /// What authorities say of these.
    pub ocsp: Vec<StapleView>,
}

/// Handshakes that made no connection, by the reason.
#[derive(Debug, Serialize, Deserialize)]
pub struct HandshakeFailuresView {
    /// The client does not speak TLS.
    pub plain: Count,
    /// They did not come to their end in time.
    pub slow: Count,
    /// Too many others were under way.
    pub busy: Count,
    /// The client left.
    pub left: Count,
    /// Version, ciphers or what is inside are not spoken here.
    pub incompatible: Count,
    /// The client has no certificate, or none that is good.
    pub client_certificate: Count,
    /// The client turned the connection down.
    pub turned_down: Count,
    /// What the client sent was malformed.
    pub malformed: Count,
}

impl HandshakeFailuresView {
    /// All of them.
    pub fn all(&self) -> Count {
        let Self {
            plain,
            slow,
            busy,
            left,
            incompatible,
            client_certificate,
            turned_down,
            malformed,
        } = self;
        let all = [
            plain,
            slow,
            busy,
            left,
            incompatible,
            client_certificate,
            turned_down,
            malformed,
        ];
        Count(all.iter().map(|count| count.0).sum())
    }
}

/// TLS towards one server.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerTlsView {
    /// Whether new connections to it are inside TLS.
    pub is_spoken: bool,
    /// Handshakes that made a connection.
    pub handshakes: Count,
    /// Of those, the ones that went on with an earlier session.
    pub resumed: Count,
    /// Those that made none, by the reason.
    pub failures: ServerHandshakeFailuresView,
    /// What it is shown if it asks for a certificate: one at most.
    pub certificates: Vec<CertificateView>,
}

/// Handshakes with a server that made no connection, by the reason.
#[derive(Debug, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "`ServerHandshakeFailure` says what each of them is"
)]
pub struct ServerHandshakeFailuresView {
    pub unknown_authority: Count,
    pub expired: Count,
    pub wrong_name: Count,
    pub bad_certificate: Count,
    pub plain: Count,
    pub incompatible: Count,
    pub turned_down: Count,
    pub malformed: Count,
    pub left: Count,
    pub slow: Count,
}

impl ServerHandshakeFailuresView {
    /// All of them.
    pub fn all(&self) -> Count {
        let Self {
            unknown_authority,
            expired,
            wrong_name,
            bad_certificate,
            plain,
            incompatible,
            turned_down,
            malformed,
            left,
            slow,
        } = self;
        let all = [
            unknown_authority,
            expired,
            wrong_name,
            bad_certificate,
            plain,
            incompatible,
            turned_down,
            malformed,
            left,
            slow,
        ];
        Count(all.iter().map(|count| count.0).sum())
    }
}

/// A certificate that haflux shows.
#[derive(Debug, Serialize, Deserialize)]
pub struct CertificateView {
    /// Its file.
    pub file: String,
    /// The names of servers that it is made out to.
    pub names: Vec<String>,
    /// Its last second.
    pub not_after: Moment,
    /// How long it is valid still; nothing once it has expired.
    pub valid_for: Option<Span>,
}

/// What an authority says of a certificate (OCSP).
#[derive(Debug, Serialize, Deserialize)]
pub struct StapleView {
    /// The file of the certificate.
    pub certificate: String,
    /// The file of the response.
    pub file: String,
    /// Whether clients that ask are shown it now.
    pub stapled: bool,
    /// Until when it is good, if it says so.
    pub until: Option<Moment>,
    /// Why it is not shown.
    pub fault: Option<String>,
}

pub(super) fn tls_view(stats: &TlsStats, now: SystemTime) -> TlsView {
    let failures = |failure| Count(stats.failures(failure));
    let certificates = stats.certificates.load();
    let certificate = |one| certificate_view(one, now);
    let staples = stats.staples.load();
    TlsView {
        handshakes: Count(stats.handshakes.get()),
        resumed: Count(stats.resumed.get()),
        under_way: Count(stats.under_way.get()),
        failures: HandshakeFailuresView {
            plain: failures(HandshakeFailure::Plain),
            slow: failures(HandshakeFailure::Slow),
            busy: failures(HandshakeFailure::Busy),
            left: failures(HandshakeFailure::Left),
            incompatible: failures(HandshakeFailure::Incompatible),
            client_certificate: failures(HandshakeFailure::ClientCertificate),
            turned_down: failures(HandshakeFailure::TurnedDown),
            malformed: failures(HandshakeFailure::Malformed),
        },
        certificates: certificates.iter().map(certificate).collect(),
        ocsp: staples.iter().map(|one| staple_view(one, now)).collect(),
    }
}

fn staple_view(stats: &StapleStats, now: SystemTime) -> StapleView {
    let StapleStats {
        certificate,
        file,
        good,
        fault,
    } = stats;
    let moment = |at| Moment::new(at, now);
    let out_of_time = good.and_then(|(from, until)| match until {
        Some(until) if until <= now => Some(format!("it was good until {}", moment(until))),
        _ if from > now => Some(format!("it is good from {} on", moment(from))),
        _ => None,
    });
    let fault = fault.clone().or(out_of_time);
    StapleView {
        certificate: certificate.clone(),
        file: file.clone(),
        stapled: fault.is_none(),
        until: good.and_then(|(_, until)| until).map(moment),
        fault,
    }
}

fn certificate_view(stats: &CertificateStats, now: SystemTime) -> CertificateView {
    let CertificateStats {
        file,
        names,
        not_after,
    } = stats;
    CertificateView {
        file: file.clone(),
        names: names.clone(),
        not_after: Moment::new(*not_after, now),
        valid_for: not_after.duration_since(now).ok().map(Span),
    }
}

pub(super) fn server_tls_view(stats: &ServerTlsStats, now: SystemTime) -> ServerTlsView {
    use ServerHandshakeFailure as Failure;
    let failures = |failure| Count(stats.failures(failure));
    let certificate = stats.certificate.load();
    ServerTlsView {
        is_spoken: stats.is_spoken.load(Ordering::Relaxed),
        handshakes: Count(stats.handshakes.get()),
        resumed: Count(stats.resumed.get()),
        failures: ServerHandshakeFailuresView {
            unknown_authority: failures(Failure::UnknownAuthority),
            expired: failures(Failure::Expired),
            wrong_name: failures(Failure::WrongName),
            bad_certificate: failures(Failure::BadCertificate),
            plain: failures(Failure::Plain),
            incompatible: failures(Failure::Incompatible),
            turned_down: failures(Failure::TurnedDown),
            malformed: failures(Failure::Malformed),
            left: failures(Failure::Left),
            slow: failures(Failure::Slow),
        },
        certificates: certificate
            .iter()
            .map(|one| certificate_view(one, now))
            .collect(),
    }
}
