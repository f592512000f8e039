//! What a request would do at most, for rules about it: its statements, the databases that it reads and changes, and the measurements
//! that it touches.
//!
//! Where [`Needed`](super::Needed) never asks for more than a query needs, this never says less than it does: what cannot be told is
//! every database and every measurement. A statement about the whole node (users, `SHOW DATABASES`, `SHOW STATS`, `KILL QUERY`) is one
//! about every database; one about a whole database is one about every measurement.
//! The paths are all that InfluxDB has; of one that is not known here, a method that reads is taken for a read of everything and
//! another one for a change of everything.

use http::Method;

use super::classify::{Kind, Refusal, classify, classify_within};
use super::collector::Collector;
use super::databases::Databases;
use super::groups::Groups;
use super::keyword::Keyword;
use super::limits::Limits;
use super::measurements::Measurements;
use super::request::{Candidates, Endpoint, Request, candidates, classify_request};
use super::scan::{self, Scanner, Token};

/// Paths that tell nothing about data.
const HARMLESS: [&[u8]; 4] = [b"/ping", b"/health", b"/ready", b"/status"];

/// One thing that a request would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Its statement, by the grammar's words; nothing for what is no statement.
    pub statement: Option<&'static str>,
    /// The statement's groups; none if it cannot be told what it is.
    pub groups: Groups,
    /// Whether it changes anything, or might.
    pub changes: bool,
    /// The databases that it reads.
    pub reads: Databases,
    /// The databases that it changes.
    pub writes: Databases,
    /// The measurements that it reads or changes, but for those of a write's lines, which stand in its body.
    pub measurements: Measurements,
}

impl Use {
    /// It may touch every measurement.
    fn of_statement(name: &'static str, reads: Databases, writes: Option<Databases>) -> Self {
        Self {
            statement: Some(name),
            groups: Groups::of(name),
            changes: writes.is_some(),
            reads,
            writes: writes.unwrap_or_default(),
            measurements: Measurements::Unknown,
        }
    }

    /// What is no statement.
    fn plain(reads: Databases, writes: Option<Databases>) -> Self {
        Self {
            statement: None,
            ..Self::of_statement("?", reads, writes)
        }
    }

    /// A text that may be anything.
    fn unknown(changes: bool) -> Self {
        Self::of_statement(
            "?",
            Databases::Unknown,
            changes.then_some(Databases::Unknown),
        )
    }
}

/// Whether what a request does may stand in its body, unless it is a write.
pub fn may_stand_in_body(path: &[u8]) -> bool {
    Endpoint::of(path).is_some() || path == b"/api/v1/prom/read"
}

