//! One reading of everything that is counted, as plain values that a view can write.
//!
//! The counters go on while they are read, so two numbers of a snapshot may be a moment apart; where one is taken from
//! another (a lag), the order of reading keeps the result from being too good.

use serde::{Deserialize, Serialize};

use super::admin_state::AdminState;
use super::counters::{ReplicaStatus, ServerStatus};
use super::releases;
use super::times::HistogramReading;
use super::units::{Bytes, Count, Moment, Span};
use super::work::WorkFigures;

mod notices;
mod problems;
mod process;
mod spread;
mod take;

pub use notices::Notice;
pub use problems::{Problem, Severity};
pub use process::ProcessView;
pub use spread::Spread;

/// Everything, at one moment. Serialised it is the JSON view, from which a command that asks a running haflux reads it back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// What is wrong and what to do, the worst first; empty when all is well.
    pub problems: Vec<Problem>,
    /// Servers that a person has taken out of service.
    pub notices: Vec<Notice>,
    /// How many nodes have what was written, over all relays.
    pub spread: Spread,
    /// haflux's version.
    pub version: String,
    /// The process id.
    pub pid: u32,
    /// What the system says of the process.
    pub process: ProcessView,
    /// When this was read.
    pub now: Moment,
    /// When the process started.
    pub started: Moment,
    /// Bytes of requests to replicated pools that are held now.
    pub query_inflight: Bytes,
    /// The most there have been at once.
    pub query_inflight_max: Bytes,
    /// Bodies of such requests that waited for room.
    pub query_inflight_waits: Count,
    /// Bodies of such requests that were refused for want of room.
    pub query_inflight_refused: Count,
    /// Requests that were refused for holding more than a limit lets them.
    pub queries_refused: Count,
    /// Fingerprints of queries that are counted.
    pub query_fingerprints: Count,
    /// Queries whose fingerprint had no room among them.
    pub query_fingerprints_left_out: Count,
    /// `KILL QUERY` that haflux sent, because a node went on with a query whose connection was closed.
    pub query_kills: Count,
    /// The log.
    pub log: LogView,
    /// In the order of the configuration.
    pub frontends: Vec<FrontendView>,
    /// In the order of the configuration.
    pub relays: Vec<RelayView>,
    /// In the order of the configuration.
    pub backends: Vec<BackendView>,
    /// In the order of the configuration.
    pub udp: Vec<UdpView>,
}

/// The log.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogView {
    /// Messages that were held back because they repeat.
    pub held_back: Count,
    /// In the order of the configuration.
    pub targets: Vec<LogTargetView>,
}

/// One target of the log.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogTargetView {
    /// Where its lines go.
    pub to: String,
    /// Lines that were dropped because the target did not take them.
    pub dropped: Count,
}

/// A number that goes up and down.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionsView {
    /// Now.
    pub current: Count,
    /// The most there have been at once.
    pub max: Count,
    /// Since the start.
    pub total: Count,
    /// New ones in the last second.
    pub rate: Count,
    /// The most new ones in a second.
    pub rate_max: Count,
    /// How long ago the newest one began, in whole seconds; nothing if there was none.
    pub last: Option<Span>,
}

/// Responses by the first digit of their status.
#[derive(Debug, Serialize, Deserialize)]
pub struct ResponsesView {
    /// Informational.
    #[serde(rename = "1xx")]
    pub informational: Count,
    /// Successful.
    #[serde(rename = "2xx")]
    pub successful: Count,
    /// Redirections.
    #[serde(rename = "3xx")]
    pub redirections: Count,
    /// Client errors.
    #[serde(rename = "4xx")]
    pub client_errors: Count,
    /// Server errors.
    #[serde(rename = "5xx")]
    pub server_errors: Count,
    /// Any other status.
    pub other: Count,
}

