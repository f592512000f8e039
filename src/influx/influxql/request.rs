//! Every place in a request where a query can stand.
//!
//! Which of several values wins depends on InfluxDB's release and on the Go it was built with (`;` separates pairs in older
//! ones and voids its pair in newer ones; a form beats the URL on POST; the URL beats a multipart form). So nothing is
//! predicted: all readings of the URL, of a form body and of a multipart body are collected, whatever the method and whatever
//! the spelling of the `Content-Type`, and the most demanding one decides ([`classify_request`]). Only what goes into the
//! journal must be beyond doubt ([`super::Canonical`]).
//!
//! Blanks around a query are taken off, as InfluxDB does it; within it InfluxQL knows fewer.
//!
//! Percent-decoding is Go's: `+` is a space, and a pair with a broken escape does not exist. `Content-Encoding` is never
//! undone on `/query`. Paths are compared byte for byte in their escaped form, as InfluxDB does.

use std::borrow::Cow;

use bstr::ByteSlice;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use super::classify::{Class, Kind, Refusal, classify_within};
use super::databases::Databases;
use super::flux::{self, Effect, Encoding};
use super::limits::{Exceeded, Limits, check_nesting};
use super::media_type::Form;
use super::multipart;
use crate::influx::parameters::unescape;

/// A request as it arrived, its body complete.
#[derive(Clone, Copy)]
pub struct Request<'request> {
    /// Its method.
    pub method: &'request Method,
    /// Its path, still escaped, without the query string.
    pub path: &'request [u8],
    /// What follows the first `?`, still escaped; empty if there is none.
    pub query_string: &'request [u8],
    /// Its headers.
    pub headers: &'request HeaderMap,
    /// Its body; empty if there is none.
    pub body: &'request [u8],
}

/// An endpoint whose requests read or change, depending on what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/query`
    Query,
    /// `/api/v2/query`
    FluxQuery,
    /// `/api/v2/delete`
    Delete,
    /// `/api/v2/buckets` and below
    Buckets,
}

impl Endpoint {
    /// The endpoint at an escaped path.
    pub fn of(path: &[u8]) -> Option<Self> {
        match path {
            b"/query" => Some(Self::Query),
            b"/api/v2/query" => Some(Self::FluxQuery),
            b"/api/v2/delete" => Some(Self::Delete),
            b"/api/v2/buckets" => Some(Self::Buckets),
            _ if path.starts_with(b"/api/v2/buckets/") => Some(Self::Buckets),
            _ => None,
        }
    }
}

/// Where a value stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Url,
    /// A body of pairs.
    Form,
    /// A part of a multipart body.
    Part,
}

/// One name and value; borrowed where nothing is escaped.
struct Pair<'request> {
    name: Cow<'request, [u8]>,
    value: Cow<'request, [u8]>,
    place: Place,
    /// Whether a raw `;` stands in it: each release drops it or takes it apart, and none reads it as one.
    is_torn: bool,
}

/// All names and values that a request to `/query` may be read to hold, in their order. Holds secrets: it has no `Debug`.
pub struct Candidates<'request> {
    pairs: Vec<Pair<'request>>,
    /// Whether a raw `;` stands in the URL's query string or in a form, so that InfluxDB's releases disagree.
    pub(crate) semicolon: bool,
    /// Whether there is a form that cannot be read for sure.
    pub(crate) odd: bool,
}

