//! What is sent is what was judged (rule N3): over generated requests, haflux before two real nodes against a node alone.
//!
//! Requests are sent as bytes ([`requests`]), each to haflux and, as it is, to a node of its own. After each batch
//!
//! - both nodes behind haflux hold the same, whatever was answered;
//! - a request that haflux answered with success had the same effect as on the node alone;
//! - any other request had that effect (as a write that is refused in part), or none;
//! - a request in which nothing is ambiguous succeeds if it succeeds on the node alone.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `HAFLUX_DIFFERENTIAL_REQUESTS` | how many; default 400 |
//! | `HAFLUX_DIFFERENTIAL_SEED` | repeats a run |
//! | `HAFLUX_DIFFERENTIAL_ONLY` | only the request of this number, of the run with that seed |

mod requests;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support;
use crate::support::http::{self, Reply, Sending, exchange};
use crate::support::long_run::plan::number;
use crate::support::{Influxd, Lab, lock, wait_until_level};

use requests::Request;
use world::{World, look};

const BATCH: usize = 100;
const SENDERS: usize = 8;

/// How long an answer may take to a request that nothing is odd about, and to another: many of these never end.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT_PATIENCE: Duration = Duration::from_millis(1500);

/// How long effects may take that nobody waited for.
const SETTLING: Duration = Duration::from_secs(5);

/// Offending requests that are told in full.
const TOLD: usize = 12;

/// The nodes behind haflux, and the one alone.
struct Nodes {
    lab: Lab,
    alone: Influxd,
    _folder: tempfile::TempDir,
}

/// What was answered by haflux, and by the node alone.
struct Replies {
    haflux: Reply,
    alone: Reply,
}

fn succeeded(reply: &Reply) -> bool {
    matches!(reply.status(), Some(200..=299))
}

fn shown(reply: &Reply) -> String {
    match reply {
        Reply::Answer(answer) => {
            let mut text = answer.text().trim_end().to_owned();
            text.truncate(text.floor_char_boundary(120));
            format!("{} {text}", answer.status)
        }
        other => format!("{other:?}"),
    }
}

impl Nodes {
    fn start() -> Nodes {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Nodes {
            lab: Lab::start(),
            alone: Influxd::start(folder.path()),
            _folder: folder,
        }
    }

    fn all(&self) -> [&Influxd; 3] {
        [&self.lab.node1, &self.lab.node2, &self.alone]
    }

    /// On all of them: what the requests of a batch find.
    fn prepare(&self, base: &str, requests: &[Request]) {
        let mut statements = format!("CREATE DATABASE {base};");
        let mut lines = String::new();
        for request in requests {
            let names = Request::names(request.number);
            statements.push_str(&format!("CREATE DATABASE {};", names.database));
            for time in [1, 9] {
                lines.push_str(&format!("{},t=é v={time} {time}\n", names.measurement));
            }
        }
        for node in self.all() {
            // A form, because they are many.
            let form = http::query_string(&[("q", &statements)]);
            let kind = [("Content-Type", "application/x-www-form-urlencoded")];
            let url = format!("{}/query", node.url());
            let answer = http::request("POST", &url, &kind, form.as_bytes());
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(node.write(base, &lines).status, 204);
        }
    }

    fn send(&self, requests: &[Request]) -> BTreeMap<usize, Replies> {
        let address = self.lab.haflux.address("influx_front");
        let alone = self.alone.address();
        let rest = Mutex::new(requests.iter());
        let replies = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..SENDERS {
                scope.spawn(|| {
                    loop {
                        let Some(request) = lock(&rest).next() else {
                            return;
                        };
                        let limit = if request.plain {
                            PATIENCE
                        } else {
                            SHORT_PATIENCE
                        };
                        let send = |to: &str| exchange(to, &request.bytes, Sending::Open, limit);
                        let both = Replies {
                            haflux: send(&address),
                            alone: send(&alone),
                        };
                        lock(&replies).insert(request.number, both);
                    }
                });
            }
        });
        replies.into_inner().unwrap_or_default()
    }

    /// Sends a batch and judges it.
    fn judge(&self, base: &str, requests: &[Request], findings: &mut Findings) {
        self.prepare(base, requests);
        let before = look(&self.alone, base);
        let replies = self.send(requests);
        let end = Instant::now() + SETTLING;
        loop {
            let level = wait_until_level(&self.lab, support::long_run::CATCH_UP);
            let [one, two, alone] = self.all().map(|node| look(node, base));
            let worlds = Worlds {
                before: &before,
                nodes: [&one, &two],
                alone: &alone,
            };
            let mut found = worlds.judge(requests, &replies);
            if let Err(told) = level {
                found.push(Finding::of("the nodes do not catch up", told));
            }
            if found.is_empty() || Instant::now() > end {
                findings.add(found, requests, &replies);
                break;
            }
            // What nobody waited for may still be under way.
            std::thread::sleep(Duration::from_millis(100));
        }
        for node in self.all() {
            let names = look(node, base);
            let databases = names.values().flatten();
            let databases = databases.filter_map(|told| told.strip_prefix("database "));
            let drops: Vec<String> = databases
                .map(|name| format!("DROP DATABASE \"{name}\""))
                .collect();
            for some in drops.chunks(20) {
                node.query("", &some.join(";"));
            }
        }
    }
}

