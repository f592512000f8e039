//! How far a rebuild has come, in the file `rebuild.json` beside the journal.
//!
//! It is [replaced](durable_file) as a whole. One that cannot be read is as good as none: a rebuild then begins with its first step, at
//! the pin that the journal still has. No password stands in it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use log::error;
use serde::{Deserialize, Serialize};

use super::finished::Finished;
use crate::durable_file;
use crate::heal::error::WorkError;
use crate::relay::Membership;

const FILE: &str = "rebuild.json";

/// What is done, or is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    Pin,
    Wipe,
    Points,
    Readmit,
    Proof,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Pin => "pin",
            Step::Wipe => "wipe",
            Step::Points => "points",
            Step::Readmit => "readmit",
            Step::Proof => "proof",
        })
    }
}

/// What is noted of a rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) target: String,
    pub(super) source: String,
    /// Which of the nodes the source is that were found at its address: what another one holds does not belong to the copy.
    #[serde(default)]
    pub(super) incarnation: u64,
    pub(super) step: Step,
    /// The last record that the target is not sent again.
    pub(super) pin: u64,
    /// The databases that were made on the target.
    pub(super) databases: Vec<String>,
    /// The users that were made on the target, by their names on the source.
    #[serde(default)]
    pub(super) users: BTreeSet<String>,
    /// Why it was stopped, if it was: it goes on when a person orders it.
    pub(super) stopped: Option<String>,
}

impl Plan {
    /// One of which nothing is done.
    pub(super) fn new(target: &str, source: &str, incarnation: u64) -> Plan {
        Plan {
            target: target.to_owned(),
            source: source.to_owned(),
            incarnation,
            step: Step::Pin,
            pin: 0,
            databases: Vec::new(),
            users: BTreeSet::new(),
            stopped: None,
        }
    }

    /// Whether it can go on with a target that stands so: what was copied belongs to one pin.
    pub(super) fn fits(&self, membership: &Membership) -> bool {
        match (membership, self.step) {
            (Membership::Rebuilding { .. }, Step::Pin)
            | (Membership::Following, Step::Readmit | Step::Proof) => true,
            (Membership::Rebuilding { pin, .. }, Step::Wipe | Step::Points | Step::Readmit) => {
                pin.sequence.get() == self.pin
            }
            (Membership::Following | Membership::Diverged(_), _)
            | (Membership::Rebuilding { .. }, Step::Proof) => false,
        }
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct PlanFile {
    folder: PathBuf,
}

impl PlanFile {
    /// In the relay's folder.
    pub(super) fn of(folder: &Path) -> PlanFile {
        PlanFile {
            folder: folder.to_owned(),
        }
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    fn fault(&self, source: io::Error) -> WorkError {
        WorkError::File {
            path: self.path(),
            source,
        }
    }

    /// What was noted last, if it can be read.
    ///
    /// # Errors
    /// The disk does not give the file.
    pub(super) fn read(&self) -> Result<Option<Plan>, WorkError> {
        match fs::read(self.path()) {
            Ok(text) => Ok(serde_json::from_slice(&text)
                .inspect_err(|error| error!("{}: {error}", self.path().display()))
                .ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.fault(error)),
        }
    }

    /// Notes this; it is on disk when this returns.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn write(&self, plan: &Plan) -> Result<(), WorkError> {
        let text = serde_json::to_vec_pretty(plan).map_err(io::Error::other);
        text.and_then(|text| durable_file::replace(&self.path(), &[&text]))
            .map_err(|error| self.fault(error))
    }

    /// Nothing is to be done any more.
    ///
    /// # Errors
    /// The file is still there.
    pub(super) fn remove(&self) -> Result<(), WorkError> {
        match fs::remove_file(self.path()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.fault(error)),
        }
        Finished::forget(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Position, Sequence};
    use crate::relay::membership::Divergence;

    #[test]
    fn a_plan_is_read_back_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = PlanFile::of(folder.path());
        assert_eq!(file.read().unwrap(), None);
        let mut plan = Plan::new("b", "a", 0);
        (plan.step, plan.pin) = (Step::Points, 7);
        plan.databases.push("with \"quotes\"\n".to_owned());
        file.write(&plan).unwrap();
        assert_eq!(file.read().unwrap(), Some(plan));
        fs::write(file.path(), b"{\"target\":").unwrap();
        assert_eq!(file.read().unwrap(), None);
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_copied_belongs_to_one_pin() {
        let rebuilding = |sequence| Membership::Rebuilding {
            divergence: Divergence::now("x"),
            pin: Position {
                sequence: Sequence::new(sequence),
                offset: 0,
            },
        };
        let diverged = Membership::Diverged(Divergence::now("x"));
        let mut plan = Plan::new("b", "a", 0);
        assert!(plan.fits(&rebuilding(7)) && !plan.fits(&Membership::Following));
        for step in [Step::Wipe, Step::Points] {
            (plan.step, plan.pin) = (step, 7);
            assert!(plan.fits(&rebuilding(7)) && !plan.fits(&rebuilding(8)));
            assert!(!plan.fits(&Membership::Following) && !plan.fits(&diverged));
        }
        plan.step = Step::Readmit;
        assert!(plan.fits(&rebuilding(7)) && plan.fits(&Membership::Following));
        plan.step = Step::Proof;
        assert!(!plan.fits(&rebuilding(7)) && plan.fits(&Membership::Following));
        assert!(!plan.fits(&diverged));
    }
}
