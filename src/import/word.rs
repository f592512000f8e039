//! The words of one line, cut as HAProxy cuts them: quotes, backslashes, comments, environment variables.
//!
//! HAProxy has no line continuation: a backslash at the end of a line stands for itself.

use std::collections::HashMap;

/// One word of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// The word, with `${NAME}` where an environment variable stands.
    text: String,
    /// The same as haflux reads texts: a `$` that is no variable is doubled where haflux would take it for one.
    notation: String,
    /// Whether an environment variable stands in it.
    variable: bool,
}

impl Word {
    /// A word in which no variable stands.
    pub(super) fn plain(text: &str) -> Word {
        let mut word = Word::default();
        for character in text.chars() {
            word.push(character);
        }
        word
    }

    /// The word as keywords and values are compared with it.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The word as a text of haflux's configuration.
    pub(super) fn notation(&self) -> &str {
        &self.notation
    }

    /// Whether the environment completes it: then only haflux can tell whether the value is right.
    pub(super) fn is_variable(&self) -> bool {
        self.variable
    }

    fn push(&mut self, character: char) {
        // haflux reads `$$` as `$` and `${` as a variable.
        if matches!(character, '$' | '{') && self.notation.ends_with('$') {
            self.notation.push('$');
        }
        self.text.push(character);
        self.notation.push(character);
    }

    fn push_variable(&mut self, name: &str) {
        let reference = format!("${{{name}}}");
        if self.notation.ends_with('$') {
            self.notation.push('$');
        }
        self.text.push_str(&reference);
        self.notation.push_str(&reference);
        self.variable = true;
    }
}

/// Why a line cannot be cut into words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A quote without its partner.
    #[error("the quote {0} is never closed")]
    Quote(char),
    /// `\x` without two hexadecimal digits after it.
    #[error("\\x needs two hexadecimal digits")]
    Hexadecimal,
    /// `$` in double quotes, without a variable's name after it.
    #[error("$ in double quotes needs the name of a variable; \\$ is a dollar")]
    VariableName,
    /// `${` without `}`.
    #[error("${{ is never closed")]
    Brace,
}

/// What a line refers to besides itself.
pub(super) struct Surroundings<'a> {
    /// Variables that the file itself sets (`setenv`).
    pub(super) set: &'a HashMap<String, String>,
    /// `.FILE`, `.LINE` and `.SECTION`.
    pub(super) file: &'a str,
    pub(super) line: usize,
    pub(super) section: &'a str,
}

/// A line in words, and the variables whose default took their place.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) words: Vec<Word>,
    pub(super) defaulted: Vec<String>,
}

/// Cuts a line into words. The line's end, and a comment, do not belong to them.
pub(super) fn cut(line: &str, around: &Surroundings<'_>) -> Result<Words, WordError> {
    let mut cutter = Cutter {
        rest: line,
        words: Words::default(),
        word: None,
        quote: None,
    };
    while let Some(character) = cutter.next() {
        match (cutter.quote, character) {
            (Some('\''), '\'') | (Some('"'), '"') => cutter.quote = None,
            (None, '"' | '\'') => {
                cutter.quote = Some(character);
                cutter.word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => cutter.escape()?,
            (Some('"'), '$') => cutter.variable(around)?,
            (None, '#') => break,
            (None, character) if character.is_ascii_whitespace() => cutter.end_word(),
            (_, character) => cutter.push(character),
        }
    }
    if let Some(quote) = cutter.quote {
        return Err(WordError::Quote(quote));
    }
    cutter.end_word();
    Ok(cutter.words)
}

struct Cutter<'a> {
    rest: &'a str,
    words: Words,
    /// The word that is being read, if one has begun.
    word: Option<Word>,
    quote: Option<char>,
}

