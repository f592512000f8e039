//! What the program runs on: a configuration in which every value has been checked.
//!
//! Nothing here is raw text: names are resolved to positions, sizes to bytes, times to [`Duration`]s. A part that is handed
//! a piece of this need not doubt it. Only [`crate::config`] builds it.

mod access;
mod http2;
mod http_rules;
mod log_settings;
mod logins;
mod networks;
mod queries;
mod stats_socket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use ipnet::IpNet;
use regex::Regex;

pub use super::stats_user::StatsUser;
pub use crate::tls::{Alpn, CertificateFiles, ClientCertificate, ServerTls, Tls, TlsVersion};
pub use crate::users::UserSettings;
pub use access::{AccessRule, AllowedMeasurements, Pattern};
pub use http_rules::{
    Bandwidth, HeaderEdit, RateLimit, Redirect, RedirectTo, RequestAction, RequestRule,
    ResponseRule, may_be_changed,
};
pub use http2::Http2;
pub use log_settings::{LogFormat, LogLines, LogSettings, LogTarget, LogTo, SyslogForm};
pub use logins::{Login, NodeLogin, OwnLogin};
pub use networks::{Networks, SourceRules};
pub use queries::{QueryGuards, Unbounded};
pub use stats_socket::{Level, SocketSettings};

