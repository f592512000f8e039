//! The counters of a configuration, one for each of its parts, in its order.
//!
//! After a reload they go on: what has the same name counts on, whatever else the file says of it now. What a removed part has counted
//! is forgotten with it.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::config::Config;
use crate::config::model::{Backend, Balance, Frontend, PoolServer, Probe, Relay, Udp};
use crate::stats::{
    AdminState, BackendStats, BarrierStats, Counter, FrontendStats, Gauge, Http2Stats, QueryStats,
    RelayStats, ReplicaState, ReplicaStats, ReplicaStatus, ServerState, ServerStats, ServerStatus,
    ServerTlsStats, Stats, ThrottleStats, TlsStats, Traffic, UdpStats,
};

/// Everything at zero.
pub(super) fn of(config: &Config) -> Stats {
    Stats {
        started: SystemTime::now(),
        frontends: config
            .frontends
            .iter()
            .map(|each| Arc::new(frontend(each, None)))
            .collect(),
        backends: config
            .backends
            .iter()
            .map(|each| Arc::new(backend(each, None)))
            .collect(),
        relays: config
            .relays
            .iter()
            .map(|each| Arc::new(relay(config, each)))
            .collect(),
        udp: config
            .udp
            .iter()
            .map(|each| Arc::new(udp(config, each)))
            .collect(),
        query_inflight: Arc::default(),
        queries_refused: Counter::default(),
        query_table: Arc::default(),
        log: crate::logging::stats(),
    }
}

/// The counters of `config`, which takes the place of the configuration that `before` belongs to. Both have the same frontends, relays and
/// listeners of UDP, in whatever order.
pub(super) fn after(config: &Config, before: &Stats) -> Stats {
    let frontends = config.frontends.iter().map(|each| {
        let known = before.frontends.iter().find(|one| one.name == each.name);
        Arc::new(frontend(each, known.map(Arc::as_ref)))
    });
    let backends = config.backends.iter().map(|each| {
        let known = before.backends.iter().find(|one| one.name == each.name);
        Arc::new(backend(each, known.map(Arc::as_ref)))
    });
    let relays = config.relays.iter().map(|each| {
        let known = before.relays.iter().find(|one| one.name == each.name);
        known.map_or_else(|| Arc::new(relay(config, each)), Arc::clone)
    });
    Stats {
        started: before.started,
        frontends: frontends.collect(),
        backends: backends.collect(),
        relays: relays.collect(),
        udp: before.udp.clone(),
        query_inflight: Arc::clone(&before.query_inflight),
        queries_refused: before.queries_refused.clone(),
        query_table: Arc::clone(&before.query_table),
        log: Arc::clone(&before.log),
    }
}

/// `known` counts for the frontend of this name already.
fn frontend(frontend: &Frontend, known: Option<&FrontendStats>) -> FrontendStats {
    let fresh = || FrontendStats {
        name: frontend.name.clone(),
        bind: frontend.bind.iter().map(ToString::to_string).collect(),
        session_limit: 0,
        traffic: Traffic::default(),
        intercepted: Counter::default(),
        request_errors: Counter::default(),
        malformed_requests: Counter::default(),
        slow_requests: Counter::default(),
        source_limit: Counter::default(),
        tls: TlsStats::default(),
        http2: Http2Stats::default(),
        denied_connections: Counter::default(),
        denied_requests: Counter::default(),
        tarpitted: Counter::default(),
        tarpit_overflows: Counter::default(),
        proxy_header_errors: Counter::default(),
        auth_refusals: Counter::default(),
        auth_limited: Counter::default(),
        rule_refusals: Counter::default(),
        rate_limited: Counter::default(),
        throttled: ThrottleStats::default(),
        queries: QueryStats::default(),
    };
    FrontendStats {
        session_limit: frontend.max_connections as u64,
        ..known.map_or_else(fresh, FrontendStats::clone)
    }
}

