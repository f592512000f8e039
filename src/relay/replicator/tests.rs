//! What a replicator makes of verdicts: what it tells whom, in which order, and when it gives up. No node is asked.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Wake, Waker};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;

use super::given_up::Want;
use super::*;
use crate::config::model::{Ack, OnUnavailable};
use crate::dial::ServerLink;
use crate::influx::Scanned;
use crate::influx::influxql::Databases;
use crate::journal::{DirectoryDisk, Observer, Options, ReadError, Sequence};
use crate::relay::dead_letters::{Limits, PendingLog};
use crate::relay::record::samples::{statement_record, write_record};
use crate::relay::record::statement::STATEMENT;
use crate::relay::record::touched::Touched;
use crate::relay::record::write::{WRITE, WriteRecord};
use crate::relay::replica::membership::MembershipFile;
use crate::relay::replicator::attempts::SavedAttempts;
use crate::relay::trust::TrustTable;
use crate::relay::verdict::pending::{Report, StatementAnswer, Wanted, statement_place};
use crate::relay::verdict::policy::Policy;
use crate::relay::verdict::reach::Reach;
use crate::relay::verdict::refusals::Refusal;
use crate::stats::server_handle::ServerHandle;
use crate::stats::{Counter, Gauge, RelayStats, ReplicaState, ReplicaStats, ReplicaStatus};

const TIMEOUT: Duration = Duration::from_secs(5);
const HOLD: Duration = Duration::from_secs(300);

/// The replicator of the first of two replicas, both of which answer.
struct Fixture {
    replicator: Replicator,
    letters: DeadLetters,
    _folder: tempfile::TempDir,
}

fn stats(name: &str) -> Arc<ReplicaStats> {
    Arc::new(ReplicaStats {
        in_doubt: Gauge::default(),
        name: name.to_owned(),
        version: ArcSwapOption::empty(),
        cursor: Gauge::default(),
        cursor_offset: Gauge::default(),
        oldest_pending: Gauge::default(),
        catch_up: Gauge::default(),
        state: ArcSwap::from_pointee(ReplicaState {
            status: ReplicaStatus::Down,
            since: std::time::SystemTime::now(),
        }),
        requests: Counter::default(),
        retries: Counter::default(),
        too_large: Counter::default(),
        request_limit: Gauge::default(),
        applied: Counter::default(),
        refused: Counter::default(),
        expired: Counter::default(),
        tried: Gauge::default(),
        set_aside: Counter::default(),
        last_error: ArcSwapOption::empty(),
        lanes: ArcSwap::default(),
    })
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = DirectoryDisk::new(folder.path().join("journal")).expect("a disk");
    let (journal, _) = Journal::open(Arc::new(disk), Options::default()).expect("a journal");
    let limits = Limits {
        letters: 10,
        bytes: 1 << 20,
    };
    let letters = DeadLetters::open(&folder.path().join("letters"), limits).expect("a store");
    let names = ["a", "b"].map(str::to_owned).to_vec();
    let freshness = Arc::new(Freshness::new(names, letters.clone(), Sequence::ZERO));
    let relay_stats = Arc::new(RelayStats {
        replicas: vec![stats("a"), stats("b")],
        ..RelayStats::default()
    });
    let policy = Policy {
        ack: Ack::Any,
        on_unavailable: OnUnavailable::Accept,
    };
    let pending_clients = PendingClients::new(
        policy,
        TIMEOUT,
        vec![Sequence::ZERO; 2],
        1000,
        Arc::clone(&relay_stats),
        Arc::clone(&freshness),
    );
    for replica in 0..2 {
        pending_clients.set_reach(replica, Reach::Near);
        freshness.update(replica, |view| {
            view.trusted_at = Some(([127, 0, 0, 1], 1).into())
        });
    }
    letters.set_follows("b", true);
    let membership_file = Arc::new(MembershipFile::open(folder.path()).expect("a file"));
    let [replica, other] = [0, 1].map(|index| {
        let stats = Arc::clone(&relay_stats.replicas[index]);
        let link = ServerLink {
            state: Arc::new(ServerHandle::new(&stats.name, None, true)),
            dialer: Arc::default(),
        };
        let (relay_stats, file) = (Arc::clone(&relay_stats), Arc::clone(&membership_file));
        Arc::new(Replica::new(index, link, TIMEOUT, stats, relay_stats, file))
    });
    let pending_clients = Arc::new(pending_clients);
    journal.observe(Arc::clone(&pending_clients) as Arc<dyn Observer>);
    let log = PendingLog::open(&folder.path().join("letters/pending")).expect("a log");
    let keeper = Keeper::new(
        Arc::clone(&pending_clients),
        journal.clone(),
        letters.clone(),
        Arc::clone(&relay_stats),
        log,
        &[],
    );
    let common = Common {
        journal,
        pending_clients,
        keeper: Arc::new(keeper),
        freshness,
        dead_letters: letters.clone(),
        trust: Arc::new(TrustTable::open(folder.path(), TIMEOUT, 16, "relay").expect("a table")),
        turns: Turns::new(TIMEOUT),
        pace: Pace {
            max_batch: 1 << 20,
            retry_min: Duration::from_millis(1),
            retry_max: Duration::from_secs(1),
            max_attempts: 3,
            rewind: Duration::from_secs(30),
            hold: HOLD,
            max_refusal_texts: 1 << 20,
            max_backlog: 1 << 30,
            max_backlog_age: Duration::from_secs(3600),
            near: Near {
                bytes: 1 << 20,
                time: Duration::from_secs(5),
            },
        },
        replicas: Arc::new([Arc::clone(&replica), other]),
    };
    let place = SavedPlace {
        allowance: 0,
        copied: Sequence::ZERO,
        attempts: SavedAttempts::default(),
        checkpoint: Checkpoint::default(),
        known: Known::default(),
        settled: true,
    };
    Fixture {
        replicator: Replicator::new(replica, common, place),
        letters,
        _folder: folder,
    }
}

