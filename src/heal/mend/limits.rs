//! Write limits of policies (1.12 and newer): a node refuses points of other times than a policy's limits allow, and those that are
//! mended may be of any. So the limits are lifted on the node for as long as its lines are written.
//!
//! What is lifted is noted on disk before, in the file `lifted-limits.json` beside the journal, until it is set again: by the same mend,
//! or, if that was cut off, by the next mend or a rebuild from this node.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use log::warn;
use serde::{Deserialize, Serialize};

use super::patiently;
use crate::durable_file;
use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError};
use crate::heal::progress::Progress;
use crate::heal::schema::{self, Policy};
use crate::influx::influxql::identifier;
use crate::relay::RelayNode;

const FILE: &str = "lifted-limits.json";

/// A limit that is not there, in a statement.
const NONE: &str = "0s";

/// Limits of a policy that are lifted on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::heal) struct Lifted {
    node: String,
    database: String,
    policy: String,
    /// As the node listed it; empty where there was none.
    future_limit: String,
    /// The same.
    past_limit: String,
}

impl Lifted {
    /// What sets them again, but for those that the policy has by now; nothing if that is nothing. `there`: the policy as it is.
    fn statement(&self, there: &Policy) -> Option<String> {
        let is_lost = |wanted: &str, there: &str| there.is_empty() && !wanted.is_empty();
        let future = is_lost(&self.future_limit, &there.future_limit);
        let past = is_lost(&self.past_limit, &there.past_limit);
        let limit = |is_lost: bool, word: &str, wanted: &str| match is_lost {
            true => format!(" {word} LIMIT {wanted}"),
            false => String::new(),
        };
        (future || past).then(|| {
            format!(
                "{}{}{}",
                self.beginning(),
                limit(future, "FUTURE", &self.future_limit),
                limit(past, "PAST", &self.past_limit)
            )
        })
    }

    /// What lifts them.
    fn lifting(&self) -> String {
        format!("{} FUTURE LIMIT {NONE} PAST LIMIT {NONE}", self.beginning())
    }

    /// What sets both, whatever the policy has by now.
    fn setting(&self) -> String {
        let or_none = |limit: &str| match limit {
            "" => NONE.to_owned(),
            limit => limit.to_owned(),
        };
        format!(
            "{} FUTURE LIMIT {} PAST LIMIT {}",
            self.beginning(),
            or_none(&self.future_limit),
            or_none(&self.past_limit)
        )
    }

    fn beginning(&self) -> String {
        format!(
            "ALTER RETENTION POLICY {} ON {}",
            identifier(&self.policy),
            identifier(&self.database)
        )
    }

    fn is_same_place(&self, other: &Lifted) -> bool {
        self.node == other.node && self.database == other.database && self.policy == other.policy
    }
}

/// The file of a relay with what is lifted.
pub(in crate::heal) struct LiftedLimits {
    path: PathBuf,
}

impl LiftedLimits {
    /// In the relay's folder.
    pub(in crate::heal) fn of(folder: &Path) -> LiftedLimits {
        LiftedLimits {
            path: folder.join(FILE),
        }
    }

    /// Lifts the limits of a policy; nothing if it has none. They are noted before.
    ///
    /// # Errors
    /// [`WorkError`]: nothing is lifted, or it is noted.
    pub(super) async fn lift(
        &self,
        node: &Node,
        database: &str,
        policy: &str,
    ) -> Result<Option<Lifted>, WorkError> {
        let mut policies = schema::policies(node, database).await?.into_iter();
        let policy = policies.find(|known| known.name == policy);
        let limited =
            policy.filter(|known| !known.future_limit.is_empty() || !known.past_limit.is_empty());
        let Some(policy) = limited else {
            return Ok(None);
        };
        let lifted = Lifted {
            node: node.name().to_owned(),
            database: database.to_owned(),
            policy: policy.name,
            future_limit: policy.future_limit,
            past_limit: policy.past_limit,
        };
        self.change(|noted| {
            noted.retain(|known| !known.is_same_place(&lifted));
            noted.push(lifted.clone());
        })?;
        node.ask("", &lifted.lifting()).await?;
        Ok(Some(lifted))
    }

    /// Sets them again; a node that is away or busy is asked again.
    ///
    /// # Errors
    /// [`WorkError`]: the policy may be without them. A note names the statement that sets them.
    pub(super) async fn set_again(
        &self,
        node: &Node,
        lifted: &Lifted,
        progress: &Progress,
    ) -> Result<(), WorkError> {
        let statement = lifted.setting();
        if let Err(error) = patiently(|| node.ask("", &statement)).await {
            progress.note(format!(
                "write limits of {}.{} are lifted on {} still; the next mend sets them again, or: {statement}",
                lifted.database,
                lifted.policy,
                node.name()
            ));
            return Err(error.into());
        }
        self.forget(|known| known.is_same_place(lifted))
    }

