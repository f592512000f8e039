//! `haflux server`: a person's orders for the servers of a running haflux.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::names::{DidYouMean, Names, OneLine, Quoted};
use super::text::table;
use super::{DEFAULT_CONFIG, output, running};
use crate::config::Config;
use crate::control::{Answer, AskError, ControlError, Request, ServerReport, ask};
use crate::stats::units::Span;
use crate::stats::{AdminState, CheckCode};

const EXAMPLES: &str = "\
Upgrading a node while the others serve:
  haflux server drain influx_back/influxlab2    no new requests; what is under way is finished, writes go on
  haflux server maint influx_back/influxlab2    nothing at all; the journal keeps what it misses
  …                                             stop, upgrade and start the node
  haflux server ready influx_back/influxlab2    it is sent what it missed, and serves when it has it

An order counts over restarts, until the next one. docs/operation.md says more.";

/// What `haflux server` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    order: Order,
    /// The configuration of the haflux that runs: its data_dir says where it listens
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG, global = true)]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Say how every server stands
    List,
    /// No new requests and no reads: what is under way is finished, checks and a relay's writes go on
    Drain(Place),
    /// Nothing at all: no requests, no checks, no writes; a relay's backlog for it grows
    Maint(Place),
    /// Back into service, as its checks say
    Ready(Place),
    /// Change its share of the requests
    Weight {
        #[command(flatten)]
        place: Place,
        /// 0 to 256, or a percentage of the configuration's weight: 50%
        #[arg(value_name = "WEIGHT")]
        weight: String,
    },
}

#[derive(Debug, Args)]
struct Place {
    /// The server, with its backend
    #[arg(value_name = "BACKEND/SERVER")]
    place: String,
}

/// Why the order came to nothing.
#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("{} is no BACKEND/SERVER", Quoted(.0))]
    NoPlace(String),
    #[error("there is no backend {}; there are: {}{}", Quoted(name), Names(known), DidYouMean { found: name, known })]
    UnknownBackend { name: String, known: Vec<String> },
    #[error("backend {} has no server {}; it has: {}{}", Quoted(backend), Quoted(name), Names(known), DidYouMean { found: name, known })]
    UnknownServer {
        backend: String,
        name: String,
        known: Vec<String>,
    },
    #[error("{}", OneLine(&.0.to_string()))]
    Refused(ControlError),
    #[error("haflux did not understand it; is the one that runs of another version?{}", .0.as_deref().map(|why| format!(" ({})", OneLine(why))).unwrap_or_default())]
    Misunderstood(Option<String>),
}

/// Asks the haflux that runs. The exit status is 0 if it did what was asked, and 1 otherwise.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match running::configuration(&arguments.config) {
        Ok(config) => config,
        Err(status) => return status,
    };
    output::said(carry_out(&arguments.order, &config))
}

/// What to print.
fn carry_out(order: &Order, config: &Config) -> Result<String, OrderError> {
    let request = match order {
        Order::List => Request::Servers {},
        Order::Drain(place) => state(place, AdminState::Drain)?,
        Order::Maint(place) => state(place, AdminState::Maint)?,
        Order::Ready(place) => state(place, AdminState::Ready)?,
        Order::Weight { place, weight } => {
            let (backend, server) = place.parts()?;
            Request::ServerWeight {
                backend,
                server,
                weight: weight.clone(),
            }
        }
    };
    match (
        ask(&config.server.data_dir, &request, running::LIMIT)?,
        &request,
    ) {
        (Answer::Servers(servers), Request::Servers {}) => Ok(list(&servers)),
        (Answer::Done(next), Request::ServerState { .. } | Request::ServerWeight { .. }) => {
            Ok(format!("{}\n", OneLine(&next)))
        }
        (Answer::Refused(ControlError::UnknownBackend { name, known }), _) => {
            Err(OrderError::UnknownBackend { name, known })
        }
        (
            Answer::Refused(ControlError::UnknownServer {
                backend,
                name,
                known,
            }),
            _,
        ) => Err(OrderError::UnknownServer {
            backend,
            name,
            known,
        }),
        (Answer::Refused(error), _) => Err(OrderError::Refused(error)),
        (Answer::Misunderstood(why), _) => Err(OrderError::Misunderstood(Some(why))),
        (_, _) => Err(OrderError::Misunderstood(None)),
    }
}

fn state(place: &Place, state: AdminState) -> Result<Request, OrderError> {
    let (backend, server) = place.parts()?;
    Ok(Request::ServerState {
        backend,
        server,
        state,
    })
}

impl Place {
    fn parts(&self) -> Result<(String, String), OrderError> {
        let parts = self.place.split_once('/');
        let (backend, server) = parts.ok_or_else(|| OrderError::NoPlace(self.place.clone()))?;
        Ok((backend.to_owned(), server.to_owned()))
    }
}

/// One line for each server.
fn list(servers: &[ServerReport]) -> String {
    let rows: Vec<[String; 8]> = servers.iter().map(row).collect();
    let titles = [
        "SERVER", "ADDRESS", "STATE", "ADMIN", "SINCE", "WEIGHT", "SESSIONS", "CHECK",
    ];
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = table(&mut out, &titles, &rows);
    String::from_utf8_lossy(&out).into_owned()
}

fn row(server: &ServerReport) -> [String; 8] {
    let weight = match server.weight == server.initial_weight {
        true => server.weight.to_string(),
        false => format!("{} (of {})", server.weight, server.initial_weight),
    };
    [
        OneLine(&format!("{}/{}", server.backend, server.name)).to_string(),
        OneLine(&server.address).to_string(),
        OneLine(&server.status).to_string(),
        server.admin.word().to_owned(),
        Span(Duration::from_secs(server.since)).to_string(),
        weight,
        server.sessions.to_string(),
        server.last_check.map_or("-", CheckCode::word).to_owned(),
    ]
}
