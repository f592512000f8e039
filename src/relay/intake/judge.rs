//! Rule N1: what comes is judged by a node before it is journaled.
//!
//! A journal that took what no node lets in would be filled by strangers, and each of their records would be sent to every node and
//! stand in the way of others. So credentials that are not [known](crate::relay::trust) are asked for first, by a request that changes
//! nothing: for a write by a write without a line, for a statement by one for each right that it needs ([`Question`]). Of a statement
//! that seems to need no right to change anything a node says first whether it can be parsed ([`ParseQuestion`](crate::relay::intake::parse_question::ParseQuestion)): it may be none. What
//! the nodes answer (400, 401, 403, 404) is the client's answer, and nothing is stored.
//!
//! # Who is asked
//!
//! Every node that is trusted and has carried out every acknowledged statement, all at once. One acceptance is enough, because nodes
//! may differ in what they hold. A refusal waits a moment for the others. Where no node has carried out every statement (after a
//! restart, while a long one runs), those are asked that have carried out every one that may have taken away what is asked for
//! ([`Withdrawal`]): their acceptance counts, their refusal may be out of date and does not. After a start any statement of the journal
//! may have been acknowledged. With nobody to ask, known credentials go on and unknown ones get 503.
//!
//! # What can go wrong
//!
//! | trouble | what happens |
//! | --- | --- |
//! | a crowd of wrong passwords, each a costly hash for the node | `judging.at_once` are asked at once; `judging.max_waiting` wait, a quarter of them from one address; more get 503 |
//! | the same wrong credentials again and again | the refusal is remembered for `judging.refused_for`, until a statement is acknowledged |
//! | a statement changes what is right while a node answers | an answer that was asked for before it is not remembered |
//! | a node that hangs | [`ASK_TIMEOUT`] |
//! | a statement takes a right, a password or a database away | whom that may concern is unknown once it is in the journal, and is let in by nodes only that have carried it out |
//! | known credentials are withdrawn past haflux | they are asked for again beside their writes, sixteen times within `trust_for`; a refusal ends it |

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures_util::stream::{FuturesUnordered, StreamExt};
use log::warn;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;

use crate::config::model::Judging;
use crate::influx::{Credentials, Precision, Refusal, Verdict, refusal_of_text};
use crate::journal::Sequence;
use crate::per_source::PerSource;
use crate::relay::record::withdrawal::Withdrawal;
use crate::relay::record::write::{Destination, Form};
use crate::relay::replica::answer::ReplicaAnswer;
use crate::relay::replica::handle::Replica;
use crate::relay::replica::request::{Pieces, Recipient, query_request, write_request_header};
use crate::relay::trust::{Scope, Tag, Trust, TrustTable};
use crate::relay::verdict::freshness::Freshness;
use crate::source::Source;
use crate::stats::RelayStats;

/// How long the nodes may take to answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a refusal waits for the other nodes' acceptance.
const GRACE: Duration = Duration::from_secs(1);

/// How long a node that has carried out every statement is waited for.
const WAIT_FOR_NODE: Duration = Duration::from_secs(1);

/// Needs the right to write to the request's `db`, and changes nothing: InfluxDB asks for the right first and then finds that
/// `DROP SERIES` knows no time (statement_executor.go, `executeDropSeriesStatement`).
const ASKS_TO_CHANGE: &str = "DROP SERIES FROM haflux_asks_for_the_right_only WHERE time > 0";

/// Needs the right to read the request's `db`.
const ASKS_TO_READ: &str = "SHOW RETENTION POLICIES";

/// Refusals that are remembered.
const MOST_REFUSED: usize = 1024;

/// What is asked, in whose name.
#[derive(Debug, Clone, Copy)]
pub(in crate::relay) struct Question<'a> {
    pub(in crate::relay) credentials: &'a Credentials,
    pub(in crate::relay) scope: Scope<'a>,
}

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) enum Rejection {
    /// The nodes refuse it.
    Refused(Refusal),
    /// No node can be asked, and the credentials are unknown.
    NobodyToAsk,
    /// Too many wait to be judged.
    TooMany,
}

/// What one node, or all of them, say.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::relay) enum Judgement {
    /// The request may pass.
    Accepted,
    /// It may not.
    Refused(Refusal),
    /// Nothing that tells.
    Silent,
}

