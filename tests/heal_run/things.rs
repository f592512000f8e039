//! What clients write: points with odd names and fields of each type.
//!
//! | kind | measurement | what is done to it |
//! | --- | --- | --- |
//! | solo | of its own, one series, one point | written, deleted, dropped with its measurement |
//! | crowd | shared by all crowd and wild points of its owner in its database | written |
//! | wild | the same | only planted on a node |
//!
//! Each point may be in each policy. A `DELETE` takes it from all of them.

use std::fmt::Write as _;

use serde_json::Value;

/// Databases that are there from the beginning, and stay.
pub const DATABASES: [&str; 2] = ["telegraf", "with \"odd\" näme, yes"];

/// Policies of these.
pub const POLICIES: [&str; 2] = ["autogen", "odd \"policy\", 1d"];

/// Fields of every point. No name ends one that another begins with.
pub const FIELDS: [&str; 4] = ["i", "f, =\"x", "select", "ünï\\code"];

/// Measurements of an owner in each database that are one point.
const SOLOS: usize = 2;

/// Some lie side by side, some in shard groups of their own, one before 1970.
const CROWD_TIMES: [i64; 5] = [
    -259_200_000_000_000,
    1_000_000_000_000_000_000,
    1_000_000_010_000_000_000,
    1_000_000_020_000_000_001,
    1_000_400_000_000_000_000,
];

const WILD_TIMES: [i64; 2] = [1_000_000_015_000_000_000, 1_000_400_000_000_000_009];

/// What a value stands for that cannot have been written.
pub const STRANGE: u64 = u64::MAX;

/// What the integer of a value is multiplied by, so that sums are large.
const LARGE: u64 = 1_000_000_007;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Solo,
    Crowd,
    Wild,
}

/// A point, wherever it is.
#[derive(Debug, Clone)]
pub struct Thing {
    pub kind: Kind,
    /// Its place in [`DATABASES`].
    pub database: usize,
    pub measurement: String,
    pub tags: Vec<(String, String)>,
    pub time: i64,
}

/// All that an owner has.
pub fn things(owner: usize) -> Vec<Thing> {
    let mut things = Vec::new();
    for database in 0..DATABASES.len() {
        let mut add = |kind, measurement: &str, tags: &[(&str, &str)], time| {
            let tags = tags.iter();
            things.push(Thing {
                kind,
                database,
                measurement: measurement.to_owned(),
                tags: tags
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
                time,
            });
        };
        for solo in 0..SOLOS {
            let measurement = format!("solo {owner}.{solo}, from=\"ü\" a\\b");
            let tags: &[(&str, &str)] = match solo {
                0 => &[],
                _ => &[("where", "it's, a=b")],
            };
            let time = CROWD_TIMES.get(solo).copied().unwrap_or(0);
            add(Kind::Solo, &measurement, tags, time);
        }
        let crowd = format!("crowd {owner}/\"select\"");
        let host = [("host", "a b,c=d")];
        let both = [("host", "a b,c=d"), ("tag =k", "ü\"x'y\\z")];
        for time in CROWD_TIMES {
            for tags in [&[][..], &host, &both] {
                add(Kind::Crowd, &crowd, tags, time);
            }
        }
        for time in WILD_TIMES {
            for tags in [&host[..], &[("host", "wild")]] {
                add(Kind::Wild, &crowd, tags, time);
            }
        }
    }
    things
}

impl Thing {
    /// A line that gives fields, by their places in [`FIELDS`], what stands for their values.
    pub fn line(&self, fields: &[(usize, u64)]) -> String {
        let fields = fields.iter();
        let fields = fields.map(|(field, content)| (FIELDS[*field], written(*field, *content)));
        self.line_of(fields)
    }

    /// A line of fields whose values are given as they stand in it.
    pub fn line_of<'field>(
        &self,
        fields: impl IntoIterator<Item = (&'field str, String)>,
    ) -> String {
        let mut line = escaped(&self.measurement, &[',', ' ']);
        for (key, value) in &self.tags {
            let special = [',', ' ', '='];
            let _ = write!(
                line,
                ",{}={}",
                escaped(key, &special),
                escaped(value, &special)
            );
        }
        let fields = fields.into_iter();
        let fields =
            fields.map(|(name, value)| format!("{}={value}", escaped(name, &[',', ' ', '=', '"'])));
        let fields: Vec<String> = fields.collect();
        let _ = writeln!(line, " {} {}", fields.join(","), self.time);
        line
    }

    /// A `DELETE` of it, where its measurement may hold other series.
    pub fn delete(&self) -> String {
        let mut text = format!(
            "DELETE FROM {} WHERE time = {}",
            identifier(&self.measurement),
            self.time
        );
        let keys = match self.kind {
            Kind::Solo => Vec::new(),
            Kind::Crowd | Kind::Wild => vec!["host", "tag =k"],
        };
        for key in keys {
            let value = self.tags.iter().find(|(known, _)| known == key);
            let value = value.map_or("", |(_, value)| value.as_str());
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            let _ = write!(text, " AND {} = '{value}'", identifier(key));
        }
        text
    }

    /// How `haflux compare` names its series in a policy.
    pub fn series(&self, policy: usize) -> String {
        let mut name = format!(
            "{}.{}.{}",
            DATABASES[self.database], POLICIES[policy], self.measurement
        );
        for (key, value) in &self.tags {
            let _ = write!(name, ",{key}={value}");
        }
        name
    }

    /// Whether a series of an answer and a time are its.
    pub fn is_at(&self, tags: &Value, time: &Value) -> bool {
        // A series has a value for each tag of its measurement, if only an empty one.
        let given = |key: &str| tags[key].as_str().unwrap_or_default();
        let has = self.tags.iter().all(|(key, value)| given(key) == value);
        let none_more = tags.as_object().is_none_or(|all| {
            all.iter()
                .all(|(key, value)| value == "" || self.tags.iter().any(|(known, _)| known == key))
        });
        has && none_more && time.as_i64() == Some(self.time)
    }
}

/// What stands for the value that the change of this number gives to a field.
pub fn content(field: usize, number: u64) -> u64 {
    match field {
        3 => number % 2,
        _ => number,
    }
}

/// A field's value in a line.
fn written(field: usize, content: u64) -> String {
    match field {
        0 => format!("{}i", content * LARGE),
        1 => format!("{content}.25"),
        2 => format!("\"te\\\"xt\\\\ {content}\nü, =\""),
        _ => (content == 1).to_string(),
    }
}

/// What stands for a field's value in an answer; none if there is no value.
pub fn read(field: usize, value: &Value) -> Option<u64> {
    let content = match (field, value) {
        (_, Value::Null) => return None,
        (0, value) => value
            .as_u64()
            .filter(|number| number % LARGE == 0)
            .map(|number| number / LARGE),
        (1, value) => value.to_string().strip_suffix(".25").and_then(parsed),
        (2, value) => value.as_str().and_then(|text| {
            let text = text.strip_prefix("te\"xt\\ ")?;
            parsed(text.strip_suffix("\nü, =")?)
        }),
        (_, value) => value.as_bool().map(u64::from),
    };
    Some(content.unwrap_or(STRANGE))
}

fn parsed(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn escaped(name: &str, special: &[char]) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if special.contains(&letter) {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

/// A name in a statement.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}
