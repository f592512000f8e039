//! Numbers and booleans of the fields: InfluxDB's `scanNumber` and `scanBoolean`. Each takes the position of the value's first
//! byte, and gives the position behind it, or `None` if InfluxDB refuses it.

/// From this many bytes on InfluxDB checks that an integer fits into 64 bits; shorter ones fit.
const CHECKED_INTEGER_LENGTH: usize = 19;

/// From this many bytes on InfluxDB checks that a float fits; a shorter one without exponent fits.
const CHECKED_FLOAT_LENGTH: usize = 25;

/// The bytes up to the next comma or space; quotes and escapes mean nothing in these values.
fn value(line: &[u8], start: usize) -> &[u8] {
    let rest = line.get(start..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|byte| matches!(byte, b',' | b' '))
        .unwrap_or(rest.len());
    rest.get(..length).unwrap_or_default()
}

/// `t`, `T`, `f`, `F`, and the three spellings of each word.
pub(super) fn boolean(line: &[u8], start: usize) -> Option<usize> {
    let value = value(line, start);
    let words: [&[u8]; 10] = [
        b"t", b"T", b"f", b"F", b"true", b"True", b"TRUE", b"false", b"False", b"FALSE",
    ];
    words.contains(&value).then_some(start + value.len())
}

/// A float, or an integer with an `i` behind it. `u` is for builds with unsigned support only, and those are not released.
pub(super) fn number(line: &[u8], start: usize) -> Option<usize> {
    let value = value(line, start);
    let accepted = match value.strip_suffix(b"i") {
        Some(digits) => is_integer(digits),
        None => is_float(value),
    };
    accepted.then_some(start + value.len())
}

fn is_integer(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let well_formed = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let checked = value.len() >= CHECKED_INTEGER_LENGTH;
    well_formed
        && (!checked || std::str::from_utf8(value).is_ok_and(|text| text.parse::<i64>().is_ok()))
}

fn is_float(value: &[u8]) -> bool {
    let unsigned = value.strip_prefix(b"-").unwrap_or(value);
    let mut points = 0_usize;
    let mut digits = 0_usize;
    let mut exponent = false;
    let mut before = None;
    for &byte in unsigned {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'.' => points += 1,
            b'e' | b'E' => exponent = true,
            b'+' | b'-' if matches!(before, Some(b'e' | b'E')) => {}
            _ => return false,
        }
        before = Some(byte);
    }
    if points > 1 || digits == 0 {
        return false;
    }
    let checked = exponent || value.len() >= CHECKED_FLOAT_LENGTH;
    let parsed = || std::str::from_utf8(value).ok()?.parse::<f64>().ok();
    !checked || parsed().is_some_and(f64::is_finite)
}
