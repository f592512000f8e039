//! Whether a list of revoked certificates is signed by the authority that it names (X.509, RFC 5280).
//!
//! rustls finds a list by the name of its issuer, and verifies who signed it in a handshake only. A list that another key signed under the
//! same name, such as that of an authority that was made anew, would then turn away every certificate of that authority.

use rustls::RootCertStore;
use rustls::pki_types::{CertificateRevocationListDer, TrustAnchor};

use super::der::{INTEGER, SEQUENCE, content};
use super::provider;

const BIT_STRING: u8 = 0x03;

/// Why a list is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// It is none.
    #[error("it is malformed")]
    Malformed,
    /// Its issuer is an authority whose key did not sign it.
    #[error("it was not signed by the key of the authority that it names")]
    OtherKey,
}

/// A list, as far as its signature goes.
struct Signed<'a> {
    issuer: &'a [u8],
    message: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

/// Verifies who signed the list. One whose issuer is not among `roots` is taken: the certificate of an authority in between comes with the
/// handshake.
///
/// # Errors
/// [`RevocationError`]
pub(super) fn verify(
    list: &CertificateRevocationListDer<'_>,
    roots: &RootCertStore,
) -> Result<(), RevocationError> {
    let signed = Signed::read(list).ok_or(RevocationError::Malformed)?;
    let named = |root: &&TrustAnchor<'_>| *root.subject == *signed.issuer;
    let mut issuers = roots.roots.iter().filter(named).peekable();
    match issuers.peek().is_none() || issuers.any(|issuer| signed.is_by(issuer)) {
        true => Ok(()),
        false => Err(RevocationError::OtherKey),
    }
}

impl<'a> Signed<'a> {
    fn read(list: &'a [u8]) -> Option<Self> {
        let (list, _) = content(SEQUENCE, list)?;
        let (fields, behind) = content(SEQUENCE, list)?;
        let message = list.get(..list.len().checked_sub(behind.len())?)?;
        let (algorithm, behind) = content(SEQUENCE, behind)?;
        let (signature, _) = content(BIT_STRING, behind)?;
        // The version may be left out.
        let fields = content(INTEGER, fields).map_or(fields, |(_, behind)| behind);
        let (_algorithm, fields) = content(SEQUENCE, fields)?;
        let (issuer, _) = content(SEQUENCE, fields)?;
        Some(Self {
            issuer,
            message,
            algorithm,
            signature: whole_bytes(signature)?,
        })
    }

    fn is_by(&self, issuer: &TrustAnchor<'_>) -> bool {
        let Some((kind, key)) = public_key(&issuer.subject_public_key_info) else {
            return false;
        };
        let provider = provider();
        let all = provider.signature_verification_algorithms.all.iter();
        let mut fitting = all.filter(|one| {
            *one.signature_alg_id() == *self.algorithm && *one.public_key_alg_id() == *kind
        });
        fitting.any(|one| {
            one.verify_signature(key, self.message, self.signature)
                .is_ok()
        })
    }
}

/// The algorithm of a key, and the key.
fn public_key(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let (algorithm, behind) = content(SEQUENCE, info)?;
    let (key, _) = content(BIT_STRING, behind)?;
    Some((algorithm, whole_bytes(key)?))
}

/// A string of bits that fills its bytes.
fn whole_bytes(bits: &[u8]) -> Option<&[u8]> {
    match bits.split_first()? {
        (0, bytes) => Some(bytes),
        _ => None,
    }
}