use crate::budget::Bounds;
use crate::influx::Precision;
use crate::influx::influxql::Limits;
use crate::proxy_header::Version;

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`: the process.
    pub server: Server,
    /// `[users]`: haflux's own users. Default: clients are the nodes' users.
    pub users: Option<UserSettings>,
    /// `[[frontend]]`, in the order of the file; behind them one for `server.metrics_bind`, if that is set. Never empty.
    pub frontends: Vec<Frontend>,
    /// `[[relay]]`, in the order of the file.
    pub relays: Vec<Relay>,
    /// `[[backend]]`, in the order of the file.
    pub backends: Vec<Backend>,
    /// `[[udp]]`, in the order of the file. No two of them share an address.
    pub udp: Vec<Udp>,
}

impl Config {
    /// How many different queries are counted each for itself; 0: none. Default: 200 if a frontend has `queries`, because each query
    /// costs some microseconds then, and else none.
    pub fn query_fingerprints(&self) -> usize {
        let has_guards = self.frontends.iter().any(|one| one.queries.is_any());
        let default = if has_guards { 200 } else { 0 };
        self.server.max_query_fingerprints.unwrap_or(default)
    }

    /// The backend that `id` stands for.
    pub fn backend(&self, id: BackendId) -> &Backend {
        &self.backends[id.0]
    }

    /// The relay that `id` stands for.
    pub fn relay(&self, id: RelayId) -> &Relay {
        &self.relays[id.0]
    }
}

/// Position of a backend in [`Config::backends`]; only a checked configuration makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BackendId(pub(crate) usize);

impl BackendId {
    /// The position itself.
    pub fn index(self) -> usize {
        self.0
    }
}

/// Position of a relay in [`Config::relays`]; only a checked configuration makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RelayId(pub(crate) usize);

impl RelayId {
    /// The position itself.
    pub fn index(self) -> usize {
        self.0
    }
}

/// `[server]`: what concerns the whole process.
#[derive(Debug, Clone)]
pub struct Server {
    /// `data_dir`: the folder of the journals, an absolute path. Needed (and writable) when there is a relay. Default
    /// `/var/lib/haflux`.
    pub data_dir: PathBuf,
    /// `user` and `group`: whom haflux becomes once its sockets are bound. Default: it stays who started it.
    pub run_as: Option<RunAs>,
    /// `landlock`: the process may use no files but those that its configuration names. Default false.
    pub landlock: bool,
    /// `threads`: worker threads that serve requests. Default: the number of cores.
    pub threads: usize,
    /// `log_level`: how much is logged. Default `info`.
    pub log_level: log::LevelFilter,
    /// `access_log`: one line a request. Default true.
    pub access_log: bool,
    /// The keys that begin with `log_`, but for `log_level`, and the tables `[[log]]`.
    pub log: LogSettings,
    /// `stats_socket`: HAProxy's runtime socket. Default none.
    pub stats_socket: Option<SocketSettings>,
    /// `stop_timeout`: how long a graceful stop waits for requests in flight. Default 30 s.
    pub stop_timeout: Duration,
    /// `max_query_body`: most bytes of the body of a request to a replicated pool, which is held until it is answered; past it
    /// 413. Default 16 MiB.
    pub max_query_body: usize,
    /// `max_query_inflight`: most bytes of such bodies held at once; past it 503. Not less than `max_query_body`. Default
    /// 16 MiB, or `max_query_body` if that is more.
    pub max_query_inflight: usize,
    /// `max_query_share`: most bytes of one client address among them. Default half of `max_query_inflight`.
    pub max_query_share: usize,
    /// `body_wait`: how long such a body waits for room. Default 5 s.
    pub body_wait: Duration,
    /// `max_query_parameters`, `max_query_length`, `max_query_statements`, `max_query_terms`, `max_query_depth`: the most that a
    /// request with a query may hold; past one 400.
    pub query_limits: Limits,
    /// `max_query_fingerprints`: see [`Config::query_fingerprints`].
    pub max_query_fingerprints: Option<usize>,
}

/// `user` and `group` of `[server]`, each a name or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAs {
    /// `user`.
    pub user: String,
    /// `group`. Default: the user's own.
    pub group: Option<String>,
}

impl Server {
    /// What bodies of requests to replicated pools may hold.
    pub(crate) fn query_budget(&self) -> Bounds {
        Bounds {
            limit: self.max_query_inflight,
            share: self.max_query_share,
            wait: self.body_wait,
        }
    }
}

/// `[[frontend]]`: one or more addresses that clients connect to, and where their requests go.
#[derive(Debug, Clone)]
pub struct Frontend {
    /// `name`.
    pub name: String,
    /// `bind`: one address or a list. Never empty; no two frontends share one.
    pub bind: Vec<SocketAddr>,
    /// `tls`: how it speaks TLS. Default: it speaks plain HTTP.
    pub tls: Option<Tls>,
    /// `http2`: what connections of HTTP/2 may ask for.
    pub http2: Http2,
    /// `stats_uri`: path and query at which the status page is served, e.g. `/haproxy?stats`.
    pub stats_uri: Option<String>,
    /// `metrics_uri`: path at which the metrics for Prometheus are served. It is another one than `stats_uri`.
    pub metrics_uri: Option<String>,
    /// `stats_refresh`: how often a browser without script loads that page anew. Default 5 s.
    pub stats_refresh: Duration,
    /// `stats_auth`: who may see that page; everybody if it is empty.
    pub stats_auth: Vec<StatsUser>,
    /// `stats_admin`: whether they may give orders to servers there. Default false; needs `stats_auth`.
    pub stats_admin: bool,
    /// `allow` and `deny`: which clients are served. Default: all.
    pub sources: SourceRules,
    /// `accept_proxy`: proxies whose connections begin with a PROXY header. Default: none.
    pub accept_proxy: Networks,
    /// `trust_forwarded`: proxies whose `forwarded_header` is believed. Default: none.
    pub trust_forwarded: Networks,
    /// `forwarded_header`: by which header they name the client. Default `X-Forwarded-For`.
    pub forwarded_header: ForwardedHeader,
    /// `auth`: clients must be haflux's users. Default false; needs [`Config::users`].
    pub auth: bool,
    /// `rules`: what clients may read, change and state; the first one that is for a client's user counts. Default: everything.
    pub access: Vec<AccessRule>,
    /// `rate_limit`: the most requests of one address. Default: no limit.
    pub rate_limit: Option<RateLimit>,
    /// `bandwidth`: the most bytes a second of one address, and of one request. Default: no limit.
    pub bandwidth: Option<Bandwidth>,
    /// `queries`: what queries may take of the nodes. Default: everything.
    pub queries: QueryGuards,
    /// `http_request`: what becomes of requests before they go anywhere, in this order.
    pub http_request: Vec<RequestRule>,
    /// `http_response`: what becomes of answers' headers, in this order.
    pub http_response: Vec<ResponseRule>,
    /// `use_backend`: first match wins.
    pub rules: Vec<Rule>,
    /// `default_backend`: where a request goes that no rule took.
    pub default_target: Option<Target>,
    /// `forwarded_for`: add `X-Forwarded-For` and `X-Forwarded-Proto`. Default false.
    pub forwarded_for: bool,
    /// `maxconn`: most client connections at once; more wait in the kernel's queue. Default 2000.
    pub max_connections: usize,
    /// `maxconn_per_source`: most connections at once from one address; more are closed at once. Default a quarter of
    /// `maxconn`, at least 1.
    pub max_connections_per_source: usize,
    /// `ipv6_source_prefix`: how many bits of an IPv6 address tell one source from another where limits are by source. Default 128.
    pub ipv6_source_prefix: u8,
    /// `max_header_size`: most bytes of a request's header. Default 64 KiB.
    pub max_header_size: usize,
    /// `max_tarpitted`: most requests that wait for the answer of a `tarpit` at once; more are answered at once. Default a quarter of
    /// `maxconn`, at least 1.
    pub max_tarpitted: usize,
    /// `min_body_rate`: bytes a second that a client has to send of a body while it is waited for. Default 500.
    pub min_body_rate: u32,
    /// `timeout.client`: longest silence of a client inside a request or an answer. Default 50 s.
    pub client_timeout: Duration,
    /// `timeout.http_request`: time for the whole header of a request. Default 10 s.
    pub request_header_timeout: Duration,
    /// `timeout.http_body`: how long, in all, a body may be waited for while it comes slower than `min_body_rate`. Default 30 s.
    pub request_body_timeout: Duration,
    /// `timeout.http_keep_alive`: how long an idle connection is kept. Default 60 s.
    pub keep_alive_timeout: Duration,
    /// `timeout.tunnel`: longest silence of an upgraded connection (WebSocket). Default 1 h.
    pub tunnel_timeout: Duration,
    /// `timeout.tarpit`: how long a request waits for the answer of a `tarpit`. Default 5 s.
    pub tarpit_timeout: Duration,
}

/// `forwarded_header`: how a proxy names the client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded`, RFC 7239.
    Forwarded,
}

