//! A continuous query as InfluxDB lists it, and the statement that InfluxDB executes when it runs it
//! (services/continuous_querier/service.go, `SetTimeRange` in influxql's ast.go).
//!
//! InfluxDB lists its own rendering of what was created: `CREATE CONTINUOUS QUERY … ON … [RESAMPLE [EVERY d] [FOR d]] BEGIN SELECT …
//! INTO … FROM … [WHERE …] GROUP BY time(d[, d]) … [TZ('…')] END`. For a run it takes every comparison whose left side is `time`
//! out of the outermost `WHERE`, and puts the run's bounds behind what is left.

use std::collections::BTreeSet;

use super::keyword::Keyword;
use super::scan::{Kind, Scanner, Token};
use super::time::duration;

/// A continuous query that has an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinuousQuery {
    /// Of `GROUP BY time(…)`, in nanoseconds; more than 0.
    pub interval: i64,
    /// By how much these intervals are shifted, in nanoseconds.
    pub offset: i64,
    /// `RESAMPLE EVERY`, in nanoseconds.
    pub every: Option<i64>,
    /// `RESAMPLE FOR`, in nanoseconds.
    pub resampled_for: Option<i64>,
    /// The name in `TZ('…')`.
    pub time_zone: Option<String>,
    /// What it reads and writes.
    pub places: BTreeSet<Place>,
    /// The `SELECT` up to where a run's bounds belong, without comparisons of `time`.
    before: String,
    /// The `SELECT` behind the bounds.
    behind: String,
}

/// Database and policy of a source or of the target. None: the query's own database, the database's default policy.
pub type Place = (Option<String>, Option<String>);

/// Why a text is no continuous query that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotUnderstood {
    /// It cannot be cut into tokens.
    #[error("it cannot be read")]
    Unreadable,
    /// It has no `BEGIN SELECT … END`.
    #[error("it is not of the form CREATE CONTINUOUS QUERY … BEGIN SELECT … END")]
    Form,
    /// A duration is none.
    #[error("one of its durations is of an unusual form")]
    Duration,
    /// It has no `GROUP BY time(…)`, without which InfluxDB does not run it either.
    #[error("it has no GROUP BY time(…)")]
    NoInterval,
}

impl ContinuousQuery {
    /// Reads what `SHOW CONTINUOUS QUERIES` shows.
    ///
    /// # Errors
    /// [`NotUnderstood`]
    ///
    /// ```
    /// use haflux::influx::influxql::ContinuousQuery;
    ///
    /// let query = "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT mean(v) INTO d.autogen.means FROM d.autogen.m WHERE time > now() - 1h AND host = 'a' GROUP BY time(1m) END";
    /// let query = ContinuousQuery::parse(query).unwrap();
    /// assert_eq!(
    ///     query.between(0, 60_000_000_000),
    ///     "SELECT mean(v) INTO d.autogen.means FROM d.autogen.m WHERE true AND host = 'a' AND time >= 0 AND time < 60000000000 GROUP BY time(1m)"
    /// );
    /// ```
    pub fn parse(text: &str) -> Result<ContinuousQuery, NotUnderstood> {
        let query = text.as_bytes();
        let tokens = Scanner::new(query).collect::<Result<Vec<Token>, _>>();
        let tokens = tokens.map_err(|_| NotUnderstood::Unreadable)?;
        let word = |wanted| move |token: &Token| token.keyword() == Some(wanted);
        let begin = tokens.iter().position(word(Keyword::Begin));
        let begin = begin.ok_or(NotUnderstood::Form)?;
        let (head, body) = tokens.split_at(begin);
        let body = body.get(1..).unwrap_or_default();
        let (Some(first), Some((last, select))) = (body.first(), body.split_last()) else {
            return Err(NotUnderstood::Form);
        };
        if !word(Keyword::Select)(first) || !word(Keyword::End)(last) {
            return Err(NotUnderstood::Form);
        }
        let resampled = |by| match head.iter().position(word(by)) {
            Some(at) => duration_at(query, head, at + 1).map(|(duration, _)| Some(duration)),
            None => Ok(None),
        };
        let clauses = Clauses::of(select);
        let group = clauses.group.ok_or(NotUnderstood::NoInterval)?;
        let dimensions = select.get(group..).unwrap_or_default();
        let (interval, offset) = interval(query, dimensions)?;
        let (before, behind) = split(query, select, &clauses, group);
        Ok(ContinuousQuery {
            interval,
            offset: offset % interval,
            every: resampled(Keyword::Every)?,
            resampled_for: resampled(Keyword::For)?,
            time_zone: time_zone(query, dimensions),
            places: places(query, select),
            before,
            behind,
        })
    }

