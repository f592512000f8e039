//! Each kind of damage that the run is there to find is done by hand, and found.

use std::collections::BTreeMap;
use std::time::Instant;

use super::DATABASES;
use super::asks::Ask;
use super::book::{Book, Key};
use super::clients::{Client, Run};
use super::finish;
use super::names::own_database;
use super::support::Influxd;
use super::support::long_run::Events;
use super::support::long_run::Tally;
use super::support::long_run::Violations;
use super::support::long_run::model::{Content, Found, Look, Outcome, Wrong};

const REGISTER: Key = Key::Register {
    database: 0,
    place: 0,
};
const ASK_REGISTER: Ask = Ask::Register {
    owner: 0,
    database: 0,
    place: 0,
};
const SET: Ask = Ask::Set {
    owner: 0,
    database: 0,
};

/// A node, and what is said to have been done to it.
struct Bench {
    _folder: tempfile::TempDir,
    node: Influxd,
    book: Book,
    events: Events,
}

impl Bench {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let node = Influxd::start(folder.path());
        for database in DATABASES {
            node.create_database(database);
        }
        Self {
            _folder: folder,
            node,
            book: Book::new(Instant::now()),
            events: Events::new(Instant::now()),
        }
    }

    /// Forgets what was said.
    fn forget(&mut self) {
        self.book = Book::new(Instant::now());
    }

    /// Says that owner 0 changed something.
    fn say(&self, key: Key, content: Content, outcome: Option<Outcome>) {
        let (mut page, at) = (self.book.page(0), self.book.elapsed());
        let begun = page.begin("a change", &[(key, content)], at);
        if let Some(outcome) = outcome {
            page.end(&begun, outcome, at);
        }
    }

    fn write(&self, lines: &str) {
        assert_eq!(self.node.write(DATABASES[0], lines).status, 204);
    }

    fn write_register(&self, value: u64) {
        self.write(&format!("register_0_0,owner=0,place=0 v={value}i 0"));
    }

    /// What is wrong in what a read shows, by kind.
    fn read(&self, ask: Ask) -> Vec<Wrong> {
        let violations = Violations::new(&self.events);
        let run = Run {
            address: &self.node.address(),
            book: &self.book,
            tally: &Tally::default(),
            violations: &violations,
            alone: true,
        };
        let mut client = Client::new(run, 0, fastrand::Rng::new());
        assert!(client.read(&[ask]), "the node answers");
        let kinds = [
            Wrong::Stale,
            Wrong::Lost,
            Wrong::Risen,
            Wrong::WentBack,
            Wrong::NeverSent,
        ];
        let found = kinds.into_iter();
        found.filter(|kind| violations.count(*kind) > 0).collect()
    }
}

#[test]
fn what_a_read_of_one_thing_shows_is_judged() {
    use Content::{Gone, Value};
    use Outcome::{Acknowledged, TurnedAway, Unknown};
    let mut bench = Bench::start();
    assert_eq!(bench.read(ASK_REGISTER), []);
    bench.say(REGISTER, Value(1), Some(Acknowledged));
    assert_eq!(bench.read(ASK_REGISTER), [Wrong::Lost]);
    bench.write_register(1);
    assert_eq!(bench.read(ASK_REGISTER), []);
    bench.write_register(77);
    assert_eq!(bench.read(ASK_REGISTER), [Wrong::NeverSent]);

    // Turned away is not done; in doubt, it may be.
    bench.write_register(2);
    bench.say(REGISTER, Value(2), Some(TurnedAway));
    assert_eq!(bench.read(ASK_REGISTER), [Wrong::NeverSent]);
    bench.write_register(3);
    bench.say(REGISTER, Value(3), Some(Unknown));
    bench.write_register(1);
    assert_eq!(bench.read(ASK_REGISTER), []);
    bench.write_register(3);
    assert_eq!(bench.read(ASK_REGISTER), []);
    // It has been shown, so it is done.
    bench.write_register(1);
    assert_eq!(bench.read(ASK_REGISTER), [Wrong::WentBack]);

    // The same with one that is under way.
    bench.say(REGISTER, Value(4), None);
    bench.write_register(3);
    assert_eq!(bench.read(ASK_REGISTER), []);
    bench.write_register(4);
    assert_eq!(bench.read(ASK_REGISTER), []);
    bench.write_register(3);
    assert_eq!(bench.read(ASK_REGISTER), [Wrong::WentBack]);

    bench.say(REGISTER, Value(5), Some(Acknowledged));
    assert_eq!(bench.read(ASK_REGISTER), [Wrong::Stale]);
    let database = 0;
    assert_eq!(bench.read(Ask::Registers { database }), [Wrong::Stale]);
    bench.say(REGISTER, Gone, Some(Acknowledged));
    assert_eq!(bench.read(ASK_REGISTER), [Wrong::Risen]);
    bench.node.query(DATABASES[0], "DELETE FROM register_0_0");
    assert_eq!(bench.read(ASK_REGISTER), []);

    // A point that is somewhere else is no point of the register.
    bench.forget();
    bench.say(REGISTER, Value(1), Some(Acknowledged));
    bench.write("register_0_0,owner=0,place=0 v=1i 5000000000");
    assert_eq!(bench.read(ASK_REGISTER), [Wrong::NeverSent]);
}