    /// Sets again on these nodes what a mend that was cut off has left lifted; a dry run says how. A limit that a policy has got since stays.
    /// Notes of policies that are gone go, and so do those of nodes that the relay does not have any more: `known` are those that it has.
    ///
    /// # Errors
    /// [`WorkError`]: a node cannot be asked, or the file cannot be written.
    pub(in crate::heal) async fn restore(
        &self,
        nodes: &[Node],
        known: &[RelayNode],
        dry_run: bool,
        progress: &Progress,
    ) -> Result<(), WorkError> {
        for lifted in self.read()? {
            let Some(node) = nodes.iter().find(|node| node.name() == lifted.node) else {
                if !dry_run && known.iter().all(|known| known.name != lifted.node) {
                    self.forget(|known| known.is_same_place(&lifted))?;
                }
                continue;
            };
            let policies = match schema::policies(node, &lifted.database).await {
                Err(error) if error.is_absent() => Vec::new(),
                policies => policies?,
            };
            let mut policies = policies.iter();
            let there = policies.find(|known| known.name == lifted.policy);
            let statement = there.and_then(|there| lifted.statement(there));
            match statement {
                Some(statement) if dry_run => {
                    progress.note(format!("on {} would be run: {statement}", node.name()));
                    continue;
                }
                Some(statement) => match patiently(|| node.ask("", &statement)).await {
                    Ok(_) => progress.note(format!(
                        "on {} was run, because a mend had left these limits lifted: {statement}",
                        node.name()
                    )),
                    Err(error @ NodeError::Refused { .. }) => {
                        progress.note(format!("{error}: {statement}"));
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                },
                None if dry_run => continue,
                None => {}
            }
            self.forget(|known| known.is_same_place(&lifted))?;
        }
        Ok(())
    }

    /// Nothing is lifted on this node any more, because all of it is dropped.
    ///
    /// # Errors
    /// [`WorkError::File`]
    pub(in crate::heal) fn forget_node(&self, node: &str) -> Result<(), WorkError> {
        self.forget(|known| known.node == node)
    }

    /// Says in the log what is lifted.
    pub(in crate::heal) fn warn(&self, relay: &str) {
        match self.read() {
            Ok(noted) => {
                for lifted in noted {
                    warn!(
                        "relay {relay}: a mend was cut off and has left write limits lifted on {}: the next mend sets them again, or: {}",
                        lifted.node,
                        lifted.setting()
                    );
                }
            }
            Err(error) => warn!("relay {relay}: {error}"),
        }
    }

    fn forget(&self, is_meant: impl Fn(&Lifted) -> bool) -> Result<(), WorkError> {
        self.change(|noted| noted.retain(|known| !is_meant(known)))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Lifted>)) -> Result<(), WorkError> {
        let before = self.read()?;
        let mut noted = before.clone();
        change(&mut noted);
        if noted == before {
            return Ok(());
        }
        let written = match noted.is_empty() {
            true => fs::remove_file(&self.path),
            false => serde_json::to_vec_pretty(&noted)
                .map_err(io::Error::other)
                .and_then(|text| durable_file::replace(&self.path, &[&text])),
        };
        written.map_err(|error| self.fault(error))
    }

    /// What is noted. A file that cannot be understood is an error, because what is lifted would stay so.
    fn read(&self) -> Result<Vec<Lifted>, WorkError> {
        let text = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(|error| self.fault(error))?,
        };
        let noted = serde_json::from_slice(&text).map_err(io::Error::other);
        noted.map_err(|error| self.fault(error))
    }

    fn fault(&self, source: io::Error) -> WorkError {
        WorkError::File {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::statements::tests::policy;
    use super::*;

    fn lifted(node: &str, policy: &str) -> Lifted {
        Lifted {
            node: node.to_owned(),
            database: "d".to_owned(),
            policy: policy.to_owned(),
            future_limit: String::new(),
            past_limit: "1h0m0s".to_owned(),
        }
    }

    #[test]
    fn what_is_lifted_is_noted_until_it_is_set_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = LiftedLimits::of(folder.path());
        assert_eq!(file.read().unwrap(), []);
        let all = [lifted("n1", "a"), lifted("n2", "a"), lifted("n2", "b")];
        file.change(|noted| noted.extend(all.clone())).unwrap();
        assert_eq!(LiftedLimits::of(folder.path()).read().unwrap(), all);
        let [first, ..] = &all;
        file.forget(|known| known.is_same_place(first)).unwrap();
        assert_eq!(file.read().unwrap(), all[1..]);
        file.forget_node("n2").unwrap();
        file.forget_node("n2").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::write(&file.path, "{").unwrap();
        file.read().unwrap_err();
    }

    #[test]
    fn limits_that_a_policy_has_got_since_stay() {
        let mut wanted = lifted("n1", "a");
        let mut there = policy("a", true);
        let beginning = "ALTER RETENTION POLICY \"a\" ON \"d\"";
        assert_eq!(
            wanted.statement(&there),
            Some(format!("{beginning} PAST LIMIT 1h0m0s"))
        );
        wanted.future_limit = "2h0m0s".to_owned();
        there.past_limit = "5m0s".to_owned();
        assert_eq!(
            wanted.statement(&there),
            Some(format!("{beginning} FUTURE LIMIT 2h0m0s"))
        );
        there.future_limit = "1s".to_owned();
        assert_eq!(wanted.statement(&there), None);
        assert_eq!(
            wanted.setting(),
            format!("{beginning} FUTURE LIMIT 2h0m0s PAST LIMIT 1h0m0s")
        );
    }
}
