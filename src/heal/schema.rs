//! What a node has besides points.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bstr::BString;
use jiff::Timestamp;
use serde_json::Value;

use super::node::{Node, NodeError, text};
use crate::influx::Account;
use crate::influx::influxql::{identifier, listed_duration};
use crate::influx::query_answer::Row;

/// InfluxDB's own database, which belongs to each node.
const INTERNAL: &str = "_internal";

/// The least time of a point (`models.MinNanoTime`).
const LEAST: i64 = i64::MIN + 2;

/// Behind the greatest time of a point (`models.MaxNanoTime`).
pub(super) const GREATEST: i64 = i64::MAX;

/// In nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// All of it, but for InfluxDB's own database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Schema {
    /// In the order of their names.
    pub(super) databases: Vec<Database>,
    /// In the order of their names.
    pub(super) users: Vec<User>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) policies: Vec<Policy>,
    pub(super) queries: Vec<ContinuousQuery>,
}

/// A retention policy; times as statements may [name](listed_duration) them (`168h0m0s`; `0s` for no end).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) duration: String,
    pub(super) shard_duration: String,
    pub(super) replication: u64,
    pub(super) is_default: bool,
    /// From 1.12 on; empty where there is none, whether the node knows limits or not.
    pub(super) future_limit: String,
    /// The same.
    pub(super) past_limit: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContinuousQuery {
    pub(super) name: String,
    /// The whole `CREATE CONTINUOUS QUERY` statement.
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    /// Of an account that a node has of its own, the name of that of the pool in whose place it is.
    pub(super) name: String,
    /// What such an account is called on the node.
    pub(super) own_name: Option<String>,
    pub(super) is_admin: bool,
    /// Database and privilege (`READ`, `WRITE`, `ALL PRIVILEGES`), in the order of their databases.
    pub(super) grants: Vec<(String, String)>,
}

/// The time of a shard group, in nanoseconds since 1970; `until` is left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ShardGroup {
    pub(super) database: String,
    pub(super) policy: String,
    pub(super) from: i64,
    pub(super) until: i64,
}

/// Where the shard groups of one node begin.
pub(super) struct Beginnings<'groups>(HashSet<(&'groups str, &'groups str, i64)>);

impl<'groups> Beginnings<'groups> {
    /// Of all groups of the node.
    pub(super) fn of(groups: impl IntoIterator<Item = &'groups ShardGroup>) -> Self {
        let groups = groups.into_iter();
        Beginnings(groups.map(|group| group.place(group.from)).collect())
    }

    /// Behind the last point that a group may hold: InfluxDB shows whole seconds, so where no other group begins at its end the group
    /// may go on for a fraction of one.
    pub(super) fn reach(&self, group: &ShardGroup) -> i64 {
        match self.0.contains(&group.place(group.until)) {
            true => group.until,
            false => group.until.saturating_add(SECOND),
        }
    }
}

impl ShardGroup {
    fn place(&self, time: i64) -> (&str, &str, i64) {
        (&self.database, &self.policy, time)
    }
}

impl Schema {
    /// Asks the node for all of it.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn of(node: &Node) -> Result<Schema, NodeError> {
        let rows = node.ask("", "SHOW DATABASES").await?;
        let names = rows.iter().map(|row| text(row, "name"));
        let names: BTreeSet<&str> = names.filter(|name| *name != INTERNAL).collect();
        let mut queries = continuous_queries(node).await?;
        let mut databases = Vec::with_capacity(names.len());
        for name in names {
            if let Some(policies) = unless_gone(policies(node, name).await)? {
                databases.push(Database {
                    name: name.to_owned(),
                    policies,
                    queries: queries.remove(name).unwrap_or_default(),
                });
            }
        }
        Ok(Schema {
            databases,
            users: users(node).await?,
        })
    }
}

impl Database {
    /// Asks the node for one of its databases; none if it has not got it.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn of(node: &Node, name: &str) -> Result<Option<Database>, NodeError> {
        let Some(policies) = unless_gone(policies(node, name).await)? else {
            return Ok(None);
        };
        let mut queries = continuous_queries(node).await?;
        Ok(Some(Database {
            name: name.to_owned(),
            policies,
            queries: queries.remove(name).unwrap_or_default(),
        }))
    }
}

/// The names of a database's policies; none if the node has not got the database.
///
/// # Errors
/// [`NodeError`]
pub(super) async fn policy_names(
    node: &Node,
    database: &str,
) -> Result<BTreeSet<String>, NodeError> {
    let policies = unless_gone(policies(node, database).await)?.unwrap_or_default();
    Ok(policies.into_iter().map(|policy| policy.name).collect())
}

