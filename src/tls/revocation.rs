//! Which lists of revoked certificates count, and whether the authority that each names has signed it (X.509, RFC 5280).
//!
//! rustls finds a list by the name of its issuer, and verifies who signed it in a handshake only. A list that another key signed under the
//! same name, such as that of an authority that was made anew, would then turn away every certificate of that authority. Of several
//! lists it takes the first, so only the newest one is left to it.

use std::cmp::Ordering;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateRevocationListDer, TrustAnchor};

use super::der::{INTEGER, SEQUENCE, content, element, elements};
use super::provider;
use super::validity::moment;

const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `[0] EXPLICIT Extensions`
const EXTENSIONS: u8 = 0xa0;

/// `id-ce-cRLNumber`, 2.5.29.20.
const NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
/// `id-ce-issuingDistributionPoint`, 2.5.29.28.
const DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];

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

/// A list that counts.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    pub(super) der: &'a CertificateRevocationListDer<'static>,
    /// The authority whose key signed it. Nothing if its issuer is no authority that is known: the certificate of one in between comes
    /// with the handshake.
    pub(super) signer: Option<&'a TrustAnchor<'static>>,
}

/// What of a list says who signed it, and how new it is.
#[derive(Debug)]
struct Signed<'a> {
    issuer: &'a [u8],
    message: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    this_update: SystemTime,
    /// Without zeros before it.
    number: Option<&'a [u8]>,
    /// Of which certificates of its issuer the list speaks, as it stands there; nothing if of all.
    distribution_point: Option<&'a [u8]>,
}

/// Of the lists that one key signed for the same certificates, the newest.
///
/// # Errors
///
/// [`RevocationError`]
pub(super) fn newest<'a>(
    lists: &'a [CertificateRevocationListDer<'static>],
    roots: &'a RootCertStore,
) -> Result<Vec<Counted<'a>>, RevocationError> {
    let mut newest: Vec<(Signed<'a>, Counted<'a>)> = Vec::new();
    for der in lists {
        let signed = Signed::read(der).ok_or(RevocationError::Malformed)?;
        let signer = signed.signer(roots)?;
        let counted = Counted { der, signer };
        let mut same = newest
            .iter_mut()
            .filter(|(other, of)| signed.replaces(other) && counted.has_key_of(of));
        match same.next() {
            None => newest.push((signed, counted)),
            Some(older) if signed.age(&older.0).is_gt() => *older = (signed, counted),
            Some(_) => {}
        }
    }
    Ok(newest.into_iter().map(|(_, counted)| counted).collect())
}

impl Counted<'_> {
    /// Whether one key signed both. Of two without a known key rustls could take only the first, so they count as one key's.
    fn has_key_of(&self, other: &Self) -> bool {
        let one = self.signer.map(|signer| &signer.subject_public_key_info);
        let other = other.signer.map(|signer| &signer.subject_public_key_info);
        one == other
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
        let (issuer, fields) = content(SEQUENCE, fields)?;
        let (this_update, fields) = element(fields)?;
        let mut extensions = elements(fields).filter(|(tag, _)| *tag == EXTENSIONS);
        let extensions = extensions.next().map_or(&[][..], |(_, content)| content);
        let extensions = content(SEQUENCE, extensions).map_or(&[][..], |(all, _)| all);
        Some(Self {
            issuer,
            message,
            algorithm,
            signature: whole_bytes(signature)?,
            this_update: moment(this_update)?,
            number: extension(NUMBER, extensions).and_then(number),
            distribution_point: extension(DISTRIBUTION_POINT, extensions),
        })
    }

    /// The authority that signed it, if it is among `roots`.
    fn signer<'r>(
        &self,
        roots: &'r RootCertStore,
    ) -> Result<Option<&'r TrustAnchor<'static>>, RevocationError> {
        let named = |root: &&TrustAnchor<'_>| *root.subject == *self.issuer;
        let mut issuers = roots.roots.iter().filter(named).peekable();
        if issuers.peek().is_none() {
            return Ok(None);
        }
        let signer = issuers.find(|issuer| self.is_by(issuer));
        signer.map(Some).ok_or(RevocationError::OtherKey)
    }

    /// Whether both speak of the same certificates, if one key signed them.
    fn replaces(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.distribution_point == other.distribution_point
    }

    /// Greater if this list is newer: by its number, or by its time where a number lacks or is the same.
    fn age(&self, other: &Self) -> Ordering {
        let by_number = match (self.number, other.number) {
            (Some(one), Some(other)) => one.len().cmp(&other.len()).then_with(|| one.cmp(other)),
            _ => Ordering::Equal,
        };
        by_number.then_with(|| self.this_update.cmp(&other.this_update))
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

/// What an extension of this kind holds.
fn extension<'a>(wanted: &[u8], extensions: &'a [u8]) -> Option<&'a [u8]> {
    elements(extensions).find_map(|(_, extension)| {
        let (kind, _) = content(OBJECT_IDENTIFIER, extension)?;
        let mut held = elements(extension).filter(|(tag, _)| *tag == OCTET_STRING);
        let (_, held) = held.next()?;
        (kind == wanted).then_some(held)
    })
}

