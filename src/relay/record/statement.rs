//! The statement record: one request that changes data or schema and is no write, as it stands in the journal.
//!
//! The payload is a head and the body, one after the other. The head, integers little-endian:
//!
//! | bytes | field |
//! | --- | --- |
//! | 1 | version of this format, 1 |
//! | 1 | method: 1 GET, 2 POST, 3 PATCH, 4 DELETE |
//! | 1 | flags: 1 = the databases are known, 2 = the credentials are `u` and `p`, 4 = they are an `Authorization` |
//! | 2 + n | path and query string, without credentials |
//! | 2 + n | `Content-Type` of the body; empty for none |
//! | 2 + n | the statements for a log, passwords removed |
//! | 2, then each 2 + n | number of databases, and their names (flag 1) |
//! | 2 + n, 2 + n | `u`, `p` (flag 2) |
//! | 2 + n | value of `Authorization` (flag 4) |
//!
//! A request to `/query` is stored in its [canonical form](crate::influx::influxql::Canonical): every node reads the same in it.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::influx::Credentials;
use crate::influx::influxql::{Groups, classify};
use crate::journal::Kind;
use crate::relay::record::write::{FieldTooLong, RecordError, put_field, take_field, take_text};

/// The journal's kind of a statement.
pub const STATEMENT: Kind = Kind(2);

const VERSION: u8 = 1;
const DATABASES: u8 = 1;
const PARAMETERS: u8 = 2;
const AUTHORIZATION: u8 = 4;

/// What a statement ends with that was too long to be shown.
pub(in crate::relay) const CUT: char = '…';

/// How a statement is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementMethod {
    /// GET, which runs changing statements too.
    Get,
    /// POST
    Post,
    /// PATCH, of `/api/v2/buckets`.
    Patch,
    /// DELETE, of `/api/v2/buckets`.
    Delete,
}

impl StatementMethod {
    /// As it stands in a request.
    pub fn name(self) -> &'static str {
        match self {
            StatementMethod::Get => "GET",
            StatementMethod::Post => "POST",
            StatementMethod::Patch => "PATCH",
            StatementMethod::Delete => "DELETE",
        }
    }
}

/// One changing request. Its `Debug` shows neither target nor body: passwords may stand there.
#[derive(Clone, PartialEq, Eq)]
pub struct StatementRecord {
    /// How it is sent.
    pub method: StatementMethod,
    /// Path and query string, fit for a request line, without credentials.
    pub target: String,
    /// `Content-Type` of the body; empty for none.
    pub content_type: String,
    /// What it does, for a log: no password is in it. If it is cut, an ellipsis ends it.
    pub shown: String,
    /// The databases that it touches; `None` if that cannot be told, and they may be all.
    pub databases: Option<Vec<String>>,
    /// In whose name.
    pub credentials: Credentials,
    /// The body, as it is sent.
    pub body: Bytes,
}