fn refusal() -> Refusal {
    Refusal::new(404, "no")
}

fn said() -> StatementAnswer {
    StatementAnswer {
        status: 200,
        content_type: None,
        body: Bytes::new(),
        cut: false,
        refusal: None,
    }
}

fn db() -> Databases {
    Databases::Named {
        names: ["db".to_owned()].into(),
        default: false,
    }
}

impl Replicator {
    /// A write that was read, and what its client hears.
    async fn with_write_read(
        &mut self,
    ) -> (Sequence, impl Future<Output: std::fmt::Debug> + use<>) {
        self.with_read(write_record("m v=1 1")).await
    }

    async fn with_read(
        &mut self,
        record: WriteRecord,
    ) -> (Sequence, impl Future<Output: std::fmt::Debug> + use<>) {
        let head = record.encode_head().expect("a head");
        let append = || self.journal.append(WRITE, vec![head, record.body]);
        let database = record.destination.database;
        let outcome = self.pending_clients.open(&database, append).expect("room");
        self.journal.flush().await.expect("committed");
        let sequence = self.journal.durable().sequence;
        self.read_ahead().await;
        (sequence, outcome)
    }

    /// A write that is on its way to the node, and what its client hears.
    async fn with_write(&mut self) -> (Sequence, impl Future<Output: std::fmt::Debug> + use<>) {
        let (sequence, outcome) = self.with_write_read().await;
        self.send_lane();
        (sequence, outcome)
    }

    fn send_lane(&mut self) {
        let lane = self.lanes.get_mut("db").expect("a lane");
        assert!(lane.start(1 << 20, 1 << 20).is_some());
    }

    /// A statement that the replica stands before, and what its client hears.
    async fn with_statement(&mut self) -> (Sequence, impl Future<Output: std::fmt::Debug> + use<>) {
        let record = statement_record("CREATE DATABASE db");
        let head = record.encode_head().expect("a head");
        let append = || self.journal.append(STATEMENT, vec![head, record.body]);
        let opened =
            self.pending_clients
                .open_statement(TIMEOUT, statement_place(), Wanted::Whole, append);
        let outcome = opened.expect("room").outcome;
        self.journal.flush().await.expect("committed");
        let sequence = self.journal.durable().sequence;
        self.read_ahead().await;
        assert!(self.barriers.next().is_some());
        (sequence, outcome)
    }

