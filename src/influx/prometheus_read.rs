//! What a Prometheus `remote_read` asks for, without its times: two reads of the same series over other times are alike.
//!
//! The body is a `prometheus.ReadRequest` in snappy's block format (prompb/remote.proto, prompb/types.proto):
//!
//! | message | field | what |
//! | --- | --- | --- |
//! | `ReadRequest` | 1 | a `Query`, as often as it likes |
//! | `Query` | 1, 2 | `start_timestamp_ms`, `end_timestamp_ms` |
//! | `Query` | 4 | `ReadHints` |
//! | `ReadHints` | 3, 4 | `start_ms`, `end_ms` |

/// A message whose fields are told apart; of others, the bytes are taken as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    ReadRequest,
    Query,
    ReadHints,
}

impl Message {
    fn is_time(self, field: u64) -> bool {
        matches!(
            (self, field),
            (Self::Query, 1 | 2) | (Self::ReadHints, 3 | 4)
        )
    }

    fn inner(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::ReadRequest, 1) => Some(Self::Query),
            (Self::Query, 4) => Some(Self::ReadHints),
            _ => None,
        }
    }
}

/// The body of a `remote_read` unpacked and without its times. `None` if it is none, or longer than `limit` bytes unpacked.
pub(crate) fn without_times(body: &[u8], limit: usize) -> Option<Vec<u8>> {
    let length = snap::raw::decompress_len(body).ok()?;
    if length > limit {
        return None;
    }
    let request = snap::raw::Decoder::new().decompress_vec(body).ok()?;
    copy(Message::ReadRequest, &request)
}

/// The fields of a message, each by its key, but for the values of times.
fn copy(message: Message, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copied = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (key, behind) = varint(rest)?;
        copied.extend_from_slice(&key.to_le_bytes());
        let field = key >> 3;
        let length = match key & 7 {
            0 => behind.len() - varint(behind)?.1.len(),
            1 => 8,
            2 => {
                let (length, content) = varint(behind)?;
                let (content, behind) = content.split_at_checked(usize::try_from(length).ok()?)?;
                let content = match message.inner(field) {
                    Some(inner) => copy(inner, content)?,
                    None => content.to_vec(),
                };
                copied.extend_from_slice(&content.len().to_le_bytes());
                copied.extend_from_slice(&content);
                rest = behind;
                continue;
            }
            5 => 4,
            _ => return None,
        };
        let (value, behind) = behind.split_at_checked(length)?;
        if !message.is_time(field) {
            copied.extend_from_slice(value);
        }
        rest = behind;
    }
    Some(copied)
}

/// A number in base 128, and what stands behind it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number: u64 = 0;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(u32::try_from(place * 7).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(place + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("a short content");
        assert!(length < 0x80);
        [&[number << 3 | 2, length], content].concat()
    }

    fn number(field: u8, value: u64) -> Vec<u8> {
        let (mut bytes, mut left) = (vec![field << 3], value);
        while left >= 0x80 {
            bytes.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        bytes.push(left as u8);
        bytes
    }

    /// A read of a series from `start` to `end`, with a hint of its step.
    fn read(series: &str, start: u64, end: u64, step: u64) -> Vec<u8> {
        let name = [field(2, b"__name__"), field(3, series.as_bytes())].concat();
        let hints = [number(1, step), number(3, start), number(4, end)].concat();
        let query = [
            number(1, start),
            number(2, end),
            field(3, &name),
            field(4, &hints),
        ];
        let request = field(1, &query.concat());
        snap::raw::Encoder::new()
            .compress_vec(&request)
            .expect("a short request")
    }

    #[test]
    fn times_may_differ_and_nothing_else() {
        let shown = |body: &[u8]| without_times(body, 1000).expect("a read");
        let first = shown(&read("probe", 1_700_000_000_000, 1_700_000_060_000, 1000));
        let later = read("probe", 1_800_000_000_000, 1_800_000_090_001, 1000);
        assert_eq!(shown(&later), first);
        for other in [
            read("probes", 1_700_000_000_000, 1_700_000_060_000, 1000),
            read("probe", 1_700_000_000_000, 1_700_000_060_000, 1001),
        ] {
            assert_ne!(shown(&other), first);
        }
    }

    #[test]
    fn what_is_no_read_is_nothing() {
        let whole = read("probe", 1_700_000_000_000, 1_700_000_060_000, 1000);
        assert_eq!(without_times(&whole, 10), None);
        assert_eq!(without_times(b"no snappy", 1000), None);
        let request = snap::raw::Decoder::new()
            .decompress_vec(&whole)
            .expect("a read");
        for length in 1..request.len() {
            let cut = request.get(..length).expect("its begin");
            assert_eq!(copy(Message::ReadRequest, cut), None, "{length}");
        }
        assert_eq!(copy(Message::ReadRequest, &[0xff; 12]), None);
    }
}
