//! What is planted on a node past haflux, and what a mend makes of it.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::OWNERS;
use super::asks::Ask;
use super::book::{Book, Key};
use super::changes::{COUNTED_IN, COUNTED_STEP};
use super::operator::{Difference, Operator};
use super::support::http::{self, query_string};
use super::support::lock;
use super::support::long_run::Connection;
use super::support::long_run::cells::Begun;
use super::support::long_run::model::{Content, Found, Outcome};
use super::support::long_run::replies::results_of;
use super::things::{DATABASES, Kind, POLICIES, content};

/// How often a statement is tried.
const TRIES: u32 = 20;

/// What one point is on one node, and not on the others.
struct Plant {
    owner: usize,
    thing: usize,
    begun: Begun<Key>,
    /// Each field that differs: what it is elsewhere, and there.
    differ: Vec<(Key, Content, Content)>,
    /// Keys that are not judged.
    unjudged: Vec<Key>,
}

/// All that is planted at a time.
pub struct Plants {
    pub node: usize,
    plants: Vec<Plant>,
    /// Where compare must find something, and where it may: how the names of places begin.
    must: Vec<String>,
    may: Vec<String>,
    /// A mend must not make the others like this node: clients were told that what is missing here is there.
    pub others_are_right: bool,
    calm: Option<u64>,
}

/// What a mend was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mended {
    /// All hold what a node holds on which nothing was planted.
    Right,
    /// All hold what was planted.
    Planted,
    /// All hold what any of them holds.
    Union,
}

/// Plants on a node, when everything is up and calm.
pub fn plant(operator: &Operator<'_>, node: usize, rng: &mut Rng) -> Plants {
    let mut plants = Plants {
        node,
        plants: Vec::new(),
        must: Vec::new(),
        may: Vec::new(),
        others_are_right: false,
        calm: operator.calm.now(),
    };
    for _ in 0..rng.usize(1..8) {
        let owner = rng.usize(..OWNERS);
        let thing = rng.usize(..operator.run.book.things[owner].len());
        plants.point(operator, owner, thing, rng);
    }
    if rng.u8(..4) == 0 {
        plants.counted(operator, rng);
    }
    if rng.u8(..6) == 0 {
        plants.type_of_a_field(operator, rng);
    }
    plants
}

impl Plants {
    pub fn is_empty(&self) -> bool {
        self.must.is_empty()
    }

    fn address<'a>(&self, operator: &'a Operator<'_>) -> &'a str {
        &operator.nodes[self.node].1
    }

    /// Makes a point another one.
    fn point(&mut self, operator: &Operator<'_>, owner: usize, place: usize, rng: &mut Rng) {
        let book = operator.run.book;
        let thing = &book.things[owner][place];
        let Some(truth) = hold(book, owner, place) else {
            return;
        };
        if operator.settle().is_err() {
            book.page(owner).hold(place, false);
            return;
        }
        let mut there = truth.clone();
        let policy = rng.usize(..POLICIES.len());
        let in_policy = |key: &Key| matches!(key, Key::Field { policy: of, .. } if *of == policy);
        let number = book.page(owner).new_value();
        match rng.u8(..4) {
            // Gone.
            0 => there.values_mut().for_each(|held| *held = Content::Gone),
            // Gone from one policy.
            1 => there
                .iter_mut()
                .filter(|(key, _)| in_policy(key))
                .for_each(|(_, held)| *held = Content::Gone),
            // Without some fields.
            2 => there
                .values_mut()
                .filter(|_| rng.u8(..3) == 0)
                .for_each(|held| *held = Content::Gone),
            // Other values, or more fields.
            _ => there
                .iter_mut()
                .filter(|(key, _)| in_policy(key) && rng.bool())
                .for_each(|(key, held)| *held = Content::Value(value_of(key, number))),
        }
        let differ = truth.iter().zip(there.values());
        let differ = differ.filter(|((_, truth), there)| truth != there);
        let differ: Vec<(Key, Content, Content)> = differ
            .map(|((key, truth), there)| (*key, *truth, *there))
            .collect();
        if differ.is_empty() {
            book.page(owner).hold(place, false);
            return;
        }
        // What lies between points that a mend deletes at once goes too for a moment.
        let others = book.things[owner].iter().enumerate().filter(|(_, other)| {
            other.database == thing.database
                && other.measurement == thing.measurement
                && other.tags == thing.tags
        });
        let unjudged: Vec<Key> = others.flat_map(|(place, _)| Book::keys_of(place)).collect();
        let begun = {
            let mut page = book.page(owner);
            let at = book.elapsed();
            let contents = differ.iter().map(|(key, _, there)| (*key, *there));
            let begun = page.begin("planted", &contents.collect::<Vec<_>>(), at);
            for key in &unjudged {
                page.judge(*key, false);
            }
            begun
        };
        let removes = differ.iter().any(|(_, _, there)| *there == Content::Gone);
        operator.events.note(format!(
            "planted on {}: {} at {}: {differ:?}",
            operator.name(self.node),
            thing.series(policy),
            thing.time
        ));
        let database = DATABASES[thing.database];
        if removes {
            operator.excuse(self.node);
            state(self.address(operator), database, &thing.delete());
        }
        for (policy, name) in POLICIES.iter().enumerate() {
            let fields = there.iter().filter_map(|(key, held)| match (key, held) {
                (
                    Key::Field {
                        policy: of, field, ..
                    },
                    Content::Value(content),
                ) if *of == policy => {
                    let is_changed = differ.iter().any(|(changed, _, _)| changed == key);
                    (removes || is_changed).then_some((*field, *content))
                }
                _ => None,
            });
            let fields: Vec<(usize, u64)> = fields.collect();
            if !fields.is_empty() {
                write(self.address(operator), database, name, &thing.line(&fields));
            }
            self.may.push(thing.series(policy));
        }
        for (key, _, _) in &differ {
            if let Key::Field { policy, .. } = key {
                self.must.push(thing.series(*policy));
            }
        }
        self.plants.push(Plant {
            owner,
            thing: place,
            begun,
            differ,
            unjudged,
        });
    }

