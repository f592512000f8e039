//! Orders of a person for the servers of all pools: taking one out of service, back into it, and changing its weight.
//!
//! Whoever gives an order (a socket, a command, a page) gives it here. It counts at once, and is on disk when it returns, so a
//! restart finds it; what cannot be put on disk counts until the process ends, and whoever gave the order is told.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::kept_orders::{self, KeptOrder, KeptOrders};
use super::{Pool, Server};
use crate::stats::AdminState;

/// The largest weight, as in the configuration.
const MAX_WEIGHT: u32 = 256;

/// Gives orders to the servers of all pools.
pub struct ServerOrders {
    pools: ArcSwap<Vec<Arc<Pool>>>,
    /// Held while an order is given: the file and the servers hear of orders in the same sequence.
    kept: Mutex<KeptOrders>,
}

/// A server: its backend, and its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerPlace<'a> {
    /// The backend's name.
    pub backend: &'a str,
    /// The server's name.
    pub server: &'a str,
}

/// A weight as a person gives it: `0` to `256`, or a percentage of the configuration's, which is cut off at 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// This weight.
    Absolute(u32),
    /// This percentage of the configuration's weight.
    Percent(u32),
}

/// Why a text is no weight, in HAProxy's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeightError {
    /// There is none.
    #[error("Require <weight> or <weight%>.")]
    Missing,
    /// It does not begin with a number.
    #[error("Empty weight string empty or preceded by garbage")]
    NoNumber,
    /// Something follows the number.
    #[error("Trailing garbage in weight string")]
    Trailing,
    /// It is out of range.
    #[error("Absolute weight can only be between 0 and 256 inclusive.")]
    Absolute,
    /// A percentage is negative.
    #[error("Relative weight must be positive.")]
    Relative,
}

/// Why an order was not carried out: nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerOrderError {
    /// There is no such backend.
    #[error("there is no backend {name:?}; there are: {}", known.join(", "))]
    UnknownBackend {
        /// The name that was given.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The backend has no such server.
    #[error("backend {backend:?} has no server {name:?}; it has: {}", known.join(", "))]
    UnknownServer {
        /// The backend.
        backend: String,
        /// The name that was given.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
}

/// An order that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// Why the order ends with the process, where it could not be put on disk.
    pub unkept: Option<String>,
}

impl ServerOrders {
    /// For these pools, with the orders that `folder` keeps, which count from here on. Without a folder no order outlives the
    /// process.
    pub fn open(folder: Option<&Path>, pools: Vec<Arc<Pool>>) -> ServerOrders {
        let orders = ServerOrders {
            pools: ArcSwap::from_pointee(Vec::new()),
            kept: Mutex::new(KeptOrders::open(folder)),
        };
        orders.follow(pools);
        orders
    }

    /// Gives orders to these pools from here on; servers that keep their names keep their orders, the others' are forgotten.
    /// A weight that the configuration has changed counts instead of one that was ordered before. May wait for the disk.
    pub fn follow(&self, pools: Vec<Arc<Pool>>) {
        let mut kept = self.kept.lock();
        let before = self.pools.load();
        let mut keys = Vec::new();
        for pool in &pools {
            let known = before.iter().find(|one| one.name() == pool.name());
            for (index, server) in pool.servers().iter().enumerate() {
                let mut order = kept.order(pool.name(), server.handle.name());
                let has_changed = |one: &Server| {
                    one.config.name == server.config.name
                        && one.config.weight != server.config.weight
                };
                if order.weight.is_some()
                    && known.is_some_and(|pool| pool.servers().iter().any(has_changed))
                {
                    order.weight = None;
                    let kept = kept.keep(pool.name(), server.handle.name(), order);
                    if let Err(error) = kept {
                        log::error!("the orders for servers are not written: {error}");
                    }
                }
                pool.set_weight(index, order.weight.unwrap_or(server.config.weight));
                pool.set_admin(index, order.state);
                keys.push(kept_orders::key(pool.name(), server.handle.name()));
            }
        }
        kept.retain(|key| keys.iter().any(|known| known == key));
        self.pools.store(Arc::new(pools));
    }

    /// The pools.
    pub fn pools(&self) -> Arc<Vec<Arc<Pool>>> {
        self.pools.load_full()
    }

    /// Puts a server in this state. May wait for the disk.
    ///
    /// # Errors
    /// There is no such server.
    pub fn set_state(
        &self,
        place: ServerPlace<'_>,
        state: AdminState,
    ) -> Result<Ordered, ServerOrderError> {
        self.order(place, |pool, index, _, order| {
            pool.set_admin(index, state);
            KeptOrder { state, ..order }
        })
    }

    /// Gives a server this weight. May wait for the disk.
    ///
    /// # Errors
    /// There is no such server.
    pub fn set_weight(
        &self,
        place: ServerPlace<'_>,
        weight: Weight,
    ) -> Result<Ordered, ServerOrderError> {
        self.order(place, |pool, index, server, order| {
            let initial = server.config.weight;
            let weight = weight.of(initial);
            pool.set_weight(index, weight);
            KeptOrder {
                weight: (weight != initial).then_some(weight),
                ..order
            }
        })
    }

