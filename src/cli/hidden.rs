//! A line that is typed at the terminal and not shown there.
//!
//! The terminal gives single keys meanwhile, Ctrl-C among them: as a signal it would end haflux and leave a terminal that shows
//! nothing any more.

use std::io::{self, Write};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};

/// What a key did to the line.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    More,
    Done,
    GivenUp,
}

/// Asks for a line on standard error and reads it. Nothing if the person gave up, by Ctrl-C or Ctrl-D.
///
/// # Errors
/// The terminal's.
pub(super) fn ask(question: &str) -> io::Result<Option<String>> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}")?;
    stderr.flush()?;
    enable_raw_mode()?;
    let read = read();
    disable_raw_mode()?;
    writeln!(stderr)?;
    read
}

fn read() -> io::Result<Option<String>> {
    let mut line = String::new();
    loop {
        let Event::Key(key) = event::read()? else {
            continue;
        };
        match typed(&mut line, key) {
            Typed::More => {}
            Typed::Done => return Ok(Some(line)),
            Typed::GivenUp => return Ok(None),
        }
    }
}

fn typed(line: &mut String, key: KeyEvent) -> Typed {
    if !key.is_press() {
        return Typed::More;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Enter => return Typed::Done,
        KeyCode::Char('c' | 'd') if is_control => return Typed::GivenUp,
        // As a terminal itself does.
        KeyCode::Char('u') if is_control => line.clear(),
        KeyCode::Char(_) if is_control => {}
        KeyCode::Char(letter) => line.push(letter),
        KeyCode::Backspace => drop(line.pop()),
        _ => {}
    }
    Typed::More
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line() {
        let mut line = String::new();
        let mut press = |code, modifiers| {
            let typed = typed(&mut line, KeyEvent::new(code, modifiers));
            (typed, line.clone())
        };
        for letter in "wrong".chars() {
            press(KeyCode::Char(letter), KeyModifiers::NONE);
        }
        let control = KeyModifiers::CONTROL;
        assert_eq!(
            press(KeyCode::Char('u'), control),
            (Typed::More, String::new())
        );
        for letter in "pä:ssx".chars() {
            press(KeyCode::Char(letter), KeyModifiers::NONE);
        }
        press(KeyCode::Backspace, KeyModifiers::NONE);
        press(KeyCode::Left, KeyModifiers::NONE);
        press(KeyCode::Char('W'), KeyModifiers::SHIFT);
        let (typed, line) = press(KeyCode::Enter, KeyModifiers::NONE);
        assert_eq!((typed, line.as_str()), (Typed::Done, "pä:ssW"));
        for letter in ['c', 'd'] {
            assert_eq!(press(KeyCode::Char(letter), control).0, Typed::GivenUp);
        }
    }
}
