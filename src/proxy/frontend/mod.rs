//! A frontend's connections: how many there are, what becomes of each of their requests, and how they end at a stop.
//!
//! Each new connection is given to a [reactor](crate::reactors), on which all of its requests are served: each one's header is
//! read and judged by the [client's side](crate::proxy::client) and then answered by Pingora's `HttpProxy`. On an address that speaks TLS
//! the handshake comes before that (`transport`). Requests of a connection that speaks HTTP/2 are served beside each other, each as if it
//! had a connection of its own (`streams`).
//!
//! `admission` counts connections and handshakes, `slots` holds them to a limit.

mod accept;
pub(super) mod admission;
mod introduction;
mod last_connections;
pub(super) mod listener;
mod rarely_said;
pub(super) mod rates;
mod slots;
mod streams;
mod transport;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use pingora::apps::HttpServerApp;
use pingora::protocols::Stream;
use pingora::protocols::tls::ALPN;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use self::accept::{Accepted, Here};
use self::introduction::Unintroduced;
use self::listener::BoundListener;
use self::streams::{Beginning, Share};
use crate::logging;
use crate::per_source::Place;
use crate::proxy::app::App;
use crate::proxy::client::{Client, Limits, Next, Refused};
use crate::proxy::serving::Serving;
use crate::proxy::session::access_log::{Line, Termination, Times};
use crate::proxy::session::in_flight::{InFlight, InFlightGuard};
use crate::reactors::{self, Reactors};
use crate::source::Source;
use crate::stats::Finished;

/// After the stop, new connections are still taken for so long, and requests on kept ones answered, each with the word that its
/// connection ends. So kept connections come to their end while nobody is refused.
const LINGER: Duration = Duration::from_secs(1);

/// How long a connection that was taken last may take to send its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// The same where newcomers wait meanwhile for the next process, which gets the socket.
const FIRST_REQUEST_BEFORE_OTHERS: Duration = Duration::from_millis(300);

/// A connection that was accepted is known here after so long, also on a machine that is busy.
const SETTLE: Duration = Duration::from_millis(100);

/// One frontend.
pub(super) struct Frontend {
    connections: Arc<Connections>,
    reactors: Arc<Reactors>,
    stop: watch::Receiver<bool>,
}

/// A frontend's connections.
struct Connections {
    /// Answers requests that have come whole.
    app: App,
    /// Answer the others. One a reactor, so that the idle connections that each keeps stay with their reactor.
    proxies: Vec<Arc<HttpProxy<App>>>,
    /// Replaced by a reload.
    serving: Arc<ArcSwap<Serving>>,
    /// Connections that have sent no request.
    unheard: InFlight,
    /// Becomes true when connections that are between two requests are to end.
    is_over: watch::Sender<bool>,
}

impl Frontend {
    /// The frontend that `serving` says now, whose requests `proxies`, one a reactor, answer.
    fn new(
        serving: Arc<ArcSwap<Serving>>,
        proxies: Vec<Arc<HttpProxy<App>>>,
        reactors: Arc<Reactors>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            connections: Arc::new(Connections {
                app: App::new(Arc::clone(&serving)),
                proxies,
                serving,
                unheard: InFlight::default(),
                is_over: watch::Sender::new(false),
            }),
            reactors,
            stop,
        }
    }

    /// Serves what comes on `sockets` until `closed` is true, and lets its connections end. The queue of one that is inherited is for
    /// who comes next.
    async fn run(&self, sockets: Vec<BoundListener>, closed: &watch::Receiver<bool>) {
        let patience = match sockets.iter().any(BoundListener::is_inherited) {
            true => FIRST_REQUEST_BEFORE_OTHERS,
            false => FIRST_REQUEST,
        };
        join_all(
            sockets
                .into_iter()
                .map(|socket| self.accept(socket, closed.clone())),
        )
        .await;
        tokio::time::sleep(SETTLE).await;
        let heard = self.connections.unheard.none_left();
        let _ = tokio::time::timeout(patience, heard).await;
        self.connections.is_over.send_replace(true);
        for proxy in &self.connections.proxies {
            proxy.http_cleanup().await;
        }
    }

    /// Serves what comes on one socket. What the kernel has taken when that ends is served, too, and what comes later is refused,
    /// not cut off.
    async fn accept(&self, socket: BoundListener, mut closed: watch::Receiver<bool>) {
        let is_inherited = socket.is_inherited();
        let (address, configured) = (socket.address(), socket.configured());
        let socket = socket.into_std();
        let serve = |accepted| self.serve(accepted, configured);
        tokio::select! {
            Err(error) = accept::accept_all(&socket, serve) => {
                log::error!("nothing more is accepted on {address}: {error}");
            }
            _ = closed.wait_for(|closed| *closed) => {}
        }
        if !is_inherited {
            last_connections::take(socket, serve).await;
        }
    }

    fn serve(&self, accepted: Accepted, on: SocketAddr) {
        let (connections, stop) = (Arc::clone(&self.connections), self.stop.clone());
        self.reactors.spawn(async move {
            let unheard = connections.unheard.enter();
            let Some(mut here) = accepted.here() else {
                return;
            };
            if !connections.introduced(&mut here).await {
                return;
            }
            if let Some(stream) = here.into_stream() {
                connections
                    .serve(Box::new(stream), on, unheard, &stop)
                    .await;
            }
        });
    }
}

