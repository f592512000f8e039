//! What an owner changes, and what each change leaves.

use std::fmt::Write as _;

use fastrand::Rng;

use super::DATABASES;
use super::book::{Key, OWN_DATABASES, PLACES, Page};
use super::names::{copy, named, own_database, register, set};
use super::support::http::query_string;
use super::support::long_run::Request;
use super::support::long_run::model::Content;
use super::support::long_run::questions::query;

/// A set that has grown so far is emptied.
const LARGE: usize = 120;

/// A change that is about to be made. Its database is there for certain, so nothing stands in its way.
pub struct Plan {
    pub what: &'static str,
    pub contents: Vec<(Key, Content)>,
    pub request: Request,
}

/// Chooses a change to what `owner` has.
pub fn any(rng: &mut Rng, owner: usize, page: &mut Page, mark: &str) -> Plan {
    let mut changer = Changer {
        owner,
        database: rng.usize(..DATABASES.len()),
        rng,
        page,
        mark,
    };
    match changer.rng.u8(..100) {
        0..55 => changer.write(),
        55..60 => changer.delete_register(),
        60..66 => changer.drop_named(),
        66..72 => changer.empty_set(),
        72..80 => changer.copy(),
        80..83 => changer.drop_copy(),
        83..93 => changer.write_inside(),
        93..97 => changer.create_database(),
        _ => changer.drop_database(),
    }
}

struct Changer<'a> {
    owner: usize,
    database: usize,
    rng: &'a mut Rng,
    page: &'a mut Page,
    mark: &'a str,
}

