//! Why a node does not give what it was asked for.

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
    #[error("{node} answered {status} to the administrator {user:?}: {reason}")]
    Unauthorized {
        node: String,
        status: u16,
        user: String,
        reason: String,
    },
    /// It says an error, which it will say again.
    #[error("{node} refuses: {reason}")]
    Refused { node: String, reason: String },
    /// Its answer cannot be read.
    #[error("{node} gave an answer that cannot be read: {reason}")]
    Unreadable { node: String, reason: String },
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
            | NodeError::Unreadable { .. } => false,
        }
    }

    /// Whether it may do what it was asked when it is asked again.
    pub(in crate::heal) fn may_pass(&self) -> bool {
        matches!(self, NodeError::Unreachable { .. } | NodeError::Busy { .. })
    }
}
