//! Nodes that are compared, mended, rebuilt and upgraded.

#[path = "../support/mod.rs"]
mod support;

mod compare;
mod compare_sums;
mod known;
mod mend;
mod mend_schema;
mod mend_sizes;
mod missed_runs;
mod newer_releases;
mod node_upgrades;
mod odd_names;
mod rebuild_by_backup;
mod rebuild_command;
mod rebuild_refusals;
mod rebuild_schema;
mod replaced_nodes;
mod unwritable;
