//! `[[log]]`, and the keys of `[server]` that begin with `log_`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What is logged, beside `log_level` and `access_log`, and where it goes.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// `log_levels`: parts with a level of their own. Default none.
    pub levels: Vec<(String, log::LevelFilter)>,
    /// `log_repeats`: how often the same message is logged within `log_repeat_time`; the rest are counted. Default 10.
    pub repeats: u64,
    /// `log_repeat_time`. Default 10 s.
    pub repeat_time: Duration,
    /// `log_repeat_messages`: messages whose repeats are counted at once. Default 1000.
    pub repeat_messages: usize,
    /// `[[log]]`, in the order of the file. Never empty: standard error if the file has none.
    pub targets: Vec<LogTarget>,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings {
            levels: Vec::new(),
            repeats: 10,
            repeat_time: Duration::from_secs(10),
            repeat_messages: 1000,
            targets: vec![LogTarget::default()],
        }
    }
}

/// `[[log]]`: a place that lines go to.
#[derive(Debug, Clone)]
pub struct LogTarget {
    /// `to`.
    pub to: LogTo,
    /// `lines`. Default `all`.
    pub lines: LogLines,
    /// `format`. Default `text`.
    pub format: LogFormat,
    /// `queue`: most bytes of lines that wait for this target; lines past it are dropped. Default 1 MiB.
    pub queue: usize,
}

impl Default for LogTarget {
    fn default() -> Self {
        LogTarget {
            to: LogTo::Stderr,
            lines: LogLines::All,
            format: LogFormat::Text,
            queue: 1 << 20,
        }
    }
}

/// `to`: where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTo {
    /// `stderr`, the default.
    Stderr,
    /// An absolute path: the end of this file.
    File(PathBuf),
    /// `syslog:/PATH`: a Unix datagram socket.
    Unix {
        /// The socket.
        path: PathBuf,
        /// `facility`, as its number. Default `local0`.
        facility: u8,
        /// `syslog`. Default `rfc3164`, because journald reads no other.
        form: SyslogForm,
    },
    /// `syslog:IP:PORT`: UDP.
    Udp {
        /// The receiver.
        address: SocketAddr,
        /// `facility`, as its number. Default `local0`.
        facility: u8,
        /// `syslog`. Default `rfc5424`, which says the zone of its times.
        form: SyslogForm,
    },
}

impl std::fmt::Display for LogTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LogTo::Stderr => f.write_str("stderr"),
            LogTo::File(path) => write!(f, "{}", path.display()),
            LogTo::Unix { path, .. } => write!(f, "syslog:{}", path.display()),
            LogTo::Udp { address, .. } => write!(f, "syslog:{address}"),
        }
    }
}

/// `lines`: which lines a target takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLines {
    /// All.
    All,
    /// The access log.
    Access,
    /// What haflux has to say.
    Messages,
}

/// `format`: how lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// The access log as HAProxy's `option httplog`, messages as text.
    Text,
    /// One JSON object a line.
    Json,
}

/// `syslog`: the form of a message to syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogForm {
    /// BSD's: `<PRI>Nov 28 21:20:50 haflux[1]: …`.
    Rfc3164,
    /// IETF's: `<PRI>1 2026-11-28T21:20:50.123Z HOST haflux 1 access - …`.
    Rfc5424,
}