    /// Removes points that were written once.
    fn counted(&mut self, operator: &Operator<'_>, rng: &mut Rng) {
        let owner = rng.usize(..OWNERS);
        let sent = lock(&operator.run.book.counted[owner]).sent;
        if sent < 20 || operator.settle().is_err() {
            return;
        }
        let from = rng.u64(..sent - 10);
        let until = (from + rng.u64(1..3000)).min(sent - 5);
        let acknowledged = lock(&operator.run.book.counted[owner])
            .acknowledged(from..until)
            .count();
        if acknowledged == 0 {
            return;
        }
        operator.excuse(self.node);
        let text = format!(
            "DELETE FROM counted WHERE client = '{owner}' AND time >= {} AND time < {}",
            from * COUNTED_STEP,
            until * COUNTED_STEP
        );
        operator
            .events
            .note(format!("planted on {}: {text}", operator.name(self.node)));
        state(self.address(operator), COUNTED_IN, &text);
        let series = format!("{COUNTED_IN}.autogen.counted,client={owner}");
        self.must.push(series.clone());
        self.may.push(series);
        self.others_are_right = true;
    }

    /// Gives a new field another type than it has on the other nodes.
    fn type_of_a_field(&mut self, operator: &Operator<'_>, rng: &mut Rng) {
        let book = operator.run.book;
        let owner = rng.usize(..OWNERS);
        let place = rng.usize(..book.things[owner].len());
        let thing = &book.things[owner][place];
        if thing.kind == Kind::Solo {
            return;
        }
        let policy = rng.usize(..POLICIES.len());
        let number = book.page(owner).new_value();
        let name = format!("t{number}");
        // A measurement with another type is dropped and copied.
        let others = book.things_in(owner, thing.database, &thing.measurement);
        let unjudged: Vec<Key> = others.into_iter().flat_map(Book::keys_of).collect();
        let begun = {
            let mut page = book.page(owner);
            for key in &unjudged {
                page.judge(*key, false);
            }
            page.begin("planted", &[], book.elapsed())
        };
        operator.excuse(self.node);
        operator.events.note(format!(
            "planted on {}: type of {name} in {} at {}",
            operator.name(self.node),
            thing.series(policy),
            thing.time
        ));
        for (node, (_, address)) in operator.nodes.iter().enumerate() {
            let value = ["1i", "1.5"][usize::from(node == self.node)];
            let line = thing.line_of([(name.as_str(), value.to_owned())]);
            write(address, DATABASES[thing.database], POLICIES[policy], &line);
        }
        let measurement = format!(
            "{}.{}.{}",
            DATABASES[thing.database], POLICIES[policy], thing.measurement
        );
        self.must.push(format!("{measurement} {name}"));
        self.may.push(format!("{measurement} {name}"));
        self.plants.push(Plant {
            owner,
            thing: place,
            begun,
            differ: Vec::new(),
            unjudged,
        });
    }

    /// Owners may change these points again.
    pub fn let_go(&self, operator: &Operator<'_>) {
        for plant in &self.plants {
            operator.run.book.page(plant.owner).hold(plant.thing, false);
        }
    }

