//! The command line: one file a subcommand.
//!
//! Exit status: 0 for success, 1 for a configuration with errors, a server that could not run or an order that was not carried out, 2 for a command line that
//! is not understood; `haflux status` has [its own](status), and so have `haflux compare` and `haflux mend`. What was asked for goes to standard output, errors and warnings to standard error.

mod check;
mod compare;
mod completions;
mod dead_letters;
mod describe;
mod document;
mod hidden;
mod import;
mod journal;
mod log_level;
mod man;
mod mend;
mod moment;
mod names;
mod output;
mod ping;
mod place;
mod queries;
mod rebuild;
mod record;
mod reload;
mod replica;
mod run;
mod running;
mod server;
mod socket_unit;
mod status;
mod tables;
mod text;
mod top;
mod users;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Where the configuration is unless the command line says otherwise.
const DEFAULT_CONFIG: &str = "/etc/haflux/haflux.toml";

/// Exit status for a command line that lacks something; clap's own.
const USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  haflux check --config haflux.toml     is the file right, and what would run?
  haflux run --config haflux.toml       serve until SIGTERM or Ctrl-C
  RUST_LOG=debug haflux run             /etc/haflux/haflux.toml, with more in the log
  haflux import --haproxy haproxy.cfg --relay relay.toml > haflux.toml

