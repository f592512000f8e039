//! A record that is larger than a replica takes at once, on its way there in pieces.
//!
//! A replica may take smaller requests than haflux does from its clients (its `max-body-size`, or that of something in front
//! of it), and says 413. Then the record is cut between lines and its pieces are sent one after the other, before anything
//! later in the lane; a piece that is still too large is cut again, down to one line. Nothing of a request that was too large
//! is stored, so no line is sent twice. The record is applied if all of it was; what one piece is refused for, it is refused
//! for, and the other pieces are sent all the same: a replica that takes larger requests has stored those lines too (W1).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::influx::split;
use crate::relay::record::write::{Form, WriteRecord};
use crate::relay::verdict::pending::Report;

/// What is left of a record, and what became of the rest.
#[derive(Debug)]
pub(in crate::relay) struct Parts {
    /// In order, the first one next or under way; never empty.
    waiting: VecDeque<Bytes>,
    /// The verdict on the pieces before.
    report: Report,
}

impl Parts {
    /// The record in pieces of at most `most` bytes, as far as lines allow; `None` if that does not make it smaller.
    pub(in crate::relay) fn of(record: &WriteRecord, most: usize) -> Option<Parts> {
        match record.destination.form {
            Form::LineProtocol => Some(Parts {
                waiting: smaller(&record.body, most)?.into(),
                report: Report::Applied,
            }),
            Form::Prometheus => None,
        }
    }

    /// The piece to send.
    pub(in crate::relay) fn next(&self) -> Bytes {
        self.waiting.front().cloned().unwrap_or_default()
    }

    /// The piece under way was too large. Whether it could be cut.
    pub(in crate::relay) fn cut(&mut self, most: usize) -> bool {
        let pieces = self.waiting.front().and_then(|piece| smaller(piece, most));
        let Some(pieces) = pieces else {
            return false;
        };
        self.waiting.pop_front();
        for piece in pieces.into_iter().rev() {
            self.waiting.push_front(piece);
        }
        true
    }

    /// The verdict on the piece under way. Returns the one on the record, if that was the last piece.
    pub(in crate::relay) fn judged(&mut self, report: Report) -> Option<Report> {
        if severity(&report) > severity(&self.report) {
            self.report = report;
        }
        self.waiting.pop_front();
        self.waiting.is_empty().then(|| self.report.clone())
    }
}

/// Of equal ones the first counts.
fn severity(report: &Report) -> u8 {
    match report {
        Report::Applied => 0,
        Report::Expired(_) => 1,
        Report::Refused(_) | Report::Needless { .. } | Report::SetAside => 2,
    }
}

