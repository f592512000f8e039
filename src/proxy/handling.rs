//! What becomes of a request that has come: judged by the rules, answered here, or sent on.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::client::{BodyFault, Client};
use super::forward::barrier::{Aim, Chooser};
use super::forward::{Forward, read_body, tunnel};
use super::http_rules::edit_answer;
use super::pool::Pool;
use super::routing::acl;
use super::routing::route::{self, Route};
use super::serving::Serving;
use super::session::access_log::Termination;
use super::session::context::RequestContext;
use super::session::error_answer::{ErrorAnswer, send, send_whole};
use super::session::request_body::{HeldBody, take_whole_body};
use super::{Handled, Rendered, access, queries, replicated, status_page};
use crate::config::model::{AllowedMeasurements, Target};

/// What the rules say of a request.
enum Judged {
    /// Its client has been told.
    Refused,
    /// It may go on, with its body if that was looked at.
    Allowed(Option<HeldBody>),
}

impl Serving {
    /// Answers with a view of what is counted.
    async fn view(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        view: Rendered,
    ) -> pingora::Result<()> {
        context.termination = Termination::Local;
        self.stats.intercepted.increment();
        self.close_if_stopping(session);
        let mut header = ResponseHeader::build(view.status, Some(5))?;
        header.insert_header(CONTENT_TYPE, view.content_type)?;
        header.insert_header(CONTENT_LENGTH, view.body.len())?;
        header.insert_header("Cache-Control", "no-cache")?;
        send_whole(session, header, view.body).await
    }

