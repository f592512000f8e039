//! What is counted. Plain atomics, `Relaxed`: a view may be a moment apart from another.
//!
//! A clone counts the same things: the counters of a server or backend outlive a reload that changes its facts, such as a weight.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::admin_state::AdminState;
use super::http2::Http2Stats;
use super::outages::Outages;
use super::queries::{QueryStats, QueryTable};
use super::rate::Rate;
use super::releases;
use super::sharded::Sharded;
use super::times::{Average, Histogram, Latency};
use super::tls::{ServerTlsStats, TlsStats};
use super::work::WorkStats;

/// A number that only grows. A clone is the same number.
#[derive(Debug, Default, Clone)]
pub struct Counter(Arc<Sharded<AtomicU64>>);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.here().fetch_add(n, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        let counts = self.0.all().map(|count| count.load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
    }
}

/// A number that goes up and down, and the highest it has been.
#[derive(Debug, Default)]
pub struct Gauge {
    now: AtomicU64,
    highest: AtomicU64,
}

impl Gauge {
    /// Raises it by one until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> GaugeGuard {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.highest.fetch_max(now, Ordering::Relaxed);
        GaugeGuard(Arc::clone(self))
    }

    /// Sets it.
    pub fn set(&self, value: u64) {
        self.now.store(value, Ordering::Relaxed);
        self.highest.fetch_max(value, Ordering::Relaxed);
    }

    /// Adds `amount` if `admits` what it was before; says whether it did.
    pub fn add_if(&self, amount: u64, admits: impl Fn(u64) -> bool) -> bool {
        let relaxed = Ordering::Relaxed;
        let added = self.now.fetch_update(relaxed, relaxed, |before| {
            admits(before).then(|| before.saturating_add(amount))
        });
        if let Ok(before) = added {
            self.highest
                .fetch_max(before.saturating_add(amount), relaxed);
        }
        added.is_ok()
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        let before = self.now.fetch_add(amount, Ordering::Relaxed);
        self.highest
            .fetch_max(before.saturating_add(amount), Ordering::Relaxed);
    }

    /// Takes away what [`Gauge::add_if`] or [`Gauge::add`] added.
    pub fn subtract(&self, amount: u64) {
        self.now.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Sets it, unless it is higher already.
    pub fn raise(&self, value: u64) {
        self.now.fetch_max(value, Ordering::Relaxed);
        self.highest.fetch_max(value, Ordering::Relaxed);
    }

    /// Its value now.
    pub fn get(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The highest value it has had.
    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }
}

/// Lowers a [`Gauge`] again when it is dropped.
#[derive(Debug)]
pub struct GaugeGuard(Arc<Gauge>);

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of bodies that are held, within the limits of a [`crate::budget::Budget`].
#[derive(Debug, Default)]
pub struct BudgetStats {
    /// Bytes held now.
    pub held: Gauge,
    /// Bodies that waited for room.
    pub waits: Counter,
    /// Bodies that were refused for want of room.
    pub refused: Counter,
}

/// Responses by the first digit of their status.
#[derive(Debug, Default, Clone)]
pub struct Responses([Counter; 6]);

impl Responses {
    /// Counts one response.
    pub fn count(&self, status: u16) {
        let class = match status / 100 {
            class @ 1..=5 => usize::from(class),
            _ => 0,
        };
        if let Some(counter) = self.0.get(class) {
            counter.increment();
        }
    }

    /// Responses of `class` 1–5; anything else asks for those with no such class.
    pub fn of_class(&self, class: usize) -> u64 {
        self.0.get(class).or(self.0.first()).map_or(0, Counter::get)
    }
}

/// What passes a frontend, a backend or a server.
#[derive(Debug, Default, Clone)]
pub struct Traffic {
    /// Sessions: connections on a frontend, requests under way on a backend or server.
    pub sessions: Arc<Gauge>,
    /// Sessions since the start.
    pub sessions_total: Counter,
    /// Sessions a second.
    pub session_rate: Arc<Rate>,
    /// Requests since the start.
    pub requests: Counter,
    /// Requests a second.
    pub request_rate: Arc<Rate>,
    /// Bytes of request bodies.
    pub bytes_in: Counter,
    /// Bytes of response bodies.
    pub bytes_out: Counter,
    /// Responses by class.
    pub responses: Responses,
    /// Requests whose client left, or fell silent, before it had its answer.
    pub client_aborts: Counter,
    /// Requests whose server broke off, or fell silent, inside its answer.
    pub server_aborts: Counter,
    /// How long requests took.
    pub times: Arc<RequestTimes>,
}

