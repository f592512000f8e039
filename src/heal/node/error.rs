//! Why a node does not give what it was asked for.

use crate::relay::TenureEnded;

/// Why there is no answer, or none that helps. No text holds credentials.
#[derive(Debug, thiserror::Error)]
pub(in crate::heal) enum NodeError {
    /// It cannot be reached, or the connection broke, or it was silent for too long: worth another try.
    #[error("{node}: {reason}")]
    Unreachable { node: String, reason: String },
    /// It answers that it cannot now: worth another try.
    #[error("{node} answered {status}: {reason}")]
    Busy {
        node: String,
        status: u16,
        reason: String,
    },
    /// It does not let these credentials do it.
    #[error("{node} answered {status} to {}: {reason}", Asker(user.as_deref()))]
    Unauthorized {
        node: String,
        status: u16,
        /// Who asked; none if that was in nobody's name.
        user: Option<String>,
        reason: String,
    },
    /// It says an error, which it will say again.
    #[error("{node} refuses: {reason}")]
    Refused { node: String, reason: String },
    /// Its answer cannot be read.
    #[error("{node} gave an answer that cannot be read: {reason}")]
    Unreadable { node: String, reason: String },
    /// A chunk of its answer is too large: the next try asks for smaller ones.
    #[error("{node}: {reason}")]
    LargeChunk { node: String, reason: String },
    /// It is another node than it was, or follows the journal no more: nothing that it says counts.
    #[error(transparent)]
    Ended(#[from] TenureEnded),
    /// No question has these points, and no others, for an answer.
    #[error("{node} cannot be asked for it: {reason}")]
    Unaskable { node: String, reason: String },
}

/// Who asked, for a person.
struct Asker<'name>(Option<&'name str>);

impl std::fmt::Display for Asker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(user) => write!(f, "the administrator {user:?}"),
            None => f.write_str("a question in nobody's name, because heal.username is not set"),
        }
    }
}

impl NodeError {
    /// Whether it says that it has no such database or policy: it holds nothing in it.
    pub(in crate::heal) fn is_absent(&self) -> bool {
        match self {
            NodeError::Refused { reason, .. } => {
                reason.starts_with("database not found: ")
                    || reason.starts_with("retention policy not found: ")
            }
            NodeError::Unreachable { .. }
            | NodeError::Busy { .. }
            | NodeError::Unauthorized { .. }
            | NodeError::Unreadable { .. }
            | NodeError::LargeChunk { .. }
            | NodeError::Ended(_)
            | NodeError::Unaskable { .. } => false,
        }
    }

    /// What it says of why it refuses.
    pub(in crate::heal) fn reason_of_refusal(&self) -> Option<&str> {
        match self {
            NodeError::Refused { reason, .. } => Some(reason),
            NodeError::Unreachable { .. }
            | NodeError::Busy { .. }
            | NodeError::Unauthorized { .. }
            | NodeError::Unreadable { .. }
            | NodeError::LargeChunk { .. }
            | NodeError::Ended(_)
            | NodeError::Unaskable { .. } => None,
        }
    }

    /// Whether it may do what it was asked when it is asked again.
    pub(in crate::heal) fn may_pass(&self) -> bool {
        matches!(
            self,
            NodeError::Unreachable { .. } | NodeError::Busy { .. } | NodeError::LargeChunk { .. }
        )
    }

    /// Whether the names or values of what was asked for are the reason, so that other points can be had.
    pub(in crate::heal) fn is_of_these_points(&self) -> bool {
        matches!(
            self,
            NodeError::Unreadable { .. } | NodeError::Unaskable { .. }
        )
    }
}
