//! How many queries of a frontend run, in all and of each user.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::model::QueryGuards;
use crate::source::Source;

/// Whose query it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::proxy) enum Whose {
    /// A user's.
    User(String),
    /// Of an address without a user whose name can be told.
    Source(Source),
}

/// A limit that is reached, with how many run and may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Full {
    All(usize, usize),
    User(usize, usize),
}

/// The queries of one frontend that run, as far as they are limited. Those that began before there was a limit are not among them.
#[derive(Debug, Default)]
pub(in crate::proxy) struct RunningCounts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// None is 0, so that there are no more than queries.
    each: HashMap<Whose, usize>,
}

/// The place of one query, until it is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct Slot {
    counts: Arc<RunningCounts>,
    whose: Option<Whose>,
}

impl RunningCounts {
    /// A place for a query; nothing if none is needed, because nothing is limited.
    pub(in crate::proxy) fn enter(
        self: &Arc<Self>,
        guards: &QueryGuards,
        whose: impl FnOnce() -> Whose,
    ) -> Result<Option<Slot>, Full> {
        let (most, most_each) = (guards.max_running, guards.max_running_per_user);
        if most.is_none() && most_each.is_none() {
            return Ok(None);
        }
        let mut counts = self.0.lock();
        if let Some(most) = most.filter(|most| counts.all >= *most) {
            return Err(Full::All(counts.all, most));
        }
        let whose = match most_each {
            Some(most) => {
                let whose = whose();
                let running = counts.each.get(&whose).copied().unwrap_or_default();
                if running >= most {
                    return Err(Full::User(running, most));
                }
                counts.each.insert(whose.clone(), running + 1);
                Some(whose)
            }
            None => None,
        };
        counts.all += 1;
        Ok(Some(Slot {
            counts: Arc::clone(self),
            whose,
        }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock();
        counts.all = counts.all.saturating_sub(1);
        let Some(whose) = self.whose.take() else {
            return;
        };
        if let Some(running) = counts.each.get_mut(&whose) {
            *running = running.saturating_sub(1);
            if *running == 0 {
                counts.each.remove(&whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn guards(max_running: Option<usize>, max_running_per_user: Option<usize>) -> QueryGuards {
        QueryGuards {
            max_running,
            max_running_per_user,
            ..QueryGuards::default()
        }
    }

    #[test]
    fn each_user_has_a_share_and_all_have_a_limit() {
        let counts = Arc::new(RunningCounts::default());
        let user = |name: &str| Whose::User(name.to_owned());
        let guarded = guards(Some(3), Some(2));
        let first = counts.enter(&guarded, || user("a")).unwrap();
        let second = counts.enter(&guarded, || user("a")).unwrap();
        let third = counts.enter(&guarded, || user("a"));
        assert_eq!(third.unwrap_err(), Full::User(2, 2));
        let source = Whose::Source(Source::from(IpAddr::from([192, 0, 2, 1])));
        let other = counts.enter(&guarded, || source).unwrap();
        let more = counts.enter(&guarded, || user("b"));
        assert_eq!(more.unwrap_err(), Full::All(3, 3));
        drop(first);
        let again = counts.enter(&guarded, || user("a")).unwrap();
        drop((second, other, again));
        let counted = counts.0.lock();
        assert!(counted.all == 0 && counted.each.is_empty(), "{counted:?}");
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let counts = Arc::new(RunningCounts::default());
        let free = counts
            .enter(&guards(None, None), || unreachable!())
            .unwrap();
        assert!(free.is_none() && counts.0.lock().all == 0);
        let one = counts
            .enter(&guards(Some(1), None), || unreachable!())
            .unwrap();
        assert!(
            counts
                .enter(&guards(Some(1), None), || unreachable!())
                .is_err()
        );
        drop(one);
        assert_eq!(counts.0.lock().all, 0);
    }
}
