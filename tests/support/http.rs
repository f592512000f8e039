//! A small blocking HTTP client. Every request makes a connection of its own, so that a test says what it means by one. What is inside TLS
//! is curl's.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

use super::door::Wire;

/// The longest a request may take; a test that expects silence asks for less with [`raw`].
const LIMIT: Duration = Duration::from_secs(60);

static AGENT: LazyLock<Agent> = LazyLock::new(|| {
    Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_idle_connections(0)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(LIMIT))
        .build()
        .new_agent()
});

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body as it came, but without chunks.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a header; its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.headers
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}

/// GET.
#[track_caller]
pub fn get(url: &str) -> Answer {
    request("GET", url, &[], b"")
}

/// POST.
#[track_caller]
pub fn post(url: &str, body: impl AsRef<[u8]>) -> Answer {
    request("POST", url, &[], body.as_ref())
}

/// Any request. Panics if no whole answer comes.
#[track_caller]
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    try_request(method, url, headers, body)
        .unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// Any request.
pub fn try_request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, ureq::Error> {
    if url.starts_with("https://") {
        return Ok(by_curl(method, url, headers, body)?);
    }
    let mut builder = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let mut response = if body.is_empty() && method != "POST" {
        AGENT.run(builder.body(())?)?
    } else {
        AGENT.run(builder.body(body)?)?
    };
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    Ok(Answer {
        status: response.status().as_u16(),
        headers,
        body: response
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .read_to_vec()?,
    })
}

/// The same inside TLS, where no certificate is verified.
fn by_curl(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut curl = Command::new("curl");
    curl.args(["-ksS", "--include", "--raw", "--http1.1", "-X", method, url])
        .args(["--max-time", "60", "-H", "Expect:", "--data-binary", "@-"]);
    for (name, value) in headers {
        curl.args(["-H", &format!("{name}: {value}")]);
    }
    let mut running = curl
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = running.stdin.take() {
        stdin.write_all(body)?;
    }
    let output = running.wait_with_output()?;
    let (answer, _) = read_answer(&mut output.stdout.as_slice(), method == "HEAD")?;
    Ok(answer)
}

/// Sends bytes as they are to `host:port` and returns all that comes until the other side closes or is silent for `silence`.
///
/// For what a well-behaved client cannot be made to send, and for the exact bytes of an answer.
pub fn raw(address: &str, bytes: &[u8], silence: Duration) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(silence))?;
    connection.set_write_timeout(Some(LIMIT))?;
    connection.write_all(bytes)?;
    read_until_silent(&mut connection)
}

/// All that comes until the other side closes or the read timeout of the connection passes.
pub fn read_until_silent(connection: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut received = Vec::new();
    let mut buffer = [0; 16_384];
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => return Ok(received),
            Ok(read) => received.extend_from_slice(&buffer[..read]),
            Err(error) => match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                    return Ok(received);
                }
                std::io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
}

/// How a client leaves its side of the connection once it has sent all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// It could send more.
    Open,
    /// It sends no more, and says so: `shutdown(SHUT_WR)`.
    Ended,
}

/// What became of bytes that were sent as they are.
#[derive(Debug)]
pub enum Reply {
    /// A whole answer.
    Answer(Answer),
    /// Nobody took the connection.
    Refused,
    /// The other side closed the connection without a whole answer.
    Closed,
    /// No whole answer before the deadline.
    Silence,
}

impl Reply {
    /// The answer's status.
    pub fn status(&self) -> Option<u16> {
        match self {
            Reply::Answer(answer) => Some(answer.status),
            _ => None,
        }
    }
}

/// Sends bytes as they are to `host:port` and reads one answer, all within `limit`. The answer to a HEAD is not told apart: it
/// must have no length.
///
/// A server may answer before it has read everything, so the answer is read even where sending fails.
pub fn exchange(address: &str, bytes: &[u8], sending: Sending, limit: Duration) -> Reply {
    match TcpStream::connect(address) {
        Ok(connection) => exchange_on(connection, bytes, sending, limit),
        Err(_) => Reply::Refused,
    }
}

/// The same over a connection that is there.
pub fn exchange_on(
    connection: impl Into<Wire>,
    bytes: &[u8],
    sending: Sending,
    limit: Duration,
) -> Reply {
    let mut connection = connection.into();
    let end = Instant::now() + limit;
    let prepared = connection
        .set_nodelay()
        .and_then(|()| connection.set_write_timeout(limit));
    let sent = prepared.and_then(|()| connection.write_all(bytes));
    if sent.is_ok() && sending == Sending::Ended {
        // Where the other side has closed already there is nothing to say.
        let _ = connection.end();
    }
    let mut reader = BufReader::new(UntilDeadline { connection, end });
    loop {
        match read_answer(&mut reader, false) {
            // What comes before the answer, e.g. 100 (Continue).
            Ok((answer, _)) if answer.status < 200 && answer.status != 101 => {}
            Ok((answer, _)) => return Reply::Answer(answer),
            Err(error) if is_silence(&error) => return Reply::Silence,
            Err(_) => return Reply::Closed,
        }
    }
}

/// A connection whose reads all end at one moment.
pub struct UntilDeadline {
    pub connection: Wire,
    pub end: Instant,
}

impl Read for UntilDeadline {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.connection.set_read_timeout(left)?;
        self.connection.read(buffer)
    }
}

fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Reads one answer, and whether the connection can be used again.
pub fn read_answer(open: &mut impl BufRead, bodiless: bool) -> std::io::Result<(Answer, bool)> {
    let bad = || Error::other("no HTTP answer");
    let status_line = line(open)?;
    let status: u16 = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(bad)?;
    let mut answer = Answer {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let line = line(open)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        let header = (name.to_ascii_lowercase(), value.trim().to_owned());
        answer.headers.push(header);
    }
    let says = |name: &str, wanted: &str| {
        let value = answer.header(name);
        value.is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    // RFC 9112, section 9.3. Go's server says nothing of it to an HTTP/1.0 client.
    let closes = says("connection", "close")
        || status_line.starts_with("HTTP/1.0 ") && !says("connection", "keep-alive");
    let bodiless = bodiless || status < 200 || status == 204 || status == 304;
    if bodiless {
        return Ok((answer, !closes));
    }
    if says("transfer-encoding", "chunked") {
        answer.body = chunks(open)?;
    } else if let Some(length) = answer.header("content-length") {
        answer.body = vec![0; length.parse().map_err(Error::other)?];
        open.read_exact(&mut answer.body)?;
    } else if closes {
        open.read_to_end(&mut answer.body)?;
    }
    Ok((answer, !closes))
}

fn chunks(open: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&line(open)?, 16).map_err(Error::other)?;
        let begin = body.len();
        body.resize(begin + size, 0);
        open.read_exact(&mut body[begin..])?;
        line(open)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn line(open: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = Vec::new();
    if open.read_until(b'\n', &mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let line = String::from_utf8_lossy(&line);
    Ok(line.trim_end().to_owned())
}

/// `name=value&…`, everything percent-encoded that is not plainly safe.
pub fn query_string(parameters: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.join("&")
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