impl<'request> Candidates<'request> {
    /// The values of `name`, the URL's first.
    pub(crate) fn values<'pairs>(
        &'pairs self,
        name: &'pairs str,
    ) -> impl Iterator<Item = &'pairs [u8]> {
        self.placed(name).map(|(_, value)| value)
    }

    /// The same, with where they stood.
    pub(crate) fn placed<'pairs>(
        &'pairs self,
        name: &'pairs str,
    ) -> impl Iterator<Item = (Place, &'pairs [u8])> {
        let named = self
            .pairs
            .iter()
            .filter(move |pair| *pair.name == *name.as_bytes());
        named.map(|pair| (pair.place, &*pair.value))
    }

    /// Every text that may be the one that InfluxDB runs.
    pub fn queries(&self) -> impl Iterator<Item = &[u8]> {
        self.values("q")
    }

    /// Every database that may be the default one.
    pub fn databases(&self) -> impl Iterator<Item = &[u8]> {
        self.values("db")
    }

    /// The first value of `name` that some release reads.
    pub(crate) fn first_read(&self, name: &str) -> Option<&[u8]> {
        let mut read = self.pairs.iter().filter(|pair| !pair.is_torn);
        read.find(|pair| *pair.name == *name.as_bytes() && !pair.value.is_empty())
            .map(|pair| &*pair.value)
    }

    /// Every retention policy that may be the default one.
    pub fn retention_policies(&self) -> impl Iterator<Item = &[u8]> {
        self.values("rp")
    }

    /// Whether InfluxDB may run it in the background and answer at once.
    pub fn asynchronous(&self) -> bool {
        self.values("async").any(|value| value == b"true")
    }

    /// Whether the answer may come in several JSON documents.
    pub fn chunked(&self) -> bool {
        self.values("chunked").any(|value| value == b"true")
    }

    /// Whether the answer is indented; InfluxDB looks for this in the URL only.
    pub fn pretty(&self) -> bool {
        self.placed("pretty")
            .any(|(place, value)| place == Place::Url && value == b"true")
    }

    /// How the answer's times are written; nothing means RFC 3339.
    pub fn epoch(&self) -> Option<&[u8]> {
        self.values("epoch").find(|value| !value.is_empty())
    }

    /// Takes out what stood in a body of pairs.
    pub(crate) fn forget_form(&mut self) {
        self.pairs.retain(|pair| pair.place != Place::Form);
    }

    /// Keeps a pair; of a query, what InfluxDB takes of it.
    fn keep(
        &mut self,
        name: Cow<'request, [u8]>,
        value: Cow<'request, [u8]>,
        place: Place,
        is_torn: bool,
    ) {
        let value = if *name == *b"q" {
            trimmed(value)
        } else {
            value
        };
        self.pairs.push(Pair {
            name,
            value,
            place,
            is_torn,
        });
    }

    /// Adds the pairs of a query string or form.
    fn add(&mut self, text: &'request [u8], place: Place, limits: &Limits) -> Result<(), Exceeded> {
        for piece in pieces(text, b'&') {
            self.push(piece, place, limits)?;
            if memchr::memchr(b';', piece).is_some() {
                self.semicolon = true;
                for smaller in pieces(piece, b';') {
                    self.push(smaller, place, limits)?;
                }
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        piece: &'request [u8],
        place: Place,
        limits: &Limits,
    ) -> Result<(), Exceeded> {
        if piece.is_empty() {
            return Ok(());
        }
        if self.pairs.len() >= limits.parameters {
            return Err(Exceeded::Parameters(limits.parameters));
        }
        let equals = memchr::memchr(b'=', piece).unwrap_or(piece.len());
        let (name, value) = piece.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        for text in [name, value] {
            // An escape is three bytes for one.
            if text.len() > limits.length && unescaped_length(text) > limits.length {
                return Err(Exceeded::Length(limits.length));
            }
        }
        if let (Some(name), Some(value)) = (unescape(name), unescape(value)) {
            let is_torn = memchr::memchr(b';', piece).is_some();
            self.keep(name, value, place, is_torn);
        }
        Ok(())
    }

    fn push_parts(
        &mut self,
        body: &'request [u8],
        content_type: &[u8],
        limits: &Limits,
    ) -> Result<(), Exceeded> {
        let most = limits.parameters.saturating_sub(self.pairs.len());
        let parts = multipart::boundary(content_type)
            .map_err(multipart::NoParts::from)
            .and_then(|boundary| multipart::parts(body, boundary, most));
        match parts {
            Ok(parts) => {
                for part in parts {
                    if part.name.len().max(part.value.len()) > limits.length {
                        return Err(Exceeded::Length(limits.length));
                    }
                    let (name, value) = (Cow::Borrowed(part.name), Cow::Borrowed(part.value));
                    self.keep(name, value, Place::Part, false);
                }
            }
            Err(multipart::NoParts::Odd) => self.odd = true,
            Err(multipart::NoParts::TooMany) => {
                return Err(Exceeded::Parameters(limits.parameters));
            }
        }
        Ok(())
    }
}

/// Without the blanks around it, of Unicode too, as InfluxDB takes its query (services/httpd/handler.go, `strings.TrimSpace`).
fn trimmed(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_with(char::is_whitespace)),
        Cow::Owned(text) => {
            let inside = text.trim_with(char::is_whitespace);
            match inside.len() == text.len() {
                true => Cow::Owned(text),
                false => Cow::Owned(inside.to_vec()),
            }
        }
    }
}

/// The pieces of `text` between separators.
fn pieces(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(separator, text).chain(std::iter::once(text.len()));
    let mut start = 0;
    ends.map(move |end| {
        let piece = text.get(start..end).unwrap_or_default();
        start = end + 1;
        piece
    })
}

/// The body is read once for each `Content-Type` that makes it a form: so many are looked at.
const MOST_CONTENT_TYPES: usize = 4;

