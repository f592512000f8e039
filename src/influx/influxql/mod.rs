//! InfluxQL, as far as a replicator must understand it: what a query changes, which databases it touches, what of it depends
//! on the clock, and what of it must not be seen.
//!
//! haflux makes several InfluxDB nodes look like one. A query that only reads goes to one node; a query that changes data or
//! schema goes through the journal to every node. Taking a change for a read makes nodes differ for ever; taking a read for a
//! change is only slow. So **whatever is unsure is a change**, and this page says why each choice is safe. Two statements must
//! not be journaled at all ([`Kind::KillQuery`], [`Refusal::DropShard`]); they are kept out in the unsure cases too.
//!
//! Nothing here does any I/O or waits, nothing panics on any bytes, and every function takes time linear in its input.
//!
//! # How a query is judged ([`classify()`])
//!
//! The text is cut into tokens as InfluxDB does it (`scan.rs`, the one place that must agree with it), split at `;`, and each
//! statement is known by its first words. No statement is parsed further:
//!
//! - InfluxDB parses and authorises a request as a whole before it runs any of it, so a text that does not parse changes
//!   nothing, whatever it is called. Only texts that parse matter, and in those no reserved word can hide: a word in quotes, in
//!   a string, a regular expression or a comment is none.
//! - `;` is required between two statements, so what a statement begins with is all that it is, but for one kind:
//!   `SELECT … INTO` writes. `INTO` anywhere in a `SELECT` makes it a change, in a subquery too, where InfluxDB ignores it.
//! - A word that begins a changing statement, anywhere else in a reading one, cannot parse. It makes the statement a change, in
//!   case the scanner and InfluxDB disagree about what stands before it.
//! - A text that cannot be cut into tokens parses nowhere. It is called a read only if it looks like one up to there **and** no
//!   word that begins or makes a change stands anywhere in it, quotes and comments included: then there is no reading of it
//!   that changes anything. A dashboard with a typing error thus does not fill the journal.
//! - A NUL byte is swallowed by InfluxDB's scanner in the midst of words (`IN\0TO` is `INTO`) and ends comments. Such a query is
//!   refused: no client sends one but to get around something.
//! - A bound parameter (`$name`) can be a name, a number, a string, a regular expression, never a reserved word; it does not
//!   change what a statement is. Where it could be a database, a function or `time`, that is taken as unknown.
//!
//! | statement | treatment | databases |
//! | --- | --- | --- |
//! | `SELECT` | read | sources |
//! | `SELECT … INTO` | change | |
//! | `EXPLAIN [ANALYZE] [VERBOSE] SELECT`, with `INTO` too (InfluxDB never writes it) | read | sources |
//! | `SHOW MEASUREMENTS`, `SERIES`, `TAG KEYS`, `TAG VALUES`, `FIELD KEYS`, `RETENTION POLICIES` and every `… [EXACT] CARDINALITY` | read | `ON`, sources, else `db` |
//! | `SHOW DATABASES`, `CONTINUOUS QUERIES`, `GRANTS FOR`, `SUBSCRIPTIONS`, `USERS` | read | none: schema only |
//! | `SHOW QUERIES`, `STATS`, `DIAGNOSTICS`, `SHARDS`, `SHARD GROUPS`, any read that names database `_internal` | node-local read | |
//! | `SHOW` and a word that is not in the grammar | read (no version changes anything by `SHOW`) | unknown |
//! | `CREATE`, `ALTER`, `DROP` (but shards), `DELETE`, `GRANT`, `REVOKE`, `SET PASSWORD` | change | |
//! | `KILL QUERY`, alone | goes to one node | |
//! | `KILL QUERY` beside other statements | refused | |
//! | `DROP SHARD` | refused: its number means another shard on each node | |
//! | none (only comments and `;`) | any node | none |
//! | anything else | change | unknown |
//!
//! Of several statements the most demanding decides: empty, read, node-local read, `KILL QUERY`, change, refusal
//! ([`Kind::most_demanding`]).
//!
//! # Where a query stands ([`request`])
//!
//! URL, form, multipart form, uploaded file; releases of InfluxDB differ in which one wins. All are judged, the most demanding
//! decides. What goes into the journal must not leave a choice ([`Canonical`]).
//!
//! # What a request does at most ([`uses()`])
//!
//! Rules of a frontend allow statements by [group](Groups) and databases by name. For them every statement is known by its groups, and
//! by the databases that it reads and that it changes; what cannot be told is all of them.
//!
//! # The clock ([`time`])
//!
//! `SELECT … INTO` and `DELETE` are pinned to the moment of their acceptance, and so is Flux that writes (`flux_now`).
//!
//! # What a read is known by ([`fingerprint()`]), and whether it has a beginning ([`is_unbounded`])
//!
//! Queries that differ only in their values are one query to whoever looks after the nodes.
//!
//! # Continuous queries ([`ContinuousQuery`])
//!
//! InfluxDB runs them by itself. What such a run executes is made here too, so that it can be executed where it was missed.
//!
//! # Secrets ([`redact()`])
//!
//! A query is logged only through [`redact()`]; [`Class::names`] never holds more than words of the grammar.

mod bounds;
mod canonical;
mod classify;
mod collector;
mod condition;
mod continuous_query;
mod databases;
mod fingerprint;
pub(crate) mod flux;
pub(crate) mod flux_now;
mod groups;
mod keyword;
mod limits;
mod measurements;
mod media_type;
mod multipart;
mod quote;
mod redact;
pub mod request;
mod right;
mod scan;
mod statements;
pub mod time;
mod uses;

pub use bounds::is_unbounded;
pub use canonical::{AnswerShape, Canonical, Credentials, NotCanonical};
pub(crate) use classify::NODE_LOCAL_DATABASE;
pub use classify::{Class, Kind, Refusal, classify};
pub use continuous_query::{ContinuousQuery, NotUnderstood, Place};
pub use databases::Databases;
pub use fingerprint::{fingerprint, hash_fingerprint};
pub use groups::Groups;
pub use limits::{Exceeded, Limits};
pub use measurements::Measurements;
pub use quote::{can_be_said, identifier, listed_duration, string};
pub(crate) use redact::may_hold_secret;
pub use redact::redact;
pub use request::{Candidates, Endpoint, Request, candidates, classify_request};
pub use right::{Needed, Right, creates_administrator};
pub use uses::{Use, may_stand_in_body, uses};

#[cfg(test)]
mod tests;