/// Where a request can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A pool that balances.
    Backend(BackendId),
    /// A relay that replicates.
    Relay(RelayId),
}

/// One entry of `use_backend`.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `backend`: where a matching request goes.
    pub target: Target,
    /// `if` / `unless`.
    pub condition: Condition,
}

/// `if` or `unless` of a rule: any of the tables, all keys of a table, any value of a key.
#[derive(Debug, Clone)]
pub struct Condition {
    /// True for `unless`: the rule takes what does not match.
    pub negated: bool,
    /// Any of these must match; never empty.
    pub any_of: Vec<AllOf>,
}

/// One table of a condition; all of its tests must hold. Never empty.
#[derive(Debug, Clone)]
pub struct AllOf(pub Vec<Test>);

/// One key of a condition with its values; any value may hold.
#[derive(Debug, Clone)]
pub enum Test {
    /// `path`: the whole path.
    Path(Vec<String>),
    /// `path_beg`: the path begins with it.
    PathBegins(Vec<String>),
    /// `path_end`: the path ends with it.
    PathEnds(Vec<String>),
    /// `path_reg`: a regular expression finds something in the path.
    PathRegex(Vec<Regex>),
    /// `method`.
    Method(Vec<Method>),
    /// `host`: the `Host` header without its port, in any case.
    Host(Vec<String>),
    /// `src`: the client's address lies in the network.
    Source(Vec<IpNet>),
}

