//! Comparisons that haflux begins by itself: as often as `compare` says, and once over nodes that it has never seen.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::{error, warn};

use super::jobs::{HealError, Healer, thread};
use super::last_comparison::LastComparison;
use super::progress::Progress;
use crate::control::HealState;
use crate::journal::Sequence;

/// How often it is looked whether a comparison is due, and how it stands.
const PACE: Duration = Duration::from_secs(1);

/// How long what became of a work is left to whoever follows it, and asks for it several times a second.
const HEARD: Duration = Duration::from_secs(2);

/// How long nodes that haflux has never seen are left alone: whoever set them up is at work on them.
const SETTLED_IN: Duration = Duration::from_secs(15);

impl Healer {
    /// Compares the nodes by itself from now on, where that is due.
    pub fn compare_by_itself(self: &Arc<Self>) {
        let nodes = self.relay().nodes().into_iter().map(|node| node.name);
        let nodes: Vec<String> = nodes.collect();
        let last = LastComparison::of(self.folder(), &nodes);
        let is_first = last.is_none();
        if let Some(LastComparison {
            at, differences, ..
        }) = last
        {
            let stats = self.relay().stats();
            stats.compared.last.store(Some(Arc::new((at, differences))));
        }
        let is_new = is_first && self.relay().head() == Sequence::ZERO;
        let every = self.relay().settings().compare;
        if !is_new && every.is_none() {
            return;
        }
        let thread = match thread() {
            Ok(thread) => thread,
            Err(error) => {
                error!("nodes are not compared: no thread for it: {error}");
                return;
            }
        };
        let healer = Arc::clone(self);
        thread.spawn(async move {
            if is_new {
                tokio::time::sleep(SETTLED_IN).await;
                healer.compare_new_nodes().await;
            }
            if let Some(every) = every {
                healer.compare_every(every).await;
            }
        });
    }

    /// haflux trusts the nodes of a new setup to hold the same, so it looks whether they do.
    async fn compare_new_nodes(self: &Arc<Self>) {
        self.compare_to_its_end().await;
        let relay = &self.relay().stats().name;
        let differences = self.relay().stats().compared.last.load();
        match differences.as_deref() {
            Some((_, 0)) => {}
            Some((_, differences)) => error!(
                "relay {relay}: THE NODES DIFFER, from before haflux: {differences} differences; haflux compare names them, and haflux mend ends them"
            ),
            None => warn!(
                "relay {relay}: the nodes could not be compared, so it is not known whether they hold the same: haflux compare"
            ),
        }
    }

    async fn compare_every(self: &Arc<Self>, every: Duration) {
        let mut tried = None;
        loop {
            tokio::time::sleep(PACE).await;
            let last = self.relay().stats().compared.last.load();
            let last = last.as_deref().map(|(at, _)| *at).max(tried);
            // A clock that was set back makes it due.
            let is_due = last.is_none_or(|last| last.elapsed().map_or(true, |ago| ago >= every));
            if !is_due {
                continue;
            }
            let before = self.relay().stats().compared.last.load_full();
            if self.compare_to_its_end().await {
                let last = self.relay().stats().compared.last.load();
                let had = before
                    .as_deref()
                    .is_some_and(|(_, differences)| *differences > 0);
                if let Some((_, differences)) = last.as_deref()
                    && *differences > 0
                    && !had
                {
                    let relay = &self.relay().stats().name;
                    error!(
                        "relay {relay}: the nodes differ: {differences} differences; haflux compare names them, and haflux mend ends them"
                    );
                }
            }
            tried = Some(SystemTime::now());
        }
    }

    /// Whether nothing has ended just now.
    fn is_heard(self: &Arc<Self>) -> bool {
        let Ok(last) = self.last() else {
            return true;
        };
        let Some(ended) = last.report().ended else {
            return false;
        };
        let ended = UNIX_EPOCH + Duration::from_millis(ended);
        // A clock that was set back says nothing.
        ended.elapsed().map_or(true, |ago| ago >= HEARD)
    }

    /// Compares everything once all nodes are there and nothing else is under way, again if a person ordered something
    /// meanwhile. Whether it came to its end.
    async fn compare_to_its_end(self: &Arc<Self>) -> bool {
        loop {
            let nodes = self.relay().nodes();
            let are_there = nodes
                .iter()
                .all(|node| node.address.is_some() && node.follows);
            if are_there && self.is_heard() {
                match self.compare_until_ordered() {
                    Ok(comparison) => {
                        comparison.over().await;
                        if !self.gave_way(&comparison) {
                            return comparison.report().state == HealState::Done;
                        }
                    }
                    Err(HealError::UnderWay(_) | HealError::Ending(_)) => {}
                    Err(error) => {
                        warn!("relay {}: {error}", self.relay().stats().name);
                        return false;
                    }
                }
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Whether it ended for a person's order.
    fn gave_way(&self, comparison: &Arc<Progress>) -> bool {
        let last = self.last();
        last.is_ok_and(|last| !Arc::ptr_eq(&last, comparison))
            && comparison.report().state == HealState::Cancelled
    }
}
