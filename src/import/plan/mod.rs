//! What is written: every name resolved, everything that haflux would refuse left out.

mod binds;
mod http;
mod rules;
mod sides;

use std::collections::HashSet;
use std::net::SocketAddr;

use crate::import::bind::Bind;
use crate::import::condition::Acls;
use crate::import::criterion::ReadFile;
use crate::import::decision::Rule;
use crate::import::formula::Key;
use crate::import::front::{self, Front};
use crate::import::global::Global;
use crate::import::ledger::Ledger;
use crate::import::log_target::LogTargets;
use crate::import::pool::{self, Pool};
use crate::import::recognise::{self, Relays};
use crate::import::relay_file::RelayFile;
use crate::import::server::Server;
use crate::import::statement::{Kind, Script, Section, Statement, StatementId};
use crate::import::track;
use crate::import::value::{Toml, quoted};

pub(super) use self::http::{Entry, HttpPlan};

/// Everything that is written.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) global: Global,
    pub(super) logs: LogTargets,
    pub(super) metrics: Option<MetricsPlan>,
    pub(super) frontends: Vec<FrontendPlan>,
    pub(super) pools: Vec<PoolPlan>,
    pub(super) relays: Relays,
}

/// A frontend.
#[derive(Debug)]
pub(super) struct FrontendPlan {
    /// Where it comes from in the script; nothing for one that a relay's file asks for.
    pub(super) section: Option<usize>,
    pub(super) front: Front,
    pub(super) rules: Vec<Rule>,
    pub(super) http: HttpPlan,
    pub(super) default: Option<String>,
    /// Users of the page may give orders there.
    pub(super) admin: bool,
    /// Where the metrics are served.
    pub(super) metrics: Option<Toml>,
}

/// An address that serves the metrics and nothing else.
#[derive(Debug)]
pub(super) struct MetricsPlan {
    pub(super) bind: Bind,
    pub(super) max_connections: Option<Toml>,
}

/// A pool.
#[derive(Debug)]
pub(super) struct PoolPlan {
    pub(super) section: Option<usize>,
    /// What HAProxy calls it.
    pub(super) known_as: String,
    pub(super) pool: Pool,
    /// A relay replicates to it.
    pub(super) replicated: bool,
}

impl PoolPlan {
    /// The version of the PROXY header that all of its servers get; a relay speaks with them itself.
    pub(super) fn send_proxy(&self) -> Option<&'static str> {
        let first = self.pool.servers.first()?.send_proxy?;
        let is_same = |server: &Server| server.send_proxy == Some(first);
        (!self.replicated && self.pool.servers.iter().all(is_same)).then_some(first)
    }
}

/// What a frontend has where it says nothing.
const DEFAULT_MAX_CONNECTIONS: u64 = 2000;

/// Where haflux serves the metrics at an address of their own.
const METRICS_PATH: &str = "/metrics";

const ONLY_HTTP: &str = "left out, because haflux speaks HTTP only; if what comes here is HTTP, give it mode http and import again";

/// Reads every section and puts the parts together.
pub(super) fn plan(
    script: &Script,
    files: &[RelayFile],
    read: ReadFile<'_>,
    ledger: &mut Ledger,
) -> Plan {
    let mut planner = Planner {
        script,
        ledger,
        plan: Plan::default(),
        fronts: Vec::new(),
    };
    for (index, section) in script.sections.iter().enumerate() {
        planner.section(index, section, read);
    }
    planner.plan.global.finish(script, planner.ledger);
    track::resolve(&mut planner.plan.pools, script, planner.ledger);
    planner.drop_empty_pools();
    recognise::relays(&mut planner.plan, script, files, planner.ledger);
    let fronts = std::mem::take(&mut planner.fronts);
    for (index, front, own_pool) in fronts {
        planner.frontend(index, front, own_pool.as_deref(), read);
    }
    planner.forwarded_for();
    recognise::own_frontends(&mut planner.plan, files, planner.ledger);
    planner.proxy_headers();
    planner.connections();
    planner.hint();
    planner.plan
}

struct Planner<'a> {
    script: &'a Script,
    ledger: &'a mut Ledger,
    plan: Plan,
    /// Section, frontend, and the pool of a `listen`.
    fronts: Vec<(usize, Front, Option<String>)>,
}

