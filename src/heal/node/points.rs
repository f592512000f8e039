//! Points with their types, as they come.

use super::NodeError;

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::heal) enum Value {
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    Boolean(bool),
    Text(String),
}

/// Some points of one series, in the order of time. A long series comes in several of these.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::heal) struct Series {
    /// Keys and values, ordered by key; tags without a value are left out.
    pub(in crate::heal) tags: Vec<(String, String)>,
    /// The names of the fields.
    pub(in crate::heal) fields: Vec<String>,
    /// The time in nanoseconds, and the values of the fields in their order.
    pub(in crate::heal) rows: Vec<(i64, Vec<Option<Value>>)>,
}

/// The answer to a question for points.
pub(in crate::heal) struct PointStream {}

impl PointStream {
    /// Bytes that were read.
    pub(in crate::heal) fn bytes(&self) -> u64 {
        todo!()
    }

    /// The next points; `None` when there are no more.
    ///
    /// # Errors
    /// [`NodeError`]: the answer broke off, or says an error; what came before is sound.
    pub(in crate::heal) async fn next(&mut self) -> Result<Option<Series>, NodeError> {
        todo!()
    }
}
