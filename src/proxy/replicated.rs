//! Requests to a pool that a relay replicates to: what changes anything goes to the relay, whatever path and rule it came by;
//! what reads goes to a server that the [barrier](crate::proxy::forward::barrier) chooses.
//!
//! The body is read first, since the statements of a query may stand in it.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use http::header::ACCEPT;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::RelayHandler;
use super::forward::barrier::{Aim, Chooser};
use super::forward::{self, Forward};
use super::http_rules::edit_answer;
use super::pool::Pool;
use super::queries;
use super::relay_handler::send_streamed;
use super::routing::acl;
use super::serving::Serving;
use super::session::access_log::Termination;
use super::session::context::RequestContext;
use super::session::error_answer::{ErrorAnswer, send};
use super::session::request_body::HeldBody;
use crate::config::model::{RelayId, Target};
use crate::influx::influxql::{
    self, Class, Databases, Kind, Limits, NODE_LOCAL_DATABASE, classify_request,
};
use crate::influx::{Parameters, Refusal};
use crate::offload::{LARGE, offload};
use crate::relay::Replicated;

/// What is done with a request.
#[derive(Debug, PartialEq, Eq)]
enum Treatment {
    /// Any server answers it; `repeatable`: doing it twice does what doing it once does.
    Any { repeatable: bool },
    /// A read of these databases; `local`: it also asks for what differs from node to node.
    Read { databases: Databases, local: bool },
    /// Goes to the server that answers what differs from node to node, once.
    OneNode,
    /// Goes into the journal.
    Change(Class),
    /// Is refused, with an explanation.
    Refused(influxql::Refusal),
}

/// Answers a request to `pool`, which `relay` replicates to.
///
/// # Errors
///
/// Of the client's connection, or of the server's once its answer has begun: both end the connection.
pub(super) async fn serve(
    serving: &Serving,
    session: &mut Session,
    context: &mut RequestContext,
    target: Target,
    pool: &Pool,
    relay: RelayId,
) -> pingora::Result<()> {
    let Some(handler) = serving.relay(relay) else {
        return Err(Error::new_in(ErrorType::InternalError));
    };
    let Some(body) = forward::read_body(serving, session, context).await? else {
        return Ok(());
    };
    if serving.forbids(session, context, body.bytes()).await? {
        return Ok(());
    }
    let client = context.address();
    let treated = treat(session.req_header(), body.bytes(), *serving.query_limits()).await;
    let Some(treated) = treated else {
        return serving.answer(session, &ErrorAnswer::internal()).await;
    };
    let is_query = matches!(&treated, Treatment::Read { .. })
        && serving.watches_queries()
        && queries::observed::is_query(
            &session.req_header().method,
            acl::path(session.req_header()),
        );
    if is_query && serving.guards(session, context, body.bytes()).await? {
        return Ok(());
    }
    let (chooser, repeatable) = match treated {
        Treatment::Change(class) => {
            serving.enter(context, Target::Relay(relay));
            // Boxed, so that a read does not hold its place.
            let change = change(serving, session, context, &**handler, &body, &class);
            return Box::pin(change).await;
        }
        Treatment::Refused(refusal) => {
            serving.enter(context, target);
            context.termination = Termination::Refused;
            if matches!(refusal, influxql::Refusal::Exceeded(_)) {
                serving.count_refused_query();
            }
            let accept = session.req_header().headers.get(ACCEPT);
            let answer = Refusal::bad_request(refusal.to_string()).answer(accept, false);
            serving.close_if_stopping(session);
            return send(session, answer).await;
        }
        Treatment::Read { databases, local } => {
            handler.ready().await;
            let freshness = handler.freshness();
            let chooser = Chooser::of_read(pool, freshness, &databases, local, client);
            (chooser, true)
        }
        Treatment::OneNode => (Chooser::new(pool, Aim::Pinned, client), false),
        Treatment::Any { repeatable } => (Chooser::new(pool, Aim::Any, client), repeatable),
    };
    serving.enter(context, target);
    if !pool.is_available() {
        pool.stats().no_server.increment();
        context.termination = Termination::NoServer;
        return serving.answer(session, &ErrorAnswer::none_of(pool)).await;
    }
    let forward = Forward {
        pool,
        body,
        repeatable,
        held: true,
        upgrade: None,
    };
    forward.run(serving, session, context, chooser).await
}

/// Has the relay carry out a request that changes something.
async fn change(
    serving: &Serving,
    session: &mut Session,
    context: &mut RequestContext,
    handler: &dyn RelayHandler,
    body: &HeldBody,
    class: &Class,
) -> pingora::Result<()> {
    handler.ready().await;
    let source = serving.source(context);
    let header = session.req_header().clone();
    let request = as_influxql(&header, body.bytes());
    // A client that leaves before anything is stored leaves nothing behind.
    let admitted = tokio::select! {
        biased;
        admitted = handler.admit_statement(&request, class, source) => admitted,
        _ = session.downstream_session.read_body_or_idle(true) => {
            return Err(forward::client_left(context));
        }
    };
    let answer = match admitted {
        Ok(statement) => handler.replicate(statement).await,
        Err(answer) => Replicated::Whole(answer),
    };
    serving.close_if_stopping(session);
    match answer {
        Replicated::Whole(mut answer) => {
            edit_answer(&mut answer.headers, &context.edits);
            send(session, answer).await
        }
        Replicated::Streamed(mut answer) => {
            edit_answer(&mut answer.head.headers, &context.edits);
            send_streamed(session, context, answer).await
        }
    }
}

