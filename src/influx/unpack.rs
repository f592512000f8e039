//! gzip bodies, unpacked as Go's `compress/gzip` does it and within a limit; and packed.
//!
//! Several members in a row are one body. What Go finds wrong is wrong, with Go's words, for they are what the client reads.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compression, Crc, Decompress, FlushDecompress, Status};

use super::answer::Refusal;

/// How much is unpacked at a time.
const STEP: usize = 64 * 1024;

/// The longest name or comment in a header that Go takes.
const MAX_TEXT_LENGTH: usize = 512;

/// Why a body cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// Nothing there at all.
    #[error("EOF")]
    Empty,
    /// A member begins with something else, or with what Go does not know.
    #[error("gzip: invalid header")]
    InvalidHeader,
    /// A member is not what it was when it was packed.
    #[error("gzip: invalid checksum")]
    InvalidChecksum,
    /// The compressed data makes no sense.
    #[error("flate: corrupt input before offset {0}")]
    Corrupt(u64),
    /// The last member is cut short.
    #[error("unexpected EOF")]
    UnexpectedEnd,
    /// It unfolds to more than the limit.
    #[error("Request Entity Too Large")]
    TooLarge,
}

impl From<UnpackError> for Refusal {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::TooLarge => Self::too_large(),
            other => Self::bad_request(other.to_string()),
        }
    }
}

/// Unpacks a gzip body to at most `limit` bytes.
pub fn unpack_gzip(body: &Bytes, limit: usize) -> Result<Vec<u8>, UnpackError> {
    let mut unpacker = Unpacker::new(body.clone(), limit);
    let mut output = Vec::new();
    while let Some(piece) = unpacker.next_piece()? {
        output.extend_from_slice(piece);
    }
    Ok(output)
}

/// How many bytes a gzip body unfolds to, at most `limit`. Holds nothing but a buffer of 64 KiB.
pub fn unpacked_length(body: &Bytes, limit: usize) -> Result<usize, UnpackError> {
    let mut unpacker = Unpacker::new(body.clone(), limit);
    let mut length = 0_usize;
    while let Some(piece) = unpacker.next_piece()? {
        length = length.saturating_add(piece.len());
    }
    Ok(length)
}

/// Hands out a gzip body piece by piece, 64 KiB at most at a time.
pub struct Unpacker {
    input: Input,
    begun: bool,
    /// The member that is being unpacked.
    member: Option<(Decompress, Crc)>,
    left: usize,
    buffer: Vec<u8>,
}

impl Unpacker {
    /// At most `limit` bytes of `body` are handed out.
    pub fn new(body: Bytes, limit: usize) -> Self {
        Self {
            input: Input { bytes: body },
            begun: false,
            member: None,
            left: limit,
            buffer: vec![0; STEP],
        }
    }

    /// The next piece, which may be empty; `None` behind the last one.
    ///
    /// # Errors
    /// What is wrong with the body, or that it is larger than the limit. Nothing more comes then.
    pub fn next_piece(&mut self) -> Result<Option<&[u8]>, UnpackError> {
        if !std::mem::replace(&mut self.begun, true) && self.input.bytes.is_empty() {
            return Err(UnpackError::Empty);
        }
        let (mut decompress, mut crc) = match self.member.take() {
            Some(member) => member,
            None if self.input.bytes.is_empty() => return Ok(None),
            None => {
                self.input.header()?;
                (Decompress::new(false), Crc::new())
            }
        };
        let (read, written) = (decompress.total_in(), decompress.total_out());
        let result =
            decompress.decompress(&self.input.bytes, &mut self.buffer, FlushDecompress::None);
        let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        let consumed = since(decompress.total_in(), read);
        let produced = since(decompress.total_out(), written);
        self.input.take(consumed)?;
        let piece = self.buffer.get(..produced).unwrap_or_default();
        self.left = self
            .left
            .checked_sub(produced)
            .ok_or(UnpackError::TooLarge)?;
        crc.update(piece);
        match result {
            Err(_) => return Err(UnpackError::Corrupt(decompress.total_in())),
            Ok(Status::StreamEnd) => {
                if (self.input.number()?, self.input.number()?) != (crc.sum(), crc.amount()) {
                    return Err(UnpackError::InvalidChecksum);
                }
            }
            Ok(Status::Ok | Status::BufError) if consumed == 0 && produced == 0 => {
                return Err(UnpackError::UnexpectedEnd);
            }
            Ok(Status::Ok | Status::BufError) => self.member = Some((decompress, crc)),
        }
        Ok(Some(piece))
    }
}

