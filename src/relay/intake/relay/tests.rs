use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex};
use std::time::SystemTime;

use bytes::Bytes;

use super::*;
use crate::config::model::{BackendId, OnUnavailable, SyncPolicy};
use crate::journal::{
    DirectoryDisk, Disk, DiskFile, LockFailure, LockGuard, Observer, Options, Sequence,
};
use crate::relay::dead_letters::{DeadLetter, DeadLetters, FOLDER, Limits};
use crate::relay::record::change::Change;
use crate::relay::record::samples::write_record;
use crate::relay::trust::TrustTable;
use crate::relay::verdict::policy::Policy;
use crate::relay::verdict::reach::Reach;
use std::time::{Duration, Instant};

/// What a relay keeps to if nothing else is said.
pub(in crate::relay) fn settings() -> model::Relay {
    model::Relay {
        name: "relay".to_owned(),
        pool: BackendId(0),
        ack: Ack::Any,
        on_unavailable: OnUnavailable::Reject,
        timeout: Duration::from_secs(15),
        sync: SyncPolicy::Always,
        max_body: 25_000_000,
        max_unpacked_body: 64 << 20,
        max_batch: 1 << 20,
        max_inflight: 64 << 20,
        max_inflight_share: 32 << 20,
        body_wait: Duration::from_secs(5),
        max_tags: 1000,
        max_statement_answer_buffer: 1 << 20,
        max_refusal_texts: 4 << 20,
        hold_for: Duration::from_secs(300),
        max_pending_refusals: 10_000,
        max_dead_letters: 10_000,
        max_dead_letter_bytes: 256 << 20,
        max_backlog: 10 << 30,
        max_backlog_age: Duration::from_secs(72 * 3600),
        near: crate::config::model::Near {
            bytes: 32 << 20,
            time: Duration::from_secs(5),
        },
        rewind: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(60),
        trust_for: Duration::from_secs(3600),
        judging: model::Judging {
            at_once: 4,
            max_waiting: 16,
            refused_for: Duration::from_secs(1),
            max_known: 16,
        },
        max_statements: 16,
        max_statements_per_source: 16,
        max_attempts: 3,
        retry_min: Duration::from_millis(100),
        retry_max: Duration::from_secs(10),
        heal: Default::default(),
        compare: None,
        rerun_continuous_queries: None,
    }
}

/// While it is shut, no sync ends.
#[derive(Debug, Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, shut: bool) {
        *self.shut.lock().expect("the gate") = shut;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let shut = self.shut.lock().expect("the gate");
        drop(
            self.opened
                .wait_while(shut, |shut| *shut)
                .expect("the gate"),
        );
    }
}