    /// Judges what compare found, while owners leave these points alone.
    pub fn judge_compare(&self, operator: &Operator<'_>, found: &[Difference]) {
        let begins = |place: &str, with: &String| place.starts_with(with.as_str());
        for difference in found {
            if !self.may.iter().any(|may| begins(&difference.place, may)) {
                operator.complain(
                    "compare tells what was not planted",
                    difference.told.clone(),
                );
            }
        }
        if operator.calm.now() != self.calm || self.calm.is_none() {
            return;
        }
        for must in &self.must {
            if !found.iter().any(|one| begins(&one.place, must)) && self.is_there(operator) {
                let told: Vec<&str> = found.iter().map(|one| one.told.as_str()).collect();
                operator.complain(
                    "compare does not tell what was planted",
                    format!("{must}: not in\n{}", told.join("\n")),
                );
            }
        }
    }

    /// Whether all that was planted is on the node still: haflux may have sent it again what it had.
    fn is_there(&self, operator: &Operator<'_>) -> bool {
        let book = operator.run.book;
        self.plants.iter().all(|plant| {
            let thing = &book.things[plant.owner][plant.thing];
            (0..POLICIES.len()).all(|policy| {
                let ask = Ask::Measurement {
                    owner: plant.owner,
                    database: thing.database,
                    policy,
                    measurement: thing.measurement.clone(),
                };
                let request = ask.request(&mut Rng::with_seed(0), "operator");
                let reply = Connection::new(self.address(operator)).send(&request);
                let Ok(results) = results_of(&reply, 1) else {
                    return false;
                };
                let found = ask.found(book, &results[0]).unwrap_or_default();
                plant.differ.iter().all(|(key, _, there)| {
                    let is_asked = matches!(key, Key::Field { policy: of, .. } if *of == policy);
                    let shown = found.get(&(plant.owner, *key)).copied();
                    let there = match there {
                        Content::Gone => None,
                        Content::Value(value) => Some(Found::Value(*value)),
                    };
                    !is_asked || shown == there
                })
            })
        })
    }

    /// Notes what a mend that is over has made of what was planted. `was_rebuilt`: the node was rebuilt meanwhile. What
    /// contradicts is left by a union.
    pub fn mended(&mut self, operator: &Operator<'_>, how: Mended, was_rebuilt: bool) {
        let calm = self.calm.is_some() && operator.calm.now() == self.calm && !was_rebuilt;
        let book = operator.run.book;
        let at = book.elapsed();
        for plant in &mut self.plants {
            let mut page = book.page(plant.owner);
            plant.differ.retain(|(key, truth, there)| {
                let wins =
                    match (how, truth, there) {
                        (Mended::Right, _, _)
                        | (Mended::Union, Content::Value(_), Content::Gone) => false,
                        (Mended::Planted, _, _)
                        | (Mended::Union, Content::Gone, Content::Value(_)) => true,
                        (Mended::Union, _, _) => return true,
                    };
                let outcome = match (wins, calm) {
                    (false, _) => Outcome::TurnedAway,
                    (true, true) => Outcome::Acknowledged,
                    // A node that was away is sent again what it had.
                    (true, false) => Outcome::Unknown,
                };
                page.end_of(&plant.begun, *key, outcome, at);
                false
            });
        }
    }

    /// From here on all is judged again.
    pub fn over(&self, operator: &Operator<'_>) {
        self.let_go(operator);
        for plant in &self.plants {
            let mut page = operator.run.book.page(plant.owner);
            for key in &plant.unjudged {
                page.judge(*key, true);
            }
        }
    }
}

/// What a point holds, which its owner leaves alone from here on; none if that is not certain, or somebody else holds it.
fn hold(book: &Book, owner: usize, thing: usize) -> Option<BTreeMap<Key, Content>> {
    let mut page = book.page(owner);
    if page.is_held(thing) {
        return None;
    }
    let certain = Book::keys_of(thing).map(|key| Some((key, page.certain(key)?)));
    let certain = certain.collect::<Option<BTreeMap<Key, Content>>>()?;
    page.hold(thing, true);
    Some(certain)
}

fn value_of(key: &Key, number: u64) -> u64 {
    match key {
        Key::Field { field, .. } => content(*field, number),
        _ => number,
    }
}

/// States something at a node, which must carry it out. While somebody drops a policy of the database, InfluxDB may find a shard of
/// that one closed, and gives up.
fn state(address: &str, database: &str, text: &str) {
    let query = query_string(&[("db", database), ("q", text)]);
    let mut said = String::new();
    for _ in 0..TRIES {
        let answer = http::post(&format!("http://{address}/query?{query}"), "");
        said = answer.text();
        if !said.contains("engine is closed") {
            break;
        }
    }
    assert!(!said.contains("error"), "{text}: {said}");
}

fn write(address: &str, database: &str, policy: &str, lines: &str) {
    let query = query_string(&[("db", database), ("rp", policy)]);
    let answer = http::post(&format!("http://{address}/write?{query}"), lines);
    assert_eq!(answer.status, 204, "{lines}: {}", answer.text());
}
