//! A client's connection: kept between requests, and never a request sent twice by itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than haflux ever takes to answer here: only a dead haflux leaves a client without one.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request.
pub struct Request {
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// A form, or lines.
    pub body: Option<(&'static str, String)>,
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

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// It was said to be stale.
    pub stale: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end().to_owned()
    }
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
                Err(_) => return Reply::NotSent,
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
    match &request.body {
        Some((content_type, body)) => text.push_str(&format!(
            "Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )),
        None if *method == "POST" => text.push_str("Content-Length: 0\r\n\r\n"),
        None => text.push_str("\r\n"),
    }
    open.get_mut().write_all(text.as_bytes())?;

    let bad = || std::io::Error::other("no HTTP answer");
    let status: u16 = line(open)?
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(bad)?;
    let (mut length, mut chunked, mut keep, mut stale) = (0, false, true, false);
    loop {
        let line = line(open)?.to_ascii_lowercase();
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let value = value.trim();
        match name {
            "content-length" => length = value.parse().map_err(std::io::Error::other)?,
            "transfer-encoding" => chunked = value == "chunked",
            "connection" => keep &= value != "close",
            "x-haflux-stale" => stale = true,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    if chunked {
        body = chunks(open)?;
    } else {
        open.read_exact(&mut body)?;
    }
    let answer = Answer {
        status,
        body,
        stale,
    };
    Ok((answer, keep))
}

fn chunks(open: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&line(open)?, 16).map_err(std::io::Error::other)?;
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
    let mut line = String::new();
    if open.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
