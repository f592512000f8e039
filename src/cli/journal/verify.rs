//! `haflux journal verify`.

use std::io::{self, Write};
use std::process::ExitCode;

use super::inspect::{failed, table};
use crate::cli::place::Chosen;
use crate::cli::{output, text};
use crate::journal::inspection::{Loss, SegmentCheck, TableReport, Verification, verify as read};
use crate::stats::units::{Bytes, Count};

pub(super) fn verify(chosen: &Chosen) -> Result<(), ExitCode> {
    let mut said = Ok(());
    let verification = read(&chosen.folder(), &mut |segment| {
        if said.is_ok() {
            said = writeln!(io::stdout(), "{}: {}", segment.file, said_of(segment));
        }
    })
    .map_err(|error| failed(&error))?;
    output::write(|out| {
        said?;
        print(out, &verification)
    })?;
    if verification.has_losses() {
        Err(ExitCode::FAILURE)
    } else {
        Ok(())
    }
}

fn said_of(segment: &SegmentCheck) -> String {
    if segment.released {
        return "released while it was read: every replica has passed it".to_owned();
    }
    if let Some(reason) = &segment.unreadable {
        return format!("CANNOT BE READ: {reason}");
    }
    let mut said = match segment.range {
        None => "no records".to_owned(),
        Some((first, last)) => format!(
            "{} sound records, {first} to {last}, {}",
            Count(segment.records),
            Bytes(segment.bytes)
        ),
    };
    if segment.holes > 0 {
        said += &format!("; DAMAGED in {} places", segment.holes);
    }
    if segment.discarded {
        said += "; header DAMAGED, and nothing proves that these records were ever synced: the next start goes on without them";
    } else if !segment.header_is_sound {
        said += "; header DAMAGED, which costs no record";
    }
    said
}

fn print(out: &mut dyn Write, verification: &Verification) -> io::Result<()> {
    for (name, report) in ["cursors.0", "cursors.1"].iter().zip(verification.tables) {
        writeln!(out, "{name}: {}", table(report))?;
    }
    if verification.tables.contains(&TableReport::Damaged) && !verification.cursors_are_lost {
        writeln!(
            out,
            "    one sound table is enough; the next save mends the other"
        )?;
    }
    if verification.unproven_bytes > 0 {
        writeln!(
            out,
            "at the end: {} of records that were not complete when haflux ended, or are being written now; they were never acknowledged",
            Bytes(verification.unproven_bytes)
        )?;
    }
    for loss in &verification.losses {
        tell(out, loss, verification.cursors.is_empty())?;
    }
    if verification.cursors_are_lost {
        writeln!(
            out,
            "LOST: both cursor tables. The records are there, but which replica has had which is not known: the next start sends all of them to every replica again, in order."
        )?;
    }
    let head = verification.head.sequence;
    match (verification.has_losses(), verification.losses.is_empty()) {
        (true, _) => writeln!(
            out,
            "\nThe journal has LOST something. Newest record: {head}."
        ),
        (false, true) => writeln!(out, "\nNothing is lost. Newest record: {head}."),
        (false, false) => writeln!(
            out,
            "\nNothing is lost: every replica is past the damage. Newest record: {head}."
        ),
    }
}

fn tell(out: &mut dyn Write, loss: &Loss, nobody_known: bool) -> io::Result<()> {
    let (first, last) = (loss.gap.after.next(), loss.gap.before.previous());
    let which = if first == last {
        format!("record {first}")
    } else {
        format!("records {first} to {last}")
    };
    let bytes = loss
        .bytes
        .map_or(String::new(), |bytes| format!(" ({})", Bytes(bytes)));
    let place = match loss.file.as_str() {
        "" => String::new(),
        file => format!(", seen in {file}"),
    };
    if nobody_known {
        return writeln!(
            out,
            "LOST: {which}{bytes}{place}. Which replica has had them is not known."
        );
    }
    if loss.behind.is_empty() {
        return writeln!(
            out,
            "damaged: {which}{bytes}{place}. Every replica has had them: harmless."
        );
    }
    let names: Vec<String> = loss
        .behind
        .iter()
        .map(|name| text::one_line(name))
        .collect();
    writeln!(
        out,
        "LOST: {which}{bytes}{place}. Not yet past them, so without them for good, at least in part: {}. Copy what is missing from a replica that has it, or rebuild them.",
        names.join(", ")
    )
}
