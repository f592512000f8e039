//! What [`crate::fuzzing`] tries of a node's points.

use std::collections::HashSet;

use super::document::{read_document, read_names};

/// A document of points, whatever a node sends. The first byte says whether small numbers of the field `v` are unsigned.
pub(crate) fn points(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let _ = read_names(bytes);
    let unsigned = match first & 1 {
        0 => HashSet::new(),
        _ => HashSet::from(["v".to_owned()]),
    };
    let Ok(document) = read_document(bytes, &unsigned) else {
        return;
    };
    for (_, series) in &document.series {
        let fields = series.fields.len();
        assert!(series.rows.iter().all(|(_, values)| values.len() == fields));
    }
}
