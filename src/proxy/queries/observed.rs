//! What is known of a query from its request.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::Instant;

use http::Method;

use crate::influx::Parameters;
use crate::influx::influxql::{
    Limits, Request, candidates, fingerprint, hash_fingerprint, is_unbounded,
};
use crate::stats::{QueryRow, QueryTable};

/// What stands for a text that cannot be cut into tokens, of which nothing may be shown.
const UNREADABLE: &str = "a text that is no InfluxQL";

/// Flux and Prometheus' reads are not looked into.
const FLUX: &str = "Flux";
const PROMETHEUS: &str = "Prometheus remote read";

/// A query as its request has it.
pub(in crate::proxy) struct Observed {
    pub(super) fingerprint: Arc<str>,
    /// Where it is counted.
    pub(super) row: Option<Arc<QueryRow>>,
    /// Its default database.
    pub(super) database: Option<String>,
    pub(super) is_influxql: bool,
    /// Whether it may read a measurement without a lower bound of time; false if that is not asked for.
    pub(in crate::proxy) is_unbounded: bool,
}

/// Whether queries come by this path and method.
pub(in crate::proxy) fn is_query(method: &Method, path: &[u8]) -> bool {
    match path {
        b"/query" => matches!(*method, Method::GET | Method::POST),
        b"/api/v2/query" | b"/api/v1/prom/read" => *method == Method::POST,
        _ => false,
    }
}

/// Looks at a query, and finds its place in `table`. `is_bound_asked`: whether its bounds of time matter.
pub(in crate::proxy) fn observe(
    request: &Request<'_>,
    limits: &Limits,
    table: &QueryTable,
    is_bound_asked: bool,
) -> Observed {
    match request.path {
        b"/api/v2/query" => known(FLUX, None, table),
        b"/api/v1/prom/read" => {
            let text = std::str::from_utf8(request.query_string).unwrap_or_default();
            let database = Parameters::parse(text)
                .first("db")
                .map(|name| name.into_owned());
            known(PROMETHEUS, database, table)
        }
        _ => influxql(request, limits, table, is_bound_asked),
    }
}

/// A query that is known by one text, whatever it asks.
fn known(text: &'static str, database: Option<String>, table: &QueryTable) -> Observed {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    let fingerprint: Arc<str> = Arc::from(text);
    let row = table.row(hasher.finish(), Instant::now(), || Arc::clone(&fingerprint));
    Observed {
        fingerprint,
        row,
        database: database.filter(|name| !name.is_empty()),
        is_influxql: false,
        is_unbounded: false,
    }
}

/// Which of several texts InfluxDB runs depends on its release: the first is shown, and all are judged.
fn influxql(
    request: &Request<'_>,
    limits: &Limits,
    table: &QueryTable,
    is_bound_asked: bool,
) -> Observed {
    let Ok(found) = candidates(request, limits) else {
        return known(UNREADABLE, None, table);
    };
    let mut hasher = DefaultHasher::new();
    let first = found.first_read("q").unwrap_or_default();
    let text = || Arc::from(fingerprint(first).unwrap_or_else(|| UNREADABLE.to_owned()));
    let row = match table.is_on() {
        true => {
            if !hash_fingerprint(first, &mut hasher) {
                hasher = DefaultHasher::new();
                hasher.write(UNREADABLE.as_bytes());
            }
            table.row(hasher.finish(), Instant::now(), text)
        }
        false => None,
    };
    let database = found.first_read("db");
    let fingerprint = match &row {
        Some(row) => Arc::clone(&row.text),
        None => text(),
    };
    Observed {
        fingerprint,
        row,
        database: database.map(|name| String::from_utf8_lossy(name).into_owned()),
        is_influxql: true,
        is_unbounded: is_bound_asked && found.queries().any(is_unbounded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn observed(query_string: &[u8]) -> Observed {
        let request = Request {
            method: &Method::GET,
            path: b"/query",
            query_string,
            headers: &HeaderMap::new(),
            body: b"",
        };
        observe(&request, &Limits::default(), &QueryTable::default(), false)
    }

    #[test]
    fn what_no_release_reads_as_one_value_is_not_shown() {
        let seen = observed(b"db=t;u=admin;p=SECRET;q=SHOW+DATABASES;p=SECRET");
        assert_eq!(seen.database.as_deref(), Some("t"));
        assert_eq!(&*seen.fingerprint, "SHOW DATABASES");
        let seen = observed(b"db=t%3Bp%3DSECRET&q=SHOW+DATABASES");
        assert_eq!(
            seen.database.as_deref(),
            Some("t;p=SECRET"),
            "as the node has it"
        );
    }
}