/// `[[backend]]`: a pool of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// `name`.
    pub name: String,
    /// `balance`.
    pub balance: Balance,
    /// `check`: how the pool's servers are checked; a server may opt out of it.
    pub check: Check,
    /// `servers`. Never empty; names are unique, and so are addresses.
    pub servers: Vec<PoolServer>,
    /// `timeout.connect`: default 5 s.
    pub connect_timeout: Duration,
    /// `timeout.server`: longest silence of a server before and inside its answer. Default 50 s.
    pub server_timeout: Duration,
    /// `timeout.keep_alive`: how long an idle connection to a server is kept. Default 60 s.
    pub server_keep_alive: Duration,
    /// `pool_max_conn`: most idle connections that are kept to each server. Default 1024.
    pub pool_max_connections: usize,
    /// `send_proxy`: the version of the PROXY header that tells the servers whom a connection is for. Default none.
    pub send_proxy: Option<Version>,
    /// `login`: who haflux's users are on the servers; the first one that is for a user counts. Default: they are nobody.
    pub logins: Vec<NodeLogin>,
    /// `retries`: how many further servers a request may be tried on. Default 3.
    pub retries: usize,
    /// `reads`: whether reads of a replicated pool go to fresh replicas only. Default `fresh`.
    pub reads: Reads,
    /// `read_wait`: how long a read waits for a replica to be fresh. Default 1 s.
    pub read_wait: Duration,
    /// `on_stale`: what becomes of a read for which no replica is fresh in time. Default `serve`.
    pub on_stale: OnStale,
    /// The relay that replicates to this pool, if one does: it gets every request that changes data.
    pub replicated_by: Option<RelayId>,
}

/// `reads`: which replicas answer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Those that have applied what was acknowledged before the read came.
    Fresh,
    /// Any that is up, as behind HAProxy.
    Any,
}

/// `on_stale`: a read comes and no replica is fresh in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStale {
    /// The most advanced replica answers, and a header says so.
    Serve,
    /// Answer 503.
    Reject,
}

/// `balance`: how a pool chooses a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// `roundrobin`: in turn, by weight. The default.
    RoundRobin,
    /// `leastconn`: fewest requests under way in relation to weight.
    LeastConnections,
    /// `random`: by weight.
    Random,
    /// `source`: the same server for the same client address, as long as the set of servers that are up stays the same.
    Source,
}

/// `check`: the health check of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is tried.
    pub probe: Probe,
    /// `port`: where it is tried. Default: the port that requests go to.
    pub port: Option<u16>,
    /// `interval`: between two checks of a server. Default 2 s.
    pub interval: Duration,
    /// `timeout`: for one whole check. Default 2 s.
    pub timeout: Duration,
    /// `rise`: successes in a row that bring a server up. Default 2.
    pub rise: usize,
    /// `fall`: failures in a row that take it down. Default 3.
    pub fall: usize,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// `check = { tcp = true }`, the default: a connection can be made.
    Tcp,
    /// `check = { http = "/path" }`: GET answers with an expected status.
    Http {
        /// Path and query.
        path: String,
        /// `expect`: statuses that count as healthy, as inclusive ranges. Default 200–399, of `/ping` 401 too.
        expect: Vec<(u16, u16)>,
        /// `host`: the `Host` header. Default: the server's address.
        host: Option<String>,
    },
    /// `check = false`: servers count as up.
    None,
}

