//! Names become positions, and what concerns several tables is checked.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::Spelled;
use super::backend::{BackendDraft, Placed};
use super::frontend::{FrontendDraft, RuleDraft};
use super::own_logins;
use super::relay::RelayDraft;
use super::shadow;
use super::udp::UdpDraft;
use crate::config::address::overlap;
use crate::config::error::{Notice, Problem, Suggestion};
use crate::config::field::Field;
use crate::config::model::{
    Backend, BackendId, Condition, Frontend, Relay, RelayId, Rule, ServerAddress, Target, Udp,
};
use crate::config::suggest::nearest;
use crate::config::tree::{quote, shorten};

/// Rules of one frontend beyond this many are not compared with each other: the work grows with their square.
const COMPARED_RULES: usize = 200;

/// Everything that has been read.
pub(super) struct Drafts<'a> {
    pub(super) frontends: Vec<FrontendDraft<'a>>,
    pub(super) relays: Vec<RelayDraft<'a>>,
    pub(super) backends: Vec<BackendDraft<'a>>,
    pub(super) udp: Vec<UdpDraft<'a>>,
}

/// Who has which name: backends and relays share one namespace.
struct Names<'a> {
    targets: HashMap<&'a str, (Target, &'a Spelled<'a>)>,
    /// As written, in the order of the file.
    backends: Vec<&'a str>,
    relays: Vec<&'a str>,
}

/// What something leads to.
struct Used {
    backends: Vec<bool>,
    relays: Vec<bool>,
}

impl Used {
    fn mark(&mut self, target: Target) {
        let slot = match target {
            Target::Backend(id) => self.backends.get_mut(id.index()),
            Target::Relay(id) => self.relays.get_mut(id.index()),
        };
        if let Some(slot) = slot {
            *slot = true;
        }
    }

    /// What leads to a pool leads its writes to the relay that replicates to it; and the relay leads to the pool.
    fn follow(&mut self, pools: &[(RelayId, BackendId)]) {
        for (relay, pool) in pools {
            if self.backends.get(pool.index()) == Some(&true) {
                self.mark(Target::Relay(*relay));
            }
            self.mark(Target::Backend(*pool));
        }
    }
}

impl Drafts<'_> {
    pub(super) fn resolve(self) -> (Vec<Frontend>, Vec<Relay>, Vec<Backend>, Vec<Udp>) {
        check_frontend_names(&self.frontends);
        check_binds(&self.frontends);
        check_udp_binds(&self.udp);
        let names = Names::collect(&self.backends, &self.relays);
        let mut used = Used {
            backends: vec![false; self.backends.len()],
            relays: vec![false; self.relays.len()],
        };
        let pools = pools(&self.relays, &names);
        let frontends = self
            .frontends
            .iter()
            .map(|draft| frontend(draft, &names, &mut used))
            .collect();
        let udp: Vec<Udp> = self
            .udp
            .iter()
            .map(|draft| udp(draft, &names, &mut used))
            .collect();
        check_nodes(&self.backends, &self.relays, &pools);
        check_proxy_headers(&self.backends, &pools);
        used.follow(&pools);
        warn_unused(&self.backends, &self.relays, &used);
        drop(names);

        let drafts = self.backends.into_iter();
        let (replaced, mut backends): (Vec<Vec<Spelled<'_>>>, Vec<Backend>) = drafts
            .map(|draft| (draft.own_logins, draft.backend))
            .unzip();
        let mut relays: Vec<Relay> = self.relays.into_iter().map(|draft| draft.relay).collect();
        for (relay, pool) in pools {
            if let (Some(draft), Some(backend)) = (
                relays.get_mut(relay.index()),
                backends.get_mut(pool.index()),
            ) {
                draft.pool = pool;
                backend.replicated_by = Some(relay);
            }
        }
        own_logins::check(&replaced, &backends, &relays, &udp);
        (frontends, relays, backends, udp)
    }
}

