//! What comes of other people's tests of a server, on a node alone and through haflux: what passes there must pass here.
//!
//! A test that is skipped where the server is elsewhere, or that fails on a node alone, proves nothing here and is only told.
//!
//! Every ten seconds InfluxDB frees the caches of shards that hold nothing; a first write to a shard that meets just that is acknowledged
//! and not seen (`Cache.Free` beside `Cache.WriteMulti` in `tsdb/engine/tsm1/cache.go`, in all releases; docs/versions.md). A node does so
//! alone as it does behind haflux, about once in some ten thousand first writes. So a test that failed runs again, and is told as worse
//! only if it fails once more in [`AGAIN`] runs.

use std::collections::BTreeMap;

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Skipped,
    Failed(String),
}

/// How often a test that failed is run again.
const AGAIN: usize = 20;

/// By the tests' names.
pub type Outcomes = BTreeMap<String, Outcome>;

fn count(outcomes: &Outcomes, wanted: impl Fn(&Outcome) -> bool) -> usize {
    outcomes.values().filter(|outcome| wanted(outcome)).count()
}

fn tell(place: &str, outcomes: &Outcomes) {
    println!(
        "{place}: {} of {} passed, {} failed, {} skipped",
        count(outcomes, |outcome| *outcome == Outcome::Passed),
        outcomes.len(),
        count(outcomes, |outcome| matches!(outcome, Outcome::Failed(_))),
        count(outcomes, |outcome| *outcome == Outcome::Skipped),
    );
}

/// Tells what came of the tests on a node alone.
pub fn tell_alone(alone: &Outcomes) {
    tell("a node alone", alone);
    for (name, outcome) in alone {
        if let Outcome::Failed(why) = outcome {
            println!("fails on a node alone: {name}: {why}");
        }
    }
}

fn passes_whenever(again: impl Fn() -> Outcome) -> bool {
    (0..AGAIN).all(|_| again() == Outcome::Passed)
}

/// Runs the tests on a node `alone`, and at the same time `through` haflux by this `way`, and compares. One test of a suite that can do
/// that is run `again` through haflux.
pub fn compare<'a>(
    way: &str,
    alone: impl FnOnce() -> &'a Outcomes + Send,
    through: impl FnOnce() -> Outcomes,
    again: Option<&dyn Fn(&str) -> Outcome>,
) {
    let (alone, through) = std::thread::scope(|scope| {
        let alone = scope.spawn(alone);
        let through = through();
        (alone.join().expect("the other half of the run"), through)
    });
    tell(&format!("through haflux, {way}"), &through);
    assert!(
        count(alone, |outcome| *outcome == Outcome::Passed) > 0,
        "nothing passed on a node alone, so nothing was proven"
    );
    let mut worse = Vec::new();
    for (name, outcome) in alone {
        match (outcome, through.get(name)) {
            (Outcome::Passed, Some(Outcome::Passed)) => {}
            (Outcome::Passed, Some(Outcome::Failed(why)))
                if again.is_some_and(|again| passes_whenever(|| again(name))) =>
            {
                println!("failed {way} once, and in none of {AGAIN} further runs: {name}: {why}");
            }
            (Outcome::Passed, other) => worse.push(format!("{name}: {other:?}")),
            (Outcome::Failed(_), Some(Outcome::Passed)) => {
                println!("passes {way}, and not on a node alone: {name}");
            }
            _ => {}
        }
    }
    assert!(
        worse.is_empty(),
        "{} tests pass on a node alone and not through haflux, {way}:\n{}",
        worse.len(),
        worse.join("\n").replace("\\n", "\n")
    );
}
