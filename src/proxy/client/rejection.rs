//! Why a request goes no further than the client's connection, and the answer to it.

use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use pingora::protocols::http::date::get_cached_date;

use crate::influx::Refusal;

/// A request that is refused before anything is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Rejection {
    /// The answer's status.
    pub(super) status: StatusCode,
    /// What the client is told.
    pub(super) reason: &'static str,
}

impl Rejection {
    /// A rejection with this status.
    pub(super) const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }

    /// 400: the request is no HTTP, or two readers of it may understand two things.
    pub(super) const fn malformed(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// 431: over `max_header_size`.
    pub(super) const TOO_LARGE: Self = Self::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "the request's header is too large",
    );

    /// 408: over `timeout.http_request`.
    pub(super) const TOO_SLOW: Self = Self::new(
        StatusCode::REQUEST_TIMEOUT,
        "the request's header did not come in time",
    );

    /// The whole answer as it is sent: InfluxDB's error, after which the connection ends. `bare` leaves the body out, for HEAD.
    pub(super) fn answer(self, bare: bool) -> Bytes {
        let answer = Refusal::new(self.status, self.reason).answer(None, false);
        let mut text = BytesMut::with_capacity(512);
        text.put_slice(b"HTTP/1.1 ");
        text.put_slice(self.status.as_str().as_bytes());
        text.put_u8(b' ');
        text.put_slice(
            self.status
                .canonical_reason()
                .unwrap_or_default()
                .as_bytes(),
        );
        text.put_slice(b"\r\n");
        for (name, value) in &answer.headers {
            put_header(&mut text, name.as_str(), value.as_bytes());
        }
        put_header(
            &mut text,
            CONTENT_LENGTH.as_str(),
            answer.body.len().to_string().as_bytes(),
        );
        put_header(&mut text, DATE.as_str(), get_cached_date().as_bytes());
        put_header(&mut text, CONNECTION.as_str(), b"close");
        text.put_slice(b"\r\n");
        if !bare {
            text.put_slice(&answer.body);
        }
        text.freeze()
    }
}

/// Appends a header line.
pub(super) fn put_header(text: &mut BytesMut, name: &str, value: &[u8]) {
    text.put_slice(name.as_bytes());
    text.put_slice(b": ");
    text.put_slice(value);
    text.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_influxdbs_error_and_the_last() {
        let answer = Rejection::malformed("no").answer(false);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
        assert!(text.contains("x-influxdb-error: no\r\n"), "{text}");
        assert!(text.contains("connection: close\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n{\"error\":\"no\"}\n"), "{text}");
        let bare = Rejection::TOO_LARGE.answer(true);
        assert!(bare.ends_with(b"\r\n\r\n"));
    }
}
