//! What recovery finds and nothing proves to have been synced.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::damage::{PAYLOAD, Result, options, segments};
use super::simulated::{SimulatedDisk, Tear};
use crate::journal::handle::request_save;
use crate::journal::writer::Writer;
use crate::journal::{Cursor, Kind, Options, Reader, Recovery, Sequence, Sync, recovery};

fn begin(disk: &SimulatedDisk, sync: Sync) -> Result<(Writer, Recovery)> {
    let options = Options { sync, ..options() };
    Ok(recovery::open(
        Arc::new(disk.clone()),
        options,
        Instant::now(),
    )?)
}

fn append(writer: &Writer, number: u64) -> Result {
    let payload = vec![number as u8; PAYLOAD];
    let checksum = crc32c::crc32c(&payload);
    let shared = writer.shared();
    let mut admission = shared.admission.lock();
    admission.admit(&shared.options, Kind(1), 7, Bytes::from(payload), checksum)?;
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
        let status = writer.shared().status.lock();
        assert!(
            status.last_error.is_some() && !status.takes_records,
            "{status:?}"
        );
    }
    disk.set_failures(0, 0);
    writer.step(Instant::now() + Duration::from_secs(2));
    assert_eq!(durable(&writer), 2);
    assert_eq!(served(&writer)?, [1, 2]);
    writer.step(Instant::now() + Duration::from_secs(4));
    assert!(writer.shared().admission.lock().room);
    Ok(())
}

/// A disk with this many acknowledged records, each synced on its own, whose process was killed.
fn acknowledged(seed: u64, records: u64) -> Result<SimulatedDisk> {
    let disk = SimulatedDisk::new(seed, 1 << 30);
    let (mut writer, _) = begin(&disk, Sync::Always)?;
    for number in 1..=records {
        append(&writer, number)?;
        writer.step(Instant::now());
        assert_eq!(durable(&writer), number);
    }
    kill(&disk, writer);
    Ok(disk)
}

#[test]
fn what_was_acknowledged_outlives_a_recovery_that_is_cut_off_anywhere() -> Result {
    let tears = [Tear::Lost, Tear::Kept, Tear::Prefix, Tear::Sectors];
    for (seed, tear) in (0..40).zip(tears.into_iter().cycle()) {
        for (records, operations) in (1..=5).flat_map(|records| (0..16).map(move |o| (records, o)))
        {
            let disk = acknowledged(seed, records)?;
            disk.cut_power_after(operations);
            if let Ok((writer, _)) = begin(&disk, Sync::Always) {
                std::mem::forget(writer);
            }
            disk.restart(tear);
            let (writer, recovery) = begin(&disk, Sync::Always)?;
            let head = recovery.head.sequence.get();
            let case = (seed, tear, operations);
            assert_eq!((head, recovery.gaps), (records, vec![]), "{case:?}");
            assert_eq!(served(&writer)?, Vec::from_iter(1..=records));
        }
    }
    Ok(())
}

#[test]
fn where_it_was_found_it_stays_until_it_is_synced_elsewhere() -> Result {
    let disk = acknowledged(6, 1)?;
    // Everything fails but what writes nothing new: the spares are gone, and there is no room for others.
    for name in disk.names() {
        if name.starts_with("spare") {
            disk.delete(&name);
        }
    }
    disk.set_capacity(0);
    let (mut writer, _) = begin(&disk, Sync::Always)?;
    writer.step(Instant::now() + Duration::from_secs(2));
    assert_eq!(durable(&writer), 0);
    std::mem::forget(writer);
    disk.restart(Tear::Lost);
    disk.set_capacity(1 << 30);
    assert_eq!(served(&begin(&disk, Sync::Always)?.0)?, [1]);
    Ok(())
}

