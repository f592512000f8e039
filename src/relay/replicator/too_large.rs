//! A replica that takes less in one request than haflux sends: what it refuses as too large goes again in smaller requests,
//! and what comes later is built smaller at once. A line that is too large alone goes again in gzip, once.

use bytes::Bytes;
use log::info;

use super::{Finished, Replicator};
use crate::influx::{self, pack_gzip};
use crate::journal::Sequence;
use crate::offload::offload;
use crate::relay::verdict::pending::Report;
use crate::relay::verdict::refusals::Refusal;

impl Replicator {
    /// The request of that lane was too large. Where nothing of it can be cut, that is its verdict.
    pub(super) async fn too_large(&mut self, name: &str, sequences: &[Sequence], refusal: Refusal) {
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        let size = lane.sent();
        let stats = &self.replica.stats;
        stats.too_large.increment();
        if lane.is_packed() {
            self.verdict(name, sequences, Report::Refused(refusal))
                .await;
            return;
        }
        if self.link.refused_as_too_large(size) {
            info!(
                "replica {} does not take {size} bytes at once: it is sent smaller requests",
                stats.name
            );
        }
        let largest = self.link.largest();
        stats.request_limit.set(largest as u64);
        if lane.cut(largest) {
            return;
        }
        let Some((sequence, plain)) = lane.to_pack() else {
            self.verdict(name, sequences, Report::Refused(refusal))
                .await;
            return;
        };
        let lane = name.to_owned();
        self.under_way.push(Box::pin(async move {
            let packed = offload(move || pack_gzip(&plain)).await;
            Finished::Packed {
                lane,
                sequence,
                packed: packed.flatten().map(Bytes::from),
            }
        }));
    }

    /// What was too large is packed, and goes again; if it did not get smaller, it is refused as InfluxDB refuses it.
    pub(super) async fn packed(&mut self, name: &str, sequence: Sequence, packed: Option<Bytes>) {
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        if lane.under_way() != [sequence] {
            return;
        }
        match packed {
            Some(packed) => lane.pack(packed),
            None => {
                let said = influx::Refusal::too_large();
                let refusal = Refusal::new(said.status.as_u16(), &said.message);
                self.verdict(name, &[sequence], Report::Refused(refusal))
                    .await;
            }
        }
    }

    /// What a verdict on the request of that lane says of its records: nothing yet, if it was a piece of one and others wait.
    pub(super) fn of_whole_records(&mut self, name: &str, report: Report) -> Option<Report> {
        match self.lanes.get_mut(name) {
            Some(lane) => lane.piece_judged(report),
            None => Some(report),
        }
    }
}
