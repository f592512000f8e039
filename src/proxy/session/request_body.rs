//! Reads a request's body into memory, within limits.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use pingora::proxy::Session;

use crate::budget::{Budget, Reservation};
use crate::pieces::Pieces;
use crate::source::Source;

/// A whole body; its bytes count against the budget, if it was read within one, until it is dropped.
#[derive(Debug)]
pub struct HeldBody {
    bytes: Bytes,
    _reservation: Option<Reservation>,
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than the limit.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Too many bytes of bodies are held already.
    #[error("too many bytes of requests are held already")]
    NoRoom,
    /// The client stopped sending, or sent what is no body.
    #[error("the body could not be read: {0}")]
    Client(Box<pingora::Error>),
}

impl HeldBody {
    /// The body.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Reads the whole body of `session`'s request, at most `limit` bytes of it, in the share of `source`. A client that waits for
/// `100 Continue` gets it once the announced length is within the limits.
///
/// # Errors
///
/// [`BodyError`]; what the client still has to send is not read then.
pub async fn read_request_body(
    session: &mut Session,
    limit: usize,
    budget: &Arc<Budget>,
    source: Source,
) -> Result<HeldBody, BodyError> {
    let mut reservation = budget.begin(Some(source));
    let announced = session
        .req_header()
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > limit) {
        return Err(BodyError::TooLarge { limit });
    }
    if session.is_body_done() {
        return Ok(HeldBody {
            bytes: Bytes::new(),
            _reservation: Some(reservation),
        });
    }
    if pingora::protocols::http::v1::common::is_expect_continue_req(session.req_header()) {
        session
            .write_continue_response()
            .await
            .map_err(BodyError::Client)?;
    }
    let mut pieces = Pieces::default();
    loop {
        let piece = tokio::select! {
            piece = session.read_request_body() => piece.map_err(BodyError::Client)?,
            () = reservation.revoked() => return Err(BodyError::NoRoom),
        };
        let Some(piece) = piece else {
            break;
        };
        let length = pieces.length().saturating_add(piece.len());
        if length > limit {
            return Err(BodyError::TooLarge { limit });
        }
        let covered = reservation.cover(length).await;
        covered.map_err(|_| BodyError::NoRoom)?;
        pieces.push(piece);
    }
    reservation.shrink(pieces.length());
    reservation.settle();
    Ok(HeldBody {
        bytes: pieces.join(),
        _reservation: Some(reservation),
    })
}

/// Takes the body of a request that has come whole: it is in the connection's memory already, which bounds it.
///
/// # Errors
///
/// It is malformed.
pub(in crate::proxy) async fn take_whole_body(session: &mut Session) -> pingora::Result<HeldBody> {
    let mut pieces = Pieces::default();
    while let Some(piece) = session.read_request_body().await? {
        pieces.push(piece);
    }
    Ok(HeldBody {
        bytes: pieces.join(),
        _reservation: None,
    })
}
