use super::*;
use crate::influx::Consistency;
use crate::relay::record::samples::write_record;
use bytes::Buf;
use std::time::Duration;

fn record(body: &str, precision: Precision, ending: Ending) -> WriteRecord {
    let mut record = write_record(body);
    record.destination.precision = precision;
    record.ending = ending;
    record
}

/// A record that was read for the first time and sent to nobody.
pub(in crate::relay::replicator::queue) fn queued(sequence: u64, record: WriteRecord) -> Queued {
    Queued {
        sequence: Sequence::new(sequence),
        record,
        since: Instant::now(),
        is_tried: false,
        is_again: false,
    }
}

/// A lane with these records, which are numbered from 1 on.
pub(in crate::relay::replicator::queue) fn lane(
    records: impl IntoIterator<Item = WriteRecord>,
) -> Lane {
    let mut lane = Lane::new(Backoff::new(
        Duration::from_millis(1),
        Duration::from_millis(2),
    ));
    for (sequence, record) in (1..).zip(records) {
        lane.push(queued(sequence, record));
    }
    lane
}

fn next(lane: &mut Lane, max_batch: usize) -> String {
    let (_, mut pieces) = lane.start(max_batch, usize::MAX).expect("a request");
    let body = pieces.copy_to_bytes(pieces.remaining());
    String::from_utf8(body.to_vec()).expect("UTF-8")
}

#[test]
fn neighbours_are_joined_by_exactly_one_newline() {
    let seconds = Precision::Seconds;
    let mut lane = lane(vec![
        record("a v=1 1\n", seconds, Ending::Closed),
        record("", seconds, Ending::Closed),
        record("b v=1 1", seconds, Ending::Closed),
        record("c v=1 1", seconds, Ending::Closed),
    ]);
    assert_eq!(next(&mut lane, 1000), "a v=1 1\nb v=1 1\nc v=1 1");
    assert_eq!(lane.under_way().len(), 4);
}

/// What becomes of records in requests of at most so many bytes.
fn bodies(records: Vec<WriteRecord>, max_batch: usize) -> Vec<String> {
    let mut lane = lane(records);
    let mut bodies = Vec::new();
    while !lane.is_empty() {
        bodies.push(next(&mut lane, max_batch));
        drop(lane.settled(lane.under_way().len()));
    }
    bodies
}

#[test]
fn open_bodies_travel_alone_and_batches_are_full_at_their_limit() {
    let s = Precision::Seconds;
    let records = [
        ("a v=1 1", Ending::Closed),
        ("b v=1 1", Ending::Closed),
        ("c v=\"1 1", Ending::Open),
        ("d v=1 1", Ending::Closed),
        ("e v=1 1", Ending::Closed),
        ("f v=1 1", Ending::Closed),
    ];
    let records = || {
        let all = records.iter();
        all.map(|(body, ending)| record(body, s, *ending)).collect()
    };
    let alone = ["a v=1 1\nb v=1 1", "c v=\"1 1"];
    let joined = ["d v=1 1\ne v=1 1\nf v=1 1"];
    assert_eq!(bodies(records(), 1000), [&alone[..], &joined].concat());
    let joined = ["d v=1 1\ne v=1 1", "f v=1 1"];
    assert_eq!(bodies(records(), 16), [&alone[..], &joined].concat());
}

