//! How messages name a place in the configuration.

use super::tree::shorten;

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
                Some(name) => format!("{} \"{}\"", shorten(kind), shorten(name)),
                None => format!("{}[{index}]", shorten(kind)),
            },
            section: true,
        }
    }

    /// A key of what this is the way to.
    pub(super) fn key(&self, key: &str) -> KeyPath {
        let separator = match (self.text.is_empty(), self.section) {
            (true, _) => "",
            (false, true) => ", ",
            (false, false) => ".",
        };
        KeyPath {
            text: format!("{}{separator}{}", self.text, shorten(key)),
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
