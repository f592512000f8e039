//! An answer as it comes on a connection, read more patiently than a strict HTTP client would.
//!
//! InfluxDB repeats an error's text in the header `X-Influxdb-Error`, and error texts quote lines and names that clients
//! chose, control bytes included. A strict parser refuses such an answer. So only what is needed is looked at: the status line, the
//! few headers that say where the body ends, and the body by its framing (RFC 9112, section 6), in pieces, because it may have any
//! length. Every other line of the head is passed on as it is.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest head that is read, and longest line of a chunk's length or trailer.
const MAX_HEAD: usize = 64 * 1024;

/// Heads before the one that counts, with a status below 200. InfluxDB sends one, to `Expect`, which haflux does not send.
const MAX_INFORMATIONAL: usize = 16;

/// Lines behind the last chunk.
const MAX_TRAILERS: usize = 256;

/// Bytes of the first read: most answers are shorter.
const FIRST: usize = 4 * 1024;

/// Bytes that are read at once of longer ones.
const PIECE: usize = 64 * 1024;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResponseError {
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

/// What is told before the body.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// Without the empty line behind it.
    text: Bytes,
    status: u16,
    rest: Rest,
    keep_alive: bool,
}

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// So many bytes.
    Length(u64),
    /// A line with the length of the next chunk.
    ChunkLine,
    /// So many bytes of a chunk, and the end of its line.
    Chunk(u64),
    /// Everything until the connection is closed.
    UntilClose,
    Nothing,
}

/// A line of a head: a name, and a value without blanks around it.
pub(crate) type Field<'a> = (&'a [u8], &'a [u8]);

impl Head {
    /// Its status, from 100 on.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Its lines; those without a name are passed over.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        fields(&self.text)
    }

    /// Whether its body comes in chunks.
    pub(crate) fn is_chunked(&self) -> bool {
        self.rest == Rest::ChunkLine
    }

    /// How long its body is said to be; nothing if the body comes in chunks, ends with the connection, or is none by the status.
    pub(crate) fn length(&self) -> Option<u64> {
        match self.rest {
            Rest::Length(length) => Some(length),
            _ => None,
        }
    }

    /// Whether nothing comes behind it, by its status.
    pub(crate) fn is_bodiless(&self) -> bool {
        self.rest == Rest::Nothing
    }

    /// A part of it, which keeps all of it in memory.
    pub(crate) fn share(&self, part: &[u8]) -> Bytes {
        self.text.slice_ref(part)
    }

    /// The head that `text` is, without the empty line behind it.
    ///
    /// # Errors
    ///
    /// It is none.
    pub(crate) fn parse(text: Bytes) -> Result<Self, ResponseError> {
        let status_line = text.get(..12).unwrap_or_default();
        let version = status_line.get(..9).unwrap_or_default();
        if !matches!(version, b"HTTP/1.1 " | b"HTTP/1.0 ") {
            return Err(ResponseError::Malformed("it does not begin with HTTP/1"));
        }
        let mut keep_alive = version == b"HTTP/1.1 ";
        let status = status_line
            .get(9..12)
            .and_then(number)
            .and_then(|status| u16::try_from(status).ok());
        let status = status
            .filter(|status| *status >= 100)
            .ok_or(ResponseError::Malformed("it has no status"))?;
        let (mut length, mut encoding) = (None, TransferEncoding::default());
        for (name, value) in fields(&text) {
            if name.eq_ignore_ascii_case(b"content-length") {
                let said =
                    number(value).ok_or(ResponseError::Malformed("its length is no number"))?;
                if length.is_some_and(|before| before != said) {
                    return Err(ResponseError::Malformed("it has two lengths"));
                }
                length = Some(said);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                encoding.note(value);
            } else if name.eq_ignore_ascii_case(b"connection") {
                keep_alive = value.eq_ignore_ascii_case(b"keep-alive")
                    || (keep_alive && !value.eq_ignore_ascii_case(b"close"));
            }
        }
        let rest = match (status, length) {
            (100..=199 | 204 | 304, _) => Rest::Nothing,
            _ if encoding.is_chunked()? => Rest::ChunkLine,
            (_, Some(length)) => Rest::Length(length),
            (_, None) => Rest::UntilClose,
        };
        Ok(Self {
            text,
            status,
            rest,
            keep_alive,
        })
    }
}

/// How a body is encoded for its way alone, by the lines `Transfer-Encoding` of its head.
#[derive(Debug, Default)]
pub(crate) struct TransferEncoding {
    lines: usize,
    chunked: bool,
}