/// Asks nodes, and remembers what they said.
pub(in crate::relay) struct Judge {
    table: Arc<TrustTable>,
    replicas: Vec<Arc<Replica>>,
    freshness: Arc<Freshness>,
    stats: Arc<RelayStats>,
    refused_for: Duration,
    refused: Mutex<HashMap<Tag, Remembered>>,
    /// Statements that were acknowledged: what was refused before may be right now.
    statements: AtomicU64,
    /// The newest statement that a node has carried out and that [withdraws](Withdrawal) something. After a start it may be any of
    /// the journal's.
    withdrawn_by: AtomicU64,
    asking: Semaphore,
    waiting: Arc<PerSource>,
    /// Credentials that are being asked for beside their writes.
    renewed: Mutex<Vec<Tag>>,
}

struct Remembered {
    until: Instant,
    refusal: Refusal,
}

impl Judge {
    pub(in crate::relay) fn new(
        settings: Judging,
        table: Arc<TrustTable>,
        replicas: Vec<Arc<Replica>>,
        freshness: Arc<Freshness>,
        stats: Arc<RelayStats>,
    ) -> Arc<Judge> {
        let withdrawn_by = AtomicU64::new(freshness.newest_statement().get());
        Arc::new(Judge {
            table,
            replicas,
            freshness,
            stats,
            refused_for: settings.refused_for,
            refused: Mutex::new(HashMap::new()),
            statements: AtomicU64::new(0),
            withdrawn_by,
            asking: Semaphore::new(settings.at_once.min(Semaphore::MAX_PERMITS)),
            waiting: PerSource::new(settings.max_waiting, settings.max_waiting.div_ceil(4)),
            renewed: Mutex::new(Vec::new()),
        })
    }

    /// Returns once the credentials are known to be good for this, asking nodes if need be. Dropping the future stores nothing.
    ///
    /// # Errors
    /// [`Rejection`]: nothing may be stored.
    pub(in crate::relay) async fn judge(
        self: &Arc<Self>,
        question: Question<'_>,
        source: Source,
    ) -> Result<(), Rejection> {
        let tag = self.table.tag(question.credentials, question.scope);
        match self.table.trust(tag, Instant::now()) {
            Trust::Known => return Ok(()),
            Trust::Due => {
                self.renew(tag, question);
                return Ok(());
            }
            Trust::Unknown => {}
        }
        if let Some(refusal) = self.remembered(tag) {
            return Err(self.refused(refusal));
        }
        let _turn = self.turn(source).await?;
        // Others may have asked the same meanwhile.
        if self.table.trust(tag, Instant::now()) != Trust::Unknown {
            return Ok(());
        }
        if let Some(refusal) = self.remembered(tag) {
            return Err(self.refused(refusal));
        }
        self.outcome(self.ask_and_remember(tag, question).await)
    }

    /// Returns once a node lets this pass. Nothing of it is remembered.
    ///
    /// # Errors
    /// [`Rejection`]: nothing may be stored.
    pub(in crate::relay) async fn hear(
        &self,
        question: &impl Ask,
        source: Source,
    ) -> Result<(), Rejection> {
        let _turn = self.turn(source).await?;
        self.stats.judged.increment();
        self.outcome(self.ask(question).await)
    }

