//! The read barrier: which replica may answer a read, so that no read goes back in time.
//!
//! # What a read must see
//!
//! Each acknowledgement raises marks before its first byte leaves: a write that of its database, a statement those of the databases
//! that it [touches](crate::relay::record::touched), and one of statements, for reads of what is no database's (users, the list of databases). A
//! read notes the marks of the databases that it names when it comes ([`Freshness::demand`]), and keeps them wherever it is
//! sent. After a start the marks of all databases are the head that the journal was recovered with: what was acknowledged
//! before cannot be told any more.
//!
//! What a read was shown, later reads must see too, acknowledged or not: a replica may show a write that it was only just sent.
//! So before an answer leaves, the marks of its databases are raised to what its replica had been sent
//! ([`Freshness::shown`]). Of a statement that a replica is still carrying out this does not go: it may take minutes, and all
//! reads would wait for it.
//!
//! # Who may answer
//!
//! A replica is fresh for a demand if, of each of its databases,
//!
//! - it has a verdict on every record of the database up to the mark, statements that touch it among them;
//! - it is not applying again what it may have applied already: its data is older than it was for a moment;
//! - no request without an answer may still land (rule W7), nothing that it refused while another replica took it is open, and
//!   it is known to be the node that it was.
//!
//! A replica, or a database of it, may be set back while it executes a read, and may have come where it was when the answer
//! arrives. So each view counts how many times anything was set back, and knows at which count each database was. An answer is
//! passed on only if its replica is fresh, and nothing that the read is of was set back since the read was sent
//! ([`Freshness::is_fresh_since`]); else the read is sent again.
//!
//! The order of telling matters: a replica's view moves before its verdict reaches the client, so that a client that was
//! answered finds at least one fresh replica; a refusal that makes it differ from the others is noted before a client hears of
//! the others' acceptance.
//!
//! # Bounds
//!
//! Marks of databases beyond [`MOST_DATABASES`] are not told apart. A replica's lanes are bounded by its replicator's window.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::influx::influxql::Databases;
use crate::journal::Sequence;
use crate::relay::dead_letters::DeadLetters;
use crate::relay::record::touched::Touched;
use crate::relay::record::withdrawal::Withdrawal;

/// Databases whose marks are kept apart.
const MOST_DATABASES: usize = 16_384;

/// What is known of all replicas of a relay, and of all acknowledgements.
pub struct Freshness {
    marks: Mutex<Marks>,
    replicas: Vec<Replica>,
    letters: DeadLetters,
    changed: watch::Sender<()>,
    waiting: AtomicUsize,
}

struct Replica {
    name: String,
    view: Mutex<View>,
}

/// What was acknowledged.
#[derive(Debug)]
struct Marks {
    /// Of every database.
    floor: Sequence,
    databases: HashMap<String, Sequence>,
    /// Of any database.
    newest: Sequence,
    statement: Sequence,
}

impl Marks {
    fn raise(&mut self, database: &str, sequence: Sequence) {
        self.newest = self.newest.max(sequence);
        if let Some(mark) = self.databases.get_mut(database) {
            *mark = sequence.max(*mark);
            return;
        }
        if self.databases.len() >= MOST_DATABASES {
            self.floor = self.newest;
            self.databases.clear();
        }
        self.databases.insert(database.to_owned(), sequence);
    }

    fn raise_statement(&mut self, sequence: Sequence, touched: &Touched) {
        self.newest = self.newest.max(sequence);
        self.statement = self.statement.max(sequence);
        match touched.lanes() {
            Some(lanes) => lanes.iter().for_each(|lane| self.raise(lane, sequence)),
            None => self.floor = self.floor.max(sequence),
        }
    }
}

/// What a read must see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The newest acknowledged statement, for a read of what is no database's.
    statement: Sequence,
    writes: Writes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Writes {
    /// Of these databases, up to here each.
    Of(Vec<(String, Sequence)>),
    /// Of all, up to here.
    All(Sequence),
}

/// A read may be sent to a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// Where the replica was proven to be the node that it was.
    address: SocketAddr,
    /// How many times something of it had been set back.
    set_backs: u64,
}

