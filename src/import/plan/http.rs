//! What keeps clients out of a frontend, sends them elsewhere, or changes headers.

use http::HeaderName;

use super::Planner;
use crate::config::model::may_be_changed;
use crate::import::condition::{self, Acls, Condition, Read};
use crate::import::criterion::ReadFile;
use crate::import::decision::Parts;
use crate::import::formula::{Formula, Key, Reason, Table};
use crate::import::front::Front;
use crate::import::secrets::is_secret;
use crate::import::statement::{Statement, StatementId};
use crate::import::value::{Toml, quoted};
use crate::import::word::Word;

/// What a frontend does beside leading requests somewhere.
#[derive(Debug, Default)]
pub(in crate::import) struct HttpPlan {
    pub(in crate::import) allow: Vec<Toml>,
    pub(in crate::import) deny: Vec<Toml>,
    /// `http_request`.
    pub(in crate::import) requests: Vec<Entry>,
    /// `http_response`.
    pub(in crate::import) responses: Vec<Entry>,
    /// Every request is answered here.
    answers_all: bool,
}

/// An entry of `http_request` or `http_response`.
#[derive(Debug)]
pub(in crate::import) struct Entry {
    /// Its key and value.
    pub(in crate::import) action: String,
    /// With which requests, unless it is with all: `unless` if it is true, and the condition.
    pub(in crate::import) condition: Option<(bool, Formula)>,
}

impl HttpPlan {
    /// Whether every request is answered here.
    pub(super) fn answers_all(&self) -> bool {
        self.answers_all
    }
}

/// What HAProxy serves before it asks some of the rules, and haflux behind all of them.
struct Served {
    /// In words.
    what: &'static str,
    requests: Formula,
    /// Where only requests with a query are served, which a condition cannot say: the path.
    with_any_query: Option<String>,
}

impl Served {
    /// The parts of a rule's condition without these requests, and whether they lack all of them.
    fn let_past(&self, clauses: Clauses) -> Result<(Clauses, bool), Reason> {
        let mut is_whole = true;
        let mut passing = Clauses::new();
        for (unless, formula) in clauses {
            passing.push(if unless {
                (true, formula.or(self.requests.clone())?)
            } else if formula.is_always() {
                (true, self.requests.clone())
            } else {
                is_whole &= !formula.may_meet(&self.requests);
                (false, formula)
            });
        }
        Ok((passing, is_whole))
    }
}

/// The parts of a condition, each with whether it takes what does not match.
type Clauses = Vec<(bool, Formula)>;

const NEGATED: &str = "haflux has no ! beside other tests in one entry";
/// The methods by which haflux serves what it has itself.
const READING: &[&str] = &["GET", "HEAD"];
const GONE: &str = "when a server answers, HAProxy no longer knows the path and the headers of the request: a test of them never holds, and none is written here";
const NO_VALUE: &str = "haflux computes no values";

