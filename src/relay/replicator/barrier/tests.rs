use std::time::Duration;

use super::*;
use crate::relay::record::samples::{statement_record, write_record};
use crate::relay::record::write::Destination;

const MAX_BATCH: usize = 1000;

fn write(database: &str, bytes: usize) -> WriteRecord {
    let record = write_record(vec![b'x'; bytes]);
    WriteRecord {
        destination: Destination {
            database: database.to_owned(),
            ..record.destination
        },
        ..record
    }
}

fn statement(sequence: u64, shown: &str) -> Barrier {
    let position = Position {
        sequence: Sequence::new(sequence),
        offset: sequence * 100,
    };
    let pause = Duration::from_secs(1);
    Barrier::new(
        position,
        statement_record(shown),
        Backoff::new(pause, pause),
    )
}

struct Fixture {
    barriers: Barriers,
    window: Window,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture {
            barriers: Barriers::new(MAX_BATCH),
            window: Window::new(MAX_BATCH),
        }
    }

    fn meet(&mut self, sequence: u64, record: WriteRecord) -> &'static str {
        let sequence = Sequence::new(sequence);
        match self.barriers.meet(sequence, record, &mut self.window) {
            Met::Free(_) => "free",
            Met::Parked => "parked",
            Met::Skipped => "skipped",
        }
    }
}

#[test]
fn a_statement_holds_what_comes_behind_it_in_the_lanes_that_it_touches() {
    let mut fixture = Fixture::new();
    fixture.barriers.push(statement(5, "CREATE DATABASE db"));
    assert_eq!(fixture.meet(4, write("db", 10)), "free");
    assert_eq!(fixture.meet(6, write("other", 10)), "free");
    assert_eq!(fixture.meet(7, write("db", 10)), "parked");
    assert!(fixture.barriers.hold(Sequence::new(8), "db"));
    assert!(!fixture.barriers.hold(Sequence::new(8), "other"));
    let oldest = fixture.barriers.oldest_parked();
    assert_eq!(oldest.get("db"), Some(&Sequence::new(7)));
    let passed = fixture.barriers.pass().expect("a statement");
    assert_eq!(passed.parked.len(), 1);
    assert!(!passed.has_skipped);
    assert_eq!(fixture.meet(8, write("db", 10)), "free");
}

#[test]
fn what_finds_no_room_is_skipped_and_so_is_all_that_follows_it() {
    let mut fixture = Fixture::new();
    fixture.barriers.push(statement(5, "CREATE DATABASE db"));
    // The first one always finds room, however large it is.
    assert_eq!(fixture.meet(6, write("db", 10 * MAX_BATCH)), "parked");
    assert_eq!(fixture.meet(7, write("db", 10)), "skipped");
    assert_eq!(fixture.meet(8, write("db", 10)), "skipped");
    let passed = fixture.barriers.pass().expect("a statement");
    assert!(passed.has_skipped);
    assert_eq!(fixture.barriers.parked, 0);
}

#[test]
fn what_is_skipped_is_skipped_slowly() {
    let mut fixture = Fixture::new();
    let now = Instant::now();
    fixture.barriers.push(statement(5, "CREATE DATABASE db"));
    assert_eq!(fixture.meet(6, write("db", 10 * MAX_BATCH)), "parked");
    assert!(!fixture.barriers.have_skipped());
    assert_eq!(fixture.meet(7, write("db", MAX_BATCH)), "skipped");
    assert!(fixture.barriers.have_skipped());
    assert_eq!(fixture.barriers.reads_on_at(Instant::now()), None);
    assert_eq!(fixture.meet(8, write("db", SKIPPED_A_SECOND)), "skipped");
    let reads_on = fixture.barriers.reads_on_at(now).expect("a pause");
    let pause = reads_on - now;
    assert!(
        (Duration::from_millis(990)..Duration::from_secs(2)).contains(&pause),
        "{pause:?}"
    );
    assert_eq!(fixture.barriers.reads_on_at(reads_on), None);
    // The statement is passed, and all is read again.
    assert!(fixture.barriers.pass().expect("a statement").has_skipped);
    fixture.barriers.clear();
    assert!(!fixture.barriers.have_skipped());
    assert_eq!(fixture.barriers.reads_on_at(now), None);
}

#[test]
fn what_waits_for_the_second_statement_is_not_let_go_with_the_first() {
    let mut fixture = Fixture::new();
    fixture.barriers.push(statement(5, "CREATE DATABASE db"));
    assert_eq!(fixture.meet(6, write("db", 10)), "parked");
    fixture.barriers.push(statement(7, "DROP DATABASE db"));
    // It stands behind the first one, too, and meets the second when that is passed.
    assert_eq!(fixture.meet(8, write("db", 10)), "parked");
    let passed = fixture.barriers.pass().expect("a statement");
    let waited: Vec<u64> = passed.parked.iter().map(|(one, _)| one.get()).collect();
    assert_eq!(waited, [6, 8]);
    assert_eq!(fixture.meet(6, write("db", 10)), "free");
    assert_eq!(fixture.meet(8, write("db", 10)), "parked");
    assert_eq!(
        fixture.barriers.next().map(|one| one.sequence.get()),
        Some(7)
    );
}

#[test]
fn one_that_touches_all_lanes_ends_the_reading() {
    let mut fixture = Fixture::new();
    fixture.barriers.push(statement(5, "CREATE DATABASE db"));
    assert!(fixture.barriers.may_read_past());
    fixture
        .barriers
        .push(statement(6, "CREATE USER u WITH PASSWORD 'p'"));
    assert!(!fixture.barriers.may_read_past());
    let now = Instant::now();
    assert!(!fixture.barriers.hold_all_up(now));
    assert!(fixture.barriers.hold_all_up(now + PATIENCE));
    assert_eq!(
        fixture.barriers.held_up(now + PATIENCE).collect::<Vec<_>>(),
        ["db"]
    );
    fixture.barriers.clear();
    assert!(fixture.barriers.may_read_past());
}

#[test]
fn as_many_statements_are_read_ahead_as_may_be() {
    let mut fixture = Fixture::new();
    for number in 0..=MOST_STATEMENTS as u64 {
        assert!(fixture.barriers.may_read_past());
        fixture
            .barriers
            .push(statement(number, "CREATE DATABASE db"));
    }
    assert!(!fixture.barriers.may_read_past());
}