impl TransferEncoding {
    /// A line says this.
    pub(crate) fn note(&mut self, value: &[u8]) {
        self.lines += 1;
        self.chunked = value.eq_ignore_ascii_case(b"chunked");
    }

    /// Whether it comes in chunks.
    ///
    /// # Errors
    ///
    /// It comes in another way, or in several: the bytes on the way are not those of the body.
    pub(crate) fn is_chunked(&self) -> Result<bool, ResponseError> {
        match (self.lines, self.chunked) {
            (0, _) => Ok(false),
            (1, true) => Ok(true),
            _ => Err(ResponseError::Malformed(
                "its transfer encoding is another than chunked",
            )),
        }
    }
}

/// Where a head ends, and where what follows its empty line begins. Lines may end without a carriage return, as those of chunks may.
fn end_of_head(bytes: &[u8]) -> Option<(usize, usize)> {
    memchr::memchr_iter(b'\n', bytes).find_map(|end| {
        let next = end + 1;
        match bytes.get(next..)? {
            [b'\n', ..] => Some((end, next + 1)),
            [b'\r', b'\n', ..] => Some((end, next + 2)),
            _ => None,
        }
    })
}

fn fields(text: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let lines = text.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        (!name.is_empty()).then_some((name, value))
    })
}

/// A number in decimal digits and nothing else.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct ResponseReader<C> {
    connection: C,
    buffer: BytesMut,
    /// Bytes that the next read takes.
    room: usize,
    rest: Rest,
    keep_alive: bool,
}

impl<C: AsyncRead + Unpin> ResponseReader<C> {
    /// An answer of which nothing has come.
    pub(crate) fn new(connection: C) -> Self {
        Self {
            connection,
            buffer: BytesMut::new(),
            room: FIRST,
            rest: Rest::Nothing,
            keep_alive: false,
        }
    }

    /// Reads up to the body. Heads with a status below 200 are passed over, but for 101, behind which is no body.
    ///
    /// # Errors
    ///
    /// The connection broke, or what came is no answer.
    pub(crate) async fn begin(&mut self) -> Result<Head, ResponseError> {
        for _ in 0..=MAX_INFORMATIONAL {
            let head = self.head().await?;
            if head.status >= 200 || head.status == 101 {
                self.rest = head.rest;
                self.keep_alive = head.keep_alive && head.rest != Rest::UntilClose;
                return Ok(head);
            }
        }
        Err(ResponseError::Malformed("it does not come to its status"))
    }

    /// The answer has no body, whatever its head says: it is one to HEAD.
    pub(crate) fn expect_no_body(&mut self) {
        self.rest = Rest::Nothing;
    }

