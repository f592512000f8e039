//! Reading the counters into a [`Snapshot`].

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::stats::counters::{
    BackendStats, FrontendStats, Gauge, JournalStats, LogStats, RelayStats, ReplicaStats,
    ServerStats, Stats, Traffic, UdpStats,
};

/// The longest text of an error or a check that is shown, in characters; what follows is cut off with an ellipsis.
const LONGEST_TEXT: usize = 400;

impl Snapshot {
    /// Reads all counters. Ages are seen from `now`.
    pub fn take(stats: &Stats, now: SystemTime) -> Self {
        Snapshot {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            now: Moment::new(now, now),
            started: Moment::new(stats.started, now),
            query_inflight: Bytes(stats.query_inflight.held.get()),
            query_inflight_max: Bytes(stats.query_inflight.held.highest()),
            query_inflight_waits: Count(stats.query_inflight.waits.get()),
            query_inflight_refused: Count(stats.query_inflight.refused.get()),
            queries_refused: Count(stats.queries_refused.get()),
            log: log(&stats.log),
            frontends: stats.frontends.iter().map(|f| frontend(f)).collect(),
            relays: stats.relays.iter().map(|r| relay(r, now)).collect(),
            backends: stats.backends.iter().map(|b| backend(b, now)).collect(),
            udp: stats.udp.iter().map(|u| udp(u)).collect(),
        }
    }

    /// How many servers of all backends are down.
    pub fn servers_down(&self) -> Count {
        let servers = self.backends.iter().flat_map(|backend| &backend.servers);
        count(servers.filter(|server| server.status == Status::Down))
    }

    /// How many replicas of all relays are not fresh.
    pub fn replicas_behind(&self) -> Count {
        let replicas = self.relays.iter().flat_map(|relay| &relay.replicas);
        count(replicas.filter(|replica| replica.status != Status::Fresh))
    }

    /// Journals that take nothing new.
    pub fn journals_refusing(&self) -> Count {
        count(
            self.relays
                .iter()
                .filter(|relay| !relay.journal.takes_records),
        )
    }

    /// Relays that cannot put refusals on disk.
    pub fn refusals_unwritten(&self) -> Count {
        let unwritten = self.relays.iter().filter(|relay| relay.refusals_unwritten);
        Count(unwritten.count() as u64)
    }

    /// Dead letters of all relays.
    pub fn dead_letters(&self) -> Count {
        Count(self.relays.iter().map(|relay| relay.dead_letters.0).sum())
    }

    /// Records that replicas leave without a verdict.
    pub fn records_tried(&self) -> Count {
        let replicas = self.relays.iter().flat_map(|relay| &relay.replicas);
        Count(replicas.map(|replica| replica.tried.0).sum())
    }

    /// Backends that can serve nothing now.
    pub fn backends_down(&self) -> Count {
        count(self.backends.iter().filter(|backend| !backend.up))
    }
}

fn log(stats: &LogStats) -> LogView {
    let targets = stats.targets.iter().map(|target| LogTargetView {
        to: target.to.clone(),
        dropped: Count(target.dropped.get()),
    });
    LogView {
        held_back: Count(stats.held_back.get()),
        targets: targets.collect(),
    }
}

fn frontend(stats: &FrontendStats) -> FrontendView {
    FrontendView {
        name: stats.name.clone(),
        bind: stats.bind.clone(),
        traffic: traffic(&stats.traffic),
        request_errors: Count(stats.request_errors.get()),
        malformed_requests: Count(stats.malformed_requests.get()),
        slow_requests: Count(stats.slow_requests.get()),
        source_limit: Count(stats.source_limit.get()),
    }
}

