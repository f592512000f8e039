//! How a line is written: in text or as JSON, bare or in a syslog message.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use log::Level;
use serde::Serialize;

use crate::config::log_parts::ACCESS;
use crate::config::model::{LogFormat, LogTarget, LogTo, SyslogForm};

/// The most bytes of a message's text; the rest is cut off.
pub(super) const LONGEST_TEXT: usize = 16 << 10;

/// The name under which haflux logs to syslog.
const APP: &str = "haflux";

/// One line of the access log.
pub(crate) trait AccessLine: fmt::Display {
    /// Writes it as one JSON object; `time` is when it is logged.
    fn write_json(&self, time: &str, to: &mut Vec<u8>);
}

/// What is logged.
#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    /// A message of haflux or of a library.
    Message {
        level: Level,
        part: &'a str,
        text: &'a str,
        /// How often it was held back before: then this line stands for all of those.
        held: u64,
    },
    /// A request.
    Access(&'a dyn AccessLine),
}

impl What<'_> {
    fn level(&self) -> Level {
        match self {
            What::Message { level, .. } => *level,
            What::Access(_) => Level::Info,
        }
    }

    fn part(&self) -> &str {
        match self {
            What::Message { part, .. } => part,
            What::Access(_) => ACCESS,
        }
    }
}

/// A message as JSON.
#[derive(Serialize)]
struct MessageJson<'a> {
    time: &'a str,
    kind: &'static str,
    level: &'a str,
    part: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    held: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How the lines of a target are written.
#[derive(Debug, Clone)]
pub(super) struct Form {
    format: LogFormat,
    syslog: Option<Syslog>,
}

#[derive(Debug, Clone)]
struct Syslog {
    facility: u8,
    form: SyslogForm,
    /// For a receiver on another machine.
    host: Option<String>,
}

impl Form {
    pub(super) fn of(target: &LogTarget) -> Form {
        let syslog = match &target.to {
            LogTo::Stderr | LogTo::File(_) => None,
            LogTo::Unix { facility, form, .. } => Some((facility, form, None)),
            LogTo::Udp { facility, form, .. } => Some((facility, form, Some(host()))),
        };
        let syslog = syslog.map(|(facility, form, host)| Syslog {
            facility: *facility,
            form: *form,
            host,
        });
        Form {
            format: target.format,
            syslog,
        }
    }

    /// Appends the line to `to`. Without syslog it ends with a newline.
    pub(super) fn write(&self, now: Timestamp, what: What<'_>, to: &mut Vec<u8>) {
        let time = rfc3339(now);
        match &self.syslog {
            Some(syslog) => syslog.write_header(now, &time, what, to),
            None if self.format == LogFormat::Text => {
                // Writing into memory does not fail.
                let _ = write!(to, "{time} {:<5} ", what.level());
                let _ = write!(to, "{}: ", what.part());
            }
            None => {}
        }
        match self.format {
            LogFormat::Text => {
                if let (Some(_), What::Message { part, .. }) = (&self.syslog, what) {
                    let _ = write!(to, "{part}: ");
                }
                write_text(what, to);
            }
            LogFormat::Json => write_json(&time, what, to),
        }
        if self.syslog.is_none() {
            to.push(b'\n');
        }
    }
}

impl Syslog {
    fn write_header(&self, now: Timestamp, time: &str, what: What<'_>, to: &mut Vec<u8>) {
        let severity = match what.level() {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        let priority = u16::from(self.facility) * 8 + severity;
        let process = std::process::id();
        let _ = match self.form {
            SyslogForm::Rfc3164 => {
                // Its times have no zone: receivers take them for local ones.
                let local = now.to_zoned(TimeZone::system());
                let time = local.strftime("%b %e %H:%M:%S");
                let host = self.host.iter().flat_map(|host| [host.as_str(), " "]);
                let host: String = host.collect();
                write!(to, "<{priority}>{time} {host}{APP}[{process}]: ")
            }
            SyslogForm::Rfc5424 => {
                let host = self.host.as_deref().unwrap_or("-");
                let id = match what {
                    What::Access(_) => ACCESS,
                    What::Message { .. } => "message",
                };
                write!(to, "<{priority}>1 {time} {host} {APP} {process} {id} - ")
            }
        };
    }
}

fn write_text(what: What<'_>, to: &mut Vec<u8>) {
    match what {
        What::Message { text, held, .. } => {
            to.extend_from_slice(text.as_bytes());
            if held > 0 {
                let _ = write!(to, " ({held} more of this message were held back)");
            }
        }
        What::Access(line) => {
            let _ = write!(to, "{line}");
        }
    }
}

fn write_json(time: &str, what: What<'_>, to: &mut Vec<u8>) {
    match what {
        What::Message {
            level,
            part,
            text,
            held,
        } => {
            let level = level.as_str().to_ascii_lowercase();
            let message = MessageJson {
                time,
                kind: "message",
                level: &level,
                part,
                text,
                held,
            };
            // Texts and numbers can always be written.
            let _ = serde_json::to_writer(to, &message);
        }
        What::Access(line) => line.write_json(time, to),
    }
}

/// The time in milliseconds, UTC.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// This machine's name, for syslog.
fn host() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    let name: String = name.chars().filter(char::is_ascii_graphic).collect();
    match name.is_empty() {
        true => "-".to_owned(),
        false => name,
    }
}

