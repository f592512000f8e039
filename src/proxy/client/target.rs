//! The target of a request in its one form: `/path?query`, percent-encoded.
//!
//! InfluxDB's own rules are those of Go's `url.ParseRequestURI`. Go takes an opaque `foo:/query` and cuts nothing at a `#`,
//! which other parsers read otherwise: such targets are refused, because nobody could say what was asked for.

use bytes::{BufMut, BytesMut};
use http::uri::Authority;
use memchr::memchr;

use super::rejection::Rejection;

/// A target that is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Of the absolute form `http://authority/path`: it takes the place of the `Host` header.
    pub(super) authority: Option<&'a [u8]>,
    /// From the first slash on, or `*`.
    rest: &'a [u8],
}

/// Understands the target of a request with `method`.
///
/// # Errors
///
/// Everything but the origin form, the absolute form of `http` and `https`, and `*` with OPTIONS.
pub(super) fn understand<'a>(method: &[u8], target: &'a [u8]) -> Result<Target<'a>, Rejection> {
    if memchr(b'#', target).is_some() {
        return Err(Rejection::malformed("a raw # in the request's target"));
    }
    if any(target, |byte| byte <= b' ' || byte == 0x7f) {
        return Err(Rejection::malformed(
            "a control character in the request's target",
        ));
    }
    let (authority, rest) = match target.first() {
        Some(b'/') => (None, target),
        Some(b'*') if target.len() == 1 && method == b"OPTIONS" => (None, target),
        _ => absolute(target)?,
    };
    if !is_percent_encoded(path(rest)) {
        return Err(Rejection::malformed(
            "an invalid percent-encoding in the request's path",
        ));
    }
    Ok(Target { authority, rest })
}

fn absolute(target: &[u8]) -> Result<(Option<&[u8]>, &[u8]), Rejection> {
    let form =
        Rejection::malformed("the request's target is neither a path nor an http:// address");
    let colon = target.iter().position(|byte| *byte == b':').ok_or(form)?;
    let (scheme, rest) = target.split_at(colon);
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(form);
    }
    let rest = rest.strip_prefix(b"://").ok_or(form)?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let is_one =
        !authority.is_empty() && is_host(authority) && Authority::try_from(authority).is_ok();
    if !is_one {
        return Err(Rejection::malformed(
            "the request's target names no valid host",
        ));
    }
    Ok((Some(authority), rest))
}

/// Whether a `Host` header may have this value. Userinfo is not one: InfluxDB ignores it, and others do not.
pub(super) fn is_host(value: &[u8]) -> bool {
    const HOST: [bool; 256] = alphanumeric_or(b"!$%&'()*+,-.:;=[]_~");
    value.iter().all(|byte| HOST[usize::from(*byte)])
}

/// Which bytes are ASCII letters, digits or one of `others`.
pub(super) const fn alphanumeric_or(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// Whether `holds` is true of any byte. All of them are looked at, so that the processor looks at many at once.
pub(super) fn any(bytes: &[u8], holds: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(false, |any, byte| any | holds(*byte))
}

impl Target<'_> {
    /// Appends the target in its one form. What stands raw in it and belongs encoded is encoded, so that all who read it
    /// find the same bytes.
    pub(super) fn write(&self, into: &mut BytesMut) {
        if !self.rest.starts_with(b"/") && self.rest != b"*" {
            into.put_u8(b'/');
        }
        if !any(self.rest, is_raw) {
            into.put_slice(self.rest);
            return;
        }
        for run in self
            .rest
            .chunk_by(|one, next| !is_raw(*one) && !is_raw(*next))
        {
            match run {
                [byte] if is_raw(*byte) => {
                    into.put_slice(&[b'%', hex_digit(byte >> 4), hex_digit(byte & 15)]);
                }
                plain => into.put_slice(plain),
            }
        }
    }
}

/// Whether the byte may not stand in a target as it is (RFC 3986).
fn is_raw(byte: u8) -> bool {
    byte >= 0x7f || matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{'..=b'}')
}

fn hex_digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'A' + (value & 15) - 10,
    }
}

fn path(rest: &[u8]) -> &[u8] {
    rest.split(|byte| *byte == b'?').next().unwrap_or_default()
}

/// Whether each `%` stands before two hexadecimal digits.
fn is_percent_encoded(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'%')
        .skip(1)
        .all(|after| matches!(after, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(method: &str, target: &str) -> Result<String, u16> {
        let target =
            understand(method.as_bytes(), target.as_bytes()).map_err(|no| no.status.as_u16())?;
        let mut text = BytesMut::new();
        target.write(&mut text);
        let authority = String::from_utf8_lossy(target.authority.unwrap_or_default()).into_owned();
        Ok(authority + &String::from_utf8_lossy(&text))
    }

    #[test]
    fn what_is_unambiguous_has_one_form() {
        for (target, expected) in [
            ("/", "/"),
            ("/query?q=SELECT%20%22a%22", "/query?q=SELECT%20%22a%22"),
            (
                "/query?q=SELECT+*+FROM+\"pp\"<>{}|\\^`",
                "/query?q=SELECT+*+FROM+%22pp%22%3C%3E%7B%7D%7C%5C%5E%60",
            ),
            ("/query?q=é", "/query?q=%C3%A9"),
            ("/a\"b", "/a%22b"),
            ("/query?q=%zz&'[]=", "/query?q=%zz&'[]="),
            ("//host/query", "//host/query"),
            ("/query?http://a/write", "/query?http://a/write"),
            ("http://a:8086/query?x", "a:8086/query?x"),
            ("HTTPS://[::1]/ping", "[::1]/ping"),
            ("http://a?q=1", "a/?q=1"),
            ("http://a", "a/"),
        ] {
            assert_eq!(written("GET", target).as_deref(), Ok(expected), "{target}");
        }
        assert_eq!(written("OPTIONS", "*").as_deref(), Ok("*"));
    }

    #[test]
    fn what_may_be_read_otherwise_is_refused() {
        for target in [
            "",
            "foo:/query",
            "query",
            "*",
            "a:8086",
            "http:/query",
            "http:query",
            "http:///query",
            "http://u:p@a/query",
            "http://a\\b/query",
            "ftp://a/query",
            "/query?q=DROP+MEASUREMENT+frag#2",
            "/a b",
            "/a\tb",
            "/a\u{7f}",
            "/a%",
            "/a%2",
            "/a%zz",
        ] {
            assert_eq!(written("GET", target), Err(400), "{target}");
        }
    }
}
