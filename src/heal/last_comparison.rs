//! The result of the last comparison, in the relay's folder, so that it outlives haflux.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::warn;
use serde::{Deserialize, Serialize};

use crate::durable_file;

/// The file's name.
const NAME: &str = "compared";

/// When the last comparison of all nodes ended, which nodes these were, and how many differences it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastComparison {
    pub(super) at: SystemTime,
    pub(super) nodes: Vec<String>,
    pub(super) differences: u64,
}

/// The same on disk.
#[derive(Serialize, Deserialize)]
struct Document {
    /// Milliseconds since 1970.
    at: u64,
    #[serde(default)]
    nodes: Vec<String>,
    differences: u64,
}

impl LastComparison {
    /// The one of just these nodes that is kept in a relay's folder; nothing if there is none, or none that can be read.
    pub(super) fn of(folder: &Path, nodes: &[String]) -> Option<LastComparison> {
        let mut last = LastComparison::read(folder)?;
        let mut nodes = nodes.to_vec();
        nodes.sort();
        last.nodes.sort();
        (last.nodes == nodes).then_some(last)
    }

    fn read(folder: &Path) -> Option<LastComparison> {
        let path = folder.join(NAME);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!("{}: {error}", path.display());
                return None;
            }
        };
        let document: Document = serde_json::from_slice(&text)
            .inspect_err(|error| warn!("{}: {error}", path.display()))
            .ok()?;
        Some(LastComparison {
            at: UNIX_EPOCH.checked_add(Duration::from_millis(document.at))?,
            nodes: document.nodes,
            differences: document.differences,
        })
    }

    /// Keeps it in a relay's folder.
    pub(super) fn write(&self, folder: &Path) {
        let path = folder.join(NAME);
        let since = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let document = Document {
            at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            nodes: self.nodes.clone(),
            differences: self.differences,
        };
        let written = serde_json::to_vec(&document)
            .map_err(io::Error::from)
            .and_then(|text| durable_file::replace(&path, &[&text]));
        if let Err(error) = written {
            // The next comparison comes earlier than it must.
            warn!("{}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(LastComparison::read(folder.path()), None);
        let kept = LastComparison {
            at: UNIX_EPOCH + Duration::from_millis(1_234_567),
            nodes: vec!["one".to_owned(), "two".to_owned()],
            differences: 3,
        };
        kept.write(folder.path());
        let of = |nodes: &[&str]| {
            let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            LastComparison::of(folder.path(), &nodes)
        };
        assert_eq!(of(&["two", "one"]), Some(kept));
        // What is known of three nodes says nothing of two of them.
        assert_eq!(of(&["one"]), None);
        assert_eq!(of(&["one", "two", "three"]), None);
        std::fs::write(folder.path().join(NAME), "{").unwrap();
        assert_eq!(LastComparison::read(folder.path()), None);
    }
}
