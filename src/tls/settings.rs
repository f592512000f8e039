//! `tls` of a frontend and of a server, checked: what the files are and how they are used.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustls::pki_types::ServerName;
use rustls::{SupportedProtocolVersion, version};

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
    /// `alpn`: what is spoken inside, the first one that the client knows. Never empty. Default: HTTP/1.1 alone.
    pub alpn: Vec<Alpn>,
    /// `client_certificate`: whether clients show a certificate. Default `none`.
    pub client_certificate: ClientCertificate,
    /// `client_ca`: the authorities that sign clients' certificates. There if `client_certificate` is not `none`.
    pub client_ca: Option<PathBuf>,
    /// `client_crl`: lists of clients' certificates that were revoked.
    pub client_crl: Option<PathBuf>,
    /// `max_handshakes`: most handshakes under way at once; more wait. Default half of `maxconn`, at least 1.
    pub max_handshakes: usize,
}

/// `tls` of a server, with what its pool says of all servers: how haflux speaks TLS to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// `server_name`: the name that is asked for (SNI), and that the certificate must be made out to. Default: the host of `address`.
    pub name: ServerName<'static>,
    /// `verify`: whether the certificate is verified. Default `required`.
    pub verify: bool,
    /// `ca`: the authorities that sign servers' certificates, or such certificates themselves. Default: the authorities that the
    /// operating system knows.
    pub authorities: Option<PathBuf>,
    /// `crl`: lists of servers' certificates that were revoked.
    pub revoked: Option<PathBuf>,
    /// `certificate` and `key`: what haflux shows to a server that asks for a certificate.
    pub certificate: Option<CertificateFiles>,
    /// `min_version`: the oldest version that is spoken. Default 1.2.
    pub min_version: TlsVersion,
}

impl Tls {
    /// All files that are read for it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = self.certificates.iter().flat_map(CertificateFiles::files);
        own.chain(
            [&self.client_ca, &self.client_crl]
                .into_iter()
                .flatten()
                .map(PathBuf::as_path),
        )
    }
}

impl ServerTls {
    /// All files that are read for it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = self.certificate.iter().flat_map(CertificateFiles::files);
        own.chain(
            [&self.authorities, &self.revoked]
                .into_iter()
                .flatten()
                .map(PathBuf::as_path),
        )
    }
}

impl CertificateFiles {
    fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.certificate, &self.key]
            .into_iter()
            .chain(&self.ocsp)
            .map(PathBuf::as_path)
    }
}

/// A certificate with its chain, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// `certificate`: PEM, the own certificate first.
    pub certificate: PathBuf,
    /// `key`: PEM, without a passphrase. Default: the file of the certificate.
    pub key: PathBuf,
    /// `ocsp`, of frontends: what the authority says of the certificate, in DER.
    pub ocsp: Option<PathBuf>,
}

/// `min_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// `1.2`.
    Tls12,
    /// `1.3`.
    Tls13,
}

/// A protocol of `alpn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// `http/1.1`.
    Http1,
    /// `h2`.
    Http2,
}

impl Alpn {
    /// Its names in a handshake.
    pub(super) fn names(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => &[b"http/1.1", b"http/1.0"],
            Self::Http2 => &[b"h2"],
        }
    }
}

static FROM_TLS_1_2: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];
static FROM_TLS_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];

impl TlsVersion {
    /// It and those that came after it.
    pub(super) fn and_newer(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => FROM_TLS_1_2,
            Self::Tls13 => FROM_TLS_1_3,
        }
    }
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
