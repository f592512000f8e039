//! Queries and what they are.

use super::super::{Class, Databases, Kind, Refusal, classify};

const READ: Kind = Kind::Read;
const LOCAL: Kind = Kind::NodeLocalRead;
const CHANGE: Kind = Kind::Change;
const KILL: Kind = Kind::KillQuery;
const EMPTY: Kind = Kind::Empty;
const SHARD: Kind = Kind::Refused(Refusal::DropShard);
const MIXED: Kind = Kind::Refused(Refusal::MixedKillQuery);
const NUL: Kind = Kind::Refused(Refusal::NulByte);

#[rustfmt::skip]
const CASES: &[(Kind, &str)] = &[
    // Nothing.
    (EMPTY, ""), (EMPTY, " \t\r\n"), (EMPTY, ";"), (EMPTY, ";;; ;"), (EMPTY, "-- DROP DATABASE x"), (EMPTY, "/* DROP DATABASE x */"),
    (EMPTY, "/* a */ -- b\n ; /***/"),
    // Every reading statement.
    (READ, "SELECT v FROM m"), (READ, "select * from m"), (READ, "SeLeCt\tv\nFROM\r\nm"), (READ, "SELECT v FROM m;"),
    (READ, "SELECT mean(v) FROM m WHERE time > now() - 1h GROUP BY time(1m), * fill(none) ORDER BY time DESC LIMIT 1 OFFSET 2 SLIMIT 3 SOFFSET 4 tz('UTC')"),
    (READ, "SELECT max(x) FROM (SELECT mean(v) AS x FROM m GROUP BY h)"), (READ, "SELECT v::field, t::tag, f::float FROM m"),
    (READ, "EXPLAIN SELECT v FROM m"), (READ, "EXPLAIN ANALYZE SELECT v FROM m"), (READ, "EXPLAIN VERBOSE SELECT v FROM m"),
    (READ, "explain analyze verbose select v from m"), (READ, "EXPLAIN SELECT v INTO x FROM m"), (READ, "EXPLAIN ANALYZE SELECT v INTO x FROM m"),
    (READ, "EXPLAIN ANALYZE VERBOSE SELECT v INTO x FROM m"), (READ, "EXPLAIN /* a */ SELECT v FROM m"),
    (READ, "SHOW CONTINUOUS QUERIES"), (READ, "SHOW DATABASES"), (READ, "SHOW FIELD KEYS"), (READ, "SHOW FIELD KEYS ON d FROM m"),
    (READ, "SHOW FIELD KEY CARDINALITY"), (READ, "SHOW FIELD KEY EXACT CARDINALITY ON d"), (READ, "SHOW GRANTS FOR u"), (READ, "SHOW GRANTS FOR \"DROP\""),
    (READ, "SHOW MEASUREMENTS"), (READ, "SHOW MEASUREMENTS ON d WITH MEASUREMENT =~ /x/ WHERE a = 'b' LIMIT 1"), (READ, "SHOW MEASUREMENTS ON *.*"),
    (READ, "SHOW MEASUREMENTS WITH MEASUREMENT = d.r./x;DROP/"), (READ, "SHOW MEASUREMENT CARDINALITY"), (READ, "SHOW MEASUREMENT EXACT CARDINALITY"),
    (READ, "SHOW RETENTION POLICIES"), (READ, "SHOW RETENTION POLICIES ON d"), (READ, "SHOW SERIES"), (READ, "SHOW SERIES FROM m WHERE h = 'x'"),
    (READ, "SHOW SERIES CARDINALITY"), (READ, "SHOW SERIES EXACT CARDINALITY ON d"), (READ, "SHOW SUBSCRIPTIONS"), (READ, "SHOW TAG KEYS"),
    (READ, "SHOW TAG KEYS WITH KEY = h"), (READ, "SHOW TAG KEYS ON d FROM m WITH KEY IN (\"DROP\", x) LIMIT 1"), (READ, "SHOW TAG KEYS WITH KEY =~ /a;DROP/"),
    (READ, "SHOW MEASUREMENTS ON d.*"), (READ, "SHOW MEASUREMENTS ON *.r"), (READ, "EXPLAIN VERBOSE SELECT v FROM d.r.m WHERE time > now()"),
    (READ, "SHOW TAG KEYS FROM m"), (READ, "SHOW TAG KEY CARDINALITY"), (READ, "SHOW TAG KEY EXACT CARDINALITY"),
    (READ, "SHOW TAG VALUES WITH KEY = h"), (READ, "SHOW TAG VALUES FROM m WITH KEY IN (a, \"DROP\")"), (READ, "SHOW TAG VALUES WITH KEY =~ /a;b/"),
    (READ, "SHOW TAG VALUES CARDINALITY WITH KEY = h"), (READ, "SHOW TAG VALUES EXACT CARDINALITY WITH KEY = h"), (READ, "SHOW USERS"),
    (LOCAL, "SHOW QUERIES"), (LOCAL, "show stats"), (LOCAL, "SHOW STATS FOR 'httpd'"), (LOCAL, "SHOW DIAGNOSTICS"), (LOCAL, "SHOW DIAGNOSTICS FOR 'build'"),
    (LOCAL, "SHOW SHARDS"), (LOCAL, "SHOW SHARD GROUPS"), (LOCAL, "SHOW /* */ SHARD -- x\n GROUPS"),
    (LOCAL, "SELECT * FROM _internal.monitor.httpd"), (LOCAL, "SELECT * FROM \"_internal\"..\"httpd\""), (LOCAL, "SHOW MEASUREMENTS ON _internal"),
    (LOCAL, "SELECT a FROM (SELECT a FROM _internal..x)"), (LOCAL, "SELECT v FROM m; SHOW STATS"), (LOCAL, "SHOW QUERIES; SELECT v FROM m"),
    (READ, "SHOW SOMETHING NEW"),
    // Every changing statement.
    (CHANGE, "SELECT v INTO x FROM m"), (CHANGE, "select mean(v) into d.r.x from m group by time(1h)"), (CHANGE, "SELECT v INTO d..x FROM m"),
    (CHANGE, "SELECT v INTO d.r.:MEASUREMENT FROM /.*/"), (CHANGE, "SELECT * INTO \"x\" FROM m"), (CHANGE, "SELECT v INTO\"x\"FROM m; SELECT v INTO x FROM m"),
    (CHANGE, "SELECT v/**/INTO/**/x FROM m"), (CHANGE, "SELECT v --\nINTO x FROM m"), (CHANGE, "SELECT v --\rINTO x FROM m"), (CHANGE, "SELECT v\rINTO\rx\rFROM\rm"),
    (CHANGE, "SELECT a FROM (SELECT v INTO x FROM m)"), (CHANGE, "SELECT \"v\"INTO x FROM m"), (CHANGE, "SELECT 'x'INTO y FROM m"), (CHANGE, "SELECT 1.INTO x FROM m"),
    (CHANGE, "SELECT 1.5INTO x FROM m"), (CHANGE, "SELECT f(v)INTO x FROM m"), (CHANGE, "SELECT /x/INTO y FROM m"), (CHANGE, "SELECT *INTO x FROM m"),
    (CHANGE, "SELECT v./**/INTO x FROM m"),
    (CHANGE, "CREATE DATABASE d"), (CHANGE, "create database d"), (CHANGE, "CREATE DATABASE \"SELECT\""), (CHANGE, "CREATE DATABASE d WITH DURATION 1d NAME r"),
    (CHANGE, "CREATE DATABASE d WITH DURATION 1d FUTURE LIMIT 1h PAST LIMIT 1h"), (CHANGE, "CREATE RETENTION POLICY r ON d DURATION 1d REPLICATION 1 PAST LIMIT 5s FUTURE LIMIT 5s"),
    (CHANGE, "ALTER RETENTION POLICY r ON d FUTURE LIMIT 0s"), (CHANGE, "alter retention policy r on d past limit 1h default"), (CHANGE, "DELETE FROM r.m WHERE time < now() - 1h"),
    (CHANGE, "EXPLAIN VERBOSE DROP DATABASE d"), (CHANGE, "EXPLAIN VERBOSE VERBOSE"),
    (CHANGE, "CREATE RETENTION POLICY r ON d DURATION 1d REPLICATION 1"), (CHANGE, "CREATE CONTINUOUS QUERY c ON d BEGIN SELECT mean(v) INTO x FROM m GROUP BY time(1h) END"),
    (CHANGE, "CREATE CONTINUOUS QUERY c ON d RESAMPLE EVERY 1m BEGIN SELECT mean(v) INTO x FROM m WHERE time > now() - 1h GROUP BY time(1h) END"),
    (CHANGE, "CREATE SUBSCRIPTION s ON d.r DESTINATIONS ALL 'udp://h:1'"), (CHANGE, "CREATE USER u WITH PASSWORD 'p'"), (CHANGE, "CREATE USER u WITH PASSWORD 'p' WITH ALL PRIVILEGES"),
    (CHANGE, "ALTER RETENTION POLICY r ON d DEFAULT"), (CHANGE, "DROP DATABASE d"), (CHANGE, "DROP RETENTION POLICY r ON d"), (CHANGE, "DROP CONTINUOUS QUERY c ON d"),
    (CHANGE, "DROP SUBSCRIPTION s ON d.r"), (CHANGE, "DROP USER u"), (CHANGE, "DROP MEASUREMENT m"), (CHANGE, "DROP SERIES FROM m"), (CHANGE, "DROP SERIES WHERE h = 'x'"),
    (CHANGE, "DELETE FROM m"), (CHANGE, "DELETE WHERE time < now()"), (CHANGE, "DELETE FROM /x/"), (CHANGE, "DELETE FROM r.m"), (CHANGE, "GRANT ALL TO u"), (CHANGE, "GRANT READ ON d TO u"),
    (CHANGE, "REVOKE ALL FROM u"), (CHANGE, "REVOKE WRITE ON d FROM u"), (CHANGE, "SET PASSWORD FOR u = 'p'"), (CHANGE, "set\npassword\nfor\nu='p'"),
    // Not in the grammar.
    (CHANGE, "INSERT cpu v=1"), (CHANGE, "USE d"), (CHANGE, "UPDATE x"), (CHANGE, "x"), (CHANGE, "'x'"), (CHANGE, "1"), (CHANGE, "\"SELECT\" v FROM m"), (CHANGE, "SELECT\"x\" FROM m"),
    (CHANGE, "EXPLAIN DROP DATABASE d"), (CHANGE, "EXPLAIN"), (CHANGE, "EXPLAIN ANALYZE ANALYZE SELECT v FROM m"), (CHANGE, "EXPLAIN DELETE FROM m"), (CHANGE, "(SELECT v FROM m)"),
    (CHANGE, "ALTER DATABASE d"), (CHANGE, "CREATE"), (CHANGE, "SET x"), (CHANGE, "SELECT v FROM m DROP DATABASE d"), (CHANGE, "SHOW DATABASES DELETE FROM m"), (CHANGE, "SHOW INTO"),
    (CHANGE, "$x"), (CHANGE, "$drop DATABASE x"),
    // What must not be journaled.
    (KILL, "KILL QUERY 7"), (KILL, "kill query 7 ON \"h:1\""), (KILL, "KILL QUERY 7;"), (KILL, "KILL QUERY 7; KILL QUERY 8"), (KILL, "/* a */ KILL -- b\n QUERY 7"),
    (MIXED, "KILL QUERY 7; DROP DATABASE d"), (MIXED, "SHOW QUERIES; KILL QUERY 7"), (MIXED, "SELECT v FROM m; KILL QUERY 7"), (MIXED, "KILL QUERY 7; x"), (MIXED, "KILL QUERY 7 'x"),
    (MIXED, "SELECT 'x; KILL QUERY 7"),
    (SHARD, "DROP SHARD 5"), (SHARD, "drop/**/shard 5"), (SHARD, "SELECT v FROM m; DROP SHARD 5"), (SHARD, "DROP SHARD 5; DROP DATABASE d"), (SHARD, "DROP SHARD 5 'x"),
    (CHANGE, "DROP \"SHARD\" 5"), (CHANGE, "DROP SHARDS 5"), (CHANGE, "DROP MEASUREMENT \"SHARD\""),
    (NUL, "\0"), (NUL, "SELECT v FROM m\0"), (NUL, "SELECT v IN\0TO x FROM m"), (NUL, "SELECT v FROM m -- x\0DROP DATABASE d"), (NUL, "DROP\0 SHARD 1"), (NUL, "KILL QUERY 7\0"),
    // Several statements.
    (READ, "SELECT v FROM m; SELECT w FROM m"), (CHANGE, "SELECT v FROM m; DROP DATABASE d"), (CHANGE, "DROP DATABASE d; SELECT v FROM m"), (CHANGE, "SHOW STATS; DROP DATABASE d"),
    (CHANGE, ";;SELECT v FROM m;;DROP DATABASE d;;"), (CHANGE, "SELECT v FROM m;DROP DATABASE d"), (CHANGE, "EXPLAIN SELECT v FROM m; SELECT v INTO x FROM m"),
    // Words that are none.
    (READ, "SELECT \"into\" FROM m"), (READ, "SELECT \"INTO\" FROM \"DROP\""), (READ, "SELECT v FROM m WHERE h = 'INTO x'"), (READ, "SELECT v FROM m WHERE h = '; DROP DATABASE d'"),
    (READ, "SELECT v FROM m -- INTO x"), (READ, "SELECT v /* INTO x */ FROM m"), (READ, "SELECT v FROM m -- ; DROP DATABASE d"), (READ, "SELECT v FROM m /* ; DROP DATABASE d */"),
    (READ, "SELECT intox, xinto, _into, into_, into1 FROM m"), (READ, "SELECT v FROM m WHERE h =~ /INTO/"), (READ, "SELECT v FROM m WHERE h !~ /; DROP DATABASE d/"),
    (READ, "SELECT v FROM /; DROP DATABASE d/"), (READ, "SELECT /into/ FROM m"), (READ, "SELECT v FROM m GROUP BY /into/"), (READ, "SELECT v FROM m GROUP BY h,/into/"),
    (READ, "SELECT count(/into/) FROM m"), (READ, "SELECT v INTO\"x\" FROM m"), (READ, "SELECT v FROM m WHERE h = 'it\\'s; DROP DATABASE d'"), (READ, "SELECT \"a\\\"; DROP DATABASE d\" FROM m"),
    (READ, "SELECT $into FROM m"), (READ, "SELECT v FROM m WHERE h = $\"; DROP DATABASE d\""), (READ, "SELECT 1into FROM m"), (READ, "SELECT 1h2into FROM m"), (READ, "SELECT 1µinto FROM m"),
    // Ends of strings, names and comments.
    (CHANGE, "SELECT v FROM m WHERE h = 'a\\\\'; DROP DATABASE d"), (CHANGE, "SELECT \"a\\\\\" FROM m; DROP DATABASE d"), (CHANGE, "SELECT v FROM m WHERE h = ''; DROP DATABASE d"),
    (CHANGE, "SELECT v FROM m WHERE h = 'it''s'; DROP DATABASE d"), (CHANGE, "SELECT v FROM m /* -- */; DROP DATABASE d"), (CHANGE, "SELECT v FROM m -- /*\n; DROP DATABASE d -- */"),
    (CHANGE, "SELECT v FROM m /* /* */; DROP DATABASE d -- */"), (CHANGE, "SELECT v FROM m /***/; DROP DATABASE d /***/"), (CHANGE, "SELECT v FROM m --\r; DROP DATABASE d"),
    (CHANGE, "SELECT v FROM m --'\n; DROP DATABASE d --'"), (CHANGE, "SELECT 1--'\n INTO x FROM m --'"), (CHANGE, "SELECT v FROM m WHERE h = '--'; DROP DATABASE d"),
    (CHANGE, "SELECT v FROM m WHERE h = '/*'; DROP DATABASE d --*/"), (CHANGE, "SELECT v FROM m WHERE h = \"\\n\"; DROP DATABASE d"),
    // Division and regular expressions.
    (READ, "SELECT a / b FROM m"), (READ, "SELECT a / b / c FROM m"), (READ, "SELECT a/2/3 FROM m"), (READ, "SELECT (a)/(b)/(c) FROM m"), (READ, "SELECT 'a'/2 FROM m"),
    (CHANGE, "SELECT a/b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT \"a\"/b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT f(a)/b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT 1/b INTO x FROM m WHERE c/d = 1"),
    (CHANGE, "SELECT 1./b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT 1h/b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT */b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT $a/b INTO x FROM m WHERE c/d = 1"),
    (CHANGE, "SELECT TRUE/b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT false/b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT a::field/b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT a::tag/b INTO x FROM m WHERE c/d = 1"),
    (CHANGE, "SELECT a::float/b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT *::tag/b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT verbose/b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT past/b INTO x FROM m WHERE c/d = 1"),
    (CHANGE, "SELECT a/* */ / b INTO x FROM m WHERE c/d = 1"), (CHANGE, "SELECT v./b INTO x FROM m WHERE c/d = 1"), (READ, "SELECT v./2 FROM m"),
    (READ, "SELECT v FROM m WHERE h =~ /a\\/;DROP DATABASE d/"), (READ, "SELECT v FROM m WHERE h =~ /a\\\\/;DROP DATABASE d/"), (CHANGE, "SELECT v FROM m WHERE h =~ /a\\\\x/;DROP DATABASE d"),
    (CHANGE, "SELECT v FROM m WHERE h =~ /a\\//;DROP DATABASE d"), (CHANGE, "SELECT v FROM m WHERE h =~ /a'/;DROP DATABASE d --'"), (CHANGE, "SELECT v FROM m WHERE h =~ /[/]/ ; DROP DATABASE d"),
    (READ, "SELECT v FROM d.r./;DROP DATABASE d/"), (READ, "SELECT v FROM d../;DROP DATABASE d/"), (READ, "SELECT v FROM r./;DROP DATABASE d/"), (CHANGE, "SELECT v FROM d.r./x/;DROP DATABASE d"),
    (READ, "SELECT v FROM (SELECT v FROM m), d.r./;DROP DATABASE d/"), (READ, "SELECT v FROM m, /;DROP DATABASE d/"), (READ, "SELECT v FROM r./a'b/, r./c'd/"),
    // Cannot be read: a read only if no word in it could change anything.
    (READ, "SELECT v FROM m WHERE h = 'x"), (READ, "SELECT \"v FROM m"), (READ, "SELECT v FROM m WHERE h =~ /x"), (READ, "SELECT v FROM m /* x"), (READ, "SELECT 'a\\qb' FROM m"), (READ, "SELECT v FROM m WHERE h = 'a\nb'"),
    (READ, "SELECT v @ FROM m"), (READ, "SHOW DATABASES \u{feff}"), (CHANGE, "\u{feff}SELECT v FROM m"), (CHANGE, "'x; SELECT v FROM m"),
    (CHANGE, "SELECT v FROM m WHERE h = 'x ; DROP DATABASE d"), (CHANGE, "SELECT v FROM m /* ; DROP DATABASE d"), (CHANGE, "SELECT 'a\\q' INTO x FROM m"), (CHANGE, "SELECT v @ ; delete FROM m"),
    (CHANGE, "SELECT 'set"), (CHANGE, "DROP DATABASE 'x"), (CHANGE, "SHOW STATS 'x; GRANT ALL TO u"), (LOCAL, "SHOW STATS 'x"), (READ, "SELECT offset, intox, 'x"),
];

