//! What of a request may stand where people read it: in the access log, in the slow log, among the queries that run.
//!
//! Scripts between a client and haflux encode a query string twice, or encode what separates its parameters, and nodes that
//! were built with an old Go read `;` as a separator. A text that may hold several parameters is therefore unclear, and none
//! of its values is shown.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use percent_encoding::percent_decode;

/// Stands in place of what is not shown.
const HIDDEN: &str = "***";

/// Most bytes of a request's target that are shown.
const MAX_TARGET: usize = 2048;

/// The longest name of a user, a database or a measurement that is shown, in bytes.
const LONGEST_NAME: usize = 64;

/// A text that was encoded more often than this is unclear.
const MOST_ENCODINGS: usize = 4;

/// A request's target, as the client sent it, without secrets and without bytes that could forge a line.
pub(crate) struct Target<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.0.splitn(2, |byte| *byte == b'?');
        let mut left = MAX_TARGET;
        write_clear(f, parts.next().unwrap_or_default(), &mut left)?;
        let Some(query) = parts.next() else {
            return Ok(());
        };
        let mut is_hidden = false;
        for (position, pair) in query.split(|byte| *byte == b'&').enumerate() {
            f.write_str(if position == 0 { "?" } else { "&" })?;
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next());
            // It may be the rest of a value that holds an `&`.
            let is_rest = is_hidden && value.is_none();
            is_hidden = match is_rest {
                true => write_rest(f, name)?,
                false => write_pair(f, name, value, &mut left)?,
            };
            if left == 0 {
                return f.write_str("...");
            }
        }
        Ok(())
    }
}

/// The beginning of the name of a user, a database or a measurement, which a client chose.
pub(crate) fn name(name: &str) -> &str {
    if may_hold_secret(name) {
        return HIDDEN;
    }
    let end = name.floor_char_boundary(LONGEST_NAME);
    name.get(..end).unwrap_or_default()
}

/// Whether the name of a user, a database or a measurement can be read as several parameters, of which one may be a password.
pub(crate) fn may_hold_secret(name: &str) -> bool {
    !is_clear(name.as_bytes())
}

/// Whether what goes by this name, a parameter or a header, identifies whoever sends it.
pub(crate) fn names_secret(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 7] = [b"p", b"pw", b"code", b"sig", b"sid", b"otp", b"pin"];
    // Of what stands behind a pool of other servers, any name may be one.
    const PARTS: [&[u8]; 12] = [
        b"token",
        b"pass",
        b"pwd",
        b"secret",
        b"auth",
        b"key",
        b"session",
        b"credential",
        b"signature",
        b"jwt",
        b"bearer",
        b"cookie",
    ];
    let Some(name) = bare(name) else {
        return true;
    };
    NAMES.contains(&name.as_slice()) || PARTS.iter().any(|part| memmem::find(&name, part).is_some())
}

/// Whether a parameter of this path with its query identifies whoever sends it.
pub(crate) fn holds_secret(path_and_query: &[u8]) -> bool {
    let mut parts = path_and_query.splitn(2, |byte| *byte == b'?');
    let query = parts.nth(1).unwrap_or_default();
    let pairs = query.split(|byte| matches!(byte, b'&' | b';'));
    pairs
        .filter_map(|pair| pair.split(|byte| *byte == b'=').next())
        .any(names_secret)
}

/// Whether a parameter of this name holds credentials, or statements, in which some may stand (`CREATE USER … WITH PASSWORD …`).
fn hides_value(name: &[u8]) -> bool {
    let statements: [&[u8]; 3] = [b"u", b"q", b"params"];
    names_secret(name) || bare(name).is_some_and(|name| statements.contains(&name.as_slice()))
}

/// The letters and digits of a name in lower case: blanks, brackets and control characters around them change nothing. Nothing for
/// a name that was encoded too often.
fn bare(name: &[u8]) -> Option<Vec<u8>> {
    let name = decoded(name)?;
    let letters = name.iter().filter(|byte| byte.is_ascii_alphanumeric());
    Some(letters.map(u8::to_ascii_lowercase).collect())
}

/// Whether a text is one name or value, and cannot be read as several parameters.
fn is_clear(text: &[u8]) -> bool {
    decoded(text).is_some_and(|text| !text.iter().any(|byte| separates(*byte)))
}

fn separates(byte: u8) -> bool {
    matches!(byte, b'=' | b';' | b'&' | b'?')
}

/// A text without its escapes, and without those that come out of them; nothing if it was encoded too often.
fn decoded(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MOST_ENCODINGS {
        match Cow::from(percent_decode(&text)) {
            Cow::Borrowed(_) => return Some(text),
            Cow::Owned(plainer) => text = Cow::Owned(plainer),
        }
    }
    None
}

/// Writes a text if it is clear, else what stands before anything in it that may separate. Returns whether anything was hidden.
fn write_clear(
    f: &mut fmt::Formatter<'_>,
    text: &[u8],
    left: &mut usize,
) -> Result<bool, fmt::Error> {
    if is_clear(text) {
        write_escaped(f, text, left)?;
        return Ok(false);
    }
    let mut parts = text.split(|byte| separates(*byte) || *byte == b'%');
    write_escaped(f, parts.next().unwrap_or_default(), left)?;
    f.write_str(HIDDEN)?;
    Ok(true)
}

