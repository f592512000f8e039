//! The document as tables for a terminal: one table for each kind of part. What comes from elsewhere has its control characters
//! escaped here.

use super::text::one_line;
use crate::stats::snapshot::{
    BackendView, CheckView, FrontendView, LaneView, Notice, Problem, RelayView, ReplicaView,
    ServerView, Snapshot, Status,
};
use crate::stats::units::{Bytes, Count, Span};

/// What a table's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Problems,
    Frontends,
    Backends,
    Servers,
    Relays,
    Replicas,
    Lanes,
    /// The figures of one part.
    Figures,
}

impl Kind {
    /// The titles of its columns.
    pub(super) fn titles(self) -> &'static [&'static str] {
        match self {
            Kind::Problems => &["SEVERITY", "WHAT IS WRONG"],
            Kind::Frontends => &[
                "FRONTEND",
                "CONNECTIONS",
                "REQ/S",
                "REQUESTS",
                "4XX",
                "5XX",
                "IN",
                "OUT",
                "BIND",
            ],
            Kind::Backends => &[
                "BACKEND",
                "STATE",
                "SERVERS UP",
                "UNDER WAY",
                "REQ/S",
                "REQUESTS",
                "5XX",
                "BALANCE",
            ],
            Kind::Servers => &[
                "SERVER",
                "STATE",
                "SINCE",
                "WEIGHT",
                "UNDER WAY",
                "REQ/S",
                "REQUESTS",
                "LAST CHECK",
                "ADDRESS",
            ],
            Kind::Relays => &[
                "RELAY",
                "FRESH",
                "ONE NODE",
                "BACKLOG",
                "REQ/S",
                "HEAD",
                "ACKNOWLEDGED",
                "REJECTED",
                "DEAD LETTERS",
                "ON DISK",
                "REPLICATES TO",
            ],
            Kind::Replicas => &[
                "REPLICA",
                "STATE",
                "SINCE",
                "CURSOR",
                "BEHIND",
                "BYTES",
                "AGE",
                "FRESH IN",
                "VERSION",
                "LAST ERROR",
            ],
            Kind::Lanes => &["DATABASE", "RECORDS", "UNDER WAY", "WAITS FOR", "HELD"],
            Kind::Figures => &["FIGURE", "VALUE", "MEANING"],
        }
    }
}

/// One part.
#[derive(Debug)]
pub(super) struct Row {
    /// Its name, behind those of the parts that it belongs to, as they came.
    pub(super) names: Vec<String>,
    /// One for each title.
    pub(super) cells: Vec<Cell>,
    /// How it is meant, as [`Status::mood`].
    pub(super) mood: &'static str,
}

/// One field of a row.
#[derive(Debug)]
pub(super) struct Cell {
    /// What is shown.
    pub(super) text: String,
    /// What an amount is sorted by; nothing for words.
    pub(super) amount: Option<u64>,
}

impl From<&str> for Cell {
    fn from(words: &str) -> Cell {
        Cell {
            text: one_line(words),
            amount: None,
        }
    }
}

impl From<String> for Cell {
    fn from(words: String) -> Cell {
        words.as_str().into()
    }
}

impl From<Count> for Cell {
    fn from(count: Count) -> Cell {
        Cell {
            text: count.to_string(),
            amount: Some(count.0),
        }
    }
}

impl From<Bytes> for Cell {
    fn from(bytes: Bytes) -> Cell {
        Cell {
            text: bytes.to_string(),
            amount: Some(bytes.0),
        }
    }
}

impl From<Span> for Cell {
    fn from(span: Span) -> Cell {
        Cell {
            text: span.to_string(),
            amount: Some(span.0.as_micros().try_into().unwrap_or(u64::MAX)),
        }
    }
}

impl Cell {
    /// An amount in words of its own.
    fn amount(amount: Count, text: String) -> Cell {
        Cell {
            text,
            amount: Some(amount.0),
        }
    }
}