#[test]
fn only_what_goes_to_the_same_place_in_the_same_name_travels_together() {
    type Change = fn(&mut Destination);
    let user = |password: &str| Credentials::Parameters {
        user: b"u".to_vec(),
        password: password.into(),
    };
    let changes: [Change; 4] = [
        |other| other.form = Form::Prometheus,
        |other| other.consistency = Some(Consistency::All),
        |other| other.retention_policy = "week".to_owned(),
        |other| other.credentials = Credentials::Authorization(b"Token t".to_vec()),
    ];
    let plain = || record("a v=1 1", Precision::Seconds, Ending::Closed);
    for (number, change) in changes.into_iter().enumerate() {
        let mut other = plain();
        change(&mut other.destination);
        let records = vec![plain(), plain(), other.clone(), plain()];
        assert_eq!(bodies(records, 1000).len(), 3, "change {number}");
        let together = usize::from(number > 0);
        let sent = bodies(vec![other.clone(), other], 1000).len();
        assert_eq!(sent, 2 - together, "Prometheus bodies are never joined");
    }
    let mut records = vec![plain(), plain()];
    records[0].destination.credentials = user("one");
    records[1].destination.credentials = user("another");
    assert_eq!(bodies(records, 1000).len(), 2);
}

#[test]
fn neighbours_of_different_precision_are_joined_in_nanoseconds() {
    let (s, ms, ns) = (
        Precision::Seconds,
        Precision::Milliseconds,
        Precision::Nanoseconds,
    );
    let records = || {
        vec![
            record("a v=1 1", s, Ending::Closed),
            record("a v=2 1000\n", ms, Ending::Closed),
            record("a v=3 1000000000", ns, Ending::Closed),
            record("a v=4 1", s, Ending::Closed),
            // No time in nanoseconds.
            record("b v=1 9999999999999", s, Ending::Closed),
            record("b v=2 1", s, Ending::Closed),
            record("b v=3 1000", ms, Ending::Closed),
        ]
    };
    let all_of = |mut lane: Lane, max_batch| {
        let mut requests = Vec::new();
        while !lane.is_empty() {
            let (destination, mut pieces) = lane.start(max_batch, usize::MAX).expect("a request");
            let precision = destination.precision;
            let body = pieces.copy_to_bytes(pieces.remaining());
            let body = String::from_utf8(body.to_vec()).expect("UTF-8");
            requests.push((precision, body));
            drop(lane.settled(lane.under_way().len()));
        }
        requests
    };
    let sent = |precision, body: &str| (precision, body.to_owned());
    assert_eq!(
        all_of(lane(records()), 1000),
        [
            sent(
                ns,
                "a v=1 1000000000\na v=2 1000000000\na v=3 1000000000\na v=4 1000000000"
            ),
            sent(s, "b v=1 9999999999999\nb v=2 1"),
            sent(ms, "b v=3 1000"),
        ]
    );
    // In nanoseconds they are longer, and must fit.
    assert_eq!(
        all_of(lane(records()), 36)[..2],
        [
            sent(ns, "a v=1 1000000000\na v=2 1000000000\n"),
            sent(ns, "a v=3 1000000000\na v=4 1000000000"),
        ]
    );
}

#[test]
fn a_refused_joined_request_goes_again_in_pieces_and_newer_records_join_again() {
    let s = Precision::Seconds;
    let mut lane = lane((0..2).map(|_| record("a v=1", s, Ending::Closed)));
    assert_eq!(next(&mut lane, 1000), "a v=1\na v=1");
    for sequence in 3..5 {
        lane.push(queued(sequence, record("b v=1", s, Ending::Closed)));
    }
    lane.separate(Failure::Quick);
    let mut bodies = Vec::new();
    while !lane.is_empty() {
        bodies.push(next(&mut lane, 1000));
        drop(lane.settled(lane.under_way().len()));
    }
    assert_eq!(bodies, ["a v=1", "a v=1", "b v=1\nb v=1"]);
}

/// Sends everything to a replica that refuses what holds a bad record. Returns the number of requests.
fn send_all(lane: &mut Lane, bad: &[u64]) -> usize {
    let (mut requests, mut refused, mut settled) = (0, Vec::new(), Vec::new());
    while !lane.is_empty() {
        next(lane, 1_000_000);
        requests += 1;
        let sequences: Vec<u64> = lane.under_way().iter().map(|one| one.get()).collect();
        let is_refused = sequences.iter().any(|sequence| bad.contains(sequence));
        match (is_refused, sequences.as_slice()) {
            (true, [alone]) => refused.push(*alone),
            (true, _) => {
                lane.separate(Failure::Quick);
                continue;
            }
            (false, _) => {}
        }
        settled.extend_from_slice(&sequences);
        drop(lane.settled(sequences.len()));
    }
    assert!(settled.is_sorted());
    assert_eq!(refused, bad, "each alone, and no other");
    requests
}

