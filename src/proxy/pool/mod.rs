//! A pool: its servers, their states, and the choice among them.
//!
//! A server takes new requests if its checks say that it is up **and** no order of a person stands against it ([`orders`]): the
//! two are kept apart, so that neither is lost to the other. What is under way on a server that is put in drain or maint is
//! finished there.

pub(super) mod background;
mod balance;
pub(super) mod greeting;
mod health;
mod kept_orders;
pub(super) mod known_reads;
pub(super) mod orders;
pub(super) mod pingora_dial;
pub(super) mod resolve;
pub(super) mod upstream_pool;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use self::balance::{Balancer, Share};
use self::health::Streak;
use self::known_reads::KnownReads;
use self::upstream_pool::IdleConnections;
use crate::config::Config;
use crate::config::model::{Backend, PoolServer, Probe, ServerAddress};
use crate::dial::{Dialer, OwnAccounts, ServerLink};
use crate::stats::{
    AdminState, BackendStats, ServerHandle, ServerState, ServerStats, ServerStatus, Stats,
};
use crate::tls::Connector;

/// A check that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Its request is no valid HTTP.
    #[error("backend \"{backend}\": the request of its check cannot be made: {reason}")]
    Request {
        /// The backend's name.
        backend: String,
        /// What is wrong.
        reason: String,
    },
}

/// A pool of servers.
pub struct Pool {
    config: Backend,
    stats: Arc<BackendStats>,
    balancer: Balancer,
    servers: Vec<Server>,
    /// The server that answers what differs from node to node.
    pinned: AtomicUsize,
    known_reads: Arc<KnownReads>,
}

/// One server of a pool.
pub(crate) struct Server {
    pub(crate) config: PoolServer,
    pub(crate) handle: Arc<ServerHandle>,
    /// What makes connections to it.
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) stats: Arc<ServerStats>,
    pub(crate) idle: IdleConnections,
    /// How its checks ended lately.
    streak: Arc<Streak>,
}

/// The pools of `config`, in its order, which is the order of `stats` too. One of `before` that nothing was changed about is among them
/// as it is; a server of the same name in a pool of the same name is the same server.
///
/// # Errors
///
/// A check whose request cannot be made. Nothing has been done to the pools before then.
pub fn build_pools(
    config: &Config,
    stats: &Stats,
    before: &[Arc<Pool>],
) -> Result<Vec<Arc<Pool>>, CheckError> {
    config.backends.iter().try_for_each(health::validate)?;
    let pools = config.backends.iter().zip(&stats.backends);
    let pools = pools.map(|(backend, stats)| {
        let known = before.iter().find(|pool| pool.name() == backend.name);
        match known {
            Some(same) if same.config == *backend => Arc::clone(same),
            _ => {
                let reactors = config.server.threads;
                let (config, stats) = (backend.clone(), Arc::clone(stats));
                Arc::new(Pool::new(config, stats, known, reactors))
            }
        }
    });
    Ok(pools.collect())
}

impl Pool {
    /// `before` is the pool that this one takes the place of.
    fn new(
        config: Backend,
        stats: Arc<BackendStats>,
        before: Option<&Arc<Pool>>,
        reactors: usize,
    ) -> Self {
        let known = |name: &str| {
            let mut servers = before?.servers.iter();
            servers.find(|server| server.config.name == name)
        };
        let servers: Vec<Server> = config
            .servers
            .iter()
            .zip(&stats.servers)
            .map(|(server, stats)| {
                let address = match server.address {
                    ServerAddress::Ip(address) => Some(address),
                    ServerAddress::Dns { .. } => None,
                };
                let (handle, dialer, streak) = match known(&server.name) {
                    Some(known) => (
                        Arc::clone(&known.handle),
                        Arc::clone(&known.dialer),
                        Arc::clone(&known.streak),
                    ),
                    None => {
                        let handle = ServerHandle::new(&server.name, address, address.is_some());
                        let dialer = Dialer::new(stats.tls.clone());
                        (Arc::new(handle), Arc::new(dialer), Arc::default())
                    }
                };
                Server {
                    handle,
                    dialer,
                    config: server.clone(),
                    stats: Arc::clone(stats),
                    idle: IdleConnections::new(
                        config.server_keep_alive,
                        config.pool_max_connections,
                        reactors,
                    ),
                    streak,
                }
            })
            .collect();
        let pinned = before
            .and_then(|before| before.server(before.pinned.load(Ordering::Relaxed)))
            .and_then(|pinned| {
                let mut names = servers.iter().map(|server| &server.config.name);
                names.position(|name| *name == pinned.config.name)
            });
        let pool = Self {
            balancer: Balancer::new(config.balance, servers.len()),
            config,
            stats,
            servers,
            pinned: AtomicUsize::new(pinned.unwrap_or_default()),
            known_reads: before.map_or_else(Arc::default, |before| Arc::clone(&before.known_reads)),
        };
        for (index, server) in pool.servers.iter().enumerate() {
            if known(&server.config.name).is_some() {
                continue;
            }
            let (up, reason) = match server.handle.address() {
                Some(_) => (true, "start"),
                None => (false, "name not resolved yet"),
            };
            pool.record(index, up, reason);
            if let Some(server) = pool.server(index) {
                server.stats.outages.begin(up);
            }
        }
        if before.is_none() {
            pool.stats.outages.begin(pool.has_server_up());
        }
        pool
    }

