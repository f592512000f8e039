//! influxdb-relay in haproxy.cfg: a backend whose servers are relays becomes a `[[relay]]`, and the relays' outputs its pool.

use super::bind::Bind;
use super::decision::Rule;
use super::formula::{Formula, Key};
use super::front::Front;
use super::ledger::Ledger;
use super::plan::{FrontendPlan, HttpPlan, Plan, PoolPlan};
use super::pool::{Check, Pool};
use super::relay_file::{HttpRelay, Output, RelayFile};
use super::server::{Asked, Server};
use super::statement::Script;
use super::value::quoted;

/// The relays that are written.
#[derive(Debug, Default)]
pub(super) struct Relays {
    pub(super) relays: Vec<RelayPlan>,
    /// What HAProxy calls a backend of relays, and the relay that takes its place.
    targets: Vec<(String, String)>,
    /// Positions, among the relays of all files, of those that a backend leads to.
    replaced: Vec<usize>,
    /// Listeners of UDP, as comments.
    pub(super) udp: Vec<String>,
    /// What else has no counterpart.
    pub(super) quoted: Vec<String>,
}

/// A `[[relay]]`.
#[derive(Debug)]
pub(super) struct RelayPlan {
    /// The backend that it takes the place of.
    pub(super) section: Option<usize>,
    pub(super) name: String,
    pub(super) pool: String,
    pub(super) quoted: Vec<String>,
}

impl Relays {
    /// Whether a relay has that name.
    pub(super) fn is_relay(&self, name: &str) -> bool {
        self.relays.iter().any(|relay| relay.name == name)
    }

    /// The relay that takes the place of a backend of HAProxy's.
    pub(super) fn target(&self, known_as: &str) -> Option<&str> {
        let target = self.targets.iter().find(|(name, _)| name == known_as);
        target.map(|(_, relay)| relay.as_str())
    }
}

/// Turns backends whose servers are relays into relays.
pub(super) fn relays(plan: &mut Plan, script: &Script, files: &[RelayFile], ledger: &mut Ledger) {
    for warning in files.iter().flat_map(|file| &file.warnings) {
        ledger.warn_of_all(warning.clone());
    }
    let quoted = files.iter().flat_map(|file| file.quoted.iter().cloned());
    plan.relays.quoted = quoted.collect();
    let known: Vec<&HttpRelay> = files.iter().flat_map(|file| &file.http).collect();
    let (backends, pools): (Vec<PoolPlan>, Vec<PoolPlan>) = std::mem::take(&mut plan.pools)
        .into_iter()
        .partition(|backend| is_of_relays(backend, &known));
    plan.pools = pools;
    for backend in backends {
        let leads_to = |relay: &HttpRelay| {
            let servers = backend.pool.servers.iter();
            let mut nodes = servers.filter_map(|server| server.node.as_ref());
            nodes.any(|node| relay.is_at(node)) && !relay.outputs.is_empty()
        };
        let positions =
            (0..known.len()).filter(|at| known.get(*at).is_some_and(|relay| leads_to(relay)));
        plan.relays.replaced.extend(positions);
        let matching: Vec<&HttpRelay> = known
            .iter()
            .copied()
            .filter(|relay| leads_to(relay))
            .collect();
        let Some(first) = matching.first() else {
            continue;
        };
        if let Some(other) = matching.iter().find(|relay| relay.nodes() != first.nodes()) {
            ledger.warn_of_all(format!(
                "relays {} and {} of backend {} have different outputs: those of the first are written",
                first.name, other.name, backend.known_as
            ));
        }
        let section = backend.section.and_then(|at| script.sections.get(at));
        let statements = section.into_iter().flat_map(|section| &section.statements);
        for statement in statements.map(|id| script.statement(*id)) {
            let is_of_a_pool = matches!(statement.word(0), "timeout" | "retries" | "http-check")
                || (statement.word(0), statement.word(1)) == ("option", "httpchk");
            if is_of_a_pool {
                ledger.left_out(statement);
                ledger.note(statement, "the relay and its pool have their own");
            }
        }
        let quoted = matching.iter().flat_map(|relay| relay.quoted.clone());
        let quoted = quoted.collect();
        let name = relay_of(plan, first, &backend.pool.name, backend.section, quoted);
        plan.relays.targets.push((backend.known_as, name));
    }
}

fn is_of_relays(backend: &PoolPlan, known: &[&HttpRelay]) -> bool {
    backend.pool.servers.iter().all(|server| {
        server.node.as_ref().is_some_and(|node| {
            known
                .iter()
                .any(|relay| relay.is_at(node) && !relay.outputs.is_empty())
        })
    })
}

/// The name of the relay to these outputs; makes it, and its pool, if they are not there.
fn relay_of(
    plan: &mut Plan,
    relay: &HttpRelay,
    wanted: &str,
    section: Option<usize>,
    quoted: Vec<String>,
) -> String {
    let pool = pool_of(plan, relay, wanted);
    if let Some(known) = plan
        .relays
        .relays
        .iter_mut()
        .find(|known| known.pool == pool)
    {
        for line in quoted {
            if !known.quoted.contains(&line) {
                known.quoted.push(line);
            }
        }
        return known.name.clone();
    }
    let name = plan.free_name(wanted);
    plan.relays.relays.push(RelayPlan {
        section,
        name: name.clone(),
        pool,
        quoted,
    });
    name
}