impl Planner<'_> {
    /// `orders` tells that the page takes orders.
    pub(super) fn http(
        &mut self,
        front: &Front,
        metrics: Option<&(String, StatementId)>,
        orders: bool,
        acls: &Acls,
        read: ReadFile<'_>,
    ) -> HttpPlan {
        let mut plan = HttpPlan::default();
        let script = self.script;
        // Whatever is let in before a rule is let in past those behind it.
        let mut is_open = false;
        for id in &front.connections {
            let statement = script.statement(*id);
            is_open |= statement.word(2) == "accept";
            let Read { condition, named } = condition::read(statement.from(3), acls, read);
            let taken = match (statement.word(2), is_open) {
                _ if front.accept_proxy => {
                    Err("it judges the proxy's address, and haflux the client's".to_owned())
                }
                ("reject", false) => {
                    condition.and_then(|condition| networks(&condition, &mut plan))
                }
                (_, true) => Err("haflux lets nobody past what stands behind it".to_owned()),
                _ => Err("haflux has no counterpart".to_owned()),
            };
            match taken {
                Ok(()) => self.mark(statement, Some(&named)),
                Err(reason) => self.kept_out_no_more(statement, &reason),
            }
        }
        let mut is_open = false;
        for id in front.http.iter().chain(&front.redirects) {
            let statement = script.statement(*id);
            is_open |= (statement.word(0), statement.word(1)) == ("http-request", "allow");
            if front.forwarded_for
                && let Some(said) = forwarded(statement, front)
            {
                match said {
                    Ok(note) => self.ledger.note(statement, note),
                    Err(warning) => self.ledger.warn(statement, warning),
                }
                continue;
            }
            let taken = match is_open && statement.word(0) == "http-request" {
                true => Err("haflux lets nobody past what stands behind it".to_owned()),
                false => action(statement, front.tarpit().is_some()),
            };
            let taken = taken.and_then(|(action, is_last, rest)| {
                let Read { condition, named } = condition::read(rest, acls, read);
                let mut condition = condition?;
                if statement.word(0) == "http-response" {
                    let (of_answer, is_gone) = condition.of_answer();
                    condition = of_answer;
                    if is_gone {
                        self.ledger.warn(statement, GONE);
                    }
                }
                let clauses = Parts::new("", &condition)?.plain().ok_or(NEGATED)?;
                Ok((action, is_last, clauses, named))
            });
            let (action, is_last, mut clauses, named) = match taken {
                Ok(taken) => taken,
                Err(reason) => {
                    self.kept_out_no_more(statement, &reason);
                    continue;
                }
            };
            self.mark(statement, Some(&named));
            let entries = match statement.word(0) {
                "http-response" => &mut plan.responses,
                _ => &mut plan.requests,
            };
            if is_last {
                plan.answers_all |= clauses.iter().any(takes_all);
                for served in served_before(statement, metrics, front.page.uri.as_deref(), orders) {
                    match served.let_past(clauses.clone()) {
                        Ok((passing, true)) => {
                            if let Some(path) = served.with_any_query
                                && passing != clauses
                            {
                                let note = format!("{path} is not redirected, whatever query it has, because of the page there");
                                self.ledger.warn(statement, note);
                            }
                            clauses = passing;
                        }
                        Ok((_, false)) | Err(_) => self.ledger.warn(
                            statement,
                            format!(
                                "haflux asks this before it serves {}, and HAProxy behind that: what this takes does not get there",
                                served.what
                            ),
                        ),
                    }
                }
            }
            for (unless, formula) in clauses {
                let is_always = if unless {
                    formula.is_never()
                } else {
                    formula.is_always()
                };
                let is_never = if unless {
                    formula.is_always()
                } else {
                    formula.is_never()
                };
                if !is_never {
                    entries.push(Entry {
                        action: action.clone(),
                        condition: (!is_always).then_some((unless, formula)),
                    });
                }
            }
        }
        plan
    }

    fn kept_out_no_more(&mut self, statement: &Statement, reason: &str) {
        self.ledger.warn(
            statement,
            format!("not translated: {reason}; whatever it keeps out or changes passes as it is"),
        );
    }
}

/// Whether a part of a condition takes every request.
fn takes_all((unless, formula): &(bool, Formula)) -> bool {
    match unless {
        true => formula.is_never(),
        false => formula.is_always(),
    }
}

