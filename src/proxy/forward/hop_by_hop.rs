//! Headers that speak of one connection only and must not be passed on (RFC 9110, section 7.6.1).

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use pingora::http::{RequestHeader, ResponseHeader};

const ALWAYS: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes them from a request.
pub(crate) fn strip_request(request: &mut RequestHeader) {
    for name in named(&request.headers) {
        request.remove_header(&name);
    }
    for name in &ALWAYS {
        request.remove_header(name);
    }
}

/// Removes them from an answer.
pub(crate) fn strip_response(response: &mut ResponseHeader) {
    for name in named(&response.headers) {
        response.remove_header(&name);
    }
    for name in &ALWAYS {
        response.remove_header(name);
    }
}

/// The headers that `Connection` names, but for those that say whose message this is and where it ends.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .filter(|name| headers.contains_key(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_of_the_connection_goes() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in [
            ("Host", "x"),
            ("Connection", "close, X-Mine, Host"),
            ("Connection", "upgrade"),
            ("X-Mine", "1"),
            ("X-Other", "2"),
            ("Upgrade", "websocket"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "trailers"),
            ("Transfer-Encoding", "chunked"),
        ] {
            request.append_header(name, value).unwrap();
        }
        strip_request(&mut request);
        let left: Vec<_> = request.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["host", "x-other"]);
    }
}