impl Connections {
    /// Whether connections from `client` are served.
    fn admits(serving: &Serving, client: SocketAddr) -> bool {
        let is_admitted = serving.config.sources.admits(client.ip());
        if !is_admitted {
            serving.stats.denied_connections.increment();
            if serving.admission.kept_out.is_due() {
                log::warn!(
                    "frontend \"{}\": {} is kept out by allow or deny",
                    serving.config.name,
                    client.ip().to_canonical()
                );
            }
        }
        is_admitted
    }

    /// What a connection from `client` takes of the limits, waited for. `None` if it must be closed.
    async fn share(&self, serving: &Serving, client: SocketAddr) -> Option<Share> {
        let place = Self::place(serving, client)?;
        let wait = serving.config.request_header_timeout;
        Some((place, serving.admission.slot(wait).await?))
    }

    /// The place of a connection from `client` among those of its address. `None` if it must be closed.
    fn place(serving: &Serving, client: SocketAddr) -> Option<Place> {
        let source = Source::new(client.ip(), serving.config.ipv6_source_prefix);
        let place = serving.admission.sources().enter(source);
        if place.is_none() {
            serving.stats.source_limit.increment();
            if serving.admission.over_share.is_due() {
                log::warn!(
                    "frontend \"{}\": {} has as many connections as one address may (maxconn_per_source); more are closed",
                    serving.config.name,
                    client.ip().to_canonical()
                );
            }
        }
        place
    }

    /// Has a proxy that is to do so say whom its connection is for. False if it does not, and the connection must be closed.
    async fn introduced(&self, here: &mut Here) -> bool {
        if !self
            .serving
            .load()
            .config
            .accept_proxy
            .contains(here.client.ip())
        {
            return true;
        }
        // Boxed, so that the other connections do not hold its place.
        Box::pin(self.introduce(here)).await
    }

    async fn introduce(&self, here: &mut Here) -> bool {
        let serving = self.serving.load_full();
        let config = &serving.config;
        let (proxy, most) = (here.client.ip().to_canonical(), config.max_header_size);
        let fault = match serving.admission.introduce() {
            None => "as many as maxconn wait for their PROXY header".to_owned(),
            Some(_waiting) => {
                let reading = introduction::read(&mut here.connection, most);
                match timeout(config.request_header_timeout, reading).await {
                    Ok(Ok(client)) => {
                        here.client = client.unwrap_or(here.client);
                        return true;
                    }
                    // A check of whether somebody listens.
                    Ok(Err(Unintroduced::Left)) => return false,
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "no PROXY header in time".to_owned(),
                }
            }
        };
        serving.stats.proxy_header_errors.increment();
        if serving.admission.unintroduced.is_due() {
            log::warn!(
                "frontend \"{}\": a connection from {proxy} (accept_proxy) is closed: {fault}",
                config.name
            );
        }
        false
    }

    /// Serves one connection, which came on the address `on`, to its end.
    async fn serve(
        self: &Arc<Self>,
        mut stream: Stream,
        on: SocketAddr,
        unheard: InFlightGuard,
        stop: &ShutdownWatch,
    ) {
        let digest = stream.get_socket_digest();
        let address = digest.as_ref().and_then(|digest| digest.peer_addr());
        // A socket without an address is a client that has left already.
        let Some(client) = address.and_then(|address| address.as_inet().copied()) else {
            return;
        };
        let serving = self.serving.load_full();
        if !Self::admits(&serving, client) {
            return;
        }
        let Some(share) = self.share(&serving, client).await else {
            return;
        };
        let stats = Arc::clone(&serving.stats);
        let _session = stats.traffic.open_session();
        let acceptor = serving.acceptor.as_ref().filter(|one| one.is_for(on));
        let is_plain = acceptor.is_none();
        if let Some(acceptor) = acceptor {
            let mut is_over = self.is_over.subscribe();
            let (admission, stats) = (&serving.admission, &stats.tls);
            let deadline = Instant::now() + serving.config.request_header_timeout;
            // Boxed, so that an idle connection does not hold its place.
            let made = Box::pin(transport::secure(
                stream, acceptor, admission, stats, deadline,
            ));
            stream = tokio::select! {
                biased;
                made = made => match made {
                    Some(stream) => stream,
                    None => return,
                },
                _ = is_over.wait_for(|is_over| *is_over) => return,
            };
        }
        let mut unheard = Some(unheard);
        let of_http2 = match stream.selected_alpn_proto() {
            Some(ALPN::H2) => Some(stream),
            _ => {
                let connection = Client::new(stream, Limits::of(&serving.config));
                let connection = connection.or_http2(is_plain && serving.config.http2.plain);
                drop(serving);
                self.serve_requests(connection, Some(client), &mut unheard, stop)
                    .await
            }
        };
        if let Some(stream) = of_http2 {
            let begun = Beginning {
                stream,
                client,
                share,
                unheard,
            };
            // Boxed, so that a connection of HTTP/1 does not hold its place.
            Box::pin(self.serve_streams(begun, stop)).await;
        }
    }

