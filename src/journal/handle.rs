//! The journal as its users hold it.

use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use tokio::sync::{oneshot, watch};

use super::shared::{Admission, CursorWaiter, Phase, Shared};
use super::writer::{Writer, run};
use super::{
    AppendError, Cursor, CursorError, Disk, Kind, Observer, OpenError, Options, Position, Reader,
    Recovery, Sequence, Status, Ticket, recovery,
};

/// The durable, ordered log of one relay. Clones are the same journal. When the last one is dropped without
/// [`Journal::close`], the writer ends soon, as if the process had been killed then.
#[derive(Debug, Clone)]
pub struct Journal {
    handle: Arc<Handle>,
}

/// Tells the writer when nobody holds the journal any more.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut admission = self.shared.admission.lock();
        if admission.phase == Phase::Open {
            admission.phase = Phase::Abandoned;
        }
        wake(&self.shared, admission);
    }
}

/// What a record holds, with its checksum.
#[derive(Debug, Clone)]
pub struct Payload {
    bytes: Bytes,
    checksum: u32,
}

impl Payload {
    /// Bytes.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Computes the checksum.
    pub fn new(bytes: Bytes) -> Self {
        Self {
            checksum: crc32c::crc32c(&bytes),
            bytes,
        }
    }
}

impl Journal {
    /// Takes the lock, recovers, prepares room and starts the writer thread. Blocks on the disk.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Self, Recovery), OpenError> {
        let (writer, recovery) = recovery::open(disk, options, Instant::now())?;
        let shared = Arc::clone(writer.shared());
        Self::start(writer).map_err(|source| OpenError::Io {
            action: "start the journal's thread",
            source,
        })?;
        Ok((
            Self {
                handle: Arc::new(Handle { shared }),
            },
            recovery,
        ))
    }

    fn start(writer: Writer) -> std::io::Result<()> {
        thread::Builder::new()
            .name("journal".into())
            .spawn(move || run(writer))
            .map(drop)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// From now on this observer is told what becomes of appended records. The first call counts; it must come before the
    /// first append.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        // There is one observer for as long as the journal lives.
        let _ = self.shared().observer.set(observer);
    }

    /// Appends a record of these pieces, one after another. Never waits for the disk: the order of calls is the order of
    /// records. The record gets to the disk whether or not the ticket is kept.
    ///
    /// # Errors
    /// [`AppendError`]: nothing is stored.
    pub fn append(&self, kind: Kind, payload: Vec<Bytes>) -> Result<Ticket, AppendError> {
        let payload = join(payload, self.shared().options.max_record)?;
        self.append_payload(kind, Payload::new(payload))
    }

    /// [`Journal::append`] where what takes time has been done before: this touches no byte of the payload.
    ///
    /// # Errors
    /// As those of [`Journal::append`].
    pub fn append_payload(&self, kind: Kind, payload: Payload) -> Result<Ticket, AppendError> {
        let shared = self.shared();
        let Payload { bytes, checksum } = payload;
        if bytes.len() > shared.options.max_record {
            return Err(AppendError::TooLarge);
        }
        let since_1970 = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let unix_nanos = u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX);
        let mut admission = shared.admission.lock();
        let ticket = admission.admit(&shared.options, kind, unix_nanos, bytes, checksum)?;
        wake(shared, admission);
        Ok(ticket)
    }

    /// Waits until every record that was appended before this call is committed. On an ill disk that takes as long as it takes.
    ///
    /// # Errors
    /// [`AppendError::Closed`]: the journal ended before.
    pub async fn flush(&self) -> Result<(), AppendError> {
        let newest = self.shared().admission.lock().head.sequence;
        let (mut durable, mut ended) = (self.watch(), self.shared().ended.subscribe());
        let is_committed = |durable: &Position| durable.sequence >= newest;
        tokio::select! {
            biased;
            Ok(_) = durable.wait_for(is_committed) => Ok(()),
            _ = ended.wait_for(|ended| *ended) => Err(AppendError::Closed),
        }
    }

    /// A position at or behind every record that anybody was told is stored, before this call or by a run before this one.
    /// Right after a start it may be ahead of [`Journal::durable`]; see the module page, "Recovery".
    pub fn barrier(&self) -> Position {
        self.shared().admission.lock().committed
    }

    /// The newest committed record: readers are given all up to it.
    pub fn durable(&self) -> Position {
        *self.shared().durable.borrow()
    }

    /// Tells of each change of [`Journal::durable`].
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.shared().durable.subscribe()
    }

    /// Each two numbers between which no record lies, because a start after a crash left those out (rule J3), oldest first. The
    /// last pair has the number that the next record gets.
    pub fn jumps(&self) -> Vec<(Sequence, Sequence)> {
        self.shared().jumps()
    }

    /// Makes the next sequence higher than `sequence`: for numbers remembered outside of the journal. Until this returns,
    /// appends may be told that there is no room.
    pub async fn skip_past(&self, sequence: Sequence) -> Result<(), CursorError> {
        {
            let mut admission = self.shared().admission.lock();
            if admission.next > sequence {
                return Ok(());
            }
            admission.next = sequence.next();
            admission.floor_saved = false;
            admission.room = false;
        }
        self.sync_cursors().await
    }

    /// Reads the durable records above `after`, in order.
    pub fn reader(&self, after: Sequence) -> Reader {
        Reader::new(Arc::clone(&self.handle.shared), after)
    }

    /// All cursors, by name.
    pub fn cursors(&self) -> Vec<Cursor> {
        self.shared()
            .admission
            .lock()
            .cursors
            .values()
            .cloned()
            .collect()
    }

    /// Sets a cursor, in memory. It is saved within `cursor_interval`, at a close, and by [`Journal::sync_cursors`].
    ///
    /// # Errors
    /// [`CursorError`]: the cursor is as it was.
    pub fn set_cursor(&self, cursor: Cursor) -> Result<(), CursorError> {
        let mut admission = self.shared().admission.lock();
        if admission.phase == Phase::Closed {
            return Err(CursorError::Closed);
        }
        let is_of_this_run = cursor.sequence >= self.shared().first;
        if is_of_this_run && cursor.sequence > admission.committed.sequence {
            return Err(CursorError::BeyondCommitted);
        }
        if admission.cursors.get(&cursor.name) != Some(&cursor) {
            admission.cursors.insert(cursor.name.clone(), cursor);
            admission.cursors_version += 1;
            wake(self.shared(), admission);
        }
        Ok(())
    }

    /// Says that nobody needs a record up to `sequence` any more: the journal may let go of those that every saved cursor has
    /// passed, too. What was said before stays said.
    pub fn trim(&self, sequence: Sequence) {
        let mut admission = self.shared().admission.lock();
        if admission.trimmed < sequence {
            admission.trimmed = sequence;
            wake(self.shared(), admission);
        }
    }

    /// Removes a cursor, in memory; saved as [`Journal::set_cursor`] says.
    pub fn remove_cursor(&self, name: &str) {
        let mut admission = self.shared().admission.lock();
        if admission.cursors.remove(name).is_some() {
            admission.cursors_version += 1;
            wake(self.shared(), admission);
        }
    }

    /// Waits until every change of a cursor made before this call is on disk.
    ///
    /// # Errors
    /// [`CursorError::Closed`]: the journal ended before.
    pub async fn sync_cursors(&self) -> Result<(), CursorError> {
        let saved = {
            let mut admission = self.shared().admission.lock();
            let saved = request_save(&mut admission)?;
            wake(self.shared(), admission);
            saved
        };
        saved.await.map_err(|_| CursorError::Closed)
    }

    /// Waits until every change of a cursor made before this call is on disk twice, so that no single damage there brings an
    /// earlier cursor back.
    ///
    /// # Errors
    /// As those of [`Journal::sync_cursors`].
    pub async fn settle_cursors(&self) -> Result<(), CursorError> {
        // Each save writes the older of the two tables.
        self.sync_cursors().await?;
        self.sync_cursors().await
    }

    /// How it is.
    pub fn status(&self) -> Status {
        self.shared().status.lock().clone()
    }

    /// Takes no more records, writes and syncs what is queued, saves the cursors, gives up the lock and ends the thread. An ill
    /// disk gets `close_timeout`; what is still waiting then is told so. May be called again.
    pub async fn close(&self) {
        let mut ended = self.shared().ended.subscribe();
        {
            let mut admission = self.shared().admission.lock();
            if admission.phase == Phase::Open {
                admission.phase = Phase::Closing;
            }
            wake(self.shared(), admission);
        }
        // An error means that the sender is gone, and it lives as long as `self`.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

/// Asks for a save of the cursors as they are now.
pub(super) fn request_save(
    admission: &mut Admission,
) -> Result<oneshot::Receiver<()>, CursorError> {
    if admission.phase == Phase::Closed {
        return Err(CursorError::Closed);
    }
    let (tell, saved) = oneshot::channel();
    admission.cursor_waiters.push(CursorWaiter {
        version: admission.cursors_version,
        tell,
    });
    Ok(saved)
}

fn wake(shared: &Shared, mut admission: parking_lot::MutexGuard<'_, Admission>) {
    let asleep = admission.call_writer();
    drop(admission);
    if asleep {
        shared.wake.notify_one();
    }
}

/// One payload of the pieces; a single one is not copied.
fn join(pieces: Vec<Bytes>, limit: usize) -> Result<Bytes, AppendError> {
    let length = pieces
        .iter()
        .fold(0_usize, |length, piece| length.saturating_add(piece.len()));
    if length > limit {
        return Err(AppendError::TooLarge);
    }
    let mut pieces = pieces.into_iter();
    match (pieces.len(), pieces.next()) {
        (_, None) => Ok(Bytes::new()),
        (1, Some(piece)) => Ok(piece),
        (_, Some(first)) => {
            let mut joined = BytesMut::with_capacity(length);
            joined.extend_from_slice(&first);
            pieces.for_each(|piece| joined.extend_from_slice(&piece));
            Ok(joined.freeze())
        }
    }
}
