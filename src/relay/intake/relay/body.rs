//! What is done to a body until its records are appended: unpacking it, and making records of it.
//!
//! One that is larger than a joined request may be is a [digest](crate::relay::intake::large_body): it becomes records piece by piece. One
//! such body at a time has its turn, for one piece, and one record of them at a time is under way: the next one is appended when
//! every replica that clients wait for has judged it ([`Headway`]). So what a large body becomes neither fills the memory nor stands before
//! others' writes, in the journal or at a node.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use log::warn;
use parking_lot::MutexGuard;
use tokio::time::{Instant, sleep, timeout};

use super::allowed::{NotStored, check};
use super::{Admitted, COPIES, RETRY_AFTER_SECONDS, Relay, Wait};
use crate::budget::Turn;
use crate::config::model::AllowedMeasurements;
use crate::influx::{
    self, Answer, OtherMeasurement, UnpackError, Unpacker, WriteEndpoint, WriteRequest, unix_nanos,
    unpack_gzip, unpacked_length,
};
use crate::journal::{AppendError, Payload, Sequence};
use crate::offload::{LARGE, offload};
use crate::pieces::Pieces;
use crate::relay::intake::ingest::{Ingested, ingest};
use crate::relay::intake::large_body::{Digest, Source};
use crate::relay::record::write::{FieldTooLong, WRITE, WriteRecord};
use crate::relay::verdict::pending::Headway;
use crate::shown;

/// A small body that unfolds to more is worked on outside the threads that serve requests.
const SMALL: usize = 1024 * 1024;

/// How soon a journal that was given too much at once is asked again.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// The database of the large body's record that was appended last.
pub(super) type LastPiece = Option<String>;

/// What is ready to be appended, and what it was made of.
struct Prepared {
    payloads: Vec<Payload>,
    ingested: Ingested,
}

impl Prepared {
    fn of(mut ingested: Ingested) -> Result<Self, FieldTooLong> {
        let payload = |record: WriteRecord| record.into_payload().map(Payload::new);
        let records = std::mem::take(&mut ingested.records);
        Ok(Self {
            payloads: records.into_iter().map(payload).collect::<Result<_, _>>()?,
            ingested,
        })
    }
}

impl Relay {
    /// Appends the records of a whole body.
    ///
    /// # Errors
    /// The answer, or a line that is not allowed; then nothing is appended.
    pub(super) async fn store(
        &self,
        admitted: &mut Admitted,
        body: Pieces,
    ) -> Result<Vec<Wait>, NotStored> {
        let most = self.settings.max_unpacked_body;
        if !admitted.request.gzip {
            if self.may_be_large(admitted, body.length()) {
                let body = self.check_pieces(admitted, body).await?;
                return Ok(self.store_in_parts(admitted, Source::Plain(body)).await?);
            }
            return self.store_at_once(admitted, body.join()).await;
        }
        let body = body.join();
        if body.len() < LARGE {
            match unpack_gzip(&body, most.min(SMALL)) {
                Ok(plain) => {
                    self.make_room(admitted, plain.len()).await?;
                    return self.store_at_once(admitted, Bytes::from(plain)).await;
                }
                Err(UnpackError::TooLarge) if most > SMALL => {}
                Err(error) => return Err(self.refuse(admitted, &error.into()).into()),
            }
        }
        // Unpacked twice: first to know how much room it takes, so that what unfolds to more than it may is never in memory.
        let packed = body.clone();
        let measured = offload(move || unpacked_length(&packed, most)).await;
        let length = match measured {
            Some(Ok(length)) => length,
            Some(Err(error)) => return Err(self.refuse(admitted, &error.into()).into()),
            None => return Err(self.not_done(admitted, 0).into()),
        };
        self.make_room(admitted, body.len().saturating_add(length))
            .await?;
        if self.may_be_large(admitted, length) {
            self.check_packed(admitted, body.clone(), length).await?;
            let unpacker = Box::new(Unpacker::new(body, length));
            let source = Source::Packed(unpacker, length);
            return Ok(self.store_in_parts(admitted, source).await?);
        }
        let unpacked = offload(move || unpack_gzip(&body, length)).await;
        match unpacked {
            Some(Ok(plain)) => {
                let held = plain.len().saturating_mul(COPIES);
                admitted.reservation.shrink(held);
                self.store_at_once(admitted, Bytes::from(plain)).await
            }
            Some(Err(error)) => Err(self.refuse(admitted, &error.into()).into()),
            None => Err(self.not_done(admitted, 0).into()),
        }
    }

    /// Whether a body of so many bytes is worked on piece by piece. Prometheus' have no lines.
    fn may_be_large(&self, admitted: &Admitted, length: usize) -> bool {
        length > self.max_record() && admitted.request.endpoint != WriteEndpoint::Prometheus
    }

