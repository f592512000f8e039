//! The shape by which a read is known again.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};

#[path = "../../../src/proxy/pool/known_reads.rs"]
#[expect(unused, reason = "a pool uses the rest")]
mod known_reads;

const TARGET: &[u8] = b"/query?db=telegraf&epoch=ms&q=SELECT+mean%28%22usage_idle%22%29+FROM+%22cpu%22+WHERE+%22host%22+%3D~+%2F%5Eserver01%24%2F+AND+time+%3E%3D+1700000000000ms+and+time+%3C%3D+1700003600000ms+GROUP+BY+time%2810s%29";

#[divan::bench]
fn shape_of_read(bencher: Bencher<'_, '_>) {
    let known = known_reads::KnownReads::default();
    bencher
        .counter(BytesCount::new(TARGET.len()))
        .bench(|| known.shape(black_box(TARGET), b""));
}

#[divan::bench]
fn shape_of_large_form(bencher: Bencher<'_, '_>) {
    let known = known_reads::KnownReads::default();
    let body = TARGET.repeat(40);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| known.shape(b"/query?db=telegraf", black_box(&body)));
}
