//! `X-Forwarded-For` and `X-Forwarded-Proto`: for whom a request is passed on; and for whom it comes, where a trusted proxy says so.
//!
//! Only the header of `forwarded_header` is looked at: a proxy that writes one of the two passes the other one on as its client sent it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue, header};
use pingora::http::RequestHeader;

use crate::config::model::{ForwardedHeader, Networks};

/// For whom.
pub(in crate::proxy) const FOR: &str = "X-Forwarded-For";
/// By which scheme they asked.
pub(in crate::proxy) const PROTO: &str = "X-Forwarded-Proto";

/// Who sent a request, as far as trusted proxies say.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Origin {
    /// The first address that no trusted proxy has, from us on; its port is 0 if it was not said.
    pub(in crate::proxy) client: SocketAddr,
    /// The proxies between it and us, the last of which is connected to us.
    pub(in crate::proxy) via: Vec<IpAddr>,
    /// By which scheme the client asked, if a proxy says so by the header that is looked at.
    pub(in crate::proxy) scheme: Option<&'static str>,
    /// A trusted proxy wrote the request's [`PROTO`].
    pub(in crate::proxy) has_proto: bool,
}

impl Origin {
    /// Follows what proxies in `trusted` say, from `peer`, which sent the request, towards the client.
    pub(in crate::proxy) fn find(
        headers: &HeaderMap,
        peer: SocketAddr,
        trusted: &Networks,
        by: ForwardedHeader,
    ) -> Self {
        let mut origin = Self {
            client: peer,
            via: Vec::new(),
            scheme: None,
            has_proto: false,
        };
        let name = match by {
            ForwardedHeader::XForwardedFor => FOR,
            ForwardedHeader::Forwarded => header::FORWARDED.as_str(),
        };
        let lines: Vec<_> = headers.get_all(name).iter().collect();
        let mut said = lines.iter().rev().flat_map(|line| match by {
            ForwardedHeader::XForwardedFor => names(line),
            ForwardedHeader::Forwarded => elements(line),
        });
        // What cannot be read as an address hides what stands behind it.
        while trusted.contains(origin.client.ip())
            && let Some((Some(behind), scheme)) = said.next()
        {
            origin.via.insert(0, origin.client.ip().to_canonical());
            origin.client = behind;
            origin.scheme = scheme;
        }
        origin.has_proto = by == ForwardedHeader::XForwardedFor && !origin.via.is_empty();
        origin
    }
}

/// Whom a proxy says that it was asked by, if that can be read, and by which scheme.
type Said = (Option<SocketAddr>, Option<&'static str>);

/// The addresses of a line of `X-Forwarded-For`, the last one first.
fn names(line: &HeaderValue) -> Vec<Said> {
    let names = line.as_bytes().rsplit(|byte| *byte == b',');
    names.map(|name| (node(name.trim_ascii()), None)).collect()
}

/// What the elements of a line of `Forwarded` say, the last one first.
fn elements(line: &HeaderValue) -> Vec<Said> {
    let elements = unquoted(line.as_bytes(), b',');
    elements.into_iter().map(element).collect()
}

/// What `for=192.0.2.60;proto=http` says.
fn element(element: &[u8]) -> Said {
    let pairs = unquoted(element, b';');
    let value = |wanted: &[u8]| pairs.iter().rev().find_map(|pair| value_of(pair, wanted));
    let client = value(b"for").and_then(node);
    let scheme = value(b"proto").and_then(|scheme| {
        let mut known = ["http", "https"].into_iter();
        known.find(|one| scheme.eq_ignore_ascii_case(one.as_bytes()))
    });
    (client, scheme)
}

/// The value of a pair, without quotes, if its name is this one.
fn value_of<'a>(pair: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let (name, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let bare = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    let is_wanted = name.trim_ascii().eq_ignore_ascii_case(wanted);
    is_wanted.then_some(bare.unwrap_or(value))
}

