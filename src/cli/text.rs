//! Text for a terminal: columns, and words of others that must not steer it.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::stats::units::{Moment, Span};

/// Text of unknown origin on one line, its control characters escaped.
pub(super) fn one_line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            let _ = write!(clean, "{}", character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

/// A body of lines: line ends and tabs stay, every other control character and what is not UTF-8 is escaped.
pub(super) fn lines(body: &[u8]) -> String {
    let mut clean = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' | '\t' => clean.push(character),
                other if other.is_control() => {
                    let _ = write!(clean, "{}", other.escape_default());
                }
                other => clean.push(other),
            }
        }
        let _ = write!(clean, "{}", chunk.invalid().escape_ascii());
    }
    clean
}

/// Rows under their titles, each column as wide as its widest cell. The last column is not padded.
pub(super) fn table(
    out: &mut dyn Write,
    titles: &[&str],
    rows: &[impl AsRef<[String]>],
) -> io::Result<()> {
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    let lines = || std::iter::once(titles.as_slice()).chain(rows.iter().map(AsRef::as_ref));
    let mut widths = vec![0; titles.len()];
    for line in lines() {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for cells in lines() {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A moment of the journal: RFC 3339, UTC.
pub(super) fn time(unix_nanos: u64) -> String {
    let at = UNIX_EPOCH + Duration::from_nanos(unix_nanos);
    Moment::new(at, at).to_string()
}

/// How long ago that was.
pub(super) fn age(unix_nanos: u64) -> Span {
    let at = UNIX_EPOCH + Duration::from_nanos(unix_nanos);
    Moment::new(at, SystemTime::now()).age()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(one_line("a\u{1b}[2J\nb é"), "a\\u{1b}[2J\\nb é");
        assert_eq!(
            lines(b"a\tb\n\x1b[2J\xff \xc3\xa9"),
            "a\tb\n\\u{1b}[2J\\xff é"
        );
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut out = Vec::new();
        let row = |one: &str, two: &str| [one.to_owned(), two.to_owned()];
        table(&mut out, &["A", "LONG"], &[row("ääää", "x"), row("b", "")]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "A     LONG\nääää  x\nb\n");
    }
}
