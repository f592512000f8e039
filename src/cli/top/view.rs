//! What is looked at: in which part, which of its rows, in which order; and what keys do to it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::Answer;
use super::content::{Note, Order, Place, Section, sections, works};
use crate::cli::tables::Kind;
use crate::cli::text::one_line;
use crate::stats::snapshot::Snapshot;
use crate::stats::units::Span;

/// How long an answer may take before the screen says that there is none.
const PATIENCE: Duration = Duration::from_secs(3);

/// Most letters of a filter.
const LONGEST_FILTER: usize = 80;

/// Whether to go on after a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    Leave,
}

/// What is looked at inside of a part, or outside of all.
#[derive(Debug, Default)]
struct Level {
    place: Option<Place>,
    /// Only rows with these letters are shown.
    filter: String,
    /// The row that is chosen, counted over all tables.
    position: usize,
    /// The same row by its names: unless it is the first, it stays chosen when rows before it come and go.
    chosen: Option<(Kind, Vec<String>)>,
    /// Lines that are scrolled away at the top.
    scroll: usize,
}

/// The last answer, and when it came.
struct Seen {
    snapshot: Box<Snapshot>,
    at: Instant,
}

/// All of it.
pub(super) struct View {
    delay: Duration,
    seen: Option<Seen>,
    /// Why there was no answer, since the last one.
    trouble: Option<String>,
    /// Since when an answer is waited for.
    asked: Option<Instant>,
    /// The levels around this one, the outermost first.
    outer: Vec<Level>,
    level: Level,
    orders: HashMap<Kind, Order>,
    is_typing: bool,
    is_paused: bool,
    is_help: bool,
    /// Lines of a screenful.
    page: usize,
}

impl View {
    /// Nothing is seen so far.
    pub(super) fn new(delay: Duration) -> View {
        View {
            delay,
            seen: None,
            trouble: None,
            asked: None,
            outer: Vec::new(),
            level: Level::default(),
            orders: HashMap::new(),
            is_typing: false,
            is_paused: false,
            is_help: false,
            page: 1,
        }
    }

    /// Whether to ask now: once at a time, and not while it is paused. It counts as asked then.
    pub(super) fn asks(&mut self, now: Instant) -> bool {
        let asks = !self.is_paused && self.asked.is_none();
        if asks {
            self.asked = Some(now);
        }
        asks
    }

