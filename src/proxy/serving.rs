//! What a request of a frontend is served with: the frontend, what all frontends share, and how its client is answered.
//!
//! [`App`](super::app::App) decides what is done with a request; whatever does it is handed this. A reload makes a new one for each
//! frontend; requests that are under way keep theirs.

use std::sync::Arc;

use pingora::proxy::Session;
use tokio::sync::watch;

use super::frontend::admission::Admission;
use super::identity::Identities;
use super::pool::{Pool, Server};
use super::session::context::RequestContext;
use super::session::error_answer::ErrorAnswer;
use super::{RelayHandler, Shared};
use crate::budget::Budget;
use crate::config::model::{self, RelayId, Target};
use crate::influx::influxql::Limits;
use crate::source::Source;
use crate::stats::{CertificateStats, FrontendStats, StapleStats, Traffic};
use crate::tls::Acceptor;

/// One frontend, and what all frontends share.
pub(crate) struct Serving {
    pub(super) shared: Arc<Shared>,
    pub(super) config: model::Frontend,
    pub(super) stats: Arc<FrontendStats>,
    /// The same one over reloads.
    pub(super) admission: Arc<Admission>,
    /// What the handshakes of its addresses that speak TLS are answered with.
    pub(super) acceptor: Option<Arc<Acceptor>>,
    stop: watch::Receiver<bool>,
}

impl Serving {
    pub(super) fn new(
        shared: Arc<Shared>,
        config: model::Frontend,
        stats: Arc<FrontendStats>,
        admission: Arc<Admission>,
        acceptor: Option<Arc<Acceptor>>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        show_certificates(acceptor.as_deref(), &stats);
        Self {
            shared,
            config,
            stats,
            admission,
            acceptor,
            stop,
        }
    }

    /// The same frontend as a reload has it. `acceptors` are in the order of the new configuration.
    pub(super) fn reloaded(
        &self,
        shared: &Arc<Shared>,
        acceptors: &[Option<Arc<Acceptor>>],
    ) -> Option<Self> {
        let frontends = &shared.config.frontends;
        let place = frontends
            .iter()
            .position(|config| config.name == self.config.name)?;
        Some(Self::new(
            Arc::clone(shared),
            frontends.get(place)?.clone(),
            Arc::clone(shared.stats.frontends.get(place)?),
            Arc::clone(&self.admission),
            acceptors.get(place).cloned().flatten(),
            self.stop.clone(),
        ))
    }

    pub(super) fn held_bodies(&self) -> &Arc<Budget> {
        &self.shared.held_bodies
    }

    pub(super) fn max_held_body(&self) -> usize {
        self.shared.config.server.max_query_body
    }

    /// What a request with a query may hold.
    pub(super) fn query_limits(&self) -> &Limits {
        &self.shared.config.server.query_limits
    }

    /// haflux's own users, if it has any.
    pub(super) fn identities(&self) -> Option<&Arc<Identities>> {
        self.shared.identities.as_ref()
    }

    /// As whom limits by source count the client.
    pub(super) fn source(&self, context: &RequestContext) -> Source {
        Source::new(context.address(), self.config.ipv6_source_prefix)
    }

    /// Counts a query that holds more.
    pub(super) fn count_refused_query(&self) {
        self.shared.stats.queries_refused.increment();
    }

    /// From a stop on, each answer is the last of its connection.
    pub(super) fn close_if_stopping(&self, session: &mut Session) {
        if *self.stop.borrow() {
            session.set_keepalive(None);
        }
    }

    /// Returns once a stop has begun.
    pub(super) async fn stopping(&self) {
        let mut stop = self.stop.clone();
        // A sender that is gone can no longer say stop: that is one.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Answers with an error that is not the client's.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        answer: &ErrorAnswer,
    ) -> pingora::Result<()> {
        self.close_if_stopping(session);
        answer.send(session).await
    }

    /// Answers with an error that is the client's.
    pub(super) async fn refuse(
        &self,
        session: &mut Session,
        answer: &ErrorAnswer,
    ) -> pingora::Result<()> {
        self.stats.request_errors.increment();
        self.answer(session, answer).await
    }

    pub(super) fn pool(&self, target: Option<Target>) -> Option<&Arc<Pool>> {
        match target {
            Some(Target::Backend(id)) => self.shared.pools.get(id.index()),
            _ => None,
        }
    }

    pub(super) fn traffic(&self, target: Target) -> Option<&Traffic> {
        let stats = &self.shared.stats;
        match target {
            Target::Backend(id) => Some(&stats.backends.get(id.index())?.traffic),
            Target::Relay(id) => Some(&stats.relays.get(id.index())?.traffic),
        }
    }

    pub(super) fn target_name(&self, target: Target) -> Option<&str> {
        let config = &self.shared.config;
        match target {
            Target::Backend(id) => config.backends.get(id.index()).map(|one| one.name.as_str()),
            Target::Relay(id) => config.relays.get(id.index()).map(|one| one.name.as_str()),
        }
    }

    /// What answers for the relay.
    pub(super) fn relay(&self, id: RelayId) -> Option<&Arc<dyn RelayHandler>> {
        self.shared.relays.get(id.index())
    }

    pub(super) fn enter(&self, context: &mut RequestContext, target: Target) {
        context.target = Some(target);
        if let Some(traffic) = self.traffic(target) {
            context.target_session = Some(traffic.open_session());
        }
    }

    /// The server that the stock path is talking to.
    pub(super) fn current_server(&self, context: &RequestContext) -> Option<&Server> {
        self.pool(context.target)?.server(context.server?)
    }
}

/// Says in the counters which certificates clients are shown, and what with them.
fn show_certificates(acceptor: Option<&Acceptor>, stats: &FrontendStats) {
    let certificates = acceptor.map_or(&[][..], Acceptor::certificates);
    let each = certificates.iter().map(|certificate| CertificateStats {
        file: certificate.file().display().to_string(),
        names: certificate.names().to_vec(),
        not_after: certificate.not_after(),
    });
    stats.tls.certificates.store(Arc::new(each.collect()));
    let staples = certificates.iter().filter_map(|certificate| {
        let staple = certificate.staple()?;
        let shown = staple.shown();
        Some(StapleStats {
            certificate: certificate.file().display().to_string(),
            file: staple.file().display().to_string(),
            fault: shown.err().map(ToString::to_string),
            good: shown.ok(),
        })
    });
    stats.tls.staples.store(Arc::new(staples.collect()));
}