/// What passed a frontend, a relay, a backend or a server.
#[derive(Debug, Serialize, Deserialize)]
pub struct TrafficView {
    /// Connections on a frontend, requests under way elsewhere.
    pub sessions: SessionsView,
    /// Requests since the start.
    pub requests: Count,
    /// Requests in the last second.
    pub requests_rate: Count,
    /// The most requests in a second.
    pub requests_rate_max: Count,
    /// Responses since the start.
    pub responses: ResponsesView,
    /// Bytes of request bodies.
    pub bytes_in: Bytes,
    /// Bytes of response bodies.
    pub bytes_out: Bytes,
    /// Requests that their clients gave up.
    pub client_aborts: Count,
    /// Requests that their servers gave up inside an answer.
    pub server_aborts: Count,
    /// How long requests took.
    pub times: TimesView,
}

/// How long requests took.
#[derive(Debug, Serialize, Deserialize)]
pub struct TimesView {
    /// Until a server was chosen.
    pub queue: TimeView,
    /// From then on until the server was connected.
    pub connect: TimeView,
    /// From then on until the header of the answer was there.
    pub response: TimeView,
    /// The whole request.
    pub total: TimeView,
    /// The whole requests, by length.
    pub histogram: HistogramReading,
}

/// One part of the time of requests.
#[derive(Debug, Serialize, Deserialize)]
pub struct TimeView {
    /// The average of the last 1024 requests.
    pub average: Span,
    /// The longest since the start.
    pub max: Span,
}

/// What the last 1024 times of a kind are like; seconds when serialised.
#[derive(Debug, Serialize, Deserialize)]
pub struct LastTimesView {
    /// How many there are: 1024, or fewer after a start.
    pub count: Count,
    /// The time that half of them do not exceed; nothing without a time.
    pub median: Option<Span>,
    /// The time that 99 of 100 do not exceed.
    pub p99: Option<Span>,
    /// The longest of them.
    pub max: Option<Span>,
}

/// One frontend.
#[derive(Debug, Serialize, Deserialize)]
pub struct FrontendView {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub bind: Vec<String>,
    /// Most connections at once.
    pub session_limit: Count,
    /// What passed it.
    pub traffic: TrafficView,
    /// Requests for the status page or the metrics.
    pub intercepted: Count,
    /// Requests refused as malformed, too large or too slow.
    pub request_errors: Count,
    /// Of those, the ones whose header is malformed.
    pub malformed_requests: Count,
    /// Of those, the ones whose header or body did not come in time.
    pub slow_requests: Count,
    /// Connections closed because their source had `maxconn_per_source` already.
    pub source_limit: Count,
    /// Connections closed because `allow` or `deny` keeps their source out.
    pub denied_connections: Count,
    /// Requests refused by a `deny` or `tarpit` of `http_request`, or because `allow` or `deny` keeps out the client that a trusted
    /// proxy names.
    pub denied_requests: Count,
    /// Of those, the ones that a `tarpit` had wait for their answer.
    pub tarpitted: Count,
    /// Those that a `tarpit` answered at once, because as many as `max_tarpitted` waited.
    pub tarpit_overflows: Count,
    /// Connections from `accept_proxy` closed because their PROXY header was missing, malformed or late.
    pub proxy_header_errors: Count,
    /// Requests answered 401 because they are of none of haflux's users.
    pub auth_refusals: Count,
    /// Requests answered 429 or 503 because `max_failures` or `max_waiting` of the users let no more passwords be checked.
    pub auth_limited: Count,
    /// Requests answered 403 because `rules` do not allow what they would do.
    pub rule_refusals: Count,
    /// Requests answered 429 because their source sent more than `rate_limit`.
    pub rate_limited: Count,
    /// What `bandwidth` slowed.
    pub throttled: ThrottledView,
    /// Its queries, if they are watched.
    pub queries: QueriesOfFrontend,
    /// TLS, where it is spoken.
    pub tls: TlsView,
    /// HTTP/2, where it is spoken.
    pub http2: Http2View,
}

