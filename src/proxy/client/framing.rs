//! Where a request's body ends in the bytes that come.

use http::StatusCode;

use super::rejection::Rejection;

/// Most bytes of one chunk's size line, extension included.
const MAX_SIZE_LINE: usize = 4096;
/// Most bytes after the last chunk.
const MAX_TRAILERS: usize = 8192;

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Nothing.
    Ended,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunks),
}

/// The place in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunks {
    place: Place,
    /// Bytes of the line or of the trailers so far.
    overhead: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the size; `None` before its first digit.
    Size(Option<u64>),
    /// Behind the size, before the end of its line.
    Extension(u64),
    /// At the line feed of the size.
    SizeEnd(u64),
    /// In a chunk with so many bytes left.
    Data(u64),
    /// At the carriage return behind a chunk.
    DataReturn,
    /// At the line feed behind a chunk.
    DataEnd,
    /// At the beginning of a trailer's line.
    Trailer,
    /// Inside a trailer's line.
    InTrailer,
    /// At the line feed of a trailer's line.
    TrailerEnd,
    /// At the very last line feed.
    LastEnd,
    /// Behind it.
    Over,
}

impl Framing {
    /// A chunked body before its first byte.
    pub(super) const CHUNKED: Self = Self::Chunked(Chunks {
        place: Place::Size(None),
        overhead: 0,
    });

    /// A body of `length` bytes.
    pub(super) fn of_length(length: u64) -> Self {
        match length {
            0 => Self::Ended,
            length => Self::Length(length),
        }
    }

    /// Takes what belongs to the body off the beginning of `bytes`; returns how many bytes that are.
    ///
    /// # Errors
    ///
    /// The chunks are malformed.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        let mut rest = bytes;
        while !rest.is_empty() && *self != Self::Ended {
            let run = self.run(rest)?;
            rest = rest.get(run..).unwrap_or_default();
        }
        Ok(bytes.len() - rest.len())
    }

    /// Whether the next byte is one that the body holds, and not one that says how the body is framed.
    pub(super) fn is_at_data(&self) -> bool {
        match self {
            Self::Ended => false,
            Self::Length(_) => true,
            Self::Chunked(chunks) => matches!(chunks.place, Place::Data(_)),
        }
    }

    /// The same as [`Framing::advance`] for no more than a run of bytes that are all of one kind, by [`Framing::is_at_data`].
    ///
    /// # Errors
    ///
    /// The chunks are malformed.
    pub(super) fn run(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        match self {
            Self::Ended => Ok(0),
            Self::Length(left) => {
                let (taken, rest) = take(bytes.len(), *left);
                *self = Self::of_length(rest);
                Ok(taken)
            }
            Self::Chunked(chunks) => {
                let taken = chunks.run(bytes)?;
                if chunks.place == Place::Over {
                    *self = Self::Ended;
                }
                Ok(taken)
            }
        }
    }
}

/// How many of `available` bytes are taken of `left`, and what is left then.
fn take(available: usize, left: u64) -> (usize, u64) {
    match usize::try_from(left) {
        Ok(left) if left <= available => (left, 0),
        _ => (available, left.saturating_sub(available as u64)),
    }
}

impl Chunks {
    fn run(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        if let Place::Data(left) = self.place {
            let (taken, left) = take(bytes.len(), left);
            self.place = match left {
                0 => Place::DataReturn,
                left => Place::Data(left),
            };
            return Ok(taken);
        }
        let mut taken = 0;
        for byte in bytes {
            self.place = self.after(*byte).ok_or(MALFORMED)?;
            taken += 1;
            if matches!(self.place, Place::Data(_) | Place::Over) {
                break;
            }
        }
        Ok(taken)
    }