    /// A turn to ask; others wait while it is held.
    async fn turn(&self, source: Source) -> Result<impl Sized + use<'_>, Rejection> {
        let Some(waiting) = self.waiting.enter(source) else {
            self.stats.judging_overflows.increment();
            return Err(Rejection::TooMany);
        };
        // The semaphore is never closed.
        Ok((waiting, self.asking.acquire().await))
    }

    fn outcome(&self, judgement: Judgement) -> Result<(), Rejection> {
        match judgement {
            Judgement::Accepted => Ok(()),
            Judgement::Refused(refusal) => Err(self.refused(refusal)),
            Judgement::Silent => Err(Rejection::NobodyToAsk),
        }
    }

    /// A statement that withdraws this is in the journal: what was accepted before says nothing any more. Returns once that outlives
    /// a crash.
    pub(in crate::relay) async fn withdraw(&self, withdrawal: &Withdrawal) {
        if *withdrawal == Withdrawal::Nothing {
            return;
        }
        self.table.withdraw(withdrawal);
        let table = Arc::clone(&self.table);
        let saved = tokio::task::spawn_blocking(move || {
            table.save_withdrawal(Instant::now(), SystemTime::now())
        });
        if let Err(error) = saved.await.map_err(io::Error::other).flatten() {
            warn!(
                "relay {}: who may write no more cannot be saved, and may be known again after a crash: {error}",
                self.stats.name
            );
        }
    }

    /// A statement was carried out that withdraws this, and is about to be acknowledged. A node may have accepted somebody before it
    /// carried it out.
    pub(in crate::relay) fn carried_out(&self, sequence: Sequence, withdrawal: &Withdrawal) {
        if *withdrawal != Withdrawal::Nothing {
            self.withdrawn_by
                .fetch_max(sequence.get(), Ordering::SeqCst);
            self.table.withdraw(withdrawal);
        }
    }

    /// A statement was acknowledged: a database or a user may be there now that was not.
    pub(in crate::relay) fn statement_acknowledged(&self) {
        self.statements.fetch_add(1, Ordering::SeqCst);
        self.remembered_refusals().clear();
    }

    fn refused(&self, refusal: Refusal) -> Rejection {
        self.stats.judged_refused.increment();
        Rejection::Refused(refusal)
    }

    /// Asks beside the request, unless somebody does so already.
    fn renew(self: &Arc<Self>, tag: Tag, question: Question<'_>) {
        {
            let mut renewed = self.renewed.lock();
            if renewed.contains(&tag) || self.asking.available_permits() <= renewed.len() {
                return;
            }
            renewed.push(tag);
        }
        let judge = Arc::clone(self);
        let credentials = question.credentials.clone();
        let database = question.scope.database().to_owned();
        // Only the kind of it outlives the request.
        let kind = question.scope.about("");
        tokio::spawn(async move {
            let question = Question {
                credentials: &credentials,
                scope: kind.about(&database),
            };
            judge.ask_and_remember(tag, question).await;
            let mut renewed = judge.renewed.lock();
            renewed.retain(|known| *known != tag);
        });
    }

    async fn ask_and_remember(&self, tag: Tag, question: Question<'_>) -> Judgement {
        let statements = self.statements.load(Ordering::SeqCst);
        let withdrawals = self.table.withdrawals();
        self.stats.judged.increment();
        let judgement = self.ask(&question).await;
        match &judgement {
            Judgement::Accepted => {
                if !self.table.accepted(tag, withdrawals, Instant::now()) {
                    self.stats.known_overflows.increment();
                }
            }
            Judgement::Refused(refusal) => {
                self.table.refused(tag);
                let mut refused = self.remembered_refusals();
                if self.statements.load(Ordering::SeqCst) == statements {
                    self.remember(&mut refused, tag, refusal);
                }
            }
            Judgement::Silent => {}
        }
        judgement
    }

    async fn ask(&self, question: &impl Ask) -> Judgement {
        let found = || {
            let found = self.up_to_date();
            (!found.is_empty()).then_some(found)
        };
        let up_to_date = match found() {
            None if self.trusted().next().is_some() => {
                self.freshness.wait_for(WAIT_FOR_NODE, found).await
            }
            found => found,
        };
        let is_up_to_date = up_to_date.is_some();
        let mut answers: FuturesUnordered<_> = up_to_date
            .unwrap_or_else(|| self.without_withdrawal(question.database()))
            .into_iter()
            .filter_map(|replica| {
                let address = replica.trusted_address()?;
                let request = question.request(replica.client.recipient(address));
                Some(replica.client.exchange(address, request))
            })
            .collect();
        let mut refusal = None;
        let mut deadline = tokio::time::Instant::now() + ASK_TIMEOUT;
        while let Ok(Some(answer)) = tokio::time::timeout_at(deadline, answers.next()).await {
            match answer.map(|answer| question.read(&answer)) {
                Ok(Judgement::Accepted) => return Judgement::Accepted,
                Ok(Judgement::Refused(first)) if is_up_to_date => {
                    refusal.get_or_insert(first);
                    deadline = deadline.min(tokio::time::Instant::now() + GRACE);
                }
                Ok(Judgement::Refused(_) | Judgement::Silent) | Err(_) => {}
            }
        }
        refusal.map_or(Judgement::Silent, Judgement::Refused)
    }

    fn trusted(&self) -> impl Iterator<Item = &Arc<Replica>> {
        let replicas = self.replicas.iter();
        replicas.filter(|replica| replica.follows() && replica.is_trusted())
    }

    /// The nodes that have carried out every acknowledged statement.
    fn up_to_date(&self) -> Vec<&Arc<Replica>> {
        let statement = self.freshness.newest_statement().max(self.withdrawn_by());
        self.trusted()
            .filter(|replica| self.freshness.has_carried_out(replica.index, statement))
            .collect()
    }

    /// The nodes that have carried out every statement that may have taken away what they grant for this database.
    fn without_withdrawal(&self, database: &str) -> Vec<&Arc<Replica>> {
        let statement = self.withdrawn_by();
        let freshness = &self.freshness;
        self.trusted()
            .filter(|replica| freshness.has_withdrawn(replica.index, statement, database))
            .collect()
    }

    fn withdrawn_by(&self) -> Sequence {
        Sequence::new(self.withdrawn_by.load(Ordering::SeqCst))
    }

    fn remembered(&self, tag: Tag) -> Option<Refusal> {
        let refused = self.remembered_refusals();
        let remembered = refused.get(&tag)?;
        (remembered.until > Instant::now()).then(|| remembered.refusal.clone())
    }

    fn remember(&self, refused: &mut HashMap<Tag, Remembered>, tag: Tag, refusal: &Refusal) {
        let now = Instant::now();
        if refused.len() >= MOST_REFUSED {
            refused.retain(|_, remembered| remembered.until > now);
        }
        if refused.len() >= MOST_REFUSED {
            refused.clear();
        }
        refused.insert(
            tag,
            Remembered {
                until: now + self.refused_for,
                refusal: refusal.clone(),
            },
        );
    }

    fn remembered_refusals(&self) -> MutexGuard<'_, HashMap<Tag, Remembered>> {
        self.refused.lock()
    }
}

