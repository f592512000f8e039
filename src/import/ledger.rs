//! The account of every statement: used, or quoted in a comment. Nothing is dropped silently, because a statement that nobody
//! speaks for is quoted, and is a warning unless `unread` knows that it is harmless to lose it.

use std::collections::BTreeMap;

use super::secrets::without_secrets;
use super::statement::{Script, Statement, StatementId};

/// A guard that is not translated.
pub(super) const KEEPS_NOBODY_OUT: &str =
    "haflux keeps nobody out here: a firewall, or the nodes' own users, must";

/// A question for a name and a password. `userlist` has hashes that haflux cannot verify.
pub(super) const ASKS_NOBODY: &str = "haflux asks nobody who he is here: \"auth = true\" of the frontend does, and [users] names a file of users, whose passwords \"haflux users hash\" hashes anew";

/// What became of the statements.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<StatementId, Entry>,
    warnings: Vec<String>,
}

#[derive(Debug, Default)]
struct Entry {
    used: bool,
    notes: Vec<String>,
}

impl Ledger {
    /// The statement stands in the configuration, or asks for what haflux always does.
    pub(super) fn used(&mut self, statement: &Statement) {
        self.entries.entry(statement.id).or_default().used = true;
    }

    /// The part that the statement belongs to is left out, so that it is quoted after all.
    pub(super) fn left_out(&mut self, statement: &Statement) {
        self.entries.entry(statement.id).or_default().used = false;
    }

    /// Quotes the statement with a reason or a hint.
    pub(super) fn note(&mut self, statement: &Statement, note: impl Into<String>) {
        let entry = self.entries.entry(statement.id).or_default();
        let note = note.into();
        if !entry.notes.contains(&note) {
            entry.notes.push(note);
        }
    }

    /// The same, and warns: the result does not do what the file asks for.
    pub(super) fn warn(&mut self, statement: &Statement, note: impl Into<String>) {
        let note = note.into();
        let warning = format!(
            "{}:{}: {}: {note}",
            statement.file,
            statement.line,
            without_secrets(statement)
        );
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
        self.note(statement, note);
    }

    /// A warning about no one statement.
    pub(super) fn warn_of_all(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Whether nothing has been said of the statement.
    pub(super) fn is_unread(&self, statement: &Statement) -> bool {
        !self.entries.contains_key(&statement.id)
    }

    /// Whether the statement stands in the configuration.
    pub(super) fn is_used(&self, statement: &Statement) -> bool {
        let entry = self.entries.get(&statement.id);
        entry.is_some_and(|entry| entry.used)
    }

    /// Whether the statement stands in the configuration, or a reason says why not.
    pub(super) fn is_spoken_for(&self, statement: &Statement) -> bool {
        let entry = self.entries.get(&statement.id);
        entry.is_some_and(|entry| entry.used || !entry.notes.is_empty())
    }

    /// Whether the statement stands in the configuration and nothing needs to be said of it.
    pub(super) fn is_settled(&self, id: StatementId) -> bool {
        self.entries
            .get(&id)
            .is_some_and(|entry| entry.used && entry.notes.is_empty())
    }

    /// The comment that quotes the statement; none if it is settled.
    pub(super) fn comment(&self, script: &Script, id: StatementId) -> Option<Vec<String>> {
        if self.is_settled(id) {
            return None;
        }
        let statement = script.statement(id);
        let mut lines = vec![format!(
            "{}:{}: {}",
            statement.file,
            statement.line,
            without_secrets(statement)
        )];
        if let Some(entry) = self.entries.get(&id) {
            lines.extend(entry.notes.iter().map(|note| format!("    {note}")));
        }
        Some(lines)
    }

    /// What to say on standard error.
    pub(super) fn into_warnings(self) -> Vec<String> {
        self.warnings
    }

    /// The warnings so far.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
