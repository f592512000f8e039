//! A replica's answer to a write, read more patiently than a strict HTTP client would.
//!
//! InfluxDB repeats an error's text in the header `X-Influxdb-Error`, and error texts quote lines and names that clients
//! chose, control bytes included. A strict parser refuses such an answer, and a refusal that cannot be read would look like a
//! lost connection: the record would be sent again for ever. So only what is needed is looked at: the status line, the few
//! headers below, and the body by its framing (RFC 9112, section 6). Everything else passes unread.

use std::time::Duration;

use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest head that is read.
const MAX_HEAD: usize = 64 * 1024;

/// Most bytes of a body that are kept; InfluxDB's answers to writes are far smaller.
pub(super) const MAX_BODY: usize = 256 * 1024;

/// What was read.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    /// `X-Influxdb-Version`.
    pub(super) version: Option<HeaderValue>,
    /// `Content-Type`.
    pub(super) content_type: Option<HeaderValue>,
    /// `Retry-After`, in seconds.
    pub(super) retry_after: Option<Duration>,
    /// The body, as much of it as was wanted.
    pub(super) body: Vec<u8>,
    /// The body was longer.
    pub(super) cut: bool,
    /// Whether the connection may carry another request.
    pub(super) reusable: bool,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResponseError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It was closed before the answer was whole.
    #[error("the connection was closed inside the answer, after {0} bytes")]
    Closed(usize),
    /// What came is no HTTP answer.
    #[error("what came is no HTTP answer: {0}")]
    Malformed(&'static str),
}

/// Reads one answer, and keeps at most `max_body` bytes of its body; those with a status below 200 are passed over.
pub(super) async fn read<R: AsyncRead + Unpin>(
    connection: &mut R,
    max_body: usize,
) -> Result<Response, ResponseError> {
    let mut input = Input {
        connection,
        buffer: Vec::with_capacity(1024),
        start: 0,
        max_body,
        cut: false,
    };
    loop {
        let head = input.head().await?;
        if head.status >= 200 {
            return input.body(head).await;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

#[derive(Debug)]
struct Head {
    status: u16,
    version: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    retry_after: Option<Duration>,
    framing: Framing,
    keep_alive: bool,
}

struct Input<'a, R> {
    connection: &'a mut R,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are done with.
    start: usize,
    max_body: usize,
    cut: bool,
}

impl<R: AsyncRead + Unpin> Input<'_, R> {
    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    async fn more(&mut self) -> Result<(), ResponseError> {
        if self.start > MAX_HEAD {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        match self.connection.read_buf(&mut self.buffer).await? {
            0 => Err(ResponseError::Closed(self.unread().len())),
            _ => Ok(()),
        }
    }

    async fn head(&mut self) -> Result<Head, ResponseError> {
        loop {
            if let Some(end) = memchr::memmem::find(self.unread(), b"\r\n\r\n") {
                let head = parse_head(self.unread().get(..end).unwrap_or_default());
                self.start += end + 4;
                return head;
            }
            if self.unread().len() > MAX_HEAD {
                return Err(ResponseError::Malformed("its head has no end"));
            }
            self.more().await?;
        }
    }

    async fn body(mut self, head: Head) -> Result<Response, ResponseError> {
        let mut body = Vec::new();
        match head.framing {
            Framing::Length(length) => self.take(length, &mut body).await?,
            Framing::Chunked => loop {
                let line = self.line().await?;
                let digits = line
                    .split(|byte| *byte == b';')
                    .next()
                    .unwrap_or_default()
                    .trim_ascii();
                let length = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|digits| usize::from_str_radix(digits, 16).ok());
                let length = length.ok_or(ResponseError::Malformed("a chunk has no length"))?;
                if length == 0 {
                    while !self.line().await?.is_empty() {}
                    break;
                }
                self.take(length, &mut body).await?;
                if !self.line().await?.is_empty() {
                    return Err(ResponseError::Malformed("a chunk is longer than it says"));
                }
            },
            Framing::UntilClose => loop {
                let all = self.unread().len();
                self.take(all, &mut body).await?;
                match self.more().await {
                    Ok(()) => {}
                    Err(ResponseError::Closed(_)) => break,
                    Err(error) => return Err(error),
                }
            },
        }
        Ok(Response {
            status: head.status,
            version: head.version,
            content_type: head.content_type,
            retry_after: head.retry_after,
            body,
            cut: self.cut,
            reusable: head.keep_alive
                && head.framing != Framing::UntilClose
                && self.unread().is_empty(),
        })
    }

    /// Takes `length` bytes; what is beyond the bound of a body is read and dropped.
    async fn take(&mut self, mut length: usize, body: &mut Vec<u8>) -> Result<(), ResponseError> {
        while length > 0 {
            if self.unread().is_empty() {
                self.more().await?;
            }
            let piece = self.unread();
            let piece = piece.get(..piece.len().min(length)).unwrap_or_default();
            let room = self.max_body.saturating_sub(body.len());
            body.extend_from_slice(piece.get(..piece.len().min(room)).unwrap_or_default());
            let taken = piece.len();
            self.cut |= taken > room;
            self.start += taken;
            length -= taken;
        }
        Ok(())
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<Vec<u8>, ResponseError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', self.unread()) {
                let line = self
                    .unread()
                    .get(..end)
                    .unwrap_or_default()
                    .trim_ascii_end()
                    .to_vec();
                self.start += end + 1;
                return Ok(line);
            }
            if self.unread().len() > MAX_HEAD {
                return Err(ResponseError::Malformed("a line has no end"));
            }
            self.more().await?;
        }
    }
}

