//! The unit in which a write's timestamps count.

use std::time::{SystemTime, UNIX_EPOCH};

/// A unit of time of `/write` or `/api/v2/write`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// The default of both endpoints.
    #[default]
    Nanoseconds,
    /// `u` of v1, `us` of v2.
    Microseconds,
    /// `ms` of both.
    Milliseconds,
    /// `s` of both.
    Seconds,
    /// `m`, v1 only.
    Minutes,
    /// `h`, v1 only.
    Hours,
}

impl Precision {
    /// The unit behind a name of `/write`; `None` is refused by InfluxDB 1.8 and newer. (1.6 and 1.7 take it as nanoseconds.)
    pub fn from_v1_name(name: &str) -> Option<Self> {
        match name {
            "" | "n" | "ns" => Some(Self::Nanoseconds),
            "u" => Some(Self::Microseconds),
            "ms" => Some(Self::Milliseconds),
            "s" => Some(Self::Seconds),
            "m" => Some(Self::Minutes),
            "h" => Some(Self::Hours),
            _ => None,
        }
    }

    /// The unit behind a name of `/api/v2/write`; `None` is refused.
    pub fn from_v2_name(name: &str) -> Option<Self> {
        match name {
            "" | "ns" => Some(Self::Nanoseconds),
            "us" => Some(Self::Microseconds),
            "ms" => Some(Self::Milliseconds),
            "s" => Some(Self::Seconds),
            _ => None,
        }
    }

    /// The name that `/write` of every version understands.
    pub fn v1_name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "n",
            Self::Microseconds => "u",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Minutes => "m",
            Self::Hours => "h",
        }
    }

    /// The name that `/api/v2/write` understands; minutes and hours have none there.
    pub fn v2_name(self) -> Option<&'static str> {
        match self {
            Self::Nanoseconds => Some("ns"),
            Self::Microseconds => Some("us"),
            Self::Milliseconds => Some("ms"),
            Self::Seconds => Some("s"),
            Self::Minutes | Self::Hours => None,
        }
    }

    /// A point in time, given in nanoseconds since 1970, in this unit: rounded down, as InfluxDB does when it stamps a point.
    pub fn truncate(self, unix_nanos: i64) -> i64 {
        unix_nanos.div_euclid(self.nanoseconds())
    }

    /// The unit's length.
    pub fn nanoseconds(self) -> i64 {
        match self {
            Self::Nanoseconds => 1,
            Self::Microseconds => 1_000,
            Self::Milliseconds => 1_000_000,
            Self::Seconds => 1_000_000_000,
            Self::Minutes => 60_000_000_000,
            Self::Hours => 3_600_000_000_000,
        }
    }
}

/// Unix time in nanoseconds, as points have it; 0 for a clock before 1970 or after 2262.
pub fn unix_nanos(now: SystemTime) -> i64 {
    now.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_names_of_each_endpoint() {
        use Precision::*;
        let table = [
            ("", Some(Nanoseconds), Some(Nanoseconds)),
            ("n", Some(Nanoseconds), None),
            ("ns", Some(Nanoseconds), Some(Nanoseconds)),
            ("u", Some(Microseconds), None),
            ("us", None, Some(Microseconds)),
            ("µ", None, None),
            ("ms", Some(Milliseconds), Some(Milliseconds)),
            ("s", Some(Seconds), Some(Seconds)),
            ("m", Some(Minutes), None),
            ("h", Some(Hours), None),
            ("MS", None, None),
        ];
        for (name, v1, v2) in table {
            assert_eq!(Precision::from_v1_name(name), v1, "{name}");
            assert_eq!(Precision::from_v2_name(name), v2, "{name}");
        }
        for unit in [
            Nanoseconds,
            Microseconds,
            Milliseconds,
            Seconds,
            Minutes,
            Hours,
        ] {
            assert_eq!(Precision::from_v1_name(unit.v1_name()), Some(unit));
            assert!(
                unit.v2_name()
                    .is_none_or(|name| Precision::from_v2_name(name) == Some(unit))
            );
        }
    }

    #[test]
    fn rounds_down_on_both_sides_of_1970() {
        assert_eq!(Precision::Seconds.truncate(1_999_999_999), 1);
        assert_eq!(Precision::Seconds.truncate(-1), -1);
        assert_eq!(Precision::Hours.truncate(7_200_000_000_000), 2);
        assert_eq!(Precision::Nanoseconds.truncate(i64::MIN), i64::MIN);
        assert_eq!(Precision::Hours.truncate(i64::MIN), -2_562_048);
    }
}
