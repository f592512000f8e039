//! Whom a client's certificate is made out to.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::der::{SEQUENCE, content, elements, subject};

/// `SET`
const SET: u8 = 0x31;
/// `OBJECT IDENTIFIER`
const OBJECT_IDENTIFIER: u8 = 0x06;
/// 2.5.4.3, `commonName`.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// The kinds of texts that hold ASCII or UTF-8: `UTF8String`, `PrintableString`, `IA5String`.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// The common names of the subject, and then the DNS names in `subjectAltName`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientNames(pub Vec<String>);

impl ClientNames {
    /// Of a certificate that was judged already; no name of what cannot be read.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> ClientNames {
        let mut names = common_names(certificate).unwrap_or_default();
        if let Ok(parsed) = EndEntityCert::try_from(certificate) {
            names.extend(parsed.valid_dns_names().map(str::to_owned));
        }
        ClientNames(names)
    }
}

/// The common names of the subject; none if it cannot be read.
pub(super) fn common_names(certificate: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for (tag, set) in elements(subject(certificate)?) {
        if tag != SET {
            return None;
        }
        for (tag, attribute) in elements(set) {
            let (kind, rest) = content(OBJECT_IDENTIFIER, attribute)?;
            let text = elements(rest).next();
            if tag == SEQUENCE
                && kind == COMMON_NAME
                && let Some((tag, text)) = text
                && TEXTS.contains(&tag)
                && let Ok(text) = std::str::from_utf8(text)
            {
                names.push(text.to_owned());
            }
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>) {
            let _ = ClientNames::of(&CertificateDer::from(bytes));
        }
    }
}
