//! What a part shows: text, and tables of its own parts and figures.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::figures;
use crate::cli::tables::{self, Cell, Kind, Row};
use crate::cli::text::one_line;
use crate::stats::snapshot::{ErrorView, Snapshot};

/// The tables of the outermost level, in their order.
const EVERYTHING: [Kind; 5] = [
    Kind::Problems,
    Kind::Frontends,
    Kind::Backends,
    Kind::Servers,
    Kind::Relays,
];

/// A part that was gone into. All problems are one.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) names: Vec<String>,
}

/// By which column a table is sorted: the largest amount first, words by the alphabet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) column: usize,
    pub(super) is_reversed: bool,
}

/// A line of text beside the tables.
pub(super) struct Note {
    pub(super) text: String,
    /// As [`Status::mood`](crate::stats::snapshot::Status::mood).
    pub(super) mood: &'static str,
}

/// One table of the level.
pub(super) struct Section {
    pub(super) kind: Kind,
    pub(super) rows: Vec<Row>,
    pub(super) order: Option<Order>,
}

/// The text above the tables of the outermost level.
pub(super) fn works(all: &Snapshot) -> Vec<Note> {
    let works = tables::works(all).into_iter();
    works.map(|text| Note { text, mood: "idle" }).collect()
}

impl Place {
    /// The text above the tables.
    pub(super) fn notes(&self, all: &Snapshot) -> Vec<Note> {
        let plain = |text: String| Note { text, mood: "idle" };
        let failed = |what: &str, error: Option<&ErrorView>| {
            error.map(|error| {
                let text = one_line(&error.text);
                plain(format!("{what}, {} ago: {text}", error.at.age()))
            })
        };
        match (self.kind, self.names.as_slice()) {
            (Kind::Problems, _) => {
                let mut notes = Vec::new();
                for problem in &all.problems {
                    let mut mood = problem.severity.mood();
                    for text in tables::lines_of(problem) {
                        notes.push(Note { text, mood });
                        mood = "idle";
                    }
                    notes.push(plain(String::new()));
                }
                if notes.is_empty() {
                    notes.push(plain("Nothing is wrong.".to_owned()));
                }
                notes
            }
            (Kind::Servers, [backend, server]) => {
                let backends = all.backends.iter().filter(|one| one.name == *backend);
                let mut servers = backends.flat_map(|one| &one.servers);
                let Some(server) = servers.find(|one| one.name == *server) else {
                    return Vec::new();
                };
                let (status, since) = (server.status.word(), server.since.age());
                let reason = one_line(&server.reason);
                let state = plain(format!("{status} for {since}: {reason}"));
                let check = server.last_check.as_ref().map(|check| {
                    let (at, detail) = (check.at.age(), one_line(&check.detail));
                    plain(format!("Last check, {at} ago: {detail}"))
                });
                [state].into_iter().chain(check).collect()
            }
            (Kind::Relays, [relay]) => {
                let relay = all.relays.iter().find(|one| one.name == *relay);
                let error = relay.and_then(|relay| relay.journal.last_error.as_ref());
                let work = relay.and_then(tables::work).map(plain);
                work.into_iter()
                    .chain(failed("Last failure of the disk", error))
                    .collect()
            }
            (Kind::Replicas, [relay, replica]) => {
                let relays = all.relays.iter().filter(|one| one.name == *relay);
                let mut replicas = relays.flat_map(|one| &one.replicas);
                let replica = replicas.find(|one| one.name == *replica);
                let error = replica.and_then(|replica| replica.last_error.as_ref());
                let lanes = replica.map(|replica| {
                    let (all, shown) = (replica.lanes.waiting, replica.lanes.slowest.len());
                    plain(match all.0 {
                        0 => "No lane has had records without a verdict for a second.".to_owned(),
                        _ => format!(
                            "Lanes with records that have no verdict: {all}; the slowest {shown}:"
                        ),
                    })
                });
                failed("Last error", error)
                    .into_iter()
                    .chain(lanes)
                    .collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The tables that have a row which the filter leaves, sorted.
pub(super) fn sections(
    all: &Snapshot,
    place: Option<&Place>,
    filter: &str,
    orders: &HashMap<Kind, Order>,
) -> Vec<Section> {
    let kinds: &[Kind] = match place.map(|place| place.kind) {
        None => &EVERYTHING,
        Some(Kind::Problems | Kind::Lanes | Kind::Figures) => &[],
        Some(Kind::Frontends | Kind::Servers) => &[Kind::Figures],
        Some(Kind::Backends) => &[Kind::Servers, Kind::Figures],
        Some(Kind::Relays) => &[Kind::Replicas, Kind::Figures],
        Some(Kind::Replicas) => &[Kind::Lanes, Kind::Figures],
    };
    let wanted = filter.to_lowercase();
    let has_it = |cell: &Cell| cell.text.to_lowercase().contains(&wanted);
    let section = |kind: &Kind| {
        let mut rows = match (kind, place) {
            (Kind::Figures, Some(place)) => figures::rows(place.kind, &place.names, all),
            (kind, _) => tables::rows(*kind, all),
        };
        let outer = place.filter(|_| *kind != Kind::Figures);
        rows.retain(|row| {
            outer.is_none_or(|outer| row.names.starts_with(&outer.names))
                && row.cells.iter().any(has_it)
        });
        let order = orders.get(kind).copied();
        if let Some(order) = order {
            rows.sort_by(|one, other| order.compare(one, other));
        }
        Section {
            kind: *kind,
            rows,
            order,
        }
    };
    let sections = kinds.iter().map(section);
    sections
        .filter(|section| !section.rows.is_empty())
        .collect()
}

impl Order {
    fn compare(&self, one: &Row, other: &Row) -> Ordering {
        let order = match (one.cells.get(self.column), other.cells.get(self.column)) {
            (Some(one), Some(other)) => match (one.amount, other.amount) {
                (Some(one), Some(other)) => other.cmp(&one),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => one.text.cmp(&other.text),
            },
            _ => Ordering::Equal,
        };
        match self.is_reversed {
            true => order.reverse(),
            false => order,
        }
    }
}