/// What HAProxy serves before it asks this rule.
fn served_before(
    statement: &Statement,
    metrics: Option<&(String, StatementId)>,
    page: Option<&str>,
    orders: bool,
) -> Vec<Served> {
    let is_redirect = statement.word(0) == "redirect";
    let mut all = Vec::new();
    if let Some((path, id)) = metrics
        && (is_redirect || *id < statement.id)
    {
        all.push(Served {
            what: "the metrics",
            requests: Formula::any([asked_at(READING, Key::Path, vec![path.clone()])]),
            with_any_query: None,
        });
    }
    if let Some(uri) = page
        && is_redirect
    {
        let methods: &[&str] = match orders {
            true => &["GET", "HEAD", "POST"],
            false => READING,
        };
        let (path, has_query) = match uri.split_once('?') {
            Some((path, _)) => (path, true),
            None => (uri, false),
        };
        let mut requests = vec![asked_at(methods, Key::Path, vec![path.to_owned()])];
        if !has_query {
            // HAProxy takes the options with and without a slash before them.
            let views = vec![format!("{path};"), format!("{path}/;")];
            requests.push(asked_at(methods, Key::PathBeg, views));
        }
        all.push(Served {
            what: "the page",
            requests: Formula::any(requests),
            with_any_query: has_query.then(|| path.to_owned()),
        });
    }
    all
}

/// Requests with one of these methods for what is at such a path.
fn asked_at(methods: &[&str], key: Key, paths: Vec<String>) -> Table {
    let methods = methods.iter().map(|method| (*method).to_owned());
    Table::from([(Key::Method, methods.collect()), (key, paths)])
}

/// Adds the networks of a rejected connection.
fn networks(condition: &Condition, plan: &mut HttpPlan) -> Result<(), Reason> {
    let only_networks = || "haflux keeps connections out by network alone".to_owned();
    let sources = |formula: &Formula| -> Result<Vec<Toml>, Reason> {
        let mut found = Vec::new();
        for table in formula.tables() {
            let mut keys = table.iter();
            match (keys.next(), keys.next()) {
                (Some((Key::Src, values)), None) => {
                    found.extend(values.iter().map(|value| quoted(value)));
                }
                _ => return Err(only_networks()),
            }
        }
        Ok(found)
    };
    let mut denied = Vec::new();
    let mut allowed = Vec::new();
    for term in &condition.terms {
        let is_alone = condition.terms.len() == 1 && plan.allow.is_empty();
        let is_positive = term.negative.is_never() && !term.positive.is_always();
        let is_negative = term.positive.is_always() && !term.negative.is_never();
        match (condition.unless, is_positive, is_negative) {
            (false, true, _) => denied.extend(sources(&term.positive)?),
            (false, _, true) if is_alone => allowed = sources(&term.negative)?,
            (true, true, _) if is_alone => allowed = sources(&term.positive)?,
            _ => return Err(only_networks()),
        }
    }
    plan.deny.extend(denied);
    plan.allow.extend(allowed);
    Ok(())
}

/// What becomes of a line about a header that `forwarded_for = true` writes; nothing if it is about another one. An error is a warning.
fn forwarded(statement: &Statement, front: &Front) -> Option<Result<String, String>> {
    if !matches!(
        (statement.word(0), statement.word(1)),
        ("http-request", "set-header" | "add-header")
    ) {
        return None;
    }
    let (name, value) = (statement.word(2), statement.word(3));
    let is_computed = value.contains('%');
    let is_said = if name.eq_ignore_ascii_case("x-forwarded-for") {
        is_computed
    } else if name.eq_ignore_ascii_case("x-forwarded-proto") {
        let secure = front.tls.as_ref().map_or(0, |(_, secure)| secure.len());
        let asks_for_tls = statement
            .from(4)
            .iter()
            .any(|word| word.as_str().contains("ssl_fc"));
        let is_of_all = match value {
            "https" => secure == front.binds.len(),
            "http" => secure == 0,
            _ => false,
        };
        is_computed || asks_for_tls || is_of_all
    } else {
        return None;
    };
    Some(match is_said {
        true => Ok(format!("forwarded_for = true adds {name}")),
        false => Err(format!(
            "not translated: forwarded_for = true writes {name} as the connection is"
        )),
    })
}

type Action<'a> = (String, bool, &'a [Word]);

