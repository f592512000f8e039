//! Values in the words of the file.

use std::fmt::Display;

use super::in_file::InFile;
use crate::config::Config;
use crate::config::model::{
    Condition, HeaderEdit, Probe, Redirect, RedirectTo, RequestAction, RequestRule, ResponseRule,
    Rule, SyncPolicy, Target, Test,
};

/// The word that stands for `value` in the table by which it is read.
pub(super) fn word<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> String {
    let known = table.iter().find(|(_, known)| known == value);
    known.map(|(word, _)| *word).in_file()
}

pub(super) fn sync(sync: SyncPolicy) -> String {
    match sync {
        SyncPolicy::Always => "always".in_file(),
        SyncPolicy::Never => "never".in_file(),
        SyncPolicy::Interval(time) => time.in_file(),
    }
}

/// What a check asks, without a query.
pub(super) fn probe(probe: &Probe) -> String {
    match probe {
        Probe::None => "false".to_owned(),
        Probe::Tcp => "{ tcp = true }".to_owned(),
        Probe::Http { path, .. } => format!("{{ http = {} }}", self::path(path).in_file()),
    }
}

/// A path without its query, which may hold a secret.
pub(super) fn path(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// `expect` of a check.
pub(super) fn statuses(ranges: &[(u16, u16)]) -> String {
    let ranges = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("\"{first}-{last}\""),
    });
    one_or_list(ranges.collect())
}

pub(super) fn target_name(config: &Config, target: Target) -> &str {
    match target {
        Target::Backend(id) => &config.backend(id).name,
        Target::Relay(id) => &config.relay(id).name,
    }
}

/// An entry of `use_backend`.
pub(super) fn rule(config: &Config, rule: &Rule) -> String {
    let backend = target_name(config, rule.target);
    format!(
        "{{ backend = {backend:?}, {} }}",
        condition(&rule.condition)
    )
}

/// An entry of `http_request`. Values of headers are not shown.
pub(super) fn request_rule(rule: &RequestRule) -> String {
    let action = match &rule.action {
        RequestAction::Deny(status) => format!("deny = {}", status.as_u16()),
        RequestAction::Tarpit(status) => format!("tarpit = {}", status.as_u16()),
        RequestAction::Redirect(Redirect { to, status }) => {
            let (key, place) = match to {
                RedirectTo::Scheme(scheme) => ("scheme", scheme),
                RedirectTo::Prefix(prefix) => ("prefix", prefix),
                RedirectTo::Location(location) => ("location", location),
            };
            format!(
                "redirect = {{ {key} = {place:?}, code = {} }}",
                status.as_u16()
            )
        }
        RequestAction::Edit(edits) => self::edits(edits),
    };
    with_condition(action, rule.condition.as_ref())
}

/// An entry of `http_response`. Values of headers are not shown.
pub(super) fn response_rule(rule: &ResponseRule) -> String {
    with_condition(edits(&rule.edits), rule.condition.as_ref())
}

fn edits(edits: &[HeaderEdit]) -> String {
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for edit in edits {
        match edit {
            HeaderEdit::Set(name, _) => set.push(format!("{:?} = …", name.as_str())),
            HeaderEdit::Remove(name) => removed.push(format!("{:?}", name.as_str())),
        }
    }
    let set = (!set.is_empty()).then(|| format!("set_header = {{ {} }}", set.join(", ")));
    let removed = (!removed.is_empty()).then(|| format!("del_header = {}", one_or_list(removed)));
    let keys: Vec<String> = set.into_iter().chain(removed).collect();
    keys.join(", ")
}

fn with_condition(action: String, found: Option<&Condition>) -> String {
    match found {
        Some(found) => format!("{{ {action}, {} }}", condition(found)),
        None => format!("{{ {action} }}"),
    }
}

fn condition(condition: &Condition) -> String {
    let mode = if condition.negated { "unless" } else { "if" };
    let tables = condition.any_of.iter().map(|all| {
        let tests: Vec<String> = all.0.iter().map(test).collect();
        format!("{{ {} }}", tests.join(", "))
    });
    format!("{mode} = {}", one_or_list(tables.collect()))
}

fn test(test: &Test) -> String {
    match test {
        Test::Path(paths) => key("path", paths),
        Test::PathBegins(paths) => key("path_beg", paths),
        Test::PathEnds(paths) => key("path_end", paths),
        Test::PathRegex(expressions) => key("path_reg", expressions),
        Test::Method(methods) => key("method", methods),
        Test::Host(hosts) => key("host", hosts),
        Test::Source(networks) => key("src", networks),
    }
}

fn key(key: &str, values: &[impl Display]) -> String {
    let values = values
        .iter()
        .map(|value| format!("{:?}", value.to_string()));
    format!("{key} = {}", one_or_list(values.collect()))
}

fn one_or_list(values: Vec<String>) -> String {
    match values.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}
