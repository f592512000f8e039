//! A request to a replica as it goes over the wire: one head, then pieces of bodies that are never copied together.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::dial::Dialer;
use crate::influx::{Credentials, WriteEndpoint};

use crate::relay::record::statement::StatementRecord;
use crate::relay::record::write::{Destination, Form};

/// Everything but RFC 3986's unreserved characters.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const USER_AGENT: &str = concat!("haflux/", env!("CARGO_PKG_VERSION"));

/// The node that a request is for.
#[derive(Clone, Copy)]
pub(in crate::relay) struct Recipient<'a> {
    /// Where it is.
    pub(in crate::relay) address: SocketAddr,
    /// What knows who has an account of its own there.
    pub(in crate::relay) dialer: &'a Dialer,
}

/// The head of a write request with a body of `length` bytes, gzipped if it `is_packed`.
pub(in crate::relay) fn write_request_header(
    destination: &Destination,
    to: Recipient<'_>,
    length: usize,
    is_packed: bool,
) -> Bytes {
    let credentials = to.dialer.credentials(&destination.credentials);
    let endpoint = match destination.form {
        Form::LineProtocol => WriteEndpoint::V1,
        Form::Prometheus => WriteEndpoint::Prometheus,
    };
    let mut head = Vec::with_capacity(256);
    head.extend_from_slice(b"POST ");
    head.extend_from_slice(endpoint.path().as_bytes());
    put_parameter(&mut head, b"?db=", &destination.database);
    if !destination.retention_policy.is_empty() {
        put_parameter(&mut head, b"&rp=", &destination.retention_policy);
    }
    if destination.form == Form::LineProtocol {
        put_parameter(&mut head, b"&precision=", destination.precision.v1_name());
    }
    if let Some(consistency) = destination.consistency {
        put_parameter(&mut head, b"&consistency=", consistency.name());
    }
    put_credentials(&mut head, &credentials);
    put_headers(&mut head, &credentials, to.address);
    if is_packed {
        head.extend_from_slice(b"Content-Encoding: gzip\r\n");
    }
    head.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
    Bytes::from(head)
}

/// The head of a statement's request, with the length of its body.
pub(in crate::relay) fn statement_head(statement: &StatementRecord, to: Recipient<'_>) -> Bytes {
    let StatementRecord {
        method,
        target,
        content_type,
        credentials,
        body,
        ..
    } = statement;
    let credentials = to.dialer.credentials(credentials);
    let mut head = Vec::with_capacity(256 + target.len());
    head.extend_from_slice(format!("{} {target}", method.name()).as_bytes());
    if !target.contains('?') && matches!(*credentials, Credentials::Parameters { .. }) {
        head.push(b'?');
    }
    put_credentials(&mut head, &credentials);
    put_headers(&mut head, &credentials, to.address);
    if !content_type.is_empty() {
        head.extend_from_slice(format!("Content-Type: {content_type}\r\n").as_bytes());
    }
    head.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    Bytes::from(head)
}

/// The whole of a request that asks a node one statement which only reads.
pub(in crate::relay) fn query_request(
    statement: &str,
    database: &str,
    credentials: &Credentials,
    to: Recipient<'_>,
) -> Bytes {
    let credentials = to.dialer.credentials(credentials);
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(b"GET /query");
    put_parameter(&mut head, b"?db=", database);
    put_parameter(&mut head, b"&epoch=ns&q=", statement);
    put_credentials(&mut head, &credentials);
    put_headers(&mut head, &credentials, to.address);
    head.extend_from_slice(b"\r\n");
    Bytes::from(head)
}

/// The whole of a `GET` of `path_and_query`, which must already be fit for a request line.
pub(in crate::relay) fn get_request(path_and_query: &str, host: SocketAddr) -> Bytes {
    Bytes::from(format!(
        "GET {path_and_query} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\n\r\n"
    ))
}

/// Those that stand in the request line.
fn put_credentials(head: &mut Vec<u8>, credentials: &Credentials) {
    if let Credentials::Parameters { user, password } = credentials {
        put_parameter(head, b"&u=", user);
        put_parameter(head, b"&p=", password);
    }
}

/// The end of the request line, and the headers that every request has.
fn put_headers(head: &mut Vec<u8>, credentials: &Credentials, host: SocketAddr) {
    head.extend_from_slice(
        format!(" HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\n").as_bytes(),
    );
    if let Credentials::Authorization(authorization) = credentials {
        head.extend_from_slice(b"Authorization: ");
        head.extend_from_slice(authorization);
        head.extend_from_slice(b"\r\n");
    }
}

fn put_parameter(head: &mut Vec<u8>, name: &[u8], value: impl AsRef<[u8]>) {
    head.extend_from_slice(name);
    for part in percent_encode(value.as_ref(), QUERY_VALUE) {
        head.extend_from_slice(part.as_bytes());
    }
}

/// Pieces of a request, written out one after the other without being joined in memory.
#[derive(Debug, Clone, Default)]
pub(in crate::relay) struct Pieces {
    pieces: VecDeque<Bytes>,
    remaining: usize,
}

impl Pieces {
    pub(in crate::relay) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.remaining += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Bytes that are left.
    pub(in crate::relay) fn length(&self) -> usize {
        self.remaining
    }

    pub(in crate::relay) fn push_front(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.remaining += piece.len();
            self.pieces.push_front(piece);
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece.as_ref())
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining = self.remaining.saturating_sub(count);
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::dial::OwnAccounts;
    use crate::influx::{Account, Credentials, Precision};
    use crate::relay::record::samples::statement_record;