    /// Bytes of a record that can be cut.
    fn max_record(&self) -> usize {
        self.settings.max_batch.min(self.settings.max_body)
    }

    async fn make_room(&self, admitted: &mut Admitted, bytes: usize) -> Result<(), Answer> {
        let held = bytes.saturating_mul(COPIES);
        let covered = admitted.reservation.cover(held).await;
        covered.map_err(|_| self.no_room(admitted))
    }

    async fn store_at_once(
        &self,
        admitted: &mut Admitted,
        body: Bytes,
    ) -> Result<Vec<Wait>, NotStored> {
        let now = unix_nanos(SystemTime::now());
        let (max_record, max_tags) = (self.max_record(), self.settings.max_tags);
        let is_large = body.len() >= LARGE;
        let prepare = move |request: &WriteRequest, allowed: Option<&AllowedMeasurements>| {
            check(request, &body, allowed)?;
            let ingested = ingest(request, body, max_record, max_tags, now);
            Ok::<_, OtherMeasurement>(Prepared::of(ingested))
        };
        let prepared = if is_large {
            let (request, allowed) = (admitted.request.clone(), admitted.measurements.clone());
            offload(move || prepare(&request, allowed.as_ref())).await
        } else {
            Some(prepare(&admitted.request, admitted.measurements.as_ref()))
        };
        let prepared = match prepared {
            Some(prepared) => self.prepared(admitted, prepared?)?,
            None => return Err(self.not_done(admitted, 0).into()),
        };
        let mut waits = Vec::with_capacity(prepared.payloads.len());
        if prepared.payloads.len() > 1 {
            // Stamps have made it a large body.
            let held = prepared.payloads.iter().map(Payload::length).sum();
            let covered = admitted.reservation.cover(held).await;
            covered.map_err(|_| self.no_room(admitted))?;
            for payload in prepared.payloads {
                let turn = self.turn(admitted, &waits).await?;
                self.append_large(admitted, payload, &turn, &mut waits)
                    .await?;
            }
        } else {
            for payload in prepared.payloads {
                let appended = self.append(admitted, payload).await;
                let failed = |error| self.not_appended(admitted, &error, 0);
                waits.push(appended.map_err(failed)?);
            }
        }
        self.count(&prepared.ingested);
        Ok(waits)
    }

    async fn store_in_parts(
        &self,
        admitted: &mut Admitted,
        source: Source,
    ) -> Result<Vec<Wait>, Answer> {
        let mut digest = Digest::new(
            admitted.request.clone(),
            source,
            self.max_record(),
            self.settings.max_tags,
            unix_nanos(SystemTime::now()),
        );
        let mut waits: Vec<Wait> = Vec::new();
        loop {
            let turn = self.turn(admitted, &waits).await?;
            let step = offload(move || {
                let next = digest.next();
                (next.map(|next| next.map(Prepared::of)), digest)
            });
            let Some((Ok(next), rest)) = step.await else {
                return Err(self.not_done(admitted, waits.len()));
            };
            let Some(prepared) = next else {
                return Ok(waits);
            };
            let prepared = self.prepared(admitted, prepared)?;
            for (number, payload) in prepared.payloads.into_iter().enumerate() {
                if number > 0 {
                    self.may_go_on(admitted, &waits).await?;
                }
                self.append_large(admitted, payload, &turn, &mut waits)
                    .await?;
            }
            self.count(&prepared.ingested);
            digest = rest;
            admitted
                .reservation
                .shrink(digest.left().saturating_mul(COPIES));
            admitted.reservation.settle();
        }
    }

    /// Waits for the turn of a large body, of which these records are appended, and until it may go on. Who has begun waits for
    /// longer.
    async fn turn(&self, admitted: &Admitted, waits: &[Wait]) -> Result<Turn, Answer> {
        let longest = match waits {
            [] => self.settings.body_wait,
            _ => self.settings.timeout,
        };
        let turn = admitted.reservation.turn(longest).await;
        let turn = turn.map_err(|_| match waits {
            [] => self.no_room(admitted),
            _ => self.stopped(admitted, self.too_many_reason(), waits.len()),
        })?;
        self.may_go_on(admitted, waits).await?;
        Ok(turn)
    }

    /// Returns once the large body's next record may be appended.
    async fn may_go_on(&self, admitted: &Admitted, waits: &[Wait]) -> Result<(), Answer> {
        let Some(committed) = self.keep_pace().await else {
            return Err(self.not_appended(admitted, &AppendError::QueueFull, waits.len()));
        };
        let own = &admitted.request.database;
        let has_judged =
            |replica| !waits.is_empty() && self.freshness.has_judged(replica, own, committed);
        match self.pending_clients.headway(own, has_judged) {
            Headway::StandsStill => {
                let name = &self.settings.name;
                let own = shown::name(own);
                let reason = format!("relay {name}: no replica gets on with database {own}");
                Err(self.stopped(admitted, reason, waits.len()))
            }
            Headway::GoOn | Headway::Wait => Ok(()),
        }
    }