fn parse_head(head: &[u8]) -> Result<Head, ResponseError> {
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let status_line = lines.next().unwrap_or_default();
    let version = status_line.get(..9).unwrap_or_default();
    if !matches!(version, b"HTTP/1.1 " | b"HTTP/1.0 ") {
        return Err(ResponseError::Malformed("it does not begin with HTTP/1"));
    }
    let status = status_line
        .get(9..12)
        .and_then(number)
        .and_then(|status| u16::try_from(status).ok());
    let status = status
        .filter(|status| *status >= 100)
        .ok_or(ResponseError::Malformed("it has no status"))?;
    let mut parsed = Head {
        status,
        version: None,
        content_type: None,
        retry_after: None,
        framing: Framing::UntilClose,
        keep_alive: version == b"HTTP/1.1 ",
    };
    let (mut length, mut chunked) = (None, false);
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            length =
                Some(number(value).ok_or(ResponseError::Malformed("its length is no number"))?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"connection") {
            parsed.keep_alive = value.eq_ignore_ascii_case(b"keep-alive")
                || (parsed.keep_alive && !value.eq_ignore_ascii_case(b"close"));
        } else if name.eq_ignore_ascii_case(b"x-influxdb-version") {
            parsed.version = HeaderValue::from_bytes(value).ok();
        } else if name.eq_ignore_ascii_case(b"content-type") {
            parsed.content_type = HeaderValue::from_bytes(value).ok();
        } else if name.eq_ignore_ascii_case(b"retry-after") {
            parsed.retry_after = number(value).map(|seconds| Duration::from_secs(seconds as u64));
        }
    }
    parsed.framing = match (status, chunked, length) {
        (204 | 304, _, _) => Framing::Length(0),
        (_, true, _) => Framing::Chunked,
        (_, false, Some(length)) => Framing::Length(length),
        (_, false, None) => Framing::UntilClose,
    };
    Ok(parsed)
}

fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(bytes: &[u8]) -> Result<Response, ResponseError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(read(&mut &*bytes, MAX_BODY))
    }

    #[test]
    fn influxdbs_answers_are_read() {
        let stored = read_all(b"HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\nX-Influxdb-Version: 1.6.7\r\n\r\n").expect("an answer");
        assert_eq!(
            (stored.status, stored.body.len(), stored.reusable),
            (204, 0, true)
        );
        assert_eq!(stored.version, Some(HeaderValue::from_static("1.6.7")));
        let busy = read_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno").expect("an answer");
        assert_eq!(
            (busy.status, busy.body.as_slice(), busy.reusable),
            (503, &b"no"[..], false)
        );
        assert_eq!(busy.retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn control_bytes_in_a_header_do_not_hide_the_answer() {
        let answer = read_all(b"HTTP/1.1 400 Bad Request\r\nX-Influxdb-Error: unable to parse 'a\x00\x01\x7f\xff b'\r\nContent-Length: 3\r\n\r\nbad").expect("an answer");
        assert_eq!(
            (answer.status, answer.body.as_slice(), answer.reusable),
            (400, &b"bad"[..], true)
        );
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        let chunked = read_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n").expect("an answer");
        assert_eq!(
            (chunked.body.as_slice(), chunked.reusable),
            (&b"abcde"[..], true)
        );
        let closed = read_all(b"HTTP/1.0 200 OK\r\n\r\nuntil the end").expect("an answer");
        assert_eq!(
            (closed.body.as_slice(), closed.reusable),
            (&b"until the end"[..], false)
        );
        let more = read_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc").expect("an answer");
        assert_eq!((more.body.as_slice(), more.reusable), (&b"a"[..], false));
    }

    #[test]
    fn half_an_answer_is_none() {
        for bytes in [
            &b"HTTP/1.1 204"[..],
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            assert!(
                matches!(read_all(bytes), Err(ResponseError::Closed(_))),
                "{bytes:?}"
            );
        }
        assert!(matches!(
            read_all(b"SSH-2.0-x\r\n\r\n"),
            Err(ResponseError::Malformed(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(head in proptest::collection::vec(any::<u8>(), 0..300), body in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_all(&[b"HTTP/1.1 200 OK\r\n".as_slice(), &head, b"\r\n\r\n", &body].concat());
            let _ = read_all(&head);
        }
    }
}