impl Permit {
    /// Where the read is to be sent. The replica's server may have another address by now, at which nobody has proven anything.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A statement that a replica stands before.
#[derive(Debug, Clone)]
pub(in crate::relay) struct Ahead {
    pub(in crate::relay) sequence: Sequence,
    /// What waits behind it.
    pub(in crate::relay) touched: Touched,
    /// Whom the replica lets in that it will not once it is past it.
    pub(in crate::relay) withdrawal: Withdrawal,
}

/// What a replicator shows of its replica.
#[derive(Debug)]
pub(in crate::relay) struct View {
    /// Where it has answered since it was away, and is the node that it was.
    pub(in crate::relay) trusted_at: Option<SocketAddr>,
    /// It has a verdict on every record up to here.
    pub(in crate::relay) cursor: Sequence,
    /// Every record up to here has a verdict or stands in `pending` or `statements`.
    pub(in crate::relay) read: Sequence,
    /// What it may have applied already: until it has come there again, its data may be older than it was.
    pub(in crate::relay) had: Sequence,
    /// How many times it, or one of its databases, was set back.
    set_backs: u64,
    /// At which of these a database was set back last; all of them, and those that are not told apart, at `all_set_back`.
    set_back: HashMap<String, u64>,
    all_set_back: u64,
    /// The oldest record of a database that has no verdict.
    pub(in crate::relay) pending: HashMap<String, Sequence>,
    /// The newest record of a database that was sent to it.
    sent: HashMap<String, Sequence>,
    /// Of all databases, and of those that are not told apart.
    newest_sent: Sequence,
    sent_floor: Sequence,
    /// The newest statement that it carried out.
    pub(in crate::relay) carried_out: Sequence,
    /// The statements that it stands before.
    pub(in crate::relay) statements: Vec<Ahead>,
    /// The databases whose data may still change behind our back, or is being sent again for that.
    doubted: HashSet<String>,
    /// All of it is about to be sent again.
    pub(in crate::relay) is_going_back: bool,
    /// Records that it refused for good and another one took, and that are not on disk as dead letters yet.
    pub(in crate::relay) unsettled: usize,
}

impl View {
    /// A statement was carried out: what reads of its databases are shown from now on holds it.
    pub(in crate::relay) fn carry_out(&mut self, sequence: Sequence, touched: &Touched) {
        self.carried_out = self.carried_out.max(sequence);
        match touched.lanes() {
            Some(lanes) => lanes.iter().for_each(|lane| self.send(lane, sequence)),
            None => {
                self.newest_sent = self.newest_sent.max(sequence);
                self.sent_floor = self.sent_floor.max(sequence);
            }
        }
    }

    /// What it has is about to become older than it was, for a moment.
    pub(in crate::relay) fn is_set_back(&mut self) {
        self.had = self.had.max(self.read).max(self.cursor);
        self.set_backs += 1;
        self.all_set_back = self.set_backs;
        self.set_back.clear();
    }

    /// The data of these databases, and of no others, may change behind our back.
    pub(in crate::relay) fn doubt(&mut self, databases: HashSet<String>) {
        let known = std::mem::replace(&mut self.doubted, databases);
        for database in self.doubted.difference(&known) {
            self.set_backs += 1;
            if self.set_back.len() >= MOST_DATABASES {
                self.set_back.clear();
                self.all_set_back = self.set_backs;
            }
            self.set_back.insert(database.clone(), self.set_backs);
        }
    }

    /// At which set-back what these are the marks of was set back last.
    fn last_set_back(&self, writes: &Writes) -> u64 {
        match writes {
            Writes::All(_) => self.set_backs,
            Writes::Of(marks) => {
                let known = marks.iter().filter_map(|(name, _)| self.set_back.get(name));
                known.copied().max().unwrap_or(0).max(self.all_set_back)
            }
        }
    }

