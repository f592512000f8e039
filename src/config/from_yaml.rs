//! YAML into the tree, from the parser's events. The parser is a state machine that bounds flow nesting; what this adds are
//! the limits that it does not have: depth of blocks, growth through aliases, one document, keys given once.
//!
//! Plain scalars are what YAML 1.2's core schema makes of them, except that only `true` and `false` are booleans.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::Format;
use super::error::{Position, Problem, Sink};
use super::key_path::{HIDDEN, shown_key};
use super::tree::{Entry, MAX_DEPTH, Node, Text, Value};

/// How many nodes a file's anchors may hold and its aliases stand for, all together.
const MAX_COPIED_NODES: usize = 10_000;

/// Parses a whole file. The first place where it is not valid YAML is reported, and every key given twice; then there is
/// no tree.
pub(super) fn parse(text: &str, sink: &Sink) -> Option<Node> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    let outcome = builder.feed(&mut parser);
    let mut sound = true;
    if let Err((position, problem)) = outcome {
        sink.report_at(Some(position), problem);
        sound = false;
    }
    for (position, key) in builder.duplicates {
        sink.report_at(Some(position), Problem::DuplicateKey { key });
        sound = false;
    }
    let empty = || Node {
        value: Value::Table(Vec::new()),
        position: Position::START,
    };
    sound.then(|| {
        builder
            .document
            .filter(|node| !matches!(node.value, Value::Nothing))
            .unwrap_or_else(empty)
    })
}

type Failure = (Position, Problem);

/// A list or table whose end has not been seen.
struct Open {
    node: Partial,
    position: Position,
    anchor: usize,
}

enum Partial {
    List(Vec<Node>),
    Table {
        entries: Vec<Entry>,
        seen: HashSet<String>,
        /// The key whose value comes next.
        key: Option<(String, Position)>,
        /// The tables that [`MERGE`] names, the first one first.
        merged: Vec<Vec<Entry>>,
    },
}

/// The key whose value is a table, or a list of tables, of which the table takes what it does not say itself, as in YAML 1.1
/// (<https://yaml.org/type/merge.html>).
const MERGE: &str = "<<";

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    copied: usize,
    documents: usize,
    document: Option<Node>,
    duplicates: Vec<(Position, String)>,
}

impl Builder {
    fn feed<'input, I: saphyr_parser::Input>(
        &mut self,
        parser: &mut Parser<'input, I>,
    ) -> Result<(), Failure> {
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| scan_failure(&error))?;
            self.take(event, position(&span))?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, position: Position) -> Result<(), Failure> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err((position, Problem::SeveralDocuments));
                }
                Ok(())
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err((
                        position,
                        syntax("an alias stands inside of what it stands for"),
                    ));
                };
                let node = node.clone();
                self.spend(&node)?;
                self.place(node, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value =
                    scalar(&text, style, tag.as_deref()).map_err(|problem| (position, problem))?;
                self.place(Node { value, position }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref()).map_err(|problem| (position, problem))?;
                self.begin(Partial::List(Vec::new()), position, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref()).map_err(|problem| (position, problem))?;
                let table = Partial::Table {
                    entries: Vec::new(),
                    seen: HashSet::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.begin(table, position, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let value = match open.node {
                        Partial::List(list) => Value::List(list),
                        Partial::Table {
                            mut entries,
                            mut seen,
                            merged,
                            ..
                        } => {
                            let merged = merged.into_iter().flatten();
                            entries.extend(merged.filter(|entry| seen.insert(entry.key.clone())));
                            Value::Table(entries)
                        }
                    };
                    let node = Node {
                        value,
                        position: open.position,
                    };
                    self.place(node, open.anchor)
                }
                None => Err((position, syntax("an end without a beginning"))),
            },
        }
    }

    fn begin(&mut self, node: Partial, position: Position, anchor: usize) -> Result<(), Failure> {
        if self.open.len() >= MAX_DEPTH {
            return Err((position, Problem::TooDeep));
        }
        if let Some(Open {
            node: Partial::Table { key: None, .. },
            ..
        }) = self.open.last()
        {
            return Err((position, syntax("a key must be a text")));
        }
        self.open.push(Open {
            node,
            position,
            anchor,
        });
        Ok(())
    }

    /// Counts a copy of a node against the limit.
    fn spend(&mut self, node: &Node) -> Result<(), Failure> {
        let budget = MAX_COPIED_NODES.saturating_sub(self.copied);
        let count = node.count(budget);
        if count > budget {
            return Err((node.position, Problem::TooManyAliases));
        }
        self.copied += count;
        Ok(())
    }

    /// Puts a finished node where it belongs: into the innermost list or table, or at the top.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Failure> {
        if anchor != 0 {
            self.spend(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.node) {
            None => self.document = Some(node),
            Some(Partial::List(list)) => list.push(node),
            Some(Partial::Table {
                entries,
                seen,
                key,
                merged,
            }) => match key.take() {
                None => *key = Some(key_of(node)?),
                Some((name, position)) => {
                    if !seen.insert(name.clone()) {
                        // What has no value may be one, in `{s3cret}`.
                        let shown = match node.value {
                            Value::Nothing => HIDDEN.to_owned(),
                            _ => shown_key(&name),
                        };
                        self.duplicates.push((position, shown));
                    } else if name == MERGE {
                        *merged = tables(node)?;
                    } else {
                        entries.push(Entry {
                            key: name,
                            position,
                            value: node,
                        });
                    }
                }
            },
        }
        Ok(())
    }
}

