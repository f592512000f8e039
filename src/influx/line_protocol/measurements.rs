//! Whether each line of a body writes to a measurement that its sender may write to.
//!
//! A line's measurement is the one that InfluxDB stores it under. It reads names at several places, by rules that differ about
//! escapes: a name on which they disagree cannot be told, nor can one that nothing ends or that is not UTF-8. Comments and blank
//! lines have none.

use std::borrow::Cow;

use super::parse::{LineShape, inspect, unescaped};
use super::point::plain;
use super::scan::{LineKind, Lines};
use super::split::closed_prefix;

/// So many bytes are gathered before the end of a line is looked for.
const WANTED: usize = 64 * 1024;

/// A line of a measurement that is not allowed, or that cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a line of a measurement that is not allowed")]
pub struct OtherMeasurement {
    /// The measurement. Nothing if it cannot be told, and nothing of a line that is no point: that may be any text, a secret too.
    pub name: Option<String>,
}

/// Checks that each line of a body is of a measurement for which `allows` holds.
///
/// # Errors
/// The first line of another one.
pub fn check_measurements(
    body: &[u8],
    allows: impl Fn(&str) -> bool,
) -> Result<(), OtherMeasurement> {
    // Most lines have the name of the one before.
    let mut before: &[u8] = b"";
    for line in Lines::new(body).filter(|line| line.kind == LineKind::Line) {
        let text = body.get(line.text).unwrap_or_default();
        let raw = raw_name(text);
        if raw.is_some_and(|raw| raw == before) {
            continue;
        }
        let told = raw.and_then(name);
        match (raw, &told) {
            (Some(raw), Some(name)) if allows(name) => before = raw,
            _ => {
                let is_point = matches!(inspect(text), LineShape::Accepted { .. });
                let name = told.filter(|_| is_point).map(Cow::into_owned);
                return Err(OtherMeasurement { name });
            }
        }
    }
    Ok(())
}

/// [`check_measurements`] for a body that comes in pieces. Holds no more of it than its longest line and [`WANTED`].
pub struct MeasurementCheck<F> {
    allows: F,
    /// What was not looked at.
    begun: Vec<u8>,
    /// The end of a line is looked for when there are so many bytes.
    wanted: usize,
    /// Bytes of the body that are still to come.
    left: usize,
}

impl<F: Fn(&str) -> bool> MeasurementCheck<F> {
    /// For a body of `length` bytes.
    pub fn new(allows: F, length: usize) -> Self {
        Self {
            allows,
            begun: Vec::new(),
            wanted: WANTED,
            left: length,
        }
    }

    /// The next piece.
    ///
    /// # Errors
    /// As [`check_measurements`].
    pub fn piece(&mut self, piece: &[u8]) -> Result<(), OtherMeasurement> {
        let mut rest = piece;
        if self.begun.is_empty() {
            let prefix = closed_prefix(piece);
            let (lines, behind) = piece.split_at_checked(prefix).unwrap_or((piece, b""));
            check_measurements(lines, &self.allows)?;
            rest = behind;
        }
        self.keep(rest);
        self.left = self.left.saturating_sub(piece.len());
        if self.begun.len() < self.wanted {
            return Ok(());
        }
        let prefix = closed_prefix(&self.begun);
        // In a long line its end is looked for again when it is twice as long, not once for each piece.
        self.wanted = match prefix {
            0 => self.begun.len().saturating_mul(2),
            _ => WANTED,
        };
        let lines = self.begun.get(..prefix).unwrap_or_default();
        check_measurements(lines, &self.allows)?;
        self.begun.drain(..prefix);
        Ok(())
    }

    /// Looks at what is left, once all pieces have come.
    ///
    /// # Errors
    /// As [`check_measurements`].
    pub fn finish(self) -> Result<(), OtherMeasurement> {
        check_measurements(&self.begun, self.allows)
    }

    /// Holds these bytes, in memory that is never more than the body.
    fn keep(&mut self, bytes: &[u8]) {
        let free = self.begun.capacity() - self.begun.len();
        if free < bytes.len() {
            let most = self.left.max(bytes.len());
            let more = self.begun.len().clamp(bytes.len(), most);
            self.begun.reserve_exact(more);
        }
        self.begun.extend_from_slice(bytes);
    }
}

/// A line's measurement with its escapes: up to the first comma or space that no `\` precedes.
fn raw_name(line: &[u8]) -> Option<&[u8]> {
    if line.first() == Some(&b',') {
        return None;
    }
    let end = unescaped(line, 0, |byte| matches!(byte, b',' | b' '))?;
    line.get(..end)
}