/// The pool of exactly these nodes; made if there is none.
fn pool_of(plan: &mut Plan, relay: &HttpRelay, wanted: &str) -> String {
    let nodes = relay.nodes();
    for known in &mut plan.pools {
        let mut own: Vec<String> = known
            .pool
            .servers
            .iter()
            .map(|server| {
                server
                    .node
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            })
            .collect();
        own.sort();
        if own == nodes {
            known.replicated = true;
            return known.pool.name.clone();
        }
    }
    let name = plan.free_name(&format!("{wanted}_nodes"));
    plan.pools.push(PoolPlan {
        section: None,
        known_as: String::new(),
        pool: Pool {
            name: name.clone(),
            balance: "roundrobin",
            check: Check::default(),
            servers: relay.outputs.iter().map(server).collect(),
            connect_timeout: None,
            server_timeout: None,
            tunnel: None,
            retries: None,
            forwarded_for: None,
        },
        replicated: true,
    });
    name
}

fn server(output: &Output) -> Server {
    Server {
        name: output.name.clone(),
        address: quoted(&output.address),
        node: Some(output.node.clone()),
        tls: output.tls.clone(),
        weight: None,
        backup: false,
        send_proxy: None,
        statement: None,
        check: true,
        asked: Asked::Itself,
        inter: None,
        rise: None,
        fall: None,
    }
}

/// A relay that no backend leads to has clients of its own: its address becomes a frontend. Listeners of UDP become comments.
pub(super) fn own_frontends(plan: &mut Plan, files: &[RelayFile], ledger: &mut Ledger) {
    let relays = files.iter().flat_map(|file| &file.http);
    for (at, relay) in relays.enumerate() {
        if plan.relays.replaced.contains(&at) {
            continue;
        }
        if relay.outputs.is_empty() {
            let bind = relay
                .bind
                .map_or_else(String::new, |bind| format!(" at {bind}"));
            let line = format!(
                "{}: relay {}: left out{bind}, because no output is left that haflux can reach",
                relay.place, relay.name
            );
            ledger.warn_of_all(line.clone());
            plan.relays.quoted.push(line);
            plan.relays.quoted.extend(relay.quoted.iter().cloned());
            continue;
        }
        let name = relay_of(plan, relay, &relay.name, None, relay.quoted.clone());
        let pool = plan.relays.relays.iter().find(|known| known.name == name);
        let Some(pool) = pool.map(|known| known.pool.clone()) else {
            continue;
        };
        let Some(address) = relay.bind else {
            ledger.warn_of_all(format!("relay {name}: no frontend leads to it"));
            continue;
        };
        let taken = plan.addresses();
        if taken
            .iter()
            .any(|other| crate::config::address::overlap(*other, address))
        {
            ledger.warn_of_all(format!(
                "relay {name}: {address} is left out, because another frontend listens there"
            ));
            continue;
        }
        let front = Front {
            name: plan.free_frontend_name(&relay.name),
            binds: vec![Bind {
                toml: quoted(&address.to_string()),
                address: Some(address),
                statement: None,
                is_v6_only: false,
            }],
            ..Front::default()
        };
        plan.frontends.push(FrontendPlan {
            section: None,
            front,
            rules: vec![Rule {
                target: name,
                unless: false,
                formula: Formula::test(Key::PathBeg, vec!["/write".to_owned()]),
            }],
            http: HttpPlan::default(),
            default: Some(pool),
            admin: false,
            metrics: None,
        });
    }
    udp(plan, files, ledger);
}

fn udp(plan: &mut Plan, files: &[RelayFile], ledger: &mut Ledger) {
    for listener in files.iter().flat_map(|file| &file.udp) {
        let leads_to = |pool: &str| {
            let pool = plan.pools.iter().find(|known| known.pool.name == pool);
            pool.is_some_and(|pool| {
                pool.pool.servers.iter().any(|server| {
                    let mut hosts = listener.hosts.iter();
                    hosts.any(|host| server.address.contains(host.as_str()))
                })
            })
        };
        let relay = plan
            .relays
            .relays
            .iter()
            .find(|relay| leads_to(&relay.pool));
        let relay = relay.or(plan.relays.relays.first());
        let relay = relay.map_or("", |relay| relay.name.as_str()).to_owned();
        let bind = listener
            .bind
            .map_or_else(|| "0.0.0.0:8089".to_owned(), |bind| bind.to_string());
        ledger.warn_of_all(format!(
            "udp on {bind}: name its database (db), and take away the # before it"
        ));
        let lines = &mut plan.relays.udp;
        lines.extend(listener.quoted.iter().cloned());
        lines.push("db is the database that the nodes' own UDP listener writes to.".to_owned());
        lines.push("[[udp]]".to_owned());
        lines.push(format!("bind = {}", quoted(&bind)));
        lines.push(format!("relay = {}", quoted(&relay)));
        lines.push("db = \"\"".to_owned());
        if let Some(precision) = listener.precision {
            lines.push(format!("precision = \"{precision}\""));
        }
        if let Some(bytes) = listener.read_buffer {
            lines.push(format!("read_buffer = {bytes}"));
        }
    }
}
