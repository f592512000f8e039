//! The relay: every write that a client was told is stored reaches every replica, in one order.
//!
//! # The life of a write
//!
//! 1. **Admit** ([`Relay::begin`]): what is no write is answered; parameters are checked as InfluxDB checks them; a policy
//!    that the replicas in reach cannot meet, or too many bytes in flight, is a 503 now, before anything is stored (W5).
//! 2. **Ingest** ([`ingest`]): the body within its bounds, gzip undone, comments dropped, lines without a time stamped with
//!    one clock reading, cut between lines where a replica would refuse its size.
//! 3. **Append** to the relay's [journal](crate::journal) for a ticket. The client has a row among the [pending
//!    clients](verdict::pending), under the ticket until the record is committed, then under its sequence.
//! 4. One **replicator** a replica follows the journal from its cursor: lane by lane (a lane is a database), one request of
//!    a lane at a time, neighbours joined. It reports verdicts to the pending clients and moves its cursor.
//! 5. **Acknowledge** ([`policy`](verdict::policy)) when the record is committed and the policy is met; with no replica in reach,
//!    when it is committed.
//!
//! # Statements and reads
//!
//! What changes data or schema and is no write ([`Relay::replicate`]) is one record as well, the whole request; on each replica it
//! is a barrier between what came before it and what comes after it in the lanes that it [touches](record::touched). One replica is first
//! ([`turns`](replicator::turns)). Its client gets the answer of the first replica that
//! carried it out. What was acknowledged, and how far each replica has come, decides who may answer a read: [`freshness`](verdict::freshness).
//!
//! # Invariants
//!
//! - W1: every record goes to every replica, whatever another one said: a replicator skips nothing, and looks at nobody.
//! - W2: a client hears a refusal only when every replica in reach refused; a record that one refused and another applied
//!   is a dead letter, counted and logged when all verdicts are in.
//! - W3: joined bodies end closed, have one newline between them, and one destination; refused together, they are sent
//!   again in pieces, until each that is refused was refused alone.
//! - W5: after the append there is only 2xx, a refusal, or 504 that says how many replicas applied the write.
//! - Nothing is sent before it is durable: replicators read only what the journal calls durable.
//! - A cursor passes a record only when that record, and all before it, have a verdict at its replica. What lies behind a
//!   cursor may be sent again after a crash; a stamped write may, if all that follows it in its lane is repeated too.
//! - A statement is alone at its replica, nothing goes back past it, and its place is saved before and behind it (S1).
//! - What a client was told, or shown, every later read sees, whichever replica answers it.
//! - No lock is held across an await. Everything that waits or queues has a bound.
//!
//! # What can go wrong
//!
//! | trouble | what happens |
//! | --- | --- |
//! | a replica cannot be reached, does not answer in `timeout`, or answers "try again" | its replicator backs off (`retry`), the others go on; clients no longer wait for it |
//! | a replica takes less in one request than it is sent | the request goes again in smaller ones, a record between its lines, a single line in gzip |
//! | a replica's answer is long, or has no end | its status and beginning are the verdict; the rest is scanned, and that of a statement goes to its client |
//! | a replica refuses a record that another one has not judged | that is [remembered](verdict::refusals), and on disk before its cursor is saved past the record |
//! | that, or a dead letter, cannot be written | the saved cursors stand still before it; the [keeper](verdict::keeper) tries again |
//! | a replica refuses a record that others accepted | [dead letter](dead_letters), its lane goes on |
//! | a replica is too far behind, new in a pool with history, behind a hole of the journal, or not the node it was (R1) | [diverged](membership): no records, nobody waits for it, until it is [rebuilt](control) |
//! | a replica refuses credentials that it took before, and no other one does | held: no records, no reads, asked again until that changes or a person decides |
//! | no replica follows any more | 503 for everything, until a person takes one back as it is |
//! | a replica lacks a database, a retention policy or a user's rights that another one has | the lane is held and tried again for `hold_for`, then the record is a dead letter there, and what is wanting is not waited for again until a statement has passed |
//! | a replica restarts, or gives no answer | what it may have lost, or may still apply late, is sent to it again in order (R2, W7) |
//! | no replica answers | only who wrote lately may go on writing, after a restart too (W6) |
//! | all replicas refuse | the client gets the refusal; the record is passed over |
//! | the disk is full | 503 with `Retry-After`; nothing was sent anywhere |
//! | a task of the relay panics | it is logged, counted and begun again; a replicator from its saved cursor, with everything behind it in doubt |
//! | the process dies | the next one replays from the cursors |
//!
pub mod control;
pub mod dead_letters;
mod disk_room;
mod gate;
mod intake;
mod nodes;
mod open;
mod rebuild_hold;
pub mod record;
pub mod replay;
mod replica;
mod replicator;
mod restore;
mod supervisor;
mod tenure;
mod trust;
pub mod verdict;

pub use control::{Readmission, ReplicaError};
pub use gate::{GateClosed, GateError, NotSettled};
pub use intake::relay::{APPLIED_HEADER, Admitted, Begun, Relay};
pub use intake::statement::AdmittedStatement;
pub use intake::streamed_answer::{AnswerBroken, Replicated, StreamedAnswer};
pub use intake::unattended::AppendUnattendedError;
pub use intake::{ingest, udp};
pub use nodes::RelayNode;
pub use open::RelayError;
pub use rebuild_hold::{HeldBy, RebuildHold};
pub use replica::membership::{self, Membership};
pub use restore::OtherNames;
pub(crate) use supervisor::words_of;
pub use tenure::{Tenure, TenureEnded};
