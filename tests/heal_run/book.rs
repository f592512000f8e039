//! What is known of all that clients change: of each field of each point in each policy, and of databases and policies that come
//! and go.
//!
//! What is planted on a node past haflux is a change too, whose outcome a mend decides; until then no read of it is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::OWNERS;
use super::support::lock;
use super::support::long_run::Violation;
use super::support::long_run::cells::{Begun, Cells};
use super::support::long_run::model::{Bound, Content, Found, Look, Outcome};
use super::support::long_run::numbers::Series;
use super::things::{FIELDS, Kind, POLICIES, Thing, things};

/// Something that is there or not, among its owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// By the places of point, policy and field.
    Field {
        thing: usize,
        policy: usize,
        field: usize,
    },
    /// The owner's database.
    Database,
    /// Its second policy.
    Policy,
    /// A value in one of its policies.
    Inside { policy: usize },
}

/// All owners' pages.
pub struct Book {
    begun: Instant,
    pages: Vec<Mutex<Page>>,
    /// What each owner has.
    pub things: Vec<Vec<Thing>>,
    /// Points that each client writes once.
    pub counted: Vec<Mutex<Series>>,
}

/// What is known of what one owner has.
#[derive(Default)]
pub struct Page {
    cells: Cells<Key>,
    /// How often judging a key was ended and begun again: odd while it is not judged.
    epochs: BTreeMap<Key, u32>,
    /// Points that their owner leaves alone.
    held: BTreeSet<usize>,
}

/// What was known of keys when a read began: their owner, what they hold at least, and their epoch.
pub type Bounds = BTreeMap<(usize, Key), (Bound, u32)>;

impl Book {
    pub fn new(begun: Instant) -> Self {
        Self {
            begun,
            pages: (0..OWNERS).map(|_| Mutex::default()).collect(),
            things: (0..OWNERS).map(things).collect(),
            counted: (0..OWNERS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Since the run began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub fn page(&self, owner: usize) -> MutexGuard<'_, Page> {
        lock(&self.pages[owner])
    }

    /// The fields of a point in all policies.
    pub fn keys_of(thing: usize) -> impl Iterator<Item = Key> {
        (0..POLICIES.len()).flat_map(move |policy| {
            (0..FIELDS.len()).map(move |field| Key::Field {
                thing,
                policy,
                field,
            })
        })
    }

    /// The points of a measurement.
    pub fn things_in(&self, owner: usize, database: usize, measurement: &str) -> Vec<usize> {
        let things = self.things[owner].iter().enumerate();
        let of = things
            .filter(|(_, thing)| thing.database == database && thing.measurement == measurement);
        of.map(|(place, _)| place).collect()
    }

    /// Begins a read of these.
    pub fn open(&self, keys: &[(usize, Key)]) -> Bounds {
        let mut bounds = Bounds::new();
        for (owner, key) in keys {
            let mut page = self.page(*owner);
            let bound = page.cells.of(*key).bound();
            bounds.insert((*owner, *key), (bound, page.epoch(*key)));
        }
        bounds
    }

    /// Ends a read, and says what was wrong in it. `look` tells what each was found as.
    pub fn close(
        &self,
        bounds: &Bounds,
        found: &BTreeMap<(usize, Key), Found>,
        look: Look,
    ) -> Vec<Violation> {
        let mut violations = Vec::new();
        for ((owner, key), (bound, epoch)) in bounds {
            let mut page = self.page(*owner);
            if epoch % 2 == 1 || page.epoch(*key) != *epoch {
                continue;
            }
            let found = found.get(&(*owner, *key)).copied();
            let look = Look {
                found: found.unwrap_or(Found::Nothing),
                ..look
            };
            let cell = page.cells.of(*key);
            if let Err(wrong) = cell.judge(*bound, look) {
                let mut history = cell.history(*bound, look.ended);
                history.push(look.told());
                violations.push(Violation {
                    thing: format!("{key:?} of owner {owner}: {}", self.told(*owner, *key)),
                    wrong,
                    begun: look.begun,
                    ended: look.ended,
                    history,
                });
            }
        }
        violations
    }

    fn told(&self, owner: usize, key: Key) -> String {
        match key {
            Key::Field {
                thing,
                policy,
                field,
            } => {
                let thing = &self.things[owner][thing];
                let series = thing.series(policy);
                format!("{series} {} at {}", FIELDS[field], thing.time)
            }
            _ => String::new(),
        }
    }
}

impl Page {
    /// A value that was not there before.
    pub fn new_value(&mut self) -> u64 {
        self.cells.new_value()
    }

    /// What a key holds, if there is no doubt of it.
    pub fn certain(&self, key: Key) -> Option<Content> {
        self.cells.certain(key)
    }

    /// Notes that keys are about to be changed, before anything is sent.
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
    }

    /// The same of one key.
    pub fn end_of(&mut self, begun: &Begun<Key>, key: Key, outcome: Outcome, at: Duration) {
        self.cells.end_of(begun, key, outcome, at);
    }

    /// Whether its owner leaves a point alone.
    pub fn is_held(&self, thing: usize) -> bool {
        self.held.contains(&thing)
    }

    /// From here on its owner leaves a point alone, or does not any more.
    pub fn hold(&mut self, thing: usize, is_held: bool) {
        if is_held {
            self.held.insert(thing);
        } else {
            self.held.remove(&thing);
        }
    }

    /// From here on reads of a key are judged, or not any more.
    pub fn judge(&mut self, key: Key, is_judged: bool) {
        let epoch = self.epochs.entry(key).or_default();
        if (*epoch).is_multiple_of(2) != is_judged {
            *epoch += 1;
        }
    }

    fn epoch(&self, key: Key) -> u32 {
        self.epochs.get(&key).copied().unwrap_or(0)
    }
}

/// Whether clients write it.
pub fn is_written(thing: &Thing) -> bool {
    thing.kind != Kind::Wild
}
