//! The connections that a listening socket holds when a stop begins: each of them is served, none is cut off.
//!
//! The kernel completes a connection by itself and puts it into the socket's queue. A socket that is closed with a connection
//! in its queue resets it, and the client has sent its request by then. Taking connections until the queue is empty and
//! closing at once is not enough, because one may come in between. So the socket first stops taking newcomers: a filter drops
//! every SYN. Connections that have begun are completed, taken and served for [`COMPLETION`]; then the socket is closed. A
//! client whose SYN was dropped sends it again after a second and is refused then.

use std::net::TcpListener;
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::time::Instant;

use super::accept::Accepted;

/// How long a connection that has begun may take to be completed: longer than a round trip in one site.
const COMPLETION: Duration = Duration::from_millis(100);

/// How often the queue is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(5);

/// A program of the kernel's packet filter that drops a TCP packet if SYN is set and ACK is not. It sees the packet from the
/// TCP header on.
const WITHOUT_SYN: [SockFilter; 5] = [
    // Load the byte of the flags.
    SockFilter::new(0x30, 0, 0, 13),
    // Keep SYN and ACK of it.
    SockFilter::new(0x54, 0, 0, 0x12),
    // SYN alone: skip the next one.
    SockFilter::new(0x15, 1, 0, 0x02),
    // Take the whole packet.
    SockFilter::new(0x06, 0, 0, u32::MAX),
    // Drop it.
    SockFilter::new(0x06, 0, 0, 0),
];

/// Takes what `socket` still holds, gives each connection to `serve`, and closes the socket.
pub(super) async fn take(socket: TcpListener, serve: impl Fn(Accepted)) {
    let is_closed_to_newcomers = match SockRef::from(&socket).attach_filter(&WITHOUT_SYN) {
        Ok(()) => true,
        Err(error) => {
            log::warn!("connections that come in this moment may be reset: {error}");
            false
        }
    };
    let end = Instant::now() + COMPLETION;
    loop {
        // The kernel is asked itself, because a reactor would wait to be told of it.
        loop {
            match Accepted::next_of(&socket) {
                Ok(Some(accepted)) => serve(accepted),
                Ok(None) => break,
                Err(error) => {
                    log::warn!("a socket's queue cannot be emptied: {error}");
                    break;
                }
            }
        }
        if !is_closed_to_newcomers || Instant::now() >= end {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::SocketAddr;

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::watch;

    use super::*;

    /// Connects again and again until it is refused. Returns how many connections were answered, or what became of one that
    /// was not.
    async fn connect_until_refused(address: SocketAddr) -> std::io::Result<usize> {
        let mut answered = 0;
        loop {
            let mut connection = match TcpStream::connect(address).await {
                Ok(connection) => connection,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(answered),
                Err(error) => return Err(error),
            };
            connection.write_all(b"?").await?;
            connection.read_u8().await?;
            answered += 1;
        }
    }

    async fn answer(mut connection: impl AsyncReadExt + AsyncWriteExt + Unpin) {
        if connection.read_u8().await.is_ok() {
            // The client reports what it misses.
            let _ = connection.write_all(b"!").await;
        }
    }

    #[tokio::test]
    async fn a_newcomer_is_not_connected_until_the_socket_is_closed() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let early = std::net::TcpStream::connect(address).unwrap();
        let served = std::cell::RefCell::new(Vec::new());
        let mut taking = std::pin::pin!(take(socket, |stream| served.borrow_mut().push(stream)));
        assert!(taking.as_mut().now_or_never().is_none());
        assert_eq!(served.borrow().len(), 1);
        let newcomer = std::net::TcpStream::connect_timeout(&address, COMPLETION / 2);
        assert_eq!(newcomer.unwrap_err().kind(), ErrorKind::TimedOut);
        taking.await;
        let late = std::net::TcpStream::connect(address);
        assert_eq!(late.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(served.borrow().len(), 1);
        drop(early);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_connection_is_reset_whenever_it_comes() {
        let stop = watch::Sender::new(false);
        let mut listeners = Vec::new();
        let mut clients = Vec::new();
        for _ in 0..64 {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            let address = socket.local_addr().unwrap();
            let mut stop = stop.subscribe();
            listeners.push(tokio::spawn(async move {
                let accepting = socket.try_clone().unwrap();
                let accepting = tokio::net::TcpListener::from_std(accepting).unwrap();
                loop {
                    tokio::select! {
                        accepted = accepting.accept() => {
                            tokio::spawn(answer(accepted.unwrap().0));
                        }
                        _ = stop.wait_for(|stop| *stop) => break,
                    }
                }
                drop(accepting);
                take(socket, |accepted| {
                    tokio::spawn(answer(accepted.here().unwrap().into_stream().unwrap()));
                })
                .await;
            }));
            clients.extend((0..4).map(|_| tokio::spawn(connect_until_refused(address))));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.send_replace(true);
        for listener in listeners {
            listener.await.unwrap();
        }
        let mut answered = 0;
        for client in clients {
            answered += client.await.unwrap().unwrap();
        }
        assert!(answered > 256, "{answered} connections");
    }
}
