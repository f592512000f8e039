//! What an authority says of a certificate (OCSP, RFC 6960): read from a file, and shown with the certificate while it is good.
//!
//! Only what haflux goes by is read of it. Who has signed it, clients find out.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use thiserror::Error;

use super::der::{SEQUENCE, content, element, elements, serial};
use super::validity::moment;
use crate::small_file::{self, SmallFileError};

/// The largest file that is read. Responses have a few kilobytes.
const LARGEST: u64 = 64 << 10;

/// How far the clock of an authority may be ahead.
const SKEW: Duration = Duration::from_secs(300);

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT: u8 = 0x06;
const ENUMERATED: u8 = 0x0a;
/// `[0] EXPLICIT`
const FIRST: u8 = 0xa0;

/// `successful`
const SUCCESSFUL: &[u8] = &[0];
/// `id-pkix-ocsp-basic`
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// `good [0] IMPLICIT NULL`
const GOOD: u8 = 0x80;
/// `revoked [1] IMPLICIT RevokedInfo`
const REVOKED: u8 = 0xa1;

/// A file that holds what an authority says of a certificate, or should.
#[derive(Debug)]
pub struct Staple {
    file: PathBuf,
    read: Result<Response, StapleError>,
}

/// What the authority says.
#[derive(Debug)]
struct Response {
    der: Vec<u8>,
    period: Period,
}

/// From when until when an answer is good; without an end, until there is a newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Period {
    from: SystemTime,
    until: Option<SystemTime>,
}

/// Why a response is not shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StapleError {
    /// The file is not there, or too large.
    #[error(transparent)]
    File(#[from] SmallFileError),
    /// Nothing stands in the file.
    #[error("it is empty")]
    Empty,
    /// Something else stands in the file.
    #[error("it is no OCSP response in DER form")]
    NotOcsp,
    /// The responder could not, or would not, say anything.
    #[error("the responder did not answer the question: its status is {0}, not 0")]
    NoAnswer(u8),
    /// Nothing is said of this certificate.
    #[error("it is of another certificate")]
    OtherCertificate,
    /// The authority has taken the certificate back.
    #[error("it says that the certificate is revoked")]
    Revoked,
    /// The authority does not know the certificate.
    #[error("it says that the authority does not know the certificate")]
    Unknown,
    /// Its time has not come.
    #[error("it is good from {0:.0} on")]
    TooEarly(Timestamp),
    /// Its time is over.
    #[error("it was good until {0:.0}: put a new one in its place and give \"haflux reload\"")]
    TooLate(Timestamp),
}

impl Staple {
    /// Reads what the file says of a certificate.
    pub(super) fn read(file: &Path, certificate: &[u8]) -> Self {
        let read = small_file::read(file, LARGEST).map_err(StapleError::from);
        Self {
            file: file.to_owned(),
            read: read.and_then(|der| {
                let period = period_of(&der, certificate)?;
                Ok(Response { der, period })
            }),
        }
    }

    /// Its file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// From when until when it is shown, without an end if it says none; or why it never is.
    ///
    /// # Errors
    ///
    /// What is wrong with it, whenever one asks.
    pub fn shown(&self) -> Result<(SystemTime, Option<SystemTime>), &StapleError> {
        let period = self.read.as_ref()?.period;
        let from = period.from.checked_sub(SKEW).unwrap_or(period.from);
        Ok((from, period.until))
    }

    /// Why it is not shown at this time.
    pub fn fault(&self, now: SystemTime) -> Option<StapleError> {
        match &self.read {
            Ok(response) => response.period.check(now).err(),
            Err(error) => Some(error.clone()),
        }
    }

    /// What is shown while nothing is at fault.
    pub(super) fn der(&self) -> Option<&[u8]> {
        self.read
            .as_ref()
            .ok()
            .map(|response| response.der.as_slice())
    }

