//! One record on disk. The format stands in the module page.

use super::{Kind, Sequence};

/// Bytes before the payload.
pub(super) const HEADER: usize = 40;
/// The longest payload that the format can hold and that is sane.
pub(super) const MAX_PAYLOAD: usize = 1 << 30;
const ALIGNMENT: u64 = 8;
const UNSYNCED_MAX: u64 = (1 << 24) - 1;

/// Bytes that a record with this payload takes in a segment and counts in offsets.
pub(super) fn size(payload: usize) -> u64 {
    let payload = u64::try_from(payload).unwrap_or(u64::MAX / 2);
    (HEADER as u64 + payload).next_multiple_of(ALIGNMENT)
}

/// A checksum over what a segment is: frames of another segment do not fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u32);

impl Identity {
    /// The identity of the segment with this serial in the journal with this id.
    pub(super) fn new(journal: [u8; 16], serial: u64) -> Self {
        Self(crc32c::crc32c_append(
            crc32c::crc32c(&journal),
            &serial.to_le_bytes(),
        ))
    }

    fn seal(self, fields: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0, fields)
    }
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) payload_checksum: u32,
    pub(super) length: u32,
    pub(super) kind: Kind,
    pub(super) sequence: Sequence,
    pub(super) offset: u64,
    pub(super) unix_nanos: u64,
    /// The newest sequence known synced when this was written; on disk it may be understated.
    pub(super) synced: Sequence,
}

impl FrameHeader {
    /// The bytes on disk.
    pub(super) fn encode(&self, identity: Identity) -> [u8; HEADER] {
        let unsynced = self
            .sequence
            .get()
            .saturating_sub(self.synced.get())
            .min(UNSYNCED_MAX);
        let [a, b, c, ..] = unsynced.to_le_bytes();
        let mut bytes = [0; HEADER];
        bytes[4..8].copy_from_slice(&self.payload_checksum.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&[self.kind.0, a, b, c]);
        bytes[16..24].copy_from_slice(&self.sequence.get().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.offset.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.unix_nanos.to_le_bytes());
        let checksum = identity.seal(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the bytes; `None` if they are not a frame header of this segment.
    pub(super) fn decode(bytes: &[u8; HEADER], identity: Identity) -> Option<Self> {
        let (checksum, fields) = bytes.split_first_chunk::<4>()?;
        if identity.seal(fields) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (payload_checksum, rest) = fields.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (&[kind, a, b, c], rest) = rest.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (unix_nanos, _) = rest.split_first_chunk::<8>()?;
        let sequence = u64::from_le_bytes(*sequence);
        let unsynced = u64::from(u32::from_le_bytes([a, b, c, 0]));
        let synced = if unsynced == UNSYNCED_MAX {
            0
        } else {
            sequence.saturating_sub(unsynced)
        };
        Some(Self {
            payload_checksum: u32::from_le_bytes(*payload_checksum),
            length: u32::from_le_bytes(*length),
            kind: Kind(kind),
            sequence: Sequence::new(sequence),
            offset: u64::from_le_bytes(*offset),
            unix_nanos: u64::from_le_bytes(*unix_nanos),
            synced: Sequence::new(synced),
        })
    }

    /// A cheap look at the sequence field, before the checksum is worth computing.
    pub(super) fn peek_sequence(bytes: &[u8; HEADER]) -> Sequence {
        match bytes.get(16..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(field) => Sequence::new(u64::from_le_bytes(*field)),
            None => Sequence::ZERO,
        }
    }

    /// Bytes of the whole frame.
    pub(super) fn size(&self) -> u64 {
        (HEADER as u64 + u64::from(self.length)).next_multiple_of(ALIGNMENT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn comes_back_and_any_flip_or_other_segment_is_noticed(
            payload_checksum: u32, length: u32, kind: u8, sequence in 1..u64::MAX, offset: u64, unix_nanos: u64,
            behind in 0..UNSYNCED_MAX, bit in 0..HEADER * 8, journal: [u8; 16], serial: u64, other: u64,
        ) {
            let identity = Identity::new(journal, serial);
            let header = FrameHeader {
                payload_checksum, length, kind: Kind(kind), sequence: Sequence::new(sequence), offset, unix_nanos,
                synced: Sequence::new(sequence.saturating_sub(behind)),
            };
            let mut bytes = header.encode(identity);
            prop_assert_eq!(FrameHeader::decode(&bytes, identity), Some(header));
            prop_assert_eq!(FrameHeader::peek_sequence(&bytes), header.sequence);
            if other != serial {
                prop_assert_eq!(FrameHeader::decode(&bytes, Identity::new(journal, other)), None);
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(FrameHeader::decode(&bytes, identity), None);
        }
    }

    #[test]
    fn what_is_too_long_ago_is_understated() {
        let identity = Identity::new([7; 16], 1);
        let header = FrameHeader {
            payload_checksum: 0,
            length: 0,
            kind: Kind(0),
            sequence: Sequence::new(1 << 40),
            offset: 0,
            unix_nanos: 0,
            synced: Sequence::new(1),
        };
        let synced =
            FrameHeader::decode(&header.encode(identity), identity).map(|header| header.synced);
        assert_eq!(synced, Some(Sequence::ZERO));
    }
}
