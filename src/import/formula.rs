//! Conditions as haflux has them: any of several tables, all keys of a table, any value of a key; nothing is negated inside.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

/// The keys of a condition's table, in the order in which they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Host,
    Method,
    Path,
    PathBeg,
    PathEnd,
    PathReg,
    Src,
}

impl Key {
    /// As the configuration names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Key::Host => "host",
            Key::Method => "method",
            Key::Path => "path",
            Key::PathBeg => "path_beg",
            Key::PathEnd => "path_end",
            Key::PathReg => "path_reg",
            Key::Src => "src",
        }
    }
}

/// One table: all of its keys must hold; without a key it always does.
pub(super) type Table = BTreeMap<Key, Vec<String>>;

/// Any of its tables must hold; without a table it never does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Formula {
    tables: Vec<Table>,
}

/// More tables than this stand for no condition that a person wrote.
const MOST_TABLES: usize = 64;

/// Why a condition cannot be written in haflux's form.
pub(super) type Reason = String;

impl Formula {
    /// Holds for no request.
    pub(super) fn never() -> Formula {
        Formula::default()
    }

    /// Holds for every request.
    pub(super) fn always() -> Formula {
        Formula {
            tables: vec![Table::new()],
        }
    }

    /// Holds if one of the values does.
    pub(super) fn test(key: Key, values: Vec<String>) -> Formula {
        if values.is_empty() {
            return Formula::never();
        }
        Formula {
            tables: vec![Table::from([(key, values)])],
        }
    }

    /// Holds if one of the tables does.
    pub(super) fn any(tables: impl IntoIterator<Item = Table>) -> Formula {
        let tables = tables.into_iter().collect();
        Formula { tables }
    }

    pub(super) fn is_always(&self) -> bool {
        self.tables.iter().any(Table::is_empty)
    }

    pub(super) fn is_never(&self) -> bool {
        self.tables.is_empty()
    }

    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Holds if either does.
    pub(super) fn or(mut self, other: Formula) -> Result<Formula, Reason> {
        if self.is_always() || other.is_always() {
            return Ok(Formula::always());
        }
        for table in other.tables {
            self.add(table);
        }
        self.checked()
    }

    /// Holds if both do.
    pub(super) fn and(&self, other: &Formula) -> Result<Formula, Reason> {
        let mut both = Formula::never();
        for left in &self.tables {
            for right in &other.tables {
                if let Some(table) = intersect(left, right)? {
                    both.add(table);
                }
            }
            both = both.checked()?;
        }
        if both.is_always() {
            return Ok(Formula::always());
        }
        Ok(both)
    }

    /// The formula where the values of these keys are not known, so that no test of theirs holds; and whether there was one.
    pub(super) fn without(self, keys: &[Key]) -> (Formula, bool) {
        let count = self.tables.len();
        let mut tables = self.tables;
        tables.retain(|table| !keys.iter().any(|key| table.contains_key(key)));
        let is_shorter = tables.len() < count;
        (Formula { tables }, is_shorter)
    }

    /// Whether some request may be taken by both. True where that cannot be told.
    pub(super) fn may_meet(&self, other: &Formula) -> bool {
        let mut left = self.tables.iter();
        left.any(|left| {
            other
                .tables
                .iter()
                .any(|right| tables_may_meet(left, right))
        })
    }

    fn checked(self) -> Result<Formula, Reason> {
        if self.tables.len() > MOST_TABLES {
            return Err(format!(
                "written out, the condition has more than {MOST_TABLES} alternatives"
            ));
        }
        Ok(self)
    }

    /// Adds a table. One that differs from another in the values of one key joins it; one that asks for all that another asks for,
    /// and more, says nothing.
    fn add(&mut self, table: Table) {
        if self.tables.iter().any(|known| asks_for(&table, known)) {
            return;
        }
        self.tables.retain(|known| !asks_for(known, &table));
        for known in &mut self.tables {
            if known.len() != table.len() || !known.keys().eq(table.keys()) {
                continue;
            }
            let mut differing = known
                .iter()
                .filter(|(key, values)| table.get(key) != Some(values))
                .map(|(key, _)| *key);
            match (differing.next(), differing.next()) {
                (None, _) => return,
                (Some(key), None) => {
                    drop(differing);
                    let more = table.get(&key).cloned().unwrap_or_default();
                    let values = known.entry(key).or_default();
                    for value in more {
                        if !values.contains(&value) {
                            values.push(value);
                        }
                    }
                    return;
                }
                _ => {}
            }
        }
        self.tables.push(table);
    }
}

/// Whether `narrow` asks for all that `wide` asks for.
fn asks_for(narrow: &Table, wide: &Table) -> bool {
    wide.iter()
        .all(|(key, values)| narrow.get(key) == Some(values))
}

/// A network, or an address as one.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

/// The table that holds when both do; none if they exclude each other.
fn intersect(left: &Table, right: &Table) -> Result<Option<Table>, Reason> {
    let mut both = left.clone();
    for (key, values) in right {
        let Some(known) = both.get(key) else {
            both.insert(*key, values.clone());
            continue;
        };
        if known == values {
            continue;
        }
        let common = common(*key, known, values)?;
        if common.is_empty() {
            return Ok(None);
        }
        both.insert(*key, common);
    }
    Ok(Some(both))
}

fn tables_may_meet(left: &Table, right: &Table) -> bool {
    left.iter().all(|(key, values)| {
        right.iter().all(|(other, others)| {
            let mut values = values.iter();
            values.any(|value| {
                let mut others = others.iter();
                others.any(|text| may_meet((*key, value.as_str()), (*other, text.as_str())))
            })
        })
    })
}

/// Whether one request may pass both tests.
fn may_meet((left, value): (Key, &str), (right, other): (Key, &str)) -> bool {
    if value.contains("${") || other.contains("${") {
        return true;
    }
    match (left, right) {
        (Key::Method, Key::Method) | (Key::Path, Key::Path) => value == other,
        (Key::Path, Key::PathBeg) => value.starts_with(other),
        (Key::PathBeg, Key::Path) => other.starts_with(value),
        (Key::PathBeg, Key::PathBeg) => value.starts_with(other) || other.starts_with(value),
        (Key::Path, Key::PathEnd) => value.ends_with(other),
        (Key::PathEnd, Key::Path) => other.ends_with(value),
        _ => true,
    }
}

/// The values that stand for both lists at once.
fn common(key: Key, left: &[String], right: &[String]) -> Result<Vec<String>, Reason> {
    let narrower: fn(&str, &str) -> bool = match key {
        Key::PathReg => {
            return Err("haflux cannot ask for two regular expressions at once".to_owned());
        }
        _ if left.iter().chain(right).any(|value| value.contains("${")) => {
            return Err(format!(
                "what {} means with a variable is not known here",
                key.name()
            ));
        }
        Key::Host | Key::Method | Key::Path => |narrow, wide| narrow == wide,
        Key::PathBeg => |narrow, wide| narrow.starts_with(wide),
        Key::PathEnd => |narrow, wide| narrow.ends_with(wide),
        Key::Src => |narrow, wide| match (network(narrow), network(wide)) {
            (Some(narrow), Some(wide)) => wide.contains(&narrow),
            _ => narrow == wide,
        },
    };
    let mut common: Vec<String> = Vec::new();
    for one in left {
        for other in right {
            let value = if narrower(one, other) {
                one
            } else if narrower(other, one) {
                other
            } else {
                continue;
            };
            if !common.contains(value) {
                common.push(value.clone());
            }
        }
    }
    Ok(common)
}
