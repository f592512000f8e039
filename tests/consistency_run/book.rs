//! Everything that clients change and read.
//!
//! | thing | where | what its owner does to it |
//! | --- | --- | --- |
//! | register | a series with a measurement of its own; one point | overwrites it with rising values; `DELETE` |
//! | named | a measurement of its own, one point | overwrites it; `DROP MEASUREMENT` |
//! | copy | a measurement of its own, one point | `SELECT … INTO` it from a register; `DELETE`, `DROP MEASUREMENT` |
//! | element | a point of a set; a set is a measurement of its own | writes it once; all at once go by `DELETE`, `DROP SERIES`, `DROP MEASUREMENT` |
//! | database | | `CREATE DATABASE`, `DROP DATABASE` |
//! | inside | a measurement in such a database, one point | overwrites it; it goes with its database |

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::OWNERS;
use super::support::lock;
use super::support::long_run::Violation;
use super::support::long_run::cells::{Begun, Cells};
use super::support::long_run::model::{Bound, Content, Found, Look, Outcome, Wrong};

/// Registers of an owner in each database.
pub const PLACES: usize = 3;

/// Databases of an owner.
pub const OWN_DATABASES: usize = 2;

/// A thing, among its owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Register { database: usize, place: usize },
    Named { database: usize },
    Copy { database: usize },
    Element { database: usize, number: u64 },
    Database { number: usize },
    Inside { number: usize },
}

/// All owners' pages.
pub struct Book {
    begun: Instant,
    pages: Vec<Mutex<Page>>,
}

/// What one owner has.
#[derive(Debug, Default)]
pub struct Page {
    cells: Cells<Key>,
    /// Reads under way.
    readers: usize,
}

/// What was known when a read began.
pub type Bounds = BTreeMap<Key, Bound>;

impl Book {
    pub fn new(begun: Instant) -> Self {
        Self {
            begun,
            pages: (0..OWNERS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Since the run began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// An owner's page.
    pub fn page(&self, owner: usize) -> MutexGuard<'_, Page> {
        lock(&self.pages[owner])
    }

    /// Begins a read of all things that it `covers`.
    pub fn open(&self, covers: impl Fn(usize, &Key) -> bool) -> Vec<Bounds> {
        (0..OWNERS)
            .map(|owner| self.page(owner).open(|key| covers(owner, key)))
            .collect()
    }

    /// Ends a read that showed nothing.
    pub fn abandon(&self) {
        for owner in 0..OWNERS {
            self.page(owner).readers -= 1;
        }
    }

    /// Ends a read, and says what was wrong in it. `look` tells what each thing was found as.
    pub fn close(
        &self,
        bounds: &[Bounds],
        covers: impl Fn(usize, &Key) -> bool,
        found: &BTreeMap<(usize, Key), Found>,
        look: Look,
    ) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (owner, bounds) in bounds.iter().enumerate() {
            let mut page = self.page(owner);
            page.readers -= 1;
            let mut wrong = |key: Key, wrong: Wrong, history: Vec<String>| {
                violations.push(Violation {
                    thing: format!("{key:?} of owner {owner}"),
                    wrong,
                    begun: look.begun,
                    ended: look.ended,
                    history,
                });
            };
            for (key, cell) in page.cells.all_mut().filter(|(key, _)| covers(owner, key)) {
                let bound = bounds.get(key).copied().unwrap_or_default();
                let found = found.get(&(owner, *key)).copied();
                let look = Look {
                    found: found.unwrap_or(Found::Nothing),
                    ..look
                };
                if let Err(how) = cell.judge(bound, look) {
                    let mut history = cell.history(bound, look.ended);
                    history.push(look.told());
                    wrong(*key, how, history);
                }
            }
            let strange = found
                .iter()
                .filter(|((of, key), _)| *of == owner && !page.cells.knows(key));
            for ((_, key), found) in strange {
                let look = Look {
                    found: *found,
                    ..look
                };
                let forgotten =
                    matches!(key, Key::Element { number, .. } if page.cells.has_given(*number));
                let how = if forgotten {
                    Wrong::Risen
                } else {
                    Wrong::NeverSent
                };
                wrong(*key, how, vec![look.told()]);
            }
        }
        violations
    }
}

impl Page {
    /// A value, or the number of an element, that was not there before.
    pub fn new_value(&mut self) -> u64 {
        self.cells.new_value()
    }

    /// What a thing holds, if there is no doubt of it.
    pub fn certain(&self, key: Key) -> Option<Content> {
        self.cells.certain(key)
    }

    /// The elements of a set that may be there.
    pub fn elements(&self, of: usize) -> Vec<Key> {
        self.cells
            .all()
            .filter(|(key, _)| matches!(key, Key::Element { database, .. } if *database == of))
            .filter(|(_, cell)| cell.certain() != Some(Content::Gone))
            .map(|(key, _)| *key)
            .collect()
    }

    /// Notes that things are about to be changed, before the request is sent.
    pub fn begin(
        &mut self,
        what: &'static str,
        contents: &[(Key, Content)],
        at: Duration,
    ) -> Begun<Key> {
        self.cells.begin(what, contents, at)
    }

    /// Notes what came of it, after the answer.
    pub fn end(&mut self, begun: &Begun<Key>, outcome: Outcome, at: Duration) {
        self.cells.end(begun, outcome, at);
        // Elements that are gone for certain are forgotten, but not while a read that began earlier may still show them.
        if self.readers == 0 {
            self.cells
                .forget_gone(|key| matches!(key, Key::Element { .. }));
        }
    }

    fn open(&mut self, covers: impl Fn(&Key) -> bool) -> Bounds {
        self.readers += 1;
        self.cells
            .all()
            .filter(|(key, _)| covers(key))
            .map(|(key, cell)| (*key, cell.bound()))
            .collect()
    }
}
