//! The whole thing, with its thread.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Told;
use super::simulated::{SimulatedDisk, Tear};
use crate::journal::{
    AppendError, Cursor, CursorError, DirectoryDisk, Journal, Kind, OpenError, Options, ReadError,
    Reader, Sequence, Sync,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn small() -> Options {
    Options {
        segment_size: 4096,
        max_record: 1000,
        max_queued: 64 << 10,
        cache_size: 4 << 10,
        close_timeout: Duration::from_millis(200),
        ..Options::default()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
}

/// Runs it to its end; a wait that has none is a failure.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    runtime().block_on(async { tokio::time::timeout(Duration::from_secs(60), work).await? })
}

fn cursor(name: &str, sequence: u64) -> Cursor {
    Cursor {
        name: name.into(),
        sequence: Sequence::new(sequence),
        offset: 0,
        metadata: Bytes::from_static(b"note"),
    }
}

async fn append(journal: &Journal, text: &str) -> std::result::Result<(), AppendError> {
    loop {
        match journal.append(Kind(1), vec![Bytes::copy_from_slice(text.as_bytes())]) {
            Err(AppendError::QueueFull) => tokio::task::yield_now().await,
            Err(error) => return Err(error),
            Ok(_) => return journal.flush().await,
        }
    }
}

async fn all(reader: &mut Reader) -> std::result::Result<Vec<String>, ReadError> {
    let mut found = Vec::new();
    loop {
        let records = reader.read(3000).await?;
        if records.is_empty() {
            return Ok(found);
        }
        found.extend(
            records
                .iter()
                .map(|record| String::from_utf8_lossy(&record.payload).into_owned()),
        );
    }
}

/// A dropped journal gives up its lock as soon as its thread has ended.
async fn reopen(
    path: &std::path::Path,
    options: Options,
) -> std::result::Result<(Journal, crate::journal::Recovery), OpenError> {
    loop {
        let disk = DirectoryDisk::new(path).map_err(|source| OpenError::Io {
            action: "make the folder",
            source,
        })?;
        match Journal::open(Arc::new(disk), options.clone()) {
            Err(OpenError::Locked { .. }) => tokio::task::yield_now().await,
            opened => return opened,
        }
    }
}

#[test]
fn records_and_cursors_come_back_after_a_close_and_after_a_kill() -> Result {
    let place = tempfile::tempdir()?;
    block_on(async {
        let (journal, recovery) = reopen(place.path(), small()).await?;
        assert_eq!((recovery.next.get(), recovery.head.sequence.get()), (1, 0));
        for number in 0..500 {
            append(&journal, &format!("record {number}")).await?;
        }
        journal.set_cursor(cursor("a", 100))?;
        journal.close().await;
        journal.close().await;
        assert_eq!(append(&journal, "late").await, Err(AppendError::Closed));
        assert_eq!(journal.sync_cursors().await, Err(CursorError::Closed));
        let late = journal.set_cursor(cursor("a", 200));
        assert_eq!(late, Err(CursorError::Closed));

        let (journal, recovery) = reopen(place.path(), small()).await?;
        assert!(recovery.clean);
        assert_eq!(
            (recovery.next.get(), recovery.head.sequence.get()),
            (501, 500)
        );
        assert_eq!(journal.cursors(), vec![cursor("a", 100)]);
        append(&journal, "more").await?;
        assert_eq!(journal.durable().sequence.get(), 501);
        drop(journal);

        let (journal, recovery) = reopen(place.path(), small()).await?;
        assert_eq!(recovery.gaps, vec![]);
        assert_eq!(recovery.head.sequence.get(), 501);
        let mut reader = journal.reader(Sequence::new(100));
        let mut expected: Vec<String> = (100..500)
            .map(|number| format!("record {number}"))
            .collect();
        expected.push("more".into());
        assert_eq!(all(&mut reader).await?, expected);
        journal.close().await;
        Ok(())
    })
}

#[test]
fn a_second_owner_hears_who_has_it() -> Result {
    let place = tempfile::tempdir()?;
    let (journal, _) = Journal::open(Arc::new(DirectoryDisk::new(place.path())?), small())?;
    match Journal::open(Arc::new(DirectoryDisk::new(place.path())?), small()) {
        Err(OpenError::Locked { holder }) => {
            assert!(holder.contains(&std::process::id().to_string()))
        }
        other => panic!("{other:?}"),
    }
    drop(journal);
    Ok(())
}

#[test]
fn many_appenders_share_syncs_and_readers_see_one_order() -> Result {
    for sync in [
        Sync::Always,
        Sync::Interval(Duration::from_millis(5)),
        Sync::Never,
    ] {
        let disk = SimulatedDisk::new(1, 1 << 24);
        let options = Options {
            sync,
            segment_size: 64 << 10,
            cursor_interval: Duration::from_millis(1),
            ..small()
        };
        block_on(async {
            let (journal, _) = Journal::open(Arc::new(disk.clone()), options)?;
            journal.set_cursor(cursor("a", 0))?;
            let writers: Vec<_> = (0..50)
                .map(|writer| {
                    let journal = journal.clone();
                    tokio::spawn(async move {
                        for number in 0..40 {
                            append(&journal, &format!("{writer} {number}")).await?;
                        }
                        Ok::<_, AppendError>(())
                    })
                })
                .collect();
            let (mut reader, mut watch, mut seen) =
                (journal.reader(Sequence::ZERO), journal.watch(), Vec::new());
            while seen.len() < 2000 {
                let records = reader.read(1 << 20).await?;
                if records.is_empty() {
                    watch.changed().await?;
                }
                seen.extend(records);
                journal.set_cursor(cursor("a", reader.position().get()))?;
            }
            for writer in writers {
                writer.await??;
            }
            assert!(seen.iter().map(|record| record.sequence.get()).eq(1..=2000));
            assert!(seen.windows(2).all(|pair| pair[0].offset < pair[1].offset));
            assert_eq!(
                seen.last().map(|record| record.offset),
                Some(journal.durable().offset)
            );
            journal.close().await;
            Ok::<_, Box<dyn std::error::Error>>(())
        })?;
        assert!(disk.syncs() < 1500, "{sync:?}: {} syncs", disk.syncs());
    }
    Ok(())
}

#[test]
fn a_full_disk_refuses_at_once_and_heals_when_records_are_let_go() -> Result {
    let disk = SimulatedDisk::new(2, 300 << 10);
    block_on(async {
        let options = Options {
            cursor_interval: Duration::from_millis(1),
            ..small()
        };
        let (journal, _) = Journal::open(Arc::new(disk.clone()), options)?;
        journal.set_cursor(cursor("a", 0))?;
        journal.sync_cursors().await?;
        let refused = loop {
            if let Err(error) = append(&journal, &"x".repeat(900)).await {
                break error;
            }
        };
        assert_eq!(refused, AppendError::NoRoom);
        assert!(!journal.status().takes_records);
        let last = journal.durable().sequence;
        journal.set_cursor(cursor("a", last.get()))?;
        journal.settle_cursors().await?;
        // The writer has made a whole step since the cursor was saved.
        journal.sync_cursors().await?;
        assert!(
            !journal.status().takes_records,
            "what was not let go is kept"
        );
        journal.trim(last);
        while append(&journal, "y").await.is_err() {
            tokio::task::yield_now().await;
        }
        assert!(journal.status().takes_records);
        journal.close().await;
        Ok(())
    })
}

#[test]
fn a_folder_that_goes_away_refuses_and_heals() -> Result {
    let place = tempfile::tempdir()?;
    let (here, away) = (place.path().join("here"), place.path().join("away"));
    block_on(async {
        let (journal, _) = reopen(&here, small()).await?;
        append(&journal, "before").await?;
        std::fs::rename(&here, &away)?;
        let mut waiting = Vec::new();
        while journal.status().takes_records {
            waiting.extend(journal.append(Kind(1), vec![Bytes::from_static(b"during")]));
            tokio::task::yield_now().await;
        }
        assert_eq!(append(&journal, "refused").await, Err(AppendError::NoRoom));
        std::fs::rename(&away, &here)?;
        let count = waiting.len();
        journal.flush().await?;
        while append(&journal, "after").await.is_err() {
            tokio::task::yield_now().await;
        }
        let mut reader = journal.reader(Sequence::ZERO);
        assert_eq!(all(&mut reader).await?.len(), count + 2);
        journal.close().await;
        Ok(())
    })
}

#[test]
fn a_close_on_an_ill_disk_ends_and_says_so() -> Result {
    let disk = SimulatedDisk::new(3, 1 << 20);
    block_on(async {
        let (journal, _) = Journal::open(Arc::new(disk.clone()), small())?;
        disk.set_failures(1, 0);
        let told = Told::observe(journal.shared());
        journal.append(Kind(1), vec![Bytes::from_static(b"never")])?;
        journal.close().await;
        assert_eq!(journal.flush().await, Err(AppendError::Closed));
        assert!(told.is_closed() && told.take().is_empty());
        assert!(journal.status().errors > 0);
        disk.restart(Tear::Kept);
        Journal::open(Arc::new(disk.clone()), small())?;
        Ok(())
    })
}

#[test]
fn numbers_remembered_elsewhere_are_skipped_for_good() -> Result {
    let disk = SimulatedDisk::new(4, 1 << 20);
    block_on(async {
        let (journal, _) = Journal::open(Arc::new(disk.clone()), small())?;
        append(&journal, "one").await?;
        journal.skip_past(Sequence::new(1_000_000)).await?;
        while journal.append(Kind(1), vec![]).is_err() {
            tokio::task::yield_now().await;
        }
        journal.flush().await?;
        let first = journal.durable().sequence;
        assert_eq!(first.get(), 1_000_001);
        disk.cut_power_after(0);
        journal.close().await;
        disk.restart(Tear::Lost);
        let (_journal, recovery) = Journal::open(Arc::new(disk.clone()), small())?;
        assert!(recovery.next > first, "{}", recovery.next);
        Ok(())
    })
}

#[test]
fn a_cursor_beyond_what_is_committed_is_refused() -> Result {
    let disk = SimulatedDisk::new(5, 1 << 20);
    block_on(async {
        let (journal, _) = Journal::open(Arc::new(disk.clone()), small())?;
        journal.set_cursor(cursor("a", 0))?;
        journal.sync_cursors().await?;
        let beyond = journal.set_cursor(cursor("a", 10));
        assert_eq!(beyond, Err(CursorError::BeyondCommitted));
        journal.close().await;
        let (_journal, recovery) = Journal::open(Arc::new(disk.clone()), small())?;
        assert_eq!(recovery.cursors, vec![cursor("a", 0)]);
        Ok(())
    })
}

#[test]
fn limits_are_told_apart() -> Result {
    let disk = SimulatedDisk::new(6, 1 << 20);
    let (journal, _) = Journal::open(Arc::new(disk.clone()), small())?;
    let too_large = journal.append(
        Kind(1),
        vec![Bytes::from(vec![0; 600]), Bytes::from(vec![0; 600])],
    );
    assert_eq!(too_large.err(), Some(AppendError::TooLarge));
    disk.set_failures(1, 0);
    let refused = loop {
        if let Err(error) = journal.append(Kind(1), vec![Bytes::from(vec![0; 1000])]) {
            break error;
        }
    };
    assert!(matches!(
        refused,
        AppendError::QueueFull | AppendError::NoRoom
    ));
    Ok(())
}

#[test]
fn a_record_that_is_too_long_for_now_is_not_read_and_nothing_behind_it_is() -> Result {
    for cache_size in [4 << 10, 0] {
        let place = tempfile::tempdir()?;
        let options = Options {
            cache_size,
            ..small()
        };
        block_on(async {
            let (journal, _) = reopen(place.path(), options).await?;
            let long = "x".repeat(900);
            for text in ["one", &long, "three", &long] {
                append(&journal, text).await?;
            }
            let mut reader = journal.reader(Sequence::ZERO);
            reader.stop_before_longer(100);
            assert_eq!(all(&mut reader).await?, ["one"]);
            assert!(reader.is_before_a_longer());
            assert_eq!(reader.position().get(), 1);
            reader.stop_before_longer(usize::MAX);
            assert_eq!(reader.read(1).await?.len(), 1, "the long one");
            assert!(!reader.is_before_a_longer());
            reader.stop_before_longer(100);
            assert_eq!(all(&mut reader).await?, ["three"]);
            assert!(reader.is_before_a_longer());
            reader.stop_before_longer(usize::MAX);
            assert_eq!(all(&mut reader).await?, [long]);
            assert!(!reader.is_before_a_longer(), "there is nothing");
            Ok(())
        })?;
    }
    Ok(())
}
