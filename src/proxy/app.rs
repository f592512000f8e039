//! A frontend as Pingora asks it: how each request begins and ends, and the hooks of the plain way.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::Version;
use http::header::{AUTHORIZATION, HOST};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::{Digest, Stream};
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{BError, Error, ErrorSource};
use tokio::time::Instant;

use super::client::Client;
use super::http_rules::edit_response;
use super::queries;
use super::serving::Serving;
use super::session::access_log::{Line, Termination};
use super::session::context::{Passed, RequestContext};
use super::session::error_kind::ErrorKind;
use super::session::forwarded_for::Origin;
use crate::config::model::Target;
use crate::logging;
use crate::stats::Finished;

/// One frontend's requests.
pub(crate) struct App {
    /// Replaced by a reload.
    serving: Arc<ArcSwap<Serving>>,
}

/// A request that is under way.
pub(crate) struct UnderWay {
    /// What it is served with from its beginning to its end, whatever is reloaded meanwhile.
    serving: Arc<Serving>,
    context: RequestContext,
}

impl App {
    pub(super) fn new(serving: Arc<ArcSwap<Serving>>) -> Self {
        Self { serving }
    }

    /// Answers a request that has come whole. Pingora's proxy has nothing to do about such a one that would be worth the 10 KB that its
    /// state takes. Returns the client's connection if it may send another request.
    pub(super) async fn answer(&self, mut session: Session) -> Option<Stream> {
        match session.downstream_session.read_request().await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                // It was judged before: this is for what Pingora may still find.
                log::debug!("a request is malformed: {}", ErrorKind(&error));
                if let Err(error) = session.respond_error(400).await {
                    log::debug!("a client left: {}", ErrorKind(&error));
                }
                return None;
            }
        }
        let mut under_way = self.new_ctx();
        drop(session.take_connection_user_context());
        under_way.begin(&mut session);
        under_way.context.is_whole = true;
        match under_way.handle(&mut session).await {
            Ok(_) => {
                under_way.finished(&session, None);
                let reused = session.downstream_session.finish().await.ok()??;
                Some(reused.into_parts().0)
            }
            Err(error) => {
                under_way.failed(&mut session, &error).await;
                under_way.finished(&session, Some(&error));
                None
            }
        }
    }
}

impl UnderWay {
    /// Notes who asks, and how long they may take.
    fn begin(&mut self, session: &mut Session) {
        let peer = session.client_addr();
        let peer = peer.and_then(|address| address.as_inet().copied());
        let config = &self.serving.config;
        match peer.filter(|_| !config.trust_forwarded.is_empty()) {
            None => self.context.client = peer,
            Some(peer) => {
                let (trusted, by) = (&config.trust_forwarded, config.forwarded_header);
                let headers = &session.req_header().headers;
                let origin = Origin::find(headers, peer, trusted, by);
                self.context.client = Some(origin.client);
                self.context.via = Some(origin.via);
                (self.context.scheme, self.context.has_proto) = (origin.scheme, origin.has_proto);
            }
        }
        let digest = session.digest();
        self.context.tls = digest.and_then(|digest| digest.ssl_digest.clone());
        if let Some(began) = Client::began(session.as_downstream()) {
            self.context.started = began;
        }
        // The client's side of the connection knows for how long a body may be waited for.
        session.set_read_timeout(None);
        session.set_write_timeout(Some(self.serving.config.client_timeout));
    }

    /// Answers the request; false if Pingora's own path is to do it.
    async fn handle(&mut self, session: &mut Session) -> pingora::Result<bool> {
        let handled = self.serving.handle(session, &mut self.context).await;
        handled.map_err(|mut error| {
            // What is not said to be somebody else's is the client's: reading it and writing to it is all that is left.
            if *error.esource() == ErrorSource::Unset {
                error.as_down();
            }
            error
        })
    }

    /// Tells the client, if it can be told, that its request failed.
    async fn failed(&mut self, session: &mut Session, error: &Error) {
        let Self { serving, context } = self;
        log::debug!("{}: {}", serving.config.name, ErrorKind(error));
        if let Some(answer) = serving.failure_answer(error, context) {
            // The state of the connection is unknown: it ends with this answer.
            session.set_keepalive(None);
            if let Err(error) = answer.send(session).await {
                log::debug!("{}: {}", serving.config.name, ErrorKind(&error));
            }
        }
        if *error.esource() != ErrorSource::Downstream {
            let longest = serving.config.client_timeout;
            Client::break_off(session.as_downstream_mut(), longest).await;
        }
    }

