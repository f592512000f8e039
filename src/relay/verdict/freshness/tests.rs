use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use super::*;
use crate::relay::dead_letters::{DeadLetter, Limits};
use crate::relay::record::change::Change;
use crate::relay::record::samples::write_record;

/// Where both replicas are.
const SOMEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> Databases {
    Databases::Named {
        names: names.into_iter().map(str::to_owned).collect(),
        default: false,
    }
}

fn at(number: u64) -> Sequence {
    Sequence::new(number)
}

struct Fixture {
    freshness: Freshness,
    _folder: tempfile::TempDir,
}

/// Two replicas that have come up to 10 of a journal that ended there.
fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits {
        letters: 10,
        bytes: 1 << 20,
    };
    let letters = DeadLetters::open(&folder.path().join("letters"), limits).expect("a store");
    let replicas = vec!["a".to_owned(), "b".to_owned()];
    let freshness = Freshness::new(replicas, letters, at(10));
    for replica in 0..2 {
        freshness.update(replica, |view| {
            view.trusted_at = Some(SOMEWHERE);
            view.cursor = at(10);
            view.read = at(10);
        });
    }
    Fixture {
        freshness,
        _folder: folder,
    }
}

/// A statement that takes nothing away.
fn ahead(number: u64, touched: &Touched) -> Ahead {
    Ahead {
        sequence: at(number),
        touched: touched.clone(),
        withdrawal: Withdrawal::Nothing,
    }
}

fn fresh(freshness: &Freshness, databases: &Databases) -> [bool; 2] {
    let demand = freshness.demand(databases);
    [0, 1].map(|replica| freshness.is_fresh(replica, &demand))
}

#[test]
fn a_read_goes_to_who_has_applied_what_was_acknowledged_of_its_databases() {
    let Fixture { freshness, _folder } = fixture();
    let early = freshness.demand(&names(["db"]));
    freshness.update(0, |view| {
        view.read = at(12);
        view.pending.insert("other".to_owned(), at(11));
    });
    freshness.acknowledge_write("db", at(12));
    assert_eq!(fresh(&freshness, &names(["db"])), [true, false]);
    assert_eq!(fresh(&freshness, &names(["other"])), [true, true]);
    assert_eq!(fresh(&freshness, &names(["db", "other"])), [true, false]);
    assert_eq!(fresh(&freshness, &Databases::Unknown), [false, false]);
    assert!(freshness.is_fresh(1, &early), "a demand keeps its marks");
    freshness.update(1, |view| view.cursor = at(12));
    assert_eq!(fresh(&freshness, &names(["db"])), [true, true]);
}

#[test]
fn a_statement_is_for_the_databases_that_it_touches() {
    let Fixture { freshness, _folder } = fixture();
    let touched = Touched::Lanes(Arc::new(["db".to_owned()].into()));
    freshness.update(0, |view| {
        view.read = at(12);
        view.statements = vec![ahead(11, &touched)];
    });
    freshness.update(1, |view| view.cursor = at(11));
    freshness.acknowledge_statement(at(11), &touched);
    assert_eq!(fresh(&freshness, &names(["db"])), [false, true]);
    assert_eq!(fresh(&freshness, &names(["other"])), [true, true]);
    assert_eq!(fresh(&freshness, &Databases::Unknown), [false, true]);
    // What is no database's.
    assert_eq!(fresh(&freshness, &names([])), [false, true]);
    // What passes it counts.
    freshness.acknowledge_write("other", at(12));
    assert_eq!(fresh(&freshness, &names(["other"])), [true, false]);
    freshness.update(0, |view| {
        view.statements.clear();
        view.carry_out(at(11), &touched);
        view.cursor = at(12);
    });
    assert_eq!(fresh(&freshness, &names([])), [true, true]);
    assert_eq!(fresh(&freshness, &names(["db"])), [true, true]);
}

#[test]
fn what_a_statement_takes_away_nobody_grants_who_is_before_it() {
    let Fixture { freshness, _folder } = fixture();
    let granted = |statement| {
        [0, 1].map(|replica| {
            ["db", "other", ""]
                .map(|database| freshness.has_withdrawn(replica, at(statement), database))
        })
    };
    assert_eq!(granted(11), [[false; 3]; 2], "not read yet");
    let withdrawals = [
        (Withdrawal::Nothing, [true, true, true]),
        (
            Withdrawal::Databases(["db".to_owned()].into()),
            [false, true, true],
        ),
        (Withdrawal::All, [false, false, false]),
    ];
    freshness.update(1, |view| view.cursor = at(12));
    for (withdrawal, expected) in withdrawals {
        freshness.update(0, |view| {
            view.read = at(12);
            view.statements = vec![Ahead {
                withdrawal: withdrawal.clone(),
                ..ahead(11, &Touched::All)
            }];
        });
        assert_eq!(granted(11), [expected, [true; 3]], "{withdrawal:?}");
        assert_eq!(granted(10), [[true; 3]; 2], "{withdrawal:?}");
    }
    freshness.update(0, |view| view.trusted_at = None);
    assert_eq!(granted(10), [[false; 3], [true; 3]]);
}

