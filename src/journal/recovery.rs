//! Opening a journal: what the disk holds, after whatever happened. The rules stand in the module page.

mod files;
mod walk;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::cache::Cache;
use super::cursors::{BadTable, CursorTable, MAX_TABLE};
use super::disk::{Disk, LockFailure};
use super::scan;
use super::segment::SegmentList;
use super::shared::{Admission, JUMP, Pending, Phase, Plan, Shared};
use super::writer::{Start, TableFile, Writer};
use super::{Cursor, Gap, OpenError, Options, Position, Sequence, Status};
use files::Files;

pub(super) const TABLES: [&str; 2] = ["cursors.0", "cursors.1"];
const WINDOW: usize = 1 << 20;

/// What was found when the journal was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The newest sound record.
    pub head: Position,
    /// The sequence that the next record gets.
    pub(super) next: Sequence,
    /// The saved cursors.
    pub(super) cursors: Vec<Cursor>,
    /// Records that were synced and are lost, as far as that was seen; readers meet the rest.
    pub gaps: Vec<Gap>,
    /// Cursors above `head`: what they stand for has been applied, and the journal does not hold it.
    pub cursors_beyond_head: Vec<Cursor>,
    /// Bytes of records that were never known synced and stood behind a torn one.
    pub torn_bytes_cut: u64,
    /// Segments that hold records.
    pub(super) segments: usize,
    /// Segment files that belong to another journal. They are left alone.
    pub(super) foreign: usize,
    /// The journal was closed before, not cut off.
    pub clean: bool,
    /// How long it took.
    pub took: Duration,
}

impl Recovery {
    /// Whether the journal was made now.
    pub fn is_new(&self) -> bool {
        self.next == Sequence::ZERO.next()
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.head.sequence == Sequence::ZERO {
            return formatter.write_str("a new journal");
        }
        let (took, head, segments) = (self.took, self.head.sequence, self.segments);
        let end = if self.clean { "closed well" } else { "cut off" };
        write!(
            formatter,
            "journal opened in {took:.1?}: it was {end}, its newest record is {head}, in {segments} segments"
        )
    }
}

