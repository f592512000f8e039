//! A replica or server that does what a script says.
//!
//! Real nodes show what InfluxDB does; they cannot be made to answer a certain error at a certain moment, to go silent after
//! the third request, or to break off in the middle of an answer. Where a rule is about just that, this server stands in. What
//! it answers as InfluxDB must be taken from a real one.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::lock::lock;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Request {
    /// How many came before it.
    pub number: usize,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without chunks.
    pub body: Vec<u8>,
}

impl Request {
    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first value of a header; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What is done with a request.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// A whole answer; `Content-Length` is added.
    Answer {
        /// The status.
        status: u16,
        /// Further headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Something, but later.
    After(Duration, Box<Behaviour>),
    /// Nothing, until the other side gives up.
    Hang,
    /// The connection is closed without a word.
    Close,
    /// Exactly these bytes, and then the connection is closed.
    Raw(Vec<u8>),
    /// These bytes one by one, with a pause before each; the connection stays open.
    Drip(Vec<u8>, Duration),
}

impl Behaviour {
    /// A status with a body and the headers that each of InfluxDB's answers has.
    pub fn status(status: u16, body: &str) -> Self {
        let headers = [
            ("Content-Type", "application/json"),
            ("X-Influxdb-Build", "OSS"),
            ("X-Influxdb-Version", "1.8.10"),
        ];
        Behaviour::Answer {
            status,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            body: body.as_bytes().to_vec(),
        }
    }

    /// As InfluxDB takes a write and answers a ping.
    pub fn no_content() -> Self {
        Behaviour::status(204, "")
    }

    /// The first bytes of a longer answer, and then the connection is closed.
    pub fn break_off(body: &str) -> Self {
        let promised = body.len() + 100;
        Behaviour::Raw(
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {promised}\r\n\r\n{body}"
            )
            .into_bytes(),
        )
    }
}

type Script = dyn Fn(&Request) -> Behaviour + Send + Sync;

struct Shared {
    script: Mutex<Arc<Script>>,
    requests: Mutex<Vec<Request>>,
    /// Those that are open, by their numbers.
    connections: Mutex<HashMap<usize, TcpStream>>,
    accepted: Mutex<usize>,
    closing: Mutex<bool>,
    keeps_requests: Mutex<bool>,
}

/// The server. Dropped, it closes everything.
pub struct StandIn {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Listens on a loopback port; `script` is asked what to do with each request.
    pub fn start(script: impl Fn(&Request) -> Behaviour + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, super::ports::free_port()))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("a loopback port");
        let mut server = StandIn {
            port: listener.local_addr().expect("a bound address").port(),
            shared: Arc::new(Shared {
                script: Mutex::new(Arc::new(script)),
                requests: Mutex::default(),
                connections: Mutex::default(),
                accepted: Mutex::default(),
                closing: Mutex::default(),
                keeps_requests: Mutex::new(true),
            }),
            acceptor: None,
        };
        server.listen(listener);
        server
    }

    /// Answers every request with 204, as a healthy node answers writes and pings.
    pub fn healthy() -> Self {
        StandIn::start(|_| Behaviour::no_content())
    }

    /// From now on [`StandIn::requests`] gets no more: where hundreds of megabytes come, the script has to do with what it is
    /// shown.
    pub fn keep_no_requests(&self) {
        *lock(&self.shared.keeps_requests) = false;
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// From the next request on, another script.
    pub fn behave(&self, script: impl Fn(&Request) -> Behaviour + Send + Sync + 'static) {
        *lock(&self.shared.script) = Arc::new(script);
    }

    /// All requests that came, in the order in which they were complete.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// Those for a path.
    pub fn requests_for(&self, path: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.path() == path);
        requests
    }

    /// The lines of all writes, in the order in which they came.
    pub fn written_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for request in self.writes() {
            lines.extend(request.text().lines().map(str::to_owned));
        }
        lines
    }

    /// The writes that came, without those that hold no line: with these haflux asks whether somebody may write.
    pub fn writes(&self) -> Vec<Request> {
        let mut writes = self.requests_for("/write");
        writes.retain(|request| !request.body.is_empty());
        writes
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        *lock(&self.shared.accepted)
    }

    /// Closes all connections and refuses new ones.
    pub fn refuse(&mut self) {
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        *lock(&self.shared.closing) = true;
        // Wakes the acceptor; if that fails, it has ended already.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        acceptor.join().expect("the acceptor does not panic");
        for (_, connection) in lock(&self.shared.connections).drain() {
            // The other side may have closed it already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Accepts connections again, on the same port.
    pub fn accept_again(&mut self) {
        assert!(
            self.acceptor.is_none(),
            "it refuses before it accepts again"
        );
        *lock(&self.shared.closing) = false;
        let port = self.port;
        let listener = super::wait_for("the stand-in's port", super::wait::SOON, || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
        });
        self.listen(listener);
    }

    fn listen(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        self.acceptor = Some(std::thread::spawn(move || {
            for connection in listener.incoming() {
                if *lock(&shared.closing) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                let Ok(handle) = connection.try_clone() else {
                    continue;
                };
                let number = {
                    let mut accepted = lock(&shared.accepted);
                    *accepted += 1;
                    *accepted
                };
                lock(&shared.connections).insert(number, handle);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // A connection that fails was closed from either side, which is what tests are about.
                    let _ = serve(&connection, &shared);
                    let _ = connection.shutdown(Shutdown::Both);
                    lock(&shared.connections).remove(&number);
                });
            }
        }));
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.refuse();
    }
}

