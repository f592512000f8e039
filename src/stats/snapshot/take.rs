//! Reading the counters into a [`Snapshot`].
//!
//! Each function takes its counters apart without a `..`: a counter that no view shows does not compile.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::shown;
use crate::stats::counters::{
    BackendStats, BarrierStats, BudgetStats, ComparedStats, FrontendStats, Gauge, JournalStats,
    LaneReading, LanesReading, LogStats, LogTargetStats, RelayStats, ReplicaStats, RequestTimes,
    ServerStats, Stats, ThrottleStats, Traffic, UdpStats,
};
use crate::stats::http2::Http2Stats;
use crate::stats::queries::QueryStats;
use crate::stats::times::{Average, Percentiles};
use crate::stats::tls::{
    CertificateStats, HandshakeFailure, ServerHandshakeFailure, ServerTlsStats, StapleStats,
    TlsStats,
};
use crate::stats::work::{WorkFigures, WorkStats};

/// The longest text of an error or a check that is shown, in characters; what follows is cut off with an ellipsis.
const LONGEST_TEXT: usize = 400;

impl Snapshot {
    /// Reads all counters. Ages are seen from `now`.
    pub fn take(stats: &Stats, now: SystemTime) -> Self {
        let Stats {
            started,
            frontends,
            backends,
            relays,
            udp,
            query_inflight,
            queries_refused,
            query_table,
            log,
        } = stats;
        let BudgetStats {
            held,
            waits,
            refused,
        } = &**query_inflight;
        let relays: Vec<RelayView> = relays.iter().map(|r| relay(r, now)).collect();
        let mut all = Snapshot {
            problems: Vec::new(),
            notices: Vec::new(),
            spread: relays.iter().map(|relay| relay.spread).sum(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            process: ProcessView::read(),
            now: Moment::new(now, now),
            started: Moment::new(*started, now),
            query_inflight: Bytes(held.get()),
            query_inflight_max: Bytes(held.highest()),
            query_inflight_waits: Count(waits.get()),
            query_inflight_refused: Count(refused.get()),
            queries_refused: Count(queries_refused.get()),
            query_fingerprints: Count(query_table.len() as u64),
            query_fingerprints_left_out: Count(query_table.left_out.get()),
            query_kills: Count(query_table.kills.get()),
            log: log_view(log),
            frontends: frontends.iter().map(|f| frontend(f, now)).collect(),
            relays,
            backends: backends.iter().map(|b| backend(b, now)).collect(),
            udp: udp.iter().map(|listener| udp_listener(listener)).collect(),
        };
        all.problems = problems::of(&all);
        all.notices = notices::of(&all);
        all
    }

    /// How many servers the backends have.
    pub fn servers(&self) -> Count {
        count(self.backends.iter().flat_map(|backend| &backend.servers))
    }

    /// How many of them are up or not checked.
    pub fn servers_up(&self) -> Count {
        Count(self.backends.iter().map(|one| one.servers_up.0).sum())
    }

    /// Backends that can serve.
    pub fn backends_up(&self) -> Count {
        count(self.backends.iter().filter(|backend| backend.up))
    }
}

fn log_view(stats: &LogStats) -> LogView {
    let LogStats { held_back, targets } = stats;
    LogView {
        held_back: Count(held_back.get()),
        targets: targets.iter().map(|target| log_target(target)).collect(),
    }
}

fn log_target(stats: &LogTargetStats) -> LogTargetView {
    let LogTargetStats { to, dropped } = stats;
    LogTargetView {
        to: to.clone(),
        dropped: Count(dropped.get()),
    }
}

fn frontend(stats: &FrontendStats, now: SystemTime) -> FrontendView {
    let FrontendStats {
        name,
        bind,
        session_limit,
        traffic,
        intercepted,
        request_errors,
        malformed_requests,
        slow_requests,
        source_limit,
        tls,
        http2,
        denied_connections,
        denied_requests,
        tarpitted,
        tarpit_overflows,
        proxy_header_errors,
        auth_refusals,
        auth_limited,
        rule_refusals,
        rate_limited,
        throttled,
        queries,
    } = stats;
    FrontendView {
        name: name.clone(),
        bind: bind.clone(),
        session_limit: Count(*session_limit),
        traffic: traffic_view(traffic),
        intercepted: Count(intercepted.get()),
        request_errors: Count(request_errors.get()),
        malformed_requests: Count(malformed_requests.get()),
        slow_requests: Count(slow_requests.get()),
        source_limit: Count(source_limit.get()),
        denied_connections: Count(denied_connections.get()),
        denied_requests: Count(denied_requests.get()),
        tarpitted: Count(tarpitted.get()),
        tarpit_overflows: Count(tarpit_overflows.get()),
        proxy_header_errors: Count(proxy_header_errors.get()),
        auth_refusals: Count(auth_refusals.get()),
        auth_limited: Count(auth_limited.get()),
        rule_refusals: Count(rule_refusals.get()),
        rate_limited: Count(rate_limited.get()),
        throttled: throttled_view(throttled),
        queries: queries_of_frontend(queries),
        tls: tls_view(tls, now),
        http2: http2_view(http2),
    }
}

fn http2_view(stats: &Http2Stats) -> Http2View {
    let Http2Stats {
        connections,
        streams,
        refused,
        resets,
        calmed,
        broken,
    } = stats;
    Http2View {
        connections: Count(connections.get()),
        streams: Count(streams.get()),
        refused: Count(refused.get()),
        resets: Count(resets.get()),
        calmed: Count(calmed.get()),
        broken: Count(broken.get()),
    }
}

fn throttled_view(stats: &ThrottleStats) -> ThrottledView {
    let ThrottleStats {
        bodies,
        body_micros,
        answers,
        answer_micros,
    } = stats;
    ThrottledView {
        bodies: Count(bodies.get()),
        body_time: Span(Duration::from_micros(body_micros.get())),
        answers: Count(answers.get()),
        answer_time: Span(Duration::from_micros(answer_micros.get())),
    }
}

fn queries_of_frontend(stats: &QueryStats) -> QueriesOfFrontend {
    let QueryStats {
        running,
        refused_all,
        refused_user,
        refused_unbounded,
        ended_by_time,
        ended_by_order,
        slow,
    } = stats;
    QueriesOfFrontend {
        running: Count(running.get()),
        running_max: Count(running.highest()),
        refused_all: Count(refused_all.get()),
        refused_user: Count(refused_user.get()),
        refused_unbounded: Count(refused_unbounded.get()),
        ended_by_time: Count(ended_by_time.get()),
        ended_by_order: Count(ended_by_order.get()),
        slow: Count(slow.get()),
    }
}

fn tls_view(stats: &TlsStats, now: SystemTime) -> TlsView {
    let failures = |failure| Count(stats.failures(failure));
    let certificates = stats.certificates.load();
    let certificate = |one| certificate_view(one, now);
    let staples = stats.staples.load();
    TlsView {
        handshakes: Count(stats.handshakes.get()),
        resumed: Count(stats.resumed.get()),
        under_way: Count(stats.under_way.get()),
        failures: HandshakeFailuresView {
            plain: failures(HandshakeFailure::Plain),
            slow: failures(HandshakeFailure::Slow),
            busy: failures(HandshakeFailure::Busy),
            left: failures(HandshakeFailure::Left),
            incompatible: failures(HandshakeFailure::Incompatible),
            client_certificate: failures(HandshakeFailure::ClientCertificate),
            turned_down: failures(HandshakeFailure::TurnedDown),
            malformed: failures(HandshakeFailure::Malformed),
        },
        certificates: certificates.iter().map(certificate).collect(),
        ocsp: staples.iter().map(|one| staple_view(one, now)).collect(),
    }
}

fn staple_view(stats: &StapleStats, now: SystemTime) -> StapleView {
    let StapleStats {
        certificate,
        file,
        good,
        fault,
    } = stats;
    let moment = |at| Moment::new(at, now);
    let out_of_time = good.and_then(|(from, until)| match until {
        Some(until) if until <= now => Some(format!("it was good until {}", moment(until))),
        _ if from > now => Some(format!("it is good from {} on", moment(from))),
        _ => None,
    });
    let fault = fault.clone().or(out_of_time);
    StapleView {
        certificate: certificate.clone(),
        file: file.clone(),
        stapled: fault.is_none(),
        until: good.and_then(|(_, until)| until).map(moment),
        fault,
    }
}

fn certificate_view(stats: &CertificateStats, now: SystemTime) -> CertificateView {
    let CertificateStats {
        file,
        names,
        not_after,
    } = stats;
    CertificateView {
        file: file.clone(),
        names: names.clone(),
        not_after: Moment::new(*not_after, now),
        valid_for: not_after.duration_since(now).ok().map(Span),
    }
}

fn backend(stats: &BackendStats, now: SystemTime) -> BackendView {
    let BackendStats {
        name,
        balance,
        traffic,
        no_server,
        outages,
        barrier,
        servers,
    } = stats;
    let servers: Vec<ServerView> = servers.iter().map(|s| server(s, now)).collect();
    let running = || servers.iter().filter(|s| s.status.takes_requests());
    let outages = outages.read();
    BackendView {
        name: name.clone(),
        balance: balance.clone(),
        up: running().any(|server| server.weight > 0),
        servers_up: count(running()),
        downs: Count(outages.count),
        down_for: Span(outages.time),
        changed: Span(outages.since_change),
        traffic: traffic_view(traffic),
        no_server: Count(no_server.get()),
        barrier: barrier_view(barrier),
        servers,
    }
}

fn barrier_view(stats: &BarrierStats) -> BarrierView {
    let BarrierStats {
        waiting,
        waits,
        waited_micros,
        stale,
        rejected,
        repeated,
    } = stats;
    BarrierView {
        waiting: Count(waiting.get()),
        waiting_max: Count(waiting.highest()),
        waits: Count(waits.get()),
        waited: Span(Duration::from_micros(waited_micros.get())),
        stale: Count(stale.get()),
        rejected: Count(rejected.get()),
        repeated: Count(repeated.get()),
    }
}

fn server(stats: &ServerStats, now: SystemTime) -> ServerView {
    let ServerStats {
        name,
        address,
        weight,
        backup,
        traffic,
        connects,
        reuses,
        connect_errors,
        response_errors,
        ends,
        redispatches,
        state,
        check_failures,
        outages,
        last_check,
        tls,
    } = stats;
    let state = state.load();
    let outages = outages.read();
    ServerView {
        name: name.clone(),
        address: address.clone(),
        status: state.status.into(),
        admin: state.admin,
        since: Moment::new(state.since, now),
        reason: clip(&state.reason),
        weight: weight.load(Ordering::Relaxed),
        backup: *backup,
        traffic: traffic_view(traffic),
        connects: Count(connects.get()),
        reuses: Count(reuses.get()),
        connect_errors: Count(connect_errors.get()),
        response_errors: Count(response_errors.get()),
        ends: Count(ends.get()),
        redispatches: Count(redispatches.get()),
        last_check: last_check.load().as_deref().map(|check| CheckView {
            code: check.code.to_owned(),
            status: check.status,
            at: Moment::new(check.at, now),
            took: Span(check.took),
            detail: clip(&check.detail),
        }),
        check_failures: Count(check_failures.get()),
        downs: Count(outages.count),
        down_for: Span(outages.time),
        tls: server_tls_view(tls, now),
    }
}

fn server_tls_view(stats: &ServerTlsStats, now: SystemTime) -> ServerTlsView {
    use ServerHandshakeFailure as Failure;
    let failures = |failure| Count(stats.failures(failure));
    let certificate = stats.certificate.load();
    ServerTlsView {
        is_spoken: stats.is_spoken.load(Ordering::Relaxed),
        handshakes: Count(stats.handshakes.get()),
        resumed: Count(stats.resumed.get()),
        failures: ServerHandshakeFailuresView {
            unknown_authority: failures(Failure::UnknownAuthority),
            expired: failures(Failure::Expired),
            wrong_name: failures(Failure::WrongName),
            bad_certificate: failures(Failure::BadCertificate),
            plain: failures(Failure::Plain),
            incompatible: failures(Failure::Incompatible),
            turned_down: failures(Failure::TurnedDown),
            malformed: failures(Failure::Malformed),
            left: failures(Failure::Left),
            slow: failures(Failure::Slow),
        },
        certificates: certificate
            .iter()
            .map(|one| certificate_view(one, now))
            .collect(),
    }
}

fn relay(stats: &RelayStats, now: SystemTime) -> RelayView {
    let RelayStats {
        name,
        pool,
        traffic,
        head,
        head_offset,
        jumps: _,
        max_backlog,
        max_backlog_age,
        dead_letter_limit,
        acknowledgement,
        inflight,
        defused_lines,
        gate_waits,
        records,
        statements,
        lines,
        stamped_lines,
        acknowledged,
        refused,
        rejected,
        judged,
        judged_refused,
        judging_overflows,
        known_overflows,
        statements_open,
        statements_overflows,
        timeouts,
        dead_letters,
        open_dead_letters,
        pending_refusals,
        unwritten_refusals,
        failed_tasks,
        streamed_answers,
        slow_answers,
        answer_buffer,
        refusal_texts,
        compared,
        missed_runs,
        work,
        journal,
        replicas,
    } = stats;
    let replicas: Vec<ReplicaView> = replicas
        .iter()
        .map(|replica_stats| replica(replica_stats, stats, now))
        .collect();
    let following = || replicas.iter().filter(|r| r.status != Status::Diverged);
    let open_dead_letters = Count(open_dead_letters.get());
    RelayView {
        spread: Spread::of(
            &replicas,
            head.get(),
            head_offset.get(),
            open_dead_letters,
            |above, last| stats.records_between(above, last),
        ),
        backlog: following()
            .map(|replica| replica.lag.bytes)
            .max()
            .unwrap_or(Bytes(0)),
        name: name.clone(),
        pool: pool.clone(),
        replicas_fresh: count(replicas.iter().filter(|r| r.status == Status::Fresh)),
        traffic: traffic_view(traffic),
        head: Count(head.get()),
        head_offset: Bytes(head_offset.get()),
        max_backlog: Bytes(*max_backlog),
        max_backlog_age: Span(*max_backlog_age),
        acknowledgement: acknowledgement.histogram(),
        acknowledgement_last: last_times(acknowledgement.last()),
        records: Count(records.get()),
        lines: Count(lines.get()),
        statements: Count(statements.get()),
        stamped_lines: Count(stamped_lines.get()),
        acknowledged: Count(acknowledged.get()),
        refused: Count(refused.get()),
        rejected: Count(rejected.get()),
        judged: Count(judged.get()),
        judged_refused: Count(judged_refused.get()),
        judging_overflows: Count(judging_overflows.get()),
        known_overflows: Count(known_overflows.get()),
        statements_open: Count(statements_open.get()),
        statements_overflows: Count(statements_overflows.get()),
        timeouts: Count(timeouts.get()),
        dead_letters: Count(dead_letters.get()),
        open_dead_letters,
        dead_letter_limit: Count(*dead_letter_limit),
        pending_refusals: Count(pending_refusals.get()),
        refusals_unwritten: unwritten_refusals.get() > 0,
        inflight: Bytes(inflight.held.get()),
        inflight_max: Bytes(inflight.held.highest()),
        inflight_waits: Count(inflight.waits.get()),
        inflight_refused: Count(inflight.refused.get()),
        defused_lines: Count(defused_lines.get()),
        gate_waits: Count(gate_waits.get()),
        failed_tasks: Count(failed_tasks.get()),
        streamed_answers: Count(streamed_answers.get()),
        slow_answers: Count(slow_answers.get()),
        answer_buffer: Bytes(answer_buffer.get()),
        answer_buffer_max: Bytes(answer_buffer.highest()),
        refusal_texts: Bytes(refusal_texts.get()),
        refusal_texts_max: Bytes(refusal_texts.highest()),
        compared: compared_view(compared, now),
        missed_runs: MissedRunsView {
            done: Count(missed_runs.done.get()),
            failed: Count(missed_runs.failed.get()),
        },
        work: work.load().as_deref().map(|work| work_view(work, now)),
        journal: journal_view(journal, now),
        replicas,
    }
}

fn compared_view(stats: &ComparedStats, now: SystemTime) -> ComparedView {
    let ComparedStats {
        running,
        last,
        failed,
    } = stats;
    let last = last.load();
    let last = last.as_deref();
    ComparedView {
        running: running.get() > 0,
        last: last.map(|(at, _)| Moment::new(*at, now)),
        differences: last.map(|(_, differences)| Count(*differences)),
        failed: failed.load().as_deref().map(|reason| clip(reason)),
    }
}

fn work_view(stats: &WorkStats, now: SystemTime) -> WorkView {
    let WorkFigures {
        slices: (slices_done, slices),
        percent,
        points,
        points_per_second,
        bytes,
        bytes_per_second,
        seconds_left,
    } = stats.figures();
    WorkView {
        name: stats.name.to_owned(),
        target: stats.target.clone(),
        running: stats.ended().is_none(),
        began: Moment::new(stats.began, now),
        step: clip(&stats.step()),
        failed: stats.failed().map(|reason| clip(&reason)),
        slices_done: Count(slices_done),
        slices: Count(slices),
        percent: percent.map(Count),
        points: Count(points),
        points_per_second: Count(points_per_second),
        bytes: Bytes(bytes),
        bytes_per_second: Bytes(bytes_per_second),
        left: seconds_left.map(|seconds| Span(Duration::from_secs(seconds))),
        differences: Count(stats.differing()),
    }
}

fn journal_view(stats: &JournalStats, now: SystemTime) -> JournalView {
    let JournalStats {
        refuses,
        on_disk,
        disk_free,
        errors,
        last_error,
    } = stats;
    JournalView {
        takes_records: !refuses.load(Ordering::Relaxed),
        on_disk: Bytes(on_disk.get()),
        disk_free: disk_free.load().as_deref().map(|free| Bytes(*free)),
        errors: Count(errors.get()),
        last_error: last_error
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
    let ReplicaStats {
        name,
        version,
        cursor,
        cursor_offset,
        oldest_pending,
        catch_up,
        state,
        in_doubt,
        requests,
        retries,
        too_large,
        request_limit,
        applied,
        refused,
        expired,
        tried,
        set_aside,
        last_error,
        lanes,
    } = stats;
    let state = state.load();
    let in_doubt = in_doubt.get() != 0;
    // The replica's position is read before the head: in between the head can only grow, so the lag is never too small.
    let cursor = cursor.get();
    let cursor_offset = cursor_offset.get();
    ReplicaView {
        name: name.clone(),
        version: version.load().as_deref().map(|version| clip(version)),
        status: state.status.into(),
        since: Moment::new(state.since, now),
        in_doubt,
        cursor: Count(cursor),
        cursor_offset: Bytes(cursor_offset),
        lag: LagView {
            records: Count(relay.records_above(cursor)),
            bytes: Bytes(relay.head_offset.get().saturating_sub(cursor_offset)),
            seconds: Span(waiting_since(oldest_pending, now)),
            catch_up: match catch_up.get() {
                0 => None,
                left => Some(Span(Duration::from_millis(left))),
            },
        },
        requests: Count(requests.get()),
        retries: Count(retries.get()),
        too_large: Count(too_large.get()),
        request_limit: Bytes(request_limit.get()),
        applied: Count(applied.get()),
        refused: Count(refused.get()),
        expired: Count(expired.get()),
        tried: Count(tried.get()),
        set_aside: Count(set_aside.get()),
        last_error: last_error
            .load()
            .as_deref()
            .map(|error| error_view(error, now)),
        lanes: lanes_view(&lanes.load(), now),
    }
}

fn lanes_view(reading: &LanesReading, now: SystemTime) -> LanesView {
    let LanesReading { waiting, slowest } = reading;
    let lane = |lane: &LaneReading| {
        let LaneReading {
            database,
            records,
            under_way,
            since,
            is_held,
        } = lane;
        LaneView {
            database: shown::name(database).to_owned(),
            records: Count(*records),
            under_way: Count(*under_way),
            since: Moment::new(*since, now),
            held: *is_held,
        }
    };
    LanesView {
        waiting: Count(*waiting),
        slowest: slowest.iter().map(lane).collect(),
    }
}

fn udp_listener(stats: &UdpStats) -> UdpView {
    let UdpStats {
        bind,
        relay,
        database,
        packets,
        bytes,
        lines,
        refused_lines,
        dropped_packets,
        kernel_drops,
        read_errors,
        records,
        refusing_nodes,
    } = stats;
    UdpView {
        bind: bind.clone(),
        relay: relay.clone(),
        database: database.clone(),
        packets: Count(packets.get()),
        bytes: Bytes(bytes.get()),
        lines: Count(lines.get()),
        refused_lines: Count(refused_lines.get()),
        dropped_packets: Count(dropped_packets.get()),
        kernel_drops: Count(kernel_drops.get()),
        read_errors: Count(read_errors.get()),
        records: Count(records.get()),
        refusing_nodes: Count(refusing_nodes.get()),
    }
}

fn traffic_view(stats: &Traffic) -> TrafficView {
    let Traffic {
        sessions,
        sessions_total,
        session_rate,
        requests,
        request_rate,
        bytes_in,
        bytes_out,
        responses,
        client_aborts,
        server_aborts,
        times,
    } = stats;
    let class = |class| Count(responses.of_class(class));
    TrafficView {
        sessions: SessionsView {
            current: Count(sessions.get()),
            max: Count(sessions.highest()),
            total: Count(sessions_total.get()),
            rate: Count(session_rate.get()),
            rate_max: Count(session_rate.highest()),
            last: session_rate.last().map(Span),
        },
        requests: Count(requests.get()),
        requests_rate: Count(request_rate.get()),
        requests_rate_max: Count(request_rate.highest()),
        responses: ResponsesView {
            informational: class(1),
            successful: class(2),
            redirections: class(3),
            client_errors: class(4),
            server_errors: class(5),
            other: class(0),
        },
        bytes_in: Bytes(bytes_in.get()),
        bytes_out: Bytes(bytes_out.get()),
        client_aborts: Count(client_aborts.get()),
        server_aborts: Count(server_aborts.get()),
        times: times_view(times),
    }
}

fn times_view(stats: &RequestTimes) -> TimesView {
    let RequestTimes {
        queue,
        connect,
        response,
        total,
        histogram,
    } = stats;
    let time = |average: &Average| TimeView {
        average: Span(average.get()),
        max: Span(average.longest()),
    };
    TimesView {
        queue: time(queue),
        connect: time(connect),
        response: time(response),
        total: time(total),
        histogram: histogram.read(),
    }
}

fn last_times(reading: Percentiles) -> LastTimesView {
    let Percentiles {
        count,
        median,
        p99,
        max,
    } = reading;
    LastTimesView {
        count: Count(count),
        median: median.map(Span),
        p99: p99.map(Span),
        max: max.map(Span),
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
