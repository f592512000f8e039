//! What reads and statements answer, and what they never answer.

#[path = "../support/mod.rs"]
mod support;

mod answer_forms;
mod answers;
mod broken_answers;
mod client_sessions;
mod guards;
mod read_barrier;
mod read_barrier_http2;
mod statements;
mod statements_faults;
mod statements_long;
