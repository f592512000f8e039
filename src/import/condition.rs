//! `if` and `unless` of a rule: ACLs by name or in braces, joined by "and" (nothing), `or`, and `!`.

use std::collections::HashMap;

use super::criterion::{ReadFile, criterion, is_predefined, predefined};
use super::formula::{Formula, Key, Reason};
use super::statement::{Script, StatementId};
use super::word::Word;

/// The ACLs of one section.
#[derive(Debug, Default)]
pub(super) struct Acls {
    known: HashMap<String, Acl>,
}

#[derive(Debug)]
struct Acl {
    formula: Result<Formula, Reason>,
    statements: Vec<StatementId>,
}

impl Acls {
    /// Reads the `acl` lines; several of one name hold if one of them does.
    pub(super) fn read(script: &Script, lines: &[StatementId], read: ReadFile<'_>) -> Acls {
        let mut acls = Acls::default();
        for id in lines {
            let statement = script.statement(*id);
            let formula = criterion(statement.from(2), read);
            let acl = acls
                .known
                .entry(statement.word(1).to_owned())
                .or_insert_with(|| Acl {
                    formula: Ok(Formula::never()),
                    statements: Vec::new(),
                });
            acl.statements.push(*id);
            acl.formula = match (
                std::mem::replace(&mut acl.formula, Ok(Formula::never())),
                formula,
            ) {
                (Ok(known), Ok(more)) => known.or(more),
                (Err(reason), _) | (_, Err(reason)) => Err(reason),
            };
        }
        acls
    }
}

/// A condition in HAProxy's form.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) unless: bool,
    /// Any of these.
    pub(super) terms: Vec<Term>,
}

/// What HAProxy has no more when a server answers: path and headers of the request. It keeps the method.
const GONE: [Key; 5] = [
    Key::Host,
    Key::Path,
    Key::PathBeg,
    Key::PathEnd,
    Key::PathReg,
];

impl Condition {
    /// The condition as HAProxy asks it of an answer, and whether it tests what is gone by then: such a test never holds.
    pub(super) fn of_answer(self) -> (Condition, bool) {
        let mut is_gone = false;
        let mut known = |formula: Formula| {
            let (formula, lacks) = formula.without(&GONE);
            is_gone |= lacks;
            formula
        };
        let terms = self.terms.into_iter().map(|term| Term {
            positive: known(term.positive),
            negative: known(term.negative),
        });
        let terms = terms.collect();
        let unless = self.unless;
        (Condition { unless, terms }, is_gone)
    }
}

/// What must hold, and none of what must not.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) positive: Formula,
    pub(super) negative: Formula,
}

/// What a condition came out as, and the `acl` lines that it names.
pub(super) struct Read {
    pub(super) condition: Result<Condition, Reason>,
    pub(super) named: Vec<StatementId>,
}

/// Reads `if …` or `unless …`; without words the condition always holds.
pub(super) fn read(words: &[Word], acls: &Acls, files: ReadFile<'_>) -> Read {
    let mut named = Vec::new();
    let condition = condition(words, acls, files, &mut named);
    Read { condition, named }
}

fn condition(
    words: &[Word],
    acls: &Acls,
    files: ReadFile<'_>,
    named: &mut Vec<StatementId>,
) -> Result<Condition, Reason> {
    let unless = match words.first().map(Word::as_str) {
        None => {
            return Ok(Condition {
                unless: false,
                terms: vec![Term::always()],
            });
        }
        Some("if") => false,
        Some("unless") => true,
        Some(other) => return Err(format!("haflux has nothing like \"{other}\" here")),
    };
    let mut terms = vec![Term::always()];
    let mut negated = false;
    let mut empty = true;
    // The reason is kept so that every ACL that is named is found first.
    let mut failure = None;
    let mut rest = words.get(1..).unwrap_or_default();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let name = first.as_str().trim_start_matches('!');
        negated ^= (first.as_str().len() - name.len()) % 2 == 1;
        let formula = match name {
            "" => continue,
            "or" | "||" | "OR" | "Or" => {
                terms.push(Term::always());
                negated = false;
                empty = true;
                continue;
            }
            "{" => {
                let end = rest.iter().position(|word| word.as_str() == "}");
                let Some(end) = end else {
                    return Err("\"{\" is never closed".to_owned());
                };
                let inner = rest.get(..end).unwrap_or_default();
                rest = rest.get(end + 1..).unwrap_or_default();
                criterion(inner, files)
            }
            name => match acls.known.get(name) {
                Some(acl) => {
                    named.extend(&acl.statements);
                    acl.formula
                        .clone()
                        .map_err(|reason| format!("ACL {name}: {reason}"))
                }
                None => predefined(name).ok_or_else(|| match is_predefined(name) {
                    true => format!("haflux has no condition for HAProxy's own ACL {name}"),
                    false => format!("no ACL is named \"{name}\""),
                }),
            },
        };
        empty = false;
        let added = formula.and_then(|formula| match terms.last_mut() {
            Some(term) => term.add(formula, negated),
            None => Ok(()),
        });
        failure = failure.or(added.err());
        negated = false;
    }
    if empty {
        return Err("the condition ends too early".to_owned());
    }
    match failure {
        Some(reason) => Err(reason),
        None => Ok(Condition { unless, terms }),
    }
}

impl Term {
    fn always() -> Term {
        Term {
            positive: Formula::always(),
            negative: Formula::never(),
        }
    }

    fn add(&mut self, formula: Formula, negated: bool) -> Result<(), Reason> {
        if negated {
            self.negative = std::mem::take(&mut self.negative).or(formula)?;
        } else {
            self.positive = self.positive.and(&formula)?;
        }
        Ok(())
    }
}
