//! Files in PEM form.

use std::path::Path;

use memchr::memmem;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use super::error::TlsError;
use super::layers::Layers;
use crate::small_file;

/// The largest file that is read: 1 MiB holds a few hundred certificates.
const LARGEST: u64 = 1 << 20;

/// What an encrypted key of the old form says before its base64.
const ENCRYPTED: &[u8] = b"Proc-Type: 4,ENCRYPTED";

/// What the file holds.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    Ok(small_file::read(path, LARGEST)?)
}

/// All that the file's text holds of one kind, in order; everything else in it is passed over.
pub(super) fn all_of<T: PemObject>(path: &Path, text: &[u8]) -> Result<Vec<T>, TlsError> {
    T::pem_slice_iter(text)
        .collect::<Result<_, pem::Error>>()
        .map_err(|error| {
            let path = path.to_owned();
            let is_base64 = !matches!(error, pem::Error::Base64Decode(_));
            match is_base64 || memmem::find(text, ENCRYPTED).is_none() {
                true => TlsError::NotPem {
                    path,
                    reason: what_is_wrong(&error).to_owned(),
                },
                false => TlsError::Passphrase { path },
            }
        })
}

/// The authorities whose certificates the file holds; at least one.
pub(super) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let authorities: Vec<CertificateDer<'static>> = all_of(path, &read(path)?)?;
    if authorities.is_empty() {
        return Err(TlsError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(authorities)
}

/// What certificates are judged with that these authorities, from that file, have signed.
pub(super) fn roots(
    path: &Path,
    authorities: &[CertificateDer<'static>],
) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        let added = roots.add(authority.clone());
        added.map_err(|error| TlsError::Authorities {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

/// The lists of revoked certificates in the file, at least one; and these authorities with the lists that count.
pub(super) fn revocation_lists(
    path: &Path,
    authorities: RootCertStore,
) -> Result<(Layers, Vec<CertificateRevocationListDer<'static>>), TlsError> {
    let lists: Vec<CertificateRevocationListDer<'static>> = all_of(path, &read(path)?)?;
    if lists.is_empty() {
        return Err(TlsError::NoRevocationList {
            path: path.to_owned(),
        });
    }
    let layers = Layers::of(authorities, &lists).map_err(|reason| TlsError::RevocationList {
        path: path.to_owned(),
        reason,
    })?;
    Ok((layers, lists))
}

/// Its own messages show lines of the file, of which one may be a key's.
fn what_is_wrong(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::IllegalSectionStart { .. } => "a section begins with a malformed line",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it is malformed",
    }
}