/// A disk whose syncs last as long as its gate is shut.
#[derive(Debug)]
struct SlowDisk {
    disk: DirectoryDisk,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct SlowFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl SlowDisk {
    fn slow(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let gate = Arc::clone(&self.gate);
        Arc::new(SlowFile { file, gate })
    }
}

impl Disk for SlowDisk {
    fn lock(&self) -> Result<Box<dyn LockGuard>, LockFailure> {
        self.disk.lock()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str, size: u64) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.slow(self.disk.create(name, size)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.slow(self.disk.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn verify(&self) -> io::Result<()> {
        self.disk.verify()
    }
}

impl DiskFile for SlowFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.file.write_at(pieces, offset)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.file.allocate(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync()
    }
}

/// A disk in a folder, and its gate.
fn slow_disk(folder: &std::path::Path) -> (SlowDisk, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let disk = SlowDisk {
        disk: DirectoryDisk::new(folder.join("journal")).expect("a folder"),
        gate: Arc::clone(&gate),
    };
    (disk, gate)
}

/// A relay without replicas on this disk.
fn relay(
    folder: &std::path::Path,
    disk: SlowDisk,
    options: Options,
    settings: model::Relay,
) -> Relay {
    relay_with(&[], folder, disk, options, settings)
}

/// A relay whose board knows these replicas, which have no replicators.
fn relay_with(
    replicas: &[&str],
    folder: &std::path::Path,
    disk: SlowDisk,
    options: Options,
    settings: model::Relay,
) -> Relay {
    let settings = model::Relay {
        on_unavailable: OnUnavailable::Accept,
        ..settings
    };
    let (journal, _) = Journal::open(Arc::new(disk), options).expect("opened");
    let limits = Limits {
        letters: 10,
        bytes: 1 << 20,
    };
    let letters = DeadLetters::open(&folder.join("letters"), limits).expect("a store");
    let freshness = Arc::new(Freshness::new(
        replicas.iter().map(|name| (*name).to_owned()).collect(),
        letters,
        Sequence::ZERO,
    ));
    let stats = Arc::new(RelayStats::default());
    let policy = Policy {
        ack: settings.ack,
        on_unavailable: settings.on_unavailable,
    };
    let pending_clients = PendingClients::new(
        policy,
        settings.timeout,
        vec![Sequence::ZERO; replicas.len()],
        1000,
        Arc::clone(&stats),
        Arc::clone(&freshness),
    );
    let pending_clients = Arc::new(pending_clients);
    journal.observe(Arc::clone(&pending_clients) as Arc<dyn Observer>);
    let trust = TrustTable::open(folder, settings.trust_for, 16, "relay").expect("trust");
    let judge = Judge::new(
        settings.judging,
        Arc::new(trust),
        Vec::new(),
        Arc::clone(&freshness),
        Arc::clone(&stats),
    );
    Relay {
        journal,
        gate: crate::relay::gate::Gate::new(crate::stats::Counter::default()),
        pending_clients,
        freshness,
        replicas: Vec::new(),
        inflight: Budget::new(settings.budget(), Arc::clone(&stats.inflight)),
        last_piece: parking_lot::Mutex::default(),
        judge,
        statements: PerSource::new(16, 16),
        stats,
        settings,
    }
}

/// The answer to a client that may write to every measurement.
async fn finish(relay: &Relay, admitted: Box<Admitted>, body: Pieces) -> Answer {
    let finished = relay.finish(admitted, body).await;
    finished.expect("every measurement")
}

/// A write that a relay admits.
fn admit(relay: &Relay) -> Box<Admitted> {
    admit_to(relay, "db=db")
}

fn admit_to(relay: &Relay, query: &str) -> Box<Admitted> {
    let source = IpAddr::from([127, 0, 0, 1]).into();
    match relay.begin(source, &Method::POST, "/write", query, &HeaderMap::new()) {
        Begun::Body(admitted) => admitted,
        Begun::Answered(answer) => panic!("not admitted: {answer:?}"),
    }
}

#[tokio::test]
async fn what_no_replica_has_applied_is_acknowledged_when_it_is_durable_and_not_before() {
    for ack in [Ack::Any, Ack::Journal] {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, gate) = slow_disk(folder.path());
        let settings = model::Relay { ack, ..settings() };
        let relay = relay(folder.path(), disk, Options::default(), settings);
        let mut admitted = admit(&relay);
        gate.set(true);
        let body = Bytes::from_static(b"m v=1 1");
        assert!(relay.receive(&mut admitted, body.len()).await.is_ok());
        let mut answer = std::pin::pin!(finish(&relay, admitted, body.into()));
        let soon = Duration::from_millis(300);
        let early = tokio::time::timeout(soon, &mut answer).await;
        gate.set(false);
        assert!(early.is_err(), "{early:?}");
        assert_eq!(answer.await.status, 204);
        relay.close().await;
    }
}

#[tokio::test]
async fn of_a_body_that_is_stored_in_part_nobody_says_that_it_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (disk, gate) = slow_disk(folder.path());
    // So small that it is worked on at once; with their times the lines are several records.
    let max_body = 100;
    let settings = model::Relay {
        max_body,
        timeout: Duration::from_millis(200),
        ..settings()
    };
    let relay = relay(folder.path(), disk, Options::default(), settings);
    gate.set(true);
    let body = || Bytes::from("m v=1\n".repeat(16)).into();
    let first = finish(&relay, admit(&relay), body()).await;
    assert_eq!(first.status, 504, "{first:?}");
    let text = String::from_utf8_lossy(&first.body).into_owned();
    assert!(
        text.contains("the first 1 parts of the body are journaled"),
        "{text}"
    );
    let second = finish(&relay, admit(&relay), body()).await;
    assert_eq!(second.status, 503, "nothing of this one is");
    assert_eq!(relay.stats.records.get(), 1);
    gate.set(false);
    relay.close().await;
}

