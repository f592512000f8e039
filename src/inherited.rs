//! Listening sockets that whoever started the process holds and hands over: systemd's socket activation (sd_listen_fds(3)).
//!
//! Such a socket outlives the process. While one haflux ends and the next one starts, connections wait in its queue and datagrams in its
//! buffer, and nobody is refused. It is known by its address: the frontend or listener of the same address takes it.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use listenfd::ListenFd;
use log::{info, warn};

/// The sockets that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    tcp: Vec<(SocketAddr, TcpListener)>,
    udp: Vec<(SocketAddr, UdpSocket)>,
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
                warn!("socket {index} that was handed over is neither TCP that listens nor UDP");
            }
        }
        inherited
    }

    /// The one that listens for connections at `address`.
    pub fn take_tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        take(&mut self.tcp, address)
    }

    /// The one that gets datagrams at `address`.
    pub fn take_udp(&mut self, address: SocketAddr) -> Option<UdpSocket> {
        take(&mut self.udp, address)
    }

    /// Closes the rest, and says so: what comes there waits for nobody.
    pub fn let_go(self) {
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
    info!("{address} was handed over");
    Some(sockets.swap_remove(index).1)
}
