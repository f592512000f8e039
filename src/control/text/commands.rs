//! The commands, and what each asks for.

use std::time::Duration;

use super::{Step, View};
use crate::config::model::Level;
use crate::control::message::Request;
use crate::stats::AdminState;
use crate::stats::csv::{Format, StatQuery};

/// The longest silence that a session may ask for.
const LONGEST_SILENCE: Duration = Duration::from_secs(3600);

const NO_SERVER: &str = "Require 'backend/server'.\n";

/// One command.
struct Command {
    /// How it begins.
    words: &'static [&'static str],
    usage: &'static str,
    help: &'static str,
    level: Level,
    /// Reads what follows.
    read: fn(&[&str]) -> Result<Step, String>,
}

const COMMANDS: &[Command] = &[
    Command {
        words: &["disable", "server"],
        usage: "disable server (DEPRECATED)",
        help: "disable a server for maintenance (use 'set server' instead)",
        level: Level::Admin,
        read: |rest| set_state(rest, AdminState::Maint),
    },
    Command {
        words: &["enable", "server"],
        usage: "enable server  (DEPRECATED)",
        help: "enable a disabled server (use 'set server' instead)",
        level: Level::Admin,
        read: |rest| set_state(rest, AdminState::Ready),
    },
    Command {
        words: &["get", "weight"],
        usage: "get weight <bk>/<srv>",
        help: "report a server's current weight",
        level: Level::User,
        read: get_weight,
    },
    Command {
        words: &["log-level"],
        usage: "log-level [<level>|<part>=<level>,...]",
        help: "report or change how much is logged",
        level: Level::Operator,
        read: |rest| {
            let levels = rest.join(" ");
            Ok(Step::Ask(Request::LogLevel { levels }, View::Plain))
        },
    },
    Command {
        words: &["operator"],
        usage: "operator",
        help: "lower the level of the current CLI session to operator",
        level: Level::User,
        read: |_| Ok(Step::Lower(Level::Operator)),
    },
    Command {
        words: &["reload"],
        usage: "reload [dry-run]",
        help: "read the configuration again, or say what it would change",
        level: Level::Admin,
        read: |rest| {
            let dry_run = match rest {
                [] => false,
                ["dry-run"] => true,
                _ => return Err("usage: reload [dry-run]\n".to_owned()),
            };
            Ok(Step::Ask(Request::Reload { dry_run }, View::Plain))
        },
    },
    Command {
        words: &["replica", "readmit"],
        usage: "replica readmit <name> [as-it-is] [<relay>]",
        help: "take a replica back whose data was copied",
        level: Level::Admin,
        read: readmit,
    },
    Command {
        words: &["replica", "rebuild-begin"],
        usage: "replica rebuild-begin <name> [<relay>]",
        help: "keep the journal for a replica that is rebuilt",
        level: Level::Admin,
        read: rebuild_begin,
    },
    Command {
        words: &["replica", "skip"],
        usage: "replica skip <name> <sequence> [<relay>]",
        help: "set a record aside that a replica never answers",
        level: Level::Admin,
        read: skip,
    },
    Command {
        words: &["replica", "status"],
        usage: "replica status",
        help: "report how every replica stands",
        level: Level::Operator,
        read: |_| Ok(Step::Ask(Request::Status {}, View::Plain)),
    },
    Command {
        words: &["set", "server"],
        usage: "set server <bk>/<srv> [opts]",
        help: "change a server's state or weight",
        level: Level::Admin,
        read: set_server,
    },
    Command {
        words: &["set", "timeout"],
        usage: "set timeout [cli] <delay>",
        help: "change a timeout setting",
        level: Level::User,
        read: set_timeout,
    },
    Command {
        words: &["set", "weight"],
        usage: "set weight <bk>/<srv>  (DEPRECATED)",
        help: "change a server's weight (use 'set server' instead)",
        level: Level::Admin,
        read: set_weight,
    },
    Command {
        words: &["show", "backend"],
        usage: "show backend",
        help: "list backends in the current running config",
        level: Level::Operator,
        read: |_| Ok(Step::Ask(Request::Servers {}, View::Backends)),
    },
    Command {
        words: &["show", "cli", "level"],
        usage: "show cli level",
        help: "display the level of the current CLI session",
        level: Level::User,
        // `read` below knows the level.
        read: |_| Ok(Step::Say(String::new())),
    },
    Command {
        words: &["show", "info"],
        usage: "show info [typed|json]",
        help: "report information about the running process",
        level: Level::User,
        read: show_info,
    },
    Command {
        words: &["show", "servers", "state"],
        usage: "show servers state [<backend>]",
        help: "dump volatile server information (all or for a single backend)",
        level: Level::Operator,
        read: |rest| {
            let backend = rest.first().map(|name| (*name).to_owned());
            Ok(Step::Ask(Request::Servers {}, View::ServersState(backend)))
        },
    },
    Command {
        words: &["show", "stat"],
        usage: "show stat [<p> <type> <srv>] [typed|json]",
        help: "report counters for each proxy and server",
        level: Level::User,
        read: show_stat,
    },
    Command {
        words: &["show", "version"],
        usage: "show version",
        help: "show version of the current process",
        level: Level::User,
        read: |_| {
            let version = env!("CARGO_PKG_VERSION");
            Ok(Step::Say(format!("{version}\n")))
        },
    },
    Command {
        words: &["user"],
        usage: "user",
        help: "lower the level of the current CLI session to user",
        level: Level::User,
        read: |_| Ok(Step::Lower(Level::User)),
    },
    Command {
        words: &["help"],
        usage: "help [<command>]",
        help: "list matching or all commands",
        level: Level::User,
        read: |rest| {
            let title = "The following commands are valid at this level:\n";
            Ok(Step::Say(list(title, |one| one.begins_with(rest))))
        },
    },
    Command {
        words: &["prompt"],
        usage: "prompt",
        help: "toggle interactive mode with prompt",
        level: Level::User,
        read: |_| Ok(Step::Prompt),
    },
    Command {
        words: &["quit"],
        usage: "quit",
        help: "disconnect",
        level: Level::User,
        read: |_| Ok(Step::Quit),
    },
];

