//! What queries that differ only in their values have in common.
//!
//! Every value is a `?`: numbers, strings, durations, regular expressions, `true`, `false` and bound parameters. So is every name on the
//! right side of a comparison, inside parentheses and sums too, because it is most often a string in the wrong quotes or in none. Spacing,
//! comments, the case of reserved words and needless quotes do not count, so that the text that a client sent and InfluxDB's own rendering
//! of it (`SHOW QUERIES`) have the same fingerprint. Other names of fields, tags and measurements stay.

use std::hash::Hasher;

use super::keyword::Keyword;
use super::redact::line;
use super::scan::{Comparison, Kind, Scanner, Token};

/// No more bytes of a fingerprint than this are shown.
const LONGEST: usize = 1000;

/// What stands for a value.
const VALUE: &[u8] = b"?";

/// The fingerprint of `query` as text, of one line; nothing for a text that cannot be cut into tokens.
///
/// ```
/// use haflux::influx::influxql::fingerprint;
///
/// let query = b"select \"v\" from cpu where host='a' and time > now() - 1h limit 5";
/// let expected = "SELECT v FROM cpu WHERE host = ? AND time > now() - ? LIMIT ?";
/// assert_eq!(fingerprint(query).as_deref(), Some(expected));
/// ```
pub fn fingerprint(query: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    let is_read = pieces(query, |piece| {
        // One piece more than is shown says that something is left out.
        if text.len() <= LONGEST {
            text.extend_from_slice(piece);
        }
    });
    is_read.then(|| line(&text, LONGEST))
}

/// Takes the fingerprint of `query`, however long it is, into `hasher`; false for a text that cannot be cut into tokens.
pub fn hash_fingerprint(query: &[u8], hasher: &mut impl Hasher) -> bool {
    pieces(query, |piece| hasher.write(piece))
}

/// Hands the fingerprint to `each`, piece by piece.
fn pieces(query: &[u8], mut each: impl FnMut(&[u8])) -> bool {
    let mut before: Option<Kind> = None;
    let mut side = Side::Left;
    let mut tokens = Scanner::new(query).peekable();
    while let Some(scanned) = tokens.next() {
        let Ok(token) = scanned else {
            return false;
        };
        let next = tokens.peek().and_then(|next| next.as_ref().ok());
        if before.is_some_and(|before| is_apart(before, token.kind)) {
            each(b" ");
        }
        side = side.at(before, token.kind);
        match is_value(query, side, token, next.copied()) {
            true => each(VALUE),
            false => write(query, token, &mut each),
        }
        before = Some(token.kind);
    }
    true
}

/// Whether a blank stands between two tokens.
fn is_apart(before: Kind, now: Kind) -> bool {
    match now {
        Kind::Comma | Kind::RightParen | Kind::Dot | Kind::Colon => return false,
        Kind::DoubleColon | Kind::Semicolon => return false,
        // A function, or an interval.
        Kind::LeftParen if matches!(before, Kind::Name | Kind::Quoted) => return false,
        _ => {}
    }
    !matches!(
        before,
        Kind::LeftParen | Kind::Dot | Kind::Colon | Kind::DoubleColon
    )
}

/// Where a token stands.
#[derive(Clone, Copy)]
enum Side {
    /// Where names are those of fields, tags and measurements.
    Left,
    /// On the right of a comparison, inside so many parentheses that were opened there.
    Right(usize),
}

impl Side {
    /// Where a token of kind `now` stands, if the one before it, of kind `before`, stands here.
    fn at(self, before: Option<Kind>, now: Kind) -> Self {
        use Keyword::{And, From, Group, Limit, Offset, Or, Order, Slimit, Soffset, Where};
        match (self, now) {
            // `WITH KEY = "host"` and `WITH MEASUREMENT = "cpu"` name what they look for.
            (Self::Left, Kind::Comparison(Comparison::Equal | Comparison::NotEqual))
                if matches!(
                    before,
                    Some(Kind::Keyword(Keyword::Key | Keyword::Measurement))
                ) =>
            {
                Self::Left
            }
            (Self::Left, Kind::Comparison(_)) => Self::Right(0),
            (Self::Right(depth), Kind::LeftParen) => Self::Right(depth.saturating_add(1)),
            (Self::Right(depth), Kind::RightParen) => match depth.checked_sub(1) {
                Some(depth) => Self::Right(depth),
                None => Self::Left,
            },
            (_, Kind::Semicolon) => Self::Left,
            (
                Self::Right(0),
                Kind::Keyword(
                    And | Or | From | Where | Group | Order | Limit | Offset | Slimit | Soffset,
                ),
            ) => Self::Left,
            _ => self,
        }
    }
}

/// Functions that stand on the right of a comparison, or behind the last one of a statement.
const FUNCTIONS: [&str; 3] = ["now", "tz", "fill"];

/// Whether a token, which stands on this side, stands for a value.
fn is_value(query: &[u8], side: Side, token: Token, next: Option<Token>) -> bool {
    match (token.kind, side) {
        (Kind::Text | Kind::Number | Kind::Duration | Kind::Regex | Kind::Parameter, _) => true,
        (Kind::Keyword(Keyword::True | Keyword::False), _) => true,
        (Kind::Name | Kind::Quoted, Side::Right(_)) => {
            let is_called = next.is_some_and(|next| next.kind == Kind::LeftParen && !next.spaced);
            let is_function = is_called && FUNCTIONS.iter().any(|name| token.is_name(query, name));
            !is_function && !token.is_name(query, "time")
        }
        _ => false,
    }
}

