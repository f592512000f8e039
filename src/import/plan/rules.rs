//! A frontend's rules: where its requests go.

use super::Planner;
use crate::import::condition::{self, Acls};
use crate::import::criterion::ReadFile;
use crate::import::decision::{self, Parts, Rule};
use crate::import::front::Front;
use crate::import::statement::{Statement, StatementId};

impl Planner<'_> {
    /// The rules, and where everything else goes.
    pub(super) fn rules(
        &mut self,
        front: &Front,
        own_pool: Option<&str>,
        read: ReadFile<'_>,
    ) -> (Vec<Rule>, Option<String>) {
        let script = self.script;
        let acls = Acls::read(script, &front.acls, read);
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
            let condition = condition::read(statement.from(2), &acls, read);
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
        for id in &front.acls {
            let statement = script.statement(*id);
            if self.ledger.is_unread(statement) {
                self.ledger
                    .note(statement, "no rule that is translated asks for it");
            }
        }
        (rules, default)
    }

    fn mark(&mut self, rule: &Statement, acls: Option<&Vec<StatementId>>) {
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
