//! A client's connection: kept between requests, and never a request sent twice by itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than haflux ever takes to answer: only a dead haflux leaves a client without one.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The write was acknowledged, when so many replicas had applied it.
    Acknowledged { applied: u8 },
    /// This other status came.
    Status(u16),
    /// Nobody took the connection: nothing was sent.
    NotSent,
    /// It was sent, at least in part, and no answer came.
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

    /// Posts `body` and waits for the answer.
    pub fn post(&mut self, target: &str, gzip: bool, body: &[u8]) -> Reply {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => match connect(self.address) {
                Ok(open) => open,
                Err(_) => return Reply::NotSent,
            },
        };
        match exchange(&mut open, self.address, target, gzip, body) {
            Ok((reply, keep)) => {
                if keep {
                    self.open = Some(open);
                }
                reply
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
    target: &str,
    gzip: bool,
    body: &[u8],
) -> std::io::Result<(Reply, bool)> {
    let encoding = if gzip {
        "Content-Encoding: gzip\r\n"
    } else {
        ""
    };
    let mut request = format!(
        "POST {target} HTTP/1.1\r\nHost: {host}\r\n{encoding}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    open.get_mut().write_all(&request)?;

    let bad = || std::io::Error::other("no HTTP answer");
    let status_line = header_line(open)?;
    let status: u16 = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(bad)?;
    let (mut length, mut keep, mut applied) = (0, true, 0);
    loop {
        let line = header_line(open)?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        if let Some(value) = line.strip_prefix("x-haflux-applied:") {
            let number = value.trim().split('/').next().unwrap_or_default();
            applied = number.parse().map_err(std::io::Error::other)?;
        }
        keep &= line != "connection: close";
    }
    let mut body = vec![0; length];
    open.read_exact(&mut body)?;
    let reply = match status {
        200..=299 => Reply::Acknowledged { applied },
        _ => Reply::Status(status),
    };
    Ok((reply, keep))
}

fn header_line(open: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    if open.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
