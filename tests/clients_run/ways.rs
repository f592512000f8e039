//! Both ways of a client: to a node alone that nothing happens to, and through haflux before two nodes of which one after the
//! other is killed.

use std::collections::BTreeSet;
use std::panic::resume_unwind;

use tempfile::TempDir;

use super::place::{NAME, PASSWORD, Place};
use super::support::lab::brisk;
use super::support::long_run::CATCH_UP;
use super::support::ports::free_udp_port;
use super::support::wait::SOON;
use super::support::{Influxd, Lab, Options, same_points, status, wait_until, wait_until_level};

/// A client that is led through phases, in each of which it does the same again.
pub trait Client {
    /// What it sees in phase `number`, step by step. Each phase writes.
    fn phase(&mut self, number: usize) -> Vec<String>;
}

/// What happens to the nodes behind haflux while a phase goes on.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// Nothing.
    None,
    /// The node of this number is killed, once haflux has taken something of this phase.
    Kill(usize),
    /// It is started again.
    Return(usize),
}

/// What happens in each phase: everything is up; then each node dies in the midst of a phase, is away for a whole one, and comes
/// back in the midst of a third.
const PHASES: [Trouble; 7] = [
    Trouble::None,
    Trouble::Kill(1),
    Trouble::None,
    Trouble::Return(1),
    Trouble::Kill(0),
    Trouble::None,
    Trouble::Return(0),
];

/// What a client says of an answer that had begun when its node was killed. Such a read is not asked again elsewhere
/// (docs/statements.md), and Flux in 1.8 takes its time between the begin of an answer and its end.
const BROKEN_OFF: &str = "Response ended prematurely";

/// A node that nothing happens to.
struct Alone {
    node: Influxd,
    udp_port: u16,
    folder: TempDir,
}

fn options() -> Options {
    Options::default()
        .auth()
        .asked_as(NAME, PASSWORD)
        .set("http", "flux-enabled", "true")
        .set("data", "query-log-enabled", "false")
}

fn create_user(node: &Influxd) {
    let statement = format!("CREATE USER {NAME} WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES");
    node.query("", &statement);
}

impl Alone {
    fn start() -> Alone {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let udp_port = free_udp_port();
        let options = options()
            .set("[udp]", "enabled", "true")
            .set(
                "[udp]",
                "bind-address",
                &format!("\"127.0.0.1:{udp_port}\""),
            )
            .set("[udp]", "database", "\"udp\"")
            .set("[udp]", "precision", "\"ms\"")
            .set("[udp]", "batch-timeout", "\"100ms\"");
        let node = Influxd::start_with(&folder.path().join("node"), options);
        create_user(&node);
        Alone {
            node,
            udp_port,
            folder,
        }
    }

    fn place(&self) -> Place {
        Place {
            address: self.node.address(),
            udp_port: self.udp_port,
            folder: self.folder.path().to_owned(),
        }
    }
}

/// haflux before two nodes.
pub fn start_lab() -> Lab {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("password");
    std::fs::write(&file, PASSWORD).expect("a password");
    let udp = format!(
        r#"
[[udp]]
bind = "127.0.0.1:UDP(lines)"
relay = "influx_relay"
db = "udp"
precision = "ms"
username = "{NAME}"
password_file = {file:?}
"#
    );
    let mut lab = Lab::start_with(options(), |text| brisk(text) + &udp);
    create_user(&lab.node1);
    create_user(&lab.node2);
    // The listener asks at the start what it may do.
    lab.haflux.restart();
    lab
}

/// Where clients of this lab go.
pub fn place_of(lab: &Lab) -> Place {
    Place {
        address: lab.haflux.address("influx_front"),
        udp_port: lab.haflux.udp_port("lines"),
        folder: lab.folder().to_owned(),
    }
}