/// The policies of a database, in the order of their names.
///
/// # Errors
/// [`NodeError`]
pub(super) async fn policies(node: &Node, database: &str) -> Result<Vec<Policy>, NodeError> {
    let statement = format!("SHOW RETENTION POLICIES ON {}", identifier(database));
    let rows = node.ask("", &statement).await?;
    let policy = |row: &Row| Policy {
        name: text(row, "name").to_owned(),
        duration: listed_duration(text(row, "duration")),
        shard_duration: listed_duration(text(row, "shardGroupDuration")),
        replication: value(row, "replicaN").and_then(Value::as_u64).unwrap_or(1),
        is_default: is_true(row, "default"),
        future_limit: limit(row, "futureWriteLimit"),
        past_limit: limit(row, "pastWriteLimit"),
    };
    let mut policies: Vec<Policy> = rows.iter().map(policy).collect();
    policies.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(policies)
}

/// By their databases.
async fn continuous_queries(
    node: &Node,
) -> Result<BTreeMap<String, Vec<ContinuousQuery>>, NodeError> {
    let mut queries: BTreeMap<String, Vec<ContinuousQuery>> = BTreeMap::new();
    for (database, rows) in node.ask_by_series("", "SHOW CONTINUOUS QUERIES").await? {
        let of_database = queries.entry(database).or_default();
        of_database.extend(rows.iter().map(|row| ContinuousQuery {
            name: text(row, "name").to_owned(),
            text: text(row, "query").to_owned(),
        }));
        of_database.sort_by(|one, other| one.name.cmp(&other.name));
    }
    Ok(queries)
}

async fn users(node: &Node) -> Result<Vec<User>, NodeError> {
    let mut users = Vec::new();
    for row in node.ask("", "SHOW USERS").await? {
        let name = text(&row, "user").to_owned();
        let statement = format!("SHOW GRANTS FOR {}", identifier(&name));
        let Some(grants) = unless_gone(node.ask("", &statement).await)? else {
            continue;
        };
        let grant = |row: &Row| {
            let privilege = text(row, "privilege").to_owned();
            (text(row, "database").to_owned(), privilege)
        };
        // What was taken away again stays in the list under this name.
        let granted = |(_, privilege): &(String, String)| privilege != "NO PRIVILEGES";
        let mut grants: Vec<_> = grants.iter().map(grant).filter(granted).collect();
        grants.sort_unstable();
        users.push(User {
            is_admin: is_true(&row, "admin"),
            name,
            own_name: None,
            grants,
        });
    }
    Ok(called_as_in_pool(users, &node.own_accounts()))
}

/// Calls the accounts that a node has of its own as the pool calls those in whose place they are, in the order of names. A user of
/// such a name beside them is nobody to haflux, and is left out.
fn called_as_in_pool(users: Vec<User>, own: &BTreeMap<String, Account>) -> Vec<User> {
    let mut called: Vec<User> = Vec::with_capacity(users.len());
    for (of_pool, account) in own {
        let mut users = users.iter();
        let there = users.find(|user| user.name == account.username());
        called.extend(there.map(|user| User {
            name: of_pool.clone(),
            own_name: Some(user.name.clone()),
            ..user.clone()
        }));
    }
    let is_own = |user: &User| {
        let mut accounts = own.iter();
        accounts
            .any(|(of_pool, account)| [of_pool, account.username()].contains(&user.name.as_str()))
    };
    called.extend(users.into_iter().filter(|user| !is_own(user)));
    called.sort_by(|one, other| one.name.cmp(&other.name));
    called
}

/// Nothing of what a client dropped since it was listed.
fn unless_gone<T>(answer: Result<T, NodeError>) -> Result<Option<T>, NodeError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(NodeError::Refused { reason, .. })
            if reason.starts_with("database not found") || reason == "user not found" =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The node's shard groups, in their order, but for those of InfluxDB's own database.
///
/// # Errors
/// [`NodeError`]
pub(super) async fn shard_groups(node: &Node) -> Result<Vec<ShardGroup>, NodeError> {
    Ok(shards(node).await?.into_keys().collect())
}

/// The node's shard groups, with the numbers of their shards: one each, where the data was not brought from a cluster.
///
/// # Errors
/// [`NodeError`]
pub(super) async fn shards(node: &Node) -> Result<BTreeMap<ShardGroup, Vec<u64>>, NodeError> {
    let mut shards: BTreeMap<ShardGroup, Vec<u64>> = BTreeMap::new();
    for row in node.ask("", "SHOW SHARDS").await? {
        let database = text(&row, "database");
        if database == INTERNAL {
            continue;
        }
        let time = |column: &str| {
            let shown = text(&row, column);
            nanoseconds(shown).ok_or_else(|| {
                node.unreadable(format_args!("a shard's {column} is no time: {shown:?}"))
            })
        };
        let (from, until) = (time("start_time")?, time("end_time")?);
        let group = ShardGroup {
            database: database.to_owned(),
            policy: text(&row, "retention_policy").to_owned(),
            from: unless_beyond(from, until),
            until,
        };
        let number = value(&row, "id").and_then(Value::as_u64);
        let number = number.ok_or_else(|| node.unreadable("a shard has no number"))?;
        shards.entry(group).or_default().push(number);
    }
    Ok(shards)
}

