//! `stats` of a frontend: the status page, its users, and whether they may give orders.

use std::time::Duration;

use super::ledger::Ledger;
use super::statement::{Script, Statement, StatementId};
use super::value::{self, Toml, quoted};
use super::word::Word;
use crate::config::model::StatsUser;

/// Where HAProxy has the page if no `stats uri` says it.
const URI: &str = "/haproxy?stats";

/// The page as its lines describe it.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    /// Its path and query, as haflux reads texts; without one the frontend has no page.
    pub(super) uri: Option<String>,
    /// How often a browser loads it anew.
    pub(super) refresh: Option<Duration>,
    /// `user:password`, in quotes; without any, everybody may see the page.
    pub(super) users: Vec<Toml>,
    /// `stats admin`. Its condition may name ACLs that stand further down.
    pub(super) admin: Vec<StatementId>,
    statements: Vec<StatementId>,
    /// A `stats auth` that haflux cannot ask for.
    refused: Option<StatementId>,
    is_inherited: bool,
}

impl Page {
    /// The statements so far stood in `defaults`; those that follow are the section's own.
    pub(super) fn begin_section(&mut self) {
        self.is_inherited = true;
    }

    /// Reads a line. As with HAProxy, any of them makes the page, and the first of a section's own replaces all of `defaults`.
    pub(super) fn read(&mut self, statement: &Statement, ledger: &mut Ledger) {
        if self.is_inherited {
            *self = Page::default();
        }
        match statement.word(1) {
            "enable" => ledger.used(statement),
            "uri" => {
                let Some(uri) = statement.words.get(2).and_then(uri) else {
                    ledger.warn(statement, "haflux's page needs a path that begins with /");
                    return;
                };
                self.uri = Some(uri);
                ledger.used(statement);
            }
            "refresh" => match seconds(statement.word(2)) {
                Some(time) => {
                    self.refresh = Some(time);
                    ledger.used(statement);
                }
                None => ledger.note(
                    statement,
                    "haflux takes 1ms to 30d here, as a number; its own default counts",
                ),
            },
            "auth" => match statement.words.get(2).and_then(user) {
                Some(user) => {
                    if !self.users.contains(&user) {
                        self.users.push(user);
                    }
                    ledger.used(statement);
                    ledger.warn(
                        statement,
                        "stats_auth holds this password: let only haflux read the file, or write \"${VARIABLE}\" in its place",
                    );
                }
                None => self.refused = Some(statement.id),
            },
            "admin" => self.admin.push(statement.id),
            "http-request" => ledger.warn(
                statement,
                "haflux asks for a user of stats auth here, and for nothing else",
            ),
            "scope" => ledger.warn(statement, "haflux's page shows everything"),
            "hide-version" => ledger.note(statement, "haflux's page shows its version"),
            "realm" => ledger.note(statement, "haflux asks for passwords in its own words"),
            "show-desc" | "show-legends" | "show-modules" | "show-node" => {}
            _ => return,
        }
        self.statements.push(statement.id);
        self.uri.get_or_insert_with(|| URI.to_owned());
    }

    /// Leaves the page out if nobody whom haflux knows may see it.
    pub(super) fn finish(&mut self, script: &Script, ledger: &mut Ledger) {
        let Some(refused) = self.refused.map(|id| script.statement(id)) else {
            return;
        };
        if !self.users.is_empty() {
            ledger.warn(refused, "haflux takes a user and a password here");
            return;
        }
        for id in &self.statements {
            ledger.left_out(script.statement(*id));
        }
        ledger.warn(
            refused,
            "haflux takes a user and a password here: the page is left out, because it would be open to everybody",
        );
        *self = Page::default();
    }
}

fn uri(word: &Word) -> Option<String> {
    let notation = word.notation();
    let is_path = word.is_variable() || value::path(notation).is_some();
    is_path.then(|| notation.to_owned())
}

fn user(word: &Word) -> Option<Toml> {
    let is_user = word.is_variable() || StatsUser::new(word.as_str()).is_some();
    is_user.then(|| quoted(word.notation()))
}

/// A time whose unit is the second where it has none.
fn seconds(text: &str) -> Option<Duration> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain {
        value::duration(&format!("{text}s"))
    } else {
        value::duration(text)
    }
}
