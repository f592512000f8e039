//! The addresses of the frontends, and the service that accepts on them.
//!
//! Sockets are bound before anything is served: an address that cannot be had is said at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::{ServiceReadyNotifier, ServiceWithDependents};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;

use crate::config::model;
use crate::inherited::Inherited;
use crate::proxy::app::App;
use crate::proxy::frontend::{Frontend, LINGER};
use crate::proxy::pool::{Pool, upstream_pool};
use crate::proxy::serving::Serving;
use crate::reactors::Reactors;

/// Connections that the kernel holds until they are accepted.
pub const BACKLOG: i32 = 1024;

/// An address that a frontend cannot have.
#[derive(Debug, thiserror::Error)]
#[error("frontend \"{frontend}\": cannot listen on {address}: {source}")]
pub struct BindError {
    /// The frontend's name.
    pub frontend: String,
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// The bound sockets of all frontends.
#[derive(Debug)]
pub struct BoundListeners(Vec<Vec<BoundListener>>);

/// The bound socket of one address.
#[derive(Debug)]
pub(super) struct BoundListener {
    address: SocketAddr,
    /// As the configuration says it: with port 0, if that stands there.
    configured: SocketAddr,
    socket: Socket,
    /// Somebody else has it too, and gives it to who comes next.
    is_inherited: bool,
}

impl BoundListener {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as the configuration says it.
    pub(super) fn configured(&self) -> SocketAddr {
        self.configured
    }

    pub(super) fn is_inherited(&self) -> bool {
        self.is_inherited
    }

    /// The socket itself.
    pub(super) fn into_std(self) -> std::net::TcpListener {
        self.socket.into()
    }
}

impl BoundListeners {
    pub(in crate::proxy) fn bind(
        frontends: &[model::Frontend],
        inherited: &mut Inherited,
    ) -> Result<Self, BindError> {
        let mut bind_frontend = |frontend: &model::Frontend| {
            let mut bind_one = |address: &SocketAddr| {
                let bound = match inherited.take_tcp(*address) {
                    Some(socket) => take_over(*address, socket),
                    None => {
                        let reserved = inherited.take_reserved_tcp(*address);
                        let bound = reserved.map_or_else(|| bind(*address), Ok);
                        bound.and_then(|socket| listen(*address, socket))
                    }
                };
                bound.map_err(|source| BindError {
                    frontend: frontend.name.clone(),
                    address: *address,
                    source,
                })
            };
            frontend.bind.iter().map(&mut bind_one).collect()
        };
        Ok(Self(
            frontends
                .iter()
                .map(&mut bind_frontend)
                .collect::<Result<_, _>>()?,
        ))
    }

    /// Binds every address of every frontend that was not handed over, without listening on it, for [`BoundListeners::bind`] to take.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub(in crate::proxy) fn reserve(
        frontends: &[model::Frontend],
        inherited: &mut Inherited,
    ) -> Result<(), BindError> {
        for frontend in frontends {
            for address in &frontend.bind {
                let bound = inherited.reserve_tcp(*address, || bind(*address));
                bound.map_err(|source| BindError {
                    frontend: frontend.name.clone(),
                    address: *address,
                    source,
                })?;
            }
        }
        Ok(())
    }

    /// The addresses of each frontend, in the order of the configuration; where that said port 0, with the real port.
    pub fn addresses(&self) -> Vec<Vec<SocketAddr>> {
        self.0
            .iter()
            .map(|listeners| listeners.iter().map(|one| one.address).collect())
            .collect()
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(address: SocketAddr, socket: Socket) -> io::Result<BoundListener> {
    socket.listen(BACKLOG)?;
    Ok(BoundListener {
        address: socket.local_addr()?.as_socket().unwrap_or(address),
        configured: address,
        socket,
        is_inherited: false,
    })
}

fn take_over(address: SocketAddr, socket: std::net::TcpListener) -> io::Result<BoundListener> {
    socket.set_nonblocking(true)?;
    Ok(BoundListener {
        address,
        configured: address,
        socket: socket.into(),
        is_inherited: true,
    })
}

/// Accepts on all frontends, and has the [reactors](crate::reactors) answer.
pub struct ListeningService {
    frontends: Vec<Arc<ArcSwap<Serving>>>,
    pools: watch::Receiver<Vec<Arc<Pool>>>,
    reactors: Arc<Reactors>,
    /// Taken at the start.
    bound: Option<BoundListeners>,
    addresses: Vec<String>,
    stop: watch::Receiver<bool>,
    /// Given to the reactors at the start; the mutex is there because Pingora wants services to be `Sync`, and futures are not.
    tasks: Mutex<Vec<BoxFuture<'static, ()>>>,
}

impl ListeningService {
    pub(in crate::proxy) fn new(
        frontends: Vec<Arc<ArcSwap<Serving>>>,
        pools: watch::Receiver<Vec<Arc<Pool>>>,
        reactors: Arc<Reactors>,
        bound: BoundListeners,
        stop: watch::Receiver<bool>,
        tasks: Vec<BoxFuture<'static, ()>>,
    ) -> Self {
        let addresses = bound.0.iter().flatten();
        Self {
            addresses: addresses.map(|one| one.address.to_string()).collect(),
            frontends,
            pools,
            reactors,
            bound: Some(bound),
            stop,
            tasks: Mutex::new(tasks),
        }
    }

    /// Each frontend.
    fn frontends(&self) -> Vec<Frontend> {
        let conf = Arc::new(ServerConf::default());
        let proxy = |serving| Arc::new(http_proxy(&conf, App::new(Arc::clone(serving))));
        let frontends = self.frontends.iter().map(|serving| {
            let proxies = (0..self.reactors.count()).map(|_| proxy(serving)).collect();
            let reactors = Arc::clone(&self.reactors);
            Frontend::new(Arc::clone(serving), proxies, reactors, self.stop.clone())
        });
        frontends.collect()
    }
}

#[async_trait]
impl ServiceWithDependents for ListeningService {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        _shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        let serving = self.frontends.first().map(|frontend| frontend.load_full());
        let _accepting = serving.map(|serving| serving.shared.accepting.enter());
        let tasks = self.tasks.get_mut();
        for task in std::mem::take(tasks) {
            self.reactors.spawn(task);
        }
        tokio::spawn(upstream_pool::sweep_all(
            self.pools.clone(),
            self.stop.clone(),
        ));
        let frontends = self.frontends();
        let bound = self.bound.take().map(|bound| bound.0).unwrap_or_default();
        // The sockets listen already: from here on nothing is refused.
        ready.notify_ready();
        let closed = watch::Sender::new(false);
        let is_closed = closed.subscribe();
        let each = frontends.iter().zip(bound);
        let accept = join_all(each.map(|(frontend, sockets)| frontend.run(sockets, &is_closed)));
        let mut stop = self.stop.clone();
        let close = async {
            // A sender that is gone can no longer say stop: that is one.
            let _ = stop.wait_for(|stop| *stop).await;
            tokio::time::sleep(LINGER).await;
            closed.send_replace(true);
        };
        tokio::join!(accept, close);
    }

    fn name(&self) -> &str {
        "frontends"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(self.addresses.clone())
    }
}
