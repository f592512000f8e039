//! TLS: certificates as files, and what handshakes with clients and with servers are made with.
//!
//! rustls with ring's primitives does all of it. Configuration, `haflux check` and a reload read the files through this one module, so
//! that all of them say the same of a file.
//!
//! - `settings` says which files, and how they are used: the configuration makes it;
//! - `certificate` reads a certificate with its chain and its key, and knows the names that it is made out to;
//! - `ocsp` reads what an authority says of a certificate, which is shown with it;
//! - `revocation` verifies who signed a list of revoked certificates, and finds the newest; `layers` has each authority judged by its own;
//! - `validity` reads from when until when it is valid, `client_names` whom a client's is made out to, both by `der`;
//! - `acceptor` is a frontend's whole side of TLS, built at the start and at each reload; `client_judge` says whether a client's certificate is good,
//!   and `tickets` has its sessions end with it;
//! - `connector` is haflux's whole side of TLS towards a server, built with it; `judge` says whether the server's certificate is good;
//! - `handshake` says why a handshake with a server made no connection.

mod acceptor;
mod certificate;
mod client_judge;
mod client_names;
mod connector;
mod der;
mod error;
mod files;
mod handshake;
mod judge;
mod layers;
mod ocsp;
mod revocation;
mod settings;
mod tickets;
mod validity;

pub use acceptor::Acceptor;
pub use certificate::Certificate;
pub use client_names::ClientNames;
pub use connector::Connector;
pub use error::TlsError;
pub use handshake::HandshakeError;
pub use ocsp::{Staple, StapleError};
pub use revocation::RevocationError;
pub use rustls::pki_types::ServerName;
pub use settings::{Alpn, CertificateFiles, ClientCertificate, ServerTls, Tls, TlsVersion};

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// What computes. rustls is always given it: no part depends on a default of the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn refused(error: rustls::Error) -> TlsError {
    TlsError::Library {
        reason: error.to_string(),
    }
}