impl Traffic {
    /// Counts a session, which lasts until the guard is dropped.
    pub fn open_session(&self) -> GaugeGuard {
        self.sessions_total.increment();
        self.session_rate.tick();
        self.sessions.enter()
    }

    /// Counts a request that has ended.
    pub fn count(&self, request: &Finished) {
        self.requests.increment();
        self.request_rate.tick();
        self.bytes_in.add(request.bytes_in);
        self.bytes_out.add(request.bytes_out);
        if let Some(status) = request.status {
            self.responses.count(status);
        }
        match request.abort {
            Some(Abort::Client) => self.client_aborts.increment(),
            Some(Abort::Server) => self.server_aborts.increment(),
            None => {}
        }
        self.times.add(&request.durations);
    }
}

/// How long requests took.
#[derive(Debug, Default)]
pub struct RequestTimes {
    /// Until a server was chosen.
    pub queue: Average,
    /// From then on until the server was connected.
    pub connect: Average,
    /// From then on until the header of the answer was there.
    pub response: Average,
    /// The whole request.
    pub total: Average,
    /// The whole requests, by length.
    pub histogram: Histogram,
}

impl RequestTimes {
    fn add(&self, durations: &Durations) {
        for (average, time) in [
            (&self.queue, durations.queue),
            (&self.connect, durations.connect),
            (&self.response, durations.response),
        ] {
            if let Some(time) = time {
                average.add(time);
            }
        }
        if let Some(total) = durations.total {
            self.total.add(total);
            self.histogram.add(total);
        }
    }
}

/// The parts of one request's time; nothing for what it did not come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// Until a server was chosen.
    pub queue: Option<Duration>,
    /// From then on until the server was connected.
    pub connect: Option<Duration>,
    /// From then on until the header of the answer was there.
    pub response: Option<Duration>,
    /// The whole request.
    pub total: Option<Duration>,
}

/// What is counted of a request that has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finished {
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// The status of the answer; nothing if none was sent.
    pub status: Option<u16>,
    /// Who gave it up, if it did not end as it should.
    pub abort: Option<Abort>,
    /// How long it took.
    pub durations: Durations,
}

/// Who gave a request up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abort {
    /// The client left or fell silent.
    Client,
    /// The server broke off or fell silent inside its answer.
    Server,
}

/// The log.
#[derive(Debug, Default)]
pub struct LogStats {
    /// Messages that were held back because they repeat.
    pub held_back: Counter,
    /// Its targets, in the order of the configuration.
    pub targets: Vec<Arc<LogTargetStats>>,
}

/// One target of the log.
#[derive(Debug, Default)]
pub struct LogTargetStats {
    /// Where its lines go.
    pub to: String,
    /// Lines that were dropped because the target did not take them.
    pub dropped: Counter,
}

/// One frontend.
#[derive(Debug, Clone)]
pub struct FrontendStats {
    /// Its name.
    pub name: String,
    /// Its addresses, as text.
    pub bind: Vec<String>,
    /// Most connections at once (`maxconn`).
    pub session_limit: u64,
    /// What passed it.
    pub traffic: Traffic,
    /// Requests for the status page or the metrics.
    pub intercepted: Counter,
    /// Requests refused as malformed, too large or too slow.
    pub request_errors: Counter,
    /// Of those, the ones whose header is malformed.
    pub malformed_requests: Counter,
    /// Of those, the ones whose header or body did not come in time.
    pub slow_requests: Counter,
    /// Connections closed because their source had `maxconn_per_source` already.
    pub source_limit: Counter,
    /// TLS, where it is spoken.
    pub tls: TlsStats,
    /// HTTP/2, where it is spoken.
    pub http2: Http2Stats,
    /// Connections closed because `allow` or `deny` keeps their source out.
    pub denied_connections: Counter,
    /// Requests refused by a `deny` or `tarpit` of `http_request`, or because `allow` or `deny` keeps out the client that a trusted
    /// proxy names.
    pub denied_requests: Counter,
    /// Of those, the ones that a `tarpit` had wait for their answer.
    pub tarpitted: Counter,
    /// Those that a `tarpit` answered at once, because as many as `max_tarpitted` waited.
    pub tarpit_overflows: Counter,
    /// Connections from `accept_proxy` closed because their PROXY header was missing, malformed or late.
    pub proxy_header_errors: Counter,
    /// Requests answered 401 because they are of none of haflux's users.
    pub auth_refusals: Counter,
    /// Requests answered 429 or 503 because `max_failures` or `max_waiting` of the users let no more passwords be checked.
    pub auth_limited: Counter,
    /// Requests answered 403 because `rules` do not allow what they would do.
    pub rule_refusals: Counter,
    /// Requests answered 429 because their source sent more than `rate_limit`.
    pub rate_limited: Counter,
    /// What `bandwidth` slowed.
    pub throttled: ThrottleStats,
    /// Its queries.
    pub queries: QueryStats,
}