/// HTTP/2 on one frontend.
#[derive(Debug, Serialize, Deserialize)]
pub struct Http2View {
    /// Connections that spoke it.
    pub connections: Count,
    /// Requests that have a stream now.
    pub streams: Count,
    /// Requests that were turned away unseen.
    pub refused: Count,
    /// Requests that their clients took back, or had reset.
    pub resets: Count,
    /// Connections ended because of too many of those.
    pub calmed: Count,
    /// Connections ended because their client broke the protocol.
    pub broken: Count,
}

/// What `bandwidth` slowed.
#[derive(Debug, Serialize, Deserialize)]
pub struct ThrottledView {
    /// Bodies of requests.
    pub bodies: Count,
    /// How long they waited, together.
    pub body_time: Span,
    /// Answers.
    pub answers: Count,
    /// How long they waited, together.
    pub answer_time: Span,
}

/// The queries of one frontend.
#[derive(Debug, Serialize, Deserialize)]
pub struct QueriesOfFrontend {
    /// Queries that run.
    pub running: Count,
    /// The most that ran at once.
    pub running_max: Count,
    /// Refused because `queries.max_running` ran.
    pub refused_all: Count,
    /// Refused because `queries.max_running_per_user` of their user ran.
    pub refused_user: Count,
    /// Refused because they have no lower bound of time.
    pub refused_unbounded: Count,
    /// Ended because they ran for `queries.max_time`.
    pub ended_by_time: Count,
    /// Ended by `haflux queries kill`.
    pub ended_by_order: Count,
    /// Took `queries.slow` or longer.
    pub slow: Count,
}

impl QueriesOfFrontend {
    /// Refused, for whatever reason.
    pub fn refused(&self) -> Count {
        Count(self.refused_all.0 + self.refused_user.0 + self.refused_unbounded.0)
    }

    /// Ended, for whatever reason.
    pub fn ended(&self) -> Count {
        Count(self.ended_by_time.0 + self.ended_by_order.0)
    }
}

/// TLS on one frontend.
#[derive(Debug, Serialize, Deserialize)]
pub struct TlsView {
    /// Handshakes that made a connection.
    pub handshakes: Count,
    /// Of those, the ones that went on with an earlier session.
    pub resumed: Count,
    /// Handshakes under way, with those that wait to begin.
    pub under_way: Count,
    /// Handshakes that made no connection.
    pub failures: HandshakeFailuresView,
    /// What clients are shown.
    pub certificates: Vec<CertificateView>,
    /// What authorities say of these.
    pub ocsp: Vec<StapleView>,
}

/// Handshakes that made no connection, by the reason.
#[derive(Debug, Serialize, Deserialize)]
pub struct HandshakeFailuresView {
    /// The client does not speak TLS.
    pub plain: Count,
    /// They did not come to their end in time.
    pub slow: Count,
    /// Too many others were under way.
    pub busy: Count,
    /// The client left.
    pub left: Count,
    /// Version, ciphers or what is inside are not spoken here.
    pub incompatible: Count,
    /// The client has no certificate, or none that is good.
    pub client_certificate: Count,
    /// The client turned the connection down.
    pub turned_down: Count,
    /// What the client sent was malformed.
    pub malformed: Count,
}

impl HandshakeFailuresView {
    /// All of them.
    pub fn all(&self) -> Count {
        let Self {
            plain,
            slow,
            busy,
            left,
            incompatible,
            client_certificate,
            turned_down,
            malformed,
        } = self;
        let all = [
            plain,
            slow,
            busy,
            left,
            incompatible,
            client_certificate,
            turned_down,
            malformed,
        ];
        Count(all.iter().map(|count| count.0).sum())
    }
}

