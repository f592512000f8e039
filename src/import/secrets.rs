//! Secrets of haproxy.cfg are never repeated: neither comments nor warnings show them.
//!
//! Where a line may hold one (what a credential is compared with, bodies, values of variables), it is hidden unless a list here
//! says that what stands there is public: a list of what is secret would lack the next word that HAProxy learns.
//!
//! A check's path may hold a password that InfluxDB asks for; that one stands in the configuration once, as the check's path.

use super::statement::Statement;

const HIDDEN: &str = "…";

/// Headers whose values let somebody in.
const HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "x-api-key"];

/// Headers whose values let somebody in, whose names are words of HAProxy's too.
const COOKIES: [&str; 2] = ["cookie", "set-cookie"];

/// Parts of a name that say that its value is a secret.
const NAMES: [&str; 6] = ["password", "passwd", "secret", "token", "apikey", "api_key"];

/// Words behind which a secret stands.
const KEYWORDS: [&str; 6] = [
    "password",
    "insecure-password",
    "key",
    "dynamic-cookie-key",
    "agent-send",
    "ca-sign-pass",
];

/// What is public of a request: the beginnings of fetches whose values may be shown. Fetches of headers are judged by the header.
const PUBLIC: [&str; 32] = [
    "always_",
    "avg_queue",
    "base",
    "be_",
    "bool",
    "connslots",
    "date",
    "dst",
    "fc_",
    "fe_",
    "http_first_req",
    "int",
    "meth",
    "nbsrv",
    "nbthread",
    "path",
    "queue",
    "quic_",
    "rand",
    "req.len",
    "req.ssl_",
    "req.ver",
    "req_len",
    "req_ssl_",
    "req_ver",
    "res.ver",
    "sc",
    "src",
    "srv_",
    "ssl_",
    "status",
    "table_",
];

/// Fetches that begin with a word of [`PUBLIC`] and are none of it.
const NOT_PUBLIC: [&str; 1] = ["scook"];

/// Headers whose values may be shown where a condition compares them.
const PUBLIC_HEADERS: [&str; 17] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "origin",
    "range",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// What compares numbers.
const COMPARISONS: [&str; 5] = ["eq", "ge", "gt", "le", "lt"];

/// The beginnings of fetches and converters in whose parentheses a name or a number stands, and no value.
const WITH_NAMES: [&str; 26] = [
    "base",
    "be_",
    "capture",
    "cook",
    "fe_",
    "field",
    "hdr",
    "http_auth",
    "ipmask",
    "map",
    "nbsrv",
    "path",
    "rand",
    "req.",
    "res.",
    "sc",
    "shdr",
    "src",
    "srv_",
    "ssl_",
    "table_",
    "url",
    "var",
    "word",
    "date",
    "srv",
];

/// The beginnings of actions whose words may be shown. A body behind them is hidden.
const PUBLIC_ACTIONS: [&str; 42] = [
    "accept",
    "add-header",
    "allow",
    "auth",
    "cache-",
    "capture",
    "comment",
    "connect",
    "del-header",
    "deny",
    "disable-",
    "do-resolve",
    "expect",
    "inspect-delay",
    "normalize-uri",
    "redirect",
    "reject",
    "replace-header",
    "replace-path",
    "replace-value",
    "return",
    "sc-",
    "send-state",
    "set-bandwidth-limit",
    "set-dst",
    "set-header",
    "set-log-level",
    "set-mark",
    "set-method",
    "set-nice",
    "set-path",
    "set-priority-",
    "set-src",
    "set-status",
    "set-timeout",
    "set-tos",
    "silent-drop",
    "tarpit",
    "track-sc",
    "unset-var",
    "use-service",
    "wait-for-",
];

/// Where a body begins.
const BODIES: [&str; 4] = ["string", "lf-string", "hdr", "errorfile"];

/// Whether the value of this header lets somebody in.
fn is_credential(header: &str) -> bool {
    let lower = header.to_ascii_lowercase();
    HEADERS.contains(&lower.as_str())
        || COOKIES.contains(&lower.as_str())
        || NAMES.iter().any(|name| lower.contains(name))
        || lower.split('-').any(|part| part == "key")
}

/// Whether the value that a statement gives a header is a secret.
pub(super) fn is_secret(header: &str, value: &str) -> bool {
    is_credential(header) || without_query(value) != value
}

