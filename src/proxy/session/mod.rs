//! What one request carries with it, and what is said to its client and to the log.
//!
//! [`context`] is what is known of a request from its header to its line in the log ([`access_log`]); [`request_body`] holds
//! its body, in [`pieces`](crate::pieces); [`error_answer`] is what its client hears where no node answers.

pub(super) mod access_log;
pub(super) mod context;
pub(super) mod error_answer;
pub(super) mod error_kind;
pub(super) mod forwarded_for;
pub(super) mod in_flight;
pub(super) mod request_body;
pub(super) mod user;
