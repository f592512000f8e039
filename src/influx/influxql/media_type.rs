//! What kind of body a `Content-Type` announces, as far as that is certain.
//!
//! A node reads a form only if Go's `mime.ParseMediaType` takes the whole header and its type is exactly one of two; `multipart/mixed`, a
//! parameter twice, or text behind the type make it read no form at all. What is close to a form and is none of the two, plainly
//! written, is not guessed at.

/// What a node may read from a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Pairs, as in a query string.
    Pairs,
    /// Parts of a multipart form.
    Parts,
    /// No form.
    No,
    /// One or the other.
    Unclear,
}

impl Form {
    /// Of this `Content-Type`.
    pub(crate) fn of(content_type: &[u8]) -> Form {
        let lower = content_type.to_ascii_lowercase();
        let holds = |kind: &[u8]| memchr::memmem::find(&lower, kind).is_some();
        if !holds(b"form-urlencoded") && !holds(b"multipart") {
            return Form::No;
        }
        let mut pieces = lower.split(|byte| *byte == b';');
        let form = match pieces.next().map(<[u8]>::trim_ascii) {
            Some(b"application/x-www-form-urlencoded") => Form::Pairs,
            Some(b"multipart/form-data") => Form::Parts,
            _ => return Form::Unclear,
        };
        let mut names: Vec<&[u8]> = Vec::new();
        for parameter in pieces {
            match plain_name(parameter.trim_ascii()) {
                Some(name) if !names.contains(&name) => names.push(name),
                _ => return Form::Unclear,
            }
        }
        form
    }
}

/// The name of a parameter that is a token with a token, or a quoted string of plain bytes, as its value.
fn plain_name(parameter: &[u8]) -> Option<&[u8]> {
    let is_token = |text: &[u8]| !text.is_empty() && text.iter().all(is_token_byte);
    let mut halves = parameter.splitn(2, |byte| *byte == b'=');
    let (name, value) = (halves.next()?, halves.next()?);
    let quoted = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    let is_plain = match quoted {
        Some(quoted) => quoted
            .iter()
            .all(|byte| (byte.is_ascii_graphic() || *byte == b' ') && !b"\"\\".contains(byte)),
        None => is_token(value),
    };
    // A star continues a parameter, or says how it is encoded.
    (is_token(name) && !name.contains(&b'*') && is_plain).then_some(name)
}

/// RFC 2045's token.
fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_plainly_a_form_is_one() {
        for (content_type, form) in [
            ("application/x-www-form-urlencoded", Form::Pairs),
            (
                "Application/X-WWW-form-urlencoded ; charset=UTF-8",
                Form::Pairs,
            ),
            (
                "application/x-www-form-urlencoded; charset=\"utf 8\"",
                Form::Pairs,
            ),
            ("multipart/form-data; boundary=xyz", Form::Parts),
            (
                "multipart/form-data; boundary=\"x/y\"; charset=utf-8",
                Form::Parts,
            ),
            ("multipart/mixed; boundary=xyz", Form::Unclear),
            ("application/x-www-form-urlencoded; a=b; A=c", Form::Unclear),
            ("application/x-www-form-urlencoded;;", Form::Unclear),
            (
                "application/x-www-form-urlencoded, text/plain",
                Form::Unclear,
            ),
            ("application/x-www-form-urlencoded; a", Form::Unclear),
            ("application/x-www-form-urlencoded; a*=b", Form::Unclear),
            ("multipart/form-data; boundary=\"x;y\"", Form::Unclear),
            ("text/plain; like=multipart", Form::Unclear),
            ("text/plain", Form::No),
            ("", Form::No),
        ] {
            assert_eq!(Form::of(content_type.as_bytes()), form, "{content_type}");
        }
    }
}
