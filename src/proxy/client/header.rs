//! The header of a request: judged, and written anew in the one form that everybody behind this understands alike.
//!
//! The yardstick is Go's `net/http`, which stands before InfluxDB. Where it, Pingora and this could understand two things,
//! the request is refused: bytes that were judged as one request must not be another one to the node.

use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use memchr::{memchr, memchr_iter};

use super::connection::Connection;
use super::framing::Framing;
use super::rejection::Rejection;
use super::target::{self, Target};

/// Most lines of a header. Pingora takes no more than 256, and one may be added.
const MAX_LINES: usize = 250;
/// Line ends before a request that are passed over: some clients send one too many after a body.
const MAX_EMPTY_LINES: usize = 8;

/// A header that is whole and understood.
#[derive(Debug)]
pub(super) struct Header {
    /// How many of the bytes it took.
    pub(super) length: usize,
    /// What is handed on in their place.
    pub(super) text: BytesMut,
    /// The body that follows.
    pub(super) framing: Framing,
    /// The client sends that body only when it is told to.
    pub(super) is_asking: bool,
}

/// Understands the header at the beginning of `bytes`; `None` while it is not whole.
///
/// # Errors
///
/// It is malformed, or may mean two things. A bad first line is one before the rest is there.
pub(super) fn understand(bytes: &[u8]) -> Result<Option<Header>, Rejection> {
    let start = first_line_start(bytes)?;
    let text = bytes.get(start..).unwrap_or_default();
    let Some((first, lines)) = split_line(text)? else {
        return match text.first() {
            Some(byte) if !is_token_byte(*byte) => Err(NO_HTTP),
            _ => Ok(None),
        };
    };
    let request = RequestLine::understand(first)?;
    let Some(end) = end_of_lines(lines) else {
        return Ok(None);
    };
    let length = bytes.len() - lines.len() + end;
    let lines = lines.get(..end).unwrap_or_default();
    Builder::new(&request, length + 64)
        .build(lines, length)
        .map(Some)
}

const NO_HTTP: Rejection = Rejection::malformed("malformed HTTP request");

fn first_line_start(bytes: &[u8]) -> Result<usize, Rejection> {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = bytes
        .iter()
        .position(|byte| !is_end(byte))
        .unwrap_or(bytes.len());
    if start > MAX_EMPTY_LINES {
        return Err(NO_HTTP);
    }
    Ok(start)
}

/// A line or word without its end, and what follows it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// Splits the first line off. A carriage return inside it is an error.
fn split_line(bytes: &[u8]) -> Result<Option<Split<'_>>, Rejection> {
    let end = memchr(b'\n', bytes).and_then(|end| bytes.split_at_checked(end));
    let Some((line, rest)) = end else {
        return Ok(None);
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if memchr(b'\r', line).is_some() {
        return Err(Rejection::malformed(
            "a carriage return inside the request's header",
        ));
    }
    Ok(Some((line, rest.get(1..).unwrap_or_default())))
}

/// Where the empty line that ends the header's lines ends.
fn end_of_lines(lines: &[u8]) -> Option<usize> {
    let starts = std::iter::once(0).chain(memchr_iter(b'\n', lines).map(|end| end + 1));
    starts
        .into_iter()
        .find_map(|start| match lines.get(start..)? {
            [b'\n', ..] => Some(start + 1),
            [b'\r', b'\n', ..] => Some(start + 2),
            _ => None,
        })
}

/// The first line.
struct RequestLine<'a> {
    method: &'a [u8],
    target: Target<'a>,
    /// HTTP/1.0, not 1.1.
    is_old: bool,
}

impl<'a> RequestLine<'a> {
    fn understand(line: &'a [u8]) -> Result<Self, Rejection> {
        let (method, rest) = split_word(line)?;
        let (target, version) = split_word(rest)?;
        if !is_token(method) {
            return Err(NO_HTTP);
        }
        let is_old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(Rejection::new(
                    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                    "unsupported HTTP version",
                ));
            }
            _ => return Err(NO_HTTP),
        };
        if method == b"CONNECT" {
            return Err(Rejection::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "CONNECT is not supported",
            ));
        }
        let target = target::understand(method, target)?;
        Ok(Self {
            method,
            target,
            is_old,
        })
    }
}

