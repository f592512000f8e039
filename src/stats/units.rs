//! Values that know how they are written: `Display` is for a person, `Serialize` for a program, which `Deserialize` reads back.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many of something: `1,234` for a person, the plain number for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Count(pub u64);

impl Count {
    /// Whether there is none, which the page shows faintly.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<Count> for u64 {
    fn from(value: Count) -> Self {
        value.0
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Whether there is none, which the page shows faintly.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<Bytes> for u64 {
    fn from(value: Bytes) -> Self {
        value.0
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

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        let time = Duration::try_from_secs_f64(seconds).map_err(D::Error::custom)?;
        Ok(Span(time))
    }
}

/// An amount a second, if it took so long.
pub fn per_second(amount: u64, time: Duration) -> u64 {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    amount.saturating_mul(1000) / milliseconds.max(1)
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

    /// The moment itself.
    pub fn at(self) -> SystemTime {
        self.at
    }

    /// How long it lies back.
    pub fn age(self) -> Span {
        Span(self.age)
    }

    /// What lies before 1970 is taken as 1970, and what no calendar holds too: no clock that a server may run on says so.
    fn timestamp(self) -> Timestamp {
        let is_sane = self.at >= UNIX_EPOCH;
        let at = is_sane.then(|| Timestamp::try_from(self.at).ok());
        at.flatten().unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.timestamp())
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.timestamp()))
    }
}

impl<'de> Deserialize<'de> for Moment {
    /// As seen from the moment in which it is read.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        let text = String::deserialize(deserializer)?;
        let at: Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Moment::new(at.into(), SystemTime::now()))
    }
}
