//! What a write asks for, before its body is looked at.
//!
//! Everything comes from the URL and the headers; the body's `Content-Type` means nothing. Where versions differ, refusals are
//! those of InfluxDB 1.11 and newer: older ones store points although they refuse the precision (1.8), or take any (1.6, 1.7).

use http::{HeaderMap, StatusCode, header};

use super::answer::Refusal;
use super::credentials::Credentials;
use super::endpoint::WriteEndpoint;
use super::go_text::quote;
use super::parameters::Parameters;
use super::precision::Precision;

/// How many nodes of an InfluxDB Enterprise cluster should answer. The open-source nodes check the name and ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// `any`
    Any,
    /// `one`
    One,
    /// `quorum`
    Quorum,
    /// `all`
    All,
}

impl Consistency {
    /// In any case of letters; `None` is refused.
    fn parse(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "any" => Some(Self::Any),
            "one" => Some(Self::One),
            "quorum" => Some(Self::Quorum),
            "all" => Some(Self::All),
            _ => None,
        }
    }

    /// The name that InfluxDB understands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::One => "one",
            Self::Quorum => "quorum",
            Self::All => "all",
        }
    }
}

/// A write's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteRequest {
    /// Where it was sent.
    pub endpoint: WriteEndpoint,
    /// The database; never empty.
    pub database: String,
    /// The retention policy; empty for the database's default one.
    pub retention_policy: String,
    /// The unit of its timestamps. Prometheus has its own; here it is then the default.
    pub precision: Precision,
    /// Its `consistency`, if it has one.
    pub consistency: Option<Consistency>,
    /// Whether JSON answers are to be indented.
    pub pretty: bool,
    /// Who sends it.
    pub credentials: Credentials,
    /// Whether the body is gzipped: `Content-Encoding` is `gzip` in exactly this spelling. InfluxDB reads a body with any other
    /// encoding as lines. Never for Prometheus.
    pub gzip: bool,
}

impl WriteRequest {
    /// Reads a write's query string (without `?`) and headers, or says how InfluxDB would refuse it.
    pub fn parse(
        endpoint: WriteEndpoint,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<Self, Refusal> {
        let parameters = Parameters::parse(query);
        let precision = precision(endpoint, &parameters)?;
        let (database, retention_policy) = target(endpoint, &parameters)?;
        let consistency = match parameters
            .first("consistency")
            .filter(|name| !name.is_empty())
        {
            None => None,
            Some(name) => {
                let invalid = || Refusal::bad_request("invalid consistency level");
                Some(Consistency::parse(&name).ok_or_else(invalid)?)
            }
        };
        let encoding = headers.get(header::CONTENT_ENCODING);
        Ok(Self {
            endpoint,
            database,
            retention_policy,
            precision,
            consistency,
            pretty: wants_pretty(&parameters),
            credentials: Credentials::read(&parameters, headers),
            gzip: endpoint != WriteEndpoint::Prometheus
                && encoding.is_some_and(|encoding| encoding == "gzip"),
        })
    }
}

/// Whether a request's answer is to be indented; also for one that cannot be read otherwise.
pub fn wants_pretty(parameters: &Parameters<'_>) -> bool {
    parameters.first_bytes("pretty") == Some(b"true")
}

fn precision(endpoint: WriteEndpoint, parameters: &Parameters<'_>) -> Result<Precision, Refusal> {
    let bytes = parameters.first_bytes("precision").unwrap_or_default();
    let name = parameters.first("precision").unwrap_or_default();
    let (precision, names) = match endpoint {
        WriteEndpoint::V1 => (Precision::from_v1_name(&name), "n, u, ms, s, m or h"),
        WriteEndpoint::V2 => (Precision::from_v2_name(&name), "ns, us, ms or s"),
        WriteEndpoint::Prometheus => return Ok(Precision::default()),
    };
    precision.ok_or_else(|| {
        Refusal::bad_request(format!("invalid precision {} (use {names})", quote(bytes)))
    })
}

/// Database and retention policy.
fn target(
    endpoint: WriteEndpoint,
    parameters: &Parameters<'_>,
) -> Result<(String, String), Refusal> {
    let first = |name| parameters.first_bytes(name).unwrap_or_default();
    let (database, retention_policy) = match endpoint {
        WriteEndpoint::V2 => split_bucket(first("bucket"))?,
        WriteEndpoint::V1 | WriteEndpoint::Prometheus => (first("db"), first("rp")),
    };
    if database.is_empty() {
        return Err(Refusal::bad_request("database is required"));
    }
    // Names that are not UTF-8 cannot have been created, and must not become equal to one that was.
    let Ok(database) = String::from_utf8(database.to_vec()) else {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("database not found: {}", quote(database)),
        ));
    };
    let Ok(retention_policy) = String::from_utf8(retention_policy.to_vec()) else {
        let name = String::from_utf8_lossy(retention_policy);
        let message = format!("retention policy not found: {name}");
        return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message));
    };
    Ok((database, retention_policy))
}

/// The database of a bucket, if the name is one that InfluxDB takes.
pub fn database_of_bucket(bucket: &[u8]) -> Option<String> {
    let (database, _) = split_bucket(bucket).ok()?;
    String::from_utf8(database.to_vec()).ok()
}

