//! Names and other text from elsewhere, for a terminal's line.

use std::fmt::{self, Display, Formatter};

use crate::config::nearest;

/// Text from elsewhere, fit for a terminal: a node's answer may hold line ends and what moves the cursor.
pub(super) struct OneLine<'a>(pub(super) &'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            let printed = if character.is_control() {
                ' '
            } else {
                character
            };
            write!(f, "{printed}")?;
        }
        Ok(())
    }
}

/// The same between quotes.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", OneLine(self.0))
    }
}

/// Names, with commas between them.
pub(super) struct Names<'a>(pub(super) &'a [String]);

impl Display for Names<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (position, name) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{}", OneLine(name))?;
        }
        Ok(())
    }
}

/// A hint at the name that was probably meant, if there is one.
pub(super) struct DidYouMean<'a> {
    pub(super) found: &'a str,
    pub(super) known: &'a [String],
}

impl Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match nearest(self.found, self.known.iter().map(String::as_str)) {
            Some(name) => write!(f, "; did you mean {}?", Quoted(name)),
            None => Ok(()),
        }
    }
}
