//! `tls` of a frontend, checked: what the files are and how they are used.

use std::net::SocketAddr;
use std::path::PathBuf;

/// `tls`: how a frontend speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// `addresses`: those of `bind` that speak TLS; the others speak plain HTTP. Never empty. Default: all of `bind`.
    pub addresses: Vec<SocketAddr>,
    /// `certificate`, and behind it `certificates`. Never empty. A client that names a server gets the first one that is made out to
    /// that name; any other client gets the first of all.
    pub certificates: Vec<CertificateFiles>,
    /// `min_version`: the oldest version that is spoken. Default 1.2.
    pub min_version: TlsVersion,
    /// `client_certificate`: whether clients show a certificate. Default `none`.
    pub client_certificate: ClientCertificate,
    /// `client_ca`: the authorities that sign clients' certificates. There if `client_certificate` is not `none`.
    pub client_ca: Option<PathBuf>,
    /// `client_crl`: lists of clients' certificates that were revoked.
    pub client_crl: Option<PathBuf>,
    /// `max_handshakes`: most handshakes under way at once; more wait. Default half of `maxconn`, at least 1.
    pub max_handshakes: usize,
}

/// A certificate with its chain, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// `certificate`: PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// `key`: PEM, without a passphrase. Default: the file of the certificate.
    pub key: PathBuf,
}

/// `min_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// `1.2`.
    Tls12,
    /// `1.3`.
    Tls13,
}

/// `client_certificate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// `none`: clients are not asked for one.
    None,
    /// `optional`: a client may show one, which must be good then.
    Optional,
    /// `required`: a client without a good one is refused.
    Required,
}