/// The name without its escapes.
fn name(raw: &[u8]) -> Option<Cow<'_, str>> {
    match memchr::memchr(b'\\', raw) {
        None => std::str::from_utf8(raw).ok().map(Cow::Borrowed),
        Some(_) => plain(raw, b", ").map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn other(body: &[u8], allowed: &[&str]) -> Option<Option<String>> {
        let checked = check_measurements(body, |name| allowed.contains(&name));
        checked.err().map(|other| other.name)
    }

    #[test]
    fn each_line_is_of_the_measurement_that_influxdb_stores_it_under() {
        let named = |name: &str| Some(Some(name.to_owned()));
        let untold = Some(None);
        for (body, expected) in [
            (&b"cpu v=1"[..], None),
            (b"cpu,host=a v=1 1\ncpu,host=b v=1 1\nmem v=1\n", None),
            (b"", None),
            (b"# disk v=1\n\n  \t\n\x00\ncpu v=1\n  # disk v=1", None),
            (b"  \t\x00cpu v=1", None),
            (b"disk v=1", named("disk")),
            (b"cpu v=1\ndisk,host=a v=1", named("disk")),
            // Escapes belong to the name.
            (br"my\ cpu v=1", named("my cpu")),
            (br"cpu\,host=a v=1", named("cpu,host=a")),
            (br"a\,\ b,t=x v=1", None),
            (br"win\dow v=1", None),
            (b"cpu\xff v=1", untold.clone()),
            // InfluxDB's own readers disagree about these.
            (br"cpu\\,host=a v=1", untold.clone()),
            (br"cpu\= v=1", untold.clone()),
            (br#"cpu\" v=1"#, untold.clone()),
            (br"cpu\\ v=1 v=1", untold.clone()),
            // Quotes, newlines and tabs.
            (b"cpu s=\"a\ndisk v=1\" 1\ncpu v=1", None),
            (b"# s=\"\ncpu v=1\ndisk v=1", None),
            (b"# s s=\"\ndisk v=1\"\ncpu v=1", None),
            (b"# c:\\\ndisk v=1\ncpu v=1", None),
            (b"\"cpu\" v=1", named("\"cpu\"")),
            (b"cpu\tx v=1", named("cpu\tx")),
            (b"\xef\xbb\xbfcpu v=1", named("\u{feff}cpu")),
            // What is no point is left to the node if it is plain whose it would be.
            (b"cpu v=", None),
            (b"cpu,a v=1", None),
            (b"cpu ", None),
            (b"disk v=", untold.clone()),
            (b"password=secret x", untold.clone()),
            (b"cpu", untold.clone()),
            (b"nonsense", untold.clone()),
            (b",host=a v=1", untold.clone()),
            (b"cpu v=1\n\r\n", untold.clone()),
        ] {
            let allowed = ["cpu", "mem", "a, b", r"win\dow"];
            let shown = body.escape_ascii();
            assert_eq!(other(body, &allowed), expected, "{shown}");
        }
    }

    #[test]
    fn a_long_line_takes_no_more_memory_than_the_body() {
        let body = [b"m s=\"", &vec![b'x'; 3_000_000][..], b"\" 1\nn v=1"].concat();
        let mut check = MeasurementCheck::new(|name| name == "m", body.len());
        for piece in body.chunks(50_000) {
            check.piece(piece).expect("of m");
            assert!(check.begun.capacity() <= body.len());
        }
        let name = check.finish().expect_err("of n").name;
        assert_eq!(name.as_deref(), Some("n"));
        let short = b"m v=1 1\n".repeat(100_000);
        let mut check = MeasurementCheck::new(|name| name == "m", short.len());
        for piece in short.chunks(50_001) {
            check.piece(piece).expect("of m");
            assert!(check.begun.capacity() <= WANTED + 50_001);
        }
        check.finish().expect("of m");
    }

    proptest! {
        #[test]
        fn in_pieces_a_body_is_judged_as_it_is_as_a_whole(
            parts in proptest::collection::vec(
                r#"(m v=1|n v=1|o,t=x v=1|m s="a|b" 1|\\|#x|# "|\n|\n|\n|m\\ b=1|x| |,)"#, 0..40),
            chunk in 1_usize..50,
        ) {
            let body = parts.concat().into_bytes();
            for allowed in [&["m"][..], &["m", "n"], &["m", "n", "o"], &["m", "n", "o", "x", "b"]] {
                let allows = |name: &str| allowed.contains(&name);
                let mut check = MeasurementCheck::new(allows, body.len());
                check.wanted = 1;
                let in_pieces = body.chunks(chunk).try_for_each(|piece| check.piece(piece));
                let in_pieces = in_pieces.and_then(|()| check.finish());
                prop_assert_eq!(in_pieces, check_measurements(&body, allows));
            }
        }

        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = other(&body, &["m"]);
        }
    }
}