/// The rows of this kind, in the order of the configuration. The figures of a part are no part of it.
pub(super) fn rows(kind: Kind, all: &Snapshot) -> Vec<Row> {
    match kind {
        Kind::Problems => all.problems.iter().map(problem).collect(),
        Kind::Frontends => all.frontends.iter().map(frontend).collect(),
        Kind::Backends => all.backends.iter().map(backend).collect(),
        Kind::Relays => all.relays.iter().map(relay).collect(),
        Kind::Servers => {
            let of = |backend: &'_ BackendView| {
                let servers = backend.servers.iter();
                servers
                    .map(|one| server(&backend.name, one))
                    .collect::<Vec<_>>()
            };
            all.backends.iter().flat_map(of).collect()
        }
        Kind::Replicas => replicas(all)
            .map(|(relay, one)| replica(&relay.name, one))
            .collect(),
        Kind::Lanes => {
            let lanes = replicas(all).flat_map(|(relay, replica)| {
                let lanes = replica.lanes.slowest.iter();
                lanes.map(|one| lane(&relay.name, &replica.name, one))
            });
            lanes.collect()
        }
        Kind::Figures => Vec::new(),
    }
}

/// All replicas, with their relays.
fn replicas(all: &Snapshot) -> impl Iterator<Item = (&RelayView, &ReplicaView)> {
    all.relays
        .iter()
        .flat_map(|relay| relay.replicas.iter().map(move |replica| (relay, replica)))
}

/// A problem in lines: what is wrong, why, what to do, and the commands for it.
pub(super) fn lines_of(problem: &Problem) -> Vec<String> {
    let severity = problem.severity.word().to_uppercase();
    let title = format!("{severity}: {}", problem.what);
    lines(&title, [&problem.why, &problem.action], &problem.commands)
}

/// An order that stands, in lines: what is ordered, what it means, what to do, and the commands for it.
pub(super) fn lines_of_order(notice: &Notice) -> Vec<String> {
    let title = format!("ORDERED: {}", notice.what);
    lines(&title, [&notice.why, &notice.action], &notice.commands)
}

/// A line for each comparison, mend or rebuild that is under way.
pub(super) fn works(all: &Snapshot) -> Vec<String> {
    all.relays.iter().filter_map(work).collect()
}

/// The one of a relay.
pub(super) fn work(relay: &RelayView) -> Option<String> {
    let work = relay.work_under_way()?;
    let line = format!(
        "UNDER WAY: {} of relay {}, for {}: {}",
        work.name,
        relay.name,
        work.began.age(),
        work.line()
    );
    Some(one_line(&line))
}

fn lines(title: &str, texts: [&String; 2], commands: &[String]) -> Vec<String> {
    let texts = texts.into_iter().filter(|text| !text.is_empty());
    let texts = texts.map(|text| format!("  {}", one_line(text.trim_end())));
    let commands = commands.iter();
    let commands = commands.map(|command| format!("    $ {}", one_line(command)));
    [one_line(title)]
        .into_iter()
        .chain(texts)
        .chain(commands)
        .collect()
}

fn problem(problem: &Problem) -> Row {
    Row {
        names: vec![problem.what.clone()],
        cells: vec![
            problem.severity.word().to_uppercase().into(),
            problem.what.as_str().into(),
        ],
        mood: problem.severity.mood(),
    }
}

fn frontend(frontend: &FrontendView) -> Row {
    let traffic = &frontend.traffic;
    let now = traffic.sessions.current;
    Row {
        names: vec![frontend.name.clone()],
        cells: vec![
            frontend.name.as_str().into(),
            Cell::amount(now, format!("{now} of {}", frontend.session_limit)),
            traffic.requests_rate.into(),
            traffic.requests.into(),
            traffic.responses.client_errors.into(),
            traffic.responses.server_errors.into(),
            traffic.bytes_in.into(),
            traffic.bytes_out.into(),
            frontend.bind.join(", ").into(),
        ],
        mood: "idle",
    }
}

fn backend(backend: &BackendView) -> Row {
    let traffic = &backend.traffic;
    let servers = backend.servers.len();
    let status = match backend.up {
        true => Status::Up,
        false => Status::Down,
    };
    Row {
        names: vec![backend.name.clone()],
        cells: vec![
            backend.name.as_str().into(),
            status.word().into(),
            Cell::amount(
                backend.servers_up,
                format!("{} of {servers}", backend.servers_up),
            ),
            traffic.sessions.current.into(),
            traffic.requests_rate.into(),
            traffic.requests.into(),
            traffic.responses.server_errors.into(),
            backend.balance.as_str().into(),
        ],
        mood: status.mood(),
    }
}

