//! A query as it may stand in a log: without passwords.
//!
//! Only a text that can be read, and in which every trace of the word `password` is the keyword of exactly one of the two
//! statements that know it, is shown, with `[REDACTED]` in the place of the password; so are the destinations of a
//! subscription, whose addresses may hold one. Of anything else that could hold a password nothing is shown at all: a
//! misplaced quote is enough to turn a password into a name. InfluxDB's own rule (influxql sanitize.go, two patterns over the
//! raw text) lets passwords through that hold a space or stand behind a comment.
//!
//! Comments are left out, control characters become spaces, long texts are cut: one query is one bounded line.

use memchr::memchr;

use super::keyword::{self, Keyword};
use super::scan::{Kind, Scanner, Token};

/// What stands for what must not be shown.
const REDACTED: &str = "[REDACTED]";

/// No more bytes of a query than this are shown.
const LONGEST: usize = 2000;

/// Renders `query` for a log.
///
/// ```
/// use haflux::influx::influxql::redact;
///
/// assert_eq!(redact(b"SET PASSWORD FOR \"x\" = 'secret'"), "SET PASSWORD FOR \"x\" = [REDACTED]");
/// ```
pub fn redact(query: &[u8]) -> String {
    match render(query) {
        Some(shown) => line(&shown.text, LONGEST),
        None => REDACTED.to_owned(),
    }
}

/// Whether something in `query` must not stand in a log, or that is not sure.
pub(crate) fn may_hold_secret(query: &[u8]) -> bool {
    render(query).is_none_or(|shown| shown.is_redacted)
}

/// What may be shown of a query.
struct Shown {
    text: Vec<u8>,
    /// Something is left out.
    is_redacted: bool,
}

/// The text to show; nothing if it is not sure to hold no password.
fn render(query: &[u8]) -> Option<Shown> {
    if memchr(0, query).is_some() {
        return None;
    }
    let tokens = Scanner::new(query).collect::<Result<Vec<Token>, _>>();
    let Ok(tokens) = tokens else {
        // Where the quotes of a text end is not known: it is shown only if nothing in it is about secrets.
        let secret = [
            Keyword::User,
            Keyword::Set,
            Keyword::Destinations,
            Keyword::Create,
        ];
        let harmless = !mentions_password(query) && !keyword::may_hold(query, &secret);
        return harmless.then(|| Shown {
            text: query.to_vec(),
            is_redacted: false,
        });
    };
    let mut text: Vec<u8> = Vec::with_capacity(query.len().min(2 * LONGEST));
    let mut is_redacted = false;
    for statement in tokens.split_inclusive(|token| token.kind == Kind::Semicolon) {
        let hidden = hidden(query, statement)?;
        for (at, token) in statement.iter().enumerate() {
            if token.spaced && !text.is_empty() {
                text.push(b' ');
            }
            let hide = match hidden {
                Hidden::Nothing => false,
                Hidden::At(place) => at == place,
                Hidden::Strings => token.kind == Kind::Text,
            };
            is_redacted |= hide;
            text.extend_from_slice(if hide {
                REDACTED.as_bytes()
            } else {
                token.text(query)
            });
        }
    }
    Some(Shown { text, is_redacted })
}

/// What is not shown of a statement.
#[derive(Clone, Copy)]
enum Hidden {
    Nothing,
    /// The token at this place.
    At(usize),
    Strings,
}

/// What to hide of one statement; nothing if all of it.
fn hidden(query: &[u8], statement: &[Token]) -> Option<Hidden> {
    use Keyword::{All, Create, Destinations, For, Password, Privileges, Set, User, With};
    let statement = match statement {
        [rest @ .., last] if last.kind == Kind::Semicolon => rest,
        all => all,
    };
    let name = |at: usize| {
        statement
            .get(at)
            .is_some_and(|token| matches!(token.kind, Kind::Name | Kind::Quoted))
    };
    let words = |at: usize, words: &[Keyword]| {
        let found = statement.get(at..at + words.len()).unwrap_or_default();
        found.len() == words.len()
            && found
                .iter()
                .zip(words)
                .all(|(token, word)| token.keyword() == Some(*word))
    };
    let text = |at: usize| {
        statement
            .get(at)
            .is_some_and(|token| token.kind == Kind::Text)
    };
    let innocent = |skipped: &[usize]| {
        let rest = statement
            .iter()
            .enumerate()
            .filter(|(at, _)| !skipped.contains(at));
        rest.clone()
            .all(|(_, token)| !mentions_password(token.text(query)))
    };

    if words(0, &[Create, User]) {
        let admin = statement.len() == 9 && words(6, &[With, All, Privileges]);
        let whole =
            name(2) && words(3, &[With, Password]) && text(5) && (statement.len() == 6 || admin);
        return (whole && innocent(&[4, 5])).then_some(Hidden::At(5));
    }
    if words(0, &[Set]) {
        let equals = statement
            .get(4)
            .is_some_and(|token| token.text(query) == b"=");
        let whole =
            words(1, &[Password, For]) && name(3) && equals && text(5) && statement.len() == 6;
        return (whole && innocent(&[1, 5])).then_some(Hidden::At(5));
    }
    if !innocent(&[]) {
        return None;
    }
    let destinations = statement
        .iter()
        .any(|token| token.keyword() == Some(Destinations));
    let users = statement.iter().any(|token| token.keyword() == Some(User));
    match (destinations, users) {
        (true, _) => {
            // Quotes of the wrong kind make names of addresses.
            let spelled = statement.iter().filter(|token| token.kind == Kind::Quoted);
            let address = |token: &Token| {
                token
                    .text(query)
                    .iter()
                    .any(|byte| matches!(byte, b'@' | b'/'))
            };
            (!spelled.clone().any(address)).then_some(Hidden::Strings)
        }
        (false, true) => Some(Hidden::Strings),
        (false, false) => Some(Hidden::Nothing),
    }
}

/// Whether the letters `password` stand anywhere in `text`, in any case.
fn mentions_password(text: &[u8]) -> bool {
    text.windows(b"password".len())
        .any(|window| window.eq_ignore_ascii_case(b"password"))
}

/// `text` as one line, of which no more than `longest` bytes are shown.
pub(super) fn line(text: &[u8], longest: usize) -> String {
    let shown = text.get(..longest).unwrap_or(text);
    let mut line: String = String::from_utf8_lossy(shown)
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    if shown.len() < text.len() {
        line.push('…');
    }
    line
}
