//! The write record: what one write says, as it stands in the journal.
//!
//! The payload is a head and the body, one after the other. The head, integers little-endian:
//!
//! | bytes | field |
//! | --- | --- |
//! | 1 | version of this format, 1 |
//! | 1 | endpoint: 1 line protocol, 2 Prometheus remote write |
//! | 1 | precision: 0 ns, 1 µs, 2 ms, 3 s, 4 m, 5 h |
//! | 1 | consistency: 0 none, 1 any, 2 one, 3 quorum, 4 all |
//! | 1 | flags: 1 = the body ends closed (it may have neighbours), 2 = the credentials are `u` and `p`, 4 = they are an `Authorization` |
//! | 4 | lines |
//! | 2 + n | database |
//! | 2 + n | retention policy |
//! | 2 + n, 2 + n | `u`, `p` (flag 2) |
//! | 2 + n | value of `Authorization` (flag 4) |
//!
//! `/api/v2/write` is stored as the line protocol that it carries, database and retention policy taken from its bucket, so
//! it is replayed to `/write`, which every 1.x knows.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::influx::{Consistency, Credentials, Ending, Precision};
use crate::journal::Kind;

/// The journal's kind of a write.
pub const WRITE: Kind = Kind(1);

const VERSION: u8 = 1;
const CLOSED: u8 = 1;
const PARAMETERS: u8 = 2;
const AUTHORIZATION: u8 = 4;

/// What the bytes of a write are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Line protocol, for `/write`.
    LineProtocol,
    /// A snappy-compressed Prometheus remote write, for `/api/v1/prom/write`.
    Prometheus,
}

/// Where a write goes and in whose name. Only writes of one address may be joined.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// What the body is.
    pub form: Form,
    /// Unit of the body's timestamps.
    pub precision: Precision,
    /// Passed on as it came; open-source InfluxDB ignores it.
    pub consistency: Option<Consistency>,
    /// Database: the lane.
    pub database: String,
    /// Retention policy; empty for the default one.
    pub retention_policy: String,
    /// Who wrote it.
    pub credentials: Credentials,
}

impl Destination {
    /// Whether two bodies may go there in one request, if need be after their timestamps were given one unit.
    pub(in crate::relay) fn may_join(&self, other: &Destination) -> bool {
        let Destination {
            form,
            precision: _,
            consistency,
            database,
            retention_policy,
            credentials,
        } = self;
        *form == other.form
            && *consistency == other.consistency
            && *database == other.database
            && *retention_policy == other.retention_policy
            && *credentials == other.credentials
    }
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteRecord {
    /// Where it goes.
    pub destination: Destination,
    /// Points that it holds.
    pub lines: u32,
    /// Whether neighbours may follow its body in one request.
    pub ending: Ending,
    /// The body, as it is sent.
    pub body: Bytes,
}

/// A payload that is no write record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The payload ends inside the head.
    #[error("the record ends inside its head")]
    Short,
    /// Of a kind that this haflux does not know.
    #[error("the record is of kind {0}, which this haflux does not know")]
    Kind(u8),
    /// Written by a version of haflux that this one does not know.
    #[error("the record has format version {0}; this haflux reads version {VERSION}")]
    Version(u8),
    /// A field has a value that no version writes.
    #[error("the record's {field} is {value}, which means nothing")]
    Value {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u8,
    },
    /// A text field is not UTF-8.
    #[error("the record's {0} is not UTF-8")]
    Text(&'static str),
}

/// A field that does not fit the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is longer than 65535 bytes")]
pub struct FieldTooLong {
    /// Which field.
    pub field: &'static str,
}

impl WriteRecord {
    /// The head, to be followed by [`WriteRecord::body`].
    pub fn encode_head(&self) -> Result<Bytes, FieldTooLong> {
        let destination = &self.destination;
        let credentials = &destination.credentials;
        let mut head = BytesMut::with_capacity(
            64 + destination.database.len() + destination.retention_policy.len(),
        );
        head.put_u8(VERSION);
        head.put_u8(match destination.form {
            Form::LineProtocol => 1,
            Form::Prometheus => 2,
        });
        head.put_u8(match destination.precision {
            Precision::Nanoseconds => 0,
            Precision::Microseconds => 1,
            Precision::Milliseconds => 2,
            Precision::Seconds => 3,
            Precision::Minutes => 4,
            Precision::Hours => 5,
        });
        head.put_u8(match destination.consistency {
            None => 0,
            Some(Consistency::Any) => 1,
            Some(Consistency::One) => 2,
            Some(Consistency::Quorum) => 3,
            Some(Consistency::All) => 4,
        });
        let mut flags = 0;
        if self.ending == Ending::Closed {
            flags |= CLOSED;
        }
        flags |= match credentials {
            Credentials::None => 0,
            Credentials::Parameters { .. } => PARAMETERS,
            Credentials::Authorization(_) => AUTHORIZATION,
        };
        head.put_u8(flags);
        head.put_u32_le(self.lines);
        put_field(&mut head, "db", destination.database.as_bytes())?;
        put_field(&mut head, "rp", destination.retention_policy.as_bytes())?;
        match credentials {
            Credentials::None => {}
            Credentials::Parameters { user, password } => {
                put_field(&mut head, "u", user)?;
                put_field(&mut head, "p", password)?;
            }
            Credentials::Authorization(value) => put_field(&mut head, "Authorization", value)?,
        }
        Ok(head.freeze())
    }

