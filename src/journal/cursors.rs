//! Named cursors, and the table that they are saved in. The format stands in the module page.

use bytes::Bytes;

use super::{Position, Sequence};

/// The largest table that is read back; far above what cursors with notes of 64 KiB come to.
pub(super) const MAX_TABLE: u64 = 256 << 20;
const VERSION: u32 = super::segment::VERSION;
const MAGIC: [u8; 8] = *b"HAFLUXC\n";

/// A named place in the journal. What lies above the lowest cursor is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Its name.
    pub name: String,
    /// Everything up to this record is done with.
    pub sequence: Sequence,
    /// The offset of that record.
    pub offset: u64,
    /// Whatever the caller keeps beside it. Saved as one with the cursor; meant for up to 64 KiB.
    pub metadata: Bytes,
}

/// Everything that one save writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CursorTable {
    pub(super) journal: [u8; 16],
    pub(super) generation: u64,
    /// The newest record known synced.
    pub(super) synced: Position,
    /// The next sequence at the time of the save.
    pub(super) floor: Sequence,
    /// Nothing was appended after this save.
    pub(super) clean: bool,
    pub(super) cursors: Vec<Cursor>,
}

/// Why bytes are not a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadTable {
    /// Never written, torn or damaged.
    Unsound,
    /// Sound, of this newer version.
    Newer(u32),
}

impl CursorTable {
    /// The bytes on disk.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(
            64 + self
                .cursors
                .iter()
                .map(|cursor| cursor.metadata.len() + 64)
                .sum::<usize>(),
        );
        body.extend_from_slice(&self.journal);
        body.extend_from_slice(&self.generation.to_le_bytes());
        body.extend_from_slice(&self.synced.sequence.get().to_le_bytes());
        body.extend_from_slice(&self.synced.offset.to_le_bytes());
        body.extend_from_slice(&self.floor.get().to_le_bytes());
        body.push(u8::from(self.clean));
        body.extend_from_slice(&length(self.cursors.len()).to_le_bytes());
        for cursor in &self.cursors {
            body.extend_from_slice(&length(cursor.name.len()).to_le_bytes());
            body.extend_from_slice(cursor.name.as_bytes());
            body.extend_from_slice(&cursor.sequence.get().to_le_bytes());
            body.extend_from_slice(&cursor.offset.to_le_bytes());
            body.extend_from_slice(&length(cursor.metadata.len()).to_le_bytes());
            body.extend_from_slice(&cursor.metadata);
        }
        let checked = u64::try_from(body.len()).unwrap_or(u64::MAX).to_le_bytes();
        let mut bytes = Vec::with_capacity(body.len() + 24);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&checksum(VERSION, checked, &body).to_le_bytes());
        bytes.extend_from_slice(&checked);
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads the bytes; what follows the table is not looked at.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadTable> {
        let mut input = Input(bytes);
        if input.take::<8>()? != MAGIC {
            return Err(BadTable::Unsound);
        }
        let version = u32::from_le_bytes(input.take()?);
        let expected = u32::from_le_bytes(input.take()?);
        let checked = input.take::<8>()?;
        let body = input.bytes(u64::from_le_bytes(checked))?;
        if checksum(version, checked, body) != expected {
            return Err(BadTable::Unsound);
        }
        if version != VERSION {
            return Err(BadTable::Newer(version));
        }
        let mut input = Input(body);
        let mut table = Self {
            journal: input.take()?,
            generation: input.number()?,
            synced: Position {
                sequence: Sequence::new(input.number()?),
                offset: input.number()?,
            },
            floor: Sequence::new(input.number()?),
            clean: input.take::<1>()? == [1],
            cursors: Vec::new(),
        };
        for _ in 0..u32::from_le_bytes(input.take()?) {
            let name = input.sized()?;
            table.cursors.push(Cursor {
                name: String::from_utf8(name.to_vec()).map_err(|_| BadTable::Unsound)?,
                sequence: Sequence::new(input.number()?),
                offset: input.number()?,
                metadata: Bytes::copy_from_slice(input.sized()?),
            });
        }
        Ok(table)
    }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn checksum(version: u32, length: [u8; 8], body: &[u8]) -> u32 {
    let start = crc32c::crc32c_append(crc32c::crc32c(&version.to_le_bytes()), &length);
    crc32c::crc32c_append(start, body)
}

/// What is left to decode.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadTable> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(BadTable::Unsound)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, BadTable> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], BadTable> {
        let length = usize::try_from(length).map_err(|_| BadTable::Unsound)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(BadTable::Unsound)?;
        self.0 = rest;
        Ok(taken)
    }

    fn sized(&mut self) -> Result<&'a [u8], BadTable> {
        let length = u32::from_le_bytes(self.take()?);
        self.bytes(u64::from(length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(generation: u64, cursors: Vec<(String, u64, Vec<u8>)>) -> CursorTable {
        CursorTable {
            journal: [3; 16],
            generation,
            synced: Position {
                sequence: Sequence::new(generation),
                offset: 5,
            },
            floor: Sequence::new(6),
            clean: generation.is_multiple_of(2),
            cursors: cursors
                .into_iter()
                .map(|(name, sequence, note)| Cursor {
                    name,
                    sequence: Sequence::new(sequence),
                    offset: 1,
                    metadata: note.into(),
                })
                .collect(),
        }
    }

    proptest! {
        #[test]
        fn comes_back_and_tears_and_flips_are_noticed(
            generation: u64, cursors: Vec<(String, u64, Vec<u8>)>, cut: prop::sample::Index, bit: prop::sample::Index,
        ) {
            let table = table(generation, cursors);
            let mut bytes = table.encode();
            prop_assert_eq!(CursorTable::decode(&bytes[..cut.index(bytes.len())]), Err(BadTable::Unsound));
            let bit = bit.index(bytes.len() * 8);
            bytes.extend_from_slice(b"what a longer table left behind");
            prop_assert_eq!(CursorTable::decode(&bytes), Ok(table));
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(CursorTable::decode(&bytes), Err(BadTable::Unsound));
        }

        #[test]
        fn nonsense_is_refused(bytes: Vec<u8>) {
            prop_assert_eq!(CursorTable::decode(&bytes), Err(BadTable::Unsound));
        }
    }
}
