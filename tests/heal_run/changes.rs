//! What an owner changes, and what each change leaves.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

use fastrand::Rng;

use super::asks::{EXTRA, own};
use super::book::{Book, Key, Page, is_written};
use super::support::http::query_string;
use super::support::lock;
use super::support::long_run::Request;
use super::support::long_run::model::Content;
use super::support::long_run::questions::query;
use super::things::{DATABASES, FIELDS, Kind, POLICIES, Thing, content, identifier};

/// The database of what is written once.
pub const COUNTED_IN: &str = DATABASES[0];

/// Between two points that are written once: some hundred are in a shard group of the first policy.
pub const COUNTED_STEP: u64 = 600_000_000_000;

/// A change that is about to be made. Nothing stands in its way.
pub struct Plan {
    pub what: &'static str,
    pub contents: Vec<(Key, Content)>,
    /// Numbers that are written once.
    pub numbers: Range<u64>,
    pub request: Request,
}

/// Chooses a change to what `owner` has.
pub fn any(rng: &mut Rng, owner: usize, book: &Book, page: &mut Page, mark: &str) -> Plan {
    let mut changer = Changer {
        owner,
        things: &book.things[owner],
        rng,
        page,
        mark,
    };
    match changer.rng.u8(..100) {
        0..68 => changer.write(),
        68..76 => changer.delete(false),
        76..80 => changer.delete(true),
        80..86 => changer.count(book),
        86..94 => changer.write_inside(),
        94..97 => changer.create(),
        _ => changer.drop_one(),
    }
}

struct Changer<'a> {
    owner: usize,
    things: &'a [Thing],
    rng: &'a mut Rng,
    page: &'a mut Page,
    mark: &'a str,
}

