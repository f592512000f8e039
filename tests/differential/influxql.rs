//! haflux's reading of InfluxQL against InfluxDB's own parser, over generated queries.
//!
//! Needs Go and Debian's package golang-github-influxdata-influxql-dev, which has the InfluxQL of 1.6; that of 1.13 is a Go module,
//! which `scripts/test` fetches, and is compared where it is there. `HAFLUX_DIFFERENTIAL_CASES` sets how many queries are
//! generated for each test, `HAFLUX_DIFFERENTIAL_SEED` repeats a run.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use fastrand::Rng;
use haflux::influx::influxql::time::{Pinned, pin_now};
use haflux::influx::influxql::{
    Class, Databases, Kind, Limits, Measurements, Request, classify, uses,
};
use http::{HeaderMap, Method};
use serde::Deserialize;

use crate::build;
mod grammar;

use build::{build, build_pinned};

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: String,
    #[serde(default)]
    difference: String,
    #[serde(default)]
    refused: bool,
    statements: Option<Vec<Statement>>,
}

#[derive(Deserialize)]
struct Statement {
    kind: String,
    class: String,
    databases: Vec<String>,
    default: bool,
    measurements: Vec<String>,
    regex: bool,
}

/// Statements that show and destroy no measurement's data.
const OF_NO_MEASUREMENT: [&str; 15] = [
    "CreateDatabase",
    "CreateRetentionPolicy",
    "CreateUser",
    "DropUser",
    "GrantAdmin",
    "Grant",
    "KillQuery",
    "RevokeAdmin",
    "Revoke",
    "SetPasswordUser",
    "ShowDatabases",
    "ShowGrantsForUser",
    "ShowRetentionPolicies",
    "ShowSubscriptions",
    "ShowUsers",
];