A configuration is TOML or YAML, by the ending of its name. The smallest one:

  [[frontend]]
  name = \"influx_front\"
  bind = \"0.0.0.0:8086\"
  use_backend = [{ backend = \"influx_relay\", if = { path_beg = \"/write\" } }]
  default_backend = \"influx_back\"

  [[relay]]
  name = \"influx_relay\"
  replicate_to = \"influx_back\"

  [[backend]]
  name = \"influx_back\"
  check = { http = \"/ping\" }
  servers = [
    { name = \"influx1\", address = \"10.0.2.2:8086\" },
    { name = \"influx2\", address = \"10.0.2.3:8086\" },
  ]";

/// Makes two or more open-source InfluxDB nodes behave, to every client, like one InfluxDB that does not go down.
///
/// haflux stands before the nodes. It balances queries over them, and writes every point to all of them through a journal
/// on disk, so that a node that was down gets what it missed, in order.
#[derive(Debug, Parser)]
#[command(name = "haflux", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve as the configuration says, until SIGTERM or SIGINT
    ///
    /// On either signal requests in flight are answered and the journal is synced before the process ends. A configuration
    /// with errors starts nothing. What is logged goes where the configuration says, standard error by default; RUST_LOG changes levels.
    Run(ConfigFile),
    /// Have the haflux that runs read its configuration again, without closing a connection
    ///
    /// A file with errors, or with a change that needs a restart, changes nothing. Talks to the haflux that runs on this machine, through a
    /// socket in its data_dir: so as its user, or as root; SIGHUP does the same and answers in the log. Exit status 0 if all of the file is
    /// taken, or with --dry-run would be, and 1 if nothing is.
    Reload(reload::Arguments),
    /// Say what would run, or every error of the configuration
    ///
    /// Opens no port and talks to no server. Finds out whether the journal's folder can be written. Exit status 0 if the
    /// configuration is right, 1 if it is not.
    Check(ConfigFile),
    /// Print a systemd unit that holds the listening sockets, so that a restart refuses nobody
    ///
    /// For /etc/systemd/system/haflux.socket. It has every address of the configuration; haflux takes the sockets that it is handed and binds
    /// those that it is not.
    SocketUnit(ConfigFile),
    /// Print a configuration that does what haproxy.cfg, and the influxdb-relays behind it, did
    ///
    /// The configuration goes to standard output, warnings to standard error. A directive without a counterpart is quoted in a
    /// comment, with its line; none is dropped.
    Import(import::Arguments),
    /// Ask a URL and say by the exit status whether it answered well
    ///
    /// For container health checks, where no other HTTP client is at hand. Exit status 0 for an answer 2xx, 1 for any other
    /// or none within two seconds.
    Ping(ping::Arguments),
    /// The records that one replica refused for good while another accepted them: list, show, replay, drop
    ///
    /// Works whether or not haflux runs.
    DeadLetters(dead_letters::Arguments),
    /// Look into a relay's journal, or verify all of it
    ///
    /// Reads and never writes; works whether or not haflux runs.
    Journal(journal::Arguments),
    /// See how the replicas of a running haflux stand, and rebuild one that diverged
    ///
    /// Talks to the haflux that runs on this machine, through a socket in its data_dir: so as its user, or as root. Exit
    /// status 0 if it did what was asked, 1 if not.
    Replica(replica::Arguments),
    /// Find where the nodes of a running haflux differ
    ///
    /// Databases, policies, continuous queries, users and points of all nodes, while clients write; changes nothing. Talks to the haflux
    /// that runs on this machine, through a socket in its data_dir: so as its user, or as root. Exit status 0 if the nodes hold the same,
    /// 1 if they differ, 2 if that is not known of all of them.
    Compare(compare::Arguments),
    /// Make the nodes hold the same where they differ
    ///
    /// Shows what would be done, and does it with --yes, while clients write. Talks to haflux as `compare` does. Exit status 0 if
    /// nothing differs any more, 1 if something does, 2 if it could not be done.
    Mend(mend::Arguments),
    /// See or change how much a running haflux logs
    ///
    /// Changes last until the process ends or its configuration is read anew. Talks to haflux as `replica` does.
    LogLevel(log_level::Arguments),
    /// Print what a shell needs to complete haflux's commands and options
    Completions(completions::Arguments),
    /// Print the manual page, or write the pages of all commands into a folder
    ///
    /// Pages name the day on which they are written; SOURCE_DATE_EPOCH in the environment names another one.
    Man(man::Arguments),
    /// Take a server of a running haflux out of service and back, or change its weight
    ///
    /// Talks to the haflux that runs on this machine, through a socket in its data_dir: so as its user, or as root. An order
    /// counts at once and over restarts. Exit status 0 if it was carried out, 1 if not.
    Server(server::Arguments),
    /// See which queries a running haflux serves and how long they take, or end one
    ///
    /// Talks to the haflux that runs on this machine, through a socket in its data_dir: so as its user, or as root. Exit
    /// status 0 if it did what was asked, 1 if not.
    Queries(queries::Arguments),
    /// Say what is wrong and what to do, and how everything stands
    ///
    /// Talks to the haflux that runs on this machine, through a socket in its data_dir: so as its user, or as root. Exit
    /// status 0 if all is well, 1 if something is wrong, 2 if haflux could not be asked.
    Status(status::Arguments),
    /// Print lines for the file of haflux's own users
    Users(users::Arguments),
    /// Watch all of that live: what is wrong, then everything, down to the figures of one server or replica
    ///
    /// Draws on the terminal until q or Ctrl-C. Talks to haflux as `status` does; while there is no answer, it says since when.
    Top(top::Arguments),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration: a file that ends in .toml, .yaml or .yml
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(file) => run::run(&file.config),
        Command::Reload(arguments) => reload::run(&arguments),
        Command::Check(file) => check::check(&file.config),
        Command::SocketUnit(file) => socket_unit::run(&file.config),
        Command::Import(arguments) => import::run(&arguments),
        Command::Ping(arguments) => ping::run(&arguments),
        Command::DeadLetters(arguments) => dead_letters::run(arguments),
        Command::Journal(arguments) => journal::run(arguments),
        Command::Replica(arguments) => replica::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Mend(arguments) => mend::run(&arguments),
        Command::LogLevel(arguments) => log_level::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Server(arguments) => server::run(&arguments),
        Command::Queries(arguments) => queries::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Users(arguments) => users::run(&arguments),
    }
}
