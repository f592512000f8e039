//! The log: what haflux has to say, and a line for each request, to every target of the configuration.
//!
//! Messages come through the `log` crate; their part is the module that they come from, and [`Levels`] says how much of each part is
//! logged. The access log does not depend on levels: it is on or off. Each target ([`sink`]) has a bounded [`queue`] and a thread of its
//! own, so that no request waits for a slow one. [`repeats`] holds back messages that repeat, [`render`] writes the lines.
//!
//! There is one logger in a process, because the `log` crate knows one. Before [`start`], nothing is logged.

mod levels;
mod queue;
mod render;
mod repeats;
mod sink;

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use log::{Level, Log, Metadata, Record};
use parking_lot::Mutex;

use crate::config::model::{LogLines, LogTarget, LogTo, Server};
use crate::stats::{LogStats, LogTargetStats};

use queue::{Batch, PAUSE, Queue};
use render::{Form, What};
use repeats::{Bounds, Repeats};
use sink::Sink;

pub use levels::{Levels, LevelsError};
pub(crate) use render::{AccessLine, rfc3339};

/// How often messages are looked for whose interval is over.
const TICK: Duration = Duration::from_millis(500);

/// How long the end of the process waits for lines that are not written.
const END: Duration = Duration::from_secs(2);

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A target cannot be had.
    #[error("the log target \"{to}\" cannot be opened: {error}")]
    Open {
        /// `to` of the target.
        to: String,
        /// What failed.
        error: io::Error,
    },
    /// A thread cannot be had.
    #[error("no thread for the log: {0}")]
    Thread(io::Error),
}

struct Logger {
    levels: ArcSwap<Levels>,
    /// Held by whoever changes the levels from what they are.
    changing: Mutex<()>,
    /// The changes that `RUST_LOG` makes to the configuration's levels.
    override_levels: String,
    repeats: Mutex<Repeats>,
    targets: Vec<Outlet>,
    stats: Arc<LogStats>,
}

/// One target, as those see it who log.
struct Outlet {
    lines: LogLines,
    form: Form,
    queue: Arc<Queue>,
}

/// Starts logging as the configuration says, with the changes of `override_levels`, which is in the form of [`Levels::changed`], after
/// the configuration's. Returns what is wrong with them, if something is: then they change nothing.
///
/// # Errors
/// [`StartError`]; nothing is logged then.
pub fn start(
    server: &Server,
    override_levels: Option<&str>,
) -> Result<Option<LevelsError>, StartError> {
    let configured = Levels::of(server);
    let (levels, override_levels, wrong) = match configured.changed(override_levels.unwrap_or("")) {
        Ok(levels) => (levels, override_levels.unwrap_or(""), None),
        Err(error) => (configured, "", Some(error)),
    };
    let mut targets = Vec::new();
    let mut stats = Vec::new();
    for target in &server.log.targets {
        let (outlet, counted) = open(target)?;
        targets.push(outlet);
        stats.push(counted);
    }
    let logger = Logger {
        override_levels: override_levels.to_owned(),
        levels: ArcSwap::from_pointee(levels.clone()),
        changing: Mutex::default(),
        repeats: Mutex::new(Repeats::new(Bounds {
            most: server.log.repeats,
            interval: server.log.repeat_time,
            kinds: server.log.repeat_messages,
        })),
        targets,
        stats: Arc::new(LogStats {
            targets: stats,
            ..LogStats::default()
        }),
    };
    let logger = LOGGER.get_or_init(|| logger);
    // Only a logger that was there before is in the way, and then it logs.
    if log::set_logger(logger).is_ok() {
        log::set_max_level(levels.most());
    }
    thread::Builder::new()
        .name("log-repeats".to_owned())
        .spawn(|| {
            loop {
                thread::sleep(TICK);
                logger.say_repeats(Repeats::over, Instant::now());
            }
        })
        .map_err(StartError::Thread)?;
    Ok(wrong)
}

fn open(target: &LogTarget) -> Result<(Outlet, Arc<LogTargetStats>), StartError> {
    let to = target.to.to_string();
    let sink = Sink::open(&target.to).map_err(|error| StartError::Open {
        to: to.clone(),
        error,
    })?;
    let stats = Arc::new(LogTargetStats {
        to,
        ..LogTargetStats::default()
    });
    let queue = Arc::new(Queue::new(target.queue, Arc::clone(&stats)));
    let form = Form::of(target);
    let (source, notice) = (Arc::clone(&queue), form.clone());
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || carry(&source, &notice, sink))
        .map_err(StartError::Thread)?;
    let outlet = Outlet {
        lines: target.lines,
        form,
        queue,
    };
    Ok((outlet, stats))
}