/// What `bandwidth` slowed.
#[derive(Debug, Default, Clone)]
pub struct ThrottleStats {
    /// Bodies of requests.
    pub bodies: Counter,
    /// How long they waited, in microseconds.
    pub body_micros: Counter,
    /// Answers.
    pub answers: Counter,
    /// How long they waited, in microseconds.
    pub answer_micros: Counter,
}

/// What the read barrier of a replicated backend did.
#[derive(Debug, Default, Clone)]
pub struct BarrierStats {
    /// Reads that wait for a fresh replica now.
    pub waiting: Arc<Gauge>,
    /// Reads that had to wait for a fresh replica.
    pub waits: Counter,
    /// How long they waited, in microseconds.
    pub waited_micros: Counter,
    /// Reads answered by a replica that was not fresh, and said so.
    pub stale: Counter,
    /// Reads answered 503 because no replica was fresh in time.
    pub rejected: Counter,
    /// Answers that were thrown away because their replica was set back while it executed the read; the read was sent again.
    pub repeated: Counter,
}

/// One backend, with its servers.
#[derive(Debug, Clone)]
pub struct BackendStats {
    /// Its name.
    pub name: String,
    /// `balance`, as the configuration says it.
    pub balance: String,
    /// What passed it.
    pub traffic: Traffic,
    /// Requests answered 503 because no server was up.
    pub no_server: Counter,
    /// Times in which none of its servers was up.
    pub outages: Arc<Outages>,
    /// The read barrier, where a relay replicates to it.
    pub barrier: BarrierStats,
    /// Its servers, in the order of the configuration.
    pub servers: Vec<Arc<ServerStats>>,
}

/// One server of a backend.
#[derive(Debug, Clone)]
pub struct ServerStats {
    /// Its name.
    pub name: String,
    /// Its address as configured.
    pub address: String,
    /// Its weight now: the configuration's until a person changes it.
    pub weight: Arc<AtomicU32>,
    /// Whether it is a backup.
    pub backup: bool,
    /// What passed it.
    pub traffic: Traffic,
    /// Connections that were tried to be made.
    pub connects: Counter,
    /// Requests that went over a connection that was idle.
    pub reuses: Counter,
    /// Connections that could not be made.
    pub connect_errors: Counter,
    /// Answers that broke off or never came.
    pub response_errors: Counter,
    /// Times that it ended while it had a request, whose client then got 502 unless another server was asked.
    pub ends: Counter,
    /// Requests that were moved from this server to another one.
    pub redispatches: Counter,
    /// Its state and since when.
    pub state: Arc<ArcSwap<ServerState>>,
    /// Failed checks.
    pub check_failures: Counter,
    /// Times in which it was down.
    pub outages: Arc<Outages>,
    /// The last check.
    pub last_check: Arc<ArcSwapOption<LastCheck>>,
    /// TLS towards it.
    pub tls: ServerTlsStats,
}

impl ServerStats {
    /// A request has got a connection that was idle, or one is tried to be made for it.
    pub fn count_connection(&self, is_reused: bool) {
        match is_reused {
            true => self.reuses.increment(),
            false => self.connects.increment(),
        }
    }
}

