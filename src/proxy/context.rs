//! What is known of one request while it is under way.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::time::Instant;

use super::access_log::{Termination, Times};
use super::in_flight::InFlightGuard;
use super::pool::Server;
use super::tunnel::Passed;
use crate::config::model::Target;
use crate::stats::GaugeGuard;

/// What is known of one request.
pub(crate) struct RequestContext {
    pub(super) started: Instant,
    /// `None` once the connection is a tunnel: a stop does not wait for those.
    pub(super) in_flight: Option<InFlightGuard>,
    pub(super) client: Option<SocketAddr>,
    pub(super) target: Option<Target>,
    pub(super) server: Option<usize>,
    /// Servers that failed, in order.
    pub(super) tried: Vec<usize>,
    pub(super) termination: Termination,
    pub(super) times: Times,
    /// What passed behind an answer that made a tunnel.
    pub(super) tunneled: Passed,
    /// The backend's or relay's session, and the server's.
    pub(super) target_session: Option<GaugeGuard>,
    server_session: Option<GaugeGuard>,
}

impl RequestContext {
    /// For a request whose header has just been read, in the task of its connection.
    pub(super) fn new(in_flight: InFlightGuard) -> Self {
        Self {
            started: Instant::now(),
            in_flight: Some(in_flight),
            client: None,
            target: None,
            server: None,
            tried: Vec::new(),
            termination: Termination::default(),
            times: Times::default(),
            tunneled: Passed::default(),
            target_session: None,
            server_session: None,
        }
    }

    /// The client's address, for what depends on it.
    pub(super) fn source(&self) -> IpAddr {
        self.client
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |client| {
                client.ip().to_canonical()
            })
    }

    /// A server was chosen for it.
    pub(super) fn chose(&mut self, index: usize, server: &Server) {
        self.times = Times {
            chosen: Some(self.started.elapsed()),
            ..Times::default()
        };
        self.server = Some(index);
        self.server_session = Some(server.stats.traffic.sessions.enter());
        server.stats.traffic.sessions_total.increment();
    }

    /// It reached the server, and got an answer.
    pub(super) fn reached(&mut self, connected: Option<Instant>, answered: Option<Instant>) {
        let since = |moment: Instant| moment.duration_since(self.started);
        self.times.connected = connected.map(since);
        self.times.answered = answered.map(since);
    }
}
