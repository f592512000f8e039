//! Queries that run: which they are, how many, and the end of those that are to run no longer.
//!
//! A query is a read: of `/query` with statements that only read, of `/api/v2/query`, of `/api/v1/prom/read`. One [`Queries`] is there
//! for all frontends, over reloads. A query is in it from its admission to the last byte of its answer.
//!
//! | | |
//! | --- | --- |
//! | [`observed`] | what is known of a query from its request |
//! | [`limits`] | how many run of a frontend and of each user |
//! | [`node`], [`after_care`] | whether a node has ended a query whose connection was closed |

pub(super) mod after_care;
pub(super) mod limits;
mod node;
pub(super) mod observed;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};

use self::after_care::MOST_LOOKED_AFTER;
use self::limits::Slot;
use self::observed::Observed;
use crate::shown;
use crate::stats::units::{Count, Moment, Span};
use crate::stats::{BackendStats, EndedQuery, FrontendStats, GaugeGuard, RunningQueryView};
use crate::stats::{QueriesView, QueryTable, ServerStats};

/// No more queries that run are shown.
const MOST_SHOWN: usize = 1000;

/// The queries that run.
pub struct Queries {
    last_id: AtomicU64,
    running: Mutex<HashMap<u64, Arc<Running>>>,
    looked_after: Arc<Semaphore>,
}

/// Why a query is to run no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Ending {
    /// It ran for `queries.max_time`.
    Time,
    /// A person wants it.
    Order,
}

impl Ending {
    /// InfluxDB's own words for it.
    pub(in crate::proxy) fn words(self) -> &'static str {
        match self {
            Self::Time => "query-timeout limit exceeded",
            Self::Order => "query interrupted",
        }
    }
}

/// One query that runs.
pub(in crate::proxy) struct Running {
    id: u64,
    began: Instant,
    /// When it has to have ended.
    deadline: Option<Instant>,
    client: IpAddr,
    user: Option<String>,
    frontend: Arc<FrontendStats>,
    observed: Observed,
    node: Mutex<Option<Node>>,
    ending: OnceLock<Ending>,
    /// That `ending` is set.
    told: Notify,
}

/// Who has a query, and since when.
#[derive(Clone)]
struct Node {
    backend: Arc<BackendStats>,
    server: Arc<ServerStats>,
    address: SocketAddr,
    since: Instant,
}

/// A query on behalf of a client; it is over when this is dropped.
pub(in crate::proxy) struct Query {
    all: Arc<Queries>,
    running: Arc<Running>,
    is_counted: bool,
    _slot: Option<Slot>,
    _running: GaugeGuard,
}

/// How a query ended.
pub(in crate::proxy) struct End {
    pub(in crate::proxy) time: Duration,
    /// Of the answer's body.
    pub(in crate::proxy) bytes: u64,
    /// Nothing without an answer.
    pub(in crate::proxy) status: Option<u16>,
}

/// Who asks.
pub(in crate::proxy) struct Asker {
    pub(in crate::proxy) client: IpAddr,
    pub(in crate::proxy) user: Option<String>,
    pub(in crate::proxy) frontend: Arc<FrontendStats>,
}

impl Default for Queries {
    fn default() -> Self {
        Self {
            last_id: AtomicU64::new(0),
            running: Mutex::default(),
            looked_after: Arc::new(Semaphore::new(MOST_LOOKED_AFTER)),
        }
    }
}

impl Queries {
    /// A query that began at `began` and may run for `longest`.
    pub(in crate::proxy) fn begin(
        self: &Arc<Self>,
        asker: Asker,
        observed: Observed,
        began: Instant,
        longest: Option<Duration>,
        slot: Option<Slot>,
    ) -> Query {
        let gauge = asker.frontend.queries.running.enter();
        if let Some(row) = &observed.row {
            row.begin();
        }
        let running = Arc::new(Running {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            began,
            deadline: longest.map(|longest| began + longest),
            client: asker.client,
            user: asker.user,
            frontend: asker.frontend,
            observed,
            node: Mutex::new(None),
            ending: OnceLock::new(),
            told: Notify::new(),
        });
        let entry = Arc::clone(&running);
        self.running.lock().insert(running.id, entry);
        Query {
            all: Arc::clone(self),
            running,
            is_counted: false,
            _slot: slot,
            _running: gauge,
        }
    }

    /// Ends the query with this id. Returns what it is, for a person; nothing if there is none.
    pub fn kill(&self, id: u64) -> Option<String> {
        let running = self.running.lock().get(&id).cloned()?;
        running.end(Ending::Order);
        Some(running.to_string())
    }

