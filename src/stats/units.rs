//! Values that know how they are written: `Display` is for a person, `Serialize` for a program.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// How many of something: `1,234` for a person, the plain number for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Count(pub u64);

impl Count {
    /// Whether there is none, which the page shows faintly.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// An amount of data: `1.2 MiB` for a person, bytes for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Whether there is none, which the page shows faintly.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let mut tenths = u128::from(self.0) * 10;
        let mut unit = "B";
        for larger in UNITS {
            if tenths < 10_240 {
                break;
            }
            tenths /= 1024;
            unit = larger;
        }
        if unit == "B" || tenths >= 1000 {
            write!(f, "{} {unit}", tenths / 10)
        } else {
            write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

/// A length of time: `3 min 12 s` for a person, seconds with a fraction for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Whether it is no time at all, which the page shows faintly.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        if days > 0 {
            write!(f, "{days} d {hours} h")
        } else if hours > 0 {
            write!(f, "{hours} h {minutes} min")
        } else if minutes > 0 {
            write!(f, "{minutes} min {} s", seconds % 60)
        } else if seconds >= 10 || self.0.is_zero() {
            write!(f, "{seconds} s")
        } else if seconds > 0 {
            write!(f, "{seconds}.{} s", self.0.subsec_millis() / 100)
        } else if self.0.as_millis() > 0 {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            f.write_str("< 1 ms")
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

/// A moment, and how long it lies back as seen from the snapshot that holds it.
///
/// Both views write it as RFC 3339 in UTC, to the second for a person and to the millisecond for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    at: SystemTime,
    age: Duration,
}

impl Moment {
    /// `at` as seen from `now`; what lies after `now` (a clock was set back) has no age.
    pub fn new(at: SystemTime, now: SystemTime) -> Self {
        Moment {
            at,
            age: now.duration_since(at).unwrap_or_default(),
        }
    }

    /// How long it lies back.
    pub fn age(self) -> Span {
        Span(self.age)
    }

    fn calendar(self) -> Calendar {
        Calendar::of(self.at)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Calendar {
            year,
            month,
            day,
            second_of_day: second,
            ..
        } = self.calendar();
        let (hours, minutes, seconds) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z"
        )
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let to_the_second = self.to_string();
        serializer.collect_str(&format_args!(
            "{}.{:03}Z",
            to_the_second.trim_end_matches('Z'),
            self.calendar().millisecond
        ))
    }
}

/// A moment in the Gregorian calendar, in UTC.
struct Calendar {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
    millisecond: u32,
}

impl Calendar {
    /// What lies before 1970 is taken as 1970: no clock that a server may run on says so.
    fn of(at: SystemTime) -> Self {
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let days = since_epoch.as_secs() / 86_400;
        // Years are counted from a first of March, so that the leap day is a year's last; 719,468 days lie between the one
        // of the year 0 and 1970. An era is the 400 years after which the calendar repeats.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let months_after_march = (5 * day_of_year + 2) / 153;
        let month = if months_after_march < 10 {
            months_after_march + 3
        } else {
            months_after_march - 9
        };
        Calendar {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * months_after_march + 2) / 5 + 1,
            second_of_day: since_epoch.as_secs() % 86_400,
            millisecond: since_epoch.subsec_millis(),
        }
    }
}
