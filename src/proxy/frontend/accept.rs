//! Takes connections from a listening socket.
//!
//! They are accepted by own code and not by Pingora's service: a connection must be known to the reactor that serves it, and to no
//! other one.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use pingora::protocols::{GetSocketDigest, SocketDigest, l4};

/// Until the next try when the process, or the machine, has no room for a connection.
const NO_ROOM: Duration = Duration::from_secs(1);

/// A connection that no reactor knows yet.
#[derive(Debug)]
pub(in crate::proxy) struct Accepted {
    connection: TcpStream,
    client: SocketAddr,
}

impl Accepted {
    /// The next one of the socket's queue, if it holds any.
    ///
    /// # Errors
    ///
    /// Those of `accept(2)` that are the socket's or the process's, and no client's.
    pub(super) fn next_of(socket: &TcpListener) -> io::Result<Option<Self>> {
        loop {
            let (connection, client) = match socket.accept() {
                Ok(accepted) => accepted,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => continue,
                    ErrorKind::WouldBlock => return Ok(None),
                    _ => return Err(error),
                },
            };
            if connection.set_nonblocking(true).is_ok() {
                return Ok(Some(Self { connection, client }));
            }
        }
    }

    /// Makes it known to the reactor of this thread. Nothing if its client has left.
    pub(super) fn into_stream(self) -> Option<l4::stream::Stream> {
        let connection = match tokio::net::TcpStream::from_std(self.connection) {
            Ok(connection) => connection,
            Err(error) => {
                log::warn!("a connection cannot be waited for: {error}");
                return None;
            }
        };
        let mut stream = l4::stream::Stream::from(connection);
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        // It is new, so nobody has set it.
        let _ = digest.peer_addr.set(Some(self.client.into()));
        stream.set_socket_digest(digest);
        match stream.set_nodelay() {
            Ok(()) => Some(stream),
            Err(error) => {
                log::debug!("a connection was gone before it was accepted: {error}");
                None
            }
        }
    }
}

/// Gives each connection that comes on `socket` to `serve`. Ends only with an error of the reactor.
pub(super) async fn accept_all(socket: &TcpListener, serve: impl Fn(Accepted)) -> io::Result<()> {
    let socket = tokio::net::TcpListener::from_std(socket.try_clone()?)?;
    loop {
        let accepted = socket.accept().await.and_then(|(connection, client)| {
            let connection = connection.into_std()?;
            Ok(Accepted { connection, client })
        });
        match accepted {
            Ok(accepted) => serve(accepted),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log::error!("no connection can be accepted: {error}");
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
}
