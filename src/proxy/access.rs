//! Whether the rules of a frontend let a request through: judged by what the classifier finds that it would do, before anything is done.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use http::header::ACCEPT;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::replicated::as_influxql;
use super::routing::acl;
use super::serving::Serving;
use super::session::access_log::Termination;
use super::session::context::RequestContext;
use super::session::error_answer::send;
use super::session::user::{Sender, User};
use crate::config::model::{AccessRule, Pattern};
use crate::influx::Refusal;
use crate::influx::influxql::{Databases, Limits, Use, may_stand_in_body, uses};
use crate::offload::{LARGE, offload};

/// The longest name of a database that is shown.
const LONGEST_SHOWN: usize = 64;

/// What a request would do that the rules do not allow. Holds nothing of a statement but the grammar's words and a database's name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Forbidden {
    /// No rule is for its user.
    User,
    /// A statement.
    Statement(&'static str),
    /// A statement that cannot be told.
    Unknown,
    /// A change.
    Change,
    /// To read this database, or databases that cannot be told.
    Read(Option<String>),
    /// To change this database, or databases that cannot be told.
    Write(Option<String>),
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str| {
            let end = name.floor_char_boundary(LONGEST_SHOWN);
            name.get(..end).unwrap_or_default().to_owned()
        };
        match self {
            Self::User => f.write_str("no rule is for this user"),
            Self::Statement(name) => write!(f, "{name} is not allowed"),
            Self::Unknown => f.write_str("a statement that cannot be told is not allowed"),
            Self::Change => f.write_str("only reads are allowed"),
            Self::Read(Some(name)) => write!(f, "reading database {:?} is not allowed", shown(name)),
            Self::Write(Some(name)) => write!(f, "changing database {:?} is not allowed", shown(name)),
            Self::Read(None) => f.write_str(
                "only some databases may be read, and it is about every one, or cannot be told which",
            ),
            Self::Write(None) => f.write_str(
                "only some databases may be changed, and it is about every one, or cannot be told which",
            ),
        }
    }
}

/// Whether what a request does may stand in its body.
pub(super) fn wants_body(session: &Session) -> bool {
    may_stand_in_body(acl::path(session.req_header()))
}

impl Serving {
    /// Refuses a request that the rules do not allow; true if it did. `body` may be missing unless [`wants_body`] says so.
    ///
    /// # Errors
    ///
    /// Of the client's connection.
    pub(super) async fn forbids(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        body: &Bytes,
    ) -> pingora::Result<bool> {
        let rules = &self.config.access;
        if rules.is_empty() || context.sender == Sender::Anybody {
            return Ok(false);
        }
        let limits = *self.query_limits();
        let judged = judge(rules, session.req_header(), &context.sender, body, limits).await;
        let Some(forbidden) = judged else {
            return Ok(false);
        };
        self.stats.rule_refusals.increment();
        log::warn!(
            "frontend \"{}\": {} is refused by rules: {forbidden}",
            self.config.name,
            context.source()
        );
        context.termination = Termination::Refused;
        let request = session.req_header();
        let message = format!("forbidden by the rules of this frontend: {forbidden}");
        let refusal = Refusal::new(StatusCode::FORBIDDEN, message);
        let answer = refusal.answer(request.headers.get(ACCEPT), false);
        self.close_if_stopping(session);
        send(session, answer).await?;
        Ok(true)
    }
}

/// Looks at a large body outside the threads that serve requests.
async fn judge(
    rules: &[AccessRule],
    request: &RequestHeader,
    sender: &Sender,
    body: &Bytes,
    limits: Limits,
) -> Option<Forbidden> {
    let Some(rule) = rule_for(rules, request, sender) else {
        return Some(Forbidden::User);
    };
    if body.len() < LARGE {
        return forbidden(rule, &uses(&as_influxql(request, body), &limits));
    }
    let (rule, request, body) = (rule.clone(), request.clone(), body.clone());
    let judging = move || forbidden(&rule, &uses(&as_influxql(&request, &body), &limits));
    offload(judging).await.unwrap_or(Some(Forbidden::Unknown))
}

/// The first rule that is for the user of a request. A user that cannot be told gets none where rules tell users apart: it may be one
/// who is to have less than others.
fn rule_for<'a>(
    rules: &'a [AccessRule],
    request: &RequestHeader,
    sender: &Sender,
) -> Option<&'a AccessRule> {
    let tells_users = rules.iter().any(|rule| !rule.users.is_empty());
    let user = match tells_users {
        true => User::of(request, sender),
        false => User::Nobody,
    };
    let is_for = |rule: &&AccessRule| match &user {
        User::Untold => false,
        User::Nobody => rule.users.is_empty(),
        User::Named(name) => rule.users.is_empty() || is_among(&rule.users, name),
    };
    rules.iter().find(is_for)
}