    /// Serves the requests of a connection, one after the other, to its end. Returns the connection if its client speaks HTTP/2 instead.
    async fn serve_requests(
        &self,
        client: Client,
        address: Option<SocketAddr>,
        unheard: &mut Option<InFlightGuard>,
        stop: &ShutdownWatch,
    ) -> Option<Stream> {
        let stats = Arc::clone(&self.serving.load().stats);
        let proxy = self.proxies.get(reactors::here())?;
        let mut is_over = self.is_over.subscribe();
        let mut over = pin!(is_over.wait_for(|is_over| *is_over));
        let mut next = Some(client);
        while let Some(mut connection) = next.take() {
            let started = tokio::select! {
                // What has come already is answered.
                biased;
                started = connection.next() => started,
                _ = &mut over => return None,
            };
            if matches!(started, Next::Http2) {
                return Some(connection.into_stream());
            }
            drop(unheard.take());
            match started {
                Next::Request(mut incoming) => {
                    let is_asking = incoming.is_asking();
                    let in_flight = match connection.has_whole_body() {
                        true => None,
                        false => {
                            let in_flight = self.serving.load().shared.in_flight.enter();
                            connection.gather(&mut incoming).await;
                            Some(in_flight)
                        }
                    };
                    // It is dropped when the request has a context, which counts it then.
                    let in_flight = in_flight.map(|guard| Box::new(guard) as _);
                    let stream = if connection.has_whole_body() && !is_asking {
                        let mut session = connection.into_whole_session(incoming);
                        session.set_connection_user_context(in_flight);
                        // Boxed, so that an idle connection does not hold its place.
                        Box::pin(self.app.answer(session)).await
                    } else {
                        let mut session = connection.into_session(incoming);
                        session.set_connection_user_context(in_flight);
                        let reused = proxy.process_new_http(session, stop).await;
                        reused.map(|reused| reused.consume().0)
                    };
                    let limits = Limits::of(&self.serving.load().config);
                    next = stream.and_then(|stream| Client::again(stream, limits));
                }
                Next::Refused(refused) => self.refuse(connection, &refused, address).await,
                Next::Silent => stats.request_errors.increment(),
                Next::Left | Next::Http2 => {}
            }
        }
        None
    }

    /// Answers a request that nothing is done with, counts it and logs it.
    async fn refuse(&self, connection: Client, refused: &Refused, client: Option<SocketAddr>) {
        let serving = self.serving.load_full();
        serving.stats.request_errors.increment();
        let (counter, termination) = match refused.is_slow() {
            true => (&serving.stats.slow_requests, Termination::ClientSilent),
            false => (&serving.stats.malformed_requests, Termination::Refused),
        };
        counter.increment();
        serving.stats.traffic.count(&Finished {
            status: Some(refused.status()),
            ..Finished::default()
        });
        if logging::has_access_log() {
            let tls = connection.tls();
            let frontends = &serving.shared.stats.frontends;
            let line = Line {
                at: SystemTime::now(),
                client,
                tls: tls.as_deref(),
                frontend: &serving.config.name,
                backend: None,
                server: None,
                times: Times::default(),
                status: Some(refused.status()),
                bytes: 0,
                received: 0,
                termination,
                sessions: [
                    frontends.iter().map(|one| one.traffic.sessions.get()).sum(),
                    serving.stats.traffic.sessions.get(),
                    0,
                    0,
                ],
                retries: 0,
                method: &refused.method,
                target: &refused.path,
                version: None,
            };
            logging::access(&line);
        }
        if let Err(error) = connection.refuse(refused).await {
            log::debug!(
                "{}: a client left before its refusal: {}",
                serving.config.name,
                error.kind()
            );
        }
    }
}
