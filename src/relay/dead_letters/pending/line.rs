//! The log of pending refusals as bytes. The format stands in the module page.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

pub(super) const MAGIC: &[u8] = b"haflux refusals 1\n";

/// Digits of a checksum, and the space behind it.
const CHECKSUM: usize = 9;

/// What a line says of a replica and a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::relay) struct Line {
    /// The record's sequence in the relay's journal.
    pub(in crate::relay) record: u64,
    /// The replica's name.
    pub(in crate::relay) replica: String,
    /// What it said; nothing where an earlier line counts no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::relay) said: Option<Said>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::relay) struct Said {
    /// The status that the replica answered with.
    pub(in crate::relay) status: u16,
    /// Its words.
    pub(in crate::relay) words: String,
}

/// What the lines of a folder say together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::relay) struct Found {
    /// By record and replica.
    pub(in crate::relay) refusals: BTreeMap<(u64, String), Said>,
    /// Lines that cannot be read, but for one at the end of a file that a crash cut off.
    pub(in crate::relay) damaged: usize,
}

impl Line {
    /// As it stands in a file.
    pub(super) fn encode(&self, into: &mut Vec<u8>) -> io::Result<()> {
        let json = serde_json::to_vec(self)?;
        write!(into, "{:08x} ", crc32c::crc32c(&json))?;
        into.extend_from_slice(&json);
        into.push(b'\n');
        Ok(())
    }

    /// Reads a line without its end.
    fn decode(line: &[u8]) -> Option<Line> {
        let (checksum, json) = line.split_at_checked(CHECKSUM)?;
        let expected = format!("{:08x} ", crc32c::crc32c(json));
        (checksum == expected.as_bytes()).then_some(())?;
        serde_json::from_slice(json).ok()
    }
}

impl Found {
    /// Adds what a file says that is newer than those before.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        let Some(lines) = bytes.strip_prefix(MAGIC) else {
            return self.read_lines(bytes);
        };
        self.read_lines(lines);
    }

    fn read_lines(&mut self, bytes: &[u8]) {
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        let (whole, _cut_off) = bytes.split_at(whole.min(bytes.len()));
        for line in whole
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let Some(Line {
                record,
                replica,
                said,
            }) = Line::decode(line)
            else {
                self.damaged += 1;
                continue;
            };
            match said {
                Some(said) => self.refusals.insert((record, replica), said),
                None => self.refusals.remove(&(record, replica)),
            };
        }
    }
}