impl Planner<'_> {
    fn section(&mut self, index: usize, section: &Section, read: ReadFile<'_>) {
        match section.kind {
            Kind::Global => self.global(section),
            Kind::Frontend | Kind::Backend | Kind::Listen => self.proxy(index, section, read),
            Kind::Defaults => {
                if let Some(opening) = section.opening {
                    self.ledger.used(self.script.statement(opening));
                }
            }
            Kind::Other => {}
        }
    }

    fn global(&mut self, section: &Section) {
        let script = self.script;
        if let Some(opening) = section.opening {
            self.ledger.used(script.statement(opening));
        }
        for statement in own(script, section) {
            let logs = &mut self.plan.logs;
            self.plan.global.read(statement, logs, self.ledger);
        }
    }

    fn proxy(&mut self, index: usize, section: &Section, read: ReadFile<'_>) {
        let script = self.script;
        let Some(opening) = section.opening.map(|id| script.statement(id)) else {
            return;
        };
        let inherited = inherited(script, section.defaults);
        let all: Vec<StatementId> = inherited
            .iter()
            .chain(section.opening.iter())
            .chain(&section.statements)
            .copied()
            .filter(|id| !script.statement(*id).conditional)
            .collect();
        let mut modes = all
            .iter()
            .map(|id| script.statement(*id))
            .filter(|statement| statement.word(0) == "mode");
        let mode = modes.next_back();
        match mode {
            Some(mode) if mode.word(1) == "http" => {
                for id in &all {
                    let statement = script.statement(*id);
                    if (statement.word(0), statement.word(1)) == ("mode", "http") {
                        self.ledger.used(statement);
                    }
                }
            }
            _ => {
                self.ledger.warn(opening, ONLY_HTTP);
                return;
            }
        }
        let disabled = own(script, section).find(|statement| statement.word(0) == "disabled");
        if disabled.is_some() {
            self.ledger
                .warn(opening, "left out, because it is disabled");
            return;
        }
        self.ledger.used(opening);
        for id in &all {
            // What the section inherits stands before it.
            let of_one = *id > opening.id;
            self.either_side(script.statement(*id), of_one);
        }
        let mut port = None;
        let front = (section.kind != Kind::Backend)
            .then(|| front::read(script, &all, read, self.ledger, &section.name));
        if let Some(front) = &front {
            let ports: HashSet<u16> = front
                .binds
                .iter()
                .filter_map(|bind| Some(bind.address?.port()))
                .collect();
            port = ports.iter().next().copied().filter(|_| ports.len() == 1);
        }
        let mut own_pool = None;
        // A `listen` may have no servers at all.
        let has_servers = all
            .iter()
            .any(|id| script.statement(*id).word(0).starts_with("server"));
        if section.kind == Kind::Backend || (section.kind == Kind::Listen && has_servers) {
            let pool = pool::read(script, &all, self.ledger, &section.name, port);
            if section.kind == Kind::Backend || !pool.servers.is_empty() {
                own_pool = Some(section.name.clone());
                self.add_pool(index, &section.name, pool);
            }
        }
        if let Some(front) = front {
            self.fronts.push((index, front, own_pool));
        }
    }

    fn add_pool(&mut self, index: usize, known_as: &str, mut pool: Pool) {
        pool.name = self.plan.free_name(&pool.name);
        self.plan.pools.push(PoolPlan {
            section: Some(index),
            known_as: known_as.to_owned(),
            pool,
            replicated: false,
        });
    }

    fn drop_empty_pools(&mut self) {
        let (script, ledger) = (self.script, &mut *self.ledger);
        self.plan.pools.retain(|plan| {
            let keep = !plan.pool.servers.is_empty();
            if let Some(section) = plan.section.and_then(|at| script.sections.get(at))
                && !keep
            {
                leave_out(
                    script,
                    section,
                    ledger,
                    "left out, because no server is left that haflux can reach",
                );
            }
            keep
        });
    }

    fn frontend(
        &mut self,
        index: usize,
        mut front: Front,
        own_pool: Option<&str>,
        read: ReadFile<'_>,
    ) {
        let script = self.script;
        let Some(section) = script.sections.get(index) else {
            return;
        };
        let Some(opening) = section.opening.map(|id| script.statement(id)) else {
            return;
        };
        let acls = Acls::read(script, &front.acls, read);
        let (rules, default) = self.rules(&front, own_pool, &acls, read);
        let admin = self.admin(&front, &acls, read);
        let metrics = self.metrics(&front, &acls, read);
        front.forwarded_for |= self.leads_to_forwarding(&rules, default.as_deref());
        self.tunnels(&mut front, &rules, default.as_deref());
        let http = self.http(&front, metrics.as_ref(), admin, &acls, read);
        let metrics = metrics.map(|(path, _)| quoted(&path));
        self.unasked(&front);
        self.binds(opening, &mut front);
        let leads_nowhere = rules.is_empty()
            && default.is_none()
            && front.page.uri.is_none()
            && !http.answers_all();
        let reason = if front.binds.is_empty() {
            "left out, because no address is left that haflux can listen at"
        } else if let Some(path) = metrics.as_ref().filter(|_| leads_nowhere)
            // server.metrics_bind speaks no TLS.
            && front.tls.is_none()
            && self.plan.metrics.is_none()
        {
            self.metrics_alone(section, opening, front, path);
            return;
        } else if leads_nowhere {
            "left out, because it leads nowhere"
        } else {
            front.name = self.plan.free_frontend_name(&front.name);
            self.plan.frontends.push(FrontendPlan {
                section: Some(index),
                front,
                rules,
                http,
                default,
                admin,
                metrics,
            });
            return;
        };
        // The pool of a `listen` stays, because other sections may name it.
        leave_out(script, section, self.ledger, reason);
    }

    /// An address of its own for the metrics, in place of a frontend that serves nothing else.
    fn metrics_alone(&mut self, section: &Section, opening: &Statement, front: Front, path: &str) {
        let script = self.script;
        for statement in own(script, section) {
            let is_kept = matches!(statement.word(0), "bind" | "mode" | "maxconn" | "acl")
                || front.metrics.contains(&statement.id);
            if !is_kept {
                self.ledger.left_out(statement);
                if matches!(statement.word(0), "timeout" | "log" | "option") {
                    self.ledger
                        .note(statement, "server.metrics_bind has its own");
                }
            }
        }
        let note = "it serves the metrics and nothing else: server.metrics_bind";
        self.ledger.note(opening, note);
        if path != quoted(METRICS_PATH) {
            let note = format!("server.metrics_bind serves them at {METRICS_PATH}, not at {path}");
            self.ledger.warn(opening, note);
        }
        let mut binds = front.binds.into_iter();
        let Some(bind) = binds.next() else { return };
        for other in binds {
            self.ledger.warn(
                other.statement.map_or(opening, |id| script.statement(id)),
                format!(
                    "{} is left out: server.metrics_bind is one address",
                    other.toml
                ),
            );
        }
        self.plan.metrics = Some(MetricsPlan {
            bind,
            max_connections: front.max_connections,
        });
    }

    /// HAProxy's global `maxconn` counts where haflux's own defaults would let in fewer.
    fn connections(&mut self) {
        let count = self.plan.frontends.len() as u64;
        let Some(limit) = self
            .plan
            .global
            .max_connections
            .filter(|limit| *limit > count * DEFAULT_MAX_CONNECTIONS)
        else {
            return;
        };
        for plan in &mut self.plan.frontends {
            plan.front
                .max_connections
                .get_or_insert_with(|| limit.min(1_000_000).to_string());
        }
    }

    /// Writes that go to a plain pool reach one node only.
    fn hint(&mut self) {
        let writes = self
            .plan
            .frontends
            .iter()
            .flat_map(|plan| &plan.rules)
            .find(|rule| {
                let asks = rule.formula.tables().iter().any(|table| {
                    let paths = [Key::Path, Key::PathBeg];
                    paths.iter().any(|key| {
                        table
                            .get(key)
                            .is_some_and(|values| values.iter().any(|value| value == "/write"))
                    })
                });
                asks && !rule.unless && !self.plan.relays.is_relay(&rule.target)
            });
        if let Some(rule) = writes {
            self.ledger.warn_of_all(format!(
                "backend {} gets /write and is no relay: if influxdb-relay runs there, give its file with --relay; if not, see [[relay]] in docs/configuration.md",
                rule.target
            ));
        }
    }
}

