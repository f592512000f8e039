//! `filter bwlim-in` and `filter bwlim-out`, and the rules that switch them on.

use std::time::Duration;

use super::ledger::Ledger;
use super::statement::{Kind, Script, Statement, StatementId};
use super::value::{self, Toml, quoted};
use crate::config::units::{format_size, parse_size};

/// The fewest bytes a second that haflux takes.
const FEWEST: u64 = 1024;

/// What a section says of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    filters: Vec<StatementId>,
    switches: Vec<StatementId>,
    tables: Vec<StatementId>,
}

impl Limits {
    /// Whether the statement is of it.
    pub(super) fn read(&mut self, statement: &Statement) -> bool {
        let words = [0, 1, 2].map(|at| statement.word(at));
        match words {
            ["filter", "bwlim-in" | "bwlim-out", _] => self.filters.push(statement.id),
            ["http-request" | "http-response", "set-bandwidth-limit", _]
            | [
                "tcp-request" | "tcp-response",
                "content",
                "set-bandwidth-limit",
            ] => self.switches.push(statement.id),
            ["stick-table", ..] => {
                // It is for others to say what becomes of it.
                self.tables.push(statement.id);
                return false;
            }
            _ => return false,
        }
        true
    }

    /// The pairs of the frontend's `bandwidth`.
    pub(super) fn pairs(self, script: &Script, ledger: &mut Ledger) -> Vec<String> {
        let mut pairs: Vec<(&'static str, Toml)> = Vec::new();
        for id in &self.filters {
            let filter = script.statement(*id);
            match self.pair(script, filter) {
                Ok((key, _)) if pairs.iter().any(|(known, _)| *known == key) => ledger.warn(
                    filter,
                    format!("not translated: a frontend of haflux has one {key}"),
                ),
                Ok(pair) => {
                    ledger.used(filter);
                    self.of(script, filter.word(2))
                        .for_each(|switch| ledger.used(switch));
                    pairs.push(pair);
                }
                Err(reason) => ledger.warn(filter, format!("not translated: {reason}")),
            }
        }
        for id in &self.switches {
            let switch = script.statement(*id);
            if ledger.is_unread(switch) {
                ledger.note(switch, "its filter is not translated");
            }
        }
        let pairs = pairs.iter().map(|(key, rate)| format!("{key} = {rate}"));
        pairs.collect()
    }

    /// The rules that switch the filter of that name on.
    fn of<'a>(
        &'a self,
        script: &'a Script,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Statement> + 'a {
        let switches = self.switches.iter().map(|id| script.statement(*id));
        switches.filter(move |switch| behind(switch).first().is_some_and(|word| *word == name))
    }

    fn pair(&self, script: &Script, filter: &Statement) -> Result<(&'static str, Toml), String> {
        let is_in = filter.word(1) == "bwlim-in";
        let mut switches = self.of(script, filter.word(2)).peekable();
        if switches.peek().is_none() {
            return Err("no set-bandwidth-limit switches it on".to_owned());
        }
        if switches.any(|switch| behind(switch).len() > 1) {
            return Err(
                "haflux slows every request of a frontend, by limits that stand in its file"
                    .to_owned(),
            );
        }
        let (mut size, mut period, mut key, mut table) = (None, None, "", None);
        let mut words = filter.from(3).iter().map(|word| word.as_str());
        while let Some(word) = words.next() {
            let value = words.next().unwrap_or_default();
            match word {
                "default-limit" | "limit" => size = parse_bytes(value),
                "default-period" => period = value::duration(value),
                "key" => key = value,
                "table" => table = Some(value),
                // The least that passes at once.
                "min-size" => {}
                other => return Err(format!("haflux knows no {other} here")),
            }
        }
        let of_source = match key {
            "" => false,
            "src" => true,
            _ => return Err("haflux limits an address or a request, nothing else".to_owned()),
        };
        if of_source {
            period = self.period(script, table, is_in);
        }
        let (Some(size), Some(period)) = (size, period) else {
            return Err("its limit or its period cannot be told".to_owned());
        };
        let rate = u128::from(size).saturating_mul(1000) / period.as_millis().max(1);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        if !(FEWEST..=1 << 40).contains(&rate) {
            return Err("haflux takes 1 KiB to 1 TiB a second".to_owned());
        }
        let key = match (is_in, of_source) {
            (true, true) => "in_per_source",
            (true, false) => "in_per_request",
            (false, true) => "out_per_source",
            (false, false) => "out_per_request",
        };
        Ok((key, quoted(&format_size(rate))))
    }

    /// The time over which a table counts bytes.
    fn period(&self, script: &Script, table: Option<&str>, is_in: bool) -> Option<Duration> {
        let of_section = |name: &str| {
            let mut sections = script.sections.iter().filter(|section| {
                matches!(section.kind, Kind::Frontend | Kind::Backend | Kind::Listen)
            });
            let section = sections.find(|section| section.name == name)?;
            Some(section.statements.clone())
        };
        let statements = match table {
            Some(name) => of_section(name)?,
            None => self.tables.clone(),
        };
        let mut all = statements.iter().map(|id| script.statement(*id));
        let table = all.find(|statement| statement.word(0) == "stick-table")?;
        let word = if is_in {
            "bytes_in_rate("
        } else {
            "bytes_out_rate("
        };
        let words = table.words.iter().map(|word| word.as_str());
        let mut stored = words.flat_map(|word| word.split(','));
        let period = stored.find_map(|stored| stored.strip_prefix(word)?.strip_suffix(')'))?;
        value::duration(period)
    }
}

/// The words behind `set-bandwidth-limit`.
fn behind(switch: &Statement) -> Vec<&str> {
    let words = switch.words.iter().map(|word| word.as_str());
    let words = words.skip_while(|word| *word != "set-bandwidth-limit");
    words.skip(1).collect()
}

/// A size in HAProxy's form: `k`, `m` and `g` are powers of 1024.
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(['k', 'm', 'g']);
    let unit = match text.strip_prefix(digits)? {
        "" => "B",
        "k" => "KiB",
        "m" => "MiB",
        "g" => "GiB",
        _ => return None,
    };
    parse_size(&format!("{digits}{unit}")).ok()
}
