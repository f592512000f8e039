//! A server that does as it is told: answers, refuses, resets, hangs or streams.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// What a stand-in does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers 200 with its name.
    Answer,
    /// Answers with this status and no body.
    Status(u16),
    /// Resets the connection once the whole request is there.
    Reset,
    /// Resets the connection when only the header of the request is there.
    ResetInside,
    /// Sends a header of 200, then resets.
    ResetAfterHeader,
    /// Sends a header and a piece, then resets.
    ResetAfterPiece,
    /// Answers 200, then closes although it may be kept.
    CloseAfter,
    /// Says nothing.
    Hang,
    /// Closes its port and all connections, as a process that ends.
    End,
    /// Sends the pieces that the test gives.
    Stream,
    /// Changes the protocol and sends back what comes.
    Tunnel,
    /// Answers with a body that ends with the connection.
    UntilClosed,
    /// Sends exactly this, and keeps the connection.
    Raw(&'static str),
}

/// A stand-in server on a port of loopback.
pub(crate) struct StandIn {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    shared: Arc<SharedState>,
    task: Option<JoinHandle<()>>,
}

struct SharedState {
    name: &'static str,
    behaviour: watch::Sender<Behaviour>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    ended: tokio::sync::Notify,
    pieces: tokio::sync::Mutex<Option<mpsc::Receiver<&'static str>>>,
}

impl StandIn {
    pub(crate) async fn start(name: &'static str, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(SharedState {
            name,
            behaviour: watch::Sender::new(behaviour),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            ended: tokio::sync::Notify::new(),
            pieces: tokio::sync::Mutex::new(None),
        });
        let task = Some(tokio::spawn(accept(listener, Arc::clone(&shared))));
        Self {
            name,
            address,
            shared,
            task,
        }
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        self.shared.behaviour.send_replace(behaviour);
    }

    /// Closes its port and all connections: from now on it refuses.
    pub(crate) async fn refuse(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Opens its port again.
    pub(crate) async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.task = Some(tokio::spawn(accept(listener, Arc::clone(&self.shared))));
    }

    /// The requests it got whole or in part: header and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Connections that were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// From now on it streams what is sent here, until this is dropped.
    pub(crate) async fn stream(&self) -> mpsc::Sender<&'static str> {
        let (sender, receiver) = mpsc::channel(8);
        *self.shared.pieces.lock().await = Some(receiver);
        self.set(Behaviour::Stream);
        sender
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<SharedState>) {
    // Ends with this task, and so do the connections.
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            Ok((stream, _)) = listener.accept() => stream,
            () = shared.ended.notified() => {
                // The port goes before the connections.
                drop(listener);
                return;
            }
            else => return,
        };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

struct Open(Arc<SharedState>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn reset(stream: &TcpStream) {
    SockRef::from(stream)
        .set_linger(Some(std::time::Duration::ZERO))
        .unwrap();
}

async fn serve(mut stream: TcpStream, shared: Arc<SharedState>) {
    shared.open.fetch_add(1, Ordering::SeqCst);
    let _open = Open(Arc::clone(&shared));
    let mut buffer = Vec::new();
    loop {
        let Some(header) = read_until(&mut stream, &mut buffer, |buffer| {
            buffer
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
                .map(|at| at + 4)
        })
        .await
        else {
            return;
        };
        let behaviour = *shared.behaviour.borrow();
        if behaviour == Behaviour::ResetInside {
            shared.requests.lock().unwrap().push(header);
            return reset(&stream);
        }
        let length = header
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().unwrap())
            })
            .unwrap_or(0);
        let Some(body) = read_until(&mut stream, &mut buffer, |buffer| {
            (buffer.len() >= length).then_some(length)
        })
        .await
        else {
            return;
        };
        let is_head = header.starts_with("HEAD");
        shared
            .requests
            .lock()
            .unwrap()
            .push(format!("{header}{body}"));
        let name = shared.name;
        let header_of_pieces = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        match behaviour {
            Behaviour::Answer | Behaviour::CloseAfter => {
                let length = name.len();
                let body = if is_head { "" } else { name };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nX-Server: {name}\r\nKeep-Alive: timeout=5\r\nContent-Length: {length}\r\n\r\n{body}"
                );
                if stream.write_all(answer.as_bytes()).await.is_err()
                    || behaviour == Behaviour::CloseAfter
                {
                    return;
                }
            }
            Behaviour::Status(status) => {
                let answer = if status == 204 {
                    "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
                } else {
                    format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n")
                };
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Behaviour::End => {
                shared.ended.notify_one();
                std::future::pending::<()>().await;
            }
            Behaviour::Reset | Behaviour::ResetInside => return reset(&stream),
            Behaviour::ResetAfterHeader => {
                let _ = stream.write_all(header_of_pieces.as_bytes()).await;
                return reset(&stream);
            }
            Behaviour::ResetAfterPiece => {
                let answer = format!("{header_of_pieces}5\r\nfirst\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
                // What was sent must arrive before the reset throws it away.
                let _ =
                    tokio::time::timeout(std::time::Duration::from_millis(50), stream.read_u8())
                        .await;
                return reset(&stream);
            }
            Behaviour::Hang => {
                let mut byte = [0];
                let _ = stream.read(&mut byte).await;
                return;
            }
            Behaviour::Stream => {
                let mut pieces = shared.pieces.lock().await.take().unwrap();
                stream.write_all(header_of_pieces.as_bytes()).await.unwrap();
                let mut byte = [0];
                loop {
                    tokio::select! {
                        piece = pieces.recv() => {
                            let piece = piece.unwrap_or_default();
                            let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
                            if stream.write_all(chunk.as_bytes()).await.is_err() {
                                return;
                            }
                            if piece.is_empty() {
                                break;
                            }
                        }
                        _ = stream.read(&mut byte) => return,
                    }
                }
            }
            Behaviour::Tunnel => {
                let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes()).await;
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                return;
            }
            Behaviour::Raw(answer) => {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Behaviour::UntilClosed => {
                let answer = format!("HTTP/1.0 200 OK\r\n\r\n{name}");
                let _ = stream.write_all(answer.as_bytes()).await;
                return;
            }
        }
    }
}

/// Reads until `end` says how many bytes are the thing, and takes them.
async fn read_until(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    end: impl Fn(&[u8]) -> Option<usize>,
) -> Option<String> {
    loop {
        if let Some(end) = end(buffer) {
            return String::from_utf8(buffer.drain(..end).collect()).ok();
        }
        if !matches!(stream.read_buf(buffer).await, Ok(1..)) {
            return None;
        }
    }
}
