//! `haflux dead-letters list`.

use std::process::ExitCode;

use super::{folder, letters};
use crate::cli::place::Chosen;
use crate::cli::{output, text};
use crate::relay::dead_letters::{FoundLetter, LetterFolder, NO_VERDICT};
use crate::shown;

/// Characters of a reason that a row shows.
const LONGEST_REASON: usize = 120;

const TITLES: [&str; 7] = [
    "ID", "REPLICA", "TIME", "DATABASE", "LINES", "STATUS", "REASON",
];

pub(super) fn list(chosen: &Chosen, replica: Option<&str>) -> Result<(), ExitCode> {
    let letters = letters(chosen, replica)?;
    if letters.is_empty() {
        return output::write(|out| out.write_all(b"no dead letters\n"));
    }
    let folder = folder(chosen);
    let rows: Vec<[String; 7]> = letters.iter().map(|letter| row(&folder, letter)).collect();
    output::write(|out| text::table(out, &TITLES, &rows))
}

/// A letter as a row.
pub(super) fn row(folder: &LetterFolder, letter: &FoundLetter) -> [String; 7] {
    let id = &letter.id;
    let (name, replica) = (id.to_string(), text::one_line(&id.replica));
    let unreadable = |reason: String| {
        let nothing = String::new;
        let name = name.clone();
        [
            name,
            replica.clone(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            reason,
        ]
    };
    if letter.damaged {
        return unreadable("damaged, set aside: can only be dropped".to_owned());
    }
    match folder.read_header(id) {
        Err(error) => unreadable(error.to_string()),
        Ok(header) => {
            let reason = text::one_line(header.reason.lines().next().unwrap_or_default());
            [
                name,
                replica,
                text::one_line(&header.time),
                text::one_line(shown::name(&header.database)),
                match header.statement {
                    None => header.lines.to_string(),
                    Some(_) => "stmt".to_owned(),
                },
                match header.status {
                    NO_VERDICT => "none".to_owned(),
                    status => status.to_string(),
                },
                shorten(&reason),
            ]
        }
    }
}

fn shorten(reason: &str) -> String {
    match reason.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", reason.get(..end).unwrap_or_default()),
        None => reason.to_owned(),
    }
}
