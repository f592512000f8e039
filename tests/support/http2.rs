//! A client of HTTP/2 that does what curl does not: many requests at once on one connection, and requests that it takes back.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wait::SOON;

/// One connection.
pub struct Http2 {
    // Dropped last.
    runtime: Runtime,
    address: String,
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// What became of a request: status and body, or why there is none.
pub type Reply = Result<(u16, Vec<u8>), h2::Error>;

impl Http2 {
    /// Connects from 127.0.0.`last` to `address`, which must speak HTTP/2 without TLS. `window` is how much of an answer may come unread.
    pub fn connect(last: u8, address: &str, window: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let to = address.parse().expect("an address");
        let (requests, connection) = runtime.block_on(async {
            let socket = TcpSocket::new_v4().expect("a socket");
            let from = format!("127.0.0.{last}:0").parse().expect("an address");
            socket.bind(from).expect("an address");
            let stream = socket.connect(to).await.expect("a connection");
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(window);
            // One answer that is not read must not hold the others up here.
            builder.initial_connection_window_size(1 << 20);
            let (requests, connection) = builder.handshake(stream).await.expect("a handshake");
            (requests, tokio::spawn(connection))
        });
        Self {
            runtime,
            address: address.to_owned(),
            requests,
            connection,
        }
    }

    /// Sends the header of a request, and the word that nothing follows if `is_all`.
    pub fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        is_all: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        // A handle takes one request that waits for its turn and refuses the next: each has its own.
        let requests = self.requests.clone();
        let ready = self.runtime.block_on(requests.ready());
        ready
            .expect("a connection")
            .send_request(request, is_all)
            .expect("it is sent")
    }

    /// Sends a request without a body.
    pub fn ask(&mut self, path: &str) -> ResponseFuture {
        self.begin("GET", path, &[], true).0
    }

    /// The header of an answer.
    pub fn head(&self, answer: ResponseFuture) -> Result<Response<RecvStream>, h2::Error> {
        self.runtime
            .block_on(async { timeout(SOON, answer).await.expect("an answer in time") })
    }

    /// A whole answer.
    pub fn whole(&self, answer: ResponseFuture) -> Reply {
        let head = self.head(answer)?;
        self.runtime
            .block_on(async { timeout(SOON, read(head)).await.expect("a body in time") })
    }

    /// Waits until the other side has ended the connection: how it did.
    pub fn end(self) -> Result<(), h2::Error> {
        let Self {
            runtime,
            requests,
            connection,
            ..
        } = self;
        let ended = runtime.block_on(async { timeout(SOON, connection).await });
        drop(requests);
        ended.expect("an end in time").expect("no panic")
    }
}

async fn read(head: Response<RecvStream>) -> Reply {
    let (head, mut body) = head.into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        bytes.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok((head.status.as_u16(), bytes))
}
