//! A replica that takes less in one request than haflux sends: what it refuses as too large goes again in smaller requests,
//! and what comes later is built smaller at once.

use log::info;

use super::super::board::Report;
use super::super::refusals::Refusal;
use super::Replicator;
use crate::journal::Sequence;

impl Replicator {
    /// The request of that lane was too large. Where nothing of it can be cut, that is its verdict.
    pub(super) async fn too_large(&mut self, name: &str, sequences: &[Sequence], refusal: Refusal) {
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        let size = lane.sent();
        let stats = &self.replica.stats;
        stats.too_large.increment();
        if self.largest == usize::MAX {
            info!(
                "replica {} does not take {size} bytes at once: it is sent smaller requests",
                stats.name
            );
        }
        self.largest = self.largest.min(size / 2);
        stats.request_limit.set(self.largest as u64);
        if !lane.cut(self.largest) {
            self.verdict(name, sequences, Report::Refused(refusal))
                .await;
        }
    }

    /// A node that was away may have another limit now.
    pub(super) fn forget_limit(&mut self) {
        self.largest = usize::MAX;
        self.replica.stats.request_limit.set(0);
    }

    /// What a verdict on the request of that lane says of its records: nothing yet, if it was a piece of one and others wait.
    pub(super) fn of_whole_records(&mut self, name: &str, report: Report) -> Option<Report> {
        match self.lanes.get_mut(name) {
            Some(lane) => lane.piece_judged(report),
            None => Some(report),
        }
    }
}
