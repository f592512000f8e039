//! `login` of a server: who the logins of its pool are there.

use std::path::PathBuf;

use super::Spelled;
use super::login::{is_username, login};
use crate::config::error::{Origin, Problem, Suggestion};
use crate::config::field::{Keys, Table};
use crate::config::model::{Backend, OwnLogin, Relay, Udp};
use crate::config::suggest::nearest;
use crate::config::tree::{quote, shorten};

const KEYS: Keys = Keys::with_secret(&["instead_of", "username", "password_file"]);

const EXPECTED: &str =
    "a table with \"instead_of\", \"username\" and \"password_file\", or a list of them";

/// What the servers of a pool say: whom each replaces, and the files with the passwords.
#[derive(Default)]
pub(super) struct OwnLogins<'a> {
    pub(super) replaced: Vec<Spelled<'a>>,
    pub(super) password_files: Vec<(PathBuf, Origin)>,
}

impl<'a> OwnLogins<'a> {
    /// Reads those of one server.
    pub(super) fn decode(&mut self, server: &Table<'a>) -> Vec<OwnLogin> {
        let Some(field) = server.get("login") else {
            return Vec::new();
        };
        let first = self.replaced.len();
        let mut logins = Vec::new();
        for field in field.one_or_more(EXPECTED).unwrap_or_default() {
            let table = field.table(KEYS, EXPECTED);
            logins.extend(table.and_then(|table| self.one(&table, first)));
        }
        logins
    }

    /// `first` of those replaced is the server's first.
    fn one(&mut self, table: &Table<'a>, first: usize) -> Option<OwnLogin> {
        const USER: &str = "the username of a login of the pool";
        let field = table.require("instead_of", USER);
        table.require("username", "the name of a user of the node")?;
        let file = table.require("password_file", "an absolute path of a file")?;
        let login = login(table)?;
        self.password_files
            .push((login.password_file.clone(), file.origin()));
        let field = field?;
        let text = field.text(USER)?;
        if !is_username(&text.value) {
            field.expected(USER);
            return None;
        }
        let of_server = self.replaced.get(first..).unwrap_or_default();
        if let Some(twice) = of_server
            .iter()
            .find(|other| other.text.value == text.value)
        {
            field.report(Problem::ReplacedTwice {
                found: quote(&text.raw),
                line: twice.field.position().line,
            });
        }
        self.replaced.push(Spelled { text, field });
        Some(OwnLogin {
            instead_of: text.value.clone(),
            login,
        })
    }
}

/// Reports whoever is `replaced` by servers of these backends, in their order, and is nobody.
pub(super) fn check(
    replaced: &[Vec<Spelled<'_>>],
    backends: &[Backend],
    relays: &[Relay],
    udp: &[Udp],
) {
    for (replaced, backend) in replaced.iter().zip(backends) {
        let known = backend.logins_among(relays, udp);
        let known: Vec<&str> = known.map(|login| login.username.as_str()).collect();
        let is_nobody = |one: &&Spelled<'_>| !known.contains(&one.text.value.as_str());
        for nobody in replaced.iter().filter(is_nobody) {
            let nearest = nearest(&nobody.text.raw, known.iter().copied());
            nobody.field.report(Problem::UnknownName {
                what: "user in login of this backend, or in heal or [[udp]] of its relay,",
                found: quote(&nobody.text.raw),
                suggestion: Suggestion(nearest.map(shorten)),
            });
        }
    }
}