    /// This record of a database has no verdict. What is known already may be newer: of records that wait for a statement, the newest
    /// ones may have been read last, when nothing before them was left.
    pub(in crate::relay) fn begin(&mut self, database: String, record: Sequence) {
        let oldest = self.pending.entry(database).or_insert(record);
        *oldest = record.min(*oldest);
    }

    /// A record of this database goes out.
    pub(in crate::relay) fn send(&mut self, database: &str, sequence: Sequence) {
        self.newest_sent = self.newest_sent.max(sequence);
        if let Some(sent) = self.sent.get_mut(database) {
            *sent = sequence.max(*sent);
            return;
        }
        if self.sent.len() >= MOST_DATABASES {
            self.sent_floor = self.newest_sent;
            self.sent.clear();
        }
        self.sent.insert(database.to_owned(), sequence);
    }

    fn sent(&self, database: &str) -> Sequence {
        let known = self.sent.get(database).copied().unwrap_or_default();
        known.max(self.sent_floor)
    }

    /// Whether no record of the database up to here is without a verdict.
    fn has_applied(&self, database: &str, mark: Sequence) -> bool {
        let mark = if self.had > self.cursor {
            mark.max(self.had)
        } else {
            mark
        };
        let is_touched = |ahead: &Ahead| ahead.sequence <= mark && ahead.touched.contains(database);
        mark <= self.cursor
            || (mark <= self.read
                && !self.statements.iter().any(is_touched)
                && self
                    .pending
                    .get(database)
                    .is_none_or(|oldest| *oldest > mark))
    }

    fn has_applied_all(&self, mark: Sequence) -> bool {
        let mark = mark.max(self.had);
        mark <= self.cursor
            || (self.has_passed(mark) && self.pending.values().all(|oldest| *oldest > mark))
    }

    /// Whether it has read up to here and no statement up to here is before it.
    fn has_passed(&self, mark: Sequence) -> bool {
        self.has_passed_all_that(mark, |_| true)
    }

