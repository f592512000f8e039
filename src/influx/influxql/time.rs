//! Pins a changing query to the moment at which it was accepted.
//!
//! A replica may run a statement long after another one did. What InfluxDB takes from its clock is therefore written into the
//! text (query/compile.go, coordinator/statement_executor.go; equal in 1.6 to 1.12):
//!
//! - `now()` in the `WHERE` of a `SELECT … INTO` or a `DELETE` becomes `(<nanoseconds> + 0s)`. InfluxDB's own reduction turns
//!   that into the same time literal that it puts in the place of `now()`, so arithmetic around it works alike.
//! - `GROUP BY time(1h, now())` needs a duration there: the distance of now from the last multiple of the interval, counted
//!   from the year 1 as Go's `Time.Truncate` does.
//! - A `SELECT` with `GROUP BY time()` whose own `WHERE` sets no upper bound ends at now, that instant included. It gets
//!   `time <= <nanoseconds>`. A subquery ends where the query around it ends, if that has an end; only if nothing around it
//!   does, it ends at now. Conditions on time are always intersected, whatever `AND` and `OR` stand between them, so one
//!   put in front means the same wherever the rest is.
//!
//! Nothing else is touched: a continuous query keeps its `now()`, reads too, and `now()` where InfluxDB refuses it stays
//! there to be refused. What a bound parameter may hide, and what is too odd to be sure of, is reported and left alone.

use memchr::memchr;
use thiserror::Error;

use super::condition;
use super::keyword::Keyword;
use super::scan::{Kind, Scanner, Token};

/// What became of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pinned {
    /// Nothing in it depends on the time of its execution.
    Unchanged,
    /// This text does at any time what the query would have done at the given one.
    Rewritten(Vec<u8>),
    /// It depends on the time of its execution, or may, and cannot be rewritten safely.
    Impossible(Unpinnable),
}

/// Why a query could not be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unpinnable {
    /// The text is no sequence of tokens; InfluxDB will refuse it.
    #[error("the query cannot be read")]
    Unreadable,
    /// A bound parameter stands where it may be `now`, `time` or an interval.
    #[error("a bound parameter may stand for a time")]
    Parameter,
    /// A condition on `time` of a form that is not understood.
    #[error("a condition on time is of an unusual form")]
    Condition,
    /// An interval of `GROUP BY time()` that is no plain duration, or an offset that uses `now()` for more than itself.
    #[error("an interval or offset of GROUP BY time() is of an unusual form")]
    Interval,
}

/// Pins `query`, accepted `now` nanoseconds after 1970 (UTC).
///
/// ```
/// use haflux::influx::influxql::time::{Pinned, pin_now};
///
/// let pinned = pin_now(b"DELETE FROM m WHERE time < now() - 1h", 1_700_000_000_000_000_000);
/// assert_eq!(pinned, Pinned::Rewritten(b"DELETE FROM m WHERE time < (1700000000000000000 + 0s) - 1h".to_vec()));
/// ```
pub fn pin_now(query: &[u8], now: i64) -> Pinned {
    if memchr(0, query).is_some() {
        return Pinned::Impossible(Unpinnable::Unreadable);
    }
    let Ok(tokens) = Scanner::new(query).collect::<Result<Vec<Token>, _>>() else {
        return Pinned::Impossible(Unpinnable::Unreadable);
    };
    let mut edits = Edits {
        query,
        now,
        edits: Vec::new(),
    };
    for statement in tokens.split(|token| token.kind == Kind::Semicolon) {
        if let Err(reason) = edits.statement(statement) {
            return Pinned::Impossible(reason);
        }
    }
    edits.apply()
}

/// A part of a `SELECT` or `DELETE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clause {
    /// Fields, target and sources.
    Sources,
    Condition,
    Dimensions,
    /// What follows: order, limits.
    Tail,
}

/// One `SELECT`, outermost or a subquery.
struct Level {
    clause: Clause,
    /// The `SELECT` around it.
    around: Option<usize>,
    /// The tokens of its condition, from `WHERE` on (which is not part of it).
    condition: Option<(usize, usize)>,
    /// Its `GROUP`.
    group: Option<usize>,
    /// Whether it groups by a time interval.
    interval: bool,
}

impl Level {
    fn new(around: Option<usize>) -> Self {
        Self {
            clause: Clause::Sources,
            around,
            condition: None,
            group: None,
            interval: false,
        }
    }
}

struct Edits<'query> {
    query: &'query [u8],
    now: i64,
    /// First byte, byte behind the last, and what comes in their place.
    edits: Vec<(usize, usize, String)>,
}

