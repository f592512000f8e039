//! Which measurements a request touches.

use std::collections::BTreeSet;

use http::{HeaderMap, Method};
use proptest::prelude::*;

use super::super::{Limits, Measurements, Request, Use, identifier, uses};

fn of(method: &Method, path: &str, query_string: &str) -> Vec<Use> {
    let request = Request {
        method,
        path: path.as_bytes(),
        query_string: query_string.as_bytes(),
        headers: &HeaderMap::new(),
        body: b"",
    };
    uses(&request, &Limits::default())
}

/// The measurements of a text, `?` for every one.
fn touched(text: &str) -> BTreeSet<String> {
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let all = of(&Method::POST, "/query", &format!("db=d&q={escaped}"));
    all.into_iter().flat_map(|one| names(&one)).collect()
}

fn names(one: &Use) -> BTreeSet<String> {
    match &one.measurements {
        Measurements::Named(names) => names.clone(),
        Measurements::Unknown => BTreeSet::from(["?".to_owned()]),
    }
}

#[test]
fn statements_touch_what_they_name() {
    for (text, expected) in [
        ("SELECT v FROM m", "m"),
        ("SELECT v FROM m WHERE n = 'o' GROUP BY p FILL(0)", "m"),
        ("SELECT v FROM db.rp.m, rp.n, db..o, \"p q\"", "m n o p q"),
        ("SELECT v FROM \"db\".\"rp\".\"a \\\" \\\\ b\"", "a \" \\ b"),
        ("SELECT v FROM db. rp. m -- , n\n", "m"),
        (
            "SELECT v FROM (SELECT v FROM a..m, (SELECT v FROM n)), o",
            "m n o",
        ),
        ("SELECT \"FROM\" FROM m", "m"),
        ("SELECT v INTO x FROM m", "m x"),
        ("SELECT v INTO db.rp.x FROM a..m, n", "m n x"),
        ("SELECT v INTO rp.x FROM (SELECT v FROM m)", "m x"),
        ("SELECT v INTO x.r.:MEASUREMENT FROM m, n", "m n"),
        ("SELECT v INTO x..:MEASUREMENT FROM (SELECT v FROM m)", "m"),
        ("SELECT v INTO x.r.:MEASUREMENT FROM /m/", "?"),
        ("SELECT v INTO x.r.:MEASUREMENT FROM $m", "?"),
        ("SELECT v INTO \"\" FROM m", "?"),
        ("SELECT v INTO $x FROM m", "?"),
        ("SELECT v FROM m, (SELECT v INTO y FROM n), o", "m n o y"),
        ("EXPLAIN SELECT v FROM m", "m"),
        ("EXPLAIN ANALYZE SELECT v INTO x FROM m", "m x"),
        ("SELECT v FROM /m/", "?"),
        ("SELECT v FROM n, db.rp./m/", "?"),
        ("SELECT v FROM db../m/", "?"),
        ("SELECT v FROM (SELECT v FROM /m/)", "?"),
        ("SELECT v FROM $m", "?"),
        ("SELECT v FROM db.rp.$m", "?"),
        ("SELECT v FROM $db.$rp.m", "m"),
        ("SELECT v FROM m$p/**/", "?"),
        ("SELECT v FROM db.rp$p/**/, n", "?"),
        ("SELECT v INTO x FROM (SELECT v FROM rp.m$p/**/)", "?"),
        ("SELECT v FROM \"\"", "?"),
        ("SELECT v FROM a.b.c.d", "d"),
        ("SELECT v FROM 'm'", "?"),
        ("SELECT v FROM m.", "?"),
        ("SELECT v", "?"),
        ("SHOW MEASUREMENTS", "?"),
        ("SHOW MEASUREMENTS ON m", "?"),
        ("SHOW MEASUREMENTS ON d WITH MEASUREMENT = m", "m"),
        ("SHOW MEASUREMENTS ON *.* WITH MEASUREMENT = a.b.m", "m"),
        ("SHOW MEASUREMENTS WITH MEASUREMENT = /m/", "?"),
        ("SHOW MEASUREMENTS WITH MEASUREMENT =~ /m/", "?"),
        ("SHOW MEASUREMENTS WITH MEASUREMENT =~ m", "?"),
        ("SHOW MEASUREMENT CARDINALITY", "?"),
        ("SHOW MEASUREMENT EXACT CARDINALITY ON d FROM m", "m"),
        ("SHOW TAG KEYS", "?"),
        ("SHOW TAG KEYS ON d FROM m, n WITH KEY = k", "m n"),
        ("SHOW TAG VALUES WITH KEY = k", "?"),
        ("SHOW TAG VALUES FROM m WITH KEY IN (k, l)", "m"),
        ("SHOW TAG VALUES CARDINALITY FROM m WITH KEY = k", "m"),
        ("SHOW FIELD KEYS FROM m", "m"),
        ("SHOW FIELD KEYS FROM /m/", "?"),
        ("SHOW FIELD KEY CARDINALITY FROM m", "m"),
        ("SHOW SERIES FROM m WHERE _name = 'n'", "m"),
        ("SHOW SERIES", "?"),
        ("SHOW SERIES CARDINALITY", "?"),
        ("DELETE FROM m WHERE time < 5", "m"),
        ("DELETE FROM rp.m", "m"),
        ("DELETE FROM /m/", "?"),
        ("DELETE WHERE time < 5", "?"),
        ("DROP SERIES FROM m, n", "m n"),
        ("DROP SERIES WHERE k = 'v'", "?"),
        ("DROP MEASUREMENT m", "m"),
        ("drop measurement /* n */ \"m\"", "m"),
        ("DROP MEASUREMENT $m", "?"),
        ("DROP MEASUREMENT \"\"", "?"),
        ("DROP MEASUREMENT", "?"),
        (
            "CREATE CONTINUOUS QUERY c ON d BEGIN SELECT mean(v) INTO x..m FROM y..n GROUP BY time(1m) END",
            "m n",
        ),
        (
            "CREATE CONTINUOUS QUERY c ON d BEGIN SELECT mean(v) INTO d.r.:MEASUREMENT FROM /n/ GROUP BY time(1m) END",
            "?",
        ),
        // About a whole database, or the texts of others.
        ("DROP DATABASE m", "?"),
        ("DROP RETENTION POLICY r ON d", "?"),
        ("ALTER RETENTION POLICY r ON d DURATION 1h", "?"),
        (
            "CREATE RETENTION POLICY r ON d DURATION 1h REPLICATION 1 DEFAULT",
            "?",
        ),
        ("DROP SHARD 3", "?"),
        ("DROP CONTINUOUS QUERY c ON d", "?"),
        (
            "CREATE SUBSCRIPTION s ON d.r DESTINATIONS ALL 'udp://h:1'",
            "?",
        ),
        ("DROP SUBSCRIPTION s ON d.r", "?"),
        ("SHOW QUERIES", "?"),
        ("SHOW CONTINUOUS QUERIES", "?"),
        ("SHOW STATS", "?"),
        ("SHOW DIAGNOSTICS", "?"),
        ("SHOW SHARDS", "?"),
        ("SHOW NOTHING FROM m", "?"),
        ("nonsense FROM m", "?"),
        ("SELECT v FROM m DROP DATABASE e", "?"),
        ("SELECT v FROM \"m", "?"),
        // About no measurement.
        ("SHOW DATABASES", ""),
        ("SHOW RETENTION POLICIES ON d", ""),
        ("SHOW USERS", ""),
        ("SHOW GRANTS FOR u", ""),
        ("SHOW SUBSCRIPTIONS", ""),
        ("CREATE DATABASE e", ""),
        ("CREATE USER u WITH PASSWORD 'x'", ""),
        ("DROP USER u", ""),
        ("SET PASSWORD FOR u = 'x'", ""),
        ("GRANT READ ON d TO u", ""),
        ("REVOKE READ ON d FROM u", ""),
        ("KILL QUERY 3", ""),
        ("", ""),
        // Each of several counts.
        ("SELECT v FROM m; SHOW DATABASES; DELETE FROM n", "m n"),
        ("SELECT v FROM m; SHOW MEASUREMENTS", "? m"),
    ] {
        let found = touched(text);
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found.join(" "), expected, "{text}");
    }
}

