//! `if` and `unless`: a table or a list of tables, each key with a value or a list of values.

use http::Method;
use regex::{Regex, RegexBuilder};

use super::network::network;
use crate::config::error::Problem;
use crate::config::field::{Field, Keys};
use crate::config::model::{AllOf, Condition, Test};
use crate::config::suggest::nearest;

const KEYS: Keys = Keys::of(&[
    "path", "path_beg", "path_end", "path_reg", "method", "host", "src",
]);

/// How much memory one compiled expression may take, in bytes.
const REGEX_SIZE: usize = 1024 * 1024;

const METHODS: [(&str, Method); 9] = [
    ("GET", Method::GET),
    ("HEAD", Method::HEAD),
    ("POST", Method::POST),
    ("PUT", Method::PUT),
    ("DELETE", Method::DELETE),
    ("OPTIONS", Method::OPTIONS),
    ("PATCH", Method::PATCH),
    ("TRACE", Method::TRACE),
    ("CONNECT", Method::CONNECT),
];

pub(super) fn decode(field: &Field<'_>, negated: bool) -> Option<Condition> {
    const EXPECTED: &str = "a condition such as { path_beg = \"/write\" }, or a list of them";
    let tables = field.one_or_more(EXPECTED)?;
    let any_of: Vec<AllOf> = tables
        .iter()
        .filter_map(|table| all_of(table, EXPECTED))
        .collect();
    Some(Condition { negated, any_of })
}

fn all_of(field: &Field<'_>, expected: &str) -> Option<AllOf> {
    let table = field.table(KEYS, expected)?;
    if field.is_empty_table() {
        table.report(Problem::EmptyCondition { known: KEYS.known });
        return None;
    }
    let tests = [
        table
            .get("path")
            .and_then(|field| values(&field, "a path", whole_path))
            .map(Test::Path),
        table
            .get("path_beg")
            .and_then(|field| values(&field, "a path", whole_path))
            .map(Test::PathBegins),
        table
            .get("path_end")
            .and_then(|field| values(&field, "the end of a path", path_end))
            .map(Test::PathEnds),
        table
            .get("path_reg")
            .and_then(|field| values(&field, "a regular expression", regex))
            .map(Test::PathRegex),
        table
            .get("method")
            .and_then(|field| values(&field, "a method", method))
            .map(Test::Method),
        table
            .get("host")
            .and_then(|field| values(&field, "a host name", host))
            .map(Test::Host),
        table
            .get("src")
            .and_then(|field| values(&field, "a network", network))
            .map(Test::Source),
    ];
    Some(AllOf(tests.into_iter().flatten().collect()))
}

/// One value or a list of them.
fn values<T>(field: &Field<'_>, what: &str, read: fn(&Field<'_>) -> Option<T>) -> Option<Vec<T>> {
    let items = field.one_or_more(&format!("{what} or a list of at least one"))?;
    Some(items.iter().filter_map(read).collect())
}

fn whole_path(field: &Field<'_>) -> Option<String> {
    checked(
        field,
        "a path that begins with \"/\", without a query",
        |path| path.starts_with('/') && !path.contains(['?', '#']) && is_visible(path),
    )
}

fn path_end(field: &Field<'_>) -> Option<String> {
    checked(field, "the end of a path, without a query", |end| {
        !end.contains(['?', '#']) && is_visible(end)
    })
}

fn host(field: &Field<'_>) -> Option<String> {
    checked(field, "a host name without a port", |host| {
        let is_ip = host.starts_with('[') && host.ends_with(']');
        (is_ip || !host.contains(':')) && !host.contains('/') && is_visible(host)
    })
    .map(|host| host.to_ascii_lowercase())
}

fn is_visible(text: &str) -> bool {
    !text.contains(|character: char| character.is_whitespace() || character.is_control())
}

fn checked(field: &Field<'_>, expected: &str, is_sound: fn(&str) -> bool) -> Option<String> {
    let text = field.text(expected)?;
    if !is_sound(&text.value) {
        field.expected(expected);
        return None;
    }
    Some(text.value.clone())
}

fn regex(field: &Field<'_>) -> Option<Regex> {
    let text = field.text("a regular expression")?;
    let error = match RegexBuilder::new(&text.value)
        .size_limit(REGEX_SIZE)
        .build()
    {
        Ok(regex) => return Some(regex),
        Err(error) => error,
    };
    // The error repeats the expression, drawn over several lines; its last line is the reason.
    let reason = match error.to_string().lines().last() {
        Some(last) if !text.from_environment => {
            format!(": {}", last.trim().trim_start_matches("error: "))
        }
        _ => String::new(),
    };
    field.report(Problem::Regex {
        found: field.describe(),
        reason,
    });
    None
}

fn method(field: &Field<'_>) -> Option<Method> {
    const EXPECTED: &str = "an HTTP method such as \"POST\"";
    let text = field.text(EXPECTED)?;
    if let Some((_, method)) = METHODS.iter().find(|(name, _)| *name == text.value) {
        return Some(method.clone());
    }
    let suggestion = nearest(&text.raw, METHODS.iter().map(|(name, _)| *name));
    field.expected_or(EXPECTED, suggestion.map(str::to_owned));
    None
}
