//! Tries again what may pass, until a person ends it.

use std::time::{Duration, Instant};

use log::warn;

use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError};
use crate::heal::progress::Progress;
use crate::stats::units::Span;

/// How often an answer that cannot be read is asked for again.
const UNREADABLE: u32 = 5;

/// How long a node may answer with one and the same error, while it answers another question, until that error is one that stays: as that
/// of a shard which it does not open.
const SAME_ERROR: Duration = Duration::from_secs(300);

/// What is done, and how long to wait before it is tried again.
pub(super) struct Patience<'a> {
    progress: &'a Progress,
    /// Those that are asked.
    nodes: [&'a Node; 2],
    phase: String,
    min: Duration,
    max: Duration,
    same_error: Duration,
}

impl<'a> Patience<'a> {
    /// `phase`: what is done, for a person, with these nodes. Waits grow from `min` to `max`.
    pub(super) fn new(
        progress: &'a Progress,
        nodes: [&'a Node; 2],
        phase: &str,
        min: Duration,
        max: Duration,
    ) -> Patience<'a> {
        progress.step(phase);
        Patience {
            progress,
            nodes,
            phase: phase.to_owned(),
            min,
            max,
            same_error: SAME_ERROR,
        }
    }

    /// Carries `attempt` out until it succeeds, or fails for a reason that stays.
    ///
    /// # Errors
    /// That reason, or a person has ended it.
    pub(super) async fn until_done<T, F>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, WorkError>
    where
        F: Future<Output = Result<T, NodeError>>,
    {
        let mut waited: Option<Duration> = None;
        let mut unreadable = 0;
        let mut same: Option<(String, Instant)> = None;
        loop {
            let tried = tokio::select! {
                tried = attempt() => tried,
                () = self.progress.cancelled() => return Err(WorkError::Cancelled),
            };
            let error = match tried {
                Ok(done) => {
                    if waited.is_some() {
                        self.progress.step(&self.phase);
                    }
                    return Ok(done);
                }
                Err(error @ (NodeError::Unreachable { .. } | NodeError::Busy { .. })) => error,
                Err(NodeError::LargeChunk { .. }) => continue,
                Err(error @ NodeError::Unreadable { .. }) if unreadable < UNREADABLE => {
                    unreadable += 1;
                    error
                }
                Err(error) => return Err(error.into()),
            };
            if waited.is_none() {
                warn!("{}: {error}", self.phase);
            }
            let text = error.to_string();
            self.progress
                .waits(format!("{}, and waiting: {text}", self.phase));
            match &same {
                Some((before, since)) if *before == text => {
                    let time = since.elapsed();
                    if time >= self.same_error && self.answers(&error).await {
                        return Err(WorkError::Impossible(format!(
                            "{text}: it says nothing else for {}, and answers other questions; its log may say why",
                            Span(time)
                        )));
                    }
                }
                _ => same = Some((text, Instant::now())),
            }
            let wait = waited.map_or(self.min, |wait| wait.saturating_mul(2).min(self.max));
            waited = Some(wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.progress.cancelled() => return Err(WorkError::Cancelled),
            }
        }
    }

    /// Whether the node that answered with this error answers another question.
    async fn answers(&self, error: &NodeError) -> bool {
        let NodeError::Busy { node: name, .. } = error else {
            return false;
        };
        let mut nodes = self.nodes.iter();
        match nodes.find(|node| node.name() == name) {
            Some(node) => node.ask("", "SHOW DATABASES").await.is_ok(),
            None => false,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A node that answers each request with this.
    async fn node(name: &str, status: &'static str, body: &'static str) -> Node {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, status, body));
            }
        });
        let timeout = Duration::from_secs(5);
        Node::new(name.to_owned(), address, Arc::default(), None, timeout)
    }

    async fn answer(stream: TcpStream, status: &str, body: &str) {
        let mut stream = BufReader::new(stream);
        let mut length = 0;
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap();
            } else if line == "\r\n" {
                stream.read_exact(&mut vec![0; length]).await.unwrap();
                let head = format!("HTTP/1.1 {status}\r\nX-Influxdb-Version: 1.6.7\r\n");
                let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            line.clear();
        }
    }

    fn busy(node: &str) -> NodeError {
        NodeError::Busy {
            node: node.to_owned(),
            status: 500,
            reason: "engine is closed".to_owned(),
        }
    }

    #[tokio::test]
    async fn an_error_that_stays_ends_it_and_one_of_a_node_that_answers_nothing_does_not() {
        let well = node("well", "200 OK", "{\"results\":[{\"statement_id\":0}]}\n").await;
        let ill = "500 Internal Server Error";
        let ill = node("ill", ill, "{\"error\":\"engine is closed\"}\n").await;
        let progress = Progress::new("relay", "rebuild");
        progress.expect(10);
        progress.slice_done();
        let moment = Duration::from_millis(1);
        let patience = Patience {
            same_error: Duration::from_millis(200),
            ..Patience::new(&progress, [&well, &ill], "copying", moment, moment)
        };
        let ended = patience
            .until_done(async || Err::<(), _>(busy("well")))
            .await;
        let said = ended.expect_err("it stays").to_string();
        assert!(
            said.starts_with("well answered 500: engine is closed: "),
            "{said}"
        );
        assert!(said.contains("answers other questions"), "{said}");
        let left = progress.report().figures.seconds_left;
        assert_eq!(left, None, "nothing is known of a time while it waits");
        let waits = patience.until_done(async || Err::<(), _>(busy("ill")));
        let waits = tokio::time::timeout(Duration::from_millis(600), waits).await;
        assert!(waits.is_err(), "a node that is not well is waited for");
        // Others come in between.
        let mut tries = 0;
        let done = patience.until_done(|| {
            tries += 1;
            let tried = tries;
            async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                match tried {
                    0..12 => Err(NodeError::Busy {
                        node: "well".to_owned(),
                        status: 503,
                        reason: tried.to_string(),
                    }),
                    _ => Ok(()),
                }
            }
        });
        assert!(done.await.is_ok());
    }
}
