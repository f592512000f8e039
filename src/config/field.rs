//! Readers: a table of which the known keys are taken, a field of which a value of the right kind is taken. What is not
//! right is reported on the spot, and the reader answers with nothing; its caller then goes on with any value, because a
//! configuration with errors is never handed out.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{Origin, Position, Problem, Sink, Suggestion};
use super::key_path::KeyPath;
use super::suggest::nearest;
use super::tree::{Entry, Node, Text, Value, shorten};
use super::units::{self, UnitError};
use crate::shown::may_hold_secret;

/// The longest duration that any key takes: 30 days.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The keys that a table may have.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) known: &'static [&'static str],
    /// Whether one of them has a secret, or the way to one, so that a wrong text beside it may be that secret.
    have_secret: bool,
}

impl Keys {
    pub(super) const fn of(known: &'static [&'static str]) -> Keys {
        Keys {
            known,
            have_secret: false,
        }
    }

    /// The same of a table in which a secret may stand in place of any value: no error shows a text of it that is wrong.
    pub(super) const fn with_secret(known: &'static [&'static str]) -> Keys {
        Keys {
            known,
            have_secret: true,
        }
    }
}

/// A table, its keys checked.
pub(super) struct Table<'a> {
    entries: &'a [Entry],
    position: Position,
    path: KeyPath,
    sink: &'a Sink,
    /// Whether its fields are hidden.
    is_hidden: bool,
}

impl<'a> Table<'a> {
    /// The field of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Field<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field {
            node: &entry.value,
            path: self.path.key(key),
            sink: self.sink,
            is_hidden: self.is_hidden,
        })
    }

    /// The field of a key that must be there.
    pub(super) fn require(&self, key: &'static str, expected: &'static str) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() {
            self.report(Problem::Missing { key, expected });
        }
        field
    }

    /// A whole number, or the default.
    pub(super) fn whole<T: TryFrom<i128>>(
        &self,
        key: &str,
        range: RangeInclusive<i128>,
        default: T,
    ) -> T {
        self.get(key)
            .and_then(|field| field.whole(range))
            .unwrap_or(default)
    }

    /// A duration, or the default.
    pub(super) fn duration(&self, key: &str, default: Duration) -> Duration {
        self.get(key)
            .and_then(|field| field.duration())
            .unwrap_or(default)
    }

    /// True or false, or the default.
    pub(super) fn boolean(&self, key: &str, default: bool) -> bool {
        self.get(key)
            .and_then(|field| field.boolean())
            .unwrap_or(default)
    }

    /// One of the choices, or the default.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)], default: T) -> T {
        self.get(key)
            .and_then(|field| field.choice(choices))
            .unwrap_or(default)
    }

    pub(super) fn report(&self, problem: Problem) {
        self.sink.report(self.position, self.path.as_str(), problem);
    }

    pub(super) fn warn(&self, notice: super::Notice) {
        self.sink.warn(self.position, self.path.as_str(), notice);
    }
}

/// A value and the way to it.
#[derive(Clone)]
pub(super) struct Field<'a> {
    node: &'a Node,
    path: KeyPath,
    sink: &'a Sink,
    /// Whether messages say of its value only what kind it has, because it may be a secret.
    is_hidden: bool,
}

