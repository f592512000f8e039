//! Whether the rules of a frontend let a request through: judged by what the classifier finds that it would do, before anything is done.

mod lines;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::StatusCode;
use http::header::ACCEPT;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::identity::is_open;
use super::replicated::as_influxql;
use super::routing::acl;
use super::serving::Serving;
use super::session::access_log::Termination;
use super::session::context::RequestContext;
use super::session::error_answer::send;
use super::session::user::{Sender, User};
use crate::config::model::{AccessRule, AllowedMeasurements, Pattern};
use crate::influx::influxql::{Databases, Limits, Measurements, Use, may_stand_in_body, uses};
use crate::influx::{Parameters, Refusal, wants_pretty};
use crate::offload::{LARGE, offload};
use crate::shown;

pub(super) use lines::writes_lines;

/// The longest name of a database or measurement that its client is told.
const LONGEST_SHOWN: usize = 64;

/// What a request would do that the rules do not allow. Holds nothing of a statement but the grammar's words and a name.
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
    /// To read or change this measurement, or measurements that cannot be told.
    Measurement(Option<String>),
}

impl Forbidden {
    /// In words, with the name as `shown` makes it.
    fn words(&self, shown: fn(&str) -> &str) -> String {
        match self {
            Self::User => "no rule is for this user".to_owned(),
            Self::Statement(name) => format!("{name} is not allowed"),
            Self::Unknown => "a statement that cannot be told is not allowed".to_owned(),
            Self::Change => "only reads are allowed".to_owned(),
            Self::Read(Some(name)) => format!("reading database {:?} is not allowed", shown(name)),
            Self::Write(Some(name)) => {
                format!("changing database {:?} is not allowed", shown(name))
            }
            Self::Read(None) => "only some databases may be read, and it is about every one, or cannot be told which".to_owned(),
            Self::Write(None) => "only some databases may be changed, and it is about every one, or cannot be told which".to_owned(),
            Self::Measurement(Some(name)) => {
                format!("measurement {:?} is not allowed", shown(name))
            }
            Self::Measurement(None) => "only some measurements are allowed, and it is about every one, or cannot be told which".to_owned(),
        }
    }

    /// For the log, where a name must not show what may be a secret in it.
    fn for_log(&self) -> String {
        self.words(shown::name)
    }

    /// For the client, who chose the name.
    fn for_client(&self) -> String {
        self.words(|name| {
            let end = name.floor_char_boundary(LONGEST_SHOWN);
            name.get(..end).unwrap_or_default()
        })
    }
}

/// Whether what a request does may stand in its body.
pub(super) fn wants_body(session: &Session) -> bool {
    may_stand_in_body(acl::path(session.req_header()))
}

impl Serving {
    /// Refuses a request that the rules do not allow; true if it did. `body` may be missing unless [`wants_body`] says so. Of the lines of
    /// a write nothing is said.
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
        self.forbid(session, context, &forbidden).await?;
        Ok(true)
    }

    async fn forbid(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        forbidden: &Forbidden,
    ) -> pingora::Result<()> {
        self.stats.rule_refusals.increment();
        log::warn!(
            "frontend \"{}\": {} is refused by rules: {}",
            self.config.name,
            context.address(),
            forbidden.for_log()
        );
        context.termination = Termination::Refused;
        let request = session.req_header();
        let message = format!(
            "forbidden by the rules of this frontend: {}",
            forbidden.for_client()
        );
        let refusal = Refusal::new(StatusCode::FORBIDDEN, message);
        let query = String::from_utf8_lossy(acl::query_string(request));
        let pretty = wants_pretty(&Parameters::parse(&query));
        let answer = refusal.answer(request.headers.get(ACCEPT), pretty);
        self.close_if_stopping(session);
        send(session, answer).await
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
        return (!is_open(request)).then_some(Forbidden::User);
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
            .or_else(|| {
                measurement(rule.measurements.as_ref()?, &one.measurements)
                    .map(Forbidden::Measurement)
            })
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

/// A measurement that is not among those that are allowed; nothing in its place if it cannot be told.
fn measurement(allowed: &AllowedMeasurements, used: &Measurements) -> Option<Option<String>> {
    if allowed.are_all() {
        return None;
    }
    match used {
        Measurements::Unknown => Some(None),
        Measurements::Named(names) => {
            let other = names.iter().find(|name| !allowed.allow(name));
            other.cloned().map(Some)
        }
    }
}
