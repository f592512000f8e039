//! Bytes of bodies that are held at once: bounded in all and for each source, whoever sends how slowly.
//!
//! A body is counted as its bytes arrive, never as they are announced. Two limits hold: `limit` for all, `share` for one source
//! address. A body that does not fit waits for room, at most `wait`; then it is refused.
//!
//! Bodies that are half here could wait for each other's room. So one of them at a time has the *seat*: it is not counted
//! against the limits and always gets on, so that one always finishes, and a body larger than a share or the limit is taken too.
//! While others wait for room it must come at [`PACE`], else it gives up the seat by being refused, at most `wait` after it
//! stalled or began to drip: so it keeps nobody from it. What is held in all is therefore never more than `limit` and one body.
//!
//! What a large body becomes takes memory as well. So one large body is worked on at a time, those that wait in the order in
//! which they came ([`Reservation::turn`]).

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::source::Source;
use crate::stats::BudgetStats;

/// A body past this grows by steps of this, so that its many pieces do not touch what all share for each of them.
const STEP: u64 = 64 * 1024;

/// Bytes a second at which a body must come to keep the seat while others want it.
const PACE: u64 = 256 * 1024;

/// How much may be held.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most bytes of all bodies but the one with the seat.
    pub limit: usize,
    /// Most bytes of one source's bodies among them.
    pub share: usize,
    /// How long a body waits for room at most.
    pub wait: Duration,
}

/// Bytes of bodies that may be held.
#[derive(Debug)]
pub struct Budget {
    bounds: ArcSwap<Bounds>,
    stats: Arc<BudgetStats>,
    accounts: Mutex<Accounts>,
    seat: Arc<Semaphore>,
    turn: Arc<Semaphore>,
    /// Bodies that wait for room now.
    waiting: AtomicUsize,
    /// Told when a body begins to wait.
    wanted: Notify,
    /// Told when there may be more room.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Accounts {
    held: u64,
    sources: HashMap<Source, u64>,
}

/// There is no room for a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

/// Its holder is the one whose large body is worked on.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

/// What is held of one body, given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    /// Whose share it is taken from; none has no share of its own.
    source: Option<Source>,
    bytes: u64,
    seat: Option<Seat>,
}

#[derive(Debug)]
struct Seat {
    /// Until when the body keeps it, whoever waits: each byte that comes moves this on, to `wait` from now at most.
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

/// Counts one that waits, for as long as it lives.
struct Waiting<'a>(&'a Budget);

