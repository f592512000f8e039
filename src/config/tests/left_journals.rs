//! Journals that a renamed or removed relay leaves in `data_dir`.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::with;
use crate::config::{Config, Errors, Loaded};
use crate::journal::{Cursor, DirectoryDisk, Journal, Options, Sequence};

/// Leaves a journal in which servers of these names have their places.
async fn leave_journal(folder: &Path, servers: &[&str]) {
    let disk = DirectoryDisk::new(folder).unwrap();
    let (journal, _) = Journal::open(Arc::new(disk), Options::default()).unwrap();
    for name in servers {
        let cursor = Cursor {
            name: (*name).to_owned(),
            sequence: Sequence::ZERO,
            offset: 0,
            metadata: Bytes::new(),
        };
        journal.set_cursor(cursor).unwrap();
    }
    journal.close().await;
}

/// A configuration with the relay `relay` to the server `a`.
fn load(folder: &Path) -> Result<Loaded, Errors> {
    let file = folder.join("haflux.toml");
    let data_dir = folder.join("data").display().to_string();
    let text = format!(
        "[server]\ndata_dir = {data_dir:?}\n{}",
        with("", "", "", "")
    );
    std::fs::write(&file, text).unwrap();
    Config::load(&file)
}

fn warnings(folder: &Path) -> Vec<String> {
    let loaded = load(folder).unwrap();
    let about = |warning: &String| warning.contains("journal");
    let warnings = loaded.warnings.iter().map(ToString::to_string);
    warnings.filter(about).collect()
}

#[tokio::test]
async fn a_journal_of_the_relays_own_servers_under_another_name_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    leave_journal(&data.join("old"), &["b", "a"]).await;
    let said = load(folder.path()).unwrap_err().to_string();
    let expected = format!(
        "{} holds the journal of a, b, and no relay has this name: is the relay \"relay\" the one that was \"old\"?",
        data.join("old").display()
    );
    assert!(said.contains(&expected), "{said}");
    // A folder in which nothing was begun changes nothing.
    std::fs::create_dir(data.join("relay")).unwrap();
    assert!(load(folder.path()).is_err());
    std::fs::rename(data.join("old"), data.join("relay")).unwrap();
    assert_eq!(warnings(folder.path()), [""; 0]);
}

#[tokio::test]
async fn other_journals_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(data.join("lost+found")).unwrap();
    assert_eq!(warnings(folder.path()), [""; 0]);
    leave_journal(&data.join("others"), &["b"]).await;
    let said = warnings(folder.path());
    assert!(
        said[0].contains("what it keeps for b is not sent"),
        "{said:?}"
    );
    // The relay has its own journal already.
    leave_journal(&data.join("relay"), &["a"]).await;
    leave_journal(&data.join("old"), &["a"]).await;
    assert_eq!(warnings(folder.path()).len(), 2);
}
