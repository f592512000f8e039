//! What is done with each request of a frontend.

use std::time::SystemTime;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{BError, Error, ErrorSource, ErrorType};
use tokio::time::Instant;

use super::Rendered;
use super::client::{BodyFault, Client};
use super::forward::Forward;
use super::forward::barrier::{Aim, Chooser};
use super::forward::{self, tunnel};
use super::pool::Pool;
use super::replicated;
use super::routing::route::{self, Route};
use super::serving::Serving;
use super::session::access_log::{Line, Termination};
use super::session::context::{Passed, RequestContext};
use super::session::error_answer::{ErrorAnswer, send_whole};
use super::session::error_kind::ErrorKind;
use super::session::forwarded_for;
use super::status_page;
use crate::config::model::Target;
use crate::logging;
use crate::stats::Finished;

/// One frontend's requests.
pub(crate) struct App {
    serving: Serving,
}

impl App {
    pub(super) fn new(serving: Serving) -> Self {
        Self { serving }
    }

    /// Answers with a view of what is counted.
    async fn view(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        view: Rendered,
    ) -> pingora::Result<()> {
        context.termination = Termination::Local;
        self.serving.stats.intercepted.increment();
        self.serving.close_if_stopping(session);
        let mut header = ResponseHeader::build(view.status, Some(5))?;
        header.insert_header(CONTENT_TYPE, view.content_type)?;
        header.insert_header(CONTENT_LENGTH, view.body.len())?;
        header.insert_header("Cache-Control", "no-cache")?;
        send_whole(session, header, view.body).await
    }

    /// Answers the request; false if Pingora's own path is to do it.
    async fn handle(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> pingora::Result<bool> {
        let route = route::find(
            &self.serving.shared.config,
            &self.serving.config,
            session.req_header(),
            context.source(),
        );
        match route {
            Route::Status(options) => {
                let options = options.to_owned();
                context.termination = Termination::Local;
                status_page::serve(&self.serving, session, context, &options).await?;
            }
            Route::Metrics => {
                let view = self.serving.shared.status.metrics();
                self.view(session, context, view).await?;
            }
            Route::Nowhere => {
                context.termination = Termination::NoServer;
                self.serving
                    .answer(session, &ErrorAnswer::no_backend(&self.serving.config.name))
                    .await?;
            }
            Route::Relay(id) => {
                self.serving.enter(context, Target::Relay(id));
                let Some(relay) = self.serving.relay(id) else {
                    return Err(Error::new_in(ErrorType::InternalError));
                };
                self.serving.close_if_stopping(session);
                relay.handle(session, context.source()).await?;
            }
            Route::Replicated(id, relay) => {
                let target = Target::Backend(id);
                let Some(pool) = self.serving.pool(Some(target)) else {
                    return Err(Error::new_in(ErrorType::InternalError));
                };
                replicated::serve(&self.serving, session, context, target, pool, relay).await?;
            }
            Route::Plain(id) => {
                let target = Target::Backend(id);
                self.serving.enter(context, target);
                let Some(pool) = self.serving.pool(Some(target)) else {
                    return Err(Error::new_in(ErrorType::InternalError));
                };
                if !pool.is_available() {
                    pool.stats().no_server.increment();
                    context.termination = Termination::NoServer;
                    self.serving
                        .answer(session, &ErrorAnswer::none_of(pool))
                        .await?;
                    return Ok(true);
                }
                let Some(upgrade) = tunnel::wanted(session) else {
                    return Ok(false);
                };
                self.tunnel(session, context, pool, upgrade).await?;
            }
        }
        Ok(true)
    }

    /// Asks a server of `pool` for another protocol, in the client's name.
    async fn tunnel(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        pool: &Pool,
        upgrade: HeaderValue,
    ) -> pingora::Result<()> {
        let Some(body) = forward::read_body(&self.serving, session, context).await? else {
            return Ok(());
        };
        let chooser = Chooser::new(pool, Aim::Any, context.source());
        let forward = Forward {
            pool,
            body,
            repeatable: true,
            upgrade: Some(upgrade),
        };
        forward.run(&self.serving, session, context, chooser).await
    }

    /// Notes and counts what was wrong with the request's body.
    fn judge_body(&self, session: &Session, context: &mut RequestContext) {
        let Some(fault) = Client::body_fault(session.as_downstream()) else {
            return;
        };
        self.serving.stats.request_errors.increment();
        context.termination = match fault {
            BodyFault::Ended => Termination::ClientLeft,
            BodyFault::Slow => {
                self.serving.stats.slow_requests.increment();
                Termination::ClientSilent
            }
            BodyFault::Malformed => {
                self.serving.stats.malformed_requests.increment();
                Termination::Refused
            }
        };
    }
}

#[async_trait]
impl ProxyHttp for App {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        RequestContext::new(self.serving.shared.in_flight.enter())
    }