fn backend(stats: &BackendStats, now: SystemTime) -> BackendView {
    let servers: Vec<ServerView> = stats.servers.iter().map(|s| server(s, now)).collect();
    let running = || servers.iter().filter(|s| s.status != Status::Down);
    BackendView {
        name: stats.name.clone(),
        balance: stats.balance.clone(),
        up: running().any(|server| server.weight > 0),
        servers_up: count(running()),
        traffic: traffic(&stats.traffic),
        no_server: Count(stats.no_server.get()),
        barrier: BarrierView {
            waits: Count(stats.barrier.waits.get()),
            waited: Span(Duration::from_micros(stats.barrier.waited_micros.get())),
            stale: Count(stats.barrier.stale.get()),
            rejected: Count(stats.barrier.rejected.get()),
            repeated: Count(stats.barrier.repeated.get()),
        },
        servers,
    }
}

fn server(stats: &ServerStats, now: SystemTime) -> ServerView {
    let state = stats.state.load();
    ServerView {
        name: stats.name.clone(),
        address: stats.address.clone(),
        status: state.status.into(),
        since: Moment::new(state.since, now),
        reason: clip(&state.reason),
        weight: stats.weight,
        backup: stats.backup,
        traffic: traffic(&stats.traffic),
        connect_errors: Count(stats.connect_errors.get()),
        response_errors: Count(stats.response_errors.get()),
        ends: Count(stats.ends.get()),
        redispatches: Count(stats.redispatches.get()),
        last_check: stats.last_check.load().as_deref().map(|check| CheckView {
            code: check.code,
            at: Moment::new(check.at, now),
            took: Span(check.took),
            detail: clip(&check.detail),
        }),
        check_failures: Count(stats.check_failures.get()),
        downs: Count(stats.downs.get()),
    }
}

fn relay(stats: &RelayStats, now: SystemTime) -> RelayView {
    let replicas: Vec<ReplicaView> = stats
        .replicas
        .iter()
        .map(|replica_stats| replica(replica_stats, stats, now))
        .collect();
    RelayView {
        name: stats.name.clone(),
        pool: stats.pool.clone(),
        replicas_fresh: count(replicas.iter().filter(|r| r.status == Status::Fresh)),
        traffic: traffic(&stats.traffic),
        head: Count(stats.head.get()),
        records: Count(stats.records.get()),
        lines: Count(stats.lines.get()),
        statements: Count(stats.statements.get()),
        stamped_lines: Count(stats.stamped_lines.get()),
        acknowledged: Count(stats.acknowledged.get()),
        refused: Count(stats.refused.get()),
        rejected: Count(stats.rejected.get()),
        judged: Count(stats.judged.get()),
        judged_refused: Count(stats.judged_refused.get()),
        judging_overflows: Count(stats.judging_overflows.get()),
        known_overflows: Count(stats.known_overflows.get()),
        statements_open: Count(stats.statements_open.get()),
        statements_overflows: Count(stats.statements_overflows.get()),
        timeouts: Count(stats.timeouts.get()),
        dead_letters: Count(stats.dead_letters.get()),
        pending_refusals: Count(stats.pending_refusals.get()),
        refusals_unwritten: stats.unwritten_refusals.get() > 0,
        inflight: Bytes(stats.inflight.held.get()),
        inflight_max: Bytes(stats.inflight.held.highest()),
        inflight_waits: Count(stats.inflight.waits.get()),
        inflight_refused: Count(stats.inflight.refused.get()),
        defused_lines: Count(stats.defused_lines.get()),
        failed_tasks: Count(stats.failed_tasks.get()),
        streamed_answers: Count(stats.streamed_answers.get()),
        slow_answers: Count(stats.slow_answers.get()),
        answer_buffer: Bytes(stats.answer_buffer.get()),
        answer_buffer_max: Bytes(stats.answer_buffer.highest()),
        refusal_texts: Bytes(stats.refusal_texts.get()),
        refusal_texts_max: Bytes(stats.refusal_texts.highest()),
        journal: journal(&stats.journal, now),
        replicas,
    }
}

