//! From frame to frame through one segment that its owner may be writing to.

use std::io;
use std::path::{Path, PathBuf};

use super::super::Sequence;
use super::super::directory::open_to_read;
use super::super::frame::Identity;
use super::super::scan::{Frame, Scanner};
use super::super::segment::HEADER_SIZE;
use super::survey::Found;

const WINDOW: usize = 1 << 20;

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    /// A sound frame.
    Frame(Frame),
    /// Something that is none; a sound frame follows.
    Hole,
    /// No further sound frame.
    End {
        /// Bytes of a frame at the end whose payload is torn.
        torn: u64,
    },
}

/// A walk through one segment.
#[derive(Debug)]
pub(super) struct Walker {
    path: PathBuf,
    identity: Identity,
    scanner: Scanner,
    position: u64,
    above: Sequence,
    limit: Sequence,
}

impl Walker {
    /// Begins; records above `limit` do not count.
    pub(super) fn new(folder: &Path, segment: &Found, limit: Sequence) -> io::Result<Walker> {
        let path = folder.join(&segment.name);
        let identity = Identity::new(segment.journal, segment.serial);
        Ok(Walker {
            scanner: Scanner::new(open_to_read(&path)?, identity, WINDOW)?,
            path,
            identity,
            position: HEADER_SIZE,
            above: segment.first.previous(),
            limit,
        })
    }

    /// The next step; after `End` it is `End` again, unless the owner has written more.
    pub(super) fn next(&mut self) -> io::Result<Step> {
        if let Some(frame) = self.scanner.frame_at(self.position, self.above)? {
            return Ok(self.pass(frame));
        }
        let Some(further) = self.scanner.search(self.position, self.above)? else {
            let torn = self.scanner.torn_frame_at(self.position)?;
            return Ok(Step::End { torn });
        };
        // The window may have been read while this was being written. Writes come in order, so what stands before a sound
        // frame is complete by now.
        self.scanner = Scanner::new(open_to_read(&self.path)?, self.identity, WINDOW)?;
        if let Some(frame) = self.scanner.frame_at(self.position, self.above)? {
            return Ok(self.pass(frame));
        }
        match self.scanner.frame_at(further, self.above)? {
            Some(frame) if frame.record.sequence <= self.limit => {
                self.position = further;
                Ok(Step::Hole)
            }
            _ => Ok(Step::End { torn: 0 }),
        }
    }

    fn pass(&mut self, frame: Frame) -> Step {
        if frame.record.sequence > self.limit {
            return Step::End { torn: 0 };
        }
        self.position = frame.end;
        self.above = frame.record.sequence;
        Step::Frame(frame)
    }

    /// Whether the file still bears its name: if not, its owner has released it, and may have written anything into it.
    pub(super) fn is_there(&self) -> bool {
        self.path.exists()
    }
}
