//! What is done to a body before it can be appended: unpacking, and making records of it.

use std::time::SystemTime;

use bytes::Bytes;

use super::super::ingest::{Ingested, ingest, unix_nanos};
use super::{Admitted, COPIES, RETRY_AFTER_SECONDS, Relay};
use crate::influx::{self, UnpackError, WriteRequest, unpack_gzip};
use crate::offload::{LARGE, offload};

/// Room for so much of what a gzip body unfolds to is waited for at a time; and a small body that unfolds to more is worked on
/// outside the threads that serve requests.
const STEP: usize = 1024 * 1024;

impl Relay {
    /// The plain body. What it unfolds to is counted as it appears; where there is no room, it waits for some and begins anew.
    pub(super) async fn unpack(
        &self,
        admitted: &mut Admitted,
        body: Bytes,
    ) -> Result<Bytes, influx::Refusal> {
        if !admitted.request.gzip {
            return Ok(body);
        }
        let most = self.settings.max_unpacked_body;
        if body.len() < LARGE {
            let reservation = &mut admitted.reservation;
            let mut room = |length: usize| {
                let held = body.len().saturating_add(length).saturating_mul(COPIES);
                reservation.try_cover(held)
            };
            match unpack_gzip(&body, most.min(STEP), &mut room) {
                Ok(plain) => return Ok(unpacked(admitted, plain)),
                Err(UnpackError::NoRoom | UnpackError::TooLarge) => {}
                Err(error) => return Err(error.into()),
            }
        }
        loop {
            let mut reservation = self.inflight.begin(None);
            std::mem::swap(&mut reservation, &mut admitted.reservation);
            let packed = body.clone();
            let worked = offload(move || {
                let mut wanted = 0;
                let mut room = |length: usize| {
                    wanted = packed.len().saturating_add(length);
                    reservation.try_cover(wanted.saturating_mul(COPIES))
                };
                let result = unpack_gzip(&packed, most, &mut room);
                (result, reservation, wanted)
            });
            let Some((result, reservation, wanted)) = worked.await else {
                return Err(not_done("the body could not be unpacked"));
            };
            admitted.reservation = reservation;
            match result {
                Ok(plain) => return Ok(unpacked(admitted, plain)),
                Err(UnpackError::NoRoom) => {
                    let wanted = wanted.saturating_add(STEP).saturating_mul(COPIES);
                    if admitted.reservation.cover(wanted).await.is_err() {
                        self.stats.rejected.increment();
                        return Err(self.too_many());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The records that it becomes.
    pub(super) async fn ingest(
        &self,
        request: &WriteRequest,
        body: Bytes,
    ) -> Result<Ingested, influx::Refusal> {
        let now = unix_nanos(SystemTime::now());
        let max_request = self.settings.max_body;
        let max_tags = self.settings.max_tags;
        if body.len() < LARGE {
            return Ok(ingest(request, body, max_request, max_tags, now));
        }
        let request = request.clone();
        offload(move || ingest(&request, body, max_request, max_tags, now))
            .await
            .ok_or_else(|| not_done("the body could not be worked on"))
    }
}

/// The body as it is now, which alone counts.
fn unpacked(admitted: &mut Admitted, plain: Vec<u8>) -> Bytes {
    let held = plain.len().saturating_mul(COPIES);
    admitted.reservation.shrink(held);
    Bytes::from(plain)
}

fn not_done(reason: &str) -> influx::Refusal {
    influx::Refusal::unavailable(reason.to_owned(), RETRY_AFTER_SECONDS)
}
