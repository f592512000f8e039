//! What a frontend says of connections that it closes: any client can make it happen, so it is said now and then only.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often a frontend says it.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// One thing to say.
#[derive(Debug, Default)]
pub(in crate::proxy) struct RarelySaid(Mutex<Option<Instant>>);

impl RarelySaid {
    /// Whether it is time to say it again.
    pub(super) fn is_due(&self) -> bool {
        let mut said = self.0.lock();
        let is_due = said.is_none_or(|said| said.elapsed() >= SAID_EVERY);
        if is_due {
            *said = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_not_again_for_a_while() {
        let said = RarelySaid::default();
        assert!(said.is_due());
        assert!(!said.is_due());
    }
}