#[test]
fn what_a_read_of_many_things_shows_is_judged() {
    use Content::{Gone, Value};
    use Outcome::Acknowledged;
    let bench = Bench::start();
    let element = |number| Key::Element {
        database: 0,
        number,
    };
    for number in 1..=3 {
        assert_eq!(bench.book.page(0).new_value(), number);
        bench.say(element(number), Value(number), Some(Acknowledged));
        bench.write(&format!("set_0,owner=0 v={number}i {number}000000000"));
    }
    assert_eq!(bench.read(SET), []);
    bench
        .node
        .query(DATABASES[0], "DELETE FROM set_0 WHERE time = 2s");
    assert_eq!(bench.read(SET), [Wrong::Lost]);
    bench.say(element(2), Gone, Some(Acknowledged));
    assert_eq!(bench.read(SET), []);
    bench.write("set_0,owner=0 v=2i 2000000000");
    assert_eq!(bench.read(SET), [Wrong::Risen]);
    bench.write("set_0,owner=0 v=4i 4000000000");
    assert_eq!(bench.read(SET), [Wrong::Risen, Wrong::NeverSent]);

    let (database, own) = (Key::Database { number: 1 }, own_database(0, 1));
    bench.say(database, Value(9), Some(Acknowledged));
    assert_eq!(bench.read(Ask::Databases), [Wrong::Lost]);
    bench.node.create_database(&own);
    assert_eq!(bench.read(Ask::Databases), []);
    bench.say(database, Gone, Some(Acknowledged));
    assert_eq!(bench.read(Ask::Databases), [Wrong::Risen]);
    // What goes with its database is not there, and that is no error.
    let inside = Ask::Inside {
        owner: 0,
        number: 0,
    };
    assert_eq!(bench.read(inside), []);
    bench.say(Key::Inside { number: 0 }, Value(1), Some(Acknowledged));
    assert_eq!(bench.read(inside), [Wrong::Lost]);

    let (named, measurements) = (
        Key::Named { database: 0 },
        Ask::Measurements { database: 0 },
    );
    bench.say(named, Value(1), Some(Acknowledged));
    assert_eq!(bench.read(measurements), [Wrong::Lost]);
    bench.write("named_0 v=1i 0");
    assert_eq!(bench.read(measurements), []);
    bench.say(named, Gone, Some(Acknowledged));
    assert_eq!(bench.read(measurements), [Wrong::Risen]);
}

#[test]
fn a_read_may_show_what_happens_while_it_is_under_way() {
    use Outcome::Acknowledged;
    let book = Book::new(Instant::now());
    let covers = |owner, key: &Key| ASK_REGISTER.covers(owner, key);
    let write = |value| {
        let (mut page, at) = (book.page(0), book.elapsed());
        page.begin("a change", &[(REGISTER, Content::Value(value))], at)
    };
    let end = |begun| book.page(0).end(&begun, Acknowledged, book.elapsed());
    let look = |client| Look {
        client,
        request: 0,
        begun: book.elapsed(),
        ended: book.elapsed(),
        found: Found::Nothing,
    };
    let shows = |value| BTreeMap::from([((0, REGISTER), Found::Value(value))]);
    end(write(1));
    for value in [1, 2, 3] {
        let bounds = book.open(covers);
        end(write(2));
        let third = write(3);
        let wrong = book.close(&bounds, covers, &shows(value), look(0));
        assert!(wrong.is_empty(), "{value} is one of those");
        end(third);
        end(write(1));
    }
    let bounds = book.open(covers);
    let wrong = book.close(&bounds, covers, &shows(2), look(0));
    assert_eq!(wrong[0].wrong, Wrong::Stale);
}

#[test]
fn nodes_that_differ_are_found() {
    let (left, right) = (Bench::start(), Bench::start());
    let differ = || {
        let violations = Violations::new(&left.events);
        finish::same([&left.node, &right.node], &left.book, &violations);
        !violations.is_empty()
    };
    assert!(!differ());
    left.write_register(1);
    assert!(differ());
    right.write_register(1);
    assert!(!differ());
    right.node.create_database("another");
    assert!(differ());
}
