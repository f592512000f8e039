//! The form in which a changing request to `/query` is journaled: what InfluxDB does with it must not depend on the node.
//!
//! - `q`, `db`, `rp` and `params` must have one value each, wherever they stand. InfluxDB would pick one of several; which
//!   one depends on its release, so a request that leaves the choice is refused ([`NotCanonical`]). No known client sends one.
//! - A form that InfluxDB does not look at, because the request is no POST, counts for nothing here either.
//! - `async` is dropped: a statement that runs in the background has no place in an order.
//! - What only shapes the answer is kept apart, and so are the credentials, which travel by the journal's rules.
//! - Neither the query nor a password appears in what `Debug` prints.

use bytes::Bytes;
use http::Method;
use http::header::AUTHORIZATION;
use std::fmt;
use thiserror::Error;

use super::limits::Limits;
use super::redact::redact;
use super::request::{Candidates, Place, Request, candidates};

/// InfluxDB ignores a form larger than this (Go's `Request.ParseForm`).
const LARGEST_FORM: usize = 10 << 20;

/// Why a request cannot be journaled; the text is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotCanonical {
    /// No query, or an empty one.
    #[error("missing required parameter \"q\"")]
    MissingQuery,
    /// A parameter has more than one value.
    #[error(
        "parameter {0:?} has several different values; a request that changes data must have one"
    )]
    Conflict(&'static str),
    /// A raw `;` in the query string or form.
    #[error("a \";\" in a parameter must be written %3B in a request that changes data")]
    Semicolon,
    /// A form that is no plain one.
    #[error("the form of a request that changes data cannot be read")]
    Form,
    /// `u` or `p` that is not UTF-8.
    #[error("user name or password is not in UTF-8")]
    Credentials,
    /// Larger than InfluxDB takes in a form.
    #[error("the query is too large to be replicated")]
    TooLarge,
}

/// Who sent a request, as it was said; never checked here.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `u` and `p` of the URL, if both are not empty: then they count and `authorization` does not.
    pub user: Option<(String, String)>,
    /// The value of the `Authorization` header.
    pub authorization: Option<Bytes>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, header) = (self.user.is_some(), self.authorization.is_some());
        formatter
            .debug_struct("Credentials")
            .field("user", &user)
            .field("authorization", &header)
            .finish()
    }
}

/// What only shapes the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerShape {
    /// The unit of times; nothing means RFC 3339.
    pub epoch: Option<Vec<u8>>,
    /// How times are written, since 1.12, as it was written: a node refuses what it does not know.
    pub time_format: Option<Vec<u8>>,
    /// One JSON document for each chunk.
    pub chunked: bool,
    /// The rows of a chunk, as it was written.
    pub chunk_size: Option<Vec<u8>>,
    /// Indented. InfluxDB takes this from the URL only.
    pub pretty: bool,
    /// Sent by GET: InfluxDB adds a warning to the answer of most changing statements.
    pub get: bool,
    /// `async=true`: answered 204 with an empty body, at once.
    pub asynchronous: bool,
}

/// A changing request to `/query`.
#[derive(Clone, PartialEq, Eq)]
pub struct Canonical {
    /// The statements.
    pub query: Vec<u8>,
    /// The default database.
    pub database: Option<Vec<u8>>,
    /// The default retention policy.
    pub retention_policy: Option<Vec<u8>>,
    /// The bound parameters, a JSON object.
    pub parameters: Option<Vec<u8>>,
    /// What the client wants the answer to look like.
    pub answer: AnswerShape,
    /// Who sent it.
    pub credentials: Credentials,
}

impl fmt::Debug for Canonical {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Canonical")
            .field("query", &redact(&self.query))
            .field(
                "database",
                &self.database.as_deref().map(String::from_utf8_lossy),
            )
            .field(
                "retention_policy",
                &self
                    .retention_policy
                    .as_deref()
                    .map(String::from_utf8_lossy),
            )
            .field("parameters", &self.parameters.is_some())
            .field("answer", &self.answer)
            .field("credentials", &self.credentials)
            .finish()
    }
}

