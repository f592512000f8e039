//! Reads of a pool that a relay replicates to; and, of every pool, requests for a WebSocket.
//!
//! The request's body is held, so that the server can be chosen late and the request repeated. The answer's header is held
//! back until the first piece of its body: InfluxDB sends 200 before it executes, and a server that dies in between must
//! not be the client's problem. From then on pieces are passed on as they come.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use pingora::{BError, Error, ErrorType};

use super::MAX_HELD_BODY;
use super::access_log::Termination;
use super::acl;
use super::app::App;
use super::context::RequestContext;
use super::error_answer::ErrorAnswer;
use super::exchange::{Exchange, Failure, Progress, Started};
use super::hop_by_hop;
use super::pool::{Pool, Server};
use super::request_body::{BodyError, read_request_body};
use super::tunnel;

/// The place of the read barrier: which replica a read goes to, passing over those in `tried`.
fn choose(pool: &Pool, context: &RequestContext, tried: &[usize]) -> Option<(usize, SocketAddr)> {
    pool.choose(context.source(), tried)
}

/// Answers the request from a server of `pool`. `upgrade` is the protocol to ask the server for.
///
/// # Errors
///
/// Of the client's connection, or of the server's once its answer has begun: both end the connection.
pub(super) async fn forward(
    app: &App,
    session: &mut Session,
    context: &mut RequestContext,
    pool: &Pool,
    upgrade: Option<HeaderValue>,
) -> pingora::Result<()> {
    let body = match read_request_body(session, MAX_HELD_BODY, app.held_bodies()).await {
        Ok(body) => body,
        Err(error) => {
            context.termination = match &error {
                BodyError::Client(error) if *error.etype() == ErrorType::ReadTimedout => {
                    Termination::ClientSilent
                }
                BodyError::Client(_) => Termination::ClientLeft,
                BodyError::TooLarge { .. } | BodyError::NoRoom => Termination::Refused,
            };
            return match ErrorAnswer::body(&error) {
                Some(answer) => app.refuse(session, &answer).await,
                None => Err(client_left(context)),
            };
        }
    };
    let body = body.bytes();
    let repeatable = is_repeatable(session.req_header());
    let mut failure = None;
    while context.tried.len() <= pool.config().retries {
        let Some((index, address)) = choose(pool, context, &context.tried) else {
            break;
        };
        let Some(server) = pool.server(index) else {
            break;
        };
        if let Some(failed) = context.tried.last().and_then(|last| pool.server(*last)) {
            failed.stats.redispatches.increment();
        }
        context.chose(index, server);
        let mut header = app.upstream_header(session.req_header(), body.len(), context, address)?;
        if let Some(protocol) = &upgrade {
            tunnel::ask(&mut header, protocol.clone())?;
        }
        let mut progress = Progress::default();
        let exchange = Exchange {
            connector: app.connector(),
            pool,
            server,
            address,
            header: &header,
            body,
            repeatable,
        };
        let outcome = tokio::select! {
            biased;
            outcome = exchange.start(&mut progress) => Some(outcome),
            _ = session.downstream_session.read_body_or_idle(true) => None,
        };
        context.reached(progress.connected, progress.answered);
        match outcome {
            Some(Ok(started)) => {
                return pass_on(app, session, context, server, started).await;
            }
            None => return Err(client_left(context)),
            Some(Err(failed)) => {
                let again = match &failed {
                    Failure::Connect(error) => {
                        log::debug!("{}: {error}", pool.name());
                        server.stats.connect_errors.increment();
                        true
                    }
                    Failure::Broken(error) => {
                        log::debug!("{}: {error}", pool.name());
                        server.stats.response_errors.increment();
                        repeatable
                    }
                    Failure::Silent(error) => {
                        log::debug!("{}: {error}", pool.name());
                        server.stats.response_errors.increment();
                        false
                    }
                };
                context.tried.push(index);
                failure = Some(failed);
                if !again {
                    break;
                }
            }
        }
    }
    let (termination, answer) = match failure {
        None => {
            pool.stats().no_server.increment();
            (Termination::NoServer, ErrorAnswer::no_server(pool.name()))
        }
        Some(Failure::Connect(_)) => (Termination::NoServer, ErrorAnswer::unreachable(pool.name())),
        Some(Failure::Broken(_)) => (
            Termination::ServerBroke,
            ErrorAnswer::bad_gateway(pool.name()),
        ),
        Some(Failure::Silent(_)) => (
            Termination::ServerSilent,
            ErrorAnswer::gateway_timeout(pool.name()),
        ),
    };
    context.termination = termination;
    app.answer(session, &answer).await
}

