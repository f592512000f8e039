//! A replica that does not let in whoever wrote lags for as long as that lasts, and an operator sees why.

use crate::support::stand_in::Request;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, query, relay_over, wait_until};

const REFUSAL: &str = "{\"error\":\"authorization failed\"}\n";

/// Two replicas, of which the second, once it is known, refuses every request for this path.
fn haflux_over_a_refusal(path: &'static str) -> (Haflux, [StandIn; 2], tempfile::TempDir) {
    let taken = r#"{"results":[{"statement_id":0}]}"#;
    let takes = move |request: &Request| match request.path() {
        "/query" => Behaviour::status(200, taken),
        _ => Behaviour::no_content(),
    };
    let [first, second] = [StandIn::start(takes), StandIn::start(takes)];
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "near = { time = \"1s\" }";
    let haflux = Haflux::start(folder.path(), &relay_over(&[&first, &second], keys));
    wait_until("both replicas to be known", SOON, || {
        haflux.write("telegraf", "m v=1 1").status == 204 && !second.writes().is_empty()
    });
    second.behave(move |request| match request.path() {
        refused if refused == path => Behaviour::status(401, REFUSAL),
        _ => takes(request),
    });
    (haflux, [first, second], folder)
}

/// The reason stands in the table of replicas, and once in the log.
#[track_caller]
fn assert_told(haflux: &Haflux, once: &str) {
    wait_until("the reason to be shown", SOON, || {
        let shown = haflux.order(&["replica", "status"]);
        let mut lines = shown.lines();
        lines.any(|line| line.starts_with("node1") && line.contains("it answered 401"))
    });
    assert_eq!(haflux.log().matches(once).count(), 1, "{}", haflux.log());
}

#[test]
fn a_refused_write_is_shown_and_logged_once() {
    let (haflux, _replicas, _folder) = haflux_over_a_refusal("/write");
    assert_eq!(haflux.write("telegraf", "m v=2 2").status, 204);
    let once =
        "replica node1: database \"telegraf\" waits, because it answered 401 authorization failed";
    assert_told(&haflux, once);
}

#[test]
fn a_refused_statement_is_shown_and_logged_once() {
    let (haflux, _replicas, _folder) = haflux_over_a_refusal("/query");
    let url = haflux.url("front");
    assert_eq!(query(&url, "", "CREATE DATABASE other").status, 200);
    assert_told(&haflux, "replica node1: statement ");
}
