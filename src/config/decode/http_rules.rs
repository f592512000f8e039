//! `http_request`, `http_response`, `rate_limit` and `bandwidth`.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use super::condition;
use crate::config::error::Problem;
use crate::config::field::{Field, Keys, Table};
use crate::config::model::{
    Bandwidth, Condition, HeaderEdit, RateLimit, Redirect, RedirectTo, RequestAction, RequestRule,
    ResponseRule, may_be_changed,
};
use crate::shown::names_secret;

const REQUEST: Keys = Keys::with_secret(&[
    "deny",
    "tarpit",
    "redirect",
    "set_header",
    "del_header",
    "if",
    "unless",
]);

const RESPONSE: Keys = Keys::with_secret(&["set_header", "del_header", "if", "unless"]);

const REDIRECT: Keys = Keys::with_secret(&["scheme", "prefix", "location", "code"]);

const BANDWIDTH: Keys = Keys::of(&[
    "in_per_source",
    "out_per_source",
    "in_per_request",
    "out_per_request",
    "max_sources",
]);

/// Bytes a second. Fewer would have a query wait for minutes.
const RATES: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 40;

const RATE: Keys = Keys::of(&["requests", "per", "burst", "max_sources"]);

/// `http_request`.
pub(super) fn requests(table: &Table<'_>) -> Vec<RequestRule> {
    const EXPECTED: &str = "a list of rules such as { deny = 403, if = { path_beg = \"/debug\" } }";
    let rules = table
        .get("http_request")
        .and_then(|field| field.items(EXPECTED));
    let rules = rules.unwrap_or_default();
    rules
        .iter()
        .filter_map(|field| request(field, EXPECTED))
        .collect()
}

fn request(field: &Field<'_>, expected: &str) -> Option<RequestRule> {
    let table = field.table(REQUEST, expected)?;
    let edits = edits(&table);
    let condition = condition(&table);
    let deny = table.get("deny");
    let tarpit = table.get("tarpit");
    let redirect = table.get("redirect");
    let has_edits = table.get("set_header").is_some() || table.get("del_header").is_some();
    let action = match (deny, tarpit, redirect, has_edits) {
        (Some(deny), None, None, false) => RequestAction::Deny(status(&deny, 400..=599)?),
        (None, Some(tarpit), None, false) => RequestAction::Tarpit(status(&tarpit, 400..=599)?),
        (None, None, Some(redirect), false) => RequestAction::Redirect(self::redirect(&redirect)?),
        (None, None, None, true) => RequestAction::Edit(edits),
        _ => {
            table.report(Problem::NotOneAction {
                actions: "\"deny\", \"tarpit\", \"redirect\", or \"set_header\" and \"del_header\"",
            });
            return None;
        }
    };
    Some(RequestRule {
        action,
        condition: condition?,
    })
}

/// `http_response`.
pub(super) fn responses(table: &Table<'_>) -> Vec<ResponseRule> {
    const EXPECTED: &str =
        "a list of rules such as { set_header = { \"X-Frame-Options\" = \"DENY\" } }";
    let rules = table
        .get("http_response")
        .and_then(|field| field.items(EXPECTED));
    let rule = |field: &Field<'_>| {
        let table = field.table(RESPONSE, EXPECTED)?;
        if table.get("set_header").is_none() && table.get("del_header").is_none() {
            table.report(Problem::NotOneAction {
                actions: "\"set_header\" or \"del_header\"",
            });
        }
        Some(ResponseRule {
            edits: edits(&table),
            condition: condition(&table)?,
        })
    };
    rules.unwrap_or_default().iter().filter_map(rule).collect()
}

/// `if` or `unless`; nothing if there is neither.
fn condition(table: &Table<'_>) -> Option<Option<Condition>> {
    match (table.get("if"), table.get("unless")) {
        (None, None) => Some(None),
        (Some(field), None) => condition::decode(&field, false).map(Some),
        (None, Some(field)) => condition::decode(&field, true).map(Some),
        (Some(_), Some(_)) => {
            table.report(Problem::IfAndUnless);
            None
        }
    }
}

fn status(field: &Field<'_>, range: std::ops::RangeInclusive<i128>) -> Option<StatusCode> {
    let status = field.whole::<u16>(range)?;
    StatusCode::from_u16(status).ok()
}

