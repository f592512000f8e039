//! One work at a time for each relay: begun, asked for its progress, cancelled.
//!
//! Works run on a thread of their own, so that reading and comparing millions of points keeps no request waiting. It starts with
//! the first work and stays: connections to nodes that the relay keeps belong to the thread that opened them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use log::{error, info, warn};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};

use super::compare;
use super::error::WorkError;
use super::mend::{self, LiftedLimits};
use super::node::{Node, NodeError};
use super::progress::Progress;
use super::rebuild::{self, Rebuild};
use crate::config::PasswordFileError;
use crate::config::model::Login;
use crate::control::{Compared, HealOrder, HealReport, HealState, Passwords};
use crate::relay::{Relay, RelayNode, words_of};

/// Between two looks whether the nodes of an unfinished rebuild have addresses.
const GO_ON_PACE: Duration = Duration::from_secs(1);

/// Why an order is not carried out now.
#[derive(Debug, thiserror::Error)]
pub enum HealError {
    /// Another one is under way.
    #[error("a {} is under way: {} --cancel ends it", called(.0), command(.0))]
    UnderWay(&'static str),
    /// One that was cancelled has not come to its end.
    #[error("a {} that was cancelled is ending, as soon as the nodes have answered what they were asked last: try again in a moment", called(.0))]
    Ending(&'static str),
    /// Nothing was begun since haflux started.
    #[error("nothing was begun since haflux started")]
    Nothing,
    /// Who is to be asked for cannot be had.
    #[error(transparent)]
    Password(#[from] PasswordFileError),
    /// There is no such node.
    #[error("relay {relay} has no replica {name:?}; it has: {}", known.join(", "))]
    UnknownNode {
        /// The relay.
        relay: String,
        /// The name that was given.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The thread cannot be had.
    #[error("no thread for it: {0}")]
    Thread(#[from] std::io::Error),
    /// A question about nodes has no answer.
    #[error(transparent)]
    Unanswered(Box<dyn std::error::Error + Send + Sync>),
}

/// What a work is called.
fn name_of(order: &HealOrder) -> &'static str {
    match order {
        HealOrder::Rebuild { .. } => "rebuild",
        HealOrder::Mend { .. } => "mend",
        HealOrder::Compare(_) | HealOrder::Progress {} | HealOrder::Cancel {} => "compare",
    }
}

/// What a person calls a work of this name.
fn called(work: &str) -> &str {
    match work {
        "compare" => "comparison",
        other => other,
    }
}

/// The command of a work of this name.
fn command(work: &str) -> &'static str {
    match work {
        "rebuild" => "haflux replica rebuild",
        "mend" => "haflux mend",
        _ => "haflux compare",
    }
}

/// Compares, mends and rebuilds the nodes of one relay.
pub struct Healer {
    relay: Arc<Relay>,
    /// The relay's folder in `data_dir`.
    folder: PathBuf,
    last: Mutex<Option<Arc<Progress>>>,
}

impl Healer {
    /// For a relay whose files are in `folder`.
    pub fn new(relay: Arc<Relay>, folder: PathBuf) -> Healer {
        Healer {
            relay,
            folder,
            last: Mutex::new(None),
        }
    }

    /// The relay.
    pub fn relay(&self) -> &Arc<Relay> {
        &self.relay
    }

    /// The relay's folder in `data_dir`.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Carries out a person's order: a work has begun when this returns. A comparison that haflux began by itself ends for it.
    ///
    /// # Errors
    /// [`HealError`]: nothing has begun.
    pub fn order(self: &Arc<Self>, order: HealOrder) -> Result<HealReport, HealError> {
        match order {
            HealOrder::Progress {} => self.last().map(|last| last.report()),
            HealOrder::Cancel {} => {
                let last = self.last()?;
                last.cancel();
                Ok(last.report())
            }
            HealOrder::Compare(_) | HealOrder::Mend { .. } | HealOrder::Rebuild { .. } => {
                let progress = Progress::new(&self.relay.stats().name, name_of(&order));
                let progress = if let HealOrder::Rebuild { target, .. } = &order {
                    progress.filling(target)
                } else {
                    progress
                };
                Ok(self.begin(order, progress)?.report())
            }
        }
    }

    /// Begins to compare everything, until a person orders something.
    ///
    /// # Errors
    /// [`HealError`]: nothing has begun.
    pub(super) fn compare_until_ordered(self: &Arc<Self>) -> Result<Arc<Progress>, HealError> {
        let order = HealOrder::Compare(Compared::default());
        let progress = Progress::new(&self.relay.stats().name, name_of(&order)).giving_way();
        self.begin(order, progress)
    }

    /// Goes on with the rebuild that a run of haflux before this one left unfinished, as soon as its nodes have addresses, and says what
    /// a mend left undone.
    pub fn go_on(self: &Arc<Self>) {
        LiftedLimits::of(&self.folder).warn(&self.relay.stats().name);
        let Some(order) = rebuild::unfinished(&self.relay, &self.folder) else {
            return;
        };
        let thread = match thread() {
            Ok(thread) => thread,
            Err(error) => {
                error!("a rebuild does not go on: no thread for it: {error}");
                return;
            }
        };
        let healer = Arc::clone(self);
        thread.spawn(async move {
            let is_wanted = |node: &RelayNode| match &order {
                HealOrder::Rebuild { target, source, .. } => {
                    node.name == *target || Some(&node.name) == source.as_ref()
                }
                HealOrder::Compare(_)
                | HealOrder::Mend { .. }
                | HealOrder::Progress {}
                | HealOrder::Cancel {} => false,
            };
            let have_addresses = || {
                let nodes = healer.relay.nodes();
                let mut wanted = nodes.iter().filter(|node| is_wanted(node));
                wanted.all(|node| node.address.is_some())
            };
            loop {
                tokio::time::sleep(GO_ON_PACE).await;
                if !have_addresses() {
                    continue;
                }
                // A person may have taken the node back.
                if rebuild::unfinished(&healer.relay, &healer.folder).as_ref() != Some(&order) {
                    return;
                }
                match healer.order(order.clone()) {
                    Ok(_) | Err(HealError::UnderWay(_) | HealError::Ending(_)) => return,
                    Err(error) => {
                        let relay = &healer.relay.stats().name;
                        warn!("relay {relay}: a rebuild does not go on for now: {error}");
                    }
                }
            }
        });
    }

    /// Names the users that `target` would lack after a rebuild, because their passwords cannot be read out of the source.
    ///
    /// # Errors
    /// [`HealError`]: a node does not answer, or there is none to copy from.
    pub async fn lacking_users(
        &self,
        target: &str,
        source: Option<&str>,
    ) -> Result<Vec<String>, HealError> {
        let nodes = self.nodes()?;
        let (relay, folder) = (Arc::clone(&self.relay), self.folder.clone());
        let (target, source) = (target.to_owned(), source.map(str::to_owned));
        let asked = thread()?.spawn(async move {
            let order = Rebuild {
                target: &target,
                source: source.as_deref(),
                users: &Passwords::default(),
            };
            rebuild::lacking_users(&relay, &nodes, &folder, &order).await
        });
        match asked.await {
            Ok(Ok(users)) => Ok(users),
            Ok(Err(error)) => Err(HealError::Unanswered(error.into())),
            Err(error) => Err(HealError::Unanswered(error.into())),
        }
    }

    /// What was begun last.
    ///
    /// # Errors
    /// [`HealError::Nothing`]
    pub(super) fn last(&self) -> Result<Arc<Progress>, HealError> {
        self.last.lock().clone().ok_or(HealError::Nothing)
    }

    fn begin(
        self: &Arc<Self>,
        order: HealOrder,
        progress: Progress,
    ) -> Result<Arc<Progress>, HealError> {
        let nodes = self.nodes()?;
        let thread = thread()?;
        let progress = Arc::new(progress);
        let before = {
            let mut last = self.last.lock();
            let running = last.clone().filter(|last| last.is_running());
            if let Some(running) = &running {
                if progress.gives_way() || !running.gives_way() {
                    let name = running.stats().name;
                    return Err(match running.is_cancelled() {
                        true => HealError::Ending(name),
                        false => HealError::UnderWay(name),
                    });
                }
                running.cancel();
            }
            *last = Some(Arc::clone(&progress));
            running
        };
        let shown = Arc::clone(progress.stats());
        self.relay.stats().work.store(Some(shown));
        let (healer, begun) = (Arc::clone(self), Arc::clone(&progress));
        thread.spawn(async move {
            if let Some(before) = before {
                before.over().await;
            }
            healer.work(order, nodes, &begun).await;
        });
        Ok(progress)
    }

    /// The nodes as a work finds them that begins now. Of one that has begun anew the relay may learn only by whoever asks it first: it is
    /// the node that it is from then on.
    async fn met(&self, nodes: Vec<Node>) -> Vec<Node> {
        let met = nodes
            .into_iter()
            .map(async |node| match node.make_ready().await {
                Err(NodeError::Ended(_)) => node.during(self.relay.tenure(node.name())),
                Ok(()) | Err(_) => node,
            });
        futures_util::future::join_all(met).await
    }

    /// Does a work to its end, whatever that is.
    async fn work(&self, order: HealOrder, nodes: Vec<Node>, progress: &Progress) {
        let (name, relay) = (progress.stats().name, &self.relay.stats().name);
        info!("relay {relay}: {name} begins");
        let work = std::panic::AssertUnwindSafe(self.carry_out(order, nodes, progress));
        let state = match work.catch_unwind().await {
            Ok(Ok(())) => HealState::Done,
            Ok(Err(WorkError::Cancelled)) => HealState::Cancelled,
            Ok(Err(error)) => HealState::Failed(error.to_string()),
            Err(panic) => {
                let words = words_of(panic.as_ref());
                error!("relay {relay}: {name} failed ({words})");
                HealState::Failed(format!("it ended early: {words}"))
            }
        };
        match &state {
            HealState::Failed(reason) => {
                warn!("relay {relay}: {name}: {reason}");
                if progress.gives_way() {
                    let failed = &self.relay.stats().compared.failed;
                    failed.store(Some(Arc::new(reason.clone())));
                }
            }
            HealState::Done | HealState::Cancelled | HealState::Running => {
                let report = progress.report();
                info!(
                    "relay {relay}: {name} is over: {}; {} differences",
                    report.figures, report.differing
                );
            }
        }
        progress.end(state);
    }

    async fn carry_out(
        &self,
        order: HealOrder,
        nodes: Vec<Node>,
        progress: &Progress,
    ) -> Result<(), WorkError> {
        progress.step("asking the nodes");
        let nodes = &self.met(nodes).await;
        let relay = &self.relay;
        let folder: &Path = &self.folder;
        match order {
            HealOrder::Compare(places) => {
                compare::run(relay, nodes, folder, &places, progress).await
            }
            HealOrder::Mend {
                places,
                source,
                dry_run,
            } => {
                let order = mend::Order {
                    places: &places,
                    source: source.as_deref(),
                    dry_run,
                };
                mend::run(relay, nodes, folder, &order, progress).await
            }
            HealOrder::Rebuild {
                target,
                source,
                users,
            } => {
                let order = Rebuild {
                    target: &target,
                    source: source.as_deref(),
                    users: &users,
                };
                rebuild::run(relay, nodes, folder, &order, progress).await
            }
            HealOrder::Progress {} | HealOrder::Cancel {} => Ok(()),
        }
    }

    /// The relay's nodes that have an address, in the order of the configuration.
    ///
    /// # Errors
    /// [`HealError::Password`]
    pub(super) fn nodes(&self) -> Result<Vec<Node>, HealError> {
        let settings = self.relay.settings();
        let login = settings.heal.login.as_ref();
        let account = login.map(Login::account).transpose()?;
        let timeout = settings.timeout;
        let nodes = self.relay.nodes().into_iter();
        Ok(nodes
            .filter_map(|node| {
                let address = node.address?;
                let asker = account.clone().map(|of_pool| node.dialer.account(of_pool));
                let tenure = self.relay.tenure(&node.name);
                let node = Node::new(node.name, address, node.dialer, asker, timeout);
                let node = node.during(tenure);
                let node = node.paced(settings.heal.max_rate, settings.heal.max_load);
                Some(node.with_rpc_port(settings.heal.rpc_port))
            })
            .collect())
    }
}

/// The thread on which works run.
pub(super) fn thread() -> std::io::Result<Handle> {
    static THREAD: OnceLock<Handle> = OnceLock::new();
    if let Some(handle) = THREAD.get() {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("heal".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    // Two that begin at once leave one thread without work.
    Ok(THREAD.get_or_init(|| handle).clone())
}