fn cases() -> usize {
    std::env::var("HAFLUX_DIFFERENTIAL_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(6000)
}

fn rng(test: u64) -> Rng {
    let given = std::env::var("HAFLUX_DIFFERENTIAL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("HAFLUX_DIFFERENTIAL_SEED={seed}");
    Rng::with_seed(seed.wrapping_add(test))
}

/// InfluxQL's own parser, of one release.
struct Oracle {
    release: &'static str,
    program: PathBuf,
}

/// Builds the oracles once: of 1.6, and of 1.13 where its module was fetched.
fn oracles() -> &'static [Oracle] {
    static ORACLES: OnceLock<Vec<Oracle>> = OnceLock::new();
    ORACLES.get_or_init(|| {
        let parser = "github.com/influxdata/influxql";
        let package = "golang-github-influxdata-influxql-dev";
        let mut oracles = vec![Oracle {
            release: "1.6",
            program: build("influxql", (parser, package)),
        }];
        match build_pinned("influxql") {
            Ok(program) => oracles.push(Oracle {
                release: "1.13",
                program,
            }),
            Err(why) => {
                println!("InfluxQL of 1.13 is not compared: scripts/test fetches it: {why}")
            }
        }
        oracles
    })
}

/// Sends requests to an oracle; one answer for each.
fn ask(oracle: &Oracle, requests: Vec<Vec<u8>>) -> Vec<Answer> {
    let mut child = Command::new(&oracle.program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let output = child.stdout.take().unwrap();
    let expected = requests.len();
    let writer = std::thread::spawn(move || {
        for request in requests {
            input.write_all(&request).unwrap();
        }
    });
    let answers: Vec<Answer> = BufReader::new(output)
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(answers.len(), expected);
    answers
}

fn request(kind: u8, texts: &[&[u8]]) -> Vec<u8> {
    let mut request = vec![kind];
    for text in texts {
        request.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
        request.extend_from_slice(text);
    }
    request
}

fn show(query: &[u8]) -> String {
    query.escape_ascii().to_string()
}

/// What must hold for any text that InfluxDB parses.
fn check_safety(query: &[u8], class: &Class, statements: &[Statement]) {
    let has = |wanted: &str| statements.iter().any(|statement| statement.class == wanted);
    let refused = matches!(class.kind, Kind::Refused(_));
    let text = show(query);
    assert!(
        !has("shard") || refused,
        "a DROP SHARD is {:?}: {text}",
        class.kind
    );
    if has("kill") {
        let alone = statements.iter().all(|statement| statement.class == "kill");
        assert!(
            refused || (alone && class.kind == Kind::KillQuery),
            "KILL QUERY is {:?}: {text}",
            class.kind
        );
    }
    assert!(
        !has("change") || refused || class.kind == Kind::Change,
        "a change is {:?}: {text}",
        class.kind
    );
    if has("change") || has("kill") || has("shard") || refused {
        return;
    }
    if let Databases::Named { names, default } = &class.databases {
        for statement in statements {
            assert!(
                !statement.default || *default,
                "{} reads the default database: {text}",
                statement.kind
            );
            for database in &statement.databases {
                assert!(
                    names.contains(database),
                    "{} reads {database:?}, not in {names:?}: {text}",
                    statement.kind
                );
            }
        }
    }
}

/// What rules are told of the measurements of any text that InfluxDB parses; nothing if they are told that it may be every one.
fn check_measurements(query: &[u8], statements: &[Statement]) -> Option<usize> {
    let escaped: String = query.iter().map(|byte| format!("%{byte:02x}")).collect();
    let in_url = format!("q={escaped}");
    let request = Request {
        method: &Method::POST,
        path: b"/query",
        query_string: in_url.as_bytes(),
        headers: &HeaderMap::new(),
        body: b"",
    };
    let mut told = std::collections::BTreeSet::new();
    for one in uses(&request, &Limits::default()) {
        match one.measurements {
            Measurements::Named(names) => told.extend(names),
            Measurements::Unknown => return None,
        }
    }
    let text = show(query);
    let mut named = std::collections::BTreeSet::new();
    for statement in statements {
        let kind = statement.kind.trim_start_matches("*influxql.");
        let is_of_none = OF_NO_MEASUREMENT.contains(&kind.trim_end_matches("Statement"));
        assert!(!statement.regex, "a regular expression is told: {text}");
        assert!(
            is_of_none || !statement.measurements.is_empty(),
            "{kind} is about every measurement: {text}"
        );
        named.extend(statement.measurements.iter().cloned());
    }
    assert_eq!(told, named, "{text}");
    Some(told.len())
}

#[test]
fn well_formed_queries_are_judged_as_influxdb_does() {
    let mut rng = rng(1);
    let queries: Vec<Vec<u8>> = (0..cases())
        .map(|_| grammar::query(&mut rng).into_bytes())
        .collect();
    for oracle in oracles() {
        are_judged(oracle, &queries);
    }
}

fn are_judged(oracle: &Oracle, queries: &[Vec<u8>]) {
    let requests = queries.iter().map(|query| request(b'q', &[query]));
    let answers = ask(oracle, requests.collect());
    let (mut parsed, mut reads, mut statement_kinds) =
        (0, 0, std::collections::BTreeMap::<String, usize>::new());
    let mut named = 0;
    for (query, answer) in queries.iter().zip(&answers) {
        let Some(statements) = answer
            .statements
            .as_deref()
            .filter(|_| answer.error.is_empty())
        else {
            continue;
        };
        parsed += 1;
        let class = classify(query);
        check_safety(query, &class, statements);
        named += check_measurements(query, statements).unwrap_or_default();
        let text = show(query);
        for statement in statements {
            *statement_kinds.entry(statement.kind.clone()).or_default() += 1;
        }
        assert_eq!(class.statements, statements.len(), "{text}");
        if statements
            .iter()
            .all(|statement| matches!(statement.class.as_str(), "read" | "local"))
        {
            reads += 1;
            // A statement of all databases shows what was acknowledged in them, whatever else it names.
            let internal = |statement: &Statement| {
                let names = |wanted: &str| statement.databases.iter().any(|name| name == wanted);
                names("_internal") && !names("*")
            };
            let local = statements
                .iter()
                .any(|statement| statement.class == "local" || internal(statement));
            let expected = match statements.len() {
                0 => Kind::Empty,
                _ if local => Kind::NodeLocalRead,
                _ => Kind::Read,
            };
            assert_eq!(class.kind, expected, "{text}");
        }
    }
    println!(
        "{}: {} generated, {parsed} parse, {reads} of them only read, {named} measurements told; {statement_kinds:?}",
        oracle.release,
        queries.len()
    );
    assert!(
        parsed * 10 > queries.len() * 8,
        "the generator has lost touch with the grammar"
    );
    assert!(named * 5 > parsed, "measurements are not told");
    assert!(
        statement_kinds.len() >= 40 || cases() < 3000,
        "{} kinds of statements",
        statement_kinds.len()
    );
}

#[test]
fn broken_queries_are_never_read_though_they_change() {
    let mut rng = rng(2);
    let queries: Vec<Vec<u8>> = (0..cases() * 4)
        .map(|_| grammar::broken(&mut rng))
        .collect();
    for oracle in oracles() {
        are_never_read(oracle, &queries);
    }
}

fn are_never_read(oracle: &Oracle, queries: &[Vec<u8>]) {
    let requests = queries.iter().map(|query| request(b'q', &[query]));
    let answers = ask(oracle, requests.collect());
    let (mut parsed, mut changes, mut reads, mut read_as_read) = (0, 0, 0, 0);
    let mut named = 0;
    for (query, answer) in queries.iter().zip(&answers) {
        let class = classify(query);
        let Some(statements) = answer
            .statements
            .as_deref()
            .filter(|_| answer.error.is_empty())
        else {
            continue;
        };
        parsed += 1;
        check_safety(query, &class, statements);
        named += check_measurements(query, statements).unwrap_or_default();
        if statements
            .iter()
            .all(|statement| matches!(statement.class.as_str(), "read" | "local"))
        {
            reads += 1;
            read_as_read += usize::from(class.kind <= Kind::NodeLocalRead);
        } else {
            changes += 1;
        }
    }
    println!(
        "{}: {} broken, {parsed} still parse: {changes} change, {reads} read, {read_as_read} of these as reads, {named} measurements told",
        oracle.release,
        queries.len()
    );
}

#[test]
fn pinned_queries_mean_later_what_they_meant() {
    let mut rng = rng(3);
    let (mut queries, mut requests, mut impossible) = (Vec::new(), Vec::new(), 0);
    for _ in 0..cases() {
        let query = grammar::timed(&mut rng);
        let now = 1_500_000_000_000_000_000 + rng.i64(0..400_000_000_000_000_000);
        let pinned = match pin_now(query.as_bytes(), now) {
            Pinned::Unchanged => query.clone(),
            Pinned::Rewritten(text) => String::from_utf8(text).unwrap(),
            Pinned::Impossible(_) => {
                impossible += 1;
                continue;
            }
        };
        requests.push(request(
            b'p',
            &[
                query.as_bytes(),
                pinned.as_bytes(),
                now.to_string().as_bytes(),
            ],
        ));
        queries.push((query, pinned));
    }
    println!("{impossible} not pinned");
    for oracle in oracles() {
        mean_the_same(oracle, requests.clone(), &queries);
    }
}

/// `queries` are texts and what they were pinned to, in the order of the requests.
fn mean_the_same(oracle: &Oracle, requests: Vec<Vec<u8>>, queries: &[(String, String)]) {
    let answers = ask(oracle, requests);
    let (mut compared, mut changed, mut sound) = (0, 0, 0);
    for ((query, pinned), answer) in queries.iter().zip(&answers) {
        if answer.error.is_empty() {
            compared += 1;
            changed += usize::from(query != pinned);
            sound += usize::from(query != pinned && !answer.refused);
            assert_eq!(answer.difference, "", "\n  {query:?}\n  {pinned:?}");
        }
    }
    println!(
        "{}: {compared} compared, {changed} rewritten, {sound} of these run in InfluxDB",
        oracle.release
    );
    assert!(sound * 5 > cases(), "the generator makes nothing to pin");
}
