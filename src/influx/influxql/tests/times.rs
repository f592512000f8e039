//! Queries pinned to a moment.

use super::super::time::{Pinned, Unpinnable, pin_now};

/// 2023-11-14 22:13:20.000000001 UTC.
const NOW: i64 = 1_700_000_000_000_000_001;

#[rustfmt::skip]
const REWRITTEN: &[(&str, &str)] = &[
    ("DELETE WHERE time < now()", "DELETE WHERE time < (NOW + 0s)"),
    ("DELETE FROM m WHERE time < NOW ()", ""),
    ("delete from m where TIME>=\"Now\"( )-1h and h='now()'", "delete from m where TIME>=(NOW + 0s)-1h and h='now()'"),
    ("SELECT v INTO x FROM m WHERE time > now() - 1h AND time < now()", "SELECT v INTO x FROM m WHERE time > (NOW + 0s) - 1h AND time < (NOW + 0s)"),
    ("SELECT v INTO x FROM m WHERE time > now() - 1h", "SELECT v INTO x FROM m WHERE time > (NOW + 0s) - 1h"),
    ("SELECT v INTO x FROM m", ""), ("SELECT v FROM m WHERE time > now()", ""), ("DROP MEASUREMENT m", ""), ("DELETE FROM m", ""),
    ("SELECT now() INTO x FROM m", ""), ("SELECT v INTO x FROM m WHERE x = \"now\"", ""),
    ("CREATE CONTINUOUS QUERY c ON d BEGIN SELECT mean(v) INTO x FROM m WHERE time > now() - 1h GROUP BY time(1h) END", ""),
    ("EXPLAIN SELECT mean(v) INTO x FROM m WHERE time > now() GROUP BY time(1h)", ""),
    ("SELECT v FROM m WHERE time > now(); DELETE WHERE time < now(); SHOW SERIES WHERE time > now()", "SELECT v FROM m WHERE time > now(); DELETE WHERE time < (NOW + 0s); SHOW SERIES WHERE time > now()"),
    // The hidden end.
    ("SELECT mean(v) INTO x FROM m GROUP BY time(1h)", "SELECT mean(v) INTO x FROM m  WHERE time <= NOW GROUP BY time(1h)"),
    ("SELECT mean(v) INTO x FROM m WHERE h = 'a' OR h = 'b' GROUP BY h, time(1h) fill(0)", "SELECT mean(v) INTO x FROM m WHERE time <= NOW AND  h = 'a' OR h = 'b' GROUP BY h, time(1h) fill(0)"),
    ("SELECT mean(v) INTO x FROM m WHERE time > now() - 1d GROUP BY time(1h)", "SELECT mean(v) INTO x FROM m WHERE time <= NOW AND  time > (NOW + 0s) - 1d GROUP BY time(1h)"),
    ("SELECT mean(v) INTO x FROM m WHERE time > now() - 1d AND time < now() GROUP BY time(1h)", "SELECT mean(v) INTO x FROM m WHERE time > (NOW + 0s) - 1d AND time < (NOW + 0s) GROUP BY time(1h)"),
    ("SELECT mean(v) INTO x FROM m WHERE (h = 'a' AND ((time > 5))) GROUP BY time(1h)", "SELECT mean(v) INTO x FROM m WHERE time <= NOW AND  (h = 'a' AND ((time > 5))) GROUP BY time(1h)"),
    ("SELECT mean(v) INTO x FROM m WHERE time <= 9 GROUP BY time(1h)", ""), ("SELECT mean(v) INTO x FROM m WHERE time = 9 GROUP BY time(1h)", ""), ("SELECT mean(v) INTO x FROM m WHERE 9 > time GROUP BY time(1h)", ""),
    ("SELECT mean(v) INTO x FROM m WHERE ((a = 1) AND (9 >= \"time\")) GROUP BY time(1h)", ""), ("SELECT mean(v) INTO x FROM m WHERE (9 - (4)) >= time GROUP BY time(1h)", ""),
    ("SELECT mean(v) INTO x FROM m WHERE 9 < time GROUP BY time(1h)", "SELECT mean(v) INTO x FROM m WHERE time <= NOW AND  9 < time GROUP BY time(1h)"),
    ("SELECT mean(v) INTO x FROM m WHERE m.time < 9 GROUP BY time(1h)", "SELECT mean(v) INTO x FROM m WHERE time <= NOW AND  m.time < 9 GROUP BY time(1h)"),
    ("SELECT mean(v) INTO x FROM m WHERE h = 'time < 9' GROUP BY time(1h)", "SELECT mean(v) INTO x FROM m WHERE time <= NOW AND  h = 'time < 9' GROUP BY time(1h)"),
    ("SELECT mean(v) INTO x FROM m GROUP BY h", ""), ("SELECT mean(v) INTO x FROM m GROUP BY time(0s)", ""), ("SELECT mean(v) INTO x FROM m GROUP BY \"time\"", ""),
    ("SELECT mean(v) INTO x FROM/x/GROUP BY TIME(1h)", "SELECT mean(v) INTO x FROM/x/ WHERE time <= NOW GROUP BY TIME(1h)"),
    // The interval's offset: 22:13:20.000000001 past the hour is 13m20s and 1ns.
    ("SELECT mean(v) INTO x FROM m WHERE time < 9 GROUP BY time(1h, now())", "SELECT mean(v) INTO x FROM m WHERE time < 9 GROUP BY time(1h, 800000000001ns)"),
    ("SELECT mean(v) INTO x FROM m WHERE time < 9 GROUP BY time(1h, ( now( )))", "SELECT mean(v) INTO x FROM m WHERE time < 9 GROUP BY time(1h, ( 800000000001ns))"),
    ("SELECT mean(v) INTO x FROM m WHERE time < 9 GROUP BY time(1h, 5m)", ""),
    // A week begins on a Monday, counted from the year 1: this is a Tuesday.
    ("SELECT mean(v) INTO x FROM m WHERE time < 9 GROUP BY time(1w, now())", "SELECT mean(v) INTO x FROM m WHERE time < 9 GROUP BY time(1w, 166400000000001ns)"),
    // Subqueries.
    ("SELECT max(a) INTO x FROM (SELECT mean(v) AS a FROM m GROUP BY time(1h))", "SELECT max(a) INTO x FROM (SELECT mean(v) AS a FROM m  WHERE time <= NOW GROUP BY time(1h))"),
    ("SELECT max(a) INTO x FROM (SELECT mean(v) AS a FROM m GROUP BY time(1h)) WHERE time < 9", ""),
    ("SELECT max(a) INTO x FROM (SELECT mean(v) AS a FROM m GROUP BY time(1h)) GROUP BY time(1d)", "SELECT max(a) INTO x FROM (SELECT mean(v) AS a FROM m GROUP BY time(1h))  WHERE time <= NOW GROUP BY time(1d)"),
    ("SELECT max(a) INTO x FROM (SELECT mean(v) AS a FROM m WHERE time > now() GROUP BY time(1h)) GROUP BY time(1d)", "SELECT max(a) INTO x FROM (SELECT mean(v) AS a FROM m WHERE time > (NOW + 0s) GROUP BY time(1h))  WHERE time <= NOW GROUP BY time(1d)"),
    ("SELECT max(a) INTO x FROM (SELECT v AS a FROM m WHERE time < 9) GROUP BY time(1d)", "SELECT max(a) INTO x FROM (SELECT v AS a FROM m WHERE time < 9)  WHERE time <= NOW GROUP BY time(1d)"),
];

