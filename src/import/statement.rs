//! haproxy.cfg as statements: lines in words, in their sections, with conditional blocks taken apart.

use std::collections::HashMap;

use super::error::ImportError;
use super::word::{self, Surroundings, Word};

/// A file as it was read.
#[derive(Debug, Clone)]
pub struct Source {
    /// What messages call it.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// Position of a statement in [`Script::statements`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StatementId(pub(super) usize);

/// One line that says something.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) id: StatementId,
    /// The file's name.
    pub(super) file: String,
    /// Counted from 1.
    pub(super) line: usize,
    /// As it stands in the file, without blanks around it.
    pub(super) raw: String,
    /// Never empty.
    pub(super) words: Vec<Word>,
    /// Variables that are not known here, so that their default stands in the words.
    pub(super) defaulted: Vec<String>,
    /// The statement stands in a block that is not translated.
    pub(super) conditional: bool,
}

impl Statement {
    /// The word at `index`; empty past the end.
    pub(super) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", Word::as_str)
    }

    /// The words from `index` on.
    pub(super) fn from(&self, index: usize) -> &[Word] {
        self.words.get(index..).unwrap_or_default()
    }
}

/// The kinds of sections that can be translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Global,
    Defaults,
    Frontend,
    Backend,
    Listen,
    /// `userlist`, `peers` and the like.
    Other,
}

/// A section: the statement that opens it, and its own statements.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Absent for what stands before the first section.
    pub(super) opening: Option<StatementId>,
    pub(super) statements: Vec<StatementId>,
    /// The `defaults` section that counts here, as a position in [`Script::sections`].
    pub(super) defaults: Option<usize>,
}

/// All files.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    pub(super) statements: Vec<Statement>,
    pub(super) sections: Vec<Section>,
}

const SECTIONS: [(&str, Kind); 16] = [
    ("global", Kind::Global),
    ("defaults", Kind::Defaults),
    ("frontend", Kind::Frontend),
    ("backend", Kind::Backend),
    ("listen", Kind::Listen),
    ("userlist", Kind::Other),
    ("peers", Kind::Other),
    ("resolvers", Kind::Other),
    ("mailers", Kind::Other),
    ("cache", Kind::Other),
    ("program", Kind::Other),
    ("http-errors", Kind::Other),
    ("ring", Kind::Other),
    ("log-forward", Kind::Other),
    ("fcgi-app", Kind::Other),
    ("crt-store", Kind::Other),
];

/// How many statements all files may have.
const MOST_STATEMENTS: usize = 100_000;

impl Script {
    /// Reads files in their order, as HAProxy does with several `-f`.
    pub(super) fn read(sources: &[Source]) -> Result<Script, Vec<ImportError>> {
        let mut reader = Reader::default();
        for source in sources {
            reader.file(source);
        }
        if reader.errors.is_empty() {
            Ok(reader.script)
        } else {
            Err(reader.errors)
        }
    }

    /// The position of the section that a statement stands in, among those that a line opens.
    pub(super) fn section_of(&self, id: StatementId) -> Option<usize> {
        let mut sections = self.sections.iter();
        sections.rposition(|section| section.opening.is_some_and(|opening| opening <= id))
    }

    /// The statement that `id` stands for.
    pub(super) fn statement(&self, id: StatementId) -> &Statement {
        &self.statements[id.0]
    }
}

/// A block between `.if` and `.endif`.
struct Block {
    /// Whether the lines of the branch that is being read count.
    counts: bool,
    /// What the condition is, if it is a constant: the import cannot know any other.
    constant: Option<bool>,
}

#[derive(Default)]
struct Reader {
    script: Script,
    errors: Vec<ImportError>,
    /// What `setenv` gave.
    set: HashMap<String, String>,
    /// The conditional blocks that are open, the innermost last.
    blocks: Vec<Block>,
    /// The anonymous `defaults` that sections after it take.
    defaults: Option<usize>,
}

