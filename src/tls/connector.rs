//! haflux's side of TLS towards a server.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption,
};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore};

use super::certificate::Certificate;
use super::error::TlsError;
use super::judge::Judge;
use super::layers::Layers;
use super::settings::ServerTls;
use super::{files, provider, refused, validity};

/// What is spoken inside: a server that could speak HTTP/2 as well must not choose it.
const PROTOCOL: &[u8] = b"http/1.1";

/// Sessions that are remembered: a connection takes one, and brings a few.
const MOST_SESSIONS: usize = 256;

/// What handshakes with a server are made with. A reload builds a new one; connections keep the one that they were made with.
///
/// It remembers sessions, so that a further connection costs neither side a signature.
#[derive(Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    judge: Arc<Judge>,
    sessions: Arc<ClientSessionMemoryCache>,
    settings: ServerTls,
    /// What `ca` and `crl` held, or the system instead of `ca`.
    files: Vec<Vec<u8>>,
    certificate: Option<Certificate>,
}

impl Connector {
    /// Reads all files of `tls`.
    ///
    /// # Errors
    ///
    /// The first one that cannot be used.
    pub fn build(tls: &ServerTls) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(tls.min_version.and_newer())
            .map_err(refused)?;
        let (judge, held) = match tls.verify {
            true => judge(tls)?,
            false => (Judge::taking_everything(provider()), Vec::new()),
        };
        let judge = Arc::new(judge);
        let verifier = Arc::clone(&judge) as Arc<dyn ServerCertVerifier>;
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let certificate = tls
            .certificate
            .as_ref()
            .map(Certificate::read)
            .transpose()?;
        let mut config = match &certificate {
            Some(certificate) => {
                let shown = SingleCertAndKey::from(Arc::clone(certificate.certified()));
                builder.with_client_cert_resolver(Arc::new(shown) as Arc<dyn ResolvesClientCert>)
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let sessions = Arc::new(ClientSessionMemoryCache::new(MOST_SESSIONS));
        config.resumption = Resumption::store(Arc::clone(&sessions) as Arc<dyn ClientSessionStore>);
        Ok(Self {
            config: Arc::new(config),
            judge,
            sessions,
            settings: tls.clone(),
            files: held,
            certificate,
        })
    }

    /// What is shown to a server that asks for a certificate.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// Whether both do the same with the same certificates.
    pub fn is_same(&self, other: &Self) -> bool {
        let shown = (&self.certificate, &other.certificate);
        self.settings == other.settings
            && self.files == other.files
            && match shown {
                (Some(one), Some(other)) => one.is_same(other),
                (None, None) => true,
                _ => false,
            }
    }

    /// What handshakes are made with.
    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Judges the server's certificate of a session that goes on, because rustls judges it in whole handshakes only. What it is judged by
    /// stays the same, but for the time.
    ///
    /// # Errors
    ///
    /// It is not good any more. The next handshake is a whole one, as the server may have a new certificate by now.
    pub(crate) fn judge_resumed(&self, connection: &ClientConnection) -> Result<(), rustls::Error> {
        if connection.handshake_kind() != Some(HandshakeKind::Resumed) {
            return Ok(());
        }
        let certificates = connection.peer_certificates().unwrap_or_default();
        let Some((own, chain)) = certificates.split_first() else {
            return Ok(());
        };
        if validity::are_in_time(certificates, SystemTime::now()) {
            return Ok(());
        }
        let name = self.name();
        let judged = self
            .judge
            .verify_server_cert(own, chain, name, &[], UnixTime::now());
        judged.map(drop).inspect_err(|_| {
            self.sessions.remove_tls12_session(name);
            while self.sessions.take_tls13_ticket(name).is_some() {}
        })
    }

    /// Whom a handshake must be with.
    pub(crate) fn name(&self) -> &ServerName<'static> {
        &self.settings.name
    }
}

/// What judges the server's certificate, and what the files for it held.
fn judge(tls: &ServerTls) -> Result<(Judge, Vec<Vec<u8>>), TlsError> {
    let mut held = Vec::new();
    let (roots, named) = match &tls.authorities {
        Some(path) => {
            let authorities = files::authorities(path)?;
            held.extend(authorities.iter().map(|one| one.to_vec()));
            (files::roots(path, &authorities)?, authorities)
        }
        None => {
            let (roots, known) = system_roots()?;
            held.extend(known);
            (roots, Vec::new())
        }
    };
    let layers = match &tls.revoked {
        Some(path) => {
            let (layers, lists) = files::revocation_lists(path, roots)?;
            held.extend(lists.iter().map(|one| one.to_vec()));
            layers
        }
        None => Layers::without_lists(roots),
    };
    let judge = Judge::new(layers, named, provider()).map_err(|error| {
        let path = tls.authorities.clone().unwrap_or_default();
        let reason = error.to_string();
        TlsError::Authorities { path, reason }
    })?;
    Ok((judge, held))
}

/// The authorities that the operating system knows, and their certificates.
fn system_roots() -> Result<(RootCertStore, Vec<Vec<u8>>), TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let known = found.certs.iter().map(|one| one.to_vec()).collect();
    // One that is of no use does not make the others so.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let first = found.errors.first();
        let reason = first.map_or_else(
            || "no file of them was found".to_owned(),
            ToString::to_string,
        );
        return Err(TlsError::NoSystemAuthorities { reason });
    }
    Ok((roots, known))
}
