//! Takes connections from a listening socket.
//!
//! They are accepted by own code and not by Pingora's service: a connection must be known to the reactor that serves it, and to no
//! other one.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use pingora::protocols::{GetSocketDigest, SocketDigest, l4};
use rustix::io::Errno;

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
    /// There is no room for it.
    pub(super) fn next_of(socket: &TcpListener) -> io::Result<Option<Self>> {
        loop {
            let (connection, client) = match socket.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if is_want_of_room(&error) => return Err(error),
                Err(error) => {
                    log::debug!("a connection was gone before it was accepted: {error}");
                    continue;
                }
            };
            if connection.set_nonblocking(true).is_ok() {
                return Ok(Some(Self { connection, client }));
            }
        }
    }

    /// Makes it known to the reactor of this thread.
    pub(super) fn here(self) -> Option<Here> {
        match tokio::net::TcpStream::from_std(self.connection) {
            Ok(connection) => Some(Here {
                connection,
                client: self.client,
            }),
            Err(error) => {
                log::warn!("a connection cannot be waited for: {error}");
                None
            }
        }
    }
}

/// A connection that the reactor of this thread knows.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) connection: tokio::net::TcpStream,
    /// Who is at its other end, or whom a proxy there makes it for.
    pub(super) client: SocketAddr,
}

impl Here {
    /// The connection as it is served. Nothing if its client has left.
    pub(super) fn into_stream(self) -> Option<l4::stream::Stream> {
        let mut stream = l4::stream::Stream::from(self.connection);
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

/// Whether the process or the machine has no room for a connection. Any other error of accept(2) is that of one connection, and has taken
/// it from the queue.
fn is_want_of_room(error: &io::Error) -> bool {
    let number = Errno::from_io_error(error);
    number.is_some_and(|number| {
        matches!(
            number,
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM
        )
    })
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
            Err(error) if is_want_of_room(&error) => {
                log::error!("no connection can be accepted: {error}");
                tokio::time::sleep(NO_ROOM).await;
            }
            // The others come behind it.
            Err(error) => log::debug!("a connection was gone before it was accepted: {error}"),
        }
    }
}
