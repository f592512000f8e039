//! Whether the nodes of a relay run the same release of InfluxDB.

use std::fmt::Write as _;

/// Which node runs which release, e.g. `influxlab 1.6.7, influxlab2 1.8.10`; nothing if all run the same. `nodes` are their names
/// with the releases that they named; nodes that have named none are left out.
pub(super) fn differing(
    nodes: impl IntoIterator<Item = (String, Option<String>)>,
) -> Option<String> {
    let mut first: Option<String> = None;
    let mut differ = false;
    let mut text = String::new();
    for (name, release) in nodes {
        let Some(release) = release else { continue };
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to memory does not fail.
        let _ = write!(text, "{comma}{name} {release}");
        differ |= first.as_ref().is_some_and(|first| *first != release);
        first.get_or_insert(release);
    }
    differ.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::differing;

    #[test]
    fn nodes_are_named_if_their_releases_differ() {
        let named = |releases: &[Option<&str>]| {
            let nodes = releases.iter().zip(["a", "b", "c"]);
            differing(nodes.map(|(release, name)| (name.to_owned(), release.map(str::to_owned))))
        };
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[None, Some("1.6.7"), None]), None);
        assert_eq!(named(&[Some("1.6.7"), Some("1.6.7")]), None);
        let all = named(&[Some("1.6.7"), None, Some("1.8.10")]);
        assert_eq!(all.as_deref(), Some("a 1.6.7, c 1.8.10"));
    }
}