#[test]
fn a_table_that_was_only_in_memory_is_not_all_there_is_when_the_power_fails() -> Result {
    for operations in 0..8 {
        let disk = SimulatedDisk::new(8, 1 << 30);
        let (mut writer, _) = begin(&disk, Sync::Always)?;
        let (save, next) = {
            let mut admission = writer.shared().admission.lock();
            (request_save(&mut admission)?, admission.next)
        };
        // The second table's file is made, its name and content are not synced.
        disk.set_failures(1, 0);
        writer.step(Instant::now());
        drop(save);
        kill(&disk, writer);
        disk.set_failures(0, 0);
        let (writer, recovery) = begin(&disk, Sync::Always)?;
        assert!(recovery.next > next);
        append(&writer, 1)?;
        std::mem::forget(writer);
        disk.restart(Tear::Lost);
        disk.cut_power_after(operations);
        let (writer, again) = begin(&disk, Sync::Always)?;
        assert!(again.next > recovery.next, "{operations}: {again:?}");
        std::mem::forget(writer);
    }
    Ok(())
}

#[test]
fn no_cursor_is_saved_on_what_is_not_synced() -> Result {
    let disk = SimulatedDisk::new(7, 1 << 30);
    let (mut writer, _) = begin(&disk, Sync::Never)?;
    append(&writer, 1)?;
    // The second step brings the second table to the first one's content.
    for seconds in [0, 2] {
        writer.step(Instant::now() + Duration::from_secs(seconds));
    }
    kill(&disk, writer);
    for name in disk.names() {
        if name.starts_with("spare") {
            disk.delete(&name);
        }
    }
    disk.set_capacity(0);
    let (mut writer, recovery) = begin(&disk, Sync::Never)?;
    assert_eq!((recovery.head.sequence.get(), durable(&writer)), (1, 0));
    {
        let mut admission = writer.shared().admission.lock();
        let cursor = Cursor {
            name: "a".into(),
            sequence: Sequence::new(1),
            offset: 0,
            metadata: Bytes::new(),
        };
        admission.cursors.insert("a".into(), cursor);
        admission.cursors_version += 1;
    }
    writer.step(Instant::now() + Duration::from_secs(2));
    std::mem::forget(writer);
    disk.restart(Tear::Lost);
    disk.set_capacity(1 << 30);
    let (_, recovery) = begin(&disk, Sync::Never)?;
    assert_eq!(recovery.cursors_beyond_head, vec![]);
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
    let (mut writer, _) = recovery::open(Arc::new(disk.clone()), large, Instant::now())?;
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

#[test]
fn what_a_start_after_a_crash_leaves_out_is_known() -> Result {
    let disk = SimulatedDisk::new(1, 1 << 30);
    let mut expected: Vec<(u64, u64)> = Vec::new();
    for life in 0..3 {
        let (mut writer, _) = begin(&disk, Sync::Always)?;
        let jumps = writer.shared().jumps();
        let jumps: Vec<(u64, u64)> = jumps.iter().map(|(a, b)| (a.get(), b.get())).collect();
        if life > 0 {
            let next = writer.shared().admission.lock().next.get();
            expected.push((durable(&writer), next));
        }
        assert_eq!(jumps, expected);
        {
            // Keeps all of it.
            let mut admission = writer.shared().admission.lock();
            let cursor = Cursor {
                name: "a".into(),
                sequence: Sequence::ZERO,
                offset: 0,
                metadata: Bytes::new(),
            };
            admission.cursors.insert("a".into(), cursor);
            admission.cursors_version += 1;
            request_save(&mut admission)?;
        }
        append(&writer, 1)?;
        append(&writer, 2)?;
        writer.step(Instant::now());
        assert!(life == 0 || durable(&writer) > 1 << 17);
        kill(&disk, writer);
    }
    let (writer, _) = begin(&disk, Sync::Always)?;
    let left_out: u64 = writer
        .shared()
        .jumps()
        .iter()
        .map(|(a, b)| b.get() - a.get() - 1)
        .sum();
    let next = writer.shared().admission.lock().next.get();
    assert_eq!(next - 1 - left_out, 6);
    Ok(())
}
