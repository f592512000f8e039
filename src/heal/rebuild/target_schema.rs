//! What the target has besides points: dropped, and made again as the source has it.
//!
//! Each part may be begun again: what is there already is made the same. Users are not dropped if the source has them, because their
//! passwords, which cannot be read out of a node, would be lost.

use std::collections::{BTreeSet, HashSet};

use super::patience::Patience;
use crate::control::Passwords;
use crate::heal::default_policy::{has_default, no_default};
use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError, PasswordStatement, Unsayable};
use crate::heal::progress::Progress;
use crate::heal::schema::{Policy, Schema, ShardGroup, User};
use crate::influx::Account;
use crate::influx::influxql::identifier;
use crate::influx::query_answer::policy_duration;

/// Drops all databases, and the users that the source does not have, but for the one that asks and others in whose names haflux is on the
/// target alone.
pub(super) async fn wipe(
    target: &Node,
    source: &Schema,
    patience: &Patience<'_>,
) -> Result<(), WorkError> {
    let held = patience.until_done(|| Schema::of(target)).await?;
    for database in &held.databases {
        let statement = format!("DROP DATABASE {}", identifier(&database.name));
        carry_out(target, &statement, patience).await?;
    }
    let stay: HashSet<&str> = source
        .users
        .iter()
        .map(|user| user.name.as_str())
        .chain(target.asker().map(|(name, _)| name))
        .collect();
    for user in &held.users {
        if user.own_name.is_none() && !stay.contains(user.name.as_str()) {
            let statement = format!("DROP USER {}", identifier(&user.name));
            carry_out(target, &statement, patience).await?;
        }
    }
    Ok(())
}

/// Makes the source's databases with their policies, but for limits, which would refuse old points.
pub(super) async fn databases(
    target: &Node,
    source: &Schema,
    patience: &Patience<'_>,
) -> Result<(), WorkError> {
    for database in &source.databases {
        let name = identifier(&database.name);
        let statement = format!("CREATE DATABASE {name}");
        carry_out(target, &statement, patience).await?;
        for policy in &database.policies {
            let shape = shape(&name, policy);
            // One of that name is there already: autogen, which comes with the database, or that of a beginning before this one.
            match carry_out(target, &format!("CREATE {shape}"), patience).await {
                Err(WorkError::Node(NodeError::Refused { .. })) => {
                    carry_out(target, &format!("ALTER {shape}"), patience).await?;
                }
                made => made?,
            }
        }
    }
    // What the source does not have came with a database.
    let made = patience.until_done(|| Schema::of(target)).await?;
    for database in &source.databases {
        let wanted: HashSet<&str> = policy_names(&database.policies).collect();
        let name = identifier(&database.name);
        let there = made.databases.iter();
        let there = there.filter(|there| there.name == database.name);
        for policy in there.flat_map(|there| &there.policies) {
            if !wanted.contains(policy.name.as_str()) {
                let policy = identifier(&policy.name);
                let statement = format!("DROP RETENTION POLICY {policy} ON {name}");
                carry_out(target, &statement, patience).await?;
            } else if policy.is_default && !has_default(&database.policies) {
                let statement = no_default(&name, database.policies.iter());
                carry_out(target, &statement, patience).await?;
            }
        }
    }
    Ok(())
}

fn policy_names(policies: &[Policy]) -> impl Iterator<Item = &str> {
    policies.iter().map(|policy| policy.name.as_str())
}

/// What stands behind `CREATE` and `ALTER`. `database` is quoted.
fn shape(database: &str, policy: &Policy) -> String {
    let default = if policy.is_default { " DEFAULT" } else { "" };
    format!(
        "RETENTION POLICY {} ON {database} DURATION {} REPLICATION {} SHARD DURATION {}{default}",
        identifier(&policy.name),
        policy.duration,
        policy.replication,
        policy.shard_duration
    )
}

/// That every password which the target may be given can be said in a statement.
///
/// # Errors
/// [`Unsayable`]: one cannot.
pub(super) fn are_sayable(target: &Node, passwords: &Passwords) -> Result<(), Unsayable> {
    let given = passwords.0.iter();
    let given = given.map(|(name, password)| (name.as_str(), password.as_str()));
    let accounts = target.own_accounts();
    let own = accounts.values().filter_map(named);
    for (name, password) in given.chain(own) {
        PasswordStatement::create(name, password, false)?;
    }
    Ok(())
}

/// Name and password of an account, if statements can be about it.
fn named(account: &Account) -> Option<(&str, &str)> {
    let password = std::str::from_utf8(account.password()).ok()?;
    Some((account.username(), password))
}

