//! Lines whose tags cost a node more than their bytes do.
//!
//! InfluxDB sorts the tags of a line by insertion, before it looks at the line's length or its fields: 1,000 unsorted tags take
//! it 10 ms, 10,000 1.4 s, 100,000 minutes. Fields have no such cost (30,000 new ones: 0.2 s), so they have no limit.

use memchr::{memchr_iter, memchr2};

/// The shortest tag with its comma.
const SHORTEST_TAG: usize = ",a=b".len();

/// Lines with fewer tags than this cost next to nothing.
const FEW: usize = 100;

/// A body may cost as much as this many lines with the most tags: about three seconds of a node for the default of 1,000.
const LINES: u128 = 300;

/// What makes a line an error. It holds nothing that means something to the scanner, and no `=`.
const REFUSAL: &[u8] = b"': too many tags (max_tags)";

/// So much of the line is quoted in the error.
const QUOTED: usize = 64;

/// Counts the tags of one body's lines.
pub struct TagBudget {
    most: usize,
    /// What is left, in squares of tags.
    left: u128,
}

impl TagBudget {
    /// For a body of which no line may have more than `most` tags.
    pub fn new(most: usize) -> Self {
        let square = (most as u128).saturating_mul(most as u128);
        Self {
            most,
            left: square.saturating_mul(LINES),
        }
    }

    /// Whether a node may be sent this line: the text of a [`super::Line`].
    pub fn admits(&mut self, text: &[u8]) -> bool {
        if text.len() < FEW.min(self.most).saturating_mul(SHORTEST_TAG) {
            return true;
        }
        let tags = tags(text);
        if tags > self.most {
            return false;
        }
        if tags <= FEW {
            return true;
        }
        let square = (tags as u128).saturating_mul(tags as u128);
        match self.left.checked_sub(square) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// How many tags InfluxDB may find in a line: the commas before the first space that no `\` precedes.
fn tags(text: &[u8]) -> usize {
    let mut end = 0;
    loop {
        let rest = text.get(end..).unwrap_or_default();
        match memchr::memchr(b' ', rest) {
            None => {
                end = text.len();
                break;
            }
            Some(distance) => {
                end += distance;
                if end.checked_sub(1).and_then(|before| text.get(before)) != Some(&b'\\') {
                    break;
                }
                end += 1;
            }
        }
    }
    memchr_iter(b',', text.get(..end).unwrap_or_default()).count()
}

/// What stands for a line with too many tags: its beginning, and what InfluxDB refuses before it sorts anything, so that its
/// error reads `unable to parse '<beginning>': too many tags (max_tags)…`.
pub(super) fn refused(text: &[u8]) -> Vec<u8> {
    let head = text.get(..QUOTED).unwrap_or(text);
    let head = head
        .get(..memchr2(b'\\', b'"', head).unwrap_or(head.len()))
        .unwrap_or_default();
    let head = head
        .get(..memchr2(b'\n', b' ', head).unwrap_or(head.len()))
        .unwrap_or_default();
    [head, REFUSAL].concat()
}

#[cfg(test)]
mod tests {
    use super::super::{LineShape, inspect};
    use super::*;

    fn line(tags: usize) -> String {
        let tags: String = (0..tags).rev().map(|tag| format!(",t{tag}=x")).collect();
        format!("m{tags} v=1 1")
    }

    #[test]
    fn a_line_and_a_body_have_limits() {
        let mut budget = TagBudget::new(1000);
        assert!(budget.admits(b"m v=1"));
        assert!(budget.admits(line(1000).as_bytes()));
        assert!(!budget.admits(line(1001).as_bytes()));
        assert!(budget.admits(format!("m v=\"{}\"", ",".repeat(5000)).as_bytes()));
        assert!(!budget.admits(format!("m\\ {}", ",a=b".repeat(1001)).as_bytes()));
        let many = line(1000);
        let taken = (0..1000).filter(|_| budget.admits(many.as_bytes())).count();
        assert_eq!(taken, 299, "and one before");
        assert!(budget.admits(line(100).as_bytes()), "what costs nothing");
        assert!(!TagBudget::new(2).admits(line(3).as_bytes()));
    }

    #[test]
    fn what_takes_its_place_is_refused_and_quotes_its_beginning() {
        for text in [
            line(2000),
            format!("\"{}", line(2000)),
            format!("m\\ {}", line(2000)),
            "m\n".to_owned(),
        ] {
            let refused = refused(text.as_bytes());
            assert_eq!(inspect(&refused), LineShape::Refused, "{text:.40}");
            assert!(refused.ends_with(REFUSAL) && refused.len() < 100);
        }
        assert!(refused(line(2000).as_bytes()).starts_with(b"m,t1999=x,"));
    }
}
