//! Whether shards can be had as files: the nodes' releases and ports for RPC.

use super::patience::Patience;
use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError, text};

/// A database that the target has for a moment, so that its port for RPC is known to be its own: what is restored through that of the
/// source would replace the source's files.
const MARK: &str = "haflux_rebuild";

/// Why shards cannot be had as files; none if they can.
pub(super) async fn obstacle(
    source: &Node,
    target: &Node,
    database: &str,
    patience: &Patience<'_>,
) -> Result<Option<String>, WorkError> {
    let nodes = [source, target];
    if nodes.iter().any(|node| node.rpc_address().is_none()) {
        return Ok(Some("heal.rpc_port is not set".to_owned()));
    }
    let mut releases = Vec::with_capacity(nodes.len());
    for node in nodes {
        let said = patience.until_done(|| release_text(node)).await?;
        match release(&said) {
            Some(release) => releases.push((release, said)),
            None => {
                return Ok(Some(format!(
                    "{} does not say of which release it is ({said:?})",
                    node.name()
                )));
            }
        }
    }
    if let [(of_source, source_said), (of_target, target_said)] = releases.as_slice()
        && of_target < of_source
    {
        return Ok(Some(format!(
            "{} is InfluxDB {target_said}, older than {} ({source_said}), and may not know its files",
            target.name(),
            source.name()
        )));
    }
    for node in nodes {
        if let Err(error) = node.speaks_backup(database).await {
            return Ok(Some(format!("its port for RPC: {error}")));
        }
    }
    let mark = |verb: &str| format!("{verb} DATABASE {MARK}");
    patience
        .until_done(|| async { target.ask("", &mark("CREATE")).await.map(drop) })
        .await?;
    let knows = (
        target.speaks_backup(MARK).await.is_ok(),
        source.speaks_backup(MARK).await.is_ok(),
    );
    patience
        .until_done(|| async { target.ask("", &mark("DROP")).await.map(drop) })
        .await?;
    let is_apart = knows == (true, false);
    Ok((!is_apart).then(|| {
        format!(
            "the ports for RPC of {} and {} are not those of two nodes",
            source.name(),
            target.name()
        )
    }))
}

async fn release_text(node: &Node) -> Result<String, NodeError> {
    let rows = node.ask("", "SHOW DIAGNOSTICS FOR 'build'").await?;
    Ok(rows
        .first()
        .map(|row| text(row, "Version"))
        .unwrap_or_default()
        .to_owned())
}

/// The first two numbers of a release: `1.6.7~rc0`, `v1.8.10`.
fn release(said: &str) -> Option<(u32, u32)> {
    let mut parts = said.trim_start_matches('v').split('.');
    let mut number = || parts.next()?.parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_first_two_numbers() {
        for (said, expected) in [
            ("1.6.7~rc0", Some((1, 6))),
            ("v1.8.10", Some((1, 8))),
            ("1.13.2", Some((1, 13))),
            ("unknown", None),
            ("", None),
            ("1", None),
        ] {
            assert_eq!(release(said), expected, "{said}");
        }
        assert!(release("1.13.2") > release("1.8.10"));
    }
}
