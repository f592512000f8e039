//! Where nodes' schemas differ.

use std::collections::BTreeSet;

use crate::control::{Compared, Difference};
use crate::heal::schema::{Database, Policy, Schema, User};

/// What a node does not have.
const NOTHING: &str = "-";

/// What differs, in the order of databases and users. `nodes`: the names of those whose schemas these are.
pub(super) fn differences(
    nodes: &[String],
    schemas: &[Schema],
    places: &Compared,
) -> Vec<Difference> {
    let mut found = Found {
        nodes,
        differences: Vec::new(),
    };
    for name in names(schemas, |schema| {
        schema
            .databases
            .iter()
            .map(|database| &database.name)
            .collect()
    }) {
        if places.databases.is_empty() || places.databases.contains(&name) {
            let databases = schemas.iter().map(|schema| {
                let mut databases = schema.databases.iter();
                databases.find(|database| database.name == name)
            });
            found.database(&name, &databases.collect::<Vec<_>>());
        }
    }
    // Users belong to no database: whoever asks for one database asks for no users.
    if places.databases.is_empty() {
        for name in names(schemas, |schema| {
            schema.users.iter().map(|user| &user.name).collect()
        }) {
            let users = schemas
                .iter()
                .map(|schema| schema.users.iter().find(|user| user.name == name));
            found.user(&name, &users.collect::<Vec<_>>());
        }
    }
    found.differences
}

/// The names in any of these.
fn names<T>(all: &[T], of: impl for<'one> Fn(&'one T) -> Vec<&'one String>) -> BTreeSet<String> {
    all.iter()
        .flat_map(|one| of(one).into_iter().cloned())
        .collect()
}

/// Reads a setting of a policy as a person reads it.
type Setting = fn(&Policy) -> String;

struct Found<'nodes> {
    nodes: &'nodes [String],
    differences: Vec<Difference>,
}

impl Found<'_> {
    /// Notes what each holds, if that differs.
    fn compare(&mut self, kind: &str, place: impl FnOnce() -> String, holds: Vec<String>) {
        let first = holds.first();
        if holds.iter().any(|held| Some(held) != first) {
            self.differences.push(Difference {
                kind: kind.to_owned(),
                place: place(),
                holds: self.nodes.iter().cloned().zip(holds).collect(),
            });
        }
    }

    fn database(&mut self, name: &str, databases: &[Option<&Database>]) {
        let there = databases.iter().map(|database| match database {
            Some(_) => "there".to_owned(),
            None => NOTHING.to_owned(),
        });
        self.compare("database", || name.to_owned(), there.collect());
        // What a node that has no such database lacks in it goes without saying.
        let having = databases.iter().flatten().copied().collect::<Vec<_>>();
        let policies = names(&having, |database| {
            database
                .policies
                .iter()
                .map(|policy| &policy.name)
                .collect()
        });
        for policy in policies {
            let of = databases.iter().map(|database| {
                database.map(|database| {
                    let mut policies = database.policies.iter();
                    policies.find(|known| known.name == policy)
                })
            });
            self.policy(&format!("{name}.{policy}"), &of.collect::<Vec<_>>());
        }
        let queries = names(&having, |database| {
            database.queries.iter().map(|query| &query.name).collect()
        });
        for query in queries {
            let texts = databases.iter().map(|database| {
                database.map(|database| {
                    let mut queries = database.queries.iter();
                    let known = queries.find(|known| known.name == query);
                    known.map_or(NOTHING, |known| &known.text).to_owned()
                })
            });
            self.among_those("query", &format!("{name}.{query}"), texts.collect());
        }
    }

    /// The same of nodes that have the database; the others hold nothing, and are no difference.
    fn among_those(&mut self, kind: &str, place: &str, holds: Vec<Option<String>>) {
        let having: Vec<&String> = holds.iter().flatten().collect();
        if having.iter().any(|held| Some(held) != having.first()) {
            let holds = holds.iter().cloned();
            let holds = holds.map(|held| held.unwrap_or_else(|| NOTHING.to_owned()));
            self.compare(kind, || place.to_owned(), holds.collect());
        }
    }

    /// Each of a policy's settings on its own; the outer `None` is a node that has no such database.
    fn policy(&mut self, place: &str, policies: &[Option<Option<&Policy>>]) {
        if policies.iter().flatten().any(Option::is_none) {
            let holds = policies
                .iter()
                .map(|policy| policy.map(|policy| policy.map_or(NOTHING.to_owned(), words)));
            self.among_those("policy", place, holds.collect());
            return;
        }
        let settings: [(&str, Setting); 6] = [
            ("duration", |policy| policy.duration.clone()),
            ("shard duration", |policy| policy.shard_duration.clone()),
            ("replication", |policy| policy.replication.to_string()),
            ("default", |policy| yes_or_no(policy.is_default)),
            ("future limit", |policy| limit(&policy.future_limit)),
            ("past limit", |policy| limit(&policy.past_limit)),
        ];
        for (name, of) in settings {
            let holds = policies.iter().map(|policy| policy.flatten().map(of));
            self.among_those("policy", &format!("{place} {name}"), holds.collect());
        }
    }

    fn user(&mut self, name: &str, users: &[Option<&User>]) {
        if users.iter().any(Option::is_none) {
            let holds = users.iter().map(|user| match user {
                Some(user) if user.is_admin => "administrator".to_owned(),
                Some(_) => "there".to_owned(),
                None => NOTHING.to_owned(),
            });
            self.compare("user", || name.to_owned(), holds.collect());
            return;
        }
        let users: Vec<&User> = users.iter().flatten().copied().collect();
        let ranks = users.iter().map(|user| yes_or_no(user.is_admin));
        self.compare("user", || format!("{name} administrator"), ranks.collect());
        let databases = names(&users, |user| {
            user.grants.iter().map(|(database, _)| database).collect()
        });
        for database in databases {
            let rights = users.iter().map(|user| {
                let mut grants = user.grants.iter();
                let known = grants.find(|(granted, _)| *granted == database);
                known.map_or(NOTHING, |(_, right)| right).to_owned()
            });
            self.compare("user", || format!("{name} on {database}"), rights.collect());
        }
    }
}