    /// Appends a record of the large body that has its turn.
    async fn append_large(
        &self,
        admitted: &Admitted,
        payload: Payload,
        _turn: &Turn,
        waits: &mut Vec<Wait>,
    ) -> Result<(), Answer> {
        let appended = self.append_when_there_is_room(admitted, payload).await;
        let wait = appended.map_err(|error| self.not_appended(admitted, &error, waits.len()))?;
        *self.last_piece() = Some(admitted.request.database.clone());
        waits.push(wait);
        Ok(())
    }

    /// Returns once the last record of a large body is committed, and every replica that its client waits for has judged it or
    /// does not get on: what was committed then. Nothing if it is not committed within the time for a write.
    async fn keep_pace(&self) -> Option<Sequence> {
        let flushed = timeout(self.settings.timeout, self.journal.flush());
        flushed.await.ok()?.ok()?;
        let committed = self.journal.durable().sequence;
        let Some(database) = self.last_piece().clone() else {
            return Some(committed);
        };
        let has_judged = |replica| self.freshness.has_judged(replica, &database, committed);
        let look =
            || (self.pending_clients.headway(&database, has_judged) != Headway::Wait).then_some(());
        let judged = self.freshness.wait_for(self.settings.timeout, look);
        // A replica that is too slow for that stands still, or is out of reach, sooner.
        let _ = judged.await;
        Some(committed)
    }

    fn last_piece(&self) -> MutexGuard<'_, LastPiece> {
        self.last_piece.lock()
    }

    fn prepared(
        &self,
        admitted: &Admitted,
        prepared: Result<Prepared, FieldTooLong>,
    ) -> Result<Prepared, Answer> {
        // The records of a body have one destination: if it is too long, that is so of the first one already.
        prepared.map_err(|error| {
            let refusal = influx::Refusal::bad_request(error.to_string());
            self.refuse(admitted, &refusal)
        })
    }

    async fn append(&self, admitted: &Admitted, payload: Payload) -> Result<Wait, AppendError> {
        let append = || self.journal.append_payload(WRITE, payload);
        let open = || {
            self.pending_clients
                .open(&admitted.request.database, append)
        };
        let wait = self.gate.pass(open).await?;
        self.stats.records.increment();
        Ok(wait)
    }

    /// A journal that is merely given too much at once has room again in a moment.
    async fn append_when_there_is_room(
        &self,
        admitted: &Admitted,
        payload: Payload,
    ) -> Result<Wait, AppendError> {
        let deadline = Instant::now() + self.settings.body_wait;
        loop {
            match self.append(admitted, payload.clone()).await {
                Err(AppendError::QueueFull) if Instant::now() < deadline => {
                    sleep(QUEUE_PAUSE).await;
                }
                appended => return appended,
            }
        }
    }

    fn count(&self, ingested: &Ingested) {
        self.stats.lines.add(ingested.lines as u64);
        self.stats.stamped_lines.add(ingested.stamped as u64);
        self.stats.defused_lines.add(ingested.defused as u64);
    }

    /// The work on a body failed, of which some records are appended.
    pub(super) fn not_done(&self, admitted: &Admitted, appended: usize) -> Answer {
        let reason = "the body could not be worked on";
        let refusal = match appended {
            0 => influx::Refusal::unavailable(reason.to_owned(), RETRY_AFTER_SECONDS),
            _ => influx::Refusal::timed_out(format!(
                "the first {appended} parts of the body are journaled; {reason}"
            )),
        };
        self.refuse(admitted, &refusal)
    }

    /// A large body does not go on behind its first `appended` records.
    fn stopped(&self, admitted: &Admitted, reason: String, appended: usize) -> Answer {
        let refusal = match appended {
            0 => {
                self.stats.rejected.increment();
                influx::Refusal::unavailable(reason, RETRY_AFTER_SECONDS)
            }
            _ => {
                self.stats.timeouts.increment();
                influx::Refusal::timed_out(format!(
                    "the first {appended} parts of the body are journaled; {reason}"
                ))
            }
        };
        self.refuse(admitted, &refusal)
    }

    /// The journal had room for so many of the records. Only if for none is it true that nothing is stored.
    fn not_appended(&self, admitted: &Admitted, error: &AppendError, appended: usize) -> Answer {
        if appended == 0 && error.is_final() {
            return self.refuse(admitted, &influx::Refusal::too_large());
        }
        let name = &self.settings.name;
        let reason = format!("relay {name}: the journal takes no writes: {error}");
        warn!("{reason}");
        self.stopped(admitted, reason, appended)
    }
}