struct Worlds<'a> {
    before: &'a World,
    nodes: [&'a World; 2],
    alone: &'a World,
}

impl Worlds<'_> {
    fn judge(&self, requests: &[Request], replies: &BTreeMap<usize, Replies>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.nodes[0].get(&None) != self.nodes[1].get(&None) {
            let told = format!("{:?}", self.nodes.map(|world| world.get(&None)));
            findings.push(Finding::of(
                "the nodes differ, in what bears no number",
                told,
            ));
        }
        for request in requests {
            let of = |world: &World| {
                world
                    .get(&Some(request.number))
                    .cloned()
                    .unwrap_or_default()
            };
            let (mut one, mut two) = (of(self.nodes[0]), of(self.nodes[1]));
            let (before, mut alone) = (of(self.before), of(self.alone));
            // What stands behind a request is one of its own, and haflux may close the connection before it reads that.
            let behind = Request::behind(request.number);
            let followed = [&mut one, &mut two].map(|world| world.remove(&behind));
            let may_follow = alone.remove(&behind);
            let replies = &replies[&request.number];
            let success = succeeded(&replies.haflux);
            let kind = if one != two || followed[0] != followed[1] {
                "the nodes differ"
            } else if followed[0] && !may_follow {
                "a request behind that is none on a node alone"
            } else if success && one != alone {
                "success, and another effect than on a node alone"
            } else if one != alone && one != before {
                "no success, and an effect that it has not on a node alone"
            } else if request.plain && succeeded(&replies.alone) && !success {
                "refused, though nothing is ambiguous"
            } else {
                continue;
            };
            let told = format!(
                "before {before:?}\n    nodes {one:?}\n          {two:?}\n    alone {alone:?}"
            );
            findings.push(Finding {
                kind,
                number: Some(request.number),
                told,
            });
        }
        findings
    }
}

struct Finding {
    kind: &'static str,
    number: Option<usize>,
    told: String,
}

impl Finding {
    fn of(kind: &'static str, told: String) -> Self {
        Finding {
            kind,
            number: None,
            told,
        }
    }
}

#[derive(Default)]
struct Findings {
    counts: BTreeMap<&'static str, usize>,
    told: Vec<String>,
    /// By kind, topic and oddities: the numbers of the requests.
    oddities: BTreeMap<String, Vec<usize>>,
    /// Refusals by haflux of what the node alone takes.
    refused: BTreeMap<String, usize>,
    succeeded: usize,
    /// What is still found with only one of a request's oddities.
    smaller: BTreeMap<String, usize>,
}