/// What every list of commands ends with.
const ALWAYS: [&str; 3] = ["help", "prompt", "quit"];

impl Command {
    /// Whether it is one that begins with these words.
    fn begins_with(&self, words: &[&str]) -> bool {
        words
            .iter()
            .zip(self.words)
            .all(|(one, other)| one == other)
    }

    fn line(&self) -> String {
        format!("  {:<40}: {}\n", self.usage, self.help)
    }
}

/// What these words ask for, in a session of this level.
pub(in crate::control) fn read(words: &[String], level: Level) -> Step {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let found = COMMANDS.iter().find_map(|command| {
        let rest = words.strip_prefix(command.words)?;
        Some((command, rest))
    });
    let Some((command, rest)) = found else {
        return Step::Say(unknown(&words));
    };
    if command.level > level {
        return Step::Say("Permission denied\n".to_owned());
    }
    if command.words == ["show", "cli", "level"] {
        return Step::Say(format!("{}\n", level.word()));
    }
    (command.read)(rest).unwrap_or_else(Step::Say)
}

fn unknown(words: &[&str]) -> String {
    let first = words.first();
    let is_like = |command: &Command| {
        let beginning = first.filter(|first| command.words.first() == Some(first));
        beginning.is_some()
    };
    match COMMANDS.iter().any(is_like) {
        true => list(
            "Unknown command, but maybe one of the following ones is a better match:\n",
            is_like,
        ),
        false => list(
            "Unknown command. Please enter one of the following commands only:\n",
            |_| true,
        ),
    }
}

fn list(title: &str, is_meant: impl Fn(&Command) -> bool) -> String {
    let is_shown = |command: &&Command| {
        let always = command
            .words
            .first()
            .is_some_and(|word| ALWAYS.contains(word));
        always || is_meant(command)
    };
    let lines = COMMANDS.iter().filter(is_shown).map(Command::line);
    std::iter::once(title.to_owned()).chain(lines).collect()
}

/// `backend/server`, and what follows it.
fn place<'a>(rest: &[&'a str]) -> Result<(String, String, Vec<&'a str>), String> {
    let (place, rest) = rest.split_first().ok_or(NO_SERVER)?;
    let (backend, server) = place.split_once('/').ok_or(NO_SERVER)?;
    Ok((backend.to_owned(), server.to_owned(), rest.to_vec()))
}

fn set_state(rest: &[&str], state: AdminState) -> Result<Step, String> {
    let (backend, server, _) = place(rest)?;
    let request = Request::ServerState {
        backend,
        server,
        state,
    };
    Ok(Step::Ask(request, View::Silent))
}

fn set_weight(rest: &[&str]) -> Result<Step, String> {
    let (backend, server, rest) = place(rest)?;
    let request = Request::ServerWeight {
        backend,
        server,
        weight: rest.first().copied().unwrap_or_default().to_owned(),
    };
    Ok(Step::Ask(request, View::Silent))
}

fn set_server(rest: &[&str]) -> Result<Step, String> {
    let (_, _, what) = place(rest)?;
    match what.as_slice() {
        ["state", word, ..] if AdminState::of(word).is_some() => {
            set_state(rest, AdminState::of(word).unwrap_or_default())
        }
        ["state", ..] => {
            Err("'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n".to_owned())
        }
        ["weight", weight @ ..] => {
            let place = rest.first().copied().unwrap_or_default();
            set_weight(&[&[place], weight].concat())
        }
        _ => Err("usage: set server <backend>/<server> state | weight\n".to_owned()),
    }
}

