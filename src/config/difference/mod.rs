//! What two configurations differ in, key by key, and which of it a running haflux takes.
//!
//! [`facts()`] is the one list of what a reload takes. It names every field of the model, so that a new key does not compile before somebody
//! has decided about it; the page of the configuration is checked against it.

mod facts;
mod section;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter};

use super::Config;
use facts::facts;
use section::Fact;

/// The longest value that is shown whole, in characters.
const LONGEST_SHOWN: usize = 120;

/// One key that two configurations differ in, or a table that only one of them has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    place: String,
    key: &'static str,
    from: Option<String>,
    to: Option<String>,
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
        let separator = if self.place == "server" { "." } else { ", " };
        match (&self.from, &self.to) {
            (None, _) => write!(f, "{}: added", self.place),
            (_, None) => write!(f, "{}: removed", self.place),
            (Some(from), Some(to)) => write!(
                f,
                "{}{separator}{}: {} -> {}",
                self.place,
                self.key,
                Shown(from),
                Shown(to)
            ),
        }
    }
}

struct Shown<'a>(&'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(LONGEST_SHOWN) {
            None => f.write_str(self.0),
            Some((end, _)) => write!(f, "{}…", self.0.get(..end).unwrap_or_default()),
        }
    }
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
        let is_new = fact.is_first && !appears(&old, &fact.place);
        let differs = |before: &Fact| {
            (
                &before.value,
                &before.secrets,
                &before.values,
                &before.whole,
            ) != (&fact.value, &fact.secrets, &fact.values, &fact.whole)
        };
        if is_new || before.is_some_and(differs) {
            let to = match before {
                Some(before) if before.value == fact.value => format!("{} (others)", fact.value),
                _ => fact.value.clone(),
            };
            changes.push(Change {
                place: fact.place.clone(),
                key: fact.key,
                from: before.map(|before| before.value.clone()),
                to: Some(to),
                needs_restart: !fact.is_taken,
            });
        }
    }
    let gone = old.iter().filter(|fact| fact.is_first);
    for fact in gone.filter(|fact| !appears(&new, &fact.place)) {
        changes.push(Change {
            place: fact.place.clone(),
            key: fact.key,
            from: Some(fact.value.clone()),
            to: None,
            needs_restart: !fact.is_taken,
        });
    }
    changes
}
