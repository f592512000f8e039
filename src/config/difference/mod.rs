//! What two configurations differ in, key by key, and which of it a running haflux takes.
//!
//! [`facts()`] is the one list of what a reload takes. It names every field of the model, so that a new key does not compile before somebody
//! has decided about it; the page of the configuration is checked against it.

mod facts;
mod in_file;
mod section;
mod tables;
#[cfg(test)]
mod tests;
mod words;

use std::fmt::{self, Display, Formatter};

use super::Config;
use facts::facts;
use section::{Fact, Value};
use tables::{Table, line};

/// The longest part of a value that is shown, in characters: a rule with all its keys, as people write them.
const LONGEST_SHOWN: usize = 400;

/// How much of a longer one is shown before the first difference, in characters.
const BEFORE_DIFFERENCE: usize = 40;

/// One key that two configurations differ in, an entry of its list, or a table that only one of them has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    place: String,
    /// None for a whole table.
    key: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// What differs is not shown.
    is_hidden: bool,
    needs_restart: bool,
}

impl Change {
    /// Whether a haflux that runs cannot take it.
    pub fn needs_restart(&self) -> bool {
        self.needs_restart
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some(key) = &self.key {
            let separator = if self.place == "server" { "." } else { ", " };
            write!(f, "{separator}{key}")?;
        }
        f.write_str(": ")?;
        let begins = |text: &str| part(text, 0);
        match (&self.key, &self.from, &self.to) {
            (None, None, _) => f.write_str("added"),
            (None, ..) => f.write_str("removed"),
            (_, Some(from), Some(to)) => {
                let common = from.chars().zip(to.chars());
                let common = common.take_while(|(one, other)| one == other).count();
                let is_short = |text: &str| text.chars().count() <= LONGEST_SHOWN;
                let start = match self.is_hidden || (is_short(from) && is_short(to)) {
                    true => 0,
                    false => common.saturating_sub(BEFORE_DIFFERENCE),
                };
                write!(f, "{} -> {}", part(from, start), part(to, start))?;
                f.write_str(if self.is_hidden { " (others)" } else { "" })
            }
            (_, None, to) => write!(f, "added {}", begins(to.as_deref().unwrap_or_default())),
            (_, Some(from), None) => write!(f, "removed {}", begins(from)),
        }
    }
}

/// What is shown of a text from the character `start` on.
fn part(text: &str, start: usize) -> String {
    let mut characters = text.chars().skip(start);
    let shown: String = characters.by_ref().take(LONGEST_SHOWN).collect();
    let before = if start > 0 { "…" } else { "" };
    let behind = if characters.next().is_some() {
        "…"
    } else {
        ""
    };
    format!("{before}{shown}{behind}")
}

/// What `new` says otherwise than `old`: in the order of `new`, then what only `old` has.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let (old, new) = (facts(old), facts(new));
    let appears = |facts: &[Fact], place: &str| facts.iter().any(|fact| fact.place == place);
    let mut changes = Vec::new();
    for fact in &new {
        let before = old
            .iter()
            .find(|one| (&one.place, one.key) == (&fact.place, fact.key));
        match before {
            Some(before) => differences(before, fact, &mut changes),
            None if fact.is_first && !appears(&old, &fact.place) => {
                changes.push(table(fact, None, Some(String::new())));
            }
            None => {}
        }
    }
    let gone = old.iter().filter(|fact| fact.is_first);
    for fact in gone.filter(|fact| !appears(&new, &fact.place)) {
        changes.push(table(fact, Some(String::new()), None));
    }
    changes
}

/// A table that is added or removed.
fn table(fact: &Fact, from: Option<String>, to: Option<String>) -> Change {
    Change {
        place: fact.place.clone(),
        key: None,
        from,
        to,
        is_hidden: false,
        needs_restart: !fact.is_taken,
    }
}

/// What one key says otherwise.
fn differences(before: &Fact, fact: &Fact, changes: &mut Vec<Change>) {
    let mut add = |key: String, from: Option<&String>, to: Option<&String>| {
        changes.push(Change {
            place: fact.place.clone(),
            key: Some(key),
            from: from.cloned(),
            to: to.cloned(),
            is_hidden: from == to,
            needs_restart: !fact.is_taken,
        });
    };
    match (&before.value, &fact.value) {
        (Value::One(from), Value::One(to)) => {
            let is_same =
                from == to && (&before.secrets, &before.whole) == (&fact.secrets, &fact.whole);
            if !is_same {
                add(fact.key.to_owned(), Some(from), Some(to));
            }
        }
        (Value::List(from), Value::List(to)) => {
            let is_same = |old: usize, new: usize| {
                (from.get(old), before.values.get(old)) == (to.get(new), fact.values.get(new))
            };
            let shorter = from.len().min(to.len());
            // What stands before and behind the entries that differ.
            let first = (0..shorter).take_while(|at| is_same(*at, *at)).count();
            let last = (1..=shorter - first)
                .take_while(|back| is_same(from.len() - back, to.len() - back))
                .count();
            let longer = from.len().max(to.len());
            for at in first..longer - last {
                let from = from.get(at).filter(|_| at < from.len() - last);
                let to = to.get(at).filter(|_| at < to.len() - last);
                if !(from.is_some() && to.is_some() && is_same(at, at)) {
                    add(format!("{}[{at}]", fact.key), from, to);
                }
            }
        }
        (Value::Table(Some(from)), Value::Table(Some(to))) => {
            for ((key, from), (_, to)) in from.iter().zip(to) {
                if from != to {
                    add(format!("{}.{key}", fact.key), Some(from), Some(to));
                }
            }
        }
        (Value::Table(from), Value::Table(to)) => {
            if from != to {
                let shown = |table: &Option<Table>| table.as_ref().map_or("none".to_owned(), line);
                let (from, to) = (shown(from), shown(to));
                add(fact.key.to_owned(), Some(&from), Some(&to));
            }
        }
        // A key is always of one kind.
        (Value::One(_) | Value::List(_) | Value::Table(_), _) => {}
    }
}
