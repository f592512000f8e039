//! A frontend's rules, the first that matches wins, written with conditions that know no `!` beside other tests.
//!
//! `A if x !y` takes what has x and not y. What has both goes where the rules after it say; so those are written first, for
//! requests with x and y, and then `A if x`.

use super::condition::{Condition, Term};
use super::formula::{Formula, Reason};

/// A rule as haflux has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) target: String,
    pub(super) unless: bool,
    pub(super) formula: Formula,
}

/// A rule in parts, each of which is taken alone: in their order, all to one target.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    target: String,
    clauses: Vec<Clause>,
}

#[derive(Debug, Clone)]
enum Clause {
    If(Formula),
    Unless(Formula),
    /// The first and not the second.
    Mixed(Formula, Formula),
}

/// More rules than this are no longer what a person wrote.
const MOST_RULES: usize = 64;

impl Parts {
    /// Takes a condition apart.
    pub(super) fn new(target: &str, condition: &Condition) -> Result<Parts, Reason> {
        let clauses = if condition.unless {
            unless(&condition.terms)?
        } else {
            condition
                .terms
                .iter()
                .map(|term| clause(term.positive.clone(), term.negative.clone()))
                .collect()
        };
        Ok(Parts {
            target: target.to_owned(),
            clauses: join(clauses)?,
        })
    }

    /// Its parts, each with whether it takes what does not match; nothing if that is not enough to say it.
    pub(super) fn plain(self) -> Option<Vec<(bool, Formula)>> {
        let clauses = self.clauses.into_iter();
        let plain = clauses.map(|clause| match clause {
            Clause::If(formula) => Some((false, formula)),
            Clause::Unless(formula) => Some((true, formula)),
            Clause::Mixed(..) => None,
        });
        plain.collect()
    }

    /// Whether every request is taken.
    pub(super) fn takes_all(&self) -> bool {
        self.clauses.iter().any(|clause| match clause {
            Clause::If(formula) => formula.is_always(),
            Clause::Unless(formula) => formula.is_never(),
            Clause::Mixed(..) => false,
        })
    }
}

fn clause(positive: Formula, negative: Formula) -> Clause {
    match (positive.is_always(), negative.is_never()) {
        (_, true) => Clause::If(positive),
        (true, false) => Clause::Unless(negative),
        (false, false) => Clause::Mixed(positive, negative),
    }
}

/// Clauses that only ask become one.
fn join(clauses: Vec<Clause>) -> Result<Vec<Clause>, Reason> {
    let mut joined: Vec<Clause> = Vec::new();
    for clause in clauses {
        match (joined.last_mut(), clause) {
            (Some(Clause::If(known)), Clause::If(more)) => {
                *known = std::mem::take(known).or(more)?;
            }
            (_, clause) => joined.push(clause),
        }
    }
    Ok(joined)
}

/// None of the terms holds: of each, a positive part fails or a negative one holds.
fn unless(terms: &[Term]) -> Result<Vec<Clause>, Reason> {
    let mut refused = Formula::never();
    let mut wanted = Formula::always();
    let mut mixed = Vec::new();
    for term in terms {
        match (term.positive.is_always(), term.negative.is_never()) {
            (_, true) => refused = refused.or(term.positive.clone())?,
            (true, false) => wanted = wanted.and(&term.negative)?,
            (false, false) => mixed.push(term),
        }
    }
    match mixed.as_slice() {
        [] => Ok(vec![clause(wanted, refused)]),
        [term] => Ok(vec![
            clause(wanted.clone(), refused.clone().or(term.positive.clone())?),
            clause(wanted.and(&term.negative)?, refused),
        ]),
        _ => Err("the condition negates too much for haflux".to_owned()),
    }
}

/// The rules in haflux's form. Those that cannot be had are named by their position, with the reason; the others are written
/// as if they were not there.
pub(super) fn rules(
    mut parts: Vec<(usize, Parts)>,
    default: Option<&str>,
) -> (Vec<Rule>, Vec<(usize, Reason)>) {
    let mut failures = Vec::new();
    loop {
        match written(&parts, default) {
            Ok(rules) => return (rules, failures),
            Err((at, reason)) => {
                let (position, _) = parts.remove(at);
                failures.push((position, reason));
            }
        }
    }
}

fn written(parts: &[(usize, Parts)], default: Option<&str>) -> Result<Vec<Rule>, (usize, Reason)> {
    let clauses: Vec<(usize, &str, &Clause)> = parts
        .iter()
        .enumerate()
        .flat_map(|(at, (_, parts))| {
            let target = parts.target.as_str();
            parts.clauses.iter().map(move |clause| (at, target, clause))
        })
        .collect();
    let mut rules = Vec::new();
    for (index, (at, target, clause)) in clauses.iter().enumerate() {
        let rule = |unless, formula: &Formula| Rule {
            target: (*target).to_owned(),
            unless,
            formula: formula.clone(),
        };
        match clause {
            Clause::If(formula) if formula.is_never() => {}
            Clause::If(formula) => rules.push(rule(false, formula)),
            Clause::Unless(formula) if formula.is_always() => {}
            Clause::Unless(formula) => rules.push(rule(true, formula)),
            Clause::Mixed(positive, negative) => {
                let after = clauses.get(index + 1..).unwrap_or_default();
                let excluded = positive.and(negative).map_err(|reason| (*at, reason))?;
                let rest = positive_list(after, default).map_err(|reason| (*at, reason))?;
                for (formula, target) in within(&excluded, &rest).map_err(|reason| (*at, reason))? {
                    rules.push(Rule {
                        target,
                        unless: false,
                        formula,
                    });
                }
                rules.push(rule(false, positive));
            }
        }
        if rules.len() > MOST_RULES * 4 {
            return Err((*at, too_many()));
        }
    }
    Ok(rules)
}

