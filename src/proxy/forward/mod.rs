//! Reads of a pool that a relay replicates to; and, of every pool, requests for a WebSocket.
//!
//! The request's body is held, so that the server can be chosen late and the request repeated. The answer's header is held
//! back until the first piece of its body: InfluxDB sends 200 before it executes, and a server that dies in between must
//! not be the client's problem. From then on pieces are passed on as they come.

pub(super) mod barrier;
mod ended;
mod exchange;
mod hop_by_hop;
mod request;
pub(super) mod tunnel;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use pingora::{BError, Error, ErrorType};

use self::barrier::{Chooser, Chosen};
use self::exchange::{Exchange, Failure, Progress, Started, Upstream};
use self::request::Request;
use crate::influx::prometheus_read;
use crate::proxy::http_rules::edit_response;
use crate::proxy::pool::greeting::Greeting;
use crate::proxy::pool::known_reads::{LARGEST, QUICK, Shape};
use crate::proxy::pool::{Pool, Server};
use crate::proxy::queries::{Ending, Running};
use crate::proxy::routing::acl;
use crate::proxy::serving::Serving;
use crate::proxy::session::access_log::Termination;
use crate::proxy::session::context::RequestContext;
use crate::proxy::session::error_answer::{ErrorAnswer, send};
use crate::proxy::session::error_kind::ErrorKind;
use crate::proxy::session::request_body::{BodyError, HeldBody, read_request_body};

/// On an answer of a replica that lacks acknowledged records: how many of them, at most.
const STALE_HEADER: HeaderName = HeaderName::from_static("x-haflux-stale");

/// Where Prometheus reads.
const PROMETHEUS_READ: &[u8] = b"/api/v1/prom/read";

/// How often a read that waits looks whether its server is still up.
const LOOK: Duration = Duration::from_millis(100);

/// Reads the request's body; nothing if it could not be had and the client has been told.
///
/// # Errors
///
/// Of the client's connection.
pub(in crate::proxy) async fn read_body(
    serving: &Serving,
    session: &mut Session,
    context: &mut RequestContext,
) -> pingora::Result<Option<HeldBody>> {
    let (most, budget) = (serving.max_held_body(), serving.held_bodies());
    let error = match read_request_body(session, most, budget, serving.source(context)).await {
        Ok(body) => return Ok(Some(body)),
        Err(error) => error,
    };
    context.termination = match &error {
        BodyError::Client(_) => Termination::ClientLeft,
        BodyError::TooLarge { .. } | BodyError::NoRoom => Termination::Refused,
    };
    match ErrorAnswer::body(&error) {
        // What is the body's fault is counted where the request is logged.
        Some(answer) if matches!(error, BodyError::Client(_)) => {
            serving.answer(session, &answer).await.map(|()| None)
        }
        Some(answer) => serving.refuse(session, &answer).await.map(|()| None),
        None => Err(client_left(context)),
    }
}

/// Why one try came to no answer.
enum NoAnswer {
    Failed(Failure),
    /// The query is to run no longer.
    Stopped(Ending),
}

/// A request whose body is here, to be answered by a server of its pool.
pub(in crate::proxy) struct Forward<'a> {
    pub(in crate::proxy) pool: &'a Pool,
    pub(in crate::proxy) body: HeldBody,
    /// Whether doing it twice does what doing it once does.
    pub(in crate::proxy) repeatable: bool,
    /// Whether the answer is held back until its body begins: what the server says before may not be true yet.
    pub(in crate::proxy) held: bool,
    /// The protocol to ask the server for.
    pub(in crate::proxy) upgrade: Option<HeaderValue>,
}

