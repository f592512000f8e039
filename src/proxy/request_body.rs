//! Reads a request's body into memory, within limits.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use pingora::proxy::Session;

use crate::stats::Stats;

/// Bytes of bodies that may be held at once.
#[derive(Debug, Clone)]
pub struct BodyBudget(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: u64,
    stats: Arc<Stats>,
}

/// A whole body; its bytes count against the budget until it is dropped.
#[derive(Debug)]
pub struct HeldBody {
    bytes: Bytes,
    _reservation: Reservation,
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

#[derive(Debug)]
struct Reservation {
    budget: BodyBudget,
    bytes: usize,
}

impl BodyBudget {
    /// Room for `limit` bytes.
    pub fn new(limit: usize, stats: Arc<Stats>) -> Self {
        Self(Arc::new(Account {
            limit: limit as u64,
            stats,
        }))
    }

    fn reserve_nothing(&self) -> Reservation {
        Reservation {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

impl Reservation {
    fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let Account { limit, stats } = &*self.budget.0;
        let fits = |held: u64| held.saturating_add(bytes as u64) <= *limit;
        if !stats.query_inflight.add_if(bytes as u64, fits) {
            return Err(BodyError::NoRoom);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let held = &self.budget.0.stats.query_inflight;
        held.subtract(self.bytes as u64);
    }
}

impl HeldBody {
    /// The body.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Reads the whole body of `session`'s request, at most `limit` bytes of it. A client that waits for `100 Continue` gets it
/// once the announced length is within the limits.
///
/// # Errors
///
/// [`BodyError`]; what the client still has to send is not read then.
pub async fn read_request_body(
    session: &mut Session,
    limit: usize,
    budget: &BodyBudget,
) -> Result<HeldBody, BodyError> {
    let mut reservation = budget.reserve_nothing();
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
            _reservation: reservation,
        });
    }
    if pingora::protocols::http::v1::common::is_expect_continue_req(session.req_header()) {
        session
            .write_continue_response()
            .await
            .map_err(BodyError::Client)?;
    }
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(piece) = session
        .read_request_body()
        .await
        .map_err(BodyError::Client)?
    {
        if whole.len() + joined.len() + piece.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        reservation.grow(piece.len())?;
        // A body that came in one piece is not copied.
        if whole.is_empty() && joined.is_empty() {
            whole = piece;
            continue;
        }
        if !whole.is_empty() {
            joined.extend_from_slice(&std::mem::take(&mut whole));
        }
        joined.extend_from_slice(&piece);
    }
    if !joined.is_empty() {
        whole = joined.freeze();
    }
    Ok(HeldBody {
        bytes: whole,
        _reservation: reservation,
    })
}
