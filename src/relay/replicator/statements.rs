//! Statements at one replica (rules S1 to S3).
//!
//! A statement is a [barrier](super::barrier) for the lanes that it touches. It goes out when every earlier record of every lane
//! has its verdict, nothing from before it is in doubt (a write that lands behind a `DROP` would stay), the cursor is saved right before it, and
//! it is this replica's [turn](crate::relay::replicator::turns). The cursor stays there, and other lanes go on past it, until the statement has its
//! verdict and the cursor is saved behind it; then the lanes that it touches go on. So nothing of its lanes is ever sent again from
//! before a statement, and a statement only if nothing behind it in its lanes was sent. What other lanes were sent meanwhile is sent
//! again if haflux or the node ends before that, in order, as after every crash.
//!
//! It has no deadline while its connection lives: a `DROP` may take minutes. One that got no answer may still be carried out, and
//! would then eat what is written after it. So it is sent again only once `rewind` has passed **and** the replica no longer
//! lists a statement of its kind as running. Refusals that say "that is done already" then count as applied.
//!
//! Its lanes, after a second, count as out of reach at this replica: their clients are answered by the others, or by the journal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::info;

use super::barrier::Stage;
use super::{Finished, Replicator, unless_given_up};
use crate::influx::influxql::classify;
use crate::influx::read_query_answer;
use crate::journal::{Position, Sequence};
use crate::relay::record::removal::Removal;
use crate::relay::record::statement::StatementRecord;
use crate::relay::replica::answer::{MAX_WHOLE_STATEMENT, ReplicaAnswer, StatementBody};
use crate::relay::replica::client::SendError;
use crate::relay::replica::request::{Pieces, query_request, statement_head};
use crate::relay::verdict::keeper::KeepError;
use crate::stats::units::Span;

/// How long the journal's disk may take to save a cursor.
pub(super) const SAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two questions for what a replica runs.
const ASK_PACE: Duration = Duration::from_secs(1);

/// Bytes of an answer that are held, so that it can be weighed against those of the other replicas.
const HELD: usize = 256 * 1024;

/// A statement that may be carried out, or have been, without our knowing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unanswered {
    /// It is the one with this number; of the previous run, the first one up to it.
    pub(super) up_to: Sequence,
    /// Until when it may still arrive at the replica, if it may.
    pub(super) until: Option<Instant>,
}

impl Unanswered {
    /// Of the previous run of haflux, whose newest record is `head`. That it may still arrive is the doubt that every start begins
    /// with. Also of another node, whose data was copied.
    pub(super) fn before_the_start(head: Sequence) -> Unanswered {
        Unanswered {
            up_to: head,
            until: None,
        }
    }

    /// Whether it had its verdict, for a cursor that stands here.
    pub(super) fn is_behind(self, cursor: Sequence) -> bool {
        self.up_to <= cursor
    }
}

impl Replicator {
    /// Does what can be done for the statement that is next; says when there will be more to do.
    pub(super) async fn start_statement(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let next = self.advance_statement(now).await;
        [next, self.barriers.next_held_up(now)]
            .into_iter()
            .flatten()
            .min()
    }

    async fn advance_statement(&mut self, now: Instant) -> Option<Instant> {
        let barrier = self.barriers.next()?;
        if barrier.stage == Stage::Judged {
            return self.pass_statement(now).await;
        }
        let is_next =
            self.is_linked() && self.going_back.is_none() && self.tracker.is_next(barrier.sequence);
        if !is_next || barrier.stage == Stage::UnderWay {
            return None;
        }
        if let Some(moment) = barrier.not_before.filter(|moment| *moment > now) {
            return Some(moment);
        }
        let sequence = barrier.sequence;
        if self.attempts.is_set_aside(sequence) {
            self.pass_over_statement(sequence);
            return Some(now);
        }
        if let Some(reason) = self.attempts.due(sequence) {
            return self.set_aside_statement(now, reason).await;
        }
        if barrier.stage == Stage::Waiting && self.is_in_doubt_before(sequence) {
            // What is in doubt is sent again, in order, before this; that wakes it.
            return None;
        }
        if let Some(barrier) = self
            .barriers
            .next()
            .filter(|barrier| barrier.stage == Stage::Waiting)
        {
            let removal = Removal::of(&barrier.statement);
            self.forget(&removal);
            if let Err(reason) = self.save_at(now, self.tracker.cursor()).await {
                self.replica
                    .note_error(format!("before a statement: {reason}"));
                return Some(now + self.pace.retry_max);
            }
            if let Some(barrier) = self.barriers.next_mut() {
                barrier.stage = Stage::Ready;
            }
            // It will be carried out here, too, as soon as it is this one's turn.
            self.pending_clients
                .carries_out(self.replica.index, Some(sequence));
        }
        let until = self.unanswered.and_then(|unanswered| unanswered.until);
        if let Some(until) = until.filter(|until| *until > now) {
            return Some(until);
        }
        let turn = self.turns.take(self.replica.index, sequence, now);
        let barrier = self.barriers.next_mut()?;
        let was_anothers_turn = std::mem::replace(&mut barrier.is_anothers_turn, turn.is_err());
        match turn {
            Ok(turn) => barrier.turn = Some(turn),
            Err(at_latest) => return Some(at_latest),
        }
        if was_anothers_turn {
            self.held_up_until = now;
        }
        match self.unanswered {
            Some(unanswered) if self.may_be_running(unanswered) => self.ask_what_runs(),
            _ => self.send_statement(),
        }
        None
    }

