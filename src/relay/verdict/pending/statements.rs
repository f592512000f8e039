//! Clients that wait for a statement: they get the answer of the first replica that carried it out, or, if all in reach refuse
//! it, the first refusal (rules W2 and S6).
//!
//! A long answer goes to its client while it comes, from the first replica whose answer turns out to be long and has no error
//! in it up to there. From then on the client can only hear that replica: the others' answers are judged and dropped, the
//! decision waits for that replica's verdict, and if it does not lead to what the client has heard so far, the client's
//! connection ends inside the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::oneshot;

use super::{PendingClients, Rows};
use crate::journal::{AppendError, Sequence, Ticket};
use crate::per_source::Place;
use crate::relay::replica::answer_stream::{
    AnswerReader, AnswerWriter, WriterWatch, answer_stream,
};
use crate::relay::verdict::policy::{Decision, Standing};
use crate::relay::verdict::refusals::Refusal;
use crate::source::Source;
use crate::stats::{Gauge, GaugeGuard};

/// What a replica said to a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementAnswer {
    /// Its status.
    pub status: u16,
    /// Its `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// Its body; of one that went to the client while it came, the last piece.
    pub body: Bytes,
    /// The body was too long to be kept, and some of it is lost.
    pub cut: bool,
    /// What a replica that refused it said, as text; nothing if it did not.
    pub refusal: Option<Refusal>,
}

/// How a client takes the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Whole, because it is made into another form, or nobody reads it.
    Whole,
    /// A long one while it comes; at most so many bytes wait for the client.
    InPieces(usize),
}

/// What a client waits for.
#[derive(Debug)]
pub struct StatementWait {
    /// The end of the wait.
    pub outcome: oneshot::Receiver<StatementOutcome>,
    /// A long answer that begins before.
    pub begun: oneshot::Receiver<BegunAnswer>,
}

/// A long answer on its way.
#[derive(Debug)]
pub struct BegunAnswer {
    /// Its status.
    pub status: u16,
    /// Its `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// Its body, but for the last piece, which comes with the outcome.
    pub pieces: AnswerReader,
}

/// How a client's wait for a statement ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementOutcome {
    /// It was carried out.
    Applied {
        /// By how many replicas.
        applied: usize,
        /// Its record.
        sequence: Sequence,
        /// What the first of them said.
        answer: StatementAnswer,
    },
    /// Every replica in reach refused it.
    Refused {
        /// Its record.
        sequence: Sequence,
        /// What the first of them said.
        answer: StatementAnswer,
    },
    /// It was not settled in time, or the policy cannot be met.
    Unmet {
        /// How many carried it out.
        applied: usize,
    },
}

/// A place among the statements under way, until it is dropped.
#[derive(Debug)]
pub struct StatementPlace {
    place: Place,
    _open: GaugeGuard,
}

impl StatementPlace {
    /// This place, counted by this gauge.
    pub(in crate::relay) fn new(place: Place, open: &Arc<Gauge>) -> StatementPlace {
        StatementPlace {
            place,
            _open: open.enter(),
        }
    }

    /// The client's address.
    pub(in crate::relay) fn source(&self) -> Source {
        self.place.source()
    }
}

/// A client's row.
pub(super) struct WaitingStatement {
    since: Instant,
    until: Instant,
    standings: Vec<Standing>,
    accepted: Option<StatementAnswer>,
    refused: Option<StatementAnswer>,
    streaming: Streaming,
    outcome: oneshot::Sender<StatementOutcome>,
    _place: StatementPlace,
}

/// Whether the answer goes to the client while it comes.
enum Streaming {
    /// The client wants it whole.
    Unwanted,
    /// It may; so many bytes may wait for the client.
    Possible {
        most: usize,
        begun: oneshot::Sender<BegunAnswer>,
    },
    /// It does, from this replica.
    From {
        replica: usize,
        writer: WriterWatch,
        /// Since when the writer was found gone without a verdict.
        gone_since: Option<Instant>,
        /// Its end came, and whether it says that the statement was carried out.
        said: Option<(bool, StatementAnswer)>,
    },
}