/// Makes the source's users whose passwords are given, and gives all that are there their rights. Those that are missing are named. In the
/// place of a user for whom the target has an account of its own, that is made, with its own password. Users that are there keep their
/// passwords, but for those that this rebuild has `made`: theirs may have been mistyped.
pub(super) async fn users(
    target: &Node,
    source: &Schema,
    passwords: &Passwords,
    made: &mut BTreeSet<String>,
    patience: &Patience<'_>,
    progress: &Progress,
) -> Result<(), WorkError> {
    let held = patience.until_done(|| Schema::of(target)).await?;
    let databases: HashSet<&str> = held.databases.iter().map(|of| of.name.as_str()).collect();
    let accounts = target.own_accounts();
    let asker = target.asker().map(|(name, _)| name);
    let mut missing = Vec::new();
    let mut kept = Vec::new();
    for user in &source.users {
        let own = accounts.get(&user.name);
        let name = own.map_or(user.name.as_str(), Account::username);
        let password = match own {
            Some(account) => named(account).map(|(_, password)| password),
            None => {
                let mut given = passwords.0.iter();
                let given = given.find(|(known, _)| *known == user.name);
                given.map(|(_, password)| password.as_str())
            }
        };
        let there = held.users.iter().find(|held| held.name == user.name);
        let was_admin = match (there, password) {
            (None, None) => {
                missing.push(user.name.as_str());
                continue;
            }
            (None, Some(password)) => {
                let statement = PasswordStatement::create(name, password, user.is_admin)?;
                give_password(target, &statement, patience).await?;
                made.insert(user.name.clone());
                user.is_admin
            }
            // The password that it has is the one by which haflux is let in.
            (Some(there), Some(_)) if own.is_some() => there.is_admin,
            (Some(there), Some(password))
                if made.contains(&user.name) && asker != Some(user.name.as_str()) =>
            {
                let statement = PasswordStatement::set(name, password)?;
                give_password(target, &statement, patience).await?;
                there.is_admin
            }
            (Some(there), Some(_)) => {
                kept.push(user.name.as_str());
                there.is_admin
            }
            (Some(there), None) => there.is_admin,
        };
        for statement in rights(user, &identifier(name), was_admin, &databases) {
            carry_out(target, &statement, patience).await?;
        }
    }
    if !missing.is_empty() {
        progress.note(format!(
            "Users that {} does not have, because their passwords cannot be read out of a node: {}. Give them by --users FILE, or create them there, before they write or read.",
            target.name(),
            missing.join(", ")
        ));
    }
    if !kept.is_empty() {
        progress.note(format!(
            "Users that {} has already, and that keep their passwords: {}.",
            target.name(),
            kept.join(", ")
        ));
    }
    let unknown = passwords.0.iter().map(|(name, _)| name.as_str());
    let unknown: Vec<&str> = unknown
        .filter(|name| source.users.iter().all(|user| user.name != *name))
        .collect();
    if !unknown.is_empty() {
        progress.note(format!(
            "Users of --users FILE that the source does not have, and that were left out: {}.",
            unknown.join(", ")
        ));
    }
    Ok(())
}

/// What gives a user the rights that it has on the source. `name`: what it is called on the target, in quotes.
fn rights(user: &User, name: &str, was_admin: bool, databases: &HashSet<&str>) -> Vec<String> {
    let mut statements = match (was_admin, user.is_admin) {
        (false, true) => vec![format!("GRANT ALL PRIVILEGES TO {name}")],
        (true, false) => vec![format!("REVOKE ALL PRIVILEGES FROM {name}")],
        (true, true) | (false, false) => Vec::new(),
    };
    let grants = user.grants.iter();
    let grants = grants.filter(|(database, _)| databases.contains(database.as_str()));
    statements.extend(grants.filter_map(|(database, privilege)| {
        let is_some = matches!(privilege.as_str(), "READ" | "WRITE" | "ALL PRIVILEGES");
        is_some.then(|| format!("GRANT {privilege} ON {} TO {name}", identifier(database)))
    }));
    statements
}

/// A node that asks for passwords and has no users lets nobody in but who makes its first administrator: it gets the one that asks.
///
/// # Errors
/// [`WorkError`]: it does not get it.
pub(super) async fn first_administrator(target: &Node) -> Result<(), WorkError> {
    let Err(NodeError::Unauthorized { reason, .. }) = target.ask("", "SHOW DATABASES").await else {
        return Ok(());
    };
    let asker = target.asker();
    let is_without = reason.contains("create admin user first");
    let Some((name, password)) = asker.filter(|_| is_without) else {
        return Ok(());
    };
    let statement = PasswordStatement::create(name, password, true)?;
    Ok(target.give_password(&statement).await?)
}

/// Lets the target's shard groups become as long as this one of the source, whatever their policy says by now.
pub(super) async fn shard_duration(
    target: &Node,
    group: &ShardGroup,
    patience: &Patience<'_>,
    progress: &Progress,
) -> Result<(), WorkError> {
    const SECOND: i64 = 1_000_000_000;
    let seconds = group.until.saturating_sub(group.from) / SECOND;
    let statement = format!(
        "ALTER RETENTION POLICY {} ON {} SHARD DURATION {seconds}s",
        identifier(&group.policy),
        identifier(&group.database)
    );
    match carry_out(target, &statement, patience).await {
        // A policy keeps nothing for longer than that by now.
        Err(WorkError::Node(NodeError::Refused { reason, .. })) => {
            progress.note(format!(
                "Shards of {}.{} on {} are of another length than on the source: {reason}",
                group.database,
                group.policy,
                target.name()
            ));
            Ok(())
        }
        altered => altered,
    }
}