    fn to(dialer: &Dialer) -> Recipient<'_> {
        let address = SocketAddr::from(([127, 0, 0, 1], 8086));
        Recipient { address, dialer }
    }

    #[test]
    fn a_node_is_told_the_account_that_a_user_has_there() {
        let account = |username: &str| Account::new(username.to_owned(), b"p".to_vec());
        let dialer = Dialer::default();
        let accounts = OwnAccounts::new([(account("haflux"), account("other"))]);
        dialer.know(Arc::new(accounts));
        let credentials = Credentials::Authorization(account("haflux").header().into_bytes());
        let destination = Destination {
            form: Form::LineProtocol,
            precision: Precision::Seconds,
            consistency: None,
            database: "d".to_owned(),
            retention_policy: String::new(),
            credentials: credentials.clone(),
        };
        let statement = StatementRecord {
            credentials: credentials.clone(),
            ..statement_record("")
        };
        let expected = format!("\r\nAuthorization: {}\r\n", account("other").header());
        for head in [
            write_request_header(&destination, to(&dialer), 12, false),
            statement_head(&statement, to(&dialer)),
            query_request("SHOW QUERIES", "", &credentials, to(&dialer)),
        ] {
            let text = String::from_utf8(head.to_vec()).expect("ASCII");
            assert!(text.contains(&expected), "{text}");
            assert_eq!(text.matches("Authorization").count(), 1, "{text}");
        }
    }

    #[test]
    fn a_head_carries_parameters_and_credentials_in_their_encoding() {
        let destination = Destination {
            form: Form::LineProtocol,
            precision: Precision::Seconds,
            consistency: None,
            database: "my db&x=1".to_owned(),
            retention_policy: "ä".to_owned(),
            credentials: Credentials::Parameters {
                user: b"u".to_vec(),
                password: b"p w\r\n".to_vec(),
            },
        };
        let head = write_request_header(&destination, to(&Dialer::default()), 12, false);
        let text = String::from_utf8(head.to_vec()).expect("ASCII");
        let mut lines = text.split("\r\n");
        assert_eq!(
            lines.next(),
            Some("POST /write?db=my%20db%26x%3D1&rp=%C3%A4&precision=s&u=u&p=p%20w%0D%0A HTTP/1.1")
        );
        assert!(text.contains("\r\nHost: 127.0.0.1:8086\r\n"));
        assert!(text.ends_with("\r\nContent-Length: 12\r\n\r\n"));
        assert!(!text.contains("Content-Encoding"));
        let authorized = Destination {
            credentials: Credentials::Authorization(b"Basic abc".to_vec()),
            ..destination
        };
        let head = write_request_header(&authorized, to(&Dialer::default()), 12, true);
        assert!(String::from_utf8_lossy(&head).contains("\r\nContent-Encoding: gzip\r\n"));
        assert!(String::from_utf8_lossy(&head).contains("\r\nAuthorization: Basic abc\r\n"));
    }

    #[test]
    fn a_question_is_encoded_and_asked_in_the_name_of_who_wrote() {
        let dialer = Dialer::default();
        let credentials = Credentials::Authorization(b"Basic abc".to_vec());
        let request = query_request("SELECT \"v\" FROM m", "a b", &credentials, to(&dialer));
        let text = String::from_utf8(request.to_vec()).expect("ASCII");
        assert!(text.starts_with(
            "GET /query?db=a%20b&epoch=ns&q=SELECT%20%22v%22%20FROM%20m HTTP/1.1\r\n"
        ));
        assert!(text.contains("\r\nAuthorization: Basic abc\r\n"));
        assert!(text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn a_statement_is_sent_as_it_was_taken() {
        let mut statement = StatementRecord {
            content_type: "application/x-www-form-urlencoded".to_owned(),
            credentials: Credentials::Parameters {
                user: b"u".to_vec(),
                password: b"p w".to_vec(),
            },
            body: Bytes::from_static(b"q=x"),
            ..statement_record("")
        };
        let dialer = Dialer::default();
        let text = |statement: &StatementRecord| {
            String::from_utf8(statement_head(statement, to(&dialer)).to_vec()).expect("ASCII")
        };
        let form = text(&statement);
        assert!(
            form.starts_with("POST /query?&u=u&p=p%20w HTTP/1.1\r\nHost: "),
            "{form}"
        );
        assert!(form.contains("\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
        assert!(form.ends_with("\r\nContent-Length: 3\r\n\r\n"));
        statement.target = "/api/v2/delete?bucket=b".to_owned();
        statement.credentials = Credentials::Authorization(b"Token a:b".to_vec());
        statement.content_type = String::new();
        let other = text(&statement);
        assert!(
            other.starts_with("POST /api/v2/delete?bucket=b HTTP/1.1\r\n"),
            "{other}"
        );
        assert!(
            other.contains("\r\nAuthorization: Token a:b\r\n") && !other.contains("Content-Type")
        );
    }

    #[test]
    fn pieces_read_as_one() {
        let mut pieces = Pieces::default();
        for piece in ["ab", "", "cde", "f"] {
            pieces.push(Bytes::from_static(piece.as_bytes()));
        }
        pieces.push_front(Bytes::from_static(b"0"));
        assert_eq!(pieces.remaining(), 7);
        pieces.advance(2);
        assert_eq!(pieces.copy_to_bytes(5), Bytes::from_static(b"bcdef"));
        assert!(!pieces.has_remaining());
    }
}
