//! What haflux puts into the columns.

use super::columns::Row;
use crate::stats::snapshot::{
    BackendView, FrontendView, RelayView, ReplicaView, ServerView, Snapshot, Status, TimeView,
    TrafficView,
};
use crate::stats::units::Span;

/// HAProxy's numbers in the column `type`.
pub(super) const FRONTEND: u8 = 0;
pub(super) const BACKEND: u8 = 1;
pub(super) const SERVER: u8 = 2;

/// All rows. As in HAProxy, the servers of a backend stand before it, and `iid` numbers the proxies.
pub(super) fn rows(snapshot: &Snapshot) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut proxies = 1..;
    let mut number = |mut group: Vec<Row>| {
        let id = proxies
            .next()
            .map_or_else(String::new, |id: u32| id.to_string());
        for row in &mut group {
            row.iid.clone_from(&id);
        }
        rows.append(&mut group);
    };
    for each in &snapshot.frontends {
        number(vec![frontend(each)]);
    }
    for each in &snapshot.relays {
        number(relay(each, snapshot));
    }
    for each in &snapshot.backends {
        number(backend(each));
    }
    rows
}

/// HAProxy's word for a state. Monitoring knows these words, and compares them with `UP` and `OPEN`.
pub(super) fn word(status: Status) -> &'static str {
    match status {
        // A replica that catches up takes everything that is sent to it.
        Status::Up | Status::Fresh | Status::Lagging => "UP",
        Status::Down | Status::Diverged => "DOWN",
        Status::NoCheck => "no check",
        Status::Drain => "DRAIN",
        Status::Maint => "MAINT",
    }
}

fn is_up(status: Status) -> bool {
    !matches!(
        status,
        Status::Down | Status::Diverged | Status::Drain | Status::Maint
    )
}

fn named(proxy: &str, service: &str, kind: u8) -> Row {
    Row {
        pxname: proxy.to_owned(),
        svname: service.to_owned(),
        kind: kind.to_string(),
        pid: "1".to_owned(),
        sid: "0".to_owned(),
        mode: "http".to_owned(),
        ..Row::default()
    }
}

fn number(number: impl Into<u64>) -> String {
    number.into().to_string()
}

fn seconds(span: Span) -> String {
    span.0.as_secs().to_string()
}

fn milliseconds(span: Span) -> String {
    span.0.as_millis().to_string()
}

fn flag(is_set: bool) -> String {
    number(u8::from(is_set))
}

/// What all rows with traffic have.
fn with_traffic(row: Row, traffic: &TrafficView) -> Row {
    let responses = &traffic.responses;
    Row {
        scur: number(traffic.sessions.current),
        smax: number(traffic.sessions.max),
        stot: number(traffic.sessions.total),
        bin: number(traffic.bytes_in),
        bout: number(traffic.bytes_out),
        rate: number(traffic.sessions.rate),
        rate_max: number(traffic.sessions.rate_max),
        req_tot: number(traffic.requests),
        hrsp_1xx: number(responses.informational),
        hrsp_2xx: number(responses.successful),
        hrsp_3xx: number(responses.redirections),
        hrsp_4xx: number(responses.client_errors),
        hrsp_5xx: number(responses.server_errors),
        hrsp_other: number(responses.other),
        ..row
    }
}

/// What rows of backends and servers have besides.
fn with_times(row: Row, traffic: &TrafficView) -> Row {
    let average = |time: &TimeView| milliseconds(time.average);
    let max = |time: &TimeView| milliseconds(time.max);
    let times = &traffic.times;
    Row {
        cli_abrt: number(traffic.client_aborts),
        srv_abrt: number(traffic.server_aborts),
        // HAProxy writes -1 where there was no session.
        lastsess: traffic.sessions.last.map_or("-1".to_owned(), seconds),
        lbtot: number(traffic.sessions.total),
        qtime: average(&times.queue),
        ctime: average(&times.connect),
        rtime: average(&times.response),
        ttime: average(&times.total),
        qtime_max: max(&times.queue),
        ctime_max: max(&times.connect),
        rtime_max: max(&times.response),
        ttime_max: max(&times.total),
        ..row
    }
}

fn frontend(view: &FrontendView) -> Row {
    let traffic = &view.traffic;
    Row {
        slim: number(view.session_limit),
        dreq: number(
            view.denied_requests.0
                + view.auth_refusals.0
                + view.auth_limited.0
                + view.rule_refusals.0
                + view.rate_limited.0,
        ),
        dresp: number(0_u64),
        ereq: number(view.request_errors),
        status: "OPEN".to_owned(),
        rate_lim: number(0_u64),
        req_rate: number(traffic.requests_rate),
        req_rate_max: number(traffic.requests_rate_max),
        conn_rate: number(traffic.sessions.rate),
        conn_rate_max: number(traffic.sessions.rate_max),
        conn_tot: number(traffic.sessions.total),
        intercepted: number(view.intercepted),
        dcon: number(view.source_limit.0 + view.denied_connections.0),
        ..with_traffic(named(&view.name, "FRONTEND", FRONTEND), traffic)
    }
}

