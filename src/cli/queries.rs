//! `haflux queries`: which queries a running haflux serves, how long they take, and the end of one.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::names::OneLine;
use super::text::{one_line, table};
use super::{DEFAULT_CONFIG, output, running};
use crate::control::{Answer, AskError, ControlError, Request, ask};
use crate::stats::units::Span;
use crate::stats::{QueriesView, QueryView, RunningQueryView};

const EXAMPLES: &str = "\
Examples:
  haflux queries                 which queries take most time in all?
  haflux queries --running       which run now, for whom and where?
  haflux queries kill 1234       end one of them, on its node too
  haflux queries --json | jq '.queries[] | select(.p99 > 5)'

Values of queries are shown as ?. docs/queries.md says more.";

/// What `haflux queries` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    order: Option<Order>,
    /// Those that run now, the oldest first
    #[arg(long)]
    running: bool,
    /// Everything, as one JSON document; times are seconds
    #[arg(long, conflicts_with = "running")]
    json: bool,
    /// The configuration of the haflux that runs: its data_dir says where it listens
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG, global = true)]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// End a query that runs: its client is told "query interrupted", its node ends it
    Kill {
        /// Its id, as --running shows it
        #[arg(value_name = "ID")]
        id: u64,
    },
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
enum QueriesError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("{}", OneLine(&.0.to_string()))]
    Refused(ControlError),
    #[error("haflux did not understand it; is the one that runs of another version?")]
    Misunderstood,
    #[error("the document cannot be written: {0}")]
    Document(#[from] serde_json::Error),
}

/// Asks the haflux that runs. The exit status is 0 if it did what was asked, and 1 otherwise.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match running::configuration(&arguments.config) {
        Ok(config) => config,
        Err(status) => return status,
    };
    let request = match &arguments.order {
        None => Request::Queries {},
        Some(Order::Kill { id }) => Request::KillQuery { id: *id },
    };
    let said = match ask(&config.server.data_dir, &request, running::LIMIT) {
        Ok(Answer::Queries(view)) => said(arguments, &view),
        Ok(Answer::Done(what)) => Ok(format!("ended: {}\n", OneLine(&what))),
        Ok(Answer::Refused(error)) => Err(QueriesError::Refused(error)),
        Ok(_) => Err(QueriesError::Misunderstood),
        Err(error) => Err(error.into()),
    };
    output::said(said)
}

fn said(arguments: &Arguments, view: &QueriesView) -> Result<String, QueriesError> {
    if arguments.json {
        return Ok(format!("{}\n", serde_json::to_string_pretty(view)?));
    }
    Ok(match arguments.running {
        true => list_running(view),
        false => list(view),
    })
}

/// The fingerprints.
fn list(view: &QueriesView) -> String {
    if view.max_fingerprints.is_zero() {
        return "no query is counted, because no frontend has `queries` and server.max_query_fingerprints is not set\n".to_owned();
    }
    let titles = [
        "COUNT", "RUNNING", "P50", "P99", "SLOWEST", "ON", "ERRORS", "BYTES", "QUERY",
    ];
    let rows: Vec<[String; 9]> = view.queries.iter().map(row).collect();
    let mut text = rendered(&titles, &rows);
    if !view.left_out.is_zero() {
        text.push_str(&format!(
            "{} queries are not among these, because there is room for {} (server.max_query_fingerprints)\n",
            view.left_out, view.max_fingerprints
        ));
    }
    text
}

fn row(query: &QueryView) -> [String; 9] {
    let span = |span: Option<Span>| span.map_or("-".to_owned(), |span| span.to_string());
    [
        query.count.to_string(),
        query.running.to_string(),
        span(query.p50),
        span(query.p99),
        span(query.slowest),
        one_line(query.slowest_on.as_deref().unwrap_or("-")),
        query.errors.to_string(),
        query.bytes.to_string(),
        one_line(&query.query),
    ]
}

/// The queries that run.
fn list_running(view: &QueriesView) -> String {
    let titles = [
        "ID", "AGE", "CLIENT", "USER", "DATABASE", "ON", "FRONTEND", "QUERY",
    ];
    let rows: Vec<[String; 8]> = view.running.iter().map(running_row).collect();
    let mut text = rendered(&titles, &rows);
    let shown = view.running.len() as u64;
    if view.all_running.0 > shown {
        text.push_str(&format!("{} run; the oldest are shown\n", view.all_running));
    }
    text
}

fn running_row(query: &RunningQueryView) -> [String; 8] {
    let named = |name: &Option<String>| one_line(name.as_deref().unwrap_or("-"));
    [
        query.id.to_string(),
        query.age.to_string(),
        one_line(&query.client),
        named(&query.user),
        named(&query.database),
        named(&query.node),
        one_line(&query.frontend),
        one_line(&query.query),
    ]
}

fn rendered(titles: &[&str], rows: &[impl AsRef<[String]>]) -> String {
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = table(&mut out, titles, rows);
    String::from_utf8_lossy(&out).into_owned()
}
