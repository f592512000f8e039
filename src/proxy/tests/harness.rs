//! A running proxy for tests, and configurations built by hand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::services::{ServiceReadyNotifier, ServiceWithDependents};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::{Answer, Client};
use crate::config::Config;
use crate::config::model::{
    Ack, AllOf, AllowedMeasurements, Backend, BackendId, Balance, Check, Condition,
    ForwardedHeader, Frontend, Http2, Judging, Networks, OnStale, OnUnavailable, PoolServer, Probe,
    Reads, Relay, RelayId, Rule, Server, ServerAddress, SourceRules, SyncPolicy, Target, Test,
};
use crate::influx::Answer as InfluxAnswer;
use crate::influx::influxql::{Class, Request};
use crate::inherited::Inherited;
use crate::proxy::{
    ClientSide, Handled, InFlight, PageOrderError, PageRequest, Pool, Proxy, RelayHandler,
    Rendered, StatusPage, build_pools,
};
use crate::reactors::Reactors;
use crate::relay::verdict::freshness::Freshness;
use crate::relay::{AdmittedStatement, Replicated};
use crate::source::Source;
use crate::stats::{
    AdminState, BackendStats, BarrierStats, Counter, FrontendStats, Http2Stats, RelayStats,
    ServerState, ServerStats, ServerStatus, ServerTlsStats, Stats, ThrottleStats, TlsStats,
    Traffic,
};

/// For whatever must happen at once but for the machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A server of a pool at `address`.
pub(crate) fn server(name: &str, address: SocketAddr) -> PoolServer {
    PoolServer {
        name: name.into(),
        address: ServerAddress::Ip(address),
        tls: None,
        weight: 1,
        backup: false,
        check: true,
        logins: Vec::new(),
    }
}

/// A server of a pool that is named by DNS.
pub(crate) fn named_server(name: &str, host: &str, port: u16) -> PoolServer {
    PoolServer {
        address: ServerAddress::Dns {
            host: host.into(),
            port,
        },
        ..server(name, SocketAddr::from(([127, 0, 0, 1], port)))
    }
}

/// A pool without checks.
pub(crate) fn backend(name: &str, servers: Vec<PoolServer>) -> Backend {
    Backend {
        name: name.into(),
        balance: Balance::RoundRobin,
        check: Check {
            probe: Probe::None,
            port: None,
            interval: Duration::from_millis(50),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
        },
        servers,
        connect_timeout: Duration::from_secs(5),
        server_timeout: Duration::from_secs(10),
        server_keep_alive: Duration::from_secs(60),
        pool_max_connections: 64,
        retries: 3,
        send_proxy: None,
        logins: Vec::new(),
        reads: Reads::Fresh,
        read_wait: Duration::from_secs(1),
        on_stale: OnStale::Serve,
        replicated_by: None,
    }
}

/// A frontend on a port of the system's choice.
pub(crate) fn frontend(default_target: Target) -> Frontend {
    Frontend {
        tls: None,
        http2: Http2::default(),
        name: "front".into(),
        bind: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        stats_uri: Some("/haproxy?stats".into()),
        metrics_uri: Some("/haflux/metrics".into()),
        stats_refresh: Duration::from_secs(5),
        stats_auth: Vec::new(),
        stats_admin: false,
        sources: SourceRules::default(),
        accept_proxy: Networks::default(),
        trust_forwarded: Networks::default(),
        forwarded_header: ForwardedHeader::XForwardedFor,
        auth: false,
        access: Vec::new(),
        rate_limit: None,
        bandwidth: None,
        queries: Default::default(),
        http_request: Vec::new(),
        http_response: Vec::new(),
        rules: Vec::new(),
        default_target: Some(default_target),
        forwarded_for: false,
        max_connections: 2000,
        max_connections_per_source: 2000,
        ipv6_source_prefix: 128,
        max_tarpitted: 500,
        max_header_size: 64 << 10,
        min_body_rate: 500,
        client_timeout: Duration::from_secs(10),
        request_header_timeout: Duration::from_secs(10),
        request_body_timeout: Duration::from_secs(30),
        keep_alive_timeout: Duration::from_secs(60),
        tunnel_timeout: Duration::from_secs(3600),
        tarpit_timeout: Duration::from_secs(5),
    }
}

/// A rule for paths that begin with `prefix`.
pub(crate) fn path_rule(prefix: &str, target: Target) -> Rule {
    Rule {
        target,
        condition: Condition {
            negated: false,
            any_of: vec![AllOf(vec![Test::PathBegins(vec![prefix.into()])])],
        },
    }
}

