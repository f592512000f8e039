//! Whether a request meets the condition of a rule.
//!
//! Paths are compared as they came, escaped, with nothing resolved or joined: HAProxy does so, and InfluxDB too.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{Method, header};
use pingora::http::RequestHeader;

use crate::config::model::{Condition, Test};

/// What conditions ask of a request.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) path: Cow<'a, str>,
    pub(crate) method: &'a Method,
    pub(crate) host: Option<&'a str>,
    pub(crate) source: IpAddr,
}

impl<'a> Subject<'a> {
    /// Takes them from the header. `source` is the client's address.
    pub(crate) fn new(request: &'a RequestHeader, source: IpAddr) -> Self {
        Self {
            path: String::from_utf8_lossy(path(request)),
            method: &request.method,
            host: host(request),
            source: source.to_canonical(),
        }
    }
}

/// The path as it came: from the first slash (of the path, in the absolute form) to the question mark.
pub(crate) fn path(request: &RequestHeader) -> &[u8] {
    let target = request.raw_path();
    if !target.starts_with(b"/") {
        return request.uri.path().as_bytes();
    }
    target
        .split(|byte| *byte == b'?')
        .next()
        .unwrap_or_default()
}

/// What follows the first `?` of the target; empty if there is none.
pub(crate) fn query_string(request: &RequestHeader) -> &[u8] {
    let target = request.raw_path();
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    parts.nth(1).unwrap_or_default()
}

/// The host that was asked for, without its port.
fn host(request: &RequestHeader) -> Option<&str> {
    let authority = match request.headers.get(header::HOST) {
        Some(host) => host.to_str().ok()?,
        None => return request.uri.host(),
    };
    let end = match authority.strip_prefix('[') {
        // The brackets of an IPv6 address may hold colons.
        Some(inner) => inner.find(']').map_or(authority.len(), |end| end + 2),
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority.get(..end)
}

/// Whether `subject` meets `condition`.
pub(crate) fn matches(condition: &Condition, subject: &Subject<'_>) -> bool {
    let any = condition
        .any_of
        .iter()
        .any(|all_of| all_of.0.iter().all(|test| holds(test, subject)));
    any != condition.negated
}

fn holds(test: &Test, subject: &Subject<'_>) -> bool {
    let path = subject.path.as_ref();
    match test {
        Test::Path(values) => values.iter().any(|value| path == value),
        Test::PathBegins(values) => values.iter().any(|value| path.starts_with(value)),
        Test::PathEnds(values) => values.iter().any(|value| path.ends_with(value)),
        Test::PathRegex(values) => values.iter().any(|value| value.is_match(path)),
        Test::Method(values) => values.contains(subject.method),
        Test::Host(values) => subject
            .host
            .is_some_and(|host| values.iter().any(|value| host.eq_ignore_ascii_case(value))),
        Test::Source(values) => values.iter().any(|value| value.contains(&subject.source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::AllOf;

    fn request(method: &str, target: &str, host: &str) -> RequestHeader {
        let mut request = RequestHeader::build(method, target.as_bytes(), None).unwrap();
        request.insert_header("Host", host).unwrap();
        request
    }

    fn condition(negated: bool, any_of: Vec<Vec<Test>>) -> Condition {
        Condition {
            negated,
            any_of: any_of.into_iter().map(AllOf).collect(),
        }
    }

    fn check(test: Test, method: &str, target: &str, host: &str, source: &str) -> bool {
        let request = request(method, target, host);
        matches(
            &condition(false, vec![vec![test]]),
            &Subject::new(&request, source.parse().unwrap()),
        )
    }

    fn on_path(test: &Test, target: &str) -> bool {
        check(test.clone(), "GET", target, "x", "127.0.0.1")
    }

    #[test]
    fn paths_are_compared_escaped_and_without_the_query() {
        let begins = Test::PathBegins(vec!["/write".into(), "/api/v2/write".into()]);
        assert!(on_path(&begins, "/write?db=x"));
        assert!(on_path(&begins, "/writes"));
        assert!(on_path(&begins, "/api/v2/write"));
        for other in [
            "/%77rite",
            "//write",
            "/./write",
            "/WRITE",
            "/?/write",
            "/query?x=/write",
        ] {
            assert!(!on_path(&begins, other), "{other}");
        }
        assert!(on_path(&begins, "http://host/write?db=x"));
        assert!(!on_path(&begins, "http://write/query"));
        let whole = Test::Path(vec!["/ping".into()]);
        assert!(on_path(&whole, "/ping?verbose=true"));
        assert!(!on_path(&whole, "/ping/"));
        let ends = Test::PathEnds(vec![".png".into()]);
        assert!(on_path(&ends, "/a.png"));
        assert!(!on_path(&ends, "/a?b=.png"));
        let regex = Test::PathRegex(vec![regex::Regex::new("^/api/v[0-9]+/").unwrap()]);
        assert!(on_path(&regex, "/api/v12/x"));
        assert!(!on_path(&regex, "/x/api/v1/"));
    }

    #[test]
    fn hosts_are_compared_without_port_in_any_case() {
        let test = Test::Host(vec!["influx.example".into(), "[2001:db8::1]".into()]);
        for host in [
            "influx.example",
            "INFLUX.example:8086",
            "[2001:DB8::1]:80",
            "[2001:db8::1]",
        ] {
            assert!(check(test.clone(), "GET", "/", host, "127.0.0.1"), "{host}");
        }
        for host in ["influx.example.org", "", "2001"] {
            assert!(
                !check(test.clone(), "GET", "/", host, "127.0.0.1"),
                "{host}"
            );
        }
    }

    #[test]
    fn sources_of_both_families_match() {
        let test = Test::Source(vec![
            "10.0.0.0/8".parse().unwrap(),
            "fd00::/8".parse().unwrap(),
        ]);
        for source in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
            assert!(check(test.clone(), "GET", "/", "x", source), "{source}");
        }
        for source in ["11.0.0.1", "fe80::1"] {
            assert!(!check(test.clone(), "GET", "/", "x", source), "{source}");
        }
    }

    #[test]
    fn tables_are_any_keys_are_all_and_unless_negates() {
        let post_write = vec![
            Test::Method(vec![Method::POST]),
            Test::PathBegins(vec!["/write".into()]),
        ];
        let ping = vec![Test::Path(vec!["/ping".into()])];
        let either = condition(false, vec![post_write.clone(), ping.clone()]);
        let neither = condition(true, vec![post_write, ping]);
        for (method, target, expected) in [
            ("POST", "/write", true),
            ("GET", "/write", false),
            ("GET", "/ping", true),
            ("POST", "/query", false),
        ] {
            let request = request(method, target, "x");
            let subject = Subject::new(&request, IpAddr::from([127, 0, 0, 1]));
            assert_eq!(matches(&either, &subject), expected, "{method} {target}");
            assert_eq!(matches(&neither, &subject), !expected, "{method} {target}");
        }
    }
}