/// TLS towards one server.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerTlsView {
    /// Whether new connections to it are inside TLS.
    pub is_spoken: bool,
    /// Handshakes that made a connection.
    pub handshakes: Count,
    /// Of those, the ones that went on with an earlier session.
    pub resumed: Count,
    /// Those that made none, by the reason.
    pub failures: ServerHandshakeFailuresView,
    /// What it is shown if it asks for a certificate: one at most.
    pub certificates: Vec<CertificateView>,
}

/// Handshakes with a server that made no connection, by the reason.
#[derive(Debug, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "`ServerHandshakeFailure` says what each of them is"
)]
pub struct ServerHandshakeFailuresView {
    pub unknown_authority: Count,
    pub expired: Count,
    pub wrong_name: Count,
    pub bad_certificate: Count,
    pub plain: Count,
    pub incompatible: Count,
    pub turned_down: Count,
    pub malformed: Count,
    pub left: Count,
    pub slow: Count,
}

impl ServerHandshakeFailuresView {
    /// All of them.
    pub fn all(&self) -> Count {
        let Self {
            unknown_authority,
            expired,
            wrong_name,
            bad_certificate,
            plain,
            incompatible,
            turned_down,
            malformed,
            left,
            slow,
        } = self;
        let all = [
            unknown_authority,
            expired,
            wrong_name,
            bad_certificate,
            plain,
            incompatible,
            turned_down,
            malformed,
            left,
            slow,
        ];
        Count(all.iter().map(|count| count.0).sum())
    }
}

/// A certificate that haflux shows.
#[derive(Debug, Serialize, Deserialize)]
pub struct CertificateView {
    /// Its file.
    pub file: String,
    /// The names of servers that it is made out to.
    pub names: Vec<String>,
    /// Its last second.
    pub not_after: Moment,
    /// How long it is valid still; nothing once it has expired.
    pub valid_for: Option<Span>,
}

/// What an authority says of a certificate (OCSP).
#[derive(Debug, Serialize, Deserialize)]
pub struct StapleView {
    /// The file of the certificate.
    pub certificate: String,
    /// The file of the response.
    pub file: String,
    /// Whether clients that ask are shown it now.
    pub stapled: bool,
    /// Until when it is good, if it says so.
    pub until: Option<Moment>,
    /// Why it is not shown.
    pub fault: Option<String>,
}

/// One backend, with its servers.
#[derive(Debug, Serialize, Deserialize)]
pub struct BackendView {
    /// Its name.
    pub name: String,
    /// `balance`, as the configuration says it.
    pub balance: String,
    /// Whether a request can be served now: some server with a weight is up.
    pub up: bool,
    /// How many of its servers take requests: they are up or not checked, and no order stands against it.
    pub servers_up: Count,
    /// How often its last server that was up went down.
    pub downs: Count,
    /// How long none of its servers was up, in all.
    pub down_for: Span,
    /// How long ago its first server went up, or its last one down.
    pub changed: Span,
    /// What passed it.
    pub traffic: TrafficView,
    /// Requests answered 503 because no server was up.
    pub no_server: Count,
    /// What the read barrier did, where a relay replicates to it.
    pub barrier: BarrierView,
    /// In the order of the configuration.
    pub servers: Vec<ServerView>,
}

/// What the read barrier of a backend did since the start.
#[derive(Debug, Serialize, Deserialize)]
pub struct BarrierView {
    /// Reads that wait for a fresh replica now.
    pub waiting: Count,
    /// The most that waited at once.
    pub waiting_max: Count,
    /// Reads that had to wait for a fresh replica.
    pub waits: Count,
    /// How long they waited, together; seconds when serialised.
    pub waited: Span,
    /// Reads answered by a replica that was not fresh.
    pub stale: Count,
    /// Reads answered 503 because no replica was fresh in time.
    pub rejected: Count,
    /// Answers that were thrown away because their replica was set back meanwhile.
    pub repeated: Count,
}

