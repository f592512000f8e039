//! Whether the target holds what the source holds.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::standing::standing;
use crate::control::{Compared, Difference};
use crate::heal::compare::{self, Look, Unread};
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
    unread: Unread,
}

/// Compares source and target, and makes the target hold what the source holds where they differ. The continuous queries at the places
/// `refused` are not expected there.
///
/// # Errors
/// They still differ, or cannot be asked.
pub(super) async fn of(
    relay: &Arc<Relay>,
    nodes: &[Node; 2],
    folder: &Path,
    refused: &BTreeSet<String>,
    progress: &Progress,
) -> Result<(), WorkError> {
    let [source, target] = nodes;
    let mut round = 1;
    loop {
        progress.step("comparing");
        // What both have judged before they are compared.
        let judged = nodes.iter().map(|node| standing(relay, node.name()).cursor);
        let judged = judged.min().unwrap_or(0);
        let mut left = compared(relay, nodes, progress).await?;
        let is_refused = |left: &Difference| left.kind == "query" && refused.contains(&left.place);
        let in_schema = left.schema.len();
        left.schema.retain(|difference| !is_refused(difference));
        let stays = left.users.len() + in_schema - left.schema.len();
        for difference in &left.users {
            progress.note(format!("Differs still: {}", words(difference)));
        }
        if left.schema.is_empty() && left.points == 0 {
            left.unread.all_read(&format!(
                "{} serves, but some of it could not be compared, and is there only if its shards were copied as files (heal.rpc_port)",
                target.name()
            ))?;
            let (from, to) = (source.name(), target.name());
            let names = [from.to_owned(), to.to_owned()];
            let stays = u64::try_from(stays).unwrap_or(u64::MAX);
            compare::keep_result(relay, folder, &names, &Compared::default(), stays);
            let users = left.users.is_empty();
            let settled = relay.settle_letters_of_copy(from, to, users, judged).await;
            if settled.closed > 0 {
                progress.note(format!(
                    "Dead letters of {to} that are closed, because it holds what {from} holds: {}.",
                    settled.closed
                ));
            }
            if settled.left > 0 {
                progress.note(format!("{to}: {} {}.", settled.left, mend::UNSEEN_LETTERS));
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
        match mend::between(relay, nodes, folder, &order, progress).await {
            // The comparison says so.
            Ok(()) | Err(WorkError::Unread(_)) => {}
            mended => mended?,
        }
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
    let (done, left) = tokio::join!(
        compare::find(relay, nodes, &places, progress, Look::Sure, found),
        count
    );
    Ok(Left {
        unread: done?,
        ..left
    })
}
