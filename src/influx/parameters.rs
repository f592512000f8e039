//! Query strings as Go's `url.ParseQuery` (1.17 and newer) reads them, which is what decides at InfluxDB.
//!
//! Pairs are separated by `&`; a name's first value wins; names are case-sensitive; `%XX` and `+` are decoded on both sides.
//! A pair with a broken escape or a raw `;` is dropped without a word, and the others stay. (Go before 1.17 took `;` for `&`.)

use std::borrow::Cow;

/// Content type of a body that holds parameters, which `/query` reads as it reads those of the URL.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The parameters of one query string, in their order.
pub struct Parameters<'query> {
    pairs: Vec<Pair<'query>>,
}

/// Name and value, decoded.
type Pair<'query> = (Cow<'query, [u8]>, Cow<'query, [u8]>);

impl<'query> Parameters<'query> {
    /// Reads a query string (what follows the `?`). Never fails: what Go drops is dropped.
    pub fn parse(query: &'query str) -> Self {
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.contains(';'));
        let decoded = pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescape(name.as_bytes())?, unescape(value.as_bytes())?))
        });
        Self {
            pairs: decoded.collect(),
        }
    }

    /// The first value of a name; bytes that are not UTF-8 are replaced by U+FFFD. `None` only if the name is not there.
    pub fn first(&self, name: &str) -> Option<Cow<'_, str>> {
        self.first_bytes(name).map(String::from_utf8_lossy)
    }

    /// The first value of a name, as it was decoded.
    pub fn first_bytes(&self, name: &str) -> Option<&[u8]> {
        let found = self
            .pairs
            .iter()
            .find(|(candidate, _)| candidate.as_ref() == name.as_bytes());
        found.map(|(_, value)| value.as_ref())
    }
}

/// Go's `url.QueryUnescape`; `None` if an escape is broken.
pub(in crate::influx) fn unescape(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(first) = memchr::memchr2(b'%', b'+', text) else {
        return Some(Cow::Borrowed(text));
    };
    let mut decoded = Vec::with_capacity(text.len());
    let (plain, mut rest) = text.split_at_checked(first)?;
    decoded.extend_from_slice(plain);
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let ([high, low], behind) = rest.split_first_chunk()?;
                rest = behind;
                (hexadecimal(*high)? << 4) | hexadecimal(*low)?
            }
            other => *other,
        });
    }
    Some(Cow::Owned(decoded))
}

fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_query_strings_as_go_does() {
        let table = [
            ("db=a", "db", Some("a")),
            ("db=a&db=b", "db", Some("a")),
            ("db=&db=b", "db", Some("")),
            ("DB=a", "db", None),
            ("%64b=a", "db", Some("a")),
            ("db=a%20b+c", "db", Some("a b c")),
            ("db=a%2Bb", "db", Some("a+b")),
            ("db=%zz&db=b", "db", Some("b")),
            ("db=%4&db=b", "db", Some("b")),
            ("db=a;rp=b&db=c", "db", Some("c")),
            ("db=a%3Bb", "db", Some("a;b")),
            ("db", "db", Some("")),
            ("db=a=b", "db", Some("a=b")),
            ("&&db=a&", "db", Some("a")),
            ("=x", "", Some("x")),
            ("", "db", None),
            ("db=%ff", "db", Some("\u{fffd}")),
        ];
        for (query, name, expected) in table {
            assert_eq!(
                Parameters::parse(query).first(name).as_deref(),
                expected,
                "{query}"
            );
        }
        assert_eq!(
            Parameters::parse("db=%ff").first_bytes("db"),
            Some(&b"\xff"[..])
        );
    }

    proptest! {
        #[test]
        fn never_panics(query in "[a-c%&;=+0-9f]{0,40}|.{0,40}", name in "[a-c]{0,2}") {
            let _ = Parameters::parse(&query).first(&name);
        }
    }
}