impl Changer<'_> {
    /// Some fields of some points of one database and policy.
    fn write(&mut self) -> Plan {
        let database = self.rng.usize(..DATABASES.len());
        let policy = self.rng.usize(..POLICIES.len());
        let (mut lines, mut contents) = (String::new(), Vec::new());
        let mut chosen = BTreeSet::new();
        for _ in 0..self.rng.usize(1..6) {
            chosen.insert(self.rng.usize(..self.things.len()));
        }
        for place in chosen {
            let thing = &self.things[place];
            if thing.database != database || !is_written(thing) || self.page.is_held(place) {
                continue;
            }
            let number = self.page.new_value();
            let mut fields = Vec::new();
            let first = self.rng.usize(..FIELDS.len());
            for field in 0..FIELDS.len() {
                if field == first || self.rng.bool() {
                    let content = content(field, number);
                    fields.push((field, content));
                    let key = Key::Field {
                        thing: place,
                        policy,
                        field,
                    };
                    contents.push((key, Content::Value(content)));
                }
            }
            lines.push_str(&thing.line(&fields));
        }
        if contents.is_empty() {
            return self.write_inside();
        }
        self.lines(
            "write",
            DATABASES[database],
            POLICIES[policy],
            lines,
            contents,
        )
    }

    /// A point of its own measurement goes from all policies.
    fn delete(&mut self, drop: bool) -> Plan {
        let free =
            |place: &usize| self.things[*place].kind == Kind::Solo && !self.page.is_held(*place);
        let free: Vec<usize> = (0..self.things.len()).filter(free).collect();
        let Some(place) = self.rng.choice(free) else {
            return self.write();
        };
        let thing = &self.things[place];
        let contents = Book::keys_of(place).map(|key| (key, Content::Gone));
        let contents = contents.collect();
        let (what, text) = match (drop, self.rng.bool()) {
            (true, _) => (
                "drop measurement",
                format!("DROP MEASUREMENT {}", identifier(&thing.measurement)),
            ),
            (false, true) => ("delete", thing.delete()),
            (false, false) => (
                "delete",
                format!("DELETE FROM {}", identifier(&thing.measurement)),
            ),
        };
        self.statement(what, DATABASES[thing.database], text, contents)
    }

    /// Points that are written once.
    fn count(&mut self, book: &Book) -> Plan {
        let lines = self.rng.u64(1..12);
        let numbers = lock(&book.counted[self.owner]).take(lines);
        let mut body = String::new();
        for number in numbers.clone() {
            let time = number * COUNTED_STEP;
            let _ = writeln!(body, "counted,client={} v={number}i {time}", self.owner);
        }
        let plan = self.lines("count", COUNTED_IN, "", body, Vec::new());
        Plan { numbers, ..plan }
    }

    fn write_inside(&mut self) -> Plan {
        let policy = self.rng.usize(..2);
        let there = [Key::Database, Key::Policy].map(|key| self.page.certain(key));
        match (policy, there) {
            (_, [None, _]) => return self.drop_database(),
            (_, [Some(Content::Gone), _]) => return self.create_database(),
            (1, [_, None]) => return self.drop_policy(),
            (1, [_, Some(Content::Gone)]) => return self.create_policy(),
            _ => {}
        }
        let number = self.page.new_value();
        let contents = vec![(Key::Inside { policy }, Content::Value(number))];
        let name = ["autogen", EXTRA][policy];
        let line = format!("inside v={number}i 1000000000000000000");
        self.lines("write inside", &own(self.owner), name, line, contents)
    }

    fn create(&mut self) -> Plan {
        match self.page.certain(Key::Database) {
            Some(Content::Value(_)) if self.rng.bool() => self.create_policy(),
            _ => self.create_database(),
        }
    }

    fn drop_one(&mut self) -> Plan {
        match self.page.certain(Key::Database) {
            Some(Content::Value(_)) if self.rng.bool() => self.drop_policy(),
            _ => self.drop_database(),
        }
    }

    fn create_database(&mut self) -> Plan {
        let contents = vec![(Key::Database, Content::Value(self.page.new_value()))];
        let text = format!("CREATE DATABASE {}", identifier(&own(self.owner)));
        self.statement("create database", "", text, contents)
    }

    fn create_policy(&mut self) -> Plan {
        let contents = vec![(Key::Policy, Content::Value(self.page.new_value()))];
        let text = format!(
            "CREATE RETENTION POLICY {} ON {} DURATION INF REPLICATION 1 SHARD DURATION 1d",
            identifier(EXTRA),
            identifier(&own(self.owner))
        );
        self.statement("create policy", "", text, contents)
    }

    fn drop_database(&mut self) -> Plan {
        let gone = [
            Key::Database,
            Key::Policy,
            Key::Inside { policy: 0 },
            Key::Inside { policy: 1 },
        ];
        let contents = gone.map(|key| (key, Content::Gone)).into();
        let text = format!("DROP DATABASE {}", identifier(&own(self.owner)));
        self.statement("drop database", "", text, contents)
    }

    fn drop_policy(&mut self) -> Plan {
        let gone = [Key::Policy, Key::Inside { policy: 1 }];
        let contents = gone.map(|key| (key, Content::Gone)).into();
        let text = format!(
            "DROP RETENTION POLICY {} ON {}",
            identifier(EXTRA),
            identifier(&own(self.owner))
        );
        self.statement("drop policy", "", text, contents)
    }

    fn lines(
        &mut self,
        what: &'static str,
        database: &str,
        policy: &str,
        lines: String,
        contents: Vec<(Key, Content)>,
    ) -> Plan {
        let parameters = [("db", database), ("rp", policy), ("n", self.mark)];
        Plan {
            what,
            contents,
            numbers: 0..0,
            request: Request {
                method: "POST",
                target: format!("/write?{}", query_string(&parameters)),
                header: Some(("Content-Type", "text/plain")),
                body: lines.into_bytes(),
            },
        }
    }

    fn statement(
        &mut self,
        what: &'static str,
        database: &str,
        text: String,
        contents: Vec<(Key, Content)>,
    ) -> Plan {
        Plan {
            what,
            contents,
            numbers: 0..0,
            request: query(self.rng, database, &text, self.mark),
        }
    }
}