/// Serves one connection until it is closed.
fn serve(connection: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    while let Some(mut request) = read_request(&mut reader, connection)? {
        let script = Arc::clone(&lock(&shared.script));
        if *lock(&shared.keeps_requests) {
            let mut requests = lock(&shared.requests);
            request.number = requests.len();
            requests.push(request.clone());
        }
        if !perform(script(&request), &request, connection, &mut reader)? {
            return Ok(());
        }
    }
    Ok(())
}

/// True if the connection can carry another request.
fn perform(
    behaviour: Behaviour,
    request: &Request,
    mut connection: &TcpStream,
    reader: &mut impl Read,
) -> std::io::Result<bool> {
    match behaviour {
        Behaviour::Answer {
            status,
            headers,
            body,
        } => {
            let mut answer = format!("HTTP/1.1 {status} Scripted\r\n");
            for (name, value) in headers {
                answer.push_str(&format!("{name}: {value}\r\n"));
            }
            if status != 204 && status >= 200 {
                answer.push_str(&format!("Content-Length: {}\r\n", body.len()));
            }
            answer.push_str("\r\n");
            let mut answer = answer.into_bytes();
            if request.method != "HEAD" {
                answer.extend_from_slice(&body);
            }
            connection.write_all(&answer)?;
            Ok(request.header("connection") != Some("close"))
        }
        Behaviour::After(delay, then) => {
            // The delay is the behaviour that was asked for, not a wait for something.
            std::thread::sleep(delay);
            perform(*then, request, connection, reader)
        }
        Behaviour::Hang => {
            std::io::copy(reader, &mut std::io::sink())?;
            Ok(false)
        }
        Behaviour::Close => Ok(false),
        Behaviour::Raw(bytes) => {
            connection.write_all(&bytes)?;
            Ok(false)
        }
        Behaviour::Drip(bytes, pause) => {
            for byte in bytes {
                // The pause is the behaviour that was asked for.
                std::thread::sleep(pause);
                connection.write_all(&[byte])?;
            }
            Ok(true)
        }
    }
}

/// The next request; none once the connection is closed.
fn read_request(
    reader: &mut impl BufRead,
    mut connection: &TcpStream,
) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut request = Request {
        number: 0,
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let header = (name.to_ascii_lowercase(), value.trim().to_owned());
        request.headers.push(header);
    }
    if request.header("expect") == Some("100-continue") {
        connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if request.header("transfer-encoding") == Some("chunked") {
        request.body = read_chunks(reader)?;
    } else if let Some(length) = request.header("content-length") {
        let length = length.parse().map_err(std::io::Error::other)?;
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

fn read_chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim_end(), 16).map_err(std::io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}
