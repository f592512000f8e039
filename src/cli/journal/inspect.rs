//! `haflux journal inspect`.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::output::{self, tell};
use crate::cli::place::Chosen;
use crate::cli::text;
use crate::journal::inspection::{
    CursorReport, Inspection, InspectionError, Owner, SegmentReport, SegmentState, TableReport,
    inspect as look,
};
use crate::stats::units::{Bytes, Count};

pub(super) fn inspect(chosen: &Chosen) -> Result<(), ExitCode> {
    let folder = chosen.folder();
    let inspection = look(&folder).map_err(|error| failed(&error))?;
    output::write(|out| print(out, &chosen.relay().name, &folder, &inspection))
}

/// Says why nothing could be read.
pub(super) fn failed(error: &InspectionError) -> ExitCode {
    tell!("{error}");
    ExitCode::FAILURE
}

fn print(
    out: &mut dyn Write,
    relay: &str,
    folder: &Path,
    inspection: &Inspection,
) -> io::Result<()> {
    writeln!(out, "journal of relay {relay} in {}", folder.display())?;
    let Some(id) = inspection.journal else {
        return writeln!(out, "  there is none yet");
    };
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(out, "  id             {id}")?;
    writeln!(out, "  owner          {}", owner(inspection.owner))?;
    let closed = match (inspection.owner, inspection.clean) {
        (Owner::Process { .. }, _) => "no: it is in use",
        (_, true) => "properly",
        (_, false) => "no: its last owner was cut off; the next start recovers",
    };
    writeln!(out, "  closed         {closed}")?;
    match &inspection.head {
        None => writeln!(out, "  newest record  none yet")?,
        Some(head) => {
            let when = head.unix_nanos.map_or(
                "its segment is released or unreadable".to_owned(),
                |nanos| format!("{}, {} ago", text::time(nanos), text::age(nanos)),
            );
            writeln!(out, "  newest record  {}, {when}", head.position.sequence)?;
        }
    }
    for (name, table) in ["cursors.0", "cursors.1"].iter().zip(inspection.tables) {
        writeln!(out, "  {name}      {}", self::table(table))?;
    }
    writeln!(
        out,
        "\nreplicas, as saved (a running haflux saves every second)"
    )?;
    if inspection.cursors.is_empty() {
        writeln!(out, "  none: nobody's place is known")?;
    } else {
        let rows: Vec<[String; 5]> = inspection.cursors.iter().map(cursor).collect();
        let titles = [
            "REPLICA",
            "CURSOR",
            "RECORDS BEHIND",
            "BYTES BEHIND",
            "OLDEST WAITS",
        ];
        text::table(out, &titles, &rows)?;
    }
    writeln!(out, "\nsegments")?;
    let rows: Vec<[String; 7]> = inspection.segments.iter().map(segment).collect();
    let titles = ["FILE", "STATE", "SIZE", "FIRST", "LAST", "FROM", "TO"];
    text::table(out, &titles, &rows)?;
    writeln!(
        out,
        "and {} spare files, {}",
        inspection.spares,
        Bytes(inspection.spare_bytes)
    )
}

fn owner(owner: Owner) -> String {
    let of = |id: Option<u32>, since: Option<u64>| {
        let id = id.map_or("an unknown process".to_owned(), |id| {
            format!("process {id}")
        });
        match since {
            Some(since) => format!(
                "{id}, since {}",
                text::time(since.saturating_mul(1_000_000_000))
            ),
            None => id,
        }
    };
    match owner {
        Owner::Nobody => "nobody, ever".to_owned(),
        Owner::Process { id, since } => of(id, since),
        Owner::Last { id, since } => {
            format!("nobody that can be seen from here; last {}", of(id, since))
        }
    }
}

pub(super) fn table(table: TableReport) -> String {
    match table {
        TableReport::Sound { generation } => format!("sound, generation {generation}"),
        TableReport::Missing => "missing".to_owned(),
        TableReport::Damaged => "DAMAGED".to_owned(),
    }
}

fn cursor(report: &CursorReport) -> [String; 5] {
    [
        text::one_line(&report.cursor.name),
        report.cursor.sequence.to_string(),
        Count(report.records).to_string(),
        Bytes(report.bytes).to_string(),
        report
            .oldest
            .map_or("-".to_owned(), |nanos| text::age(nanos).to_string()),
    ]
}

fn segment(report: &SegmentReport) -> [String; 7] {
    let state = match report.state {
        SegmentState::Newest => "newest",
        SegmentState::Closed => "closed",
        SegmentState::Superseded => "superseded",
        SegmentState::Foreign => "of another journal",
    };
    let state = if report.header_is_sound {
        state.to_owned()
    } else {
        format!("{state}, header DAMAGED")
    };
    let time = |nanos: Option<u64>| nanos.map_or("-".to_owned(), text::time);
    [
        report.file.clone(),
        state,
        Bytes(report.bytes).to_string(),
        report.first.to_string(),
        report.last.map_or("-".to_owned(), |last| last.to_string()),
        time(report.from),
        time(report.to),
    ]
}