    /// Whether it may answer a read of the database that comes now.
    fn is_fresh(&self) -> bool {
        self.freshness.is_fresh(0, &self.freshness.demand(&db()))
    }
}

/// Looks at something in the very moment in which it is woken.
struct Look<F> {
    look: F,
    seen: Mutex<Vec<bool>>,
}

impl<F: Fn() -> bool + Send + Sync + 'static> Look<F> {
    fn new(look: F) -> Arc<Self> {
        let seen = Mutex::default();
        Arc::new(Look { look, seen })
    }

    fn seen(&self) -> Vec<bool> {
        self.seen.lock().expect("what was seen").clone()
    }
}

impl<F: Fn() -> bool> Wake for Look<F> {
    fn wake(self: Arc<Self>) {
        let found = (self.look)();
        self.seen.lock().expect("what was seen").push(found);
    }
}

fn wait_with<F: Fn() -> bool + Send + Sync + 'static>(
    future: std::pin::Pin<&mut impl Future>,
    look: &Arc<Look<F>>,
) {
    let waker = Waker::from(Arc::clone(look));
    assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
}

#[tokio::test]
async fn who_hears_that_a_write_is_applied_finds_the_replica_fresh() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    let (sequence, outcome) = replicator.with_write().await;
    let freshness = Arc::clone(&replicator.freshness);
    let look = Look::new(move || {
        freshness.acknowledge_write("db", sequence);
        freshness.is_fresh(0, &freshness.demand(&db()))
    });
    let mut outcome = pin!(outcome);
    wait_with(outcome.as_mut(), &look);
    replicator.verdict("db", &[sequence], Report::Applied).await;
    assert_eq!(look.seen(), [true]);
}

#[tokio::test]
async fn who_hears_that_a_statement_is_carried_out_finds_the_replica_fresh() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    let (sequence, outcome) = replicator.with_statement().await;
    let freshness = Arc::clone(&replicator.freshness);
    let look = Look::new(move || {
        freshness.acknowledge_statement(sequence, &Touched::All);
        freshness.is_fresh(0, &freshness.demand(&db()))
    });
    let mut outcome = pin!(outcome);
    wait_with(outcome.as_mut(), &look);
    replicator
        .statement_judged(sequence, Report::Applied, said())
        .await;
    assert_eq!(look.seen(), [true]);
}

#[tokio::test]
async fn who_refuses_what_another_one_took_is_at_no_moment_fresh() {
    let Fixture {
        mut replicator,
        letters,
        _folder,
    } = fixture();
    let (sequence, _outcome) = replicator.with_write().await;
    let applied = [(sequence, Report::Applied)];
    replicator.pending_clients.report(1, &applied, sequence);
    replicator.freshness.acknowledge_write("db", sequence);
    let freshness = Arc::clone(&replicator.freshness);
    let look = Look::new(move || freshness.is_fresh(0, &freshness.demand(&db())));
    let freshness = Arc::clone(&replicator.freshness);
    let mut change = pin!(freshness.wait_for(TIMEOUT, || None::<()>));
    wait_with(change.as_mut(), &look);
    replicator
        .verdict("db", &[sequence], Report::Refused(refusal()))
        .await;
    assert_eq!(look.seen(), [false]);
    assert!(!replicator.is_fresh() && letters.any_open("a"));
}

#[tokio::test]
async fn who_goes_back_is_not_fresh_though_nothing_of_it_was_acknowledged() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    let (sequence, _outcome) = replicator.with_write().await;
    replicator.verdict("db", &[sequence], Report::Applied).await;
    assert!(replicator.is_fresh());
    replicator.start_over(Instant::now(), Checkpoint::default());
    assert!(!replicator.is_fresh());
}

