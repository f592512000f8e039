//! Damage of one kind each, and what is made of it.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;

use super::simulated::{SimulatedDisk, Tear};
use crate::journal::frame::{FrameHeader, Identity};
use crate::journal::segment::{FileName, HEADER_BYTES, HEADER_SIZE, SegmentHeader};
use crate::journal::{
    Cursor, Disk, Gap, Journal, Kind, OpenError, Options, Position, ReadError, Recovery, Sequence,
};

pub(super) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const SEGMENT: u64 = 4096;
/// Three of these and the segment header fill a segment.
pub(super) const PAYLOAD: usize = 1000;

pub(super) fn options() -> Options {
    Options {
        segment_size: SEGMENT,
        max_record: PAYLOAD,
        cache_size: 0,
        close_timeout: std::time::Duration::from_millis(20),
        ..Options::default()
    }
}

fn open(disk: &SimulatedDisk) -> std::result::Result<(Journal, Recovery), OpenError> {
    Journal::open(Arc::new(disk.clone()), options())
}

/// A journal of this many records, each synced on its own, whose process was killed.
async fn filled(records: u64) -> Result<SimulatedDisk> {
    let disk = SimulatedDisk::new(records, 1 << 30);
    let (journal, _) = open(&disk)?;
    let cursor = |sequence| Cursor {
        name: "a".into(),
        sequence: Sequence::new(sequence),
        offset: 0,
        metadata: Bytes::new(),
    };
    for number in 1..=records {
        let payload = vec![
            Bytes::from(vec![number as u8; PAYLOAD / 2]),
            Bytes::from(vec![number as u8; PAYLOAD / 2]),
        ];
        journal.append(Kind(1), payload)?;
        journal.flush().await?;
        assert_eq!(journal.durable().sequence.get(), number);
        if number <= 2 {
            journal.set_cursor(cursor(number - 1))?;
            journal.sync_cursors().await?;
        }
    }
    disk.cut_power_after(0);
    journal.close().await;
    disk.restart(Tear::Kept);
    Ok(disk)
}

pub(super) fn segments(disk: &SimulatedDisk) -> Vec<String> {
    let is_segment =
        |name: &String| matches!(FileName::parse(name), Some(FileName::Segment { .. }));
    let mut names: Vec<String> = disk.names().into_iter().filter(is_segment).collect();
    names.sort();
    names
}

/// What a reader from the start meets: numbers of records, and pairs for gaps.
async fn read(journal: &Journal) -> Result<Vec<(u64, u64)>> {
    let (mut reader, mut met) = (journal.reader(Sequence::ZERO), Vec::new());
    loop {
        match reader.read(2500).await {
            Ok(records) if records.is_empty() => return Ok(met),
            Ok(records) => {
                for record in records {
                    let number = record.sequence.get();
                    assert!(
                        record.payload.iter().all(|byte| *byte == number as u8)
                            && record.payload.len() == PAYLOAD
                    );
                    met.push((number, number));
                }
            }
            Err(ReadError::Gap { from, to }) => met.push((from.get(), to.get())),
            Err(error) => return Err(error.into()),
        }
    }
}

