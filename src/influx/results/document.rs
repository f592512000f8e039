//! An answer to `/query` as its JSON says it. Strict: what no node of 1.6 to 1.12 writes is refused, not passed over.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// One document: the whole answer, or a chunk of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document<'json> {
    #[serde(borrow, default)]
    pub(super) results: Vec<StatementResult<'json>>,
    /// Why the request as a whole failed.
    #[serde(default)]
    pub(super) error: Option<String>,
}

/// What became of one statement, or a part of that.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatementResult<'json> {
    pub(super) statement_id: i64,
    #[serde(borrow, default)]
    pub(super) series: Vec<Series<'json>>,
    #[serde(default)]
    pub(super) messages: Vec<Message>,
    #[serde(default)]
    pub(super) partial: bool,
    #[serde(default)]
    pub(super) error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) level: String,
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Series<'json> {
    #[serde(default)]
    pub(super) name: String,
    /// In the order of their keys' bytes, as InfluxDB sorts them for JSON and CSV.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) columns: Vec<String>,
    #[serde(borrow, default)]
    pub(super) values: Vec<Vec<Value<'json>>>,
    #[serde(default)]
    pub(super) partial: bool,
}

/// A cell.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'json> {
    Null,
    Boolean(bool),
    /// Written without fraction and exponent: a whole number of whatever type.
    Integer(i64),
    /// The same, above what an `i64` holds.
    Unsigned(u64),
    Float(f64),
    Text(Cow<'json, str>),
    /// Of other values, none of them a list (the destinations of a subscription).
    List(Vec<Value<'json>>),
}

impl<'de: 'json, 'json> Deserialize<'de> for Value<'json> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cell { inside_list: false }.deserialize(deserializer)
    }
}

/// Reads a value.
#[derive(Clone, Copy)]
struct Cell {
    inside_list: bool,
}

impl<'json> DeserializeSeed<'json> for Cell {
    type Value = Value<'json>;

    fn deserialize<D: Deserializer<'json>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'json> Visitor<'json> for Cell {
    type Value = Value<'json>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a value of a series")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Value::Unsigned(value), Value::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'json str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'json>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        if self.inside_list {
            return Err(A::Error::custom("a list inside a list"));
        }
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(Cell { inside_list: true })? {
            list.push(element);
        }
        Ok(Value::List(list))
    }
}
