//! Write limits of policies (1.12 and newer): a node refuses points of other times than a policy's limits allow, and those that are
//! mended may be of any. So the limits are lifted on the node for as long as its lines are written.
//!
//! If a mend is killed in between, the limits are a difference between the nodes, which the next one ends.

use super::patiently;
use crate::heal::node::{Node, NodeError};
use crate::heal::schema::{self, Policy};
use crate::influx::influxql::identifier;

/// Limits that were lifted.
pub(super) struct Lifted {
    database: String,
    policy: Policy,
}

impl Lifted {
    /// Lifts the limits of a policy; nothing if it has none.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn of(
        node: &Node,
        database: &str,
        policy: &str,
    ) -> Result<Option<Lifted>, NodeError> {
        let mut policies = schema::policies(node, database).await?.into_iter();
        let policy = policies.find(|known| known.name == policy);
        let limited =
            policy.filter(|known| !known.future_limit.is_empty() || !known.past_limit.is_empty());
        let Some(policy) = limited else {
            return Ok(None);
        };
        let lifted = Lifted {
            database: database.to_owned(),
            policy,
        };
        node.ask("", &lifted.statement("0s", "0s")).await?;
        Ok(Some(lifted))
    }

    /// Sets them again; a node that is away or busy is asked again.
    ///
    /// # Errors
    /// [`NodeError`]: the policy may be without them.
    pub(super) async fn set_again(&self, node: &Node) -> Result<(), NodeError> {
        let Policy {
            future_limit,
            past_limit,
            ..
        } = &self.policy;
        let statement = self.statement(future_limit, past_limit);
        patiently(|| node.ask("", &statement)).await.map(drop)
    }

    fn statement(&self, future: &str, past: &str) -> String {
        let of_none = |limit: &str| if limit.is_empty() { "0s" } else { limit }.to_owned();
        format!(
            "ALTER RETENTION POLICY {} ON {} FUTURE LIMIT {} PAST LIMIT {}",
            identifier(&self.policy.name),
            identifier(&self.database),
            of_none(future),
            of_none(past)
        )
    }
}
