//! From when until when a certificate is valid. webpki judges that and does not tell it, so it is read from the certificate itself.

use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::der::{Element, SEQUENCE, behind_issuer, content, element};

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notBefore` and `notAfter` of an X.509 certificate in DER; nothing if it is malformed.
pub(super) fn period(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let (validity, _) = content(SEQUENCE, behind_issuer(certificate)?)?;
    let (not_before, rest) = element(validity)?;
    let (not_after, _) = element(rest)?;
    Some((moment(not_before)?, moment(not_after)?))
}

/// Whether all of these certificates are valid `now`.
pub(super) fn are_in_time<'a>(
    certificates: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + 'a)>,
    now: SystemTime,
) -> bool {
    certificates.into_iter().all(|certificate| {
        period(certificate.as_ref())
            .is_some_and(|(not_before, not_after)| not_before <= now && now <= not_after)
    })
}

/// A time, in either of its two forms.
pub(super) fn moment((tag, text): Element<'_>) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?;
    let date = match tag {
        UTC_TIME => {
            // RFC 5280: two digits from 50 on are of the last century.
            let year: u8 = text.get(..2)?.parse().ok()?;
            let century = if year < 50 { "20" } else { "19" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let date = DateTime::strptime("%Y%m%d%H%M%SZ", date).ok()?;
    let moment = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(moment.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A certificate as far as `notAfter`, which is this element.
    fn with(not_after: &[u8], has_version: bool) -> Vec<u8> {
        let sequence = |content: Vec<u8>| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [vec![SEQUENCE, 0x82], length.to_vec(), content].concat()
        };
        let not_before = b"\x17\x0d200101000000Z".to_vec();
        let version: &[u8] = if has_version {
            b"\xa0\x03\x02\x01\x02"
        } else {
            b""
        };
        let fields = [
            version.to_vec(),
            b"\x02\x01\x07".to_vec(),
            sequence(Vec::new()),
            sequence(vec![0; 300]),
            sequence([not_before, not_after.to_vec()].concat()),
        ];
        sequence(sequence(fields.concat()))
    }

    #[test]
    fn both_forms_of_a_time_are_understood() {
        for (element, seconds) in [
            (&b"\x17\x0d700101000001Z"[..], Some(1)),
            (b"\x17\x0d491231235959Z", Some(2_524_607_999)),
            (b"\x18\x0f20500101000000Z", Some(2_524_608_000)),
            (b"\x17\x0d491331235959Z", None),
            (b"\x17\x0b4912312359Z", None),
            (b"\x04\x0d491231235959Z", None),
            (b"\x17\x0d49", None),
        ] {
            for has_version in [true, false] {
                let read = period(&with(element, has_version));
                let since = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                let read =
                    read.map(|(from, until)| (since(from).as_secs(), since(until).as_secs()));
                let expected = seconds.map(|seconds| (1_577_836_800, seconds));
                assert_eq!(read, expected, "{element:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>, cut in 0_usize..400) {
            let _ = period(&bytes);
            let whole = with(b"\x17\x0d491231235959Z", true);
            let _ = period(&whole[..cut.min(whole.len())]);
        }
    }
}
