//! Who may run which statement (rule N1): for each kind of statement and of user, haflux says what a node alone says, and stores
//! nothing of a statement that a node refuses.

use crate::support::{Influxd, Lab, Options, query_as, status, write_as};

type User = Option<(&'static str, &'static str)>;

const ADMIN: User = Some(("admin", "all"));

/// Nobody, a wrong password, no right at all, all of another database, one right, both rights, an administrator.
const USERS: [User; 8] = [
    None,
    Some(("reader", "wrong")),
    Some(("nothing", "n")),
    Some(("other", "o")),
    Some(("reader", "r")),
    Some(("writer", "w")),
    Some(("both", "b")),
    ADMIN,
];

/// The default database, and the statements. `#` is a number of its own for each user.
const STATEMENTS: [(&str, &str); 38] = [
    ("d", "CREATE DATABASE made#"),
    ("d", "DROP DATABASE made#"),
    (
        "d",
        "CREATE RETENTION POLICY r# ON d DURATION 1h REPLICATION 1",
    ),
    ("d", "ALTER RETENTION POLICY r# ON d DURATION 2h"),
    ("e", "DROP RETENTION POLICY r# ON d"),
    ("e", "CREATE USER u# WITH PASSWORD 'x'"),
    ("e", "SET PASSWORD FOR u# = 'y'"),
    ("e", "GRANT READ ON d TO u#"),
    ("e", "REVOKE READ ON d FROM u#"),
    ("e", "GRANT ALL PRIVILEGES TO u#"),
    ("e", "REVOKE ALL PRIVILEGES FROM u#"),
    ("e", "DROP USER u#"),
    (
        "e",
        "CREATE SUBSCRIPTION s# ON d.autogen DESTINATIONS ALL 'udp://127.0.0.1:9'",
    ),
    ("e", "DROP SUBSCRIPTION s# ON d.autogen"),
    (
        "e",
        "CREATE CONTINUOUS QUERY c# ON d BEGIN SELECT mean(v) INTO x FROM m GROUP BY time(1m) END",
    ),
    (
        "e",
        "CREATE CONTINUOUS QUERY o# ON d BEGIN SELECT mean(v) INTO e.autogen.x FROM m GROUP BY time(1m) END",
    ),
    ("e", "DROP CONTINUOUS QUERY c# ON d"),
    ("e", "DROP CONTINUOUS QUERY o# ON d"),
    ("d", "SELECT v INTO x# FROM m"),
    ("d", "SELECT v INTO e.autogen.x# FROM m"),
    ("e", "SELECT v INTO d.autogen.y# FROM d.autogen.m"),
    ("e", "SELECT v INTO y# FROM d.autogen.m, e.autogen.m"),
    ("d", "SELECT v INTO z# FROM (SELECT v FROM m)"),
    ("e", "SELECT v INTO nowhere.autogen.y FROM d.autogen.m"),
    ("d", "DELETE FROM x#"),
    ("nowhere", "DELETE FROM x#"),
    ("", "DELETE FROM x#"),
    ("d", "DROP SERIES FROM x#"),
    ("nowhere", "DROP SERIES FROM x#"),
    ("d", "DROP MEASUREMENT y#"),
    ("nowhere", "DROP RETENTION POLICY r ON nowhere"),
    ("nowhere", "DROP CONTINUOUS QUERY r ON nowhere"),
    ("d", "SHOW MEASUREMENTS; DELETE FROM x#"),
    ("d", "DELETE FROM x#; SHOW MEASUREMENTS ON e"),
    ("d", "SHOW DATABASES; DELETE FROM x#"),
    ("d", "SHOW USERS; DELETE FROM x#"),
    ("d", "DELETE FROM x#; DROP MEASUREMENT x#"),
    ("d", "DELETE FROM x#; SELECT v INTO e.autogen.x# FROM m"),
];

fn set_up(url: &str) {
    let first = "CREATE USER admin WITH PASSWORD 'all' WITH ALL PRIVILEGES";
    assert_eq!(query_as(url, None, "", first).status, 200);
    for statement in [
        "CREATE DATABASE d",
        "CREATE DATABASE e",
        "CREATE USER nothing WITH PASSWORD 'n'",
        "CREATE USER other WITH PASSWORD 'o'",
        "CREATE USER reader WITH PASSWORD 'r'",
        "CREATE USER writer WITH PASSWORD 'w'",
        "CREATE USER both WITH PASSWORD 'b'",
        "GRANT ALL ON e TO other",
        "GRANT READ ON d TO reader",
        "GRANT WRITE ON d TO writer",
        "GRANT ALL ON d TO both",
    ] {
        let answer = query_as(url, ADMIN, "", statement);
        assert!(!answer.text().contains("error"), "{}", answer.text());
    }
    let written = write_as(url, ADMIN, "d", "m v=1 1");
    assert_eq!(written.status, 204);
}

fn statements(url: &str) -> u64 {
    status::relay(url)["statements"].as_u64().expect("a number")
}

#[test]
fn haflux_says_what_a_node_says_and_stores_nothing_that_it_refuses() {
    let mut lab = Lab::start_with(Options::default().auth(), |configuration| configuration);
    let folder = tempfile::tempdir().expect("a folder");
    let alone = Influxd::start_with(folder.path(), Options::default().auth());
    let (url, node) = (lab.influx_url(), alone.url());
    let (name, password) = ADMIN.expect("a user");
    lab.node1.log_in(name, password);
    lab.node2.log_in(name, password);
    set_up(&url);
    set_up(&node);
    let mut wrong = Vec::new();
    for (database, statement) in STATEMENTS {
        for (number, user) in USERS.iter().enumerate() {
            let statement = statement.replace('#', &number.to_string());
            let before = statements(&url);
            let ours = query_as(&url, *user, database, &statement);
            let stored = statements(&url) - before;
            let theirs = query_as(&node, *user, database, &statement);
            let is_refused = matches!(theirs.status, 401 | 403);
            if (ours.status, ours.text()) != (theirs.status, theirs.text())
                || (stored == 0) != is_refused
            {
                wrong.push(format!(
                    "{user:?} in {database:?}: {statement}\n  {} {} ({stored} stored)\n  {} {}",
                    ours.status,
                    ours.text().trim(),
                    theirs.status,
                    theirs.text().trim()
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    lab.assert_same("d");
    lab.assert_same("e");
}