/// Whether a server is up, and since when.
#[derive(Debug, Clone)]
pub struct ServerState {
    /// What its checks say and a person ordered, in one word.
    pub status: ServerStatus,
    /// What a person ordered.
    pub admin: AdminState,
    /// Since when.
    pub since: SystemTime,
    /// Why, as the log said it.
    pub reason: String,
}

/// HAProxy's words for a server's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerStatus {
    /// Checked and well (or not yet found otherwise).
    Up,
    /// Checked and not well.
    Down,
    /// Not checked: counts as up.
    NoCheck,
    /// Up or not checked, and gets no new requests because a person ordered so.
    Drain,
    /// Gets nothing because a person ordered so.
    Maint,
}

/// The outcome of one health check.
#[derive(Debug, Clone)]
pub struct LastCheck {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// HAProxy's code: `L4OK`, `L4CON`, `L4TOUT`, `L7OK`, `L7STS`, `L7RSP`, `L7TOUT`.
    pub code: &'static str,
    /// The HTTP status that the check was answered with, if any.
    pub status: Option<u16>,
    /// For a person: what was wrong.
    pub detail: String,
}

/// Comparisons of a relay's nodes.
#[derive(Debug, Default)]
pub struct ComparedStats {
    /// Under way now.
    pub running: Arc<Gauge>,
    /// When the last one ended that compared all nodes, and how many differences it found.
    pub last: ArcSwapOption<(SystemTime, u64)>,
    /// Why the last one that haflux began by itself has not compared everything; nothing once one has.
    pub failed: ArcSwapOption<String>,
}

/// Runs of continuous queries that nodes missed.
#[derive(Debug, Default)]
pub struct MissedRunsStats {
    /// Made up for.
    pub done: Counter,
    /// Tried, and refused by the node.
    pub failed: Counter,
}

/// One relay, with its replicas.
#[derive(Debug, Default)]
pub struct RelayStats {
    /// Its name.
    pub name: String,
    /// The pool it replicates to.
    pub pool: String,
    /// What passed it.
    pub traffic: Traffic,
    /// Sequence of the newest durable record.
    pub head: Gauge,
    /// Bytes of the journal's records up to the head, since its birth.
    pub head_offset: Gauge,
    /// Each two numbers between which no record lies; known when the journal is open.
    pub jumps: OnceLock<Vec<(u64, u64)>>,
    /// Most bytes that a replica may be behind (`max_backlog`).
    pub max_backlog: u64,
    /// Most dead letters that are kept (`max_dead_letters`).
    pub dead_letter_limit: u64,
    /// How long writes waited from the end of their body until they were acknowledged.
    pub acknowledgement: Latency,
    /// Bytes of bodies held for clients now.
    pub inflight: Arc<BudgetStats>,
    /// Lines that were made ones that every node refuses, because they would harm it.
    pub defused_lines: Counter,
    /// Appends that waited for a mend.
    pub gate_waits: Counter,
    /// Records appended.
    pub records: Counter,
    /// Statements among them.
    pub statements: Counter,
    /// Lines in them.
    pub lines: Counter,
    /// Lines that were stamped.
    pub stamped_lines: Counter,
    /// Writes acknowledged.
    pub acknowledged: Counter,
    /// Writes answered with a refusal of the replicas.
    pub refused: Counter,
    /// Writes turned away before the append: no room, policy out of reach, too many in flight.
    pub rejected: Counter,
    /// Questions to nodes about credentials that no node had accepted lately.
    pub judged: Counter,
    /// Requests that were answered with a node's refusal of their credentials; nothing of them was stored.
    pub judged_refused: Counter,
    /// Requests turned away because too many waited to be judged.
    pub judging_overflows: Counter,
    /// Accepted credentials that found no room to be remembered (`judging.max_known`).
    pub known_overflows: Counter,
    /// Statements under way or waiting.
    pub statements_open: Arc<Gauge>,
    /// Statements turned away because too many were under way (`max_statements`).
    pub statements_overflows: Counter,
    /// Writes answered 504: journaled, or parts of them, and not vouched for in time.
    pub timeouts: Counter,
    /// Records that one replica refused for good while another accepted them.
    pub dead_letters: Counter,
    /// Dead letters that nobody has settled yet.
    pub open_dead_letters: Arc<Gauge>,
    /// How long a replica may be behind (`max_backlog_age`).
    pub max_backlog_age: Duration,
    /// Refused records that are remembered: another replica has not judged them, or may be sent them again.
    pub pending_refusals: Gauge,
    /// 1 while what a replica refused cannot be put on disk, and cursors are not saved for it.
    pub unwritten_refusals: Gauge,
    /// Tasks that failed and were begun again: a fault of haflux, which the log shows.
    pub failed_tasks: Counter,
    /// Answers to statements that went to their clients while they came, because they were long.
    pub streamed_answers: Counter,
    /// Of those, answers whose client was too slow and was given up.
    pub slow_answers: Counter,
    /// Bytes of such answers that wait for their clients now.
    pub answer_buffer: Gauge,
    /// Bytes of long refusals that are held for clients now.
    pub refusal_texts: Gauge,
    /// Comparisons of its nodes.
    pub compared: ComparedStats,
    /// Runs of continuous queries that nodes missed.
    pub missed_runs: MissedRunsStats,
    /// The comparison, mend or rebuild that was begun last; nothing since the start if none was.
    pub work: ArcSwapOption<WorkStats>,
    /// Its journal.
    pub journal: JournalStats,
    /// Its replicas, in the order of the pool's servers.
    pub replicas: Vec<Arc<ReplicaStats>>,
}