fn get_weight(rest: &[&str]) -> Result<Step, String> {
    let (backend, server, _) = place(rest)?;
    Ok(Step::Ask(
        Request::Servers {},
        View::Weight { backend, server },
    ))
}

/// HAProxy's time: seconds, or with a unit.
fn set_timeout(rest: &[&str]) -> Result<Step, String> {
    let ["cli", delay, ..] = rest else {
        return Err("'set timeout' only supports 'cli'.\n".to_owned());
    };
    let end = delay.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = delay.split_at(end);
    let number = number.parse::<u32>().ok();
    let duration = number.and_then(|number| {
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "" | "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return None,
        };
        Some(unit.saturating_mul(number).min(LONGEST_SILENCE))
    });
    match duration.filter(|duration| !duration.is_zero()) {
        Some(duration) => Ok(Step::Timeout(duration)),
        None => Err("Invalid timeout value.\n".to_owned()),
    }
}

/// How an answer is written; `desc` adds what HAProxy says of a value beside its typed form, and haflux does not.
fn format(word: &str) -> Option<Format> {
    match word {
        "typed" => Some(Format::Typed),
        "json" => Some(Format::Json),
        _ => None,
    }
}

fn show_info(rest: &[&str]) -> Result<Step, String> {
    let format = rest.iter().rev().find_map(|word| format(word));
    let view = View::Process(format.unwrap_or_default());
    Ok(Step::Ask(Request::Process {}, view))
}

/// The three words for a place count together, before the options; HAProxy passes over what it does not know.
fn show_stat(rest: &[&str]) -> Result<Step, String> {
    let rest = match rest {
        ["domain", "proxy", rest @ ..] => rest,
        ["domain", ..] => return Err("Invalid statistics domain.\n".to_owned()),
        rest => rest,
    };
    let is_option = |word: &&str| ["typed", "json", "desc", "no-maint", "up"].contains(word);
    let (place, options) = match rest.split_at_checked(3) {
        Some((place, options)) if !place.iter().all(is_option) => (place, options),
        _ => (&[][..], rest),
    };
    let has = |option: &str| options.contains(&option);
    let mut query = StatQuery {
        no_maint: has("no-maint"),
        up: has("up"),
        format: options
            .iter()
            .rev()
            .find_map(|word| format(word))
            .unwrap_or_default(),
        ..StatQuery::default()
    };
    if let [proxy, kinds, server] = place {
        query.proxy = Some((*proxy).to_owned()).filter(|name| name != "-1");
        query.kinds = Some(whole_number(kinds).cast_unsigned()).filter(|kinds| *kinds != u32::MAX);
        query.server = match whole_number(server) {
            -1 => None,
            number => Some(u32::try_from(number).unwrap_or_default()),
        };
    }
    Ok(Step::Ask(Request::Statistics(query), View::Plain))
}

/// The number that a word begins with, as C's `atoi` reads it: 0 if there is none.
fn whole_number(word: &str) -> i32 {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let digits = digits.bytes().take_while(u8::is_ascii_digit).count();
    let end = digits + usize::from(word.starts_with('-'));
    word.get(..end)
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

/// A replica's name, and what follows it.
fn replica<'a>(rest: &[&'a str]) -> Result<(String, Vec<&'a str>), String> {
    let (name, rest) = rest.split_first().ok_or("Require a replica's name.\n")?;
    Ok(((*name).to_owned(), rest.to_vec()))
}

fn relay(rest: &[&str]) -> Option<String> {
    rest.first().map(|name| (*name).to_owned())
}

fn rebuild_begin(rest: &[&str]) -> Result<Step, String> {
    let (name, rest) = replica(rest)?;
    let relay = relay(&rest);
    Ok(Step::Ask(
        Request::RebuildBegin { name, relay },
        View::Plain,
    ))
}

fn readmit(rest: &[&str]) -> Result<Step, String> {
    let (name, rest) = replica(rest)?;
    let (as_it_is, rest) = match rest.as_slice() {
        ["as-it-is", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let request = Request::Readmit {
        name,
        relay: relay(rest),
        as_it_is,
    };
    Ok(Step::Ask(request, View::Plain))
}

fn skip(rest: &[&str]) -> Result<Step, String> {
    let (name, rest) = replica(rest)?;
    let sequence = rest.first().and_then(|word| word.parse().ok());
    let request = Request::Skip {
        name,
        sequence: sequence.ok_or("Require the sequence of a record.\n")?,
        relay: relay(rest.get(1..).unwrap_or_default()),
    };
    Ok(Step::Ask(request, View::Plain))
}