    /// Whether both show the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Period {
    fn check(&self, now: SystemTime) -> Result<(), StapleError> {
        let shown = |at: SystemTime| Timestamp::try_from(at).unwrap_or_default();
        match self.until {
            Some(until) if until <= now => Err(StapleError::TooLate(shown(until))),
            _ if self.from.checked_sub(SKEW).is_some_and(|from| from > now) => {
                Err(StapleError::TooEarly(shown(self.from)))
            }
            _ => Ok(()),
        }
    }
}

/// When the response says that the certificate is good.
fn period_of(response: &[u8], certificate: &[u8]) -> Result<Period, StapleError> {
    if response.is_empty() {
        return Err(StapleError::Empty);
    }
    let (status, rest) = status(response).ok_or(StapleError::NotOcsp)?;
    if status != SUCCESSFUL {
        let status = status.last().copied().unwrap_or_default();
        return Err(StapleError::NoAnswer(status));
    }
    let answers = answers(rest).ok_or(StapleError::NotOcsp)?;
    let serial = serial(certificate).ok_or(StapleError::OtherCertificate)?;
    for (_, answer) in elements(answers) {
        let answer = Answer::read(answer).ok_or(StapleError::NotOcsp)?;
        if answer.serial == serial {
            return match answer.status {
                GOOD => Ok(answer.period),
                REVOKED => Err(StapleError::Revoked),
                _ => Err(StapleError::Unknown),
            };
        }
    }
    Err(StapleError::OtherCertificate)
}

/// `responseStatus` of an `OCSPResponse`, and what follows it.
fn status(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let (inside, behind) = content(SEQUENCE, response)?;
    let whole = content(ENUMERATED, inside)?;
    behind.is_empty().then_some(whole)
}

/// `responses` of the `BasicOCSPResponse` in `responseBytes`.
fn answers(bytes: &[u8]) -> Option<&[u8]> {
    let (bytes, _) = content(FIRST, bytes)?;
    let (bytes, _) = content(SEQUENCE, bytes)?;
    let (kind, rest) = content(OBJECT, bytes)?;
    if kind != BASIC {
        return None;
    }
    let (basic, _) = content(OCTET_STRING, rest)?;
    let (basic, _) = content(SEQUENCE, basic)?;
    let (mut data, _) = content(SEQUENCE, basic)?;
    // `version`, which may be left out.
    if let Some((_, rest)) = content(FIRST, data) {
        data = rest;
    }
    // `responderID` and `producedAt`.
    for _ in 0..2 {
        (_, data) = element(data)?;
    }
    let (answers, _) = content(SEQUENCE, data)?;
    Some(answers)
}

/// A `SingleResponse`.
struct Answer<'a> {
    serial: &'a [u8],
    status: u8,
    period: Period,
}

