//! What makes one database of a node what the source has, but for points.

use crate::heal::default_policy::{has_default, no_default};
use crate::heal::schema::{Database, Policy};
use crate::influx::influxql::identifier;

/// The policy that InfluxDB makes with a database.
const AUTOGEN: &str = "autogen";

/// In their order. `there`: what the node has of it. A union changes nothing that is there.
pub(super) fn statements(
    database: &Database,
    there: Option<&Database>,
    is_union: bool,
) -> Vec<String> {
    let mut statements = Vec::new();
    let name = identifier(&database.name);
    let default = database.policies.iter().find(|policy| policy.is_default);
    if there.is_none() {
        // So that no policy comes with it that the source has not.
        statements.push(match default {
            Some(policy) => format!(
                "CREATE DATABASE {name} WITH {}{} NAME {}",
                durations(policy),
                limits(policy, None),
                identifier(&policy.name)
            ),
            None => without_default(&name, &database.policies),
        });
    }
    for policy in &database.policies {
        let known = there.and_then(|there| {
            let mut policies = there.policies.iter();
            policies.find(|known| known.name == policy.name)
        });
        let word = match known {
            Some(known) if known == policy || is_union => continue,
            Some(_) => "ALTER",
            None if there.is_none() && (policy.is_default || default.is_none()) => continue,
            None => "CREATE",
        };
        // The default of a node stays in a union.
        let is_default = policy.is_default && !(is_union && there.is_some());
        statements.push(format!(
            "{word} RETENTION POLICY {} ON {name} {}{}{}",
            identifier(&policy.name),
            durations(policy),
            if is_default { " DEFAULT" } else { "" },
            limits(policy, known)
        ));
    }
    if let Some(there) = there
        && !is_union
        && default.is_none()
        && has_default(&there.policies)
    {
        let policies = database.policies.iter().chain(&there.policies);
        statements.push(no_default(&name, policies));
    }
    for query in &database.queries {
        let mut known = there.iter().flat_map(|there| &there.queries);
        if known.all(|known| known.name != query.name) {
            statements.push(query.text.clone());
        }
    }
    statements
}

/// Makes a database whose policies are these, with none for the default, by one request. InfluxDB takes the first policy of a database
/// without any for the default: so the one that came with it is the default until the others are there.
fn without_default(database: &str, policies: &[Policy]) -> String {
    let mut statements = vec![format!("CREATE DATABASE {database}")];
    let came = |policy: &Policy| policy.name == AUTOGEN;
    statements.extend(policies.iter().map(|policy| {
        format!(
            "{} RETENTION POLICY {} ON {database} {}{}",
            if came(policy) { "ALTER" } else { "CREATE" },
            identifier(&policy.name),
            durations(policy),
            limits(policy, None)
        )
    }));
    statements.push(match policies.iter().any(came) {
        true => no_default(database, policies.iter()),
        false => format!(
            "DROP RETENTION POLICY {} ON {database}",
            identifier(AUTOGEN)
        ),
    });
    statements.join("; ")
}

fn durations(policy: &Policy) -> String {
    format!(
        "DURATION {} REPLICATION {} SHARD DURATION {}",
        policy.duration, policy.replication, policy.shard_duration
    )
}

