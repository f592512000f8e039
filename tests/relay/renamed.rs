//! A relay that is renamed, or taken out of the configuration, leaves a folder in `data_dir`: nothing begins anew beside it unsaid.

use std::fs;
use std::path::Path;

use crate::support::wait::SOON;
use crate::support::{Haflux, StandIn, relay_over, wait_until, write_until_taken};

/// A haflux that was stopped while its journal held a write that the second node lacks.
fn stopped_with_a_backlog(folder: &Path, nodes: &mut [StandIn; 2]) -> Haflux {
    let [well, away] = nodes;
    let mut haflux = Haflux::start(folder, &relay_over(&[well, away], "rewind = \"100ms\""));
    write_until_taken(&haflux.url("front"), &[("db", "telegraf")], "first v=1 1");
    wait_until("both to have it", SOON, || !away.writes().is_empty());
    away.refuse();
    write_until_taken(&haflux.url("front"), &[("db", "telegraf")], "missed v=2 2");
    haflux.terminate();
    haflux
}

fn has_missed_line(node: &StandIn) -> bool {
    let lines = node.written_lines();
    lines.iter().any(|line| line == "missed v=2 2")
}

#[test]
fn a_renamed_relay_begins_no_new_journal_beside_its_old_one() {
    let mut nodes = [StandIn::healthy(), StandIn::healthy()];
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = stopped_with_a_backlog(folder.path(), &mut nodes);
    haflux.edit(&[("\"relay\"", "\"renamed\"")]);
    let data = folder.path().join("data");
    let (old, new) = (data.join("relay"), data.join("renamed"));
    for command in ["run", "check"] {
        let said = haflux.refuses(&[command]);
        let question = "is the relay \"renamed\" the one that was \"relay\"?";
        let order = format!("\"mv -T {} {}\"", old.display(), new.display());
        assert!(said.contains(question) && said.contains(&order), "{said}");
        assert!(!new.exists(), "{command}");
    }
    fs::rename(&old, &new).expect("renamed");
    haflux.restart();
    nodes[1].accept_again();
    wait_until("the node to have what it missed", SOON, || {
        has_missed_line(&nodes[1])
    });
}

#[test]
fn what_a_removed_relay_leaves_behind_is_said_at_the_start() {
    let mut nodes = [StandIn::healthy(), StandIn::healthy()];
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = stopped_with_a_backlog(folder.path(), &mut nodes);
    let configuration = fs::read_to_string(haflux.file()).expect("the configuration");
    let (before, after) = configuration.split_once("[[relay]]").expect("a relay");
    let (_, after) = after.split_once("[[backend]]").expect("a pool");
    let without = format!("{before}[[backend]]{after}").replace("\"relay\"", "\"pool\"");
    fs::write(haflux.file(), without).expect("the configuration");
    haflux.restart();
    let left = folder.path().join("data/relay");
    haflux.says(&format!(
        "{} holds the journal of a relay that is not configured, and what it keeps for node0, node1 is not sent",
        left.display()
    ));
}
