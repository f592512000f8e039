//! Reads an answer of InfluxDB while it passes, in pieces of any size: which error it names, and whether it is JSON to its end.
//!
//! An answer is one document or several, one after the other: `{"error":"…"}` of a request that failed, and
//! `{"results":[{…,"error":"…"},…]}` of statements. The first error counts; InfluxDB 1.8 may append a second document to a
//! refusal. Only an `error` at these two places is one: rows quote names and texts that clients chose.
//!
//! Nothing of the answer is held but the error's text, within its [bound](super::error_text), and a place in at most
//! `DEEPEST` containers. What is read of an answer that was cut off counts: an error's text may end where the answer does.
//!
//! Numbers are not checked, and a name that is written with escapes is none of the two that matter: InfluxDB writes neither.

use super::error_text::{ErrorText, Excerpt};

/// Containers inside each other; rows of InfluxDB stand seven deep.
const DEEPEST: usize = 128;

/// What takes the place of an answer with a number that JSON cannot express: the statements ran, their answer cannot be told.
/// Go's words for it, as they come from its encoder and from InfluxDB's types.
const UNSUPPORTED: [&[u8]; 2] = [
    b"json: error calling MarshalJSON for type ",
    b"json: unsupported value: ",
];

/// Bytes of what stands in place of a document that are looked at.
const MOST_STRAY: usize = 64;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The first error.
    pub error: Option<ErrorText>,
    /// The answer was one JSON document at least, in InfluxDB's shape to its last byte.
    pub is_results: bool,
    /// InfluxDB said that its answer cannot be written as JSON.
    pub is_unsupported: bool,
}

/// Scans a whole answer, or the beginning of one.
pub fn scan_answer(body: &[u8]) -> Scanned {
    let mut scan = AnswerScan::default();
    scan.read(body);
    scan.finish()
}

/// A scan under way.
#[derive(Debug, Default)]
pub struct AnswerScan {
    state: State,
    containers: Vec<Container>,
    /// The container is inside the top object's `results`.
    in_results: bool,
    /// The name whose value is next, as far as it matters.
    name: Name,
    /// The name that is being read.
    letters: Vec<u8>,
    error: Option<Excerpt>,
    error_has_end: bool,
    documents: u64,
    /// What stands in place of a document.
    stray: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before, between or behind documents.
    #[default]
    Outside,
    /// Behind `{`.
    NameOrEnd,
    /// Behind a comma in an object.
    Name,
    Colon,
    Value,
    /// Behind `[`.
    ValueOrEnd,
    CommaOrEnd,
    Text(Use, Escape),
    /// In `true`, `false` or `null`, of which these bytes are left.
    Word(&'static [u8]),
    Number,
    /// It is not InfluxDB's, and nothing more is looked for.
    Malformed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    List,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Name {
    Error,
    Results,
    #[default]
    Other,
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Name,
    /// The error that counts.
    Error,
    Other,
}

/// Where in an escape a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Backslash,
    /// So many digits are left; what they say so far; the first half of a pair before.
    Code(u8, u16, Option<u16>),
    /// The first half of a pair stands before; a backslash must follow, and `u`.
    Half(u16),
    HalfBackslash(u16),
}

impl AnswerScan {
    /// Whether an error was found so far.
    pub fn found_error(&self) -> bool {
        self.error.is_some()
    }

    /// What was found in what was read.
    pub fn finish(self) -> Scanned {
        Scanned {
            is_results: self.state == State::Outside && self.documents > 0,
            is_unsupported: UNSUPPORTED
                .iter()
                .any(|words| self.stray.starts_with(words)),
            error: self.error.map(|excerpt| excerpt.finish(self.error_has_end)),
        }
    }

