//! Line protocol: what ingest does with a body.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use haflux::influx::line_protocol::ending;
use haflux::influx::{Precision, closed_prefix, normalize, split};

const COUNTS: [usize; 3] = [1, 100, 5000];
const NOW: i64 = 1_700_000_000_123_456_789;
const MOST_TAGS: usize = 1000;

/// Lines as Telegraf writes them, about 120 bytes each, with what `end` makes of a line's number behind them.
fn body(count: usize, field: &str, end: impl Fn(usize) -> String) -> Bytes {
    let line = |number: usize| {
        format!(
            "cpu,cpu=cpu{},host=server{:02}.example.com,region=eu-west usage_idle=93.47826{},usage_system=2.5,usage_user={field}{}\n",
            number % 8,
            number % 64,
            number % 10,
            end(number)
        )
    };
    (0..count).map(line).collect::<String>().into()
}

fn with_times(count: usize) -> Bytes {
    body(count, "4.1", |number| {
        format!(" {}", NOW + 1_000_000 * number as i64)
    })
}

fn with_seconds(count: usize) -> Bytes {
    body(count, "4.1", |number| {
        format!(" {}", NOW / 1_000_000_000 + number as i64)
    })
}

fn with_texts(count: usize) -> Bytes {
    body(count, r#""a text, with a comma""#, |_| format!(" {NOW}"))
}

fn without_times(count: usize) -> Bytes {
    body(count, "4.1", |_| String::new())
}

fn without_times_with_texts(count: usize) -> Bytes {
    body(count, r#""a text, with a comma""#, |_| String::new())
}

/// Each run gets a body of its own, as each request does.
fn run(bencher: Bencher<'_, '_>, body: &Bytes, precision: Precision) {
    bencher
        .counter(BytesCount::new(body.len()))
        .with_inputs(|| Bytes::copy_from_slice(body))
        .bench_values(|body| normalize(body, black_box(NOW), precision, MOST_TAGS));
}

#[divan::bench(args = COUNTS)]
fn check_times(bencher: Bencher<'_, '_>, count: usize) {
    run(bencher, &with_times(count), Precision::Nanoseconds);
}

#[divan::bench(args = COUNTS)]
fn check_times_in_seconds(bencher: Bencher<'_, '_>, count: usize) {
    run(bencher, &with_seconds(count), Precision::Seconds);
}

#[divan::bench(args = COUNTS)]
fn check_times_behind_texts(bencher: Bencher<'_, '_>, count: usize) {
    run(bencher, &with_texts(count), Precision::Nanoseconds);
}

#[divan::bench(args = COUNTS)]
fn stamp(bencher: Bencher<'_, '_>, count: usize) {
    run(bencher, &without_times(count), Precision::Nanoseconds);
}

#[divan::bench(args = COUNTS)]
fn stamp_in_seconds(bencher: Bencher<'_, '_>, count: usize) {
    run(bencher, &without_times(count), Precision::Seconds);
}

#[divan::bench(args = COUNTS)]
fn stamp_behind_texts(bencher: Bencher<'_, '_>, count: usize) {
    run(
        bencher,
        &without_times_with_texts(count),
        Precision::Nanoseconds,
    );
}

/// One line of a client that sends one value.
#[divan::bench]
fn check_one_short_line(bencher: Bencher<'_, '_>) {
    let body = Bytes::from_static(b"cpu,host=a v=1.5 1700000000123456789\n");
    run(bencher, &body, Precision::Nanoseconds);
}

#[divan::bench]
fn find_ends(bencher: Bencher<'_, '_>) {
    let body = with_times(5000);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| ending(black_box(&body)));
}

#[divan::bench]
fn split_at_64_kib(bencher: Bencher<'_, '_>) {
    let body = with_times(5000);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| split(black_box(&body), 64 * 1024));
}

#[divan::bench]
fn closed_prefix_with_texts(bencher: Bencher<'_, '_>) {
    let body = with_texts(5000);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| closed_prefix(black_box(&body)));
}