/// One entry of `servers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolServer {
    /// `name`.
    pub name: String,
    /// `address`.
    pub address: ServerAddress,
    /// `tls`, of the server and of its pool: how TLS is spoken to it. Default: plain HTTP is.
    pub tls: Option<ServerTls>,
    /// `weight`: 0–256, default 1; 0 takes no balanced requests.
    pub weight: u32,
    /// `backup`: used only when no other server is up.
    pub backup: bool,
    /// `check`: false exempts this server from the pool's check.
    pub check: bool,
    /// `login`: who the pool's logins are on this server, where they are others. Default: they are the same.
    pub logins: Vec<OwnLogin>,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerAddress {
    /// An address as it is.
    Ip(SocketAddr),
    /// A DNS name, resolved at the start and again while running.
    Dns {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
}

impl std::fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ServerAddress::Ip(address) => address.fmt(f),
            ServerAddress::Dns { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// `[[relay]]`: replicates every write to all servers of a pool.
#[derive(Debug, Clone)]
pub struct Relay {
    /// `name`.
    pub name: String,
    /// `replicate_to`. No other relay replicates to the same pool.
    pub pool: BackendId,
    /// `ack`. Default `any`.
    pub ack: Ack,
    /// `on_unavailable`. Default `accept`.
    pub on_unavailable: OnUnavailable,
    /// `timeout`: of one request to a replica, and of a client's wait for its acknowledgement. Default 15 s.
    pub timeout: Duration,
    /// `sync`. Default `always`.
    pub sync: SyncPolicy,
    /// `max_body`: most bytes of a body as they arrive, and of one request to a replica. Default 25,000,000, as InfluxDB's.
    pub max_body: usize,
    /// `max_unpacked_body`: most bytes that a gzip body may unfold to; not less than `max_body`. Default 32 MiB, or `max_body`
    /// if that is more.
    pub max_unpacked_body: usize,
    /// `max_batch`: most bytes of joined records in one request to a replica; not more than `max_body`. Default 1 MiB, or
    /// `max_body` if that is less.
    pub max_batch: usize,
    /// `max_inflight`: most bytes of bodies held for clients at once, each counted twice; past it 503 with `Retry-After`; not less
    /// than `max_unpacked_body`. Default 32 MiB, or `max_unpacked_body` if that is more.
    pub max_inflight: usize,
    /// `max_inflight_share`: most bytes of one client address among them. Default half of `max_inflight`.
    pub max_inflight_share: usize,
    /// `body_wait`: how long a body waits for room. Default 5 s.
    pub body_wait: Duration,
    /// `max_tags`: most tags of a line; one with more is refused as InfluxDB refuses a line that it cannot parse. Default 1000.
    pub max_tags: usize,
    /// `max_backlog`: most bytes that are kept for a replica that is behind; past it, it is diverged. Default 10 GiB.
    pub max_backlog: usize,
    /// `max_backlog_age`: how long a replica may be behind; past it, it is diverged. Default 72 h.
    pub max_backlog_age: Duration,
    /// `near`: how far a replica may be from the head for clients to wait for it.
    pub near: Near,
    /// `rewind`: how far back a replica that was away, or gave no answer, is sent again what it had. Default 30 s.
    pub rewind: Duration,
    /// `trust_for`: how long credentials that a node accepted may write while no node can be asked. Default 1 h.
    pub trust_for: Duration,
    /// `judging`: how credentials are judged before anything of theirs is stored.
    pub judging: Judging,
    /// `max_statements`: most changing statements under way or waiting at once; more get 503. Default 64.
    pub max_statements: usize,
    /// `max_statements_per_source`: how many of them one client address may have. Default a quarter of `max_statements`.
    pub max_statements_per_source: usize,
    /// `max_attempts`: how often a record may be sent to a replica alone and end without a verdict before it is set aside there.
    /// Default 3.
    pub max_attempts: usize,
    /// `hold_for`: how long a record that a replica refuses for want of schema or rights is tried again there while another one
    /// took it. Default 5 min.
    pub hold_for: Duration,
    /// `max_pending_refusals`: most refused records that are remembered until no replica can be sent them again; past it no
    /// replica reads further, and one that half of them wait for is diverged. Default 500,000.
    pub max_pending_refusals: usize,
    /// `max_dead_letters`: most dead letters kept on disk; past it the oldest are dropped. Default 10,000.
    pub max_dead_letters: usize,
    /// `max_dead_letter_bytes`: most bytes of dead letters on disk; past it the oldest are dropped. Default 256 MiB.
    pub max_dead_letter_bytes: usize,
    /// `statement_timeout`: how long a client waits for its statement. Default 10 min.
    pub statement_timeout: Duration,
    /// `max_statement_answer_buffer`: most bytes of the answer to a statement that wait for its client while the answer comes; a
    /// client that leaves them full is given up. Default 1 MiB.
    pub max_statement_answer_buffer: usize,
    /// `max_refusal_texts`: most bytes of replicas' refusals longer than 2 KiB that are held for clients; past it a client hears
    /// one that is shortened to 2 KiB. Default 4 MiB.
    pub max_refusal_texts: usize,
    /// `retry.min`: first wait before a replica is tried again. Default 100 ms.
    pub retry_min: Duration,
    /// `retry.max`: longest such wait. Default 10 s.
    pub retry_max: Duration,
    /// `heal`: how the nodes are compared and made to hold the same.
    pub heal: Healing,
    /// `compare`: how often the nodes are compared. Default never.
    pub compare: Option<Duration>,
    /// `rerun_continuous_queries`: the longest time of which a node's missed runs of continuous queries are made up for. Default
    /// never.
    pub rerun_continuous_queries: Option<Duration>,
}

/// `heal`: how the nodes are read and written past the journal, to compare, mend and rebuild them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healing {
    /// `username` and `password_file`: an administrator of all nodes. Default none: they are asked in nobody's name.
    pub login: Option<Login>,
    /// `parallel`: places that are read at once of each node. Default 2.
    pub parallel: usize,
    /// `max_rate`: most bytes a second that are read of each node. Default none.
    pub max_rate: Option<u64>,
    /// `max_load`: hundredths of the time of one core for which each node works for them. Default none: no limit.
    pub max_load: Option<u32>,
    /// `max_points`: most points that are held in memory at once. Default 50,000.
    pub max_points: usize,
    /// `rpc_port`: the nodes' port of InfluxDB's backup protocol, by which a rebuild copies shards as files. Default none: it copies
    /// points over HTTP.
    pub rpc_port: Option<u16>,
    /// `gate`: how long clients' writes may wait for one batch of a mend. Default 2 s.
    pub gate: Duration,
}

impl Default for Healing {
    fn default() -> Healing {
        Healing {
            login: None,
            parallel: 2,
            max_rate: None,
            max_load: None,
            max_points: 50_000,
            rpc_port: None,
            gate: Duration::from_secs(2),
        }
    }
}

impl Relay {
    /// What bodies may hold.
    pub(crate) fn budget(&self) -> Bounds {
        Bounds {
            limit: self.max_inflight,
            share: self.max_inflight_share,
            wait: self.body_wait,
        }
    }
}

/// `near`: a replica that is farther from the head is out of reach: no client waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near {
    /// `bytes`: of the journal that are still to be read for it. Default `max_inflight`, which is more than clients that wait can have
    /// under way.
    pub bytes: u64,
    /// `time`: for which a record of one database, or what is still to be read, may have been waiting. Default 5 s.
    pub time: Duration,
}