    /// Whether it has read up to here and no statement up to here of which this is true is before it.
    fn has_passed_all_that(&self, mark: Sequence, counts: impl Fn(&Ahead) -> bool) -> bool {
        let mut ahead = self.statements.iter();
        mark <= self.cursor
            || (mark <= self.read && !ahead.any(|one| one.sequence <= mark && counts(one)))
    }
}

impl Freshness {
    /// For replicas of these names, after a start at which the journal's newest record was `head`.
    pub(in crate::relay) fn new(
        names: Vec<String>,
        letters: DeadLetters,
        head: Sequence,
    ) -> Freshness {
        let view = || View {
            trusted_at: None,
            cursor: Sequence::ZERO,
            read: Sequence::ZERO,
            had: head,
            set_backs: 0,
            set_back: HashMap::new(),
            all_set_back: 0,
            pending: HashMap::new(),
            sent: HashMap::new(),
            newest_sent: Sequence::ZERO,
            sent_floor: Sequence::ZERO,
            carried_out: Sequence::ZERO,
            statements: Vec::new(),
            doubted: HashSet::new(),
            is_going_back: false,
            unsettled: 0,
        };
        Freshness {
            marks: Mutex::new(Marks {
                floor: head,
                databases: HashMap::new(),
                newest: head,
                statement: head,
            }),
            replicas: names
                .into_iter()
                .map(|name| Replica {
                    name,
                    view: Mutex::new(view()),
                })
                .collect(),
            letters,
            changed: watch::Sender::new(()),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A client is about to be told that its write to this database is stored.
    pub(in crate::relay) fn acknowledge_write(&self, database: &str, sequence: Sequence) {
        self.marks().raise(database, sequence);
    }

    /// A client is about to be told that its statement, which touches these lanes, was carried out.
    pub(in crate::relay) fn acknowledge_statement(&self, sequence: Sequence, touched: &Touched) {
        self.marks().raise_statement(sequence, touched);
    }

    /// A client is about to be shown what this replica has.
    pub fn shown(&self, replica: usize, demand: &Demand) {
        let Some(replica) = self.replicas.get(replica) else {
            return;
        };
        let view = replica.view();
        let mut marks = self.marks();
        if demand.statement > Sequence::ZERO {
            marks.statement = marks.statement.max(view.carried_out);
            marks.newest = marks.newest.max(view.carried_out);
        }
        match &demand.writes {
            Writes::All(_) => {
                marks.newest = marks.newest.max(view.newest_sent);
                marks.floor = marks.floor.max(view.newest_sent);
            }
            Writes::Of(known) => {
                for (database, mark) in known {
                    let sent = view.sent(database);
                    if sent > *mark {
                        marks.raise(database, sent);
                    }
                }
            }
        }
    }

    /// The newest acknowledged statement.
    pub(in crate::relay) fn newest_statement(&self) -> Sequence {
        self.marks().statement
    }

    /// Whether this replica is who it was, and has a verdict on every statement up to here.
    pub(in crate::relay) fn has_carried_out(&self, replica: usize, statement: Sequence) -> bool {
        self.replicas.get(replica).is_some_and(|replica| {
            let view = replica.view();
            view.trusted_at.is_some() && view.has_passed(statement)
        })
    }

    /// Whether this replica is who it was, and no statement up to here is before it that takes away what it may grant for this
    /// database.
    pub(in crate::relay) fn has_withdrawn(
        &self,
        replica: usize,
        statement: Sequence,
        database: &str,
    ) -> bool {
        let concerns = |ahead: &Ahead| ahead.withdrawal.concerns(database);
        self.replicas.get(replica).is_some_and(|replica| {
            let view = replica.view();
            view.trusted_at.is_some() && view.has_passed_all_that(statement, concerns)
        })
    }

    /// What a read of these databases that comes now must see.
    pub fn demand(&self, databases: &Databases) -> Demand {
        let marks = self.marks();
        let writes = match databases {
            Databases::Unknown => Writes::All(marks.newest),
            Databases::Named { names, .. } => Writes::Of(
                names
                    .iter()
                    .map(|name| {
                        let known = marks.databases.get(name).copied().unwrap_or_default();
                        (name.clone(), known.max(marks.floor))
                    })
                    .collect(),
            ),
        };
        let is_of_none = matches!(&writes, Writes::Of(databases) if databases.is_empty());
        Demand {
            statement: match is_of_none {
                true => marks.statement,
                false => Sequence::ZERO,
            },
            writes,
        }
    }

    /// Whether this replica may answer it.
    pub fn is_fresh(&self, replica: usize, demand: &Demand) -> bool {
        self.send(replica, demand).is_some()
    }

    /// A read with this demand is about to be sent to this replica. Nothing if the replica may not answer it.
    pub fn send(&self, replica: usize, demand: &Demand) -> Option<Permit> {
        let view = self.fresh_view(replica, demand)?;
        Some(Permit {
            address: view.trusted_at?,
            set_backs: view.set_backs,
        })
    }

    /// What is known of this replica, if it may answer.
    fn fresh_view(&self, replica: usize, demand: &Demand) -> Option<MutexGuard<'_, View>> {
        let replica = self.replicas.get(replica)?;
        let view = replica.view();
        let is_fresh = view.has_passed(demand.statement)
            && match &demand.writes {
                Writes::All(mark) => view.has_applied_all(*mark),
                Writes::Of(marks) => {
                    let mut marks = marks.iter();
                    marks.all(|(database, mark)| view.has_applied(database, *mark))
                }
            }
            && self.is_sound(replica, &view, demand);
        is_fresh.then_some(view)
    }

    /// Whether the answer to a read may be passed on that was sent to this replica by `permit`: the replica has been fresh for it
    /// all the time. One that was set back and has come where it was may have executed the read in between.
    pub fn is_fresh_since(&self, permit: Permit, replica: usize, demand: &Demand) -> bool {
        self.fresh_view(replica, demand)
            .is_some_and(|view| view.last_set_back(&demand.writes) <= permit.set_backs)
    }

    /// The dead letters, which keep replicas from answering reads.
    pub(in crate::relay) fn letters(&self) -> &DeadLetters {
        &self.letters
    }

    /// Whether this replica answers, and is known to be the node that it was.
    pub fn is_trusted(&self, replica: usize) -> bool {
        let replica = self.replicas.get(replica);
        replica.is_some_and(|replica| replica.view().trusted_at.is_some())
    }

    /// Whether this replica has a verdict on every record of the database up to here.
    pub(in crate::relay) fn has_judged(
        &self,
        replica: usize,
        database: &str,
        record: Sequence,
    ) -> bool {
        let replica = self.replicas.get(replica);
        replica.is_some_and(|replica| replica.view().has_applied(database, record))
    }

    /// Whether this replica has a verdict on every record up to here, and none of its data may still change for an older one.
    pub(in crate::relay) fn is_settled(&self, replica: usize, record: Sequence) -> bool {
        let replica = self.replicas.get(replica);
        replica.is_some_and(|replica| {
            let view = replica.view();
            view.trusted_at.is_some()
                && !view.is_going_back
                && view.doubted.is_empty()
                && view.has_applied_all(record)
        })
    }

    /// Whether it will be able to answer it as soon as it has caught up.
    pub fn may_become_fresh(&self, replica: usize, demand: &Demand) -> bool {
        self.replicas
            .get(replica)
            .is_some_and(|replica| self.is_sound(replica, &replica.view(), demand))
    }

    fn is_sound(&self, replica: &Replica, view: &View, demand: &Demand) -> bool {
        view.trusted_at.is_some()
            && view.unsettled == 0
            && !view.is_going_back
            && match &demand.writes {
                Writes::All(_) => view.doubted.is_empty() && !self.letters.any_open(&replica.name),
                Writes::Of(marks) => !marks.iter().any(|(database, _)| {
                    view.doubted.contains(database)
                        || self.letters.open_for(&replica.name, database)
                }),
            }
    }

    /// How far it has come: of several replicas that are not fresh, the one with the highest is read from.
    pub fn progress(&self, replica: usize) -> Sequence {
        let replica = self.replicas.get(replica);
        replica.map_or(Sequence::ZERO, |replica| replica.view().cursor)
    }

    /// How many records at most this replica, which is not fresh for it, lacks of what a read must see: what it has not come to yet,
    /// and what it refused or had set aside.
    pub fn behind(&self, replica: usize, demand: &Demand) -> u64 {
        let mark = match &demand.writes {
            Writes::All(mark) => *mark,
            Writes::Of(marks) => marks
                .iter()
                .map(|(_, mark)| *mark)
                .max()
                .unwrap_or_default(),
        };
        let mark = mark.max(demand.statement).get();
        let distance = mark.saturating_sub(self.progress(replica).get());
        let refused = self.replicas.get(replica).map_or(0, |replica| {
            let missing = match &demand.writes {
                Writes::All(_) => self.letters.missing(&replica.name, None),
                Writes::Of(marks) => {
                    let names = marks.iter().map(|(name, _)| name.as_str());
                    let names: Vec<&str> = names.collect();
                    self.letters.missing(&replica.name, Some(&names))
                }
            };
            missing + replica.view().unsettled
        });
        distance.saturating_add(refused as u64).max(1)
    }

    /// Waits until `found` finds something, asked again whenever a replica has come further; at most this long.
    pub async fn wait_for<T>(
        &self,
        longest: Duration,
        mut found: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let _waiting = Waiting::enter(&self.waiting);
        let mut changed = self.changed.subscribe();
        let wait = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = found() {
                    return Some(found);
                }
                // The sender is `self`, so the wait cannot fail.
                let _ = changed.changed().await;
            }
        };
        tokio::time::timeout(longest, wait).await.unwrap_or(None)
    }

    /// Changes what is known of a replica.
    pub(in crate::relay) fn update(&self, replica: usize, change: impl FnOnce(&mut View)) {
        let Some(replica) = self.replicas.get(replica) else {
            return;
        };
        change(&mut replica.view());
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.send_replace(());
        }
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock()
    }
}

impl Replica {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock()
    }
}

/// Counts one who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Waiting<'a> {
        count.fetch_add(1, Ordering::SeqCst);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