/// The body in pieces of which each is smaller than the body was.
fn smaller(body: &Bytes, most: usize) -> Option<Vec<Bytes>> {
    let pieces = split(body, most);
    let longest = pieces.iter().map(Bytes::len).max()?;
    (longest < body.len()).then_some(pieces)
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use proptest::prelude::*;

    use super::*;
    use crate::influx::{Ending, Precision, normalize};
    use crate::journal::Sequence;
    use crate::relay::record::samples::write_record;

    use crate::relay::replicator::queue::lane::tests::lane;
    use crate::relay::replicator::queue::lane::{Failure, Lane};
    use crate::relay::verdict::refusals::Refusal;

    fn record(form: Form, body: &str) -> WriteRecord {
        let normalized = normalize(
            Bytes::copy_from_slice(body.as_bytes()),
            0,
            Precision::Nanoseconds,
            1000,
        );
        let mut record = write_record(&normalized.body);
        record.destination.form = form;
        record.destination.precision = Precision::Nanoseconds;
        record.ending = normalized.ending;
        record
    }

    fn refusal(status: u16) -> Report {
        Report::Refused(Refusal::new(status, "no"))
    }

    /// A node with a limit, and what it was sent.
    struct Node {
        limit: usize,
        requests: usize,
        stored: Vec<String>,
        verdicts: Vec<(u64, bool)>,
        largest: usize,
    }

    impl Node {
        fn new(limit: usize) -> Node {
            Node {
                limit,
                requests: 0,
                stored: Vec::new(),
                verdicts: Vec::new(),
                largest: usize::MAX,
            }
        }

        /// Sends a lane to it, as the replicator does.
        fn take(&mut self, lane: &mut Lane, max_batch: usize) {
            while !lane.is_empty() {
                let (_, mut body) = lane.start(max_batch, self.largest).expect("a request");
                let body = body.copy_to_bytes(body.remaining());
                self.requests += 1;
                let sequences = lane.under_way();
                let report = if body.len() > self.limit {
                    self.largest = self.largest.min(body.len() / 2);
                    if lane.cut(self.largest) {
                        continue;
                    }
                    refusal(413)
                } else if memchr::memmem::find(&body, b"bad").is_some() {
                    if sequences.len() > 1 {
                        lane.separate(Failure::Quick);
                        continue;
                    }
                    refusal(400)
                } else {
                    Report::Applied
                };
                if body.len() <= self.limit {
                    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
                    self.stored.extend(text.lines().map(str::to_owned));
                }
                if let Some(report) = lane.piece_judged(report) {
                    let applied = matches!(report, Report::Applied);
                    self.verdicts
                        .extend(sequences.iter().map(|sequence| (sequence.get(), applied)));
                    lane.settled(sequences.len());
                }
            }
        }
    }

    /// `n` names the line, so that none is mistaken for another.
    fn line(n: usize, (length, is_bad): (usize, bool)) -> String {
        let kind = if is_bad { "bad" } else { "m" };
        format!("{kind},n={n},pad={} v=1 1", "x".repeat(length + 1))
    }

    proptest! {
        #[test]
        fn whatever_the_limit_every_line_arrives_once_in_order_and_every_record_gets_its_verdict(
            records in proptest::collection::vec(
                proptest::collection::vec((0_usize..120, proptest::bool::weighted(0.05)), 1..12), 1..25,
            ),
            limit in 0_usize..600,
            max_batch in 1_usize..2000,
        ) {
            let mut n = 0;
            let mut named = |lines: &Vec<(usize, bool)>| -> Vec<String> {
                lines.iter().map(|shape| { n += 1; line(n, *shape) }).collect()
            };
            let records: Vec<Vec<String>> = records.iter().map(&mut named).collect();
            let mut node = Node::new(limit);
            let bodies = records.iter().map(|lines| record(Form::LineProtocol, &lines.join("\n")));
            node.take(&mut lane(bodies), max_batch);
            let fits = |line: &&String| line.len() <= limit;
            let expected: Vec<String> = records.iter().flatten().filter(fits).cloned().collect();
            prop_assert_eq!(&node.stored, &expected);
            for (sequence, (lines, verdict)) in (1..).zip(records.iter().zip(&node.verdicts)) {
                let good = lines.iter().all(|line| line.len() <= limit && !line.starts_with("bad"));
                prop_assert_eq!(*verdict, (sequence, good));
            }
            prop_assert_eq!(node.verdicts.len(), records.len());
        }
    }

    fn lines(count: usize) -> String {
        (0..count).map(|n| line(n, (10, false)) + "\n").collect()
    }

    #[test]
    fn the_limit_is_searched_once() {
        let records = || (0..40).map(|_| record(Form::LineProtocol, &lines(100)));
        let size = records().map(|record| record.body.len()).sum::<usize>();
        let mut node = Node::new(1000);
        node.take(&mut lane(records()), 1_000_000);
        let searched = node.requests;
        assert!(searched < size / 400 + 20, "{searched} requests");
        // What comes later is built below what was learnt.
        node.take(&mut lane(records()), 1_000_000);
        assert!(node.requests - searched <= searched - 5);
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        let mut node = Node::new(50);
        node.take(
            &mut lane([
                record(Form::Prometheus, &lines(10)),
                record(Form::LineProtocol, &line(1, (100, false))),
                record(Form::LineProtocol, &line(2, (1, false))),
            ]),
            1000,
        );
        assert_eq!(node.verdicts, [(1, false), (2, false), (3, true)]);
        assert_eq!(node.stored, [line(2, (1, false))]);
    }

    #[test]
    fn a_body_that_ends_open_loses_only_its_last_line() {
        let open = format!("{}m s=\"never closed", lines(5));
        let open = record(Form::LineProtocol, &open);
        assert_eq!(open.ending, Ending::Open);
        let mut node = Node::new(60);
        node.take(&mut lane([open]), 1000);
        assert_eq!(node.stored.len(), 6);
        assert_eq!(node.stored[..5].join("\n") + "\n", lines(5));
    }

    #[test]
    fn the_first_refusal_counts_and_one_for_age_counts_less() {
        let whole = record(Form::LineProtocol, &lines(4));
        let mut parts = Parts::of(&whole, 50).expect("it can be cut");
        let expired = Report::Expired(Refusal::new(400, "no"));
        assert!(parts.judged(expired).is_none());
        assert!(parts.judged(refusal(500)).is_none());
        assert!(parts.judged(refusal(413)).is_none());
        let report = parts.judged(Report::Applied);
        assert!(matches!(report, Some(Report::Refused(refusal)) if refusal.status == 500));
    }

    #[test]
    fn a_lane_that_failed_sends_the_same_piece_again_and_goes_on_from_there() {
        let mut lane = lane([record(Form::LineProtocol, &lines(4))]);
        let next = |lane: &mut Lane| {
            let (_, mut body) = lane.start(1000, 50).expect("a request");
            body.copy_to_bytes(body.remaining())
        };
        let first = next(&mut lane);
        assert!(lane.piece_judged(Report::Applied).is_none());
        let second = next(&mut lane);
        lane.failed();
        assert_eq!(next(&mut lane), second);
        assert_ne!(first, second);
        lane.hold(std::time::Instant::now());
        assert_eq!(next(&mut lane), second);
        assert_eq!(lane.under_way(), [Sequence::new(1)]);
        lane.settled(1);
        assert!(lane.is_empty());
    }
}