impl Findings {
    fn add(
        &mut self,
        found: Vec<Finding>,
        requests: &[Request],
        replies: &BTreeMap<usize, Replies>,
    ) {
        for finding in found {
            let request = requests
                .iter()
                .find(|request| Some(request.number) == finding.number);
            let told = request.map_or("", |request| &request.told);
            let what = format!("{}: {told}", finding.kind);
            let numbers = self.oddities.entry(what).or_default();
            numbers.extend(finding.number);
            let count = self.counts.entry(finding.kind).or_default();
            *count += 1;
            if *count > TOLD {
                continue;
            }
            let mut told = format!("{}\n    {}", finding.kind, finding.told);
            if let Some(request) = request {
                let replies = &replies[&request.number];
                told = format!(
                    "request {}: {}\n    {}\n    haflux: {}\n    alone:  {}\n    {told}",
                    request.number,
                    request.told,
                    request.bytes.escape_ascii(),
                    shown(&replies.haflux),
                    shown(&replies.alone),
                );
            }
            self.told.push(told);
        }
        for request in requests {
            let replies = &replies[&request.number];
            if succeeded(&replies.haflux) {
                self.succeeded += 1;
            } else if succeeded(&replies.alone) {
                let oddity = request
                    .told
                    .split_once(": ")
                    .map_or("", |(_, oddity)| oddity);
                let oddity = oddity.split("; ").next().unwrap_or_default();
                let status = replies.haflux.status();
                let what = format!(
                    "{}: {oddity}",
                    status.map_or("none".to_owned(), |status| status.to_string())
                );
                *self.refused.entry(what).or_default() += 1;
            }
        }
    }
}

/// Tries each oddity of the offending requests alone.
fn shrink(
    nodes: &Nodes,
    findings: &Findings,
    wanted: usize,
    made: &BTreeMap<usize, usize>,
    seed_of: impl Fn(usize) -> u64,
) -> BTreeMap<String, usize> {
    let mut tries: Vec<(usize, usize)> = Vec::new();
    for number in findings.oddities.values().flatten() {
        let oddities = made.get(number).copied().unwrap_or(1);
        tries.extend((0..oddities).map(|place| (*number, place)));
    }
    tries.truncate(BATCH * 2);
    let mut smaller = BTreeMap::new();
    for (round, tries) in tries.chunks(BATCH).enumerate() {
        let first = wanted + round * BATCH;
        let base = format!("base{first}");
        let requests: Vec<Request> = (first..)
            .zip(tries)
            .map(|(number, (origin, place))| {
                Request::generate(number, &base, seed_of(*origin), Some(*place))
            })
            .collect();
        let mut found = Findings::default();
        nodes.judge(&base, &requests, &mut found);
        for (what, numbers) in found.oddities {
            // Without the topic.
            let kind = what.split(": ").next().unwrap_or_default();
            let oddity = what.splitn(3, ": ").nth(2).unwrap_or_default();
            *smaller.entry(format!("{kind}: {oddity}")).or_default() += numbers.len();
        }
    }
    smaller
}

#[test]
fn no_request_makes_nodes_differ_or_does_what_it_does_not_alone() {
    let seed = number("HAFLUX_DIFFERENTIAL_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    println!("HAFLUX_DIFFERENTIAL_SEED={seed}");
    let wanted = number("HAFLUX_DIFFERENTIAL_REQUESTS").unwrap_or(400);
    let wanted = usize::try_from(wanted).expect("a number of requests");
    let only = number("HAFLUX_DIFFERENTIAL_ONLY");
    let nodes = Nodes::start();
    let mut findings = Findings::default();
    // Each by its own seed, so that one can be had alone.
    let seed_of = |number: usize| seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
    let mut made = BTreeMap::new();
    for first in (0..wanted).step_by(BATCH) {
        let base = format!("base{first}");
        let numbers = first..(first + BATCH).min(wanted);
        let requests: Vec<Request> = numbers
            .filter(|number| only.is_none_or(|only| only == *number as u64))
            .map(|number| Request::generate(number, &base, seed_of(number), None))
            .collect();
        if !requests.is_empty() {
            nodes.judge(&base, &requests, &mut findings);
        }
        made.extend(requests.iter().map(|made| (made.number, made.oddities)));
    }
    findings.smaller = shrink(&nodes, &findings, wanted, &made, seed_of);
    println!("{} of {wanted} requests succeeded", findings.succeeded);
    for (what, count) in &findings.refused {
        println!("{count:5} times taken by a node alone, and by haflux {what}");
    }
    for (what, numbers) in &findings.oddities {
        println!("requests {numbers:?}: {what}");
    }
    for (what, count) in &findings.smaller {
        println!("{count:5} times with one oddity alone: {what}");
    }
    assert!(
        findings.succeeded > 0,
        "nothing succeeded, so nothing was proven"
    );
    assert!(
        findings.counts.is_empty(),
        "HAFLUX_DIFFERENTIAL_SEED={seed}: {:?}\n{}",
        findings.counts,
        findings.told.join("\n")
    );
}
