//! What a Flux query may do: only read, write to InfluxDB, or act elsewhere.
//!
//! Flux writes to InfluxDB by `to` and by functions that end in it (`wideTo`), under any package's name; nothing renames a
//! function without naming it once. A package may also call them on its own (`influxdata/influxdb/monitor` does). So a query
//! only reads if all of this holds for its text:
//!
//! - no word in it is `to` in any case, or ends in `To`; strings and comments are not looked at differently, so
//!   `r.direction == "to"` makes a change of a read, which is only slow;
//! - every `import` is followed by a package of the lists below that does not write;
//! - it holds no `\x` escape, by which a string could spell a name.
//!
//! What writes is carried out by every node. So it must act nowhere but in InfluxDB, or each node does it once more (`http.post`
//! sends a request from each), and must read nothing that differs from node to node (`system.time`, a table of an SQL server).
//! A query is refused if it imports a package that may act elsewhere, or one of no list, or writes and imports one whose values
//! differ; and if its imports cannot be told, as of a syntax tree that is sent as JSON.
//!
//! In a JSON body the text is looked at after its escapes are undone, wherever they stand; a syntax tree beside the text is
//! thereby looked at too. InfluxDB 1.7 and 1.8 never write by Flux; being called a change harms nothing.

use memchr::memmem;

/// Packages that neither write nor run what writes, and say the same on every node. `influxdata/influxdb` has `to` and `wideTo`,
/// which show as words.
const HARMLESS: &[&str] = &[
    "array",
    "bitwise",
    "contrib/RohanSreerama5/naiveBayesClassifier",
    "contrib/anaisdg/anomalydetection",
    "contrib/anaisdg/statsmodels",
    "contrib/bonitoo-io/hex",
    "contrib/jsternberg/influxdb",
    "contrib/qxip/hash",
    "contrib/tomhollingworth/events",
    "csv",
    "date",
    "date/boundaries",
    "dict",
    "experimental",
    "experimental/aggregate",
    "experimental/array",
    "experimental/bitwise",
    "experimental/date/boundaries",
    "experimental/dynamic",
    "experimental/geo",
    "experimental/json",
    "experimental/oee",
    "experimental/polyline",
    "experimental/query",
    "experimental/record",
    "experimental/table",
    "generate",
    "influxdata/influxdb",
    "influxdata/influxdb/schema",
    "influxdata/influxdb/v1",
    "interpolate",
    "join",
    "json",
    "math",
    "profiler",
    "regexp",
    "runtime",
    "sampledata",
    "strings",
    "timezone",
    "types",
    "universe",
];

/// Packages that only read, but what may differ from node to node, or from moment to moment.
const DIFFERING: &[&str] = &[
    "contrib/qxip/clickhouse",
    "contrib/qxip/logql",
    "experimental/bigtable",
    "experimental/csv",
    "experimental/prometheus",
    "influxdata/influxdb/sample",
    "socket",
    "sql",
    "system",
];

/// Packages that write to InfluxDB, and act nowhere else by themselves.
const WRITING: &[&str] = &[
    "contrib/bonitoo-io/tickscript",
    "influxdata/influxdb/monitor",
];

/// What a Flux query may do, from the least demanding to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// It only reads.
    Reads,
    /// It may write to InfluxDB, the same on every node.
    Writes,
    /// It may act elsewhere, or write what differs from node to node.
    Unrepeatable,
}

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

/// What the query in `body` may do.
pub(crate) fn effect(body: &[u8], encoding: Encoding) -> Effect {
    let plain = || effect_of(names_a_writer(body), imports(body));
    let json = || {
        let text = unescape(body);
        let is_a_tree = memmem::find(&text, b"ImportDeclaration").is_some();
        let imports = if is_a_tree {
            Import::Unknown
        } else {
            imports(&text)
        };
        effect_of(names_a_writer(body) || names_a_writer(&text), imports)
    };
    match encoding {
        Encoding::Plain => plain(),
        Encoding::Json => json(),
        Encoding::Unknown => plain().max(json()),
    }
}

fn effect_of(names_a_writer: bool, imports: Import) -> Effect {
    match imports {
        Import::Harmless if !names_a_writer => Effect::Reads,
        Import::Differing if !names_a_writer => Effect::Reads,
        Import::Harmless | Import::Writing => Effect::Writes,
        Import::Differing | Import::Unknown => Effect::Unrepeatable,
    }
}

fn names_a_writer(text: &[u8]) -> bool {
    let words = text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    let writes = |word: &[u8]| word.eq_ignore_ascii_case(b"to") || word.ends_with(b"To");
    words.into_iter().any(writes) || memmem::find(text, br"\x").is_some()
}

/// What a query imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Import {
    Harmless,
    Writing,
    Differing,
    /// A package of no list, one that cannot be told, or several that do not go together.
    Unknown,
}

impl Import {
    fn of(package: &[u8]) -> Import {
        let is_in = |list: &[&str]| list.iter().any(|known| known.as_bytes() == package);
        if is_in(HARMLESS) {
            Import::Harmless
        } else if is_in(WRITING) {
            Import::Writing
        } else if is_in(DIFFERING) {
            Import::Differing
        } else {
            Import::Unknown
        }
    }

    fn and(self, other: Import) -> Import {
        match (self, other) {
            (Import::Harmless, other) | (other, Import::Harmless) => other,
            (one, other) if one == other => one,
            _ => Import::Unknown,
        }
    }
}

fn imports(text: &[u8]) -> Import {
    let mut all = Import::Harmless;
    let mut rest = text;
    while let Some(found) = memmem::find(rest, b"import") {
        let before = found.checked_sub(1).and_then(|before| rest.get(before));
        let glued = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let is_glued = before.is_some_and(glued);
        rest = rest.get(found + b"import".len()..).unwrap_or_default();
        if !is_glued && !rest.first().is_some_and(glued) {
            all = all.and(imported(rest).map_or(Import::Unknown, Import::of));
        }
    }
    all
}

/// The package that follows `import`: `[name] "package"`.
fn imported(rest: &[u8]) -> Option<&[u8]> {
    let quote = memchr::memchr(b'"', rest)?;
    let plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || *byte == b'_';
    let is_plain = rest.get(..quote)?.iter().all(plain);
    let path = rest.get(quote + 1..)?;
    let path = path.get(..memchr::memchr(b'"', path)?)?;
    is_plain.then_some(path)
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
