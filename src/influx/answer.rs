//! Answers that haflux gives in InfluxDB's place, shaped as InfluxDB shapes them (`httpError`, `response_writer.go`).
//!
//! Left to who sends them: `X-Influxdb-Version`, `X-Influxdb-Build`, `Request-Id`, `X-Request-Id`, `Date`, and the lengths.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::format::Format;

const X_INFLUXDB_ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");

/// How much of an error's text the header `X-Influxdb-Error` repeats, in bytes.
const ERROR_HEADER_LENGTH: usize = 1024;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, besides those that every answer has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body, complete.
    pub body: Bytes,
}

impl Answer {
    /// The answer to a write that was stored: 204. It has a `Content-Type` all the same.
    pub fn stored(accept: Option<&HeaderValue>) -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            headers: vec![content_type(Format::accepted(accept))],
            body: Bytes::new(),
        }
    }

    /// What Go's `http.Error` sends.
    pub(super) fn plain_text(status: StatusCode, text: &'static str) -> Self {
        let headers = vec![
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            ),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
        ];
        Self {
            status,
            headers,
            body: Bytes::from_static(text.as_bytes()),
        }
    }
}

pub(super) fn content_type(format: Format) -> (HeaderName, HeaderValue) {
    (
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    )
}

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {message}")]
pub struct Refusal {
    /// The answer's status.
    pub status: StatusCode,
    /// What the client is told.
    pub message: String,
    /// When the client should try again, in seconds.
    pub retry_after: Option<u32>,
}

impl Refusal {
    /// A refusal with a status and a text, for instance those of a replica's answer.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after: None,
        }
    }

    /// 400, the status of most of InfluxDB's refusals.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 413, as InfluxDB words it: the body is over a limit.
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
    }

    /// 503: nothing was done, and a later try may succeed.
    pub fn unavailable(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let retry_after = Some(retry_after_seconds);
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: message.into(),
            retry_after,
        }
    }

    /// 504: it is not known in time whether it was done, or it was done by too few.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, message)
    }

    /// The answer, in the form that the client accepts; `pretty` is the parameter of that name.
    pub fn answer(&self, accept: Option<&HeaderValue>, pretty: bool) -> Answer {
        let format = Format::accepted(accept);
        let mut headers = vec![content_type(format)];
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.push((
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Basic realm=\"InfluxDB\""),
                ));
            }
            StatusCode::SERVICE_UNAVAILABLE => {}
            _ => headers.push((X_INFLUXDB_ERROR, self.error_header())),
        }
        if let Some(seconds) = self.retry_after {
            headers.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        Answer {
            status: self.status,
            headers,
            body: format.error(&self.message, pretty).into(),
        }
    }

    /// The text's first bytes on one line; what no header may hold becomes a space.
    fn error_header(&self) -> HeaderValue {
        let bytes = self.message.bytes().take(ERROR_HEADER_LENGTH);
        let line: Vec<u8> = bytes
            .map(|byte| {
                if byte.is_ascii_control() && byte != b'\t' {
                    b' '
                } else {
                    byte
                }
            })
            .collect();
        HeaderValue::from_bytes(line.trim_ascii()).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value<'answer>(answer: &'answer Answer, name: &str) -> Option<&'answer [u8]> {
        answer
            .headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_bytes())
    }

    #[test]
    fn an_error_looks_like_influxdbs() {
        let answer = Refusal::bad_request("unable to parse 'a\nb': \"<x>\"").answer(None, false);
        assert_eq!(answer.status, 400);
        assert_eq!(
            value(&answer, "content-type"),
            Some(&b"application/json"[..])
        );
        assert_eq!(
            value(&answer, "x-influxdb-error"),
            Some(&b"unable to parse 'a b': \"<x>\""[..])
        );
        assert_eq!(
            answer.body,
            &b"{\"error\":\"unable to parse 'a\\nb': \\\"\\u003cx\\u003e\\\"\"}\n"[..]
        );
    }

    #[test]
    fn the_error_header_is_cut_on_bytes() {
        let answer = Refusal::bad_request("é".repeat(600)).answer(None, false);
        assert_eq!(
            value(&answer, "x-influxdb-error").map(<[u8]>::len),
            Some(1024)
        );
        let answer = Refusal::bad_request("é\u{0}x ".repeat(300)).answer(None, false);
        assert!(
            value(&answer, "x-influxdb-error")
                .is_some_and(|value| value.starts_with("é x é".as_bytes()))
        );
    }

    #[test]
    fn some_statuses_have_other_headers() {
        let answer =
            Refusal::new(StatusCode::UNAUTHORIZED, "authorization failed").answer(None, false);
        assert_eq!(
            value(&answer, "www-authenticate"),
            Some(&b"Basic realm=\"InfluxDB\""[..])
        );
        assert_eq!(value(&answer, "x-influxdb-error"), None);
        let answer = Refusal::unavailable("no replica", 5).answer(None, true);
        assert_eq!(value(&answer, "retry-after"), Some(&b"5"[..]));
        assert_eq!(value(&answer, "x-influxdb-error"), None);
        assert_eq!(answer.body, &b"{\n    \"error\": \"no replica\"\n}\n"[..]);
        assert_eq!(Refusal::timed_out("x").status, 504);
        assert_eq!(
            Refusal::too_large().answer(None, false).body,
            &b"{\"error\":\"Request Entity Too Large\"}\n"[..]
        );
    }

    #[test]
    fn a_stored_write_names_its_content_type() {
        let accept = HeaderValue::from_static("application/x-msgpack");
        let answer = Answer::stored(Some(&accept));
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
        assert_eq!(
            value(&answer, "content-type"),
            Some(&b"application/x-msgpack"[..])
        );
    }

    proptest! {
        #[test]
        fn json_errors_are_json(message in any::<String>(), pretty: bool) {
            prop_assume!(!message.is_empty());
            let answer = Refusal::bad_request(message.clone()).answer(None, pretty);
            let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
            prop_assert_eq!(json["error"].as_str(), Some(message.as_str()));
        }
    }
}
