//! The journal's part of an append that is a function of its record alone: the checksum of the payload, the frame's header.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use haflux::journal::{Kind, Payload, Sequence};

#[path = "../../src/journal/frame.rs"]
#[expect(unused, reason = "the journal uses the rest")]
mod frame;

#[divan::bench(args = [100, 12_000, 600_000])]
fn checksum_of_payload(bencher: Bencher<'_, '_>, length: usize) {
    let payload = Bytes::from(vec![b'x'; length]);
    bencher
        .counter(BytesCount::new(length))
        .bench(|| Payload::new(black_box(&payload).clone()));
}

#[divan::bench]
fn header_of_frame(bencher: Bencher<'_, '_>) {
    let identity = frame::Identity::new([7; 16], 1);
    let header = frame::FrameHeader {
        payload_checksum: 0x1234_5678,
        length: 100,
        kind: Kind(1),
        sequence: Sequence::new(1 << 40),
        offset: 1 << 50,
        unix_nanos: 1_700_000_000_123_456_789,
        synced: Sequence::new((1 << 40) - 20),
    };
    bencher.bench(|| black_box(&header).encode(identity));
}
