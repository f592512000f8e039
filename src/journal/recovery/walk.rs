//! Walking through a segment that nothing vouches for.

use std::collections::VecDeque;
use std::io;

use super::super::disk::Disk;
use super::super::frame::Identity;
use super::super::scan::Scanner;
use super::super::segment::HEADER_SIZE;
use super::super::{Gap, Position, Record, Sequence};
use super::WINDOW;
use super::files::Found;

/// What a scan of one segment found.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) last: Position,
    pub(super) gaps: Vec<Gap>,
    pub(super) torn: u64,
    /// The newest record that is known to have been synced.
    pub(super) proven: Sequence,
    /// The records above it.
    pub(super) unproven: VecDeque<Record>,
    /// It was begun and never synced.
    pub(super) is_junk: bool,
}

/// A hole between two sound frames.
#[derive(Debug)]
pub(super) struct Hole {
    pub(super) gap: Gap,
    /// The place before it.
    pub(super) last: Position,
    pub(super) position: u64,
}

pub(super) fn scan_segment(
    disk: &dyn Disk,
    found: &Found,
    identity: Identity,
    previous: Position,
    limit: Option<Sequence>,
    proven: Sequence,
) -> Scanned {
    let mut scan = Scan {
        last: previous,
        position: HEADER_SIZE,
        holes: Vec::new(),
        proven,
        unproven: VecDeque::new(),
    };
    let scanner = disk
        .open(&found.name)
        .and_then(|file| Scanner::new(file, identity, WINDOW));
    let walked = scanner.and_then(|mut scanner| {
        let ended = scan.walk(&mut scanner, found.first, limit)?;
        Ok((ended, scanner))
    });
    let (mut torn, readable) = match walked {
        Ok((torn, _)) => (torn, true),
        Err(error) => {
            log::warn!("journal: cannot read {}: {error}", found.name);
            (0, false)
        }
    };
    // What was never proven synced and stands behind a hole is cut; holes before that are gaps.
    let mut gaps = Vec::new();
    let mut last = scan.last;
    for hole in scan.holes {
        if hole.gap.after >= scan.proven {
            torn += scan.position.saturating_sub(hole.position);
            last = hole.last;
            break;
        }
        gaps.push(hole.gap);
    }
    let mut unproven = scan.unproven;
    unproven.retain(|record| record.sequence <= last.sequence);
    // The header is synced with the first records. If nothing proves that this ever happened, none of it was.
    let is_junk = readable && found.header.is_none() && scan.proven < found.first;
    if is_junk {
        torn = scan.position.saturating_sub(HEADER_SIZE);
    }
    Scanned {
        last,
        gaps,
        torn,
        proven: scan.proven,
        unproven,
        is_junk,
    }
}

/// A walk from frame to frame.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) last: Position,
    pub(super) position: u64,
    pub(super) holes: Vec<Hole>,
    /// The newest record that is known to have been synced.
    pub(super) proven: Sequence,
    /// The sound records above that one.
    pub(super) unproven: VecDeque<Record>,
}

impl Scan {
    /// Walks to the end; gives the bytes of a frame there whose payload is torn.
    pub(super) fn walk(
        &mut self,
        scanner: &mut Scanner,
        first: Sequence,
        limit: Option<Sequence>,
    ) -> io::Result<u64> {
        let mut above = first.previous();
        loop {
            let mut frame = scanner.frame_at(self.position, above)?;
            if frame.is_none()
                && let Some(further) = scanner.search(self.position, above)?
            {
                frame = scanner.frame_at(further, above)?;
                if let Some(frame) = &frame
                    && limit.is_none_or(|limit| frame.record.sequence < limit)
                {
                    let after = self.last.sequence.max(above);
                    let gap = Gap {
                        after,
                        before: frame.record.sequence,
                    };
                    self.holes.push(Hole {
                        gap,
                        last: self.last,
                        position: self.position,
                    });
                }
            }
            let Some(frame) = frame else {
                return scanner.torn_frame_at(self.position);
            };
            if limit.is_some_and(|limit| frame.record.sequence >= limit) {
                return Ok(0);
            }
            above = frame.record.sequence;
            self.last = Position {
                sequence: above,
                offset: frame.record.offset,
            };
            self.position = frame.end;
            self.proven = self.proven.max(frame.synced);
            let proven = self.proven;
            while self
                .unproven
                .pop_front_if(|oldest| oldest.sequence <= proven)
                .is_some()
            {}
            if above > proven {
                self.unproven.push_back(frame.record);
            }
        }
    }
}