    /// Has the servers that were there before, and are where this pool says by now, be as it says from now on. A server that is up
    /// stays up, and one that is down stays down, unless nothing checks it any more.
    fn take_over(&self) {
        for (index, server) in self.servers.iter().enumerate() {
            let has_address = server.handle.address().is_some();
            let is_checked = self.is_checked(server);
            if !is_checked && !server.handle.is_up() && has_address {
                self.mark(index, true, "not checked");
            }
            let up = server.handle.is_up();
            if server.stats.state.load().status != self.status(server, up) {
                let reason = match is_checked {
                    true => "checked from now on",
                    false => "not checked",
                };
                self.record(index, up, reason);
            }
        }
        self.stats.outages.note(self.has_server_up());
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Which reads its servers have answered.
    pub(in crate::proxy) fn known_reads(&self) -> &KnownReads {
        &self.known_reads
    }

    /// Its servers as others see them, in the order of the configuration.
    pub fn handles(&self) -> Vec<Arc<ServerHandle>> {
        self.servers
            .iter()
            .map(|server| Arc::clone(&server.handle))
            .collect()
    }

    /// The same for those who send to them past the pool.
    pub fn links(&self) -> Vec<ServerLink> {
        let links = self.servers.iter().map(|server| ServerLink {
            state: Arc::clone(&server.handle),
            dialer: Arc::clone(&server.dialer),
        });
        links.collect()
    }

    /// Speaks TLS to its servers from now on as these say, in their order; plain HTTP without one.
    pub fn speak(&self, connectors: &[Option<Arc<Connector>>]) {
        for (index, server) in self.servers.iter().enumerate() {
            server
                .dialer
                .speak(connectors.get(index).cloned().flatten());
        }
    }

    /// Its servers have these accounts of their own from now on, in their order.
    pub fn know(&self, accounts: &[Arc<OwnAccounts>]) {
        for (server, accounts) in self.servers.iter().zip(accounts) {
            server.dialer.know(Arc::clone(accounts));
        }
    }

    /// Whether the server at `index` is up.
    pub fn server_is_up(&self, index: usize) -> bool {
        self.servers
            .get(index)
            .is_some_and(|server| server.handle.is_up())
    }

    /// Where the server at `index` is now.
    pub fn address(&self, index: usize) -> Option<SocketAddr> {
        self.servers.get(index)?.handle.address()
    }

    /// Its part of the configuration.
    pub fn settings(&self) -> &Backend {
        &self.config
    }

    /// The server at `index`: its part of the configuration, and what is counted of it.
    pub fn server_at(&self, index: usize) -> Option<(&PoolServer, &ServerStats)> {
        let server = self.servers.get(index)?;
        Some((&server.config, &server.stats))
    }

    pub(crate) fn config(&self) -> &Backend {
        &self.config
    }

    pub(crate) fn stats(&self) -> &Arc<BackendStats> {
        &self.stats
    }

    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub(crate) fn server(&self, index: usize) -> Option<&Server> {
        self.servers.get(index)
    }

    /// Whether every server has diverged, or is held: none may answer before a person has looked.
    pub(crate) fn is_set_aside(&self) -> bool {
        let mut servers = self.servers.iter();
        servers.all(|server| server.handle.is_set_aside())
    }

    /// Whether a request could be sent anywhere.
    pub(crate) fn is_available(&self) -> bool {
        self.servers.iter().any(Server::is_usable)
    }

    /// The server for a request of `client`, passing over those in `tried`, with its address. Backups, the first that is up,
    /// only while no other server is.
    pub(crate) fn choose(&self, client: IpAddr, tried: &[usize]) -> Option<(usize, SocketAddr)> {
        self.choose_where(client, tried, |_| true)
    }

    /// The same among those that are `wanted`: a server that is not counts as if it were not there.
    pub(crate) fn choose_where(
        &self,
        client: IpAddr,
        tried: &[usize],
        wanted: impl Fn(usize) -> bool,
    ) -> Option<(usize, SocketAddr)> {
        let eligible = self.eligible(wanted);
        let fits = |index: &usize| eligible.contains(index) && !tried.contains(index);
        let index = if eligible.first().is_some_and(|index| self.is_backup(*index)) {
            (0..self.servers.len()).find(fits)
        } else {
            self.balancer.choose(client, |index| {
                let server = self.servers.get(index).filter(|_| fits(&index))?;
                Some(Share {
                    weight: server.weight(),
                    load: server.stats.traffic.sessions.get(),
                })
            })
        }?;
        Some((index, self.address(index)?))
    }

    /// The servers that are usable and `wanted`: backups only if nobody else is.
    fn eligible(&self, wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let is_there = |index: &usize| self.is_usable(*index, &[]) && wanted(*index);
        let mut there: Vec<usize> = (0..self.servers.len()).filter(is_there).collect();
        let backups_alone = there.iter().all(|index| self.is_backup(*index));
        there.retain(|index| self.is_backup(*index) == backups_alone);
        there
    }

    fn is_backup(&self, index: usize) -> bool {
        let server = self.servers.get(index);
        server.is_some_and(|server| server.config.backup)
    }

    /// The server that answers what differs from node to node: the same one as long as it is up and `wanted`. A backup only
    /// while no other server is.
    pub(crate) fn choose_pinned(
        &self,
        tried: &[usize],
        wanted: impl Fn(usize) -> bool,
    ) -> Option<(usize, SocketAddr)> {
        let pinned = self.pinned.load(Ordering::Relaxed);
        let eligible = self.eligible(wanted);
        let fits = |index: &usize| eligible.contains(index) && !tried.contains(index);
        let index = Some(pinned)
            .filter(fits)
            .or_else(|| (0..self.servers.len()).find(fits))?;
        // Only one that is down loses its place, or a backup to another server; one that is not wanted now, or failed just
        // now, is only passed over.
        let gives_way = self.is_backup(pinned) && !self.is_backup(index);
        if index != pinned && (gives_way || !self.is_usable(pinned, &[])) {
            self.pinned.store(index, Ordering::Relaxed);
        }
        Some((index, self.address(index)?))
    }

    /// Whether a request could be sent to the server at `index`, which is not in `tried`.
    pub(crate) fn is_usable(&self, index: usize, tried: &[usize]) -> bool {
        let server = self.servers.get(index);
        server.is_some_and(Server::is_usable) && !tried.contains(&index)
    }

    /// Whether what the server at `index` has been sent may be waited for: it is up. An order against new requests changes nothing
    /// for those that it has.
    pub(crate) fn may_finish(&self, index: usize) -> bool {
        self.servers.get(index).is_some_and(Server::is_there)
    }

    /// Whether every server that is up is kept from new requests by an order.
    pub(crate) fn is_ordered_away(&self) -> bool {
        let mut up = self.servers.iter().filter(|server| server.is_there());
        let first = up.next();
        first.is_some_and(Server::is_ordered_away) && up.all(Server::is_ordered_away)
    }

    /// Whether a server that is not in `tried` could be chosen.
    pub(crate) fn choose_exists(&self, tried: &[usize]) -> bool {
        let usable = |backup: bool| {
            self.servers
                .iter()
                .enumerate()
                .filter(move |(_, server)| server.config.backup == backup && server.is_usable())
        };
        let backup = usable(false).next().is_none();
        usable(backup).any(|(index, _)| !tried.contains(&index))
    }

    /// Says that the server at `index` went up or down, and why. Nothing happens if it was so before.
    pub(crate) fn mark(&self, index: usize, up: bool, reason: &str) {
        let Some(server) = self.servers.get(index) else {
            return;
        };
        if server.handle.is_up() == up {
            return;
        }
        // Who is woken by the change must find all of it.
        self.record(index, up, reason);
        server.stats.outages.note(up);
        server.handle.set_up(up);
        self.stats.outages.note(self.has_server_up());
        let all = self.servers.len();
        let left = self.servers.iter().filter(|one| one.handle.is_up()).count();
        let (pool, name) = (self.name(), server.handle.name());
        if up {
            log::info!("server {pool}/{name} is UP, reason: {reason}, {left} of {all} servers up");
        } else {
            server.idle.clear();
            log::warn!(
                "server {pool}/{name} is DOWN, reason: {reason}, {left} of {all} servers left"
            );
            if left == 0 {
                log::error!("backend {pool} has no server left");
            }
        }
    }

    /// A person orders this for the server at `index`. Nothing happens if it was so before.
    pub(crate) fn set_admin(&self, index: usize, admin: AdminState) {
        let Some(server) = self.servers.get(index) else {
            return;
        };
        if !server.handle.set_admin(admin) {
            return;
        }
        self.record(index, server.handle.is_up(), "an order");
        if admin != AdminState::Ready {
            server.idle.clear();
        }
        let (all, left) = (self.servers.len(), self.taking_requests());
        let (pool, name) = (self.name(), server.handle.name());
        match admin {
            AdminState::Ready => log::info!(
                "server {pool}/{name} is ready by order, {left} of {all} servers take requests"
            ),
            AdminState::Drain | AdminState::Maint => log::warn!(
                "server {pool}/{name} is in {} by order, {left} of {all} servers take requests",
                admin.word()
            ),
        }
        if left == 0 {
            log::error!("backend {pool} has no server left");
        }
    }

    /// The server at `index` has this weight from now on, by order or by the file.
    pub(crate) fn set_weight(&self, index: usize, weight: u32) {
        let Some(server) = self.servers.get(index) else {
            return;
        };
        let before = server.stats.weight.swap(weight, Ordering::Relaxed);
        if before != weight {
            log::info!(
                "server {}/{} has weight {weight}; it had {before}",
                self.name(),
                server.handle.name()
            );
        }
    }

    fn taking_requests(&self) -> usize {
        self.servers.iter().filter(|one| one.is_usable()).count()
    }

    fn record(&self, index: usize, up: bool, reason: &str) {
        let Some(server) = self.servers.get(index) else {
            return;
        };
        server.stats.state.store(Arc::new(ServerState {
            status: self.status(server, up),
            admin: server.handle.admin(),
            since: SystemTime::now(),
            reason: reason.to_owned(),
        }));
    }

    /// The word for a server of this pool that is `up` or not.
    fn status(&self, server: &Server, up: bool) -> ServerStatus {
        match (server.handle.admin(), up) {
            (AdminState::Maint, _) => ServerStatus::Maint,
            (_, false) => ServerStatus::Down,
            (AdminState::Drain, true) => ServerStatus::Drain,
            (AdminState::Ready, true) if self.is_checked(server) => ServerStatus::Up,
            (AdminState::Ready, true) => ServerStatus::NoCheck,
        }
    }

    /// Whether some server is up, whatever its weight.
    fn has_server_up(&self) -> bool {
        self.servers.iter().any(|server| server.handle.is_up())
    }

    /// Whether the pool checks this server of it.
    pub(crate) fn is_checked(&self, server: &Server) -> bool {
        server.config.check && !matches!(self.config.check.probe, Probe::None)
    }
}

impl Server {
    /// Up, somewhere, and no order stands against new requests.
    fn is_usable(&self) -> bool {
        self.is_there() && !self.is_ordered_away()
    }

    /// Up, and somewhere.
    fn is_there(&self) -> bool {
        self.handle.is_up() && !self.handle.is_set_aside() && self.handle.address().is_some()
    }

    /// By its state or its weight.
    fn is_ordered_away(&self) -> bool {
        self.weight() == 0 || self.handle.admin() != AdminState::Ready
    }

    /// Its weight now.
    pub(crate) fn weight(&self) -> u32 {
        self.stats.weight.load(Ordering::Relaxed)
    }
}
