//! Who is served, and what becomes of requests by rules.

use std::time::Duration;

use http::StatusCode;

use super::{toml, with};
use crate::config::model::{
    ForwardedHeader, Frontend, HeaderEdit, Pattern, RedirectTo, RequestAction, Unbounded,
};
use crate::proxy_header::Version;

fn frontend(keys: &str) -> Frontend {
    let loaded = toml(&with(keys, "", "", "")).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.config.frontends[0].clone()
}

#[test]
fn networks_are_read_in_every_form() {
    let front = frontend(
        "allow = [\"10.1.2.3/8\", \"::1\"]\ndeny = \"::ffff:10.6.0.0/112\"\naccept_proxy = \"192.0.2.1\"\n\
         trust_forwarded = \"192.0.2.0/24\"\nforwarded_header = \"forwarded\"",
    );
    let admits = |address: &str| front.sources.admits(address.parse().unwrap());
    assert!(admits("10.9.9.9") && admits("::1"));
    assert!(!admits("10.6.1.1") && !admits("192.0.2.1"));
    assert!(front.accept_proxy.contains("192.0.2.1".parse().unwrap()));
    assert!(!front.accept_proxy.contains("192.0.2.2".parse().unwrap()));
    assert_eq!(front.forwarded_header, ForwardedHeader::Forwarded);
    let text = with("", "", "", "")
        + "[[backend]]\nname = \"web\"\nsend_proxy = \"v2\"\nservers = [{ name = \"w\", address = \"10.0.0.9:80\" }]\n";
    let config = toml(&text).unwrap().config;
    assert_eq!(config.backends[1].send_proxy, Some(Version::Two));
}

#[test]
fn guards_of_queries_are_read_with_their_defaults() {
    let guards = |keys: &str| frontend(keys).queries;
    assert!(!guards("").is_any() && !guards("queries = {}").is_any());
    let some = guards("queries = { max_running = 5, slow = \"1s\", unbounded = \"allow\" }");
    assert_eq!(
        (some.max_running, some.max_running_per_user),
        (Some(5), None)
    );
    assert_eq!((some.max_time, some.unbounded), (None, Unbounded::Allow));
    assert_eq!(some.slow, Some(Duration::from_secs(1)));
    let others =
        guards("queries = { max_running_per_user = 2, max_time = \"1m\", unbounded = \"refuse\" }");
    assert_eq!(others.max_running_per_user, Some(2));
    assert_eq!(others.max_time, Some(Duration::from_secs(60)));
    assert_eq!((others.unbounded, others.slow), (Unbounded::Refuse, None));
    // Queries are counted by their fingerprints where something is asked of them.
    let text = with("queries = { slow = \"1s\" }", "", "", "");
    assert_eq!(toml(&text).unwrap().config.query_fingerprints(), 200);
    let text = format!("[server]\nmax_query_fingerprints = 0\n{text}");
    assert_eq!(toml(&text).unwrap().config.query_fingerprints(), 0);
}

#[test]
fn rules_are_read_with_their_defaults() {
    let front = frontend(
        "rules = [{ users = \"a*\", read = [], write = [\"x\", \"y_*\"], measurements = \"cpu*\" }, { read_only = true, statements = [\"select\", \"show\"] }]\n\
         rate_limit = { requests = 10 }\n\
         bandwidth = { out_per_request = \"2MiB\" }\n\
         http_request = [{ deny = 404, unless = { src = \"10.0.0.0/8\" } }, { redirect = { prefix = \"https://x\" } }, { set_header = { A = \"${SECRET}\" }, del_header = \"B\" }]\n\
         http_response = [{ del_header = [\"C\", \"D\"] }]",
    );
    let [first, second] = &front.access[..] else {
        panic!("two rules")
    };
    assert_eq!(first.read.as_deref(), Some(&[][..]));
    assert_eq!(first.users, [Pattern::new("a*")]);
    let allowed = first.measurements.as_ref().unwrap();
    assert!(allowed.allow("cpu_1") && !allowed.allow("mem") && !allowed.are_all());
    assert_eq!(second.measurements, None);
    assert!(second.read_only && second.users.is_empty() && second.write.is_none());
    assert_eq!(second.statements.unwrap().to_string(), "select, show");
    let limit = front.rate_limit.unwrap();
    assert_eq!(
        (limit.burst, limit.per.as_secs(), limit.max_sources),
        (10, 1, 100_000)
    );
    let bandwidth = front.bandwidth.unwrap();
    assert_eq!(
        (bandwidth.out_per_request, bandwidth.in_per_source),
        (Some(2 << 20), None)
    );
    assert_eq!(bandwidth.max_sources, 100_000);
    let [deny, redirect, edit] = &front.http_request[..] else {
        panic!("three rules")
    };
    assert!(matches!(
        deny.action,
        RequestAction::Deny(StatusCode::NOT_FOUND)
    ));
    assert!(
        deny.condition
            .as_ref()
            .is_some_and(|condition| condition.negated)
    );
    assert!(
        matches!(&redirect.action, RequestAction::Redirect(to) if to.status == StatusCode::FOUND && matches!(&to.to, RedirectTo::Prefix(_)))
    );
    assert!(
        matches!(&edit.action, RequestAction::Edit(edits) if matches!(&edits[..], [HeaderEdit::Set(_, value), HeaderEdit::Remove(_)] if value == "s3cret"))
    );
    assert!(!format!("{front:?}").contains("s3cret"));
    assert_eq!(front.http_response[0].edits.len(), 2);
}