#[tokio::test]
async fn what_another_one_took_is_held_for_its_time_and_then_given_up() {
    let Fixture {
        mut replicator,
        letters,
        _folder,
    } = fixture();
    let (sequence, _outcome) = replicator.with_write().await;
    let applied = [(sequence, Report::Applied)];
    replicator.pending_clients.report(1, &applied, sequence);
    let begun = Instant::now();
    for held in [Duration::ZERO, HOLD / 2, HOLD - Duration::from_millis(1)] {
        let now = begun + held;
        replicator
            .refused_for_now(now, "db", Want::RetentionPolicy, refusal())
            .await;
        assert_eq!(replicator.tracker.cursor().sequence, Sequence::ZERO);
        assert!(!letters.any_open("a"), "{held:?}");
        replicator.send_lane();
    }
    replicator
        .refused_for_now(begun + HOLD, "db", Want::RetentionPolicy, refusal())
        .await;
    assert_eq!(replicator.tracker.cursor().sequence, sequence);
    assert!(replicator.lanes.is_empty() && letters.any_open("a"));
}

#[tokio::test]
async fn each_write_that_waits_for_a_statement_counts_as_missing_until_it_is_there() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    let (before, _outcome) = replicator.with_write().await;
    let (statement, _outcome) = replicator.with_statement().await;
    let (first, _outcome) = replicator.with_write_read().await;
    replicator.verdict("db", &[before], Report::Applied).await;
    // Read when nothing but the one before it waits.
    let (_second, _outcome) = replicator.with_write_read().await;
    replicator
        .statement_judged(statement, Report::Applied, said())
        .await;
    assert!(replicator.is_fresh(), "nothing behind it was acknowledged");
    replicator.freshness.acknowledge_write("db", first);
    assert!(!replicator.is_fresh());
    drop(replicator.leave_barrier());
    assert!(!replicator.is_fresh());
    replicator.send_lane();
    replicator.verdict("db", &[first], Report::Applied).await;
    assert!(replicator.is_fresh());
}

#[tokio::test]
async fn a_write_that_was_set_aside_before_is_not_missing_behind_a_statement() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    let (statement, _outcome) = replicator.with_statement().await;
    // It keeps the cursor from telling that what is behind it has its verdict.
    let mut other = write_record("m v=1 1");
    other.destination.database = "other".to_owned();
    let (other, _outcome) = replicator.with_read(other).await;
    replicator.attempts.set_aside(other.next());
    let (aside, _outcome) = replicator.with_write_read().await;
    assert_eq!(aside, other.next());
    replicator
        .statement_judged(statement, Report::Applied, said())
        .await;
    drop(replicator.leave_barrier());
    replicator.freshness.acknowledge_write("db", aside);
    assert!(replicator.is_fresh());
}

#[tokio::test]
async fn what_was_given_up_is_not_held_again_until_a_statement_has_passed() {
    let Fixture {
        mut replicator,
        letters,
        _folder,
    } = fixture();
    let now = Instant::now();
    // Held for its time; at once; after a statement, held.
    for (moments, is_held) in [(2, false), (1, false), (1, true)] {
        let (sequence, _outcome) = replicator.with_write().await;
        let applied = [(sequence, Report::Applied)];
        replicator.pending_clients.report(1, &applied, sequence);
        for moment in 0..moments {
            let now = now + HOLD * moment;
            replicator
                .refused_for_now(now, "db", Want::RetentionPolicy, refusal())
                .await;
            if moment + 1 < moments {
                replicator.send_lane();
            }
        }
        let judged = replicator.tracker.cursor().sequence == sequence;
        assert_eq!(judged, !is_held, "{sequence}");
        if sequence.get() == 2 {
            replicator.given_up.clear();
        }
    }
    assert_eq!(letters.count(), 2);
}

#[tokio::test]
async fn a_cursor_waits_for_a_refusal_that_cannot_be_written() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    let pending = _folder.path().join("letters/pending");
    std::fs::remove_dir_all(&pending).expect("removed");
    let (sequence, _outcome) = replicator.with_write().await;
    replicator
        .verdict("db", &[sequence], Report::Refused(refusal()))
        .await;
    let here = replicator.rewind.at(replicator.tracker.cursor());
    assert!(replicator.save(here.clone()).await.is_err());
    assert_eq!(replicator.saved, Checkpoint::default());
    assert!(replicator.journal.cursors().is_empty());
    std::fs::create_dir(&pending).expect("made");
    let deadline = Instant::now() + TIMEOUT;
    while replicator.save(here.clone()).await.is_err() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(replicator.journal.cursors()[0].sequence, sequence);
    assert_eq!(std::fs::read_dir(&pending).expect("a folder").count(), 1);
}