    /// The statement of a run over `from..until`, in nanoseconds since 1970.
    pub fn between(&self, from: i64, until: i64) -> String {
        let ContinuousQuery { before, behind, .. } = self;
        format!("{before} time >= {from} AND time < {until} {behind}")
    }
}

/// Where the clauses of the outermost `SELECT` stand.
struct Clauses {
    condition: Option<usize>,
    group: Option<usize>,
}

impl Clauses {
    fn of(select: &[Token]) -> Clauses {
        let mut clauses = Clauses {
            condition: None,
            group: None,
        };
        let mut depth = 0_usize;
        for (at, token) in select.iter().enumerate() {
            match token.kind {
                Kind::LeftParen => depth += 1,
                Kind::RightParen => depth = depth.saturating_sub(1),
                Kind::Keyword(Keyword::Where) if depth == 0 => clauses.condition = Some(at),
                Kind::Keyword(Keyword::Group) if depth == 0 => clauses.group = Some(at),
                _ => {}
            }
        }
        clauses
    }
}

/// The duration at `at`, which a minus may precede, and the place behind it.
fn duration_at(query: &[u8], tokens: &[Token], at: usize) -> Result<(i64, usize), NotUnderstood> {
    let token = tokens.get(at).ok_or(NotUnderstood::Duration)?;
    let (sign, at) = match token.kind {
        Kind::Operator if token.text(query) == b"-" => (-1, at + 1),
        _ => (1, at),
    };
    let token = tokens.get(at).filter(|token| token.kind == Kind::Duration);
    let found = token.and_then(|token| duration(token.text(query)));
    Ok((sign * found.ok_or(NotUnderstood::Duration)?, at + 1))
}

/// Interval and offset of `time(…)`.
fn interval(query: &[u8], dimensions: &[Token]) -> Result<(i64, i64), NotUnderstood> {
    let called = |pair: &[Token]| matches!(pair, [name, paren] if name.is_name(query, "time") && paren.kind == Kind::LeftParen);
    let at = dimensions.windows(2).position(called);
    let at = at.ok_or(NotUnderstood::NoInterval)?;
    let (interval, behind) = duration_at(query, dimensions, at + 2)?;
    let offset = match dimensions.get(behind).map(|token| token.kind) {
        Some(Kind::Comma) => duration_at(query, dimensions, behind + 1)?.0,
        _ => 0,
    };
    match interval {
        1.. => Ok((interval, offset)),
        _ => Err(NotUnderstood::NoInterval),
    }
}

fn time_zone(query: &[u8], tokens: &[Token]) -> Option<String> {
    let named = tokens.windows(3).find_map(|three| match three {
        [name, paren, zone]
            if name.is_name(query, "tz")
                && paren.kind == Kind::LeftParen
                && zone.kind == Kind::Text =>
        {
            Some(zone.text(query))
        }
        _ => None,
    })?;
    let inside = named.get(1..named.len().checked_sub(1)?)?;
    String::from_utf8(inside.to_vec()).ok()
}

