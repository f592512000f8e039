//! What could not be compared, and why: names or values that no question asks for, or that no answer gives.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice};

use super::Comparison;
use crate::heal::error::WorkError;
use crate::heal::node::{NodeError, Slice};
use crate::heal::place::Name;

/// Places that are named where it is said that not all could be compared, because notes name each; more are counted.
const NAMED: usize = 1;

/// Places that could not be compared: database, policy and measurement, each with the first reason.
#[derive(Debug, Default, PartialEq)]
#[must_use = "what could not be compared is not known to be the same"]
pub(in crate::heal) struct Unread(BTreeMap<(String, String, BString), String>);

impl Unread {
    /// Whether everything was compared.
    pub(in crate::heal) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing, if everything was compared. `what`: what that means where it was not.
    ///
    /// # Errors
    /// [`WorkError::Unread`]: `what`, with the places and the reasons.
    pub(in crate::heal) fn all_read(&self, what: &str) -> Result<(), WorkError> {
        if self.is_empty() {
            return Ok(());
        }
        let places = self.0.iter().take(NAMED);
        let mut places: Vec<String> = places
            .map(|((database, policy, measurement), reason)| {
                format!(
                    "{database}.{policy}.{}: {reason}",
                    Name(measurement.as_bstr())
                )
            })
            .collect();
        let more = self.0.len().saturating_sub(NAMED);
        if more > 0 {
            places.push(format!("and {more} more"));
        }
        Err(WorkError::unread(what, &places))
    }

    fn add(&mut self, slice: &Slice, reason: String) {
        let Slice {
            database,
            policy,
            measurement,
            ..
        } = slice;
        let place = (database.clone(), policy.clone(), measurement.clone());
        self.0.entry(place).or_insert(reason);
    }
}

impl Comparison<'_> {
    /// A slice is not compared to its end.
    pub(super) fn leave_out(&self, slice: &Slice, reason: String) {
        self.progress.note(format!(
            "not compared: {}.{}.{}: {reason}",
            slice.database,
            slice.policy,
            Name(slice.measurement.as_bstr())
        ));
        self.unread.lock().add(slice, reason);
    }

    /// What was read of a slice; none if a node cannot be asked for it, or gives what cannot be read: the slice is left out then.
    ///
    /// # Errors
    /// A reason that stands against all slices.
    pub(super) fn unless_unread<T>(
        &self,
        slice: &Slice,
        read: Result<T, WorkError>,
    ) -> Result<Option<T>, WorkError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(WorkError::Node(error))
                if error.is_of_these_points() || matches!(error, NodeError::Refused { .. }) =>
            {
                self.leave_out(slice, error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_and_many_are_counted() {
        let mut unread = Unread::default();
        assert!(unread.all_read("not all").is_ok());
        for number in 0..NAMED + 2 {
            let slice = Slice {
                database: "d".to_owned(),
                policy: "p".to_owned(),
                measurement: format!("m{number:02}").into(),
                from: 0,
                until: 1,
            };
            unread.add(&slice, "odd".to_owned());
            unread.add(&slice, "later".to_owned());
        }
        let error = unread.all_read("not all").expect_err("places").to_string();
        assert_eq!(error, "not all: d.p.m00: odd; and 2 more");
    }
}