#[tokio::test]
async fn a_statement_that_may_pass_later_is_tried_for_its_time_and_then_refused() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    let (sequence, _outcome) = replicator.with_statement().await;
    let busy = ReplicaAnswer {
        status: 503,
        version: None,
        content_type: None,
        retry_after: None,
        body: Bytes::new(),
        cut: false,
        scanned: Scanned::default(),
        last_piece: None,
    };
    let begun = Instant::now();
    for held in [Duration::ZERO, HOLD - Duration::from_millis(1)] {
        replicator
            .statement_answered(begun + held, Ok(busy.clone()))
            .await;
        assert_eq!(replicator.tracker.cursor().sequence, Sequence::ZERO);
    }
    replicator.statement_answered(begun + HOLD, Ok(busy)).await;
    assert_eq!(replicator.tracker.cursor().sequence, sequence);
}

#[tokio::test]
async fn after_a_panic_it_begins_where_its_cursor_is_saved_and_trusts_nothing() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    let saved = replicator.rewind.back();
    replicator.save(saved).await.expect("nothing is refused");
    let (first, _outcome) = replicator.with_write().await;
    replicator.verdict("db", &[first], Report::Applied).await;
    replicator.freshness.acknowledge_write("db", first);
    let (_second, _outcome) = replicator.with_write().await;
    assert_eq!(replicator.tracker.cursor().sequence, first);
    let replica = Arc::clone(&replicator.replica);
    let common = Common {
        journal: replicator.journal.clone(),
        pending_clients: Arc::clone(&replicator.pending_clients),
        freshness: Arc::clone(&replicator.freshness),
        dead_letters: replicator.dead_letters.clone(),
        trust: Arc::clone(&replicator.trust),
        pace: replicator.pace.clone(),
        turns: Arc::clone(&replicator.turns),
        keeper: Arc::clone(&replicator.keeper),
        replicas: Arc::new([]),
    };
    assert!(common.pending_clients.is_near(0));
    drop(replicator);
    let mut replicator = Replicator::again(replica, common);
    assert_eq!(replicator.tracker.cursor().sequence, Sequence::ZERO);
    assert!(replicator.is_in_doubt() && !replicator.is_fresh());
    assert!(!replicator.pending_clients.is_near(0));
    replicator.read_ahead().await;
    let lane = replicator.lanes.get("db").expect("a lane");
    assert!(lane.record(first).is_some(), "it is sent again");
}

fn of_other_database() -> WriteRecord {
    let mut record = write_record("m v=1 1");
    record.destination.database = "other".to_owned();
    record
}

impl Replicator {
    /// A write that was read, sent and applied.
    async fn with_applied(&mut self, record: WriteRecord) -> Sequence {
        let name = record.destination.database.clone();
        let (sequence, _outcome) = self.with_read(record).await;
        self.apply_lane(&name).await;
        sequence
    }

    /// The next request of a lane is sent and applied.
    async fn apply_lane(&mut self, name: &str) -> Vec<Sequence> {
        let lane = self.lanes.get_mut(name).expect("a lane");
        assert!(lane.start(1 << 20, 1 << 20).is_some());
        let sequences = lane.under_way();
        self.verdict(name, &sequences, Report::Applied).await;
        sequences
    }

    /// A request of lane "db" that began with this record gets no answer, and then the node works for `rewind`.
    fn doubt_and_wait(&mut self, first: Sequence) {
        let now = Instant::now();
        self.doubts.heard(now);
        self.put_in_doubt(now, "db", Some(first));
        for second in 1..=31 {
            self.doubts.heard(now + Duration::from_secs(second));
        }
        self.show_doubt();
    }
}