fn equal_records(count: usize) -> Lane {
    lane((0..count).map(|_| record("a v=1 1", Precision::Seconds, Ending::Closed)))
}

#[test]
fn one_bad_record_among_many_costs_few_requests_and_many_bad_ones_hardly_more_than_one_each() {
    assert!(send_all(&mut equal_records(4096), &[2900]) <= 4 * PIECES + 1);
    let all: Vec<u64> = (1..=512).collect();
    assert!(send_all(&mut equal_records(512), &all) <= 512 * 8 / 7 + 1);
}

proptest::proptest! {
    #[test]
    fn whatever_is_bad_is_refused_alone_and_everything_keeps_its_order(
        count in 1_usize..300, bad in proptest::collection::btree_set(1_u64..300, 0..20),
    ) {
        let bad: Vec<u64> = bad.into_iter().filter(|bad| *bad <= count as u64).collect();
        send_all(&mut equal_records(count), &bad);
    }
}

#[test]
fn a_held_lane_waits_and_keeps_its_order() {
    let s = Precision::Seconds;
    let mut lane = lane(vec![record("a v=1", s, Ending::Closed)]);
    let now = Instant::now();
    assert_eq!(lane.ready_at(now), Some(now));
    next(&mut lane, 1000);
    assert_eq!(lane.ready_at(now), None);
    let held_since = lane.hold(now);
    assert_eq!(held_since, now);
    assert!(lane.ready_at(now).is_some_and(|moment| moment > now));
    assert_eq!(lane.hold(now + Duration::from_secs(1)), held_since);
}

#[test]
fn what_cannot_be_cut_goes_in_gzip_once() {
    let seconds = Precision::Seconds;
    let mut lane = lane(vec![
        record(
            "a v=1 1\nlonger,tag=x v=1 1\nb v=1 1",
            seconds,
            Ending::Closed,
        ),
        record("c v=1 1", seconds, Ending::Closed),
    ]);
    // The record is cut, and its second piece is too large alone.
    lane.start(1000, 10).expect("a request");
    assert!(!lane.is_packed());
    assert!(lane.piece_judged(Report::Applied).is_none());
    let (_, body) = lane.start(1000, 10).expect("a request");
    assert_eq!(body.length(), "longer,tag=x v=1 1".len());
    assert!(!lane.cut(5));
    let (sequence, plain) = lane.to_pack().expect("it may go in gzip");
    assert_eq!(sequence.get(), 1);
    assert_eq!(plain, "longer,tag=x v=1 1");
    lane.pack(Bytes::from_static(b"gzip"));
    assert_eq!(next(&mut lane, 1000), "gzip");
    assert!(lane.is_packed() && lane.to_pack().is_none(), "not twice");
    // Without an answer it goes again like that; with one, what follows goes as it is.
    lane.failed();
    assert_eq!(next(&mut lane, 1000), "gzip");
    assert!(lane.piece_judged(Report::Applied).is_none());
    assert!(!lane.is_packed());
    assert_eq!(next(&mut lane, 1000), "b v=1 1");
    assert!(lane.piece_judged(Report::Applied).is_some());
    lane.settled(1);
    assert_eq!(next(&mut lane, 1000), "c v=1 1");

    let mut prometheus = record("x", seconds, Ending::Open);
    prometheus.destination.form = Form::Prometheus;
    let mut other = Lane::new(Backoff::new(Duration::ZERO, Duration::ZERO));
    other.push(queued(1, prometheus));
    other.start(1000, 1000).expect("a request");
    assert!(other.to_pack().is_none(), "it is compressed already");
}
