//! The figures of the works that make nodes hold the same.

use super::figure::{About, Figure, Kind, Readable, Reading, figure, text};
use super::group::{Part, Typed};
use crate::stats::snapshot::WorkView;

pub(super) fn works() -> Typed<WorkView> {
    let figures: Vec<Figure<WorkView>> = vec![
        text!("name", "`compare`, `mend` or `rebuild`."),
        text!("target", "The replica that a rebuild fills."),
        figure!(
            Gauge,
            running,
            "running",
            "1 or 0",
            "Whether it is under way (in JSON true or false)."
        ),
        figure!(
            Moment,
            began,
            "began_timestamp_seconds",
            "",
            "When it began."
        ),
        text!("step", "What it is at, or was last."),
        text!(
            "failed",
            "Why it did not come to its end; nothing if it did, was cancelled, or is under way."
        ),
        figure!(
            Gauge,
            slices_done,
            "slices_done",
            "slices",
            "Slices (a measurement of a policy in a shard group) that are done in this pass over the data."
        ),
        figure!(
            Gauge,
            slices,
            "slices",
            "slices",
            "All slices of this pass, as far as they are known."
        ),
        figure!(
            Gauge,
            percent,
            "percent",
            "per cent",
            "How many of a hundred slices are done; nothing while none are known."
        ),
        figure!(
            Gauge,
            points,
            "points",
            "points",
            "Points that it copied or wrote, and rows that it read to compare."
        ),
        figure!(
            Gauge,
            points_per_second,
            "points_per_second",
            "points/s",
            "The same a second: of the last ten seconds, or of the whole when it is over."
        ),
        figure!(
            Gauge,
            bytes,
            "read_bytes",
            "bytes",
            "What it read from nodes."
        ),
        figure!(
            Gauge,
            bytes_per_second,
            "read_bytes_per_second",
            "bytes/s",
            "The same a second: of the last ten seconds, or of the whole when it is over."
        ),
        figure!(
            Gauge,
            left,
            "left_seconds",
            "seconds",
            "How long this pass takes on at its pace; nothing while that cannot be told."
        ),
        figure!(
            Gauge,
            differences,
            "differences",
            "differences",
            "How many differences it found."
        ),
    ];
    Typed {
        part: Part {
            title: "Comparisons, mends and rebuilds",
            path: "relays[].work.",
            prefix: "haflux_heal_",
            labels: &["relay", "work"],
        },
        each: |snapshot| {
            let each = snapshot.relays.iter().filter_map(|relay| {
                let work = relay.work.as_ref()?;
                Some((vec![relay.name.clone(), work.name.clone()], work))
            });
            each.collect()
        },
        figures,
    }
}