/// What a line does, whether nothing behind it is done, and the words of its condition. `waits` says that a tarpit has a time.
fn action(statement: &Statement, waits: bool) -> Result<Action<'_>, Reason> {
    let (first, second) = (statement.word(0), statement.word(1));
    let from = |at: usize| statement.from(at);
    match (first, second) {
        ("http-request", "deny") => deny("deny", "403", from(2)),
        ("http-request", "tarpit") if waits => deny("tarpit", "500", from(2)),
        // HAProxy's time is then none.
        ("http-request", "tarpit") => deny("deny", "500", from(2)),
        ("http-request", "redirect") => redirect(from(2)),
        ("redirect", _) => redirect(from(1)),
        ("http-request" | "http-response", "add-header") => Err(
            "haflux adds no header beside those that are there: set_header takes their place"
                .to_owned(),
        ),
        ("http-request" | "http-response", "set-header") => {
            let (name, value) = (header(statement.word(2))?, statement.words.get(3));
            if value.is_some_and(|value| is_secret(statement.word(2), value.as_str())) {
                let reason = "its value is a secret; write it with ${NAME} of the environment";
                return Err(reason.to_owned());
            }
            let value = match statement.word(2).to_ascii_lowercase().as_str() {
                "x-forwarded-for" | "x-forwarded-proto" => literal(value).map_err(|reason| {
                    format!(
                        "{reason}; forwarded_for = true adds X-Forwarded-For and X-Forwarded-Proto"
                    )
                }),
                _ => literal(value),
            }?;
            Ok((
                format!("set_header = {{ {name} = {value} }}"),
                false,
                from(4),
            ))
        }
        ("http-request" | "http-response", "del-header") => {
            let name = header(statement.word(2))?;
            Ok((format!("del_header = {name}"), false, from(3)))
        }
        _ => Err("haflux has no counterpart".to_owned()),
    }
}

/// A refusal by the key `word`; with the status `usual` if none is given.
fn deny<'a>(word: &str, usual: &'a str, words: &'a [Word]) -> Result<Action<'a>, Reason> {
    let texts: Vec<&str> = words.iter().take(2).map(Word::as_str).collect();
    let (status, rest) = match texts.as_slice() {
        ["deny_status" | "status", status] => (*status, words.get(2..).unwrap_or_default()),
        _ => (usual, words),
    };
    match status.parse::<u16>() {
        Ok(400..=599) => Ok((format!("{word} = {status}"), true, rest)),
        _ => Err("haflux denies by a status from 400 to 599".to_owned()),
    }
}

fn redirect(words: &[Word]) -> Result<Action<'_>, Reason> {
    let kind = words.first().map(Word::as_str).unwrap_or_default();
    if !matches!(kind, "scheme" | "location" | "prefix") {
        return Err(format!("haflux has nothing like \"{kind}\" here"));
    }
    let place = literal(words.get(1))?;
    let mut rest = words.get(2..).unwrap_or_default();
    let mut code = String::new();
    if let [word, number, behind @ ..] = rest
        && word.as_str() == "code"
    {
        if !matches!(number.as_str(), "301" | "302" | "303" | "307" | "308") {
            return Err("haflux redirects by 301, 302, 303, 307 or 308".to_owned());
        }
        code = format!(", code = {}", number.as_str());
        rest = behind;
    }
    Ok((
        format!("redirect = {{ {kind} = {place}{code} }}"),
        true,
        rest,
    ))
}

/// A value that stands as it is.
fn literal(word: Option<&Word>) -> Result<Toml, Reason> {
    let word = word.ok_or("it has no value")?;
    match word.as_str().contains('%') {
        true => Err(NO_VALUE.to_owned()),
        false => Ok(quoted(word.notation())),
    }
}

/// The name of a header that haflux changes.
fn header(name: &str) -> Result<Toml, Reason> {
    let known = name.parse::<HeaderName>();
    match known.is_ok_and(|known| may_be_changed(&known)) {
        true => Ok(quoted(name)),
        false => Err("haflux does not change that header".to_owned()),
    }
}