/// InfluxDB's `bucket2dbrp`: `database` or `database/retention policy`.
fn split_bucket(bucket: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let why = match memchr::memchr(b'/', bucket) {
        None if bucket.is_empty() => {
            r#"is missing a slash; not in "database/retention-policy" format"#
        }
        None => return Ok((bucket, b"")),
        Some(0) => "is in db/rp form but has an empty database",
        Some(slash) => {
            let (database, rest) = bucket.split_at_checked(slash).unwrap_or_default();
            return Ok((database, rest.strip_prefix(b"/").unwrap_or_default()));
        }
    };
    Err(Refusal::new(
        StatusCode::NOT_FOUND,
        format!("bucket name {} {why}", quote(bucket)),
    ))
}

#[cfg(test)]
mod tests {
    use super::WriteEndpoint::{Prometheus, V1, V2};
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn parse(endpoint: WriteEndpoint, query: &str) -> Result<WriteRequest, Refusal> {
        WriteRequest::parse(endpoint, query, &HeaderMap::new())
    }

    #[test]
    fn finds_database_and_retention_policy() {
        let table = [
            (V1, "db=d", "d", ""),
            (V1, "db=d&rp=r", "d", "r"),
            (V1, "db=a/b", "a/b", ""),
            (V1, "db=d&bucket=x/y", "d", ""),
            (Prometheus, "db=d&rp=r&precision=xx", "d", "r"),
            (V2, "bucket=d", "d", ""),
            (V2, "bucket=d/", "d", ""),
            (V2, "bucket=d/r&org=o", "d", "r"),
            (V2, "bucket=d%2Fr/s&db=x", "d", "r/s"),
        ];
        for (endpoint, query, database, retention_policy) in table {
            let request = parse(endpoint, query).expect("a write");
            assert_eq!(
                (request.database.as_str(), request.retention_policy.as_str()),
                (database, retention_policy)
            );
            assert_eq!(
                (request.endpoint, request.precision),
                (endpoint, Precision::Nanoseconds)
            );
        }
    }

    #[test]
    fn refuses_as_influxdb_does() {
        let table = [
            (V1, "", 400, "database is required"),
            (V1, "db=", 400, "database is required"),
            (V1, "db=&db=d", 400, "database is required"),
            (V1, "DB=d", 400, "database is required"),
            (V1, "db=a;b", 400, "database is required"),
            (Prometheus, "", 400, "database is required"),
            (
                V1,
                "precision=xx",
                400,
                r#"invalid precision "xx" (use n, u, ms, s, m or h)"#,
            ),
            (
                V1,
                "db=d&precision=us",
                400,
                r#"invalid precision "us" (use n, u, ms, s, m or h)"#,
            ),
            (
                V1,
                "db=d&precision=%22%ff",
                400,
                r#"invalid precision "\"\xff" (use n, u, ms, s, m or h)"#,
            ),
            (
                V2,
                "bucket=d&precision=n",
                400,
                r#"invalid precision "n" (use ns, us, ms or s)"#,
            ),
            (
                V2,
                "bucket=d&precision=m",
                400,
                r#"invalid precision "m" (use ns, us, ms or s)"#,
            ),
            (
                V2,
                "db=d",
                404,
                r#"bucket name "" is missing a slash; not in "database/retention-policy" format"#,
            ),
            (
                V2,
                "bucket=/r",
                404,
                r#"bucket name "/r" is in db/rp form but has an empty database"#,
            ),
            (V1, "db=d&consistency=two", 400, "invalid consistency level"),
            (
                V2,
                "bucket=d&consistency=two",
                400,
                "invalid consistency level",
            ),
            (V1, "db=%ff", 404, r#"database not found: "\xff""#),
            (
                V1,
                "db=d&rp=%ff",
                500,
                "retention policy not found: \u{fffd}",
            ),
        ];
        for (endpoint, query, status, message) in table {
            let refusal = parse(endpoint, query).expect_err("a refusal");
            assert_eq!(
                (refusal.status.as_u16(), refusal.message.as_str()),
                (status, message),
                "{query}"
            );
        }
    }

    #[test]
    fn reads_the_rest() {
        let request =
            parse(V1, "db=d&precision=ms&consistency=QUORUM&pretty=true").expect("a write");
        assert_eq!(request.precision, Precision::Milliseconds);
        assert_eq!(request.consistency.map(Consistency::name), Some("quorum"));
        assert!(request.pretty && !request.gzip && request.credentials.is_none());
        let request = parse(V2, "bucket=d&precision=us&pretty=TRUE&consistency=").expect("a write");
        assert_eq!(
            (request.precision, request.consistency, request.pretty),
            (Precision::Microseconds, None, false)
        );
    }

    #[test]
    fn only_the_exact_gzip_is_undone() {
        for (endpoint, encoding, gzip) in [
            (V1, "gzip", true),
            (V2, "gzip", true),
            (Prometheus, "gzip", false),
            (V1, "GZIP", false),
            (V1, "deflate", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            let request =
                WriteRequest::parse(endpoint, "db=d&bucket=d", &headers).expect("a write");
            assert_eq!(request.gzip, gzip, "{encoding}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(query in "(db|rp|bucket|precision|u|p|[a-z%&=;+/]){0,20}") {
            for endpoint in [V1, V2, Prometheus] {
                let _ = parse(endpoint, &query);
            }
        }
    }
}
