//! Whose turn it is to carry out a statement: one replica is first, the others follow when it has its verdict. So reads of the
//! statement's databases always find a replica that is not busy with it, however long it takes.
//!
//! The first replica that has all before the statement takes the turn: one that is behind comes later by itself. It gives the turn back when it
//! comes to no verdict (its connection ended, it asked to be tried again, its health check failed), so that another one takes
//! it. Every replica carries out statements in their order, so that one of them has its verdict on a statement says that it has
//! one on all statements before: the newest is all that is known here, two statements never wait for each other.
//!
//! A turn lasts half of `statement_timeout` at most: a node that never comes to an end must not keep the statement from the others,
//! nor from its client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::journal::Sequence;

/// The turns of one relay.
#[derive(Debug)]
pub(in crate::relay) struct Turns {
    lasts: Duration,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The newest statement on which a replica has its verdict.
    judged: Sequence,
    first: Option<First>,
}

/// The replica that is first at the statement behind `judged`.
#[derive(Debug, Clone, Copy)]
struct First {
    replica: usize,
    statement: Sequence,
    since: Instant,
}

/// The right to carry out a statement now, until it is dropped.
#[derive(Debug)]
pub(in crate::relay) struct Turn {
    turns: Arc<Turns>,
    replica: usize,
    statement: Sequence,
}

impl Turns {
    /// Nobody has a turn, and no statement is judged. A turn lasts this long at most.
    pub(in crate::relay) fn new(lasts: Duration) -> Arc<Turns> {
        Arc::new(Turns {
            lasts,
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        })
    }

    /// Each time when it may be another one's turn.
    pub(in crate::relay) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The replica has settled all before this statement.
    ///
    /// # Errors
    /// It is another one's turn, until this moment at most.
    pub(in crate::relay) fn take(
        self: &Arc<Self>,
        replica: usize,
        statement: Sequence,
        now: Instant,
    ) -> Result<Turn, Instant> {
        let mut state = self.state();
        if statement > state.judged {
            match state.first {
                Some(first) if first.replica != replica && first.since + self.lasts > now => {
                    return Err(first.since + self.lasts);
                }
                _ => {
                    state.first = Some(First {
                        replica,
                        statement,
                        since: now,
                    });
                }
            }
        }
        Ok(Turn {
            turns: Arc::clone(self),
            replica,
            statement,
        })
    }

    /// A replica has its verdict on the statement.
    pub(in crate::relay) fn judged(&self, statement: Sequence) {
        let mut state = self.state();
        if statement > state.judged {
            state.judged = statement;
            state.first = None;
            self.changed.send_replace(());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        let is_own =
            |first: &mut First| first.replica == self.replica && first.statement == self.statement;
        if state.first.take_if(is_own).is_some() {
            self.turns.changed.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(60);

    fn at(number: u64) -> Sequence {
        Sequence::new(number)
    }

    #[test]
    fn one_is_first_and_the_others_follow_its_verdict() {
        let turns = Turns::new(LASTS);
        let now = Instant::now();
        let first = turns.take(1, at(7), now).expect("nobody has it");
        assert_eq!(turns.take(0, at(7), now).map(drop), Err(now + LASTS));
        let mut changed = turns.watch();
        turns.judged(at(7));
        assert_eq!(changed.has_changed().ok(), Some(true));
        changed.mark_unchanged();
        let follower = turns.take(0, at(7), now).expect("it is judged");
        // The next statement waits for nobody who is still at this one.
        let next = turns.take(1, at(9), now).expect("nobody is at it");
        drop((first, follower));
        assert_eq!(turns.take(0, at(9), now).map(drop), Err(now + LASTS));
        drop(next);
    }

    #[test]
    fn who_comes_to_no_verdict_gives_the_turn_back() {
        let turns = Turns::new(LASTS);
        let now = Instant::now();
        drop(turns.take(0, at(7), now).expect("nobody has it"));
        let turn = turns.take(1, at(7), now).expect("it was given back");
        assert!(turns.take(0, at(7), now + LASTS / 2).is_err());
        let other = turns.take(0, at(7), now + LASTS).expect("it has lasted");
        drop(turn);
        assert!(turns.take(1, at(7), now + LASTS).is_err(), "only its own");
        drop(other);
    }
}