impl RelayStats {
    /// The journal has come this far.
    pub fn show_head(&self, sequence: u64, offset: u64) {
        self.head_offset.raise(offset);
        self.head.raise(sequence);
    }

    /// Which replica runs which release of InfluxDB; nothing if they do not differ.
    pub fn differing_releases(&self) -> Option<String> {
        let version = |replica: &ReplicaStats| replica.version.load().as_deref().cloned();
        let replicas = self.replicas.iter();
        releases::differing(replicas.map(|one| (one.name.clone(), version(one))))
    }

    /// The numbers that the journal left out, when it is open.
    pub fn show_jumps(&self, jumps: impl Iterator<Item = (u64, u64)>) {
        // A relay opens its journal once.
        let _ = self.jumps.set(jumps.collect());
    }

    /// Records above the one with this number, up to the head. Read the number before: the head only grows.
    pub fn records_above(&self, cursor: u64) -> u64 {
        self.records_between(cursor, self.head.get())
    }

    /// Records above the one number, up to the other.
    pub fn records_between(&self, above: u64, last: u64) -> u64 {
        let jumps = self.jumps.get().map_or(&[][..], Vec::as_slice);
        let missing = jumps.iter().map(|&(before, next)| {
            let (from, to) = (before.max(above), next.saturating_sub(1).min(last));
            to.saturating_sub(from)
        });
        last.saturating_sub(above)
            .saturating_sub(missing.sum::<u64>())
    }
}

/// The journal of a relay, as far as its disk is concerned.
#[derive(Debug, Default)]
pub struct JournalStats {
    /// It takes nothing new: its disk is full, ill or gone.
    pub refuses: AtomicBool,
    /// Bytes of its files.
    pub on_disk: Gauge,
    /// Bytes that are free on its file system; nothing while that is not known.
    pub disk_free: ArcSwapOption<u64>,
    /// Failures of its disk.
    pub errors: Gauge,
    /// What failed last, with the time.
    pub last_error: ArcSwapOption<(SystemTime, String)>,
}