    /// Whether it comes to an end here cannot be told: another one may be first.
    pub(super) fn give_turn_back(&mut self) {
        if let Some(barrier) = self.barriers.next_mut() {
            barrier.turn = None;
        }
    }

    /// A node that may have stood still answers again: a statement without an answer can arrive from now on.
    pub(super) fn stood_still(&mut self, now: Instant) {
        if let Some(unanswered) = &mut self.unanswered {
            unanswered.until = unanswered.until.map(|_| now + self.pace.rewind);
        }
    }

    /// The node's process is a new one: what the one before it was sent went with it.
    pub(super) fn nothing_is_under_way_there(&mut self) {
        if let Some(unanswered) = &mut self.unanswered {
            unanswered.until = None;
        }
    }

    fn may_be_running(&self, unanswered: Unanswered) -> bool {
        let barrier = self.barriers.next();
        barrier.is_some_and(|barrier| {
            barrier.sequence <= unanswered.up_to && barrier.statement.is_query()
        })
    }

    /// Makes this place the one that a restart begins at, on disk.
    pub(super) async fn save_at(&mut self, now: Instant, place: Position) -> Result<(), String> {
        let last_accepted = &mut self.last_accepted;
        self.rewind
            .begin_at(now, place, || last_accepted.identity_point(place.sequence));
        if self
            .going_back
            .as_ref()
            .is_some_and(|back| back.position.sequence < place.sequence)
        {
            self.going_back = Some(self.rewind.back());
        }
        let save = async {
            self.save(self.back()).await?;
            self.journal.sync_cursors().await?;
            Ok::<(), KeepError>(())
        };
        match tokio::time::timeout(SAVE_TIMEOUT, save).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("the cursor cannot be saved: {error}")),
            Err(_) => Err("the journal's disk does not answer".to_owned()),
        }
    }

    /// Says what keeps the replica from being fresh while a statement is under way there: no deadline ends that (rule S3).
    pub(super) fn tell_of_long_statement(&self, now: Instant) {
        let Some(barrier) = self.barriers.next() else {
            return;
        };
        let Some(since) = self.lacks_since().filter(|_| self.is_late(now)) else {
            return;
        };
        if barrier.stage != Stage::UnderWay || !self.tracker.is_next(barrier.sequence) {
            return;
        }
        let (name, sequence) = (&self.replica.stats.name, barrier.sequence);
        let kinds = classify(barrier.statement.shown.as_bytes())
            .names
            .join(", ");
        let age = Span(now.saturating_duration_since(since));
        self.replica.note_error(format!(
            "statement {sequence} ({kinds}) has been under way there for {age}, and what is behind it waits; if the node does not list it (SHOW QUERIES), its answer was lost: haflux replica skip {name} {sequence}"
        ));
    }

    fn ask_what_runs(&mut self) {
        let address = self.replica.trusted_address();
        let (Some(barrier), Some(address)) = (self.barriers.next_mut(), address) else {
            return;
        };
        barrier.stage = Stage::UnderWay;
        let mut request = Pieces::default();
        let credentials = &barrier.statement.credentials;
        let to = self.replica.client.recipient(address);
        request.push(query_request("SHOW QUERIES", "", credentials, to));
        let replica = Arc::clone(&self.replica);
        self.under_way.push(Box::pin(async move {
            Finished::Running(replica.client.exchange(address, request).await)
        }));
    }

    pub(super) fn heard_what_runs(
        &mut self,
        now: Instant,
        result: Result<ReplicaAnswer, SendError>,
    ) {
        let Some(barrier) = self.barriers.next_mut() else {
            return;
        };
        barrier.stage = Stage::Ready;
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                barrier.turn = None;
                self.broke(now, &error);
                return;
            }
        };
        if answer.status == 200 && lists(&answer.body, &barrier.statement) {
            barrier.turn = None;
            barrier.not_before = Some(now + ASK_PACE);
            return;
        }
        // Where it may not be asked, that `rewind` has passed must do.
        self.send_statement();
    }

    fn send_statement(&mut self) {
        let address = self.replica.trusted_address();
        let (Some(barrier), Some(address)) = (self.barriers.next_mut(), address) else {
            return;
        };
        barrier.stage = Stage::UnderWay;
        let mut request = Pieces::default();
        let to = self.replica.client.recipient(address);
        request.push(statement_head(&barrier.statement, to));
        request.push(barrier.statement.body.clone());
        self.replica.stats.requests.increment();
        self.pending_clients
            .carries_out(self.replica.index, Some(barrier.sequence));
        let sequence = barrier.sequence;
        let replica = Arc::clone(&self.replica);
        let (pending_clients, index) = (Arc::clone(&self.pending_clients), self.replica.index);
        let body = StatementBody {
            held: match self.pending_clients.is_wanted_whole(sequence) {
                true => MAX_WHOLE_STATEMENT,
                false => HELD,
            },
            open: Box::new(move |head| {
                pending_clients.begin_answer(
                    index,
                    sequence,
                    head.status,
                    head.content_type.clone(),
                )
            }),
        };
        self.under_way.push(Box::pin(async move {
            let exchange = replica.client.exchange_once(address, request, body);
            Finished::Statement(unless_given_up(&replica, Some(sequence), exchange).await)
        }));
    }

    /// Saves the cursor behind the statement; then what comes after it may go out.
    async fn pass_statement(&mut self, now: Instant) -> Option<Instant> {
        let barrier = self.barriers.next()?;
        if let Some(moment) = barrier.not_before.filter(|moment| *moment > now) {
            return Some(moment);
        }
        match self.save_at(now, barrier.position).await {
            Ok(()) => {
                if let Some(barrier) = self.leave_barrier() {
                    let outcome = match barrier.is_refused {
                        true => "is not carried out here",
                        false => {
                            self.given_up.clear();
                            "is settled"
                        }
                    };
                    info!(
                        "replica {}: statement {} {outcome}: {}",
                        self.replica.stats.name, barrier.sequence, barrier.statement.shown
                    );
                }
                Some(now)
            }
            Err(reason) => {
                self.replica
                    .note_error(format!("after a statement: {reason}"));
                let again = now + self.pace.retry_max;
                if let Some(barrier) = self.barriers.next_mut() {
                    barrier.not_before = Some(again);
                }
                Some(again)
            }
        }
    }
}

