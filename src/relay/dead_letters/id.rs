//! What a letter is called.

use std::fmt;
use std::str::FromStr;

const SUFFIX: &str = ".letter";
const DAMAGED: &str = ".letter.damaged";
const NEW: &str = ".letter.new";
const DIGITS: usize = 20;

/// A letter's name: record and replica. Prints as `41-influxlab2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// The record's sequence.
    pub sequence: u64,
    /// The replica that refused it.
    pub replica: String,
}

/// A text that names no letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a sequence and a replica, such as 41-influx2")]
pub struct BadLetterId;

/// What a file of the folder is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileName {
    Letter(LetterId),
    Damaged(LetterId),
    New,
}

impl FileName {
    /// `None` for files that are none of ours.
    pub(super) fn parse(name: &str) -> Option<FileName> {
        let id = |stem: &str| {
            let (digits, _) = stem.split_once('-')?;
            (digits.len() == DIGITS)
                .then(|| stem.parse().ok())
                .flatten()
        };
        if let Some(stem) = name.strip_suffix(DAMAGED) {
            return id(stem).map(FileName::Damaged);
        }
        if let Some(stem) = name.strip_suffix(NEW) {
            return id(stem).map(|_| FileName::New);
        }
        id(name.strip_suffix(SUFFIX)?).map(FileName::Letter)
    }
}

impl LetterId {
    pub(super) fn file_name(&self) -> String {
        format!("{:020}-{}{SUFFIX}", self.sequence, self.replica)
    }

    pub(super) fn damaged_name(&self) -> String {
        format!("{:020}-{}{DAMAGED}", self.sequence, self.replica)
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.sequence, self.replica)
    }
}

impl FromStr for LetterId {
    type Err = BadLetterId;

    fn from_str(text: &str) -> Result<LetterId, BadLetterId> {
        let (digits, replica) = text.split_once('-').ok_or(BadLetterId)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit())
            || replica.is_empty()
            || replica.contains(|character: char| character == '/' || character.is_control())
        {
            return Err(BadLetterId);
        }
        Ok(LetterId {
            sequence: digits.parse().map_err(|_| BadLetterId)?,
            replica: replica.to_owned(),
        })
    }
}
