//! A value with what HAProxy says of it: where it comes from, how it behaves, whom it is about, how large it can be. HAProxy's
//! formats `typed` and `json` bear these words (its management guide, sections 9.2 and 9.3).

use std::fmt;

use serde::Serialize;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Origin {
    /// It is counted or measured.
    Metric,
    /// It is a state that is found.
    Status,
    /// It names what the others are about.
    Key,
    /// The configuration says it.
    Config,
    /// The program is so.
    Product,
}

/// How a value behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Nature {
    /// It goes up and down.
    Gauge,
    /// It is never exceeded.
    Limit,
    /// It is the highest there was.
    Max,
    /// It is counted in a second.
    Rate,
    /// It only grows.
    Counter,
    /// It is a length of time.
    Duration,
    /// It is a length of time up to now.
    Age,
    /// It is a name.
    Name,
    /// It is a text for a person.
    Output,
    /// It is an average.
    Avg,
}

/// Whom a value is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Scope {
    /// This process.
    Process,
    /// All processes of the service.
    Service,
}

/// How a value is written, and how large it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// A number of 32 bits with a sign.
    S32,
    /// A number of 32 bits.
    U32,
    /// A number of 64 bits.
    U64,
    /// A text.
    Str,
}

/// What HAProxy says of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// How it is written.
    pub written: Type,
    /// Where it comes from.
    pub origin: Origin,
    /// How it behaves.
    pub nature: Nature,
    /// Whom it is about.
    pub scope: Scope,
}

/// A value of a meaning.
#[derive(Debug, Clone, Copy)]
pub struct Typed<'a> {
    meaning: Meaning,
    text: &'a str,
}

/// The words of a meaning, as JSON has them.
#[derive(Debug, Serialize)]
pub struct Tags {
    origin: Origin,
    nature: Nature,
    scope: Scope,
}

/// A value as JSON has it.
#[derive(Debug, Serialize)]
pub struct Value<'a> {
    r#type: Type,
    value: Plain<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Plain<'a> {
    Unsigned(u64),
    Signed(i64),
    Text(&'a str),
}

/// Where a value stands among others, as JSON has it.
#[derive(Debug, Serialize)]
pub struct Field<'a> {
    /// Its place.
    pub pos: usize,
    /// Its name.
    pub name: &'a str,
}

impl<'a> Typed<'a> {
    /// The value that this text writes. Where it is a number that HAProxy's type does not hold, the wider type is named.
    pub fn new(meaning: Meaning, text: &'a str) -> Self {
        let is_wide = meaning.written == Type::U32
            && text
                .parse()
                .is_ok_and(|number: u64| number > u32::MAX.into());
        Self {
            meaning: Meaning {
                written: if is_wide { Type::U64 } else { meaning.written },
                ..meaning
            },
            text,
        }
    }

    /// Its tags for JSON.
    pub fn tags(&self) -> Tags {
        Tags {
            origin: self.meaning.origin,
            nature: self.meaning.nature,
            scope: self.meaning.scope,
        }
    }

    /// It for JSON. What should be a number and is none is a text.
    pub fn value(&self) -> Value<'a> {
        let unsigned = || self.text.parse().ok().map(Plain::Unsigned);
        let signed = || self.text.parse().ok().map(Plain::Signed);
        let number = match self.meaning.written {
            Type::U32 | Type::U64 => unsigned(),
            Type::S32 => signed(),
            Type::Str => None,
        };
        Value {
            r#type: match number {
                Some(_) => self.meaning.written,
                None => Type::Str,
            },
            value: number.unwrap_or(Plain::Text(self.text)),
        }
    }
}

impl fmt::Display for Typed<'_> {
    /// `KNS:str:front`. A text may hold anything, and a line break would end the line: it becomes a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Meaning {
            written,
            origin,
            nature,
            scope,
        } = self.meaning;
        let origin = match origin {
            Origin::Metric => 'M',
            Origin::Status => 'S',
            Origin::Key => 'K',
            Origin::Config => 'C',
            Origin::Product => 'P',
        };
        let nature = match nature {
            Nature::Gauge => 'G',
            Nature::Limit => 'L',
            Nature::Max => 'M',
            Nature::Rate => 'R',
            Nature::Counter => 'C',
            Nature::Duration => 'D',
            Nature::Age => 'A',
            Nature::Name => 'N',
            Nature::Output => 'O',
            Nature::Avg => 'a',
        };
        let scope = match scope {
            Scope::Process => 'P',
            Scope::Service => 'S',
        };
        let written = match written {
            Type::S32 => "s32",
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::Str => "str",
        };
        write!(f, "{origin}{nature}{scope}:{written}:")?;
        self.text
            .split(['\n', '\r'])
            .enumerate()
            .try_for_each(|(number, piece)| {
                if number > 0 {
                    f.write_str(" ")?;
                }
                f.write_str(piece)
            })
    }
}