/// Packs a body into gzip; `None` if that does not make it smaller.
pub fn pack_gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < body.len()).then_some(packed)
}

/// What is left of the body.
struct Input {
    bytes: Bytes,
}

impl Input {
    fn take(&mut self, length: usize) -> Result<Bytes, UnpackError> {
        if length > self.bytes.len() {
            return Err(UnpackError::UnexpectedEnd);
        }
        Ok(self.bytes.split_to(length))
    }

    fn number(&mut self) -> Result<u32, UnpackError> {
        let bytes = self.take(4)?;
        (*bytes)
            .try_into()
            .map(u32::from_le_bytes)
            .map_err(|_| UnpackError::UnexpectedEnd)
    }

    /// Skips a text up to its NUL.
    fn text(&mut self) -> Result<(), UnpackError> {
        let head = self.bytes.get(..MAX_TEXT_LENGTH).unwrap_or(&self.bytes);
        match memchr::memchr(0, head) {
            Some(length) => self.take(length + 1).map(drop),
            None if head.len() == MAX_TEXT_LENGTH => Err(UnpackError::InvalidHeader),
            None => Err(UnpackError::UnexpectedEnd),
        }
    }

    /// Skips a member's header, RFC 1952 section 2.3.
    fn header(&mut self) -> Result<(), UnpackError> {
        let whole = self.bytes.clone();
        let start = self.take(10)?;
        let &[0x1f, 0x8b, 8, flags, ..] = &*start else {
            return Err(UnpackError::InvalidHeader);
        };
        let has = |flag: u8| flags & flag != 0;
        if has(4) {
            let length = self.take(2)?;
            let length = (*length)
                .try_into()
                .map(u16::from_le_bytes)
                .map_err(|_| UnpackError::UnexpectedEnd)?;
            self.take(usize::from(length))?;
        }
        if has(8) {
            self.text()?;
        }
        if has(16) {
            self.text()?;
        }
        if has(2) {
            let mut crc = Crc::new();
            crc.update(
                whole
                    .get(..whole.len() - self.bytes.len())
                    .unwrap_or_default(),
            );
            let expected = self.take(2)?;
            if crc.sum().to_le_bytes().get(..2) != Some(&*expected) {
                return Err(UnpackError::InvalidHeader);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_unfolds_to_the_same_and_what_grows_is_not_packed() {
        let body = b"m,host=a v=1 1\n".repeat(1000);
        let packed = pack_gzip(&body).expect("smaller");
        assert!(packed.len() < 1000);
        assert_eq!(unpack_gzip(&packed, body.len()), Ok(body));
        assert_eq!(pack_gzip(b"m v=1"), None);
        assert_eq!(pack_gzip(b""), None);
    }
    use flate2::{Compression, GzBuilder, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    fn unpack_gzip(body: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
        super::unpack_gzip(&Bytes::copy_from_slice(body), limit)
    }

    fn pack(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder
            .write_all(text)
            .and_then(|()| encoder.finish())
            .expect("gzip")
    }

    #[test]
    fn unpacks_members_in_a_row() {
        let body = [pack(b"m v=1\n"), pack(b""), pack(b"m v=2\n")].concat();
        assert_eq!(unpack_gzip(&body, 100), Ok(b"m v=1\nm v=2\n".to_vec()));
    }

    #[test]
    fn reads_whole_headers() {
        let builder = GzBuilder::new()
            .filename("name")
            .comment("comment")
            .extra(vec![1, 2, 3]);
        let mut encoder = builder.write(Vec::new(), Compression::fast());
        let body = encoder
            .write_all(b"text")
            .and_then(|()| encoder.finish())
            .expect("gzip");
        assert_eq!(unpack_gzip(&body, 100), Ok(b"text".to_vec()));
        let builder = GzBuilder::new().filename("n".repeat(600));
        let body = builder
            .write(Vec::new(), Compression::fast())
            .finish()
            .expect("gzip");
        assert_eq!(unpack_gzip(&body, 100), Err(UnpackError::InvalidHeader));
    }

    #[test]
    fn checks_the_headers_own_checksum() {
        let packed = pack(b"text");
        let mut header = packed[..10].to_vec();
        header[3] = 2;
        let mut crc = Crc::new();
        crc.update(&header);
        let [low, high, ..] = crc.sum().to_le_bytes();
        let good = [&header[..], &[low, high], &packed[10..]].concat();
        assert_eq!(unpack_gzip(&good, 100), Ok(b"text".to_vec()));
        let bad = [&header[..], &[low ^ 1, high], &packed[10..]].concat();
        assert_eq!(unpack_gzip(&bad, 100), Err(UnpackError::InvalidHeader));
    }

    #[test]
    fn says_what_go_says() {
        let packed = pack(b"m v=1");
        let mut wrong_sum = packed.clone();
        let last = wrong_sum.len() - 5;
        wrong_sum[last] ^= 1;
        let table: [(Vec<u8>, &str); 8] = [
            (b"".to_vec(), "EOF"),
            (b"m v=1".to_vec(), "unexpected EOF"),
            (b"m v=1 1234567890".to_vec(), "gzip: invalid header"),
            (packed[..packed.len() - 1].to_vec(), "unexpected EOF"),
            (packed[..12].to_vec(), "unexpected EOF"),
            (wrong_sum, "gzip: invalid checksum"),
            (
                [&packed[..], b"trailing bytes"].concat(),
                "gzip: invalid header",
            ),
            ([&packed[..], b"x"].concat(), "unexpected EOF"),
        ];
        for (body, message) in table {
            let error = unpack_gzip(&body, 100).expect_err("an error");
            assert_eq!(error.to_string(), message);
            assert_eq!(Refusal::from(error), Refusal::bad_request(message));
        }
        let corrupt = [&packed[..10], &[0xff; 20]].concat();
        assert!(matches!(
            unpack_gzip(&corrupt, 100),
            Err(UnpackError::Corrupt(_))
        ));
    }

    #[test]
    fn keeps_to_its_limit() {
        let zeros = vec![0; 1 << 20];
        let body = pack(&zeros);
        let exact = unpack_gzip(&body, zeros.len()).expect("fits");
        assert_eq!(exact.len(), zeros.len());
        let packed = Bytes::from(body.clone());
        assert_eq!(unpacked_length(&packed, zeros.len()), Ok(zeros.len()));
        let mut unpacker = Unpacker::new(packed, zeros.len());
        let mut length = 0;
        while let Some(piece) = unpacker.next_piece().expect("sound") {
            assert!(piece.len() <= STEP);
            length += piece.len();
        }
        assert_eq!(length, zeros.len());
        assert_eq!(
            unpack_gzip(&body, zeros.len() - 1),
            Err(UnpackError::TooLarge)
        );
        assert_eq!(unpack_gzip(&body, 0), Err(UnpackError::TooLarge));
        assert_eq!(unpack_gzip(&pack(b""), 0), Ok(Vec::new()));
        let bomb = [body.clone(), body].concat();
        assert_eq!(
            unpack_gzip(&bomb, (1 << 21) - 1),
            Err(UnpackError::TooLarge)
        );
        assert_eq!(Refusal::from(UnpackError::TooLarge), Refusal::too_large());
    }

    proptest! {
        #[test]
        fn undoes_gzip(text in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(unpack_gzip(&pack(&text), text.len()), Ok(text));
        }

        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..50), at in 0usize..80, with: u8, cut in 0usize..80) {
            let mut body = pack(&text);
            let length = body.len();
            body[at % length] = with;
            body.truncate(cut.max(1));
            let _ = unpack_gzip(&body, 1000);
        }
    }
}
