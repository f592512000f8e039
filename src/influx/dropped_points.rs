//! Why a node dropped points of a write: they were older than its retention policy keeps, or a write limit forbade them.
//!
//! Since 1.12 a retention policy may have a `PAST LIMIT` and a `FUTURE LIMIT`: a node refuses points whose time is further from
//! *its* present. A point that waited for a node, or that came too early, is then kept by one node and refused by another, for
//! as long as the retention policy lasts. A point that is older than the policy keeps is gone from every node before long.
//!
//! | text behind `partial write: ` | since | they were too old |
//! | --- | --- | --- |
//! | `points beyond retention policy dropped=N` | – 1.11 | yes: there are no limits |
//! | `points beyond retention policy or outside permissible write window dropped=N …` | 1.12.0 – 1.12.2 | cannot be told |
//! | `dropped N points outside retention policy of duration D[ and N points outside write window (…)] - oldest P, newest P dropped=N …` | 1.12.3 – | if the newest one was |
//!
//! where `P` is `point KEY at TIME dropped because it violates a BOUND at TIME`. The bound's name does not tell: `Retention
//! Policy Lower Bound` stands there for points past a limit too, unless another point of the request had their shard group made
//! (`coordinator/points_writer.go`, `MapShards`). But the bound's time is true, the node's present less the policy's duration, and
//! both times have all their digits: a point is too old exactly if its time is before that. No dropped point is newer than the
//! newest. In a key every space is escaped, so a client's text ends where InfluxDB's own begins.

use jiff::Timestamp;

/// The bound that a point that is too old violates.
const RETENTION: &str = "Retention Policy Lower Bound";

/// Whether the text tells of dropped points, which were all older than the retention policy keeps. Expects what stands behind
/// `partial write: `, whole.
pub(super) fn were_all_too_old(reason: &str) -> bool {
    reason.starts_with("points beyond retention policy dropped=")
        || newest(reason).is_some_and(|newest| newest.is_too_old())
}

/// A dropped point.
struct Dropped<'text> {
    time: &'text str,
    bound: &'text str,
    bound_time: &'text str,
}

impl Dropped<'_> {
    fn is_too_old(&self) -> bool {
        let times = (
            self.time.parse::<Timestamp>(),
            self.bound_time.parse::<Timestamp>(),
        );
        self.bound == RETENTION && matches!(times, (Ok(time), Ok(bound)) if time < bound)
    }
}

/// The newest dropped point, if the text has the form of 1.12.3.
fn newest(reason: &str) -> Option<Dropped<'_>> {
    let counted = reason.strip_prefix("dropped ")?;
    let rest = counted.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let rest = rest.strip_prefix(" points outside retention policy of duration ")?;
    // Before the first key nothing is a client's.
    let (_, rest) = rest.split_once(" - oldest ")?;
    let (_, rest) = point(rest)?;
    let rest = rest.strip_prefix(", newest ")?;
    let (newest, rest) = point(rest)?;
    rest.starts_with(" dropped=").then_some(newest)
}

/// The point at the text's beginning, and what follows it.
fn point(text: &str) -> Option<(Dropped<'_>, &str)> {
    let text = after_key(text.strip_prefix("point ")?)?;
    let text = text.strip_prefix("at ")?;
    let (time, text) = text.split_once(" dropped because it violates a ")?;
    let (bound, text) = text.split_once(" at ")?;
    let end = text.find([' ', ','])?;
    let (bound_time, rest) = text.split_at_checked(end)?;
    let dropped = Dropped {
        time,
        bound,
        bound_time,
    };
    Some((dropped, rest))
}