/// Leads a client both ways, and compares what it saw and what is there in the end in these databases.
pub fn compare<C: Client>(databases: &[&str], start: impl Fn(&Place) -> C + Sync) {
    let ((alone, seen_alone), (lab, seen)) = std::thread::scope(|scope| {
        // At the same time, because clients wait more than they work.
        let alone = scope.spawn(|| {
            let alone = Alone::start();
            let mut client = start(&alone.place());
            let phases = 0..PHASES.len();
            let seen: Vec<_> = phases.map(|number| client.phase(number)).collect();
            (alone, seen)
        });
        let mut lab = start_lab();
        let mut client = start(&place_of(&lab));
        let seen = go_through(&mut lab, |number| client.phase(number));
        let alone = alone.join();
        (
            alone.unwrap_or_else(|panic| resume_unwind(panic)),
            (lab, seen),
        )
    });

    assert_seen(&seen_alone, &seen);
    assert_whole(&lab);
    let names = |node: &Influxd| -> BTreeSet<String> {
        let answer = node.query("", "SHOW DATABASES");
        let rows = answer["results"][0]["series"][0]["values"].as_array();
        let rows = rows.map_or(&[][..], Vec::as_slice).iter();
        rows.map(|row| row[0].to_string()).collect()
    };
    for node in [&lab.node1, &lab.node2] {
        assert_eq!(names(&alone.node), names(node));
        for database in databases {
            let shown = alone.node.query(database, "SHOW MEASUREMENTS");
            let values = &shown["results"][0]["series"][0]["values"];
            assert!(values.is_array(), "{database} is empty: {shown}");
            assert_eq!(same_points(&alone.node, node, database), [""; 0]);
        }
    }
}

/// Does all phases before haflux, while its nodes die.
pub fn go_through<T>(lab: &mut Lab, mut phase: impl FnMut(usize) -> T) -> Vec<T> {
    let all = PHASES.iter().enumerate();
    all.map(|(number, trouble)| {
        let url = lab.influx_url();
        let head = || status::relay(&url)["head"].clone();
        let nodes = [&mut lab.node1, &mut lab.node2];
        match *trouble {
            Trouble::None => phase(number),
            Trouble::Kill(node) => {
                let before = head();
                meanwhile(
                    || {
                        wait_until("something of this phase", SOON, || head() != before);
                        for one in nodes.into_iter().skip(node).take(1) {
                            one.kill9();
                        }
                    },
                    || phase(number),
                )
            }
            Trouble::Return(node) => {
                let seen = meanwhile(
                    || {
                        for one in nodes.into_iter().skip(node).take(1) {
                            one.restart();
                        }
                    },
                    || phase(number),
                );
                // The other one is killed next, and what only that one has would be out of reach.
                wait_until_level(lab, CATCH_UP).expect("both nodes catch up");
                seen
            }
        }
    })
    .collect()
}

fn meanwhile<T>(trouble: impl FnOnce() + Send, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        scope.spawn(trouble);
        work()
    })
}

/// Both nodes are fresh and have refused nothing that the other one took.
pub fn assert_whole(lab: &Lab) {
    let relay = status::relay(&lab.influx_url());
    assert_eq!(relay["dead_letters"], 0, "{relay:#}");
    for replica in relay["replicas"].as_array().expect("replicas") {
        assert_eq!(replica["status"], "fresh", "{replica:#}");
    }
}

/// What the client saw must be the same both ways.
fn assert_seen(alone: &[Vec<String>], through: &[Vec<String>]) {
    let mut wrong = Vec::new();
    for (number, (alone, through)) in alone.iter().zip(through).enumerate() {
        assert!(!alone.is_empty(), "the client did something");
        let length = alone.len().max(through.len());
        let nothing = String::new();
        for step in 0..length {
            let of = |seen: &[String]| seen.get(step).unwrap_or(&nothing).clone();
            let (alone, through) = (of(alone), of(through));
            let trouble = PHASES[number];
            if matches!(trouble, Trouble::Kill(_)) && through.contains(BROKEN_OFF) {
                println!("phase {number}: {through}");
            } else if alone != through {
                wrong.push(format!(
                    "phase {number} ({trouble:?})\n  - {alone}\n  + {through}"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} steps differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