    /// The head and the body in one piece. A body that nobody else holds, and behind which there is room in its memory, is not
    /// copied.
    pub fn into_payload(self) -> Result<Bytes, FieldTooLong> {
        let head = self.encode_head()?;
        let length = head.len().saturating_add(self.body.len());
        match self.body.try_into_mut() {
            Ok(mut payload) if payload.capacity() >= length => {
                let body = payload.len();
                payload.resize(length, 0);
                payload.copy_within(..body, head.len());
                let (front, _) = payload.split_at_mut(head.len());
                front.copy_from_slice(&head);
                Ok(payload.freeze())
            }
            Ok(body) => Ok(joined(&head, &body)),
            Err(body) => Ok(joined(&head, &body)),
        }
    }

    /// Reads a payload; the body shares its memory.
    pub fn decode(mut payload: Bytes) -> Result<WriteRecord, RecordError> {
        let version = payload.try_get_u8().map_err(|_| RecordError::Short)?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let mut byte = || payload.try_get_u8().map_err(|_| RecordError::Short);
        let form = match byte()? {
            1 => Form::LineProtocol,
            2 => Form::Prometheus,
            value => {
                return Err(RecordError::Value {
                    field: "endpoint",
                    value,
                });
            }
        };
        let precision = match byte()? {
            0 => Precision::Nanoseconds,
            1 => Precision::Microseconds,
            2 => Precision::Milliseconds,
            3 => Precision::Seconds,
            4 => Precision::Minutes,
            5 => Precision::Hours,
            value => {
                return Err(RecordError::Value {
                    field: "precision",
                    value,
                });
            }
        };
        let consistency = match byte()? {
            0 => None,
            1 => Some(Consistency::Any),
            2 => Some(Consistency::One),
            3 => Some(Consistency::Quorum),
            4 => Some(Consistency::All),
            value => {
                return Err(RecordError::Value {
                    field: "consistency",
                    value,
                });
            }
        };
        let flags = byte()?;
        let lines = payload.try_get_u32_le().map_err(|_| RecordError::Short)?;
        let database = take_text(&mut payload, "db")?;
        let retention_policy = take_text(&mut payload, "rp")?;
        let credentials = match flags & !CLOSED {
            0 => Credentials::None,
            PARAMETERS => Credentials::Parameters {
                user: take_field(&mut payload)?.to_vec(),
                password: take_field(&mut payload)?.to_vec(),
            },
            AUTHORIZATION => Credentials::Authorization(take_field(&mut payload)?.to_vec()),
            _ => {
                return Err(RecordError::Value {
                    field: "flags",
                    value: flags,
                });
            }
        };
        Ok(WriteRecord {
            destination: Destination {
                form,
                precision,
                consistency,
                database,
                retention_policy,
                credentials,
            },
            lines,
            ending: if flags & CLOSED == 0 {
                Ending::Open
            } else {
                Ending::Closed
            },
            body: payload,
        })
    }
}

fn joined(head: &[u8], body: &[u8]) -> Bytes {
    let mut payload = BytesMut::with_capacity(head.len().saturating_add(body.len()));
    payload.extend_from_slice(head);
    payload.extend_from_slice(body);
    payload.freeze()
}

pub(in crate::relay) fn put_field(
    head: &mut BytesMut,
    field: &'static str,
    value: &[u8],
) -> Result<(), FieldTooLong> {
    let length = u16::try_from(value.len()).map_err(|_| FieldTooLong { field })?;
    head.put_u16_le(length);
    head.put_slice(value);
    Ok(())
}

pub(in crate::relay) fn take_field(payload: &mut Bytes) -> Result<Bytes, RecordError> {
    let length = usize::from(payload.try_get_u16_le().map_err(|_| RecordError::Short)?);
    if payload.len() < length {
        return Err(RecordError::Short);
    }
    Ok(payload.split_to(length))
}

pub(in crate::relay) fn take_text(
    payload: &mut Bytes,
    field: &'static str,
) -> Result<String, RecordError> {
    let bytes = take_field(payload)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| RecordError::Text(field))
}
