//! Segment files: their names and headers, and the list of those that hold records.

use std::collections::VecDeque;

use super::frame::Identity;
use super::{Position, Sequence};

/// Bytes before the first frame.
pub(super) const HEADER_SIZE: u64 = 512;
/// Bytes of the header that mean something.
pub(super) const HEADER_BYTES: usize = 80;
/// The newest format that is read, and the one that is written.
pub(super) const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"HAFLUXJ\n";
const SEGMENT_SUFFIX: &str = ".segment";
const SPARE_PREFIX: &str = "spare.";

/// What a file of the folder is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileName {
    /// Records from this sequence on.
    Segment { first: Sequence, serial: u64 },
    /// A preallocated file.
    Spare { serial: u64 },
}

impl FileName {
    /// Understands a name; `None` for files that are neither.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let number = |digits: &str| match digits.len() {
            20 if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<u64>().ok(),
            _ => None,
        };
        if let Some(serial) = name.strip_prefix(SPARE_PREFIX) {
            return Some(Self::Spare {
                serial: number(serial)?,
            });
        }
        let (first, serial) = name.strip_suffix(SEGMENT_SUFFIX)?.split_once('.')?;
        Some(Self::Segment {
            first: Sequence::new(number(first)?),
            serial: number(serial)?,
        })
    }

    /// The number of the file.
    pub(super) fn serial(self) -> u64 {
        match self {
            Self::Segment { serial, .. } | Self::Spare { serial } => serial,
        }
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Segment { first, serial } => write!(
                formatter,
                "{:020}.{serial:020}{SEGMENT_SUFFIX}",
                first.get()
            ),
            Self::Spare { serial } => write!(formatter, "{SPARE_PREFIX}{serial:020}"),
        }
    }
}

/// What a segment says of itself and of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) journal: [u8; 16],
    pub(super) serial: u64,
    pub(super) first: Sequence,
    /// The segment before; 0 if there was none.
    pub(super) previous_serial: u64,
    /// The newest record before this segment.
    pub(super) previous: Position,
    pub(super) unix_nanos: u64,
}

/// Why bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// Never written, torn or damaged.
    Unsound,
    /// Sound, of this newer version.
    Newer(u32),
}

impl SegmentHeader {
    /// The bytes on disk.
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.journal);
        bytes[32..40].copy_from_slice(&self.serial.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first.get().to_le_bytes());
        bytes[48..56].copy_from_slice(&self.previous_serial.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.previous.sequence.get().to_le_bytes());
        bytes[64..72].copy_from_slice(&self.previous.offset.to_le_bytes());
        bytes[72..80].copy_from_slice(&self.unix_nanos.to_le_bytes());
        let checksum = Self::checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn checksum(bytes: &[u8; HEADER_BYTES]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
    }

    /// Reads the bytes.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, BadHeader> {
        let number = |at: usize| {
            let field = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
            field
                .map(|field| u64::from_le_bytes(*field))
                .ok_or(BadHeader::Unsound)
        };
        let versions = number(8)?.to_le_bytes();
        let [v0, v1, v2, v3, c0, c1, c2, c3] = versions;
        let (version, checksum) = (
            u32::from_le_bytes([v0, v1, v2, v3]),
            u32::from_le_bytes([c0, c1, c2, c3]),
        );
        if bytes[..8] != MAGIC || checksum != Self::checksum(bytes) {
            return Err(BadHeader::Unsound);
        }
        if version != VERSION {
            return Err(BadHeader::Newer(version));
        }
        let mut journal = [0; 16];
        journal.copy_from_slice(&bytes[16..32]);
        Ok(Self {
            journal,
            serial: number(32)?,
            first: Sequence::new(number(40)?),
            previous_serial: number(48)?,
            previous: Position {
                sequence: Sequence::new(number(56)?),
                offset: number(64)?,
            },
            unix_nanos: number(72)?,
        })
    }
}

/// A segment that holds records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) serial: u64,
    pub(super) first: Sequence,
    /// The newest record before it; what lies between that and `first` never existed.
    pub(super) previous_last: Sequence,
    /// Its newest record; `None` while it is written to.
    pub(super) last: Option<Sequence>,
    pub(super) identity: Identity,
    pub(super) bytes: u64,
}

impl Segment {
    /// The name of its file.
    pub(super) fn name(&self) -> String {
        FileName::Segment {
            first: self.first,
            serial: self.serial,
        }
        .to_string()
    }
}

/// The segments, oldest first.
#[derive(Debug, Default)]
pub(super) struct SegmentList {
    segments: VecDeque<Segment>,
    synced: Sequence,
}

impl SegmentList {
    /// Adds the newest one.
    pub(super) fn push(&mut self, segment: Segment) {
        self.segments.push_back(segment);
    }

    /// The oldest one.
    pub(super) fn oldest(&self) -> Option<Segment> {
        self.segments.front().copied()
    }

    /// The oldest one, if a later one that is synced says where it ended.
    pub(super) fn witnessed_oldest(&self) -> Option<Segment> {
        let witness = self.segments.get(1)?;
        self.oldest().filter(|_| witness.first <= self.synced)
    }

    /// The newest one.
    pub(super) fn newest(&self) -> Option<Segment> {
        self.segments.back().copied()
    }

    /// The numbers between two records that no record has: both, for each jump (rule J3).
    pub(super) fn jumps(&self) -> impl Iterator<Item = (Sequence, Sequence)> {
        let ends = self.segments.iter();
        ends.map(|segment| (segment.previous_last, segment.first))
            .filter(|(last, first)| last.next() < *first)
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Takes the one with this serial out.
    pub(super) fn remove(&mut self, serial: u64) {
        self.segments.retain(|segment| segment.serial != serial);
    }

    /// Notes where the newest one ends, if it was still written to.
    pub(super) fn end_newest(&mut self, last: Sequence) {
        if let Some(segment) = self.segments.back_mut() {
            segment.last.get_or_insert(last);
        }
    }

    /// The newest record known synced.
    pub(super) fn synced(&self) -> Sequence {
        self.synced
    }

    /// Notes that everything up to this record is synced.
    pub(super) fn set_synced(&mut self, synced: Sequence) {
        self.synced = synced;
    }

    /// The oldest segment that holds or will hold a record above `after`.
    pub(super) fn with_record_above(&self, after: Sequence) -> Option<Segment> {
        let passed = self
            .segments
            .partition_point(|segment| segment.last.is_some_and(|last| last <= after));
        self.segments.get(passed).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_strangers_are_left_alone() {
        for name in [
            FileName::Segment {
                first: Sequence::new(1),
                serial: 0,
            },
            FileName::Segment {
                first: Sequence::new(u64::MAX),
                serial: u64::MAX,
            },
            FileName::Spare { serial: 7 },
        ] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        for name in [
            "lock",
            "cursors.0",
            "spare.1",
            "spare.+0000000000000000001",
            "1.2.segment",
            "",
            ".segment",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_header_comes_back_and_any_flip_is_noticed() {
        let header = SegmentHeader {
            journal: [9; 16],
            serial: 3,
            first: Sequence::new(4),
            previous_serial: 2,
            previous: Position {
                sequence: Sequence::new(3),
                offset: 999,
            },
            unix_nanos: 5,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&damaged), Err(BadHeader::Unsound));
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&9_u32.to_le_bytes());
        let checksum = SegmentHeader::checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(BadHeader::Newer(9)));
    }
}
