//! Sockets that are there before anybody needs them, known by their addresses: the frontend or listener of the same address takes one.
//!
//! - Listening sockets that whoever started the process holds and hands over: systemd's socket activation (sd_listen_fds(3)). Such a
//!   socket outlives the process. While one haflux ends and the next one starts, connections wait in its queue and datagrams in its
//!   buffer, and nobody is refused.
//! - Sockets that the process bound while it was root. Those of TCP do not listen yet, so that clients are refused until they are served.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use listenfd::ListenFd;
use log::{info, warn};
use socket2::Socket;

/// The sockets that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    tcp: Vec<(SocketAddr, TcpListener)>,
    udp: Vec<(SocketAddr, UdpSocket)>,
    reserved_tcp: Vec<(SocketAddr, Socket)>,
    reserved_udp: Vec<(SocketAddr, Socket)>,
    /// Numbers of those that are of no use.
    odd: Vec<usize>,
}

impl Inherited {
    /// Those that the environment (`LISTEN_FDS`, `LISTEN_PID`) names for this process.
    pub fn from_environment() -> Inherited {
        let mut given = ListenFd::from_env();
        let mut inherited = Inherited::default();
        for index in 0..given.len() {
            // One that is of another kind stays where it is.
            if let Ok(Some(socket)) = given.take_tcp_listener(index)
                && let Ok(address) = socket.local_addr()
            {
                inherited.tcp.push((address, socket));
            } else if let Ok(Some(socket)) = given.take_udp_socket(index)
                && let Ok(address) = socket.local_addr()
            {
                inherited.udp.push((address, socket));
            } else {
                inherited.odd.push(index);
            }
        }
        inherited
    }

    /// The one that listens for connections at `address`.
    pub fn take_tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let socket = take(&mut self.tcp, address)?;
        info!("{address} was handed over");
        Some(socket)
    }

    /// The one that gets datagrams at `address`.
    pub fn take_udp(&mut self, address: SocketAddr) -> Option<UdpSocket> {
        let socket = take(&mut self.udp, address)?;
        info!("{address} was handed over");
        Some(socket)
    }

    /// Keeps what `bind` makes for `address`, unless a socket that listens there was handed over.
    ///
    /// # Errors
    /// That of `bind`.
    pub fn reserve_tcp<E>(
        &mut self,
        address: SocketAddr,
        bind: impl FnOnce() -> Result<Socket, E>,
    ) -> Result<(), E> {
        if !self.tcp.iter().any(|(bound, _)| *bound == address) {
            self.reserved_tcp.push((address, bind()?));
        }
        Ok(())
    }

    /// The same for datagrams.
    ///
    /// # Errors
    /// That of `bind`.
    pub fn reserve_udp<E>(
        &mut self,
        address: SocketAddr,
        bind: impl FnOnce() -> Result<Socket, E>,
    ) -> Result<(), E> {
        if !self.udp.iter().any(|(bound, _)| *bound == address) {
            self.reserved_udp.push((address, bind()?));
        }
        Ok(())
    }

    /// The one that is reserved for connections at `address`: bound, and to be listened on.
    pub(crate) fn take_reserved_tcp(&mut self, address: SocketAddr) -> Option<Socket> {
        take(&mut self.reserved_tcp, address)
    }

    /// The one that is reserved for datagrams at `address`.
    pub(crate) fn take_reserved_udp(&mut self, address: SocketAddr) -> Option<Socket> {
        take(&mut self.reserved_udp, address)
    }

    /// Closes the rest, and says so: what comes there waits for nobody.
    pub fn let_go(self) {
        for index in self.odd {
            warn!("socket {index} that was handed over is neither TCP that listens nor UDP");
        }
        let tcp = self.tcp.into_iter().map(|(address, _)| ("TCP", address));
        let udp = self.udp.into_iter().map(|(address, _)| ("UDP", address));
        for (kind, address) in tcp.chain(udp) {
            warn!(
                "the {kind} socket of {address} was handed over, and nothing in the configuration listens there"
            );
        }
    }
}

fn take<T>(sockets: &mut Vec<(SocketAddr, T)>, address: SocketAddr) -> Option<T> {
    let index = sockets.iter().position(|(bound, _)| *bound == address)?;
    Some(sockets.swap_remove(index).1)
}
