//! How much room is left on the journal's disk, for an operator to see before it is full.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::journal::DirectoryDisk;
use crate::stats::RelayStats;

/// The pace at which the disk is asked.
const PACE: Duration = Duration::from_secs(2);

/// Puts the free space where others read it, until `stop` is true. A disk that hangs delays nothing but this.
pub(super) async fn watch_room(
    disk: Arc<DirectoryDisk>,
    stats: Arc<RelayStats>,
    mut stop: watch::Receiver<bool>,
) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = pace.tick() => {}
            // Without a sender nobody wants it any more.
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let disk = Arc::clone(&disk);
        let asked = tokio::task::spawn_blocking(move || disk.free_bytes());
        let free = tokio::select! {
            free = asked => free.ok().and_then(Result::ok),
            _ = stop.wait_for(|stop| *stop) => return,
        };
        stats.journal.disk_free.store(free.map(Arc::new));
    }
}
