//! The proxy: Pingora's `ProxyHttp` for every frontend, and the pools behind them.
//!
//! # Rooms
//!
//! Each uses only those that stand below it.
//!
//! | room | what is in it |
//! | --- | --- |
//! | `frontend` | the sockets, a frontend's connections, and their end at a stop |
//! | `app` | Pingora's hooks: where each request begins and ends |
//! | `handling` | what is done with it |
//! | `replicated`, `plain_pool`, `relay_handler` | the three ways to do it |
//! | `access` | whether the rules of a frontend allow a request |
//! | `guards` | whether a query may run |
//! | `http_rules` | rules about HTTP: requests that are refused or sent elsewhere, headers that are changed, rates |
//! | `status_page` | who may see the status page, and give orders there |
//! | `identity` | who a client is among haflux's own users, and in whose name its requests go on |
//! | `forward` | a request goes to a server by own code: the read `barrier`'s choice, one `exchange`, a `tunnel` |
//! | `serving` | what a request is served with, and how its client is answered |
//! | `session` | what a request carries with it, its body, its error answers, its line in the log |
//! | `queries` | the queries that run, and what is known of them |
//! | `pool` | the servers: choice, checks, names, idle connections, reads that they have answered |
//! | `routing` | conditions and rules |
//! | `client` | the client's side of a connection |
//!
//! # A request
//!
//! `frontend` takes the connection (limits), `client` reads and judges the header of each request, `handling` answers the request:
//! the status page, then the rules (`routing`), then who sends it (`identity`), then one of three ways:
//!
//! - a **relay** answers it ([`RelayHandler`]); every write endpoint of a pool that a relay replicates to goes there,
//!   whatever the rules say;
//! - at a **replicated pool** (`replicated`) the body is read and its statements are judged: what changes anything goes to the
//!   relay, what reads to a server that the read barrier chooses. It is forwarded by own code (`forward`): it can be
//!   repeated, and the header of the answer is held back until the first piece of its body, because InfluxDB sends 200 before
//!   it executes;
//! - at a **plain pool** a request that has come whole, and one for a WebSocket, is forwarded by the same own code; any other goes Pingora's own path
//!   (`plain_pool`), which streams an upload of any size.
//!
//! # A pool
//!
//! `pool` holds the servers and `balance` chooses among those that are up. `health` runs Pingora's checks and
//! `resolve` follows DNS names; both write [`ServerHandle`](crate::stats::ServerHandle)s, which relays read too.
//!
//! # Invariants
//!
//! - A request is sent to a second server only if that cannot do anything twice: the method repeats safely, or nothing was
//!   sent. It never is once a byte of an answer has gone to the client.
//! - A read that may be what ended or silenced its server is sent to no second one (`pool::known_reads`).
//! - An answer leaves only if its server was fresh for the read all the time (`forward::barrier`).
//! - With no server up, the answer is 503 at once and names the backend.
//! - Everything has a limit: connections a frontend, waiting connections, bytes of held bodies (a request and in all),
//!   idle connections to a server, and each wait.
//! - A reload replaces what requests are served with, in one step for each frontend. A request that is under way, and its pool, stay what they
//!   were until it has ended; a server that stays keeps its state and its counters; a pool that nothing was changed about stays itself.
//! - From the moment the stop watch flips, every answer closes its connection; what is in flight is finished.
//! - No query string's credentials or statements and no header value reach the log.

mod access;
mod app;
mod client;
mod forward;
mod frontend;
mod guards;
mod handling;
mod http_rules;
mod identity;
mod plain_pool;
mod pool;
mod queries;
mod relay_handler;
mod replicated;
mod routing;
mod serving;
mod session;
mod status_page;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::StatusCode;
use pingora::proxy::Session;
use tokio::sync::watch;

use crate::budget::Budget;
use crate::config::Config;
use crate::config::model::{AllowedMeasurements, Frontend};
use crate::dial::OwnAccounts;
use crate::influx::influxql::{Class, Request};
use crate::influx::{Answer, OtherMeasurement};
use crate::inherited::Inherited;
use crate::reactors::Reactors;
use crate::relay::verdict::freshness::Freshness;
use crate::relay::{AdmittedStatement, Replicated};
use crate::source::Source;
use crate::stats::Stats;
use crate::tls::{Acceptor, Connector};

