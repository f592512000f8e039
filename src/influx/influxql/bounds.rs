//! Whether a query reads only from some moment on.
//!
//! InfluxDB reads a measurement within the intersection of the times that its own `SELECT` and all around it set
//! (query/compile.go, `subquery`). So a measurement is bounded if one of these has a lower bound of time. What the bound is, is not
//! looked at: `time > 0` is one.

use super::condition;
use super::keyword::Keyword;
use super::scan::{Kind, Scanner, Token, Unreadable};

/// Whether a `SELECT`, or one that is executed by `EXPLAIN ANALYZE`, reads a measurement without a lower bound of time. What cannot be
/// told, because a bound parameter may stand for `time`, a condition is of an odd form, or a `/` may divide or begin a regular
/// expression, is no bound. Any other text that cannot be cut into tokens is refused by InfluxDB and reads nothing.
///
/// ```
/// use haflux::influx::influxql::is_unbounded;
///
/// assert!(is_unbounded(b"SELECT v FROM m WHERE time < now()"));
/// assert!(!is_unbounded(b"SELECT v FROM (SELECT v FROM m) WHERE time > now() - 1h"));
/// ```
pub fn is_unbounded(query: &[u8]) -> bool {
    let tokens = match Scanner::new(query).collect::<Result<Vec<Token>, _>>() {
        Ok(tokens) => tokens,
        Err(unreadable) => return unreadable == Unreadable::Slash,
    };
    let mut statements = tokens.split(|token| token.kind == Kind::Semicolon);
    statements.any(|statement| {
        let word = |at: usize| statement.get(at).and_then(|token| token.keyword());
        let reads = match word(0) {
            Some(Keyword::Select) => true,
            Some(Keyword::Explain) => word(1) == Some(Keyword::Analyze),
            _ => false,
        };
        reads && reads_without_bound(query, statement)
    })
}

/// One `SELECT`.
struct Level {
    /// The one around it.
    around: Option<usize>,
    /// Parentheses that are open inside of it.
    depth: usize,
    /// Where its condition begins, while it is read.
    condition: Option<usize>,
    in_sources: bool,
    reads_measurement: bool,
    is_bounded: bool,
}

impl Level {
    fn new(around: Option<usize>) -> Self {
        Self {
            around,
            depth: 0,
            condition: None,
            in_sources: false,
            reads_measurement: false,
            is_bounded: false,
        }
    }

    /// What ends at the token at `at` was the condition, if it was any.
    fn end_condition(&mut self, query: &[u8], tokens: &[Token], at: usize) {
        let condition = self.condition.take();
        if let Some(condition) = condition.and_then(|first| tokens.get(first..at)) {
            self.is_bounded = condition::begins(query, condition).unwrap_or(false);
        }
    }

    /// A token outside of its parentheses.
    fn token(&mut self, query: &[u8], tokens: &[Token], at: usize, token: Token) {
        match token.keyword() {
            Some(Keyword::From) => self.in_sources = true,
            Some(Keyword::Where) => {
                self.in_sources = false;
                self.condition = Some(at + 1);
            }
            Some(
                Keyword::Group
                | Keyword::Order
                | Keyword::Limit
                | Keyword::Offset
                | Keyword::Slimit
                | Keyword::Soffset,
            ) => {
                self.in_sources = false;
                self.end_condition(query, tokens, at);
            }
            _ => {}
        }
        self.reads_measurement |= self.in_sources
            && matches!(
                token.kind,
                Kind::Name | Kind::Quoted | Kind::Regex | Kind::Parameter
            );
    }
}

fn reads_without_bound(query: &[u8], tokens: &[Token]) -> bool {
    let mut levels = vec![Level::new(None)];
    let mut current = 0;
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).and_then(|next| next.keyword());
        let Some(level) = levels.get_mut(current) else {
            return true;
        };
        match token.kind {
            Kind::LeftParen if next == Some(Keyword::Select) => {
                levels.push(Level::new(Some(current)));
                current = levels.len() - 1;
            }
            Kind::LeftParen => level.depth += 1,
            Kind::RightParen if level.depth > 0 => level.depth -= 1,
            Kind::RightParen => {
                level.end_condition(query, tokens, at);
                current = level.around.unwrap_or(0);
            }
            _ if level.depth == 0 => level.token(query, tokens, at, *token),
            _ => {}
        }
    }
    if let Some(level) = levels.first_mut() {
        level.end_condition(query, tokens, tokens.len());
    }
    // A level comes behind the one around it.
    let mut bounded: Vec<bool> = Vec::with_capacity(levels.len());
    for level in &levels {
        let outside = level.around.and_then(|around| bounded.get(around).copied());
        bounded.push(level.is_bounded || outside.unwrap_or(false));
    }
    let mut each = levels.iter().zip(bounded);
    each.any(|(level, is_bounded)| level.reads_measurement && !is_bounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_found_by_meaning() {
        for query in [
            "SELECT v FROM m WHERE time > now() - 1h",
            "SELECT v FROM m WHERE host = 'a' AND (time >= '2026-01-01' AND time < now()) GROUP BY time(1m)",
            "SELECT v FROM m WHERE 5 < \"TIME\" LIMIT 1",
            "SELECT v FROM m WHERE time = 5",
            "SELECT v FROM a..m, /x/ WHERE now() - 1h <= time",
            "SELECT v FROM (SELECT v FROM m WHERE time > 5)",
            "SELECT v FROM (SELECT v FROM m), n WHERE time > 5",
            "SELECT v FROM (SELECT v FROM (SELECT v FROM m)) WHERE (host = 'x') AND time > 5 ORDER BY time",
            "SELECT v FROM (SELECT v FROM m WHERE time > 5), (SELECT v FROM n WHERE time > 7)",
            "EXPLAIN SELECT v FROM m",
            "SHOW TAG VALUES FROM m WITH KEY = host",
            "SHOW SERIES",
            "SELECT v FROM m WHERE a = 'b",
            "",
        ] {
            assert!(!is_unbounded(query.as_bytes()), "{query}");
        }
        for query in [
            "SELECT v FROM m",
            "SELECT last(v) FROM m GROUP BY host LIMIT 1",
            "SELECT v FROM m WHERE time < now()",
            "SELECT v FROM m WHERE host = 'time > 5'",
            "SELECT v FROM m WHERE host =~ /time > 5/ -- time > 5",
            "SELECT \"time > 5\" FROM m",
            "SELECT v FROM m WHERE \"time > 5\" = 1",
            "SELECT v FROM m WHERE now() <= time - 1h AND v > 1",
            "SELECT v FROM m WHERE $t > 5",
            "SELECT v FROM (SELECT v FROM m WHERE time > 5), n",
            "SELECT v FROM (SELECT v FROM m WHERE time > 5), (SELECT v FROM n)",
            "SELECT v FROM (SELECT v FROM m WHERE time < 9) WHERE v > 5",
            "SELECT v FROM $m",
            "SELECT v./1 FROM m",
            "EXPLAIN ANALYZE SELECT v FROM m",
            "SELECT v FROM m WHERE time > 5; SELECT v FROM n",
        ] {
            assert!(is_unbounded(query.as_bytes()), "{query}");
        }
    }
}