#[test]
fn every_case_is_what_it_is() {
    assert!(CASES.len() > 250, "{} cases", CASES.len());
    for (kind, query) in CASES {
        assert_eq!(classify(query.as_bytes()).kind, *kind, "{query:?}");
    }
}

/// Sorts a query apart from its text: what mutations must not alter.
fn essence(class: &Class) -> (Kind, usize, Databases, Vec<&'static str>) {
    (
        class.kind,
        class.statements,
        class.databases.clone(),
        class.names.clone(),
    )
}

#[test]
fn blanks_comments_and_case_between_tokens_do_not_matter() {
    let blanks = [
        "\n",
        "\r",
        "\t \r\n",
        " /* into ' */ ",
        " -- drop \"\n",
        " /*/ ; */\t",
        "--;\r",
    ];
    let mut mutated = 0;
    for (_, query) in CASES {
        let tokens: Result<Vec<_>, _> =
            super::super::scan::Scanner::new(query.as_bytes()).collect();
        let Ok(tokens) = tokens else { continue };
        if query.contains('\0') || query.contains("--") {
            continue;
        }
        let expected = essence(&classify(query.as_bytes()));
        for (at, blank) in blanks.iter().enumerate() {
            let mut text: Vec<u8> = Vec::new();
            for (place, token) in tokens.iter().enumerate() {
                if token.spaced && place % blanks.len() >= at {
                    text.extend_from_slice(blank.as_bytes());
                } else if token.spaced {
                    text.push(b' ');
                }
                let word = token.text(query.as_bytes());
                match token.keyword() {
                    Some(_) if at % 2 == 0 => text.extend(word.to_ascii_lowercase()),
                    Some(_) => text.extend(word.to_ascii_uppercase()),
                    None => text.extend_from_slice(word),
                }
            }
            let class = classify(&text);
            assert_eq!(
                essence(&class),
                expected,
                "{query:?} as {:?}",
                String::from_utf8_lossy(&text)
            );
            mutated += 1;
        }
    }
    assert!(mutated > 1000, "{mutated}");
}