impl fmt::Debug for StatementRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StatementRecord")
            .field("method", &self.method)
            .field("shown", &self.shown)
            .field("databases", &self.databases)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl StatementRecord {
    /// Whether it goes to `/query`, whose answers tell of errors in their body.
    pub fn is_query(&self) -> bool {
        let path = self.target.split('?').next();
        path == Some("/query")
    }

    /// Whether [`StatementRecord::shown`] is not all of it.
    pub fn is_shown_cut(&self) -> bool {
        self.shown.ends_with(CUT)
    }

    /// The kinds of all its statements (`DROP DATABASE`, …); nothing if [`StatementRecord::shown`] does not tell of all.
    pub fn kinds(&self) -> Option<Vec<&'static str>> {
        let class = classify(self.shown.as_bytes());
        let is_told =
            self.is_query() && !self.is_shown_cut() && class.statements == class.names.len();
        is_told.then_some(class.names)
    }

    /// What a node says to the last of its statements if nothing is left to do for that, because it was carried out there before or for
    /// another reason; nothing if a node says so to none of its kind. `CREATE USER` is none: that of the same user with the same password is
    /// carried out again (InfluxDB's `meta.Client.CreateUser`).
    pub fn needless_says(&self) -> Option<&'static str> {
        match *self.kinds()?.last()? {
            "DROP USER" => Some("user not found"),
            "CREATE SUBSCRIPTION" => Some("subscription already exists"),
            "DROP SUBSCRIPTION" => Some("subscription not found"),
            _ => None,
        }
    }

    /// Whether a comparison of nodes, with `users` of users and their rights too, shows what it has done; not if that cannot be told.
    pub fn is_compared(&self, users: bool) -> bool {
        // Other requests change points, databases or policies.
        let is_other = !self.is_query();
        let is_each = |names: Vec<&str>| names.iter().all(|name| Groups::is_compared(name, users));
        is_other || self.kinds().is_some_and(is_each)
    }

    /// The head, to be followed by [`StatementRecord::body`].
    ///
    /// # Errors
    /// A field does not fit the format.
    pub fn encode_head(&self) -> Result<Bytes, FieldTooLong> {
        let mut head = BytesMut::with_capacity(128 + self.target.len() + self.shown.len());
        head.put_u8(VERSION);
        head.put_u8(match self.method {
            StatementMethod::Get => 1,
            StatementMethod::Post => 2,
            StatementMethod::Patch => 3,
            StatementMethod::Delete => 4,
        });
        let mut flags = match self.credentials {
            Credentials::None => 0,
            Credentials::Parameters { .. } => PARAMETERS,
            Credentials::Authorization(_) => AUTHORIZATION,
        };
        if self.databases.is_some() {
            flags |= DATABASES;
        }
        head.put_u8(flags);
        put_field(&mut head, "the request's target", self.target.as_bytes())?;
        put_field(&mut head, "Content-Type", self.content_type.as_bytes())?;
        put_field(&mut head, "the statement", self.shown.as_bytes())?;
        if let Some(databases) = &self.databases {
            const FIELD: &str = "the list of databases";
            let count =
                u16::try_from(databases.len()).map_err(|_| FieldTooLong { field: FIELD })?;
            head.put_u16_le(count);
            for database in databases {
                put_field(&mut head, FIELD, database.as_bytes())?;
            }
        }
        match &self.credentials {
            Credentials::None => {}
            Credentials::Parameters { user, password } => {
                put_field(&mut head, "u", user)?;
                put_field(&mut head, "p", password)?;
            }
            Credentials::Authorization(value) => put_field(&mut head, "Authorization", value)?,
        }
        Ok(head.freeze())
    }

    /// Reads a payload; the body shares its memory.
    ///
    /// # Errors
    /// It is none, or of a version that this one does not know.
    pub fn decode(mut payload: Bytes) -> Result<StatementRecord, RecordError> {
        let mut byte = || payload.try_get_u8().map_err(|_| RecordError::Short);
        let version = byte()?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let wrong = |field, value| Err(RecordError::Value { field, value });
        let method = match byte()? {
            1 => StatementMethod::Get,
            2 => StatementMethod::Post,
            3 => StatementMethod::Patch,
            4 => StatementMethod::Delete,
            value => return wrong("method", value),
        };
        let flags = byte()?;
        let target = take_text(&mut payload, "target")?;
        let content_type = take_text(&mut payload, "Content-Type")?;
        let shown = take_text(&mut payload, "statement")?;
        let databases = if flags & DATABASES == 0 {
            None
        } else {
            let count = payload.try_get_u16_le().map_err(|_| RecordError::Short)?;
            let names = (0..count).map(|_| take_text(&mut payload, "database"));
            Some(names.collect::<Result<_, _>>()?)
        };
        let credentials = match flags & !DATABASES {
            0 => Credentials::None,
            PARAMETERS => Credentials::Parameters {
                user: take_field(&mut payload)?.to_vec(),
                password: take_field(&mut payload)?.to_vec(),
            },
            AUTHORIZATION => Credentials::Authorization(take_field(&mut payload)?.to_vec()),
            _ => return wrong("flags", flags),
        };
        Ok(StatementRecord {
            method,
            target,
            content_type,
            shown,
            databases,
            credentials,
            body: payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::record::samples::statement_record;
    use proptest::prelude::*;

    fn record(databases: Option<Vec<String>>, credentials: Credentials) -> StatementRecord {
        StatementRecord {
            target: "/query?epoch=ns".to_owned(),
            content_type: "application/x-www-form-urlencoded".to_owned(),
            databases,
            credentials,
            body: Bytes::from_static(b"q=CREATE%20USER"),
            ..statement_record("CREATE USER u WITH PASSWORD [REDACTED]")
        }
    }

    fn whole(record: &StatementRecord) -> Bytes {
        let head = record.encode_head().expect("it fits");
        Bytes::from([head.as_ref(), record.body.as_ref()].concat())
    }

    #[test]
    fn what_is_written_is_read() {
        let user = Credentials::Parameters {
            user: b"u".to_vec(),
            password: b"p".to_vec(),
        };
        for credentials in [
            Credentials::None,
            user,
            Credentials::Authorization(b"Basic x".to_vec()),
        ] {
            for databases in [
                None,
                Some(vec![]),
                Some(vec!["a".to_owned(), "ü b".to_owned()]),
            ] {
                let record = record(databases, credentials.clone());
                assert_eq!(StatementRecord::decode(whole(&record)), Ok(record));
            }
        }
    }

    #[test]
    fn a_comparison_shows_no_password_and_no_statement_that_is_cut() {
        let is_compared = |shown: &str| {
            let record = statement_record(shown);
            [record.is_compared(true), record.is_compared(false)]
        };
        for (shown, expected) in [
            ("DROP MEASUREMENT m", [true, true]),
            ("GRANT READ ON d TO u", [true, false]),
            ("CREATE USER u WITH PASSWORD [REDACTED]", [false, false]),
            (
                "DROP SERIES FROM m; SET PASSWORD FOR u = [REDACTED]",
                [false, false],
            ),
            (
                "CREATE SUBSCRIPTION s ON d.p DESTINATIONS ALL 'udp://h:1'",
                [false, false],
            ),
            ("DROP MEASUREMENT m; DROP…", [false, false]),
        ] {
            assert_eq!(is_compared(shown), expected, "{shown}");
        }
    }

    #[test]
    fn only_query_is_query() {
        let mut record = record(None, Credentials::None);
        assert!(record.is_query());
        record.target = "/api/v2/delete?bucket=/query".to_owned();
        assert!(!record.is_query());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in 0_usize..200) {
            let _ = StatementRecord::decode(Bytes::from(bytes));
            let payload = whole(&record(Some(vec!["db".to_owned()]), Credentials::None));
            let _ = StatementRecord::decode(payload.slice(..cut.min(payload.len())));
        }
    }
}
