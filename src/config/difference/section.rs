//! Keys with their values, table by table, and what of them is shown.

use super::in_file::InFile;
use super::tables::Table;
use super::words;
use crate::config::model::HeaderEdit;
use crate::config::stats_user::StatsUser;
use crate::secret::Secret;

/// One key of a configuration.
pub(super) struct Fact {
    /// The table that it stands in, as messages name it.
    pub(super) place: String,
    /// The same without the table's name.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the documentation's list is by table")
    )]
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) value: Value,
    /// What of the value must not be shown.
    pub(super) secrets: Vec<StatsUser>,
    /// The same of values of headers, for each entry of a list.
    pub(super) values: Vec<Vec<HeaderEdit>>,
    /// The same of a text that is shown in part.
    pub(super) whole: Option<Secret>,
    pub(super) is_taken: bool,
    /// It stands for its table.
    pub(super) is_first: bool,
}

/// What may be shown of a value, in the words of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    One(String),
    /// A list whose entries are compared one by one.
    List(Vec<String>),
    /// A table whose keys are compared one by one, if it is there.
    Table(Option<Table>),
}

/// The facts of one table.
pub(super) struct Section<'a> {
    facts: &'a mut Vec<Fact>,
    place: String,
    table: &'static str,
}

impl<'a> Section<'a> {
    pub(super) fn new(facts: &'a mut Vec<Fact>, table: &'static str, place: String) -> Self {
        Self {
            facts,
            place,
            table,
        }
    }

    fn add(&mut self, key: &'static str, value: impl InFile, is_taken: bool) {
        self.add_value(key, Value::One(value.in_file()), is_taken);
    }

    fn add_value(&mut self, key: &'static str, value: Value, is_taken: bool) {
        self.facts.push(Fact {
            place: self.place.clone(),
            table: self.table,
            key,
            value,
            secrets: Vec::new(),
            values: Vec::new(),
            whole: None,
            is_taken,
            is_first: false,
        });
    }

    /// The table is known by this key; whether one that is added or removed is taken.
    pub(super) fn first(&mut self, key: &'static str, value: &str, is_taken: bool) {
        self.add(key, value, is_taken);
        if let Some(first) = self.facts.last_mut() {
            first.is_first = true;
        }
    }

    /// A reload takes it.
    pub(super) fn taken(&mut self, key: &'static str, value: impl InFile) {
        self.add(key, value, true);
    }

    /// A reload takes it, and nobody is shown more of it than how many there are.
    pub(super) fn hidden(&mut self, key: &'static str, secrets: &[StatsUser]) {
        self.add(key, secrets.len(), true);
        if let Some(last) = self.facts.last_mut() {
            last.secrets = secrets.to_vec();
        }
    }

    /// A reload takes it; `word` stands in the file.
    pub(super) fn taken_word(&mut self, key: &'static str, word: String) {
        self.add_value(key, Value::One(word), true);
    }

    /// A reload takes it, entry by entry.
    pub(super) fn list(&mut self, key: &'static str, entries: impl Iterator<Item = String>) {
        self.add_value(key, Value::List(entries.collect()), true);
    }

    /// A reload takes it, key by key.
    pub(super) fn table(&mut self, key: &'static str, table: Option<Table>) {
        self.add_value(key, Value::Table(table), true);
    }

    /// It holds until the process ends, and its keys are compared one by one.
    pub(super) fn fixed_table(&mut self, key: &'static str, table: Option<Table>) {
        self.add_value(key, Value::Table(table), false);
    }

    /// The same as a [list](Self::list), and the values of headers in each entry are not shown.
    pub(super) fn with_values<'edits>(
        &mut self,
        key: &'static str,
        entries: impl Iterator<Item = (String, &'edits [HeaderEdit])>,
    ) {
        let (entries, values): (Vec<_>, Vec<_>) = entries
            .map(|(entry, edits)| (entry, edits.to_vec()))
            .unzip();
        self.add_value(key, Value::List(entries), true);
        if let Some(last) = self.facts.last_mut() {
            last.values = values;
        }
    }

    /// A reload takes it, and nobody is shown more of the text than its path.
    pub(super) fn without_query(&mut self, key: &'static str, text: Option<&str>) {
        self.in_part(key, text.map(words::path).in_file(), text);
    }

    /// A reload takes it; `shown` stands in the file, with more of `whole`.
    pub(super) fn in_part(&mut self, key: &'static str, shown: String, whole: Option<&str>) {
        self.taken_word(key, shown);
        if let Some(last) = self.facts.last_mut() {
            last.whole = whole.map(|text| Secret::new(text.as_bytes()));
        }
    }

    /// It holds until the process ends.
    pub(super) fn fixed(&mut self, key: &'static str, value: impl InFile) {
        self.add(key, value, false);
    }

    /// It holds until the process ends; `word` stands in the file.
    pub(super) fn fixed_word(&mut self, key: &'static str, word: String) {
        self.add_value(key, Value::One(word), false);
    }
}
