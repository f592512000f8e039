//! The parts that may have a level of their own in the log.

use super::nearest;

/// The part of the access log.
pub(crate) const ACCESS: &str = "access";

/// The parts of haflux are its modules: this page names them.
const MODULES: &str = include_str!("../lib.rs");

/// The most parts that have a level of their own.
pub(crate) const MOST_PARTS: usize = 64;

/// There is no such part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no part {name:?}{}; parts are {known}", suggestion.as_deref().map(|one| format!(" (did you mean {one:?}?)")).unwrap_or_default())]
pub struct UnknownPart {
    /// The name that was given.
    pub name: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
    /// The names that there are.
    pub known: String,
}

/// The part's name without the crate's before it.
///
/// # Errors
/// There is no such part: a level for it would change nothing.
pub(crate) fn known(part: &str) -> Result<String, UnknownPart> {
    let part = part.strip_prefix("haflux::").unwrap_or(part);
    let module = part.split_once("::").map_or(part, |(module, _)| module);
    if is_library(module) || parts().any(|known| known == module) {
        return Ok(part.to_owned());
    }
    Err(UnknownPart {
        name: part.to_owned(),
        suggestion: nearest(module, parts()).map(str::to_owned),
        known: parts().collect::<Vec<_>>().join(", "),
    })
}

/// The libraries that may have a level of their own: those that are known to say something.
pub(crate) fn is_library(part: &str) -> bool {
    part.starts_with("pingora")
}

/// The parts that may have a level of their own, libraries not among them.
fn parts() -> impl Iterator<Item = &'static str> {
    let modules = MODULES.lines().filter_map(|line| {
        let (visibility, rest) = line.split_once("mod ")?;
        visibility
            .starts_with("pub")
            .then_some(rest)?
            .strip_suffix(';')
    });
    modules.chain([ACCESS])
}
