//! Journals in `data_dir` that belong to no relay of the configuration, because a relay was renamed or taken out of it.
//!
//! A renamed relay would begin a new journal, in which every node counts as having everything: what the old journal keeps for a node,
//! and that another one is diverged, would be forgotten without a word.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::decode::Decoded;
use super::error::{Notice, Origin, Problem, Sink};
use super::model::Relay;
use crate::journal::inspection::{InspectionError, saved_cursors};

/// A relay that would begin a journal beside one that holds the places of its servers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{} holds the journal of {}, and no relay has this name: is the relay {relay:?} the one that was {was:?}? If so, its folder needs its name: \"mv -T {} {}\". If not, move {} away; what it keeps for nodes that lack it is lost then", folder.display(), listed(.servers), folder.display(), new_folder.display(), folder.display()
)]
pub struct RenamedRelay {
    folder: PathBuf,
    servers: Vec<String>,
    relay: String,
    was: String,
    new_folder: PathBuf,
}

/// Names of servers, for a message.
pub(super) fn listed(servers: &[String]) -> String {
    match servers {
        [] => "servers that it does not name".to_owned(),
        servers => servers.join(", "),
    }
}

/// A folder with a journal, and the names of those whose places it holds.
struct Left {
    name: String,
    servers: Vec<String>,
}

/// Reports each journal that a configured relay seems to have left behind under another name, and warns of the others.
pub(super) fn look(decoded: &Decoded, origin: &Origin, sink: &Sink) {
    let config = &decoded.config;
    let data_dir = &config.server.data_dir;
    let beginning: Vec<&Relay> = config
        .relays
        .iter()
        .filter(|relay| begins_a_journal(&data_dir.join(&relay.name)))
        .collect();
    for left in left_in(data_dir, &config.relays) {
        let folder = data_dir.join(&left.name);
        let has_server = |relay: &&&Relay| {
            let pool = config.backends.get(relay.pool.index());
            pool.is_some_and(|pool| {
                let mut servers = pool.servers.iter();
                servers.any(|server| left.servers.contains(&server.name))
            })
        };
        let mut own = beginning.iter().filter(has_server).peekable();
        if own.peek().is_none() {
            let servers = left.servers;
            sink.warn_from(origin, Notice::LeftJournal { folder, servers });
            continue;
        }
        for relay in own {
            let renamed = RenamedRelay {
                folder: folder.clone(),
                servers: left.servers.clone(),
                relay: relay.name.clone(),
                was: left.name.clone(),
                new_folder: data_dir.join(&relay.name),
            };
            sink.report_from(origin, Problem::RenamedRelay(Box::new(renamed)));
        }
    }
}

/// Whether a relay with this folder would begin a journal. A folder that cannot be read is said elsewhere.
fn begins_a_journal(folder: &Path) -> bool {
    !folder.exists() || matches!(saved_cursors(folder), Ok(None))
}

/// The folders in `data_dir` that hold a journal and are of none of these relays. What cannot be read is none of haflux's.
fn left_in(data_dir: &Path, relays: &[Relay]) -> Vec<Left> {
    let Ok(entries) = std::fs::read_dir(data_dir) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| !relays.iter().any(|relay| relay.name == *name))
        .collect();
    names.sort();
    let journal_of = |name: String| {
        let servers = match saved_cursors(&data_dir.join(&name)) {
            Ok(saved) => saved?,
            Err(InspectionError::Version { .. } | InspectionError::Restless) => Vec::new(),
            Err(InspectionError::Io { .. }) => return None,
        };
        Some(Left { name, servers })
    };
    names.into_iter().filter_map(journal_of).collect()
}