    /// Counts the request, and logs it.
    fn finished(&mut self, session: &Session, error: Option<&Error>) {
        let Self { serving, context } = self;
        if error.is_some() && context.termination == Termination::Normal {
            context.termination = Termination::ClientLeft;
        }
        serving.judge_body(session, context);
        let status = session
            .response_written()
            .map(|answer| answer.status.as_u16())
            .filter(|status| *status >= 200 || *status == 101);
        let passed = Passed {
            sent: session.body_bytes_read() + context.tunneled.sent,
            received: session.body_bytes_sent() + context.tunneled.received,
        };
        context.times.total = context.started.elapsed();
        let finished = Finished {
            bytes_in: u64::try_from(passed.sent).unwrap_or(u64::MAX),
            bytes_out: u64::try_from(passed.received).unwrap_or(u64::MAX),
            status,
            abort: context.termination.abort(),
            durations: context.times.durations(),
        };
        serving.stats.traffic.count(&finished);
        if let Some(query) = &mut context.query {
            let end = queries::End {
                time: context.times.total,
                bytes: finished.bytes_out,
                status,
            };
            query.finish(end, serving.config.queries.slow);
        }
        let target = context.target.and_then(|target| serving.traffic(target));
        if let Some(target) = target {
            target.count(&finished);
        }
        let server = serving.current_server(context);
        if let Some(server) = server {
            server.stats.traffic.count(&finished);
        }
        if logging::has_access_log() {
            let frontends = &serving.shared.stats.frontends;
            let line = Line {
                at: SystemTime::now() - context.times.total,
                client: context.client,
                tls: context.tls.as_deref(),
                frontend: &serving.config.name,
                backend: context
                    .target
                    .and_then(|target| serving.target_name(target)),
                server: match context.target {
                    Some(Target::Relay(_)) => Some("<RELAY>"),
                    _ => server.map(|server| server.handle.name()),
                },
                times: context.times,
                status,
                bytes: passed.received,
                received: passed.sent,
                termination: context.termination,
                sessions: [
                    frontends.iter().map(|one| one.traffic.sessions.get()).sum(),
                    serving.stats.traffic.sessions.get(),
                    target.map_or(0, |target| target.sessions.get()),
                    server.map_or(0, |server| server.stats.traffic.sessions.get()),
                ],
                retries: context.moved,
                method: session.req_header().method.as_str().as_bytes(),
                target: session.req_header().raw_path(),
                version: Some(match Client::speaks_http2(session.as_downstream()) {
                    true => Version::HTTP_2,
                    false => session.req_header().version,
                }),
            };
            logging::access(&line);
        }
    }
}

#[async_trait]
impl ProxyHttp for App {
    type CTX = UnderWay;

    fn new_ctx(&self) -> UnderWay {
        let serving = self.serving.load_full();
        UnderWay {
            context: RequestContext::new(serving.shared.in_flight.enter()),
            serving,
        }
    }

    /// None: the compression that is there by default costs each request an allocation.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(
        &self,
        session: &mut Session,
        under_way: &mut UnderWay,
    ) -> pingora::Result<()> {
        under_way.begin(session);
        Ok(())
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        under_way: &mut UnderWay,
    ) -> pingora::Result<bool> {
        under_way.handle(session).await
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        under_way: &mut UnderWay,
    ) -> pingora::Result<Box<HttpPeer>> {
        let UnderWay { serving, context } = under_way;
        serving.peer(session, context)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::fd::RawFd,
        _digest: Option<&Digest>,
        under_way: &mut UnderWay,
    ) -> pingora::Result<()> {
        let UnderWay { serving, context } = under_way;
        context.reached(Some(Instant::now()), None);
        if let Some(server) = serving.current_server(context) {
            server.stats.count_connection(reused);
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        under_way: &mut UnderWay,
    ) -> pingora::Result<()> {
        let UnderWay { serving, context } = under_way;
        if serving.config.forwarded_for {
            context.for_whom().apply(request)?;
        }
        let Some(server) = serving.current_server(context) else {
            return Ok(());
        };
        if let Some(own) = server.dialer.authorization(&request.headers) {
            request.insert_header(AUTHORIZATION, own)?;
        }
        if !request.headers.contains_key(HOST)
            && let Some(address) = server.handle.address()
        {
            request.insert_header(HOST, address.to_string())?;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        under_way: &mut UnderWay,
    ) -> pingora::Result<()> {
        let UnderWay { serving, context } = under_way;
        Serving::judge_answer(session, response)?;
        context.times.answered = Some(context.started.elapsed());
        serving.close_if_stopping(session);
        edit_response(response, &context.edits)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        under_way: &mut UnderWay,
        error: BError,
    ) -> BError {
        let UnderWay { serving, context } = under_way;
        serving.not_connected(context, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: BError,
        under_way: &mut UnderWay,
        reused: bool,
    ) -> BError {
        let UnderWay { serving, context } = under_way;
        serving.broken(session, error, context, reused)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        under_way: &mut UnderWay,
    ) -> FailToProxy {
        under_way.failed(session, error).await;
        FailToProxy {
            error_code: session
                .response_written()
                .map_or(0, |answer| answer.status.as_u16()),
            can_reuse_downstream: false,
        }
    }

    /// What Pingora puts into its log of a request: nothing that the client chose.
    fn request_summary(&self, _: &Session, under_way: &UnderWay) -> String {
        under_way.serving.config.name.clone()
    }

    /// Its line in the access log says it, and the check's.
    fn suppress_error_log(&self, _: &Session, _: &UnderWay, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &UnderWay,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn logging(
        &self,
        session: &mut Session,
        error: Option<&Error>,
        under_way: &mut UnderWay,
    ) {
        under_way.finished(session, error);
    }
}
