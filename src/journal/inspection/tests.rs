//! Journals on a real folder, looked at while they are open, when they are closed, and when their files are damaged.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::frame::{FrameHeader, HEADER, Identity};
use super::super::segment::{HEADER_BYTES, HEADER_SIZE, SegmentHeader};
use super::*;
use crate::journal::{AppendError, Cursor, DirectoryDisk, Journal, Kind, Options};

fn options() -> Options {
    Options {
        segment_size: 4096,
        max_record: 1000,
        ..Options::default()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

struct Built {
    _kept: tempfile::TempDir,
    path: PathBuf,
}

fn open(path: &Path) -> Journal {
    let disk = DirectoryDisk::new(path).unwrap();
    Journal::open(Arc::new(disk), options()).unwrap().0
}

/// Appends records of 400 bytes one by one, each durable before the next; gives their offsets.
async fn append(journal: &Journal, count: usize) -> Vec<Position> {
    let mut places = Vec::new();
    for _ in 0..count {
        let payload = vec![Bytes::from(vec![b'x'; 400])];
        loop {
            match journal.append(Kind(1), payload.clone()) {
                Ok(_) => break,
                Err(AppendError::NoRoom | AppendError::QueueFull) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
        journal.flush().await.unwrap();
        places.push(journal.durable());
    }
    places
}

fn set(journal: &Journal, name: &str, place: Position) {
    let cursor = Cursor {
        name: name.to_owned(),
        sequence: place.sequence,
        offset: place.offset,
        metadata: Bytes::new(),
    };
    journal.set_cursor(cursor).unwrap();
}

/// A closed journal of 30 records in several segments; `a` has had all of them, `b` the first ten.
fn closed() -> Built {
    let kept = tempfile::tempdir().unwrap();
    let path = kept.path().join("journal");
    runtime().block_on(async {
        let journal = open(&path);
        set(&journal, "b", Position::default());
        let places = append(&journal, 30).await;
        set(&journal, "a", places[29]);
        set(&journal, "b", places[9]);
        journal.trim(places[9].sequence);
        journal.close().await;
    });
    Built { _kept: kept, path }
}

fn check(path: &Path) -> Verification {
    verify(path, &mut |_| {}).unwrap()
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|end| end == "segment"))
        .collect();
    files.sort();
    files
}

fn flip(file: &Path, at: u64) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn behind(loss: &Loss) -> (u64, u64, Vec<&str>) {
    (
        loss.gap.after.get(),
        loss.gap.before.get(),
        loss.behind.iter().map(String::as_str).collect(),
    )
}

/// Makes the frames of a segment say that nothing was known synced when they were written: as if they were one batch.
fn make_unproven(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let header = SegmentHeader::decode(bytes[..HEADER_BYTES].try_into().unwrap()).unwrap();
    let identity = Identity::new(header.journal, header.serial);
    let mut at = HEADER_SIZE as usize;
    while let Some(frame) = bytes
        .get(at..at + HEADER)
        .and_then(|bytes| FrameHeader::decode(bytes.try_into().unwrap(), identity))
    {
        let unproven = FrameHeader {
            synced: Sequence::ZERO,
            ..frame
        };
        bytes[at..at + HEADER].copy_from_slice(&unproven.encode(identity));
        at += usize::try_from(frame.size()).unwrap();
    }
    fs::write(file, bytes).unwrap();
}

fn remove_tables(path: &Path) {
    for name in ["cursors.0", "cursors.1"] {
        fs::remove_file(path.join(name)).unwrap();
    }
}

/// Every byte of every file, and when it was changed.
fn everything(path: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut all: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| {
            let file = entry.unwrap().path();
            let changed = fs::metadata(&file).unwrap().modified().unwrap();
            (file.clone(), fs::read(&file).unwrap(), changed)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_sound_journal_is_told_as_it_is_and_left_as_it_was() {
    let journal = closed();
    let before = everything(&journal.path);
    let inspection = inspect(&journal.path).unwrap();
    let head = inspection.head.unwrap();
    assert_eq!(head.position.sequence.get(), 30);
    assert!(head.unix_nanos.is_some());
    assert!(inspection.clean && inspection.journal.is_some());
    assert!(matches!(
        inspection.tables,
        [TableReport::Sound { .. }, TableReport::Sound { .. }]
    ));
    assert!(matches!(
        inspection.owner,
        Owner::Last { id: Some(id), .. } if id == std::process::id()
    ));
    let [a, b] = inspection.cursors.as_slice() else {
        panic!("{:?}", inspection.cursors);
    };
    assert_eq!(
        (a.cursor.name.as_str(), a.records, a.bytes, a.oldest),
        ("a", 0, 0, None)
    );
    assert_eq!(
        (b.cursor.name.as_str(), b.records, b.bytes),
        ("b", 20, 20 * 440)
    );
    assert!(b.oldest.is_some() && b.oldest <= head.unix_nanos);
    let live: Vec<&SegmentReport> = inspection.segments.iter().collect();
    assert!(live.len() >= 3, "{live:?}");
    let (newest, closed) = live.split_last().unwrap();
    assert_eq!(newest.state, SegmentState::Newest);
    for (segment, next) in closed.iter().zip(&live[1..]) {
        assert_eq!(segment.state, SegmentState::Closed);
        assert_eq!(segment.last.map(Sequence::next), Some(next.first));
        assert!(segment.from.is_some() && segment.from <= segment.to);
    }

    let verification = check(&journal.path);
    assert!(!verification.has_losses());
    assert_eq!(verification.losses, []);
    assert_eq!(verification.unproven_bytes, 0);
    assert_eq!(verification.head, head.position);
    let records: u64 = verification.segments.iter().map(|one| one.records).sum();
    assert_eq!(records, 31 - live[0].first.get());
    assert!(everything(&journal.path) == before, "something was written");
}

#[test]
fn a_folder_without_a_journal_is_no_error_and_one_that_is_missing_is() {
    let folder = tempfile::tempdir().unwrap();
    let inspection = inspect(folder.path()).unwrap();
    assert_eq!((inspection.journal, inspection.head), (None, None));
    assert_eq!(inspection.owner, Owner::Nobody);
    assert!(!check(folder.path()).has_losses());
    assert!(matches!(
        inspect(&folder.path().join("missing")),
        Err(InspectionError::Io { .. })
    ));
}

#[test]
fn an_open_journal_is_looked_at_without_its_lock() {
    let kept = tempfile::tempdir().unwrap();
    let path = kept.path().join("journal");
    runtime().block_on(async {
        let journal = open(&path);
        append(&journal, 5).await;
        let inspection = inspect(&path).unwrap();
        assert!(matches!(inspection.owner, Owner::Process { id: Some(id), .. } if id == std::process::id()));
        assert!(!inspection.clean);
        assert_eq!(inspection.head.unwrap().position.sequence.get(), 5);
        journal.close().await;
    });
    drop(open(&path));
}

#[test]
fn records_are_given_in_order_and_within_bounds() {
    let journal = closed();
    let mut seen = Vec::new();
    records(
        &journal.path,
        Sequence::new(12),
        Sequence::new(27),
        &mut |item| {
            if let Item::Record(record) = item {
                assert_eq!(record.payload.len(), 400);
                seen.push(record.sequence.get());
            }
            if seen.len() == 10 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    )
    .unwrap();
    assert_eq!(seen, (12..22).collect::<Vec<u64>>());
    flip(&segments(&journal.path)[1], 512 + 440 + 100);
    let mut items = Vec::new();
    records(
        &journal.path,
        Sequence::ZERO,
        Sequence::new(u64::MAX),
        &mut |item| {
            items.push(match item {
                Item::Record(record) => record.sequence.get(),
                Item::Unreadable(gap) => 1000 + gap.after.get(),
            });
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    let first = items[0];
    let bad = segments(&journal.path)[1]
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()[..20]
        .parse::<u64>()
        .unwrap()
        + 1;
    let expected: Vec<u64> = (first..=30)
        .map(|number| if number == bad { 999 + bad } else { number })
        .collect();
    assert_eq!(items, expected);
}

#[test]
fn a_flipped_byte_anywhere_in_a_record_is_found_with_who_lacks_it() {
    let journal = closed();
    let files = segments(&journal.path);
    for (segment, file) in files.iter().enumerate() {
        let first: u64 = file.file_name().unwrap().to_str().unwrap()[..20]
            .parse()
            .unwrap();
        for at in [0, 13, 30, 41, 439] {
            flip(file, 512 + 440 + at);
            let found = check(&journal.path);
            let bad = first + 1;
            assert_eq!(found.losses.len(), 1, "{segment} {at}: {found:?}");
            let names: &[&str] = if bad > 10 { &["b"] } else { &[] };
            assert_eq!(behind(&found.losses[0]), (bad - 1, bad + 1, names.to_vec()));
            assert_eq!(found.losses[0].bytes, Some(440));
            assert_eq!(found.has_losses(), bad > 10);
            flip(file, 512 + 440 + at);
            assert_eq!(check(&journal.path).losses, []);
        }
    }
}

#[test]
fn the_newest_records_are_missed_when_the_cursor_table_proves_them() {
    let journal = closed();
    let file = segments(&journal.path).pop().unwrap();
    let newest = check(&journal.path).segments.pop().unwrap();
    flip(&file, 512 + 440 * (newest.records - 1) + 50);
    let found = check(&journal.path);
    assert_eq!(found.losses.len(), 1, "{found:?}");
    assert_eq!(behind(&found.losses[0]), (29, 31, vec!["b"]));
    assert_eq!(found.losses[0].bytes, Some(440));
}

#[test]
fn what_a_crash_tore_is_no_loss() {
    let journal = closed();
    let file = segments(&journal.path).pop().unwrap();
    let newest = check(&journal.path).segments.pop().unwrap();
    // As if the last batch had never been synced: no table, and no later frame, says that it was.
    remove_tables(&journal.path);
    flip(&file, 512 + 440 * (newest.records - 1) + 50);
    let found = check(&journal.path);
    assert_eq!(
        (found.losses.as_slice(), found.unproven_bytes),
        (&[][..], 440)
    );
    assert_eq!(found.head.sequence.get(), 29);
    assert!(found.cursors_are_lost && found.has_losses());
}

#[test]
fn a_torn_batch_that_was_never_synced_is_cut_and_no_loss() {
    let journal = closed();
    let file = segments(&journal.path).pop().unwrap();
    let newest = check(&journal.path).segments.pop().unwrap();
    let first = newest.range.unwrap().0.get();
    remove_tables(&journal.path);
    make_unproven(&file);
    flip(&file, 512 + 440 + 50);
    flip(&file, 512 + 440 * 3 + 50);
    let found = check(&journal.path);
    assert_eq!(found.losses, []);
    assert_eq!(found.head.sequence.get(), first);
    assert_eq!(found.unproven_bytes, 440 * (newest.records - 3));
}

#[test]
fn the_end_is_seen_where_the_next_start_sees_it() {
    let template = closed();
    let records = check(&template.path).segments.pop().unwrap().records;
    let used = 512 + 440 * usize::try_from(records).unwrap();
    let flips = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..4);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(100));
    runner
        .run(
            &(flips, any::<bool>(), any::<bool>()),
            |(flips, tables, proven)| {
                let folder = tempfile::tempdir().unwrap();
                for entry in fs::read_dir(&template.path).unwrap() {
                    let file = entry.unwrap();
                    fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
                }
                let file = segments(folder.path()).pop().unwrap();
                if !tables {
                    remove_tables(folder.path());
                }
                if !proven {
                    make_unproven(&file);
                }
                for (at, in_header) in flips {
                    flip(&file, at.index(if in_header { 80 } else { used }) as u64);
                }
                let found = check(folder.path());
                let disk = DirectoryDisk::new(folder.path()).unwrap();
                let (_opened, recovery) = Journal::open(Arc::new(disk), options()).unwrap();
                prop_assert_eq!(found.head, recovery.head);
                let gaps: Vec<Gap> = found.losses.iter().map(|loss| loss.gap).collect();
                prop_assert_eq!(gaps, recovery.gaps);
                prop_assert_eq!(found.cursors, recovery.cursors);
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn a_missing_segment_is_a_loss_to_who_is_behind_it() {
    for index in [0, 1] {
        let journal = closed();
        let first = |file: &PathBuf| -> u64 {
            file.file_name().unwrap().to_str().unwrap()[..20]
                .parse()
                .unwrap()
        };
        let files = segments(&journal.path);
        // The journal may have released what "b" has passed, or not yet.
        let passed = files.windows(2).filter(|two| first(&two[1]) <= 11).count();
        let files = &files[passed..];
        let (from, to) = (first(&files[index]), first(&files[index + 1]));
        fs::remove_file(&files[index]).unwrap();
        let found = check(&journal.path);
        assert_eq!(found.losses.len(), 1, "{found:?}");
        let after = if index == 0 { 10 } else { from - 1 };
        assert_eq!(behind(&found.losses[0]), (after, to, vec!["b"]));
    }
}

#[test]
fn a_damaged_segment_header_costs_no_record() {
    let journal = closed();
    for file in segments(&journal.path) {
        flip(&file, 60);
        let found = check(&journal.path);
        assert_eq!(found.losses, [], "{}", file.display());
        assert!(!found.has_losses());
        assert_eq!(
            found
                .segments
                .iter()
                .filter(|one| !one.header_is_sound)
                .count(),
            1
        );
        assert!(inspect(&journal.path).unwrap().head.is_some());
        flip(&file, 60);
    }
}

#[test]
fn one_damaged_table_costs_nothing_and_two_cost_the_cursors() {
    let journal = closed();
    flip(&journal.path.join("cursors.0"), 50);
    let found = check(&journal.path);
    assert!(found.tables.contains(&TableReport::Damaged) && !found.has_losses());
    assert_eq!(found.cursors.len(), 2);
    flip(&journal.path.join("cursors.1"), 50);
    let found = check(&journal.path);
    assert!(found.cursors_are_lost && found.has_losses());
    assert_eq!(inspect(&journal.path).unwrap().cursors, []);
}

#[test]
fn a_journal_that_never_had_a_cursor_has_lost_none_but_its_damage_counts() {
    let kept = tempfile::tempdir().unwrap();
    let path = kept.path().join("journal");
    runtime().block_on(async {
        let journal = open(&path);
        append(&journal, 5).await;
        journal.close().await;
    });
    assert!(!check(&path).has_losses());
    flip(&segments(&path)[0], 512 + 440 + 50);
    let found = check(&path);
    assert_eq!(found.losses.len(), 1);
    assert!(found.has_losses() && !found.cursors_are_lost);
}

#[test]
fn numbers_that_were_skipped_are_no_loss() {
    let journal = closed();
    runtime().block_on(async {
        let again = open(&journal.path);
        again.skip_past(Sequence::new(500)).await.unwrap();
        append(&again, 3).await;
        drop(again);
    });
    let found = check(&journal.path);
    assert_eq!(found.losses, []);
    assert!(found.head.sequence.get() > 500);
}

#[test]
fn what_was_seen_half_written_is_looked_at_again() {
    let journal = closed();
    let file = segments(&journal.path).remove(0);
    let survey = survey::Survey::take(&journal.path).unwrap();
    flip(&file, 512 + 440 + 50);
    let mut walker = Walker::new(&journal.path, &survey.live[0], Sequence::new(1000)).unwrap();
    assert!(matches!(walker.next(), Ok(Step::Frame(_))));
    // The window is read; now the writer gets there.
    flip(&file, 512 + 440 + 50);
    assert!(matches!(walker.next(), Ok(Step::Frame(_))));
    flip(&file, 512 + 440 * 3 + 50);
    let mut walker = Walker::new(&journal.path, &survey.live[0], Sequence::new(1000)).unwrap();
    let steps: Vec<bool> = (0..4)
        .map(|_| matches!(walker.next(), Ok(Step::Hole)))
        .collect();
    assert_eq!(steps, [false, false, false, true], "damage stays damage");
}

#[test]
fn what_every_cursor_passes_while_it_is_read_is_no_loss() {
    let journal = closed();
    let files = segments(&journal.path);
    assert!(files.len() > 2, "{files:?}");
    flip(&files[1], 512 + 440 + 50);
    assert!(check(&journal.path).has_losses());
    let mut passed = survey::read_tables(&journal.path).unwrap().1.unwrap();
    passed.generation += 100;
    for cursor in &mut passed.cursors {
        cursor.sequence = Sequence::new(30);
    }
    let mut told = 0;
    let found = verify(&journal.path, &mut |_| {
        if told == 0 {
            fs::write(journal.path.join("cursors.0"), passed.encode()).unwrap();
            fs::remove_file(&files[2]).unwrap();
        }
        told += 1;
    })
    .unwrap();
    assert!(!found.has_losses(), "{found:?}");
    assert!(found.segments[2].released);
}

#[test]
fn while_the_owner_writes_and_releases_nothing_sound_is_called_damaged() {
    let kept = tempfile::tempdir().unwrap();
    let path = kept.path().join("journal");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let journal = open(&path);
    let (done, mut stop) = tokio::sync::watch::channel(false);
    let writer = runtime.spawn(async move {
        while !*stop.borrow_and_update() {
            for place in append(&journal, 20).await {
                set(&journal, "a", place);
                journal.trim(place.sequence);
            }
            journal.sync_cursors().await.unwrap();
        }
        journal.close().await;
    });
    let mut looked = 0;
    for _ in 0..60 {
        let found = check(&path);
        assert_eq!(found.losses, [], "{found:?}");
        match inspect(&path) {
            Ok(inspection) => {
                looked += 1;
                assert!(inspection.cursors.iter().all(|one| one.cursor.name == "a"));
            }
            Err(error) => assert!(matches!(error, InspectionError::Restless), "{error}"),
        }
    }
    done.send(true).unwrap();
    runtime.block_on(writer).unwrap();
    assert!(looked > 0);
    assert_eq!(check(&path).losses, []);
}