#[test]
fn a_statement_of_all_databases_is_for_all() {
    let Fixture { freshness, _folder } = fixture();
    freshness.update(0, |view| {
        view.read = at(11);
        view.statements = vec![ahead(11, &Touched::All)];
    });
    freshness.update(1, |view| view.cursor = at(11));
    assert_eq!(fresh(&freshness, &names(["db"])), [true, true]);
    freshness.acknowledge_statement(at(11), &Touched::All);
    assert_eq!(fresh(&freshness, &names(["db"])), [false, true]);
    assert_eq!(fresh(&freshness, &names([])), [false, true]);
}

#[test]
fn after_a_start_everything_up_to_the_head_is_asked_for() {
    let Fixture { freshness, _folder } = fixture();
    let demand = Demand {
        statement: Sequence::ZERO,
        writes: Writes::Of(vec![("db".to_owned(), at(10))]),
    };
    assert_eq!(freshness.demand(&names(["db"])), demand);
    assert_eq!(freshness.demand(&names([])).statement, at(10));
    assert_eq!(
        freshness.demand(&Databases::Unknown).writes,
        Writes::All(at(10))
    );
    freshness.update(0, |view| {
        view.cursor = at(9);
        view.read = at(9);
    });
    assert_eq!(fresh(&freshness, &names(["db"])), [false, true]);
}

#[test]
fn who_goes_back_is_not_fresh_before_it_is_where_it_was() {
    let Fixture { freshness, _folder } = fixture();
    // It had come to 20, of which nothing was acknowledged; what it shows must not be older than that.
    freshness.update(0, |view| {
        view.had = at(20);
        view.cursor = at(15);
        view.read = at(18);
    });
    assert_eq!(fresh(&freshness, &names(["db"])), [false, true]);
    freshness.update(0, |view| {
        view.read = at(20);
        view.pending.insert("other".to_owned(), at(16));
    });
    assert_eq!(fresh(&freshness, &names(["db"])), [true, true]);
    assert_eq!(fresh(&freshness, &names(["other"])), [false, true]);
}

#[test]
fn doubt_distrust_and_open_refusals_keep_it_from_reads() {
    let Fixture { freshness, _folder } = fixture();
    freshness.update(0, |view| view.doubt(["db".to_owned()].into()));
    assert_eq!(fresh(&freshness, &names(["db"])), [false, true]);
    assert_eq!(fresh(&freshness, &names(["other"])), [true, true]);
    assert_eq!(fresh(&freshness, &Databases::Unknown), [false, true]);
    let demand = freshness.demand(&names(["db"]));
    assert!(!freshness.may_become_fresh(0, &demand));
    freshness.update(0, |view| {
        view.doubt(HashSet::new());
        view.trusted_at = None;
    });
    assert_eq!(fresh(&freshness, &names(["other"])), [false, true]);
    freshness.update(0, |view| {
        view.trusted_at = Some(SOMEWHERE);
        view.unsettled = 1;
    });
    assert_eq!(fresh(&freshness, &names(["other"])), [false, true]);
}

#[test]
fn more_databases_than_can_be_told_apart_ask_for_more_not_for_less() {
    let Fixture { freshness, _folder } = fixture();
    for number in 0..=MOST_DATABASES as u64 {
        freshness.acknowledge_write(&number.to_string(), at(100 + number));
    }
    let marks = freshness.marks();
    assert!(marks.databases.len() <= MOST_DATABASES);
    drop(marks);
    let demand = freshness.demand(&names(["0"]));
    freshness.update(0, |view| view.cursor = at(100 + MOST_DATABASES as u64));
    freshness.update(1, |view| view.cursor = at(99));
    assert!(freshness.is_fresh(0, &demand) && !freshness.is_fresh(1, &demand));
}

#[tokio::test]
async fn a_wait_ends_when_a_replica_has_caught_up_or_its_time_is_over() {
    let Fixture { freshness, _folder } = fixture();
    freshness.acknowledge_write("db", at(11));
    let demand = freshness.demand(&names(["db"]));
    let ready = || freshness.is_fresh(0, &demand).then_some(());
    assert_eq!(
        freshness.wait_for(Duration::from_millis(1), ready).await,
        None
    );
    let wait = freshness.wait_for(Duration::from_secs(60), ready);
    let arrive = async {
        tokio::task::yield_now().await;
        freshness.update(0, |view| view.cursor = at(11));
    };
    assert_eq!(tokio::join!(wait, arrive).0, Some(()));
    assert_eq!(freshness.waiting.load(Ordering::SeqCst), 0);
}