impl Plan {
    /// The name that a backend of HAProxy's has here, if it is there.
    pub(super) fn target(&self, known_as: &str) -> Option<String> {
        if let Some(relay) = self.relays.target(known_as) {
            return Some(relay.to_owned());
        }
        self.pools
            .iter()
            .find(|plan| plan.known_as == known_as)
            .map(|plan| plan.pool.name.clone())
    }

    /// A name that no pool and no relay has.
    pub(super) fn free_name(&self, wanted: &str) -> String {
        free(wanted, |name| {
            self.pools.iter().any(|plan| plan.pool.name == name) || self.relays.is_relay(name)
        })
    }

    pub(super) fn free_frontend_name(&self, wanted: &str) -> String {
        free(wanted, |name| {
            self.frontends.iter().any(|plan| plan.front.name == name)
        })
    }

    /// Where frontends listen.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let binds = self.frontends.iter().flat_map(|plan| &plan.front.binds);
        let metrics = self.metrics.iter().map(|metrics| &metrics.bind);
        binds
            .chain(metrics)
            .filter_map(|bind| bind.address)
            .collect()
    }
}

fn free(wanted: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = wanted.to_owned();
    let mut number = 2_u32;
    while taken(&name) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    name
}

fn own<'a>(script: &'a Script, section: &'a Section) -> impl Iterator<Item = &'a Statement> {
    let statements = section.statements.iter().map(|id| script.statement(*id));
    statements.filter(|statement| !statement.conditional)
}

/// The statements of a `defaults` section, those that it inherits itself first.
fn inherited(script: &Script, defaults: Option<usize>) -> Vec<StatementId> {
    let mut chain = Vec::new();
    let mut next = defaults;
    while let Some(section) = next.and_then(|index| script.sections.get(index)) {
        chain.push(section);
        next = section.defaults;
    }
    chain
        .iter()
        .rev()
        .flat_map(|section| section.statements.iter().copied())
        .collect()
}

fn leave_out(script: &Script, section: &Section, ledger: &mut Ledger, reason: &str) {
    let opening = section.opening.iter();
    for id in opening.chain(&section.statements) {
        ledger.left_out(script.statement(*id));
    }
    if let Some(opening) = section.opening {
        ledger.warn(script.statement(opening), reason);
    }
}