#[tokio::test]
async fn a_database_in_doubt_is_sent_again_whole_and_in_order_and_no_other_one_is() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    replicator.link.linked(Instant::now());
    replicator.with_applied(write_record("m v=1 1")).await;
    let (first, _outcome) = replicator.with_read(write_record("m v=1 1")).await;
    replicator.doubt_and_wait(first);
    replicator.apply_lane("db").await;
    replicator.with_applied(of_other_database()).await;
    let third = replicator.with_applied(write_record("m v=1 1")).await;
    replicator.freshness.acknowledge_write("db", third);
    let other = Databases::Named {
        names: ["other".to_owned()].into(),
        default: false,
    };
    let freshness = Arc::clone(&replicator.freshness);
    let is_fresh = |of: &Databases| freshness.is_fresh(0, &freshness.demand(of));
    assert!(is_fresh(&other) && !is_fresh(&db()));
    let before = replicator.back().position.sequence;
    assert!(
        before < first,
        "what is in doubt is sent again after a crash"
    );
    // One comes while the lane is being read again.
    replicator.begin_rereads();
    let (fourth, _outcome) = replicator.with_read(write_record("m v=1 1")).await;
    assert!(
        !replicator.lanes.contains("db"),
        "it comes by the other reader"
    );
    while replicator.read_again().await.is_some() {}
    assert_eq!(replicator.lanes.len(), 1);
    assert_eq!(replicator.apply_lane("db").await, [first, third, fourth]);
    assert!(!is_fresh(&db()), "it is told when all have their verdict");
    replicator.read_again().await;
    replicator.show_doubt();
    assert!(is_fresh(&db()) && !replicator.is_in_doubt());
    assert_eq!(replicator.tracker.cursor().sequence, fourth);
}

#[tokio::test]
async fn a_read_that_was_under_way_when_its_database_was_in_doubt_counts_no_more() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    replicator.link.linked(Instant::now());
    let freshness = Arc::clone(&replicator.freshness);
    let demand = freshness.demand(&db());
    let sent = freshness.send(0, &demand).expect("fresh");
    let (first, _outcome) = replicator.with_read(write_record("m v=1 1")).await;
    replicator.doubt_and_wait(first);
    replicator.apply_lane("db").await;
    replicator.begin_rereads();
    while replicator.read_again().await.is_some() {}
    replicator.apply_lane("db").await;
    replicator.read_again().await;
    replicator.show_doubt();
    assert!(freshness.is_fresh(0, &demand));
    assert!(!freshness.is_fresh_since(sent, 0, &demand));
    let of_none = freshness.demand(&Databases::Named {
        names: ["other".to_owned()].into(),
        default: false,
    });
    assert!(freshness.is_fresh_since(sent, 0, &of_none));
}

#[tokio::test]
async fn a_statement_waits_for_doubts_from_before_it_and_is_not_sent_again_for_them() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    replicator.link.linked(Instant::now());
    let (first, _outcome) = replicator.with_read(write_record("m v=1 1")).await;
    replicator.doubt_and_wait(first);
    replicator.apply_lane("db").await;
    let (statement, _outcome) = replicator.with_statement().await;
    let (behind, _outcome) = replicator.with_read(write_record("m v=1 1")).await;
    assert!(replicator.is_in_doubt_before(statement));
    replicator.begin_rereads();
    while replicator.read_again().await.is_some() {}
    assert!(replicator.is_in_doubt_before(statement));
    assert_eq!(
        replicator.apply_lane("db").await,
        [first],
        "what waits is not read again"
    );
    replicator.read_again().await;
    assert!(!replicator.is_in_doubt_before(statement));
    assert!(replicator.tracker.is_next(statement));
    replicator
        .statement_judged(statement, Report::Applied, said())
        .await;
    replicator.leave_barrier().expect("a statement");
    assert_eq!(replicator.apply_lane("db").await, [behind]);
    assert_eq!(replicator.tracker.cursor().sequence, behind);
}

