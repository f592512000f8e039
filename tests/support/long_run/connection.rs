//! A client's connection: kept between requests, and never a request sent twice by itself.

use std::borrow::Cow;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::door::{Door, Wire};
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
    door: Cow<'a, Door>,
    open: Option<BufReader<Wire>>,
}

impl<'a> Connection<'a> {
    /// Without TLS.
    pub fn new(address: &str) -> Self {
        Self {
            door: Cow::Owned(Door::plain(address.to_owned())),
            open: None,
        }
    }

    pub fn through(door: &'a Door) -> Self {
        Self {
            door: Cow::Borrowed(door),
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
            None => match connect(&self.door) {
                Ok(open) => open,
                Err(_) => {
                    std::thread::sleep(REFUSED_PAUSE);
                    return Reply::NotSent;
                }
            },
        };
        match exchange(&mut open, self.door.address(), request) {
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

fn connect(door: &Door) -> std::io::Result<BufReader<Wire>> {
    let stream = TcpStream::connect(door.address())?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(door.enter(stream)?))
}

/// The answer, and whether the connection can be used again.
fn exchange(
    open: &mut BufReader<Wire>,
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
