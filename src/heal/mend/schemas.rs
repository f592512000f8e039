//! Databases, policies and continuous queries that a node lacks, or has other ones of. Nothing is removed: what a node has more is
//! named, with the statement that removes it.

use std::collections::BTreeSet;

use super::statements::statements;
use super::{Mend, PAUSE, TRIES};
use crate::heal::error::WorkError;
use crate::heal::gate;
use crate::heal::node::{Node, NodeError};
use crate::heal::schema::{Database, Schema};
use crate::influx::Account;
use crate::influx::influxql::identifier;

/// What is to be done for one database of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    database: String,
    statements: Vec<String>,
}

impl Mend<'_> {
    /// Makes the nodes have what the source has; without one, what any has.
    pub(super) async fn schemas(&self, dry_run: bool) -> Result<(), WorkError> {
        self.progress.step("comparing schemas");
        let schemas = self.each_schema().await?;
        let sources: Vec<usize> = match self.source {
            Some(source) => vec![source],
            None => (0..self.nodes.len()).collect(),
        };
        for (at, there) in schemas.iter().enumerate() {
            for source in sources.iter().filter(|source| **source != at) {
                let Some(schema) = schemas.get(*source) else {
                    continue;
                };
                let is_union = self.source.is_none();
                for wanted in wanted(schema, there, is_union, &self.places.databases) {
                    self.make(at, *source, wanted, dry_run).await?;
                }
            }
        }
        let Some(source) = self.source else {
            return Ok(());
        };
        // What was made just now may have brought more.
        let schemas = match dry_run {
            true => schemas,
            false => self.each_schema().await?,
        };
        match self.has_more(source, &schemas) {
            true => self.name_more(source).await,
            false => Ok(()),
        }
    }

    async fn each_schema(&self) -> Result<Vec<Schema>, WorkError> {
        let schemas = self.prompt.iter().map(Schema::of);
        Ok(futures_util::future::try_join_all(schemas).await?)
    }

    /// Makes what a node lacks of one database, while no client changes it.
    async fn make(
        &self,
        at: usize,
        source: usize,
        wanted: Wanted,
        dry_run: bool,
    ) -> Result<(), WorkError> {
        let (Some(node), Some(source)) = (self.prompt.get(at), self.prompt.get(source)) else {
            return Ok(());
        };
        if dry_run {
            for statement in &wanted.statements {
                self.progress
                    .note(format!("on {} would be run: {statement}", node.name()));
            }
            return Ok(());
        }
        let mut refused = BTreeSet::new();
        let mut left = wanted.statements;
        for tried in 0..=TRIES {
            if tried > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let making = self.try_to_make(node, source, &wanted.database, &mut refused);
            left = making.await?;
            if left.is_empty() {
                return Ok(());
            }
        }
        for statement in left {
            self.progress.note(format!(
                "on {} was not run in time: {statement}",
                node.name()
            ));
        }
        Ok(())
    }

    /// The statements for which there was no time. Those that were `refused` are not run again.
    async fn try_to_make(
        &self,
        node: &Node,
        source: &Node,
        database: &str,
        refused: &mut BTreeSet<String>,
    ) -> Result<Vec<String>, WorkError> {
        let closed = self.close_gate().await?;
        // What was on its way when they were asked first is there by now.
        let (of_source, there) = futures_util::future::try_join(
            Database::of(source, database),
            Database::of(node, database),
        )
        .await?;
        let Some(of_source) = of_source else {
            return Ok(Vec::new());
        };
        let mut left = Vec::new();
        for statement in statements(&of_source, there.as_ref(), self.source.is_none()) {
            if refused.contains(&statement) {
                continue;
            }
            if closed.left() < self.reserve() {
                left.push(statement);
                continue;
            }
            match node.ask(database, &statement).await {
                Ok(_) => self
                    .progress
                    .note(format!("on {} was run: {statement}", node.name())),
                Err(error @ NodeError::Refused { .. }) => {
                    self.progress.note(format!("{error}: {statement}"));
                    refused.insert(statement);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(left)
    }

    /// Whether any node has more than the source, or lacks users.
    fn has_more(&self, source: usize, schemas: &[Schema]) -> bool {
        let Some(wanted) = schemas.get(source) else {
            return false;
        };
        let only = &self.places.databases;
        let mut schemas = schemas.iter();
        schemas.any(|there| {
            !more(wanted, there, only).is_empty() || !lacking_users(wanted, there, only).is_empty()
        })
    }

    /// What all nodes have; nothing if it was never read in the time for which writes may wait.
    async fn schemas_while_nothing_moves(&self) -> Result<Option<Vec<Schema>>, WorkError> {
        for tried in 0..=TRIES {
            if tried > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let look = self.each_schema();
            let seen = gate::while_closed(self.relay, self.names, self.progress, look).await?;
            if seen.is_some() {
                return Ok(seen);
            }
        }
        Ok(None)
    }

    /// Names what nodes have more than the source, and users that they lack, while nothing is on its way.
    async fn name_more(&self, source: usize) -> Result<(), WorkError> {
        let Some(schemas) = self.schemas_while_nothing_moves().await? else {
            self.progress.note(
                "what a node has more was not read in the time for which writes may wait (heal.gate)",
            );
            return Ok(());
        };
        let (Some(wanted), Some(source)) = (schemas.get(source), self.names.get(source)) else {
            return Ok(());
        };
        let only = &self.places.databases;
        for (node, there) in self.nodes.iter().zip(&schemas) {
            let (own, node) = (node.own_accounts(), node.name());
            for (what, statement) in more(wanted, there, only) {
                self.progress.note(format!(
                    "{node} has {what}, which {source} has not; what removes it there: {statement}"
                ));
            }
            for user in lacking_users(wanted, there, only) {
                let user = own.get(user).map_or(user, Account::username);
                self.progress.note(format!(
                    "{node} lacks the user {user}, whose password cannot be read out of {source}: create it there"
                ));
            }
        }
        Ok(())
    }
}

/// What a node lacks, database by database. A union changes nothing that is there.
fn wanted(source: &Schema, there: &Schema, is_union: bool, only: &[String]) -> Vec<Wanted> {
    let databases = source.databases.iter();
    let asked_for = databases.filter(|database| is_asked_for(only, &database.name));
    let wanted = asked_for.map(|database| {
        let mut known = there.databases.iter();
        let known = known.find(|known| known.name == database.name);
        Wanted {
            database: database.name.clone(),
            statements: statements(database, known, is_union),
        }
    });
    wanted
        .filter(|wanted| !wanted.statements.is_empty())
        .collect()
}

fn is_asked_for(only: &[String], database: &str) -> bool {
    only.is_empty() || only.iter().any(|name| name == database)
}

/// The users that a node lacks, where all databases are mended.
fn lacking_users<'schema>(
    source: &'schema Schema,
    there: &Schema,
    only: &[String],
) -> Vec<&'schema str> {
    let names: BTreeSet<&str> = there.users.iter().map(|user| user.name.as_str()).collect();
    let wanted = source.users.iter().map(|user| user.name.as_str());
    wanted
        .filter(|name| only.is_empty() && !names.contains(name))
        .collect()
}