fn write(query: &[u8], token: Token, each: &mut impl FnMut(&[u8])) {
    let text = token.text(query);
    match token.kind {
        Kind::Keyword(_) => {
            // The longest reserved word has 13 letters.
            let mut upper = [0; 16];
            match upper.get_mut(..text.len()) {
                Some(upper) => {
                    upper.copy_from_slice(text);
                    upper.make_ascii_uppercase();
                    each(upper);
                }
                None => each(text),
            }
        }
        Kind::Quoted => each(unquoted(text)),
        Kind::Comparison(Comparison::NotEqual) => each(b"!="),
        _ => each(text),
    }
}

/// The name in `text` without its quotes, if it needs none.
fn unquoted(text: &[u8]) -> &[u8] {
    let begin = memchr::memchr(b'"', text).map_or(0, |at| at + 1);
    let inside = text.get(begin..text.len().saturating_sub(1));
    let inside = inside.unwrap_or_default();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_plain = inside.iter().all(is_word)
        && inside.first().is_some_and(|first| !first.is_ascii_digit())
        && Keyword::lookup(inside).is_none();
    match is_plain {
        true => inside,
        false => text.get(begin.saturating_sub(1)..).unwrap_or(text),
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;
    use proptest::prelude::*;

    fn hash(query: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        assert!(hash_fingerprint(query.as_bytes(), &mut hasher), "{query}");
        hasher.finish()
    }

    #[test]
    fn values_are_left_out_and_names_stay() {
        for (query, expected) in [
            (
                "SELECT mean(\"usage\"), -1.5 FROM \"a d\".rp.\"cpu\" WHERE (\"host\" =~ /^a.*$/ OR host <> 'b') AND x = true GROUP BY time(1m, 5s), * fill(0) ORDER BY time DESC LIMIT 10 OFFSET 5 tz('Europe/Berlin')",
                "SELECT mean(usage), - ? FROM \"a d\".rp.cpu WHERE (host =~ ? OR host != ?) AND x = ? GROUP BY time(?, ?), * fill(?) ORDER BY time DESC LIMIT ? OFFSET ? tz(?)",
            ),
            (
                "SELECT \"v\"::field FROM (SELECT count(v) AS v FROM m WHERE time >= $from) -- 'secret'",
                "SELECT v::FIELD FROM (SELECT count(v) AS v FROM m WHERE time >= ?)",
            ),
            (
                "SELECT v FROM m WHERE token = \"secret\" AND 5 < time AND now() > time",
                "SELECT v FROM m WHERE token = ? AND ? < time AND now() > time",
            ),
            (
                "SHOW TAG VALUES ON d FROM m WITH KEY = \"host\" WHERE a='b' ; SHOW SERIES FROM /secret/",
                "SHOW TAG VALUES ON d FROM m WITH KEY = host WHERE a = ?; SHOW SERIES FROM ?",
            ),
            (
                "SELECT \"SELECT\", \"9\", \"a\\\"b\" FROM m",
                "SELECT \"SELECT\", \"9\", \"a\\\"b\" FROM m",
            ),
            (
                "SELECT v FROM m WHERE a = (secret7) AND (b != \"x\" + \"secret9\" OR c = f(secret)) AND time > now() - 1h tz('UTC')",
                "SELECT v FROM m WHERE a = (?) AND (b != ? + ? OR c = ?(?)) AND time > now() - ? tz(?)",
            ),
            (
                "SELECT v FROM (SELECT v + w FROM m WHERE a = b::field + secret GROUP BY host), n WHERE v > w LIMIT 1",
                "SELECT v FROM (SELECT v + w FROM m WHERE a = ?::FIELD + ? GROUP BY host), n WHERE v > ? LIMIT ?",
            ),
            ("", ""),
        ] {
            assert_eq!(fingerprint(query.as_bytes()).as_deref(), Some(expected));
            // Itself, as another client may write it.
            assert_eq!(hash(query), hash(&query.replace(" FROM ", " /**/ FROM\n")));
        }
        for query in [
            "SELECT 'open",
            "SELECT \"v FROM m",
            "SELECT v FROM m WHERE a = 'x\n'",
        ] {
            assert_eq!(fingerprint(query.as_bytes()), None, "{query}");
            assert!(!hash_fingerprint(
                query.as_bytes(),
                &mut DefaultHasher::new()
            ));
        }
    }

    #[test]
    fn a_long_one_is_cut() {
        let query = format!("SELECT \"{}\" FROM m", "ä b".repeat(1000));
        let text = fingerprint(query.as_bytes()).unwrap();
        assert!(
            text.chars().count() <= LONGEST + 1 && text.ends_with('…'),
            "{text}"
        );
    }

    proptest! {
        /// Nothing of a value is left, wherever it stands, and only values are told apart by nothing.
        #[test]
        fn no_value_is_shown(text in "((SELECT|FROM|WHERE|a|=|<|AND|\\(|\\)|,|'s3cret'|=~ /s3cret/|= s3cret|!= \\(b - \"s3cret\"|\"b\"|now\\(\\)|-|7|::) ){0,20}") {
            if let Some(shown) = fingerprint(text.as_bytes()) {
                prop_assert!(!shown.contains("s3cret") && !shown.contains('7'), "{}", shown);
                prop_assert_eq!(hash(&text), hash(&text.replace("s3cret", "other")));
            }
        }
    }
}
