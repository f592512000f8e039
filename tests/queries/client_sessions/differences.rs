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

const BOTH: &[bool] = &[false, true];

const TABLE: &[Difference] = &[
    Difference {
        session: "requests",
        auth: BOTH,
        step: "GET /query?q=SHOW+DATABASES;db=first [] ",
        reason: "A raw `;` separates parameters for some builds of InfluxDB and spoils one for others; haflux takes neither side.",
    },
    Difference {
        session: "requests",
        auth: BOTH,
        step: "OPTIONS /write [Origin: http://there] ",
        reason: "haflux answers it itself, and lists what 1.8 lists.",
    },
    Difference {
        session: "requests",
        auth: BOTH,
        step: "POST /write?db=second [Origin: http://there] a v=1 1",
        reason: "haflux answers it itself, and allows other sites what 1.8 allows: PATCH and User-Agent too.",
    },
    Difference {
        session: "requests",
        auth: BOTH,
        step: "POST /query [Content-Type: application/x-www-form-urlencoded, Origin: http://there] q=DROP%20DATABASE%20seventh",
        reason: "As the one before.",
    },
    Difference {
        session: "requests",
        auth: BOTH,
        step: "POST /query [Content-Type: application/x-www-form-urlencoded] q=DROP%20SHARD%20999999",
        reason: "Shards have other numbers on other nodes, so haflux refuses it with an explanation.",
    },
    Difference {
        session: "requests",
        auth: BOTH,
        step: "POST /query [Content-Type: application/x-www-form-urlencoded, Accept-Encoding: gzip] q=CREATE%20DATABASE%20seventh",
        reason: "haflux does not compress what it answers itself.",
    },
];

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
