//! What nodes are asked for a slice.

use crate::heal::node::{Question, Slice, of_series, source, time_of};
use crate::heal::place::Tags;
use crate::influx::influxql::identifier;

/// The narrowest time whose values make one sum, in nanoseconds: an hour.
const NARROWEST: i64 = 3_600_000_000_000;

/// So many sums a series has in one slice at most: the hours of a week, which is InfluxDB's own length of a shard group.
const MOST_SUMS: i64 = 168;

/// Points that are read of each series' newest end.
const NEWEST: usize = 2;

/// How long a time each sum is made of, in nanoseconds.
pub(in crate::heal) fn width(slice: &Slice) -> i64 {
    let hours = slice.until.saturating_sub(slice.from) / NARROWEST;
    let hours_each = (hours / MOST_SUMS).saturating_add(i64::from(hours % MOST_SUMS > 0));
    hours_each.max(1).saturating_mul(NARROWEST)
}

/// How many values each field has, and the sums of its numbers, for each series and `width` of time.
pub(in crate::heal) fn sums(slice: &Slice) -> Question<'_> {
    let seconds = width(slice) / 1_000_000_000;
    let behind = format!(" GROUP BY *, time({seconds}s) fill(none)");
    question("count(*::field), sum(*::field)", slice, None, &behind)
}

/// All points, of one series or of all.
pub(in crate::heal) fn points<'of>(slice: &'of Slice, tags: Option<&'of Tags>) -> Question<'of> {
    question("*::field", slice, tags, " GROUP BY *")
}

/// The values of some fields.
pub(in crate::heal) fn fields<'of>(slice: &'of Slice, names: &[&str]) -> Question<'of> {
    let names = names.iter();
    let names = names.map(|name| format!("{}::field", identifier(name)));
    let names: Vec<String> = names.collect();
    question(&names.join(", "), slice, None, " GROUP BY *")
}

/// The newest points of each series. Series and points come in the order against that of all other questions.
pub(in crate::heal) fn newest(slice: &Slice) -> Question<'_> {
    let behind = format!(" GROUP BY * ORDER BY time DESC LIMIT {NEWEST}");
    question("*::field", slice, None, &behind)
}

fn question<'of>(
    what: &str,
    slice: &'of Slice,
    tags: Option<&'of Tags>,
    behind: &str,
) -> Question<'of> {
    let of_series = tags.map(of_series).unwrap_or_default();
    Question {
        slice,
        tags,
        statement: format!(
            "SELECT {what} FROM {} WHERE {}{of_series}{behind}",
            source(slice),
            time_of(slice)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(hours: i64) -> Slice {
        Slice {
            database: "d".to_owned(),
            policy: "r p".to_owned(),
            measurement: "m\"m".into(),
            from: 0,
            until: hours * NARROWEST,
        }
    }

    #[test]
    fn questions_are_whole() {
        assert_eq!(
            sums(&slice(168)).statement,
            "SELECT count(*::field), sum(*::field) FROM \"d\".\"r p\".\"m\\\"m\" WHERE time >= 0 AND time < 604800000000000 GROUP BY *, time(3600s) fill(none)"
        );
        let tags = vec![("host".into(), "it's".into())];
        assert_eq!(
            points(&slice(1), Some(&tags)).statement,
            "SELECT *::field FROM \"d\".\"r p\".\"m\\\"m\" WHERE time >= 0 AND time < 3600000000000 AND \"host\"::tag = 'it\\'s' GROUP BY *"
        );
        assert!(
            fields(&slice(1), &["a", "b"])
                .statement
                .starts_with("SELECT \"a\"::field, \"b\"::field FROM ")
        );
        assert!(
            newest(&slice(1))
                .statement
                .ends_with(" GROUP BY * ORDER BY time DESC LIMIT 2")
        );
    }

    #[test]
    fn sums_are_of_an_hour_up_to_a_week_and_wider_beyond() {
        let hours = |of| width(&slice(of)) / NARROWEST;
        assert_eq!([1, 24, 168, 169, 336, 337].map(hours), [1, 1, 1, 2, 2, 3]);
        let forever = Slice {
            from: i64::MIN,
            until: i64::MAX,
            ..slice(1)
        };
        assert!(width(&forever) > 0);
    }
}