    /// What runs, and what `table` has counted.
    pub fn view(&self, table: &QueryTable) -> QueriesView {
        let mut running: Vec<Arc<Running>> = self.running.lock().values().cloned().collect();
        running.sort_by_key(|one| one.began);
        let all_running = Count(running.len() as u64);
        running.truncate(MOST_SHOWN);
        QueriesView {
            queries: table.read(),
            max_fingerprints: Count(table.limit() as u64),
            left_out: Count(table.left_out.get()),
            running: running.iter().map(|one| one.view()).collect(),
            all_running,
        }
    }

    /// How many other queries that look like this one there are on the same node, as old as it is up to `tolerance`.
    fn twins(&self, of: &Running, tolerance: Duration) -> usize {
        let Some(node) = of.node.lock().clone() else {
            return 0;
        };
        let running: Vec<Arc<Running>> = self.running.lock().values().cloned().collect();
        let is_twin = |other: &&Arc<Running>| {
            other.id != of.id
                && other.observed.fingerprint == of.observed.fingerprint
                && other.observed.database == of.observed.database
                && other.node.lock().as_ref().is_some_and(|other| {
                    other.address == node.address
                        && other.since.max(node.since) - other.since.min(node.since) <= tolerance
                })
        };
        running.iter().filter(is_twin).count()
    }
}

impl Running {
    /// Returns when it is to run no longer.
    pub(in crate::proxy) async fn must_end(&self) -> Ending {
        let told = async {
            loop {
                if let Some(ending) = self.ending.get() {
                    return *ending;
                }
                self.told.notified().await;
            }
        };
        let Some(deadline) = self.deadline else {
            return told.await;
        };
        tokio::select! {
            biased;
            ending = told => ending,
            () = sleep_until(deadline) => *self.ending.get_or_init(|| Ending::Time),
        }
    }

    /// Why it was ended; nothing if it was not.
    pub(in crate::proxy) fn ending(&self) -> Option<Ending> {
        self.ending.get().copied()
    }

    fn end(&self, ending: Ending) {
        self.ending.get_or_init(|| ending);
        self.told.notify_one();
    }

    /// A server gets it now.
    pub(in crate::proxy) fn sent_to(
        &self,
        backend: &Arc<BackendStats>,
        server: &Arc<ServerStats>,
        address: SocketAddr,
    ) {
        *self.node.lock() = Some(Node {
            backend: Arc::clone(backend),
            server: Arc::clone(server),
            address,
            since: Instant::now(),
        });
    }

    /// Whether it is InfluxQL, which a node lists by its text.
    pub(in crate::proxy) fn is_influxql(&self) -> bool {
        self.observed.is_influxql
    }

    fn view(&self) -> RunningQueryView {
        let age = self.began.elapsed();
        let now = SystemTime::now();
        let named =
            |name: &Option<String>| name.as_deref().map(|name| shown::name(name).to_owned());
        let node = self.node.lock().clone();
        RunningQueryView {
            id: self.id,
            began: Moment::new(now.checked_sub(age).unwrap_or(now), now),
            age: Span(age),
            frontend: self.frontend.name.clone(),
            client: self.client.to_string(),
            user: named(&self.user),
            database: named(&self.observed.database),
            node: node.map(|node| node.to_string()),
            query: self.observed.fingerprint.to_string(),
        }
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query {} of {}", self.id, self.client)?;
        if let Some(user) = &self.user {
            write!(f, ", user {:?}", shown::name(user))?;
        }
        if let Some(database) = &self.observed.database {
            write!(f, ", database {:?}", shown::name(database))?;
        }
        let node = self.node.lock().clone();
        if let Some(node) = node {
            write!(f, ", on {node}")?;
        }
        write!(
            f,
            ", after {}: {}",
            Span(self.began.elapsed()),
            self.observed.fingerprint
        )
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend.name, self.server.name)
    }
}

impl Query {
    /// What runs.
    pub(in crate::proxy) fn running(&self) -> &Arc<Running> {
        &self.running
    }

    /// Counts how it ended, and logs it if it took as long as `slow`.
    pub(in crate::proxy) fn finish(&mut self, end: End, slow: Option<Duration>) {
        let End {
            time,
            bytes,
            status,
        } = end;
        let running = &self.running;
        if slow.is_some_and(|slow| time >= slow) {
            running.frontend.queries.slow.increment();
            let status = status.map_or("no answer".to_owned(), |status| format!("status {status}"));
            log::warn!("slow, {status}, {bytes} bytes: {running}");
        }
        let Some(row) = &running.observed.row else {
            return;
        };
        let failed = running.ending().is_some() || status.is_none_or(|status| status >= 400);
        let node = running.node.lock().clone();
        let node = node.as_ref();
        row.end(Some(EndedQuery {
            time,
            bytes,
            failed,
            node: node.map(|node| (node.backend.name.as_str(), node.server.name.as_str())),
        }));
        self.is_counted = true;
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        self.all.running.lock().remove(&self.running.id);
        if !self.is_counted
            && let Some(row) = &self.running.observed.row
        {
            row.end(None);
        }
    }
}