fn backend(view: &BackendView) -> Vec<Row> {
    let servers = || view.servers.iter();
    let sum = |of: fn(&ServerView) -> u64| number(servers().map(of).sum::<u64>());
    let usable = |backup: bool| {
        let usable =
            servers().filter(move |server| server.backup == backup && is_up(server.status));
        number(usable.count() as u64)
    };
    let weight = servers().filter(|server| is_up(server.status) && !server.backup);
    let row = Row {
        qcur: number(view.barrier.waiting),
        qmax: number(view.barrier.waiting_max),
        dreq: number(0_u64),
        dresp: number(0_u64),
        // As HAProxy counts: requests that found no server are in it.
        econ: number(
            servers().map(|server| server.connect_errors.0).sum::<u64>() + view.no_server.0,
        ),
        eresp: sum(response_errors),
        wretr: number(0_u64),
        wredis: sum(|server| server.redispatches.0),
        status: if view.up { "UP" } else { "DOWN" }.to_owned(),
        weight: number(weight.map(|server| u64::from(server.weight)).sum::<u64>()),
        act: usable(false),
        bck: usable(true),
        chkdown: number(view.downs),
        lastchg: seconds(view.changed),
        downtime: seconds(view.down_for),
        connect: sum(|server| server.connects.0),
        reuse: sum(|server| server.reuses.0),
        algo: view.balance.clone(),
        ..named(&view.name, "BACKEND", BACKEND)
    };
    let all = with_times(with_traffic(row, &view.traffic), &view.traffic);
    let mut rows: Vec<Row> = servers()
        .enumerate()
        .map(|(position, one)| server(&view.name, position, one))
        .collect();
    rows.push(all);
    rows
}

/// Answers that broke off, among them those that a server's end broke off.
fn response_errors(server: &ServerView) -> u64 {
    server.response_errors.0.saturating_add(server.ends.0)
}

fn server(backend: &str, position: usize, view: &ServerView) -> Row {
    let checked = with_check(named(backend, &view.name, SERVER), view);
    let row = Row {
        sid: number(position as u64 + 1),
        qcur: number(0_u64),
        qmax: number(0_u64),
        dresp: number(0_u64),
        econ: number(view.connect_errors),
        eresp: number(response_errors(view)),
        wretr: number(0_u64),
        wredis: number(view.redispatches),
        status: word(view.status).to_owned(),
        weight: number(view.weight),
        uweight: number(view.weight),
        act: flag(!view.backup),
        bck: flag(view.backup),
        lastchg: seconds(view.since.age()),
        connect: number(view.connects),
        reuse: number(view.reuses),
        ..checked
    };
    with_times(with_traffic(row, &view.traffic), &view.traffic)
}

/// What the checks of a server say; its replica of a relay is the same node.
fn with_check(row: Row, server: &ServerView) -> Row {
    let row = Row {
        addr: server.address.clone(),
        ..row
    };
    if server.status == Status::NoCheck {
        return row;
    }
    let row = Row {
        chkfail: number(server.check_failures),
        chkdown: number(server.downs),
        downtime: seconds(server.down_for),
        ..row
    };
    match &server.last_check {
        None => Row {
            check_status: "INI".to_owned(),
            check_desc: "Initializing".to_owned(),
            ..row
        },
        Some(check) => Row {
            check_status: check.code.word().to_owned(),
            check_code: check
                .status
                .map_or_else(String::new, |status| status.to_string()),
            check_duration: milliseconds(check.took),
            check_desc: check.code.description().to_owned(),
            // HAProxy says nothing of a check that passed.
            last_chk: match check.code.is_passed() {
                true => String::new(),
                false => check.detail.clone(),
            },
            ..row
        },
    }
}

/// A relay as a backend. Its replicas have the checks of the servers of its pool.
fn relay(view: &RelayView, snapshot: &Snapshot) -> Vec<Row> {
    let pool = snapshot.backends.iter().find(|one| one.name == view.pool);
    let replicas = || view.replicas.iter();
    let up = || replicas().filter(|one| is_up(one.status)).count() as u64;
    let mut rows: Vec<Row> = replicas()
        .enumerate()
        .map(|(position, one)| {
            let server = pool.and_then(|pool| pool.servers.iter().find(|s| s.name == one.name));
            replica(&view.name, position, one, server)
        })
        .collect();
    let row = Row {
        dreq: number(0_u64),
        dresp: number(0_u64),
        econ: number(0_u64),
        eresp: number(view.timeouts),
        wretr: number(replicas().map(|one| one.retries.0).sum::<u64>()),
        wredis: number(0_u64),
        status: if up() > 0 { "UP" } else { "DOWN" }.to_owned(),
        weight: number(up()),
        act: number(up()),
        bck: number(0_u64),
        chkdown: pool.map_or_else(String::new, |pool| number(pool.downs)),
        lastchg: pool.map_or_else(String::new, |pool| seconds(pool.changed)),
        downtime: pool.map_or_else(String::new, |pool| seconds(pool.down_for)),
        ..named(&view.name, "BACKEND", BACKEND)
    };
    rows.push(with_times(with_traffic(row, &view.traffic), &view.traffic));
    rows
}

fn replica(relay: &str, position: usize, view: &ReplicaView, server: Option<&ServerView>) -> Row {
    let row = named(relay, &view.name, SERVER);
    let row = match server {
        Some(server) => with_check(row, server),
        None => row,
    };
    Row {
        sid: number(position as u64 + 1),
        // Records that wait for it.
        qcur: number(view.lag.records),
        stot: number(view.requests),
        lbtot: number(view.requests),
        req_tot: number(view.requests),
        wretr: number(view.retries),
        wredis: number(0_u64),
        status: word(view.status).to_owned(),
        weight: number(1_u64),
        uweight: number(1_u64),
        act: number(1_u64),
        bck: number(0_u64),
        lastchg: seconds(view.since.age()),
        ..row
    }
}