/// The `SELECT` before and behind the place of a run's bounds, which end the condition.
fn split(query: &[u8], select: &[Token], clauses: &Clauses, group: usize) -> (String, String) {
    let start = |at: usize| select.get(at).map_or(query.len(), |token| token.start);
    let end = select.last().map_or(query.len(), |token| token.end);
    let text = |from: usize, until: usize| {
        String::from_utf8_lossy(query.get(from..until).unwrap_or_default()).into_owned()
    };
    let behind = text(start(group), end);
    let Some(condition) = clauses.condition else {
        return (format!("{}WHERE", text(start(0), start(group))), behind);
    };
    let mut before = String::new();
    let mut copied = start(0);
    let condition = select.get(condition + 1..group).unwrap_or_default();
    let joins = |token: &Token| matches!(token.keyword(), Some(Keyword::And | Keyword::Or));
    for comparison in condition.split(joins) {
        if let Some((from, until)) = comparison_of_time(query, comparison) {
            before.push_str(&text(copied, from));
            before.push_str("true");
            copied = until;
        }
    }
    before.push_str(&text(copied, start(group)));
    before.push_str("AND");
    (before, behind)
}

/// Where a comparison whose left side is `time` begins and ends; parentheses around it, and around others too, are left out.
fn comparison_of_time(query: &[u8], tokens: &[Token]) -> Option<(usize, usize)> {
    let opening = |token: &&Token| token.kind == Kind::LeftParen;
    let core = tokens.get(tokens.iter().take_while(opening).count()..)?;
    let [name, comparison, ..] = core else {
        return None;
    };
    // InfluxDB looks for the name as it is written: `Time` is another.
    let is_time = name.name(query).is_some_and(|name| name == "time");
    if !is_time || !matches!(comparison.kind, Kind::Comparison(_)) {
        return None;
    }
    let mut depth = 0_usize;
    let mut last = comparison;
    for token in core {
        match token.kind {
            Kind::LeftParen => depth += 1,
            Kind::RightParen if depth == 0 => break,
            Kind::RightParen => depth -= 1,
            _ => {}
        }
        last = token;
    }
    Some((name.start, last.end))
}

/// The places that stand behind `INTO`, and behind each `FROM`.
fn places(query: &[u8], select: &[Token]) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for (at, token) in select.iter().enumerate() {
        if !matches!(token.keyword(), Some(Keyword::Into | Keyword::From)) {
            continue;
        }
        let mut rest = select.get(at + 1..).unwrap_or_default();
        loop {
            let is_part = |token: &&Token| {
                matches!(
                    token.kind,
                    Kind::Name | Kind::Quoted | Kind::Regex | Kind::Dot | Kind::Colon
                )
            };
            let length = rest.iter().take_while(is_part).count();
            let (name, behind) = rest.split_at(length);
            if !name.is_empty() {
                places.insert(place(query, name));
            }
            match behind.split_first() {
                Some((comma, behind)) if comma.kind == Kind::Comma => rest = behind,
                _ => break,
            }
        }
    }
    places
}

