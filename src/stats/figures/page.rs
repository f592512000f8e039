//! The list as a page of the documentation, `docs/metrics.md`.

use std::fmt::Write;

use super::{About, Kind, Part, groups};

/// The command that renews the page.
pub const RENEW: &str = "HAFLUX_RENEW=1 cargo test --lib stats::figures";

/// The page.
pub fn markdown() -> String {
    let mut page = format!(
        "# Figures\n\n\
         <!-- Made from src/stats/figures; `{RENEW}` renews it. -->\n\n\
         Every number, state and text that haflux tells of itself. JSON has them at `stats_uri` with `;json` behind it, under the\n\
         paths of the first column; `[]` stands for each item of a list, and `figures` of the same document repeats this page.\n\
         Prometheus has them at a frontend's `metrics_uri` and at `server.metrics_bind`, under the names of the second column; the\n\
         labels stand above each table. What HAProxy's readers get with `;csv` stands in [operation](operation.md#csv).\n\n\
         Counters begin at 0 with the process. A state is a metric of value 1 or 0 for each `state`. A moment is RFC 3339 in JSON and\n\
         Unix time for Prometheus. A histogram is `{{\"count\", \"sum\", \"up_to\": {{BOUND: COUNT}}}}` in JSON, bounds and sum in seconds.\n"
    );
    for group in groups() {
        let part = group.part();
        let labels = match part.labels {
            [] => String::new(),
            labels => format!("Labels: `{}`.\n\n", labels.join("`, `")),
        };
        // Writing to a `String` does not fail.
        let _ = write!(
            page,
            "\n## {}\n\n{labels}| JSON | Prometheus | kind | unit | meaning |\n| --- | --- | --- | --- | --- |\n",
            part.title
        );
        for about in group.figures() {
            page.push_str(&row(part, about));
        }
    }
    page
}

fn row(part: &Part, about: &About) -> String {
    let label = about
        .label
        .map(|(name, value)| format!("{{{name}=\"{value}\"}}"))
        .unwrap_or_default();
    let metric = match about.metric {
        "" => String::new(),
        metric if about.kind == Kind::State => {
            format!("`{}{metric}{{state=\"…\"}}`", part.prefix)
        }
        metric => format!("`{}{metric}{label}`", part.prefix),
    };
    format!(
        "| `{}{}` | {metric} | {} | {} | {} |\n",
        part.path,
        about.path,
        about.kind.word(),
        about.unit,
        about.description
    )
}
