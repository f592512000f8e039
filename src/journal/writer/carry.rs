//! Records of the life before that nothing proves to have been synced.
//!
//! The system has them, perhaps only in its memory, and perhaps of a file whose sync failed: another sync of it would succeed and
//! mean nothing. So they are written again, as after a failure, and only then served. Unlike those after a failure they may have
//! been acknowledged, for what proves a sync is written after it. So where they were found is not given up before they are synced
//! elsewhere: the new segment's header, which ends the old one before them, comes after that sync.

use std::io;
use std::time::Instant;

use super::Writer;

impl Writer {
    /// Writes them to a segment of their own beginning, and syncs it.
    pub(super) fn carry(&mut self, now: Instant) -> io::Result<()> {
        if self.carried == 0 {
            return Ok(());
        }
        let carried = self.pending.iter().take(self.carried);
        let size = carried.map(|pending| pending.size()).sum();
        let segment = self.begin_segment(size)?;
        self.write_batch(now, self.carried)?;
        segment.sync()?;
        segment.write_header()?;
        self.sync()?;
        self.carried = 0;
        self.leftovers.append(&mut self.sources);
        Ok(())
    }
}
