//! Whether clients wait for a replica, in one value: its replicator computes it at each step, and the pending clients goes by it.

/// How far a replica is from taking what is written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It was not asked since the start.
    Unasked,
    /// It does not answer, or is diverged.
    Away,
    /// It answers, and is too far behind the head, or held up by a statement.
    Behind,
    /// It answers and is near the head: clients wait for it.
    Near,
}

impl Reach {
    /// Whether clients wait for it.
    pub fn is_near(self) -> bool {
        self == Reach::Near
    }

    /// Whether it answers.
    pub fn answers(self) -> bool {
        matches!(self, Reach::Behind | Reach::Near)
    }
}
