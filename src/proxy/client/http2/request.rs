//! The header of a request of HTTP/2, as HTTP/1.1 has it.
//!
//! Nothing is judged here. What is written is read by the judge of all [headers](crate::proxy::client::header), so what two
//! readers could understand differently is refused there: an authority with a user in it, a `Host` beside another authority,
//! a method CONNECT.

use bytes::{BufMut, BytesMut};
use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::request::Parts;

use crate::proxy::client::rejection::put_header;

/// How many bytes a header has beside its lines, more or less.
const FIRST_LINE: usize = 256;

/// How many bytes a line of a header has, more or less.
const LINE: usize = 48;

/// How a body of a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// There is none.
    None,
    /// Its length is in the header.
    Length,
    /// In chunks.
    Chunks,
}

/// Writes the header of a request, which a body follows if `has_body`; returns how that must come.
pub(super) fn write(request: &Parts, has_body: bool) -> (BytesMut, Body) {
    let headers = &request.headers;
    let mut text = BytesMut::with_capacity(FIRST_LINE + headers.len() * LINE);
    text.put_slice(request.method.as_str().as_bytes());
    text.put_u8(b' ');
    let authority = request.uri.authority().map(|authority| authority.as_str());
    let target = request.uri.path_and_query().map(|target| target.as_str());
    // Only CONNECT has no path.
    text.put_slice(target.or(authority).unwrap_or_default().as_bytes());
    text.put_slice(b" HTTP/1.1\r\n");
    if let Some(authority) = authority {
        put_header(&mut text, HOST.as_str(), authority.as_bytes());
    }
    for (name, value) in headers {
        // A client may say the same twice; a host that is another one is for the judge.
        let is_said =
            name == HOST && authority.is_some_and(|one| value.as_bytes() == one.as_bytes());
        if !is_said && name != COOKIE {
            put_header(&mut text, name.as_str(), value.as_bytes());
        }
    }
    // They may come in crumbs (RFC 9113, section 8.2.3).
    let mut cookies = headers.get_all(COOKIE).iter();
    if let Some(first) = cookies.next() {
        text.put_slice(b"cookie: ");
        text.put_slice(first.as_bytes());
        for cookie in cookies {
            text.put_slice(b"; ");
            text.put_slice(cookie.as_bytes());
        }
        text.put_slice(b"\r\n");
    }
    let body = match (has_body, headers.contains_key(CONTENT_LENGTH)) {
        (false, _) => Body::None,
        (true, true) => Body::Length,
        (true, false) => Body::Chunks,
    };
    if body == Body::Chunks {
        put_header(&mut text, "transfer-encoding", b"chunked");
    }
    text.put_slice(b"\r\n");
    (text, body)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::proxy::client::framing::Framing;
    use crate::proxy::client::header;

    fn written(uri: &str, headers: &[(&str, &str)], has_body: bool) -> (String, Body) {
        let mut request = Request::builder().method("POST").uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let (text, body) = write(&parts, has_body);
        (String::from_utf8(text.to_vec()).unwrap(), body)
    }

    #[test]
    fn a_header_is_what_http_1_would_have_said() {
        let headers = [
            ("content-length", "3"),
            ("cookie", "a=1"),
            ("x-two", "1"),
            ("cookie", "b=2"),
            ("x-two", "2"),
        ];
        let (text, body) = written("https://influx:8086/write?db=a%20b", &headers, true);
        assert_eq!(
            text,
            "POST /write?db=a%20b HTTP/1.1\r\nhost: influx:8086\r\ncontent-length: 3\r\nx-two: 1\r\nx-two: 2\r\ncookie: a=1; b=2\r\n\r\n"
        );
        assert_eq!(body, Body::Length);
        let understood = header::understand(text.as_bytes()).unwrap().unwrap();
        assert_eq!(understood.framing, Framing::of_length(3));

        let (text, body) = written("/ping", &[("host", "influx")], true);
        assert_eq!(body, Body::Chunks);
        let understood = header::understand(text.as_bytes()).unwrap().unwrap();
        assert_eq!(understood.framing, Framing::CHUNKED);
        let (text, body) = written("/ping", &[("host", "influx")], false);
        assert_eq!(body, Body::None);
        let understood = header::understand(text.as_bytes()).unwrap().unwrap();
        assert_eq!(understood.framing, Framing::Ended);
    }

    #[test]
    fn what_may_be_read_in_two_ways_is_refused_by_the_judge() {
        let same = [("host", "influx")];
        let (text, _) = written("https://influx/ping", &same, false);
        assert!(header::understand(text.as_bytes()).is_ok());
        for (uri, headers) in [
            ("https://influx/ping", &[("host", "other")][..]),
            ("https://user@influx/ping", &[]),
            ("/ping", &[]),
            ("/ping", &[("host", "influx"), ("host", "influx")]),
            ("/ping", &[("host", "influx"), ("content-length", "+3")]),
            ("/%zz", &[("host", "influx")]),
        ] {
            let (text, _) = written(uri, headers, false);
            let understood = header::understand(text.as_bytes());
            assert_eq!(understood.unwrap_err().status, 400, "{text}");
        }
    }
}