    /// Answers the request; false if Pingora's own path is to do it.
    pub(super) async fn handle(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> pingora::Result<bool> {
        let client = context.address();
        // Who is connected itself was admitted with the connection.
        let is_behind = context.via.as_ref().is_some_and(|via| !via.is_empty());
        if is_behind && !self.config.sources.admits(client) {
            self.stats.denied_requests.increment();
            context.termination = Termination::Refused;
            self.answer(session, &ErrorAnswer::kept_out()).await?;
            return Ok(true);
        }
        let wait = self.throttle(session, context);
        if self.ruled(session, context).await? {
            return Ok(true);
        }
        if !wait.is_zero() {
            self.wait(session, wait).await?;
        }
        let (config, request) = (&self.shared.config, session.req_header());
        let route = route::find(config, &self.config, request, client);
        match route {
            Route::Status(options) => {
                let options = options.to_owned();
                context.termination = Termination::Local;
                Box::pin(status_page::serve(self, session, context, &options)).await?;
            }
            Route::Metrics => {
                let view = self.shared.status.metrics(&self.shared.stats);
                self.view(session, context, view).await?;
            }
            Route::Nowhere => {
                context.termination = Termination::NoServer;
                self.answer(session, &ErrorAnswer::no_backend(&self.config.name))
                    .await?;
            }
            Route::Relay(id) => {
                self.enter(context, Target::Relay(id));
                let pool = config.relay(id).pool;
                if self.turns_away(session, context, pool).await? {
                    return Ok(true);
                }
                if self.forbids(session, context, &Bytes::new()).await? {
                    return Ok(true);
                }
                let Some(relay) = self.relay(id) else {
                    return Err(Error::new_in(ErrorType::InternalError));
                };
                self.close_if_stopping(session);
                let allowed = self.allowed_measurements(session, context);
                match relay.handle(session, self.source(context), allowed).await? {
                    Handled::Answer(mut answer) => {
                        if answer.status == StatusCode::PAYLOAD_TOO_LARGE {
                            self.stats.request_errors.increment();
                        }
                        edit_answer(&mut answer.headers, &context.edits);
                        send(session, answer).await?;
                    }
                    Handled::Told => {}
                    Handled::Other(other) => {
                        self.forbid_measurement(session, context, other).await?;
                    }
                }
            }
            Route::Replicated(id, relay) => {
                let target = Target::Backend(id);
                let Some(pool) = self.pool(Some(target)) else {
                    return Err(Error::new_in(ErrorType::InternalError));
                };
                if self.turns_away(session, context, id).await? {
                    return Ok(true);
                }
                replicated::serve(self, session, context, target, pool, relay).await?;
            }
            Route::Plain(id) => {
                let target = Target::Backend(id);
                self.enter(context, target);
                let Some(pool) = self.pool(Some(target)) else {
                    return Err(Error::new_in(ErrorType::InternalError));
                };
                if self.turns_away(session, context, id).await? {
                    return Ok(true);
                }
                let upgrade = tunnel::wanted(session);
                let body = match self.judge_plain(session, context).await? {
                    Judged::Refused => return Ok(true),
                    Judged::Allowed(body) => body,
                };
                // Behind all that may refuse it: a stranger does not hear how the pool is.
                if !pool.is_available() {
                    pool.stats().no_server.increment();
                    context.termination = Termination::NoServer;
                    self.answer(session, &ErrorAnswer::none_of(pool)).await?;
                    return Ok(true);
                }
                if upgrade.is_none() && body.is_none() && !context.is_whole {
                    return Ok(false);
                }
                self.forward(session, context, pool, body, upgrade).await?;
            }
        }
        Ok(true)
    }

    /// Judges a request to a plain pool by the rules and the guards of queries. Its body is held if it may say what is done.
    async fn judge_plain(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> pingora::Result<Judged> {
        let request = session.req_header();
        let is_guarded = self.config.queries.is_any()
            && queries::observed::is_query(&request.method, acl::path(request));
        if self.config.access.is_empty() && !is_guarded {
            return Ok(Judged::Allowed(None));
        }
        let body = match is_guarded || access::wants_body(session) {
            false => None,
            true => match read_body(self, session, context).await? {
                Some(body) => Some(body),
                None => return Ok(Judged::Refused),
            },
        };
        let seen = body.as_ref().map(HeldBody::bytes).cloned();
        let seen = seen.unwrap_or_default();
        let is_refused = self.forbids(session, context, &seen).await?
            || (is_guarded && self.guards_if_read(session, context, &seen).await?);
        if is_refused {
            return Ok(Judged::Refused);
        }
        let allowed = access::writes_lines(session.req_header())
            .then(|| self.allowed_measurements(session, context))
            .flatten();
        match allowed {
            None => Ok(Judged::Allowed(body)),
            Some(allowed) => self.judge_lines(session, context, allowed).await,
        }
    }

    /// Judges a write to a plain pool whose lines may not be of every measurement.
    async fn judge_lines(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        allowed: AllowedMeasurements,
    ) -> pingora::Result<Judged> {
        let Some(body) = read_body(self, session, context).await? else {
            return Ok(Judged::Refused);
        };
        let lines = body.bytes().clone();
        match self
            .forbids_lines(session, context, &lines, allowed)
            .await?
        {
            true => Ok(Judged::Refused),
            false => Ok(Judged::Allowed(Some(body))),
        }
    }

    /// Has a server of `pool` answer a request that has come whole, or asks it for another protocol in the client's name.
    async fn forward(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        pool: &Pool,
        body: Option<HeldBody>,
        upgrade: Option<HeaderValue>,
    ) -> pingora::Result<()> {
        let body = match body {
            Some(body) => body,
            None => take_whole_body(session).await?,
        };
        let chooser = Chooser::new(pool, Aim::Any, context.address());
        let forward = Forward {
            pool,
            body,
            repeatable: session.req_header().method.is_idempotent(),
            // A query that is ended before its answer is to have one.
            held: upgrade.is_some() || context.query.is_some(),
            upgrade,
        };
        forward.run(self, session, context, chooser).await
    }

    /// Notes and counts what was wrong with the request's body.
    pub(super) fn judge_body(&self, session: &Session, context: &mut RequestContext) {
        let Some(fault) = Client::body_fault(session.as_downstream()) else {
            return;
        };
        self.stats.request_errors.increment();
        context.termination = match fault {
            BodyFault::Ended => Termination::ClientLeft,
            BodyFault::Slow => {
                self.stats.slow_requests.increment();
                Termination::ClientSilent
            }
            BodyFault::Malformed => {
                self.stats.malformed_requests.increment();
                Termination::Refused
            }
        };
    }
}
