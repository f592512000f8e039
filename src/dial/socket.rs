//! What the system is told of a socket before it connects.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpSocket;

/// What the system is told of a socket.
#[derive(Debug, Default)]
pub(crate) struct SocketOptions {
    /// How a peer that is gone is told from a silent one. Default: it is not.
    pub(crate) keep_alive: Option<TcpKeepalive>,
    /// What has not reached the peer when the connection is closed is dropped; and it is closed when nothing of it is acknowledged for so
    /// long. Default: the system goes on delivering for minutes.
    pub(crate) drops_unsent_after: Option<Duration>,
}

impl SocketOptions {
    /// A socket for a connection to `address`.
    pub(super) fn open(&self, address: SocketAddr) -> io::Result<TcpSocket> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        let told = SockRef::from(&socket);
        if let Some(keep_alive) = &self.keep_alive {
            told.set_tcp_keepalive(keep_alive)?;
        }
        if let Some(longest) = self.drops_unsent_after {
            // Also when the end of the process closes it.
            told.set_linger(Some(Duration::ZERO))?;
            told.set_tcp_user_timeout(Some(longest))?;
        }
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_told_to_drop_what_it_has_not_delivered() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        let _inside = runtime.as_ref().expect("a runtime").enter();
        let open = |drops_unsent_after| {
            let options = SocketOptions {
                keep_alive: None,
                drops_unsent_after,
            };
            let socket = options.open(address);
            let socket = socket.expect("options that the system has");
            let told = SockRef::from(&socket);
            (told.linger().ok(), told.tcp_user_timeout().ok())
        };
        let seven = Some(Duration::from_secs(7));
        assert_eq!(open(seven), (Some(Some(Duration::ZERO)), Some(seven)));
        assert_eq!(open(None).0, Some(None));
    }
}
