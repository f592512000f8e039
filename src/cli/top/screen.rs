//! How the view is drawn. What does not fit is left out from the bottom and from the right; no size of a terminal is too small.

use std::time::Instant;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span as Words;

use super::KEYS;
use super::content::Section;
use super::view::View;
use crate::cli::text::one_line;

/// The widest column that is not the last one.
const WIDEST: usize = 48;

/// Lines above the tables.
const HEAD: u16 = 3;

/// The lowest screen that has a line for the keys.
const LOWEST_WITH_KEYS: u16 = 6;

const HINT: &str = "Enter in  Esc out  / filter  s sort  p pause  ? keys  q quit";

/// One line of the part that scrolls.
struct Line {
    /// Each with the width that it has at most.
    cells: Vec<(String, usize)>,
    style: Style,
    is_chosen: bool,
}

impl Line {
    fn of(text: String, style: Style) -> Line {
        Line {
            cells: vec![(text, usize::MAX)],
            style,
            is_chosen: false,
        }
    }
}

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, view: &mut View, now: Instant) {
    let area = frame.area();
    let width = usize::from(area.width);
    let foot = u16::from(area.height >= LOWEST_WITH_KEYS);
    let body = Rect {
        y: area.y + HEAD.min(area.height),
        height: area.height.saturating_sub(HEAD + foot),
        ..area
    };
    let buffer = frame.buffer_mut();
    for (y, (text, style)) in (area.top()..area.bottom()).zip(head(view, width, now)) {
        write(buffer, area.x, y, &text, style);
    }
    let lines = match view.is_help() {
        true => KEYS
            .lines()
            .map(|text| Line::of(text.to_owned(), Style::new()))
            .collect(),
        false => lines(view, width),
    };
    let chosen = lines.iter().position(|line| line.is_chosen);
    let scroll = match view.is_help() {
        true => 0,
        false => view.scroll_to(chosen, lines.len(), usize::from(body.height)),
    };
    for (y, line) in (body.top()..body.bottom()).zip(lines.iter().skip(scroll)) {
        write_line(buffer, body, y, line);
    }
    if foot > 0 {
        let y = area.bottom() - 1;
        let (filter, is_typing) = view.filter();
        if is_typing {
            let x = write(buffer, area.x, y, &format!("/{filter}"), Style::new());
            frame.set_cursor_position((x.min(area.right().saturating_sub(1)), y));
        } else {
            write(
                buffer,
                area.x,
                y,
                HINT,
                Style::new().add_modifier(Modifier::DIM),
            );
        }
    }
}

/// Who answers; what is wrong in one line, or that there is no answer; where this is.
fn head(view: &View, width: usize, now: Instant) -> [(String, Style); HEAD as usize] {
    let pace = match view.is_paused() {
        true => "paused".to_owned(),
        false => format!("every {} s", view.delay().as_secs_f64()),
    };
    let (who, headline) = match view.snapshot() {
        Some(all) => (
            format!(
                "haflux {}  process {}  runs for {}",
                one_line(&all.version),
                all.pid,
                all.started.age()
            ),
            (one_line(&all.headline()), style(all.mood())),
        ),
        None => ("haflux".to_owned(), (String::new(), Style::new())),
    };
    let gap = width.saturating_sub(columns(&who) + columns(&pace)).max(2);
    let headline = match view.silence(now) {
        Some(silence) => (silence, style("bad")),
        None => headline,
    };
    let filter = match view.filter() {
        ("", _) => String::new(),
        (filter, _) => format!("  with /{filter}"),
    };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    [
        (format!("{who}{}{pace}", " ".repeat(gap)), Style::new()),
        headline,
        (format!("{}{filter}", view.path()), bold),
    ]
}

/// Everything below that.
fn lines(view: &View, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for note in view.notes() {
        for text in wrapped(&note.text, width) {
            lines.push(Line::of(text, style(note.mood)));
        }
    }
    let mut number = 0;
    for section in view.sections() {
        if !lines.is_empty() {
            lines.push(Line::of(String::new(), Style::new()));
        }
        let (titles, widths) = measured(&section);
        let cells = |texts: Vec<String>| texts.into_iter().zip(widths.iter().copied()).collect();
        lines.push(Line {
            cells: cells(titles),
            style: Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            is_chosen: false,
        });
        for row in section.rows {
            lines.push(Line {
                cells: cells(row.cells.into_iter().map(|cell| cell.text).collect()),
                style: style(row.mood),
                is_chosen: number == view.position(),
            });
            number += 1;
        }
    }
    if lines.is_empty() && view.snapshot().is_some() {
        let text = match view.filter() {
            ("", _) => "There is nothing of this name.".to_owned(),
            (filter, _) => format!("No row has the letters {filter}."),
        };
        lines.push(Line::of(text, Style::new()));
    }
    lines
}

/// The titles of a table, one of them marked if it is sorted, and the widths of its columns.
fn measured(section: &Section) -> (Vec<String>, Vec<usize>) {
    let mut titles: Vec<String> = section
        .kind
        .titles()
        .iter()
        .map(|title| (*title).to_owned())
        .collect();
    if let Some(order) = section.order
        && let Some(title) = titles.get_mut(order.column)
    {
        title.push(if order.is_reversed { '▲' } else { '▼' });
    }
    let mut widths: Vec<usize> = titles.iter().map(|title| columns(title)).collect();
    for row in &section.rows {
        for (width, cell) in widths.iter_mut().zip(&row.cells) {
            *width = (*width).max(columns(&cell.text));
        }
    }
    if let Some((_, inner)) = widths.split_last_mut() {
        for width in inner {
            *width = (*width).min(WIDEST);
        }
    }
    (titles, widths)
}

fn write_line(buffer: &mut Buffer, area: Rect, y: u16, line: &Line) {
    let mut x = area.x;
    for (text, width) in &line.cells {
        buffer.set_stringn(x, y, text, *width, line.style);
        let step = u16::try_from(width.saturating_add(2)).unwrap_or(u16::MAX);
        x = x.saturating_add(step);
        if x >= area.right() {
            break;
        }
    }
    if line.is_chosen {
        let whole = Rect {
            y,
            height: 1,
            ..area
        };
        buffer.set_style(whole, Style::new().add_modifier(Modifier::REVERSED));
    }
}

/// Writes text; returns the column behind it.
fn write(buffer: &mut Buffer, x: u16, y: u16, text: &str, style: Style) -> u16 {
    buffer.set_stringn(x, y, text, usize::MAX, style).0
}

/// Columns of the terminal that a text takes.
fn columns(text: &str) -> usize {
    Words::raw(text).width()
}

fn style(mood: &str) -> Style {
    match mood {
        "bad" => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        "warn" => Style::new().fg(Color::Yellow),
        "good" => Style::new().fg(Color::Green),
        _ => Style::new(),
    }
}

/// The text in lines of at most this width, broken between words, each as far to the right as the first one. A longer word has a
/// line for itself.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let indent = text.chars().take_while(|letter| *letter == ' ').count();
    let indent = " ".repeat(indent);
    let mut lines = Vec::new();
    let mut line = indent.clone();
    for word in text.split_whitespace() {
        let is_first = line.len() == indent.len();
        if !is_first && columns(&line) + 1 + columns(word) > width {
            lines.push(std::mem::replace(&mut line, indent.clone()));
        } else if !is_first {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrapped("  one two three", 9), ["  one two", "  three"]);
        assert_eq!(wrapped("averylongword two", 5), ["averylongword", "two"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("äöü äöü", 7), ["äöü äöü"]);
        assert_eq!(wrapped("a b", 0), ["a", "b"]);
    }
}
