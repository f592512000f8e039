//! A client's connection: kept between requests, and never a request sent twice by itself.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::http::{self, Answer};

/// Longer than haflux ever takes to answer here: only a dead haflux leaves a client without one.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause of a client that finds nobody to ask.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);

/// A request.
pub struct Request {
    /// A POST has a body, and nothing else has.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// What it says of its body.
    pub header: Option<(&'static str, &'static str)>,
    pub body: Vec<u8>,
}

/// What became of it.
#[derive(Debug)]
pub enum Reply {
    Answer(Answer),
    /// Nobody took the connection: nothing was sent.
    NotSent,
    /// It was sent, at least in part, and no whole answer came.
    Silence,
}

/// A connection to haflux, made when it is needed.
pub struct Connection<'a> {
    address: &'a str,
    open: Option<BufReader<TcpStream>>,
}

impl<'a> Connection<'a> {
    pub fn new(address: &'a str) -> Self {
        Self {
            address,
            open: None,
        }
    }

    /// Closes it; the next request makes a new one.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Sends a request and waits for the answer.
    pub fn send(&mut self, request: &Request) -> Reply {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => match connect(self.address) {
                Ok(open) => open,
                Err(_) => {
                    std::thread::sleep(REFUSED_PAUSE);
                    return Reply::NotSent;
                }
            },
        };
        match exchange(&mut open, self.address, request) {
            Ok((answer, keep)) => {
                if keep {
                    self.open = Some(open);
                }
                Reply::Answer(answer)
            }
            Err(_) => Reply::Silence,
        }
    }
}

fn connect(address: &str) -> std::io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// The answer, and whether the connection can be used again.
fn exchange(
    open: &mut BufReader<TcpStream>,
    host: &str,
    request: &Request,
) -> std::io::Result<(Answer, bool)> {
    let Request { method, target, .. } = request;
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    if let Some((name, value)) = request.header {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if *method == "POST" {
        text.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    text.push_str("\r\n");
    let mut sent = text.into_bytes();
    sent.extend_from_slice(&request.body);
    open.get_mut().write_all(&sent)?;

    http::read_answer(open, *method == "HEAD")
}
