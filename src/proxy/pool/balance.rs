//! Chooses one of the servers that may be chosen, by HAProxy's words for `balance`.

use std::cmp::Reverse;
use std::net::IpAddr;

use crate::config::model::Balance;
use parking_lot::Mutex;

/// What counts of a server when one is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Its weight, above 0.
    pub(crate) weight: u32,
    /// Requests under way on it.
    pub(crate) load: u64,
}

/// The memory of a pool's `balance`.
#[derive(Debug)]
pub(crate) struct Balancer {
    algorithm: Balance,
    /// Smooth weighted round robin: what each server is owed. Also breaks the ties of least connections.
    owed: Mutex<Vec<i64>>,
}

impl Balancer {
    /// For a pool of `servers` servers.
    pub(crate) fn new(algorithm: Balance, servers: usize) -> Self {
        Self {
            algorithm,
            owed: Mutex::new(vec![0; servers]),
        }
    }

    /// One of the servers for which `share` is given, or `None` if there is none. `client` matters to `source` only.
    pub(crate) fn choose(
        &self,
        client: IpAddr,
        share: impl Fn(usize) -> Option<Share>,
    ) -> Option<usize> {
        match self.algorithm {
            Balance::RoundRobin => self.in_turn(|index| share(index).map(|share| share.weight)),
            Balance::LeastConnections => self.least_connections(share),
            Balance::Random => self.by_highest(share, |_| fastrand::f64()),
            Balance::Source => self.by_highest(share, |index| position(client, index)),
        }
    }

    fn servers(&self) -> parking_lot::MutexGuard<'_, Vec<i64>> {
        self.owed.lock()
    }

    /// Smooth weighted round robin as nginx does it: each gets its weight, the one owed most is served and pays the sum.
    fn in_turn(&self, weight: impl Fn(usize) -> Option<u32>) -> Option<usize> {
        let mut owed = self.servers();
        let mut sum = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, owed) in owed.iter_mut().enumerate() {
            let Some(weight) = weight(index) else {
                continue;
            };
            *owed += i64::from(weight);
            sum += i64::from(weight);
            if best.is_none_or(|(_, most)| *owed > most) {
                best = Some((index, *owed));
            }
        }
        let (index, _) = best?;
        if let Some(owed) = owed.get_mut(index) {
            *owed -= sum;
        }
        Some(index)
    }

    fn least_connections(&self, share: impl Fn(usize) -> Option<Share>) -> Option<usize> {
        // Read once: loads change under our hands.
        let shares: Vec<Option<Share>> = (0..self.servers().len()).map(share).collect();
        let least = shares
            .iter()
            .flatten()
            .copied()
            .min_by(|one, other| by_load(*one).cmp(&by_load(*other)))?;
        self.in_turn(|index| {
            let share = shares.get(index).copied().flatten()?;
            (by_load(share) == by_load(least)).then_some(share.weight)
        })
    }

    /// Weighted rendezvous: each server draws a number in (0, 1) and the highest, bent by weight, wins.
    fn by_highest(
        &self,
        share: impl Fn(usize) -> Option<Share>,
        draw: impl Fn(usize) -> f64,
    ) -> Option<usize> {
        let count = self.servers().len();
        (0..count)
            .filter_map(|index| {
                let weight = f64::from(share(index)?.weight);
                let score = -weight / draw(index).max(f64::MIN_POSITIVE).ln();
                Some((index, score))
            })
            .max_by(|one, other| {
                one.1
                    .total_cmp(&other.1)
                    .then(Reverse(one.0).cmp(&Reverse(other.0)))
            })
            .map(|(index, _)| index)
    }
}

/// A share's load in relation to its weight, as a fraction that compares exactly.
fn by_load(share: Share) -> Fraction {
    Fraction {
        // As if the request were there already: an idle heavy server goes before an idle light one.
        above: u128::from(share.load) + 1,
        below: u128::from(share.weight.max(1)),
    }
}