/// One server of a backend.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerView {
    /// Its name.
    pub name: String,
    /// Its address as configured.
    pub address: String,
    /// Up, down, not checked, or what a person ordered.
    pub status: Status,
    /// What a person ordered.
    pub admin: AdminState,
    /// Since when it is so.
    pub since: Moment,
    /// Why it is so.
    pub reason: String,
    /// Its weight now.
    pub weight: u32,
    /// Whether it is a backup.
    pub backup: bool,
    /// What passed it.
    pub traffic: TrafficView,
    /// Connections that were tried to be made.
    pub connects: Count,
    /// Requests that went over a connection that was idle.
    pub reuses: Count,
    /// Connections that could not be made.
    pub connect_errors: Count,
    /// Answers that broke off or never came.
    pub response_errors: Count,
    /// Times that it ended while it had a request.
    pub ends: Count,
    /// Requests that were moved to another server.
    pub redispatches: Count,
    /// The last check, if one was made.
    pub last_check: Option<CheckView>,
    /// Failed checks.
    pub check_failures: Count,
    /// Times it went from up to down.
    pub downs: Count,
    /// How long it was down, in all.
    pub down_for: Span,
    /// TLS towards it.
    pub tls: ServerTlsView,
}

impl ServerView {
    /// Its URL, without a path.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_spoken { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// The outcome of one health check.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckView {
    /// HAProxy's code.
    pub code: String,
    /// The HTTP status that it was answered with, if any.
    pub status: Option<u16>,
    /// When it ended.
    pub at: Moment,
    /// How long it took; seconds when serialised.
    pub took: Span,
    /// For a person: what was wrong.
    pub detail: String,
}

/// One relay, with its replicas.
#[derive(Debug, Serialize, Deserialize)]
pub struct RelayView {
    /// Its name.
    pub name: String,
    /// The pool it replicates to.
    pub pool: String,
    /// How many of its replicas are fresh.
    pub replicas_fresh: Count,
    /// How many nodes have what was written.
    pub spread: Spread,
    /// How far the replica is behind that is farthest behind, of those that follow.
    pub backlog: Bytes,
    /// Most bytes that are kept for a replica that is behind; past it, it is diverged. 0: not known.
    pub max_backlog: Bytes,
    /// How long a replica may be behind; past it, it is diverged. 0: not known.
    pub max_backlog_age: Span,
    /// What passed it.
    pub traffic: TrafficView,
    /// Sequence of the newest durable record.
    pub head: Count,
    /// Bytes of the journal's records up to the head, since its birth.
    pub head_offset: Bytes,
    /// How long writes waited from the end of their body until they were acknowledged.
    pub acknowledgement: HistogramReading,
    /// The same of the last writes.
    pub acknowledgement_last: LastTimesView,
    /// Records appended since the start.
    pub records: Count,
    /// Statements among them.
    pub statements: Count,
    /// Lines in them.
    pub lines: Count,
    /// Lines that were stamped.
    pub stamped_lines: Count,
    /// Writes acknowledged.
    pub acknowledged: Count,
    /// Writes answered with a refusal of the replicas.
    pub refused: Count,
    /// Writes turned away before the append.
    pub rejected: Count,
    /// Questions to nodes about credentials that no node had accepted lately.
    pub judged: Count,
    /// Requests answered with a node's refusal of their credentials.
    pub judged_refused: Count,
    /// Requests turned away because too many waited to be judged.
    pub judging_overflows: Count,
    /// Accepted credentials that found no room to be remembered.
    pub known_overflows: Count,
    /// Statements under way or waiting.
    pub statements_open: Count,
    /// Statements turned away because too many were under way.
    pub statements_overflows: Count,
    /// Writes whose policy was not met in time.
    pub timeouts: Count,
    /// Records that one replica refused for good while another accepted them.
    pub dead_letters: Count,
    /// Dead letters that nobody has settled.
    pub open_dead_letters: Count,
    /// Most dead letters that are kept.
    pub dead_letter_limit: Count,
    /// Refused records that are remembered, because a replica may still be sent them.
    pub pending_refusals: Count,
    /// Whether refusals cannot be put on disk, so that cursors are not saved.
    pub refusals_unwritten: bool,
    /// Tasks that failed and were begun again.
    pub failed_tasks: Count,
    /// Answers to statements that went to their clients while they came.
    pub streamed_answers: Count,
    /// Of those, answers whose client was too slow and was given up.
    pub slow_answers: Count,
    /// Bytes of such answers that wait for their clients now.
    pub answer_buffer: Bytes,
    /// The most bytes that waited at once.
    pub answer_buffer_max: Bytes,
    /// Bytes of long refusals that are held for clients now.
    pub refusal_texts: Bytes,
    /// The most bytes of them at once.
    pub refusal_texts_max: Bytes,
    /// Bytes of bodies held for clients now.
    pub inflight: Bytes,
    /// The most bytes held at once.
    pub inflight_max: Bytes,
    /// Bodies that waited for room.
    pub inflight_waits: Count,
    /// Bodies that were refused for want of room.
    pub inflight_refused: Count,
    /// Lines that were made ones that every node refuses, because they would harm it.
    pub defused_lines: Count,
    /// Records that waited for a mend.
    pub gate_waits: Count,
    /// Comparisons of its nodes.
    pub compared: ComparedView,
    /// Runs of continuous queries that nodes missed.
    pub missed_runs: MissedRunsView,
    /// The comparison, mend or rebuild that was begun last; nothing since the start if none was.
    pub work: Option<WorkView>,
    /// Its journal.
    pub journal: JournalView,
    /// In the order of the pool's servers.
    pub replicas: Vec<ReplicaView>,
}

