//! Whether a `WHERE` sets a beginning or an end in time (influxql ast.go `conditionExpr`, `getTimeRange`).
//!
//! InfluxDB takes a comparison for a time range if one side of it is the variable `time` (any case) and nothing else: not in
//! parentheses of its own, not part of a sum. `<`, `<=` and `=` set an end, `>`, `>=` and `=` a beginning, read from the side of
//! `time`. How comparisons are joined does not matter: the ranges are always intersected.

use super::keyword::Keyword;
use super::scan::{Comparison, Kind, Token};
use super::time::Unpinnable;

/// Whether `condition`, the tokens behind `WHERE`, sets an end in time.
pub(crate) fn ends(query: &[u8], condition: &[Token]) -> Result<bool, Unpinnable> {
    use Comparison::{Equal, Less, LessOrEqual};
    let mut ends = false;
    for comparison in comparisons(condition) {
        let of_time = comparison_of_time(query, comparison)?;
        ends |= matches!(of_time, Some(Less | LessOrEqual | Equal));
    }
    Ok(ends)
}

/// Whether `condition`, the tokens behind `WHERE`, sets a beginning in time.
pub(crate) fn begins(query: &[u8], condition: &[Token]) -> Result<bool, Unpinnable> {
    use Comparison::{Equal, Greater, GreaterOrEqual};
    let mut begins = false;
    for comparison in comparisons(condition) {
        let of_time = comparison_of_time(query, comparison)?;
        begins |= matches!(of_time, Some(Greater | GreaterOrEqual | Equal));
    }
    Ok(begins)
}

fn comparisons(condition: &[Token]) -> impl Iterator<Item = &[Token]> {
    condition.split(|token| matches!(token.keyword(), Some(Keyword::And | Keyword::Or)))
}

/// How `time` is compared, read with `time` on the left side; nothing where it is not.
fn comparison_of_time(query: &[u8], tokens: &[Token]) -> Result<Option<Comparison>, Unpinnable> {
    // Parentheses around several comparisons belong to none of them.
    let opening = tokens
        .iter()
        .take_while(|token| token.kind == Kind::LeftParen)
        .count();
    let closing = tokens
        .iter()
        .rev()
        .take_while(|token| token.kind == Kind::RightParen)
        .count();
    let core = match tokens.get(opening..tokens.len().saturating_sub(closing)) {
        Some(core) if !core.is_empty() => core,
        _ => return Ok(None),
    };
    let times = (0..core.len())
        .filter(|at| is_time(query, core, *at))
        .count();
    let mut comparisons = core
        .iter()
        .enumerate()
        .filter_map(|(at, token)| match token.kind {
            Kind::Comparison(comparison) => Some((at, comparison)),
            _ => None,
        });
    let (only, more) = (comparisons.next(), comparisons.next());
    let Some((at, comparison)) = only.filter(|_| more.is_none()) else {
        return if times == 0 {
            Ok(None)
        } else {
            Err(Unpinnable::Condition)
        };
    };
    let (left, right) = (
        core.get(..at).unwrap_or_default(),
        core.get(at + 1..).unwrap_or_default(),
    );
    if times == 0 {
        let hidden = hides_time(left, right) || hides_time(right, left);
        return if hidden {
            Err(Unpinnable::Parameter)
        } else {
            Ok(None)
        };
    }
    if times > 1 {
        return Err(Unpinnable::Condition);
    }
    if left.len() == 1 && is_time(query, core, 0) && never_closes(right.iter()) {
        return Ok(Some(comparison));
    }
    if right.len() == 1
        && is_time(query, core, core.len() - 1)
        && never_opens(left.iter().rev(), opening)
    {
        return Ok(Some(comparison.turned()));
    }
    Err(Unpinnable::Condition)
}

/// Whether the variable `time` stands at `at`: not one part of a longer name, not a function.
fn is_time(query: &[u8], tokens: &[Token], at: usize) -> bool {
    let Some(token) = tokens.get(at).filter(|token| token.is_name(query, "time")) else {
        return false;
    };
    let before = at
        .checked_sub(1)
        .and_then(|before| tokens.get(before))
        .map(|token| token.kind);
    let next = tokens.get(at + 1);
    let called = next.is_some_and(|next| next.kind == Kind::LeftParen && !next.spaced);
    token.end > token.start
        && before != Some(Kind::Dot)
        && next.map(|next| next.kind) != Some(Kind::Dot)
        && !called
}

/// Whether `side` is a bound parameter alone, which could stand for `time`: then the other side holds no variable.
fn hides_time(side: &[Token], other: &[Token]) -> bool {
    let parameter = matches!(side, [only] if only.kind == Kind::Parameter);
    let variable = other.iter().enumerate().any(|(at, token)| {
        let called = other
            .get(at + 1)
            .is_some_and(|next| next.kind == Kind::LeftParen && !next.spaced);
        matches!(token.kind, Kind::Name | Kind::Quoted) && !called
    });
    parameter && !variable
}

/// Whether no parenthesis closes that did not open here: `time` is then a whole side.
fn never_closes<'tokens>(tokens: impl Iterator<Item = &'tokens Token>) -> bool {
    let mut open: usize = 0;
    for token in tokens {
        match token.kind {
            Kind::LeftParen => open += 1,
            Kind::RightParen => match open.checked_sub(1) {
                Some(less) => open = less,
                None => return false,
            },
            _ => {}
        }
    }
    true
}

/// The same, read backwards: no parenthesis opens that is not closed here, and no more close than the `opening` ones that
/// stand in front.
fn never_opens<'tokens>(tokens: impl Iterator<Item = &'tokens Token>, opening: usize) -> bool {
    let mut closed: usize = 0;
    for token in tokens {
        match token.kind {
            Kind::RightParen => closed += 1,
            Kind::LeftParen => match closed.checked_sub(1) {
                Some(less) => closed = less,
                None => return false,
            },
            _ => {}
        }
    }
    closed <= opening
}
