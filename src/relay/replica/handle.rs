//! What the parts of a relay share about one replica.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use http::HeaderValue;

use log::{error, warn};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::dial::ServerLink;
use crate::influx::{Started, unix_nanos};
use crate::journal::{Position, Sequence};
use crate::stats::server_handle::ServerHandle;
use crate::stats::{RelayStats, ReplicaState, ReplicaStats, ReplicaStatus};

use crate::relay::rebuild_hold::HeldBy;
use crate::relay::replica::answer::ReplicaAnswer;
use crate::relay::replica::client::ReplicaClient;
use crate::relay::replica::membership::{Divergence, Membership, MembershipFile};

/// One replica.
pub(in crate::relay) struct Replica {
    /// Its place among the relay's replicas.
    pub(in crate::relay) index: usize,
    server: Arc<ServerHandle>,
    pub(in crate::relay) client: ReplicaClient,
    pub(in crate::relay) stats: Arc<ReplicaStats>,
    pub(in crate::relay) relay_stats: Arc<RelayStats>,
    membership_file: Arc<MembershipFile>,
    membership: watch::Sender<Membership>,
    /// Where it was proven to be the node it was.
    trusted_at: ArcSwapOption<SocketAddr>,
    /// The process that has proven last who it is, if it said when it started.
    process: ArcSwapOption<Started>,
    /// Changes whenever it is found not to be the node that it was ([`tenure`](crate::relay::tenure)).
    incarnation: AtomicU64,
    /// A person says that it is what it was, whatever it can prove.
    as_it_is: AtomicBool,
    /// Records that a person wants this replica to pass over.
    skips: watch::Sender<BTreeSet<Sequence>>,
    /// Databases whose points are about to be changed past the journal, until its replicator has noted that.
    changed_past: watch::Sender<BTreeSet<String>>,
    version: ArcSwapOption<HeaderValue>,
    /// Who alone may begin and end its rebuilding, while anybody has it in hand.
    pub(in crate::relay) held: Mutex<Option<HeldBy>>,
}

impl Replica {
    pub(in crate::relay) fn new(
        index: usize,
        link: ServerLink,
        timeout: Duration,
        stats: Arc<ReplicaStats>,
        relay_stats: Arc<RelayStats>,
        membership_file: Arc<MembershipFile>,
    ) -> Replica {
        let membership = membership_file.membership(&stats.name);
        let ServerLink {
            state: server,
            dialer,
        } = link;
        server.set_aside(membership != Membership::Following);
        Replica {
            membership: watch::Sender::new(membership),
            membership_file,
            index,
            server,
            client: ReplicaClient::new(dialer, timeout),
            stats,
            relay_stats,
            trusted_at: ArcSwapOption::empty(),
            process: ArcSwapOption::empty(),
            incarnation: AtomicU64::new(0),
            as_it_is: AtomicBool::new(false),
            skips: watch::Sender::default(),
            changed_past: watch::Sender::default(),
            version: ArcSwapOption::empty(),
            held: Mutex::new(None),
        }
    }

    /// Where it may be sent something now; nowhere while its name is not resolved, or its server is in maint.
    pub(in crate::relay) fn address(&self) -> Option<SocketAddr> {
        let address = self.server.address();
        address.filter(|_| !self.is_in_maint())
    }