fn sound(numbers: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = (u64, u64)> {
    numbers.map(|number| (number, number))
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .build()?
        .block_on(work)
}

#[test]
fn a_flipped_bit_in_the_last_segment_is_a_gap_of_one_record() -> Result {
    block_on(async {
        let disk = filled(6).await?;
        let names = segments(&disk);
        disk.flip(&names[1], HEADER_SIZE as usize + 1040 + 500, 1);
        let (journal, recovery) = open(&disk)?;
        assert_eq!(
            recovery.gaps,
            vec![Gap {
                after: Sequence::new(4),
                before: Sequence::new(6)
            }]
        );
        assert_eq!(recovery.head.sequence.get(), 6);
        assert_eq!(
            read(&journal).await?,
            Vec::from_iter(sound(1..=6)),
            "the gap is met as 5 to 5"
        );
        let mut reader = journal.reader(Sequence::new(4));
        assert!(
            matches!(reader.read(1).await, Err(ReadError::Gap { from, to }) if (from.get(), to.get()) == (5, 5))
        );
        assert_eq!(reader.position().get(), 5);
        assert_eq!(reader.read(1).await?.len(), 1);
        Ok(())
    })
}

#[test]
fn damage_in_a_segment_that_is_not_scanned_is_met_by_the_reader() -> Result {
    block_on(async {
        let disk = filled(9).await?;
        let names = segments(&disk);
        // The second record's header: its length is not to be believed. And half of the third.
        disk.flip(&names[0], HEADER_SIZE as usize + 1040 + 9, 0xff);
        disk.flip(&names[0], HEADER_SIZE as usize + 2080 + 100, 0x10);
        let (journal, recovery) = open(&disk)?;
        assert_eq!(recovery.gaps, vec![]);
        let expected = sound(1..=1).chain([(2, 3)]).chain(sound(4..=9));
        assert_eq!(read(&journal).await?, Vec::from_iter(expected));
        Ok(())
    })
}

#[test]
fn damaged_segment_headers_cost_nothing() -> Result {
    block_on(async {
        let disk = filled(9).await?;
        for name in segments(&disk) {
            disk.flip(&name, 20, 0x80);
        }
        let (journal, recovery) = open(&disk)?;
        assert_eq!((recovery.gaps, recovery.head.sequence.get()), (vec![], 9));
        assert_eq!(read(&journal).await?, Vec::from_iter(sound(1..=9)));
        Ok(())
    })
}

#[test]
fn a_missing_segment_is_a_gap_and_so_is_a_missing_end() -> Result {
    block_on(async {
        let disk = filled(9).await?;
        disk.delete(&segments(&disk)[1]);
        let (journal, recovery) = open(&disk)?;
        assert_eq!(
            recovery.gaps,
            vec![Gap {
                after: Sequence::new(3),
                before: Sequence::new(7)
            }]
        );
        assert_eq!(
            read(&journal).await?,
            Vec::from_iter(sound(1..=3).chain([(4, 6)]).chain(sound(7..=9)))
        );
        drop(journal);

        let disk = filled(3).await?;
        let (journal, _) = open(&disk)?;
        journal.append(Kind(1), vec![])?;
        journal.flush().await?;
        let last = journal.durable();
        let cursor = Cursor {
            name: "beyond".into(),
            sequence: last.sequence,
            offset: last.offset,
            metadata: Bytes::new(),
        };
        journal.set_cursor(cursor.clone())?;
        journal.close().await;
        disk.delete(&segments(&disk)[1]);
        let (journal, recovery) = open(&disk)?;
        assert_eq!(recovery.head.sequence.get(), 3);
        assert_eq!(recovery.cursors_beyond_head, vec![cursor]);
        assert_eq!(
            recovery.gaps,
            vec![Gap {
                after: Sequence::new(3),
                before: last.sequence.next()
            }]
        );
        assert!(recovery.next > last.sequence);
        assert_eq!(
            read(&journal).await?,
            Vec::from_iter(sound(1..=3).chain([(4, last.sequence.get())]))
        );
        Ok(())
    })
}

/// Puts a file among the segments, as a failed begin of a segment leaves it: `after` is the serial of the one before it.
fn leave_behind(disk: &SimulatedDisk, first: u64, after: u64) -> Result<String> {
    let name = FileName::Segment {
        first: Sequence::new(first),
        serial: after + 1,
    }
    .to_string();
    disk.create(&name, SEGMENT)?;
    disk.sync_directory()?;
    Ok(name)
}

fn serial(name: &str) -> Result<u64> {
    Ok(FileName::parse(name).ok_or("not a segment")?.serial())
}

#[test]
fn a_segment_that_was_passed_over_hides_nothing_of_who_vouches_for_the_one_before_it() -> Result {
    block_on(async {
        let disk = filled(3).await?;
        let name = segments(&disk).remove(0);
        let file = disk.open(&name)?;
        // What a poisoned file may hold behind its end: frames that were never synced.
        let mut header = [0; HEADER_BYTES];
        file.read_at(&mut header, 0)?;
        let header = SegmentHeader::decode(&header).map_err(|_| "a header")?;
        let unsynced = FrameHeader {
            payload_checksum: crc32c::crc32c(b""),
            length: 0,
            kind: Kind(1),
            sequence: Sequence::new(22),
            offset: 5000,
            unix_nanos: 0,
            synced: Sequence::new(3),
        };
        let identity = Identity::new(header.journal, header.serial);
        let at = HEADER_SIZE + 3 * 1040 + 16;
        file.write_at(&mut [IoSlice::new(&unsynced.encode(identity))], at)?;
        file.sync()?;
        leave_behind(&disk, 4, header.serial)?;

        let (journal, _) = open(&disk)?;
        journal.append(Kind(1), vec![])?;
        journal.flush().await?;
        let sequence = journal.durable().sequence;
        journal.close().await;
        leave_behind(&disk, 4, header.serial)?;
        let (_, recovery) = open(&disk)?;
        assert_eq!(
            (recovery.gaps, recovery.head.sequence, recovery.segments),
            (vec![], sequence, 2)
        );
        Ok(())
    })
}

#[test]
fn a_segment_that_was_passed_over_is_gone_before_those_around_it_are_released() -> Result {
    block_on(async {
        let disk = filled(6).await?;
        let names = segments(&disk);
        let left = leave_behind(&disk, 4, serial(&names[0])?)?;
        for name in disk.names() {
            if matches!(FileName::parse(&name), Some(FileName::Spare { .. })) {
                disk.delete(&name);
            }
        }
        let (journal, _) = open(&disk)?;
        journal.append(Kind(1), vec![])?;
        journal.flush().await?;
        let head = journal.durable();
        journal.trim(head.sequence);
        // Both tables must hold it, and then a step must be made.
        for note in [&b"1"[..], b"2", b"3"] {
            journal.set_cursor(Cursor {
                name: "a".into(),
                sequence: head.sequence,
                offset: head.offset,
                metadata: Bytes::from_static(note),
            })?;
            journal.sync_cursors().await?;
        }
        disk.cut_power_after(0);
        journal.close().await;
        disk.restart(Tear::Kept);
        let now = segments(&disk);
        assert!(!now.contains(&names[0]) && !now.contains(&left), "{now:?}");
        assert_eq!(open(&disk)?.1.gaps, vec![]);
        Ok(())
    })
}

#[test]
fn several_segments_that_were_begun_and_never_synced_are_no_end() -> Result {
    block_on(async {
        let disk = filled(6).await?;
        let names = segments(&disk);
        let last = serial(&names[1])?;
        let left = [
            leave_behind(&disk, 7, last)?,
            leave_behind(&disk, 7, last + 1)?,
        ];
        let (journal, recovery) = open(&disk)?;
        assert_eq!((recovery.segments, recovery.head.sequence.get()), (2, 6));
        journal.append(Kind(1), vec![])?;
        journal.flush().await?;
        journal.close().await;
        // The new one vouches for the last that counts, whatever else is there.
        for name in left {
            if !disk.names().contains(&name) {
                leave_behind(&disk, 7, serial(&name)? - 1)?;
            }
        }
        let (_, recovery) = open(&disk)?;
        assert_eq!((recovery.segments, recovery.gaps), (3, vec![]));
        Ok(())
    })
}

#[test]
fn behind_a_damaged_header_it_is_known_whether_the_segments_before_were_released_or_lost() -> Result
{
    block_on(async {
        let disk = filled(9).await?;
        let names = segments(&disk);
        disk.delete(&names[0]);
        disk.flip(&names[1], 20, 0x80);
        let (journal, recovery) = open(&disk)?;
        assert_eq!(
            recovery.gaps,
            vec![Gap {
                after: Sequence::new(1),
                before: Sequence::new(4)
            }]
        );
        assert_eq!(
            read(&journal).await?,
            Vec::from_iter([(1, 3)].into_iter().chain(sound(4..=9)))
        );
        drop(journal);

        let disk = filled(9).await?;
        let (journal, _) = open(&disk)?;
        journal.trim(Sequence::new(3));
        for note in [&b"1"[..], b"2", b"3"] {
            journal.set_cursor(Cursor {
                name: "a".into(),
                sequence: Sequence::new(3),
                offset: 3 * 1040,
                metadata: Bytes::from_static(note),
            })?;
            journal.sync_cursors().await?;
        }
        disk.cut_power_after(0);
        journal.close().await;
        disk.restart(Tear::Kept);
        let now = segments(&disk);
        assert_eq!(now.first(), names.get(1), "the first one is released");
        disk.flip(&now[0], 20, 0x80);
        let (journal, recovery) = open(&disk)?;
        assert_eq!(recovery.gaps, vec![]);
        let mut reader = journal.reader(Sequence::new(3));
        assert_eq!(reader.read(1).await?[0].sequence.get(), 4);
        Ok(())
    })
}

#[test]
fn a_damaged_cursor_table_leaves_the_other() -> Result {
    block_on(async {
        for (damaged, least) in [("cursors.0", 0), ("cursors.1", 0)] {
            let disk = filled(6).await?;
            disk.flip(damaged, 50, 1);
            let (_, recovery) = open(&disk)?;
            assert_eq!(recovery.cursors.len(), 1);
            assert!(recovery.cursors[0].sequence.get() >= least);
            assert_eq!((recovery.head.sequence.get(), recovery.clean), (6, false));
        }
        let disk = filled(6).await?;
        disk.flip("cursors.0", 50, 1);
        disk.flip("cursors.1", 50, 1);
        let (journal, recovery) = open(&disk)?;
        assert_eq!(
            (recovery.cursors, recovery.head.sequence.get()),
            (vec![], 6)
        );
        assert_eq!(
            read(&journal).await?,
            Vec::from_iter(sound(1..=6)),
            "with no cursor everything is kept"
        );
        Ok(())
    })
}

#[test]
fn a_long_backlog_is_not_scanned() -> Result {
    block_on(async {
        let disk = filled(600).await?;
        disk.take_read_bytes();
        let (_, recovery) = open(&disk)?;
        assert_eq!(
            (recovery.segments, recovery.head.sequence.get()),
            (200, 600)
        );
        let read = disk.take_read_bytes();
        assert!(
            read < 200 * 100 + 2 * SEGMENT as usize + (2 << 17),
            "{read} bytes read"
        );
        Ok(())
    })
}

#[test]
fn recovery_finds_the_same_again() -> Result {
    block_on(async {
        let disk = filled(6).await?;
        disk.flip(&segments(&disk)[1], HEADER_SIZE as usize + 1040 + 500, 1);
        let mut found = Vec::new();
        for _ in 0..3 {
            // Nothing that it does reaches the disk.
            disk.cut_power_after(0);
            let (journal, recovery) = open(&disk)?;
            journal.close().await;
            disk.restart(Tear::Lost);
            found.push(Recovery {
                took: std::time::Duration::ZERO,
                ..recovery
            });
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
        Ok(())
    })
}

#[test]
fn segments_of_another_journal_are_left_alone() -> Result {
    block_on(async {
        let disk = filled(6).await?;
        let (first, serial) = (Sequence::new(7), 99);
        let header = SegmentHeader {
            journal: [1; 16],
            serial,
            first,
            previous_serial: 0,
            previous: Position::default(),
            unix_nanos: 0,
        };
        let name = FileName::Segment { first, serial }.to_string();
        let file = disk.create(&name, SEGMENT)?;
        file.write_at(&mut [IoSlice::new(&header.encode())], 0)?;
        let (journal, recovery) = open(&disk)?;
        assert_eq!((recovery.foreign, recovery.head.sequence.get()), (1, 6));
        assert_eq!(read(&journal).await?, Vec::from_iter(sound(1..=6)));
        journal.close().await;
        assert!(disk.names().contains(&name));
        Ok(())
    })
}