fn server(backend: &str, server: &ServerView) -> Row {
    let traffic = &server.traffic;
    Row {
        names: vec![backend.to_owned(), server.name.clone()],
        cells: vec![
            format!("{backend}/{}", server.name).into(),
            server.status.word().into(),
            server.since.age().into(),
            Count(server.weight.into()).into(),
            traffic.sessions.current.into(),
            traffic.requests_rate.into(),
            traffic.requests.into(),
            server
                .last_check
                .as_ref()
                .map_or("-".into(), |check| in_short(check).into()),
            server.address.as_str().into(),
        ],
        mood: server.status.mood(),
    }
}

/// A check in a few words.
fn in_short(check: &CheckView) -> String {
    let status = check.status.map(|status| format!(" {status}"));
    format!(
        "{}{} in {}",
        check.code,
        status.unwrap_or_default(),
        check.took
    )
}

fn relay(relay: &RelayView) -> Row {
    let spread = &relay.spread;
    let or_more = if spread.at_least { "+" } else { "" };
    let is_away = |replica: &ReplicaView| replica.status.mood() == "bad";
    let is_well = |replica: &ReplicaView| replica.status == Status::Fresh;
    let mood = if !relay.journal.takes_records || relay.replicas.iter().any(is_away) {
        "bad"
    } else if relay.replicas.iter().all(is_well) {
        "good"
    } else {
        "warn"
    };
    Row {
        names: vec![relay.name.clone()],
        cells: vec![
            relay.name.as_str().into(),
            Cell::amount(
                relay.replicas_fresh,
                format!("{} of {}", relay.replicas_fresh, relay.replicas.len()),
            ),
            Cell::amount(spread.one_node, format!("{}{or_more}", spread.one_node)),
            relay.backlog.into(),
            relay.traffic.requests_rate.into(),
            relay.head.into(),
            relay.acknowledged.into(),
            relay.rejected.into(),
            relay.open_dead_letters.into(),
            relay.journal.on_disk.into(),
            relay.pool.as_str().into(),
        ],
        mood,
    }
}

fn replica(relay: &str, replica: &ReplicaView) -> Row {
    let lag = &replica.lag;
    let doubt = if replica.in_doubt { ", in doubt" } else { "" };
    let last = replica.last_error.as_ref();
    Row {
        names: vec![relay.to_owned(), replica.name.clone()],
        cells: vec![
            format!("{relay}/{}", replica.name).into(),
            format!("{}{doubt}", replica.status.word()).into(),
            replica.since.age().into(),
            replica.cursor.into(),
            lag.records.into(),
            lag.bytes.into(),
            lag.seconds.into(),
            lag.catch_up.map_or("-".into(), Cell::from),
            replica.version.as_deref().unwrap_or("-").into(),
            last.map_or("-".into(), |last| {
                format!("{} ago: {}", last.at.age(), last.text).into()
            }),
        ],
        mood: replica.status.mood(),
    }
}

fn lane(relay: &str, replica: &str, lane: &LaneView) -> Row {
    Row {
        names: vec![relay.to_owned(), replica.to_owned(), lane.database.clone()],
        cells: vec![
            lane.database.as_str().into(),
            lane.records.into(),
            lane.under_way.into(),
            lane.since.age().into(),
            if lane.held { "yes" } else { "no" }.into(),
        ],
        mood: if lane.held { "warn" } else { "idle" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::tests::{full, now};

    const KINDS: [Kind; 7] = [
        Kind::Problems,
        Kind::Frontends,
        Kind::Backends,
        Kind::Servers,
        Kind::Relays,
        Kind::Replicas,
        Kind::Lanes,
    ];

    #[test]
    fn every_row_has_a_cell_for_each_title_and_names_its_part() {
        let mut all = Snapshot::take(&full(), now());
        all.relays[0].replicas[1].lanes.slowest[0].database = "a\u{1b}[2Jb".to_owned();
        for kind in KINDS {
            let rows = rows(kind, &all);
            assert!(!rows.is_empty(), "{kind:?}");
            for row in rows {
                assert_eq!(row.cells.len(), kind.titles().len(), "{row:?}");
                let steers = |cell: &Cell| cell.text.contains(char::is_control);
                assert!(!row.cells.iter().any(steers), "{row:?}");
            }
        }
        let lanes = rows(Kind::Lanes, &all);
        assert_eq!(
            lanes[1].names,
            ["influx_relay", "influxlab2", "a\u{1b}[2Jb"]
        );
        assert_eq!(lanes[1].cells[0].text, "a\\u{1b}[2Jb");
    }
}
