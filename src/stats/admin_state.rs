//! What a person has ordered for a server of a pool, in HAProxy's words.

use std::sync::atomic::{AtomicU8, Ordering};

use serde::{Deserialize, Serialize};

/// The order that stands for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminState {
    /// It serves as its checks say.
    #[default]
    Ready,
    /// It gets no new requests and no reads. Its checks go on, requests under way are finished, and a relay writes to it.
    Drain,
    /// It gets nothing at all: no requests, no checks, and nothing of a relay, whose backlog for it grows.
    Maint,
}

impl AdminState {
    /// All of them, with the words for them.
    pub const WORDS: [(&str, AdminState); 3] = [
        ("ready", AdminState::Ready),
        ("drain", AdminState::Drain),
        ("maint", AdminState::Maint),
    ];

    /// The state that this word names.
    pub fn of(word: &str) -> Option<AdminState> {
        let named = AdminState::WORDS.iter().find(|(known, _)| *known == word);
        named.map(|(_, state)| *state)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            AdminState::Ready => "ready",
            AdminState::Drain => "drain",
            AdminState::Maint => "maint",
        }
    }
}

/// An [`AdminState`] that several parts read while one sets it.
#[derive(Debug, Default)]
pub(super) struct AtomicAdminState(AtomicU8);

impl AtomicAdminState {
    pub(super) fn get(&self) -> AdminState {
        state_of(self.0.load(Ordering::Acquire))
    }

    /// Sets it; returns the one before.
    pub(super) fn swap(&self, state: AdminState) -> AdminState {
        let number = match state {
            AdminState::Ready => 0,
            AdminState::Drain => 1,
            AdminState::Maint => 2,
        };
        state_of(self.0.swap(number, Ordering::AcqRel))
    }
}

fn state_of(number: u8) -> AdminState {
    match number {
        1 => AdminState::Drain,
        2 => AdminState::Maint,
        _ => AdminState::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_names_its_state() {
        let shared = AtomicAdminState::default();
        assert_eq!(shared.get(), AdminState::Ready);
        for (word, state) in AdminState::WORDS {
            assert_eq!((AdminState::of(word), state.word()), (Some(state), word));
            shared.swap(state);
            assert_eq!(shared.get(), state);
        }
        assert_eq!(AdminState::of("DRAIN"), None);
    }
}
