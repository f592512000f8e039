//! Follows the servers that are named by DNS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::config::model::ServerAddress;
use crate::proxy::pool::{Pool, Server};

/// What the question for a name gave: its addresses, at least one, or why there is none.
type Found = Result<Vec<SocketAddr>, String>;

/// Between two questions for the same name.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// For one question.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Whether any server of `pool` is named by DNS.
pub(crate) fn is_needed(pool: &Pool) -> bool {
    pool.servers()
        .iter()
        .any(|server| matches!(server.config.address, ServerAddress::Dns { .. }))
}

/// Asks once for every name of `pool`, all at a time. True if an address changed.
pub(crate) async fn refresh(pool: &Arc<Pool>) -> bool {
    let servers = pool.servers().iter().enumerate();
    let changes = servers.map(|(index, server)| refresh_server(pool, index, server));
    join_all(changes).await.contains(&true)
}

async fn refresh_server(pool: &Pool, index: usize, server: &Server) -> bool {
    match ask(server).await {
        Some(found) => apply(pool, index, server, found),
        None => false,
    }
}

/// Asks once for the name of `server`, if it has one.
async fn ask(server: &Server) -> Option<Found> {
    let ServerAddress::Dns { host, port } = &server.config.address else {
        return None;
    };
    let lookup = tokio::net::lookup_host((host.as_str(), *port));
    let found = match tokio::time::timeout(TIMEOUT, lookup).await {
        Ok(Ok(found)) => Ok(found.collect::<Vec<_>>()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    };
    Some(match found {
        Ok(found) if found.is_empty() => Err("it has no address".to_owned()),
        found => found,
    })
}

/// A server is to be asked at another place than now, and nobody knows where that is.
#[derive(Debug, thiserror::Error)]
#[error(
    "backend \"{backend}\", server \"{server}\", address: \"{address}\" cannot be resolved: {reason}"
)]
pub struct UnresolvedError {
    backend: String,
    server: String,
    address: ServerAddress,
    reason: String,
}

/// Pools whose names have been asked for, so that they can take the place of those that there are.
pub struct ResolvedPools {
    pools: Vec<Arc<Pool>>,
    /// Those among them that are new, each with what was found for its servers.
    new: Vec<(Arc<Pool>, Vec<Option<Found>>)>,
}

impl ResolvedPools {
    /// Asks once for each name of those of `pools` that are not among `before`, all at a time. Nothing is changed by that.
    ///
    /// # Errors
    ///
    /// Servers that were somewhere else and whose new name has no answer: they could only be asked where they were, and
    /// `pools` do not name that place.
    pub(in crate::proxy) async fn of(
        pools: Vec<Arc<Pool>>,
        before: &[Arc<Pool>],
    ) -> Result<Self, Vec<UnresolvedError>> {
        let is_new = |pool: &&Arc<Pool>| before.iter().all(|one| !Arc::ptr_eq(one, pool));
        let new = pools.iter().filter(is_new).map(async |pool| {
            let found = join_all(pool.servers().iter().map(ask)).await;
            (Arc::clone(pool), found)
        });
        let new = join_all(new).await;
        let mut unresolved = Vec::new();
        for (pool, found) in &new {
            for (server, found) in pool.servers().iter().zip(found) {
                if let Some(Err(reason)) = found
                    && was_elsewhere(before, pool, server)
                {
                    unresolved.push(UnresolvedError {
                        backend: pool.name().to_owned(),
                        server: server.config.name.clone(),
                        address: server.config.address.clone(),
                        reason: reason.clone(),
                    });
                }
            }
        }
        match unresolved.is_empty() {
            true => Ok(Self { pools, new }),
            false => Err(unresolved),
        }
    }

    /// All of them.
    pub(in crate::proxy) fn pools(&self) -> &[Arc<Pool>] {
        &self.pools
    }

    /// Has the servers of the new ones be where these say from now on.
    pub(in crate::proxy) fn take_over(self) {
        for (pool, found) in self.new {
            for (index, (server, found)) in pool.servers().iter().zip(found).enumerate() {
                match (found, &server.config.address) {
                    (Some(found), _) => {
                        apply(&pool, index, server, found);
                    }
                    (None, ServerAddress::Ip(address)) => {
                        server.handle.set_address(Some(*address));
                    }
                    (None, ServerAddress::Dns { .. }) => {}
                }
            }
            pool.take_over();
        }
    }
}

/// Whether `server` of `pool` is one that there was, at another address.
fn was_elsewhere(before: &[Arc<Pool>], pool: &Pool, server: &Server) -> bool {
    let same = before.iter().filter(|one| one.name() == pool.name());
    let mut known = same.flat_map(|pool| pool.servers().iter().map(|known| &known.config));
    known.any(|known| known.name == server.config.name && known.address != server.config.address)
}

/// Takes over what was found for the name of the server at `index`. True if its address changed.
fn apply(pool: &Pool, index: usize, server: &Server, found: Found) -> bool {
    let (before, host) = (server.handle.address(), &server.config.address);
    let name = format!("{}/{}", pool.name(), server.handle.name());
    let found = match found {
        Ok(found) => found,
        Err(reason) => {
            match before {
                Some(address) => {
                    log::debug!(
                        "server {name}: {host} cannot be resolved ({reason}), it stays at {address}"
                    );
                }
                None => log::warn!("server {name}: {host} cannot be resolved: {reason}"),
            }
            return false;
        }
    };
    // A name with several addresses must not make the server wander.
    let after = before
        .filter(|address| found.contains(address))
        .or(found.first().copied());
    let Some(after) = after.filter(|after| Some(*after) != before) else {
        return false;
    };
    match before {
        Some(before) => log::info!("server {name}: {host} changed from {before} to {after}"),
        None => log::info!("server {name}: {host} is {after}"),
    }
    server.handle.set_address(Some(after));
    server.idle.clear();
    if before.is_none() {
        pool.mark(index, true, "name resolved");
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::tests::harness;

    #[test]
    fn an_address_is_taken_over_kept_and_changed() {
        let pool = harness::pool(vec![harness::named_server("a", "db.example", 8086)]);
        let server = &pool.servers()[0];
        let ask = |found: Result<&[&str], &str>| {
            let found = found
                .map(|found| found.iter().filter_map(|one| one.parse().ok()).collect())
                .map_err(str::to_owned);
            apply(&pool, 0, server, found)
        };
        assert!(!ask(Err("no such name")));
        assert!(!pool.server_is_up(0));
        assert!(pool.choose([127, 0, 0, 1].into(), &[]).is_none());

        assert!(ask(Ok(&["10.0.0.1:8086", "10.0.0.2:8086"])));
        assert!(pool.server_is_up(0));
        // Another order is no change; a failing question neither.
        assert!(!ask(Ok(&["10.0.0.2:8086", "10.0.0.1:8086"])));
        assert!(!ask(Err("timeout")));
        assert!(!ask(Ok(&[])));
        assert_eq!(pool.address(0), "10.0.0.1:8086".parse().ok());

        assert!(ask(Ok(&["10.0.0.3:8086"])));
        assert_eq!(pool.address(0), "10.0.0.3:8086".parse().ok());
    }
}