    /// Reads the next piece.
    pub fn read(&mut self, mut piece: &[u8]) {
        while let Some((byte, rest)) = piece.split_first() {
            match self.state {
                State::Text(of, Escape::None) => {
                    let length = memchr::memchr2(b'"', b'\\', piece).unwrap_or(piece.len());
                    let (plain, rest) = piece.split_at(length);
                    self.keep(of, plain);
                    let Some((end, rest)) = rest.split_first() else {
                        return;
                    };
                    match end {
                        b'"' => self.text_ended(of),
                        _ => self.state = State::Text(of, Escape::Backslash),
                    }
                    piece = rest;
                    continue;
                }
                State::Text(of, escape) => self.escaped(of, escape, *byte),
                State::Number if is_of_a_number(*byte) => {}
                State::Number => {
                    self.value_ended();
                    continue;
                }
                State::Malformed => {
                    if !self.stray.is_empty() {
                        let room = MOST_STRAY.saturating_sub(self.stray.len());
                        let more = piece.get(..room.min(piece.len())).unwrap_or_default();
                        self.stray.extend_from_slice(more);
                    }
                    return;
                }
                State::Word(left) => match left.split_first() {
                    Some((expected, left)) if expected == byte => {
                        self.state = State::Word(left);
                        if left.is_empty() {
                            self.value_ended();
                        }
                    }
                    _ => self.state = State::Malformed,
                },
                _ if byte.is_ascii_whitespace() => {}
                _ => self.mark(*byte),
            }
            piece = rest;
        }
    }

