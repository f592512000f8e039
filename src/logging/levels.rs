//! How much of each part is logged, and how that is written: `info,relay=debug,access=off`.

use std::fmt;

use log::{Level, LevelFilter};

use crate::config::log_parts::{ACCESS, MOST_PARTS, UnknownPart, is_library, known};
use crate::config::model::Server;

/// Libraries may say no more than this, whatever is asked for: in `debug` they quote whole requests, credentials included.
const MOST_OF_LIBRARIES: LevelFilter = LevelFilter::Info;

/// What libraries say unless a level is set for them. Each line has its reason; the last one is for all others.
const LIBRARIES: [(&str, LevelFilter); 2] = [
    // Its warnings are servers that go up and down; `proxy::pool` says those with names and reasons.
    ("pingora_load_balancing", LevelFilter::Error),
    // What libraries say at `info` is about themselves: services, runtimes, signals.
    ("", LevelFilter::Warn),
];

/// Why an order is no change of levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelsError {
    /// There is no such level.
    #[error("{0:?} is no level: off, error, warn, info, debug, trace, or default for a part")]
    Level(String),
    /// There is no such part.
    #[error(transparent)]
    Part(#[from] UnknownPart),
    /// Too many parts have a level of their own.
    #[error("more than {MOST_PARTS} parts with a level of their own")]
    TooMany,
}

/// How much is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    /// For parts without a level of their own.
    default: LevelFilter,
    /// Part and level; the part that says most comes first.
    parts: Vec<(String, LevelFilter)>,
    /// The access log has no level: it is on or off.
    access: bool,
}

impl Levels {
    /// Those of the configuration.
    pub fn of(server: &Server) -> Levels {
        let mut levels = Levels {
            default: server.log_level,
            parts: Vec::new(),
            access: server.access_log,
        };
        for (part, level) in &server.log.levels {
            levels.set(part, *level);
        }
        levels
    }

    /// These with the changes that `order` names, separated by commas: `LEVEL` for all parts without a level of their own, or
    /// `PART=LEVEL`, or `PART=default` for none of its own. A part may have `haflux::` before it, as in `RUST_LOG`.
    ///
    /// # Errors
    /// What is wrong with the first change that cannot be made.
    pub fn changed(&self, order: &str) -> Result<Levels, LevelsError> {
        let mut levels = self.clone();
        for change in order.split(',').map(str::trim) {
            match change.split_once('=') {
                _ if change.is_empty() => {}
                Some((part, level)) => {
                    let part = known(part.trim())?;
                    match level.trim() {
                        // The access log has no levels.
                        "on" if part == ACCESS => levels.access = true,
                        "default" if part != ACCESS => {
                            levels.parts.retain(|(known, _)| *known != part);
                        }
                        level => levels.set(&part, parse(level)?),
                    }
                }
                None => levels.default = parse(change)?,
            }
        }
        match levels.parts.len() > MOST_PARTS {
            true => Err(LevelsError::TooMany),
            false => Ok(levels),
        }
    }

    fn set(&mut self, part: &str, level: LevelFilter) {
        if part == ACCESS {
            self.access = level != LevelFilter::Off;
            return;
        }
        match self.parts.iter_mut().find(|(known, _)| known == part) {
            Some((_, known)) => *known = level,
            None => self.parts.push((part.to_owned(), level)),
        }
        self.parts
            .sort_by_key(|(part, _)| std::cmp::Reverse(part.len()));
    }

    /// Whether there is an access log.
    pub(super) fn has_access(&self) -> bool {
        self.access
    }

    /// Whether a message with this target of the `log` crate is logged.
    pub(super) fn allow(&self, target: &str, level: Level) -> bool {
        level <= self.of_target(target)
    }

    fn of_target(&self, target: &str) -> LevelFilter {
        let own = |wanted: &str| {
            let is_wanted = |(part, _): &&(String, LevelFilter)| is_within(wanted, part);
            self.parts.iter().find(is_wanted).map(|(_, level)| *level)
        };
        let (name, module) = target.split_once("::").unwrap_or((target, ""));
        if name == "haflux" {
            return own(module).unwrap_or(self.default);
        }
        let library = self
            .parts
            .iter()
            .filter(|(part, _)| is_library(part))
            .find(|(part, _)| name == part || name.starts_with(&format!("{part}_")))
            .map(|(_, level)| *level);
        let usual = LIBRARIES
            .iter()
            .find(|(library, _)| library.is_empty() || name == *library)
            .map_or(LevelFilter::Off, |(_, level)| *level);
        library
            .unwrap_or(usual.min(self.default))
            .min(MOST_OF_LIBRARIES)
    }

