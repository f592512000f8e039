//! A small blocking HTTP client. Every request makes a connection of its own, so that a test says what it means by one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

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
