//! Durations and sizes as people write them: one whole number and its unit.
//!
//! `100ms`, `2s`, `1m`, `1h`, `3d`; `512`, `512B`, `25MB` (25,000,000 bytes), `1MiB` (1,048,576 bytes).

use std::time::Duration;

/// Units of time, in milliseconds, the largest first.
const TIMES: [(&str, u64); 5] = [
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Units of size, in bytes, the largest first, binary before decimal.
const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Why a text is not a duration or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitError {
    /// Not a whole number followed by a unit.
    Form,
    /// A whole number, but no unit.
    NoUnit,
    /// More than fits into the type.
    TooLarge,
}

/// Reads a duration.
///
/// # Errors
/// Says what the text lacks.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return Err(UnitError::NoUnit);
    }
    scale(number, unit, &TIMES).map(Duration::from_millis)
}

/// Reads a size in bytes; without a unit the number is bytes.
///
/// # Errors
/// Says what the text lacks.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (number, unit) = split(text)?;
    if unit.is_empty() {
        return Ok(number);
    }
    scale(number, unit, &SIZES)
}

/// A duration in the largest unit that leaves a whole number. Parts of milliseconds are dropped.
pub fn format_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    format(milliseconds, &TIMES, "ms")
}

/// A size in the largest unit that leaves a whole number.
pub fn format_size(bytes: u64) -> String {
    if bytes == 0 {
        return "0B".to_owned();
    }
    format(bytes, &SIZES, "B")
}

fn split(text: &str) -> Result<(u64, &str), UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or(UnitError::Form)?;
    if number.is_empty() {
        return Err(UnitError::Form);
    }
    Ok((number.parse().map_err(|_| UnitError::TooLarge)?, unit))
}

fn scale(number: u64, unit: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let (_, factor) = units
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or(UnitError::Form)?;
    number.checked_mul(*factor).ok_or(UnitError::TooLarge)
}

fn format(value: u64, units: &[(&str, u64)], smallest: &str) -> String {
    units
        .iter()
        .find(|(_, factor)| value.is_multiple_of(*factor))
        .map_or_else(
            || format!("{value}{smallest}"),
            |(name, factor)| format!("{}{name}", value / factor),
        )
}
