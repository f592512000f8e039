//! A certificate that haflux shows, to clients or to servers, with its chain and its key.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use webpki::EndEntityCert;

use super::client_names::common_names;
use super::error::TlsError;
use super::ocsp::Staple;
use super::settings::CertificateFiles;
use super::{files, provider, validity};
use crate::stats::CERTIFICATE_ENDS_SOON;

/// What is wrong with a certificate that can name no servers.
const OLD_VERSION: &str =
    "it is of X.509 version 1: expected version 3, which openssl x509 -req makes with -extfile";

/// A certificate as it was read.
#[derive(Debug)]
pub struct Certificate {
    file: PathBuf,
    names: Vec<String>,
    not_after: SystemTime,
    certified: Arc<CertifiedKey>,
    staple: Option<Staple>,
    /// The same with what `staple` holds.
    stapled: Option<Arc<CertifiedKey>>,
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
        let parsed = EndEntityCert::try_from(first).map_err(|error| match error {
            webpki::Error::UnsupportedCertVersion => unusable(OLD_VERSION.to_owned()),
            error => unusable(error.to_string()),
        })?;
        let names = names(first, &parsed);
        let staple = of.ocsp.as_ref();
        let staple = staple.map(|file| Staple::read(file, first));
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
        let with = |der: &[u8]| {
            Arc::new(CertifiedKey {
                cert: certified.cert.clone(),
                key: Arc::clone(&certified.key),
                ocsp: Some(der.to_vec()),
            })
        };
        let stapled = staple.as_ref().and_then(Staple::der).map(with);
        Ok(Self {
            file: of.certificate.clone(),
            names,
            not_after,
            certified: Arc::new(certified),
            staple,
            stapled,
        })
    }

    /// Its file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The names of servers that it is made out to, in lower case; one may begin with `*.`. Common names if it has no others.
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

    /// What its authority says of it, if there is a file for that.
    pub fn staple(&self) -> Option<&Staple> {
        self.staple.as_ref()
    }

    /// What rustls shows of it, to a server or where nothing is stapled.
    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// What rustls shows of it at this time.
    pub(super) fn certified_at(&self, now: SystemTime) -> &Arc<CertifiedKey> {
        let is_good = |staple: &Staple| staple.fault(now).is_none();
        match (&self.stapled, &self.staple) {
            (Some(stapled), Some(staple)) if is_good(staple) => stapled,
            _ => &self.certified,
        }
    }

    /// Whether both are the same chain.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

/// The DNS names, or else the common ones, as clients took a certificate before there were others (RFC 2818, 3.1), and as HAProxy does.
fn names(der: &CertificateDer<'_>, parsed: &EndEntityCert<'_>) -> Vec<String> {
    let names: Vec<_> = parsed
        .valid_dns_names()
        .map(str::to_ascii_lowercase)
        .collect();
    if !names.is_empty() {
        return names;
    }
    let common = common_names(der).unwrap_or_default().into_iter();
    common.map(|name| name.to_ascii_lowercase()).collect()
}

fn key_of(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let keys: Vec<PrivateKeyDer<'static>> = files::all_of(path, text)?;
    keys.into_iter().next().ok_or_else(|| TlsError::NoKey {
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of P-256, made by `openssl x509 -req` without `-extfile`.
    const OF_VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBGDCBvwIUIjXP4OBywWTJwLXhecZBmN7RZnMwCgYIKoZIzj0EAwIwDjEMMAoG\n\
A1UEAwwDb2xkMCAXDTI2MTEzMDA1Mjc1N1oYDzIxMjYxMTA2MDUyNzU3WjAOMQww\n\
CgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATdy0BdYA61oEfg\n\
otf6dCsCVEC38L9yR3y9ruYK6jRUSWeLodhLkI13HacjJBA3NAMp17wKo/CYf3xG\n\
j3bbDJ2HMAoGCCqGSM49BAMCA0gAMEUCICda6cWf3mR7eKTRwfcfQgwdkIz2VOUZ\n\
cg3MROJ0LVtuAiEA5Vmz2Sr/UVPYKVZJ3sO8+HPNSTjowTpIZuhiytFeMLU=\n\
-----END CERTIFICATE-----\n\n";

    /// Of version 3, without `subjectAltName`.
    const COMMON_NAME_ONLY: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBnDCCAUGgAwIBAgIUIpk/sH6YI0fG9vqz0uLNwXSp+vIwCgYIKoZIzj0EAwIw\n\
JTEKMAgGA1UECgwBeDEXMBUGA1UEAwwOQ29tbW9uLkV4YW1wbGUwIBcNMjYxMTMw\n\
MDkwOTM3WhgPMjEyNjExMDYwOTA5MzdaMCUxCjAIBgNVBAoMAXgxFzAVBgNVBAMM\n\
DkNvbW1vbi5FeGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEReic6/VZ\n\
lP5+2lCD7Nju3UsvGOqt8c66+rpkq9Ij/vvRlmYP0HEs0uDUD58mgqIgdSrI2FnA\n\
nVW3d54aZPOYf6NNMEswHQYDVR0OBBYEFJjD16AmTmwBdjSo9HTU52+YGb29MB8G\n\
A1UdIwQYMBaAFJjD16AmTmwBdjSo9HTU52+YGb29MAkGA1UdEwQCMAAwCgYIKoZI\n\
zj0EAwIDSQAwRgIhALnuslhPBTPmRtOdT+MlXDl6i1nj4Q99ueD+Kz5/pRvnAiEA\n\
tfss/c4ZhUkM6+FJ4u0b/motZL/Kgfd9C5XcRZj5lZM=\n\
-----END CERTIFICATE-----\n\n";

    const ENCRYPTED_KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
        DEK-Info: AES-128-CBC,8211C2733AA20C980FFC10221B7A1B6A\n\nAAAA\n-----END EC PRIVATE KEY-----\n";

    #[test]
    fn what_is_to_be_made_anew_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("site.pem");
        for (text, expected) in [
            (
                OF_VERSION_1.to_owned(),
                "cannot be used: it is of X.509 version 1",
            ),
            (ENCRYPTED_KEY.to_owned(), "has a passphrase"),
            (ENCRYPTED_KEY.replace("4,ENCRYPTED", "4"), "is not PEM"),
        ] {
            std::fs::write(&file, text).unwrap();
            let read = Certificate::read(&CertificateFiles {
                certificate: file.clone(),
                key: file.clone(),
                ocsp: None,
            });
            let error = read.expect_err("it is no good").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_certificate_without_dns_names_goes_by_its_common_name() {
        let file = Path::new("site.pem");
        let chain = files::all_of::<CertificateDer<'static>>(file, COMMON_NAME_ONLY.as_bytes());
        let chain = chain.unwrap();
        let parsed = EndEntityCert::try_from(&chain[0]).unwrap();
        assert_eq!(names(&chain[0], &parsed), ["common.example"]);
    }
}