fn redirect(field: &Field<'_>) -> Option<Redirect> {
    let table = field.table(REDIRECT, "a table such as { scheme = \"https\" }")?;
    let code = match table.get("code") {
        None => StatusCode::FOUND,
        Some(field) => {
            let codes = [301, 302, 303, 307, 308];
            let code = field.as_whole().and_then(|code| u16::try_from(code).ok());
            let code = code.filter(|code| codes.contains(code));
            let code = code.and_then(|code| StatusCode::from_u16(code).ok());
            if code.is_none() {
                field.of_number().expected("301, 302, 303, 307 or 308");
            }
            code?
        }
    };
    let to = match (
        table.get("scheme"),
        table.get("prefix"),
        table.get("location"),
    ) {
        (Some(field), None, None) => RedirectTo::Scheme(
            field
                .choice(&[("http", "http"), ("https", "https")])?
                .to_owned(),
        ),
        (None, Some(field), None) => RedirectTo::Prefix(place(&field)?),
        (None, None, Some(field)) => RedirectTo::Location(place(&field)?),
        _ => {
            table.report(Problem::NotOneAction {
                actions: "\"scheme\", \"prefix\" or \"location\"",
            });
            return None;
        }
    };
    Some(Redirect { to, status: code })
}

/// A place that a header can hold.
fn place(field: &Field<'_>) -> Option<String> {
    const EXPECTED: &str = "a place such as \"https://influx.example.org\" or \"/grafana\"";
    let text = field.text(EXPECTED)?;
    if HeaderValue::from_str(&text.value).is_err() || text.value.contains(' ') {
        field.expected(EXPECTED);
        return None;
    }
    Some(text.value.clone())
}

/// `set_header` and `del_header`.
fn edits(table: &Table<'_>) -> Vec<HeaderEdit> {
    const SET: &str = "a table such as { \"X-Forwarded-Proto\" = \"https\" }";
    const REMOVE: &str = "the name of a header, or a list of them";
    let set = table.get("set_header");
    let entries = set.as_ref().and_then(|field| field.entries(SET));
    let mut edits = Vec::new();
    for (text, field) in entries.unwrap_or_default() {
        if let Some(set) = &set
            && text.parse::<HeaderName>().is_err()
        {
            // Its value may stand behind it, in the same text.
            set.report(Problem::HeaderName);
            continue;
        }
        if names_secret(text.as_bytes()) {
            field.note_secret();
        }
        if field.withheld().is_some() {
            continue;
        }
        let given = field.as_secret().filter(|text| !text.value.is_empty());
        let value = given.and_then(|text| {
            let mut value = HeaderValue::from_str(&text.value).ok()?;
            // It may be a password.
            value.set_sensitive(true);
            Some(value)
        });
        match (name(text, &field), value) {
            (Some(name), Some(value)) => edits.push(HeaderEdit::Set(name, value)),
            (Some(_), None) => field.report(Problem::HeaderValue),
            (None, _) => {}
        }
    }
    let removed = table
        .get("del_header")
        .and_then(|field| field.one_or_more(REMOVE));
    for field in removed.unwrap_or_default() {
        let name = field
            .text(REMOVE)
            .and_then(|text| name(&text.value, &field));
        edits.extend(name.map(HeaderEdit::Remove));
    }
    edits
}

/// The name of a header that a rule may change.
fn name(text: &str, field: &Field<'_>) -> Option<HeaderName> {
    match text.parse::<HeaderName>() {
        Ok(name) if !may_be_changed(&name) => {
            field.report(Problem::HeaderOfConnections);
            None
        }
        Ok(name) => Some(name),
        Err(_) => {
            field.report(Problem::HeaderName);
            None
        }
    }
}

/// `bandwidth`.
pub(super) fn bandwidth(table: &Table<'_>) -> Option<Bandwidth> {
    const EXPECTED: &str = "a table such as { out_per_source = \"10MiB\" }";
    let table = table.get("bandwidth")?.table(BANDWIDTH, EXPECTED)?;
    let rate = |key| {
        let bytes = table.get(key)?.size(RATES)?;
        u64::try_from(bytes).ok()
    };
    let bandwidth = Bandwidth {
        in_per_source: rate("in_per_source"),
        out_per_source: rate("out_per_source"),
        in_per_request: rate("in_per_request"),
        out_per_request: rate("out_per_request"),
        max_sources: table.whole("max_sources", 1..=10_000_000, 100_000),
    };
    let limits = [
        "in_per_source",
        "out_per_source",
        "in_per_request",
        "out_per_request",
    ];
    if limits.iter().all(|key| table.get(key).is_none()) {
        table.report(Problem::NotOneAction {
            actions: "\"in_per_source\", \"out_per_source\", \"in_per_request\" and \"out_per_request\"",
        });
        return None;
    }
    Some(bandwidth)
}

/// `rate_limit`.
pub(super) fn rate_limit(table: &Table<'_>) -> Option<RateLimit> {
    const EXPECTED: &str = "a table such as { requests = 100, per = \"1s\" }";
    let table = table.get("rate_limit")?.table(RATE, EXPECTED)?;
    let requests = table.require("requests", "how many requests of one address")?;
    let requests = requests.whole(1..=1_000_000)?;
    Some(RateLimit {
        requests,
        per: table.duration("per", Duration::from_secs(1)),
        burst: table.whole("burst", 1..=1_000_000, requests),
        max_sources: table.whole("max_sources", 1..=10_000_000, 100_000),
    })
}
