//! The durable, ordered log of one relay.
//!
//! It stores opaque records, hands out their sequences and keeps named cursors. It knows nothing of what a record means.
//!
//! # The door
//!
//! A record's position is known when the record is committed. Outside of this module nobody sees the number of a record that may
//! still be lost, nor files.
//!
//! | what | what it promises |
//! | --- | --- |
//! | [`Journal::append`] | takes a record and gives a [`Ticket`], or refuses it: then nothing is stored |
//! | [`Observer`] | hears which tickets are committed and where, once each, in order, before any reader is given the record; at the end it hears that nothing is known of the others |
//! | [`Journal::flush`] | returns when all that was appended before is committed |
//! | [`Journal::watch`] | the newest committed position, and its changes |
//! | [`Journal::barrier`] | a position at or behind everything that anybody was told is stored, by this run or one before |
//! | [`Journal::reader`] | committed records from a position on |
//! | [`Journal::set_cursor`] … | a named position with metadata, saved behind what is synced; refused where nothing is committed, and after the end |
//! | [`Journal::trim`] | the caller needs nothing up to there: only that is let go, and only behind every saved cursor |
//! | [`Journal::skip_past`] | numbers remembered elsewhere are not given again |
//! | [`Journal::status`], [`Journal::close`] | how it is; its end |
//!
//! Committed means durable by the policy of [`Sync`]. A failed sync (J4) does not take a ticket back: its record keeps its
//! sequence, is written again, and is told when that is synced. So a ticket waits for as long as the disk is ill, and the time that a
//! client has is the observer's to keep. Records that recovery found have no ticket, because whoever appended them is gone.
//!
//! # What holds
//!
//! - **J1** Records live in append-only segment files. A frame carries length, checksums, sequence, offset, kind, time, payload.
//! - **J2** Durable means: data synced, and the directory entry of its file synced before. A cursor reaches the disk only after
//!   the journal is durable up to it.
//! - **J3** A sequence is never used twice. After recovery the next one is above the head, every cursor and every number that
//!   the life before may have handed out ([`Journal::skip_past`] raises it further, for numbers remembered elsewhere).
//! - **J4** A failed write or sync poisons its file: nothing is written or synced there again. The records not known to be
//!   synced are written again, with their sequences, at the start of a new segment, before anything newer.
//! - **J5** Damage is never a stop and never a loop. Records proven to have been synced and now unreadable are a gap; a tail that
//!   was never proven synced is cut.
//! - **J6** Segments are preallocated and recycled. A record is admitted only when room for it is already there.
//! - **J7** One process owns the journal: a lock, which says who holds it.
//! - **J8** All I/O goes through [`Disk`], so tests run on a disk that tears, reorders, fills, fails and forgets.
//!
//! # Files
//!
//! ```text
//! lock                                   locked by the owner; holds its process id, its start time, the system's boot
//!                                        and whether it acknowledges before it has synced
//! cursors.0, cursors.1                   the cursor table, written in turn
//! <first sequence>.<serial>.segment      records; both numbers 20 digits
//! spare.<serial>                         a preallocated file, to become the next segment
//! ```
//!
//! A *serial* numbers files, never a record. Each rename gives a file a new serial, higher than any before it, so the frames in
//! a recycled file always bear a lower serial than its name.
//!
//! ## A segment
//!
//! All numbers are little-endian. The header takes the first 512 bytes, frames follow, each at a multiple of 8 bytes.
//!
//! ```text
//!   0  8  magic "HAFLUXJ\n"
//!   8  4  format version, 1
//!  12  4  CRC32C of bytes 0..12 and 16..80
//!  16 16  journal id, random at the journal's birth
//!  32  8  serial of this segment
//!  40  8  sequence of its first record
//!  48  8  serial of the segment before it, 0 if none: the vouched one
//!  56  8  last sequence before this segment
//!  64  8  offset of that record
//!  72  8  unix time in nanoseconds
//! ```
//!
//! A frame:
//!
//! ```text
//!   0  4  CRC32C of journal id, serial and bytes 4..40
//!   4  4  CRC32C of the payload
//!   8  4  length of the payload
//!  12  1  kind
//!  13  3  this sequence minus the newest one known synced when this was written (all ones: that or more)
//!  16  8  sequence
//!  24  8  offset: sum of the frame sizes of all records up to and with this one, since the journal's birth
//!  32  8  unix time in nanoseconds
//!  40     payload, then zeros up to a multiple of 8
//! ```
//!
//! The header's checksum starts from the segment's identity, so what a recycled file held before is never taken for new. That
//! identity also stands in the file's name: a segment whose header is damaged is still read, and the offset of its first record
//! shows whether anything is missing before it.
//!
//! ## The cursor table
//!
//! ```text
//!   0  8  magic "HAFLUXC\n"
//!   8  4  format version, 1
//!  12  4  CRC32C of bytes 8..12 and 16..24+length
//!  16  8  length of what follows
//!  24 16  journal id
//!  40  8  generation: of two sound tables, the higher counts
//!  48  8  newest synced sequence
//!  56  8  its offset
//!  64  8  floor: the next sequence of its writer
//!  72  1  1 if the journal was closed cleanly
//!  73  4  number of cursors, then for each:
//!         4 length of name, name, 8 sequence, 8 offset, 4 length of note, note
//! ```
//!
//! The older of the two files is overwritten and synced. A torn one leaves the other. Once nothing changes any more both are
//! brought to the same content, and segments are released only when both tables are past them: the loss of one table costs
//! nothing.
//!
//! # Appending: group commit
//!
//! [`Journal::append`] assigns the sequence, queues and returns a ticket; it never waits for the disk. One writer thread takes what
//! is queued, writes it with one gathered write, syncs, tells the observer of all of it at once, and only then lets readers have
//! it. While a sync runs the next records gather. An append wakes the thread only if it sleeps.
//!
//! **Room.** Two spare segments at least are kept ready: the next one, and one in reserve that no admission counts on, so that a
//! poisoned segment's records have where to go on a full disk. If a spare cannot be made, [`AppendError::NoRoom`] is the answer
//! from then on, until one can. What was admitted before has its place already. A burst that is merely faster than
//! preallocation is told [`AppendError::QueueFull`].
//!
//! **Poisoned segments.** Records leave the writer's memory only when synced. After a failure the file is closed: if some of its
//! records were synced it stays, ending there; otherwise it is removed. The next segment's header vouches for where the one
//! before ends, so what lies behind that end does not count. Retries go on with growing pauses for as long as the process lives;
//! from the second failure in a row new appends are refused.
//!
//! Whatever the policy, a segment is synced before its successor gets its first record, so unsynced records are always in the
//! last segment only, and at most 2¹⁷ sequences are ever handed out and not synced. That is the jump that J3 makes at an
//! unclean start.
//!
//! **A new segment**: a spare is renamed, the directory is synced, and only then is the file written to. So the content of a
//! file always matches its name. If the directory cannot be synced, the file is given a spare's name again, and the name it
//! had counts as a failed segment's: gone for good before anything is released or saved.
//!
//! # Recycling
//!
//! A segment is released when all its records are at or below what the caller has let go ([`Journal::trim`]) and every cursor on
//! disk, because the next run begins there. It becomes a spare, or is removed if there are enough. With no cursor at
//! all everything is kept.
//!
//! # Recovery
//!
//! Headers of all segments are read, and both cursor tables. A segment whose successor vouches for it is not scanned; normally
//! that leaves one. In a scanned segment, frames are followed from one to the next. Where there is no sound one, the rest of
//! the file is searched for a sound frame with a higher sequence.
//!
//! - None: the journal ends here (if the cursor table proves that more had been synced, that is a gap).
//! - One follows, and some frame or the cursor table proves that the missing records had been synced: they are lost, a gap is
//!   counted, and reading goes on behind it.
//! - One follows without such a proof: this is a batch torn by the crash, its pages on disk in any order. None of it was ever
//!   synced, so it is cut here. (Calling it a gap would make every power failure divergence.)
//!
//! The last segments are not counted at all if their headers are unsound and nothing proves that they were ever synced, and a
//! segment that a later one's header passes over is not either: a life went on without it.
//! What does not count is set aside before segments vouch for each other, and is removed for good before any segment is released
//! and any cursor table is saved: only the segments around it, and what is proven, show what it is.
//!
//! Behind a damaged header, the offset of the first record says whether anything is missing before it: it is compared with the
//! segment before, or, where there is none, with the lowest cursor.
//!
//! Recovery writes nothing into segments. A new life always begins a new segment, whose header fixes what was found; until it
//! is synced, the same recovery finds the same. A proven loss at the end is fixed in the same way: readers meet it as a gap.
//!
//! **What nothing proves to have been synced.** When only the process died, what it wrote can be read, though the system may
//! have it in its memory alone; served now and lost with the power later, it would be on one replica and not in the journal.
//! A saved cursor table, a sound segment header (all before that segment is synced) and each frame say what is synced. The records
//! above, all of the last segment that holds any, are not served yet: they are the first that the new life writes, to a new
//! segment, with their sequences. A sync of the file they were found in would not do: after a sync that failed, the next one
//! succeeds and means nothing. But unlike after a failure (J4) these records may have been acknowledged, so their old file must
//! count until they are synced elsewhere. Therefore the new segment gets its header, which ends the old one before them, in a
//! second write after that sync. Cut off before, it is a segment without a header that nothing proves. If the disk fails at
//! it, that is a failure as any other: [`Journal::durable`] stays below those records, [`Recovery::head`] and [`Journal::barrier`] do not.
//!
//! So it is under every [`Sync`]: the death of the process loses nothing, and what recovery served, no loss of power takes back.
//! While it runs, [`Sync::Interval`] and [`Sync::Never`] serve what is not synced: a loss of power can then take from the journal
//! what a replica has. Its sequences are not given again (J3); that replica and others may differ in it, and no cursor tells, for
//! cursors are saved behind a sync. That is the price of those two.
//!
//! A cursor table that was found may be in memory only, too. Before the other one is overwritten, its very bytes are written
//! to it once more and synced, and so is the directory. No record is admitted before that and a save.
//!
//! Damage in a segment that was not scanned is met by the reader, as [`ReadError::Gap`].
//!
//! # Looking without touching
//!
//! [`inspection`] reads a journal's folder for a person: without the lock, without writing a byte, whether or not the owner runs.
//!
//! # What can go wrong
//!
//! | what | answer |
//! | --- | --- |
//! | disk full | `NoRoom` at once; admitted records are written; heals within a second of room |
//! | a write or sync fails | J4; tickets wait on, [`Journal::status`] says why |
//! | data folder read-only, gone, or another one in its place | `NoRoom`; heals when it is back |
//! | a flipped bit | the one record is a gap; a damaged segment header costs nothing (but what was cut before it may be back) |
//! | both cursor tables lost | cursors are gone, records are not: the caller sees records and no cursor |
//! | segment files missing | a gap |
//! | files of another journal in the folder | left alone and counted |
//! | a newer format | refused: [`OpenError::Version`] |
//!
//! Assumed of the disk: a sector that is being written keeps its old or gets its new content, and a successful sync is true.
//! Where a disk lies about that, what is missing is found and reported as above.

mod cache;
mod cursors;
mod directory;
mod disk;
mod error;
mod frame;
mod handle;
pub mod inspection;
mod options;
mod reader;
mod recovery;
mod scan;
mod segment;
mod shared;
mod ticket;
mod types;
mod writer;

#[cfg(test)]
mod tests;

pub use cursors::Cursor;
pub use directory::DirectoryDisk;
pub use disk::{Disk, DiskFile, LockFailure, LockGuard};
pub use error::{AppendError, CursorError, OpenError, ReadError};
pub use handle::{Journal, Payload};
pub use options::{Options, Sync};
pub use reader::Reader;
pub use recovery::Recovery;
pub use ticket::{Observer, Ticket};
pub use types::{Gap, Kind, Position, Record, Sequence, Status};
