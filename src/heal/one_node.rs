//! One node that is found under several names, at several addresses: what is dropped or deleted at one of them is gone at all.

use super::error::WorkError;
use super::node::{Node, Process};

/// That no other of these nodes is `node`, in which this process answers. One that does not answer is passed over.
///
/// # Errors
/// [`WorkError`]: one is.
pub(super) async fn is_apart(
    node: &Node,
    process: &Process,
    others: &[Node],
) -> Result<(), WorkError> {
    for other in others.iter().filter(|other| other.name() != node.name()) {
        let of_other = other.during(None).process().await;
        if of_other.is_ok_and(|of_other| of_other == *process) {
            return Err(one_node(other, node));
        }
    }
    Ok(())
}

/// That no two of these nodes are one.
///
/// # Errors
/// [`WorkError`]: two are, or one does not say which process it is.
pub(super) async fn are_apart(nodes: &[Node]) -> Result<(), WorkError> {
    let mut known: Vec<(&Node, Process)> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let process = node.process().await?;
        if let Some((other, _)) = known.iter().find(|(_, of_other)| *of_other == process) {
            return Err(one_node(other, node));
        }
        known.push((node, process));
    }
    Ok(())
}

fn one_node(one: &Node, other: &Node) -> WorkError {
    WorkError::Impossible(format!(
        "{} and {} are one node: one process of InfluxDB answers at the addresses of both",
        one.name(),
        other.name()
    ))
}
