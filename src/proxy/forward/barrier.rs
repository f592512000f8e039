//! Which server a read of a replicated pool goes to: the read barrier's choice.
//!
//! A server that is fresh for the read answers it, chosen by the pool's balance. If none is, the read waits for one, at most
//! `read_wait`, and not at all where waiting cannot help; then `on_stale` decides. What differs from node to node stays with one
//! server as long as that is up.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::config::model::{OnStale, Reads};
use crate::influx::influxql::Databases;
use crate::proxy::pool::Pool;
use crate::relay::verdict::freshness::{Demand, Freshness, Permit};

/// What the choice must heed.
pub(in crate::proxy) enum Aim<'a> {
    /// Any server that is up.
    Any,
    /// The one that answers what differs from node to node.
    Pinned,
    /// One that is fresh.
    Fresh {
        freshness: &'a Freshness,
        demand: Demand,
        /// The one that answers what differs from node to node, if it is fresh.
        pinned: bool,
    },
}

/// What was chosen.
pub(in crate::proxy) enum Chosen {
    /// This server.
    Server(usize, SocketAddr),
    /// This one, which lacks so many records at most.
    Stale(usize, SocketAddr, u64),
    /// Servers are up, and none of them is fresh.
    NoneFresh,
    /// No other server is up.
    None,
}

/// Chooses the servers of one read.
pub(in crate::proxy) struct Chooser<'a> {
    pool: &'a Pool,
    aim: Aim<'a>,
    client: IpAddr,
    /// Until when it may wait.
    deadline: Option<Instant>,
    /// Of the fresh server that was chosen last.
    permit: Option<Permit>,
}

impl<'a> Chooser<'a> {
    pub(in crate::proxy) fn new(pool: &'a Pool, aim: Aim<'a>, client: IpAddr) -> Self {
        Self {
            pool,
            aim,
            client,
            deadline: None,
            permit: None,
        }
    }

    /// For a read of `databases` that comes now. `pinned`: it asks for what differs from node to node, too.
    pub(in crate::proxy) fn of_read(
        pool: &'a Pool,
        freshness: Option<&'a Freshness>,
        databases: &Databases,
        pinned: bool,
        client: IpAddr,
    ) -> Self {
        let aim = match freshness {
            Some(freshness) if pool.config().reads == Reads::Fresh => Aim::Fresh {
                demand: freshness.demand(databases),
                freshness,
                pinned,
            },
            _ if pinned => Aim::Pinned,
            _ => Aim::Any,
        };
        Self::new(pool, aim, client)
    }

    /// The server for the next try, none of those in `tried`.
    pub(in crate::proxy) async fn choose(&mut self, tried: &[usize]) -> Chosen {
        self.permit = None;
        let (freshness, demand) = match &self.aim {
            Aim::Any => return found(self.pool.choose(self.client, tried)),
            Aim::Pinned => return found(self.pool.choose_pinned(tried, |_| true)),
            Aim::Fresh {
                freshness, demand, ..
            } => (*freshness, demand),
        };
        if let Some((index, permit)) = self.fresh(tried) {
            return self.permitted(index, permit);
        }
        if !self.pool.choose_exists(tried) {
            return Chosen::None;
        }
        let stats = &self.pool.stats().barrier;
        let worth_waiting = (0..self.pool.servers().len()).any(|index| {
            self.pool.is_usable(index, tried) && freshness.may_become_fresh(index, demand)
        });
        if worth_waiting {
            let begun = Instant::now();
            let longest = self.pool.config().read_wait;
            let deadline = *self.deadline.get_or_insert(begun + longest);
            let wait = deadline.saturating_duration_since(begun);
            stats.waits.increment();
            let _waiting = stats.waiting.enter();
            let chosen = freshness.wait_for(wait, || self.fresh(tried)).await;
            let waited = begun.elapsed().as_micros();
            stats
                .waited_micros
                .add(u64::try_from(waited).unwrap_or(u64::MAX));
            if let Some((index, permit)) = chosen {
                return self.permitted(index, permit);
            }
        }
        if self.rejects_stale() {
            return Chosen::NoneFresh;
        }
        let most_advanced = (0..self.pool.servers().len())
            .filter(|index| self.pool.is_usable(*index, tried))
            .max_by_key(|index| freshness.progress(*index));
        let Some((index, address)) =
            most_advanced.and_then(|index| Some((index, self.pool.address(index)?)))
        else {
            return Chosen::None;
        };
        Chosen::Stale(index, address, self.behind(index))
    }

    /// Whether a read that no fresh server answers in time is turned away; counted if so.
    pub(in crate::proxy) fn rejects_stale(&self) -> bool {
        let rejects = self.pool.config().on_stale == OnStale::Reject;
        if rejects {
            self.pool.stats().barrier.rejected.increment();
        }
        rejects
    }

    /// Whether the answer of the server that was chosen last, which has begun, may be passed on as a fresh one.
    pub(in crate::proxy) fn is_still_fresh(&self, server: usize) -> bool {
        match (&self.aim, self.permit) {
            (
                Aim::Fresh {
                    freshness, demand, ..
                },
                Some(permit),
            ) => freshness.is_fresh_since(permit, server, demand),
            _ => true,
        }
    }

    /// Whether the read that this server has would better be sent to another one: this one has been marked down since, and
    /// another one could answer.
    pub(in crate::proxy) fn is_lost(&self, server: usize, tried: &[usize]) -> bool {
        let is_down = !self.pool.may_finish(server)
            || matches!(&self.aim, Aim::Fresh { freshness, .. } if !freshness.is_trusted(server));
        let is_other = |index: usize| {
            index != server
                && self.pool.is_usable(index, tried)
                && match &self.aim {
                    Aim::Any | Aim::Pinned => true,
                    Aim::Fresh {
                        freshness, demand, ..
                    } => freshness.is_fresh(index, demand),
                }
        };
        is_down && (0..self.pool.servers().len()).any(is_other)
    }

    /// Records that this server lacks of what the read must see, at most.
    pub(in crate::proxy) fn behind(&self, server: usize) -> u64 {
        match &self.aim {
            Aim::Any | Aim::Pinned => 0,
            Aim::Fresh {
                freshness, demand, ..
            } => freshness.behind(server, demand),
        }
    }

    /// An answer of this server is about to be passed on: what it shows, later reads must see too.
    pub(in crate::proxy) fn shown(&self, server: usize) {
        if let Aim::Fresh {
            freshness, demand, ..
        } = &self.aim
        {
            freshness.shown(server, demand);
        }
    }

    /// A server that is fresh is asked where it was proven to be, wherever the pool has it by now.
    fn permitted(&mut self, index: usize, permit: Permit) -> Chosen {
        self.permit = Some(permit);
        Chosen::Server(index, permit.address())
    }

    fn fresh(&self, tried: &[usize]) -> Option<(usize, Permit)> {
        let Aim::Fresh {
            freshness,
            demand,
            pinned,
        } = &self.aim
        else {
            return None;
        };
        let is_fresh = |index| freshness.is_fresh(index, demand);
        let (index, _) = if *pinned {
            self.pool.choose_pinned(tried, is_fresh)
        } else {
            self.pool.choose_where(self.client, tried, is_fresh)
        }?;
        // It may have been set back since it was asked.
        Some((index, freshness.send(index, demand)?))
    }
}

fn found(server: Option<(usize, SocketAddr)>) -> Chosen {
    match server {
        Some((index, address)) => Chosen::Server(index, address),
        None => Chosen::None,
    }
}
