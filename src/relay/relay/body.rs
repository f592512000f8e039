//! What is done to a body before it can be appended: unpacking, and making records of it.

use std::time::SystemTime;

use bytes::Bytes;

use super::super::ingest::{Ingested, ingest, unix_nanos};
use super::{Admitted, RETRY_AFTER_SECONDS, Relay};
use crate::influx::{self, UnpackError, WriteRequest, unpack_gzip};

/// A body from this size on is worked on outside the threads that serve requests.
const LARGE_BODY: usize = 1024 * 1024;

/// First guess of what a gzip body unfolds to, in times its size; and what a wrong guess is multiplied with.
const UNPACK_RATIO: usize = 16;

impl Relay {
    /// The plain body.
    pub(super) async fn unpack(
        &self,
        admitted: &mut Admitted,
        body: Bytes,
    ) -> Result<Bytes, influx::Refusal> {
        if !admitted.request.gzip {
            return Ok(body);
        }
        let most = self.settings.max_unpacked_body;
        let mut limit = body
            .len()
            .saturating_mul(UNPACK_RATIO)
            .max(64 * 1024)
            .min(most);
        loop {
            if !admitted.reservation.cover(body.len().saturating_add(limit)) {
                self.stats.rejected.increment();
                return Err(self.too_many());
            }
            let unpacked = if limit > LARGE_BODY {
                let packed = body.clone();
                tokio::task::spawn_blocking(move || unpack_gzip(&packed, limit)).await
            } else {
                Ok(unpack_gzip(&body, limit))
            };
            match unpacked {
                Ok(Ok(plain)) => return Ok(Bytes::from(plain)),
                Ok(Err(UnpackError::TooLarge)) if limit < most => {
                    limit = limit.saturating_mul(UNPACK_RATIO).min(most);
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    return Err(influx::Refusal::unavailable(
                        "the body could not be unpacked".to_owned(),
                        RETRY_AFTER_SECONDS,
                    ));
                }
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
        if body.len() < LARGE_BODY {
            return Ok(ingest(request, body, max_request, now));
        }
        let request = request.clone();
        tokio::task::spawn_blocking(move || ingest(&request, body, max_request, now))
            .await
            .map_err(|_| {
                influx::Refusal::unavailable(
                    "the body could not be worked on".to_owned(),
                    RETRY_AFTER_SECONDS,
                )
            })
    }
}
