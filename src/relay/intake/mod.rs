//! From a client to the journal: what comes is [judged](judge), read within its bounds, made a record, and appended.
//!
//! [`relay`] admits a write and waits for its verdict, [`ingest`] and [`large_body`] make records of its body,
//! [`statement`] does the same for what changes data or schema and is no write. Lines in datagrams come by [`udp`].

pub mod ingest;
pub(in crate::relay) mod judge;
mod large_body;
mod parse_question;
pub(in crate::relay) mod relay;
mod response_headers;
mod sent_query;
pub(in crate::relay) mod statement;
mod statement_request;
pub(in crate::relay) mod streamed_answer;
pub mod udp;
pub(in crate::relay) mod unattended;