/// `known` counts for the backend of this name already.
fn backend(backend: &Backend, known: Option<&BackendStats>) -> BackendStats {
    let balance = match backend.balance {
        Balance::RoundRobin => "roundrobin",
        Balance::LeastConnections => "leastconn",
        Balance::Random => "random",
        Balance::Source => "source",
    };
    let checked = !matches!(backend.check.probe, Probe::None);
    let servers = backend.servers.iter().map(|each| {
        let known = known.and_then(|known| known.servers.iter().find(|one| one.name == each.name));
        Arc::new(match known {
            None => server(each, checked && each.check),
            Some(known) => ServerStats {
                address: each.address.to_string(),
                backup: each.backup,
                ..ServerStats::clone(known)
            },
        })
    });
    let fresh = || BackendStats {
        name: backend.name.clone(),
        balance: String::new(),
        traffic: Traffic::default(),
        no_server: Counter::default(),
        outages: Arc::default(),
        barrier: BarrierStats::default(),
        servers: Vec::new(),
    };
    BackendStats {
        balance: balance.to_owned(),
        servers: servers.collect(),
        ..known.map_or_else(fresh, BackendStats::clone)
    }
}

fn server(server: &PoolServer, checked: bool) -> ServerStats {
    let state = ServerState {
        status: if checked {
            ServerStatus::Up
        } else {
            ServerStatus::NoCheck
        },
        admin: AdminState::Ready,
        since: SystemTime::now(),
        reason: "start".to_owned(),
    };
    ServerStats {
        name: server.name.clone(),
        address: server.address.to_string(),
        weight: Arc::new(server.weight.into()),
        backup: server.backup,
        traffic: Traffic::default(),
        connects: Counter::default(),
        reuses: Counter::default(),
        connect_errors: Counter::default(),
        response_errors: Counter::default(),
        ends: Counter::default(),
        redispatches: Counter::default(),
        state: Arc::new(ArcSwap::from_pointee(state)),
        check_failures: Counter::default(),
        outages: Arc::default(),
        last_check: Arc::new(ArcSwapOption::empty()),
        tls: ServerTlsStats::default(),
    }
}

fn relay(config: &Config, relay: &Relay) -> RelayStats {
    let pool = config.backend(relay.pool);
    RelayStats {
        name: relay.name.clone(),
        pool: pool.name.clone(),
        max_backlog: relay.max_backlog as u64,
        max_backlog_age: relay.max_backlog_age,
        dead_letter_limit: relay.max_dead_letters as u64,
        replicas: pool
            .servers
            .iter()
            .map(|server| Arc::new(replica(&server.name)))
            .collect(),
        ..RelayStats::default()
    }
}

fn replica(name: &str) -> ReplicaStats {
    ReplicaStats {
        name: name.to_owned(),
        version: ArcSwapOption::empty(),
        cursor: Gauge::default(),
        cursor_offset: Gauge::default(),
        oldest_pending: Gauge::default(),
        catch_up: Gauge::default(),
        state: ArcSwap::from_pointee(ReplicaState {
            status: ReplicaStatus::Down,
            since: SystemTime::now(),
        }),
        in_doubt: Gauge::default(),
        requests: Counter::default(),
        retries: Counter::default(),
        too_large: Counter::default(),
        request_limit: Gauge::default(),
        applied: Counter::default(),
        refused: Counter::default(),
        expired: Counter::default(),
        tried: Gauge::default(),
        set_aside: Counter::default(),
        last_error: ArcSwapOption::empty(),
        lanes: ArcSwap::default(),
    }
}

fn udp(config: &Config, udp: &Udp) -> UdpStats {
    UdpStats {
        bind: udp.bind.to_string(),
        relay: config.relay(udp.relay).name.clone(),
        database: udp.database.clone(),
        packets: Counter::default(),
        bytes: Counter::default(),
        lines: Counter::default(),
        refused_lines: Counter::default(),
        dropped_packets: Counter::default(),
        kernel_drops: Counter::default(),
        read_errors: Counter::default(),
        records: Counter::default(),
        refusing_nodes: Gauge::default(),
    }
}