    /// Takes an answer, or why there is none.
    pub(super) fn answer(&mut self, answer: Answer, now: Instant) {
        self.asked = None;
        match answer {
            // What is paused stays as it is.
            Ok(_) if self.is_paused && self.seen.is_some() => {}
            Ok(snapshot) => {
                self.seen = Some(Seen { snapshot, at: now });
                self.trouble = None;
                self.settle();
            }
            Err(trouble) => self.trouble = Some(one_line(&trouble)),
        }
    }

    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        self.seen.as_ref().map(|seen| &*seen.snapshot)
    }

    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    pub(super) fn is_help(&self) -> bool {
        self.is_help
    }

    /// The letters of the filter, and whether they are being typed.
    pub(super) fn filter(&self) -> (&str, bool) {
        (&self.level.filter, self.is_typing)
    }

    /// Since when there is no answer, and why; nothing while answers come.
    pub(super) fn silence(&self, now: Instant) -> Option<String> {
        let waits = self
            .asked
            .is_some_and(|asked| now.saturating_duration_since(asked) >= PATIENCE);
        let why = self.trouble.as_ref().map(|why| format!(": {why}"));
        if !waits && why.is_none() {
            return None;
        }
        let why = why.unwrap_or_default();
        Some(match &self.seen {
            Some(seen) => {
                let age = Span(now.saturating_duration_since(seen.at));
                format!("no answer since {} ({age}){why}", seen.snapshot.now)
            }
            None => format!("no answer{why}"),
        })
    }

    /// Where this is, from the outside to the inside.
    pub(super) fn path(&self) -> String {
        let levels = self.outer.iter().chain([&self.level]);
        let names = levels.map(|level| match &level.place {
            None => "everything".to_owned(),
            Some(place) => {
                let word = match place.kind {
                    Kind::Problems => "what is wrong",
                    Kind::Frontends => "frontend",
                    Kind::Backends => "backend",
                    Kind::Servers => "server",
                    Kind::Relays => "relay",
                    Kind::Replicas => "replica",
                    Kind::Lanes => "lane",
                    Kind::Figures => "figure",
                };
                match place.names.last() {
                    Some(name) => format!("{word} {}", one_line(name)),
                    None => word.to_owned(),
                }
            }
        });
        let names: Vec<String> = names.collect();
        names.join(" > ")
    }

    /// The text above the tables.
    pub(super) fn notes(&self) -> Vec<Note> {
        match (&self.level.place, self.snapshot()) {
            (Some(place), Some(all)) => place.notes(all),
            (None, Some(all)) => works(all),
            (_, None) => Vec::new(),
        }
    }

    /// The tables that have a row which the filter leaves, sorted.
    pub(super) fn sections(&self) -> Vec<Section> {
        let Level { place, filter, .. } = &self.level;
        let sections = |all| sections(all, place.as_ref(), filter, &self.orders);
        self.snapshot().map_or_else(Vec::new, sections)
    }

    /// The number of the row that is chosen, over all sections.
    pub(super) fn position(&self) -> usize {
        self.level.position
    }

    /// Scrolls to where the line that is chosen is in sight, in a window of so many of all `lines`; returns how many lines are
    /// scrolled away.
    pub(super) fn scroll_to(
        &mut self,
        chosen: Option<usize>,
        lines: usize,
        window: usize,
    ) -> usize {
        self.page = window.max(1);
        let scroll = &mut self.level.scroll;
        if let Some(chosen) = chosen {
            // The first row shows what stands above it, too.
            *scroll = match self.level.position {
                0 => 0,
                _ => (*scroll).min(chosen),
            };
            *scroll = (*scroll).max((chosen + 1).saturating_sub(self.page));
        }
        *scroll = (*scroll).min(lines.saturating_sub(self.page));
        *scroll
    }

    /// Does what a key says.
    pub(super) fn key(&mut self, key: KeyEvent) -> Next {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Next::Leave,
                _ => Next::GoOn,
            };
        }
        if self.is_typing {
            self.type_filter(key.code);
        } else if self.is_help && key.code != KeyCode::Char('q') {
            self.is_help = false;
        } else {
            match key.code {
                KeyCode::Char('q') => return Next::Leave,
                KeyCode::Char('?') | KeyCode::F(1) => self.is_help = true,
                KeyCode::Char('/') => self.is_typing = true,
                KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
                KeyCode::Char('s') => self.sort_by_next(),
                KeyCode::Char('r') => self.reverse(),
                KeyCode::Up | KeyCode::Char('k') => self.move_up(1),
                KeyCode::Down | KeyCode::Char('j') => self.move_down(1),
                KeyCode::PageUp => self.move_up(self.page),
                KeyCode::PageDown => self.move_down(self.page),
                KeyCode::Home | KeyCode::Char('g') => self.move_up(usize::MAX),
                KeyCode::End | KeyCode::Char('G') => self.move_down(usize::MAX),
                KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => self.go_in(),
                KeyCode::Esc if !self.level.filter.is_empty() => self.level.filter.clear(),
                KeyCode::Esc | KeyCode::Left | KeyCode::Backspace | KeyCode::Char('h') => {
                    self.go_out();
                }
                _ => {}
            }
        }
        self.settle();
        Next::GoOn
    }

    fn type_filter(&mut self, key: KeyCode) {
        let filter = &mut self.level.filter;
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                filter.clear();
                self.is_typing = false;
            }
            KeyCode::Backspace => {
                filter.pop();
            }
            KeyCode::Char(letter)
                if !letter.is_control() && filter.chars().count() < LONGEST_FILTER =>
            {
                filter.push(letter);
            }
            _ => {}
        }
    }

    /// Chooses another row; where there are none, the text is scrolled.
    fn move_by(&mut self, by: usize, move_it: fn(usize, usize) -> usize) {
        let level = &mut self.level;
        match level.chosen.take() {
            Some(_) => level.position = move_it(level.position, by),
            None => level.scroll = move_it(level.scroll, by),
        }
    }

    fn move_up(&mut self, by: usize) {
        self.move_by(by, usize::saturating_sub);
    }

    fn move_down(&mut self, by: usize) {
        self.move_by(by, usize::saturating_add);
    }

    fn go_in(&mut self) {
        let Some((kind, names)) = &self.level.chosen else {
            return;
        };
        let names = match kind {
            Kind::Problems => Vec::new(),
            Kind::Frontends | Kind::Backends | Kind::Servers | Kind::Relays | Kind::Replicas => {
                names.clone()
            }
            Kind::Lanes | Kind::Figures => return,
        };
        let inner = Level {
            place: Some(Place { kind: *kind, names }),
            ..Level::default()
        };
        self.outer.push(std::mem::replace(&mut self.level, inner));
    }

    fn go_out(&mut self) {
        if let Some(outer) = self.outer.pop() {
            self.level = outer;
        }
    }

    /// The table of the chosen row is sorted by its next column; behind the last one stands the order of the configuration.
    fn sort_by_next(&mut self) {
        let Some((kind, _)) = &self.level.chosen else {
            return;
        };
        let column = self.orders.get(kind).map_or(0, |order| order.column + 1);
        if column < kind.titles().len() {
            let order = Order {
                column,
                is_reversed: false,
            };
            self.orders.insert(*kind, order);
        } else {
            self.orders.remove(kind);
        }
    }

    fn reverse(&mut self) {
        if let Some((kind, _)) = &self.level.chosen
            && let Some(order) = self.orders.get_mut(kind)
        {
            order.is_reversed = !order.is_reversed;
        }
    }

    /// Finds the chosen row again: by its names, else the one that stands in its place.
    fn settle(&mut self) {
        let sections = self.sections();
        let mut names: Vec<(Kind, Vec<String>)> = sections
            .into_iter()
            .flat_map(|section| {
                let kind = section.kind;
                section.rows.into_iter().map(move |row| (kind, row.names))
            })
            .collect();
        let level = &mut self.level;
        let mut known = names.iter();
        // At the top stays at the top, where a new problem comes in.
        let found = match level.position {
            0 => None,
            _ => known.position(|known| Some(known) == level.chosen.as_ref()),
        };
        level.position = found.unwrap_or(level.position.min(names.len().saturating_sub(1)));
        level.chosen = match level.position < names.len() {
            true => Some(names.swap_remove(level.position)),
            false => None,
        };
    }
}
