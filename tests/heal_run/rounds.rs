//! What comes to pass, round by round: a disk that is lost, or something planted, and what the operator makes of it; beside that,
//! trouble.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::operator::{Mend, Operator};
use super::plants::{Mended, Plants, plant};
use super::support::Lab;
use super::support::long_run::{CATCH_UP, Measure, Plan, Trouble, trouble};
use super::{MEASURE, REWIND};

/// What there is to do.
enum Task {
    /// Nothing was planted.
    Compare,
    Rebuild {
        node: usize,
    },
    Mend(Plants),
}

/// One round.
pub fn round(lab: &mut Lab, operator: &Operator<'_>, rng: &mut Rng, left: Duration) {
    operator.keep_members(None);
    if let Err(told) = operator.settle() {
        operator.complain("the nodes do not catch up", told);
        return;
    }
    let task = prepare(lab, operator, rng);
    let trouble = match rng.bool() {
        true => Duration::from_millis(rng.u64(500..6000)).min(left),
        false => Duration::ZERO,
    };
    let seed = rng.u64(..);
    let mut choices = Rng::with_seed(rng.u64(..));
    std::thread::scope(|scope| {
        if !trouble.is_zero() {
            operator.calm.change();
        }
        scope.spawn(|| carry_out(operator, task, &mut choices));
        if !trouble.is_zero() {
            let plan = Plan { trouble, seed };
            let tally = operator.run.tally;
            let count = |trouble: Trouble| tally.count(trouble.whom(), trouble.what());
            let measure = Measure { ..MEASURE };
            trouble::make(lab, &[], &plan, measure, operator.events, count);
            operator.calm.change();
        }
    });
}

fn prepare(lab: &mut Lab, operator: &Operator<'_>, rng: &mut Rng) -> Task {
    let nodes = operator.nodes.len();
    // Two nodes that may be diverged at the same time would leave none to copy from.
    let mut excused = (0..nodes).filter(|node| operator.is_excused(*node));
    let node = excused.next().unwrap_or_else(|| rng.usize(..nodes));
    match rng.u8(..100) {
        0..15 => Task::Compare,
        // What was taken back is trusted for a while, whatever it is.
        15..45 if operator.served_for(node) > REWIND + Duration::from_secs(3) => {
            lose_the_disk(lab, operator, node, rng);
            Task::Rebuild { node }
        }
        _ => match plant(operator, node, rng) {
            plants if plants.is_empty() => Task::Compare,
            plants => Task::Mend(plants),
        },
    }
}

/// A node loses all that it has, sometimes while haflux does not look.
fn lose_the_disk(lab: &mut Lab, operator: &Operator<'_>, node: usize, rng: &mut Rng) {
    let name = operator.name(node);
    let unseen = rng.u8(..4) == 0;
    if unseen {
        operator.events.note("haflux: kill -9".to_owned());
        lab.haflux.kill9();
    }
    operator.events.note(format!("{name}: loses its disk"));
    operator.excuse(node);
    operator.run.tally.count("nodes", "disk lost");
    let lost = match node {
        0 => &mut lab.node1,
        1 => &mut lab.node2,
        further => &mut lab.further[further - 2],
    };
    lost.kill9();
    lost.wipe();
    if rng.bool() {
        // The while is the trouble itself.
        std::thread::sleep(Duration::from_millis(rng.u64(..2500)));
    }
    lost.restart();
    operator.events.note(format!("{name}: runs, empty"));
    if unseen {
        lab.haflux.restart();
        operator.events.note("haflux: runs".to_owned());
    }
    let end = Instant::now() + CATCH_UP;
    while operator.standing(node).as_deref() != Some("diverged") {
        if Instant::now() > end {
            let told = format!("{name} is {:?}", operator.standing(node));
            operator.complain("a lost disk is not noticed", told);
            return;
        }
        // Between two looks.
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn carry_out(operator: &Operator<'_>, task: Task, rng: &mut Rng) {
    match task {
        Task::Compare => operator.compare_same(rng.u8(..4) == 0),
        Task::Rebuild { node } => {
            let others: Vec<usize> = (0..operator.nodes.len())
                .filter(|one| *one != node)
                .collect();
            let source = rng.choice(others).filter(|_| rng.bool());
            let cancel = (rng.u8(..4) == 0).then(|| Duration::from_millis(rng.u64(10..2000)));
            operator.rebuild(node, source, cancel);
            if rng.bool() {
                operator.compare_same(rng.u8(..4) == 0);
            }
        }
        Task::Mend(plants) => mend(operator, plants, rng),
    }
}

fn mend(operator: &Operator<'_>, mut plants: Plants, rng: &mut Rng) {
    if rng.bool() {
        let full = ["compare", "--json", "--full"];
        let said = match rng.u8(..4) {
            0 => operator.order(&full),
            _ => operator.order(&full[..2]),
        };
        if matches!(said.status, 0 | 1) {
            operator.run.tally.count("compare", "planted differences");
            plants.judge_compare(operator, &said.differences);
        }
    }
    if rng.u8(..4) > 0 {
        plants.let_go(operator);
    }
    let others: Vec<usize> = (0..operator.nodes.len())
        .filter(|node| *node != plants.node)
        .collect();
    let right = rng.choice(others).expect("there are two nodes at least");
    let mut ended = None;
    if rng.u8(..3) == 0 {
        match operator.mend(&["--union"], plants.node, rng) {
            Mend::Contradicts => plants.mended(operator, Mended::Union, false),
            done => ended = Some((Mended::Union, done)),
        }
    }
    let (how, done) = match ended {
        Some(ended) => ended,
        None if plants.others_are_right || rng.u8(..3) > 0 => {
            let from = ["--from", operator.name(right)];
            (Mended::Right, operator.mend(&from, plants.node, rng))
        }
        None => {
            let from = ["--from", operator.name(plants.node)];
            (Mended::Planted, operator.mend(&from, plants.node, rng))
        }
    };
    let was_rebuilt = done == Mend::Rebuilt;
    plants.mended(operator, how, was_rebuilt);
    if was_rebuilt {
        // Of a union that was cut off something may be left on both.
        operator.mend(&["--from", operator.name(right)], plants.node, rng);
    }
    plants.over(operator);
    if rng.bool() {
        operator.compare_same(rng.u8(..4) == 0);
    }
}
