//! A body whose timestamps count in nanoseconds, so that it may stand beside others in one request.

use bytes::Bytes;

use super::normalize::{Rewriter, timestamp_digits};
use super::scan::{LineKind, Lines};
use crate::influx::precision::Precision;

/// The times that InfluxDB takes (`models.MinNanoTime`, `MaxNanoTime`).
const TIMES: std::ops::RangeInclusive<i64> = i64::MIN + 2..=i64::MAX - 1;

/// The normalized `body` with its timestamps in nanoseconds instead of `precision`: the same points. `None` where that is not
/// certain for every line: one without a plain timestamp at its end, or with one that does not fit. Lines that InfluxDB refuses
/// stay refused, with another number in the error's quotation; so what was refused is to be sent as it came.
pub fn in_nanoseconds(body: &Bytes, precision: Precision) -> Option<Bytes> {
    let mut rewriter = Rewriter::new(body);
    for line in Lines::new(body).filter(|line| line.kind == LineKind::Line) {
        let text = body.get(line.text.clone())?;
        let start = text.len() - timestamp_digits(text)?;
        let digits = std::str::from_utf8(text.get(start..)?).ok()?;
        let is_negative = text.get(..start)?.ends_with(b"-");
        let units: i64 = digits.parse().ok()?;
        let nanoseconds = units.checked_mul(precision.nanoseconds())?;
        // Its sign stands before the digits and stays there.
        let time = if is_negative {
            -nanoseconds
        } else {
            nanoseconds
        };
        if !TIMES.contains(&time) {
            return None;
        }
        rewriter.replace(
            line.text.start + start,
            line.text.end,
            nanoseconds.to_string().as_bytes(),
        );
    }
    let change = rewriter.finish();
    Some(change.map_or_else(|| body.clone(), |change| change.apply(body.clone())))
}
