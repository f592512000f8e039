//! What a person or a program sees and does that runs haflux.

#[path = "../support/mod.rs"]
mod support;

mod balancing;
mod cli;
mod dead_letters_cli;
mod documentation;
mod graceful_stop;
mod import;
mod import_warnings;
mod journal_cli;
mod logs;
mod metrics;
mod page_orders;
mod reload;
mod reload_replicas;
mod replica_cli;
mod server_states;
mod service_manager;
mod shells;
mod stats_socket;
mod status_cli;
mod status_page;
mod top;
mod upgrade;
