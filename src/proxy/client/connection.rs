//! `Connection`: what a client says of its connection to us alone (RFC 9110, section 7.6.1).
//!
//! The headers that it names are taken out before anything reads the request, and their names with them. So rules, guards and nodes see
//! one and the same request, and a client cannot name a header that a rule or haflux itself sets later.

use bytes::BytesMut;

use super::rejection::{Rejection, put_header};

/// Most headers that are named: each line of a header is compared with each of them.
const MOST_NAMED: usize = 32;

/// Headers that stay although they are named, because a request without them means something else: another body, another user, another
/// client. A proxy before us may have written them, and passed `Connection` on as its client sent it.
const KEPT: [&[u8]; 13] = [
    b"authorization",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"transfer-encoding",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
];

/// What the lines of `Connection` of one request say.
#[derive(Debug, Default)]
pub(super) struct Connection<'a> {
    closes: bool,
    keeps_alive: bool,
    upgrades: bool,
    named: Vec<&'a [u8]>,
}

impl<'a> Connection<'a> {
    /// Takes the value of one more line.
    ///
    /// # Errors
    ///
    /// Too many headers are named.
    pub(super) fn read(&mut self, value: &'a [u8]) -> Result<(), Rejection> {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let is = |word: &[u8]| option.eq_ignore_ascii_case(word);
            if is(b"close") {
                self.closes = true;
            } else if is(b"keep-alive") {
                self.keeps_alive = true;
            } else if is(b"upgrade") {
                self.upgrades = true;
            } else if !option.is_empty() && !KEPT.iter().any(|name| is(name)) {
                if self.named.len() >= MOST_NAMED {
                    return Err(Rejection::malformed(
                        "too many options in the Connection header",
                    ));
                }
                self.named.push(option);
            }
        }
        Ok(())
    }

    /// Writes the one line that stands for all of them, if anything is left to say.
    pub(super) fn write(&self, text: &mut BytesMut) {
        let said = [
            (self.closes, "close"),
            (self.keeps_alive, "keep-alive"),
            (self.upgrades, "upgrade"),
        ];
        let said = said
            .iter()
            .filter_map(|(is_said, word)| is_said.then_some(*word));
        let said: Vec<&str> = said.collect();
        if !said.is_empty() {
            put_header(text, "Connection", said.join(", ").as_bytes());
        }
    }

    /// Whether any headers are named that are to be taken out.
    pub(super) fn names_any(&self) -> bool {
        !self.named.is_empty()
    }

    /// Whether a header of this name is to be taken out.
    pub(super) fn names(&self, name: &[u8]) -> bool {
        self.named.iter().any(|one| one.eq_ignore_ascii_case(name))
    }
}
