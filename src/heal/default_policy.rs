//! A database without a default policy. InfluxDB has one where the default policy was dropped, and no statement that says so. It keeps
//! the dropped policy's name, which only the error to a request without a policy shows (`retention policy not found: …`).

use super::schema::Policy;
use crate::influx::influxql::identifier;

/// What a policy is called that is made to be dropped, with more behind it where one of that name is there.
const DROPPED: &str = "haflux_no_default";

/// Takes a database's default away, by one request. `database` is quoted; `policies`: those whose names are taken.
pub(super) fn no_default<'of>(
    database: &str,
    policies: impl Iterator<Item = &'of Policy> + Clone,
) -> String {
    let mut name = DROPPED.to_owned();
    while policies.clone().any(|policy| policy.name == name) {
        name.push('_');
    }
    let name = identifier(&name);
    format!(
        "CREATE RETENTION POLICY {name} ON {database} DURATION 1h REPLICATION 1 DEFAULT; DROP RETENTION POLICY {name} ON {database}"
    )
}

/// Whether one of the policies is the default.
pub(super) fn has_default(policies: &[Policy]) -> bool {
    policies.iter().any(|policy| policy.is_default)
}