/// Whether doing it twice does what doing it once does. POST to `/query` reads here: what changes data is the relay's.
fn is_repeatable(request: &RequestHeader) -> bool {
    match request.method {
        Method::GET | Method::HEAD | Method::OPTIONS => true,
        Method::POST => acl::path(request) == b"/query",
        _ => false,
    }
}

/// Passes an answer that has begun on to the client, piece by piece.
async fn pass_on(
    app: &App,
    session: &mut Session,
    context: &mut RequestContext,
    server: &Server,
    started: Started,
) -> pingora::Result<()> {
    let Started {
        mut upstream,
        address,
        mut header,
        first,
        reusable,
    } = started;
    if header.status == StatusCode::SWITCHING_PROTOCOLS {
        // A tunnel has no end that a stop could wait for.
        context.in_flight = None;
        return tunnel::run(session, upstream, header, app.config.tunnel_timeout).await;
    }
    app.close_if_stopping(session);
    frame(session, &mut header)?;
    let mut over = upstream.is_body_done();
    let empty = over && first.is_none();
    session
        .write_response_header(Box::new(header), empty)
        .await?;
    if let Some(first) = first {
        write_piece(session, &first).await?;
    }
    while !over {
        let piece = tokio::select! {
            biased;
            piece = upstream.read_body_ref() => piece,
            _ = session.downstream_session.read_body_or_idle(true) => {
                return Err(client_left(context));
            }
        };
        match piece {
            Ok(Some([])) => {}
            Ok(Some(piece)) => write_piece(session, piece).await?,
            Ok(None) => over = true,
            Err(error) => {
                // The client can tell only by the connection: it must end before the body does.
                server.stats.response_errors.increment();
                context.termination = match error.etype() {
                    ErrorType::ReadTimedout => Termination::AnswerSilent,
                    _ => Termination::AnswerBroke,
                };
                return Err(error.into_up());
            }
        }
    }
    session.write_response_body(None, true).await?;
    if reusable {
        upstream.respect_keepalive();
        if let Some(stream) = upstream.reuse().await {
            server.idle.put(stream, address);
        }
    }
    Ok(())
}

/// Makes the server's header one of this connection: how the body's end is told is between us and the client.
fn frame(session: &mut Session, header: &mut ResponseHeader) -> pingora::Result<()> {
    hop_by_hop::strip_response(header);
    let old_client = session.req_header().version != Version::HTTP_11;
    header.set_version(Version::HTTP_11);
    let bodiless = session.req_header().method == Method::HEAD
        || matches!(
            header.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
    if bodiless || header.headers.contains_key(CONTENT_LENGTH) {
        return Ok(());
    }
    if old_client {
        session.set_keepalive(None);
        return Ok(());
    }
    header.insert_header(TRANSFER_ENCODING, "chunked")
}

/// Writes and flushes a piece of a body.
pub(super) async fn write_piece(session: &mut Session, piece: &[u8]) -> pingora::Result<()> {
    match session.as_downstream_mut() {
        ServerSession::H1(client) => client.write_body(piece).await.map(|_| ()),
        other => {
            other
                .write_response_body(Bytes::copy_from_slice(piece), false)
                .await
        }
    }
}

/// The client is gone. As an error, because Pingora ends the body of whatever was answered when there is none.
fn client_left(context: &mut RequestContext) -> BError {
    context.termination = Termination::ClientLeft;
    Error::new_down(ErrorType::ConnectionClosed)
}
