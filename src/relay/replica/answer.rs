//! A replica's answer as it is kept: its status, the beginning of its body, and what was found in all of it.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::io::AsyncRead;

use crate::http_response::{ResponseError, ResponseReader};
use crate::influx::{
    AnswerScan, Scanned, StatementVerdict, Verdict, judge_scanned_statement, judge_scanned_write,
    words_of,
};
use crate::relay::replica::answer_stream::AnswerWriter;
use crate::relay::replica::response::Head;

/// Most bytes of a body that are kept.
pub(in crate::relay) const MAX_KEPT: usize = 256 * 1024;

/// Most bytes that are kept of the answer to a statement whose client wants it whole, or hears of an error in it.
pub(in crate::relay) const MAX_WHOLE_STATEMENT: usize = 4 << 20;

/// Bytes of an answer that are handed over at once.
const HANDED_OVER: usize = 64 * 1024;

/// Bytes of a handed over answer that stay for the log.
const SHOWN: usize = 200;

/// What a replica answered.
#[derive(Debug, Clone)]
pub(in crate::relay) struct ReplicaAnswer {
    pub(in crate::relay) status: u16,
    /// `X-Influxdb-Version`.
    pub(in crate::relay) version: Option<HeaderValue>,
    /// `Content-Type`.
    pub(in crate::relay) content_type: Option<HeaderValue>,
    /// `Retry-After`, in seconds.
    pub(in crate::relay) retry_after: Option<Duration>,
    /// Its body, or the beginning of it.
    pub(in crate::relay) body: Bytes,
    /// The body is longer, or did not come to its end.
    pub(in crate::relay) cut: bool,
    /// What was found in all of the body.
    pub(in crate::relay) scanned: Scanned,
    /// The body went to the client while it came, but for this last piece of it.
    pub(in crate::relay) last_piece: Option<Bytes>,
}

impl ReplicaAnswer {
    /// What it means as the answer to a write.
    pub(in crate::relay) fn judge_write(&self) -> Verdict {
        judge_scanned_write(self.status, &self.body, &self.scanned)
    }

    /// What it means as the answer to a statement; `is_query`: to `/query`.
    pub(in crate::relay) fn judge_statement(&self, is_query: bool) -> StatementVerdict {
        judge_scanned_statement(is_query, self.status, &self.body, &self.scanned)
    }

    /// Its words, for a person.
    pub(in crate::relay) fn words(&self) -> String {
        words_of(&self.body, self.scanned.clone())
    }
}

/// An answer as far as it came.
pub(in crate::relay) struct Received {
    pub(in crate::relay) head: Option<Head>,
    body: Vec<u8>,
    cut: bool,
    scan: AnswerScan,
}

impl Received {
    pub(in crate::relay) fn new() -> Received {
        Received {
            head: None,
            body: Vec::new(),
            cut: false,
            scan: AnswerScan::default(),
        }
    }

    /// Takes a piece of the body, and keeps at most `most` bytes in all.
    pub(in crate::relay) fn take(&mut self, piece: &[u8], most: usize) {
        self.scan.read(piece);
        let room = most.saturating_sub(self.body.len());
        self.cut |= piece.len() > room;
        self.body
            .extend_from_slice(piece.get(..piece.len().min(room)).unwrap_or_default());
    }

    /// The answer, if there is one; `is_over`: its body came to its end.
    pub(in crate::relay) fn into_answer(self, is_over: bool) -> Option<ReplicaAnswer> {
        let head = self.head?;
        Some(ReplicaAnswer {
            status: head.status,
            version: head.version,
            content_type: head.content_type,
            retry_after: head.retry_after,
            body: Bytes::from(self.body),
            cut: self.cut || !is_over,
            scanned: self.scan.finish(),
            last_piece: None,
        })
    }

    /// The answer to a write if it says enough without its end.
    pub(in crate::relay) fn refused_write(self) -> Option<ReplicaAnswer> {
        let answer = self
            .into_answer(false)
            .filter(|answer| answer.status >= 400)?;
        let is_verdict = match answer.judge_write() {
            Verdict::Expired { .. }
            | Verdict::Refused
            | Verdict::DatabaseNotFound
            | Verdict::RetentionPolicyNotFound
            | Verdict::ShardFailed
            | Verdict::Unauthorized
            | Verdict::TooLarge => true,
            Verdict::Applied | Verdict::TryAgain(_) | Verdict::Unexpected => false,
        };
        is_verdict.then_some(answer)
    }

    /// The answer to a statement if it says enough without its end.
    pub(in crate::relay) fn refused_statement(self) -> Option<ReplicaAnswer> {
        let answer = self.into_answer(false)?;
        let says_why = answer
            .scanned
            .error
            .as_ref()
            .is_some_and(|error| !error.text().is_empty());
        let is_verdict = match answer.status {
            401 | 403 => true,
            400..=499 => says_why,
            _ => false,
        };
        is_verdict.then_some(answer)
    }
}

/// Says where the body of an answer with this head goes, if anywhere.
type OpenAnswer = Box<dyn FnOnce(&Head) -> Option<AnswerWriter> + Send>;

/// What becomes of the body of a statement's answer.
pub(in crate::relay) struct StatementBody {
    /// Bytes that are held, so that the answers of several replicas can be weighed.
    pub(in crate::relay) held: usize,
    /// Asked once for where a longer one goes, if no error was found in it so far.
    pub(in crate::relay) open: OpenAnswer,
}

/// Reads the body to its end, and keeps at most `most` bytes of it.
pub(in crate::relay) async fn receive<R: AsyncRead + Unpin>(
    reader: &mut ResponseReader<R>,
    received: &mut Received,
    most: usize,
) -> Result<(), ResponseError> {
    while let Some(piece) = reader.piece().await? {
        received.take(&piece, most);
    }
    Ok(())
}

/// Reads the body of a statement's answer to its end. One that is longer than is held goes to where `body` says, but for its
/// last piece, which is returned.
pub(in crate::relay) async fn receive_statement<R: AsyncRead + Unpin>(
    reader: &mut ResponseReader<R>,
    received: &mut Received,
    body: StatementBody,
) -> Result<Option<Bytes>, ResponseError> {
    let mut open = Some(body.open);
    let mut handed_over: Option<(AnswerWriter, Bytes)> = None;
    while let Some(piece) = reader.piece().await? {
        if let Some((writer, before)) = handed_over.take() {
            received.scan.read(&piece);
            if writer.push(before).await {
                handed_over = Some((writer, piece));
            }
            continue;
        }
        let is_too_long = received.body.len().saturating_add(piece.len()) > body.held;
        if is_too_long && open.is_some() && !received.scan.found_error() {
            received.scan.read(&piece);
            received.cut = true;
            let writer = match (open.take(), &received.head) {
                (Some(open), Some(head)) => open(head),
                _ => None,
            };
            if let Some(writer) = writer {
                let held = Bytes::from(std::mem::take(&mut received.body));
                received.body = held.slice(..held.len().min(SHOWN)).to_vec();
                if push_all(&writer, held).await {
                    handed_over = Some((writer, piece));
                }
            }
            continue;
        }
        let most = match open.is_some() {
            true if received.scan.found_error() => MAX_WHOLE_STATEMENT,
            true => body.held,
            false => received.body.len(),
        };
        received.take(&piece, most);
    }
    Ok(handed_over.map(|(_, last)| last))
}

async fn push_all(writer: &AnswerWriter, mut body: Bytes) -> bool {
    while !body.is_empty() {
        let piece = body.split_to(body.len().min(HANDED_OVER));
        if !writer.push(piece).await {
            return false;
        }
    }
    true
}
