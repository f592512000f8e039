//! Secrets of haproxy.cfg are never repeated: neither comments nor warnings show them.
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

/// Whether the statement holds a secret.
pub(super) fn hides(statement: &Statement) -> bool {
    without_secrets(statement).contains(HIDDEN)
}

/// The statement as it may be shown: as it stands in the file, or by its words if one of them is hidden.
pub(super) fn without_secrets(statement: &Statement) -> String {
    let mut words: Vec<String> = statement
        .words
        .iter()
        .map(|word| without_query(word.as_str()))
        .collect();
    let keyword = words.iter().take(3).map(String::as_str);
    let keyword: Vec<&str> = keyword.collect();
    match keyword.as_slice() {
        ["stats", "auth", ..] => {
            if let Some(pair) = words.get_mut(2) {
                let user = pair.split(':').next().unwrap_or_default();
                *pair = format!("{user}:{HIDDEN}");
            }
        }
        ["setenv" | "presetenv", ..] => hide_from(&mut words, 2),
        _ => {}
    }
    let has_headers = statement.word(0).starts_with("http-");
    let mut hide_next = false;
    for word in &mut words {
        let lower = word.to_ascii_lowercase();
        if hide_next {
            *word = HIDDEN.to_owned();
        }
        hide_next = !hide_next
            && (HEADERS.contains(&lower.as_str())
                || (has_headers && COOKIES.contains(&lower.as_str()))
                || matches!(lower.as_str(), "password" | "insecure-password" | "key")
                || (!lower.contains(['(', '/', '.'])
                    && NAMES.iter().any(|name| lower.contains(name))));
        if lower.contains("authorization") && lower.len() > "proxy-authorization".len() + 2 {
            *word = HIDDEN.to_owned();
        }
    }
    let unchanged = words
        .iter()
        .zip(&statement.words)
        .all(|(shown, word)| shown == word.as_str());
    let comment_is_harmless = !statement.raw.contains('#');
    let text = if unchanged && comment_is_harmless {
        statement.raw.clone()
    } else {
        words.join(" ")
    };
    one_line(&text)
}

fn hide_from(words: &mut [String], first: usize) {
    for word in words.iter_mut().skip(first) {
        *word = HIDDEN.to_owned();
    }
}

/// Hides values of a query (`?u=…&p=…`) that are not plainly harmless, and the password of a URL.
fn without_query(word: &str) -> String {
    let word = match (word.split_once("://"), word.split_once('@')) {
        (Some((scheme, rest)), Some(_)) if rest.contains('@') => {
            let host = rest.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{HIDDEN}@{host}")
        }
        _ => word.to_owned(),
    };
    match word.split_once('?') {
        Some((path, query)) if query.contains('=') => format!("{path}?{HIDDEN}"),
        _ => word,
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
