//! Times as Go prints them in JSON: `2006-01-02T15:04:05.999999999Z07:00`.

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Since 1970.
    pub(super) seconds: i64,
    /// Of the second, below 1,000,000,000.
    pub(super) nanoseconds: u32,
}

impl Moment {
    /// The moment that `text` is, if it is one exactly as Go prints it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (stamp, rest) = text.as_bytes().split_first_chunk::<19>()?;
        let [
            y,
            e,
            a,
            r,
            b'-',
            m,
            o,
            b'-',
            d,
            t,
            b'T',
            h,
            i,
            b':',
            n,
            u,
            b':',
            s,
            c,
        ] = *stamp
        else {
            return None;
        };
        let year = number(&[y, e, a, r])?;
        let month = number(&[m, o]).filter(|month| (1..=12).contains(month))?;
        let day = number(&[d, t]).filter(|day| (1..=days_of(year, month)).contains(day))?;
        let hour = number(&[h, i]).filter(|hour| *hour < 24)?;
        let minute = number(&[n, u]).filter(|minute| *minute < 60)?;
        let second = number(&[s, c]).filter(|second| *second < 60)?;
        let (nanoseconds, zone) = fraction(rest)?;
        let east = offset(zone)?;
        let days = days_since_1970(year, month, day);
        Some(Self {
            seconds: ((days * 24 + hour) * 60 + minute) * 60 + second - east,
            nanoseconds,
        })
    }

    /// Nanoseconds since 1970, as `UnixNano` overflows outside of the years that InfluxDB stores.
    pub(super) fn nanoseconds_since_1970(self) -> i64 {
        self.seconds
            .wrapping_mul(1_000_000_000)
            .wrapping_add(i64::from(self.nanoseconds))
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// The nanoseconds behind a point, if there is one, and what follows them. Go writes no zeros at their end.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let length = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (digits, zone) = digits.split_at_checked(length)?;
    if !(1..=9).contains(&length) || digits.ends_with(b"0") {
        return None;
    }
    let mut nanoseconds = 0;
    for place in 0..9 {
        let digit = digits.get(place).map_or(0, |byte| u32::from(byte - b'0'));
        nanoseconds = nanoseconds * 10 + digit;
    }
    Some((nanoseconds, zone))
}

/// Seconds east of Greenwich.
fn offset(zone: &[u8]) -> Option<i64> {
    match *zone {
        [b'Z'] => Some(0),
        [sign @ (b'+' | b'-'), h, i, b':', m, n] => {
            let hours = number(&[h, i]).filter(|hours| *hours < 24)?;
            let minutes = number(&[m, n]).filter(|minutes| *minutes < 60)?;
            let seconds = (hours * 60 + minutes) * 60;
            Some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// In the Gregorian calendar, from year 0 on.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is a year's last.
    let year = if month < 3 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    // 719,468 days lie between the first of March of year 0 and 1970.
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_prints() {
        let table = [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("1970-01-01T00:00:00.000000001Z", 0, 1),
            ("2000-02-29T12:34:56.5Z", 951_827_696, 500_000_000),
            ("2000-03-01T00:00:00Z", 951_868_800, 0),
            ("1969-12-31T23:59:59.999999999Z", -1, 999_999_999),
            (
                "1677-09-21T00:12:43.145224194Z",
                -9_223_372_037,
                145_224_194,
            ),
            ("2262-04-11T23:47:16.854775806Z", 9_223_372_036, 854_775_806),
            ("2000-01-01T00:00:00+01:00", 946_681_200, 0),
            ("2000-01-01T00:00:00-03:30", 946_697_400, 0),
            ("0000-01-01T00:00:00Z", -62_167_219_200, 0),
            ("9999-12-31T23:59:59Z", 253_402_300_799, 0),
        ];
        for (text, seconds, nanoseconds) in table {
            let moment = Moment {
                seconds,
                nanoseconds,
            };
            assert_eq!(Moment::parse(text), Some(moment), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_a_time() {
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01 00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-00-01T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-01-00T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:60:00Z",
            "1970-01-01T00:00:60Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.10Z",
            "1970-01-01T00:00:00.1234567891Z",
            "1970-01-01T00:00:00+1:00",
            "1970-01-01T00:00:00+24:00",
            "1970-01-01T00:00:00Zx",
            "1970-01-01T00:00:00z",
            "+970-01-01T00:00:00Z",
            "1970-01-01T00:00:é0Z",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn nanoseconds_of_the_years_that_are_stored() {
        let nanoseconds = |text| Moment::parse(text).map(Moment::nanoseconds_since_1970);
        assert_eq!(
            nanoseconds("1677-09-21T00:12:43.145224194Z"),
            Some(i64::MIN + 2)
        );
        assert_eq!(
            nanoseconds("2262-04-11T23:47:16.854775806Z"),
            Some(i64::MAX - 1)
        );
    }
}
