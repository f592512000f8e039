//! Rules that can never be reached, because an earlier one takes every request that they would.

use crate::config::model::{AllOf, Condition, Test};

/// Whether the condition holds for every request.
pub(super) fn takes_everything(condition: &Condition) -> bool {
    !condition.negated && condition.any_of.iter().any(is_always)
}

/// Whether the earlier condition certainly holds wherever the later one does. What this does not see is not an error: it
/// is for a warning.
pub(super) fn covers(earlier: &Condition, later: &Condition) -> bool {
    if takes_everything(earlier) {
        return true;
    }
    !earlier.negated
        && !later.negated
        && later
            .any_of
            .iter()
            .all(|narrow| earlier.any_of.iter().any(|wide| covers_all(wide, narrow)))
}

fn is_always(all: &AllOf) -> bool {
    all.0
        .iter()
        .all(|test| matches!(test, Test::PathBegins(paths) if paths.iter().any(|path| path == "/")))
}

fn covers_all(wide: &AllOf, narrow: &AllOf) -> bool {
    wide.0
        .iter()
        .all(|wide| narrow.0.iter().any(|narrow| covers_test(wide, narrow)))
}

fn covers_test(wide: &Test, narrow: &Test) -> bool {
    match (wide, narrow) {
        (Test::Path(wide), Test::Path(narrow)) => narrow.iter().all(|path| wide.contains(path)),
        (Test::PathBegins(wide), Test::Path(narrow) | Test::PathBegins(narrow)) => narrow
            .iter()
            .all(|path| wide.iter().any(|beginning| path.starts_with(beginning))),
        (Test::PathEnds(wide), Test::Path(narrow) | Test::PathEnds(narrow)) => narrow
            .iter()
            .all(|path| wide.iter().any(|end| path.ends_with(end))),
        (Test::PathRegex(wide), Test::PathRegex(narrow)) => narrow
            .iter()
            .all(|regex| wide.iter().any(|other| other.as_str() == regex.as_str())),
        (Test::Method(wide), Test::Method(narrow)) => {
            narrow.iter().all(|method| wide.contains(method))
        }
        (Test::Host(wide), Test::Host(narrow)) => narrow.iter().all(|host| wide.contains(host)),
        (Test::Source(wide), Test::Source(narrow)) => narrow
            .iter()
            .all(|network| wide.iter().any(|other| other.contains(network))),
        _ => false,
    }
}