/// `measurement`, `policy.measurement`, `database.policy.measurement` or `database..measurement`.
fn place(query: &[u8], name: &[Token]) -> Place {
    let parts: Vec<Option<String>> = name
        .split(|token| token.kind == Kind::Dot)
        .map(|part| part.first().and_then(|token| token.name(query)))
        .collect();
    match parts.as_slice() {
        [database, policy, _] => (database.clone(), policy.clone()),
        [policy, _] => (None, policy.clone()),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn parse(inside: &str) -> ContinuousQuery {
        let text = format!("CREATE CONTINUOUS QUERY \"a q\" ON \"a d\" {inside} END");
        ContinuousQuery::parse(&text).unwrap_or_else(|error| panic!("{inside}: {error}"))
    }

    #[test]
    fn its_times_are_read() {
        let plain = parse("BEGIN SELECT mean(v) INTO d.p.t FROM d.p.m GROUP BY time(1m)");
        assert_eq!((plain.interval, plain.offset), (60 * SECOND, 0));
        assert_eq!((plain.every, plain.resampled_for), (None, None));
        assert_eq!(plain.time_zone, None);
        let all = parse(
            "RESAMPLE EVERY 10s FOR 2h BEGIN SELECT mean(v) INTO d.p.t FROM d.p.m GROUP BY host, time(1m30s, -105s) fill(none) TZ('Europe/Berlin')",
        );
        assert_eq!((all.interval, all.offset), (90 * SECOND, -15 * SECOND));
        assert_eq!(
            (all.every, all.resampled_for),
            (Some(10 * SECOND), Some(7_200 * SECOND))
        );
        assert_eq!(all.time_zone.as_deref(), Some("Europe/Berlin"));
    }

    #[test]
    fn a_run_has_its_bounds_and_no_others() {
        for (select, expected) in [
            (
                "SELECT sum(v) INTO t FROM m GROUP BY time(1s), * fill(0)",
                "SELECT sum(v) INTO t FROM m WHERE time >= 5 AND time < 7 GROUP BY time(1s), * fill(0)",
            ),
            (
                "SELECT sum(v) INTO t FROM m WHERE time > now() - 1h GROUP BY time(1s)",
                "SELECT sum(v) INTO t FROM m WHERE true AND time >= 5 AND time < 7 GROUP BY time(1s)",
            ),
            (
                "SELECT sum(v) INTO t FROM m WHERE (host = 'a' OR (time < (now() - 2h))) AND \"time\" > 3 GROUP BY time(1s)",
                "SELECT sum(v) INTO t FROM m WHERE (host = 'a' OR (true)) AND true AND time >= 5 AND time < 7 GROUP BY time(1s)",
            ),
            (
                "SELECT sum(v) INTO t FROM m WHERE \"Time\" = 'time' AND host =~ /time > 3/ GROUP BY time(1s)",
                "SELECT sum(v) INTO t FROM m WHERE \"Time\" = 'time' AND host =~ /time > 3/ AND time >= 5 AND time < 7 GROUP BY time(1s)",
            ),
            (
                "SELECT sum(x) INTO t FROM (SELECT max(v) AS x FROM m WHERE time > now() - 1h GROUP BY time(1s)) GROUP BY time(2s)",
                "SELECT sum(x) INTO t FROM (SELECT max(v) AS x FROM m WHERE time > now() - 1h GROUP BY time(1s)) WHERE time >= 5 AND time < 7 GROUP BY time(2s)",
            ),
        ] {
            assert_eq!(parse(&format!("BEGIN {select}")).between(5, 7), expected);
        }
    }

    #[test]
    fn what_it_reads_and_writes_is_named() {
        let query = parse(
            "BEGIN SELECT mean(v) INTO \"a d\".\"p.1\".:MEASUREMENT FROM d.p./x.*/, d..m, p.m, m GROUP BY time(1m)",
        );
        let place = |database: &str, policy: &str| {
            let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
            (named(database), named(policy))
        };
        let expected = [
            place("a d", "p.1"),
            place("d", "p"),
            place("d", ""),
            place("", "p"),
            place("", ""),
        ];
        assert_eq!(query.places, BTreeSet::from(expected));
    }

    #[test]
    fn what_cannot_be_run_is_said() {
        for (text, expected) in [
            ("SELECT 'open", NotUnderstood::Unreadable),
            ("SELECT v FROM m", NotUnderstood::Form),
            ("CREATE CONTINUOUS QUERY q ON d BEGIN", NotUnderstood::Form),
            (
                "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT v INTO t FROM m END",
                NotUnderstood::NoInterval,
            ),
            (
                "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT v INTO t FROM m GROUP BY host END",
                NotUnderstood::NoInterval,
            ),
            (
                "CREATE CONTINUOUS QUERY q ON d BEGIN SELECT max(v) INTO t FROM m GROUP BY time(1m, now()) END",
                NotUnderstood::Duration,
            ),
        ] {
            assert_eq!(ContinuousQuery::parse(text), Err(expected), "{text}");
        }
    }
}
