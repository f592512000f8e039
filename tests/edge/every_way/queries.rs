//! The guards of queries, and the end of those that run.

use super::{Shown, Site, WAYS, Way};
use crate::support::http::query_string;
use crate::support::http2::Http2;
use crate::support::wait::SOON;
use crate::support::{Influxd, status, wait_until};

/// What runs for minutes, and answers when it is through.
const ENDLESS: &str = "q=SELECT count(v) FROM (SELECT mean(v) AS v FROM m WHERE time >= 0 AND time < 10000000s AND host = 'a' GROUP BY time(1ms) fill(0))";

/// The same, which answers from its first point on.
const FLOWING: &str =
    "q=SELECT mean(v) FROM m WHERE time >= 0 AND time < 10000000s GROUP BY time(1ms) fill(0)";

const QUERY: &str = "/query?db=a";
const QUICK: [&str; 4] = ["-i", "-G", "--data-urlencode", "q=SELECT v FROM m"];

fn start(frontends: &[(&str, &str)]) -> Site {
    let site = Site::start(frontends);
    assert_eq!(site.node.write("a", "m,host=a v=1 1").status, 204);
    site
}

fn figure(site: &Site, front: &str, name: &str) -> u64 {
    let front = status::frontend(&site.haflux.url("page"), front);
    front["queries"][name].as_u64().expect("a number")
}

/// What `ask` shows, and the figure with one more.
#[track_caller]
fn counting(site: &Site, front: &str, name: &str, ask: impl FnOnce() -> Shown) -> Shown {
    let before = figure(site, front, name);
    let shown = ask();
    assert_eq!(figure(site, front, name), before + 1, "{name}: {shown:?}");
    shown
}

#[track_caller]
fn is_free(node: &Influxd) {
    wait_until("the node to be free of the query", SOON, || {
        let queries = node.try_query("", "SHOW QUERIES");
        queries.is_some_and(|queries| !queries.to_string().contains("mean(v)"))
    });
}

#[track_caller]
fn assert_error(shown: &Shown, way: Way, words: &str) {
    shown.assert_status(way, 200);
    let json: serde_json::Value = serde_json::from_str(&shown.body).expect("JSON");
    assert_eq!(json["results"][0]["error"], words, "{way:?}: {shown:?}");
}

#[test]
fn a_query_without_a_beginning_or_an_end_by_each_way() {
    let site = start(&[
        ("unbounded", "queries = { unbounded = \"refuse\" }"),
        ("time", "queries = { max_time = \"700ms\" }"),
    ]);
    for way in WAYS {
        let refused = counting(&site, "unbounded", "refused_unbounded", || {
            site.ask("unbounded", way, QUERY, &QUICK)
        });
        refused.assert_refused(way, 400, "(queries.unbounded)");

        let ended = counting(&site, "time", "ended_by_time", || {
            site.ask("time", way, QUERY, &["--data-urlencode", ENDLESS])
        });
        assert_error(&ended, way, "query-timeout limit exceeded");
        is_free(&site.node);
        // An answer that has begun breaks off, which nobody takes for its end.
        let broken = counting(&site, "time", "ended_by_time", || {
            let more = ["--data-urlencode", FLOWING, "-o", "/dev/null"];
            site.ask("time", way, "/query?db=a&chunked=true", &more)
        });
        broken.assert_status(way, 200);
        assert_ne!(broken.exit, Some(0), "{way:?}");
        is_free(&site.node);
        site.ask("time", way, QUERY, &QUICK).assert_status(way, 200);
    }
}

#[test]
fn queries_have_their_number_and_a_person_ends_them_by_each_way() {
    let site = start(&[(
        "front",
        "queries = { max_running = 2, max_running_per_user = 1 }",
    )]);
    let running = |count: u64| {
        wait_until("queries to run", SOON, || {
            figure(&site, "front", "running") == count
        });
    };
    for held in WAYS {
        std::thread::scope(|scope| {
            let endless = |user: &'static str| {
                let more = ["--data-urlencode", ENDLESS, "-u", user];
                let site = &site;
                scope.spawn(move || site.ask("front", held, QUERY, &more))
            };
            let ann = endless("ann:x");
            running(1);
            for way in WAYS {
                let refused = counting(&site, "front", "refused_user", || {
                    site.ask(
                        "front",
                        way,
                        QUERY,
                        &[&QUICK[..], &["-u", "ann:x"]].concat(),
                    )
                });
                let words =
                    "max-concurrent-queries limit exceeded(1, 1) (queries.max_running_per_user)";
                refused.assert_refused(way, 429, words);
                assert_eq!(refused.header("retry-after"), Some("1"), "{way:?}");
            }
            let bob = endless("bob:x");
            running(2);
            for way in WAYS {
                let refused = counting(&site, "front", "refused_all", || {
                    site.ask("front", way, QUERY, &QUICK)
                });
                let words = "max-concurrent-queries limit exceeded(2, 2) (queries.max_running)";
                refused.assert_refused(way, 503, words);
                assert_eq!(refused.header("retry-after"), Some("1"), "{way:?}");
            }
            let shown = site.haflux.order(&["queries", "--running"]);
            for line in shown.lines().skip(1) {
                let id = line.split_whitespace().next().expect("an id");
                site.haflux.order(&["queries", "kill", id]);
            }
            for client in [ann, bob] {
                assert_error(
                    &client.join().expect("an answer"),
                    held,
                    "query interrupted",
                );
            }
        });
        is_free(&site.node);
        running(0);
    }
    assert_eq!(figure(&site, "front", "ended_by_order"), 8);
}

#[test]
fn a_client_that_leaves_ends_its_query_by_each_way() {
    let site = start(&[("front", "queries = { max_running = 1 }")]);
    for way in WAYS {
        let more = ["--data-urlencode", ENDLESS, "-m", "1"];
        site.ask("front", way, QUERY, &more).assert_closed(way);
        is_free(&site.node);
        wait_until("its place to be free", SOON, || {
            figure(&site, "front", "running") == 0
        });
    }
    // One request of a connection that goes on.
    let mut client = Http2::connect(1, &site.haflux.address("front_plain"), 65_535);
    let text = ENDLESS.trim_start_matches("q=");
    let query = query_string(&[("db", "a"), ("q", text)]);
    let taken_back = client.ask(&format!("/query?{query}"));
    wait_until("it to run", SOON, || figure(&site, "front", "running") == 1);
    drop(taken_back);
    is_free(&site.node);
    let good = client.ask("/query?db=a&q=SELECT%20v%20FROM%20m");
    assert_eq!(client.whole(good).expect("an answer").0, 200);
}