/// The names of a database's measurements, in their order.
///
/// # Errors
/// [`NodeError`]
pub(super) async fn measurements(node: &Node, database: &str) -> Result<Vec<BString>, NodeError> {
    let statement = format!("SHOW MEASUREMENTS ON {}", identifier(database));
    let names = node.names(database, &statement).await?;
    let names: BTreeSet<BString> = names.into_iter().collect();
    Ok(names.into_iter().collect())
}

/// A time as InfluxDB shows it, in nanoseconds since 1970: the least or the greatest of its times for one that lies beyond, or in the
/// last second, because InfluxDB shows whole seconds.
fn nanoseconds(shown: &str) -> Option<i64> {
    let time: Timestamp = shown.parse().ok()?;
    let nanoseconds = time.as_nanosecond().max(LEAST.into());
    let nanoseconds = i64::try_from(nanoseconds).unwrap_or(GREATEST);
    let is_in_last_second = nanoseconds >= GREATEST - GREATEST % 1_000_000_000;
    Some(if is_in_last_second {
        GREATEST
    } else {
        nanoseconds
    })
}

/// When a shard group begins: at the least time if it is shown to begin behind its end. After a restart InfluxDB shows so the group
/// that begins before the least time.
fn unless_beyond(from: i64, until: i64) -> i64 {
    if from > until { LEAST } else { from }
}

/// A node that knows limits says `0s` where there is none, which one that knows none would not parse.
fn limit(row: &Row, column: &str) -> String {
    match text(row, column) {
        "0s" => String::new(),
        limit => listed_duration(limit),
    }
}

fn value<'row>(row: &'row Row, column: &str) -> Option<&'row Value> {
    let found = row.iter().find(|(name, _)| name == column);
    found.map(|(_, value)| value)
}

fn is_true(row: &Row, column: &str) -> bool {
    value(row, column).and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_of_its_own_is_called_as_that_of_the_pool() {
        let user = |name: &str, is_admin| User {
            name: name.to_owned(),
            own_name: None,
            is_admin,
            grants: Vec::new(),
        };
        let account = |name: &str| Account::new(name.to_owned(), Vec::new());
        let own = [("root", "admin"), ("writer", "scribe"), ("same", "same")];
        let own = own.map(|(of_pool, name)| (of_pool.to_owned(), account(name)));
        let users = ["admin", "other", "root", "same"];
        let users = users.map(|name| user(name, name == "admin"));
        let called = called_as_in_pool(users.to_vec(), &own.into());
        let called: Vec<_> = called
            .iter()
            .map(|user| (user.name.as_str(), user.own_name.as_deref(), user.is_admin))
            .collect();
        assert_eq!(
            called,
            [
                ("other", None, false),
                ("root", Some("admin"), true),
                ("same", Some("same"), false),
            ]
        );
    }

    #[test]
    fn times_of_shards_are_nanoseconds() {
        for (shown, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2018-05-28T00:00:00Z", Some(1_527_465_600_000_000_000)),
            ("1677-09-20T00:00:00Z", Some(LEAST)),
            ("1677-09-27T00:00:00Z", Some(-9_222_854_400_000_000_000)),
            ("2262-04-14T00:00:00Z", Some(GREATEST)),
            ("2262-04-11T23:47:16Z", Some(GREATEST)),
            ("2262-04-11T23:47:15Z", Some(9_223_372_035_000_000_000)),
            ("0001-01-01T00:00:00Z", Some(LEAST)),
            ("", None),
        ] {
            assert_eq!(nanoseconds(shown), expected, "{shown}");
        }
    }

    #[test]
    fn a_group_that_begins_before_all_times_begins_with_the_least() {
        let time = |shown| nanoseconds(shown).expect("a time");
        let (from, until) = (time("2262-04-10T23:34:33Z"), time("1677-09-27T00:00:00Z"));
        assert_eq!(unless_beyond(from, until), LEAST);
        assert_eq!(unless_beyond(0, 1), 0);
    }

    #[test]
    fn a_group_may_go_on_for_a_fraction_of_a_second_unless_another_begins_there() {
        let group = |policy: &str, from, until| ShardGroup {
            database: "d".to_owned(),
            policy: policy.to_owned(),
            from,
            until,
        };
        let groups = [group("a", 0, 5), group("a", 5, 9), group("b", 9, GREATEST)];
        let beginnings = Beginnings::of(&groups);
        let reach = groups.each_ref().map(|group| beginnings.reach(group));
        assert_eq!(reach, [5, 9 + SECOND, GREATEST]);
    }
}