/// The statement as it may be shown: as it stands in the file, or by its words if one of them is hidden.
pub(super) fn without_secrets(statement: &Statement) -> String {
    let words = shown(statement);
    let unchanged = words
        .iter()
        .map(String::as_str)
        .eq(statement.words.iter().map(|word| word.as_str()));
    let comment_is_harmless = !statement.raw.contains('#');
    let text = if unchanged && comment_is_harmless {
        statement.raw.clone()
    } else {
        words.join(" ")
    };
    one_line(&text)
}

fn shown(statement: &Statement) -> Vec<String> {
    let words = statement.words.iter();
    let mut words: Vec<String> = words.map(|word| without_query(word.as_str())).collect();
    let is_acl = statement.word(0) == "acl";
    let condition = match is_acl {
        true => words.len().min(2),
        false => condition_at(&words),
    };
    let (action, rest) = words.split_at_mut(condition);
    hide_in_action(action);
    if is_acl {
        hide_compared(rest);
    } else {
        let mut groups = rest.split_mut(|word| word == "{" || word == "}");
        // What stands in braces is every other one.
        while let (Some(_), Some(inner)) = (groups.next(), groups.next()) {
            hide_compared(inner);
        }
    }
    hide_behind_keywords(&mut words, statement.word(0).starts_with("http-"));
    words
}

/// Where a statement's condition begins.
fn condition_at(words: &[String]) -> usize {
    let found = words
        .iter()
        .position(|word| word == "if" || word == "unless");
    found.filter(|at| *at > 0).unwrap_or(words.len())
}

/// Hides what stands behind words that say that a secret follows.
fn hide_behind_keywords(words: &mut [String], has_headers: bool) {
    let mut hide_next = false;
    for word in words {
        let lower = word.to_ascii_lowercase();
        if hide_next {
            *word = HIDDEN.to_owned();
        }
        hide_next = !hide_next
            && (HEADERS.contains(&lower.as_str())
                || (has_headers && COOKIES.contains(&lower.as_str()))
                || KEYWORDS.contains(&lower.as_str())
                || (!lower.contains(['(', '/', '.'])
                    && NAMES.iter().any(|name| lower.contains(name))));
    }
}

/// Hides what may be secret of what a statement does, without its condition.
fn hide_in_action(words: &mut [String]) {
    for word in words.iter_mut() {
        *word = without_values(word);
    }
    let texts: Vec<&str> = words.iter().map(String::as_str).collect();
    match texts.as_slice() {
        ["stats", "auth", pair, ..] => {
            let user = pair.split(':').next().unwrap_or_default();
            let pair = format!("{user}:{HIDDEN}");
            if let Some(word) = words.get_mut(2) {
                *word = pair;
            }
        }
        ["setenv" | "presetenv" | "command", ..] => hide_from(words, 2),
        ["option", "httpchk", ..] => {
            // Headers and a body stand behind the version.
            for word in words.iter_mut() {
                if let Some((version, _)) = word.split_once(['\r', '\n']) {
                    *word = format!("{version}{HIDDEN}");
                }
            }
        }
        ["http-check", "send", ..] => hide_in_request(words),
        ["tcp-request" | "tcp-response", _, action, ..] => {
            let is_public =
                is_public_action(action) || is_public_action(texts.get(1).unwrap_or(&""));
            hide_by_action(words, 3, is_public);
        }
        [
            "http-request" | "http-response" | "http-after-response" | "http-check" | "tcp-check",
            action,
            ..,
        ] => {
            let is_public = is_public_action(action);
            let is_credential = matches!(
                *action,
                "set-header" | "add-header" | "replace-header" | "replace-value"
            ) && texts.get(2).is_some_and(|name| is_credential(name));
            hide_by_action(
                words,
                if is_credential { 3 } else { 2 },
                is_public && !is_credential,
            );
        }
        ["http-error", ..] => hide_by_action(words, 2, true),
        _ => {}
    }
}

fn hide_by_action(words: &mut [String], first: usize, is_public: bool) {
    let body = words
        .iter()
        .position(|word| BODIES.contains(&word.as_str()));
    match (is_public, body) {
        (true, Some(at)) if words.get(1).is_some_and(|action| action != "expect") => {
            hide_from(words, at + 1);
        }
        (true, _) => {}
        (false, _) => hide_from(words, first),
    }
}

fn is_public_action(action: &str) -> bool {
    let mut known = PUBLIC_ACTIONS.iter();
    known.any(|known| action.starts_with(known)) && !matches!(action, "set-pathq" | "replace-pathq")
}

