//! The person who heals: orders compare, mend and rebuild, and judges what they say.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value;

use super::REWIND;
use super::clients::Run;
use super::support::long_run::{CATCH_UP, Events};
use super::support::{Haflux, Lab, http, lock};

/// For how long behind its reason a node may be diverged for what was taken from it past haflux: until it has accepted newer
/// points for longer than it is rewound.
const EXCUSED: Duration = Duration::from_secs(REWIND.as_secs() + 15);

/// Before something that did not work is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Where nodes differ, as haflux says it.
#[derive(Debug, Clone)]
pub struct Difference {
    pub place: String,
    pub told: String,
}

/// What a command said.
pub struct Said {
    pub status: i32,
    pub differences: Vec<Difference>,
    pub text: String,
}

impl Said {
    /// All of it, with what was ordered.
    fn told(&self, how: &[&str]) -> String {
        let differences = self.differences.iter().map(|one| one.told.as_str());
        let differences: Vec<&str> = differences.collect();
        format!("{how:?}: {}\n{}", self.text, differences.join("\n"))
    }
}

/// How a mend ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    Done,
    /// It left values that contradict, as `--union` does.
    Contradicts,
    /// A node had to be rebuilt meanwhile, and was.
    Rebuilt,
}

/// Whether anything dies.
#[derive(Default)]
pub struct Calm {
    /// Odd while there is trouble.
    changes: AtomicU64,
}

impl Calm {
    /// Trouble begins, or is over.
    pub fn change(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// The calm that is now; none while there is trouble.
    pub fn now(&self) -> Option<u64> {
        let changes = self.changes.load(Ordering::Relaxed);
        changes.is_multiple_of(2).then_some(changes)
    }
}

pub struct Operator<'a> {
    pub run: Run<'a>,
    pub events: &'a Events,
    pub calm: Calm,
    /// Names and addresses.
    pub nodes: Vec<(String, String)>,
    file: String,
    url: String,
    relay_folder: PathBuf,
    /// Until when each node may be found diverged.
    excused: Mutex<Vec<Instant>>,
    /// When each began to serve as it does.
    rebuilt: Mutex<Vec<Instant>>,
}

impl<'a> Operator<'a> {
    pub fn new(lab: &Lab, run: Run<'a>, events: &'a Events) -> Self {
        let names = ["influxlab", "influxlab2", "influxlab3", "influxlab4"];
        let nodes = lab.nodes();
        let now = vec![Instant::now(); nodes.len()];
        Self {
            run,
            events,
            calm: Calm::default(),
            nodes: names
                .iter()
                .zip(&nodes)
                .map(|(name, node)| ((*name).to_owned(), node.address()))
                .collect(),
            file: lab.haflux.file().display().to_string(),
            url: lab.influx_url(),
            relay_folder: lab.haflux.folder().join("data/influx_relay"),
            excused: Mutex::new(now.clone()),
            rebuilt: Mutex::new(now),
        }
    }

    pub fn name(&self, node: usize) -> &str {
        &self.nodes[node].0
    }

    /// What was taken from a node past haflux may be what haflux asks it for.
    pub fn excuse(&self, node: usize) {
        lock(&self.excused)[node] = Instant::now() + EXCUSED;
    }

    /// Whether that is so now.
    pub fn is_excused(&self, node: usize) -> bool {
        Instant::now() <= lock(&self.excused)[node]
    }

    /// For how long a node has served what it holds.
    pub fn served_for(&self, node: usize) -> Duration {
        lock(&self.rebuilt)[node].elapsed()
    }

    /// What haflux says of the relay, if it is there.
    fn relay(&self) -> Option<Value> {
        let url = format!("{}/haproxy?stats;json", self.url);
        let answer = http::try_request("GET", &url, &[], b"").ok()?;
        let page: Value = serde_json::from_slice(&answer.body).ok()?;
        Some(page["relays"][0].clone())
    }