impl PendingClients {
    /// Appends a statement with `append` and opens a row for the client that waits for it, at most this long. The wait ends
    /// without an outcome if the journal ends before it has said whether the statement is stored.
    ///
    /// # Errors
    /// Those of `append`.
    pub fn open_statement<F>(
        &self,
        timeout: Duration,
        place: StatementPlace,
        wanted: Wanted,
        append: F,
    ) -> Result<StatementWait, AppendError>
    where
        F: FnOnce() -> Result<Ticket, AppendError>,
    {
        let (outcome, outcome_receiver) = oneshot::channel();
        let (begun, begun_receiver) = oneshot::channel();
        // Held across the append, so that the journal finds the row when it commits the record.
        let mut rows = self.rows();
        let ticket = append()?;
        let since = Instant::now();
        let waiting = WaitingStatement {
            since,
            until: since + timeout,
            standings: vec![Standing::Unknown; rows.reach.len()],
            accepted: None,
            refused: None,
            streaming: match wanted {
                Wanted::Whole => Streaming::Unwanted,
                Wanted::InPieces(most) => Streaming::Possible { most, begun },
            },
            outcome,
            _place: place,
        };
        rows.uncommitted_statements.insert(ticket, waiting);
        Ok(StatementWait {
            outcome: outcome_receiver,
            begun: begun_receiver,
        })
    }

    /// Whether a client waits for the whole answer, however long it is.
    pub fn is_wanted_whole(&self, sequence: Sequence) -> bool {
        let rows = self.rows();
        let waiting = rows.statements.get(&sequence);
        waiting.is_some_and(|waiting| matches!(waiting.streaming, Streaming::Unwanted))
    }

    /// A replica's answer is long, and no error was found in it so far. Returns where its body goes; nothing if no client waits
    /// for it, or another answer has come or begun before.
    pub(in crate::relay) fn begin_answer(
        &self,
        replica: usize,
        sequence: Sequence,
        status: u16,
        content_type: Option<HeaderValue>,
    ) -> Option<AnswerWriter> {
        let mut rows = self.rows();
        let waiting = rows.statements.get_mut(&sequence)?;
        if waiting.accepted.is_some() {
            return None;
        }
        let Streaming::Possible { most, .. } = waiting.streaming else {
            return None;
        };
        let (writer, pieces) = answer_stream(most, Arc::clone(&self.stats));
        let from = Streaming::From {
            replica,
            writer: writer.watch(),
            gone_since: None,
            said: None,
        };
        let Streaming::Possible { begun, .. } = std::mem::replace(&mut waiting.streaming, from)
        else {
            return None;
        };
        let answer = BegunAnswer {
            status,
            content_type,
            pieces,
        };
        // Nobody takes it if the client has left, or asked for no answer.
        begun.send(answer).ok()?;
        self.stats.streamed_answers.increment();
        Some(writer)
    }

    /// The answer that the replica had begun has no end, or its end says that the statement must be sent again.
    pub fn break_answer(&self, replica: usize, sequence: Sequence) {
        let mut rows = self.rows();
        if let Some(waiting) = rows.statements.get(&sequence)
            && waiting.is_from(replica)
            && let Some(waiting) = rows.statements.remove(&sequence)
        {
            waiting.give_up();
        }
    }

    /// Whether a statement may be taken now: somebody must be there to carry it out (rule S6), and enough for the policy (W5).
    pub fn admits_statement(&self) -> bool {
        let rows = self.rows();
        rows.somebody_answers() && self.policy.admits_statement(rows.near(), rows.reach.len())
    }

    /// The replica has begun to carry out a statement, or is done with it.
    pub fn carries_out(&self, replica: usize, statement: Option<Sequence>) {
        if let Some(known) = self.rows().carrying_out.get_mut(replica) {
            *known = statement;
        }
    }

    /// Keeps what a replica said to a statement for the client, before its verdict is reported.
    pub fn hear(&self, replica: usize, sequence: Sequence, applied: bool, answer: StatementAnswer) {
        let mut rows = self.rows();
        if let Some(waiting) = rows.statements.get_mut(&sequence) {
            if let Streaming::From {
                replica: from,
                said,
                ..
            } = &mut waiting.streaming
            {
                if *from == replica {
                    *said = Some((applied, answer));
                }
                return;
            }
            let said = if applied {
                &mut waiting.accepted
            } else {
                &mut waiting.refused
            };
            said.get_or_insert(answer);
        }
    }

    pub(super) fn tell_of_statement(
        &self,
        rows: &mut Rows,
        replica: usize,
        sequence: Sequence,
        standing: Standing,
    ) {
        let Some(waiting) = rows.statements.get_mut(&sequence) else {
            return;
        };
        if let Some(known) = waiting.standings.get_mut(replica) {
            *known = standing;
        }
        self.decide_statements(rows);
    }

