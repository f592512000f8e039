//! What comes is judged by a node before it is journaled (rule N1), on real nodes that ask for credentials.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::wait::SOON;
use crate::support::{
    Lab, Options, http, parameters, query_as, query_with, status, wait_until, write_as,
};

const ADMIN: (&str, &str) = ("admin", "all");

/// A lab whose nodes ask for credentials: an administrator, `rw` who may do all to `d`, `ro` who may read it.
fn lab(keys: &str) -> Lab {
    let keys = keys.to_owned();
    let mut lab = Lab::start_with(Options::default().auth(), move |configuration| {
        configuration.replace(
            "replicate_to = \"influx_back\"",
            &format!("replicate_to = \"influx_back\"\n{keys}"),
        )
    });
    lab.node1.log_in(ADMIN.0, ADMIN.1);
    lab.node2.log_in(ADMIN.0, ADMIN.1);
    let url = lab.influx_url();
    let (name, password) = ADMIN;
    let first = format!("CREATE USER {name} WITH PASSWORD '{password}' WITH ALL PRIVILEGES");
    let made = query_as(&url, None, "", &first);
    assert_eq!(made.status, 200, "{}", made.text());
    for statement in [
        "CREATE DATABASE d",
        "CREATE USER rw WITH PASSWORD 'rw'",
        "CREATE USER ro WITH PASSWORD 'ro'",
        "GRANT ALL ON d TO rw",
        "GRANT READ ON d TO ro",
    ] {
        let answer = query_as(&url, Some(ADMIN), "", statement);
        assert_eq!(
            (answer.status, answer.text().contains("error")),
            (200, false)
        );
    }
    lab
}

/// Writes and statements that were journaled.
fn records(lab: &Lab) -> u64 {
    let relay = status::relay(&lab.influx_url());
    let count = |key: &str| relay[key].as_u64().expect("a number");
    count("records") + count("statements")
}

#[test]
fn nothing_of_a_stranger_is_stored_and_he_hears_what_a_node_says() {
    let lab = lab("");
    let url = lab.influx_url();
    assert_eq!(
        write_as(&url, Some(("rw", "rw")), "d", "m v=1 1").status,
        204
    );
    let before = records(&lab);
    let node = lab.node1.url();
    let strangers = [
        None,
        Some(("rw", "wrong")),
        Some(("nobody", "x")),
        Some(("ro", "ro")),
    ];
    for user in strangers {
        for (database, line) in [("d", "m v=2 2"), ("nowhere", "m v=2 2"), ("d", "")] {
            let (ours, theirs) = (
                write_as(&url, user, database, line),
                write_as(&node, user, database, line),
            );
            assert_eq!(
                (ours.status, ours.text()),
                (theirs.status, theirs.text()),
                "{user:?} writes to {database}"
            );
        }
        for query in [
            "DROP DATABASE zz",
            "DELETE FROM m",
            "CREATE USER x WITH PASSWORD 'y' WITH ALL PRIVILEGES",
        ] {
            let (ours, theirs) = (
                query_as(&url, user, "d", query),
                query_as(&node, user, "d", query),
            );
            assert_eq!(
                ours.status,
                theirs.status,
                "{user:?}: {query}: {}",
                ours.text()
            );
            if !query.contains("PASSWORD") {
                assert_eq!(ours.text(), theirs.text(), "{user:?}: {query}");
            }
        }
        let asynchronous = parameters(user, &[("q", "DROP DATABASE zz"), ("async", "true")]);
        let answer = query_with(&url, &asynchronous);
        let theirs = query_with(&node, &asynchronous);
        assert_eq!(answer.status, theirs.status, "{user:?}, in the background");
    }
    assert_eq!(records(&lab), before, "something of them was stored");
    lab.both_hold("d", "m", 1);
}

