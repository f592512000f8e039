use super::*;
use crate::journal::Position;
use crate::relay::replica::identity_point::IdentityPoint;
use crate::relay::replica::identity_point::tests::record;

const REWIND: Duration = Duration::from_secs(30);

fn at(sequence: u64) -> Checkpoint {
    Checkpoint {
        position: Position {
            sequence: Sequence::new(sequence),
            offset: sequence * 100,
        },
        identity_point: None,
    }
}

/// The node answers every second, from one moment to another.
fn works(doubts: &mut Doubts, start: Instant, seconds: std::ops::RangeInclusive<u64>) {
    for second in seconds {
        doubts.heard(start + Duration::from_secs(second));
    }
}

fn settle(doubts: &mut Doubts) -> Vec<(String, Checkpoint)> {
    let mut settled = doubts.settle(|_| true);
    settled.sort_by(|(one, _), (other, _)| one.cmp(other));
    settled
}

fn of(lane: &str, sequence: u64) -> Vec<(String, Checkpoint)> {
    vec![(lane.to_owned(), at(sequence))]
}

#[test]
fn a_lane_is_in_doubt_until_the_node_had_its_time_and_others_are_not() {
    let start = Instant::now();
    let later = |seconds| start + Duration::from_secs(seconds);
    let mut doubts = Doubts::new(REWIND);
    works(&mut doubts, start, 0..=0);
    doubts.doubt(later(1), "a", at(5));
    doubts.doubt(later(11), "b", at(3));
    assert_eq!(doubts.oldest(), Some(&at(3)));
    assert_eq!(doubts.lanes().count(), 2);
    works(&mut doubts, start, 1..=30);
    assert!(!doubts.is_over("a"));
    assert_eq!(settle(&mut doubts), []);
    assert_eq!(doubts.next_hearing(), Some(later(31)));
    works(&mut doubts, start, 31..=31);
    assert!(doubts.is_over("a") && !doubts.is_over("b"));
    assert_eq!(doubts.settle(|lane| lane != "a"), [], "it is not idle");
    assert_eq!(settle(&mut doubts), of("a", 5));
    assert_eq!(doubts.lanes().collect::<Vec<_>>(), ["b"]);
    works(&mut doubts, start, 32..=45);
    assert_eq!(settle(&mut doubts), of("b", 3));
    assert!(doubts.is_empty());
    assert_eq!((doubts.oldest(), doubts.next_hearing()), (None, None));
}

#[test]
fn while_a_node_stands_still_its_time_does_too() {
    let start = Instant::now();
    let mut doubts = Doubts::new(REWIND);
    works(&mut doubts, start, 0..=0);
    doubts.doubt(start, "a", at(5));
    works(&mut doubts, start, 1..=20);
    // Silent for long: a part of it counts if nothing told of an interruption, and nothing if something did.
    works(&mut doubts, start, 100..=100);
    assert_eq!(settle(&mut doubts), []);
    doubts.interrupted();
    assert_eq!(doubts.next_hearing(), None);
    works(&mut doubts, start, 200..=202);
    assert_eq!(settle(&mut doubts), []);
    works(&mut doubts, start, 203..=203);
    assert_eq!(settle(&mut doubts), of("a", 5));
}

#[test]
fn a_silence_before_the_doubt_does_not_count() {
    let start = Instant::now();
    let mut doubts = Doubts::new(REWIND);
    works(&mut doubts, start, 0..=0);
    doubts.doubt(start + Duration::from_secs(7), "a", at(5));
    works(&mut doubts, start, 7..=36);
    assert_eq!(settle(&mut doubts), []);
    works(&mut doubts, start, 37..=37);
    assert_eq!(settle(&mut doubts), of("a", 5));
}

#[test]
fn who_leaves_requests_without_an_answer_now_and_then_is_not_kept_at_the_first_one() {
    let start = Instant::now();
    let mut doubts = Doubts::new(REWIND);
    let mut from = Vec::new();
    // A request without an answer every five seconds.
    for second in 1..=200 {
        if second % 5 == 0 {
            doubts.doubt(start + Duration::from_secs(second), "a", at(second));
        }
        works(&mut doubts, start, second..=second);
        let settled = settle(&mut doubts).into_iter();
        from.extend(settled.map(|(_, from)| from.position.sequence.get()));
        let oldest = doubts.oldest().map(|from| from.position.sequence.get());
        assert!(
            oldest.is_none_or(|oldest| oldest + 66 > second),
            "at {second}: {oldest:?}"
        );
    }
    assert!(from.is_sorted() && from.len() >= 4, "{from:?}");
    doubts.forget();
    assert!(doubts.is_empty());
}

#[test]
fn what_the_previous_run_had_under_way_is_in_doubt_lane_by_lane() {
    let start = Instant::now();
    let mut doubts = Doubts::new(REWIND);
    doubts.begin_after_crash(start, Sequence::new(9));
    assert!(!doubts.is_empty() && doubts.lanes().next().is_none());
    assert!(doubts.read("a", Sequence::new(4), || at(3)));
    assert!(
        !doubts.read("a", Sequence::new(5), || at(4)),
        "it is already"
    );
    assert!(!doubts.read("b", Sequence::new(10), || at(9)), "it is new");
    works(&mut doubts, start, 0..=29);
    assert!(doubts.read("c", Sequence::new(9), || at(8)));
    works(&mut doubts, start, 30..=30);
    let both = [of("a", 3), of("c", 8)].concat();
    assert_eq!(settle(&mut doubts), both);
    assert!(
        !doubts.read("d", Sequence::new(8), || at(7)),
        "it had its time"
    );
    assert!(doubts.is_empty());
}

#[test]
fn they_are_bounded() {
    let start = Instant::now();
    let mut doubts = Doubts::new(REWIND);
    doubts.begin_after_crash(start, Sequence::new(1 << 20));
    for number in 0..MOST_LANES as u64 {
        let lane = number.to_string();
        assert!(doubts.has_room() && doubts.has_room_for(&lane));
        doubts.read(&lane, Sequence::new(number + 1), || at(number));
    }
    assert!(!doubts.has_room() && !doubts.has_room_for("another"));
    assert!(doubts.has_room_for("7"));
    works(&mut doubts, start, 0..=30);
    assert_eq!(settle(&mut doubts).len(), MOST_LANES);
    assert!(doubts.has_room());
}

#[test]
fn points_that_may_be_removed_prove_nothing() {
    let mut doubts = Doubts::new(REWIND);
    let point = IdentityPoint::of(&record("m v=1 1")).expect("a point");
    let from = Checkpoint {
        identity_point: Some(std::sync::Arc::new(point)),
        ..at(5)
    };
    doubts.doubt(Instant::now(), "a", from.clone());
    assert_eq!(doubts.oldest(), Some(&from));
    doubts.forget_identity_points(&Removal::Points(None));
    assert_eq!(doubts.oldest(), Some(&at(5)));
}