#[tokio::test]
async fn of_a_body_with_a_line_that_is_not_allowed_nothing_is_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let (disk, _) = slow_disk(folder.path());
    let settings = model::Relay {
        max_batch: 100,
        ..settings()
    };
    let relay = relay(folder.path(), disk, Options::default(), settings);
    let gzip = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
    // The largest one unfolds to more than is worked on at once.
    for count in [1, 10_000, 200_000] {
        for (end, name) in [("n v=1 1\n", Some("n")), ("n", None)] {
            let body = Bytes::from("m v=1 1\n".repeat(count) + end + "\nm v=1 1");
            let packed = influx::pack_gzip(&body).map(|packed| (packed.into(), gzip.clone()));
            for (body, headers) in packed.into_iter().chain([(body, HeaderMap::new())]) {
                let source = IpAddr::from([127, 0, 0, 1]).into();
                let begun = relay.begin(source, &Method::POST, "/write", "db=db", &headers);
                let Begun::Body(mut admitted) = begun else {
                    panic!("not admitted: {begun:?}")
                };
                let allowed = model::AllowedMeasurements::new(vec![model::Pattern::new("m*")]);
                admitted.allow_only(allowed);
                let other = relay.finish(admitted, body.into()).await;
                let other = other.expect_err("a line that is not allowed");
                assert_eq!(other.name.as_deref(), name, "behind {count} lines");
            }
        }
    }
    assert_eq!(relay.stats.records.get(), 0);
    assert_eq!(relay.stats.inflight.held.get(), 0);
    relay.close().await;
}

#[tokio::test]
async fn a_large_body_does_not_fill_the_journals_queue_and_its_turn_is_given_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (disk, gate) = slow_disk(folder.path());
    let settings = model::Relay {
        max_batch: 100,
        timeout: Duration::from_secs(2),
        body_wait: Duration::from_millis(100),
        ..settings()
    };
    let relay = relay(folder.path(), disk, Options::default(), settings);
    let body = || Bytes::from("m v=1\n".repeat(1000)).into();
    gate.set(true);
    // Its first record waits for the disk, and so does the rest.
    let (first, second) = tokio::join!(
        finish(&relay, admit(&relay), body()),
        finish(&relay, admit(&relay), body())
    );
    assert_eq!(first.status, 504, "{first:?}");
    let text = String::from_utf8_lossy(&first.body).into_owned();
    assert!(
        text.contains("the first 1 parts of the body are journaled"),
        "{text}"
    );
    assert_eq!(second.status, 503, "it had no turn: {second:?}");
    assert_eq!(relay.stats.records.get(), 1);
    assert_eq!(relay.stats.inflight.held.get(), 0);
    gate.set(false);
    let third = finish(&relay, admit(&relay), body());
    assert_eq!(third.await.status, 204);
    relay.close().await;
}

/// A relay with one replica in reach, and a body that becomes many records.
fn relay_and_large_body(folder: &std::path::Path) -> (Relay, Bytes) {
    let (disk, _) = slow_disk(folder);
    let settings = model::Relay {
        max_batch: 100,
        ..settings()
    };
    let relay = relay_with(&["a"], folder, disk, Options::default(), settings);
    relay.pending_clients.set_reach(0, Reach::Near);
    (relay, Bytes::from("m v=1 1\n".repeat(100)))
}

#[tokio::test]
async fn a_large_body_goes_on_when_the_replicas_in_reach_have_what_went_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let (relay, body) = relay_and_large_body(folder.path());
    let mut answer = std::pin::pin!(finish(&relay, admit(&relay), body.into()));
    let soon = Duration::from_millis(100);
    for judged in 0..3 {
        relay
            .freshness
            .update(0, |view| view.cursor = Sequence::new(judged));
        // The next one is appended, and nothing behind it.
        while relay.stats.records.get() <= judged {
            let early = tokio::time::timeout(Duration::from_millis(1), &mut answer).await;
            assert!(early.is_err(), "{early:?}");
        }
        let early = tokio::time::timeout(soon, &mut answer).await;
        assert!(early.is_err(), "{early:?}");
        assert_eq!(relay.stats.records.get(), judged + 1);
    }
    // Out of reach, nobody waits for it.
    relay.pending_clients.set_reach(0, Reach::Away);
    relay.freshness.update(0, |view| view.trusted_at = None);
    assert_eq!(answer.await.status, 204);
    assert!(relay.stats.records.get() > 8);
    relay.close().await;
}

