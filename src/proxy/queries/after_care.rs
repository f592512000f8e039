//! Whether a node has ended a query whose connection was closed.
//!
//! InfluxDB ends a `SELECT` whose client's connection is closed as it ends one on `KILL QUERY`: both mark the query as killed and
//! interrupt it (services/httpd/handler.go, `serveQuery`, and query/task_manager.go, `waitForQuery`; 1.6 to 1.13). What stands between
//! haflux and a node may keep the connection open, though. So the node is asked what it runs, and told to kill a query that goes on.
//! InfluxDB gives a query an id that nobody is told, so it is found by its text, its database and its age. One that haflux has for
//! somebody else is left alone; one that was sent to the node past haflux in the same moment cannot be told from it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::node::{AskedNode, Listed, NodeError};
use super::{Queries, Running};
use crate::config::model::Login;
use crate::dial::Dialer;
use crate::stats::QueryTable;

/// Queries that are looked after at once; of more than as many it is not asked whether they have ended.
pub(super) const MOST_LOOKED_AFTER: usize = 16;

/// How long a node may take to end a query.
const LONGEST: Duration = Duration::from_secs(10);

/// Between the closing of the connection and the first look, and the longest between two.
const FIRST_LOOK: Duration = Duration::from_millis(200);
const LAST_LOOKS: Duration = Duration::from_secs(2);

/// How long a query may take to reach its node.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// A query whose connection was closed, and the node that had it.
pub(in crate::proxy) struct AfterCare {
    pub(in crate::proxy) queries: Arc<Queries>,
    pub(in crate::proxy) table: Arc<QueryTable>,
    pub(in crate::proxy) running: Arc<Running>,
    pub(in crate::proxy) address: SocketAddr,
    pub(in crate::proxy) dialer: Arc<Dialer>,
    /// An administrator of the node.
    pub(in crate::proxy) login: Option<Login>,
}

/// What a node does with it.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// It is interrupted, and has not ended.
    Ending,
    /// It goes on, by this id.
    GoesOn(u64),
}

impl AfterCare {
    /// Looks after it in a task of its own.
    pub(in crate::proxy) fn begin(self) {
        let looked_after = Arc::clone(&self.queries.looked_after);
        match looked_after.try_acquire_owned() {
            Ok(place) => {
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = self.look().await {
                        log::info!(
                            "whether its node has ended it is not known: {error}; {}",
                            self.running
                        );
                    }
                });
            }
            Err(_) => log::info!(
                "whether its node has ended it is not asked, because {MOST_LOOKED_AFTER} others are looked after; {}",
                self.running
            ),
        }
    }

    async fn look(&self) -> Result<(), NodeError> {
        let node = AskedNode {
            address: self.address,
            dialer: Arc::clone(&self.dialer),
            login: self.login.clone(),
        };
        let ended = Instant::now();
        let mut pause = FIRST_LOOK;
        let mut seen = None;
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOKS);
            match self.find(&node.queries().await?, ended) {
                Found::Nothing => {
                    log::debug!("its node has ended it; {}", self.running);
                    return Ok(());
                }
                // A busy node hears of a closed connection a little later.
                Found::GoesOn(id) if seen.replace(id) != Some(id) => {}
                Found::GoesOn(id) => {
                    node.kill(id).await?;
                    self.table.kills.increment();
                    log::warn!(
                        "its node went on with it although its connection was closed, and was told to KILL QUERY {id}; {}",
                        self.running
                    );
                }
                Found::Ending if ended.elapsed() >= LONGEST => {
                    log::warn!(
                        "its node has interrupted it, and has not ended it within {} s; {}",
                        LONGEST.as_secs(),
                        self.running
                    );
                    return Ok(());
                }
                Found::Ending => {}
            }
        }
    }

    fn find(&self, listed: &[Listed], ended: Instant) -> Found {
        let oldest = match &*self.running.node.lock() {
            Some(node) => node.since.elapsed(),
            None => return Found::Nothing,
        };
        let youngest = oldest.saturating_sub(ON_THE_WAY).max(ended.elapsed());
        let observed = &self.running.observed;
        let database = observed.database.as_deref().unwrap_or_default();
        let alike = |one: &&Listed| {
            one.fingerprint.as_deref() == Some(&*observed.fingerprint)
                && one.database == database
                && one.may_be_of(youngest, oldest)
        };
        let alike: Vec<&Listed> = listed.iter().filter(alike).collect();
        found(&alike, self.queries.twins(&self.running, 2 * ON_THE_WAY))
    }
}

/// What becomes of a query that these look like. `twins` of them are others that are to go on.
fn found(alike: &[&Listed], twins: usize) -> Found {
    if alike.iter().any(|one| one.is_killed) {
        return Found::Ending;
    }
    match alike.iter().max_by_key(|one| one.age) {
        Some(oldest) if alike.len() > twins => Found::GoesOn(oldest.id),
        _ => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_nobody_waits_for_is_killed() {
        let one = |id, seconds, is_killed| Listed {
            id,
            fingerprint: None,
            database: String::new(),
            age: Duration::from_secs(seconds),
            is_killed,
        };
        let (old, young, killed) = (one(1, 5, false), one(2, 4, false), one(3, 5, true));
        for (alike, twins, expected) in [
            (vec![], 0, Found::Nothing),
            (vec![&old], 0, Found::GoesOn(1)),
            (vec![&old], 1, Found::Nothing),
            (vec![&young, &old], 1, Found::GoesOn(1)),
            (vec![&young, &old], 2, Found::Nothing),
            (vec![&young, &old, &killed], 1, Found::Ending),
            (vec![&killed], 0, Found::Ending),
        ] {
            assert_eq!(found(&alike, twins), expected, "{alike:?}, {twins}");
        }
    }
}