/// The names in a text, and whether the default database counts; nothing if it cannot be told.
type Expected = Option<(&'static [&'static str], bool)>;

#[rustfmt::skip]
const DATABASES: &[(&str, Expected)] = &[
    ("SELECT v FROM m", Some((&[], true))), ("SELECT v FROM r.m", Some((&[], true))), ("SELECT v FROM d.r.m", Some((&["d"], false))), ("SELECT v FROM d..m", Some((&["d"], false))),
    ("SELECT v FROM \"a b\".\"r\".\"m\"", Some((&["a b"], false))), ("SELECT v FROM \"a\\\"b\\n\".r.m", Some((&["a\"b\n"], false))), ("SELECT v FROM \"\".r.m", Some((&[], true))),
    ("SELECT v FROM x\"d\".r.m", Some((&["d"], false))), ("SELECT v FROM /x/", Some((&[], true))), ("SELECT v FROM r./x/", Some((&[], true))), ("SELECT v FROM d.r./x/", Some((&["d"], false))),
    ("SELECT v FROM d../x/", Some((&["d"], false))), ("SELECT v FROM a..m, b.r.m, c", Some((&["a", "b"], true))), ("SELECT v FROM a..m , /x/ , b../x/", Some((&["a", "b"], true))),
    ("SELECT v FROM (SELECT v FROM a..m), b..m", Some((&["a", "b"], false))), ("SELECT v FROM (SELECT v FROM a..m, (SELECT f(v) FROM c..m WHERE (x) = (y))), b..m", Some((&["a", "b", "c"], false))),
    ("SELECT v FROM d. /* c */ r.m", Some((&["d"], false))), ("SELECT v FROM a.b.c.d", None), ("SELECT v FROM $x", Some((&[], true))), ("SELECT v FROM $d.r.m", None), ("SELECT v FROM d.$r.m", Some((&["d"], false))),
    ("SELECT v FROM d.r.$m", Some((&["d"], false))), ("SELECT v FROM a..m; SELECT v FROM b..m", Some((&["a", "b"], false))), ("SELECT v FROM 5", None), ("SELECT v FROM", None),
    ("SELECT from.x, on FROM d..m", None), ("SELECT a.b.c FROM d..m WHERE x.y.z = 1 GROUP BY a.b.c", Some((&["d"], false))),
    ("EXPLAIN SELECT v INTO a..x FROM b..m", Some((&["a", "b"], false))), ("SHOW DATABASES", Some((&[], false))), ("SHOW SERIES", Some((&[], true))), ("SHOW SERIES ON d", Some((&["d"], false))),
    ("SHOW SERIES ON d FROM e..m", Some((&["d", "e"], false))), ("SHOW SERIES ON d FROM m", Some((&["d"], true))), ("SHOW SERIES ON $d", None), ("SHOW MEASUREMENTS ON *.*", None), ("SHOW MEASUREMENTS ON d.*", Some((&["d"], false))),
    ("SHOW MEASUREMENTS ON \"\"", Some((&[], true))), ("SHOW MEASUREMENTS ON d WITH MEASUREMENT =~ /x/", Some((&["d"], true))), ("SHOW MEASUREMENTS ON d WITH MEASUREMENT = e.r.m", Some((&["d", "e"], false))),
    ("SHOW MEASUREMENTS WITH MEASUREMENT = e../x/", Some((&["e"], true))), ("SHOW RETENTION POLICIES", Some((&[], true))), ("SHOW RETENTION POLICIES ON d", Some((&["d"], false))), ("SHOW TAG VALUES ON", None),
    ("SHOW GRANTS FOR u", Some((&[], false))), ("SHOW NEWS", None), ("SELECT v FROM m WHERE h = 'x", None), ("-- x", Some((&[], false))),
    ("SELECT v FROM m WHERE a = 'FROM x..y' AND b =~ /FROM z..y/ -- FROM w..y", Some((&[], true))),
    ("CREATE DATABASE d WITH DURATION 1d FUTURE LIMIT 1h PAST LIMIT 1h NAME r", Some((&["d"], false))),
    ("ALTER RETENTION POLICY r ON d PAST LIMIT 1h", Some((&["d"], false))), ("DELETE FROM r.m", Some((&[], true))), ("DELETE FROM r.m, s.m WHERE time < 0", Some((&[], true))),
    ("SHOW MEASUREMENTS ON *.*", None), ("SHOW MEASUREMENTS ON *.r", None), ("EXPLAIN VERBOSE SELECT v FROM d.r.m", Some((&["d"], false))),
    ("SHOW TAG KEYS ON d WITH KEY = h", Some((&["d"], false))), ("SHOW TAG KEYS FROM e..m WITH KEY IN (a)", Some((&["e"], true))),
    ("DROP DATABASE d", Some((&["d"], false))), ("CREATE DATABASE \"d e\" WITH NAME r", Some((&["d e"], false))), ("DELETE FROM m", Some((&[], true))), ("DROP MEASUREMENT m", Some((&[], true))),
    ("SELECT v INTO a.r.x FROM b..m", Some((&["a", "b"], false))), ("SELECT v INTO a.r.:MEASUREMENT FROM b..m", Some((&["a", "b"], false))), ("SELECT v INTO a.r :MEASUREMENT FROM b..m", Some((&["a", "b"], false))),
    ("REVOKE ALL FROM u", Some((&[], false))), ("REVOKE READ ON d FROM u", Some((&["d"], false))), ("CREATE SUBSCRIPTION s ON d.r DESTINATIONS ALL 'x'", Some((&["d"], false))),
];

