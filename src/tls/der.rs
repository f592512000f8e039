//! As much of DER as it takes to read what webpki does not tell of a certificate.

/// `INTEGER`
pub(super) const INTEGER: u8 = 0x02;
/// `SEQUENCE`
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT Version`, which may be left out.
const VERSION: u8 = 0xa0;

/// A tag with its content.
pub(super) type Element<'a> = (u8, &'a [u8]);

/// The serial number of an X.509 certificate, and what follows it. Nothing if it is malformed.
fn from_serial_on(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = content(SEQUENCE, certificate)?;
    let (mut fields, _) = content(SEQUENCE, certificate)?;
    if let Some((_, rest)) = content(VERSION, fields) {
        fields = rest;
    }
    content(INTEGER, fields)
}

/// The serial number of an X.509 certificate, as it stands there. Nothing if it is malformed.
pub(super) fn serial(certificate: &[u8]) -> Option<&[u8]> {
    from_serial_on(certificate).map(|(serial, _)| serial)
}

/// What follows the issuer in an X.509 certificate: its validity, its subject and more. Nothing if it is malformed.
pub(super) fn behind_issuer(certificate: &[u8]) -> Option<&[u8]> {
    let (_, mut fields) = from_serial_on(certificate)?;
    // The algorithm of the signature, and the issuer.
    for _ in 0..2 {
        (_, fields) = content(SEQUENCE, fields)?;
    }
    Some(fields)
}

/// The attributes of its subject.
pub(super) fn subject(certificate: &[u8]) -> Option<&[u8]> {
    let (_validity, fields) = content(SEQUENCE, behind_issuer(certificate)?)?;
    let (subject, _) = content(SEQUENCE, fields)?;
    Some(subject)
}

/// The elements of a content, as far as they are whole.
pub(super) fn elements(mut der: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || {
        let (first, rest) = element(der)?;
        der = rest;
        Some(first)
    })
}

/// The content of an element of this kind, and what follows it.
pub(super) fn content(wanted: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let ((tag, content), rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// The first element, and what follows it.
pub(super) fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let [tag, first, rest @ ..] = der else {
        return None;
    };
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // No certificate takes more than four bytes to say how long it is.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = length
                .iter()
                .fold(0, |length, byte| (length << 8) | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some(((*tag, content), rest))
}