impl RelayView {
    /// The comparison, mend or rebuild that is under way.
    pub fn work_under_way(&self) -> Option<&WorkView> {
        self.work.as_ref().filter(|work| work.running)
    }

    /// Whether its nodes differed when they were compared last.
    pub fn differs(&self) -> bool {
        self.compared
            .differences
            .is_some_and(|differences| !differences.is_zero())
    }

    /// Which node runs which release of InfluxDB; nothing if they do not differ.
    pub fn differing_releases(&self) -> Option<String> {
        let nodes = self.replicas.iter();
        releases::differing(nodes.map(|node| (node.name.clone(), node.version.clone())))
    }
}

/// Comparisons of a relay's nodes.
#[derive(Debug, Serialize, Deserialize)]
pub struct ComparedView {
    /// One is under way.
    pub running: bool,
    /// When the last one ended that compared all nodes; nothing if there was none.
    pub last: Option<Moment>,
    /// How many differences it found.
    pub differences: Option<Count>,
    /// Why the last one that haflux began by itself has not compared everything; nothing once one has.
    pub failed: Option<String>,
}

/// Runs of continuous queries that nodes missed.
#[derive(Debug, Serialize, Deserialize)]
pub struct MissedRunsView {
    /// Those that were made up for.
    pub done: Count,
    /// Those that a node refused.
    pub failed: Count,
}

/// A comparison, a mend or a rebuild of a relay's nodes.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkView {
    /// `compare`, `mend` or `rebuild`.
    pub name: String,
    /// The replica that a rebuild fills.
    pub target: Option<String>,
    /// It is under way.
    pub running: bool,
    /// When it began.
    pub began: Moment,
    /// What it is at, or was last, for a person.
    pub step: String,
    /// Why it did not come to its end; nothing if it did, was cancelled, or is under way.
    pub failed: Option<String>,
    /// Slices that are done in this pass over the data.
    pub slices_done: Count,
    /// All of them, as far as they are known.
    pub slices: Count,
    /// How many of a hundred are done; nothing while none are known.
    pub percent: Option<Count>,
    /// Points that were copied or written, and rows that were read to compare.
    pub points: Count,
    /// The same a second: of the last ten seconds, or of the whole when it is over.
    pub points_per_second: Count,
    /// Bytes that were read from nodes.
    pub bytes: Bytes,
    /// The same a second.
    pub bytes_per_second: Bytes,
    /// How long this pass takes on at its pace; nothing while that cannot be told.
    pub left: Option<Span>,
    /// Differences that were found.
    pub differences: Count,
}