fn journal(stats: &JournalStats, now: SystemTime) -> JournalView {
    JournalView {
        takes_records: !stats.refuses.load(Ordering::Relaxed),
        on_disk: Bytes(stats.on_disk.get()),
        errors: Count(stats.errors.get()),
        last_error: stats
            .last_error
            .load()
            .as_deref()
            .map(|error| error_view(error, now)),
    }
}

fn error_view((at, text): &(SystemTime, String), now: SystemTime) -> ErrorView {
    ErrorView {
        at: Moment::new(*at, now),
        text: clip(text),
    }
}

fn replica(stats: &ReplicaStats, relay: &RelayStats, now: SystemTime) -> ReplicaView {
    let state = stats.state.load();
    let in_doubt = stats.in_doubt.get() != 0;
    // The replica's position is read before the head: in between the head can only grow, so the lag is never too small.
    let cursor = stats.cursor.get();
    let cursor_offset = stats.cursor_offset.get();
    ReplicaView {
        name: stats.name.clone(),
        status: state.status.into(),
        since: Moment::new(state.since, now),
        in_doubt,
        cursor: Count(cursor),
        lag: LagView {
            records: Count(relay.records_above(cursor)),
            bytes: Bytes(relay.head_offset.get().saturating_sub(cursor_offset)),
            seconds: Span(waiting_since(&stats.oldest_pending, now)),
            catch_up: match stats.catch_up.get() {
                0 => None,
                left => Some(Span(Duration::from_millis(left))),
            },
        },
        requests: Count(stats.requests.get()),
        retries: Count(stats.retries.get()),
        too_large: Count(stats.too_large.get()),
        request_limit: Bytes(stats.request_limit.get()),
        applied: Count(stats.applied.get()),
        refused: Count(stats.refused.get()),
        expired: Count(stats.expired.get()),
        tried: Count(stats.tried.get()),
        set_aside: Count(stats.set_aside.get()),
        last_error: stats
            .last_error
            .load()
            .as_deref()
            .map(|error| error_view(error, now)),
    }
}

fn udp(stats: &UdpStats) -> UdpView {
    UdpView {
        bind: stats.bind.clone(),
        relay: stats.relay.clone(),
        database: stats.database.clone(),
        packets: Count(stats.packets.get()),
        bytes: Bytes(stats.bytes.get()),
        lines: Count(stats.lines.get()),
        refused_lines: Count(stats.refused_lines.get()),
        dropped_packets: Count(stats.dropped_packets.get()),
        kernel_drops: Count(stats.kernel_drops.get()),
        read_errors: Count(stats.read_errors.get()),
        records: Count(stats.records.get()),
    }
}

fn traffic(stats: &Traffic) -> TrafficView {
    let class = |class| Count(stats.responses.of_class(class));
    TrafficView {
        sessions: SessionsView {
            current: Count(stats.sessions.get()),
            max: Count(stats.sessions.highest()),
            total: Count(stats.sessions_total.get()),
        },
        requests: Count(stats.requests.get()),
        responses: ResponsesView {
            informational: class(1),
            successful: class(2),
            redirections: class(3),
            client_errors: class(4),
            server_errors: class(5),
            other: class(0),
        },
        bytes_in: Bytes(stats.bytes_in.get()),
        bytes_out: Bytes(stats.bytes_out.get()),
    }
}

/// How long ago the moment in `unix_milliseconds` was; none when it is 0, which stands for "nothing waits".
fn waiting_since(unix_milliseconds: &Gauge, now: SystemTime) -> Duration {
    match unix_milliseconds.get() {
        0 => Duration::ZERO,
        milliseconds => UNIX_EPOCH
            .checked_add(Duration::from_millis(milliseconds))
            .and_then(|at| now.duration_since(at).ok())
            .unwrap_or_default(),
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> Count {
    Count(items.count().try_into().unwrap_or(u64::MAX))
}

/// A server's error text may be as long as the server likes; a view stays small.
fn clip(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