/// What nodes can be asked before anything is stored.
pub(in crate::relay) trait Ask {
    /// The database that it is about; empty for none.
    fn database(&self) -> &str;

    /// The request, which changes nothing.
    fn request(&self, to: Recipient<'_>) -> Pieces;

    /// What an answer means.
    fn read(&self, answer: &ReplicaAnswer) -> Judgement;
}

impl Ask for Question<'_> {
    fn database(&self) -> &str {
        self.scope.database()
    }

    fn request(&self, to: Recipient<'_>) -> Pieces {
        let mut pieces = Pieces::default();
        pieces.push(match self.scope {
            Scope::Write(database) => {
                let destination = Destination {
                    form: Form::LineProtocol,
                    precision: Precision::default(),
                    consistency: None,
                    database: database.to_owned(),
                    retention_policy: String::new(),
                    credentials: self.credentials.clone(),
                };
                write_request_header(&destination, to, 0, false)
            }
            Scope::Change(database) => {
                query_request(ASKS_TO_CHANGE, database, self.credentials, to)
            }
            Scope::Read(database) => query_request(ASKS_TO_READ, database, self.credentials, to),
            Scope::Administer => query_request("SHOW USERS", "", self.credentials, to),
            Scope::Identify => query_request("SHOW DATABASES", "", self.credentials, to),
        });
        pieces
    }

    /// InfluxDB asks for credentials, then for the database, then for rights, and only then for anything else:
    /// whatever it says besides these lets the credentials pass.
    fn read(&self, answer: &ReplicaAnswer) -> Judgement {
        let refused = || Judgement::Refused(refusal_of_text(answer.status, answer.words()));
        match self.scope {
            Scope::Write(_) => match answer.judge_write() {
                Verdict::Unauthorized | Verdict::DatabaseNotFound => refused(),
                Verdict::TryAgain(_) | Verdict::Unexpected => Judgement::Silent,
                Verdict::Applied
                | Verdict::Expired { .. }
                | Verdict::Refused
                | Verdict::RetentionPolicyNotFound
                | Verdict::ShardFailed
                | Verdict::TooLarge => Judgement::Accepted,
            },
            Scope::Change(_) | Scope::Read(_) | Scope::Administer | Scope::Identify => {
                match answer.status {
                    401 | 403 => refused(),
                    408 | 429 | 500.. => Judgement::Silent,
                    _ => Judgement::Accepted,
                }
            }
        }
    }
}