#[test]
fn what_is_wrong_is_said() {
    for (keys, said) in [
        (
            "allow = []",
            "allow: expected a network such as \"10.0.0.0/8\", or a list of at least one",
        ),
        ("deny = [\"10.0.0.0/33\"]", "deny[0]: expected a network"),
        (
            "forwarded_header = \"forwarded\"",
            "forwarded_header: needs trust_forwarded beside it",
        ),
        (
            "trust_forwarded = \"::1\"\nforwarded_header = \"x-real-ip\"",
            "expected \"x-forwarded-for\" or \"forwarded\"",
        ),
        (
            "http2 = { window = \"64KiB\" }",
            "http2.window: expected a size from \"256KiB\" to \"1GiB\"",
        ),
        (
            "http2 = { max_streams = 0 }",
            "http2.max_streams: expected a whole number from 1 to 10000",
        ),
        ("http2 = { proto = \"h2\" }", "http2.proto: unknown key"),
        ("rules = {}", "an empty rule; expected at least one of"),
        (
            "rules = { statements = \"selct\" }",
            "did you mean \"select\"?",
        ),
        (
            "rules = { write = \"a\", read_only = true }",
            "write: read_only is true beside it",
        ),
        ("rules = { users = [] }", "users: expected a name such as"),
        ("rate_limit = { per = \"1s\" }", "\"requests\" is missing"),
        (
            "rate_limit = { requests = 0 }",
            "expected a whole number from 1 to 1000000",
        ),
        (
            "queries = { max_running = 0 }",
            "max_running: expected a whole number from 1 to 1000000",
        ),
        (
            "queries = { unbounded = \"7d\" }",
            "expected \"allow\" or \"refuse\"",
        ),
        (
            "queries = { max_tim = \"1s\" }",
            "did you mean \"max_time\"?",
        ),
        (
            "http_request = [{ deny = 200 }]",
            "deny: expected a whole number from 400 to 599",
        ),
        (
            "http_request = [{ deny = 403, redirect = { scheme = \"https\" } }]",
            "expected one of \"deny\", \"tarpit\", \"redirect\"",
        ),
        (
            "http_request = [{ tarpit = 503, deny = 403 }]",
            "expected one of \"deny\", \"tarpit\", \"redirect\"",
        ),
        (
            "http_request = [{ tarpit = 204 }]",
            "tarpit: expected a whole number from 400 to 599",
        ),
        (
            "bandwidth = { in_per_source = 1023 }",
            "in_per_source: expected a size from",
        ),
        (
            "bandwidth = { max_sources = 5 }",
            "expected one of \"in_per_source\"",
        ),
        (
            "http_request = [{ if = { path = \"/\" } }]",
            "expected one of \"deny\", \"tarpit\", \"redirect\"",
        ),
        (
            "http_request = [{ redirect = { scheme = \"ftp\" } }]",
            "expected \"http\" or \"https\"",
        ),
        (
            "http_request = [{ redirect = { location = \"/a b\" } }]",
            "expected a place such as",
        ),
        (
            "http_request = [{ redirect = { location = \"/\", code = 304 } }]",
            "expected 301, 302, 303, 307 or 308",
        ),
        (
            "http_request = [{ set_header = { Host = \"x\" } }]",
            "this header is the connection's",
        ),
        (
            "http_request = [{ del_header = \"a b\" }]",
            "expected the name of a header",
        ),
        (
            "http_request = [{ set_header = { A = \"hidden\\n\" } }]",
            "expected a value that a header can hold",
        ),
        ("http_response = [{ deny = 403 }]", "deny: unknown key"),
    ] {
        let errors = toml(&with(keys, "", "", "")).expect_err(keys).to_string();
        assert!(errors.contains(said), "{keys}: {errors}");
    }
    let errors = toml(&with("", "", "send_proxy = \"v1\"", "")).expect_err("an error");
    assert!(
        errors
            .to_string()
            .contains("InfluxDB reads no PROXY header"),
        "{errors}"
    );
}