impl Canonical {
    /// Reads a request to `/query`.
    pub fn of(request: &Request<'_>) -> Result<Self, NotCanonical> {
        // The classifier has judged it by its limits.
        let mut candidates =
            candidates(request, &Limits::NONE).map_err(|_| NotCanonical::TooLarge)?;
        if candidates.odd {
            return Err(NotCanonical::Form);
        }
        if candidates.semicolon {
            return Err(NotCanonical::Semicolon);
        }
        // Every Go reads such a form of a POST only (`Request.ParseForm`); parts it reads of a GET too.
        if request.method != Method::POST {
            candidates.forget_form();
        }
        let query = only(&candidates, "q")?.filter(|query| !query.trim_ascii().is_empty());
        let first = |name| {
            candidates
                .values(name)
                .next()
                .filter(|value| !value.is_empty())
                .map(<[u8]>::to_vec)
        };
        let url = |name| {
            candidates
                .placed(name)
                .find(|(place, _)| *place == Place::Url)
                .map(|(_, value)| value)
        };
        let text =
            |value: &[u8]| String::from_utf8(value.to_vec()).map_err(|_| NotCanonical::Credentials);
        let user = match (url("u"), url("p")) {
            (Some(user), Some(password)) if !user.is_empty() && !password.is_empty() => {
                Some((text(user)?, text(password)?))
            }
            _ => None,
        };
        let canonical = Self {
            query: query.ok_or(NotCanonical::MissingQuery)?.to_vec(),
            database: only(&candidates, "db")?.map(<[u8]>::to_vec),
            retention_policy: only(&candidates, "rp")?.map(<[u8]>::to_vec),
            parameters: only(&candidates, "params")?.map(<[u8]>::to_vec),
            answer: AnswerShape {
                epoch: first("epoch"),
                time_format: first("time_format"),
                chunked: candidates.chunked(),
                chunk_size: first("chunk_size"),
                pretty: url("pretty") == Some(b"true"),
                get: request.method != Method::POST,
                asynchronous: candidates.asynchronous(),
            },
            credentials: Credentials {
                user,
                authorization: request
                    .headers
                    .get(AUTHORIZATION)
                    .map(|value| Bytes::copy_from_slice(value.as_bytes())),
            },
        };
        if canonical.form().len() > LARGEST_FORM {
            return Err(NotCanonical::TooLarge);
        }
        Ok(canonical)
    }

    /// The request as a form body (`application/x-www-form-urlencoded`), which works as a query string too: `q`, `db`, `rp`
    /// and `params`, nothing that shapes the answer, no credentials.
    pub fn form(&self) -> String {
        let mut form = String::with_capacity(self.query.len() * 2);
        append(&mut form, "q", &self.query);
        self.append_others(&mut form);
        form
    }

    /// The same without `q`; empty if there is nothing else.
    pub(crate) fn form_without_query(&self) -> String {
        let mut form = String::new();
        self.append_others(&mut form);
        form
    }

    fn append_others(&self, form: &mut String) {
        let others = [
            ("db", &self.database),
            ("rp", &self.retention_policy),
            ("params", &self.parameters),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                append(form, name, value);
            }
        }
    }
}

impl AnswerShape {
    /// What gives an answer this shape, as a query string; empty if nothing is asked for. `async` is not in it.
    pub fn query_string(&self) -> String {
        let mut text = String::new();
        if let Some(epoch) = &self.epoch {
            append(&mut text, "epoch", epoch);
        }
        if let Some(format) = &self.time_format {
            append(&mut text, "time_format", format);
        }
        if self.chunked {
            append(&mut text, "chunked", b"true");
        }
        if let Some(size) = &self.chunk_size {
            append(&mut text, "chunk_size", size);
        }
        if self.pretty {
            append(&mut text, "pretty", b"true");
        }
        text
    }
}

/// The one value of `name`; nothing if it has none or is empty.
fn only<'pairs>(
    candidates: &'pairs Candidates<'_>,
    name: &'static str,
) -> Result<Option<&'pairs [u8]>, NotCanonical> {
    let mut values = candidates.values(name);
    let first = values.next();
    if values.any(|value| Some(value) != first) {
        return Err(NotCanonical::Conflict(name));
    }
    Ok(first.filter(|value| !value.is_empty()))
}

fn append(form: &mut String, name: &str, value: &[u8]) {
    if !form.is_empty() {
        form.push('&');
    }
    form.push_str(name);
    form.push('=');
    for byte in value {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                form.push(char::from(*byte))
            }
            _ => {
                form.push('%');
                for digit in [byte >> 4, byte & 15] {
                    form.push(char::from(
                        b"0123456789ABCDEF"
                            .get(usize::from(digit))
                            .copied()
                            .unwrap_or(b'0'),
                    ));
                }
            }
        }
    }
}
