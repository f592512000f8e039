//! HAProxy's phrasing: a line of commands, each a few words, answered by lines of text and an empty one.
//!
//! HAProxy's tools read these answers, so each is HAProxy's own, byte for byte where it can be. `read` turns a command into a
//! [`Step`], `show` an answer into text.

mod commands;
mod info;
mod show;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::message::Request;
use crate::config::model::Level;
use crate::stats::csv::Format;

pub(super) use commands::read;
pub(super) use show::show;

/// What a command asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A request, and how its answer is shown.
    Ask(Request, View),
    /// An answer that needs no request.
    Say(String),
    /// Interactive mode begins or ends.
    Prompt,
    /// The session may do no more than this from here on.
    Lower(Level),
    /// How long silence may last.
    Timeout(Duration),
    /// The connection ends.
    Quit,
}

/// How an answer is shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum View {
    /// As itself.
    Plain,
    /// As the success of an order of HAProxy's: nothing is said.
    Silent,
    /// `show info`.
    Process(Format),
    /// `show servers state`, of one backend or of all.
    ServersState(Option<String>),
    /// `show backend`.
    Backends,
    /// `get weight`.
    Weight {
        /// The server's backend.
        backend: String,
        /// The server.
        server: String,
    },
}

/// The commands of a line, each as its words: `;` ends one, a space one word, and a backslash takes both for what they are.
pub(super) fn commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    loop {
        let character = characters.next();
        let ends_word = character.is_none_or(|one| one == ';' || one.is_whitespace());
        if !ends_word {
            let taken = match character {
                Some('\\') => characters.next(),
                other => other,
            };
            word.get_or_insert_default().extend(taken);
            continue;
        }
        if let (Some(word), Some(words)) = (word.take(), all.last_mut()) {
            words.push(word);
        }
        match character {
            None => break,
            Some(';') => all.push(Vec::new()),
            Some(_) => {}
        }
    }
    // A `;` at the end begins nothing.
    if all.len() > 1 && all.last().is_some_and(Vec::is_empty) {
        all.pop();
    }
    all
}
