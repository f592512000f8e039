//! `${NAME}` in texts is replaced by the environment variable of that name; `$$` stands for one `$`. A `$` before anything
//! else is itself, so that regular expressions can be written as usual. Keys are never replaced, and what a variable
//! holds is not looked at again.

use super::error::{Problem, Sink};
use super::key_path::KeyPath;
use super::tree::{Node, Text, Value, quote};

/// How many bytes variables may put into one file.
const MAX_INSERTED: usize = 4 * 1024 * 1024;

/// Replaces throughout the tree. A text in which that fails is reported and no longer looked at.
pub(super) fn replace(root: &mut Node, lookup: &dyn Fn(&str) -> Option<String>, sink: &Sink) {
    let mut replacer = Replacer {
        lookup,
        room: MAX_INSERTED,
        sink,
    };
    let Value::Table(entries) = &mut root.value else {
        return;
    };
    for entry in entries {
        match &mut entry.value.value {
            Value::List(list) => {
                for (index, node) in list.iter_mut().enumerate() {
                    let path = KeyPath::section(&entry.key, index, node.name());
                    replacer.visit(node, &path);
                }
            }
            _ => replacer.visit(&mut entry.value, &KeyPath::default().key(&entry.key)),
        }
    }
}

struct Replacer<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// How many bytes may still be put in.
    room: usize,
    sink: &'a Sink,
}

impl Replacer<'_> {
    fn visit(&mut self, node: &mut Node, path: &KeyPath) {
        match &mut node.value {
            Value::Text(text) if text.raw.contains('$') => {
                if let Err(problem) = self.text(text) {
                    self.sink.report(node.position, path.as_str(), problem);
                    node.value = Value::Reported;
                }
            }
            Value::List(list) => {
                for (index, item) in list.iter_mut().enumerate() {
                    self.visit(item, &path.index(index));
                }
            }
            Value::Table(entries) => {
                for entry in entries {
                    self.visit(&mut entry.value, &path.key(&entry.key));
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &mut Text) -> Result<(), Problem> {
        let mut value = String::with_capacity(text.raw.len());
        let mut rest = text.raw.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            value.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                value.push('$');
                rest = after;
            } else if let Some(after) = after.strip_prefix('{') {
                let (name, after) = after.split_once('}').ok_or(Problem::VariableNotClosed)?;
                value.push_str(&self.variable(name)?);
                text.from_environment = true;
                rest = after;
            } else {
                value.push('$');
                rest = after;
            }
        }
        value.push_str(rest);
        text.value = value;
        Ok(())
    }

    fn variable(&mut self, name: &str) -> Result<String, Problem> {
        if !is_name(name) {
            return Err(Problem::VariableName { found: quote(name) });
        }
        let value = (self.lookup)(name).ok_or_else(|| Problem::VariableUnset {
            name: name.to_owned(),
        })?;
        self.room = self
            .room
            .checked_sub(value.len())
            .ok_or(Problem::VariablesTooLarge)?;
        Ok(value)
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
}
