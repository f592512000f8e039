//! From a write's request to the payload of its record.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use haflux::influx::{WriteEndpoint, WriteRequest};
use haflux::relay::ingest::ingest;
use haflux::relay::record::write::WriteRecord;
use http::HeaderMap;

const QUERY: &str = "db=telegraf&rp=autogen&precision=ns&u=writer&p=secret";

fn request() -> WriteRequest {
    WriteRequest::parse(WriteEndpoint::V1, QUERY, &HeaderMap::new()).expect("a request")
}

fn records(lines: usize) -> Vec<WriteRecord> {
    let line =
        "cpu,host=server01.example.com,region=eu-west usage_idle=93.478261 1700000000123456789\n";
    ingest(&request(), line.repeat(lines).into(), usize::MAX, 1000, 0).records
}

#[divan::bench]
fn parse_parameters() -> bool {
    let query = black_box(QUERY);
    WriteRequest::parse(WriteEndpoint::V1, query, &HeaderMap::new()).is_ok()
}

#[divan::bench]
fn encode_head(bencher: Bencher<'_, '_>) {
    let records = records(1);
    let record = records.first().expect("a record");
    bencher.bench(|| black_box(record).encode_head());
}

#[divan::bench(args = [1, 100, 5000])]
fn into_payload(bencher: Bencher<'_, '_>, lines: usize) {
    let records = records(lines);
    let record = records.first().expect("a record");
    bencher
        .counter(BytesCount::new(record.body.len()))
        .with_inputs(|| WriteRecord {
            body: Bytes::copy_from_slice(&record.body),
            ..record.clone()
        })
        .bench_values(WriteRecord::into_payload);
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let payload = records(100).remove(0).into_payload().expect("a payload");
    bencher.bench(|| WriteRecord::decode(black_box(&payload).clone()));
}