/// Hides headers and body of `http-check send`.
fn hide_in_request(words: &mut [String]) {
    let mut at = 2;
    while at < words.len() {
        let texts: Vec<&str> = words.iter().skip(at).take(2).map(String::as_str).collect();
        at += match texts.as_slice() {
            ["meth" | "uri" | "ver", _] => 2,
            ["hdr", name] if name.eq_ignore_ascii_case("host") => 3,
            ["hdr", _] => {
                hide_at(words, at + 2);
                3
            }
            _ => {
                hide_at(words, at + 1);
                2
            }
        };
    }
}

/// Hides what a criterion compares with, unless it is public.
fn hide_compared(words: &mut [String]) {
    let Some((expression, rest)) = words.split_first_mut() else {
        return;
    };
    let is_public = is_public(expression);
    *expression = without_arguments(expression);
    if is_public {
        return;
    }
    let mut is_value = false;
    for word in rest {
        match word.as_str() {
            _ if is_value => is_value = false,
            "-f" | "-M" | "-m" | "-u" => is_value = true,
            "-i" | "-n" | "--" => {}
            text if COMPARISONS.contains(&text) => {}
            _ => *word = HIDDEN.to_owned(),
        }
    }
}

/// Whether what this expression is compared with may be shown.
fn is_public(expression: &str) -> bool {
    let (fetch, argument) = expression.split_once('(').unwrap_or((expression, ""));
    let argument = argument.split([',', ')']).next().unwrap_or_default();
    let fetch = fetch.split(',').next().unwrap_or_default();
    let name = fetch.strip_prefix("req.").or(fetch.strip_prefix("res."));
    let name = name.unwrap_or(fetch);
    if ["hdr", "fhdr", "shdr"]
        .iter()
        .any(|known| name.starts_with(known))
    {
        return PUBLIC_HEADERS.contains(&argument.to_ascii_lowercase().as_str());
    }
    let begins = |known: &&str| fetch.starts_with(*known);
    PUBLIC.iter().any(begins) && !NOT_PUBLIC.iter().any(begins)
}

/// An expression without what may be a secret in its parentheses.
pub(super) fn without_arguments(expression: &str) -> String {
    let mut shown = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some((before, behind)) = rest.split_once('(') {
        let start = before.rfind([',', '[', ' ']).map_or(0, |at| at + 1);
        let name = before.get(start..).unwrap_or_default();
        let mut depth = 1_usize;
        let end = behind.bytes().position(|byte| {
            match byte {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let (inner, after) = match end {
            Some(end) => behind.split_at_checked(end).unwrap_or((behind, "")),
            None => (behind, ""),
        };
        let is_shown = inner.is_empty() || WITH_NAMES.iter().any(|known| name.starts_with(known));
        shown.push_str(before);
        shown.push('(');
        shown.push_str(if is_shown { inner } else { HIDDEN });
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// A text without the values in its `%[…]`.
fn without_values(text: &str) -> String {
    match text.contains("%[") {
        true => without_arguments(text),
        false => text.to_owned(),
    }
}

fn hide_at(words: &mut [String], at: usize) {
    if let Some(word) = words.get_mut(at) {
        *word = HIDDEN.to_owned();
    }
}

fn hide_from(words: &mut [String], first: usize) {
    for word in words.iter_mut().skip(first) {
        *word = HIDDEN.to_owned();
    }
}

/// A parameter of a server or an address, and its value, as they may be shown.
pub(super) fn parameter(key: &str, value: &str) -> String {
    match KEYWORDS.contains(&key) {
        true => format!("{key} {HIDDEN}"),
        false => format!("{key} {}", without_query(value)),
    }
}

/// Hides a query (`?u=…&p=…`), and all but the scheme of a URL with a user: a password may hold any character, so nothing behind it is
/// sure to be the host.
pub(super) fn without_query(word: &str) -> String {
    if word.contains('@')
        && let Some((scheme, _)) = word.split_once("://")
    {
        return format!("{scheme}://{HIDDEN}");
    }
    match word.split_once('?') {
        Some((path, query)) if query.contains('=') => format!("{path}?{HIDDEN}"),
        _ => word.to_owned(),
    }
}

/// The location of an output of influxdb-relay as it may be shown.
pub(super) fn location(location: &str) -> String {
    match location.contains('@') {
        true => match location.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{HIDDEN}"),
            None => HIDDEN.to_owned(),
        },
        false => match location.split_once('?') {
            Some((before, _)) => format!("{before}?{HIDDEN}"),
            None => location.to_owned(),
        },
    }
}

/// Without characters that would end the comment or steer a terminal.
pub(super) fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\t' {
            shown.push(' ');
        } else if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