/// One replica of a relay.
#[derive(Debug)]
pub struct ReplicaStats {
    /// The server's name.
    pub name: String,
    /// Every record up to this sequence has a verdict here.
    pub cursor: Gauge,
    /// Bytes of the journal's records up to the cursor, since its birth.
    pub cursor_offset: Gauge,
    /// When the oldest record without a verdict was appended, Unix time in milliseconds; 0 when there is none.
    pub oldest_pending: Gauge,
    /// How long it will take to catch up at the pace of the last seconds, in milliseconds; 0 when that cannot be said.
    pub catch_up: Gauge,
    /// The release of InfluxDB that it named last, e.g. `1.8.10`; nothing before its first answer.
    pub version: ArcSwapOption<String>,
    /// Its state.
    pub state: ArcSwap<ReplicaState>,
    /// 1 while something that it was sent and did not answer may still be carried out, or is to be sent again for it.
    pub in_doubt: Gauge,
    /// Requests sent.
    pub requests: Counter,
    /// Requests that must be sent again.
    pub retries: Counter,
    /// Requests that were larger than it takes, and went again in smaller ones or were refused for it.
    pub too_large: Counter,
    /// Bytes of a request that it is sent at once since it refused a larger one; 0 while it has not.
    pub request_limit: Gauge,
    /// Records applied.
    pub applied: Counter,
    /// Records refused for good.
    pub refused: Counter,
    /// Records whose points were too old for their retention policy when they came.
    pub expired: Counter,
    /// Records that ended without a verdict and are tried again.
    pub tried: Gauge,
    /// Records that were set aside because they ended without a verdict too often, or by a person.
    pub set_aside: Counter,
    /// What went wrong last, with the time.
    pub last_error: ArcSwapOption<(SystemTime, String)>,
    /// Its lanes, as they stood a moment ago.
    pub lanes: ArcSwap<LanesReading>,
}

/// The lanes of a replica, one for each database of which records were read for it and have no verdict.
#[derive(Debug, Default)]
pub struct LanesReading {
    /// How many there are.
    pub waiting: u64,
    /// Those whose oldest record has waited longest, the slowest first.
    pub slowest: Vec<LaneReading>,
}

/// One lane of a replica.
#[derive(Debug)]
pub struct LaneReading {
    /// The database.
    pub database: String,
    /// Records of it that were read and have no verdict.
    pub records: u64,
    /// Of those, the ones in the request that is under way.
    pub under_way: u64,
    /// Since when the oldest one has waited.
    pub since: SystemTime,
    /// Whether the oldest one is tried again and again, because the replica does not take it as things are.
    pub is_held: bool,
}

/// The states of a replica, in DESIGN's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaStatus {
    /// Has applied everything.
    Fresh,
    /// Is applying what it missed.
    Lagging,
    /// Cannot be reached or does not accept.
    Down,
    /// Its server is in maint: nothing is sent to it because a person ordered so.
    Maint,
    /// Missed records for good, or is not the node it was: to be rebuilt.
    Diverged,
}

/// A replica's state and since when.
#[derive(Debug, Clone)]
pub struct ReplicaState {
    /// The state.
    pub status: ReplicaStatus,
    /// Since when.
    pub since: SystemTime,
}

/// One UDP listener.
#[derive(Debug)]
pub struct UdpStats {
    /// Its address, as text.
    pub bind: String,
    /// The relay that it writes to.
    pub relay: String,
    /// The database of its lines.
    pub database: String,
    /// Datagrams received.
    pub packets: Counter,
    /// Bytes in them.
    pub bytes: Counter,
    /// Lines that were kept.
    pub lines: Counter,
    /// Lines that InfluxDB would refuse, and so were not kept.
    pub refused_lines: Counter,
    /// Datagrams with lines that were dropped because the journal took no more.
    pub dropped_packets: Counter,
    /// Datagrams that the kernel dropped before they could be read, its buffer being full.
    pub kernel_drops: Counter,
    /// Reads that failed.
    pub read_errors: Counter,
    /// Records appended.
    pub records: Counter,
    /// Nodes that refuse its lines for want of credentials or rights.
    pub refusing_nodes: Gauge,
}

/// Everything that is counted, for the views.
#[derive(Debug)]
pub struct Stats {
    /// When the process started.
    pub started: SystemTime,
    /// In the order of the configuration.
    pub frontends: Vec<Arc<FrontendStats>>,
    /// In the order of the configuration.
    pub backends: Vec<Arc<BackendStats>>,
    /// In the order of the configuration.
    pub relays: Vec<Arc<RelayStats>>,
    /// In the order of the configuration.
    pub udp: Vec<Arc<UdpStats>>,
    /// Bytes of requests to replicated pools that are held now.
    pub query_inflight: Arc<BudgetStats>,
    /// Requests to replicated pools that were refused for holding more than a limit lets them.
    pub queries_refused: Counter,
    /// The fingerprints of queries.
    pub query_table: Arc<QueryTable>,
    /// The log.
    pub log: Arc<LogStats>,
}