fn limit(text: &str) -> String {
    let none = text.is_empty();
    if none { NOTHING } else { text }.to_owned()
}

fn yes_or_no(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

fn words(policy: &Policy) -> String {
    let default = if policy.is_default { " default" } else { "" };
    format!(
        "duration {} shard duration {} replication {}{default}",
        policy.duration, policy.shard_duration, policy.replication
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heal::schema::ContinuousQuery;

    fn policy(name: &str) -> Policy {
        Policy {
            name: name.to_owned(),
            duration: "0s".to_owned(),
            shard_duration: "168h0m0s".to_owned(),
            replication: 1,
            is_default: true,
            future_limit: String::new(),
            past_limit: String::new(),
        }
    }

    fn schema() -> Schema {
        Schema {
            databases: vec![Database {
                name: "d".to_owned(),
                policies: vec![policy("autogen"), policy("year")],
                queries: vec![ContinuousQuery {
                    name: "cq".to_owned(),
                    text: "CREATE …".to_owned(),
                }],
            }],
            users: vec![User {
                name: "u".to_owned(),
                own_name: None,
                is_admin: false,
                grants: vec![("d".to_owned(), "READ".to_owned())],
            }],
        }
    }

    fn compared(change: impl FnOnce(&mut Schema)) -> Vec<String> {
        let mut changed = schema();
        change(&mut changed);
        let nodes = ["one".to_owned(), "two".to_owned()];
        let found = differences(&nodes, &[schema(), changed], &Compared::default());
        let line = |difference: &Difference| {
            let holds = difference.holds.iter().map(|(_, held)| held.as_str());
            let holds: Vec<&str> = holds.collect();
            format!(
                "{} {}: {}",
                difference.kind,
                difference.place,
                holds.join("|")
            )
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn each_difference_is_named_and_nothing_else() {
        let none: [&str; 0] = [];
        assert_eq!(compared(|_| {}), none);
        let d = |schema: &mut Schema, change: fn(&mut Database)| {
            change(schema.databases.first_mut().unwrap());
        };
        let p = |schema: &mut Schema, change: fn(&mut Policy)| {
            change(&mut schema.databases[0].policies[1]);
        };
        assert_eq!(compared(|s| s.databases.clear()), ["database d: there|-"]);
        assert_eq!(
            compared(|s| d(s, |d| d.policies.truncate(1))),
            ["policy d.year: duration 0s shard duration 168h0m0s replication 1 default|-"]
        );
        assert_eq!(
            compared(|s| p(s, |p| p.duration = "1h0m0s".to_owned())),
            ["policy d.year duration: 0s|1h0m0s"]
        );
        assert_eq!(
            compared(|s| p(s, |p| p.shard_duration = "1h0m0s".to_owned())),
            ["policy d.year shard duration: 168h0m0s|1h0m0s"]
        );
        assert_eq!(
            compared(|s| p(s, |p| (p.replication, p.is_default) = (2, false))),
            [
                "policy d.year replication: 1|2",
                "policy d.year default: yes|no"
            ]
        );
        assert_eq!(
            compared(|s| p(s, |p| p.past_limit = "5m0s".to_owned())),
            ["policy d.year past limit: -|5m0s"]
        );
        assert_eq!(
            compared(|s| d(s, |d| d.queries.clear())),
            ["query d.cq: CREATE …|-"]
        );
        assert_eq!(
            compared(|s| d(s, |d| d.queries[0].text = "other".to_owned())),
            ["query d.cq: CREATE …|other"]
        );
        assert_eq!(compared(|s| s.users.clear()), ["user u: there|-"]);
        assert_eq!(
            compared(|s| s.users[0].is_admin = true),
            ["user u administrator: no|yes"]
        );
        assert_eq!(
            compared(|s| s.users[0].grants.clear()),
            ["user u on d: READ|-"]
        );
        assert_eq!(
            compared(|s| s.users[0].grants[0].1 = "WRITE".to_owned()),
            ["user u on d: READ|WRITE"]
        );
    }

    #[test]
    fn who_asks_for_a_database_gets_no_other_and_no_users() {
        let mut other = schema();
        other.users.clear();
        other.databases.clear();
        let nodes = ["one".to_owned(), "two".to_owned()];
        let only = |name: &str| Compared {
            databases: vec![name.to_owned()],
            ..Compared::default()
        };
        let schemas = [schema(), other];
        assert_eq!(differences(&nodes, &schemas, &only("x")), []);
        assert_eq!(differences(&nodes, &schemas, &only("d")).len(), 1);
    }
}
