//! Records for unit tests, which change in them what they are about.

use bytes::Bytes;

use crate::influx::{Credentials, Ending, Precision};
use crate::relay::record::statement::{StatementMethod, StatementRecord};
use crate::relay::record::write::{Destination, Form, WriteRecord};

/// A line without a name behind it, whose time is in seconds, in the database `db`.
pub(in crate::relay) fn write_record(body: impl AsRef<[u8]>) -> WriteRecord {
    WriteRecord {
        destination: Destination {
            form: Form::LineProtocol,
            precision: Precision::Seconds,
            consistency: None,
            database: "db".to_owned(),
            retention_policy: String::new(),
            credentials: Credentials::None,
        },
        lines: 1,
        ending: Ending::Closed,
        body: Bytes::copy_from_slice(body.as_ref()),
    }
}

/// A statement of nobody, shown as this, in the database `db`.
pub(in crate::relay) fn statement_record(shown: &str) -> StatementRecord {
    StatementRecord {
        method: StatementMethod::Post,
        target: "/query".to_owned(),
        content_type: String::new(),
        shown: shown.to_owned(),
        databases: Some(vec!["db".to_owned()]),
        credentials: Credentials::None,
        body: Bytes::new(),
    }
}