/// What cannot be parsed runs nowhere, whoever sends it, so it is nothing for the journal.
#[test]
fn what_is_no_statement_is_answered_as_by_a_node_and_not_stored() {
    let lab = lab("");
    let url = lab.influx_url();
    let made = query_as(
        &url,
        Some(ADMIN),
        "",
        "CREATE USER nobody WITH PASSWORD 'x'",
    );
    assert_eq!(made.status, 200, "{}", made.text());
    let before = records(&lab);
    let node = lab.node1.url();
    for user in [Some(("nobody", "x")), Some(("ro", "ro"))] {
        for query in [
            "FOO",
            "DROP",
            "DROP FOO",
            "DROP ",
            "DROP\t\n",
            "SELECT v INTO",
            "SELECT v INTO x FROM",
            "SELECT v INTO x FROM m WHERE ü = ",
            "SELECT v INTO x FROM m WHERE time > now(",
            "SHOW DATABASES; DROP",
            "SHOW DATABASES\n;\r\nDROP -- x",
            "SELECT v FROM m; CREATE -- DROP",
            "EXPLAIN DROP DATABASE d",
            "DROP /* x",
            "SELECT v INTO \"x",
            "SELECT v INTO x FROM m WHERE a = 'x",
            "SELECT v INTO x FROM m WHERE a =~ /x",
            "FOO\n;\nhaflux_asks_whether_this_can_be_parsed",
        ] {
            let (ours, theirs) = (
                query_as(&url, user, "d", query),
                query_as(&node, user, "d", query),
            );
            assert_eq!(
                (ours.status, ours.text()),
                (theirs.status, theirs.text()),
                "{user:?}: {query}"
            );
        }
    }
    assert_eq!(records(&lab), before, "something of them was stored");
}

#[test]
fn requests_of_version_2_need_the_right_that_a_node_asks_for() {
    let lab = lab("");
    let url = lab.influx_url();
    let before = records(&lab);
    let asked = |method: &str, path: &str, user: &str| {
        let credentials = format!("u={user}&p={user}");
        let mark = if path.contains('?') { '&' } else { '?' };
        let body = b"{\"start\":\"1970-01-01T00:00:00Z\",\"stop\":\"1970-01-02T00:00:00Z\"}";
        let target = format!("{url}{path}{mark}{credentials}");
        http::request(method, &target, &[], body)
    };
    for (method, path, needed) in [
        (
            "POST",
            "/api/v2/delete?bucket=d/autogen",
            "requires WRITE on d",
        ),
        ("POST", "/api/v2/delete?bucket=d", "requires WRITE on d"),
        ("POST", "/api/v2/delete", "requires admin privilege"),
        ("POST", "/api/v2/buckets", "requires admin privilege"),
        (
            "DELETE",
            "/api/v2/buckets/d%2Fautogen",
            "requires admin privilege",
        ),
        (
            "PATCH",
            "/api/v2/buckets/d%2Fautogen",
            "requires admin privilege",
        ),
    ] {
        let answer = asked(method, path, "ro");
        let path = path.split('?').next().unwrap_or_default();
        let said = format!("ro not authorized to execute statement '{method} {path}', {needed}");
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
        assert!(answer.text().contains(&said), "{}", answer.text());
    }
    assert_eq!(asked("PUT", "/api/v2/delete", "rw").status, 405);
    assert_eq!(records(&lab), before, "something of them was stored");
    // Debian's nodes do not know the path; others carry it out.
    let taken = asked("POST", "/api/v2/delete?bucket=d/autogen", "rw");
    assert!([204, 404].contains(&taken.status), "{}", taken.text());
    assert_eq!(records(&lab), before + 1);
}

#[test]
fn what_is_right_now_counts_at_once() {
    let lab = lab("");
    let url = lab.influx_url();
    for round in 0..5 {
        let database = format!("later{round}");
        let user = format!("user{round}");
        let user = Some((user.as_str(), "x"));
        assert_eq!(
            write_as(&url, Some(ADMIN), &database, "m v=1 1").status,
            404
        );
        assert_eq!(write_as(&url, user, "d", "m v=1 1").status, 401);
        for statement in [
            format!("CREATE DATABASE {database}"),
            format!("CREATE USER user{round} WITH PASSWORD 'x'"),
            format!("GRANT WRITE ON {database} TO user{round}"),
        ] {
            assert_eq!(query_as(&url, Some(ADMIN), "", &statement).status, 200);
        }
        let written = write_as(&url, Some(ADMIN), &database, "m v=1 1");
        assert_eq!(written.status, 204, "{}", written.text());
        let written = write_as(&url, user, &database, "m v=1 2");
        assert_eq!(written.status, 204, "{}", written.text());
    }
}

