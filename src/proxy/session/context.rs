//! What is known of one request while it is under way.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use pingora::protocols::tls::SslDigest;
use tokio::time::Instant;

use super::user::Sender;
use crate::config::model::{HeaderEdit, Target};
use crate::proxy::pool::Server;
use crate::proxy::queries::{Query, Running};
use crate::proxy::session::access_log::{Termination, Times};
use crate::proxy::session::forwarded_for::ForWhom;
use crate::proxy::session::in_flight::InFlightGuard;
use crate::stats::GaugeGuard;

/// How many bytes have passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::proxy) struct Passed {
    /// From the client.
    pub(in crate::proxy) sent: usize,
    /// To it.
    pub(in crate::proxy) received: usize,
}

/// What is known of one request.
pub(crate) struct RequestContext {
    /// When its header had been read.
    pub(in crate::proxy) started: Instant,
    /// `None` once the connection is a tunnel: a stop does not wait for those.
    pub(in crate::proxy) in_flight: Option<InFlightGuard>,
    pub(in crate::proxy) client: Option<SocketAddr>,
    /// What its client's TLS is, if the connection has any.
    pub(in crate::proxy) tls: Option<Arc<SslDigest>>,
    /// The proxies between the client and us; nothing if it is not asked for them.
    pub(in crate::proxy) via: Option<Vec<IpAddr>>,
    /// By which scheme the client asked, if a trusted proxy says so.
    pub(in crate::proxy) scheme: Option<&'static str>,
    /// Its `X-Forwarded-Proto` is believed.
    pub(in crate::proxy) has_proto: bool,
    /// Whose it is.
    pub(in crate::proxy) sender: Sender,
    /// Its body, if any, has come with its header.
    pub(in crate::proxy) is_whole: bool,
    pub(in crate::proxy) target: Option<Target>,
    pub(in crate::proxy) server: Option<usize>,
    /// Servers that failed, in order.
    pub(in crate::proxy) tried: Vec<usize>,
    /// How often it was moved from a server that failed to another one.
    pub(in crate::proxy) moved: usize,
    pub(in crate::proxy) termination: Termination,
    pub(in crate::proxy) times: Times,
    /// What passed behind an answer that made a tunnel.
    pub(in crate::proxy) tunneled: Passed,
    /// The query that it is, if queries are watched.
    pub(in crate::proxy) query: Option<Query>,
    /// What becomes of the headers of its answer.
    pub(in crate::proxy) edits: Vec<HeaderEdit>,
    /// The backend's or relay's session, and the server's.
    pub(in crate::proxy) target_session: Option<GaugeGuard>,
    server_session: Option<GaugeGuard>,
}

impl RequestContext {
    /// For a request that begins now, in the task of its connection.
    pub(in crate::proxy) fn new(in_flight: InFlightGuard) -> Self {
        Self {
            started: Instant::now(),
            in_flight: Some(in_flight),
            client: None,
            tls: None,
            via: None,
            scheme: None,
            has_proto: true,
            sender: Sender::default(),
            is_whole: false,
            target: None,
            server: None,
            tried: Vec::new(),
            moved: 0,
            termination: Termination::default(),
            times: Times::default(),
            tunneled: Passed::default(),
            query: None,
            edits: Vec::new(),
            target_session: None,
            server_session: None,
        }
    }

    /// The client's address.
    pub(in crate::proxy) fn address(&self) -> IpAddr {
        self.client
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |client| {
                client.ip().to_canonical()
            })
    }

    /// For whom and by which scheme it is passed on.
    pub(in crate::proxy) fn for_whom(&self) -> ForWhom<'_> {
        ForWhom {
            client: self.address(),
            via: self.via.as_deref(),
            scheme: self.scheme.unwrap_or(match self.tls {
                Some(_) => "https",
                None => "http",
            }),
            has_proto: self.has_proto,
        }
    }

    /// The query that it is, as long as it runs, if queries are watched.
    pub(in crate::proxy) fn running(&self) -> Option<Arc<Running>> {
        let query = self.query.as_ref();
        query.map(|query| Arc::clone(query.running()))
    }

    /// It is moved from `failed` to another server.
    pub(in crate::proxy) fn moves_from(&mut self, failed: &Server) {
        failed.stats.redispatches.increment();
        self.moved += 1;
    }

    /// A server was chosen for it. How the try before ended is forgotten: the last one is logged.
    pub(in crate::proxy) fn chose(&mut self, index: usize, server: &Server) {
        self.termination = Termination::default();
        self.times = Times {
            chosen: Some(self.started.elapsed()),
            ..Times::default()
        };
        self.server = Some(index);
        self.server_session = Some(server.stats.traffic.open_session());
    }

    /// It reached the server, and got an answer.
    pub(in crate::proxy) fn reached(
        &mut self,
        connected: Option<Instant>,
        answered: Option<Instant>,
    ) {
        let since = |moment: Instant| moment.duration_since(self.started);
        self.times.connected = connected.map(since);
        self.times.answered = answered.map(since);
    }
}