impl Reader {
    fn file(&mut self, source: &Source) {
        self.blocks.clear();
        // A file begins a section of its own.
        let mut section: Option<usize> = None;
        for (index, raw) in source.text.lines().enumerate() {
            let line = index + 1;
            let name = section
                .and_then(|index| self.script.sections.get(index))
                .map_or_else(String::new, |section| section.name.clone());
            let around = Surroundings {
                set: &self.set,
                file: &source.name,
                line,
                section: &name,
            };
            let cut = match word::cut(raw, &around) {
                Ok(cut) => cut,
                Err(reason) => {
                    self.errors.push(ImportError::Words {
                        file: source.name.clone(),
                        line,
                        reason,
                    });
                    continue;
                }
            };
            if cut.words.is_empty() {
                continue;
            }
            if self.script.statements.len() == MOST_STATEMENTS {
                self.errors.push(ImportError::TooLong {
                    file: source.name.clone(),
                    line,
                    most: MOST_STATEMENTS,
                });
                return;
            }
            let statement = Statement {
                id: StatementId(self.script.statements.len()),
                file: source.name.clone(),
                line,
                raw: raw.trim().to_owned(),
                words: cut.words,
                defaulted: cut.defaulted,
                conditional: self.blocks.iter().any(|block| !block.counts),
            };
            section = self.place(statement, section);
        }
    }

    /// Puts a statement where it belongs; the section that is open afterwards.
    fn place(&mut self, mut statement: Statement, open: Option<usize>) -> Option<usize> {
        let id = statement.id;
        let first = statement.word(0).to_owned();
        match first.as_str() {
            ".if" => {
                let constant = constant(&statement);
                self.blocks.push(Block {
                    counts: constant == Some(true),
                    constant,
                });
            }
            ".elif" | ".else" => {
                if let Some(block) = self.blocks.last_mut() {
                    block.counts = first == ".else" && block.constant == Some(false);
                    if first == ".elif" {
                        block.constant = None;
                    }
                }
            }
            ".endif" => {
                self.blocks.pop();
            }
            _ => {}
        }
        if first.starts_with('.') {
            statement.conditional = true;
        }
        if !statement.conditional && first == "setenv" {
            self.set
                .insert(statement.word(1).to_owned(), statement.word(2).to_owned());
        }
        let kind = SECTIONS
            .iter()
            .find(|(word, _)| *word == first && !statement.conditional)
            .map(|(_, kind)| *kind);
        let name = statement.word(1).to_owned();
        let from = statement
            .words
            .iter()
            .position(|word| word.as_str() == "from")
            .map(|at| statement.word(at + 1).to_owned());
        self.script.statements.push(statement);
        if let Some(kind) = kind {
            return Some(self.open(kind, name, from, id));
        }
        let index = open.unwrap_or_else(|| {
            self.script.sections.push(Section {
                kind: Kind::Other,
                name: String::new(),
                opening: None,
                statements: Vec::new(),
                defaults: None,
            });
            self.script.sections.len() - 1
        });
        if let Some(section) = self.script.sections.get_mut(index) {
            section.statements.push(id);
        }
        Some(index)
    }

    fn open(&mut self, kind: Kind, name: String, from: Option<String>, id: StatementId) -> usize {
        let index = self.script.sections.len();
        let named = from.and_then(|from| {
            self.script
                .sections
                .iter()
                .rposition(|section| section.kind == Kind::Defaults && section.name == from)
        });
        let defaults = match kind {
            // `defaults` inherits only from one that it names.
            Kind::Defaults => named,
            _ => named.or(self.defaults),
        };
        self.script.sections.push(Section {
            kind,
            name,
            opening: Some(id),
            statements: Vec::new(),
            defaults,
        });
        if kind == Kind::Defaults {
            self.defaults = Some(index);
        }
        index
    }
}

fn constant(statement: &Statement) -> Option<bool> {
    match (statement.words.len(), statement.word(1)) {
        (1, _) | (2, "0") => Some(false),
        (2, "1") => Some(true),
        _ => None,
    }
}