/// Writes a name, and its value if it has one. Returns whether anything was hidden.
fn write_pair(
    f: &mut fmt::Formatter<'_>,
    name: &[u8],
    value: Option<&[u8]>,
    left: &mut usize,
) -> Result<bool, fmt::Error> {
    let is_hidden = write_clear(f, name, left)?;
    let Some(value) = value.filter(|_| !is_hidden) else {
        return Ok(is_hidden);
    };
    if hides_value(name) || !is_clear(value) {
        write!(f, "={HIDDEN}")?;
        return Ok(true);
    }
    f.write_str("=")?;
    write_escaped(f, value, left)?;
    Ok(false)
}

/// Writes in place of the rest of a hidden value, if there is any.
fn write_rest(f: &mut fmt::Formatter<'_>, rest: &[u8]) -> Result<bool, fmt::Error> {
    if !rest.is_empty() {
        f.write_str(HIDDEN)?;
    }
    Ok(true)
}

/// Writes `bytes`, at most `left` of them; what is not plain ASCII, quotes and backslashes are escaped.
fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8], left: &mut usize) -> fmt::Result {
    let taken = bytes.get(..*left).unwrap_or(bytes);
    *left -= taken.len();
    write!(f, "{}", taken.escape_ascii())?;
    if taken.len() < bytes.len() {
        f.write_str("...")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(target: &[u8]) -> String {
        Target(target).to_string()
    }

    #[test]
    fn secrets_are_hidden_however_they_are_written() {
        for (target, expected) in [
            (
                "/query?db=x&u=me&p=secret&q=SELECT+1&epoch=ms",
                "/query?db=x&u=***&p=***&q=***&epoch=ms",
            ),
            ("/query?%70=secret&%71=x", "/query?%70=***&%71=***"),
            ("/query?P=secret&db", "/query?P=***&***"),
            ("/write?db=a;p=secret", "/write?db=***"),
            ("/write?db;p=secret", "/write?db***"),
            ("/?auth_token=ey", "/?auth_token=***"),
            (
                "/?Client%5fSecret=s&apiKey=k",
                "/?Client%5fSecret=***&apiKey=***",
            ),
            ("/query?p=a=b&x=", "/query?p=***&x="),
            ("/query?", "/query?"),
            ("/query;p=secret?db=x", "/query***?db=x"),
            ("/query%3Fp%3dsecret", "/query***"),
            ("/ping", "/ping"),
            (
                "/write?db=a%20b&rp=50%&pretty",
                "/write?db=a%20b&rp=50%&pretty",
            ),
            ("/query?u%3Dadmin%26p%3Dsecret", "/query?u***"),
            ("/query?db=t&p%3Dsecret", "/query?db=t&p***"),
            ("/query?db=t%26p=secret", "/query?db=***"),
            ("/query?db=t%3Bp=secret", "/query?db=***"),
            ("/query?db=t%3Fp=secret", "/query?db=***"),
            ("/query?db=t?p=secret", "/query?db=***"),
            ("/?+p=secret&p%00=secret", "/?+p=***&p%00=***"),
            (
                "/?pwd=s&pw=s&bearer=s&sid=s&otp=s&pin=s",
                "/?pwd=***&pw=***&bearer=***&sid=***&otp=***&pin=***",
            ),
            ("/query?%252570=secret", "/query?%252570=***"),
            ("/query?p%253Dsecret", "/query?p***"),
            (
                "/query?p=x&secret&&secret&db=t",
                "/query?p=***&***&&***&db=t",
            ),
        ] {
            assert_eq!(shown(target.as_bytes()), expected);
        }
    }

    #[test]
    fn nothing_can_forge_a_line() {
        assert_eq!(
            shown(b"/a\r\nb\"\\\x1b\xff?x:\n\""),
            "/a\\r\\nb\\\"\\\\\\x1b\\xff?x:\\n\\\""
        );
    }

    #[test]
    fn long_targets_are_cut() {
        let shown = shown(format!("/{}?p=secret", "a".repeat(5000)).as_bytes());
        assert!(shown.len() < MAX_TARGET + 100, "{}", shown.len());
        assert!(!shown.contains("secret"));
    }

    #[test]
    fn names_that_may_hold_parameters_are_hidden() {
        assert_eq!(name("telegraf"), "telegraf");
        assert_eq!(name("t;p=secret"), HIDDEN);
        assert_eq!(name("t%3Bp%3Dsecret"), HIDDEN);
        assert_eq!(name(&"ä".repeat(100)), "ä".repeat(32));
    }

    /// A text of which each byte is escaped so many times.
    fn encoded(text: &str, times: &[u8]) -> String {
        let byte = |(byte, times): (u8, &u8)| match times {
            0 => char::from(byte).to_string(),
            times => format!("%{}{byte:02x}", "25".repeat(usize::from(*times) - 1)),
        };
        text.bytes().zip(times.iter().cycle()).map(byte).collect()
    }

    proptest! {
        #[test]
        fn every_target_is_one_plain_line(target in proptest::collection::vec(any::<u8>(), 0..300)) {
            let shown = shown(&target);
            prop_assert!(shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        }

        #[test]
        fn no_encoding_shows_a_secret(
            before in "(/query|/write|/ping|)[?](db=t|epoch=ms|pretty|)",
            separator in "[&;?]",
            name in "[ \\x00+]?([pP]|pwd|Password|token|otp|q)[ \\x00]?",
            times in proptest::collection::vec(0_u8..7, 1..12),
        ) {
            let target = encoded(&format!("{before}{separator}{name}=S3CRET"), &times);
            let shown = shown(target.as_bytes());
            let mut plain = shown.clone().into_bytes();
            for _ in 0..10 {
                plain = percent_decode(&plain).collect();
            }
            prop_assert!(memmem::find(&plain, b"S3CRET").is_none(), "{target} is shown as {shown}");
        }
    }
}