#[tokio::test]
async fn large_bodies_take_turns_piece_by_piece() {
    let folder = tempfile::tempdir().expect("a folder");
    let (relay, body) = relay_and_large_body(folder.path());
    let replica = async {
        let mut judged = 0;
        while judged < 10 {
            judged = relay.stats.records.get();
            relay
                .freshness
                .update(0, |view| view.cursor = Sequence::new(judged));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        relay.pending_clients.set_reach(0, Reach::Away);
        relay.freshness.update(0, |view| view.trusted_at = None);
    };
    let (one, two, ()) = tokio::join!(
        finish(&relay, admit_to(&relay, "db=one"), body.clone().into()),
        finish(&relay, admit_to(&relay, "db=two"), body.into()),
        replica
    );
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (204, 204));
    let mut reader = relay.journal.reader(Sequence::ZERO);
    let records = reader.read(usize::MAX).await.expect("read");
    let databases = records.into_iter().map(|record| {
        match Change::decode(record.kind, record.payload).expect("a change") {
            Change::Write(write) => write.destination.database,
            Change::Statement(_) => panic!("a statement"),
        }
    });
    let databases: Vec<String> = databases.collect();
    let changes = databases.windows(2).filter(|pair| pair[0] != pair[1]);
    assert!(changes.count() > 8, "{databases:?}");
    relay.close().await;
}

#[tokio::test]
async fn a_large_body_is_not_begun_in_a_lane_that_stands_still() {
    let folder = tempfile::tempdir().expect("a folder");
    let (relay, body) = relay_and_large_body(folder.path());
    relay.pending_clients.stall(0, "db", &[]);
    let answer = finish(&relay, admit(&relay), body.clone().into()).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(relay.stats.records.get(), 0);
    relay.pending_clients.unstall(0, "db");
    let stall = async {
        while relay.stats.records.get() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        relay.pending_clients.stall(0, "db", &[]);
        relay.freshness.update(0, |_| ());
    };
    let (answer, ()) = tokio::join!(finish(&relay, admit(&relay), body.into()), stall);
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(relay.stats.records.get(), 1);
    relay.close().await;
}

#[tokio::test]
async fn numbers_of_dead_letters_are_not_given_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let letters = folder.path().join("relay").join(FOLDER);
    let limits = Limits {
        letters: 10,
        bytes: 1 << 20,
    };
    std::fs::create_dir_all(folder.path().join("relay")).expect("a folder");
    let store = DeadLetters::open(&letters, limits).expect("a store");
    let record = write_record("m v=1 1");
    let letter = DeadLetter {
        replica: "a".to_owned(),
        sequence: 500,
        record: Change::Write(record.clone()),
        status: 400,
        reason: "no".to_owned(),
        time: SystemTime::now(),
    };
    store.keep(letter.clone()).await.expect("kept");
    let stop = tokio::sync::watch::Sender::new(false);
    let (relay, tasks) = Relay::open(
        settings(),
        folder.path(),
        Vec::new(),
        Arc::new(RelayStats::default()),
        &stop.subscribe(),
    )
    .expect("a relay");
    // The folder is looked at again behind what the test is about.
    let later = DeadLetter {
        sequence: 400,
        ..letter
    };
    store.keep(later).await.expect("kept");
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let begun = Instant::now();
    while relay.stats.open_dead_letters.get() == 1 && begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    relay.append_unattended(record).await.expect("appended");
    relay.journal.flush().await.expect("committed");
    let given = relay.journal.durable().sequence;
    assert!(given > Sequence::new(500), "{given}");
    stop.send_replace(true);
    for task in tasks {
        task.await.expect("a task");
    }
    relay.close().await;
}
