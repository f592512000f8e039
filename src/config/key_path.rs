//! How messages name a place in the configuration.

use super::tree::{quote, shorten};

/// Stands in place of a key's name that is not shown.
pub(super) const HIDDEN: &str = "…";

/// The way to a key: `backend "influx_back", servers[0].address`.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyPath {
    text: String,
    /// Whether the text is a whole section, so that a key follows after a comma.
    section: bool,
}

impl KeyPath {
    /// An entry of a list at the top, by its name if it has one.
    pub(super) fn section(kind: &str, index: usize, name: Option<&str>) -> KeyPath {
        KeyPath {
            text: match name {
                Some(name) => format!("{} {}", shown_key(kind), quote(name)),
                None => format!("{}[{index}]", shown_key(kind)),
            },
            section: true,
        }
    }

    /// A key of what this is the way to.
    pub(super) fn key(&self, key: &str) -> KeyPath {
        self.then(&shown_key(key))
    }

    /// A key of what this is the way to, whose name is not shown.
    pub(super) fn hidden_key(&self) -> KeyPath {
        self.then(HIDDEN)
    }

    fn then(&self, shown: &str) -> KeyPath {
        let separator = match (self.text.is_empty(), self.section) {
            (true, _) => "",
            (false, true) => ", ",
            (false, false) => ".",
        };
        KeyPath {
            text: format!("{}{separator}{shown}", self.text),
            section: false,
        }
    }

    /// An item of the list that this is the way to.
    pub(super) fn index(&self, index: usize) -> KeyPath {
        KeyPath {
            text: format!("{}[{index}]", self.text),
            section: false,
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

/// The name of a key as a message shows it, if it is one word of the kind that haflux's keys are. Else its value may stand in it:
/// to YAML, `password:"s3cret"` without a space is one text, and so a key without a value.
pub(super) fn shown_key(key: &str) -> String {
    let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match key.bytes().all(is_of_names) {
        true => shorten(key),
        false => HIDDEN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_way_brings_control_characters_along() {
        for name in [None, Some("a\u{1b}")] {
            let path = KeyPath::section("b\u{1b}", 0, name).key("c\u{1b}");
            assert!(!path.as_str().contains('\u{1b}'), "{}", path.as_str());
        }
    }
}