impl Edits<'_> {
    fn statement(&mut self, tokens: &[Token]) -> Result<(), Unpinnable> {
        let pinned = match tokens.first().and_then(|first| first.keyword()) {
            Some(Keyword::Select) => tokens
                .iter()
                .any(|token| token.keyword() == Some(Keyword::Into)),
            Some(Keyword::Delete) => true,
            _ => false,
        };
        if !pinned {
            return Ok(());
        }
        let called = |pair: &[Token]| matches!(pair, [name, paren] if name.kind == Kind::Parameter && opens(*paren));
        if tokens.windows(2).any(called) {
            return Err(Unpinnable::Parameter);
        }
        let levels = self.levels(tokens)?;
        self.bounds(tokens, &levels)
    }

    /// Walks through a statement: replaces each `now()` and finds the clauses of each `SELECT`.
    fn levels(&mut self, tokens: &[Token]) -> Result<Vec<Level>, Unpinnable> {
        let mut levels = vec![Level::new(None)];
        let mut current = 0;
        // For each open parenthesis, whether it opened a subquery.
        let mut parens: Vec<bool> = Vec::new();
        // Parentheses open inside of each open `SELECT`.
        let mut depths: Vec<usize> = vec![0];
        for (at, token) in tokens.iter().enumerate() {
            let next = tokens.get(at + 1);
            match token.kind {
                Kind::LeftParen => {
                    let subquery = next.and_then(|next| next.keyword()) == Some(Keyword::Select);
                    parens.push(subquery);
                    if subquery {
                        levels.push(Level::new(Some(current)));
                        current = levels.len() - 1;
                        depths.push(0);
                    } else if let Some(depth) = depths.last_mut() {
                        *depth += 1;
                    }
                    continue;
                }
                Kind::RightParen => {
                    match parens.pop() {
                        Some(true) => {
                            let around = levels.get_mut(current).and_then(|level| {
                                end_condition(level, at);
                                level.around
                            });
                            current = around.unwrap_or(0);
                            depths.pop();
                        }
                        Some(false) => {
                            if let Some(depth) = depths.last_mut() {
                                *depth = depth.saturating_sub(1);
                            }
                        }
                        None => return Err(Unpinnable::Condition),
                    }
                    continue;
                }
                _ => {}
            }
            let Some(level) = levels.get_mut(current) else {
                return Err(Unpinnable::Condition);
            };
            if depths.last() == Some(&0) {
                enter_clause(level, *token, at);
            }
            match level.clause {
                Clause::Condition if is_now(self.query, tokens, at) => {
                    let end = tokens.get(at + 2).map_or(token.end, |paren| paren.end);
                    self.edits
                        .push((token.start, end, format!("({} + 0s)", self.now)));
                }
                Clause::Dimensions
                    if token.is_name(self.query, "time") && next.copied().is_some_and(opens) =>
                {
                    level.interval |= self.interval(tokens, at + 2)?;
                }
                Clause::Dimensions if is_now(self.query, tokens, at) => {
                    let replaced = self.edits.last().map(|(start, _, _)| *start);
                    if replaced != Some(token.start) {
                        return Err(Unpinnable::Interval);
                    }
                }
                _ => {}
            }
        }
        if let Some(level) = levels.first_mut() {
            end_condition(level, tokens.len());
        }
        Ok(levels)
    }

    /// Reads the arguments of `time(…)`, whose first token is at `first`; replaces a second one that is `now()`. Says whether
    /// the interval is more than nothing.
    fn interval(&mut self, tokens: &[Token], first: usize) -> Result<bool, Unpinnable> {
        let Some(argument) = tokens
            .get(first)
            .filter(|token| token.kind == Kind::Duration)
        else {
            let parameter = tokens
                .get(first)
                .is_some_and(|token| token.kind == Kind::Parameter);
            return Err(if parameter {
                Unpinnable::Parameter
            } else {
                Unpinnable::Interval
            });
        };
        let plain = matches!(
            tokens.get(first + 1).map(|token| token.kind),
            Some(Kind::Comma | Kind::RightParen)
        );
        let duration = duration(argument.text(self.query))
            .filter(|_| plain)
            .ok_or(Unpinnable::Interval)?;
        if duration == 0 {
            return Ok(false);
        }
        // Parentheses around a lone now() change nothing.
        let arguments = tokens.get(first + 2..).unwrap_or_default();
        let opening = arguments
            .iter()
            .take_while(|token| token.kind == Kind::LeftParen)
            .count();
        let closing = arguments
            .iter()
            .skip(opening + 3)
            .take_while(|token| token.kind == Kind::RightParen);
        let called = is_now(self.query, arguments, opening) && closing.count() > opening;
        if let (true, Some(name), Some(paren)) =
            (called, arguments.get(opening), arguments.get(opening + 2))
        {
            let offset = distance(self.now, duration);
            self.edits
                .push((name.start, paren.end, format!("{offset}ns")));
        }
        Ok(true)
    }

    /// Writes the hidden bounds into the text.
    fn bounds(&mut self, tokens: &[Token], levels: &[Level]) -> Result<(), Unpinnable> {
        // Whether each level, or one around it, has an end. A level comes after the one around it.
        let mut ended: Vec<bool> = Vec::with_capacity(levels.len());
        // Whether there is a level with an interval at or below each: without one, an odd condition does not matter.
        let mut matters: Vec<bool> = levels.iter().map(|level| level.interval).collect();
        for (at, level) in levels.iter().enumerate().rev() {
            if let Some(around) = level.around {
                let below = matters.get(at).copied().unwrap_or(true);
                if let Some(matter) = matters.get_mut(around) {
                    *matter |= below;
                }
            }
        }
        for (level, matters) in levels.iter().zip(matters) {
            let outside = level
                .around
                .and_then(|around| ended.get(around).copied())
                .unwrap_or(false);
            if outside || !matters {
                ended.push(outside);
                continue;
            }
            let condition = level
                .condition
                .and_then(|(first, end)| tokens.get(first..end));
            let bounded = condition.map_or(Ok(false), |condition| {
                condition::ends(self.query, condition)
            })?;
            ended.push(bounded || level.interval);
            if bounded || !level.interval {
                continue;
            }
            if let Some(before) = level
                .condition
                .and_then(|(first, _)| tokens.get(first.checked_sub(1)?))
            {
                self.edits.push((
                    before.end,
                    before.end,
                    format!(" time <= {} AND ", self.now),
                ));
            } else if let Some(group) = level.group.and_then(|group| tokens.get(group)) {
                self.edits.push((
                    group.start,
                    group.start,
                    format!(" WHERE time <= {} ", self.now),
                ));
            }
        }
        Ok(())
    }

    fn apply(mut self) -> Pinned {
        if self.edits.is_empty() {
            return Pinned::Unchanged;
        }
        self.edits.sort_by_key(|&(start, end, _)| (start, end));
        let mut text = Vec::with_capacity(self.query.len() + 32 * self.edits.len());
        let mut copied = 0;
        for (start, end, replacement) in self.edits {
            text.extend_from_slice(self.query.get(copied..start).unwrap_or_default());
            text.extend_from_slice(replacement.as_bytes());
            copied = end;
        }
        text.extend_from_slice(self.query.get(copied..).unwrap_or_default());
        Pinned::Rewritten(text)
    }
}

