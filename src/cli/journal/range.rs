//! `FROM..TO`.

use std::str::FromStr;

/// Sequences, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// A text that is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected two sequences such as 10..20, 10.. or ..20, or one")]
pub(super) struct BadRange;

impl FromStr for Range {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Range, BadRange> {
        let number = |text: &str, default| match text {
            "" => Ok(default),
            digits => digits.parse::<u64>().map_err(|_| BadRange),
        };
        let range = match text.split_once("..") {
            Some((from, to)) => Range {
                from: number(from, 0)?,
                to: number(to, u64::MAX)?,
            },
            None => {
                let one = text.parse().map_err(|_| BadRange)?;
                Range { from: one, to: one }
            }
        };
        if range.from > range.to {
            return Err(BadRange);
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood() {
        for (text, from, to) in [
            ("1..2", 1, 2),
            ("1..", 1, u64::MAX),
            ("..2", 0, 2),
            ("..", 0, u64::MAX),
            ("7", 7, 7),
        ] {
            assert_eq!(text.parse(), Ok(Range { from, to }), "{text}");
        }
        for text in ["", "a", "2..1", "1-2", "1..2..3", "-1"] {
            assert_eq!(text.parse::<Range>(), Err(BadRange), "{text}");
        }
    }
}