impl<'a> Answer<'a> {
    fn read(single: &'a [u8]) -> Option<Self> {
        let (mut id, rest) = content(SEQUENCE, single)?;
        // The algorithm, and two hashes of the issuer.
        for tag in [SEQUENCE, OCTET_STRING, OCTET_STRING] {
            (_, id) = content(tag, id)?;
        }
        let (serial, _) = content(INTEGER, id)?;
        let ((status, _), rest) = element(rest)?;
        let (from, rest) = element(rest)?;
        let until = match content(FIRST, rest) {
            Some((until, _)) => Some(moment(element(until)?.0)?),
            None => None,
        };
        let from = moment(from)?;
        Some(Self {
            serial,
            status,
            period: Period { from, until },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An element of this kind.
    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [vec![tag, 0x82], length.to_vec(), content].concat()
    }

    fn certificate(serial: &[u8]) -> Vec<u8> {
        let fields = der(
            SEQUENCE,
            &[b"\xa0\x03\x02\x01\x02", &der(INTEGER, &[serial])],
        );
        der(SEQUENCE, &[&fields])
    }

    fn answer(serial: &[u8], status: &[u8], until: &[u8]) -> Vec<u8> {
        let id = der(
            SEQUENCE,
            &[
                &der(SEQUENCE, &[]),
                &der(OCTET_STRING, &[b"name"]),
                &der(OCTET_STRING, &[b"key"]),
                &der(INTEGER, &[serial]),
            ],
        );
        der(SEQUENCE, &[&id, status, b"\x18\x0f20200101000000Z", until])
    }

    fn response(answers: &[&[u8]], version: &[u8]) -> Vec<u8> {
        let data = der(
            SEQUENCE,
            &[
                version,
                &der(0xa1, &[b"who"]),
                b"\x18\x0f20200101000000Z",
                &der(SEQUENCE, answers),
            ],
        );
        let basic = der(SEQUENCE, &[&data, &der(SEQUENCE, &[])]);
        let bytes = der(
            SEQUENCE,
            &[&der(OBJECT, &[BASIC]), &der(OCTET_STRING, &[&basic])],
        );
        der(SEQUENCE, &[b"\x0a\x01\0", &der(FIRST, &[&bytes])])
    }

    const UNTIL: &[u8] = b"\xa0\x11\x18\x0f20200103000000Z";
    const FIRST_OF_2020: u64 = 1_577_836_800;
    const DAY: u64 = 24 * 60 * 60;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_said_of_the_certificate_counts() {
        let good = answer(b"\x07", b"\x80\0", UNTIL);
        let endless = answer(b"\x07", b"\x80\0", b"");
        let other = answer(b"\x08", b"\x80\0", UNTIL);
        let revoked = answer(b"\x07", b"\xa1\0", UNTIL);
        let unknown = answer(b"\x07", b"\x82\0", UNTIL);
        let from = at(FIRST_OF_2020);
        let (until, certificate) = (Some(at(FIRST_OF_2020 + 2 * DAY)), certificate(b"\x07"));
        let odd = answer(b"\x07", b"\x80\0", b"\xa0\x02\x18\0");
        for (answers, expected) in [
            (&[&good[..]][..], Ok(Period { from, until })),
            (&[&other, &good], Ok(Period { from, until })),
            (&[&endless], Ok(Period { from, until: None })),
            (&[&revoked, &good], Err(StapleError::Revoked)),
            (&[&unknown], Err(StapleError::Unknown)),
            (&[&other], Err(StapleError::OtherCertificate)),
            (&[], Err(StapleError::OtherCertificate)),
            (&[&odd], Err(StapleError::NotOcsp)),
        ] {
            for version in [&b""[..], b"\xa0\x03\x02\x01\0"] {
                let said = period_of(&response(answers, version), &certificate);
                assert_eq!(said, expected);
            }
        }
        let said = period_of(b"\x30\x03\x0a\x01\x06", &certificate);
        assert_eq!(said, Err(StapleError::NoAnswer(6)));
        let longer = [&response(&[&good], b"")[..], b"\0"].concat();
        assert_eq!(period_of(&longer, &certificate), Err(StapleError::NotOcsp));
    }

    #[test]
    fn it_is_shown_from_its_beginning_to_its_end() {
        let period = Period {
            from: at(1000),
            until: Some(at(2000)),
        };
        let is_good = |seconds| period.check(at(seconds)).is_ok();
        assert_eq!(
            [600, 700, 1999, 2000].map(is_good),
            [false, true, true, false]
        );
        let endless = Period {
            until: None,
            ..period
        };
        assert!(endless.check(at(1 << 40)).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>, cut in 0_usize..300, at in 0_usize..300, byte: u8) {
            let certificate = certificate(b"\x07");
            let _ = period_of(&bytes, &certificate);
            let mut whole = response(&[&answer(b"\x07", b"\x80\0", UNTIL)], b"");
            let _ = period_of(&whole[..cut.min(whole.len())], &certificate);
            if let Some(changed) = whole.get_mut(at) {
                *changed = byte;
            }
            let _ = period_of(&whole, &certificate);
        }
    }
}
