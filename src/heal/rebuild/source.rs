//! The node that a rebuild copies from.

use std::time::Instant;

use super::Rebuild;
use super::standing::{LOOK_PACE, standing};
use crate::heal::error::WorkError;
use crate::heal::node::Node;
use crate::heal::progress::Progress;
use crate::relay::Relay;

/// The node of that name.
pub(super) fn find<'a>(nodes: &'a [Node], name: &str) -> Result<&'a Node, WorkError> {
    let found = nodes.iter().find(|node| node.name() == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = nodes.iter().map(Node::name).collect();
        WorkError::Impossible(format!(
            "there is no node {name} that has an address now; there are: {}",
            names.join(", ")
        ))
    })
}

/// The node of that name that is filled, whichever node that is: the journal is not followed there, until it is taken back.
pub(super) fn target_of(nodes: &[Node], name: &str) -> Result<Node, WorkError> {
    Ok(find(nodes, name)?.during(None))
}

/// A node that is named, or one that is fresh. One that lags is waited for a while, because writes come all the time.
pub(super) async fn choose_source<'a>(
    relay: &Relay,
    nodes: &'a [Node],
    order: &Rebuild<'_>,
    progress: &Progress,
) -> Result<&'a Node, WorkError> {
    progress.step("choosing a source");
    let end = Instant::now() + relay.settings().timeout;
    loop {
        let chosen = source_now(relay, nodes, order);
        let may_come = nodes.iter().any(|node| {
            let is_meant = order.source.is_none_or(|source| source == node.name());
            is_meant && node.name() != order.target && standing(relay, node.name()).follows()
        });
        if chosen.is_ok() || !may_come || Instant::now() >= end {
            return chosen;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_PACE) => {}
            () = progress.cancelled() => return Err(WorkError::Cancelled),
        }
    }
}

fn source_now<'a>(
    relay: &Relay,
    nodes: &'a [Node],
    order: &Rebuild<'_>,
) -> Result<&'a Node, WorkError> {
    let may_be = |name: &str| name != order.target && standing(relay, name).is_fresh();
    let impossible = |reason: String| Err(WorkError::Impossible(reason));
    match order.source {
        Some(source) if source == order.target => {
            impossible(format!("{source} cannot be copied to itself"))
        }
        Some(source) => {
            let node = find(nodes, source)?;
            match may_be(source) {
                true => Ok(node),
                false => impossible(format!(
                    "{source} is not fresh: what it lacks would be missing from the copy"
                )),
            }
        }
        None => match nodes.iter().find(|node| may_be(node.name())) {
            Some(node) => Ok(node),
            None => impossible("no other node is fresh: there is nothing to copy from".to_owned()),
        },
    }
}
