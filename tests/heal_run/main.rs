//! The heal run: nodes lose their disks and hold what others do not, and `haflux compare`, `mend` and `replica rebuild` make them
//! hold the same again, while clients write, delete, drop, create and read, and while haflux and the nodes die.
//!
//! Clients change what they own and read what all own ([`things`], [`changes`], [`asks`]); each answer to a read is judged when it
//! comes, as the consistency run does it ([`support::long_run::model`]). Round by round ([`rounds`]):
//!
//! - a node is killed, its files are removed and it is started again, and [`operator`] rebuilds it; or
//! - points are taken from one node, changed on it or added to it past haflux ([`plants`]), compare must name these and no others,
//!   and a mend `--from` any node, or `--union`, ends that; or
//! - nothing was planted, and compare must find nothing.
//!
//! In every other round haflux is killed and stopped meanwhile, and the nodes are killed, stopped and paused. An order that fails
//! for it, or that is cancelled, is given again.
//!
//! What [healing](../../docs/healing.md) promises is judged, and nothing weaker: only of the series that differ, and of a
//! measurement in which a type does, nothing is judged until a mend has ended, because a reader may see a hole there. In the end
//! everything is up and quiet ([`finish`]): each node holds what is known to be there, all hold the same, point by point, by a
//! reader of the tests' own, and haflux says so too.
//!
//! Short, this is a test like any other. For as long as you like: `scripts/soak --run heal`.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `HAFLUX_SOAK_SECONDS` | how long there are rounds; default 8 |
//! | `HAFLUX_SOAK_SEED` | seeds all choices; default random. Instants are the machine's, so a seed brings back the mix, not the run |
//! | `HAFLUX_SOAK_NODES` | how many nodes; default 2 |

#[path = "../support/mod.rs"]
mod support;

mod asks;
mod book;
mod changes;
mod clients;
mod finish;
mod operator;
mod plants;
mod rounds;
mod things;

use std::time::{Duration, Instant};

use fastrand::Rng;

use support::long_run::clients::busy;
use support::long_run::plan::number;
use support::long_run::setup::RELAY_TIMEOUT;
use support::long_run::{CATCH_UP, Events, Measure, Plan, Setup, Tally, Violations};
use support::{Lab, Options, wait_until_level};

use book::Book;
use clients::Run;
use operator::Operator;
use things::{DATABASES, POLICIES, identifier};

/// Clients; each owns things.
const OWNERS: usize = 3;

/// Longer than any pause.
const REWIND: Duration = Duration::from_secs(4);

/// Lives are short: a mend lasts for some seconds.
const MEASURE: Measure = Measure {
    timeout: RELAY_TIMEOUT,
    haflux_life: Duration::from_secs(8),
    haflux_away: Duration::from_secs(1),
    haflux_stops: 4,
    node_life: Duration::from_secs(8),
    network: Duration::ZERO,
    youth: 2,
};

fn start_lab(plan: &Plan, rng: &mut Rng) -> Lab {
    let gate = rng.choice(["300ms", "1s", "2s"]).unwrap_or("2s");
    let parallel = rng.choice([2, 16]).unwrap_or(2);
    let rate = rng.choice(["", ", max_rate = \"512KiB\""]).unwrap_or("");
    let heal = format!("heal = {{ gate = \"{gate}\", parallel = {parallel}{rate} }}");
    println!("{heal}");
    let detailed_logs = plan.is_short();
    let databases = DATABASES.map(|name| name.replace('"', "\\\""));
    let setup = Setup {
        count: number("HAFLUX_SOAK_NODES").map_or(2, |count| usize::try_from(count).unwrap_or(2)),
        nodes: Options::default().set("data", "query-log-enabled", &detailed_logs.to_string()),
        databases: &databases.each_ref().map(String::as_str),
        timeout: RELAY_TIMEOUT,
        rewind: REWIND,
        relay: &format!("ack = \"any\"\nstatement_timeout = \"10s\"\n{heal}"),
        pool: "on_stale = \"reject\"\nread_wait = \"1s\"",
        check: Duration::from_millis(200),
        access_log: detailed_logs,
        late: false,
        grafana: None,
        certificate: None,
        nodes_run: &|_| {},
    };
    let (lab, _) = setup.start();
    for database in DATABASES {
        let statement = format!(
            "CREATE RETENTION POLICY {} ON {} DURATION INF REPLICATION 1 SHARD DURATION 1d",
            identifier(POLICIES[1]),
            identifier(database)
        );
        for node in lab.nodes() {
            node.query("", &statement);
        }
    }
    lab
}

#[test]
fn nodes_hold_the_same_again_whatever_was_lost_or_planted() {
    let plan = Plan::from_environment_or("heal", 8);
    let mut rng = Rng::with_seed(plan.seed);
    let mut lab = start_lab(&plan, &mut rng);
    let address = lab.haflux.address("influx_front");
    let begun = Instant::now();
    let (book, tally, events) = (Book::new(begun), Tally::default(), Events::new(begun));
    let violations = Violations::new(&events);
    let all = Run {
        address: &address,
        book: &book,
        tally: &tally,
        violations: &violations,
    };
    let operator = Operator::new(&lab, all, &events);
    busy(
        OWNERS,
        plan.seed,
        |client, rng, over| clients::go_on_until(over, all, client, rng),
        || {
            let end = begun + plan.trouble;
            while let Some(left) = end.checked_duration_since(Instant::now())
                && violations.is_empty()
            {
                rounds::round(&mut lab, &operator, &mut rng, left);
            }
        },
    );
    println!("{tally}");
    if plan.is_short() {
        let all = events.between(Duration::ZERO, Duration::MAX);
        println!("{}", all.join("\n"));
    }
    operator.keep_members(None);
    match wait_until_level(&lab, CATCH_UP + plan.trouble) {
        Err(told) => violations.add("the nodes do not catch up", || told),
        Ok(()) => {
            finish::check(&lab.nodes(), all);
            finish::read_all(all);
            for full in [false, true] {
                operator.compare_same(full);
            }
        }
    }
    if !violations.is_empty() {
        println!(
            "{}",
            events.between(Duration::ZERO, Duration::MAX).join("\n")
        );
        plan.fail(&mut lab, &violations);
    }
    finish::did_something(all);
}