/// What [`MERGE`] may be given.
fn tables(node: Node) -> Result<Vec<Vec<Entry>>, Failure> {
    let nodes = match node.value {
        Value::List(nodes) => nodes,
        _ => vec![node],
    };
    let table = |node: Node| match node.value {
        Value::Table(entries) => Ok(entries),
        _ => {
            let found = node.kind();
            let reason = format!("{MERGE} takes a table or a list of tables, not {found}");
            Err((node.position, syntax(&reason)))
        }
    };
    nodes.into_iter().map(table).collect()
}

fn key_of(node: Node) -> Result<(String, Position), Failure> {
    match node.value {
        Value::Text(text) => Ok((text.raw, node.position)),
        _ => {
            let found = node.kind();
            Err((
                node.position,
                syntax(&format!("a key must be a text, not {found}")),
            ))
        }
    }
}

/// What a scalar stands for. Quoted ones and blocks are always texts.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Problem> {
    let as_text = || Value::Text(Text::plain(text.to_owned()));
    if let Some(tag) = tag {
        let is_text = tag.is_yaml_core_schema() && tag.suffix == "str";
        return if is_text {
            Ok(as_text())
        } else {
            Err(Problem::Tag)
        };
    }
    if style != ScalarStyle::Plain {
        return Ok(as_text());
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Nothing,
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ => match integer(text) {
            Some(number) => Value::Integer(number),
            None if is_fraction(text) => Value::Fraction(text.to_owned()),
            None => as_text(),
        },
    })
}

fn integer(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i128::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with(['+', '-']));
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return i128::from_str_radix(digits, 8)
            .ok()
            .filter(|_| !digits.starts_with(['+', '-']));
    }
    text.parse().ok()
}

fn is_fraction(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
        && text.contains(|character: char| character.is_ascii_digit())
        && text.parse::<f64>().is_ok()
}

fn refuse_tag(tag: Option<&Tag>) -> Result<(), Problem> {
    tag.map_or(Ok(()), |_| Err(Problem::Tag))
}

fn syntax(reason: &str) -> Problem {
    Problem::Syntax {
        format: Format::Yaml,
        reason: reason.to_owned(),
    }
}

fn scan_failure(error: &ScanError) -> Failure {
    let marker = error.marker();
    let position = Position {
        line: marker.line().max(1),
        column: marker.col() + 1,
    };
    (position, syntax(error.info()))
}

fn position(span: &Span) -> Position {
    Position {
        line: span.start.line().max(1),
        column: span.start.col() + 1,
    }
}
