//! What differs by design between a node alone and haflux before two.

use std::collections::BTreeSet;

/// A difference.
struct Difference {
    session: &'static str,
    /// With and without credentials, or only one of both.
    auth: &'static [bool],
    /// The step that shows it.
    step: &'static str,
    /// Why it is there.
    #[expect(dead_code, reason = "for whoever reads the table")]
    reason: &'static str,
}

const TABLE: &[Difference] = &[];

fn of(session: &str, auth: bool) -> impl Iterator<Item = &'static Difference> {
    TABLE
        .iter()
        .filter(move |entry| entry.session == session && entry.auth.contains(&auth))
}

/// The table's entry for a step.
pub fn entry(session: &str, auth: bool, step: &str) -> Option<&'static str> {
    let mut entries = of(session, auth).map(|entry| entry.step);
    entries.find(|entry| *entry == step)
}

/// All entries for a session.
pub fn entries(session: &str, auth: bool) -> BTreeSet<&'static str> {
    of(session, auth).map(|entry| entry.step).collect()
}
