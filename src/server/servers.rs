//! What the sockets may ask and order of the servers of all backends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use crate::config::Config;
use crate::config::model::{Backend, PoolServer, Probe, ServerAddress};
use crate::control::{ControlError, ServerReport, Servers};
use crate::proxy::{Ordered, Pool, Proxy, ServerOrderError, ServerOrders, ServerPlace, Weight};
use crate::stats::csv::{self, StatQuery};
use crate::stats::snapshot::{Snapshot, Status};
use crate::stats::{AdminState, CheckCode, ServerStats, Stats, json};

/// The orders, and the proxy that knows what is counted.
pub(super) struct AllServers {
    pub(super) proxy: Arc<Proxy>,
    pub(super) orders: Arc<ServerOrders>,
}

impl AllServers {
    /// Gives an order for a server where it may wait for the disk; `next` is what a person is told that the server does then.
    async fn order(
        &self,
        backend: &str,
        server: &str,
        next: &str,
        order: impl FnOnce(&ServerOrders, ServerPlace<'_>) -> Result<Ordered, ServerOrderError>
        + Send
        + 'static,
    ) -> Result<String, ControlError> {
        let shown = format!("{backend}/{server} {next}");
        let orders = Arc::clone(&self.orders);
        let (backend, server) = (backend.to_owned(), server.to_owned());
        let given = tokio::task::spawn_blocking(move || {
            let place = ServerPlace {
                backend: &backend,
                server: &server,
            };
            order(&orders, place)
        });
        let given = given.await.map_err(|broken| ControlError::Failed {
            reason: broken.to_string(),
        })?;
        Ok(match given.map_err(refused)?.unkept {
            None => shown,
            Some(reason) => format!("{shown}; a restart forgets it: {reason}"),
        })
    }

    /// The number of a backend in the statistics: frontends come first, from 1 on, and then relays.
    fn backend_id(&self, index: usize) -> usize {
        let stats = self.proxy.stats();
        stats.frontends.len() + stats.relays.len() + index + 1
    }
}

#[async_trait]
impl Servers for AllServers {
    fn servers(&self) -> Vec<ServerReport> {
        let now = SystemTime::now();
        let mut reports = Vec::new();
        for (index, pool) in self.orders.pools().iter().enumerate() {
            let backend_id = self.backend_id(index);
            for position in 0..pool.handles().len() {
                reports.extend(report(pool, position, backend_id, now));
            }
        }
        reports
    }

    fn statistics(&self, query: &StatQuery) -> Option<String> {
        csv::show_stat(
            &Snapshot::take(&self.proxy.stats(), SystemTime::now()),
            query,
        )
    }

    fn snapshot(&self) -> String {
        json::json(&self.proxy.stats())
    }

    fn process(&self) -> Vec<(&'static str, String)> {
        process(&self.proxy.config(), &self.proxy.stats())
    }

    async fn set_state(
        &self,
        backend: &str,
        server: &str,
        state: AdminState,
    ) -> Result<String, ControlError> {
        let next = match state {
            AdminState::Ready => "is ready: it serves as its checks say",
            AdminState::Drain => {
                "is in drain: no new requests; its checks go on, and a relay writes to it"
            }
            AdminState::Maint => {
                "is in maint: it gets nothing, no checks and no writes, and a relay's backlog for it grows"
            }
        };
        self.order(backend, server, next, move |orders, place| {
            orders.set_state(place, state)
        })
        .await
    }

    async fn set_weight(
        &self,
        backend: &str,
        server: &str,
        weight: &str,
    ) -> Result<String, ControlError> {
        let parsed = Weight::parse(weight).map_err(|error| ControlError::Invalid {
            reason: error.to_string(),
        })?;
        let next = format!("has weight {weight}");
        self.order(backend, server, &next, move |orders, place| {
            orders.set_weight(place, parsed)
        })
        .await
    }
}

fn refused(error: ServerOrderError) -> ControlError {
    match error {
        ServerOrderError::UnknownBackend { name, known } => {
            ControlError::UnknownBackend { name, known }
        }
        ServerOrderError::UnknownServer {
            backend,
            name,
            known,
        } => ControlError::UnknownServer {
            backend,
            name,
            known,
        },
    }
}

fn report(
    pool: &Pool,
    position: usize,
    backend_id: usize,
    now: SystemTime,
) -> Option<ServerReport> {
    let (config, stats) = pool.server_at(position)?;
    let state = stats.state.load();
    let (fqdn, port) = match &config.address {
        ServerAddress::Ip(address) => (None, address.port()),
        ServerAddress::Dns { host, port } => (Some(host.clone()), *port),
    };
    let since = now.duration_since(state.since).unwrap_or_default();
    Some(ServerReport {
        backend_id,
        backend: pool.name().to_owned(),
        id: position + 1,
        name: config.name.clone(),
        address: config.address.to_string(),
        ip: pool
            .address(position)
            .map(|address| address.ip().to_string()),
        fqdn,
        port,
        status: Status::from(state.status).word().to_owned(),
        admin: state.admin,
        up: pool.server_is_up(position),
        checked: is_checked(pool.settings(), config),
        last_check: last_check(stats),
        check_port: pool.settings().check.port,
        tls: config.tls.is_some(),
        rise: pool.settings().check.rise,
        fall: pool.settings().check.fall,
        weight: stats.weight.load(Ordering::Relaxed),
        initial_weight: config.weight,
        sessions: stats.traffic.sessions.get(),
        since: since.as_secs(),
    })
}

fn is_checked(backend: &Backend, server: &PoolServer) -> bool {
    server.check && !matches!(backend.check.probe, Probe::None)
}

fn last_check(stats: &ServerStats) -> Option<CheckCode> {
    let check = stats.last_check.load();
    check.as_deref().map(|check| check.code)
}

/// HAProxy's names, as far as haflux has what they stand for.
fn process(config: &Config, stats: &Stats) -> Vec<(&'static str, String)> {
    let uptime = stats.started.elapsed().unwrap_or_default().as_secs();
    let started = stats.started.duration_since(UNIX_EPOCH);
    let frontends = || stats.frontends.iter().map(|frontend| &frontend.traffic);
    let most: usize = config
        .frontends
        .iter()
        .map(|frontend| frontend.max_connections)
        .sum();
    let sum = |of: fn(&crate::stats::Traffic) -> u64| frontends().map(of).sum::<u64>().to_string();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    vec![
        ("Name", "haflux".to_owned()),
        ("Version", version),
        ("Nbthread", config.server.threads.to_string()),
        ("Nbproc", "1".to_owned()),
        ("Process_num", "1".to_owned()),
        ("Pid", std::process::id().to_string()),
        (
            "Uptime",
            format!(
                "{}d {}h{:02}m{:02}s",
                uptime / 86_400,
                uptime / 3600 % 24,
                uptime / 60 % 60,
                uptime % 60
            ),
        ),
        ("Uptime_sec", uptime.to_string()),
        ("Maxconn", most.to_string()),
        ("Hard_maxconn", most.to_string()),
        ("CurrConns", sum(|traffic| traffic.sessions.get())),
        ("CumConns", sum(|traffic| traffic.sessions_total.get())),
        ("CumReq", sum(|traffic| traffic.requests.get())),
        (
            "Listeners",
            config
                .frontends
                .iter()
                .map(|one| one.bind.len())
                .sum::<usize>()
                .to_string(),
        ),
        ("TotalBytesOut", sum(|traffic| traffic.bytes_out.get())),
        ("Stopping", "0".to_owned()),
        (
            "Start_time_sec",
            started.map_or(0, |since| since.as_secs()).to_string(),
        ),
    ]
}