/// What follows the space that ends a key: the first one that is not escaped.
fn after_key(text: &str) -> Option<&str> {
    let mut spaces = text.match_indices(' ').map(|(place, _)| place);
    let end = spaces.find(|place| {
        text.get(..*place)
            .is_some_and(|before| !before.ends_with('\\'))
    })?;
    text.get(end + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = " and 0 points outside write window (-5s to 5s)";

    fn point(key: &str, time: &str, bound: &str, bound_time: &str) -> String {
        format!("point {key} at {time} dropped because it violates a {bound} at {bound_time}")
    }

    fn text(window: &str, oldest: &str, newest: &str) -> String {
        format!(
            "dropped 2 points outside retention policy of duration 1h0m0s{window} - oldest {oldest}, newest {newest} \
             dropped=2 for database: d for retention policy: r"
        )
    }

    #[test]
    fn points_before_the_bound_were_too_old() {
        let bound = "2026-01-01T10:00:00.000000005Z";
        let old = point("m,h=a", "2026-01-01T09:00:00Z", RETENTION, bound);
        let hardly = point("m,h=b", "2026-01-01T10:00:00.000000004Z", RETENTION, bound);
        for window in ["", LIMITS] {
            assert!(were_all_too_old(&text(window, &old, &hardly)), "{window}");
        }
        assert!(were_all_too_old("points beyond retention policy dropped=3"));
    }

    #[test]
    fn points_behind_the_bound_were_past_a_limit() {
        let bound = "2026-01-01T10:00:00Z";
        let old = point("m", "2026-01-01T09:00:00Z", RETENTION, bound);
        let late = point("m", "2026-01-01T10:59:48Z", RETENTION, bound);
        let early = point("m", "2026-01-01T12:00:00Z", RETENTION, bound);
        let lower = point(
            "m",
            "2026-01-01T10:59:48Z",
            "Write Window Lower Bound",
            "2026-01-01T10:59:55Z",
        );
        let upper = point(
            "m",
            "2026-01-01T12:00:00Z",
            "Write Window Upper Bound",
            "2026-01-01T11:00:05Z",
        );
        for newest in [&late, &early, &lower, &upper] {
            for oldest in [&old, newest] {
                let text = text(LIMITS, oldest, newest);
                assert!(!were_all_too_old(&text), "{text}");
            }
        }
        // A policy that keeps points for ever: the bound is the earliest time there is.
        let for_ever = point(
            "m",
            "1700-01-01T00:00:00Z",
            RETENTION,
            "1677-09-21T00:12:43.145224194Z",
        );
        assert!(!were_all_too_old(&text(LIMITS, &for_ever, &for_ever)));
    }

    #[test]
    fn a_text_that_does_not_tell_says_nothing() {
        let old = point(
            "m",
            "2026-01-01T09:00:00Z",
            RETENTION,
            "2026-01-01T10:00:00Z",
        );
        let whole = text("", &old, &old);
        assert!(were_all_too_old(&whole));
        for other in [
            "points beyond retention policy or outside permissible write window dropped=1 for database: d for retention policy: r",
            "dropped 1 points outside retention policy of duration 1h",
            whole.split_at(whole.len() / 2).0,
            whole
                .split_once(" dropped=")
                .map_or("", |(before, _)| before),
            "",
        ] {
            assert!(!were_all_too_old(other), "{other}");
        }
    }

    #[test]
    fn a_clients_names_decide_nothing() {
        let bound = "2026-01-01T10:00:00Z";
        let lure = r"m,h=a\ at\ 2026-01-01T09:00:00Z\ dropped\ because\ it\ violates\ a\ Retention\ Policy\ Lower\ Bound\ at\ 2026-01-01T10:00:00Z\,\ newest\ point\ x";
        let late = point(lure, "2026-01-01T10:59:48Z", RETENTION, bound);
        assert!(!were_all_too_old(&text(LIMITS, &late, &late)));
        let old = point(lure, "2026-01-01T09:59:48Z", RETENTION, bound);
        assert!(were_all_too_old(&text(LIMITS, &old, &old)));
        let database = text("", &late, &late).replace(
            "database: d",
            &format!("database: d - oldest {old}, newest {old} dropped=1"),
        );
        assert!(!were_all_too_old(&database));
    }
}
