//! What became of a write.

use super::support::long_run::Reply;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged, when so many replicas had applied it.
    Acknowledged { applied: u8 },
    /// This other status came.
    Status(u16),
    /// Nobody took the connection: nothing was sent.
    NotSent,
    /// It was sent, at least in part, and no answer came.
    Silence,
}

impl Outcome {
    pub fn of(reply: &Reply) -> Self {
        match reply {
            Reply::NotSent => Outcome::NotSent,
            Reply::Silence => Outcome::Silence,
            Reply::Answer(answer) => match answer.status {
                200..=299 => Outcome::Acknowledged {
                    applied: answer.header("x-haflux-applied").map_or(0, applied),
                },
                status => Outcome::Status(status),
            },
        }
    }

    pub fn is_acknowledged(self) -> bool {
        matches!(self, Outcome::Acknowledged { .. })
    }
}

/// How many replicas had applied it: the first number of two.
fn applied(header: &str) -> u8 {
    let number = header.split('/').next().unwrap_or_default();
    number
        .parse()
        .unwrap_or_else(|_| panic!("{header} is no number of replicas"))
}
