//! Clients that wait for a statement: they get the answer of the first replica that carried it out, or, if all in reach refuse
//! it, the first refusal (rules W2 and S6).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::oneshot;

use super::{Board, Rows};
use crate::journal::{Append, AppendError, Sequence};
use crate::relay::acknowledge::{Decision, Standing};
use crate::relay::per_source::Place;
use crate::stats::{Gauge, GaugeGuard};

/// What a replica said to a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementAnswer {
    /// Its status.
    pub status: u16,
    /// Its `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// Its body.
    pub body: Bytes,
    /// The body was too long to be kept whole.
    pub cut: bool,
}

/// How a client's wait for a statement ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementOutcome {
    /// It was carried out.
    Applied {
        /// By how many replicas.
        applied: usize,
        /// What the first of them said.
        answer: StatementAnswer,
    },
    /// Every replica in reach refused it; what the first said.
    Refused(StatementAnswer),
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
    pub(in crate::relay) fn source(&self) -> IpAddr {
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
    outcome: oneshot::Sender<StatementOutcome>,
    _place: StatementPlace,
}

impl Board {
    /// Appends a statement with `append` and opens a row for the client that waits for it, at most this long.
    ///
    /// # Errors
    /// Those of `append`.
    pub fn open_statement<F>(
        &self,
        timeout: Duration,
        place: StatementPlace,
        append: F,
    ) -> Result<(Append, oneshot::Receiver<StatementOutcome>), AppendError>
    where
        F: FnOnce() -> Result<Append, AppendError>,
    {
        let (outcome, receiver) = oneshot::channel();
        let mut rows = self.rows();
        let appended = append()?;
        let since = Instant::now();
        let waiting = WaitingStatement {
            since,
            until: since + timeout,
            standings: vec![Standing::Unknown; rows.reachable.len()],
            accepted: None,
            refused: None,
            outcome,
            _place: place,
        };
        rows.statements.insert(appended.sequence, waiting);
        Ok((appended, receiver))
    }

    /// Whether a statement may be taken now: somebody must be there to carry it out (rule S6), and enough for the policy (W5).
    pub fn admits_statement(&self) -> bool {
        let rows = self.rows();
        let reachable = rows.reachable.iter().filter(|known| **known).count();
        rows.answers.contains(&true)
            && self
                .policy
                .admits_statement(reachable, rows.reachable.len())
    }

    /// The replica has begun to carry out a statement, or is done with it.
    pub fn carries_out(&self, replica: usize, statement: Option<Sequence>) {
        if let Some(known) = self.rows().carrying_out.get_mut(replica) {
            *known = statement;
        }
    }

    /// Keeps what a replica said to a statement for the client, before its verdict is reported.
    pub fn hear(&self, sequence: Sequence, applied: bool, answer: StatementAnswer) {
        let mut rows = self.rows();
        if let Some(waiting) = rows.statements.get_mut(&sequence) {
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
            rows.reachable.get(replica) == Some(&true)
                || rows.carrying_out.get(replica) == Some(&Some(sequence))
        };
        let decide = |sequence: Sequence, waiting: &WaitingStatement| {
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
                waiting.finish(decision);
            }
        }
    }

    /// Ends the waits that have lasted too long; and, while nobody answers, those that a write would not last either.
    pub(super) fn expire_statements(&self, rows: &mut Rows, now: Instant) {
        let nobody_answers = !rows.answers.contains(&true);
        let is_over = |waiting: &WaitingStatement| {
            let waited = now.saturating_duration_since(waiting.since);
            waiting.until <= now || (nobody_answers && waited >= self.timeout)
        };
        let over = rows
            .statements
            .extract_if(.., |_, waiting| is_over(waiting));
        for (_, waiting) in over {
            let standings = waiting.standings.iter();
            let applied = standings
                .filter(|standing| **standing == Standing::Applied)
                .count();
            waiting.finish(Decision::Unmet { applied });
        }
    }
}

impl WaitingStatement {
    /// Tells the client; one that has left is nobody's loss.
    fn finish(self, decision: Decision) {
        let outcome = match (decision, self.accepted, self.refused) {
            (Decision::Acknowledge { applied }, Some(answer), _) => {
                StatementOutcome::Applied { applied, answer }
            }
            (Decision::Refuse, _, Some(answer)) => StatementOutcome::Refused(answer),
            (Decision::Acknowledge { applied } | Decision::Unmet { applied }, ..) => {
                StatementOutcome::Unmet { applied }
            }
            (Decision::Refuse | Decision::Wait, ..) => StatementOutcome::Unmet { applied: 0 },
        };
        let _ = self.outcome.send(outcome);
    }
}

#[cfg(test)]
pub(in crate::relay) mod tests;