/// The request as the classifier takes it.
pub(super) fn as_influxql<'a>(request: &'a RequestHeader, body: &'a [u8]) -> influxql::Request<'a> {
    influxql::Request {
        method: &request.method,
        path: acl::path(request),
        query_string: acl::query_string(request),
        headers: &request.headers,
        body,
    }
}

/// Looks at a large body outside the threads that serve requests; nothing if that failed.
async fn treat(request: &RequestHeader, body: &Bytes, limits: Limits) -> Option<Treatment> {
    if body.len() < LARGE {
        return Some(treatment(request, body, &limits));
    }
    let (request, body) = (request.clone(), body.clone());
    offload(move || treatment(&request, &body, &limits)).await
}

fn treatment(request: &RequestHeader, body: &[u8], limits: &Limits) -> Treatment {
    let request = as_influxql(request, body);
    let Some(class) = classify_request(&request, limits) else {
        return treatment_of_path(&request);
    };
    match class.kind {
        Kind::Empty => Treatment::Any { repeatable: true },
        Kind::Read => Treatment::Read {
            databases: class.databases_of_reads(),
            local: false,
        },
        Kind::NodeLocalRead => Treatment::Read {
            databases: without_internal(class.databases_of_reads()),
            local: true,
        },
        Kind::KillQuery => Treatment::OneNode,
        Kind::Change => Treatment::Change(class),
        Kind::Refused(refusal) => Treatment::Refused(refusal),
    }
}

/// What is no query: other reads of data, and what tells about the node itself.
fn treatment_of_path(request: &influxql::Request<'_>) -> Treatment {
    match request.path {
        b"/api/v1/prom/read" => {
            let text = std::str::from_utf8(request.query_string).unwrap_or_default();
            let database = Parameters::parse(text)
                .first("db")
                .map(|name| name.into_owned());
            let databases = match database {
                Some(name) if !name.is_empty() => Databases::Named {
                    names: BTreeSet::from([name]),
                    default: false,
                },
                _ => Databases::Unknown,
            };
            Treatment::Read {
                databases,
                local: false,
            }
        }
        path if path == b"/metrics" || path.starts_with(b"/debug/") => Treatment::OneNode,
        _ => Treatment::Any {
            repeatable: matches!(
                *request.method,
                Method::GET | Method::HEAD | Method::OPTIONS
            ),
        },
    }
}

/// No relay writes there: each node does.
fn without_internal(mut databases: Databases) -> Databases {
    if let Databases::Named { names, .. } = &mut databases {
        names.remove(NODE_LOCAL_DATABASE);
    }
    databases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, target: &str) -> Treatment {
        let request = RequestHeader::build(method, target.as_bytes(), None).expect("a request");
        treatment(&request, b"", &Limits::default())
    }

    fn names(databases: &Databases) -> Vec<&str> {
        match databases {
            Databases::Named { names, .. } => names.iter().map(String::as_str).collect(),
            Databases::Unknown => vec!["?"],
        }
    }

    #[test]
    fn reads_name_their_databases() {
        let read = |target: &str| match of("GET", target) {
            Treatment::Read { databases, local } => {
                let names = names(&databases).into_iter().map(str::to_owned);
                (names.collect::<Vec<_>>(), local)
            }
            other => panic!("{target}: {other:?}"),
        };
        assert_eq!(
            read("/query?db=a&q=SELECT+v+FROM+m"),
            (vec!["a".to_owned()], false)
        );
        assert_eq!(read("/query?q=SHOW+STATS"), (vec![], true));
        assert_eq!(
            read("/query?db=_internal&q=SELECT+v+FROM+m"),
            (vec![], true)
        );
        assert_eq!(
            read("/api/v1/prom/read?db=p"),
            (vec!["p".to_owned()], false)
        );
        assert_eq!(read("/api/v1/prom/read"), (vec!["?".to_owned()], false));
    }

    #[test]
    fn what_concerns_one_node_and_what_any_may_answer() {
        for target in ["/debug/vars", "/metrics", "/query?q=KILL+QUERY+3"] {
            assert_eq!(of("GET", target), Treatment::OneNode, "{target}");
        }
        for target in ["/ping", "/health", "/query?q=%3B", "/nowhere"] {
            let any = Treatment::Any { repeatable: true };
            assert_eq!(of("GET", target), any, "{target}");
        }
    }

    #[test]
    fn changes_and_refusals() {
        for (method, target) in [
            ("GET", "/query?q=CREATE+DATABASE+d"),
            ("POST", "/api/v2/delete?bucket=d"),
            ("DELETE", "/api/v2/buckets/d%2Frp"),
            ("PATCH", "/api/v2/buckets/d%2Frp"),
        ] {
            assert!(
                matches!(of(method, target), Treatment::Change(_)),
                "{target}"
            );
        }
        assert!(matches!(
            of("GET", "/query?q=DROP+SHARD+3"),
            Treatment::Refused(_)
        ));
    }
}
