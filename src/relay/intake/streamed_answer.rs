//! What a client hears of its statement: an answer as a whole, or one that is still coming.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::influx::Answer;
use crate::journal::Sequence;
use crate::relay::intake::judge::Judge;
use crate::relay::record::touched::Touched;
use crate::relay::record::withdrawal::Withdrawal;
use crate::relay::replica::answer_stream::AnswerReader;
use crate::relay::verdict::freshness::Freshness;
use crate::relay::verdict::pending::{StatementAnswer, StatementOutcome};
use crate::stats::RelayStats;

/// What a client hears of its statement.
#[derive(Debug)]
pub enum Replicated {
    /// All of it.
    Whole(Answer),
    /// An answer whose body is still coming.
    Streamed(StreamedAnswer),
}

/// A replica's answer that goes to the client while it comes.
pub struct StreamedAnswer {
    /// Its status and headers.
    pub head: Answer,
    pub(in crate::relay) pieces: AnswerReader,
    /// `None` behind the last piece.
    pub(in crate::relay) outcome: Option<oneshot::Receiver<StatementOutcome>>,
    pub(in crate::relay) acknowledgement: Acknowledgement,
    /// How long the client waits for the next piece.
    pub(in crate::relay) patience: Duration,
}

/// The answer ends before its end: its replica broke off, the statement is not settled as the policy asks, or the client was too
/// slow. The client can be told only by the end of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer to a statement broke off")]
pub struct AnswerBroken;

impl StreamedAnswer {
    /// The next piece of the body; `None` behind the last one, which comes when the statement is settled.
    ///
    /// # Errors
    /// There is no end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AnswerBroken> {
        let piece = tokio::time::timeout(self.patience, self.pieces.next());
        if let Some(piece) = piece.await.map_err(|_| AnswerBroken)? {
            return Ok(Some(piece));
        }
        let Some(outcome) = self.outcome.take() else {
            return Ok(None);
        };
        let (sequence, answer, is_refused) = match outcome.await {
            Ok(StatementOutcome::Applied {
                sequence, answer, ..
            }) => (sequence, answer, false),
            Ok(StatementOutcome::Refused { sequence, answer }) => (sequence, answer, true),
            Ok(StatementOutcome::Unmet { .. }) | Err(_) => {
                self.acknowledgement.stats.timeouts.increment();
                return Err(AnswerBroken);
            }
        };
        if answer.cut {
            return Err(AnswerBroken);
        }
        self.acknowledgement.make(sequence, is_refused);
        Ok(Some(answer.body))
    }

    /// Returns once the client is too slow to be waited for.
    pub async fn given_up(&self) {
        self.pieces.given_up().await;
    }
}

impl std::fmt::Debug for StreamedAnswer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StreamedAnswer")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// What must be done before a client hears the end of an answer, so that it finds in every later read what it heard.
pub(in crate::relay) struct Acknowledgement {
    pub(in crate::relay) touched: Touched,
    pub(in crate::relay) withdrawal: Withdrawal,
    pub(in crate::relay) freshness: Arc<Freshness>,
    pub(in crate::relay) stats: Arc<RelayStats>,
    pub(in crate::relay) judge: Arc<Judge>,
}

impl Acknowledgement {
    /// Waits for the end of a statement whose client wants no answer (`async=true`). Gives that of a replica that refused to begin it,
    /// which InfluxDB tells such a client, too.
    pub(in crate::relay) async fn carried_out_unheard(
        self,
        outcome: oneshot::Receiver<StatementOutcome>,
    ) -> Option<StatementAnswer> {
        let (sequence, refused) = match outcome.await {
            Ok(StatementOutcome::Applied { sequence, .. }) => (sequence, None),
            Ok(StatementOutcome::Refused { sequence, answer }) => {
                self.stats.refused.increment();
                (sequence, (answer.status >= 400).then_some(answer))
            }
            Ok(StatementOutcome::Unmet { .. }) | Err(_) => return None,
        };
        self.judge.carried_out(sequence, &self.withdrawal);
        refused
    }

    /// Of several statements the first ones may have been carried out though it was refused, and the client sees which.
    pub(in crate::relay) fn make(&self, sequence: Sequence, is_refused: bool) {
        if is_refused {
            self.stats.refused.increment();
        }
        self.freshness
            .acknowledge_statement(sequence, &self.touched);
        self.judge.carried_out(sequence, &self.withdrawal);
        self.judge.statement_acknowledged();
    }
}