#[derive(Debug, Clone, Copy)]
struct Fraction {
    above: u128,
    below: u128,
}

impl Ord for Fraction {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.above * other.below).cmp(&(other.above * self.below))
    }
}

impl PartialOrd for Fraction {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Fraction {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Fraction {}

/// The same number in (0, 1) for the same client and server, in every process: FNV-1a, then SplitMix64's mixing.
fn position(client: IpAddr, server: usize) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    match client.to_canonical() {
        IpAddr::V4(address) => address.octets().into_iter().for_each(&mut eat),
        IpAddr::V6(address) => address.octets().into_iter().for_each(&mut eat),
    }
    server.to_le_bytes().into_iter().for_each(&mut eat);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    // 32 bits are exact in an f64; the half keeps it off 0 and 1.
    (f64::from((hash >> 32) as u32) + 0.5) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn idle(weights: &[u32]) -> impl Fn(usize) -> Option<Share> + '_ {
        move |index| {
            let weight = *weights.get(index)?;
            (weight > 0).then_some(Share { weight, load: 0 })
        }
    }

    #[test]
    fn round_robin_is_smooth_and_exact() {
        let balancer = Balancer::new(Balance::RoundRobin, 3);
        let order: Vec<_> = (0..14)
            .filter_map(|_| balancer.choose(CLIENT, idle(&[5, 1, 1])))
            .collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn round_robin_passes_over_who_may_not_be_chosen() {
        let balancer = Balancer::new(Balance::RoundRobin, 3);
        let order: Vec<_> = (0..4)
            .filter_map(|_| balancer.choose(CLIENT, idle(&[1, 0, 1])))
            .collect();
        assert_eq!(order, [0, 2, 0, 2]);
        assert_eq!(balancer.choose(CLIENT, |_| None), None);
    }

    #[test]
    fn least_connections_go_by_weight() {
        let balancer = Balancer::new(Balance::LeastConnections, 2);
        let mut loads = [0_u64; 2];
        for _ in 0..30 {
            let index = balancer
                .choose(CLIENT, |index| {
                    Some(Share {
                        weight: [2, 1][index],
                        load: loads[index],
                    })
                })
                .unwrap();
            loads[index] += 1;
        }
        assert_eq!(loads, [20, 10]);
    }

    #[test]
    fn least_connections_take_turns_when_equal() {
        let balancer = Balancer::new(Balance::LeastConnections, 2);
        let order: Vec<_> = (0..4)
            .filter_map(|_| balancer.choose(CLIENT, idle(&[1, 1])))
            .collect();
        assert_eq!(order, [0, 1, 0, 1]);
    }

    #[test]
    fn random_follows_weight() {
        let balancer = Balancer::new(Balance::Random, 2);
        fastrand::seed(7);
        let heavy = (0..4000)
            .filter(|_| balancer.choose(CLIENT, idle(&[3, 1])) == Some(0))
            .count();
        assert!((2850..3150).contains(&heavy), "{heavy} of 4000");
    }

    #[test]
    fn source_stays_and_moves_only_who_must() {
        let balancer = Balancer::new(Balance::Source, 3);
        let mut counts = [0_usize; 3];
        for client in 0..3000_u32 {
            let client = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + client));
            let with_all = balancer.choose(client, idle(&[1, 1, 1])).unwrap();
            assert_eq!(balancer.choose(client, idle(&[1, 1, 1])), Some(with_all));
            let without_last = balancer.choose(client, idle(&[1, 1, 0])).unwrap();
            if with_all != 2 {
                assert_eq!(without_last, with_all);
            }
            counts[with_all] += 1;
        }
        assert!(counts.iter().all(|count| *count > 850), "{counts:?}");
    }

    #[test]
    fn source_is_the_same_for_both_forms_of_an_ipv4_address() {
        let plain: IpAddr = "192.0.2.7".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(position(plain, 3), position(mapped, 3));
    }
}