use frontend::admission::Admission;
use serving::Serving;

#[cfg(any(test, fuzzing))]
pub(crate) use client::fuzz as fuzz_client;
pub use frontend::listener::{BACKLOG, BindError, BoundListeners, ListeningService};
pub use identity::{Identities, IdentitiesError};
pub use pool::background::PoolService;
pub use pool::orders::{Ordered, ServerOrderError, ServerOrders, ServerPlace, Weight, WeightError};
pub use pool::resolve::{ResolvedPools, UnresolvedError};
pub use pool::{CheckError, Pool, build_pools};
pub use queries::Queries;
pub use session::in_flight::InFlight;
pub use session::request_body::{BodyError, HeldBody, read_request_body};

/// What becomes of a request that a relay has the whole of.
#[derive(Debug)]
pub enum Handled {
    /// The client is to be told this.
    Answer(Answer),
    /// The client has been told already.
    Told,
    /// It writes to a measurement that is not allowed; nothing is stored.
    Other(OtherMeasurement),
}

/// Answers the requests that go to a relay. What stands above the proxy puts the relay behind it.
#[async_trait]
pub trait RelayHandler: Send + Sync {
    /// Reads the request's body and returns the whole answer. `Expect: 100-continue` is not answered yet,
    /// and the connection's timeouts and keep-alive are set. A line may be of `allowed` measurements
    /// only, if there are some.
    ///
    /// # Errors
    ///
    /// Only of the client's connection; everything else is an answer.
    async fn handle(
        &self,
        session: &mut Session,
        source: Source,
        allowed: Option<AllowedMeasurements>,
    ) -> pingora::Result<Handled>;

    /// Looks at a request that changes data or schema and is no write, and has it judged by a node. `class` is what the classifier
    /// said of it. Nothing is stored: the future may be dropped.
    ///
    /// # Errors
    ///
    /// The whole answer, for a request that is not taken.
    async fn admit_statement(
        &self,
        request: &Request<'_>,
        class: &Class,
        source: Source,
    ) -> Result<AdmittedStatement, Answer>;

    /// Carries it out on all replicas; the answer, or the beginning of a long one.
    async fn replicate(&self, statement: AdmittedStatement) -> Replicated;

    /// Returns once the replicas have been asked for the first time.
    async fn ready(&self);

    /// Which replicas may answer a read; nothing if all may.
    fn freshness(&self) -> Option<&Freshness>;
}

/// The views of what is counted, at a frontend's `stats_uri` and `metrics_uri`.
pub trait StatusPage: Send + Sync {
    /// Renders these counters.
    fn render(&self, stats: &Stats, asked: &PageRequest<'_>) -> Rendered;

    /// Renders the metrics for Prometheus.
    fn metrics(&self, stats: &Stats) -> Rendered;

    /// Carries out the order for a server that this body of a form holds. May wait for the disk.
    ///
    /// # Errors
    ///
    /// [`PageOrderError`]; nothing has changed.
    fn order(&self, form: &[u8]) -> Result<(), PageOrderError>;
}

/// What is asked of the status page.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// `stats_uri`.
    pub uri: &'a str,
    /// What followed it in the request, as it came: empty, or like HAProxy's `;csv`.
    pub options: &'a str,
    /// `stats_refresh`.
    pub refresh: Duration,
    /// Whether who asks may give orders to servers.
    pub admin: bool,
}

/// A view of what is counted.
#[derive(Debug)]
pub struct Rendered {
    /// The status that it is answered with.
    pub status: StatusCode,
    /// Its content type.
    pub content_type: &'static str,
    /// What a browser may do with it: a Content-Security-Policy.
    pub policy: Option<String>,
    /// The view.
    pub body: Bytes,
}

/// Why an order that was given on the status page is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageOrderError {
    /// It bears no token of this process: another page sent it, or one from before a restart.
    #[error("this order does not come from the status page as it is now; load the page again")]
    NotFromPage,
    /// It is no order.
    #[error("an order is drain, ready or maint and the name of a server")]
    NoOrder,
    /// The server is not there, or cannot be ordered.
    #[error("{reason}")]
    Refused {
        /// Why, for a person.
        reason: String,
    },
}

