//! What is done to a body before it can be appended: unpacking, and making records of it.

use std::time::SystemTime;

use bytes::Bytes;

use super::super::ingest::{Ingested, ingest, unix_nanos};
use super::{Admitted, COPIES, RETRY_AFTER_SECONDS, Relay};
use crate::influx::{
    self, UnpackError, WriteRequest, unpack_gzip, unpack_gzip_exactly, unpacked_length,
};
use crate::offload::{LARGE, offload};

/// A small body that unfolds to more is worked on outside the threads that serve requests.
const SMALL: usize = 1024 * 1024;

impl Relay {
    /// The plain body. One that is large is unpacked twice: first to know how much room it takes, so that what unfolds to more
    /// than it may is never in memory.
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
            match unpack_gzip(&body, most.min(SMALL)) {
                Ok(plain) => {
                    self.make_room(admitted, plain.len()).await?;
                    return Ok(Bytes::from(plain));
                }
                Err(UnpackError::TooLarge) if most > SMALL => {}
                Err(error) => return Err(error.into()),
            }
        }
        let failed = || not_done("the body could not be unpacked");
        let packed = body.clone();
        let measured = offload(move || unpacked_length(&packed, most)).await;
        let length = measured.ok_or_else(failed)??;
        self.make_room(admitted, body.len().saturating_add(length))
            .await?;
        let unpacked = offload(move || unpack_gzip_exactly(&body, length)).await;
        let plain = unpacked.ok_or_else(failed)??;
        let held = plain.len().saturating_mul(COPIES);
        admitted.reservation.shrink(held);
        Ok(Bytes::from(plain))
    }

    async fn make_room(
        &self,
        admitted: &mut Admitted,
        bytes: usize,
    ) -> Result<(), influx::Refusal> {
        let covered = admitted
            .reservation
            .cover(bytes.saturating_mul(COPIES))
            .await;
        covered.map_err(|_| {
            self.stats.rejected.increment();
            self.too_many()
        })
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

fn not_done(reason: &str) -> influx::Refusal {
    influx::Refusal::unavailable(reason.to_owned(), RETRY_AFTER_SECONDS)
}
