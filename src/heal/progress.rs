//! How a work stands: written by whoever does it, read by whoever asks.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::control::{Difference, HealReport, HealState};
use crate::stats::WorkStats;

/// Differences that are kept to be shown; more are counted.
const MAX_DIFFERENCES: usize = 1_000;

/// Lines for a person that are kept.
const MAX_NOTES: usize = 200;

/// How a work stands.
pub(super) struct Progress {
    relay: String,
    /// What every view shows.
    stats: Arc<WorkStats>,
    said: Mutex<Said>,
    gives_way: bool,
    cancelled: watch::Sender<bool>,
    over: watch::Sender<bool>,
}

/// What is told in words.
struct Said {
    state: HealState,
    differences: Vec<Difference>,
    notes: Vec<String>,
    goes_on: bool,
}

impl Progress {
    /// A work begins. `work`: its name as a command.
    pub(super) fn new(relay: &str, work: &'static str) -> Progress {
        Progress {
            relay: relay.to_owned(),
            stats: Arc::new(WorkStats::new(work)),
            said: Mutex::new(Said {
                state: HealState::Running,
                differences: Vec::new(),
                notes: Vec::new(),
                goes_on: false,
            }),
            gives_way: false,
            cancelled: watch::Sender::new(false),
            over: watch::Sender::new(false),
        }
    }

    /// Begun by haflux itself: it ends where a person orders something.
    pub(super) fn giving_way(self) -> Progress {
        Progress {
            gives_way: true,
            ..self
        }
    }

    /// It fills this node.
    pub(super) fn filling(self, target: &str) -> Progress {
        let stats = WorkStats::new(self.stats.name).filling(target);
        Progress {
            stats: Arc::new(stats),
            ..self
        }
    }

    /// Whether it ends where a person orders something.
    pub(super) fn gives_way(&self) -> bool {
        self.gives_way
    }

    /// Its numbers.
    pub(super) fn stats(&self) -> &Arc<WorkStats> {
        &self.stats
    }

    /// What it is at, for a person.
    pub(super) fn step(&self, what: impl Into<String>) {
        self.stats.set_step(what.into());
    }

    /// The same, and it waits for something, nobody knows for how long.
    pub(super) fn waits(&self, what: impl Into<String>) {
        self.stats.wait(what.into());
    }

    /// The data is gone over from its beginning: slices count from here on.
    pub(super) fn begin_pass(&self) {
        self.stats.begin_pass();
    }

    /// So many more slices are to be done in this pass.
    pub(super) fn expect(&self, slices: u64) {
        self.stats.expect(slices);
    }

    /// One of them is.
    pub(super) fn slice_done(&self) {
        self.stats.slice_done();
    }

    /// One of them was done by a run before.
    pub(super) fn slice_skipped(&self) {
        self.stats.slice_skipped();
    }

    /// So many points were read, copied or written, and so many bytes read for them.
    pub(super) fn points(&self, points: u64, bytes: u64) {
        self.stats.add(points, bytes);
    }

    /// Something differs. The first ones are kept to be shown.
    pub(super) fn differs(&self, difference: Difference) {
        self.stats.differs();
        let kept = &mut self.said.lock().differences;
        if kept.len() < MAX_DIFFERENCES {
            kept.push(difference);
        }
    }

    /// How many differences there are.
    pub(super) fn differing(&self) -> u64 {
        self.stats.differing()
    }

    /// What a person should know. Said twice it stands there once.
    pub(super) fn note(&self, line: impl Into<String>) {
        let line = line.into();
        let notes = &mut self.said.lock().notes;
        if notes.len() < MAX_NOTES && !notes.contains(&line) {
            notes.push(line);
        }
    }

    /// Whether the same work, begun again, would go on where this one is.
    pub(super) fn set_goes_on(&self, goes_on: bool) {
        self.said.lock().goes_on = goes_on;
    }

    /// It is to end.
    pub(super) fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    /// Whether it is to end.
    pub(super) fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Returns when it is to end.
    pub(super) async fn cancelled(&self) {
        becomes_true(&self.cancelled).await;
    }

    /// It is over.
    pub(super) fn end(&self, state: HealState) {
        let mut said = self.said.lock();
        if let HealState::Failed(reason) = &state {
            self.stats.fail(reason);
        }
        said.state = state;
        self.stats.end();
        self.over.send_replace(true);
    }

    /// Returns when it is over.
    pub(super) async fn over(&self) {
        becomes_true(&self.over).await;
    }

    /// Whether it is under way.
    pub(super) fn is_running(&self) -> bool {
        self.said.lock().state == HealState::Running
    }

    /// All of it, to be shown.
    pub(super) fn report(&self) -> HealReport {
        let said = self.said.lock();
        HealReport {
            relay: self.relay.clone(),
            work: self.stats.name.to_owned(),
            state: said.state.clone(),
            step: self.stats.step(),
            began: milliseconds(self.stats.began),
            ended: self.stats.ended().map(milliseconds),
            figures: self.stats.figures(),
            differences: said.differences.clone(),
            differing: self.differing(),
            notes: said.notes.clone(),
            goes_on: said.goes_on,
        }
    }
}

async fn becomes_true(flag: &watch::Sender<bool>) {
    // The sender lives as long as this.
    drop(flag.subscribe().wait_for(|is_true| *is_true).await);
}

/// Milliseconds since 1970.
fn milliseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_bounded_and_counted() {
        let progress = Progress::new("relay", "compare");
        for number in 0..MAX_DIFFERENCES + 5 {
            progress.differs(Difference {
                kind: "point".to_owned(),
                place: number.to_string(),
                holds: Vec::new(),
            });
            progress.note(format!("note {}", number % 300));
        }
        progress.note("note 0");
        progress.expect(3);
        progress.slice_done();
        let report = progress.report();
        assert_eq!(report.differences.len(), MAX_DIFFERENCES);
        assert_eq!(report.differing, MAX_DIFFERENCES as u64 + 5);
        assert_eq!(report.notes.len(), MAX_NOTES);
        assert_eq!(report.figures.slices, (1, 3));
        assert_eq!(report.state, HealState::Running);
        progress.end(HealState::Done);
        assert!(!progress.is_running() && progress.report().ended.is_some());
    }

    #[tokio::test]
    async fn who_waits_hears_that_it_is_cancelled() {
        let progress = Progress::new("relay", "mend");
        assert!(!progress.is_cancelled());
        let waits = progress.cancelled();
        progress.cancel();
        waits.await;
        assert!(progress.is_cancelled());
    }
}
