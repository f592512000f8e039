//! Follows the servers that are named by DNS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::ServerAddress;
use crate::proxy::pool::{Pool, Server};

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
    futures_util::future::join_all(changes)
        .await
        .contains(&true)
}

async fn refresh_server(pool: &Pool, index: usize, server: &Server) -> bool {
    let ServerAddress::Dns { host, port } = &server.config.address else {
        return false;
    };
    let lookup = tokio::net::lookup_host((host.as_str(), *port));
    let found = match tokio::time::timeout(TIMEOUT, lookup).await {
        Ok(Ok(found)) => Ok(found.collect::<Vec<_>>()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    };
    apply(pool, index, server, host, found)
}

/// Takes over what was found for the name of the server at `index`. True if its address changed.
fn apply(
    pool: &Pool,
    index: usize,
    server: &Server,
    host: &str,
    found: Result<Vec<SocketAddr>, String>,
) -> bool {
    let before = server.handle.address();
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
            apply(&pool, 0, server, "db.example", found)
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