/// Whether `token` is a parenthesis that makes the name before it a function.
fn opens(token: Token) -> bool {
    token.kind == Kind::LeftParen && !token.spaced
}

/// Whether `now()` stands at `at`.
pub(crate) fn is_now(query: &[u8], tokens: &[Token], at: usize) -> bool {
    matches!(
        tokens.get(at..at + 3),
        Some([name, left, right]) if name.is_name(query, "now") && opens(*left) && right.kind == Kind::RightParen
    )
}

/// Moves on to the clause that `token`, outside of parentheses, begins.
fn enter_clause(level: &mut Level, token: Token, at: usize) {
    let clause = match token.keyword() {
        Some(Keyword::Where) => Clause::Condition,
        Some(Keyword::Group) => Clause::Dimensions,
        Some(
            Keyword::Order | Keyword::Limit | Keyword::Offset | Keyword::Slimit | Keyword::Soffset,
        ) => Clause::Tail,
        _ => return,
    };
    end_condition(level, at);
    level.clause = clause;
    match clause {
        Clause::Condition => level.condition = Some((at + 1, usize::MAX)),
        Clause::Dimensions => level.group = Some(at),
        Clause::Sources | Clause::Tail => {}
    }
}

fn end_condition(level: &mut Level, at: usize) {
    if let (Clause::Condition, Some((_, end))) = (level.clause, &mut level.condition) {
        *end = at;
    }
}

/// The nanoseconds of a duration as InfluxQL writes it (`1h30m`); nothing if InfluxDB does not know it either.
pub(crate) fn duration(text: &[u8]) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let number: i64 = std::str::from_utf8(rest.get(..digits)?)
            .ok()?
            .parse()
            .ok()?;
        rest = rest.get(digits..)?;
        let (unit, length) = match rest {
            [b'n', b's', ..] => (1, 2),
            [b'u', ..] => (1_000, 1),
            [0xC2, 0xB5, ..] => (1_000, 2),
            [b'm', b's', ..] => (1_000_000, 2),
            [b'm', ..] => (60_000_000_000, 1),
            [b's', ..] => (1_000_000_000, 1),
            [b'h', ..] => (3_600_000_000_000, 1),
            [b'd', ..] => (86_400_000_000_000, 1),
            [b'w', ..] => (604_800_000_000_000, 1),
            _ => return None,
        };
        rest = rest.get(length..)?;
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    Some(total)
}

/// How far `now` lies behind the last multiple of `interval` (more than 0) since the year 1.
fn distance(now: i64, interval: i64) -> i128 {
    /// From the year 1 to 1970, in nanoseconds.
    const TO_1970: i128 = 62_135_596_800 * 1_000_000_000;
    (TO_1970 + i128::from(now)).rem_euclid(i128::from(interval))
}