    /// The most that any part logs.
    pub(super) fn most(&self) -> LevelFilter {
        let parts = self.parts.iter().map(|(_, level)| *level);
        parts.max().unwrap_or(self.default).max(self.default)
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(self.default))?;
        let mut parts = self.parts.clone();
        parts.sort();
        for (part, level) in parts {
            write!(f, ",{part}={}", word(level))?;
        }
        let access = if self.access { "on" } else { "off" };
        write!(f, ",{ACCESS}={access}")
    }
}

/// Whether `module` is `part` or lies in it.
fn is_within(module: &str, part: &str) -> bool {
    module
        .strip_prefix(part)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn parse(level: &str) -> Result<LevelFilter, LevelsError> {
    level
        .parse()
        .map_err(|_| LevelsError::Level(level.to_owned()))
}

fn word(level: LevelFilter) -> &'static str {
    match level {
        LevelFilter::Off => "off",
        LevelFilter::Error => "error",
        LevelFilter::Warn => "warn",
        LevelFilter::Info => "info",
        LevelFilter::Debug => "debug",
        LevelFilter::Trace => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(text: &str) -> Levels {
        let none = Levels {
            default: LevelFilter::Off,
            parts: Vec::new(),
            access: true,
        };
        none.changed(text).unwrap()
    }

    #[test]
    fn parts_have_levels_of_their_own_and_the_longest_name_counts() {
        let levels = levels("warn,relay=debug,haflux::relay::intake=error,proxy=info");
        for (target, most) in [
            ("haflux", LevelFilter::Warn),
            ("haflux::server", LevelFilter::Warn),
            ("haflux::relay", LevelFilter::Debug),
            ("haflux::relay::replicator::link", LevelFilter::Debug),
            ("haflux::relay::intake::udp", LevelFilter::Error),
            ("haflux::relaying", LevelFilter::Warn),
            ("haflux::proxy::pool", LevelFilter::Info),
            ("relay", LevelFilter::Warn),
        ] {
            assert_eq!(levels.of_target(target), most, "{target}");
        }
        assert_eq!(levels.most(), LevelFilter::Debug);
        assert_eq!(
            levels.to_string(),
            "warn,proxy=info,relay=debug,relay::intake=error,access=on"
        );
    }

    #[test]
    fn a_part_can_lose_its_level() {
        let these = levels("warn,relay=debug,proxy=info");
        let fewer = levels("warn,proxy=info");
        assert_eq!(these.changed("relay=default"), Ok(fewer));
        assert_eq!(these.changed("server=default"), Ok(these.clone()));
    }

    #[test]
    fn libraries_never_say_more_than_info_and_only_warnings_unasked() {
        for text in ["trace", "debug", "info"] {
            let levels = levels(text);
            for target in ["pingora_core::server", "h2", "", "hafluxed::x"] {
                assert_eq!(levels.of_target(target), LevelFilter::Warn, "{target}");
            }
            let target = "pingora_load_balancing";
            assert_eq!(levels.of_target(target), LevelFilter::Error);
        }
        let levels = levels("error,pingora=trace,pingora_proxy=off");
        assert_eq!(levels.of_target("pingora_core::server"), LevelFilter::Info);
        assert_eq!(levels.of_target("pingora_proxy"), LevelFilter::Off);
        assert_eq!(levels.of_target("h2"), LevelFilter::Error);
    }

    #[test]
    fn the_access_log_is_on_or_off_whatever_the_levels_are() {
        assert!(levels("off").has_access());
        assert!(!levels("trace,access=off").has_access());
        assert!(levels("access=off,access=on").has_access());
    }

    #[test]
    fn what_is_no_level_or_part_is_said_to_be_none() {
        let none = levels("info");
        assert_eq!(
            none.changed("relay=verbose"),
            Err(LevelsError::Level("verbose".to_owned()))
        );
        let error = none.changed("debug,raley=debug").unwrap_err().to_string();
        assert!(error.contains("did you mean \"relay\"?"), "{error}");
        let many: Vec<String> = (0..=MOST_PARTS)
            .map(|number| format!("relay::part{number}=debug"))
            .collect();
        assert_eq!(none.changed(&many.join(",")), Err(LevelsError::TooMany));
        assert_eq!(none.changed(" , ").unwrap(), none);
    }
}