/// The first backend.
pub(crate) const BACKEND: Target = Target::Backend(BackendId(0));
/// The first relay.
pub(crate) const RELAY: Target = Target::Relay(RelayId(0));

/// One frontend before one plain pool.
pub(crate) fn plain(servers: Vec<PoolServer>) -> Config {
    Config {
        server: Server {
            data_dir: PathBuf::new(),
            run_as: None,
            landlock: false,
            threads: 1,
            log_level: log::LevelFilter::Info,
            access_log: true,
            log: Default::default(),
            stats_socket: None,
            stop_timeout: Duration::from_secs(30),
            max_query_body: 16 << 20,
            max_query_inflight: 64 << 20,
            max_query_share: 32 << 20,
            body_wait: Duration::from_secs(1),
            query_limits: Default::default(),
            max_query_fingerprints: None,
        },
        users: None,
        frontends: vec![frontend(BACKEND)],
        relays: Vec::new(),
        backends: vec![backend("influx_back", servers)],
        udp: Vec::new(),
    }
}

/// One frontend before one pool that a relay replicates to.
pub(crate) fn replicated(servers: Vec<PoolServer>) -> Config {
    let mut config = plain(servers);
    config.relays = vec![Relay {
        name: "influx_relay".into(),
        pool: BackendId(0),
        ack: Ack::Any,
        on_unavailable: OnUnavailable::Accept,
        timeout: Duration::from_secs(15),
        sync: SyncPolicy::Always,
        max_body: 25_000_000,
        max_unpacked_body: 64 << 20,
        max_batch: 1 << 20,
        max_inflight: 64 << 20,
        max_inflight_share: 32 << 20,
        body_wait: Duration::from_secs(5),
        max_tags: 1000,
        max_backlog: 10 << 30,
        max_backlog_age: Duration::from_secs(72 * 3600),
        near: crate::config::model::Near {
            bytes: 32 << 20,
            time: Duration::from_secs(5),
        },
        rewind: Duration::from_secs(30),
        trust_for: Duration::from_secs(3600),
        judging: Judging {
            at_once: 4,
            max_waiting: 256,
            refused_for: Duration::from_secs(1),
            max_known: 4096,
        },
        max_statements: 64,
        max_statements_per_source: 16,
        max_attempts: 3,
        statement_timeout: Duration::from_secs(60),
        max_statement_answer_buffer: 1 << 20,
        max_refusal_texts: 4 << 20,
        hold_for: Duration::from_secs(300),
        max_pending_refusals: 10_000,
        max_dead_letters: 10_000,
        max_dead_letter_bytes: 256 << 20,
        retry_min: Duration::from_millis(100),
        retry_max: Duration::from_secs(10),
        heal: Default::default(),
        compare: None,
        rerun_continuous_queries: None,
    }];
    config.backends[0].replicated_by = Some(RelayId(0));
    config
}

/// Counters for `config`.
pub(crate) fn stats(config: &Config) -> Arc<Stats> {
    let server = |server: &PoolServer| {
        Arc::new(ServerStats {
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
            state: Arc::new(ArcSwap::from_pointee(ServerState {
                status: ServerStatus::Up,
                admin: AdminState::Ready,
                since: SystemTime::now(),
                reason: String::new(),
            })),
            check_failures: Counter::default(),
            outages: Arc::default(),
            last_check: Arc::default(),
            tls: ServerTlsStats::default(),
        })
    };
    let frontends = config.frontends.iter().map(|frontend| {
        Arc::new(FrontendStats {
            name: frontend.name.clone(),
            bind: Vec::new(),
            traffic: Traffic::default(),
            intercepted: Counter::default(),
            session_limit: 2000,
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
            queries: Default::default(),
        })
    });
    let backends = config.backends.iter().map(|backend| {
        Arc::new(BackendStats {
            name: backend.name.clone(),
            balance: "roundrobin".into(),
            traffic: Traffic::default(),
            no_server: Counter::default(),
            outages: Arc::default(),
            barrier: BarrierStats::default(),
            servers: backend.servers.iter().map(server).collect(),
        })
    });
    let relays = config.relays.iter().map(|relay| {
        Arc::new(RelayStats {
            name: relay.name.clone(),
            pool: config.backend(relay.pool).name.clone(),
            replicas: Vec::new(),
            ..RelayStats::default()
        })
    });
    Arc::new(Stats {
        started: SystemTime::now(),
        frontends: frontends.collect(),
        backends: backends.collect(),
        relays: relays.collect(),
        udp: Vec::new(),
        query_inflight: Arc::default(),
        queries_refused: Counter::default(),
        query_table: Arc::default(),
        log: Arc::default(),
    })
}

