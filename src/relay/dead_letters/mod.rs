//! Dead letters: the records that one replica refused for good while another accepted them, and those that were set aside at a
//! replica because they ended without a verdict too often (rule N2), kept on disk for a person.
//!
//! From such a record on the replicas differ. A dead letter holds what is needed to mend that: who refused what, when and
//! why, and the record itself. Until a person settles it ([`replay`](crate::relay::replay) or removal, by `haflux dead-letters`) its
//! replica is not fresh for the letter's database ([`DeadLetters::open_for`]).
//!
//! # Files
//!
//! One folder a relay, `<data_dir>/<relay>/dead-letters/`, mode 0700; one file a letter, mode 0600:
//!
//! ```text
//! <sequence, 20 digits>-<replica>.letter           a letter
//! <sequence, 20 digits>-<replica>.letter.damaged   one whose header or size is wrong, set aside
//! <sequence, 20 digits>-<replica>.letter.new       being written; removed at the next start
//! pending/                                         refusals of records that another replica may still take
//! ```
//!
//! A letter:
//!
//! ```text
//! haflux dead letter 1 XXXXXXXX\n   format version, and CRC32C of the next line without its end, 8 hexadecimal digits
//! {"relay": …}\n                    LetterHeader as JSON, with length and CRC32C of what follows; no secrets
//! …                                 the record's payload as in the journal (relay::record); it may hold credentials
//! ```
//!
//! # Invariants
//!
//! - [`DeadLetters::keep`] returns when the letter is durable: written under another name, synced, renamed, folder synced. A
//!   crash in between leaves no half letter; the caller keeps its cursor before the record until then, so that the record
//!   comes again.
//! - The same record refused again by the same replica is the same letter: a repeated `keep` changes nothing but its time.
//! - A record of which every replica that follows the journal has a letter makes none of them differ from the others: it is kept, and
//!   nobody is less fresh for it.
//! - What cannot be read does not count as settled: a damaged letter is open for every database of its replica, and a folder
//!   that cannot be listed changes nothing.
//! - Number and bytes are bounded ([`Limits`]). Past them the oldest are dropped, each with an error in the log and counted:
//!   what they told is lost. The newest is never dropped.
//! - Files are independent of each other and of the process: the command line works on them while haflux runs.
//!   [`DeadLetters::rescan`] finds out. Who replays or drops a letter holds a lock on its file, which ends with the process,
//!   so that no two do it at once and none stays locked.
//! - No disk is touched on an async thread, nor under a lock that [`DeadLetters::open_for`] takes.
//!
//! # What can go wrong
//!
//! | trouble | what happens |
//! | --- | --- |
//! | disk full, read-only, gone | `keep` fails, and can be called again |
//! | power failure while a letter is written | `.new` stays, and is removed at the next start |
//! | damaged header, wrong size | set aside at the start, an error in the log; a person can only drop it |
//! | damaged payload | found when it is shown or replayed; it stays |
//! | letters removed by hand | taken as settled at the next rescan |

mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod header;
mod id;
mod pending;
mod store;

#[cfg(test)]
mod tests;

pub use folder::{Claim, ClaimError, FoundLetter, Letter, LetterError, LetterFolder};
pub use header::LetterHeader;
pub use id::{BadLetterId, LetterId};
pub(in crate::relay) use pending::{Found, Line, PENDING, PendingLog, Said};
pub use store::{DeadLetter, DeadLetterError, DeadLetters, FOLDER, Limits, NO_VERDICT, Settled};
