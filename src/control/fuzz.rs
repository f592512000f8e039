//! What [`crate::fuzzing`] tries of the sockets of an operator.

use super::message::{Answer, Request};
use super::text::{commands, read};
use crate::config::model::Level;

/// A line of the control socket, and what comes back.
pub(crate) fn control(bytes: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        let written = serde_json::to_vec(&request).expect("what was read is written");
        let again = serde_json::from_slice::<Request>(&written).expect("and read again");
        assert_eq!(serde_json::to_vec(&again).expect("written"), written);
    }
    let _ = serde_json::from_slice::<Answer>(bytes);
}

/// A line of the runtime socket, in HAProxy's words.
pub(crate) fn runtime_socket(bytes: &[u8]) {
    let line = String::from_utf8_lossy(bytes);
    for words in commands(&line) {
        for level in [Level::User, Level::Operator, Level::Admin] {
            read(&words, level);
        }
    }
}