#[tokio::test]
async fn what_is_sent_again_is_saved_as_far_as_it_has_verdicts() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    replicator.link.linked(Instant::now());
    // Of the seconds of this fixture's `rewind` only the first are over.
    replicator.rewind = Rewind::new(Duration::ZERO, Instant::now(), Checkpoint::default());
    let (first, _outcome) = replicator.with_read(write_record("m v=1 1")).await;
    replicator.doubt_and_wait(first);
    replicator.apply_lane("db").await;
    let second = replicator.with_applied(write_record("m v=1 2")).await;
    let third = replicator.with_applied(write_record("m v=1 3")).await;
    let cursor = replicator.tracker.cursor();
    replicator
        .rewind
        .went_back(Instant::now(), replicator.rewind.at(cursor));
    replicator.begin_rereads();
    while replicator.read_again().await.is_some() {}
    assert!(replicator.back().position.sequence < first);
    let lane = replicator.lanes.get_mut("db").expect("a lane");
    // One after the other.
    assert!(lane.start(1, 1 << 20).is_some());
    assert_eq!(lane.under_way(), [first]);
    replicator.verdict("db", &[first], Report::Applied).await;
    tokio::time::sleep(replicator.rewind.pace()).await;
    replicator.read_again().await;
    assert_eq!(replicator.back().position.sequence, first);
    assert_eq!(replicator.apply_lane("db").await, [second, third]);
    replicator.read_again().await;
    assert_eq!(replicator.back().position.sequence, third);
    assert!(!replicator.is_in_doubt());
}

/// Records that the journal has lost.
fn lost(from: u64, to: u64) -> ReadError {
    ReadError::Gap {
        from: Sequence::new(from),
        to: Sequence::new(to),
    }
}

#[tokio::test]
async fn what_the_journal_has_lost_a_replica_lacks_that_stands_before_another_one() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    replicator.cannot_read(lost(1, 3));
    assert!(replicator.replica.follows(), "the other stands no further");
    replicator.pending_clients.report(1, &[], Sequence::new(2));
    replicator.pending_clients.set_reach(1, Reach::Away);
    replicator.cannot_read(lost(1, 3));
    assert!(!replicator.replica.follows(), "the other has more");
}

#[tokio::test]
async fn who_does_not_follow_has_nothing_that_the_journal_has_lost() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    replicator.pending_clients.report(1, &[], Sequence::new(2));
    assert!(replicator.others[0].diverge("it is empty"));
    replicator.cannot_read(lost(1, 3));
    assert!(replicator.replica.follows());
}

#[tokio::test]
async fn a_lost_end_of_the_journal_is_passed_without_another_record() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    let (newest, _outcome) = replicator.with_write().await;
    replicator.tracker = Tracker::new(Position::default());
    replicator.cannot_read(lost(1, newest.get()));
    assert_eq!(replicator.tracker.cursor().sequence, newest);
}

#[tokio::test]
async fn a_statement_makes_a_replica_late_but_not_while_another_one_is_first_at_it() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    let (sequence, _outcome) = replicator.with_statement().await;
    let late = || Instant::now() + replicator.pace.near.time;
    assert!(!replicator.is_late(Instant::now()) && replicator.is_late(late()));
    let late = late();
    replicator.link.linked(Instant::now());
    let turn = replicator.turns.take(1, sequence, Instant::now());
    replicator.start_statement().await;
    assert!(!replicator.is_late(late), "another one is first");
    drop(turn.expect("nobody has it"));
    replicator.start_statement().await;
    assert!(!replicator.is_late(late), "counted from its turn on");
    assert!(replicator.is_late(Instant::now() + replicator.pace.near.time));
}

#[tokio::test]
async fn what_waited_for_a_statement_makes_no_replica_late_when_it_is_passed() {
    let Fixture {
        mut replicator,
        _folder,
        ..
    } = fixture();
    let (statement, _outcome) = replicator.with_statement().await;
    let (_behind, _outcome) = replicator.with_write_read().await;
    let late = Instant::now() + replicator.pace.near.time;
    replicator
        .statement_judged(statement, Report::Applied, said())
        .await;
    assert!(replicator.tracker.oldest().is_some() && !replicator.is_late(late));
}