/// What `request` would do. Its body may be missing unless [`may_stand_in_body`] says so of its path.
pub fn uses(request: &Request<'_>, limits: &Limits) -> Vec<Use> {
    let reads = matches!(
        *request.method,
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    match request.path {
        b"/write" => of_lines(request, "db", limits),
        b"/api/v2/write" => of_lines(request, "bucket", limits),
        b"/api/v1/prom/write" => of_write(request, "db", limits),
        b"/api/v1/prom/read" => match candidates(request, limits) {
            Ok(found) if !found.odd => vec![Use::plain(named(&found, "db"), None)],
            _ => vec![Use::plain(Databases::Unknown, None)],
        },
        b"/query" => of_queries(request, limits),
        path if HARMLESS.contains(&path) => Vec::new(),
        path => match Endpoint::of(path) {
            Some(endpoint) => of_version_2(request, endpoint, limits),
            None if reads => vec![Use::plain(Databases::Unknown, None)],
            None => vec![Use::plain(Databases::Unknown, Some(Databases::Unknown))],
        },
    }
}

/// A write whose body is lines.
fn of_lines(request: &Request<'_>, name: &'static str, limits: &Limits) -> Vec<Use> {
    let mut uses = of_write(request, name, limits);
    for one in &mut uses {
        one.measurements = Measurements::default();
    }
    uses
}

/// A write's database stands in its URL. Which of several InfluxDB takes depends on its release, so all are written to.
fn of_write(request: &Request<'_>, name: &'static str, limits: &Limits) -> Vec<Use> {
    if *request.method != Method::POST {
        return Vec::new();
    }
    let writes = of_url(request, name, limits);
    vec![Use::plain(Databases::default(), Some(writes))]
}

fn of_url(request: &Request<'_>, name: &'static str, limits: &Limits) -> Databases {
    let url = Request {
        body: b"",
        ..*request
    };
    let found = candidates(&url, limits);
    found.map_or(Databases::Unknown, |found| named(&found, name))
}

/// The databases of every value of a parameter. A bucket is a database, or one and its retention policy behind a slash.
fn named(found: &Candidates<'_>, name: &'static str) -> Databases {
    let mut databases = Databases::default();
    for value in found.values(name).filter(|value| !value.is_empty()) {
        let length = match name {
            "bucket" => memchr::memchr(b'/', value).unwrap_or(value.len()),
            _ => value.len(),
        };
        match std::str::from_utf8(value.get(..length).unwrap_or_default()) {
            Ok(name) => databases.add(name.to_owned()),
            Err(_) => databases = Databases::Unknown,
        }
    }
    databases
}

/// Flux, deletion and buckets. Flux names its buckets by any expression.
fn of_version_2(request: &Request<'_>, endpoint: Endpoint, limits: &Limits) -> Vec<Use> {
    let Some(class) = classify_request(request, limits) else {
        return vec![Use::unknown(true)];
    };
    let name = class.names.first().copied().unwrap_or("?");
    let changes = !matches!(class.kind, Kind::Read);
    let writes = match endpoint {
        _ if !changes => None,
        Endpoint::Delete => Some(match of_url(request, "bucket", limits) {
            // Only a body that is no form leaves no other place for the bucket.
            Databases::Named { names, .. } if names.len() == 1 && is_json(request) => {
                Databases::Named {
                    names,
                    default: false,
                }
            }
            _ => Databases::Unknown,
        }),
        _ => Some(Databases::Unknown),
    };
    let reads = match endpoint {
        Endpoint::Delete if changes => Databases::default(),
        _ => Databases::Unknown,
    };
    vec![Use::of_statement(name, reads, writes)]
}

fn is_json(request: &Request<'_>) -> bool {
    let mut types = request.headers.get_all(http::header::CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes() == b"application/json",
        _ => false,
    }
}

/// Every query that may be the one that InfluxDB runs.
fn of_queries(request: &Request<'_>, limits: &Limits) -> Vec<Use> {
    if !matches!(*request.method, Method::GET | Method::POST) {
        return Vec::new();
    }
    let Ok(found) = candidates(request, limits) else {
        return vec![Use::unknown(true)];
    };
    let default = named(&found, "db");
    let mut uses = Vec::new();
    if found.odd {
        uses.push(Use::unknown(true));
    }
    for query in found.queries() {
        of_query(query, &default, limits, &mut uses);
    }
    uses
}

/// A statement as far as it has been read: where it is, and the names of its sources and of what it writes into.
struct Reading {
    text: Option<(usize, usize)>,
    is_target: bool,
    sources: Collector,
    target: Collector,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            text: None,
            is_target: false,
            sources: Collector::of_measurements(),
            target: Collector::of_measurements(),
        }
    }
}

impl Reading {
    fn token(&mut self, query: &[u8], token: Token) {
        let start = self.text.map_or(token.start, |(start, _)| start);
        self.text = Some((start, token.end));
        match token.keyword() {
            Some(Keyword::Into) => self.is_target = true,
            Some(Keyword::From) => self.is_target = false,
            _ => {}
        }
        match self.is_target {
            true => self.target.token(query, token),
            false => self.sources.token(query, token),
        }
    }

    fn finish(self, query: &[u8], default: &Databases) -> Option<Use> {
        let (start, end) = self.text?;
        let class = classify(query.get(start..end)?);
        let name = class.names.first().copied().unwrap_or("?");
        let of_default = |databases| with_default(databases, default);
        let (sources, sources_measured) = self.sources.finish_with_measurements(query);
        let (target, target_measured) = self.target.finish_with_measurements(query);
        let mut one = match (class.kind, name) {
            (Kind::Empty, _) => return None,
            (Kind::Read | Kind::NodeLocalRead, _) => {
                Use::of_statement(name, of_default(some(class.databases)), None)
            }
            (Kind::Change, "SELECT INTO") => {
                let reads = of_default(some(sources));
                let writes = of_default(some(target));
                Use::of_statement(name, reads, Some(writes))
            }
            // A subscriber gets every point that comes.
            (Kind::Change, "CREATE CONTINUOUS QUERY" | "CREATE SUBSCRIPTION") => {
                let both = of_default(some(class.databases));
                Use::of_statement(name, both.clone(), Some(both))
            }
            // A word stands in it that does not belong there.
            (Kind::Change, "SELECT" | "EXPLAIN" | "EXPLAIN ANALYZE") => {
                return Some(Use::unknown(true));
            }
            (Kind::Change, _) => {
                let writes = of_default(some(class.databases));
                Use::of_statement(name, Databases::default(), Some(writes))
            }
            (Kind::KillQuery | Kind::Refused(_), _) => {
                Use::of_statement(name, Databases::default(), Some(Databases::Unknown))
            }
        };
        one.measurements = Measurements::of(name, sources_measured, target_measured);
        Some(one)
    }
}