    /// None: the compression that is there by default costs each request an allocation.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> pingora::Result<()> {
        context.client = session
            .client_addr()
            .and_then(|address| address.as_inet().copied());
        session.set_read_timeout(Some(self.serving.config.client_timeout));
        session.set_write_timeout(Some(self.serving.config.client_timeout));
        Ok(())
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> pingora::Result<bool> {
        let handled = self.handle(session, context).await;
        handled.map_err(|mut error| {
            // What is not said to be somebody else's is the client's: reading it and writing to it is all that is left.
            if *error.esource() == ErrorSource::Unset {
                error.as_down();
            }
            error
        })
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        context: &mut RequestContext,
    ) -> pingora::Result<Box<HttpPeer>> {
        self.serving.peer(context)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::fd::RawFd,
        _digest: Option<&Digest>,
        context: &mut RequestContext,
    ) -> pingora::Result<()> {
        context.reached(Some(Instant::now()), None);
        if let Some(server) = self.serving.current_server(context) {
            server.stats.count_connection(reused);
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        context: &mut RequestContext,
    ) -> pingora::Result<()> {
        if self.serving.config.forwarded_for {
            forwarded_for::apply(request, context.source())?;
        }
        if !request.headers.contains_key(HOST)
            && let Some(address) = self
                .serving
                .current_server(context)
                .and_then(|server| server.handle.address())
        {
            request.insert_header(HOST, address.to_string())?;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        _response: &mut ResponseHeader,
        context: &mut RequestContext,
    ) -> pingora::Result<()> {
        context.times.answered = Some(context.started.elapsed());
        self.serving.close_if_stopping(session);
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut RequestContext,
        error: BError,
    ) -> BError {
        self.serving.not_connected(context, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: BError,
        context: &mut RequestContext,
        reused: bool,
    ) -> BError {
        self.serving.broken(session, error, context, reused)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut RequestContext,
    ) -> FailToProxy {
        log::debug!("{}: {}", self.serving.config.name, ErrorKind(error));
        if let Some(answer) = self.serving.failure_answer(error, context) {
            // The state of the connection is unknown: it ends with this answer.
            session.set_keepalive(None);
            if let Err(error) = answer.send(session).await {
                log::debug!("{}: {}", self.serving.config.name, ErrorKind(&error));
            }
        }
        FailToProxy {
            error_code: session
                .response_written()
                .map_or(0, |answer| answer.status.as_u16()),
            can_reuse_downstream: false,
        }
    }

    /// What Pingora puts into its log of a request: nothing that the client chose.
    fn request_summary(&self, _: &Session, _: &RequestContext) -> String {
        self.serving.config.name.clone()
    }

    /// Its line in the access log says it, and the check's.
    fn suppress_error_log(&self, _: &Session, _: &RequestContext, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &RequestContext,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn logging(
        &self,
        session: &mut Session,
        error: Option<&Error>,
        context: &mut RequestContext,
    ) {
        if error.is_some() && context.termination == Termination::Normal {
            context.termination = Termination::ClientLeft;
        }
        self.judge_body(session, context);
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
        self.serving.stats.traffic.count(&finished);
        let target = context
            .target
            .and_then(|target| self.serving.traffic(target));
        if let Some(target) = target {
            target.count(&finished);
        }
        let server = self.serving.current_server(context);
        if let Some(server) = server {
            server.stats.traffic.count(&finished);
        }
        if logging::has_access_log() {
            let frontends = &self.serving.shared.stats.frontends;
            let line = Line {
                at: SystemTime::now() - context.times.total,
                client: context.client,
                frontend: &self.serving.config.name,
                backend: context
                    .target
                    .and_then(|target| self.serving.target_name(target)),
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
                    self.serving.stats.traffic.sessions.get(),
                    target.map_or(0, |target| target.sessions.get()),
                    server.map_or(0, |server| server.stats.traffic.sessions.get()),
                ],
                retries: context.tried.len(),
                method: session.req_header().method.as_str().as_bytes(),
                target: session.req_header().raw_path(),
                version: Some(session.req_header().version),
            };
            logging::access(&line);
        }
    }
}
