//! What replies say: what came of a change, and what a read found.

use std::time::Duration;

use serde_json::Value;

use super::connection::Reply;
use super::model::Outcome;
use super::{Tally, Violations};
use crate::support::http::Answer;

/// What an answer to a change is called that says no, though nothing stood in its way.
pub const REFUSED: &str = "refused";

/// What came of a change, and what that is called.
pub fn outcome_of(reply: &Reply) -> (Outcome, &'static str) {
    match reply {
        Reply::NotSent => (Outcome::TurnedAway, "without a connection"),
        Reply::Silence => (Outcome::Unknown, "without an answer"),
        Reply::Answer(answer) if is_done(answer) => (Outcome::Acknowledged, "acknowledged"),
        Reply::Answer(answer) => match answer.status {
            503 => (Outcome::TurnedAway, "turned away (503)"),
            504 => (Outcome::Unknown, "policy unmet (504)"),
            500..=599 => (Outcome::Unknown, "other error"),
            _ => (Outcome::Unknown, REFUSED),
        },
    }
}

/// Counts what came of a change, and keeps what an answer that is no success says. `mark`: how logs know the request.
pub fn count_change(
    tally: &Tally,
    violations: &Violations,
    (what, mark): (&'static str, &str),
    reply: &Reply,
    (outcome, result): (Outcome, &'static str),
    at: Duration,
) {
    if let Reply::Answer(answer) = reply
        && outcome != Outcome::Acknowledged
    {
        tally.note(what, answer.status, &answer.text());
        if result == REFUSED {
            violations.refused(what, mark, at, answer);
        }
    }
    tally.count(what, result);
}

/// What [`results_of`] gives; an answer without any is kept, and one that says that it is stale is a violation.
pub fn results_kept(
    tally: &Tally,
    violations: &Violations,
    reply: &Reply,
    statements: usize,
    at: Duration,
) -> Result<Vec<Value>, &'static str> {
    if is_stale(reply) {
        violations.said_stale(at);
    }
    results_of(reply, statements).inspect_err(|_| {
        if let Reply::Answer(answer) = reply {
            tally.note("a read", answer.status, &answer.text());
        }
    })
}

/// The result of each statement of a read, or what the reply is called that has none.
pub fn results_of(reply: &Reply, statements: usize) -> Result<Vec<Value>, &'static str> {
    let answer = match reply {
        Reply::NotSent => return Err("without a connection"),
        Reply::Silence => return Err("without an answer"),
        Reply::Answer(answer) => answer,
    };
    if answer.status == 503 {
        return Err("rejected (503)");
    }
    let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match value["results"].as_array() {
        // After an error the statements behind it are left out.
        Some(results) if answer.status == 200 => {
            let mut results = results.clone();
            results.resize_with(statements, || serde_json::json!({"error": "not executed"}));
            Ok(results)
        }
        _ => Err("other answer"),
    }
}

/// Whether an answer says that it is stale.
pub fn is_stale(reply: &Reply) -> bool {
    matches!(reply, Reply::Answer(answer) if answer.header("x-haflux-stale").is_some())
}

/// Whether a change is said to be done.
fn is_done(answer: &Answer) -> bool {
    match answer.status {
        200 => {
            let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let results = value["results"].as_array();
            results.is_some_and(|results| {
                let good = |result: &Value| result.get("error").is_none();
                !results.is_empty() && results.iter().all(good)
            })
        }
        201..=299 => true,
        _ => false,
    }
}
