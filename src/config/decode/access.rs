//! `rules`: a table or a list of tables.

use crate::config::error::Problem;
use crate::config::field::{Field, Keys, Table, alternatives};
use crate::config::model::{AccessRule, AllowedMeasurements, Pattern};
use crate::config::suggest::nearest;
use crate::influx::influxql::Groups;

const KEYS: Keys = Keys::of(&[
    "users",
    "read",
    "write",
    "measurements",
    "read_only",
    "statements",
    "deny_statements",
]);

const EXPECTED: &str = "a table such as { read_only = true }, or a list of them";

/// The rules of a frontend; none if there is no such key.
pub(super) fn decode(table: &Table<'_>) -> Vec<AccessRule> {
    let tables = table
        .get("rules")
        .and_then(|field| field.one_or_more(EXPECTED));
    let tables = tables.unwrap_or_default();
    tables.iter().filter_map(rule).collect()
}

fn rule(field: &Field<'_>) -> Option<AccessRule> {
    let table = field.table(KEYS, EXPECTED)?;
    if field.is_empty_table() {
        table.report(Problem::EmptyRule { known: KEYS.known });
        return None;
    }
    let rule = AccessRule {
        users: patterns(&table, "users").unwrap_or_default(),
        read: patterns(&table, "read"),
        write: patterns(&table, "write"),
        measurements: patterns(&table, "measurements").map(AllowedMeasurements::new),
        read_only: table.boolean("read_only", false),
        statements: groups(&table, "statements"),
        deny_statements: groups(&table, "deny_statements"),
    };
    if rule.read_only
        && rule.write.is_some()
        && let Some(field) = table.get("write")
    {
        field.report(Problem::WriteBesideReadOnly);
    }
    Some(rule)
}

/// Names with stars. An empty list names nobody.
pub(super) fn patterns(table: &Table<'_>, key: &str) -> Option<Vec<Pattern>> {
    const EXPECTED: &str = "a name such as \"telegraf\" or \"db_*\", or a list of them";
    let field = table.get(key)?;
    if field.is_empty_list() && key != "users" {
        return Some(Vec::new());
    }
    let names = field.one_or_more(EXPECTED)?;
    let names = names.iter().filter_map(|name| name.text(EXPECTED));
    Some(names.map(|name| Pattern::new(&name.value)).collect())
}

fn groups(table: &Table<'_>, key: &str) -> Option<Groups> {
    let words = || Groups::WORDS.iter().map(|(word, _)| *word);
    let expected = || format!("a list of {}", alternatives(words()));
    let fields = table.get(key)?.one_or_more(&expected())?;
    let mut groups = Groups::default();
    for field in fields {
        let text = field.as_text();
        let known = text.and_then(|text| {
            let mut known = Groups::WORDS.iter();
            known.find(|(word, _)| *word == text.value)
        });
        match known {
            Some((_, group)) => groups = groups.and(*group),
            None => {
                let suggestion = text.and_then(|text| nearest(&text.raw, words()));
                field.expected_or(alternatives(words()), suggestion.map(str::to_owned));
            }
        }
    }
    Some(groups)
}