/// A pool without checks, behind nothing.
pub(crate) fn pool(servers: Vec<PoolServer>) -> Arc<Pool> {
    let config = plain(servers);
    let stats = stats(&config);
    build_pools(&config, &stats, &[]).unwrap().remove(0)
}

struct EchoRelay;

#[async_trait]
impl RelayHandler for EchoRelay {
    async fn handle(
        &self,
        session: &mut Session,
        _: Source,
        _: Option<AllowedMeasurements>,
    ) -> pingora::Result<Handled> {
        let mut length = 0;
        while let Some(piece) = session.read_request_body().await? {
            length += piece.len();
        }
        let mut header = ResponseHeader::build(204, None)?;
        header.insert_header("X-Relayed", length)?;
        session
            .write_response_header(Box::new(header), true)
            .await?;
        session.write_response_body(None, true).await?;
        Ok(Handled::Told)
    }

    async fn admit_statement(
        &self,
        request: &Request<'_>,
        class: &Class,
        _: Source,
    ) -> Result<AdmittedStatement, InfluxAnswer> {
        let names = format!("{} of {} bytes", class.names.join(", "), request.body.len());
        Ok(AdmittedStatement::shown_as(names))
    }

    async fn replicate(&self, statement: AdmittedStatement) -> Replicated {
        let mut answer = InfluxAnswer::stored(None);
        let value = HeaderValue::try_from(statement.shown()).expect("a header");
        answer
            .headers
            .push((HeaderName::from_static("x-replicated"), value));
        Replicated::Whole(answer)
    }

    async fn ready(&self) {}

    fn freshness(&self) -> Option<&Freshness> {
        None
    }
}

struct PlainStatus;

impl StatusPage for PlainStatus {
    fn render(&self, _: &Stats, asked: &PageRequest<'_>) -> Rendered {
        plain_text(format!("status{}", asked.options))
    }

    fn metrics(&self, _: &Stats) -> Rendered {
        plain_text("metrics".to_owned())
    }

    fn order(&self, form: &[u8]) -> Result<(), PageOrderError> {
        match form {
            b"order" => Ok(()),
            _ => Err(PageOrderError::NotFromPage),
        }
    }
}

fn plain_text(text: String) -> Rendered {
    Rendered {
        status: StatusCode::OK,
        content_type: "text/plain",
        policy: None,
        body: Bytes::from(text),
    }
}

/// A running proxy. It stops when it is dropped.
pub(crate) struct Running {
    pub(crate) addresses: Vec<Vec<SocketAddr>>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) pools: Vec<Arc<Pool>>,
    pub(crate) in_flight: InFlight,
    pub(crate) stop: watch::Sender<bool>,
    /// Ends when the last frontend has been cleaned up.
    pub(crate) listening: JoinHandle<()>,
    /// What runs on them lasts as long as they do.
    _reactors: Arc<Reactors>,
    background: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        Self::start_after(config, |_, _| ())
    }

    /// Starts after `before` was given the stop and the addresses, which are bound by then.
    pub(crate) fn start_after(
        config: Config,
        before: impl FnOnce(&watch::Sender<bool>, &[Vec<SocketAddr>]),
    ) -> Self {
        let config = Arc::new(config);
        let stats = stats(&config);
        let pools = build_pools(&config, &stats, &[]).unwrap();
        let relays: Vec<Arc<dyn RelayHandler>> = config
            .relays
            .iter()
            .map(|_| Arc::new(EchoRelay) as Arc<dyn RelayHandler>)
            .collect();
        let (stop, stopped) = watch::channel(false);
        let proxy = Proxy::new(
            config,
            Arc::clone(&stats),
            pools.clone(),
            relays,
            Arc::new(PlainStatus),
            &ClientSide::default(),
            stopped.clone(),
        );
        let bound = proxy.bind(&mut Inherited::default()).unwrap();
        let addresses = bound.addresses();
        before(&stop, &addresses);
        let reactors = Arc::new(Reactors::start(2).unwrap());
        let mut service = proxy.listening_service(Arc::clone(&reactors), bound, Vec::new());
        let pool_service = proxy.background_service();
        let listening = tokio::spawn(async move {
            let (ready, _watch) = watch::channel(false);
            let notifier = ServiceReadyNotifier::new(ready);
            service.start_service(None, stopped, 1, notifier).await;
        });
        Self {
            addresses,
            stats,
            pools,
            in_flight: proxy.in_flight(),
            stop,
            listening,
            _reactors: reactors,
            background: tokio::spawn(async move { pool_service.run(|| ()).await }),
        }
    }

    /// The first address of the first frontend.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0][0]
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address()).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        let mut client = self.connect().await;
        client.get(target).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.listening.abort();
        self.background.abort();
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