/// The pieces of `text` between separators that stand in no quotes, the last one first.
///
/// They are found from the right: what a trusted proxy wrote is well-formed, and what its client wrote stands on the left of it, where
/// a quote that is not closed takes nothing away from what follows.
fn unquoted(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut rest, mut is_quoted) = (text, false);
    let mut looked_at = text;
    while let Some((byte, before)) = looked_at.split_last() {
        if *byte == b'"' {
            is_quoted = !is_quoted || is_escaping(before);
        } else if *byte == separator && !is_quoted {
            let piece = rest.get(looked_at.len()..);
            pieces.push(piece.unwrap_or_default());
            rest = before;
        }
        looked_at = before;
    }
    pieces.push(rest);
    pieces
}

/// Whether what follows `text` in quotes is escaped.
fn is_escaping(text: &[u8]) -> bool {
    let backslashes = text.iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

/// An address, with a port or without one; an IPv6 address with a port stands in brackets.
fn node(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 0));
    }
    let bracketed = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    match bracketed {
        Some(address) => Some(SocketAddr::new(address.parse().ok()?, 0)),
        None => text.parse().ok(),
    }
}

/// For whom a request is passed on.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct ForWhom<'a> {
    pub(in crate::proxy) client: IpAddr,
    /// The trusted proxies between the client and us. Nothing if none is trusted: then what the request says goes on as it came.
    pub(in crate::proxy) via: Option<&'a [IpAddr]>,
    /// By which scheme the client asked.
    pub(in crate::proxy) scheme: &'static str,
    /// The request's [`PROTO`], if it has one, goes on in the place of `scheme`.
    pub(in crate::proxy) has_proto: bool,
}

