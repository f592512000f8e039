//! A frontend's rules: where its requests go.

use super::{METRICS_PATH, Planner};
use crate::import::condition::{self, Acls, Condition, Read};
use crate::import::criterion::ReadFile;
use crate::import::decision::{self, Parts, Rule};
use crate::import::formula::{Key, Reason};
use crate::import::front::Front;
use crate::import::statement::{Statement, StatementId};
use crate::import::value;

impl Planner<'_> {
    /// The rules, and where everything else goes.
    pub(super) fn rules(
        &mut self,
        front: &Front,
        own_pool: Option<&str>,
        acls: &Acls,
        read: ReadFile<'_>,
    ) -> (Vec<Rule>, Option<String>) {
        let script = self.script;
        let mut default = own_pool.and_then(|name| self.plan.target(name));
        if let Some((id, name)) = &front.default {
            match self.plan.target(name) {
                Some(target) => {
                    default = Some(target);
                    self.ledger.used(script.statement(*id));
                }
                None => self.ledger.warn(
                    script.statement(*id),
                    "no backend of that name is left: these requests get 503",
                ),
            }
        }
        let mut parts: Vec<(usize, Parts)> = Vec::new();
        let mut named: Vec<Vec<StatementId>> = vec![Vec::new(); front.rules.len()];
        let mut takes_all = false;
        for (at, id) in front.rules.iter().enumerate() {
            let statement = script.statement(*id);
            if takes_all {
                self.ledger.note(
                    statement,
                    "never reached: a rule before it takes everything",
                );
                continue;
            }
            let Some(target) = self.plan.target(statement.word(1)) else {
                let reason = if statement.word(1).contains("%[") {
                    "haflux computes no names of backends"
                } else {
                    "no backend of that name is left"
                };
                self.not_translated(statement, reason);
                continue;
            };
            let condition = condition::read(statement.from(2), acls, read);
            if let Some(slot) = named.get_mut(at) {
                *slot = condition.named;
            }
            match condition
                .condition
                .and_then(|condition| Parts::new(&target, &condition))
            {
                Ok(taken) if taken.takes_all() => {
                    takes_all = true;
                    default = Some(target);
                    self.mark(statement, named.get(at));
                    if let Some((id, _)) = &front.default {
                        self.ledger.note(
                            script.statement(*id),
                            "never reached: a rule before it takes everything",
                        );
                    }
                }
                Ok(taken) => parts.push((at, taken)),
                Err(reason) => self.not_translated(statement, &reason),
            }
        }
        let translated: Vec<usize> = parts.iter().map(|(at, _)| *at).collect();
        let (rules, failures) = decision::rules(parts, default.as_deref());
        for (at, reason) in &failures {
            if let Some(id) = front.rules.get(*at) {
                self.not_translated(script.statement(*id), reason);
            }
        }
        for at in translated {
            if let Some(id) = front.rules.get(at)
                && !failures.iter().any(|(failed, _)| *failed == at)
            {
                self.mark(script.statement(*id), named.get(at));
            }
        }
        (rules, default)
    }

    /// Whether users of the page may give orders there.
    pub(super) fn admin(&mut self, front: &Front, acls: &Acls, read: ReadFile<'_>) -> bool {
        let script = self.script;
        let mut admin = false;
        for id in &front.page.admin {
            let statement = script.statement(*id);
            let Read { condition, named } = condition::read(statement.from(2), acls, read);
            let always = condition.and_then(|condition| Parts::new("", &condition));
            if !always.is_ok_and(|parts| parts.takes_all()) {
                let note = "haflux has no condition here: the page takes no orders";
                self.ledger.note(statement, note);
            } else if front.page.users.is_empty() {
                let note = "haflux takes orders on the page from users of stats auth only";
                self.ledger.note(statement, note);
            } else {
                self.mark(statement, Some(&named));
                admin = true;
            }
        }
        admin
    }

    /// The path at which the metrics are served, and the rule that says so.
    pub(super) fn metrics(
        &mut self,
        front: &Front,
        acls: &Acls,
        read: ReadFile<'_>,
    ) -> Option<(String, StatementId)> {
        let script = self.script;
        let mut found = None;
        for id in &front.metrics {
            let statement = script.statement(*id);
            let Read { condition, named } = condition::read(statement.from(3), acls, read);
            match condition.and_then(|condition| metrics_path(&condition)) {
                Err(reason) => self.ledger.warn(
                    statement,
                    format!("not translated: {reason}; server.metrics_bind serves them at an address of their own"),
                ),
                Ok((path, _)) if front.page.uri.as_ref() == Some(&path) => {
                    self.ledger.warn(statement, "the page has that path");
                }
                Ok(_) if found.is_some() => {
                    self.ledger.warn(statement, "haflux serves the metrics at one path");
                }
                Ok((path, is_all)) => {
                    self.mark(statement, Some(&named));
                    self.ledger.note(statement, "haflux's metrics have names of their own");
                    if !is_all {
                        let note = format!("haflux serves the metrics at \"{path}\" alone");
                        self.ledger.warn(statement, note);
                    }
                    found = Some((path, *id));
                }
            }
        }
        found
    }

    /// Gives ACLs that no rule asks for a reason.
    pub(super) fn unasked(&mut self, front: &Front) {
        let script = self.script;
        for id in &front.acls {
            let statement = script.statement(*id);
            if self.ledger.is_unread(statement) {
                self.ledger
                    .note(statement, "no rule that is translated asks for it");
            }
        }
    }

    pub(super) fn mark(&mut self, rule: &Statement, acls: Option<&Vec<StatementId>>) {
        self.ledger.used(rule);
        for id in acls.into_iter().flatten() {
            self.ledger.used(self.script.statement(*id));
        }
    }

    fn not_translated(&mut self, statement: &Statement, reason: &str) {
        self.ledger.warn(
            statement,
            format!("not translated: {reason}; what it takes goes where the rules after it say"),
        );
    }
}

/// The path at which a condition lets the metrics be served, and whether it asks for that path and nothing else.
fn metrics_path(condition: &Condition) -> Result<(String, bool), Reason> {
    let elsewhere = || "haflux serves the metrics at a path, to everybody".to_owned();
    if condition.unless {
        return Err(elsewhere());
    }
    let mut paths = Vec::new();
    let mut is_all = true;
    for term in &condition.terms {
        if !term.negative.is_never() {
            return Err(elsewhere());
        }
        if term.positive.is_always() {
            return Ok((METRICS_PATH.to_owned(), false));
        }
        for table in term.positive.tables() {
            let mut keys = table.iter();
            match (keys.next(), keys.next()) {
                (Some((Key::Path, values)), None) => paths.extend(values),
                (Some((Key::PathBeg, values)), None) => {
                    is_all = false;
                    paths.extend(values);
                }
                _ => return Err(elsewhere()),
            }
        }
    }
    let is_all = is_all && paths.len() == 1;
    let path = paths.into_iter().find(|path| value::path(path).is_some());
    path.map(|path| (path.clone(), is_all))
        .ok_or_else(elsewhere)
}