impl WorkView {
    /// How it stands, in one line.
    pub fn line(&self) -> String {
        let figures = WorkFigures {
            slices: (self.slices_done.0, self.slices.0),
            percent: self.percent.map(u64::from),
            points: self.points.0,
            points_per_second: self.points_per_second.0,
            bytes: self.bytes.0,
            bytes_per_second: self.bytes_per_second.0,
            seconds_left: self.left.map(|left| left.0.as_secs()),
        };
        figures.line(&self.step)
    }
}

/// The journal of a relay, as far as its disk is concerned.
#[derive(Debug, Serialize, Deserialize)]
pub struct JournalView {
    /// New records are taken: the disk is not full, ill or gone.
    pub takes_records: bool,
    /// Bytes of its files.
    pub on_disk: Bytes,
    /// Bytes that are free on its file system; nothing while that is not known.
    pub disk_free: Option<Bytes>,
    /// Failures of the disk since the start.
    pub errors: Count,
    /// What failed last, if anything did.
    pub last_error: Option<ErrorView>,
}

/// One replica of a relay.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReplicaView {
    /// The server's name.
    pub name: String,
    /// The release of InfluxDB that it named last; nothing before its first answer.
    pub version: Option<String>,
    /// Fresh, lagging or down.
    pub status: Status,
    /// Since when it is so.
    pub since: Moment,
    /// Whether something that it was sent and did not answer may still be carried out, or is to be sent again for it.
    pub in_doubt: bool,
    /// Every record up to this sequence has a verdict here.
    pub cursor: Count,
    /// Bytes of the journal's records up to the cursor, since its birth.
    pub cursor_offset: Bytes,
    /// How far it is behind.
    pub lag: LagView,
    /// Requests sent.
    pub requests: Count,
    /// Requests that must be sent again.
    pub retries: Count,
    /// Requests that were larger than it takes.
    pub too_large: Count,
    /// Bytes of a request that it is sent at once since it refused a larger one; 0 while it has not.
    pub request_limit: Bytes,
    /// Records applied.
    pub applied: Count,
    /// Records refused for good.
    pub refused: Count,
    /// Records whose points were too old for their retention policy.
    pub expired: Count,
    /// Records that ended without a verdict and are tried again.
    pub tried: Count,
    /// Records that were set aside because they ended without a verdict too often, or by a person.
    pub set_aside: Count,
    /// What went wrong last, if anything did.
    pub last_error: Option<ErrorView>,
    /// Its lanes.
    pub lanes: LanesView,
}

/// The lanes of a replica, one for each database of which records were read for it and have no verdict.
#[derive(Debug, Serialize, Deserialize)]
pub struct LanesView {
    /// How many there are.
    pub waiting: Count,
    /// Those whose oldest record has waited longest, the slowest first; the others are not shown.
    pub slowest: Vec<LaneView>,
}

/// One lane of a replica.
#[derive(Debug, Serialize, Deserialize)]
pub struct LaneView {
    /// The database.
    pub database: String,
    /// Records of it that were read and have no verdict.
    pub records: Count,
    /// Of those, the ones in the request that is under way.
    pub under_way: Count,
    /// Since when the oldest one has waited.
    pub since: Moment,
    /// Whether the oldest one is tried again and again, because the replica does not take it as things are.
    pub held: bool,
}