/// Whether the answer to `SHOW QUERIES` lists a changing query that begins as the statement does. Its text there is InfluxDB's
/// own rendering, so no more than the kinds of its statements can be compared.
fn lists(answer: &[u8], statement: &StatementRecord) -> bool {
    let ours = classify(statement.shown.as_bytes()).names;
    read_query_answer(answer).is_some_and(|answer| {
        let mut running = answer.texts("query");
        running.any(|query| classify(query.as_bytes()).names == ours)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::relay::record::samples::statement_record;

    #[test]
    fn a_running_statement_is_known_by_its_kind() {
        let statement = statement_record("drop measurement cpu");
        let listed = |query: &str| {
            format!(
                "{{\"results\":[{{\"statement_id\":0,\"series\":[{{\"columns\":[\"qid\",\"query\",\"database\",\"duration\"],\
                 \"values\":[[3,\"SHOW QUERIES\",\"\",\"1µs\"],[2,{},\"db\",\"3s\"]]}}]}}]}}",
                serde_json::to_string(query).expect("JSON")
            )
        };
        assert!(lists(listed("DROP MEASUREMENT cpu").as_bytes(), &statement));
        assert!(!lists(
            listed("DROP SERIES FROM cpu").as_bytes(),
            &statement
        ));
        assert!(!lists(b"{}", &statement));
    }
}