    fn order(
        &self,
        place: ServerPlace<'_>,
        carry_out: impl FnOnce(&Pool, usize, &Server, KeptOrder) -> KeptOrder,
    ) -> Result<Ordered, ServerOrderError> {
        let mut kept = self.kept.lock();
        let pools = self.pools.load();
        let pool = pools
            .iter()
            .find(|pool| pool.name() == place.backend)
            .ok_or_else(|| ServerOrderError::UnknownBackend {
                name: place.backend.to_owned(),
                known: pools.iter().map(|pool| pool.name().to_owned()).collect(),
            })?;
        let servers = pool.servers();
        let (index, server) = servers
            .iter()
            .enumerate()
            .find(|(_, server)| server.handle.name() == place.server)
            .ok_or_else(|| ServerOrderError::UnknownServer {
                backend: place.backend.to_owned(),
                name: place.server.to_owned(),
                known: servers
                    .iter()
                    .map(|server| server.handle.name().to_owned())
                    .collect(),
            })?;
        let order = kept.order(place.backend, place.server);
        let order = carry_out(pool, index, server, order);
        let unkept = kept.keep(place.backend, place.server, order).err();
        let unkept = unkept.map(|error| error.to_string());
        if let Some(reason) = &unkept {
            log::error!("the order for server {place} ends with this process: {reason}");
        }
        Ok(Ordered { unkept })
    }
}

impl Display for ServerPlace<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend, self.server)
    }
}

impl Weight {
    /// Reads one, as HAProxy does.
    ///
    /// # Errors
    /// [`WeightError`], in HAProxy's words.
    pub fn parse(text: &str) -> Result<Weight, WeightError> {
        if text.is_empty() {
            return Err(WeightError::Missing);
        }
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = digits.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = digits.split_at(end);
        if number.is_empty() {
            return Err(WeightError::NoNumber);
        }
        // One that does not fit is out of any range.
        let number = sign * number.parse::<i64>().unwrap_or(i64::MAX);
        match rest {
            "" => u32::try_from(number)
                .ok()
                .filter(|weight| *weight <= MAX_WEIGHT)
                .map(Weight::Absolute)
                .ok_or(WeightError::Absolute),
            "%" if number < 0 => Err(WeightError::Relative),
            "%" => Ok(Weight::Percent(u32::try_from(number).unwrap_or(u32::MAX))),
            _ => Err(WeightError::Trailing),
        }
    }

    /// The weight of a server whose weight in the configuration is `initial`.
    fn of(self, initial: u32) -> u32 {
        match self {
            Weight::Absolute(weight) => weight.min(MAX_WEIGHT),
            Weight::Percent(percent) => {
                let weight = u64::from(initial) * u64::from(percent) / 100;
                u32::try_from(weight).unwrap_or(u32::MAX).min(MAX_WEIGHT)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::tests::harness;

    #[test]
    fn weights_are_read_as_haproxy_reads_them() {
        for (text, weight) in [
            ("0", Ok(Weight::Absolute(0))),
            ("256", Ok(Weight::Absolute(256))),
            ("+5", Ok(Weight::Absolute(5))),
            ("50%", Ok(Weight::Percent(50))),
            ("40000%", Ok(Weight::Percent(40_000))),
            ("", Err(WeightError::Missing)),
            ("x", Err(WeightError::NoNumber)),
            ("%", Err(WeightError::NoNumber)),
            ("5x", Err(WeightError::Trailing)),
            ("5%%", Err(WeightError::Trailing)),
            ("257", Err(WeightError::Absolute)),
            ("-1", Err(WeightError::Absolute)),
            ("99999999999999999999", Err(WeightError::Absolute)),
            ("-1%", Err(WeightError::Relative)),
        ] {
            assert_eq!(Weight::parse(text), weight, "{text}");
        }
        assert_eq!(Weight::Percent(50).of(10), 5);
        assert_eq!(Weight::Percent(40_000).of(3), 256);
    }

    #[test]
    fn orders_count_at_once_and_for_the_pools_that_come() {
        let folder = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:9".parse().unwrap();
        let servers = || {
            ["one", "two"]
                .map(|name| harness::server(name, address))
                .to_vec()
        };
        let pool = harness::pool(servers());
        let backend = pool.name().to_owned();
        let orders = ServerOrders::open(Some(folder.path()), vec![Arc::clone(&pool)]);
        let place = |server| ServerPlace {
            backend: &backend,
            server,
        };
        let kept = Ordered { unkept: None };
        assert_eq!(
            orders.set_state(place("one"), AdminState::Drain).as_ref(),
            Ok(&kept)
        );
        assert_eq!(
            orders.set_weight(place("two"), Weight::Absolute(7)),
            Ok(kept)
        );
        assert!(!pool.is_usable(0, &[]) && pool.may_finish(0) && pool.is_usable(1, &[]));
        // A pool that takes its place, and a process that does.
        let next = harness::pool(servers());
        orders.follow(vec![Arc::clone(&next)]);
        let again = harness::pool(servers());
        ServerOrders::open(Some(folder.path()), vec![Arc::clone(&again)]);
        for pool in [next, again] {
            let admin: Vec<_> = pool.handles().iter().map(|one| one.admin()).collect();
            assert_eq!(admin, [AdminState::Drain, AdminState::Ready]);
            assert_eq!(pool.servers()[1].weight(), 7);
        }
        orders.set_state(place("two"), AdminState::Maint).unwrap();
        let pools = orders.pools();
        assert!(!pools[0].is_available() && pools[0].is_ordered_away());

        let unknown = orders.set_state(place("three"), AdminState::Drain);
        assert!(matches!(
            unknown,
            Err(ServerOrderError::UnknownServer { known, .. }) if known == ["one", "two"]
        ));
    }
}