impl Forward<'_> {
    /// Sends it to the servers that `chooser` names, one after the other, until an answer begins, and passes that on.
    ///
    /// # Errors
    ///
    /// Of the client's connection, or of the server's once its answer has begun: both end the connection.
    pub(in crate::proxy) async fn run(
        self,
        serving: &Serving,
        session: &mut Session,
        context: &mut RequestContext,
        mut chooser: Chooser<'_>,
    ) -> pingora::Result<()> {
        let pool = self.pool;
        let shape = self.shape(session);
        let query = context.running();
        let mut failure = None;
        let mut failed_at = None;
        let mut none_fresh = false;
        let mut repeats = 0;
        while context.tried.len() <= pool.config().retries {
            let (index, address, stale) = match chooser.choose(&context.tried).await {
                Chosen::Server(index, address) => (index, address, None),
                Chosen::Stale(index, address, behind) => (index, address, Some(behind)),
                Chosen::NoneFresh => {
                    none_fresh = true;
                    break;
                }
                Chosen::None => break,
            };
            let Some(server) = pool.server(index) else {
                break;
            };
            if let Some(failed) = failed_at.take().and_then(|last| pool.server(last)) {
                context.moves_from(failed);
            }
            context.chose(index, server);
            if let Some(query) = &query {
                query.sent_to(pool.stats(), &server.stats, address);
            }
            let began = Instant::now();
            let is_first = is_first_end(failure.as_ref());
            let may_move = shape.filter(|_| self.repeatable && is_first);
            let lost = self.lost(&chooser, index, context.tried.clone(), may_move, began);
            match self
                .attempt(serving, session, context, server, address, lost)
                .await?
            {
                Ok(mut started) => {
                    server.handle.note_answer();
                    let mut stale = stale;
                    if stale.is_none() && !chooser.is_still_fresh(index) {
                        pool.stats().barrier.repeated.increment();
                        if repeats < pool.config().retries {
                            repeats += 1;
                            continue;
                        }
                        if chooser.rejects_stale() {
                            none_fresh = true;
                            break;
                        }
                        stale = Some(chooser.behind(index));
                    }
                    if let Some(behind) = stale {
                        started.header.insert_header(STALE_HEADER, behind)?;
                        pool.stats().barrier.stale.increment();
                    }
                    chooser.shown(index);
                    let answered = || {
                        if let Some(shape) = shape {
                            pool.known_reads().answered(shape);
                        }
                    };
                    // Before the client has all of it, and can ask again.
                    if started.upstream.is_over() {
                        answered();
                    }
                    let shown = || {
                        chooser.shown(index);
                        answered();
                    };
                    let passed = pass_on(serving, session, context, server, started, shown).await;
                    if passed.is_err()
                        && let Some(query) = &query
                        && let Some(ending) = query.ending()
                    {
                        serving.query_ended(context, query, (server, address), ending, true);
                    }
                    return passed;
                }
                Err(NoAnswer::Stopped(ending)) => {
                    let Some(query) = &query else {
                        break;
                    };
                    serving.query_ended(context, query, (server, address), ending, false);
                    serving.close_if_stopping(session);
                    let answer = ended::answer(session, query, ending);
                    return send(session, answer).await;
                }
                Err(NoAnswer::Failed(failed)) => {
                    let again = self.failed(server, &failed);
                    let suspect = matches!(failed, Failure::Ended(_))
                        && !(is_first_end(failure.as_ref()) && self.is_innocent(shape, began));
                    context.tried.push(index);
                    failed_at = Some(index);
                    failure = Some(failed);
                    if suspect || !again {
                        break;
                    }
                }
            }
        }
        let (termination, answer) = match failure {
            _ if none_fresh => (Termination::NoServer, ErrorAnswer::none_fresh(pool.name())),
            None => {
                pool.stats().no_server.increment();
                (Termination::NoServer, ErrorAnswer::none_of(pool))
            }
            Some(Failure::Connect(_)) => {
                (Termination::NoServer, ErrorAnswer::unreachable(pool.name()))
            }
            Some(Failure::Broken(_)) => (
                Termination::ServerBroke,
                ErrorAnswer::bad_gateway(pool.name()),
            ),
            Some(Failure::Ended(_)) => (Termination::ServerBroke, ErrorAnswer::ended(pool.name())),
            Some(Failure::Lost | Failure::Silent(_)) => (
                Termination::ServerSilent,
                ErrorAnswer::gateway_timeout(pool.name()),
            ),
        };
        context.termination = termination;
        serving.answer(session, &answer).await
    }

    /// Returns when the server that has the read since `began` has been marked down, another one could answer, and the read can
    /// hardly be what the server suffers from.
    async fn lost(
        &self,
        chooser: &Chooser<'_>,
        index: usize,
        tried: Vec<usize>,
        shape: Option<Shape>,
        began: Instant,
    ) {
        let (Some(shape), Some(server)) = (shape, self.pool.server(index)) else {
            return std::future::pending().await;
        };
        let is_innocent =
            || server.handle.last_answer() < began + QUICK && self.pool.known_reads().knows(shape);
        while !(chooser.is_lost(index, &tried) && is_innocent()) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// One try at one server, up to the beginning of its answer; given up once `lost` returns, or the query is to run no longer.
    async fn attempt(
        &self,
        serving: &Serving,
        session: &mut Session,
        context: &mut RequestContext,
        server: &Server,
        address: SocketAddr,
        lost: impl Future<Output = ()>,
    ) -> pingora::Result<Result<Started, NoAnswer>> {
        let for_whom = serving.config.forwarded_for.then(|| context.for_whom());
        let (header, body) = (session.req_header(), self.body.bytes());
        let own = server.dialer.authorization(&header.headers);
        let upgrade = self.upgrade.as_ref();
        let request = Request::new(header, body, own.as_ref(), for_whom, upgrade, address)?;
        let greeting = Greeting::of_client(self.pool.config(), session, context.client);
        let query = context.running();
        let mut progress = Progress::default();
        let exchange = Exchange {
            pool: self.pool,
            server,
            address,
            request: &request,
            greeting,
            held: self.held,
            repeatable: self.repeatable,
        };
        let outcome = tokio::select! {
            biased;
            outcome = exchange.start(&mut progress) => {
                Some(outcome.map_err(NoAnswer::Failed))
            }
            () = lost => Some(Err(NoAnswer::Failed(Failure::Lost))),
            ending = must_end(query.as_deref()) => Some(Err(NoAnswer::Stopped(ending))),
            _ = session.downstream_session.read_body_or_idle(true) => None,
        };
        context.reached(progress.connected, progress.answered);
        outcome.ok_or_else(|| client_left(context))
    }

    /// What the request is known by, should a server end while it runs.
    fn shape(&self, session: &Session) -> Option<Shape> {
        let (request, body) = (session.req_header(), self.body.bytes());
        let known = self.pool.known_reads();
        if acl::path(request) == PROMETHEUS_READ {
            // Its times are no text.
            let read = prometheus_read::without_times(body, LARGEST)?;
            return known.shape(request.raw_path(), &read);
        }
        known.shape(request.raw_path(), body)
    }

    /// Whether it can hardly be what ended the server that had it since `began`.
    fn is_innocent(&self, shape: Option<Shape>, began: Instant) -> bool {
        let known = |shape| self.pool.known_reads().knows(shape);
        began.elapsed() < QUICK && shape.is_some_and(known)
    }

    /// Counts a failed try; true if another server may be tried.
    fn failed(&self, server: &Server, failed: &Failure) -> bool {
        let (error, counter, again) = match failed {
            Failure::Connect(error) => (Some(error), &server.stats.connect_errors, true),
            Failure::Broken(error) => (Some(error), &server.stats.response_errors, self.repeatable),
            Failure::Ended(error) => (Some(error), &server.stats.ends, self.repeatable),
            Failure::Lost => (None, &server.stats.response_errors, self.repeatable),
            Failure::Silent(error) => (Some(error), &server.stats.response_errors, false),
        };
        if let Some(error) = error {
            log::debug!("{}: {}", self.pool.name(), ErrorKind(error));
        }
        counter.increment();
        again
    }
}

