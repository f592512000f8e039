//! The end of a query that is to run no longer: its client is told, its node is looked after.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use pingora::proxy::Session;

use crate::config::model::{Login, Target};
use crate::influx::results::render;
use crate::influx::{Answer, Format, Refusal};
use crate::proxy::pool::Server;
use crate::proxy::queries::after_care::AfterCare;
use crate::proxy::queries::{Ending, Running};
use crate::proxy::serving::Serving;
use crate::proxy::session::access_log::Termination;
use crate::proxy::session::context::RequestContext;

impl Serving {
    /// Notes that a query was ended; `has_begun`: its answer had. Its connection to the server must be closed by now.
    pub(super) fn query_ended(
        &self,
        context: &mut RequestContext,
        running: &Arc<Running>,
        (server, address): (&Server, SocketAddr),
        ending: Ending,
        has_begun: bool,
    ) {
        let stats = &self.stats.queries;
        let (counter, why, termination) = match ending {
            Ending::Time => (
                &stats.ended_by_time,
                "queries.max_time",
                Termination::QueryOverTime { has_begun },
            ),
            Ending::Order => (
                &stats.ended_by_order,
                "haflux queries kill",
                Termination::QueryKilled { has_begun },
            ),
        };
        counter.increment();
        log::warn!("ended ({why}): {running}");
        context.termination = termination;
        if running.is_influxql() {
            let care = AfterCare {
                queries: Arc::clone(&self.shared.queries),
                table: Arc::clone(&self.shared.stats.query_table),
                running: Arc::clone(running),
                address,
                dialer: Arc::clone(&server.dialer),
                login: self.administrator(context),
            };
            care.begin();
        }
    }

    /// In whose name haflux asks the nodes of the pool that a request goes to.
    fn administrator(&self, context: &RequestContext) -> Option<Login> {
        let Some(Target::Backend(pool)) = context.target else {
            return None;
        };
        let mut relays = self.shared.config.relays.iter();
        let relay = relays.find(|relay| relay.pool == pool)?;
        relay.heal.login.clone()
    }
}

/// What a client is answered whose query was ended: what InfluxDB answers to one that it has ended itself. InfluxDB's CSV would show an
/// empty answer, and Flux and Prometheus know no such one: they get 503.
pub(super) fn answer(session: &Session, running: &Running, ending: Ending) -> Answer {
    let request = session.req_header();
    let accept = request.headers.get(ACCEPT);
    let format = Format::accepted(accept);
    let words = ending.words();
    let refusal = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, words).answer(accept, false);
    if !running.is_influxql() || matches!(format, Format::ApplicationCsv | Format::TextCsv) {
        return refusal();
    }
    let results = serde_json::json!({ "results": [{ "statement_id": 0, "error": words }] });
    let Ok(rendered) = render(format!("{results}\n").as_bytes(), format, false, None) else {
        return refusal();
    };
    Answer {
        status: StatusCode::OK,
        headers: vec![(
            CONTENT_TYPE,
            HeaderValue::from_static(format.content_type()),
        )],
        body: Bytes::from(rendered),
    }
}
