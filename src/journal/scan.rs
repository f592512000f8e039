//! Finding frames in a segment file.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::frame::{FrameHeader, HEADER, Identity};
use super::{DiskFile, Record, Sequence};

const PAGE: usize = 4096;
const STEP: u64 = 8;
const ZEROS: [u8; PAGE] = [0; PAGE];
/// From the start of a page of zeros, the first place where a header may not be all zeros.
const BEHIND_ZEROS: u64 = (PAGE - HEADER) as u64 + STEP;

/// A sound frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) record: Record,
    /// The newest record known synced when it was written.
    pub(super) synced: Sequence,
    /// Where the next frame is to be.
    pub(super) end: u64,
}

/// Reads a segment in windows; the payloads share the windows' memory.
#[derive(Debug)]
pub(super) struct Scanner {
    file: Arc<dyn DiskFile>,
    identity: Identity,
    size: u64,
    window: Bytes,
    window_start: u64,
    window_size: usize,
}

impl Scanner {
    /// A scanner of one segment that reads `window_size` bytes at a time.
    pub(super) fn new(
        file: Arc<dyn DiskFile>,
        identity: Identity,
        window_size: usize,
    ) -> io::Result<Self> {
        let size = file.size()?;
        Ok(Self {
            file,
            identity,
            size,
            window: Bytes::new(),
            window_start: 0,
            window_size,
        })
    }

    /// The frame at `position`, if there is a sound one of a record above `above`.
    pub(super) fn frame_at(&mut self, position: u64, above: Sequence) -> io::Result<Option<Frame>> {
        let Some(header) = self.header_at(position)? else {
            return Ok(None);
        };
        let end = position.saturating_add(header.size());
        let Ok(length) = usize::try_from(header.length) else {
            return Ok(None);
        };
        if header.sequence <= above || end > self.size {
            return Ok(None);
        }
        let Some(payload) = self.bytes(position + HEADER as u64, length)? else {
            return Ok(None);
        };
        if crc32c::crc32c(&payload) != header.payload_checksum {
            return Ok(None);
        }
        let record = Record {
            sequence: header.sequence,
            kind: header.kind,
            unix_nanos: header.unix_nanos,
            offset: header.offset,
            payload,
        };
        Ok(Some(Frame {
            record,
            synced: header.synced,
            end,
        }))
    }

    /// The length of the payload at `position`, if a sound header of a record above `above` stands there.
    pub(super) fn peek(&mut self, position: u64, above: Sequence) -> io::Result<Option<usize>> {
        let header = self.header_at(position)?;
        let header = header.filter(|header| header.sequence > above);
        Ok(header.and_then(|header| usize::try_from(header.length).ok()))
    }

    /// The first position behind `from` with a sound frame of a record above `above`.
    pub(super) fn search(&mut self, from: u64, above: Sequence) -> io::Result<Option<u64>> {
        let mut position = from.next_multiple_of(STEP).max(from + STEP);
        while position + HEADER as u64 <= self.size {
            let here = self
                .bytes(position, HEADER)?
                .and_then(|bytes| bytes.first_chunk().map(FrameHeader::peek_sequence));
            if here == Some(Sequence::ZERO)
                && self
                    .bytes(position, PAGE)?
                    .is_some_and(|page| *page == ZEROS)
            {
                // Most of the newest segment: no header begins in it but one of zeros.
                position += BEHIND_ZEROS;
                continue;
            }
            if here.is_some_and(|sequence| sequence > above)
                && self.frame_at(position, above)?.is_some()
            {
                return Ok(Some(position));
            }
            position += STEP;
        }
        Ok(None)
    }

    /// Whether a sound frame header, payload aside, stands at `position`; then the size of that frame.
    pub(super) fn torn_frame_at(&mut self, position: u64) -> io::Result<u64> {
        Ok(self.header_at(position)?.map_or(0, |header| header.size()))
    }

    fn header_at(&mut self, position: u64) -> io::Result<Option<FrameHeader>> {
        let bytes = self.bytes(position, HEADER)?;
        Ok(bytes.and_then(|bytes| FrameHeader::decode(bytes.first_chunk()?, self.identity)))
    }

    /// The bytes there; `None` if the file ends before.
    fn bytes(&mut self, position: u64, length: usize) -> io::Result<Option<Bytes>> {
        if let Some(found) = self.in_window(position, length) {
            return Ok(Some(found));
        }
        let left = usize::try_from(self.size.saturating_sub(position)).unwrap_or(usize::MAX);
        if left < length {
            return Ok(None);
        }
        let mut window = vec![0; self.window_size.max(length).min(left)];
        if let Err(error) = read(&*self.file, &mut window, position) {
            self.read_pages(&mut window, position, error)?;
        }
        self.window = window.into();
        self.window_start = position;
        Ok(self.in_window(position, length))
    }

    fn in_window(&self, position: u64, length: usize) -> Option<Bytes> {
        let start = usize::try_from(position.checked_sub(self.window_start)?).ok()?;
        let end = start.checked_add(length)?;
        (end <= self.window.len()).then(|| self.window.slice(start..end))
    }

    /// Reads what can be read, page by page: unreadable pages are damage if anything else of the file can be read, otherwise
    /// the whole disk is away and nothing must be concluded.
    fn read_pages(&self, window: &mut [u8], position: u64, error: io::Error) -> io::Result<()> {
        let mut any = read(&*self.file, &mut [0; HEADER], 0).is_ok();
        let mut at = position;
        for page in window.chunks_mut(PAGE) {
            match read(&*self.file, page, at) {
                Ok(()) => any = true,
                Err(_) => page.fill(0),
            }
            at += PAGE as u64;
        }
        if any { Ok(()) } else { Err(error) }
    }
}

/// Fills the buffer; what lies behind the end of the file stays as it is.
pub(super) fn read(file: &dyn DiskFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => break,
            Ok(count) => {
                buffer = buffer.get_mut(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