impl<'a> Field<'a> {
    /// The whole file.
    pub(super) fn root(node: &'a Node, sink: &'a Sink) -> Field<'a> {
        Field {
            node,
            path: KeyPath::default(),
            sink,
            is_hidden: false,
        }
    }

    /// The same, of whose value no message shows anything.
    pub(super) fn hidden(&self) -> Field<'a> {
        Field {
            is_hidden: true,
            ..self.clone()
        }
    }

    /// The same, whose value has the form that belongs here, and so is no secret.
    pub(super) fn shown(&self) -> Field<'a> {
        Field {
            is_hidden: false,
            ..self.clone()
        }
    }

    /// The same for who reads a number, or a quantity in numbers: where one is expected, a number is no secret.
    pub(super) fn of_number(&self) -> Field<'a> {
        let is_number = matches!(self.node.value, Value::Integer(_) | Value::Fraction(_));
        Field {
            is_hidden: self.is_hidden && !is_number,
            ..self.clone()
        }
    }

    /// Reports what is wrong with the value. Of one that could not be had that is said already, and nothing else can be told.
    pub(super) fn report(&self, problem: Problem) {
        if matches!(self.node.value, Value::Reported) {
            return;
        }
        self.sink
            .report(self.node.position, self.path.as_str(), problem);
    }

    pub(super) fn warn(&self, notice: super::Notice) {
        self.sink
            .warn(self.node.position, self.path.as_str(), notice);
    }

    pub(super) fn position(&self) -> Position {
        self.node.position
    }

    pub(super) fn origin(&self) -> Origin {
        self.sink
            .origin(Some(self.node.position), self.path.as_str().to_owned())
    }

    /// The value as a message shows it.
    pub(super) fn describe(&self) -> String {
        match &self.node.value {
            _ if self.is_hidden => self.node.kind(),
            // What stands before it in an address may be a password.
            Value::Text(text) if text.raw.contains('@') => "a text with \"@\"".to_owned(),
            // One of several parameters may be a password.
            Value::Text(text) if may_hold_secret(&text.raw) => self.node.kind(),
            _ => self.node.describe(),
        }
    }

    /// Reports that something else was expected.
    pub(super) fn expected(&self, expected: impl Into<String>) {
        self.expected_or(expected, None);
    }

    /// Reports that something else was expected, and what may have been meant.
    pub(super) fn expected_or(&self, expected: impl Into<String>, suggestion: Option<String>) {
        match &self.node.value {
            Value::Withheld { problem, .. } => return self.report(problem.clone()),
            Value::Text(text) if text.is_secret => return self.report(Problem::SecretShown),
            _ => {}
        }
        self.report(Problem::Expected {
            expected: expected.into(),
            found: self.describe(),
            suggestion: Suggestion(suggestion),
        });
    }

    /// The text, if it is one, without a word if it is not. One that came from a file is none here, because most values are shown.
    pub(super) fn as_text(&self) -> Option<&'a Text> {
        self.as_secret().filter(|text| !text.is_secret)
    }

    /// The text, if it is one, which may have come from a file: whoever takes it shows it to nobody.
    pub(super) fn as_secret(&self) -> Option<&'a Text> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text as it stands in the file, if a part of it is not to be had here. Whoever takes that can do without; it is warned of.
    pub(super) fn withheld(&self) -> Option<&'a str> {
        let Value::Withheld { raw, problem } = &self.node.value else {
            return None;
        };
        self.warn(super::Notice::Withheld {
            problem: Box::new(problem.clone()),
        });
        Some(raw)
    }

    /// The name of a file that is not to be had here, as it stands in the configuration.
    pub(super) fn withheld_path(&self) -> Option<PathBuf> {
        let path = PathBuf::from(self.withheld()?);
        self.sink.note_withheld(path.clone());
        Some(path)
    }

    /// Notes that the configuration itself holds a secret, if the text stands there as it counts.
    pub(super) fn note_secret(&self) {
        if self.as_secret().is_some_and(|text| !text.from_environment) {
            self.sink.note_secret();
        }
    }

    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(list) if list.is_empty())
    }

    /// Whether it is a text, to be had or not.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.node.value, Value::Text(_) | Value::Withheld { .. })
    }

    pub(super) fn is_empty_table(&self) -> bool {
        matches!(&self.node.value, Value::Table(entries) if entries.is_empty())
    }

    /// A text that is not empty.
    pub(super) fn text(&self, expected: &str) -> Option<&'a Text> {
        let text = self.as_text().filter(|text| !text.value.is_empty());
        if text.is_none() {
            self.expected(expected);
        }
        text
    }

    /// True or false, without a word if it is neither. A text from the environment may say so too.
    pub(super) fn as_boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Boolean(value) => Some(*value),
            Value::Text(text) if text.from_environment && !text.is_secret => {
                text.value.parse().ok()
            }
            _ => None,
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.as_boolean();
        if value.is_none() {
            self.expected("true or false");
        }
        value
    }

    /// The whole number, without a word if it is none. A text from the environment may be one too.
    pub(super) fn as_whole(&self) -> Option<i128> {
        match &self.node.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if text.from_environment && !text.is_secret => {
                text.value.parse().ok()
            }
            _ => None,
        }
    }

    pub(super) fn whole<T: TryFrom<i128>>(&self, range: RangeInclusive<i128>) -> Option<T> {
        let number = self
            .as_whole()
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.of_number().expected(format!(
                "a whole number from {} to {}",
                range.start(),
                range.end()
            ));
        }
        number
    }

    /// A duration of at least 1 ms.
    pub(super) fn duration(&self) -> Option<Duration> {
        self.of_number().as_duration()
    }

    fn as_duration(&self) -> Option<Duration> {
        const EXPECTED: &str = "a duration such as \"100ms\", \"2s\", \"1m\" or \"1h\"";
        let parsed = match &self.node.value {
            Value::Text(text) if !text.is_secret => units::parse_duration(&text.value),
            Value::Integer(number) if *number >= 0 => Err(UnitError::NoUnit),
            _ => Err(UnitError::Form),
        };
        match parsed {
            Ok(duration) if (Duration::from_millis(1)..=LONGEST).contains(&duration) => {
                return Some(duration);
            }
            Ok(_) | Err(UnitError::TooLarge) => {
                self.shown().expected("a duration from \"1ms\" to \"30d\"")
            }
            Err(UnitError::Form) => self.expected(EXPECTED),
            Err(UnitError::NoUnit) => {
                let from_environment = self.as_text().is_some_and(|text| text.from_environment);
                let number = match &self.node.value {
                    Value::Integer(number) => number.to_string(),
                    Value::Text(text) if !from_environment && !self.is_hidden => {
                        shorten(&text.value)
                    }
                    _ => "2".to_owned(),
                };
                self.report(Problem::NoUnit {
                    number,
                    found: self.describe(),
                });
            }
        }
        None
    }

    /// A size within bounds, in bytes.
    pub(super) fn size(&self, range: RangeInclusive<usize>) -> Option<usize> {
        self.of_number().as_size(range)
    }

    fn as_size(&self, range: RangeInclusive<usize>) -> Option<usize> {
        const EXPECTED: &str = "a size such as \"25MB\", \"1MiB\" or a number of bytes";
        let parsed = match &self.node.value {
            Value::Text(text) if !text.is_secret => units::parse_size(&text.value),
            Value::Integer(number) if *number >= 0 => {
                u64::try_from(*number).map_err(|_| UnitError::TooLarge)
            }
            _ => Err(UnitError::Form),
        };
        let parsed =
            parsed.and_then(|bytes| usize::try_from(bytes).map_err(|_| UnitError::TooLarge));
        match parsed {
            Ok(bytes) if range.contains(&bytes) => return Some(bytes),
            Ok(_) | Err(UnitError::TooLarge) => {
                let (least, most) = (*range.start() as u64, *range.end() as u64);
                self.shown().expected(format!(
                    "a size from \"{}\" to \"{}\"",
                    units::format_size(least),
                    units::format_size(most)
                ));
            }
            Err(UnitError::Form | UnitError::NoUnit) => self.expected(EXPECTED),
        }
        None
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words = || choices.iter().map(|(word, _)| *word);
        let text = self.as_text();
        if let Some((_, value)) =
            text.and_then(|text| choices.iter().find(|(word, _)| *word == text.value))
        {
            return Some(*value);
        }
        let suggestion = text
            .and_then(|text| nearest(&text.raw, words()))
            .map(str::to_owned);
        self.expected_or(alternatives(words()), suggestion);
        None
    }

    /// The items of a list. What stands in its place may have a secret in it, and is not shown.
    pub(super) fn items(&self, expected: &str) -> Option<Vec<Field<'a>>> {
        let Value::List(list) = &self.node.value else {
            self.hidden().expected(expected);
            return None;
        };
        Some(self.fields(list))
    }

    /// The items of a list that is not empty.
    pub(super) fn some_items(&self, expected: &str) -> Option<Vec<Field<'a>>> {
        let items = self.items(expected)?;
        if items.is_empty() {
            self.expected(expected);
            return None;
        }
        Some(items)
    }

    /// The items of a list that is not empty, or the one value that stands in place of a list.
    pub(super) fn one_or_more(&self, expected: &str) -> Option<Vec<Field<'a>>> {
        match &self.node.value {
            Value::List(_) => self.some_items(expected),
            _ => Some(vec![self.clone()]),
        }
    }

    fn fields(&self, list: &'a [Node]) -> Vec<Field<'a>> {
        let item = |(index, node)| Field {
            node,
            path: self.path.index(index),
            sink: self.sink,
            is_hidden: self.is_hidden,
        };
        list.iter().enumerate().map(item).collect()
    }

    /// The keys and fields of a table that may have any key. What stands in its place is not shown.
    pub(super) fn entries(&self, expected: &str) -> Option<Vec<(&'a str, Field<'a>)>> {
        let Value::Table(entries) = &self.node.value else {
            self.hidden().expected(expected);
            return None;
        };
        let field = |entry: &'a Entry| {
            let field = Field {
                node: &entry.value,
                path: self.path.key(&entry.key),
                sink: self.sink,
                is_hidden: self.is_hidden,
            };
            (entry.key.as_str(), field)
        };
        Some(entries.iter().map(field).collect())
    }

    /// The table, its unknown keys reported. What stands in its place is not shown.
    pub(super) fn table(&self, keys: Keys, expected: &str) -> Option<Table<'a>> {
        let Value::Table(entries) = &self.node.value else {
            self.hidden().expected(expected);
            return None;
        };
        for entry in entries {
            let key = entry.key.as_str();
            if keys.known.contains(&key) {
                continue;
            }
            self.unknown_key(entry, keys);
        }
        Some(Table {
            entries,
            position: self.node.position,
            path: self.path.clone(),
            sink: self.sink,
            is_hidden: keys.have_secret,
        })
    }

    fn unknown_key(&self, entry: &Entry, keys: Keys) {
        let key = entry.key.as_str();
        // YAML takes what follows a colon without a space for a part of the key.
        let name = key.split_once(':').map_or(key, |(name, _)| name);
        let known = || keys.known.iter().copied();
        let nearest = nearest(name, known());
        // What has no value may be one, such as both words of `{root, s3cret}`.
        let may_be_value = matches!(entry.value.value, Value::Nothing) && nearest.is_none();
        let path = match may_be_value {
            true => self.path.hidden_key(),
            false => self.path.key(key),
        };
        let problem = match known().find(|known| *known == name) {
            Some(key) => Problem::NoSpace { key },
            None => Problem::UnknownKey {
                suggestion: Suggestion(nearest.map(str::to_owned)),
                known: keys.known,
            },
        };
        self.sink.report(entry.position, path.as_str(), problem);
    }

    /// The same value as an entry of a list at the top: known by its name.
    pub(super) fn as_section(&self, kind: &str, index: usize) -> Field<'a> {
        Field {
            path: KeyPath::section(kind, index, self.node.name()),
            ..self.clone()
        }
    }
}

/// `"a", "b" or "c"`.
pub(super) fn alternatives<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