    /// Ends the waits that have come to a decision.
    pub(super) fn decide_statements(&self, rows: &mut Rows) {
        let awaited = |replica: usize, sequence: Sequence| {
            rows.is_near(replica) || rows.carrying_out.get(replica) == Some(&Some(sequence))
        };
        let decide = |sequence: Sequence, waiting: &WaitingStatement| {
            if waiting.is_coming() {
                return Decision::Wait;
            }
            let awaited: Vec<bool> = (0..waiting.standings.len())
                .map(|replica| awaited(replica, sequence))
                .collect();
            self.policy.decide_statement(&waiting.standings, &awaited)
        };
        let decided: Vec<(Sequence, Decision)> = rows
            .statements
            .iter()
            .map(|(sequence, waiting)| (*sequence, decide(*sequence, waiting)))
            .filter(|(_, decision)| *decision != Decision::Wait)
            .collect();
        for (sequence, decision) in decided {
            if let Some(waiting) = rows.statements.remove(&sequence) {
                waiting.finish(sequence, decision);
            }
        }
    }

    /// Ends the waits that have lasted too long; and, while nobody answers, those that a write would not last either.
    pub(super) fn expire_statements(&self, rows: &mut Rows, now: Instant) {
        let nobody_answers = !rows.somebody_answers();
        let is_over = |waiting: &mut WaitingStatement| {
            if waiting.is_coming() {
                return waiting.is_abandoned(now, self.timeout);
            }
            let waited = now.saturating_duration_since(waiting.since);
            waiting.until <= now || (nobody_answers && waited >= self.timeout)
        };
        let committed = &mut rows.statements;
        let over = committed.extract_if(.., |_, waiting| is_over(waiting));
        over.for_each(|(_, waiting)| waiting.give_up());
        let uncommitted = &mut rows.uncommitted_statements;
        let over = uncommitted.extract_if(.., |_, waiting| is_over(waiting));
        over.for_each(|(_, waiting)| waiting.give_up());
    }
}

impl WaitingStatement {
    /// Ends the wait, which cannot come to a decision.
    fn give_up(self) {
        let applied = self.applied();
        let _ = self.outcome.send(StatementOutcome::Unmet { applied });
    }

    /// Tells the client; one that has left is nobody's loss.
    fn finish(self, sequence: Sequence, decision: Decision) {
        let (accepted, refused) = match self.streaming {
            Streaming::From { said, .. } => match said {
                Some((true, answer)) => (Some(answer), None),
                Some((false, answer)) => (None, Some(answer)),
                None => (None, None),
            },
            Streaming::Unwanted | Streaming::Possible { .. } => (self.accepted, self.refused),
        };
        let outcome = match (decision, accepted, refused) {
            (Decision::Acknowledge { applied }, Some(answer), _) => StatementOutcome::Applied {
                applied,
                sequence,
                answer,
            },
            (Decision::Refuse, _, Some(answer)) => StatementOutcome::Refused { sequence, answer },
            (Decision::Acknowledge { applied } | Decision::Unmet { applied }, ..) => {
                StatementOutcome::Unmet { applied }
            }
            (Decision::Refuse | Decision::Wait, ..) => StatementOutcome::Unmet { applied: 0 },
        };
        let _ = self.outcome.send(outcome);
    }

    /// How many replicas have carried it out.
    fn applied(&self) -> usize {
        let standings = self.standings.iter();
        standings
            .filter(|standing| **standing == Standing::Applied)
            .count()
    }

    /// Whether its answer goes to the client while it comes, and is not over.
    fn is_coming(&self) -> bool {
        matches!(self.streaming, Streaming::From { said: None, .. })
    }

    /// Whether nobody has read the answer that is coming for as long as `patience`: its replicator has given it up.
    fn is_abandoned(&mut self, now: Instant, patience: Duration) -> bool {
        let Streaming::From {
            writer, gone_since, ..
        } = &mut self.streaming
        else {
            return false;
        };
        let since = match writer.is_over() {
            true => *gone_since.get_or_insert(now),
            false => return false,
        };
        now.saturating_duration_since(since) >= patience
    }

    /// Whether the client hears this replica's answer while it comes.
    fn is_from(&self, replica: usize) -> bool {
        matches!(self.streaming, Streaming::From { replica: from, .. } if from == replica)
    }
}

#[cfg(test)]
pub(in crate::relay) mod tests;
