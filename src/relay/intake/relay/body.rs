//! What is done to a body until its records are appended: unpacking it, and making records of it.
//!
//! One that is larger than a joined request may be is a [digest](crate::relay::intake::large_body): it becomes records piece by piece, and
//! what is made of a piece is durable before the one after the next is worked on. So what a large body becomes neither fills
//! the memory nor stands before others' writes in the journal. One such body at a time has its turn.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use log::warn;
use tokio::time::{Instant, sleep, timeout};

use super::{Admitted, COPIES, RETRY_AFTER_SECONDS, Relay, Wait};
use crate::budget::Turn;
use crate::influx::{
    self, Answer, UnpackError, Unpacker, WriteEndpoint, unpack_gzip, unpacked_length,
};
use crate::journal::{AppendError, Payload};
use crate::offload::{LARGE, offload};
use crate::pieces::Pieces;
use crate::relay::intake::ingest::{Ingested, ingest, unix_nanos};
use crate::relay::intake::large_body::{Digest, Source};
use crate::relay::record::write::{FieldTooLong, WRITE, WriteRecord};

/// A small body that unfolds to more is worked on outside the threads that serve requests.
const SMALL: usize = 1024 * 1024;

/// How soon a journal that was given too much at once is asked again.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// What was appended of a body.
pub(super) struct Stored {
    pub(super) waits: Vec<Wait>,
    /// A body with a line so long that it is in memory as a whole, at each node's replicator too, keeps its turn until its client
    /// is answered.
    pub(super) turn: Option<Turn>,
}

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
    /// The answer.
    pub(super) async fn store(
        &self,
        admitted: &mut Admitted,
        body: Pieces,
    ) -> Result<Stored, Answer> {
        let most = self.settings.max_unpacked_body;
        if !admitted.request.gzip {
            if self.may_be_large(admitted, body.length()) {
                return self.store_in_parts(admitted, Source::Plain(body)).await;
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
                Err(error) => return Err(self.refuse(admitted, &error.into())),
            }
        }
        // Unpacked twice: first to know how much room it takes, so that what unfolds to more than it may is never in memory.
        let packed = body.clone();
        let measured = offload(move || unpacked_length(&packed, most)).await;
        let length = match measured {
            Some(Ok(length)) => length,
            Some(Err(error)) => return Err(self.refuse(admitted, &error.into())),
            None => return Err(self.not_done(admitted, 0)),
        };
        self.make_room(admitted, body.len().saturating_add(length))
            .await?;
        if self.may_be_large(admitted, length) {
            let unpacker = Box::new(Unpacker::new(body, length));
            let source = Source::Packed(unpacker, length);
            return self.store_in_parts(admitted, source).await;
        }
        let unpacked = offload(move || unpack_gzip(&body, length)).await;
        match unpacked {
            Some(Ok(plain)) => {
                let held = plain.len().saturating_mul(COPIES);
                admitted.reservation.shrink(held);
                self.store_at_once(admitted, Bytes::from(plain)).await
            }
            Some(Err(error)) => Err(self.refuse(admitted, &error.into())),
            None => Err(self.not_done(admitted, 0)),
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

    async fn store_at_once(&self, admitted: &Admitted, body: Bytes) -> Result<Stored, Answer> {
        let now = unix_nanos(SystemTime::now());
        let (max_record, max_tags) = (self.max_record(), self.settings.max_tags);
        let prepared = if body.len() < LARGE {
            Some(Prepared::of(ingest(
                &admitted.request,
                body,
                max_record,
                max_tags,
                now,
            )))
        } else {
            let request = admitted.request.clone();
            offload(move || Prepared::of(ingest(&request, body, max_record, max_tags, now))).await
        };
        let prepared = match prepared {
            Some(prepared) => self.prepared(admitted, prepared)?,
            None => return Err(self.not_done(admitted, 0)),
        };
        let pieces = prepared.payloads.len();
        let mut waits = Vec::with_capacity(pieces);
        for payload in prepared.payloads {
            match self.append(admitted, payload) {
                Ok(wait) => waits.push(wait),
                Err(error) => {
                    let appended = format!("{} of {pieces} parts", waits.len());
                    return Err(self.not_appended(admitted, &error, waits.len(), &appended));
                }
            }
        }
        self.count(&prepared.ingested);
        Ok(Stored { waits, turn: None })
    }

    async fn store_in_parts(
        &self,
        admitted: &mut Admitted,
        source: Source,
    ) -> Result<Stored, Answer> {
        let turn = admitted.reservation.turn().await;
        let turn = turn.map_err(|_| self.no_room(admitted))?;
        let mut has_long_line = false;
        let mut digest = Digest::new(
            admitted.request.clone(),
            source,
            self.max_record(),
            self.settings.max_tags,
            unix_nanos(SystemTime::now()),
        );
        let mut waits: Vec<Wait> = Vec::new();
        loop {
            let step = offload(move || {
                let next = digest.next();
                (next.map(|next| next.map(Prepared::of)), digest)
            });
            let (stepped, is_committed) = tokio::join!(step, self.is_committed());
            let Some((Ok(next), rest)) = stepped else {
                return Err(self.not_done(admitted, waits.len()));
            };
            if !is_committed {
                let error = AppendError::QueueFull;
                return Err(self.not_appended_whole(admitted, &error, waits.len()));
            }
            let Some(prepared) = next else {
                let turn = has_long_line.then_some(turn);
                return Ok(Stored { waits, turn });
            };
            let prepared = self.prepared(admitted, prepared)?;
            for payload in prepared.payloads {
                has_long_line |= payload.length() > self.max_record().saturating_mul(2);
                match self.append_when_there_is_room(admitted, payload).await {
                    Ok(wait) => waits.push(wait),
                    Err(error) => {
                        return Err(self.not_appended_whole(admitted, &error, waits.len()));
                    }
                }
            }
            self.count(&prepared.ingested);
            digest = rest;
            admitted
                .reservation
                .shrink(digest.left().saturating_mul(COPIES));
            admitted.reservation.settle();
        }
    }

    /// Returns once everything is committed that was appended before. False if that takes longer than a write may.
    async fn is_committed(&self) -> bool {
        let flushed = timeout(self.settings.timeout, self.journal.flush());
        matches!(flushed.await, Ok(Ok(())))
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

    fn append(&self, admitted: &Admitted, payload: Payload) -> Result<Wait, AppendError> {
        let append = || self.journal.append_payload(WRITE, payload);
        let wait = self
            .pending_clients
            .open(&admitted.request.database, append)?;
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
            match self.append(admitted, payload.clone()) {
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
    fn not_done(&self, admitted: &Admitted, appended: usize) -> Answer {
        let reason = "the body could not be worked on";
        let refusal = match appended {
            0 => influx::Refusal::unavailable(reason.to_owned(), RETRY_AFTER_SECONDS),
            _ => influx::Refusal::timed_out(format!(
                "the first {appended} parts of the body are journaled; {reason}"
            )),
        };
        self.refuse(admitted, &refusal)
    }

    fn not_appended_whole(
        &self,
        admitted: &Admitted,
        error: &AppendError,
        appended: usize,
    ) -> Answer {
        let parts = format!("the first {appended} parts");
        self.not_appended(admitted, error, appended, &parts)
    }

    /// The journal had room for so many of the pieces, told by `parts`. Only if for none is it true that nothing is stored.
    fn not_appended(
        &self,
        admitted: &Admitted,
        error: &AppendError,
        appended: usize,
        parts: &str,
    ) -> Answer {
        if appended == 0 && error.is_final() {
            return self.refuse(admitted, &influx::Refusal::too_large());
        }
        let name = &self.settings.name;
        let reason = format!("relay {name}: the journal takes no writes: {error}");
        warn!("{reason}");
        if appended == 0 {
            self.stats.rejected.increment();
            let refusal = influx::Refusal::unavailable(reason, RETRY_AFTER_SECONDS);
            return self.refuse(admitted, &refusal);
        }
        self.stats.timeouts.increment();
        let reason = format!("{parts} of the body are journaled; {reason}");
        self.refuse(admitted, &influx::Refusal::timed_out(reason))
    }
}