fn check_frontend_names(frontends: &[FrontendDraft<'_>]) {
    let mut taken: HashMap<&str, &Spelled<'_>> = HashMap::new();
    for name in frontends.iter().filter_map(|draft| draft.name.as_ref()) {
        match taken.get(name.text.value.as_str()) {
            Some(first) => report_taken(name, "another frontend", first),
            None => {
                taken.insert(&name.text.value, name);
            }
        }
    }
}

fn report_taken(name: &Spelled<'_>, other: &str, first: &Spelled<'_>) {
    name.field.report(Problem::NameTaken {
        found: quote(&name.text.raw),
        other: other.to_owned(),
        line: first.field.position().line,
    });
}

fn check_binds(frontends: &[FrontendDraft<'_>]) {
    type Bound<'a> = (usize, SocketAddr, &'a Field<'a>);
    let mut ports: HashMap<u16, Vec<Bound<'_>>> = HashMap::new();
    for (index, draft) in frontends.iter().enumerate() {
        for (address, field) in &draft.binds {
            let bound = ports.entry(address.port()).or_default();
            let in_the_way = bound.iter().find(|(_, other, _)| overlap(*address, *other));
            if let Some((other, _, first)) = in_the_way {
                let name = frontends.get(*other).and_then(|draft| draft.name.as_ref());
                field.report(Problem::AddressTaken {
                    found: field.describe(),
                    taken: first.describe(),
                    other: match name {
                        _ if *other == index => "the same frontend".to_owned(),
                        Some(name) => format!("frontend {}", quote(&name.text.raw)),
                        None => "another frontend".to_owned(),
                    },
                    line: first.position().line,
                });
            } else {
                bound.push((index, *address, field));
            }
        }
    }
}

/// Datagrams go to one of two such sockets only. A port of TCP is another one.
fn check_udp_binds(listeners: &[UdpDraft<'_>]) {
    type Bound<'a> = (SocketAddr, &'a str, &'a Field<'a>);
    let mut ports: HashMap<u16, Vec<Bound<'_>>> = HashMap::new();
    for draft in listeners {
        let Some((shown, field)) = &draft.bind else {
            continue;
        };
        let address = draft.udp.bind;
        let bound = ports.entry(address.port()).or_default();
        match bound.iter().find(|(other, ..)| overlap(address, *other)) {
            Some((_, taken, first)) => field.report(Problem::AddressTaken {
                found: shown.clone(),
                taken: (*taken).to_owned(),
                other: "another UDP listener".to_owned(),
                line: first.position().line,
            }),
            None => bound.push((address, shown, field)),
        }
    }
}

impl<'a> Names<'a> {
    fn collect(backends: &'a [BackendDraft<'a>], relays: &'a [RelayDraft<'a>]) -> Names<'a> {
        let mut names = Names {
            targets: HashMap::new(),
            backends: Vec::new(),
            relays: Vec::new(),
        };
        let mut all: Vec<(Target, &Spelled<'_>)> = Vec::new();
        for (index, draft) in backends.iter().enumerate() {
            if let Some(name) = &draft.name {
                all.push((Target::Backend(BackendId(index)), name));
                names.backends.push(&name.text.raw);
            }
        }
        for (index, draft) in relays.iter().enumerate() {
            if let Some(name) = &draft.name {
                all.push((Target::Relay(RelayId(index)), name));
                names.relays.push(&name.text.raw);
            }
        }
        all.sort_by_key(|(_, name)| name.field.position());
        for (target, name) in all {
            match names.targets.get(name.text.value.as_str()) {
                Some((Target::Backend(_), first)) => report_taken(name, "a backend", first),
                Some((Target::Relay(_), first)) => report_taken(name, "a relay", first),
                None => {
                    names.targets.insert(&name.text.value, (target, name));
                }
            }
        }
        names
    }

    fn find(&self, name: &Spelled<'_>) -> Option<Target> {
        self.targets
            .get(name.text.value.as_str())
            .map(|(target, _)| *target)
    }

    fn target(&self, name: &Spelled<'_>) -> Option<Target> {
        let target = self.find(name);
        if target.is_none() {
            let known = self.backends.iter().chain(&self.relays).copied();
            report_unknown(name, "backend or relay", known);
        }
        target
    }

    fn relay(&self, name: &Spelled<'_>) -> Option<RelayId> {
        match self.find(name) {
            Some(Target::Relay(id)) => Some(id),
            Some(Target::Backend(_)) => {
                name.field.report(Problem::UdpOntoBackend {
                    found: quote(&name.text.raw),
                });
                None
            }
            None => {
                report_unknown(name, "relay", self.relays.iter().copied());
                None
            }
        }
    }

    fn pool(&self, name: &Spelled<'_>) -> Option<BackendId> {
        match self.find(name) {
            Some(Target::Backend(id)) => Some(id),
            Some(Target::Relay(_)) => {
                name.field.report(Problem::RelayOntoRelay {
                    found: quote(&name.text.raw),
                });
                None
            }
            None => {
                report_unknown(name, "backend", self.backends.iter().copied());
                None
            }
        }
    }
}

fn report_unknown<'n>(
    name: &Spelled<'_>,
    what: &'static str,
    known: impl Iterator<Item = &'n str>,
) {
    name.field.report(Problem::UnknownName {
        what,
        found: quote(&name.text.raw),
        suggestion: Suggestion(nearest(&name.text.raw, known).map(shorten)),
    });
}

