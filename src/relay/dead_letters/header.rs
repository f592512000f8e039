//! A letter as bytes. The format stands in the module page.

use serde::{Deserialize, Serialize};

/// The longest header line that is read: texts of the format's largest fields, each byte of them escaped, and then some.
pub(super) const MAX_HEADER: usize = 1 << 20;

/// Most bytes of a reason that are kept.
pub(super) const MAX_REASON: usize = 8 * 1024;

const MAGIC: &str = "haflux dead letter ";
const VERSION: u32 = 1;
/// Longer than any first line.
const MAX_FIRST_LINE: usize = 64;

/// What a letter says of itself. No secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterHeader {
    /// The relay.
    pub relay: String,
    /// The replica that refused the record.
    pub replica: String,
    /// The record's sequence in the relay's journal.
    pub sequence: u64,
    /// When it became a dead letter: RFC 3339, UTC.
    pub time: String,
    /// The HTTP status of the refusal; 0 if the record was set aside without a verdict.
    pub status: u16,
    /// The text of the refusal, cut at 8 KiB.
    pub reason: String,
    /// What a statement does, passwords removed; nothing for a write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// The database. Empty for a statement that touches none, several, or such as cannot be told.
    pub database: String,
    /// The retention policy; empty for the default one.
    pub retention_policy: String,
    /// The unit of the timestamps, as `/write` calls it.
    pub precision: String,
    /// Points in the record.
    pub lines: u32,
    /// Bytes of the record's body.
    pub bytes: u64,
    /// Bytes of the payload that follows.
    pub payload_bytes: u64,
    /// CRC32C of the payload.
    pub payload_crc32c: u32,
}

/// Why bytes are no letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// Torn or damaged.
    #[error("the letter's header is damaged")]
    Unsound,
    /// Of a newer haflux.
    #[error("the letter has format version {0}; this haflux reads version {VERSION}")]
    Version(u32),
}

impl LetterHeader {
    /// The one database that the record touches; nothing if it may be any.
    pub(super) fn only_database(self) -> Option<String> {
        let any = self.statement.is_some() && self.database.is_empty();
        (!any).then_some(self.database)
    }

    /// Both lines.
    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let line = serde_json::to_vec(self)?;
        let mut bytes = format!("{MAGIC}{VERSION} {:08x}\n", crc32c::crc32c(&line)).into_bytes();
        bytes.extend_from_slice(&line);
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads both lines from the beginning of `bytes`; also their length.
    pub(super) fn decode(bytes: &[u8]) -> Result<(LetterHeader, usize), BadHeader> {
        let line = |from: &[u8], limit: usize| {
            memchr::memchr(b'\n', from.get(..limit.min(from.len())).unwrap_or_default())
        };
        let first = line(bytes, MAX_FIRST_LINE).ok_or(BadHeader::Unsound)?;
        let (head, rest) = bytes.split_at_checked(first).ok_or(BadHeader::Unsound)?;
        let (version, checksum) = std::str::from_utf8(head)
            .ok()
            .and_then(|head| head.strip_prefix(MAGIC)?.split_once(' '))
            .ok_or(BadHeader::Unsound)?;
        let version: u32 = version.parse().map_err(|_| BadHeader::Unsound)?;
        if version != VERSION {
            return Err(BadHeader::Version(version));
        }
        let rest = rest.get(1..).unwrap_or_default();
        let length = line(rest, MAX_HEADER).ok_or(BadHeader::Unsound)?;
        let json = rest.get(..length).unwrap_or_default();
        if format!("{:08x}", crc32c::crc32c(json)) != checksum {
            return Err(BadHeader::Unsound);
        }
        let header = serde_json::from_slice(json).map_err(|_| BadHeader::Unsound)?;
        Ok((header, first + 1 + length + 1))
    }
}

/// At most `MAX_REASON` bytes, whole characters.
pub(super) fn shorten(mut reason: String) -> String {
    let mut end = MAX_REASON.min(reason.len());
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}