type Positive = Vec<(Formula, String)>;

/// The rules and the default in formulas that negate nothing; the last one takes everything.
fn positive_list(
    clauses: &[(usize, &str, &Clause)],
    default: Option<&str>,
) -> Result<Positive, Reason> {
    let Some(default) = default else {
        return Err(
            "haflux needs a default_backend to write a condition with ! beside other tests"
                .to_owned(),
        );
    };
    let mut list: Positive = vec![(Formula::always(), default.to_owned())];
    for (_, target, clause) in clauses.iter().rev() {
        let (positive, negative) = match clause {
            Clause::If(formula) => (formula.clone(), Formula::never()),
            Clause::Unless(formula) => (Formula::always(), formula.clone()),
            Clause::Mixed(positive, negative) => (positive.clone(), negative.clone()),
        };
        if positive.is_never() {
            continue;
        }
        let mut longer = Positive::new();
        if !negative.is_never() {
            longer = within(&positive.and(&negative)?, &list)?;
        }
        longer.push((positive.clone(), (*target).to_owned()));
        if !positive.is_always() {
            longer.extend(list);
        }
        if longer.len() > MOST_RULES {
            return Err(too_many());
        }
        list = longer;
    }
    Ok(list)
}

/// The same rules for those requests only that a formula takes.
fn within(formula: &Formula, list: &Positive) -> Result<Positive, Reason> {
    let mut narrowed = Positive::new();
    if formula.is_never() {
        return Ok(narrowed);
    }
    for (one, target) in list {
        let both = formula.and(one)?;
        let takes_the_rest = both == *formula;
        if !both.is_never() {
            narrowed.push((both, target.clone()));
        }
        if takes_the_rest {
            break;
        }
    }
    // A rule to the same target as the one after it, which takes the rest, says nothing.
    while let [.., (_, before), (last, target)] = narrowed.as_slice()
        && before == target
        && last == formula
    {
        narrowed.remove(narrowed.len() - 2);
    }
    Ok(narrowed)
}

fn too_many() -> Reason {
    format!("written without !, the rules are more than {MOST_RULES}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::formula::Key;
    use super::*;

    /// A method and a host, which are all that these conditions ask for.
    type Request = (&'static str, &'static str);

    const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
    const HOSTS: [&str; 3] = ["a", "b", "c"];

    fn holds(formula: &Formula, (method, host): Request) -> bool {
        formula.tables().iter().any(|table| {
            table.iter().all(|(key, values)| {
                let value = if *key == Key::Method { method } else { host };
                values.iter().any(|known| known == value)
            })
        })
    }

    fn formula() -> impl Strategy<Value = Formula> {
        let values = |names: [&'static str; 3]| {
            prop::sample::subsequence(names.to_vec(), 1..=2)
                .prop_map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        let test = prop_oneof![
            values(METHODS).prop_map(|values| Formula::test(Key::Method, values)),
            values(HOSTS).prop_map(|values| Formula::test(Key::Host, values)),
        ];
        prop::collection::vec(test, 1..3).prop_map(|tests| {
            tests
                .into_iter()
                .fold(Formula::never(), |known, test| known.or(test).unwrap())
        })
    }

    fn term() -> impl Strategy<Value = Term> {
        let side = |empty: Formula| prop_oneof![Just(empty), formula()];
        (side(Formula::always()), side(Formula::never()))
            .prop_map(|(positive, negative)| Term { positive, negative })
    }

    fn rule() -> impl Strategy<Value = (String, Condition)> {
        (
            prop::sample::select(vec!["x", "y", "z"]),
            any::<bool>(),
            prop::collection::vec(term(), 1..3),
        )
            .prop_map(|(target, unless, terms)| (target.to_owned(), Condition { unless, terms }))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Every request goes where HAProxy would send it.
        #[test]
        fn rules_keep_their_meaning(rules in prop::collection::vec(rule(), 0..5)) {
            let mut kept = Vec::new();
            let mut parts = Vec::new();
            for (at, (target, condition)) in rules.iter().enumerate() {
                if let Ok(taken) = Parts::new(target, condition) {
                    kept.push(at);
                    parts.push((at, taken));
                }
            }
            let (written, failures) = super::rules(parts, Some("default"));
            kept.retain(|at| !failures.iter().any(|(failed, _)| failed == at));
            for method in METHODS {
                for host in HOSTS {
                    let request = (method, host);
                    let wanted = rules
                        .iter()
                        .enumerate()
                        .filter(|(at, _)| kept.contains(at))
                        .find(|(_, (_, condition))| {
                            let any = condition.terms.iter().any(|term| {
                                holds(&term.positive, request) && !holds(&term.negative, request)
                            });
                            any != condition.unless
                        })
                        .map_or("default", |(_, (target, _))| target.as_str());
                    let given = written
                        .iter()
                        .find(|rule| holds(&rule.formula, request) != rule.unless)
                        .map_or("default", |rule| rule.target.as_str());
                    prop_assert_eq!(given, wanted, "{:?} {:?}", request, written);
                }
            }
        }
    }
}