/// These databases; all of them if there is none, because then the statement is about the whole node.
fn some(databases: Databases) -> Databases {
    match databases {
        Databases::Named { names, default } if names.is_empty() && !default => Databases::Unknown,
        some => some,
    }
}

/// The parameter `db` takes the place of the default database.
fn with_default(databases: Databases, default: &Databases) -> Databases {
    match databases {
        Databases::Named {
            names,
            default: true,
        } => {
            let mut all = Databases::Named {
                names,
                default: false,
            };
            all.merge(default.clone());
            all
        }
        other => other,
    }
}

fn of_query(query: &[u8], default: &Databases, limits: &Limits, uses: &mut Vec<Use>) {
    let whole = classify_within(query, limits);
    let is_odd = matches!(
        whole.kind,
        Kind::Refused(Refusal::Exceeded(_) | Refusal::NulByte)
    );
    if is_odd {
        uses.push(Use::unknown(true));
        return;
    }
    let changes = !matches!(whole.kind, Kind::Empty | Kind::Read | Kind::NodeLocalRead);
    let mut reading = Reading::default();
    for scanned in Scanner::new(query) {
        match scanned {
            Ok(token) if token.kind == scan::Kind::Semicolon => {
                uses.extend(std::mem::take(&mut reading).finish(query, default));
            }
            Ok(token) => reading.token(query, token),
            Err(_) => {
                uses.push(Use::unknown(changes));
                return;
            }
        }
    }
    uses.extend(reading.finish(query, default));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use http::HeaderMap;
    use proptest::prelude::*;

    fn names(databases: &Databases) -> Vec<&str> {
        match databases {
            Databases::Named { names, .. } => names.iter().map(String::as_str).collect(),
            Databases::Unknown => vec!["?"],
        }
    }

    fn of(
        method: Method,
        path: &str,
        query_string: &str,
        body: &str,
        content_type: &str,
    ) -> Vec<Use> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert("content-type", content_type.parse().unwrap());
        }
        let request = Request {
            method: &method,
            path: path.as_bytes(),
            query_string: query_string.as_bytes(),
            headers: &headers,
            body: body.as_bytes(),
        };
        uses(&request, &Limits::default())
    }

    fn query(text: &str) -> Vec<Use> {
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        of(Method::POST, "/query", &format!("db=d&q={escaped}"), "", "")
    }

    #[test]
    fn statements_read_and_change_what_they_name() {
        let none: &[&str] = &[];
        let table: &[(&str, &str, &[&str], &[&str])] = &[
            ("SELECT v FROM m", "SELECT", &["d"], none),
            ("SELECT v FROM a..m, b.r.m", "SELECT", &["a", "b"], none),
            (
                "SELECT v FROM m, (SELECT v FROM a..m)",
                "SELECT",
                &["a", "d"],
                none,
            ),
            (
                "SELECT v INTO x..m FROM a..m",
                "SELECT INTO",
                &["a"],
                &["x"],
            ),
            ("SELECT v INTO m FROM a..m", "SELECT INTO", &["a"], &["d"]),
            (
                "SELECT v INTO x.r.:MEASUREMENT FROM m, b..n WHERE v > 1 GROUP BY *",
                "SELECT INTO",
                &["b", "d"],
                &["x"],
            ),
            ("SELECT v INTO $x FROM $y", "SELECT INTO", &["d"], &["d"]),
            (
                "SELECT v INTO $x..m FROM a..m",
                "SELECT INTO",
                &["a"],
                &["?"],
            ),
            (
                "EXPLAIN ANALYZE SELECT v FROM a..m",
                "EXPLAIN ANALYZE",
                &["a"],
                none,
            ),
            ("SELECT v FROM a.b$p/**/", "SELECT", &["?"], none),
            (
                "SELECT v INTO x FROM a$p/**/",
                "SELECT INTO",
                &["?"],
                &["d"],
            ),
            ("SHOW SERIES FROM a.b$p/**/", "SHOW SERIES", &["?"], none),
            ("SHOW MEASUREMENTS", "SHOW MEASUREMENTS", &["d"], none),
            ("SHOW MEASUREMENTS ON e", "SHOW MEASUREMENTS", &["e"], none),
            (
                "SHOW MEASUREMENTS ON *.*",
                "SHOW MEASUREMENTS",
                &["?"],
                none,
            ),
            ("SHOW DATABASES", "SHOW DATABASES", &["?"], none),
            ("SHOW STATS", "SHOW STATS", &["?"], none),
            ("SHOW USERS", "SHOW USERS", &["?"], none),
            ("DELETE FROM m", "DELETE", none, &["d"]),
            ("DROP SERIES FROM m", "DROP SERIES", none, &["d"]),
            ("DROP MEASUREMENT m", "DROP MEASUREMENT", none, &["d"]),
            ("DROP DATABASE e", "DROP DATABASE", none, &["e"]),
            (
                "DROP DATABASE \"SELECT\"",
                "DROP DATABASE",
                none,
                &["SELECT"],
            ),
            (
                "CREATE DATABASE e WITH DURATION 1h",
                "CREATE DATABASE",
                none,
                &["e"],
            ),
            (
                "DROP RETENTION POLICY r ON e",
                "DROP RETENTION POLICY",
                none,
                &["e"],
            ),
            (
                "CREATE CONTINUOUS QUERY c ON e BEGIN SELECT mean(v) INTO x..m FROM y..m GROUP BY time(1m) END",
                "CREATE CONTINUOUS QUERY",
                &["e", "x", "y"],
                &["e", "x", "y"],
            ),
            (
                "CREATE SUBSCRIPTION s ON e.r DESTINATIONS ALL 'udp://h:1'",
                "CREATE SUBSCRIPTION",
                &["e"],
                &["e"],
            ),
            ("GRANT READ ON e TO u", "GRANT", none, &["e"]),
            ("GRANT ALL PRIVILEGES TO u", "GRANT", none, &["?"]),
            ("REVOKE READ ON e FROM u", "REVOKE", none, &["e"]),
            ("REVOKE ALL PRIVILEGES FROM u", "REVOKE", none, &["?"]),
            ("REVOKE ALL FROM u", "REVOKE", none, &["?"]),
            (
                "SELECT v INTO x.r :MEASUREMENT FROM m",
                "SELECT INTO",
                &["d"],
                &["x"],
            ),
            (
                "SELECT v INTO x.r/**/:MEASUREMENT FROM m",
                "SELECT INTO",
                &["d"],
                &["x"],
            ),
            (
                "SELECT v INTO r :MEASUREMENT FROM a..m",
                "SELECT INTO",
                &["a"],
                &["d"],
            ),
            (
                "CREATE USER u WITH PASSWORD 'x'",
                "CREATE USER",
                none,
                &["?"],
            ),
            ("KILL QUERY 3", "KILL QUERY", none, &["?"]),
            ("DROP SHARD 3", "DROP SHARD", none, &["?"]),
            ("nonsense", "?", none, &["?"]),
            ("SELECT v FROM m DROP DATABASE e", "?", &["?"], &["?"]),
        ];
        for (text, name, reads, writes) in table {
            let all = query(text);
            let [one] = &all[..] else {
                panic!("{text}: {all:?}")
            };
            assert_eq!(one.statement, Some(*name), "{text}");
            assert_eq!(names(&one.reads), *reads, "{text}");
            assert_eq!(names(&one.writes), *writes, "{text}");
            assert_eq!(one.changes, !writes.is_empty(), "{text}");
            let many = query(&format!("SHOW TAG KEYS ON f; ;{text};"));
            assert_eq!(many.len(), 2, "{text}: {many:?}");
            assert_eq!(&many[1], one, "{text}");
        }
        assert_eq!(query(";; -- nothing"), vec![]);
        let blanks = "\u{a0}\u{b}SELECT v FROM m\u{2003}\u{85}";
        assert_eq!(query(blanks), query("SELECT v FROM m"));
    }

    #[test]
    fn what_cannot_be_read_may_be_anything() {
        let read = &query("SELECT \"v FROM m")[0];
        assert!(read.groups.is_empty() && !read.changes && read.reads == Databases::Unknown);
        for text in [
            "DROP DATABASE \"e",
            "SELECT v IN\0TO x FROM m",
            "SELECT v FROM m; DELETE FROM \"m",
        ] {
            let all = query(text);
            let last = all.last().unwrap();
            assert!(
                last.changes && last.groups.is_empty() && last.writes == Databases::Unknown,
                "{text}: {all:?}"
            );
        }
        let deep = format!("SELECT {}v FROM m", "(".repeat(600));
        assert_eq!(query(&deep), vec![Use::unknown(true)]);
        let odd = of(
            Method::POST,
            "/query",
            "q=SELECT+v+FROM+m&db=d",
            "x",
            "multipart/form-data",
        );
        assert!(odd.contains(&Use::unknown(true)), "{odd:?}");
    }

    #[test]
    fn every_place_of_a_query_and_of_a_database_counts() {
        let form = "application/x-www-form-urlencoded";
        let all = of(
            Method::POST,
            "/query",
            "db=a&q=SHOW+SERIES",
            "db=b&q=DROP+DATABASE+c",
            form,
        );
        let (reads, writes): (Vec<_>, Vec<_>) = all
            .iter()
            .map(|one| (names(&one.reads), names(&one.writes)))
            .unzip();
        assert_eq!(
            (reads.concat(), writes.concat()),
            (vec!["a", "b"], vec!["c"])
        );
        let all = of(
            Method::GET,
            "/query",
            "x=1;q=DROP+DATABASE+c&q=SHOW+SERIES&db=a",
            "",
            "",
        );
        assert_eq!(all.iter().filter(|one| one.changes).count(), 1);
        let writes = |path: &str, query: &str| {
            let all = of(Method::POST, path, query, "", "");
            all.iter()
                .flat_map(|one| names(&one.writes))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(writes("/write", "db=a&rp=x"), ["a"]);
        assert_eq!(writes("/write", "x=1;db=b&db=a"), ["a", "b"]);
        assert_eq!(writes("/write", "db=%ff"), ["?"]);
        assert_eq!(writes("/api/v2/write", "bucket=a%2Fr&db=b"), ["a"]);
        assert_eq!(writes("/api/v1/prom/write", "db=a"), ["a"]);
        assert_eq!(writes("/%77rite", "db=a"), ["?"]);
        assert_eq!(writes("/api/v2/delete", "bucket=a/r"), ["a"]);
        assert_eq!(writes("/api/v2/delete", "bucket=a&bucket=b"), ["?"]);
        assert_eq!(writes("/api/v2/buckets", "name=a"), ["?"]);
        let flux = of(
            Method::POST,
            "/api/v2/query",
            "",
            "from(bucket:\"a\")",
            "application/vnd.flux",
        );
        assert_eq!((names(&flux[0].reads), flux[0].changes), (vec!["?"], false));
        let reads = |method: Method, path: &str, query: &str| {
            let all = of(method, path, query, "", "");
            all.iter()
                .flat_map(|one| names(&one.reads))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(reads(Method::POST, "/api/v1/prom/read", "db=a"), ["a"]);
        for path in [
            "/debug/vars",
            "/%64ebug/vars",
            "/metrics",
            "/debug/pprof/heap",
            "/api/v3/x",
        ] {
            assert_eq!(reads(Method::GET, path, ""), ["?"], "{path}");
        }
        for path in ["/ping", "/health", "/status"] {
            assert_eq!(of(Method::GET, path, "", "", ""), vec![], "{path}");
        }
        assert_eq!(of(Method::OPTIONS, "/write", "db=a", "", ""), vec![]);
        assert_eq!(
            of(Method::OPTIONS, "/query", "q=DROP+DATABASE+x", "", ""),
            vec![]
        );
    }

    proptest! {
        /// A request that may change something is never said to change nothing, and no database of a change is missing.
        #[test]
        fn nothing_is_missing(text in "(SELECT|DROP DATABASE|INTO|FROM|DELETE|SHOW|ON|a|b\\.\\.m|\"c\"|;|,|\\(|\\)|/x/|\"| |\\$p){0,14}") {
            let class = classify(text.as_bytes());
            let all = query(&text);
            let changes = matches!(class.kind, Kind::Change | Kind::KillQuery | Kind::Refused(_));
            prop_assert_eq!(changes, all.iter().any(|one| one.changes), "{:?}", all);
            let mut known = BTreeSet::new();
            for one in &all {
                for databases in [&one.reads, &one.writes] {
                    match databases {
                        Databases::Named { names, .. } => known.extend(names.clone()),
                        Databases::Unknown => return Ok(()),
                    }
                }
            }
            if let Databases::Named { names, .. } = class.databases {
                for name in names {
                    prop_assert!(known.contains(&name), "{name} of {all:?}");
                }
            }
        }
    }
}