    /// The place behind `byte`; `None` if it may not stand here.
    fn after(&mut self, byte: u8) -> Option<Place> {
        self.overhead += 1;
        let place = match (self.place, byte) {
            (Place::Size(None), _) if hex(byte).is_some() => Place::Size(hex(byte)),
            (Place::Size(Some(size)), _) if hex(byte).is_some() => {
                Place::Size(Some(size.checked_mul(16)?.checked_add(hex(byte)?)?))
            }
            (Place::Size(Some(size)) | Place::Extension(size), b'\r') => Place::SizeEnd(size),
            (Place::Size(Some(size)), b';' | b' ' | b'\t') => Place::Extension(size),
            (Place::Extension(size), byte) if is_text(byte) => Place::Extension(size),
            (Place::SizeEnd(0), b'\n') => self.next_part(Place::Trailer),
            (Place::SizeEnd(size), b'\n') => self.next_part(Place::Data(size)),
            (Place::DataReturn, b'\r') => Place::DataEnd,
            (Place::DataEnd, b'\n') => self.next_part(Place::Size(None)),
            (Place::Trailer, b'\r') => Place::LastEnd,
            (Place::InTrailer, b'\r') => Place::TrailerEnd,
            (Place::Trailer | Place::InTrailer, byte) if is_text(byte) => Place::InTrailer,
            (Place::TrailerEnd, b'\n') => Place::Trailer,
            (Place::LastEnd, b'\n') => Place::Over,
            _ => return None,
        };
        let most = match place {
            Place::Trailer | Place::InTrailer | Place::TrailerEnd | Place::LastEnd => MAX_TRAILERS,
            _ => MAX_SIZE_LINE,
        };
        (self.overhead <= most).then_some(place)
    }

    fn next_part(&mut self, place: Place) -> Place {
        self.overhead = 0;
        place
    }
}

const MALFORMED: Rejection = Rejection::new(
    StatusCode::BAD_REQUEST,
    "malformed chunks in the request's body",
);

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ends(framing: Framing, bytes: &[u8]) -> Option<usize> {
        let mut framing = framing;
        let taken = framing.advance(bytes).ok()?;
        (framing == Framing::Ended).then_some(taken)
    }

    #[test]
    fn a_body_ends_where_its_header_says() {
        assert_eq!(ends(Framing::of_length(0), b"GET"), Some(0));
        assert_eq!(ends(Framing::of_length(3), b"abcGET"), Some(3));
        assert_eq!(ends(Framing::of_length(4), b"abc"), None);
        for (body, whole) in [
            ("0\r\n\r\n", true),
            ("3\r\nabc\r\n0\r\n\r\n", true),
            ("A;x=\"y\"\r\n0123456789\r\n00\r\nTrailer: x\r\n\r\n", true),
            ("3 \r\nabc\r\n0\r\n\r\n", true),
            ("3\r\nabc\r\n0\r\n", false),
            ("3\nabc\n0\n\n", false),
            ("3\r\nabcd\r\n0\r\n\r\n", false),
            ("+3\r\nabc\r\n0\r\n\r\n", false),
            ("0x3\r\nabc\r\n0\r\n\r\n", false),
            ("\r\n\r\n", false),
            ("fffffffffffffffff\r\n", false),
            ("0\r\na: b\n\r\n", false),
        ] {
            let followed = format!("{body}GET / HTTP/1.1");
            let expected = whole.then_some(body.len());
            assert_eq!(
                ends(Framing::CHUNKED, followed.as_bytes()),
                expected,
                "{body:?}"
            );
        }
        let endless = format!("3;{}", "x".repeat(10_000));
        assert!({ Framing::CHUNKED }.advance(endless.as_bytes()).is_err());
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(10_000));
        assert!({ Framing::CHUNKED }.advance(trailers.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            chunks in proptest::collection::vec("[a-z]{1,40}", 0..6),
            cuts in proptest::collection::vec(1usize..9, 1..60),
        ) {
            let mut body: String = chunks
                .iter()
                .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
                .collect();
            body += "0\r\n\r\n";
            let followed = body.clone() + "next";
            let mut framing = Framing::CHUNKED;
            let (mut rest, mut taken, mut cuts) = (followed.as_bytes(), 0, cuts.iter().cycle());
            while framing != Framing::Ended {
                let cut = *cuts.next().unwrap();
                let (piece, _) = rest.split_at(cut.min(rest.len()));
                let here = framing.advance(piece).unwrap();
                taken += here;
                rest = &rest[here..];
            }
            prop_assert_eq!(taken, body.len());
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut framing = Framing::CHUNKED;
            if let Ok(taken) = framing.advance(&bytes) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
