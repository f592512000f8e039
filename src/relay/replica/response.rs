//! The head of a replica's answer: what a relay wants to know of it.

use std::time::Duration;

use http::HeaderValue;
use tokio::io::AsyncRead;

use crate::http_response::{self, ResponseError, ResponseReader, number};

/// What is told before the body.
#[derive(Debug, Clone)]
pub(in crate::relay) struct Head {
    pub(in crate::relay) status: u16,
    /// `X-Influxdb-Version`.
    pub(in crate::relay) version: Option<HeaderValue>,
    /// `Content-Type`.
    pub(in crate::relay) content_type: Option<HeaderValue>,
    /// `Retry-After`, in seconds.
    pub(in crate::relay) retry_after: Option<Duration>,
}

impl Head {
    fn of(head: &http_response::Head) -> Self {
        let mut wanted = Self {
            status: head.status(),
            version: None,
            content_type: None,
            retry_after: None,
        };
        for (name, value) in head.fields() {
            if name.eq_ignore_ascii_case(b"x-influxdb-version") {
                wanted.version = HeaderValue::from_bytes(value).ok();
            } else if name.eq_ignore_ascii_case(b"content-type") {
                wanted.content_type = HeaderValue::from_bytes(value).ok();
            } else if name.eq_ignore_ascii_case(b"retry-after") {
                wanted.retry_after = number(value).map(Duration::from_secs);
            }
        }
        wanted
    }
}

/// Reads an answer up to its body.
///
/// # Errors
///
/// The connection broke, or what came is no answer; a change of protocol is none.
pub(in crate::relay) async fn begin<C: AsyncRead + Unpin>(
    connection: C,
) -> Result<(Head, ResponseReader<C>), ResponseError> {
    let mut reader = ResponseReader::new(connection);
    let head = Head::of(&reader.begin().await?);
    match head.status {
        101 => Err(ResponseError::Malformed("it changes the protocol")),
        _ => Ok((head, reader)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn head(mut bytes: &[u8]) -> Result<Head, ResponseError> {
        let begun = begin(&mut bytes).now_or_never().expect("it is all there");
        begun.map(|(head, _)| head)
    }

    #[test]
    fn what_a_relay_wants_to_know_is_found() {
        let stored = head(b"HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\nX-Influxdb-Version: 1.6.7\r\n\r\n");
        let stored = stored.expect("an answer");
        assert_eq!(stored.version, Some(HeaderValue::from_static("1.6.7")));
        assert_eq!(stored.retry_after, None);
        let json = HeaderValue::from_static("application/json");
        assert_eq!(stored.content_type, Some(json));
        let busy = head(b"HTTP/1.1 503 Busy\r\nretry-after:7\r\nContent-Length: 2\r\n\r\nno");
        let busy = busy.expect("an answer");
        assert_eq!(busy.retry_after, Some(Duration::from_secs(7)));
        let switched = head(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n");
        assert!(matches!(switched, Err(ResponseError::Malformed(_))));
    }
}
