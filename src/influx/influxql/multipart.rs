//! Reads `multipart/form-data` as Go's `mime/multipart` does, as far as it is plain; anything unusual is [`Odd`].
//!
//! InfluxDB takes the query from a plain field `q`, or from an uploaded file of that name, also on GET. Go accepts more than
//! clients send (quoted-printable parts, folded headers, continued parameters); a body that uses any of it is not guessed at:
//! the request counts as a change that cannot be put into the journal, and is refused.

use memchr::memmem;

/// The body is no plain multipart form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Odd;

/// Why there are no parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoParts {
    /// The body is no plain form.
    Odd,
    /// It has more parts than it may have.
    TooMany,
}

impl From<Odd> for NoParts {
    fn from(_: Odd) -> Self {
        Self::Odd
    }
}

/// One part of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part<'body> {
    /// The field's name.
    pub(crate) name: &'body [u8],
    /// The field's value, or the file's content.
    pub(crate) value: &'body [u8],
}

/// The boundary in the value of a `Content-Type`.
pub(crate) fn boundary(content_type: &[u8]) -> Result<&[u8], Odd> {
    let lower = content_type.to_ascii_lowercase();
    let mut found = memmem::find_iter(&lower, b"boundary");
    let (Some(at), None) = (found.next(), found.next()) else {
        return Err(Odd);
    };
    let value = content_type
        .get(at + b"boundary".len()..)
        .and_then(|rest| rest.strip_prefix(b"="))
        .ok_or(Odd)?;
    let value = match value.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|byte| *byte == b'"').next(),
        None => value
            .split(|byte| *byte == b';')
            .next()
            .map(<[u8]>::trim_ascii),
    };
    let value = value.unwrap_or_default();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(byte);
    if value.is_empty() || value.len() > 70 || !value.iter().all(plain) {
        return Err(Odd);
    }
    Ok(value)
}

/// The parts of `body`, `most` of them at most.
pub(crate) fn parts<'body>(
    body: &'body [u8],
    boundary: &[u8],
    most: usize,
) -> Result<Vec<Part<'body>>, NoParts> {
    let mut delimiter = b"--".to_vec();
    delimiter.extend_from_slice(boundary);
    if !body.starts_with(&delimiter) {
        return Err(NoParts::Odd);
    }
    let mut starts = memmem::find_iter(body, &delimiter)
        .filter(|at| *at == 0 || body.get(at - 1) == Some(&b'\n'));
    let mut parts = Vec::new();
    let mut open = starts.next().ok_or(Odd)?;
    loop {
        let behind = body.get(open + delimiter.len()..).unwrap_or_default();
        if behind.starts_with(b"--") {
            return if starts.next().is_none() {
                Ok(parts)
            } else {
                Err(NoParts::Odd)
            };
        }
        let close = starts.next().ok_or(Odd)?;
        let part = body.get(open + delimiter.len()..close).ok_or(Odd)?;
        if parts.len() >= most {
            return Err(NoParts::TooMany);
        }
        parts.push(self::part(part)?);
        open = close;
    }
}

/// One part, from behind its delimiter to before the next one.
fn part(text: &[u8]) -> Result<Part<'_>, Odd> {
    let mut rest = text.strip_prefix(b"\r\n").ok_or(Odd)?;
    let mut name = None;
    loop {
        let end = memmem::find(rest, b"\r\n").ok_or(Odd)?;
        let (line, behind) = rest.split_at(end);
        rest = behind.get(2..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
        let colon = memchr::memchr(b':', line).ok_or(Odd)?;
        let (header, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        if header.eq_ignore_ascii_case(b"Content-Disposition") {
            if name.is_some() {
                return Err(Odd);
            }
            name = Some(disposition(value.trim_ascii())?);
        } else if !header.eq_ignore_ascii_case(b"Content-Type")
            && !header.eq_ignore_ascii_case(b"Content-Length")
        {
            return Err(Odd);
        }
    }
    let value = rest.strip_suffix(b"\r\n").ok_or(Odd)?;
    Ok(Part {
        name: name.ok_or(Odd)?,
        value,
    })
}

/// The name in `form-data; name="q"; filename="x"`.
fn disposition(value: &[u8]) -> Result<&[u8], Odd> {
    let mut rest = value
        .get(..9)
        .filter(|kind| kind.eq_ignore_ascii_case(b"form-data"))
        .and(value.get(9..))
        .ok_or(Odd)?;
    let mut name = None;
    while !rest.is_empty() {
        rest = rest.strip_prefix(b";").ok_or(Odd)?.trim_ascii_start();
        let equals = memchr::memchr(b'=', rest).ok_or(Odd)?;
        let (key, behind) = rest.split_at(equals);
        let quoted = behind.strip_prefix(b"=\"").ok_or(Odd)?;
        let end = memchr::memchr(b'"', quoted).ok_or(Odd)?;
        let (inside, behind) = quoted.split_at(end);
        if key.eq_ignore_ascii_case(b"name") && name.is_none() && !inside.contains(&b'\\') {
            name = Some(inside);
        } else if !key.eq_ignore_ascii_case(b"filename") || inside.contains(&b'\\') {
            return Err(Odd);
        }
        rest = behind.get(1..).unwrap_or_default().trim_ascii_start();
    }
    name.ok_or(Odd)
}