/// Splits at the first space.
fn split_word(text: &[u8]) -> Result<Split<'_>, Rejection> {
    let space = memchr(b' ', text).ok_or(NO_HTTP)?;
    let (word, rest) = text.split_at_checked(space).ok_or(NO_HTTP)?;
    Ok((word, rest.get(1..).unwrap_or_default()))
}

/// Reads the lines and writes the header anew.
struct Builder<'a> {
    request: &'a RequestLine<'a>,
    text: BytesMut,
    lines: usize,
    hosts: usize,
    content_types: usize,
    length: Option<(&'a [u8], u64)>,
    chunked: bool,
    is_asking: bool,
    connection: Connection<'a>,
}

impl<'a> Builder<'a> {
    fn new(request: &'a RequestLine<'a>, room: usize) -> Self {
        Self {
            request,
            text: BytesMut::with_capacity(room),
            lines: 0,
            hosts: 0,
            content_types: 0,
            length: None,
            chunked: false,
            is_asking: false,
            connection: Connection::default(),
        }
    }

    fn build(mut self, lines: &'a [u8], length: usize) -> Result<Header, Rejection> {
        self.text.put_slice(self.request.method);
        self.text.put_u8(b' ');
        self.request.target.write(&mut self.text);
        let version: &[u8] = match self.request.is_old {
            true => b" HTTP/1.0\r\n",
            false => b" HTTP/1.1\r\n",
        };
        self.text.put_slice(version);
        if let Some(authority) = self.request.target.authority {
            self.put(b"Host", authority);
        }
        let start = self.text.len();
        let mut rest = lines;
        while let Some((line, after)) = split_line(rest)? {
            if line.is_empty() {
                break;
            }
            self.line(line)?;
            rest = after;
        }
        if self.connection.names_any() {
            self.take_out(start);
        }
        self.connection.write(&mut self.text);
        self.text.put_slice(b"\r\n");
        Ok(Header {
            length,
            framing: self.framing()?,
            is_asking: self.is_asking,
            text: self.text,
        })
    }

    fn put(&mut self, name: &[u8], value: &[u8]) {
        self.text.put_slice(name);
        self.text.put_slice(b": ");
        self.text.put_slice(value);
        self.text.put_slice(b"\r\n");
    }