/// Takes the lock, recovers and prepares to write. `now` is the writer's clock.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    options: Options,
    now: Instant,
) -> Result<(Writer, Recovery), OpenError> {
    let began = Instant::now();
    let options = options.checked();
    let guard = disk.lock().map_err(|failure| match failure {
        LockFailure::Held(holder) => OpenError::Locked { holder },
        LockFailure::Io(source) => OpenError::Io {
            action: "lock the journal",
            source,
        },
    })?;
    let names = disk.list().map_err(|source| OpenError::Io {
        action: "list the journal's files",
        source,
    })?;
    let [first, second] = TABLES;
    let tables = [read_table(&*disk, first)?, read_table(&*disk, second)?];
    let newest = tables
        .iter()
        .filter_map(|(_, table)| table.as_ref())
        .max_by_key(|table| table.generation)
        .cloned();
    let clean = newest.as_ref().is_some_and(|table| table.clean)
        && tables.iter().all(|(_, table)| table.is_some());
    let mut files = Files::read(&*disk, &names, newest.as_ref().map(|table| table.journal))?;
    let proven = newest
        .as_ref()
        .map_or(Position::default(), |table| table.synced);
    let found = files.recover(
        &*disk,
        proven,
        newest
            .as_ref()
            .map(|table| table.cursors.as_slice())
            .unwrap_or_default(),
    );

    let cursors = newest
        .as_ref()
        .map(|table| table.cursors.clone())
        .unwrap_or_default();
    let highest = cursors
        .iter()
        .map(|cursor| cursor.sequence)
        .max()
        .unwrap_or(Sequence::ZERO);
    let floor = newest.as_ref().map_or(Sequence::ZERO, |table| table.floor);
    let born = newest.is_none() && files.segments.is_empty();
    let jump = match tables.iter().filter(|(_, table)| table.is_some()).count() {
        _ if clean || born => 0,
        2 => JUMP,
        // The newer one may be lost, and with it the floor of a life that itself began with a jump.
        _ => 2 * JUMP,
    };
    let next = found
        .known
        .sequence
        .max(highest)
        .next()
        .max(floor)
        .plus(jump);
    let generation = newest.as_ref().map_or(0, |table| table.generation);

    let count = found.segments.len() + found.sources.len();
    let spares = files.spares(&*disk, &options);
    let unproven: VecDeque<Pending> = found.unproven.into_iter().map(Pending::again).collect();
    let mut segments = SegmentList::default();
    found
        .segments
        .iter()
        .for_each(|segment| segments.push(*segment));
    let shared = Arc::new(Shared {
        disk,
        first: next,
        admission: Mutex::new(Admission {
            phase: Phase::Open,
            next,
            head: found.known,
            committed: found.known,
            queue: VecDeque::new(),
            waiting_bytes: unproven
                .iter()
                .map(|pending| pending.record.payload.len())
                .sum(),
            plan: Plan::default(),
            floor_saved: false,
            room: false,
            trimmed: Sequence::ZERO,
            cursors: cursors
                .iter()
                .map(|cursor| (cursor.name.clone(), cursor.clone()))
                .collect::<BTreeMap<_, _>>(),
            cursors_version: 1,
            cursor_waiters: Vec::new(),
            asleep: false,
            news: false,
        }),
        wake: Condvar::new(),
        cache: Mutex::new(Cache::new(options.cache_size, found.proven.sequence)),
        segments: Mutex::new(segments),
        durable: watch::Sender::new(found.proven),
        observer: OnceLock::new(),
        status: Mutex::new(Status::default()),
        ended: watch::Sender::new(false),
        options,
    });
    let tables = tables.map(|(file, table)| TableFile {
        generation: table.as_ref().map_or(0, |table| table.generation),
        unproven: table
            .as_ref()
            .filter(|table| table.generation == generation)
            .map(CursorTable::encode),
        cursors: table.map(|table| table.cursors).unwrap_or_default(),
        ..file
    });
    let start = Start {
        journal: files.journal,
        lock: guard,
        synced: found.proven,
        unproven,
        sources: found.sources,
        next_serial: files.next_serial,
        spares,
        leftovers: files.leftovers,
        tables,
        generation,
    };
    if files.foreign > 0 {
        log::warn!(
            "journal: {} files belong to another journal and are left alone",
            files.foreign
        );
    }
    let mut writer = Writer::new(Arc::clone(&shared), start);
    writer.replan();
    writer.step(now);
    let recovery = Recovery {
        head: found.head,
        next,
        cursors_beyond_head: cursors
            .iter()
            .filter(|cursor| cursor.sequence > found.head.sequence)
            .cloned()
            .collect(),
        cursors,
        gaps: found.gaps,
        torn_bytes_cut: found.torn,
        segments: count,
        foreign: files.foreign,
        clean,
        took: began.elapsed(),
    };
    Ok((writer, recovery))
}

/// Reads one of the two tables.
fn read_table(
    disk: &dyn Disk,
    name: &'static str,
) -> Result<(TableFile, Option<CursorTable>), OpenError> {
    let mut table = TableFile {
        name,
        file: None,
        size: 0,
        generation: 0,
        cursors: Vec::new(),
        version: 0,
        clean: false,
        unproven: None,
    };
    let failed = |source| OpenError::Io {
        action: "read the cursors",
        source,
    };
    let file = match disk.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((table, None)),
        Err(error) => return Err(failed(error)),
    };
    table.size = file.size().map_err(failed)?;
    let mut bytes = vec![0; usize::try_from(table.size.min(MAX_TABLE)).unwrap_or(0)];
    // An unreadable sector is damage like any other; the other table is there for that.
    let read = scan::read(&*file, &mut bytes, 0);
    table.file = Some(file);
    match read.map_or(Err(BadTable::Unsound), |()| CursorTable::decode(&bytes)) {
        Ok(found) => Ok((table, Some(found))),
        Err(BadTable::Unsound) => Ok((table, None)),
        Err(BadTable::Newer(version)) => Err(OpenError::Version {
            file: name.into(),
            version,
        }),
    }
}