#[test]
fn what_is_no_query_touches_every_measurement_unless_it_says_nothing_of_data() {
    let touched = |method: Method, target: &str| {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let all = of(&method, path, query);
        let all: BTreeSet<String> = all.iter().flat_map(names).collect();
        all.into_iter().collect::<Vec<_>>().concat()
    };
    for (method, target, expected) in [
        (Method::POST, "/write?db=d", ""),
        (Method::POST, "/api/v2/write?bucket=d", ""),
        (Method::POST, "/api/v1/prom/write?db=d", "?"),
        (Method::POST, "/api/v1/prom/read?db=d", "?"),
        (Method::POST, "/api/v2/query", "?"),
        (Method::POST, "/api/v2/delete?bucket=d", "?"),
        (Method::GET, "/api/v2/buckets", "?"),
        (Method::GET, "/debug/vars", "?"),
        (Method::GET, "/metrics", "?"),
        (Method::POST, "/%77rite?db=d", "?"),
        (Method::GET, "/ping", ""),
        (
            Method::GET,
            "/query?q=SELECT+v+FROM+m&q=SELECT+v+FROM+n",
            "mn",
        ),
        (
            Method::GET,
            "/query?x=1;q=DELETE+FROM+n&q=SELECT+v+FROM+m",
            "mn",
        ),
    ] {
        assert_eq!(touched(method, target), expected, "{target}");
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,3}",
        "[a-z\"\\\\ .,/;'$()é]{1,6}",
        "(INTO|FROM|:MEASUREMENT|a\\.b)"
    ]
}