/// The pool of each relay that has one to itself.
fn pools(relays: &[RelayDraft<'_>], names: &Names<'_>) -> Vec<(RelayId, BackendId)> {
    let mut taken: HashMap<BackendId, usize> = HashMap::new();
    let mut pools = Vec::new();
    for (index, draft) in relays.iter().enumerate() {
        let Some(name) = &draft.pool else { continue };
        let Some(pool) = names.pool(name) else {
            continue;
        };
        match taken.get(&pool).and_then(|first| relays.get(*first)) {
            Some(first) => name.field.report(Problem::TwoRelays {
                found: quote(&name.text.raw),
                other: match &first.name {
                    Some(name) => format!("relay {}", quote(&name.text.raw)),
                    None => "another relay".to_owned(),
                },
                line: first
                    .pool
                    .as_ref()
                    .map_or(first.field.position(), |pool| pool.field.position())
                    .line,
            }),
            None => {
                taken.insert(pool, index);
                pools.push((RelayId(index), pool));
            }
        }
    }
    pools
}

/// A node's data is equal to that of its fellows only if all of its changes come through one relay.
fn check_nodes(
    backends: &[BackendDraft<'_>],
    relays: &[RelayDraft<'_>],
    pools: &[(RelayId, BackendId)],
) {
    let mut replicated: HashMap<&ServerAddress, (String, &Placed<'_>)> = HashMap::new();
    for (relay, pool) in pools {
        let name = relays
            .get(relay.index())
            .and_then(|relay| relay.name.as_ref());
        let relay = name.map_or("another relay".to_owned(), |name| {
            format!("relay {}", quote(&name.text.raw))
        });
        let servers = backends.get(pool.index()).map(|pool| &pool.addresses);
        for server in servers.into_iter().flatten() {
            match replicated.get(&server.node) {
                Some((other, first)) => server.field.report(Problem::TwoRelaysToNode {
                    found: quote(&server.raw),
                    taken: quote(&first.raw),
                    other: other.clone(),
                    line: first.field.position().line,
                }),
                None => {
                    replicated.insert(&server.node, (relay.clone(), server));
                }
            }
        }
    }
    let is_replicated = |index| pools.iter().any(|(_, pool)| pool.index() == index);
    for (index, backend) in backends.iter().enumerate() {
        if is_replicated(index) {
            continue;
        }
        for server in &backend.addresses {
            if let Some((relay, first)) = replicated.get(&server.node) {
                server.field.warn(Notice::BesideRelay {
                    found: quote(&server.raw),
                    relay: relay.clone(),
                    line: first.field.position().line,
                });
            }
        }
    }
}

/// A relay speaks with the nodes themselves, and keeps connections on which nothing is said.
fn check_proxy_headers(backends: &[BackendDraft<'_>], pools: &[(RelayId, BackendId)]) {
    let replicated = pools
        .iter()
        .filter_map(|(_, pool)| backends.get(pool.index()));
    for field in replicated.filter_map(|backend| backend.send_proxy.as_ref()) {
        field.report(Problem::ProxyHeaderToReplicas);
    }
}

fn frontend(draft: &FrontendDraft<'_>, names: &Names<'_>, used: &mut Used) -> Frontend {
    let mut frontend = draft.frontend.clone();
    let mut compared: Vec<(usize, &Condition, &RuleDraft<'_>)> = Vec::new();
    for (index, rule) in draft.rules.iter().enumerate() {
        let target = rule.target.as_ref().and_then(|name| names.target(name));
        target.into_iter().for_each(|target| used.mark(target));
        let Some(condition) = &rule.condition else {
            continue;
        };
        let earlier = compared
            .iter()
            .find(|(_, earlier, _)| shadow::covers(earlier, condition));
        if let Some((earlier, _, first)) = earlier {
            rule.field.warn(Notice::Unreachable {
                earlier: *earlier,
                line: first.field.position().line,
            });
        } else if compared.len() < COMPARED_RULES {
            compared.push((index, condition, rule));
        }
        if let Some(target) = target {
            frontend.rules.push(Rule {
                target,
                condition: condition.clone(),
            });
        }
    }
    if let Some(name) = &draft.default {
        frontend.default_target = names.target(name);
        frontend
            .default_target
            .into_iter()
            .for_each(|target| used.mark(target));
        let all = compared
            .iter()
            .find(|(_, condition, _)| shadow::takes_everything(condition));
        if let Some((earlier, _, rule)) = all {
            name.field.warn(Notice::DefaultUnreachable {
                earlier: *earlier,
                line: rule.field.position().line,
            });
        }
    }
    frontend
}

fn udp(draft: &UdpDraft<'_>, names: &Names<'_>, used: &mut Used) -> Udp {
    let mut udp = draft.udp.clone();
    if let Some(relay) = draft.relay.as_ref().and_then(|name| names.relay(name)) {
        used.mark(Target::Relay(relay));
        udp.relay = relay;
    }
    udp
}

fn warn_unused(backends: &[BackendDraft<'_>], relays: &[RelayDraft<'_>], used: &Used) {
    let backends = backends
        .iter()
        .map(|draft| &draft.field)
        .zip(&used.backends);
    let relays = relays.iter().map(|draft| &draft.field).zip(&used.relays);
    for (field, used) in backends.chain(relays) {
        if !used {
            field.warn(Notice::Unused);
        }
    }
}
