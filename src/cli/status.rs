//! `haflux status`: how everything stands at a running haflux, what is wrong first.
//!
//! Exit status: 0 if all is well, 1 if something is wrong (the document has `problems`), 2 if haflux could not be asked. A script
//! can tell by it a node that is down from a haflux that is.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::document::{DocumentError, Source, UNASKED};
use super::output::tell;
use super::tables::{self, Kind};
use super::text::{one_line, table};
use super::{DEFAULT_CONFIG, output};
use crate::stats::snapshot::Snapshot;

/// Exit status if something is wrong.
const WRONG: u8 = 1;

/// The tables, in their order.
const TABLES: [Kind; 5] = [
    Kind::Frontends,
    Kind::Backends,
    Kind::Servers,
    Kind::Relays,
    Kind::Replicas,
];

const EXAMPLES: &str = "\
Examples:
  haflux status                            what is wrong and what to do, then tables of everything
  haflux status >/dev/null || echo look    for a script: 0 all is well, 1 something is wrong, 2 haflux could not be asked
  haflux status --json | jq .problems      the same as <stats_uri>;json; docs/metrics.md says what each figure is
  haflux top                               the same, live";

/// What `haflux status` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Print the JSON document of the status page
    #[arg(long)]
    json: bool,
    /// The configuration of the haflux that runs: its data_dir says where it listens
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// What to print, and whether something is wrong.
struct Said {
    text: String,
    is_wrong: bool,
}

/// Asks the haflux that runs, prints what it says, and gives the exit status that is documented above.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let source = match Source::of(&arguments.config) {
        Ok(source) => source,
        Err(status) => return status,
    };
    let said = match arguments.json {
        true => document(&source),
        false => report(&source),
    };
    let said = match said {
        Ok(said) => said,
        Err(error) => {
            tell!("haflux: {error}");
            return ExitCode::from(UNASKED);
        }
    };
    let status = if said.is_wrong { WRONG } else { 0 };
    output::print(&said.text, status, UNASKED)
}

/// The document as it comes, of whichever version.
fn document(source: &Source) -> Result<Said, DocumentError> {
    #[derive(Deserialize)]
    struct Problems {
        problems: Vec<IgnoredAny>,
    }
    let text = source.text()?;
    let read: Problems = serde_json::from_str(&text)
        .map_err(|error| DocumentError::OtherVersion(error.to_string()))?;
    Ok(Said {
        text: text + "\n",
        is_wrong: !read.problems.is_empty(),
    })
}

/// The document for a person.
fn report(source: &Source) -> Result<Said, DocumentError> {
    let all = source.snapshot()?;
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = write(&mut out, &all);
    Ok(Said {
        text: String::from_utf8_lossy(&out).into_owned(),
        is_wrong: !all.problems.is_empty(),
    })
}

fn write(out: &mut dyn Write, all: &Snapshot) -> io::Result<()> {
    match all.problems.len() {
        0 => writeln!(out, "All is well.")?,
        1 => writeln!(out, "1 thing is wrong:")?,
        several => writeln!(out, "{several} things are wrong:")?,
    }
    let problems = all.problems.iter().map(tables::lines_of);
    for lines in problems.chain(all.notices.iter().map(tables::lines_of_order)) {
        writeln!(out, "\n{}", lines.join("\n"))?;
    }
    let works = tables::works(all);
    if !works.is_empty() {
        writeln!(out, "\n{}", works.join("\n"))?;
    }
    writeln!(
        out,
        "\nhaflux {}, process {}, runs for {}",
        one_line(&all.version),
        all.pid,
        all.started.age()
    )?;
    for kind in TABLES {
        let rows = tables::rows(kind, all);
        let texts = |row: &tables::Row| row.cells.iter().map(|cell| cell.text.clone()).collect();
        let rows: Vec<Vec<String>> = rows.iter().map(texts).collect();
        if !rows.is_empty() {
            writeln!(out)?;
            table(out, kind.titles(), &rows)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::tests::{full, now};

    #[test]
    fn what_is_wrong_stands_before_the_tables() {
        let mut out = Vec::new();
        write(&mut out, &Snapshot::take(&full(), now())).unwrap();
        let text = String::from_utf8(out).unwrap();
        let expected = "\
3 things are wrong:

ERROR: Relay influx_relay takes no writes
  Its disk is full, read-only, ill or gone: writes and statements get 503, reads go on. 5.0 s ago: cannot prepare a segment: No space left on device
  Make room under data_dir or mend the disk. Writes go on by themselves then, without a restart.
    $ haflux journal inspect
    $ df -h

ERROR: Backend grafana_back is DOWN
";
        assert!(text.starts_with(expected), "{text}");
        // The orders that stand come behind it.
        let order = "    $ haflux server ready grafana_back/influxlab\n\nUNDER WAY: rebuild of relay influx_relay, for ";
        assert!(text.contains(order), "{text}");
        let work = ": copying points: 25 %, 1 of 4 slices, 1,000 points (";
        assert!(text.contains(work), "{text}");
        let mut lines = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        for expected in [
            "FRONTEND CONNECTIONS REQ/S REQUESTS 4XX 5XX IN OUT BIND",
            "BACKEND STATE SERVERS UP UNDER WAY REQ/S REQUESTS 5XX BALANCE",
            "SERVER STATE SINCE WEIGHT UNDER WAY REQ/S REQUESTS LAST CHECK ADDRESS",
            "RELAY FRESH ONE NODE BACKLOG REQ/S HEAD ACKNOWLEDGED REJECTED DEAD LETTERS ON DISK REPLICATES TO",
            "REPLICA STATE SINCE CURSOR BEHIND BYTES AGE FRESH IN VERSION LAST ERROR",
            "influx_relay/influxlab2 DOWN 2 min 12 s 59,200 304 89.0 KiB 2 min 12 s 7.0 s 1.6.7 9.0 s ago: it failed",
        ] {
            assert!(lines.any(|line| line == expected), "{expected} in {text}");
        }
    }
}