    /// Takes the headers that `Connection` names out of the lines from `start` on.
    fn take_out(&mut self, start: usize) {
        let lines = self.text.split_off(start);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let name = line.split(|byte| *byte == b':').next();
            if !name.is_some_and(|name| self.connection.names(name)) {
                self.text.put_slice(line);
            }
        }
    }

    fn line(&mut self, line: &'a [u8]) -> Result<(), Rejection> {
        self.lines += 1;
        if self.lines > MAX_LINES {
            return Err(Rejection::TOO_LARGE);
        }
        let colon = memchr(b':', line).and_then(|colon| line.split_at_checked(colon));
        let (name, value) = match colon {
            Some((name, value)) if is_token(name) => (name, value.get(1..).unwrap_or_default()),
            // A folded line is one too: its first byte is a space.
            _ => {
                return Err(Rejection::malformed(
                    "malformed line in the request's header",
                ));
            }
        };
        let value = value.trim_ascii();
        let is_control = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
        if target::any(value, is_control) {
            return Err(Rejection::malformed(
                "a control character in the request's header",
            ));
        }
        if self.is_kept(name, value)? {
            self.put(name, value);
        }
        Ok(())
    }

    /// Looks at the headers that say how the request is read; false if the line is dropped.
    fn is_kept(&mut self, name: &[u8], value: &'a [u8]) -> Result<bool, Rejection> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => self.expect(value),
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.connection.read(value).map(|()| false)
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => self.content_type(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.encoding(value),
            _ => Ok(true),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<bool, Rejection> {
        self.hosts += 1;
        if self.hosts > 1 {
            return Err(Rejection::malformed("too many Host headers"));
        }
        if !target::is_host(value) {
            return Err(Rejection::malformed("malformed Host header"));
        }
        // The absolute form's authority is the host then.
        Ok(self.request.target.authority.is_none())
    }

    fn expect(&mut self, value: &[u8]) -> Result<bool, Rejection> {
        if value.eq_ignore_ascii_case(b"100-continue") {
            // HTTP/1.0 knows no informational answers.
            self.is_asking = !self.request.is_old;
            return Ok(self.is_asking);
        }
        if value.is_empty() {
            return Ok(false);
        }
        Err(Rejection::new(
            StatusCode::EXPECTATION_FAILED,
            "unsupported Expect header",
        ))
    }

    fn content_type(&mut self, value: &[u8]) -> Result<bool, Rejection> {
        self.content_types += 1;
        if self.content_types > 1 {
            return Err(Rejection::malformed("too many Content-Type headers"));
        }
        if !value.is_ascii() {
            return Err(Rejection::malformed(
                "a byte outside of ASCII in the Content-Type",
            ));
        }
        Ok(true)
    }

    fn content_length(&mut self, value: &'a [u8]) -> Result<bool, Rejection> {
        let bad = Rejection::malformed("bad Content-Length");
        if let Some((first, _)) = self.length {
            // The same twice is the same; it is said once.
            return if first == value { Ok(false) } else { Err(bad) };
        }
        if !value.iter().all(u8::is_ascii_digit) {
            return Err(bad);
        }
        let text = std::str::from_utf8(value).map_err(|_| bad)?;
        // Go counts in 63 bits.
        let length = text.parse::<i64>().map_err(|_| bad)?;
        self.length = Some((value, u64::try_from(length).map_err(|_| bad)?));
        Ok(true)
    }

    fn encoding(&mut self, value: &[u8]) -> Result<bool, Rejection> {
        if self.request.is_old {
            return Err(Rejection::malformed("Transfer-Encoding in HTTP/1.0"));
        }
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Rejection::new(
                StatusCode::NOT_IMPLEMENTED,
                "unsupported transfer encoding",
            ));
        }
        self.chunked = true;
        Ok(true)
    }

    fn framing(&self) -> Result<Framing, Rejection> {
        if self.hosts == 0 && !self.request.is_old {
            return Err(Rejection::malformed("missing required Host header"));
        }
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Rejection::malformed(
                "both Content-Length and Transfer-Encoding",
            )),
            (None, true) => Ok(Framing::CHUNKED),
            (Some((_, length)), false) => Ok(Framing::of_length(length)),
            (None, false) => Ok(Framing::Ended),
        }
    }
}

/// Method and target of a request that was refused, as far as they can be shown: for the log.
pub(super) fn shown(bytes: &[u8]) -> (Bytes, Bytes) {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let text = bytes.get(start.unwrap_or_default()..).unwrap_or_default();
    let line = text
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let method = words
        .next()
        .filter(|method| is_token(method) && method.len() <= 32);
    let method = method.filter(|_| words.clone().next().is_some());
    // Only a path says nothing that is secret before its question mark; what follows may be anything here.
    let path = words.next().filter(|target| target.starts_with(b"/"));
    let path = path.and_then(|path| path.split(|byte| b"?#;=&@\\".contains(byte)).next());
    let or_dash =
        |word: Option<&[u8]>| word.map_or(Bytes::from_static(b"-"), Bytes::copy_from_slice);
    (or_dash(method), or_dash(path.filter(|_| method.is_some())))
}

/// Whether the bytes are a token: a method, or the name of a header.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    const TOKEN: [bool; 256] = target::alphanumeric_or(b"!#$%&'*+-.^_`|~");
    TOKEN[usize::from(byte)]
}

/// Whether answers to this method have no body.
pub(super) fn is_head(method: &[u8]) -> bool {
    method == b"HEAD"
}

#[cfg(test)]
#[path = "header/tests.rs"]
mod tests;
