//! The counters of a configuration, one for each of its parts, in its order.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::config::Config;
use crate::config::model::{Backend, Balance, Frontend, PoolServer, Probe, Relay, Udp};
use crate::stats::outages::Outages;
use crate::stats::{
    AdminState, BackendStats, BarrierStats, Counter, FrontendStats, Gauge, RelayStats,
    ReplicaState, ReplicaStats, ReplicaStatus, ServerState, ServerStats, ServerStatus, Stats,
    Traffic, UdpStats,
};

/// Everything at zero.
pub(super) fn of(config: &Config) -> Stats {
    Stats {
        started: SystemTime::now(),
        frontends: config
            .frontends
            .iter()
            .map(|each| Arc::new(frontend(each)))
            .collect(),
        backends: config
            .backends
            .iter()
            .map(|each| Arc::new(backend(each)))
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
        log: crate::logging::stats(),
    }
}

fn frontend(frontend: &Frontend) -> FrontendStats {
    FrontendStats {
        name: frontend.name.clone(),
        bind: frontend.bind.iter().map(ToString::to_string).collect(),
        session_limit: frontend.max_connections as u64,
        traffic: Traffic::default(),
        intercepted: Counter::default(),
        request_errors: Counter::default(),
        malformed_requests: Counter::default(),
        slow_requests: Counter::default(),
        source_limit: Counter::default(),
    }
}

fn backend(backend: &Backend) -> BackendStats {
    let balance = match backend.balance {
        Balance::RoundRobin => "roundrobin",
        Balance::LeastConnections => "leastconn",
        Balance::Random => "random",
        Balance::Source => "source",
    };
    let checked = !matches!(backend.check.probe, Probe::None);
    BackendStats {
        name: backend.name.clone(),
        balance: balance.to_owned(),
        traffic: Traffic::default(),
        no_server: Counter::default(),
        outages: Outages::default(),
        barrier: BarrierStats::default(),
        servers: backend
            .servers
            .iter()
            .map(|each| Arc::new(server(each, checked && each.check)))
            .collect(),
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
        weight: server.weight.into(),
        backup: server.backup,
        traffic: Traffic::default(),
        connects: Counter::default(),
        reuses: Counter::default(),
        connect_errors: Counter::default(),
        response_errors: Counter::default(),
        ends: Counter::default(),
        redispatches: Counter::default(),
        state: ArcSwap::from_pointee(state),
        check_failures: Counter::default(),
        outages: Outages::default(),
        last_check: ArcSwapOption::empty(),
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
    }
}
