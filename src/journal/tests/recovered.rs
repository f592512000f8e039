//! What recovery finds and nothing proves to have been synced.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::damage::{PAYLOAD, Result, block_on, filled, open, options, read, segments, sound};
use super::simulated::{SimulatedDisk, Tear};
use crate::journal::front::lock;
use crate::journal::writer::Writer;
use crate::journal::{Kind, Options, Reader, Recovery, Sequence, Sync, recovery};

fn begin(disk: &SimulatedDisk, sync: Sync) -> Result<(Writer, Recovery)> {
    let options = Options { sync, ..options() };
    Ok(recovery::open(Arc::new(disk.clone()), options)?)
}

fn append(writer: &Writer, number: u64) -> Result {
    let (payload, (waiter, _)) = (vec![number as u8; PAYLOAD], oneshot::channel());
    let checksum = crc32c::crc32c(&payload);
    let shared = writer.shared();
    let mut front = lock(&shared.front);
    front.admit(
        &shared.options,
        Kind(1),
        7,
        Bytes::from(payload),
        checksum,
        waiter,
    )?;
    Ok(())
}

fn durable(writer: &Writer) -> u64 {
    writer.shared().durable.borrow().sequence.get()
}

/// The numbers of the records that are served.
fn served(writer: &Writer) -> Result<Vec<u64>> {
    let mut reader = Reader::new(Arc::clone(writer.shared()), Sequence::ZERO);
    let records = reader.read_blocking(usize::MAX, false)?;
    Ok(records.iter().map(|record| record.sequence.get()).collect())
}

/// The process is killed: nothing of it runs any more.
fn kill(disk: &SimulatedDisk, writer: Writer) {
    std::mem::forget(writer);
    disk.kill(false);
}

#[test]
fn what_only_the_system_remembers_is_synced_before_it_is_served() -> Result {
    for sync in [Sync::Never, Sync::Interval(Duration::from_secs(9))] {
        let disk = SimulatedDisk::new(1, 1 << 30);
        let (mut writer, _) = begin(&disk, sync)?;
        append(&writer, 1)?;
        append(&writer, 2)?;
        writer.step(Instant::now());
        assert_eq!(durable(&writer), 2);
        kill(&disk, writer);

        let (writer, recovery) = begin(&disk, sync)?;
        assert_eq!((recovery.head.sequence.get(), durable(&writer)), (2, 2));
        assert_eq!(served(&writer)?, [1, 2]);
        drop(writer);
        disk.restart(Tear::Lost);
        let (writer, recovery) = begin(&disk, sync)?;
        assert_eq!((recovery.head.sequence.get(), recovery.gaps), (2, vec![]));
        assert_eq!(served(&writer)?, [1, 2]);
    }
    Ok(())
}

#[test]
fn what_a_failed_sync_left_in_memory_is_not_taken_for_synced() -> Result {
    let disk = SimulatedDisk::new(2, 1 << 30);
    let (mut writer, _) = begin(&disk, Sync::Always)?;
    append(&writer, 1)?;
    writer.step(Instant::now());
    append(&writer, 2)?;
    disk.set_failures(1, 0);
    writer.step(Instant::now());
    assert_eq!(durable(&writer), 1);
    kill(&disk, writer);

    disk.set_failures(0, 0);
    let (writer, _) = begin(&disk, Sync::Always)?;
    assert_eq!(served(&writer)?, [1, 2]);
    drop(writer);
    disk.restart(Tear::Lost);
    assert_eq!(served(&begin(&disk, Sync::Always)?.0)?, [1, 2]);
    Ok(())
}

#[test]
fn what_cannot_be_synced_is_not_served_until_it_can_be() -> Result {
    let disk = SimulatedDisk::new(3, 1 << 30);
    let (mut writer, _) = begin(&disk, Sync::Always)?;
    let now = Instant::now();
    append(&writer, 1)?;
    writer.step(now);
    append(&writer, 2)?;
    writer.step(now);
    kill(&disk, writer);

    // The first proves of itself nothing, the second proves the first.
    for name in ["cursors.0", "cursors.1"] {
        disk.delete(name);
    }
    disk.set_failures(1, 0);
    let (mut writer, recovery) = begin(&disk, Sync::Always)?;
    assert_eq!((recovery.head.sequence.get(), durable(&writer)), (2, 1));
    assert_eq!(served(&writer)?, [1]);
    {
        let health = lock(&writer.shared().health);
        assert!(health.last_error.is_some() && !health.room, "{health:?}");
    }
    disk.set_failures(0, 0);
    writer.step(Instant::now() + Duration::from_secs(2));
    assert_eq!(durable(&writer), 2);
    assert_eq!(served(&writer)?, [1, 2]);
    writer.step(Instant::now() + Duration::from_secs(4));
    assert!(lock(&writer.shared().front).room);
    Ok(())
}

#[test]
fn what_was_acknowledged_outlives_a_recovery_that_is_cut_off_anywhere() -> Result {
    let tears = [Tear::Lost, Tear::Kept, Tear::Prefix, Tear::Sectors];
    for records in [3, 4, 5] {
        for operations in 0..16 {
            for tear in tears {
                block_on(async {
                    let disk = filled(records).await?;
                    disk.cut_power_after(operations);
                    if let Ok((journal, _)) = open(&disk) {
                        disk.cut_power_after(0);
                        journal.close().await;
                    }
                    disk.restart(tear);
                    let (journal, recovery) = open(&disk)?;
                    let head = recovery.head.sequence.get();
                    assert_eq!((head, recovery.gaps), (records, vec![]), "{operations}");
                    assert_eq!(read(&journal).await?, Vec::from_iter(sound(1..=records)));
                    Ok(())
                })?;
            }
        }
    }
    Ok(())
}

#[test]
fn more_than_a_segment_holds_now_is_made_durable_too() -> Result {
    let disk = SimulatedDisk::new(4, 1 << 30);
    let large = Options {
        segment_size: 1 << 16,
        sync: Sync::Never,
        ..options()
    };
    let (mut writer, _) = recovery::open(Arc::new(disk.clone()), large)?;
    (1..=20).try_for_each(|number| append(&writer, number))?;
    writer.step(Instant::now());
    kill(&disk, writer);

    let (writer, _) = begin(&disk, Sync::Always)?;
    drop(writer);
    disk.restart(Tear::Lost);
    let (writer, _) = begin(&disk, Sync::Always)?;
    assert_eq!(served(&writer)?, Vec::from_iter(1..=20));
    Ok(())
}

#[test]
fn a_spare_whose_new_name_could_not_be_synced_is_a_spare_again() -> Result {
    let disk = SimulatedDisk::new(5, 1 << 30);
    let (mut writer, _) = begin(&disk, Sync::Always)?;
    let (now, files) = (Instant::now(), disk.names().len());
    append(&writer, 1)?;
    disk.set_failures(1, 0);
    writer.step(now);
    assert_eq!((durable(&writer), disk.names().len()), (0, files));
    assert!(segments(&disk).is_empty(), "{:?}", disk.names());
    disk.set_failures(0, 0);
    writer.step(now + Duration::from_secs(2));
    assert_eq!((durable(&writer), segments(&disk).len()), (1, 1));
    Ok(())
}