fn is_among(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// The first of the uses that the rule does not allow.
fn forbidden(rule: &AccessRule, uses: &[Use]) -> Option<Forbidden> {
    uses.iter().find_map(|one| {
        statement(rule, one)
            .or_else(|| (rule.read_only && one.changes).then_some(Forbidden::Change))
            .or_else(|| database(rule.read.as_deref(), &one.reads).map(Forbidden::Read))
            .or_else(|| database(rule.write.as_deref(), &one.writes).map(Forbidden::Write))
    })
}

fn statement(rule: &AccessRule, one: &Use) -> Option<Forbidden> {
    let name = one.statement?;
    let (allowed, denied) = (rule.statements, rule.deny_statements);
    if one.groups.is_empty() {
        return (allowed.is_some() || denied.is_some()).then_some(Forbidden::Unknown);
    }
    let is_allowed = allowed.is_none_or(|allowed| allowed.meet(one.groups));
    let is_denied = denied.is_some_and(|denied| denied.meet(one.groups));
    (!is_allowed || is_denied).then_some(Forbidden::Statement(name))
}

/// A database that is not among those that are allowed; nothing in its place if it cannot be told.
fn database(allowed: Option<&[Pattern]>, used: &Databases) -> Option<Option<String>> {
    let allowed = allowed?;
    if allowed.iter().any(Pattern::is_everything) {
        return None;
    }
    match used {
        Databases::Unknown => Some(None),
        Databases::Named { names, .. } => {
            let other = names.iter().find(|name| !is_among(allowed, name));
            other.cloned().map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influx::influxql::Groups;

    fn patterns(all: &[&str]) -> Vec<Pattern> {
        all.iter().map(|one| Pattern::new(*one)).collect()
    }

    fn groups(words: &[&str]) -> Option<Groups> {
        let known = Groups::WORDS
            .iter()
            .filter(|(word, _)| words.contains(word));
        known.map(|(_, group)| *group).reduce(Groups::and)
    }

    fn open() -> AccessRule {
        AccessRule {
            users: Vec::new(),
            read: None,
            write: None,
            read_only: false,
            statements: None,
            deny_statements: None,
        }
    }

    fn request(method: &str, target: &str) -> RequestHeader {
        RequestHeader::build(method, target.as_bytes(), None).unwrap()
    }

    fn of(rule: &AccessRule, method: &str, target: &str) -> Option<Forbidden> {
        let request = request(method, target);
        forbidden(rule, &uses(&as_influxql(&request, b""), &Limits::default()))
    }

    #[test]
    fn databases_and_changes_are_judged_by_what_is_done() {
        let rule = AccessRule {
            read: Some(patterns(&["a", "r_*"])),
            write: Some(patterns(&["a", "w"])),
            ..open()
        };
        let some = |name: &str| Some(name.to_owned());
        for (method, target, expected) in [
            ("GET", "/query?db=a&q=SELECT+v+FROM+m", None),
            ("GET", "/query?db=r_1&q=SELECT+v+FROM+m", None),
            (
                "GET",
                "/query?db=w&q=SELECT+v+FROM+m",
                Some(Forbidden::Read(some("w"))),
            ),
            ("POST", "/query?db=r_1&q=SELECT+v+INTO+w..m+FROM+m", None),
            (
                "POST",
                "/query?db=r_1&q=SELECT+v+INTO+m+FROM+m",
                Some(Forbidden::Write(some("r_1"))),
            ),
            (
                "POST",
                "/query?q=DROP+DATABASE+r_1",
                Some(Forbidden::Write(some("r_1"))),
            ),
            (
                "POST",
                "/query?q=CREATE+USER+u+WITH+PASSWORD+'x'",
                Some(Forbidden::Write(None)),
            ),
            (
                "GET",
                "/query?q=SHOW+DATABASES",
                Some(Forbidden::Read(None)),
            ),
            ("POST", "/write?db=w", None),
            ("POST", "/write?db=b", Some(Forbidden::Write(some("b")))),
            (
                "POST",
                "/write?x=1;db=b&db=a",
                Some(Forbidden::Write(some("b"))),
            ),
            ("GET", "/debug/vars", Some(Forbidden::Read(None))),
            ("GET", "/ping", None),
            ("POST", "/nowhere", Some(Forbidden::Read(None))),
        ] {
            assert_eq!(of(&rule, method, target), expected, "{target}");
        }
        let reader = AccessRule {
            read_only: true,
            ..open()
        };
        for (method, target, expected) in [
            ("GET", "/query?q=SHOW+DATABASES", None),
            ("GET", "/metrics", None),
            ("POST", "/query?db=a&q=SELECT+v+FROM+m", None),
            (
                "POST",
                "/query?db=a&q=SELECT+v+INTO+x+FROM+m",
                Some(Forbidden::Change),
            ),
            ("GET", "/query?q=KILL+QUERY+1", Some(Forbidden::Change)),
            ("POST", "/write?db=a", Some(Forbidden::Change)),
            ("POST", "/api/v2/delete?bucket=a", Some(Forbidden::Change)),
            ("DELETE", "/api/v2/buckets/a", Some(Forbidden::Change)),
        ] {
            assert_eq!(of(&reader, method, target), expected, "{target}");
        }
        let all = AccessRule {
            read: Some(patterns(&["*"])),
            write: Some(Vec::new()),
            ..open()
        };
        assert_eq!(of(&all, "GET", "/query?q=SHOW+DATABASES"), None);
        assert_eq!(
            of(&all, "POST", "/write?db=a"),
            Some(Forbidden::Write(some("a")))
        );
    }

    #[test]
    fn statements_are_judged_by_their_groups() {
        let few = AccessRule {
            statements: groups(&["select", "show"]),
            ..open()
        };
        let most = AccessRule {
            deny_statements: groups(&["drop", "user_management"]),
            ..open()
        };
        for (query, in_few, in_most) in [
            ("SELECT+v+FROM+m", true, true),
            ("SHOW+USERS", true, true),
            ("SELECT+v+INTO+x+FROM+m", false, true),
            ("DROP+MEASUREMENT+m", false, false),
            ("CREATE+USER+u+WITH+PASSWORD+'x'", false, false),
            ("GRANT+ALL+TO+u", false, false),
            ("CREATE+DATABASE+d", false, true),
            ("SELECT+v+FROM+m;SHOW+SERIES;DROP+DATABASE+d", false, false),
            ("nonsense", false, false),
        ] {
            let target = format!("/query?db=d&q={query}");
            assert_eq!(of(&few, "POST", &target).is_none(), in_few, "{query}");
            assert_eq!(of(&most, "POST", &target).is_none(), in_most, "{query}");
        }
        assert_eq!(
            of(&few, "POST", "/write?db=d"),
            None,
            "a write is no statement"
        );
    }

    #[test]
    fn the_first_rule_for_a_user_counts_and_without_one_nothing_is_allowed() {
        let rules = [
            AccessRule {
                users: patterns(&["grafana", "read_*"]),
                read_only: true,
                ..open()
            },
            AccessRule {
                users: patterns(&["telegraf"]),
                ..open()
            },
        ];
        let found = |rules: &[AccessRule], target: &str, authorization: &str| {
            let mut request = request("GET", target);
            if !authorization.is_empty() {
                request
                    .insert_header("Authorization", authorization)
                    .unwrap();
            }
            rule_for(rules, &request, &Sender::Unasked).map(|rule| rule.read_only)
        };
        assert_eq!(found(&rules, "/query?u=read_1&p=x", ""), Some(true));
        assert_eq!(found(&rules, "/query", "Basic Z3JhZmFuYTp4"), Some(true));
        assert_eq!(found(&rules, "/query", "Token telegraf:x"), Some(false));
        for (target, authorization) in [
            ("/query", ""),
            ("/query?u=other&p=x", ""),
            ("/query?u=telegraf", ""),
            ("/query?u=telegraf&p=x;u=admin", ""),
            ("/query", "Bearer a.b.c"),
            ("/query", "Basic !"),
        ] {
            assert_eq!(
                found(&rules, target, authorization),
                None,
                "{target} {authorization}"
            );
        }
        let with_rest = [rules[0].clone(), open()];
        assert_eq!(found(&with_rest, "/query", ""), Some(false));
        for (target, authorization) in [
            ("/query?x=1;u=grafana&p=x", ""),
            ("/query", "basic Z3JhZmFuYTp4"),
            ("/query", "Basic Z3JhZmFuYTp5"),
            ("/query", "Basic Z3JhZmFuYTp4eQ"),
            ("/query", "Bearer a.b.c"),
        ] {
            let is_told = authorization == "Basic Z3JhZmFuYTp5";
            let expected = is_told.then_some(true);
            let found = found(&with_rest, target, authorization);
            assert_eq!(found, expected, "{target} {authorization}");
        }
        assert_eq!(found(&with_rest, "/query?u=grafana&p=x", ""), Some(true));
    }
}
