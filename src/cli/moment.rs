//! A moment on the command line.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::units::parse_duration;

/// Nanoseconds since 1970 of RFC 3339 (`2026-11-29T09:00:00Z`), of a day's beginning in UTC (`2026-11-29`), of nanoseconds since 1970, or
/// of a time that lies so far back: `-1d`, `now() - 1d`.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    moment_at(text, Timestamp::now())
}

fn moment_at(text: &str, now: Timestamp) -> Result<i64, String> {
    let text = text.trim();
    if let Ok(nanoseconds) = text.parse() {
        return Ok(nanoseconds);
    }
    let out_of_reach = || "InfluxDB knows no such time".to_owned();
    let nanoseconds =
        |time: Timestamp| i64::try_from(time.as_nanosecond()).map_err(|_| out_of_reach());
    let ago = text.strip_prefix("now()").unwrap_or(text).trim_start();
    if let Some(ago) = ago.strip_prefix('-')
        && let Ok(ago) = parse_duration(ago.trim_start())
    {
        let time = now.checked_sub(ago).map_err(|_| out_of_reach())?;
        return nanoseconds(time);
    }
    if text == "now()" {
        return nanoseconds(now);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return nanoseconds(time);
    }
    if let Ok(day) = text.parse::<Date>()
        && let Ok(day) = day.to_zoned(TimeZone::UTC)
    {
        return nanoseconds(day.timestamp());
    }
    Err(
        "no time such as 2026-11-29T09:00:00Z, 2026-11-29, -1d or nanoseconds since 1970"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let second = 1_000_000_000;
        for (text, seconds) in [
            ("-1d", 1_000_000 - 86_400),
            ("now() - 1h", 1_000_000 - 3_600),
            ("now()", 1_000_000),
            ("1970-01-02", 86_400),
            ("1970-01-02T00:00:01Z", 86_401),
            ("1970-01-02T02:00:01+02:00", 86_401),
        ] {
            assert_eq!(moment_at(text, now), Ok(seconds * second), "{text}");
        }
        assert_eq!(moment_at("-5", now), Ok(-5));
        assert_eq!(
            moment_at("1700000000000000000", now),
            Ok(1_700_000_000_000_000_000)
        );
        for text in ["", "yesterday", "1d", "9999-01-01T00:00:00Z", "-1y"] {
            assert!(moment_at(text, now).is_err(), "{text}");
        }
    }
}