impl ForWhom<'_> {
    /// Names the client, and the scheme unless a proxy before us gave it.
    ///
    /// # Errors
    ///
    /// A value that no header can hold.
    pub(in crate::proxy) fn apply(self, request: &mut RequestHeader) -> pingora::Result<()> {
        request.insert_header(FOR, self.chain(&request.headers))?;
        if !self.keeps_proto(&request.headers) {
            request.insert_header(PROTO, self.scheme)?;
        }
        if self.replaces(header::FORWARDED.as_str().as_bytes()) {
            request.remove_header(&header::FORWARDED);
        }
        Ok(())
    }

    /// Whether a header of this name that the request has does not go on.
    pub(in crate::proxy) fn replaces(self, name: &[u8]) -> bool {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        // `Forwarded` may hold what no trusted proxy wrote, even behind one; what was believed of it stands in the others.
        is(FOR)
            || (is(PROTO) && !self.has_proto)
            || (is(header::FORWARDED.as_str()) && self.via.is_some())
    }

    /// Whether the request says the scheme already.
    pub(in crate::proxy) fn keeps_proto(self, headers: &HeaderMap) -> bool {
        headers.contains_key(PROTO) && self.has_proto
    }

    /// The client and the proxies between it and us. Where none is trusted: those that the request names, and the client.
    pub(in crate::proxy) fn chain(self, headers: &HeaderMap) -> Vec<u8> {
        let client = self.client.to_canonical().to_string();
        if let Some(via) = self.via {
            let via = via.iter().map(IpAddr::to_string);
            let chain: Vec<_> = std::iter::once(client).chain(via).collect();
            return chain.join(", ").into_bytes();
        }
        let mut chain: Vec<&[u8]> = headers
            .get_all(FOR)
            .iter()
            .map(HeaderValue::as_bytes)
            .filter(|value| !value.is_empty())
            .collect();
        chain.push(client.as_bytes());
        chain.join(&b", "[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apply(request: &mut RequestHeader, client: &str, via: Option<&[IpAddr]>, has_proto: bool) {
        let client = client.parse().unwrap();
        let scheme = "http";
        ForWhom {
            client,
            via,
            scheme,
            has_proto,
        }
        .apply(request)
        .unwrap();
    }

    #[test]
    fn the_client_is_added_to_the_chain() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        apply(&mut request, "::ffff:192.0.2.1", None, true);
        assert_eq!(request.headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(request.headers["x-forwarded-proto"], "http");

        request.insert_header(PROTO, "https").unwrap();
        apply(&mut request, "2001:db8::1", None, true);
        assert_eq!(request.headers["x-forwarded-for"], "192.0.2.1, 2001:db8::1");
        assert_eq!(request.headers.get_all(FOR).iter().count(), 1);
        assert_eq!(request.headers["x-forwarded-proto"], "https");
    }

    #[test]
    fn what_only_the_client_says_does_not_go_on_where_proxies_are_trusted() {
        let request = RequestHeader::build("GET", b"/", None).unwrap();
        let forged = || {
            let mut request = request.clone();
            request.insert_header(FOR, "6.6.6.6").unwrap();
            request.insert_header(PROTO, "https").unwrap();
            request.insert_header("Forwarded", "for=6.6.6.6").unwrap();
            request
        };
        let mut first = forged();
        apply(&mut first, "192.0.2.1", Some(&[]), false);
        assert_eq!(first.headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(first.headers["x-forwarded-proto"], "http");
        assert!(!first.headers.contains_key("forwarded"));
        let via = ["10.0.0.2".parse().unwrap()];
        for (has_proto, proto) in [(true, "https"), (false, "http")] {
            let mut behind = forged();
            apply(&mut behind, "192.0.2.1", Some(&via), has_proto);
            assert_eq!(behind.headers["x-forwarded-for"], "192.0.2.1, 10.0.0.2");
            assert_eq!(behind.headers["x-forwarded-proto"], proto);
            assert!(!behind.headers.contains_key("forwarded"));
        }
    }

    #[test]
    fn the_scheme_is_what_the_proxy_says_that_named_the_client() {
        let trusted: Vec<ipnet::IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let trusted = trusted.into();
        for (by, line, scheme, has_proto) in [
            (
                ForwardedHeader::Forwarded,
                "for=192.0.2.1;proto=HTTPS",
                Some("https"),
                false,
            ),
            (
                ForwardedHeader::Forwarded,
                "for=6.6.6.6;proto=https, proto=\"http\";for=192.0.2.1",
                Some("http"),
                false,
            ),
            (
                ForwardedHeader::Forwarded,
                "for=192.0.2.1, for=10.0.0.3;proto=https",
                None,
                false,
            ),
            (
                ForwardedHeader::Forwarded,
                "for=192.0.2.1;proto=gopher",
                None,
                false,
            ),
            (ForwardedHeader::Forwarded, "proto=https", None, false),
            (ForwardedHeader::XForwardedFor, "192.0.2.1", None, true),
            (ForwardedHeader::XForwardedFor, "unknown", None, false),
        ] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            let name = match by {
                ForwardedHeader::XForwardedFor => FOR,
                ForwardedHeader::Forwarded => "Forwarded",
            };
            request.append_header(name, line).unwrap();
            let peer = "10.0.0.1:1".parse().unwrap();
            let origin = Origin::find(&request.headers, peer, &trusted, by);
            assert_eq!(
                (origin.scheme, origin.has_proto),
                (scheme, has_proto),
                "{line}"
            );
        }
    }

    fn find(peer: &str, lines: &[&str], by: ForwardedHeader) -> (String, Vec<String>) {
        let trusted: Vec<ipnet::IpNet> = ["10.0.0.0/8", "fd00::/8"]
            .map(|net| net.parse().unwrap())
            .into();
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        let name = match by {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        for line in lines {
            request.append_header(name, *line).unwrap();
        }
        // The other one is its client's.
        request
            .append_header(
                "X-Forwarded-For",
                if name == "forwarded" { "6.6.6.6" } else { "" },
            )
            .unwrap();
        let origin = Origin::find(&request.headers, peer.parse().unwrap(), &trusted.into(), by);
        let via = origin.via.iter().map(ToString::to_string);
        (origin.client.to_string(), via.collect())
    }

    #[test]
    fn the_client_is_the_first_address_that_no_trusted_proxy_has() {
        let by = ForwardedHeader::Forwarded;
        let table: [(&str, &[&str], &str, &[&str]); 11] = [
            ("192.0.2.9:1", &["for=192.0.2.1"], "192.0.2.9:1", &[]),
            ("10.0.0.1:1", &[], "10.0.0.1:1", &[]),
            (
                "10.0.0.1:1",
                &["for=192.0.2.1"],
                "192.0.2.1:0",
                &["10.0.0.1"],
            ),
            (
                "[::ffff:10.0.0.1]:1",
                &["For=\"192.0.2.1:80\";proto=https"],
                "192.0.2.1:80",
                &["10.0.0.1"],
            ),
            (
                "10.0.0.1:1",
                &["for=6.6.6.6, for=192.0.2.1"],
                "192.0.2.1:0",
                &["10.0.0.1"],
            ),
            (
                "10.0.0.1:1",
                &["for=6.6.6.6", "for=192.0.2.1 ,for=10.0.0.2"],
                "192.0.2.1:0",
                &["10.0.0.2", "10.0.0.1"],
            ),
            (
                "10.0.0.1:1",
                &["for=\"[2001:db8::1]:7\""],
                "[2001:db8::1]:7",
                &["10.0.0.1"],
            ),
            (
                "10.0.0.1:1",
                &["for=6.6.6.6,for=unknown"],
                "10.0.0.1:1",
                &[],
            ),
            ("10.0.0.1:1", &["for=6.6.6.6,proto=http"], "10.0.0.1:1", &[]),
            (
                "10.0.0.1:1",
                &["for=\"6.6.6.6, for=192.0.2.1"],
                "192.0.2.1:0",
                &["10.0.0.1"],
            ),
            (
                "10.0.0.1:1",
                &["for=\"6.6.6.6\\, for=\"192.0.2.1:80\";by=\"a,b\\\",c\""],
                "192.0.2.1:80",
                &["10.0.0.1"],
            ),
        ];
        for (peer, lines, client, via) in table {
            let found = find(peer, lines, by);
            assert_eq!(
                (found.0.as_str(), found.1),
                (client, via.iter().map(|one| (*one).to_owned()).collect()),
                "{lines:?}"
            );
        }
        let by = ForwardedHeader::XForwardedFor;
        let named = |lines: &[&str]| {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            for line in lines {
                request.append_header(FOR, *line).unwrap();
            }
            let trusted: Vec<ipnet::IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
            let peer = "10.0.0.1:1".parse().unwrap();
            Origin::find(&request.headers, peer, &trusted.into(), by)
                .client
                .to_string()
        };
        assert_eq!(named(&["6.6.6.6, 192.0.2.1"]), "192.0.2.1:0");
        assert_eq!(
            named(&["6.6.6.6", "192.0.2.1:99,  10.0.0.3"]),
            "192.0.2.1:99"
        );
        assert_eq!(named(&["2001:db8::1"]), "[2001:db8::1]:0");
        assert_eq!(named(&["6.6.6.6, "]), "10.0.0.1:1");
        assert_eq!(named(&["6.6.6.6, x"]), "10.0.0.1:1");
    }

    proptest! {
        #[test]
        fn what_a_proxy_appends_is_found_whatever_stands_before_it(
            before in "[for=\",;\\\\0-9: ]{0,40}",
            separator in " ?, ?",
            (address, element) in prop_oneof![
                Just(("192.0.2.1:0", "for=192.0.2.1")),
                Just(("192.0.2.1:80", "proto=https;For=\"192.0.2.1:80\"")),
                Just(("[2001:db8::1]:0", "by=\"x, y\";for=\"[2001:db8::1]\"")),
                Just(("192.0.2.1:0", "for=192.0.2.1;host=\"a\\\\\\\"b,c\"")),
            ],
        ) {
            let line = format!("{before}{separator}{element}");
            let (client, via) = find("10.0.0.1:1", &[&line], ForwardedHeader::Forwarded);
            prop_assert_eq!(client, address, "{}", line);
            prop_assert_eq!(via, ["10.0.0.1"]);
        }

        #[test]
        fn never_panics(line in "[for=\",;\\\\0-9a-f:.\\[\\] ]{0,40}") {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&line) {
                headers.append("forwarded", value.clone());
                headers.append("x-forwarded-for", value);
            }
            let all: Vec<ipnet::IpNet> = vec!["0.0.0.0/0".parse().unwrap()];
            for by in [ForwardedHeader::Forwarded, ForwardedHeader::XForwardedFor] {
                let _ = Origin::find(&headers, "10.0.0.1:1".parse().unwrap(), &all.clone().into(), by);
            }
        }
    }
}
