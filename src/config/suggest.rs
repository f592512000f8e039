//! The nearest valid name for one that is not valid.

/// Longer names are not compared: the work grows with the product of the lengths.
const LONGEST: usize = 64;

/// More candidates than this are not looked at.
const MOST: usize = 1000;

/// The candidate that `found` was most probably meant to be, if there is one.
pub(crate) fn nearest<'a>(
    found: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if found.is_empty() || found.len() > LONGEST {
        return None;
    }
    let found = found.to_lowercase();
    candidates
        .into_iter()
        .take(MOST)
        .filter(|candidate| candidate.len() <= LONGEST)
        .filter_map(|candidate| {
            likeness(&found, &candidate.to_lowercase()).map(|score| (score, candidate))
        })
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

/// How alike two names are, if they are alike enough to be one mistyped: a slip in every four characters, or the same
/// beginning, or one the beginning of the other.
fn likeness(found: &str, candidate: &str) -> Option<f64> {
    let slips = strsim::damerau_levenshtein(found, candidate);
    let same_beginning = strsim::jaro_winkler(found, candidate);
    let length = candidate.chars().count();
    let one_begins_the_other = found.len().min(candidate.len()) >= 3
        && (found.starts_with(candidate) || candidate.starts_with(found));
    (slips <= 1 + length / 4 && slips < length || same_beginning > 0.88 || one_begins_the_other)
        .then(|| strsim::normalized_damerau_levenshtein(found, candidate) + same_beginning)
}