#[test]
fn a_right_that_is_taken_away_is_noticed() {
    let lab = lab("trust_for = \"16s\"");
    let url = lab.influx_url();
    let user = Some(("rw", "rw"));
    assert_eq!(write_as(&url, user, "d", "m v=1 1").status, 204);
    assert_eq!(query_as(&url, Some(ADMIN), "", "DROP USER rw").status, 200);
    let mut tried = 0;
    wait_until("the writer to be refused by a judgement", SOON, || {
        tried += 1;
        let before = records(&lab);
        let answer = write_as(&url, user, "d", format!("m v=2 {}", tried + 1));
        assert_eq!(answer.status, 401, "{}", answer.text());
        records(&lab) == before
    });
}

/// The node that knows what was taken away is gone, and the other one has yet to hear of it: its word lets nobody in.
#[test]
fn a_node_that_is_behind_lets_nobody_in_whose_right_was_taken_away() {
    let mut lab = lab("rewind = \"8s\"");
    let url = lab.influx_url();
    for statement in ["CREATE DATABASE gone", "CREATE USER rev WITH PASSWORD 'x'"] {
        assert_eq!(query_as(&url, Some(ADMIN), "", statement).status, 200);
    }
    let granted = query_as(&url, Some(ADMIN), "", "GRANT ALL ON d TO rev");
    assert_eq!(granted.status, 200);
    let writes = [
        (("rw", "rw"), "d", 401),
        (("rev", "x"), "d", 403),
        (ADMIN, "gone", 404),
    ];
    for (user, database, _) in writes {
        let written = write_as(&url, Some(user), database, "m v=1 1");
        assert_eq!(written.status, 204, "{}", written.text());
    }
    lab.both_hold("gone", "m", 1);
    lab.node1.kill9();
    for statement in [
        "SET PASSWORD FOR rw = 'new'",
        "REVOKE ALL ON d FROM rev",
        "DROP DATABASE gone",
        "CREATE USER admin2 WITH PASSWORD 'x' WITH ALL PRIVILEGES",
        "DROP USER admin2",
    ] {
        let answer = query_as(&url, Some(ADMIN), "", statement);
        assert_eq!(answer.status, 200, "{statement}: {}", answer.text());
    }
    lab.node2.kill9();
    lab.haflux.kill9();
    lab.node1.restart();
    lab.haflux.restart();
    let url = lab.influx_url();
    wait_until("node 1 to answer", SOON, || {
        status::replica(&url, 0)["status"] != "down"
    });
    let before = records(&lab);
    for (user, database, _) in writes {
        let answer = write_as(&url, Some(user), database, "m v=2 2");
        assert_eq!(answer.status, 503, "{user:?}: {}", answer.text());
    }
    let asynchronous = parameters(Some(ADMIN), &[("q", "DROP DATABASE d"), ("async", "true")]);
    let answer = query_with(&url, &asynchronous);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(records(&lab), before, "something was stored");
    lab.node2.restart();
    for (user, database, status) in writes {
        wait_until("a node that knows to be asked", SOON, || {
            let answer = write_as(&url, Some(user), database, "m v=2 2");
            assert!([503, status].contains(&answer.status), "{}", answer.text());
            answer.status == status
        });
    }
    assert_eq!(records(&lab), before, "something was stored");
}

/// Others do something as fast as they can, on so many connections; returns how many answers they got, by status.
fn crowd(
    connections: usize,
    seconds: u64,
    one: impl Fn(usize, u64) -> u16 + Sync,
) -> Vec<(u16, usize)> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|thread| {
                let one = &one;
                scope.spawn(move || {
                    let mut statuses = Vec::new();
                    let mut number = 0;
                    while Instant::now() < end {
                        statuses.push(one(thread, number));
                        number += 1;
                    }
                    statuses
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a thread"))
            .collect()
    });
    let mut counted: Vec<(u16, usize)> = Vec::new();
    for status in statuses {
        match counted.iter_mut().find(|(known, _)| *known == status) {
            Some((_, count)) => *count += 1,
            None => counted.push((status, 1)),
        }
    }
    counted
}

