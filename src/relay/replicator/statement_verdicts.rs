//! What a replica's answer to a statement means (rule S2), and how the statement is left.

use std::time::{Duration, Instant};

use bytes::Bytes;
use log::warn;
use memchr::memmem::find;

use super::Replicator;
use super::barrier::{Barrier, Stage};
use super::statements::Unanswered;
use super::verdicts::shown;
use crate::influx::{ErrorText, StatementVerdict};
use crate::journal::Sequence;
use crate::relay::record::change::Change;
use crate::relay::record::reason::without_secrets_of_statement;
use crate::relay::replica::answer::ReplicaAnswer;
use crate::relay::replica::client::SendError;
use crate::relay::verdict::pending::{Report, Settlement, StatementAnswer};

/// What a repeated statement that was carried out before is answered in its replica's place.
const DONE: &[u8] = b"{\"results\":[{\"statement_id\":0}]}\n";

/// What InfluxDB says to the statements behind one that failed.
const NOT_EXECUTED: &[u8] = b"\"not executed\"";

impl Replicator {
    pub(super) async fn statement_answered(
        &mut self,
        now: Instant,
        result: Result<ReplicaAnswer, SendError>,
    ) {
        self.pending_clients.carries_out(self.replica.index, None);
        let Some(barrier) = self.barriers.next_mut() else {
            return;
        };
        let sequence = barrier.sequence;
        barrier.stage = Stage::Ready;
        // Until its verdict is told, so that no other one begins before that.
        let _turn = barrier.turn.take();
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                self.pending_clients
                    .break_answer(self.replica.index, sequence);
                match error {
                    SendError::Connect { .. } => self.broke(now, &error),
                    _ => self.had_no_answer(now, sequence, error.to_string()),
                }
                return;
            }
        };
        self.replica.learn_version(&answer);
        let is_query = barrier.statement.is_query();
        let may_be_repeated = self
            .unanswered
            .is_some_and(|unanswered| sequence <= unanswered.up_to);
        // What later statements left may be in the data that was copied to it.
        let may_be_superseded = sequence <= self.copied;
        let mut said = StatementAnswer {
            status: answer.status,
            content_type: answer.content_type.clone(),
            body: answer.body.clone(),
            cut: answer.cut,
            refusal: None,
        };
        if let Some(last) = &answer.last_piece {
            said.body = last.clone();
            said.cut = false;
        }
        match answer.judge_statement(is_query) {
            StatementVerdict::Applied => {
                self.statement_judged(sequence, Report::Applied, said).await;
            }
            StatementVerdict::Refused { superseded } => {
                let is_left_behind = superseded
                    && may_be_superseded
                    && self
                        .pending_clients
                        .may_be_missed(self.replica.index, sequence);
                let report = if self.is_needless(&answer) {
                    Report::Needless {
                        refusal: self.refusal(&answer),
                        may_be_done: may_be_repeated || may_be_superseded,
                    }
                } else if is_left_behind {
                    Report::Applied
                } else {
                    Report::Refused(self.refusal(&answer))
                };
                if let Some(refusal) = report.refusal() {
                    said.refusal = Some(refusal.clone());
                } else if answer.last_piece.is_none() {
                    said.body = Bytes::from_static(DONE);
                    said.cut = false;
                }
                self.statement_judged(sequence, report, said).await;
            }
            StatementVerdict::Unauthorized => self.statement_forbidden(now, &answer, said).await,
            verdict @ (StatementVerdict::TryAgain
            | StatementVerdict::Ill
            | StatementVerdict::TimedOut) => {
                self.pending_clients
                    .break_answer(self.replica.index, sequence);
                if verdict == StatementVerdict::TimedOut {
                    self.is_in_doubt_from(now, sequence);
                }
                self.replica.stats.retries.increment();
                let reason = self.shown_of_statement(&answer);
                // Of the node's own trouble a statement is no more guilty than the writes behind it.
                let (is_bounded, until) = match verdict {
                    StatementVerdict::Ill => (false, "until the node takes it"),
                    _ => (true, "for hold_for"),
                };
                if !self.barriers.next().is_some_and(Barrier::is_held) {
                    warn!(
                        "replica {}: statement {sequence} waits, because {reason}; it is tried again {until}",
                        self.replica.stats.name
                    );
                }
                self.replica.note_error(reason);
                if self.hold_statement(now) >= self.pace.hold && is_bounded {
                    let refusal = self.refusal(&answer);
                    said.refusal = Some(refusal.clone());
                    self.statement_judged(sequence, Report::Refused(refusal), said)
                        .await;
                }
            }
            StatementVerdict::Unanswered => {
                self.pending_clients
                    .break_answer(self.replica.index, sequence);
                self.had_no_answer(now, sequence, self.shown_of_statement(&answer));
            }
            StatementVerdict::Unexpected => {
                self.pending_clients
                    .break_answer(self.replica.index, sequence);
                self.hold_statement(now);
                self.no_verdict_on_statement(sequence, self.shown_of_statement(&answer));
            }
        }
    }

    /// Whether the statement that is next was refused because nothing was left to do for it.
    fn is_needless(&self, answer: &ReplicaAnswer) -> bool {
        let next = self.barriers.next();
        let needless = next.and_then(|next| next.statement.needless_says());
        let error = answer.scanned.error.as_ref().map(ErrorText::text);
        // Said of one that is not the last, it leaves the others undone.
        needless.is_some() && error == needless && find(&answer.body, NOT_EXECUTED).is_none()
    }

    /// An answer to the statement that is next, for the log and the page: its beginning, without what it must not show.
    fn shown_of_statement(&self, answer: &ReplicaAnswer) -> String {
        let words = String::from_utf8_lossy(&answer.body);
        let next = self.barriers.next();
        let words = next.map(|next| without_secrets_of_statement(&words, &next.statement));
        shown(answer.status, words.as_deref().unwrap_or_default())
    }

    /// It went out, got no answer, and may still be carried out.
    fn had_no_answer(&mut self, now: Instant, sequence: Sequence, reason: String) {
        self.no_verdict_on_statement(sequence, reason);
        self.is_in_doubt_from(now, sequence);
    }

    /// It may still be carried out.
    fn is_in_doubt_from(&mut self, now: Instant, sequence: Sequence) {
        warn!(
            "replica {}: statement {sequence} got no answer; it is sent again when it can no longer be under way there",
            self.replica.stats.name
        );
        self.unanswered = Some(Unanswered {
            up_to: sequence,
            until: Some(now + self.pace.rewind),
        });
    }

    /// Tried again later; for how long it has been tried.
    fn hold_statement(&mut self, now: Instant) -> Duration {
        let Some(barrier) = self.barriers.next_mut() else {
            return Duration::ZERO;
        };
        barrier.not_before = Some(now + barrier.backoff.next());
        now.saturating_duration_since(*barrier.held_since.get_or_insert(now))
    }

    /// Its credentials are not good here: whether that is its verdict depends on the other replicas.
    async fn statement_forbidden(
        &mut self,
        now: Instant,
        answer: &ReplicaAnswer,
        mut said: StatementAnswer,
    ) {
        let Some(sequence) = self.barriers.next().map(|barrier| barrier.sequence) else {
            return;
        };
        let refusal = self.refusal(answer);
        said.refusal = Some(refusal.clone());
        let was_given_up = self.barriers.next().is_some_and(|barrier| {
            let sender = &barrier.statement.credentials;
            self.given_up.contains_sender(sender)
        });
        let index = self.replica.index;
        self.pending_clients
            .hear(index, sequence, false, said.clone());
        match self.pending_clients.consider(index, sequence, &refusal) {
            Settlement::Final => {
                self.keeper.keep_letters().await;
                self.replica.stats.refused.increment();
                let cursor = self.judge(&[sequence]);
                self.show_statement_judged();
                self.pending_clients.report(index, &[], cursor);
                self.leave_statement(true);
            }
            Settlement::Hold if was_given_up => {
                self.statement_judged(sequence, Report::Refused(refusal), said)
                    .await;
            }
            Settlement::Hold => {
                let reason = self.shown_of_statement(answer);
                let was_held = self.barriers.next().is_some_and(Barrier::is_held);
                if !was_held {
                    warn!(
                        "replica {}: statement {sequence} waits, because {reason}: whoever sent it must be known and allowed there; it is \
                         tried again for hold_for, and becomes a dead letter then if another replica took it",
                        self.replica.stats.name
                    );
                }
                self.replica.stats.retries.increment();
                self.replica.note_error(reason);
                if self.hold_statement(now) >= self.pace.hold {
                    if let Some(barrier) = self.barriers.next() {
                        let sender = &barrier.statement.credentials;
                        self.given_up.insert_sender(sender);
                    }
                    self.statement_judged(sequence, Report::Refused(refusal), said)
                        .await;
                }
            }
        }
    }

    pub(super) async fn statement_judged(
        &mut self,
        sequence: Sequence,
        report: Report,
        answer: StatementAnswer,
    ) {
        let applied = report.refusal().is_none();
        let stats = &self.replica.stats;
        if applied {
            stats.applied.increment();
        } else {
            stats.refused.increment();
        }
        let cursor = self.judge(&[sequence]);
        let index = self.replica.index;
        self.pending_clients.hear(index, sequence, applied, answer);
        // As for writes: a client that is answered finds this replica fresh. One that refused is shown as judged only after the
        // report, which says whether it differs from the others.
        if applied {
            self.show_statement_judged();
        }
        self.pending_clients
            .report(index, &[(sequence, report)], cursor);
        if !applied {
            self.show_statement_judged();
        }
        self.keeper.keep_letters().await;
        self.leave_statement(!applied);
    }

    /// The statement ended without a verdict too often, at a node that answers, or a person wants it to be passed over.
    pub(super) async fn set_aside_statement(
        &mut self,
        now: Instant,
        reason: String,
    ) -> Option<Instant> {
        let barrier = self.barriers.next()?;
        let sequence = barrier.sequence;
        let record = Change::Statement(barrier.statement.clone());
        if !self.keep_letter(sequence, record, reason).await {
            self.hold_statement(now);
            return self.barriers.next()?.not_before;
        }
        self.pass_over_statement(sequence);
        Some(now)
    }

    pub(super) fn pass_over_statement(&mut self, sequence: Sequence) {
        self.pass_over(sequence);
        self.show_statement_judged();
        self.leave_statement(true);
    }

    fn leave_statement(&mut self, is_refused: bool) {
        self.link.applied();
        self.unanswered = None;
        self.held_up_until = Instant::now();
        let Some(barrier) = self.barriers.next_mut() else {
            return;
        };
        self.turns.judged(barrier.sequence);
        barrier.stage = Stage::Judged;
        barrier.is_refused = is_refused;
        barrier.not_before = None;
    }
}
