//! Sessions that go on where an earlier one ended, as long as the client's certificate is good.
//!
//! rustls judges a client's certificate in whole handshakes only, and each session that goes on hands out a new ticket with the old
//! certificate in it. What a certificate is judged by stays the same while an [`Acceptor`](super::Acceptor) lives, and its tickets die with
//! it, but for the time: so a ticket with a certificate out of its time is none, and the client makes a whole handshake.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::Error;
use rustls::crypto::ring::Ticketer;
use rustls::server::ProducesTickets;

use super::validity;

/// rustls's tickets, of which those count whose certificates are in their time.
#[derive(Debug)]
pub(super) struct Tickets(Arc<dyn ProducesTickets>);

impl Tickets {
    /// With a key of their own.
    ///
    /// # Errors
    ///
    /// There is no randomness.
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self(Ticketer::new()?))
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let session = self.0.decrypt(ticket)?;
        is_in_time(&session, SystemTime::now())?.then_some(session)
    }
}

/// Whether all certificates of a session are in their time; nothing if the session has another form than rustls gives it.
fn is_in_time(session: &[u8], now: SystemTime) -> Option<bool> {
    let mut rest = chain(session)?;
    let mut certificates = Vec::new();
    while !rest.is_empty() {
        let (certificate, behind) = counted(3, rest)?;
        certificates.push(certificate);
        rest = behind;
    }
    Some(validity::are_in_time(&certificates, now))
}

/// The client's certificates in a session, as rustls writes one: the name that the client asked for, if any; version and cipher, two
/// bytes each; the secret; a flag; the certificates, if any, each with its length before it; and what does not matter here.
fn chain(session: &[u8]) -> Option<&[u8]> {
    let behind_name = match session.split_first()? {
        (0, rest) => rest,
        (1, rest) => counted(1, rest)?.1,
        _ => return None,
    };
    let (_secret, rest) = counted(1, behind_name.get(4..)?)?;
    match rest.get(1..)?.split_first()? {
        (0, _) => Some(&[]),
        (1, rest) => Some(counted(3, rest)?.0),
        _ => None,
    }
}

/// What stands behind its own length, which has that many bytes, and the rest.
fn counted(bytes: usize, text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = text.split_at_checked(bytes)?;
    let length = length
        .iter()
        .fold(0, |length, byte| length << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_session_without_certificates_is_in_time_and_a_broken_one_is_none() {
        let nameless = b"\x00\x03\x03\xc0\x23\x03\x01\x02\x03\x00\x00\x00\x00\x00\x12";
        let named = b"\x01\x01a\x03\x03\xc0\x23\x03\x01\x02\x03\x00\x00\x00\x00\x00\x12";
        for session in [&nameless[..], named] {
            assert_eq!(is_in_time(session, SystemTime::now()), Some(true));
        }
        let broken: [&[u8]; 4] = [b"", b"\x02", b"\x01\x05a", &nameless[..9]];
        for session in broken {
            assert_eq!(is_in_time(session, SystemTime::now()), None);
        }
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(session: Vec<u8>) {
            let _ = is_in_time(&session, SystemTime::now());
        }
    }
}