    /// Why it has no address.
    pub(in crate::relay) fn why_nowhere(&self) -> &'static str {
        match self.is_in_maint() {
            true => "its server is in maint",
            false => "its name cannot be resolved",
        }
    }

    /// Whether a person has ordered that nothing is sent to it.
    pub(in crate::relay) fn is_in_maint(&self) -> bool {
        self.server.is_in_maint()
    }

    /// The name, the address or the state of its server has changed, each time.
    pub(in crate::relay) fn watch_server(&self) -> watch::Receiver<u64> {
        self.server.changed()
    }

    /// Whether its health checks say that it is well.
    pub(in crate::relay) fn is_up(&self) -> bool {
        self.server.is_up()
    }

    /// It gave an answer to anything just now.
    pub(in crate::relay) fn note_answer(&self) {
        self.server.note_answer();
    }

    /// A person wants it to pass over this record.
    pub(in crate::relay) fn skip(&self, sequence: Sequence) {
        self.skips.send_if_modified(|skips| skips.insert(sequence));
    }

    /// The record is passed over.
    pub(in crate::relay) fn skip_done(&self, sequence: Sequence) {
        self.skips.send_if_modified(|skips| skips.remove(&sequence));
    }

    /// Nothing up to here will be sent again.
    pub(in crate::relay) fn passed(&self, saved: Sequence) {
        self.skips.send_if_modified(|skips| {
            let before = skips.len();
            skips.retain(|sequence| *sequence > saved);
            skips.len() < before
        });
    }

    /// The records that it is to pass over.
    pub(in crate::relay) fn skips(&self) -> Vec<Sequence> {
        self.skips.borrow().iter().copied().collect()
    }

    /// The same, and each change of it.
    pub(in crate::relay) fn watch_skips(&self) -> watch::Receiver<BTreeSet<Sequence>> {
        self.skips.subscribe()
    }

    /// Databases whose points are about to be changed past the journal, until its replicator has noted that, or nobody waits for it.
    pub(in crate::relay) fn changed_past(&self) -> &watch::Sender<BTreeSet<String>> {
        &self.changed_past
    }

    /// Whether it follows the journal.
    pub(in crate::relay) fn follows(&self) -> bool {
        *self.membership.borrow() == Membership::Following
    }

    /// How it stands to the journal.
    pub(in crate::relay) fn membership(&self) -> Membership {
        self.membership.borrow().clone()
    }

    /// Its place, and each change of it.
    pub(in crate::relay) fn watch_membership(&self) -> watch::Receiver<Membership> {
        self.membership.subscribe()
    }

    /// Changes its place, if that can be written down.
    pub(in crate::relay) fn change_membership(
        &self,
        membership: Membership,
    ) -> std::io::Result<()> {
        self.membership_file.record(&self.stats.name, &membership)?;
        self.take_membership(membership);
        Ok(())
    }

    /// Changes its place to one that does not follow, if that can be written down; but never the last one's that follows: then
    /// `None`.
    pub(in crate::relay) fn change_place_unless_last(
        &self,
        membership: Membership,
    ) -> Option<std::io::Result<()>> {
        let noted = self.membership_file.record_unless_last(
            &self.stats.name,
            &membership,
            self.everyone(),
        )?;
        Some(noted.map(|()| self.take_membership(membership)))
    }

    fn everyone(&self) -> impl Iterator<Item = &str> {
        let everyone = self.relay_stats.replicas.iter();
        everyone.map(|stats| stats.name.as_str())
    }

    /// It is none any more, whether that can be written down or not.
    pub(in crate::relay) fn set_membership(&self, membership: Membership) {
        let noted = self.membership_file.record(&self.stats.name, &membership);
        self.stand_aside(membership, noted);
    }

    /// It is none any more, whether that can be written down or not; but never the last one that follows: then false.
    pub(in crate::relay) fn diverge(&self, reason: &str) -> bool {
        let divergence = Divergence::now(reason);
        let name = &self.stats.name;
        let everyone = self.everyone();
        match self
            .membership_file
            .diverge_unless_last(name, &divergence, everyone)
        {
            Some(noted) => {
                self.stand_aside(Membership::Diverged(divergence), noted);
                true
            }
            None => false,
        }
    }

    fn stand_aside(&self, membership: Membership, noted: std::io::Result<()>) {
        if let Some(divergence) = membership.divergence() {
            error!(
                "replica {} is diverged: {}; it gets no records and serves nothing until it is rebuilt",
                self.stats.name, divergence.reason
            );
        }
        if let Err(error) = noted {
            error!(
                "replica {}: that it is diverged could not be written down: {error}",
                self.stats.name
            );
        }
        self.take_membership(membership);
    }

    /// Whether it is known to be the node it was (rule R1): not before its first handshake, and not while the way to it is
    /// interrupted.
    pub(in crate::relay) fn is_trusted(&self) -> bool {
        self.trusted_at.load().is_some()
    }

    /// Where it is known to be the node it was. Its server's address may have changed since, and another node may be there.
    pub(in crate::relay) fn trusted_at(&self) -> Option<SocketAddr> {
        self.trusted_at.load().as_deref().copied()
    }

    /// Where what only the node that it was may get may be sent now.
    pub(in crate::relay) fn trusted_address(&self) -> Option<SocketAddr> {
        self.trusted_at().filter(|_| !self.is_in_maint())
    }

    /// It was proven at this address; nowhere, if the way to it is interrupted.
    pub(in crate::relay) fn trust(&self, at: Option<SocketAddr>) {
        self.trusted_at.store(at.map(Arc::new));
    }

    /// The process that has proven last who it is, if it said when it started. It may have ended since.
    pub(in crate::relay) fn process(&self) -> Option<Arc<Started>> {
        self.process.load_full()
    }

    /// This process has proven who it is.
    pub(in crate::relay) fn set_process(&self, started: Option<Started>) {
        self.process.store(started.map(Arc::new));
    }

    /// Which of the nodes it is that were found at its address, one after the other.
    pub(in crate::relay) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }

    /// The one that was kept with its cursor.
    pub(in crate::relay) fn restore_incarnation(&self, incarnation: u64) {
        self.incarnation.store(incarnation, Ordering::Release);
    }

    /// It is not the node that it was.
    pub(in crate::relay) fn begin_incarnation(&self) {
        let now = u64::try_from(unix_nanos(SystemTime::now())).unwrap_or(0);
        let next = |before: u64| Some(now.max(before.saturating_add(1)));
        // It always gives one.
        let _ = self
            .incarnation
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }

    /// A person says that it is what it was: what it must prove is forgotten before the next handshake.
    pub(in crate::relay) fn take_back_as_it_is(&self) {
        self.as_it_is.store(true, Ordering::Release);
    }

    /// Whether a person said so since this was asked last.
    pub(in crate::relay) fn take_as_it_is(&self) -> bool {
        self.as_it_is.swap(false, Ordering::AcqRel)
    }

    /// Who does not follow the journal serves no reads either (rule R4).
    fn take_membership(&self, membership: Membership) {
        let follows = membership == Membership::Following;
        if !follows {
            self.begin_incarnation();
        }
        self.server.set_aside(!follows);
        self.membership.send_replace(membership);
    }

    /// It may be another node than it was, or is known not to be: meanwhile it serves no reads.
    pub(in crate::relay) fn set_held(&self, held: bool) {
        self.server.set_aside(held || !self.follows());
    }

    /// The version it last named, e.g. `1.8.10`.
    pub(in crate::relay) fn version(&self) -> Option<HeaderValue> {
        self.version.load().as_deref().cloned()
    }

    /// Remembers the version that an answer names, and says so in the log if the relay's nodes have come to differ in it.
    pub(in crate::relay) fn learn_version(&self, answer: &ReplicaAnswer) {
        let Some(version) = &answer.version else {
            return;
        };
        if self.version.load().as_deref() == Some(version) {
            return;
        }
        self.version.store(Some(Arc::new(version.clone())));
        let text = String::from_utf8_lossy(version.as_bytes()).into_owned();
        self.stats.version.store(Some(Arc::new(text)));
        if let Some(releases) = self.relay_stats.differing_releases() {
            warn!(
                "the nodes of relay {} run different releases of InfluxDB: {releases}",
                self.relay_stats.name
            );
        }
    }

    pub(in crate::relay) fn note_error(&self, reason: String) {
        self.stats
            .last_error
            .store(Some(Arc::new((SystemTime::now(), reason))));
    }

    /// Shows since when the oldest record that it has not judged waits, in Unix time in nanoseconds.
    pub(in crate::relay) fn show_oldest_pending(&self, oldest_pending: Option<u64>) {
        let milliseconds = oldest_pending.map_or(0, |nanos| nanos / 1_000_000);
        self.stats.oldest_pending.set(milliseconds);
    }

    /// Puts its state where the views read it. `oldest_pending` is Unix time in nanoseconds.
    pub(in crate::relay) fn publish(
        &self,
        status: ReplicaStatus,
        cursor: Position,
        oldest_pending: Option<u64>,
    ) {
        self.stats.cursor.set(cursor.sequence.get());
        self.stats.cursor_offset.set(cursor.offset);
        self.show_oldest_pending(oldest_pending);
        if self.stats.state.load().status != status {
            self.stats.state.store(Arc::new(ReplicaState {
                status,
                since: SystemTime::now(),
            }));
        }
    }
}