#[test]
fn what_was_shown_once_is_asked_for_from_then_on() {
    let Fixture { freshness, _folder } = fixture();
    let demand = freshness.demand(&names(["db"]));
    // A write goes to one replica, which may show it before it has answered.
    freshness.update(0, |view| {
        view.read = at(12);
        view.pending.insert("db".to_owned(), at(11));
        view.send("db", at(11));
        view.send("other", at(12));
    });
    assert_eq!(fresh(&freshness, &names(["db"])), [true, true]);
    freshness.shown(1, &demand);
    assert_eq!(
        fresh(&freshness, &names(["db"])),
        [true, true],
        "it has not been sent to that one"
    );
    freshness.shown(0, &demand);
    assert_eq!(fresh(&freshness, &names(["db"])), [false, false]);
    assert_eq!(fresh(&freshness, &names(["other"])), [true, true]);
    freshness.update(0, |view| {
        view.pending.clear();
        view.cursor = at(12);
    });
    assert_eq!(fresh(&freshness, &names(["db"])), [true, false]);
    // A read of everything has seen everything.
    freshness.shown(0, &freshness.demand(&Databases::Unknown));
    assert_eq!(fresh(&freshness, &names(["third"])), [true, false]);
    // A statement that one has carried out is seen too.
    freshness.update(1, |view| {
        view.carry_out(
            at(20),
            &Touched::Lanes(Arc::new(["fourth".to_owned()].into())),
        );
        view.cursor = at(20);
    });
    freshness.shown(1, &freshness.demand(&names([])));
    assert_eq!(fresh(&freshness, &names([])), [false, true]);
    assert_eq!(fresh(&freshness, &names(["fourth"])), [true, true]);
    freshness.shown(1, &freshness.demand(&names(["fourth"])));
    assert_eq!(fresh(&freshness, &names(["fourth"])), [false, true]);
}

#[test]
fn an_answer_counts_only_if_its_replica_was_not_set_back_since_the_read_was_sent() {
    let Fixture { freshness, _folder } = fixture();
    let demand = freshness.demand(&names(["db"]));
    let sent = freshness.send(0, &demand).expect("it is fresh");
    assert!(freshness.is_fresh_since(sent, 0, &demand));
    freshness.update(0, |view| {
        view.is_set_back();
        view.cursor = at(5);
        view.read = at(5);
    });
    assert!(!freshness.is_fresh_since(sent, 0, &demand));
    freshness.update(0, |view| {
        view.cursor = at(10);
        view.read = at(10);
    });
    assert!(freshness.is_fresh(0, &demand), "it is where it was");
    assert!(!freshness.is_fresh_since(sent, 0, &demand));
    assert!(!freshness.is_fresh_since(sent, 2, &demand));
}

#[test]
fn a_replica_is_settled_when_it_has_judged_all_and_none_of_its_data_is_in_doubt() {
    let Fixture { freshness, _folder } = fixture();
    assert!(freshness.is_settled(0, at(10)));
    assert!(!freshness.is_settled(0, at(11)), "not read");
    assert!(!freshness.is_settled(2, at(10)), "no replica");
    freshness.update(0, |view| {
        view.read = at(12);
        view.pending.insert("db".to_owned(), at(12));
    });
    assert!(freshness.is_settled(0, at(11)) && !freshness.is_settled(0, at(12)));
    freshness.update(0, |view| {
        view.pending.clear();
        view.doubt(HashSet::from(["other".to_owned()]));
    });
    assert!(!freshness.is_settled(0, at(12)), "in doubt");
    freshness.update(0, |view| {
        view.doubt(HashSet::new());
        view.trusted_at = None;
    });
    assert!(!freshness.is_settled(0, at(12)), "out of reach");
}

#[tokio::test]
async fn what_a_replica_refused_is_missing_too() {
    let Fixture { freshness, _folder } = fixture();
    for (sequence, database) in [(3, "db"), (4, "db"), (5, "other")] {
        let mut record = write_record("m v=1 1");
        record.destination.database = database.to_owned();
        let letter = DeadLetter {
            replica: "a".to_owned(),
            sequence,
            record: Change::Write(record),
            status: 400,
            reason: "refused".to_owned(),
            time: SystemTime::now(),
        };
        freshness.letters().keep(letter).await.expect("kept");
    }
    let behind = |databases: &Databases| freshness.behind(0, &freshness.demand(databases));
    assert_eq!(behind(&names(["db"])), 2);
    assert_eq!(behind(&Databases::Unknown), 3);
    freshness.update(0, |view| view.cursor = at(8));
    assert_eq!(behind(&names(["db"])), 4);
    assert_eq!(behind(&names(["none"])), 2);
    let demand = freshness.demand(&names(["db"]));
    freshness.update(1, |view| view.is_going_back = true);
    assert_eq!(freshness.behind(1, &demand), 1, "it is not fresh");
}