/// A list of sources, and the measurements in it.
fn sources(depth: u32) -> BoxedStrategy<(String, BTreeSet<String>)> {
    let place = prop_oneof![
        Just(""),
        Just("rp."),
        Just("db.."),
        Just("\"d b\".rp."),
        Just("$d.$r.")
    ];
    let one = (place, name())
        .prop_map(|(place, name)| {
            (
                format!("{place}{}", identifier(&name)),
                BTreeSet::from([name]),
            )
        })
        .boxed();
    let one = match depth {
        0 => one,
        _ => {
            let below = sources(depth - 1);
            let nested = below.prop_map(|(text, names)| {
                (format!("( SELECT v / 2 FROM {text} WHERE a = 'b')"), names)
            });
            prop_oneof![3 => one, 1 => nested].boxed()
        }
    };
    let list = proptest::collection::vec(one, 1..4);
    list.prop_map(|all| {
        let (texts, names): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        (texts.join(", "), names.into_iter().flatten().collect())
    })
    .boxed()
}

proptest! {
    /// Of what the grammar lets stand where a measurement does, nothing is missing and nothing is made up.
    #[test]
    fn the_measurements_are_those_that_are_named((text, names) in sources(2), target in name()) {
        let quoted = identifier(&target);
        let mut both = names.clone();
        both.insert(target.clone());
        for (query, expected) in [
            (format!("SELECT v FROM {text}"), &names),
            (format!("SELECT v FROM {text} WHERE x =~ /y/ GROUP BY time(1m), z tz('UTC')"), &names),
            (format!("SELECT v INTO db.rp.:MEASUREMENT FROM {text}"), &names),
            (format!("SELECT v INTO db..{quoted} FROM {text} ORDER BY time"), &both),
            (format!("EXPLAIN SELECT v INTO {quoted} FROM {text}"), &both),
            (format!("SHOW TAG KEYS ON d FROM {text} LIMIT 1"), &names),
            (format!("DELETE FROM {text} WHERE time > 5"), &names),
            (format!("DROP SERIES FROM {text};DROP MEASUREMENT {quoted}"), &both),
            (
                format!("CREATE CONTINUOUS QUERY c ON d BEGIN SELECT mean(v) INTO {quoted} FROM {text} GROUP BY time(1m) END"),
                &both,
            ),
        ] {
            prop_assert_eq!(&touched(&query), expected, "{}", query);
        }
    }

    /// No name that stands behind such a word is missing, whatever stands around it.
    #[test]
    fn nothing_is_missing(text in "(SELECT v |INTO |FROM |DELETE |DROP |SHOW TAG KEYS |MEASUREMENT |m|n\\.m|,|\\(|\\)|\"|/x/|;| |=|\\$p|:){0,12} (FROM|INTO|FROM a\\.\\.|FROM a,|DROP MEASUREMENT) found( WHERE x = 'y')?") {
        let found = touched(&text);
        let is_read = |name: &str| found.contains(name);
        // Whatever begins as no statement does, or inside quotes, is about every one.
        prop_assert!(is_read("found") || is_read("?"), "{found:?}: {text}");
    }
}
