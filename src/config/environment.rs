//! `${NAME}` in texts is replaced by the environment variable of that name; `$$` stands for one `$`. A `$` before anything
//! else is itself, so that regular expressions can be written as usual. Keys are never replaced, and what a variable
//! holds is not looked at again.
//!
//! `${file:/PATH}` is replaced by the one line of that file, and `${credential:NAME}` by that of the file which systemd's
//! `LoadCredential=` puts into the folder `CREDENTIALS_DIRECTORY`. Both are secrets: a text with one in it is marked, and only a key
//! whose value is never shown takes it.

use std::path::{Path, PathBuf};

use super::error::{Problem, Sink};
use super::key_path::KeyPath;
use super::password_file;
use super::tree::{Node, Text, Value, quote};

/// Names the folder of the credentials; systemd.exec(5).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// How many bytes variables and files may put into one file.
const MAX_INSERTED: usize = 4 * 1024 * 1024;

/// What becomes of a text of which a part is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacking {
    /// It is an error.
    Error,
    /// It is an error, unless the part is a credential of a service and whoever reads the file is none.
    ErrorButForCredentials,
    /// It is an error only where somebody needs the text.
    Allowed,
}

impl Lacking {
    fn allows(self, problem: &Problem) -> bool {
        match (self, problem) {
            (Self::Error, _) => false,
            (_, Problem::NoCredentials { .. }) => true,
            (_, Problem::VariableUnset { name }) if name == CREDENTIALS => true,
            (Self::ErrorButForCredentials, _) => false,
            (Self::Allowed, problem) => matches!(
                problem,
                Problem::VariableUnset { .. } | Problem::PasswordFile(_)
            ),
        }
    }
}

/// Replaces throughout the tree. A text in which that fails is reported and no longer looked at, or withheld where that is allowed.
pub(super) fn replace(
    root: &mut Node,
    lookup: &dyn Fn(&str) -> Option<String>,
    lacking: Lacking,
    sink: &Sink,
) {
    let mut replacer = Replacer {
        lookup,
        lacking,
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
    lacking: Lacking,
    /// How many bytes may still be put in.
    room: usize,
    sink: &'a Sink,
}

impl Replacer<'_> {
    fn visit(&mut self, node: &mut Node, path: &KeyPath) {
        match &mut node.value {
            Value::Text(text) if text.raw.contains('$') => {
                let Err(problem) = self.text(text) else {
                    return;
                };
                node.value = if self.lacking.allows(&problem) {
                    let raw = std::mem::take(&mut text.raw);
                    Value::Withheld { raw, problem }
                } else {
                    self.sink.report(node.position, path.as_str(), problem);
                    Value::Reported
                };
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
                match secret_file(name) {
                    Some(file) => {
                        value.push_str(&self.secret(file)?);
                        text.is_secret = true;
                    }
                    None => value.push_str(&self.variable(name)?),
                }
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
            return Err(Problem::VariableName);
        }
        let value = (self.lookup)(name).ok_or_else(|| Problem::VariableUnset {
            name: name.to_owned(),
        })?;
        self.insert(value)
    }

    fn secret(&mut self, file: SecretFile<'_>) -> Result<String, Problem> {
        let path = match file {
            SecretFile::Path(path) if Path::new(path).is_absolute() => PathBuf::from(path),
            SecretFile::Path(_) => return Err(Problem::SecretPath),
            SecretFile::Credential(name) if is_file_name(name) => {
                let unset = || Problem::NoCredentials { name: quote(name) };
                let folder = (self.lookup)(CREDENTIALS).ok_or_else(unset)?;
                Path::new(&folder).join(name)
            }
            SecretFile::Credential(_) => return Err(Problem::CredentialName),
        };
        let value = password_file::read_secret(&path).map_err(Problem::PasswordFile)?;
        self.sink.note_secret_file(path);
        self.insert(value)
    }

    /// The value, if there is still room for it.
    fn insert(&mut self, value: String) -> Result<String, Problem> {
        self.room = self
            .room
            .checked_sub(value.len())
            .ok_or(Problem::VariablesTooLarge)?;
        Ok(value)
    }
}

/// Where a secret is.
enum SecretFile<'a> {
    Path(&'a str),
    Credential(&'a str),
}

/// What stands between the braces, if it names a file.
fn secret_file(name: &str) -> Option<SecretFile<'_>> {
    let path = name.strip_prefix("file:").map(SecretFile::Path);
    path.or_else(|| name.strip_prefix("credential:").map(SecretFile::Credential))
}

/// Whether it stays in the folder that it is looked for in.
fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
}