/// Gives policies the shard durations and limits of the source.
pub(super) async fn last_settings(
    target: &Node,
    source: &Schema,
    patience: &Patience<'_>,
) -> Result<(), WorkError> {
    let held = patience.until_done(|| Schema::of(target)).await?;
    let held: Vec<(&str, &Policy)> = all_policies(&held).collect();
    for (database, policy) in all_policies(source) {
        let mut held = held.iter();
        let Some((_, there)) =
            held.find(|(name, there)| *name == database && there.name == policy.name)
        else {
            continue;
        };
        let settings = [
            (
                "SHARD DURATION",
                &policy.shard_duration,
                &there.shard_duration,
            ),
            ("FUTURE LIMIT", &policy.future_limit, &there.future_limit),
            ("PAST LIMIT", &policy.past_limit, &there.past_limit),
        ];
        let differing: Vec<String> = settings
            .iter()
            .filter(|(_, wanted, there)| wanted != there && !wanted.is_empty())
            .map(|(word, wanted, _)| format!(" {word} {wanted}"))
            .collect();
        if !differing.is_empty() {
            let statement = format!(
                "ALTER RETENTION POLICY {} ON {}{}",
                identifier(&policy.name),
                identifier(database),
                differing.concat()
            );
            carry_out(target, &statement, patience).await?;
        }
    }
    Ok(())
}

fn all_policies(schema: &Schema) -> impl Iterator<Item = (&str, &Policy)> {
    schema.databases.iter().flat_map(|database| {
        let policies = database.policies.iter();
        policies.map(|policy| (database.name.as_str(), policy))
    })
}

/// Makes the continuous queries that the source has and the target has not. Returns the places of those that the target refuses, as a
/// comparison names them: InfluxDB keeps a query whose policy is dropped, and makes none such.
pub(super) async fn queries(
    source: &Node,
    target: &Node,
    patience: &Patience<'_>,
    progress: &Progress,
) -> Result<BTreeSet<String>, WorkError> {
    let mut refused = BTreeSet::new();
    let wanted = patience.until_done(|| Schema::of(source)).await?;
    let held = patience.until_done(|| Schema::of(target)).await?;
    for database in &wanted.databases {
        let there = held
            .databases
            .iter()
            .find(|there| there.name == database.name);
        let there: HashSet<&str> = there
            .iter()
            .flat_map(|there| &there.queries)
            .map(|query| query.name.as_str())
            .collect();
        for query in &database.queries {
            if there.contains(query.name.as_str()) {
                continue;
            }
            match carry_out(target, &query.text, patience).await {
                // What it reads or writes is gone, or a client has dropped, or made, something meanwhile.
                Err(WorkError::Node(NodeError::Refused { reason, .. })) => {
                    progress.note(format!(
                        "The continuous query {:?} of {} is not on {}: {reason}",
                        query.name,
                        database.name,
                        target.name()
                    ));
                    refused.insert(format!("{}.{}", database.name, query.name));
                }
                made => made?,
            }
        }
    }
    Ok(refused)
}

async fn give_password(
    target: &Node,
    statement: &PasswordStatement,
    patience: &Patience<'_>,
) -> Result<(), WorkError> {
    patience
        .until_done(|| target.give_password(statement))
        .await
}

async fn carry_out(
    target: &Node,
    statement: &str,
    patience: &Patience<'_>,
) -> Result<(), WorkError> {
    patience
        .until_done(|| async { target.ask("", statement).await.map(drop) })
        .await
}

/// A policy's duration in nanoseconds; none if it cannot be read.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    i64::try_from(policy_duration(text)?.as_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_become_those_of_the_source() {
        let grant = |database: &str, privilege: &str| (database.to_owned(), privilege.to_owned());
        let user = User {
            name: "a\"b".to_owned(),
            own_name: None,
            is_admin: false,
            grants: vec![
                grant("d", "READ"),
                grant("gone", "WRITE"),
                grant("e", "ALL PRIVILEGES"),
                grant("e", "NO PRIVILEGES"),
            ],
        };
        let databases = HashSet::from(["d", "e"]);
        assert_eq!(
            rights(&user, &identifier("a\"b"), true, &databases),
            [
                "REVOKE ALL PRIVILEGES FROM \"a\\\"b\"",
                "GRANT READ ON \"d\" TO \"a\\\"b\"",
                "GRANT ALL PRIVILEGES ON \"e\" TO \"a\\\"b\"",
            ]
        );
    }
}