/// A message's text in one line of bounded length: control characters are escaped, so that no client can write lines of its own.
pub(super) fn one_line(arguments: &fmt::Arguments<'_>) -> String {
    let mut line = OneLine(String::new());
    // It fails only when the line is full.
    let _ = line.write_fmt(*arguments);
    line.0
}

struct OneLine(String);

impl fmt::Write for OneLine {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.0.len() >= LONGEST_TEXT {
                self.0.push_str("...");
                return Err(fmt::Error);
            }
            match character.is_control() {
                true => self.0.extend(character.escape_default()),
                false => self.0.push(character),
            }
        }
        Ok(())
    }
}

/// Our own modules without the crate's name; of others' only the crate.
pub(super) fn part(target: &str) -> &str {
    match target.split_once("::") {
        Some(("haflux", module)) => module,
        Some((name, _)) => name,
        None => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request;

    impl fmt::Display for Request {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a request")
        }
    }

    impl AccessLine for Request {
        fn write_json(&self, time: &str, to: &mut Vec<u8>) {
            let _ = write!(to, "{{\"time\":\"{time}\"}}");
        }
    }

    const MESSAGE: What<'static> = What::Message {
        level: Level::Warn,
        part: "relay",
        text: "down \"é\"",
        held: 0,
    };

    fn written(format: LogFormat, to: LogTo, what: What<'_>) -> String {
        let target = LogTarget {
            to,
            format,
            ..LogTarget::default()
        };
        let mut form = Form::of(&target);
        if let Some(syslog) = &mut form.syslog {
            syslog.host = syslog.host.as_ref().map(|_| "here".to_owned());
        }
        let now = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let mut line = Vec::new();
        form.write(now, what, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn text_and_json_say_the_same() {
        let text = |what| written(LogFormat::Text, LogTo::Stderr, what);
        let json = |what| written(LogFormat::Json, LogTo::Stderr, what);
        assert_eq!(
            text(MESSAGE),
            "2023-11-14T22:13:20.123Z WARN  relay: down \"é\"\n"
        );
        assert_eq!(
            json(MESSAGE),
            "{\"time\":\"2023-11-14T22:13:20.123Z\",\"kind\":\"message\",\"level\":\"warn\",\"part\":\"relay\",\"text\":\"down \\\"é\\\"\"}\n"
        );
        assert_eq!(
            text(What::Access(&Request)),
            "2023-11-14T22:13:20.123Z INFO  access: a request\n"
        );
        assert_eq!(
            json(What::Access(&Request)),
            "{\"time\":\"2023-11-14T22:13:20.123Z\"}\n"
        );
        let What::Message {
            level,
            part,
            text: words,
            ..
        } = MESSAGE
        else {
            unreachable!()
        };
        let held = What::Message {
            level,
            part,
            text: words,
            held: 7,
        };
        assert!(text(held).ends_with("down \"é\" (7 more of this message were held back)\n"));
        assert!(json(held).ends_with(",\"held\":7}\n"));
    }

    #[test]
    fn syslog_has_its_two_forms() {
        let process = std::process::id();
        let unix = |form| LogTo::Unix {
            path: "/dev/log".into(),
            facility: 16,
            form,
        };
        let udp = |form| LogTo::Udp {
            address: ([127, 0, 0, 1], 514).into(),
            facility: 16,
            form,
        };
        let local = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let local = local
            .to_zoned(TimeZone::system())
            .strftime("%b %e %H:%M:%S")
            .to_string();
        for (to, what, expected) in [
            (
                unix(SyslogForm::Rfc3164),
                MESSAGE,
                format!("<132>{local} haflux[{process}]: relay: down \"é\""),
            ),
            (
                udp(SyslogForm::Rfc3164),
                What::Access(&Request),
                format!("<134>{local} here haflux[{process}]: a request"),
            ),
            (
                udp(SyslogForm::Rfc5424),
                MESSAGE,
                format!(
                    "<132>1 2023-11-14T22:13:20.123Z here haflux {process} message - relay: down \"é\""
                ),
            ),
            (
                unix(SyslogForm::Rfc5424),
                What::Access(&Request),
                format!("<134>1 2023-11-14T22:13:20.123Z - haflux {process} access - a request"),
            ),
        ] {
            assert_eq!(written(LogFormat::Text, to, what), expected);
        }
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        assert_eq!(
            one_line(&format_args!("a\nb\r\u{1b}[0m {}\n", 'é')),
            "a\\nb\\r\\u{1b}[0m é\\n"
        );
        let long = one_line(&format_args!("{}", "é\n".repeat(LONGEST_TEXT)));
        assert!(long.len() < LONGEST_TEXT + 10 && long.ends_with("..."));
    }

    #[test]
    fn parts_are_short() {
        assert_eq!(part("haflux::relay::replicator"), "relay::replicator");
        assert_eq!(part("pingora_core::server"), "pingora_core");
        assert_eq!(part("haflux"), "haflux");
    }
}