/// Collects what a request to `/query` may be read to hold.
///
/// # Errors
/// It holds more than `limits` let it. What follows is not looked at then.
pub fn candidates<'request>(
    request: &Request<'request>,
    limits: &Limits,
) -> Result<Candidates<'request>, Exceeded> {
    let mut candidates = Candidates {
        pairs: Vec::new(),
        semicolon: false,
        odd: false,
    };
    candidates.add(request.query_string, Place::Url, limits)?;
    let content_types = request.headers.get_all(CONTENT_TYPE);
    let several = content_types.iter().count();
    if several > MOST_CONTENT_TYPES {
        candidates.odd = true;
        return Ok(candidates);
    }
    let mut forms = 0;
    for content_type in content_types {
        match Form::of(content_type.as_bytes()) {
            Form::No => continue,
            Form::Pairs => candidates.add(request.body, Place::Form, limits)?,
            Form::Parts => {
                candidates.push_parts(request.body, content_type.as_bytes(), limits)?;
            }
            Form::Unclear => {
                candidates.odd |= !request.body.is_empty();
                candidates.add(request.body, Place::Form, limits)?;
            }
        }
        forms += 1;
    }
    candidates.odd |= forms > 0 && several > 1;
    Ok(candidates)
}

/// Classifies a request; nothing if its path is none of [`Endpoint`]. One that is past `limits` is [`Kind::Refused`].
pub fn classify_request(request: &Request<'_>, limits: &Limits) -> Option<Class> {
    let endpoint = Endpoint::of(request.path)?;
    if endpoint != Endpoint::Query
        && let Err(exceeded) = check_body(request.body, limits)
    {
        return Some(Class::exceeded(exceeded));
    }
    let reads = matches!(
        *request.method,
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let class = match endpoint {
        Endpoint::Query => classify_query(request, limits),
        Endpoint::FluxQuery if reads => Class::other(Kind::Read, Databases::Unknown, "Flux"),
        Endpoint::FluxQuery => {
            let kind = match flux::effect(request.body, flux_encoding(request.headers)) {
                Effect::Unrepeatable => Kind::Refused(Refusal::Flux),
                Effect::Reads if !request.headers.contains_key(CONTENT_ENCODING) => Kind::Read,
                Effect::Reads | Effect::Writes => Kind::Change,
            };
            Class::other(kind, Databases::Unknown, "Flux")
        }
        Endpoint::Delete | Endpoint::Buckets => {
            let name = if endpoint == Endpoint::Delete {
                "v2 delete"
            } else {
                "v2 buckets"
            };
            Class::other(
                if reads { Kind::Read } else { Kind::Change },
                Databases::Unknown,
                name,
            )
        }
    };
    Some(class)
}

/// Checks a body that is the query.
fn check_body(body: &[u8], limits: &Limits) -> Result<(), Exceeded> {
    if body.len() > limits.length {
        return Err(Exceeded::Length(limits.length));
    }
    check_nesting(body, limits)
}

fn classify_query(request: &Request<'_>, limits: &Limits) -> Class {
    // InfluxDB runs queries for GET and POST only; the rest, HEAD too, gets its 405 or 200.
    if !matches!(*request.method, Method::GET | Method::POST) {
        return Class::empty();
    }
    let candidates = match candidates(request, limits) {
        Ok(candidates) => candidates,
        Err(exceeded) => return Class::exceeded(exceeded),
    };
    let bound = candidates.values("params");
    if let Err(exceeded) = bound
        .into_iter()
        .try_for_each(|text| check_nesting(text, limits))
    {
        return Class::exceeded(exceeded);
    }
    let mut class = candidates
        .queries()
        .map(|query| classify_within(query, limits))
        .reduce(Class::or)
        .unwrap_or_else(Class::empty);
    if candidates.odd {
        class = class.or(Class::other(Kind::Change, Databases::Unknown, "?"));
    }
    if matches!(class.databases, Databases::Named { default: true, .. }) {
        for database in candidates
            .databases()
            .filter(|database| !database.is_empty())
        {
            match std::str::from_utf8(database) {
                Ok(database) => class.databases.add(database.to_owned()),
                Err(_) => class.databases = Databases::Unknown,
            }
        }
    }
    class.keep_node_local();
    class
}

fn flux_encoding(headers: &HeaderMap) -> Encoding {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return Encoding::Unknown;
    };
    match media_type(only).as_slice() {
        b"application/vnd.flux" => Encoding::Plain,
        b"application/json" => Encoding::Json,
        _ => Encoding::Unknown,
    }
}

/// What stands before the parameters of a `Content-Type`, in lower case.
fn media_type(value: &HeaderValue) -> Vec<u8> {
    let media = value.as_bytes().split(|byte| *byte == b';').next();
    media.unwrap_or_default().trim_ascii().to_ascii_lowercase()
}

/// How InfluxDB reads the body of a Flux request; nothing if it refuses the request because it names no `Content-Type`.
pub(crate) fn flux_body(headers: &HeaderMap) -> Option<Encoding> {
    // Of several it takes the first one; what it does not know is JSON.
    let first = headers.get(CONTENT_TYPE)?;
    Some(match media_type(first) {
        media if media == b"application/vnd.flux" => Encoding::Plain,
        _ => Encoding::Json,
    })
}

/// How long a text is whose escapes are undone, if none of them is broken.
fn unescaped_length(text: &[u8]) -> usize {
    let escapes = memchr::memchr_iter(b'%', text).count();
    text.len().saturating_sub(escapes.saturating_mul(2))
}