/// Writes what comes into the queue, for as long as the process lives.
fn carry(queue: &Queue, form: &Form, mut sink: Sink) {
    let mut batch = Batch::default();
    let mut unsaid = 0;
    loop {
        unsaid += queue.take(&mut batch);
        let mut is_failing = false;
        if let Err(lost) = sink.write(&batch) {
            queue.lost(lost.lines);
            is_failing = lost.is_lasting;
        }
        if unsaid > 0 && !is_failing {
            let text = format!("{unsaid} lines were dropped because this target did not take them");
            let what = What::Message {
                level: Level::Warn,
                part: "logging",
                text: &text,
                held: 0,
            };
            let mut line = Vec::new();
            form.write(Timestamp::now(), what, &mut line);
            match sink.write(&Batch::of(&line)) {
                Ok(()) => unsaid = 0,
                Err(_) => is_failing = true,
            }
        }
        if is_failing {
            thread::sleep(PAUSE);
        }
    }
}

impl Logger {
    fn say(&self, what: What<'_>) {
        let now = Timestamp::now();
        let mut line = Vec::new();
        for target in &self.targets {
            let takes = match target.lines {
                LogLines::All => true,
                LogLines::Access => matches!(what, What::Access(_)),
                LogLines::Messages => matches!(what, What::Message { .. }),
            };
            if takes {
                line.clear();
                target.form.write(now, what, &mut line);
                target.queue.put(&line);
            }
        }
    }

    fn say_repeats<A>(&self, which: impl FnOnce(&mut Repeats, A) -> Vec<repeats::Repeated>, at: A) {
        let repeated = which(&mut self.repeats.lock(), at);
        for message in repeated {
            self.say(What::Message {
                level: message.level,
                part: render::part(&message.target),
                text: &message.text,
                held: message.held,
            });
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.levels
            .load()
            .allow(metadata.target(), metadata.level())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = render::one_line(record.args());
        let admitted = self.repeats.lock().admit(
            Instant::now(),
            (record.file(), record.line()),
            record.level(),
            record.target(),
            &text,
        );
        if !admitted {
            self.stats.held_back.increment();
            return;
        }
        self.say(What::Message {
            level: record.level(),
            part: render::part(record.target()),
            text: &text,
            held: 0,
        });
    }

    fn flush(&self) {
        let until = Instant::now() + END;
        for target in &self.targets {
            target.queue.wait_until_empty(until);
        }
    }
}

/// Writes what is still to be written, for a moment at most; for the end of the process.
pub fn finish() {
    if let Some(logger) = LOGGER.get() {
        logger.say_repeats(|repeats, ()| repeats.all(), ());
        logger.flush();
    }
}

/// Whether there is an access log now.
pub(crate) fn has_access_log() -> bool {
    LOGGER
        .get()
        .is_some_and(|logger| logger.levels.load().has_access())
}

/// Logs a request, if there is an access log.
pub(crate) fn access(line: &dyn AccessLine) {
    if let Some(logger) = LOGGER.get().filter(|_| has_access_log()) {
        logger.say(What::Access(line));
    }
}

/// Whether messages reach standard error, where whoever started haflux by hand looks for them.
pub fn reaches_stderr(server: &Server) -> bool {
    let mut targets = server.log.targets.iter();
    targets.any(|target| target.to == LogTo::Stderr && target.lines != LogLines::Access)
}

/// Logs at these levels from now on.
pub fn set_levels(levels: Levels) {
    if let Some(logger) = LOGGER.get() {
        log::set_max_level(levels.most());
        logger.levels.store(Arc::new(levels));
    }
}

/// Takes the levels of a configuration that was read anew; those of `RUST_LOG` go before them, and what [`change_levels`] did is undone.
pub fn reload_levels(server: &Server) {
    if let Some(logger) = LOGGER.get() {
        let _changing = logger.changing.lock();
        let configured = Levels::of(server);
        let levels = configured.changed(&logger.override_levels);
        set_levels(levels.unwrap_or(configured));
    }
}

/// Changes levels as [`Levels::changed`] does, and returns those that count now. An empty order changes nothing.
///
/// # Errors
/// What is wrong with the order; then it changes nothing.
pub fn change_levels(order: &str) -> Result<String, LevelsError> {
    let Some(logger) = LOGGER.get() else {
        return Ok("nothing is logged".to_owned());
    };
    let _changing = logger.changing.lock();
    let levels = logger.levels.load().changed(order)?;
    let shown = levels.to_string();
    set_levels(levels);
    Ok(shown)
}

/// The log's counters; none before [`start`].
pub fn stats() -> Arc<LogStats> {
    LOGGER
        .get()
        .map(|logger| Arc::clone(&logger.stats))
        .unwrap_or_default()
}