    /// How a replica stands.
    pub fn standing(&self, node: usize) -> Option<String> {
        let relay = self.relay()?;
        Some(relay["replicas"][node]["status"].as_str()?.to_owned())
    }

    /// Whether each node has applied all that the journal holds now.
    pub fn settle(&self) -> Result<(), String> {
        let end = Instant::now() + CATCH_UP;
        let mut head = None;
        loop {
            let relay = self.relay().unwrap_or_default();
            head = head.or_else(|| relay["head"].as_u64());
            let replicas = relay["replicas"].as_array().map_or(&[][..], Vec::as_slice);
            let is_settled = |replica: &Value| {
                replica["cursor"].as_u64() >= head
                    && replica["in_doubt"] == false
                    && replica["status"] == "fresh"
            };
            if head.is_some() && !replicas.is_empty() && replicas.iter().all(is_settled) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!(
                    "the nodes do not catch up with {head:?}: {relay:#}"
                ));
            }
            std::thread::sleep(PAUSE / 4);
        }
    }

    /// Tells haflux something.
    pub fn order(&self, arguments: &[&str]) -> Said {
        let told = arguments.join(" ");
        self.events.note(format!("operator: {told}"));
        let output = Haflux::command(&[arguments, &["--config", &self.file]].concat());
        let status = output.status.code().unwrap_or(-1);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let text = match report.is_null() {
            true => format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
            false => format!("{} {}", report["state"], report["notes"]),
        };
        let differences = report["differences"].as_array();
        let differences = differences.into_iter().flatten().map(|one| Difference {
            place: one["place"].as_str().unwrap_or_default().to_owned(),
            told: one.to_string(),
        });
        let said = Said {
            status,
            differences: differences.collect(),
            text,
        };
        let first: String = said.text.chars().take(600).collect();
        self.events.note(format!(
            "operator: {told}: {status}, {} differences: {}",
            said.differences.len(),
            first.trim_end()
        ));
        said
    }

    /// Something is not as it must be.
    pub fn complain(&self, kind: &str, told: String) {
        let now = self.run.book.elapsed();
        self.run.violations.add(kind, || {
            let before = self.events.between(now.saturating_sub(BEFORE), now);
            format!("{}\n{told}", before.join("\n"))
        });
    }

    /// Compares while nothing was planted: there must be no difference, whatever dies.
    pub fn compare_same(&self, full: bool) {
        let arguments: &[&str] = match full {
            true => &["compare", "--json", "--full"],
            false => &["compare", "--json"],
        };
        let mut end = Instant::now() + CATCH_UP;
        loop {
            let said = self.order(arguments);
            match said.status {
                0 => return self.run.tally.count("compare", "the same"),
                1 => {
                    let told: Vec<&str> = said
                        .differences
                        .iter()
                        .map(|one| one.told.as_str())
                        .collect();
                    self.complain("compare tells what does not differ", told.join("\n"));
                    return;
                }
                _ => self.run.tally.count("compare", "not known"),
            }
            if self.calm.now().is_none() {
                end = Instant::now() + CATCH_UP;
            }
            self.keep_members(None);
            if Instant::now() > end {
                self.complain("compare does not come to an end", said.text);
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Mends until that is done.
    /// `planted`: the node that holds what others do not.
    pub fn mend(&self, how: &[&str], planted: usize, rng: &mut Rng) -> Mend {
        let arguments = [&["mend", "--json", "--yes"], how].concat();
        let mut end = Instant::now() + CATCH_UP;
        let mut left = 0;
        loop {
            let calm = self.calm.now();
            let said = std::thread::scope(|scope| {
                let cancel = rng.u8(..8) == 0;
                let after = Duration::from_millis(rng.u64(20..1500));
                let mend = scope.spawn(|| self.order(&arguments));
                if cancel {
                    std::thread::sleep(after);
                    if !mend.is_finished() {
                        self.order(&["mend", "--cancel"]);
                    }
                }
                mend.join().expect("a command ends")
            });
            match said.status {
                0 => {
                    self.run.tally.count("mend", "done");
                    return Mend::Done;
                }
                1 if how == ["--union"]
                    && said.text.contains("several values of the same field") =>
                {
                    self.run.tally.count("mend", "left contradictions");
                    return Mend::Contradicts;
                }
                1 => {
                    self.run.tally.count("mend", "left something");
                    left += 1;
                    let is_excused = said.text.contains("in the time for which writes may wait");
                    if calm.is_some() && calm == self.calm.now() && !is_excused {
                        self.complain("a mend leaves something without a reason", said.told(how));
                    }
                }
                _ => self.run.tally.count("mend", "not done"),
            }
            if self.calm.now().is_none() {
                (end, left) = (Instant::now() + CATCH_UP, 0);
            }
            if self.keep_members(Some(planted)) {
                return Mend::Rebuilt;
            }
            if left > MOST_LEFT || Instant::now() > end {
                self.complain("mend does not come to an end", said.told(how));
                return Mend::Rebuilt;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Rebuilds nodes that follow the journal no more, not from the one with what was planted. Whether there was one.
    pub fn keep_members(&self, planted: Option<usize>) -> bool {
        let mut any = false;
        for node in 0..self.nodes.len() {
            let Some(relay) = self.relay() else {
                return any;
            };
            let replica = &relay["replicas"][node];
            if !matches!(replica["status"].as_str(), Some("diverged" | "rebuilding")) {
                continue;
            }
            if !self.is_excused(node) {
                let told = format!("{} is diverged: {replica}", self.name(node));
                self.complain("a node is diverged without a reason", told);
            }
            any = true;
            self.run
                .tally
                .count("diverged for what was planted", "rebuilt");
            let mut sources = 0..self.nodes.len();
            let source = sources.find(|source| *source != node && Some(*source) != planted);
            self.rebuild(node, source, None);
        }
        any
    }

    /// Rebuilds a node, until that is done.
    pub fn rebuild(&self, node: usize, source: Option<usize>, cancel: Option<Duration>) {
        let mut arguments = vec!["replica", "rebuild", self.name(node), "--yes"];
        arguments.extend(
            source
                .iter()
                .flat_map(|source| ["--from", self.name(*source)]),
        );
        let mut cancel = cancel;
        let mut end = Instant::now() + CATCH_UP;
        loop {
            let said = std::thread::scope(|scope| {
                let rebuild = scope.spawn(|| self.order(&arguments));
                if let Some(after) = cancel.take() {
                    std::thread::sleep(after);
                    if !rebuild.is_finished() {
                        self.order(&["replica", "rebuild", "--cancel"]);
                    }
                }
                rebuild.join().expect("a command ends")
            });
            if said.status == 0 {
                self.run.tally.count("rebuild", "done");
                break;
            }
            self.run.tally.count("rebuild", "not done");
            // One that haflux goes on with by itself.
            while self.relay_folder.join("rebuild.json").exists()
                && self.order(&["replica", "rebuild", "--follow"]).status == 0
            {}
            if !self.relay_folder.join("rebuild.json").exists()
                && self.standing(node).as_deref() == Some("fresh")
            {
                self.run.tally.count("rebuild", "done by itself");
                break;
            }
            if self.calm.now().is_none() {
                end = Instant::now() + CATCH_UP;
            }
            if Instant::now() > end {
                self.complain("a rebuild does not come to an end", said.text);
                break;
            }
            std::thread::sleep(PAUSE);
        }
        lock(&self.rebuilt)[node] = Instant::now();
    }
}

/// How often a mend may leave something for writes that come between, with nothing dying.
const MOST_LEFT: u32 = 3;

/// What is told of what happened before.
const BEFORE: Duration = Duration::from_secs(20);