/// What a node has that the source has not, and the statement that removes it.
fn more(source: &Schema, there: &Schema, only: &[String]) -> Vec<(String, String)> {
    let mut more = Vec::new();
    for database in &there.databases {
        let name = &database.name;
        if !is_asked_for(only, name) {
            continue;
        }
        let quoted = identifier(name);
        let known = source.databases.iter().find(|known| known.name == *name);
        let Some(known) = known else {
            let what = format!("the database {name}");
            more.push((what, format!("DROP DATABASE {quoted}")));
            continue;
        };
        for policy in &database.policies {
            if known.policies.iter().all(|known| known.name != policy.name) {
                let what = format!("the policy {name}.{}", policy.name);
                let policy = identifier(&policy.name);
                more.push((what, format!("DROP RETENTION POLICY {policy} ON {quoted}")));
            }
        }
        for query in &database.queries {
            // One with another text is removed, and then made as the source has it.
            if !known.queries.contains(query) {
                let what = format!("the continuous query {name}.{}", query.name);
                let query = identifier(&query.name);
                more.push((what, format!("DROP CONTINUOUS QUERY {query} ON {quoted}")));
            }
        }
    }
    if only.is_empty() {
        for user in &there.users {
            let is_of_haflux = user.own_name.is_some();
            if !is_of_haflux && source.users.iter().all(|known| known.name != user.name) {
                let what = format!("the user {}", user.name);
                more.push((what, format!("DROP USER {}", identifier(&user.name))));
            }
        }
    }
    more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heal::mend::statements::tests::{database, policy, schema};
    use crate::heal::schema::User;

    #[test]
    fn what_a_node_has_more_is_named() {
        let source = schema(vec![database("d", vec![policy("a", true)])]);
        let mut there = schema(vec![
            database("d", vec![policy("a", true), policy("b", false)]),
            database("e", Vec::new()),
        ]);
        for (name, own_name) in [("u", None), ("writer", Some("scribe".to_owned()))] {
            there.users.push(User {
                name: name.to_owned(),
                own_name,
                is_admin: false,
                grants: Vec::new(),
            });
        }
        let named: Vec<String> = more(&source, &there, &[])
            .into_iter()
            .map(|(_, statement)| statement)
            .collect();
        assert_eq!(
            named,
            [
                "DROP RETENTION POLICY \"b\" ON \"d\"",
                "DROP DATABASE \"e\"",
                "DROP USER \"u\""
            ]
        );
        assert!(more(&source, &there, &["x".to_owned()]).is_empty());
    }
}