/// All frontends and pools of a configuration.
pub struct Proxy {
    shared: ArcSwap<Shared>,
    /// In the order in which they listen.
    frontends: Vec<Arc<ArcSwap<Serving>>>,
    /// Those of `shared`, for what looks after them.
    pools: watch::Sender<Vec<Arc<Pool>>>,
    stop: watch::Receiver<bool>,
}

/// What TLS is spoken with to the servers of all pools, in the order of the configuration.
pub type Connectors = Vec<Vec<Option<Arc<Connector>>>>;

/// The accounts that the servers of all pools have of their own, in the order of the configuration.
pub type Accounts = Vec<Vec<Arc<OwnAccounts>>>;

/// What the configuration's files say of servers.
#[derive(Debug)]
pub struct ServerSide {
    /// What TLS is spoken with.
    pub connectors: Connectors,
    /// Who is known by another account.
    pub accounts: Accounts,
}

impl ServerSide {
    /// Tells the servers of these pools, which are those of the configuration.
    pub fn tell(&self, pools: &[Arc<Pool>]) {
        for (pool, connectors) in pools.iter().zip(&self.connectors) {
            pool.speak(connectors);
        }
        for (pool, accounts) in pools.iter().zip(&self.accounts) {
            pool.know(accounts);
        }
    }
}

/// What the configuration's files say of clients.
#[derive(Debug, Default)]
pub struct ClientSide {
    /// What frontends that speak TLS answer handshakes with, in the order of the configuration.
    pub acceptors: Vec<Option<Arc<Acceptor>>>,
    /// haflux's own users, if it has any.
    pub identities: Option<Arc<Identities>>,
}

/// What every request of every frontend needs.
pub(crate) struct Shared {
    config: Arc<Config>,
    stats: Arc<Stats>,
    pools: Vec<Arc<Pool>>,
    relays: Vec<Arc<dyn RelayHandler>>,
    status: Arc<dyn StatusPage>,
    identities: Option<Arc<Identities>>,
    held_bodies: Arc<Budget>,
    queries: Arc<Queries>,
    /// Requests.
    in_flight: InFlight,
    /// Services that accept.
    accepting: InFlight,
}

impl Proxy {
    /// A proxy for `config`. `pools` are those of [`build_pools`] for the same configuration and counters; `relays` are in
    /// the order of the configuration; `clients` is for the same one. Once `stop` is true, its services stop accepting and checking, and close each connection after
    /// its answer.
    pub fn new(
        config: Arc<Config>,
        stats: Arc<Stats>,
        pools: Vec<Arc<Pool>>,
        relays: Vec<Arc<dyn RelayHandler>>,
        status: Arc<dyn StatusPage>,
        clients: &ClientSide,
        stop: watch::Receiver<bool>,
    ) -> Self {
        stats.query_table.change(config.query_fingerprints());
        let shared = Arc::new(Shared {
            held_bodies: Budget::new(
                config.server.query_budget(),
                Arc::clone(&stats.query_inflight),
            ),
            queries: Arc::default(),
            config,
            stats,
            pools,
            relays,
            status,
            identities: clients.identities.clone(),
            in_flight: InFlight::default(),
            accepting: InFlight::default(),
        });
        let frontends = shared.config.frontends.iter().zip(&shared.stats.frontends);
        let frontends = frontends.enumerate().map(|(place, (config, stats))| {
            let serving = Serving::new(
                Arc::clone(&shared),
                config.clone(),
                Arc::clone(stats),
                Admission::new(config),
                clients.acceptors.get(place).cloned().flatten(),
                stop.clone(),
            );
            Arc::new(ArcSwap::from_pointee(serving))
        });
        Self {
            frontends: frontends.collect(),
            pools: watch::Sender::new(shared.pools.clone()),
            shared: ArcSwap::new(shared),
            stop,
        }
    }

    /// Asks for the names in `pools`, which were built after those that there are. Nothing is changed by that.
    ///
    /// # Errors
    ///
    /// Servers that are to be asked at a name for which nobody answers, and were somewhere else before.
    pub async fn resolve(
        &self,
        pools: Vec<Arc<Pool>>,
    ) -> Result<ResolvedPools, Vec<UnresolvedError>> {
        ResolvedPools::of(pools, &self.pools()).await
    }

