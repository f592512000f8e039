//! Whether a Flux query may write.
//!
//! Flux writes to InfluxDB by `to` and by functions that end in it (`wideTo`), under any package's name; nothing renames a
//! function without naming it once. A package may also call them on its own (`influxdata/influxdb/monitor` does). So a query
//! only reads if all of this holds for its text:
//!
//! - no word in it is `to` in any case, or ends in `To`; strings and comments are not looked at differently, so
//!   `r.direction == "to"` makes a change of a read, which is only slow;
//! - every `import` is followed by a package of the list below, none of which writes;
//! - it holds no `\x` escape, by which a string could spell a name, and no import of a syntax tree sent as JSON.
//!
//! In a JSON body the text is looked at after its escapes are undone, wherever they stand; a syntax tree beside the text is
//! thereby looked at too. InfluxDB 1.7 and 1.8 never write by Flux; being called a change harms nothing.

use memchr::memmem;

/// Packages that neither write nor run what writes. `influxdata/influxdb` has `to` and `wideTo`, which show as words.
const HARMLESS: &[&str] = &[
    "array",
    "bitwise",
    "csv",
    "date",
    "dict",
    "experimental",
    "experimental/aggregate",
    "experimental/array",
    "experimental/bitwise",
    "experimental/csv",
    "experimental/date/boundaries",
    "experimental/geo",
    "experimental/json",
    "experimental/query",
    "experimental/record",
    "experimental/table",
    "generate",
    "influxdata/influxdb",
    "influxdata/influxdb/sample",
    "influxdata/influxdb/schema",
    "influxdata/influxdb/v1",
    "interpolate",
    "join",
    "json",
    "math",
    "regexp",
    "runtime",
    "strings",
    "system",
    "timezone",
    "types",
    "universe",
];

/// How the body of a Flux request is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `application/vnd.flux`: the query itself.
    Plain,
    /// Anything else: JSON with the query in it.
    Json,
    /// It cannot be told: both are looked at.
    Unknown,
}

/// Whether the query in `body` may write.
pub(crate) fn may_write(body: &[u8], encoding: Encoding) -> bool {
    let plain = || names_a_writer(body) || !imports_are_harmless(body);
    let json = || {
        let text = unescape(body);
        names_a_writer(body) || names_a_writer(&text) || !imports_are_harmless(&text)
    };
    match encoding {
        Encoding::Plain => plain(),
        Encoding::Json => json(),
        Encoding::Unknown => plain() || json(),
    }
}

fn names_a_writer(text: &[u8]) -> bool {
    let words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    let writes = |word: &[u8]| {
        word.eq_ignore_ascii_case(b"to") || word.ends_with(b"To") || word == b"ImportDeclaration"
    };
    words.into_iter().any(writes) || memmem::find(text, br"\x").is_some()
}

fn imports_are_harmless(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(found) = memmem::find(rest, b"import") {
        let before = found.checked_sub(1).and_then(|before| rest.get(before));
        rest = rest.get(found + b"import".len()..).unwrap_or_default();
        let glued = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        if before.is_some_and(glued) || rest.first().is_some_and(glued) {
            continue;
        }
        if !imports_harmless(rest) {
            return false;
        }
    }
    true
}

/// Whether what follows `import` is a harmless package: `[name] "package"`.
fn imports_harmless(rest: &[u8]) -> bool {
    let Some(quote) = memchr::memchr(b'"', rest) else {
        return false;
    };
    let between = rest.get(..quote).unwrap_or_default();
    let plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || *byte == b'_';
    let path = rest.get(quote + 1..).unwrap_or_default();
    let path = path
        .get(..memchr::memchr(b'"', path).unwrap_or(0))
        .unwrap_or_default();
    between.iter().all(plain) && HARMLESS.iter().any(|harmless| harmless.as_bytes() == path)
}

/// Undoes JSON's escapes wherever they stand. What is no escape stays.
fn unescape(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(rest.get(..backslash).unwrap_or_default());
        rest = rest.get(backslash..).unwrap_or_default();
        let length = match rest.get(1) {
            Some(b'n' | b'r' | b't' | b'b' | b'f') => {
                text.push(b'\n');
                2
            }
            Some(b'u') => {
                let digits = rest
                    .get(2..6)
                    .and_then(|digits| std::str::from_utf8(digits).ok());
                match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
                    Some(code) => {
                        let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                        6
                    }
                    None => {
                        text.push(b'\\');
                        1
                    }
                }
            }
            Some(escaped) => {
                text.push(*escaped);
                2
            }
            None => {
                text.push(b'\\');
                1
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    text
}