    /// A byte between texts, words and numbers that is no space.
    fn mark(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Outside, b'{') => return self.open(Container::Object),
            (State::Outside, _) => {
                self.stray.push(byte);
                State::Malformed
            }
            (State::NameOrEnd, b'}') | (State::CommaOrEnd, b'}')
                if self.containers.last() == Some(&Container::Object) =>
            {
                return self.close();
            }
            (State::ValueOrEnd, b']') | (State::CommaOrEnd, b']')
                if self.containers.last() == Some(&Container::List) =>
            {
                return self.close();
            }
            (State::NameOrEnd | State::Name, b'"') => {
                self.letters.clear();
                State::Text(Use::Name, Escape::None)
            }
            (State::Colon, b':') => State::Value,
            (State::CommaOrEnd, b',') => match self.containers.last() {
                Some(Container::Object) => State::Name,
                _ => State::Value,
            },
            (State::Value | State::ValueOrEnd, _) => return self.value(byte),
            _ => State::Malformed,
        };
    }

    /// A value begins.
    fn value(&mut self, byte: u8) {
        let place = self.place();
        let fits = match place {
            Place::Error => matches!(byte, b'"' | b'n'),
            Place::Results => byte == b'[',
            Place::Result => byte == b'{',
            Place::Other => true,
        };
        if !fits {
            self.state = State::Malformed;
            return;
        }
        self.state = match byte {
            b'{' => return self.open(Container::Object),
            b'[' => {
                self.in_results |= place == Place::Results;
                return self.open(Container::List);
            }
            b'"' if place == Place::Error && self.error.is_none() => {
                self.error = Some(Excerpt::default());
                State::Text(Use::Error, Escape::None)
            }
            b'"' => State::Text(Use::Other, Escape::None),
            b't' => State::Word(b"rue"),
            b'f' => State::Word(b"alse"),
            b'n' => State::Word(b"ull"),
            b'-' | b'0'..=b'9' => State::Number,
            _ => State::Malformed,
        };
    }

    /// What the next value is.
    fn place(&self) -> Place {
        match (self.containers.as_slice(), self.name) {
            ([Container::Object], Name::Error) => Place::Error,
            ([Container::Object], Name::Results) => Place::Results,
            ([Container::Object, Container::List], _) if self.in_results => Place::Result,
            ([_, _, Container::Object], Name::Error) if self.in_results => Place::Error,
            _ => Place::Other,
        }
    }

    fn open(&mut self, container: Container) {
        if self.containers.len() >= DEEPEST {
            self.state = State::Malformed;
            return;
        }
        self.containers.push(container);
        self.name = Name::Other;
        self.state = match container {
            Container::Object => State::NameOrEnd,
            Container::List => State::ValueOrEnd,
        };
    }

    fn close(&mut self) {
        self.containers.pop();
        if self.containers.len() < 2 {
            self.in_results = false;
        }
        self.value_ended();
    }

    fn value_ended(&mut self) {
        self.state = match self.containers.is_empty() {
            true => {
                self.documents += 1;
                State::Outside
            }
            false => State::CommaOrEnd,
        };
    }

    fn text_ended(&mut self, of: Use) {
        match of {
            Use::Name => {
                self.name = match self.letters.as_slice() {
                    b"error" => Name::Error,
                    b"results" => Name::Results,
                    _ => Name::Other,
                };
                self.state = State::Colon;
                return;
            }
            Use::Error => self.error_has_end = true,
            Use::Other => {}
        }
        self.value_ended();
    }

    fn keep(&mut self, of: Use, bytes: &[u8]) {
        match of {
            Use::Name => {
                // One byte more than the longest that matters tells them apart.
                let room = (b"results".len() + 1).saturating_sub(self.letters.len());
                let kept = bytes.get(..room.min(bytes.len())).unwrap_or_default();
                self.letters.extend_from_slice(kept);
            }
            Use::Error => {
                if let Some(excerpt) = &mut self.error {
                    excerpt.push(bytes);
                }
            }
            Use::Other => {}
        }
    }

    fn keep_character(&mut self, of: Use, code: u32) {
        let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.keep(of, character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// A byte of an escape.
    fn escaped(&mut self, of: Use, escape: Escape, byte: u8) {
        let lone = u32::from(char::REPLACEMENT_CHARACTER);
        let next = match (escape, byte) {
            (Escape::None, _) => Escape::None,
            (Escape::Backslash, b'u') => Escape::Code(4, 0, None),
            (Escape::Backslash, _) => {
                let meant = match byte {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'b' => 8,
                    b'f' => 12,
                    b'"' | b'\\' | b'/' => byte,
                    _ => {
                        self.state = State::Malformed;
                        return;
                    }
                };
                self.keep(of, &[meant]);
                Escape::None
            }
            (Escape::Code(left, so_far, first), _) => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    self.state = State::Malformed;
                    return;
                };
                let code = (so_far << 4) | u16::try_from(digit).unwrap_or(0);
                match left {
                    0 | 1 => self.unit(of, code, first),
                    _ => Escape::Code(left - 1, code, first),
                }
            }
            (Escape::Half(first), b'\\') => Escape::HalfBackslash(first),
            (Escape::HalfBackslash(first), b'u') => Escape::Code(4, 0, Some(first)),
            (Escape::Half(_), b'"') => {
                self.keep_character(of, lone);
                return self.text_ended(of);
            }
            (Escape::Half(_), _) => {
                self.keep_character(of, lone);
                self.keep(of, &[byte]);
                Escape::None
            }
            (Escape::HalfBackslash(_), _) => {
                self.keep_character(of, lone);
                return self.escaped(of, Escape::Backslash, byte);
            }
        };
        self.state = State::Text(of, next);
    }

    /// A UTF-16 unit that was written as an escape, behind the first half of a pair perhaps.
    fn unit(&mut self, of: Use, unit: u16, first: Option<u16>) -> Escape {
        let high = 0xd800..0xdc00;
        if let Some(first) = first {
            let units = [first, unit];
            let mut pair = char::decode_utf16(units);
            match (pair.next(), high.contains(&unit)) {
                (Some(Ok(character)), _) => {
                    self.keep_character(of, u32::from(character));
                    return Escape::None;
                }
                (_, true) => {
                    self.keep_character(of, u32::from(first));
                    return Escape::Half(unit);
                }
                (_, false) => self.keep_character(of, u32::from(first)),
            }
        } else if high.contains(&unit) {
            return Escape::Half(unit);
        }
        self.keep_character(of, u32::from(unit));
        Escape::None
    }
}

/// What a value is, by where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Error,
    Results,
    Result,
    Other,
}

fn is_of_a_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

#[cfg(test)]
mod tests;