#[test]
fn queries_are_pinned() {
    for (query, expected) in REWRITTEN {
        let expected = match expected.replace("NOW", &NOW.to_string()) {
            text if text.is_empty() => Pinned::Unchanged,
            text => Pinned::Rewritten(text.into_bytes()),
        };
        assert_eq!(pin_now(query.as_bytes(), NOW), expected, "{query:?}");
    }
}

#[test]
fn what_is_unsure_is_left_alone() {
    for (reason, query) in [
        (Unpinnable::Parameter, "DELETE WHERE time < $now()"),
        (
            Unpinnable::Parameter,
            "SELECT mean(v) INTO x FROM m GROUP BY time($every)",
        ),
        (
            Unpinnable::Parameter,
            "SELECT mean(v) INTO x FROM m WHERE $t < 9 GROUP BY time(1h)",
        ),
        (
            Unpinnable::Parameter,
            "SELECT mean(v) INTO x FROM m WHERE now() > $t GROUP BY time(1h)",
        ),
        (
            Unpinnable::Interval,
            "SELECT mean(v) INTO x FROM m GROUP BY time(30m + 30m)",
        ),
        (
            Unpinnable::Interval,
            "SELECT mean(v) INTO x FROM m GROUP BY time(-1h)",
        ),
        (
            Unpinnable::Interval,
            "SELECT mean(v) INTO x FROM m GROUP BY time(1h, now() - 1h)",
        ),
        (
            Unpinnable::Condition,
            "SELECT mean(v) INTO x FROM m WHERE (time) < 9 GROUP BY time(1h)",
        ),
        (
            Unpinnable::Condition,
            "SELECT mean(v) INTO x FROM m WHERE time - 1h < 9 GROUP BY time(1h)",
        ),
        (
            Unpinnable::Condition,
            "SELECT mean(v) INTO x FROM m WHERE time < 9 < 5 GROUP BY time(1h)",
        ),
        (
            Unpinnable::Condition,
            "SELECT mean(v) INTO x FROM m WHERE (time < 9) - 1 GROUP BY time(1h)",
        ),
        (Unpinnable::Unreadable, "DELETE WHERE time < now() 'x"),
        (Unpinnable::Unreadable, "DELETE WHERE time < now()\0"),
    ] {
        assert_eq!(
            pin_now(query.as_bytes(), NOW),
            Pinned::Impossible(reason),
            "{query:?}"
        );
    }
    // The name of a tag in the place of a bound value hides nothing.
    let query = "SELECT mean(v) INTO x FROM m WHERE h = $h AND time >= $from AND time < $to GROUP BY time(1h)";
    assert_eq!(pin_now(query.as_bytes(), NOW), Pinned::Unchanged);
}