impl<'a> Cutter<'a> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = self.rest.get(character.len_utf8()..).unwrap_or_default();
        Some(character)
    }

    fn push(&mut self, character: char) {
        self.word.get_or_insert_default().push(character);
    }

    fn end_word(&mut self) {
        self.words.words.extend(self.word.take());
    }

    /// What follows a backslash. Combinations that mean nothing stay as they are, so that `\.` needs no second backslash.
    fn escape(&mut self) -> Result<(), WordError> {
        let (taken, character) = match self.rest.chars().next() {
            Some(plain @ (' ' | '\\' | '#' | '"' | '\'')) => (1, plain),
            // Outside of quotes no variable is read, and the backslash stays.
            Some('$') if self.quote == Some('"') => (1, '$'),
            Some('n') => (1, '\n'),
            Some('r') => (1, '\r'),
            Some('t') => (1, '\t'),
            Some('x') => {
                let code = self
                    .rest
                    .get(1..3)
                    .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .ok_or(WordError::Hexadecimal)?;
                (3, char::from(code))
            }
            _ => (0, '\\'),
        };
        self.rest = self.rest.get(taken..).unwrap_or_default();
        self.push(character);
        Ok(())
    }

    /// What follows a `$` in double quotes: a name, or `{NAME}`, `{NAME-default}`, `{NAME[*]}`.
    fn variable(&mut self, around: &Surroundings<'_>) -> Result<(), WordError> {
        let (name, default) = match self.rest.strip_prefix('{') {
            Some(braced) => {
                let (inner, rest) = braced.split_once('}').ok_or(WordError::Brace)?;
                self.rest = rest;
                match inner.split_once('-') {
                    Some((name, default)) => (name, Some(default)),
                    None => (inner.strip_suffix("[*]").unwrap_or(inner), None),
                }
            }
            None => {
                let end = self
                    .rest
                    .find(|character: char| {
                        !(character.is_ascii_alphanumeric() || "_.".contains(character))
                    })
                    .unwrap_or(self.rest.len());
                let (name, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
                self.rest = rest;
                (name, None)
            }
        };
        let line = around.line.to_string();
        let known = match name {
            ".FILE" => Some(around.file),
            ".LINE" => Some(line.as_str()),
            ".SECTION" => Some(around.section),
            _ => around.set.get(name).map(String::as_str),
        };
        if known.is_none() && !is_name(name) {
            return Err(WordError::VariableName);
        }
        let word = self.word.get_or_insert_default();
        match (known, default) {
            (Some(value), _) => value.chars().for_each(|character| word.push(character)),
            (None, Some(default)) => {
                default.chars().for_each(|character| word.push(character));
                self.words.defaulted.push(name.to_owned());
            }
            (None, None) => word.push_variable(name),
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, WordError> {
        let set = HashMap::from([("SET".to_owned(), "by file".to_owned())]);
        let around = Surroundings {
            set: &set,
            file: "h.cfg",
            line: 7,
            section: "front",
        };
        Ok(cut(line, &around)?
            .words
            .iter()
            .map(|word| word.notation().to_owned())
            .collect())
    }

    #[test]
    fn words_are_cut_as_haproxy_cuts_them() {
        for (line, expected) in [
            ("", &[] as &[&str]),
            ("  # only a comment", &[]),
            ("global#this is one", &["global"]),
            ("\tbind  *:80\t# http", &["bind", "*:80"]),
            (r"a\ b c\#d e\\f", &["a b", "c#d", r"e\f"]),
            (r"path_reg \.png$ \1", &["path_reg", r"\.png$", r"\1"]),
            (r#""a b" 'c "d"' e"f g"h"#, &["a b", "c \"d\"", "ef gh"]),
            (r#"'\n' "\n" \x41\x20b"#, &[r"\n", "\n", "A b"]),
            (r#""$HOST:80" "${HOST}:81""#, &["${HOST}:80", "${HOST}:81"]),
            (r#"$HOST '$HOST' "\$HOST""#, &["$HOST", "$HOST", "$HOST"]),
            (r"^/a\$ \$HOST", &[r"^/a\$", r"\$HOST"]),
            (r#"${HOST} "\${A}" '$$'"#, &["$${HOST}", "$${A}", "$$$"]),
            (r#""${NONE-10.0.0.1}:514""#, &["10.0.0.1:514"]),
            (
                r#""$SET" "${.LINE}" "$.SECTION""#,
                &["by file", "7", "front"],
            ),
            (r#""" ''"#, &["", ""]),
            ("bind \\", &["bind", "\\"]),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
        for (line, expected) in [
            ("a 'b", WordError::Quote('\'')),
            ("a \"b", WordError::Quote('"')),
            (r"\x4", WordError::Hexadecimal),
            (r#""$ x""#, WordError::VariableName),
            (r#""${1A}""#, WordError::VariableName),
            (r#""${A""#, WordError::Brace),
        ] {
            assert_eq!(words(line), Err(expected), "{line}");
        }
    }
}
