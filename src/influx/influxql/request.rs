//! Every place in a request where a query can stand.
//!
//! Which of several values wins depends on InfluxDB's release and on the Go it was built with (`;` separates pairs in older
//! ones and voids its pair in newer ones; a form beats the URL on POST; the URL beats a multipart form). So nothing is
//! predicted: all readings of the URL, of a form body and of a multipart body are collected, whatever the method and whatever
//! the spelling of the `Content-Type`, and the most demanding one decides ([`classify_request`]). Only what goes into the
//! journal must be beyond doubt ([`super::Canonical`]).
//!
//! Percent-decoding is Go's: `+` is a space, and a pair with a broken escape does not exist. `Content-Encoding` is never
//! undone on `/query`. Paths are compared byte for byte in their escaped form, as InfluxDB does.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method};

use super::classify::{Class, Kind, classify};
use super::databases::Databases;
use super::flux::{self, Encoding};
use super::multipart;

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
    Body,
}

/// One name and value.
struct Pair {
    name: Vec<u8>,
    value: Vec<u8>,
    place: Place,
}

/// All names and values that a request to `/query` may be read to hold, in their order. Holds secrets: it has no `Debug`.
pub struct Candidates {
    pairs: Vec<Pair>,
    /// Whether a raw `;` stands in the URL's query string or in a form, so that InfluxDB's releases disagree.
    pub(crate) semicolon: bool,
    /// Whether there is a form that cannot be read for sure.
    pub(crate) odd: bool,
}

impl Candidates {
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
            .filter(move |pair| pair.name == name.as_bytes());
        named.map(|pair| (pair.place, pair.value.as_slice()))
    }

    /// Every text that may be the one that InfluxDB runs.
    pub fn queries(&self) -> impl Iterator<Item = &[u8]> {
        self.values("q")
    }

    /// Every database that may be the default one.
    pub fn databases(&self) -> impl Iterator<Item = &[u8]> {
        self.values("db")
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

    /// Adds the pairs of a query string or form.
    fn add(&mut self, text: &[u8], place: Place) {
        for piece in text.split(|byte| *byte == b'&') {
            self.push(piece, place);
            if piece.contains(&b';') {
                self.semicolon = true;
                for smaller in piece.split(|byte| *byte == b';') {
                    self.push(smaller, place);
                }
            }
        }
    }

    fn push(&mut self, piece: &[u8], place: Place) {
        let equals = memchr::memchr(b'=', piece).unwrap_or(piece.len());
        let (name, value) = piece.split_at(equals);
        if let (Some(name), Some(value)) =
            (unescape(name), unescape(value.get(1..).unwrap_or_default()))
        {
            self.pairs.push(Pair { name, value, place });
        }
    }
}

/// Collects what a request to `/query` may be read to hold.
pub fn candidates(request: &Request<'_>) -> Candidates {
    let mut candidates = Candidates {
        pairs: Vec::new(),
        semicolon: false,
        odd: false,
    };
    candidates.add(request.query_string, Place::Url);
    let mut forms = 0;
    for content_type in request.headers.get_all(CONTENT_TYPE) {
        let lower = content_type.as_bytes().to_ascii_lowercase();
        let holds = |kind: &[u8]| memchr::memmem::find(&lower, kind).is_some();
        if holds(b"form-urlencoded") {
            forms += 1;
            candidates.add(request.body, Place::Body);
        }
        if holds(b"multipart") {
            forms += 1;
            let parts = multipart::boundary(content_type.as_bytes())
                .and_then(|boundary| multipart::parts(request.body, boundary));
            match parts {
                Ok(parts) => candidates.pairs.extend(parts.into_iter().map(|part| Pair {
                    name: part.name.to_vec(),
                    value: part.value.to_vec(),
                    place: Place::Body,
                })),
                Err(multipart::Odd) => candidates.odd = true,
            }
        }
    }
    candidates.odd |= forms > 0 && request.headers.get_all(CONTENT_TYPE).iter().count() > 1;
    candidates
}

/// Classifies a request; nothing if its path is none of [`Endpoint`].
pub fn classify_request(request: &Request<'_>) -> Option<Class> {
    let endpoint = Endpoint::of(request.path)?;
    let reads = matches!(
        *request.method,
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let class = match endpoint {
        Endpoint::Query => classify_query(request),
        Endpoint::FluxQuery if reads => Class::other(Kind::Read, Databases::Unknown, "Flux"),
        Endpoint::FluxQuery => {
            let encoded = request.headers.contains_key(CONTENT_ENCODING);
            let writes = encoded || flux::may_write(request.body, flux_encoding(request.headers));
            Class::other(
                if writes { Kind::Change } else { Kind::Read },
                Databases::Unknown,
                "Flux",
            )
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

fn classify_query(request: &Request<'_>) -> Class {
    // InfluxDB runs queries for GET and POST only; the rest, HEAD too, gets its 405 or 200.
    if !matches!(*request.method, Method::GET | Method::POST) {
        return Class::empty();
    }
    let candidates = candidates(request);
    let mut class = candidates
        .queries()
        .map(classify)
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
    let only = only.as_bytes().to_ascii_lowercase();
    let media = only
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    match media {
        b"application/vnd.flux" => Encoding::Plain,
        b"application/json" => Encoding::Json,
        _ => Encoding::Unknown,
    }
}

/// Undoes the escapes of a query string as Go's `url.QueryUnescape`; nothing if one is broken.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: Option<&u8>| {
        char::from(*byte?)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'%' => {
                plain.push(digit(text.get(at + 1))? << 4 | digit(text.get(at + 2))?);
                at += 2;
            }
            b'+' => plain.push(b' '),
            other => plain.push(*other),
        }
        at += 1;
    }
    Some(plain)
}