    /// The next piece of the body, never empty; `None` behind the last one.
    ///
    /// # Errors
    ///
    /// The connection broke, or the body is malformed.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, ResponseError> {
        loop {
            match self.rest {
                Rest::Nothing | Rest::Length(0) => {
                    self.rest = Rest::Nothing;
                    return Ok(None);
                }
                Rest::ChunkLine => self.chunk_line().await?,
                Rest::Chunk(0) => {
                    if !self.line().await?.is_empty() {
                        return Err(ResponseError::Malformed("a chunk is longer than it says"));
                    }
                    self.rest = Rest::ChunkLine;
                }
                Rest::UntilClose => {
                    if self.buffer.is_empty() {
                        match self.more().await {
                            Ok(()) => {}
                            Err(ResponseError::Closed(_)) => {
                                self.rest = Rest::Nothing;
                                continue;
                            }
                            Err(error) => return Err(error),
                        }
                    }
                    return Ok(Some(self.buffer.split().freeze()));
                }
                Rest::Length(left) => {
                    let piece = self.take(left).await?;
                    self.rest = Rest::Length(left - piece.len() as u64);
                    return Ok(Some(piece));
                }
                Rest::Chunk(left) => {
                    let piece = self.take(left).await?;
                    self.rest = Rest::Chunk(left - piece.len() as u64);
                    return Ok(Some(piece));
                }
            }
        }
    }

    /// Whether the body has been read to its end.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.rest, Rest::Nothing | Rest::Length(0))
    }

    /// Whether the answer is over and the connection may carry another request.
    pub(crate) fn is_reusable(&self) -> bool {
        self.keep_alive && self.is_over() && self.buffer.is_empty()
    }

    /// The connection, and what came behind what was read.
    pub(crate) fn into_parts(self) -> (C, BytesMut) {
        (self.connection, self.buffer)
    }

    async fn more(&mut self) -> Result<(), ResponseError> {
        self.buffer.reserve(self.room);
        self.room = PIECE;
        match self.connection.read_buf(&mut self.buffer).await? {
            0 => Err(ResponseError::Closed(self.buffer.len())),
            _ => Ok(()),
        }
    }

    async fn head(&mut self) -> Result<Head, ResponseError> {
        loop {
            if let Some((end, next)) = end_of_head(&self.buffer) {
                let mut head = self.buffer.split_to(next);
                head.truncate(end);
                return Head::parse(head.freeze());
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(ResponseError::Malformed("its head has no end"));
            }
            self.more().await?;
        }
    }

    async fn chunk_line(&mut self) -> Result<(), ResponseError> {
        let line = self.line().await?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let length = std::str::from_utf8(digits.trim_ascii())
            .ok()
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let length = length.ok_or(ResponseError::Malformed("a chunk has no length"))?;
        if length > 0 {
            self.rest = Rest::Chunk(length);
            return Ok(());
        }
        for _ in 0..MAX_TRAILERS {
            if self.line().await?.is_empty() {
                self.rest = Rest::Nothing;
                return Ok(());
            }
        }
        Err(ResponseError::Malformed("its trailers have no end"))
    }

    /// Some of the next `length` bytes, at least one.
    async fn take(&mut self, length: u64) -> Result<Bytes, ResponseError> {
        if self.buffer.is_empty() {
            self.more().await?;
        }
        let here = self.buffer.len();
        let length = usize::try_from(length).map_or(here, |length| length.min(here));
        Ok(self.buffer.split_to(length).freeze())
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<Bytes, ResponseError> {
        loop {
            if let Some(end) = memchr(b'\n', &self.buffer) {
                let mut line = self.buffer.split_to(end).freeze();
                self.buffer.advance(1);
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(ResponseError::Malformed("a line has no end"));
            }
            self.more().await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug)]
    struct Response {
        status: u16,
        body: Vec<u8>,
        reusable: bool,
    }

    fn read_all(mut bytes: &[u8]) -> Result<Response, ResponseError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut reader = ResponseReader::new(&mut bytes);
            let head = reader.begin().await?;
            let mut body = Vec::new();
            while let Some(piece) = reader.piece().await? {
                assert!(!piece.is_empty());
                body.extend_from_slice(&piece);
            }
            Ok(Response {
                status: head.status(),
                body,
                reusable: reader.is_reusable(),
            })
        })
    }

    #[test]
    fn influxdbs_answers_are_read() {
        let stored = read_all(b"HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\nX-Influxdb-Version: 1.6.7\r\n\r\n").expect("an answer");
        assert_eq!(
            (stored.status, stored.body.len(), stored.reusable),
            (204, 0, true)
        );
        let busy = read_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno").expect("an answer");
        assert_eq!(
            (busy.status, busy.body.as_slice(), busy.reusable),
            (503, &b"no"[..], false)
        );
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
        let none = read_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nabcde");
        let none = none.expect("an answer");
        assert_eq!((none.body.len(), none.reusable), (0, false));
    }

    #[test]
    fn a_line_may_end_without_a_carriage_return() {
        for bytes in [
            &b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc"[..],
            b"HTTP/1.1 200 OK\nContent-Length: 3\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\nabc",
            b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n",
        ] {
            let read = read_all(bytes).expect("an answer");
            assert_eq!((read.body.as_slice(), read.reusable), (&b"abc"[..], true));
        }
        let bodiless = read_all(b"HTTP/1.1 204 No Content\n\n").expect("an answer");
        assert_eq!((bodiless.status, bodiless.reusable), (204, true));
    }

    #[test]
    fn a_body_whose_encoding_is_unknown_is_not_passed_for_another() {
        for encoding in [
            "gzip, chunked",
            "gzip",
            "chunked, chunked",
            "chunked\r\nTransfer-Encoding: chunked",
            "gzip\r\nTransfer-Encoding: chunked",
            "",
        ] {
            let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {encoding}\r\n");
            for length in ["", "Content-Length: 3\r\n"] {
                let read = read_all(format!("{head}{length}\r\n3\r\nabc\r\n0\r\n\r\n").as_bytes());
                assert!(
                    matches!(read, Err(ResponseError::Malformed(_))),
                    "{encoding}: {read:?}"
                );
            }
        }
        let bodiless = read_all(b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: gzip\r\n\r\n");
        assert_eq!(bodiless.expect("an answer").status, 304);
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
        let floods = [
            b"HTTP/1.1 102 Wait\r\n\r\n".repeat(1000),
            [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; 100_000]].concat(),
            [
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".as_slice(),
                &b"a: b\r\n".repeat(1000),
            ]
            .concat(),
        ];
        for flood in floods {
            let read = read_all(&flood);
            assert!(matches!(read, Err(ResponseError::Malformed(_))), "{read:?}");
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