impl Changer<'_> {
    /// Some lines for one database.
    fn write(&mut self) -> Plan {
        let (owner, database) = (self.owner, self.database);
        let (mut lines, mut contents) = (String::new(), Vec::new());
        let things = self.rng.usize(1..4);
        for _ in 0..things {
            match self.rng.u8(..10) {
                0..5 => {
                    let place = self.rng.usize(..PLACES);
                    // Written twice, the point ends as the last line says, and nothing shows the first one.
                    let value = self.page.new_value();
                    let key = Key::Register { database, place };
                    contents.retain(|(there, _)| *there != key);
                    contents.push((key, Content::Value(value)));
                    let _ = writeln!(
                        lines,
                        "{},owner={owner},place={place} v={value}i {}",
                        register(owner, place),
                        place as u64 * 1_000_000_000
                    );
                }
                5..7 => {
                    let value = self.page.new_value();
                    let key = Key::Named { database };
                    contents.retain(|(there, _)| *there != key);
                    contents.push((key, Content::Value(value)));
                    let _ = writeln!(lines, "{} v={value}i 0", named(owner));
                }
                _ => {
                    for _ in 0..self.rng.usize(1..12) {
                        let number = self.page.new_value();
                        let key = Key::Element { database, number };
                        contents.push((key, Content::Value(number)));
                        let time = number * 1_000_000_000;
                        let _ = writeln!(lines, "{},owner={owner} v={number}i {time}", set(owner));
                    }
                }
            }
        }
        self.lines("write", DATABASES[database], lines, contents)
    }

    fn delete_register(&mut self) -> Plan {
        let place = self.rng.usize(..PLACES);
        let key = Key::Register {
            database: self.database,
            place,
        };
        let mut text = format!("DELETE FROM {}", register(self.owner, place));
        if self.rng.bool() {
            let _ = write!(
                text,
                " WHERE owner = '{}' AND place = '{place}'",
                self.owner
            );
        }
        self.statement("delete register", text, vec![(key, Content::Gone)])
    }

    fn drop_named(&mut self) -> Plan {
        let key = Key::Named {
            database: self.database,
        };
        let text = format!("DROP MEASUREMENT {}", named(self.owner));
        self.statement("drop named", text, vec![(key, Content::Gone)])
    }

    fn empty_set(&mut self) -> Plan {
        let elements = self.page.elements(self.database);
        if elements.len() < LARGE && self.rng.u8(..3) > 0 {
            return self.write();
        }
        let contents = elements.into_iter().map(|key| (key, Content::Gone));
        let contents = contents.collect();
        let (owner, set) = (self.owner, set(self.owner));
        let (what, text) = match self.rng.u8(..4) {
            0 => ("delete set", format!("DELETE FROM {set}")),
            1 => (
                "delete set",
                format!("DELETE FROM {set} WHERE owner = '{owner}'"),
            ),
            2 => ("drop series of set", format!("DROP SERIES FROM {set}")),
            _ => ("drop set", format!("DROP MEASUREMENT {set}")),
        };
        self.statement(what, text, contents)
    }

    /// Copies a register, if it is certain what is in it.
    fn copy(&mut self) -> Plan {
        let database = self.database;
        let key = Key::Register { database, place: 0 };
        let Some(content @ Content::Value(_)) = self.page.certain(key) else {
            return self.write();
        };
        let from = register(self.owner, 0);
        let (into, from) = if self.rng.bool() {
            (copy(self.owner), from)
        } else {
            let name = DATABASES[database];
            (
                format!("\"{name}\"..{}", copy(self.owner)),
                format!("\"{name}\".autogen.{from}"),
            )
        };
        let text = format!(
            "SELECT v INTO {into} FROM {from} WHERE owner = '{}' AND place = '0'",
            self.owner
        );
        self.statement("copy", text, vec![(Key::Copy { database }, content)])
    }

    fn drop_copy(&mut self) -> Plan {
        let key = Key::Copy {
            database: self.database,
        };
        let how = if self.rng.bool() {
            "DELETE FROM"
        } else {
            "DROP MEASUREMENT"
        };
        let text = format!("{how} {}", copy(self.owner));
        self.statement("drop copy", text, vec![(key, Content::Gone)])
    }

    fn write_inside(&mut self) -> Plan {
        let number = self.rng.usize(..OWN_DATABASES);
        match self.page.certain(Key::Database { number }) {
            Some(Content::Value(_)) => {
                let value = self.page.new_value();
                let database = own_database(self.owner, number);
                let contents = vec![(Key::Inside { number }, Content::Value(value))];
                let lines = format!("inside v={value}i 0");
                self.lines("write inside", &database, lines, contents)
            }
            Some(Content::Gone) => self.create_database_number(number),
            None => self.drop_database_number(number),
        }
    }

    fn create_database(&mut self) -> Plan {
        let number = self.rng.usize(..OWN_DATABASES);
        self.create_database_number(number)
    }

    fn create_database_number(&mut self, number: usize) -> Plan {
        let value = self.page.new_value();
        let key = Key::Database { number };
        let text = format!("CREATE DATABASE \"{}\"", own_database(self.owner, number));
        self.statement("create database", text, vec![(key, Content::Value(value))])
    }

    fn drop_database(&mut self) -> Plan {
        let number = self.rng.usize(..OWN_DATABASES);
        self.drop_database_number(number)
    }

    fn drop_database_number(&mut self, number: usize) -> Plan {
        let text = format!("DROP DATABASE \"{}\"", own_database(self.owner, number));
        let contents = vec![
            (Key::Database { number }, Content::Gone),
            (Key::Inside { number }, Content::Gone),
        ];
        self.statement("drop database", text, contents)
    }

    fn lines(
        &mut self,
        what: &'static str,
        database: &str,
        lines: String,
        contents: Vec<(Key, Content)>,
    ) -> Plan {
        let policy = if self.rng.u8(..6) == 0 { "autogen" } else { "" };
        let parameters = [("db", database), ("rp", policy), ("n", self.mark)];
        Plan {
            what,
            contents,
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
        text: String,
        contents: Vec<(Key, Content)>,
    ) -> Plan {
        Plan {
            what,
            contents,
            request: query(self.rng, DATABASES[self.database], &text, self.mark),
        }
    }
}
