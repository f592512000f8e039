//! A frontend's side of TLS.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::client_judge::ClientJudge;
use super::error::TlsError;
use super::layers::Layers;
use super::ocsp::Staple;
use super::settings::{ClientCertificate, Tls};
use super::tickets::Tickets;
use super::{files, provider, refused};

/// What a frontend answers handshakes with. A reload builds a new one; connections keep the one that they were made with.
#[derive(Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    addresses: Vec<SocketAddr>,
    certificates: Vec<Arc<Certificate>>,
    /// What clients' certificates are judged by: `client_ca` and `client_crl`.
    judged_by: Vec<Held>,
}

/// What a file held.
#[derive(Debug)]
struct Held {
    file: PathBuf,
    der: Vec<Vec<u8>>,
}

impl Held {
    fn new(file: &Path, held: &[impl AsRef<[u8]>]) -> Self {
        Self {
            file: file.to_owned(),
            der: held.iter().map(|one| one.as_ref().to_vec()).collect(),
        }
    }
}

impl Acceptor {
    /// Reads all files of `tls`.
    ///
    /// # Errors
    ///
    /// The first one that cannot be used.
    pub fn build(tls: &Tls) -> Result<Self, TlsError> {
        let certificates = tls
            .certificates
            .iter()
            .map(|files| Certificate::read(files).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let (verifier, judged_by) = client_verifier(tls)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(tls.min_version.and_newer())
            .map_err(refused)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(ByName::of(&certificates)));
        let protocols = tls.alpn.iter().flat_map(|one| one.names());
        config.alpn_protocols = protocols.map(|name| name.to_vec()).collect();
        // All ciphers are good ones; of these, the strongest that the client has.
        config.ignore_client_order = true;
        // Tickets instead of a table of sessions: a session that is resumed costs no memory meanwhile. Their key is new with each reload,
        // so a client whose certificate is revoked resumes nothing.
        config.ticketer = Arc::new(Tickets::new().map_err(refused)?);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            config: Arc::new(config),
            addresses: tls.addresses.clone(),
            certificates,
            judged_by,
        })
    }

    /// Whether connections to `address`, as the configuration has it, begin with a handshake.
    pub fn is_for(&self, address: SocketAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// What it shows.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }

    /// What handshakes are made with.
    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// The certificates that `before` did not show.
    pub fn newer_than<'a>(
        &'a self,
        before: Option<&'a Acceptor>,
    ) -> impl Iterator<Item = &'a Certificate> {
        let certificates = self.certificates.iter().map(Arc::as_ref);
        certificates.filter(move |new| {
            let mut old = before.into_iter().flat_map(|before| &before.certificates);
            !old.any(|old| old.is_same(new))
        })
    }

    /// What authorities say of certificates that `before` showed without it.
    pub fn newer_staples_than<'a>(
        &'a self,
        before: Option<&'a Acceptor>,
    ) -> impl Iterator<Item = &'a Staple> {
        let of_both = self.certificates.iter().filter_map(move |new| {
            let mut old = before?.certificates.iter();
            let old = old.find(|old| old.is_same(new))?;
            Some((old.staple(), new.staple()?))
        });
        of_both.filter_map(|(old, new)| {
            let is_known = old.is_some_and(|old| old.is_same(new));
            (new.der().is_some() && !is_known).then_some(new)
        })
    }

    /// The files that clients' certificates are judged by at `before` too, and that held something else then.
    pub fn newer_judges_than<'a>(
        &'a self,
        before: Option<&'a Acceptor>,
    ) -> impl Iterator<Item = &'a Path> {
        let newer = self.judged_by.iter().filter(move |new| {
            let mut old = before.into_iter().flat_map(|before| &before.judged_by);
            old.any(|old| old.file == new.file && old.der != new.der)
        });
        newer.map(|new| new.file.as_path())
    }

    /// Says in the log which certificates of `frontend` end soon, or have ended, and which OCSP responses are not stapled.
    pub fn warn_of_ends(&self, frontend: &str, now: SystemTime) {
        for certificate in &self.certificates {
            if let Some(staple) = certificate.staple()
                && let Some(fault) = staple.fault(now)
            {
                let file = staple.file().display();
                log::warn!(
                    "frontend \"{frontend}\": the OCSP response in {file} is not stapled: {fault}"
                );
            }
            let file = certificate.file().display();
            match certificate.ends_soon(now) {
                None => {}
                Some(left) if left.is_zero() => log::error!(
                    "frontend \"{frontend}\": the certificate in {file} has expired: clients that verify it are turned away"
                ),
                Some(left) => log::warn!(
                    "frontend \"{frontend}\": the certificate in {file} expires in {} days",
                    left.as_secs() / (24 * 60 * 60)
                ),
            }
        }
    }
}

/// What judges clients' certificates, and what the files for it held.
fn client_verifier(tls: &Tls) -> Result<(Arc<dyn ClientCertVerifier>, Vec<Held>), TlsError> {
    let (ClientCertificate::Optional | ClientCertificate::Required, Some(path)) =
        (tls.client_certificate, &tls.client_ca)
    else {
        return Ok((WebPkiClientVerifier::no_client_auth(), Vec::new()));
    };
    let authorities = files::authorities(path)?;
    let mut held = vec![Held::new(path, &authorities)];
    let roots = files::roots(path, &authorities)?;
    let layers = match &tls.client_crl {
        Some(path) => {
            let (layers, lists) = files::revocation_lists(path, roots)?;
            held.push(Held::new(path, &lists));
            layers
        }
        None => Layers::without_lists(roots),
    };
    let is_optional = tls.client_certificate == ClientCertificate::Optional;
    let judge = ClientJudge::new(layers, is_optional, &provider());
    let judge = judge.map_err(|error| TlsError::Authorities {
        path: path.clone(),
        reason: error.to_string(),
    })?;
    Ok((Arc::new(judge), held))
}

/// Chooses the certificate by the name that the client asks for.
#[derive(Debug)]
struct ByName {
    /// Whole names, and those that begin with `*.`.
    named: HashMap<String, Arc<Certificate>>,
    first: Option<Arc<Certificate>>,
}

impl ByName {
    fn of(certificates: &[Arc<Certificate>]) -> Self {
        let mut named = HashMap::new();
        for certificate in certificates {
            for name in certificate.names() {
                let it = || Arc::clone(certificate);
                named.entry(name.clone()).or_insert_with(it);
            }
        }
        let first = certificates.first().cloned();
        Self { named, first }
    }

    fn find(&self, name: &str) -> Option<&Arc<Certificate>> {
        let name = name.to_ascii_lowercase();
        let with_star = || {
            let (_, parent) = name.split_once('.')?;
            self.named.get(&format!("*.{parent}"))
        };
        self.named.get(&name).or_else(with_star)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = client.server_name().and_then(|name| self.find(name));
        let certificate = named.or(self.first.as_ref())?;
        Some(Arc::clone(certificate.certified_at(SystemTime::now())))
    }
}
