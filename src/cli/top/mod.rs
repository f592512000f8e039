//! `haflux top`: what `haflux status` says, live, and every figure of each part.
//!
//! It asks for the document of the status page over the control socket, once every `--delay`, and draws it.
//!
//! - [`view`]: what is looked at, and what keys do to it.
//! - [`content`]: what a part shows; [`figures`]: all figures of one part.
//! - [`screen`]: how it is drawn.
//!
//! Three things happen at their own pace: keys and answers come from a thread each, because both block, and signals end the
//! program. One loop takes them in and draws after each. However it ends, the terminal is as it was before: after `q`, a signal, an
//! error of the terminal, and a panic, for which ratatui's hook restores it before the message.
//!
//! Exit status: 0 when a person or a signal ended it, 1 if the terminal failed, 2 if there is no terminal or the configuration has
//! errors.

mod content;
mod figures;
mod screen;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc as blocking;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::document::Source;
use super::{DEFAULT_CONFIG, USAGE};
use crate::cli::output::tell;
use crate::stats::snapshot::Snapshot;
use view::{Next, View};

/// How often the screen is drawn when nothing happens: the time without an answer goes on.
const REDRAW: Duration = Duration::from_secs(1);

/// Keys, and answers, that wait to be taken in.
const WAITING: usize = 64;

/// The delays that may be asked for, in seconds.
const DELAYS: std::ops::RangeInclusive<f64> = 0.1..=3600.0;

const KEYS: &str = "\
Keys:
  Up, Down, j, k, PgUp, PgDn, Home, End, g, G    move
  Enter, l, Right; Esc, h, Left                  go into a part, as a relay, its replica; and out of it
  /                                              show only rows with these letters; Esc shows all again
  s, r                                           sort the table by its next column; reverse the order
  p, space                                       pause and go on
  ?                                              these keys
  q, Ctrl-C                                      quit";

/// What `haflux top` is told.
#[derive(Debug, Args)]
#[command(after_help = KEYS)]
pub(super) struct Arguments {
    /// How often to ask, in seconds: 0.1 to 3600
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = delay)]
    delay: Duration,
    /// The configuration of the haflux that runs: its data_dir says where it listens
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

fn delay(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    let seconds = seconds.filter(|seconds| DELAYS.contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("expected {} to {} seconds", DELAYS.start(), DELAYS.end()))
}

/// The document, or why there is none.
type Answer = Result<Box<Snapshot>, String>;

/// Draws until it is told to end.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        tell!(
            "haflux: top needs a terminal to draw on and to read keys from; `haflux status` prints the same once"
        );
        return ExitCode::from(USAGE);
    }
    let source = match Source::of(&arguments.config) {
        Ok(source) => source,
        Err(status) => return status,
    };
    let ended = watch(source, arguments.delay);
    // Whatever was changed before an error is changed back. A terminal that is gone needs nothing.
    let _ = ratatui::try_restore();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell!("haflux: the terminal failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn watch(source: Source, delay: Duration) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(draw_until_the_end(source, delay))
}

async fn draw_until_the_end(source: Source, delay: Duration) -> io::Result<()> {
    // Before the terminal is changed: a signal must not end the process then.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminal = ratatui::try_init()?;
    let (ask, mut answers) = answer_questions(source)?;
    let mut events = read_events()?;
    let mut due = interval(delay);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut redraw = interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut view = View::new(delay);
    loop {
        terminal.draw(|frame| screen::draw(frame, &mut view, Instant::now()))?;
        tokio::select! {
            event = events.recv() => match event.ok_or_else(panicked)?? {
                Event::Key(key) if key.is_press() => match view.key(key) {
                    Next::GoOn => {}
                    Next::Leave => return Ok(()),
                },
                // Another size needs no more than to be drawn.
                _ => {}
            },
            answer = answers.recv() => view.answer(answer.ok_or_else(panicked)?, Instant::now()),
            _ = due.tick() => if view.asks(Instant::now()) {
                ask.send(()).map_err(|_| panicked())?;
            },
            _ = redraw.tick() => {}
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
        }
    }
}

/// A thread is gone. Its panic has ended the drawing, because ratatui's hook has restored the terminal.
fn panicked() -> io::Error {
    io::Error::other("a thread panicked")
}

/// Asks in a thread of its own, once for each word that is sent. The thread ends with the process.
fn answer_questions(source: Source) -> io::Result<(blocking::Sender<()>, mpsc::Receiver<Answer>)> {
    let (ask, asked) = blocking::channel();
    let (answers, answered) = mpsc::channel(WAITING);
    let answer = move || {
        for () in asked {
            let answer = source.snapshot().map(Box::new);
            let answer = answer.map_err(|error| error.to_string());
            if answers.blocking_send(answer).is_err() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("questions".to_owned())
        .spawn(answer)?;
    Ok((ask, answered))
}

/// Reads keys in a thread of its own, which ends with the process: crossterm's reading blocks inside of an unfinished sequence.
fn read_events() -> io::Result<mpsc::Receiver<io::Result<Event>>> {
    let (events, happened) = mpsc::channel(WAITING);
    let read = move || {
        loop {
            let event = event::read();
            let is_over = event.is_err();
            if events.blocking_send(event).is_err() || is_over {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".to_owned()).spawn(read)?;
    Ok(happened)
}
