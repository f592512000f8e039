//! Whether the target holds what the source holds.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::standing::standing;
use crate::control::{Compared, Difference};
use crate::heal::compare;
use crate::heal::error::WorkError;
use crate::heal::mend;
use crate::heal::node::Node;
use crate::heal::place::Finding;
use crate::heal::progress::Progress;
use crate::relay::Relay;

/// Findings that wait to be counted.
const FINDINGS: usize = 16;

/// How often what differs is copied again.
const MAX_ROUNDS: u32 = 3;

/// What differs.
#[derive(Default)]
struct Left {
    /// Of users: those whose passwords nobody has given, for instance.
    users: Vec<Difference>,
    /// Of databases, policies and queries.
    schema: Vec<Difference>,
    points: usize,
}

/// Compares the two, and makes the target hold what the source holds where they differ.
///
/// # Errors
/// They still differ, or cannot be asked.
pub(super) async fn of(
    relay: &Arc<Relay>,
    source: &Node,
    target: &Node,
    folder: &Path,
    progress: &Progress,
) -> Result<(), WorkError> {
    let nodes = [source.clone(), target.clone()];
    let mut round = 1;
    loop {
        progress.step("comparing");
        // What both have judged before they are compared.
        let judged = nodes.iter().map(|node| standing(relay, node.name()).cursor);
        let judged = judged.min().unwrap_or(0);
        let left = compared(relay, &nodes, progress).await?;
        for difference in &left.users {
            progress.note(format!("Differs still: {}", words(difference)));
        }
        if left.schema.is_empty() && left.points == 0 {
            let (from, to) = (source.name(), target.name());
            let closed = relay.settle_letters_of_copy(from, to, judged).await;
            if closed > 0 {
                progress.note(format!(
                    "Dead letters of {to} that are closed, because it holds what {from} holds: {closed}."
                ));
            }
            return Ok(());
        }
        if round > MAX_ROUNDS {
            let schema: Vec<String> = left.schema.iter().map(words).collect();
            return Err(WorkError::Impossible(format!(
                "{} serves, and differs from {} in {} points{}{}; haflux compare names them, haflux mend --from {} ends them",
                target.name(),
                source.name(),
                left.points,
                if schema.is_empty() { "" } else { ", and " },
                schema.join(", "),
                source.name()
            )));
        }
        round += 1;
        let order = mend::Order {
            places: &Compared::default(),
            source: Some(source.name()),
            dry_run: false,
        };
        mend::between(relay, &nodes, folder, &order, progress).await?;
    }
}

fn words(difference: &Difference) -> String {
    let holds: Vec<String> = difference
        .holds
        .iter()
        .map(|(node, what)| format!("{node}: {what}"))
        .collect();
    format!(
        "{} {} ({})",
        difference.kind,
        difference.place,
        holds.join(", ")
    )
}

async fn compared(relay: &Relay, nodes: &[Node], progress: &Progress) -> Result<Left, WorkError> {
    let (found, mut findings) = mpsc::channel(FINDINGS);
    let places = Compared::default();
    let count = async {
        let mut left = Left::default();
        while let Some(finding) = findings.recv().await {
            match finding {
                Finding::Schema(difference) if difference.kind == "user" => {
                    left.users.push(difference);
                }
                Finding::Schema(difference) => left.schema.push(difference),
                Finding::Points(series) => left.points += series.points.len(),
            }
        }
        left
    };
    let (done, left) = tokio::join!(compare::find(relay, nodes, &places, progress, found), count);
    done.map(|()| left)
}