/// `judging`: whoever no node has accepted lately is judged by a node before anything of theirs is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judging {
    /// `at_once`: credentials that the nodes are asked about at once. Default 4.
    pub at_once: usize,
    /// `max_waiting`: requests that wait to be judged, a quarter of them from one address; more get 503. Default 256.
    pub max_waiting: usize,
    /// `refused_for`: how long a refusal is remembered. Default 1 s.
    pub refused_for: Duration,
    /// `max_known`: accepted credentials that are remembered. Default 4,096.
    pub max_known: usize,
}

/// `ack`: when a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// One replica applied it.
    Any,
    /// More than half of the replicas applied it.
    Quorum,
    /// All replicas applied it.
    All,
    /// It is durable in the journal.
    Journal,
}

/// `on_unavailable`: a write comes while no replica can take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnavailable {
    /// Acknowledge it once it is durable.
    Accept,
    /// Answer 503; nothing is stored.
    Reject,
}

/// `sync`: when the journal is synced to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before anything is sent on or acknowledged.
    Always,
    /// At this interval; what a power failure within it takes is lost.
    Interval(Duration),
    /// Left to the operating system.
    Never,
}

/// `[[udp]]`: takes lines from datagrams into a relay.
#[derive(Debug, Clone)]
pub struct Udp {
    /// `bind`. Default `0.0.0.0:8089`.
    pub bind: SocketAddr,
    /// `relay`.
    pub relay: RelayId,
    /// `db`: the database of all its lines. At most 255 bytes.
    pub database: String,
    /// `rp`: their retention policy, at most 255 bytes. Default empty: the database's default one.
    pub retention_policy: String,
    /// `username` and `password_file`. Default none: the lines are written in nobody's name.
    pub login: Option<Login>,
    /// `precision`: unit of the lines' timestamps. Default nanoseconds.
    pub precision: Precision,
    /// `read_buffer`: bytes that the kernel is asked to hold until they are read. Default 8 MiB.
    pub read_buffer: usize,
}
