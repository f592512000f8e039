//! The guards of a frontend's queries: whether one may run, and that it is among those that run.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::ACCEPT;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::queries::Asker;
use super::queries::limits::{Full, Whose};
use super::queries::observed::{Observed, observe};
use super::replicated::as_influxql;
use super::serving::Serving;
use super::session::access_log::Termination;
use super::session::context::RequestContext;
use super::session::error_answer::send;
use super::session::user::User;
use crate::config::model::Unbounded;
use crate::influx::Refusal;
use crate::influx::influxql::{Kind, classify_request};
use crate::offload::{LARGE, offload};

/// Seconds after which a client whose query found no place may try again.
const RETRY_AFTER: u32 = 1;

impl Serving {
    /// Whether queries are looked at.
    pub(super) fn watches_queries(&self) -> bool {
        self.config.queries.is_any() || self.shared.stats.query_table.is_on()
    }

    /// Takes a query, which only reads, among those that run; true if it was refused and its client has been told.
    ///
    /// # Errors
    ///
    /// Of the client's connection.
    pub(super) async fn guards(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        body: &Bytes,
    ) -> pingora::Result<bool> {
        let guards = &self.config.queries;
        let observed = self.observe(session.req_header(), body).await;
        let stats = &self.stats.queries;
        if observed.is_unbounded {
            stats.refused_unbounded.increment();
            let refusal = Refusal::bad_request(
                "a SELECT without a lower bound of time is refused by this frontend (queries.unbounded): add a condition such as WHERE time > now() - 1h",
            );
            return self.refuse_query(session, context, refusal).await;
        }
        let client = context.address();
        let user = match User::of(session.req_header(), &context.sender) {
            User::Named(name) => Some(name),
            User::Nobody | User::Untold => None,
        };
        let whose = || {
            user.clone()
                .map_or(Whose::Source(self.source(context)), Whose::User)
        };
        let slot = match self.admission.queries().enter(guards, whose) {
            Ok(slot) => slot,
            Err(full) => {
                let (counter, status, key, running, most) = match full {
                    Full::All(running, most) => {
                        let status = StatusCode::SERVICE_UNAVAILABLE;
                        (&stats.refused_all, status, "max_running", running, most)
                    }
                    Full::User(running, most) => {
                        let status = StatusCode::TOO_MANY_REQUESTS;
                        let key = "max_running_per_user";
                        (&stats.refused_user, status, key, running, most)
                    }
                };
                counter.increment();
                // The words are InfluxDB's.
                let message = format!(
                    "max-concurrent-queries limit exceeded({running}, {most}) (queries.{key})"
                );
                let refusal = Refusal {
                    retry_after: Some(RETRY_AFTER),
                    ..Refusal::new(status, message)
                };
                return self.refuse_query(session, context, refusal).await;
            }
        };
        let asker = Asker {
            client,
            user,
            frontend: Arc::clone(&self.stats),
        };
        let all = &self.shared.queries;
        let query = all.begin(asker, observed, context.started, guards.max_time, slot);
        context.query = Some(query);
        Ok(false)
    }

    /// The same for a request of a plain pool, which may be no query, or one that changes something.
    pub(super) async fn guards_if_read(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        body: &Bytes,
    ) -> pingora::Result<bool> {
        let limits = *self.query_limits();
        let judge = move |request: &RequestHeader, body: &[u8]| {
            let class = classify_request(&as_influxql(request, body), &limits);
            class.is_none_or(|class| matches!(class.kind, Kind::Read | Kind::NodeLocalRead))
        };
        let request = session.req_header();
        let reads = match body.len() < LARGE {
            true => judge(request, body),
            false => {
                let (request, body) = (request.clone(), body.clone());
                offload(move || judge(&request, &body))
                    .await
                    .unwrap_or(false)
            }
        };
        match reads {
            true => self.guards(session, context, body).await,
            false => Ok(false),
        }
    }

    /// Looks at a large body outside the threads that serve requests.
    async fn observe(&self, request: &RequestHeader, body: &Bytes) -> Observed {
        let limits = *self.query_limits();
        let is_bound_asked = self.config.queries.unbounded == Unbounded::Refuse;
        let table = &self.shared.stats.query_table;
        if body.len() >= LARGE {
            let (request, body, table) = (request.clone(), body.clone(), Arc::clone(table));
            let look = move || {
                observe(
                    &as_influxql(&request, &body),
                    &limits,
                    &table,
                    is_bound_asked,
                )
            };
            if let Some(observed) = offload(look).await {
                return observed;
            }
        }
        observe(&as_influxql(request, body), &limits, table, is_bound_asked)
    }

    async fn refuse_query(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        refusal: Refusal,
    ) -> pingora::Result<bool> {
        log::info!(
            "frontend \"{}\": a query of {} is refused: {}",
            self.config.name,
            context.address(),
            refusal.message
        );
        context.termination = Termination::Refused;
        let answer = refusal.answer(session.req_header().headers.get(ACCEPT), false);
        self.close_if_stopping(session);
        send(session, answer).await?;
        Ok(true)
    }
}
