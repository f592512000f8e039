//! A client that sees every byte.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::SOON;

/// One connection of a client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// As they came, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(one, _)| one == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn get(&mut self, target: &str) -> Answer {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .await;
        self.answer().await
    }

    pub(crate) async fn post(&mut self, target: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(&format!(
            "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
        self.answer().await
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.buffer);
        let read = tokio::time::timeout(SOON, read)
            .await
            .expect("nothing came");
        matches!(read, Ok(1..))
    }

    /// A line, without its end.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).unwrap();
            }
            assert!(self.fill().await, "the connection ended inside a line");
        }
    }

    async fn bytes(&mut self, count: usize) -> String {
        while self.buffer.len() < count {
            assert!(self.fill().await, "the connection ended inside a body");
        }
        String::from_utf8(self.buffer.drain(..count).collect()).unwrap()
    }

    /// The header of an answer; its body is still to be read.
    pub(crate) async fn header(&mut self) -> Answer {
        let start = self.line().await;
        let status = start.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        Answer {
            status,
            headers,
            body: String::new(),
        }
    }

    /// The next chunk of a chunked body; empty for the last.
    pub(crate) async fn chunk(&mut self) -> String {
        let length = usize::from_str_radix(&self.line().await, 16).unwrap();
        let chunk = self.bytes(length).await;
        assert_eq!(self.line().await, "");
        chunk
    }

    /// A whole answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        let mut answer = self.header().await;
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let chunk = self.chunk().await;
                if chunk.is_empty() {
                    break;
                }
                answer.body += &chunk;
            }
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().unwrap();
            answer.body = self.bytes(length).await;
        } else if answer.status != 204 && answer.status != 304 && answer.status >= 200 {
            while self.fill().await {}
            answer.body = String::from_utf8(std::mem::take(&mut self.buffer)).unwrap();
        }
        answer
    }

    /// Whether the connection is closed with nothing more on it, within a moment.
    pub(crate) async fn is_closed(&mut self) -> bool {
        !self.fill().await && self.buffer.is_empty()
    }
}