/// Returns when a query is to run no longer; never for what is none.
async fn must_end(query: Option<&Running>) -> Ending {
    match query {
        Some(query) => query.must_end().await,
        None => std::future::pending().await,
    }
}

/// Whether no server has ended or gone silent yet while the request ran: one may, by chance.
fn is_first_end(before: Option<&Failure>) -> bool {
    !matches!(before, Some(Failure::Ended(_) | Failure::Lost))
}

/// Passes an answer that has begun on to the client, piece by piece. `shown` is called before the last of a longer one leaves.
async fn pass_on(
    serving: &Serving,
    session: &mut Session,
    context: &mut RequestContext,
    server: &Server,
    started: Started,
    shown: impl Fn(),
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
        let silence = serving.config.tunnel_timeout;
        let run = tunnel::run(session, upstream, header, silence, &mut context.tunneled);
        return Box::pin(run).await;
    }
    serving.close_if_stopping(session);
    edit_response(&mut header, &context.edits)?;
    frame(session, &mut header)?;
    let empty = upstream.is_over() && first.is_none();
    session
        .write_response_header(Box::new(header), empty)
        .await?;
    let query = context.running();
    tokio::select! {
        biased;
        passed = pass_body(session, context, server, &mut upstream, first, shown) => passed?,
        // As for a server that breaks off.
        _ = must_end(query.as_deref()) => return Err(Error::new_up(ErrorType::ConnectionClosed)),
    }
    session.write_response_body(None, true).await?;
    if reusable && let Some(stream) = upstream.into_idle() {
        server.idle.put(stream, address);
    }
    Ok(())
}

/// Passes a body on, piece by piece, behind the piece that has come of it already.
async fn pass_body(
    session: &mut Session,
    context: &mut RequestContext,
    server: &Server,
    upstream: &mut Upstream,
    first: Option<Bytes>,
    shown: impl Fn(),
) -> pingora::Result<()> {
    let mut over = upstream.is_over();
    if let Some(first) = first {
        write_piece(session, &first).await?;
    }
    while !over {
        let piece = tokio::select! {
            biased;
            piece = upstream.piece() => piece,
            _ = session.downstream_session.read_body_or_idle(true) => {
                return Err(client_left(context));
            }
        };
        match piece {
            Ok(Some(piece)) => write_piece(session, &piece).await?,
            Ok(None) => {
                over = true;
                shown();
            }
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
    Ok(())
}

/// Makes the server's header one of this connection: how the body's end is told is between us and the client.
pub(in crate::proxy) fn frame(
    session: &mut Session,
    header: &mut ResponseHeader,
) -> pingora::Result<()> {
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
pub(in crate::proxy) async fn write_piece(
    session: &mut Session,
    piece: &[u8],
) -> pingora::Result<()> {
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
pub(in crate::proxy) fn client_left(context: &mut RequestContext) -> BError {
    context.termination = Termination::ClientLeft;
    Error::new_down(ErrorType::ConnectionClosed)
}