impl<'a> Waiting<'a> {
    fn begin(budget: &'a Budget) -> Self {
        budget.waiting.fetch_add(1, Ordering::SeqCst);
        budget.wanted.notify_waiters();
        budget.stats.waits.increment();
        Self(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Budget {
    /// An empty one.
    pub fn new(bounds: Bounds, stats: Arc<BudgetStats>) -> Arc<Self> {
        Arc::new(Self {
            bounds: ArcSwap::from_pointee(bounds),
            stats,
            accounts: Mutex::default(),
            seat: Arc::new(Semaphore::new(1)),
            turn: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
            wanted: Notify::new(),
            freed: Notify::new(),
        })
    }

    /// Other bounds from now on. What is held already stays, also where it is past them.
    pub fn change(&self, bounds: Bounds) {
        self.bounds.store(Arc::new(bounds));
        self.tell_freed();
    }

    fn wait(&self) -> Duration {
        self.bounds.load().wait
    }

    /// A body of `source` of which nothing has come.
    pub fn begin(self: &Arc<Self>, source: Option<Source>) -> Reservation {
        Reservation {
            budget: Arc::clone(self),
            source,
            bytes: 0,
            seat: None,
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock()
    }

    fn take(&self, source: Option<Source>, bytes: u64) -> bool {
        let bounds = **self.bounds.load();
        let mut accounts = self.accounts();
        let held = accounts.held.saturating_add(bytes);
        if held > bounds.limit as u64 {
            return false;
        }
        if let Some(source) = source {
            let own = accounts.sources.get(&source).copied().unwrap_or(0);
            let own = own.saturating_add(bytes);
            if own > bounds.share as u64 {
                return false;
            }
            accounts.sources.insert(source, own);
        }
        accounts.held = held;
        true
    }

    fn give_back(&self, source: Option<Source>, bytes: u64) {
        let mut accounts = self.accounts();
        accounts.held = accounts.held.saturating_sub(bytes);
        if let Some(source) = source
            && let Some(own) = accounts.sources.get_mut(&source)
        {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                accounts.sources.remove(&source);
            }
        }
        drop(accounts);
        self.tell_freed();
    }

    fn tell_freed(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_waiters();
        }
    }
}

impl Reservation {
    /// Makes sure that `total` bytes of the body are counted; waits for room if there is none.
    ///
    /// # Errors
    /// There was no room for as long as a body may wait.
    pub async fn cover(&mut self, total: usize) -> Result<(), NoRoom> {
        if self.try_cover(total) {
            return Ok(());
        }
        let budget = Arc::clone(&self.budget);
        let deadline = Instant::now() + budget.wait();
        let _waiting = Waiting::begin(&budget);
        loop {
            let mut freed = std::pin::pin!(budget.freed.notified());
            freed.as_mut().enable();
            if self.try_cover(total) {
                return Ok(());
            }
            if timeout_at(deadline, freed).await.is_err() {
                budget.stats.refused.increment();
                return Err(NoRoom);
            }
        }
    }

    /// As [`Reservation::cover`] without waiting: false if there is no room now.
    pub fn try_cover(&mut self, total: usize) -> bool {
        let Some(more) = (total as u64)
            .checked_sub(self.bytes)
            .filter(|more| *more > 0)
        else {
            return true;
        };
        let step = if total as u64 > STEP { STEP } else { 0 };
        let more = more.max(step);
        if self.seat.is_none() && !self.budget.take(self.source, more) {
            let Ok(permit) = Arc::clone(&self.budget.seat).try_acquire_owned() else {
                return false;
            };
            self.budget.give_back(self.source, self.bytes);
            self.seat = Some(Seat {
                until: Instant::now() + self.budget.wait(),
                _permit: permit,
            });
        }
        if let Some(seat) = &mut self.seat {
            let earned = Duration::from_micros(more.saturating_mul(1_000_000) / PACE);
            let latest = Instant::now() + self.budget.wait();
            seat.until = (seat.until + earned).min(latest);
        }
        self.bytes += more;
        self.budget.stats.held.add_if(more, |_| true);
        true
    }

    /// Gives back what is held past `total` bytes.
    pub fn shrink(&mut self, total: usize) {
        let Some(less) = self
            .bytes
            .checked_sub(total as u64)
            .filter(|less| *less > 0)
        else {
            return;
        };
        self.bytes -= less;
        self.budget.stats.held.subtract(less);
        if self.seat.is_none() {
            self.budget.give_back(self.source, less);
        }
    }

    /// Gives up the seat if there is room for the body without it. To be called once a body is here.
    pub fn settle(&mut self) {
        if self.seat.is_some() && self.budget.take(self.source, self.bytes) {
            self.seat = None;
            self.budget.tell_freed();
        }
    }

    /// Waits until this large body is the one that is worked on, at most for `longest`.
    ///
    /// # Errors
    /// Others were for as long as that.
    pub async fn turn(&self, longest: Duration) -> Result<Turn, NoRoom> {
        let budget = &self.budget;
        let free = Arc::clone(&budget.turn).try_acquire_owned();
        let permit = match free {
            Ok(permit) => permit,
            Err(_) => {
                budget.stats.waits.increment();
                let deadline = Instant::now() + longest;
                let permit = Arc::clone(&budget.turn).acquire_owned();
                let Ok(Ok(permit)) = timeout_at(deadline, permit).await else {
                    budget.stats.refused.increment();
                    return Err(NoRoom);
                };
                permit
            }
        };
        Ok(Turn { _permit: permit })
    }

    /// Returns when the body must be given up: it has the seat, comes too slowly for it, and another one waits.
    pub async fn revoked(&self) {
        let Some(seat) = &self.seat else {
            return pending().await;
        };
        sleep_until(seat.until).await;
        loop {
            let mut wanted = std::pin::pin!(self.budget.wanted.notified());
            wanted.as_mut().enable();
            if self.budget.waiting.load(Ordering::SeqCst) > 0 {
                self.budget.stats.refused.increment();
                return;
            }
            wanted.await;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.stats.held.subtract(self.bytes);
        if self.seat.take().is_none() {
            self.budget.give_back(self.source, self.bytes);
        } else {
            self.budget.tell_freed();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const MIB: usize = 1 << 20;

    fn first() -> Option<Source> {
        Some(IpAddr::from([10, 0, 0, 1]).into())
    }

    fn second() -> Option<Source> {
        Some(IpAddr::from([10, 0, 0, 2]).into())
    }

    const WAIT: Duration = Duration::from_secs(5);

    fn budget() -> Arc<Budget> {
        let bounds = Bounds {
            limit: 4 * MIB,
            share: 2 * MIB,
            wait: WAIT,
        };
        Budget::new(bounds, Arc::default())
    }

    #[test]
    fn a_source_has_its_share_and_one_body_the_seat() {
        let budget = budget();
        let mut slow: Vec<Reservation> = (0..3).map(|_| budget.begin(first())).collect();
        assert!(slow[0].try_cover(MIB) && slow[1].try_cover(MIB));
        assert!(slow[2].try_cover(40 * MIB), "the seat, however large");
        assert!(!slow[0].try_cover(MIB + 1), "past the share");
        let mut other = budget.begin(second());
        assert!(other.try_cover(2 * MIB), "another's share is free");
        assert!(!other.try_cover(3 * MIB));
        drop(slow.pop());
        assert!(other.try_cover(30 * MIB), "now it has the seat");
        assert!(slow[0].try_cover(MIB), "what is counted stays");
        drop((slow, other));
        assert_eq!(budget.stats.held.get(), 0);
        assert_eq!(budget.accounts().held, 0);
        assert!(budget.accounts().sources.is_empty());
    }

    #[test]
    fn small_bodies_are_counted_to_the_byte_and_the_seat_is_given_up_when_there_is_room() {
        let budget = budget();
        let mut small: Vec<Reservation> = (0..1000).map(|_| budget.begin(first())).collect();
        assert!(small.iter_mut().all(|body| body.try_cover(100)));
        assert_eq!(budget.stats.held.get(), 100_000);
        let mut large = budget.begin(first());
        assert!(large.try_cover(2 * MIB));
        large.settle();
        assert!(large.seat.is_some());
        drop(small);
        large.settle();
        assert!(large.seat.is_none());
        large.shrink(MIB);
        assert_eq!(budget.accounts().held, MIB as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_half_received_bodies_one_finishes_and_the_other_is_refused_in_time() {
        let budget = budget();
        let (mut one, mut two) = (budget.begin(first()), budget.begin(second()));
        assert!(one.try_cover(2 * MIB) && two.try_cover(2 * MIB));
        assert_eq!(one.cover(3 * MIB).await, Ok(()));
        let began = Instant::now();
        assert_eq!(two.cover(3 * MIB).await, Err(NoRoom));
        assert_eq!(began.elapsed().as_secs(), 5);
        drop(two);
        assert_eq!(one.cover(30 * MIB).await, Ok(()));
        // Waiting is over as soon as there is room.
        let mut two = budget.begin(second());
        let finish = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(one);
        };
        let ((), covered) = tokio::join!(finish, two.cover(30 * MIB));
        assert_eq!((covered, began.elapsed().as_secs()), (Ok(()), 6));
        assert_eq!(
            (budget.stats.waits.get(), budget.stats.refused.get()),
            (2, 1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_have_their_turn_one_after_the_other_and_wait_for_it_in_bounds() {
        let budget = budget();
        let bodies = [first(), second(), first()].map(|source| budget.begin(source));
        let first = bodies[0].turn(WAIT).await.expect("the first");
        let second = async {
            let turn = bodies[1].turn(WAIT).await;
            let since = Instant::now();
            (turn.is_ok(), since)
        };
        let third = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bodies[2].turn(WAIT).await.is_ok()
        };
        let ends = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(first);
            Instant::now()
        };
        let ((second, since), third, ended) = tokio::join!(second, third, ends);
        assert!(second && third);
        assert_eq!(since, ended);
        let _held = bodies[0].turn(WAIT).await.expect("nobody else");
        assert!(
            bodies[1].turn(WAIT).await.is_err(),
            "after as long as a body may wait"
        );
        assert_eq!(
            (budget.stats.waits.get(), budget.stats.refused.get()),
            (3, 1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_loses_the_seat_to_one_that_waits() {
        let budget = budget();
        let mut drip = budget.begin(first());
        assert!(drip.try_cover(10 * MIB));
        let began = Instant::now();
        let mut honest = budget.begin(second());
        let waits = async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            honest.cover(20 * MIB).await
        };
        let revoked = async {
            drip.revoked().await;
            assert_eq!(
                began.elapsed().as_secs(),
                100,
                "not before another one waits"
            );
            drop(drip);
        };
        let ((), covered) = tokio::join!(revoked, waits);
        assert_eq!(covered, Ok(()));
        assert_eq!(began.elapsed().as_secs(), 100);
    }
}