/// A number's digits, without zeros before them.
fn number(der: &[u8]) -> Option<&[u8]> {
    let (digits, _) = content(INTEGER, der)?;
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.get(zeros..)
}

/// A string of bits that fills its bytes.
fn whole_bytes(bits: &[u8]) -> Option<&[u8]> {
    match bits.split_first()? {
        (0, bytes) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tls::der::Element;

    /// A list, as far as its age goes.
    fn aged(seconds: u64, digits: Option<&[u8]>) -> Signed<'_> {
        Signed {
            issuer: &[],
            message: &[],
            algorithm: &[],
            signature: &[],
            this_update: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            number: digits,
            distribution_point: None,
        }
    }

    #[test]
    fn the_number_tells_which_list_is_newer_and_else_its_time() {
        let of = |der: &'static [u8]| number(der);
        assert_eq!(of(b"\x02\x03\x00\x80\x01"), Some(&b"\x80\x01"[..]));
        assert_eq!(of(b"\x04\x01\x01"), None);
        for (newer, older) in [
            ((1, Some(&b"\x01\x00"[..])), (9, Some(&b"\xff"[..]))),
            ((1, Some(b"\x80")), (9, Some(b"\x7f"))),
            ((9, Some(b"\x01")), (1, Some(b"\x01"))),
            ((9, None), (1, Some(b"\x7f"))),
            ((9, Some(b"\x01")), (1, None)),
            ((9, None), (1, None)),
        ] {
            let (newer, older) = (aged(newer.0, newer.1), aged(older.0, older.1));
            assert_eq!(newer.age(&older), Ordering::Greater, "{newer:?} {older:?}");
            assert_eq!(older.age(&newer), Ordering::Less);
        }
        assert_eq!(aged(1, None).age(&aged(1, None)), Ordering::Equal);
    }

    fn der((tag, content): Element<'_>) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        [&[tag, length][..], content].concat()
    }

    #[test]
    fn an_extension_is_found_by_its_kind_whether_it_is_critical_or_not() {
        let number = der((
            SEQUENCE,
            &[
                der((OBJECT_IDENTIFIER, NUMBER)),
                der((OCTET_STRING, b"\x02\x01\x07")),
            ]
            .concat(),
        ));
        let point = der((
            SEQUENCE,
            &[
                der((OBJECT_IDENTIFIER, DISTRIBUTION_POINT)),
                b"\x01\x01\xff".to_vec(),
                der((OCTET_STRING, b"where")),
            ]
            .concat(),
        ));
        let both = [number, point].concat();
        assert_eq!(extension(NUMBER, &both), Some(&b"\x02\x01\x07"[..]));
        assert_eq!(extension(DISTRIBUTION_POINT, &both), Some(&b"where"[..]));
        assert_eq!(extension(b"\x55\x1d\x1b", &both), None);
    }
}