    /// Serves new requests by `config` from now on, which has the same frontends, addresses and relays as the one before; the rest as for
    /// [`Proxy::new`]. `servers` are those of `resolved`.
    pub fn reload(
        &self,
        config: Arc<Config>,
        stats: Arc<Stats>,
        resolved: ResolvedPools,
        relays: Vec<Arc<dyn RelayHandler>>,
        clients: &ClientSide,
        servers: &ServerSide,
    ) {
        let before = self.shared.load_full();
        before.held_bodies.change(config.server.query_budget());
        stats.query_table.change(config.query_fingerprints());
        let shared = Arc::new(Shared {
            config,
            stats,
            pools: resolved.pools().to_vec(),
            relays,
            status: Arc::clone(&before.status),
            identities: clients.identities.clone(),
            held_bodies: Arc::clone(&before.held_bodies),
            queries: Arc::clone(&before.queries),
            in_flight: before.in_flight.clone(),
            accepting: before.accepting.clone(),
        });
        // Before the new addresses: nothing in the clear may go to where TLS is spoken.
        servers.tell(&shared.pools);
        resolved.take_over();
        for frontend in &self.frontends {
            if let Some(serving) = frontend.load().reloaded(&shared, &clients.acceptors) {
                serving.admission.change(&serving.config);
                frontend.store(Arc::new(serving));
            }
        }
        self.pools.send_replace(shared.pools.clone());
        self.shared.store(shared);
    }

    /// What it runs by now.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.shared.load().config)
    }

    /// What the frontends that speak TLS answer handshakes with, each with the frontend's name.
    pub fn acceptors(&self) -> Vec<(String, Arc<Acceptor>)> {
        let each = self.frontends.iter().filter_map(|frontend| {
            let serving = frontend.load();
            let acceptor = Arc::clone(serving.acceptor.as_ref()?);
            Some((serving.config.name.clone(), acceptor))
        });
        each.collect()
    }

    /// haflux's own users as they are now.
    pub fn identities(&self) -> Option<Arc<Identities>> {
        self.shared.load().identities.clone()
    }

    /// What counts now.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.shared.load().stats)
    }

    /// The queries that run.
    pub fn queries(&self) -> Arc<Queries> {
        Arc::clone(&self.shared.load().queries)
    }

    /// The pools as they are now, in the order of the configuration.
    pub fn pools(&self) -> Vec<Arc<Pool>> {
        self.shared.load().pools.clone()
    }

    /// Binds every address of every frontend, or takes it from what is `inherited`.
    ///
    /// # Errors
    ///
    /// The first address that cannot be had, with its frontend and the reason; nothing stays bound then.
    pub fn bind(&self, inherited: &mut Inherited) -> Result<BoundListeners, BindError> {
        BoundListeners::bind(&self.shared.load().config.frontends, inherited)
    }

    /// The service that accepts on `bound` and has `reactors` answer. `tasks` run on them, too, once it starts.
    pub fn listening_service(
        &self,
        reactors: Arc<Reactors>,
        bound: BoundListeners,
        tasks: Vec<BoxFuture<'static, ()>>,
    ) -> ListeningService {
        ListeningService::new(
            self.frontends.clone(),
            self.pools.subscribe(),
            reactors,
            bound,
            self.stop.clone(),
            tasks,
        )
    }

    /// The service that checks the servers of all pools and resolves their names. It is ready when each name has been asked for
    /// once; the listening service should depend on it.
    pub fn background_service(&self) -> PoolService {
        PoolService::new(self.pools.subscribe(), self.stop.clone())
    }

    /// Returns when nothing is accepted any more and the requests under way are answered; for a stop.
    pub async fn served(&self) {
        let shared = self.shared.load_full();
        shared.accepting.none_left().await;
        shared.in_flight.none_left().await;
    }

    /// The requests under way.
    pub fn in_flight(&self) -> InFlight {
        self.shared.load().in_flight.clone()
    }
}

/// Binds every address of `frontends` that was not handed over, without listening on it; [`Proxy::bind`] takes them from `inherited`.
///
/// # Errors
/// The first address that cannot be had.
pub fn reserve(frontends: &[Frontend], inherited: &mut Inherited) -> Result<(), BindError> {
    BoundListeners::reserve(frontends, inherited)
}