/// One UDP listener.
#[derive(Debug, Serialize, Deserialize)]
pub struct UdpView {
    /// Its address.
    pub bind: String,
    /// The relay that it writes to.
    pub relay: String,
    /// The database of its lines.
    pub database: String,
    /// Datagrams received.
    pub packets: Count,
    /// Bytes in them.
    pub bytes: Bytes,
    /// Lines that were kept.
    pub lines: Count,
    /// Lines that were not kept.
    pub refused_lines: Count,
    /// Datagrams with lines that the journal did not take.
    pub dropped_packets: Count,
    /// Datagrams that the kernel dropped.
    pub kernel_drops: Count,
    /// Reads that failed.
    pub read_errors: Count,
    /// Records appended.
    pub records: Count,
    /// Nodes that refuse its lines for want of credentials or rights.
    pub refusing_nodes: Count,
}

/// How far a replica is behind the head.
#[derive(Debug, Serialize, Deserialize)]
pub struct LagView {
    /// Records without a verdict.
    pub records: Count,
    /// Their bytes in the journal.
    pub bytes: Bytes,
    /// How long the oldest of them has waited.
    pub seconds: Span,
    /// How long it will take to catch up at the pace of the last seconds; nothing when that cannot be said.
    pub catch_up: Option<Span>,
}

impl LagView {
    /// Whether nothing is behind.
    pub fn is_zero(&self) -> bool {
        self.records.is_zero() && self.bytes.is_zero() && self.seconds.is_zero()
    }
}

/// What went wrong, and when.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorView {
    /// When.
    pub at: Moment,
    /// What.
    pub text: String,
}

/// A state of a server or a replica: the word that is shown, and how it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A server that is checked and well.
    Up,
    /// A server that is checked and not well, or a replica that cannot be reached.
    Down,
    /// A server that is not checked.
    NoCheck,
    /// A server that a person has taken out of service; what is under way is finished.
    Drain,
    /// A server, or a replica, to which nothing is sent because a person ordered so.
    Maint,
    /// A replica that has applied everything.
    Fresh,
    /// A replica that is applying what it missed.
    Lagging,
    /// Missed records for good, or is not the node it was.
    Diverged,
}

impl Status {
    /// Its word for a program, as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Up => "up",
            Status::Down => "down",
            Status::NoCheck => "no_check",
            Status::Drain => "drain",
            Status::Maint => "maint",
            Status::Fresh => "fresh",
            Status::Lagging => "lagging",
            Status::Diverged => "diverged",
        }
    }

    /// The word for a person.
    pub fn word(self) -> &'static str {
        match self {
            Status::Up => "UP",
            Status::Down => "DOWN",
            Status::NoCheck => "no check",
            Status::Drain => "DRAIN",
            Status::Maint => "MAINT",
            Status::Fresh => "fresh",
            Status::Lagging => "lagging",
            Status::Diverged => "DIVERGED",
        }
    }

    /// Whether a server in this state takes new requests.
    pub fn takes_requests(self) -> bool {
        matches!(self, Status::Up | Status::NoCheck)
    }

    /// How it is meant: `good`, `warn`, `bad` or `idle`; the page's colours go by these names.
    pub fn mood(self) -> &'static str {
        match self {
            Status::Up | Status::Fresh => "good",
            Status::Lagging | Status::Drain | Status::Maint => "warn",
            Status::Down | Status::Diverged => "bad",
            Status::NoCheck => "idle",
        }
    }
}

impl From<ServerStatus> for Status {
    fn from(status: ServerStatus) -> Self {
        match status {
            ServerStatus::Up => Status::Up,
            ServerStatus::Down => Status::Down,
            ServerStatus::NoCheck => Status::NoCheck,
            ServerStatus::Drain => Status::Drain,
            ServerStatus::Maint => Status::Maint,
        }
    }
}

impl From<ReplicaStatus> for Status {
    fn from(status: ReplicaStatus) -> Self {
        match status {
            ReplicaStatus::Fresh => Status::Fresh,
            ReplicaStatus::Lagging => Status::Lagging,
            ReplicaStatus::Down => Status::Down,
            ReplicaStatus::Maint => Status::Maint,
            ReplicaStatus::Diverged => Status::Diverged,
        }
    }
}
