//! `track`: a server that is up while another one is. haflux checks it itself, as that one is checked.

use super::ledger::Ledger;
use super::plan::PoolPlan;
use super::pool::Check;
use super::server::{Asked, Server, host_of, port_of};
use super::statement::Script;
use super::value;

/// A check of a server that is tracked, as its follower gets it.
struct Followed {
    check: Check,
    like: Server,
}

/// Gives servers that follow others a check of their own.
pub(super) fn resolve(pools: &mut [PoolPlan], script: &Script, ledger: &mut Ledger) {
    let followed: Vec<Vec<Option<Followed>>> = pools
        .iter()
        .map(|plan| {
            let followers = plan.pool.servers.iter();
            let followers = followers.filter_map(|server| match &server.asked {
                Asked::Tracked(name) => Some(followed(pools, plan, server, name)),
                _ => None,
            });
            followers.collect()
        })
        .collect();
    for (plan, followed) in pools.iter_mut().zip(followed) {
        if followed.is_empty() {
            continue;
        }
        let pool = &mut plan.pool;
        let mut servers = pool.servers.iter();
        let has_own =
            servers.any(|server| server.check && !matches!(server.asked, Asked::Tracked(_)));
        let first = followed.first().and_then(Option::as_ref);
        let is_one = followed.iter().all(|other| {
            let other = other.as_ref().map(|other| &other.check);
            other.is_some() && other == first.map(|first| &first.check)
        });
        let how = if has_own {
            "as the other servers of its pool are"
        } else if is_one {
            "as that one is"
        } else {
            "by a connection to where requests go, because haflux cannot ask what that one is asked"
        };
        if let Some(first) = first.filter(|_| is_one && !has_own) {
            pool.check = first.check.clone();
        } else if !has_own {
            pool.check = Check::default();
        }
        for server in &mut pool.servers {
            let Asked::Tracked(name) = &server.asked else {
                continue;
            };
            if let Some(id) = server.statement {
                ledger.warn(
                    script.statement(id),
                    format!("haflux has a server follow no other: it does not ask {name}, but checks this one itself, {how}"),
                );
            }
            if let Some(first) = first.filter(|_| !has_own) {
                server.inter = first.like.inter;
                server.rise = first.like.rise.clone();
                server.fall = first.like.fall.clone();
            }
            server.asked = Asked::Itself;
        }
    }
}

/// The check of the server that `name` means for `server` in `plan`, if the same can be asked of `server`.
fn followed(pools: &[PoolPlan], plan: &PoolPlan, server: &Server, name: &str) -> Option<Followed> {
    let (pool, other) = match name.split_once('/') {
        Some((pool, other)) => {
            let pool = pools.iter().find(|plan| plan.known_as == pool)?;
            (pool, other)
        }
        None => (plan, name),
    };
    let other = value::name(other);
    let mut others = pool.pool.servers.iter();
    let other = others.find(|known| known.name == other && known.check)?;
    let (own, its) = (server.node.as_ref()?, other.node.as_ref()?);
    let is_reached_alike = server.tls == other.tls && server.send_proxy == other.send_proxy;
    if matches!(other.asked, Asked::Tracked(_)) || host_of(own) != host_of(its) || !is_reached_alike
    {
        return None;
    }
    let port = pool.pool.check.port.unwrap_or(port_of(its));
    Some(Followed {
        check: Check {
            port: (port != port_of(own)).then_some(port),
            ..pool.pool.check.clone()
        },
        like: other.clone(),
    })
}