#[test]
fn strangers_statements_and_writes_hold_nobody_up() {
    let lab = lab("");
    let url = lab.influx_url();
    let good = Some(("rw", "rw"));
    assert_eq!(write_as(&url, good, "d", "m v=1 1").status, 204);
    let before = records(&lab);
    let stop = AtomicBool::new(false);
    let (written, slowest) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut written, mut slowest) = (1, Duration::ZERO);
            while !stop.load(Ordering::SeqCst) {
                let begun = Instant::now();
                written += 1;
                let answer = write_as(&url, good, "d", format!("m v=1 {written}"));
                assert_eq!(answer.status, 204, "{}", answer.text());
                slowest = slowest.max(begun.elapsed());
            }
            (written, slowest)
        });
        let asynchronous = parameters(None, &[("q", "DROP DATABASE zz"), ("async", "true")]);
        let statements = crowd(4, 3, |_, _| query_with(&url, &asynchronous).status);
        assert_eq!(statements.len(), 1, "{statements:?}");
        assert_eq!(statements[0].0, 401);
        let writes = crowd(16, 3, |thread, number| {
            let password = format!("{thread} {number}");
            let user = (thread % 2 == 0).then_some(("rw", password.as_str()));
            write_as(&url, user, "d", "m v=9 9").status
        });
        assert!(
            writes.iter().all(|(status, _)| matches!(status, 401 | 503)),
            "{writes:?}"
        );
        println!("strangers: statements {statements:?}, writes {writes:?}");
        stop.store(true, Ordering::SeqCst);
        writer.join().expect("the writer")
    });
    println!("the good client wrote {written}, the slowest took {slowest:?}");
    assert_eq!(records(&lab), before + written - 1);
    lab.both_hold("d", "m", written);
}

#[test]
fn a_crowd_of_newcomers_does_not_push_out_who_is_known() {
    // Nodes that ask nobody for credentials accept everybody.
    let mut lab = Lab::start_with(Options::default(), |configuration| {
        configuration.replace(
            "replicate_to = \"influx_back\"",
            "replicate_to = \"influx_back\"\njudging = { max_known = 64 }",
        )
    });
    let url = lab.influx_url();
    lab.create_database("d");
    let good = Some(("good", "client"));
    for number in 0..3 {
        assert_eq!(
            write_as(&url, good, "d", format!("m v=1 {number}")).status,
            204
        );
    }
    for number in 0..200 {
        let user = format!("stranger{number}");
        let answer = write_as(&url, Some((&user, "x")), "d", format!("s v=1 {number}"));
        assert_eq!(answer.status, 204);
    }
    lab.node1.kill9();
    lab.node2.kill9();
    wait_until("the nodes' absence to be known", SOON, || {
        write_as(&url, Some(("newcomer", "x")), "d", "n v=1 1").status == 503
    });
    let answer = write_as(&url, good, "d", "m v=1 4");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.header("x-haflux-applied"), Some("0/2"));
}

#[test]
fn statements_are_bounded_and_one_whose_client_left_is_not_stored() {
    let lab = lab("max_statements = 2\nmax_statements_per_source = 2");
    let url = lab.influx_url();
    let before = records(&lab);
    let answers = crowd(12, 2, |thread, number| {
        let statement = format!(
            "CREATE RETENTION POLICY r{thread} ON d DURATION {}h REPLICATION 1",
            number + 1
        );
        query_as(&url, Some(ADMIN), "", &statement).status
    });
    assert!(
        answers
            .iter()
            .all(|(status, _)| matches!(status, 200 | 503)),
        "{answers:?}"
    );
    let taken: usize = answers
        .iter()
        .filter(|(status, _)| *status == 200)
        .map(|(_, count)| *count)
        .sum();
    assert!(
        answers.iter().any(|(status, _)| *status == 503),
        "{answers:?}"
    );
    // A record and a statement are counted for each, but a statement is no record of writes.
    assert_eq!(records(&lab) - before, taken as u64);
}
