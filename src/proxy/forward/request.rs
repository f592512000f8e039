//! A request as it goes to a server: bytes, written from the client's header once for each server that is tried.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Method};
use pingora::http::{HeaderNameVariant, RequestHeader};

use super::hop_by_hop;
use crate::proxy::session::forwarded_for::{self, ForWhom};

/// A body of up to this size leaves in one piece with its header.
const MOST_JOINED: usize = 16 << 10;

/// A request for a server.
#[derive(Debug)]
pub(in crate::proxy) struct Request {
    /// The header, and the body if it is small.
    head: BytesMut,
    /// The body if it is large.
    rest: Bytes,
    is_head: bool,
    asks_for_upgrade: bool,
}

impl Request {
    /// What goes to the server at `address` for a client's request with this header and body. `authorization` is in the place of the
    /// client's, `for_whom` names the client, and `upgrade` a protocol to change to.
    pub(in crate::proxy) fn new(
        header: &RequestHeader,
        body: &Bytes,
        authorization: Option<&HeaderValue>,
        for_whom: Option<ForWhom<'_>>,
        upgrade: Option<&HeaderValue>,
        address: SocketAddr,
    ) -> pingora::Result<Self> {
        let joined = if body.len() <= MOST_JOINED {
            body.len()
        } else {
            0
        };
        let mut head = BytesMut::with_capacity(512 + header.raw_path().len() + joined);
        head.put_slice(header.method.as_str().as_bytes());
        head.put_u8(b' ');
        head.put_slice(header.raw_path());
        head.put_slice(b" HTTP/1.1\r\n");
        let mut put = |name: &[u8], value: &[u8]| {
            head.put_slice(name);
            head.put_slice(b": ");
            head.put_slice(value);
            head.put_slice(b"\r\n");
        };
        let is_ours = |name: &[u8]| {
            hop_by_hop::is_always(name)
                || name.eq_ignore_ascii_case(b"expect")
                || name.eq_ignore_ascii_case(b"content-length")
                || (authorization.is_some() && name.eq_ignore_ascii_case(b"authorization"))
                || for_whom.is_some_and(|whom| whom.replaces(name))
        };
        header.map(|name, value| {
            let name = match &name {
                HeaderNameVariant::Case(name) => name.as_slice(),
                HeaderNameVariant::Titled(name) => name.as_bytes(),
            };
            if !is_ours(name) {
                put(name, value.as_bytes());
            }
            Ok(())
        })?;
        let headers = &header.headers;
        if !headers.contains_key(HOST) {
            put(b"Host", address.to_string().as_bytes());
        }
        if !body.is_empty() || headers.contains_key(CONTENT_LENGTH) || header.method == Method::POST
        {
            put(b"Content-Length", body.len().to_string().as_bytes());
        }
        if let Some(authorization) = authorization {
            put(b"Authorization", authorization.as_bytes());
        }
        if let Some(whom) = for_whom {
            put(forwarded_for::FOR.as_bytes(), &whom.chain(headers));
            if !whom.keeps_proto(headers) {
                put(forwarded_for::PROTO.as_bytes(), whom.scheme.as_bytes());
            }
        }
        if let Some(protocol) = upgrade {
            put(b"Connection", b"Upgrade");
            put(b"Upgrade", protocol.as_bytes());
        }
        head.put_slice(b"\r\n");
        let rest = if joined > 0 {
            head.put_slice(body);
            Bytes::new()
        } else {
            body.clone()
        };
        Ok(Self {
            head,
            rest,
            is_head: header.method == Method::HEAD,
            asks_for_upgrade: upgrade.is_some(),
        })
    }

    /// The header, and the body if it is small.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The body if it is large.
    pub(super) fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Whether the answer has no body, whatever its header says.
    pub(super) fn is_head(&self) -> bool {
        self.is_head
    }

    /// Whether the answer may change the protocol.
    pub(super) fn asks_for_upgrade(&self) -> bool {
        self.asks_for_upgrade
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(request: &Request) -> String {
        String::from_utf8([request.head(), request.rest()].concat()).unwrap()
    }

    fn header(method: &str, fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut header = RequestHeader::build(method, b"/query?q=a%20b", None).unwrap();
        for (name, value) in fields {
            header.append_header(*name, *value).unwrap();
        }
        header
    }

    const ADDRESS: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8086);

    #[test]
    fn what_is_the_clients_goes_on_and_what_is_the_connections_does_not() {
        let header = header(
            "GET",
            &[
                ("hOST", "x"),
                ("Connection", "close, X-Set"),
                ("X-Set", "1"),
                ("X-Other", "2"),
                ("Keep-Alive", "timeout=5"),
                ("Expect", "100-continue"),
                ("TE", "trailers"),
            ],
        );
        let request = Request::new(&header, &Bytes::new(), None, None, None, ADDRESS).unwrap();
        let expected = "GET /query?q=a%20b HTTP/1.1\r\nhOST: x\r\nX-Set: 1\r\nX-Other: 2\r\n\r\n";
        assert_eq!(text(&request), expected);
    }

    #[test]
    fn a_server_is_told_the_account_that_a_user_has_there() {
        let header = header("GET", &[("AUTHORIZATION", "Basic x"), ("Host", "x")]);
        let own = HeaderValue::from_static("Basic y");
        let request =
            Request::new(&header, &Bytes::new(), Some(&own), None, None, ADDRESS).unwrap();
        let expected = "GET /query?q=a%20b HTTP/1.1\r\nHost: x\r\nAuthorization: Basic y\r\n\r\n";
        assert_eq!(text(&request), expected);
    }

    #[test]
    fn the_length_is_that_of_the_body() {
        let header = header("POST", &[("Transfer-Encoding", "chunked")]);
        for body in [
            Bytes::from_static(b"q=x"),
            Bytes::from(vec![b'x'; 20_000]),
            Bytes::new(),
        ] {
            let request = Request::new(&header, &body, None, None, None, ADDRESS).unwrap();
            let text = text(&request);
            let (head, sent) = text.split_once("\r\n\r\n").unwrap();
            let expected = format!(
                "POST /query?q=a%20b HTTP/1.1\r\nHost: 127.0.0.1:8086\r\nContent-Length: {}",
                body.len()
            );
            assert_eq!(head, expected);
            assert_eq!(sent.as_bytes(), body);
        }
    }

    #[test]
    fn the_client_is_named_and_the_protocol_asked_for() {
        let header = header(
            "GET",
            &[
                ("Host", "x"),
                ("X-Forwarded-For", "192.0.2.1"),
                ("Upgrade", "y"),
            ],
        );
        let (client, upgrade) = (
            ForWhom {
                client: "2001:db8::1".parse().unwrap(),
                via: None,
                scheme: "https",
                has_proto: true,
            },
            HeaderValue::from_static("websocket"),
        );
        let request = Request::new(
            &header,
            &Bytes::new(),
            None,
            Some(client),
            Some(&upgrade),
            ADDRESS,
        )
        .unwrap();
        let text = text(&request);
        for line in [
            "X-Forwarded-For: 192.0.2.1, 2001:db8::1",
            "X-Forwarded-Proto: https",
            "Connection: Upgrade",
            "Upgrade: websocket",
        ] {
            assert_eq!(text.matches(line).count(), 1, "{line}: {text}");
        }
        assert_eq!(text.matches("X-Forwarded-For").count(), 1);
    }
}
