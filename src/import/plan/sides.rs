//! What HAProxy has at one side, frontend or backend, and haflux at the other or at both.

use std::time::Duration;

use super::Planner;
use crate::import::GRACE;
use crate::import::decision::Rule;
use crate::import::front::{self, Front};
use crate::import::statement::{Statement, StatementId};

impl Planner<'_> {
    /// What means the same in every section; `of_one` tells that it stands in one that no other inherits.
    pub(super) fn either_side(&mut self, statement: &Statement, of_one: bool) {
        let (first, second, third) = (statement.word(0), statement.word(1), statement.word(2));
        match (first, second, third) {
            (
                "option",
                "http-keep-alive" | "dontlognull" | "log-health-checks" | "http-ignore-probes"
                | "prefer-last-server",
                _,
            )
            | ("no", "option", "http-server-close" | "httpclose" | "forceclose" | "http-pretend-keepalive")
            | ("http-reuse", "safe" | "aggressive" | "always", _) => self.ledger.used(statement),
            ("log", ..) => self.plan.logs.read(statement, of_one, self.ledger),
            ("no", "log", _) => self.ledger.note(
                statement,
                "haflux's access log has every frontend or none: server.access_log",
            ),
            ("log-format" | "log-format-sd", ..) | ("option", "httplog", "clf") => self.ledger.note(
                statement,
                "haflux's access log has the fields of option httplog; format = \"json\" of [[log]] has more",
            ),
            ("grace", ..) => self.ledger.note(statement, GRACE),
            ("cookie", ..) => self.ledger.warn(
                statement,
                "haflux keeps no client with a server by cookie; balance = \"source\" does so by address",
            ),
            _ => {}
        }
    }

    /// Whether every request of a frontend goes to a backend with `option forwardfor`.
    pub(super) fn leads_to_forwarding(&self, rules: &[Rule], default: Option<&str>) -> bool {
        let targets = rules.iter().map(|rule| rule.target.as_str());
        let mut targets = targets.chain(default).peekable();
        targets.peek().is_some()
            && targets.all(|target| {
                let mut pools = self.plan.pools.iter().map(|plan| &plan.pool);
                pools.any(|pool| pool.name == target && pool.forwarded_for.is_some())
            })
    }

    /// Marks `option forwardfor` of backends all of whose requests come by a frontend with `forwarded_for`.
    pub(super) fn forwarded_for(&mut self) {
        for plan in &self.plan.pools {
            let Some(id) = plan.pool.forwarded_for else {
                continue;
            };
            let name = plan.pool.name.as_str();
            let fronts = self.plan.frontends.iter().filter(|plan| {
                let mut targets = plan.rules.iter().map(|rule| rule.target.as_str());
                plan.default.as_deref() == Some(name) || targets.any(|target| target == name)
            });
            let mut fronts = fronts.peekable();
            if fronts.peek().is_some() && fronts.all(|plan| plan.front.forwarded_for) {
                front::forwarded_for(self.script.statement(id), self.ledger);
            }
        }
    }

    /// Has a frontend keep silent tunnels for as long as the backends that it leads to do.
    pub(super) fn tunnels(&mut self, front: &mut Front, rules: &[Rule], default: Option<&str>) {
        let targets = || rules.iter().map(|rule| rule.target.as_str()).chain(default);
        let pools = self.plan.pools.iter().map(|plan| &plan.pool);
        let pools = pools.filter(|pool| targets().any(|target| target == pool.name));
        let tunnels: Vec<Option<(Duration, StatementId)>> = pools.map(|pool| pool.tunnel).collect();
        let said = || tunnels.iter().flatten();
        let Some(longest) = said().map(|(time, _)| *time).max() else {
            return;
        };
        front.timeouts.push(("tunnel", longest));
        for (_, id) in said() {
            self.ledger.used(self.script.statement(*id));
        }
        let is_longest =
            |tunnel: &Option<(Duration, _)>| tunnel.is_some_and(|(time, _)| time == longest);
        if tunnels.iter().all(is_longest) {
            return;
        }
        for (_, id) in said() {
            let note = format!(
                "in haflux a frontend has it, for all that it leads to, and the backends of {} differ: the longest is written",
                front.name
            );
            self.ledger.warn(self.script.statement(*id), note);
        }
    }

    /// Says of which pools the servers get no PROXY header though they ask for one.
    pub(super) fn proxy_headers(&mut self) {
        for plan in &self.plan.pools {
            if plan.send_proxy().is_some() {
                continue;
            }
            let asking = plan.pool.servers.iter();
            let asking = asking.filter(|server| server.send_proxy.is_some());
            for id in asking.filter_map(|server| server.statement) {
                self.ledger.warn(
                    self.script.statement(id),
                    "send-proxy is not translated: haflux sends PROXY headers to all servers of a pool or to none, and never to those of a relay",
                );
            }
        }
    }
}
