//! The things of one owner, by their keys, and the owner's changes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::model::{Cell, Content, Outcome};

/// What is known of an owner's things.
#[derive(Debug)]
pub struct Cells<Key> {
    cells: BTreeMap<Key, Cell>,
    changes: u64,
    values: u64,
}

/// A change under way.
#[derive(Debug)]
pub struct Begun<Key> {
    number: u64,
    keys: Vec<Key>,
}

impl<Key> Default for Cells<Key> {
    fn default() -> Self {
        Self {
            cells: BTreeMap::new(),
            changes: 0,
            values: 0,
        }
    }
}

impl<Key: Copy + Ord> Cells<Key> {
    /// A value that was not there before.
    pub fn new_value(&mut self) -> u64 {
        self.values += 1;
        self.values
    }

    /// Whether [`Cells::new_value`] has given this one.
    pub fn has_given(&self, value: u64) -> bool {
        value <= self.values
    }

    /// What a thing holds, if there is no doubt of it.
    pub fn certain(&self, key: Key) -> Option<Content> {
        let cell = self.cells.get(&key);
        cell.map_or(Some(Content::Gone), Cell::certain)
    }

    /// Whether anything is known of a thing.
    pub fn knows(&self, key: &Key) -> bool {
        self.cells.contains_key(key)
    }

    /// Notes that things are about to be changed, before anything is sent.
    pub fn begin(
        &mut self,
        what: &'static str,
        contents: &[(Key, Content)],
        at: Duration,
    ) -> Begun<Key> {
        self.changes += 1;
        for (key, content) in contents {
            let number = self.changes;
            self.of(*key).begin(number, what, *content, at);
        }
        Begun {
            number: self.changes,
            keys: contents.iter().map(|(key, _)| *key).collect(),
        }
    }

    /// Notes what came of it, after the answer.
    pub fn end(&mut self, begun: &Begun<Key>, outcome: Outcome, at: Duration) {
        for key in &begun.keys {
            self.end_of(begun, *key, outcome, at);
        }
    }

    /// The same of one thing.
    pub fn end_of(&mut self, begun: &Begun<Key>, key: Key, outcome: Outcome, at: Duration) {
        if let Some(cell) = self.cells.get_mut(&key) {
            cell.end(begun.number, outcome, at);
        }
    }

    /// A thing.
    pub fn of(&mut self, key: Key) -> &mut Cell {
        self.cells.entry(key).or_default()
    }

    /// All that are known.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Cell)> {
        self.cells.iter()
    }

    /// The same, to be judged.
    pub fn all_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Cell)> {
        self.cells.iter_mut()
    }

    /// Forgets those that are gone for certain and that `may` be forgotten.
    pub fn forget_gone(&mut self, may: impl Fn(&Key) -> bool) {
        self.cells
            .retain(|key, cell| !may(key) || cell.certain() != Some(Content::Gone));
    }
}
