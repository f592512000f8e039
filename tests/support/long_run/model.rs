//! One thing that is changed and read, and what a read of it may show.
//!
//! Its changes are made by one owner, one after the other, and each says all that the thing holds afterwards. So what a read may
//! show is what one of these changes left:
//!
//! - the newest that was acknowledged before the read began;
//! - any later one that was begun before the read ended. It may have been carried out, whatever is known of it, unless it was
//!   turned away: that says that nothing was done.
//!
//! A change whose outcome is unknown happened before its owner's next one, or never: what is in the journal has its place there.
//! And what any read has shown before another one began, the other one shows too, or something newer; but that it is gone only
//! once the deletion has ended.

use std::time::Duration;

use super::events;

/// What a thing holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// It is not there.
    Gone,
    /// It is there. Of its owner's changes only this one gave it this value.
    Value(u64),
}

/// What a read showed of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// That it is there, not what it holds.
    Something,
    Value(u64),
}

impl Content {
    fn shows_as(self, found: Found) -> bool {
        match (self, found) {
            (Content::Gone, Found::Nothing) | (Content::Value(_), Found::Something) => true,
            (Content::Value(held), Found::Value(shown)) => held == shown,
            (Content::Gone | Content::Value(_), _) => false,
        }
    }
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Acknowledged,
    /// An error, or no answer: it may be done, now or later.
    Unknown,
    /// It was turned away, or never sent: it is not done.
    TurnedAway,
}

/// One change.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// Its owner's changes are numbered from 1 on; 0 is the beginning, when nothing was there.
    pub number: u64,
    pub what: &'static str,
    pub content: Content,
    pub begun: Duration,
    /// When, and what came of it; none while it is under way.
    pub ended: Option<(Duration, Outcome)>,
}

/// A read of a thing.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub client: usize,
    /// The client's requests are numbered; haflux's access log shows it.
    pub request: u64,
    pub begun: Duration,
    pub ended: Duration,
    pub found: Found,
}

/// What is known of a thing when a read begins: the numbers of changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bound {
    /// The newest that was acknowledged.
    acknowledged: u64,
    /// The newest that a read has shown.
    shown: u64,
}

/// How an answer can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Older than what was acknowledged before the read began.
    Stale,
    /// Not there, though it was acknowledged and not deleted since.
    Lost,
    /// There, though it was deleted and not written since.
    Risen,
    /// Older than what another read had shown before this one began.
    WentBack,
    /// A value that was never sent, or whose sending was turned away.
    NeverSent,
}

/// The thing.
#[derive(Debug, Default)]
pub struct Cell {
    changes: Vec<Change>,
    bound: Bound,
    shown_by: Option<Look>,
}

impl Cell {
    pub fn begin(&mut self, number: u64, what: &'static str, content: Content, begun: Duration) {
        self.changes.push(Change {
            number,
            what,
            content,
            begun,
            ended: None,
        });
    }

    pub fn end(&mut self, number: u64, outcome: Outcome, ended: Duration) {
        if let Some(change) = self.changes.iter_mut().rfind(|one| one.number == number) {
            change.ended = Some((ended, outcome));
        }
        if outcome == Outcome::Acknowledged {
            self.bound.acknowledged = self.bound.acknowledged.max(number);
        }
    }

    /// What a read that begins now must show at least.
    pub fn bound(&self) -> Bound {
        self.bound
    }

    /// What it holds, if there is no doubt of it.
    pub fn certain(&self) -> Option<Content> {
        let ended = |change: &Change| change.ended.map(|(_, outcome)| outcome);
        let mut changes = self.changes.iter().rev();
        match changes.find(|change| ended(change) != Some(Outcome::TurnedAway)) {
            None => Some(Content::Gone),
            Some(change) => {
                (ended(change) == Some(Outcome::Acknowledged)).then_some(change.content)
            }
        }
    }

    /// Whether a read that began when `bound` held, and ends now, may show what it did.
    pub fn judge(&mut self, bound: Bound, look: Look) -> Result<(), Wrong> {
        let Bound {
            acknowledged,
            shown,
        } = bound;
        if let Some(number) = self.first_that_shows(look.found, acknowledged.max(shown)) {
            if number > self.bound.shown && self.is_whole(number) {
                self.bound.shown = number;
                self.shown_by = Some(look);
            }
            return Ok(());
        }
        Err(
            if self.first_that_shows(look.found, acknowledged).is_some() {
                Wrong::WentBack
            } else if look.found == Found::Nothing {
                Wrong::Lost
            } else if self.first_that_shows(look.found, 0).is_none() {
                Wrong::NeverSent
            } else if self.content_at(acknowledged) == Content::Gone {
                Wrong::Risen
            } else {
                Wrong::Stale
            },
        )
    }

    /// Whether a change that was shown stays shown. A deletion under way is not done at once: on a node alone, too, something is
    /// gone for one read, and there for the next.
    fn is_whole(&self, number: u64) -> bool {
        let change = self.changes.iter().rfind(|one| one.number == number);
        change.is_some_and(|change| {
            change.content != Content::Gone
                || matches!(change.ended, Some((_, Outcome::Acknowledged)))
        })
    }

    /// The first change from number `from` on that may have left what was found.
    fn first_that_shows(&self, found: Found, from: u64) -> Option<u64> {
        if from == 0 && Content::Gone.shows_as(found) {
            return Some(0);
        }
        let first = self.changes.partition_point(|one| one.number < from);
        let is_possible = |change: &Change| !matches!(change.ended, Some((_, Outcome::TurnedAway)));
        self.changes[first..]
            .iter()
            .find(|change| is_possible(change) && change.content.shows_as(found))
            .map(|change| change.number)
    }

    fn content_at(&self, number: u64) -> Content {
        self.changes
            .iter()
            .find(|change| change.number == number)
            .map_or(Content::Gone, |change| change.content)
    }

    /// What was done to it last, up to a moment; one a line, each beginning with its moment.
    pub fn history(&self, bound: Bound, until: Duration) -> Vec<String> {
        const TOLD: usize = 8;
        let changes = self.changes.iter().rev();
        let around = |number: u64| bound.acknowledged.max(bound.shown) <= number + 2;
        let mut lines: Vec<String> = changes
            .filter(|change| change.begun <= until)
            .enumerate()
            .take_while(|(place, change)| *place < TOLD || around(change.number))
            .map(|(_, change)| {
                let ended = match change.ended {
                    Some((at, outcome)) => format!("{:.4} {outcome:?}", at.as_secs_f64()),
                    None => "under way".to_owned(),
                };
                let what = format!(
                    "change {} begins: {} leaves {:?}; {ended}",
                    change.number, change.what, change.content,
                );
                events::line(change.begun, what)
            })
            .collect();
        lines.extend(self.shown_by.map(|look| look.told()));
        lines
    }
}

impl Look {
    pub fn told(&self) -> String {
        let what = format!(
            "client {} begins to read (n={}.{}); {:.4} finds {:?}",
            self.client,
            self.client,
            self.request,
            self.ended.as_secs_f64(),
            self.found
        );
        events::line(self.begun, what)
    }
}
