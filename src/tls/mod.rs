//! TLS: certificates as files, and what a frontend answers handshakes with.
//!
//! rustls with ring's primitives does all of it. Configuration, `haflux check` and a reload read the files through this one module, so
//! that all of them say the same of a file.
//!
//! - `settings` says which files, and how they are used: the configuration makes it;
//! - `certificate` reads a certificate with its chain and its key, and knows the names that it is made out to;
//! - `validity` reads until when it is valid;
//! - `acceptor` is a frontend's whole side of TLS, built at the start and at each reload.

mod acceptor;
mod certificate;
mod error;
mod files;
mod settings;
mod validity;

pub use acceptor::Acceptor;
pub use certificate::Certificate;
pub use error::TlsError;
pub use settings::{CertificateFiles, ClientCertificate, Tls, TlsVersion};

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// What computes. rustls is always given it: no part depends on a default of the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
