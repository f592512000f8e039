//! A certificate that haflux shows, to clients or to servers, with its chain and its key.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use webpki::EndEntityCert;

use super::error::TlsError;
use super::settings::CertificateFiles;
use super::{files, provider, validity};
use crate::stats::CERTIFICATE_ENDS_SOON;

/// A certificate as it was read.
#[derive(Debug)]
pub struct Certificate {
    file: PathBuf,
    names: Vec<String>,
    not_after: SystemTime,
    certified: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// What is wrong with one of them. A certificate that has expired is no error: serving it is what the operator may want until the
    /// next one is there.
    pub(super) fn read(of: &CertificateFiles) -> Result<Self, TlsError> {
        let text = files::read(&of.certificate)?;
        let chain: Vec<CertificateDer<'static>> = files::all_of(&of.certificate, &text)?;
        let first = chain.first().ok_or_else(|| TlsError::NoCertificate {
            path: of.certificate.clone(),
        })?;
        let unusable = |reason: String| TlsError::Certificate {
            path: of.certificate.clone(),
            reason,
        };
        let parsed = EndEntityCert::try_from(first).map_err(|error| unusable(error.to_string()))?;
        let names = parsed.valid_dns_names().map(str::to_ascii_lowercase);
        let names = names.collect();
        let (_, not_after) =
            validity::period(first).ok_or_else(|| unusable("it says no end".to_owned()))?;
        let key = if of.key == of.certificate {
            key_of(&of.key, &text)?
        } else {
            key_of(&of.key, &files::read(&of.key)?)?
        };
        let certified = CertifiedKey::from_der(chain, key, &provider());
        let certified = certified.map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                certificate: of.certificate.clone(),
                key: of.key.clone(),
            },
            _ => TlsError::Key {
                path: of.key.clone(),
            },
        })?;
        Ok(Self {
            file: of.certificate.clone(),
            names,
            not_after,
            certified: Arc::new(certified),
        })
    }

    /// Its file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The names of servers that it is made out to, in lower case; one may begin with `*.`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Its last second.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// How long it is valid from `now` on, if that is less than [`CERTIFICATE_ENDS_SOON`]; zero once it has expired.
    pub fn ends_soon(&self, now: SystemTime) -> Option<Duration> {
        let left = self.not_after.duration_since(now).unwrap_or_default();
        (left < CERTIFICATE_ENDS_SOON).then_some(left)
    }

    /// What rustls shows of it.
    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// Whether both are the same chain.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

fn key_of(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let keys: Vec<PrivateKeyDer<'static>> = files::all_of(path, text)?;
    keys.into_iter().next().ok_or_else(|| TlsError::NoKey {
        path: path.to_owned(),
    })
}
