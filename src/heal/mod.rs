//! What makes nodes hold the same again: the parts that `haflux compare`, `haflux mend` and `haflux replica rebuild` share, and
//! these three. `docs/healing.md` says what they promise.
//!
//! | | |
//! | --- | --- |
//! | `node` | one node, asked past the journal in the name of an administrator: questions, points with their types, lines |
//! | `schema` | what a node has besides points: databases, policies, continuous queries, users, rights, shards |
//! | `default_policy` | a database without a default policy |
//! | `one_node` | one node that is found under several names |
//! | `jobs` | one work at a time for each relay: begun, asked for its progress, cancelled |
//! | `place` | where nodes differ, with what each holds there |
//! | `pace` | no more than so many bytes a second |
//! | `gate` | holds clients' writes for a moment |
//! | `progress` | how a work stands, for whoever asks |
//! | `error` | why a work did not come to its end |
//! | `schedule`, `last_comparison` | comparisons that haflux begins by itself, and the result of the last one |
//! | `compare` | where two or more nodes differ |
//! | `mend` | makes the others hold what one holds there |
//! | `missed_runs` | makes up for runs of continuous queries that a node missed |
//! | `rebuild` | makes an empty node hold all that another holds |
//!
//! Nothing here knows the journal's files or how a replica is followed: [`crate::relay`] pins the journal, takes a replica back,
//! holds what comes for a moment, and says how far each has come.

mod compare;
mod default_policy;
mod error;
mod gate;
mod jobs;
mod last_comparison;
mod mend;
mod missed_runs;
mod node;
mod one_node;
mod pace;
mod place;
mod progress;
mod rebuild;
mod schedule;
mod schema;

pub use jobs::{HealError, Healer};
#[cfg(any(test, fuzzing))]
pub(crate) use node::fuzz as fuzz_node;
#[cfg(any(test, fuzzing))]
pub(crate) use rebuild::fuzz as fuzz_rebuild;