/// The limits of 1.12 on, where there are any; those that are there and not wanted are lifted. They stand last, because a `CREATE` takes
/// `DEFAULT` before them alone.
fn limits(policy: &Policy, there: Option<&Policy>) -> String {
    let limit = |word: &str, wanted: &str, there: Option<&str>| {
        let there = there.unwrap_or_default();
        match (wanted, there) {
            (wanted, there) if wanted == there => String::new(),
            ("", _) => format!(" {word} LIMIT 0s"),
            (wanted, _) => format!(" {word} LIMIT {wanted}"),
        }
    };
    let future = there.map(|there| there.future_limit.as_str());
    let past = there.map(|there| there.past_limit.as_str());
    limit("FUTURE", &policy.future_limit, future) + &limit("PAST", &policy.past_limit, past)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::heal::schema::{ContinuousQuery, Schema};

    /// A policy of thirty days.
    pub(in crate::heal::mend) fn policy(name: &str, is_default: bool) -> Policy {
        Policy {
            name: name.to_owned(),
            duration: "720h0m0s".to_owned(),
            shard_duration: "24h0m0s".to_owned(),
            replication: 1,
            is_default,
            future_limit: String::new(),
            past_limit: String::new(),
        }
    }

    /// A database without continuous queries.
    pub(in crate::heal::mend) fn database(name: &str, policies: Vec<Policy>) -> Database {
        Database {
            name: name.to_owned(),
            policies,
            queries: Vec::new(),
        }
    }

    /// A schema without users.
    pub(in crate::heal::mend) fn schema(databases: Vec<Database>) -> Schema {
        Schema {
            databases,
            users: Vec::new(),
        }
    }

    fn run(source: &Schema, there: &Schema, is_union: bool) -> Vec<String> {
        let of = |database: &Database| {
            let mut known = there.databases.iter();
            let known = known.find(|known| known.name == database.name);
            statements(database, known, is_union)
        };
        source.databases.iter().flat_map(of).collect()
    }

    #[test]
    fn a_database_comes_with_its_own_policies_only() {
        let mut source = schema(vec![database(
            "d",
            vec![policy("a", true), policy("b c", false)],
        )]);
        source.databases[0].queries.push(ContinuousQuery {
            name: "q".to_owned(),
            text: "CREATE CONTINUOUS QUERY q …".to_owned(),
        });
        assert_eq!(
            run(&source, &schema(Vec::new()), false),
            [
                "CREATE DATABASE \"d\" WITH DURATION 720h0m0s REPLICATION 1 SHARD DURATION 24h0m0s NAME \"a\"",
                "CREATE RETENTION POLICY \"b c\" ON \"d\" DURATION 720h0m0s REPLICATION 1 SHARD DURATION 24h0m0s",
                "CREATE CONTINUOUS QUERY q …",
            ]
        );
        assert_eq!(run(&source, &source, false), Vec::<String>::new());
    }

    #[test]
    fn a_database_without_a_default_policy_loses_the_one_that_comes_with_it() {
        let made = |policies: Vec<Policy>| {
            let source = schema(vec![database("d", policies)]);
            run(&source, &schema(Vec::new()), false)
        };
        let shape = "ON \"d\" DURATION 720h0m0s REPLICATION 1 SHARD DURATION 24h0m0s";
        assert_eq!(
            made(Vec::new()),
            ["CREATE DATABASE \"d\"; DROP RETENTION POLICY \"autogen\" ON \"d\""]
        );
        assert_eq!(
            made(vec![policy("a", false)]),
            [format!(
                "CREATE DATABASE \"d\"; CREATE RETENTION POLICY \"a\" {shape}; DROP RETENTION POLICY \"autogen\" ON \"d\""
            )]
        );
        assert_eq!(
            made(vec![policy("autogen", false)]),
            [format!(
                "CREATE DATABASE \"d\"; ALTER RETENTION POLICY \"autogen\" {shape}; {}",
                no_default("\"d\"", [].iter())
            )]
        );
    }

    #[test]
    fn a_default_that_the_source_has_not_is_taken_away_but_for_a_union() {
        let source = schema(vec![database("d", vec![policy("a", false)])]);
        let taken = policy("haflux_no_default", false);
        let there = schema(vec![database("d", vec![policy("a", true), taken])]);
        let shape = "ON \"d\" DURATION 720h0m0s REPLICATION 1 SHARD DURATION 24h0m0s";
        assert_eq!(
            run(&source, &there, false),
            [
                format!("ALTER RETENTION POLICY \"a\" {shape}"),
                "CREATE RETENTION POLICY \"haflux_no_default_\" ON \"d\" DURATION 1h REPLICATION 1 DEFAULT; DROP RETENTION POLICY \"haflux_no_default_\" ON \"d\"".to_owned(),
            ]
        );
        assert_eq!(run(&source, &there, true), Vec::<String>::new());
    }

    #[test]
    fn a_policy_becomes_what_the_source_has_but_a_union_leaves_it() {
        let mut wanted = policy("a", true);
        wanted.past_limit = "5m0s".to_owned();
        let mut known = policy("a", false);
        known.future_limit = "1h0m0s".to_owned();
        let source = schema(vec![database("d", vec![wanted])]);
        let there = schema(vec![database("d", vec![known])]);
        assert_eq!(
            run(&source, &there, false),
            [
                "ALTER RETENTION POLICY \"a\" ON \"d\" DURATION 720h0m0s REPLICATION 1 SHARD DURATION 24h0m0s DEFAULT FUTURE LIMIT 0s PAST LIMIT 5m0s"
            ]
        );
        assert_eq!(run(&source, &there, true), Vec::<String>::new());
    }

    /// 1.13 takes `DEFAULT` before the limits of a policy that is made, and before or behind them of one that is altered.
    #[test]
    fn the_default_stands_before_the_limits() {
        let mut wanted = policy("a", true);
        wanted.past_limit = "5m0s".to_owned();
        let source = schema(vec![database("d", vec![wanted])]);
        let there = schema(vec![database("d", Vec::new())]);
        assert_eq!(
            run(&source, &there, false),
            [
                "CREATE RETENTION POLICY \"a\" ON \"d\" DURATION 720h0m0s REPLICATION 1 SHARD DURATION 24h0m0s DEFAULT PAST LIMIT 5m0s"
            ]
        );
    }
}