#[test]
fn the_databases_of_a_text_are_found() {
    for (query, expected) in DATABASES {
        let expected = match expected {
            None => Databases::Unknown,
            Some((names, default)) => Databases::Named {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                default: *default,
            },
        };
        assert_eq!(classify(query.as_bytes()).databases, expected, "{query:?}");
    }
    assert_eq!(
        classify(b"SHOW SERIES ON \"\xff\"").databases,
        Databases::Unknown
    );
    let many: String = (0..300)
        .map(|at| format!("SELECT v FROM d{at}..m;"))
        .collect();
    assert_eq!(classify(many.as_bytes()).databases, Databases::Unknown);
}

#[test]
fn names_for_logs_hold_words_of_the_grammar_only() {
    let class = classify(b"create user secret with password 'secret'; Show Tag Keys; select 1 into secret from m; secret");
    assert_eq!(
        class.names,
        ["CREATE USER", "SHOW TAG KEYS", "SELECT INTO", "?"]
    );
    assert!(class.depends_on_time);
    assert_eq!(classify(&b"SHOW USERS;".repeat(100)).names.len(), 8);
    assert_eq!(classify(&b"SHOW USERS;".repeat(100)).statements, 100);
    assert!(!format!("{class:?}").contains("secret"));
    for (query, depends) in [
        ("DELETE FROM m", true),
        ("DROP MEASUREMENT m", false),
        ("SELECT v FROM m", false),
        ("EXPLAIN SELECT v INTO x FROM m", false),
    ] {
        assert_eq!(
            classify(query.as_bytes()).depends_on_time,
            depends,
            "{query}"
        );
    }
}

#[test]
fn refusals_explain_themselves() {
    assert!(
        Refusal::DropShard
            .to_string()
            .contains("shard numbers differ")
    );
    assert!(
        Refusal::MixedKillQuery
            .to_string()
            .contains("send it alone")
    );
}

#[test]
fn what_parses_is_cut_into_tokens() {
    for query in [
        "SELECT 1./v FROM m",
        "SELECT .5/v, 1h/2, v::tag/2, */2, $p/2, true/2 FROM m",
        r#"SELECT "a\\", "b\"" FROM m WHERE h = 'c\\' AND i = 'd\'' AND j = 'e\n'"#,
        "SELECT v FROM d.r./x/, (SELECT v FROM m), r./y/ WHERE h =~ /z/",
    ] {
        let mut scanner = super::super::scan::Scanner::new(query.as_bytes());
        assert!(scanner.all(|token| token.is_ok()), "{query}");
    }
}
