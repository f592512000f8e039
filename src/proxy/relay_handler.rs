//! A relay behind a frontend: reads the body that the relay admits, and sends what the relay answers.

use async_trait::async_trait;
use pingora::http::ResponseHeader;
use pingora::protocols::http::v1::common::is_expect_continue_req;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::client::Client;
use super::forward::{frame, write_piece};
use super::session::access_log::Termination;
use super::session::context::RequestContext;
use super::session::error_answer::{ErrorAnswer, drain_rest};
use super::session::request_body::BodyError;
use super::{Handled, RelayHandler};
use crate::config::model::AllowedMeasurements;
use crate::influx::Answer;
use crate::influx::influxql::{Class, Request};
use crate::pieces::Pieces;
use crate::relay::verdict::freshness::Freshness;
use crate::relay::{Admitted, AdmittedStatement, Begun, Relay, Replicated, StreamedAnswer};
use crate::source::Source;

#[async_trait]
impl RelayHandler for Relay {
    async fn handle(
        &self,
        session: &mut Session,
        source: Source,
        allowed: Option<AllowedMeasurements>,
    ) -> pingora::Result<Handled> {
        Relay::ready(self).await;
        let request = session.req_header();
        let uri = &request.uri;
        let begun = self.begin(
            source,
            &request.method,
            uri.path(),
            uri.query().unwrap_or_default(),
            &request.headers,
        );
        let mut admitted = match begun {
            Begun::Answered(answer) => return Ok(Handled::Answer(answer)),
            Begun::Body(admitted) => admitted,
        };
        if let Err(answer) = self.judge(&admitted, source).await {
            return Ok(Handled::Answer(answer));
        }
        if let Some(allowed) = allowed {
            admitted.allow_only(allowed);
        }
        match read_body(self, session, &mut admitted).await {
            Ok(body) => {
                let finished = self.finish(admitted, body).await;
                Ok(finished.map_or_else(Handled::Other, Handled::Answer))
            }
            Err(NoBody::Refused(answer)) => Ok(Handled::Answer(answer)),
            Err(NoBody::Client(error)) => match ErrorAnswer::body(&error) {
                Some(answer) => answer.send(session).await.map(|()| Handled::Told),
                None => match error {
                    BodyError::Client(error) => Err(error),
                    BodyError::TooLarge { .. } | BodyError::NoRoom => Ok(Handled::Told),
                },
            },
        }
    }

    async fn admit_statement(
        &self,
        request: &Request<'_>,
        class: &Class,
        source: Source,
    ) -> Result<AdmittedStatement, Answer> {
        Relay::admit_statement(self, request, class, source).await
    }

    async fn replicate(&self, statement: AdmittedStatement) -> Replicated {
        Relay::replicate(self, statement).await
    }

    async fn ready(&self) {
        Relay::ready(self).await;
    }

    fn freshness(&self) -> Option<&Freshness> {
        Some(Relay::freshness(self))
    }
}

/// Why there is no body.
enum NoBody {
    /// The relay does not want it.
    Refused(Answer),
    /// The client did not send it.
    Client(BodyError),
}

impl From<Box<pingora::Error>> for NoBody {
    fn from(error: Box<pingora::Error>) -> Self {
        Self::Client(BodyError::Client(error))
    }
}

async fn read_body(
    relay: &Relay,
    session: &mut Session,
    admitted: &mut Admitted,
) -> Result<Pieces, NoBody> {
    if is_expect_continue_req(session.req_header()) {
        session.write_continue_response().await?;
    }
    let mut pieces = Pieces::default();
    loop {
        let piece = tokio::select! {
            piece = session.read_request_body() => piece?,
            answer = relay.revoked(admitted) => return Err(NoBody::Refused(answer)),
        };
        let Some(piece) = piece else {
            return Ok(pieces);
        };
        let received = relay.receive(admitted, piece.len()).await;
        received.map_err(NoBody::Refused)?;
        pieces.push(piece);
    }
}

/// Sends an answer of the relay while it comes. If it has no end, the client's connection ends before the body does.
pub(super) async fn send_streamed(
    session: &mut Session,
    context: &mut RequestContext,
    mut answer: StreamedAnswer,
) -> pingora::Result<()> {
    drain_rest(session);
    // The nodes wait for its end.
    Client::hurry(session);
    let mut header =
        ResponseHeader::build(answer.head.status, Some(answer.head.headers.len() + 1))?;
    for (name, value) in std::mem::take(&mut answer.head.headers) {
        header.append_header(name, value)?;
    }
    frame(session, &mut header)?;
    session
        .write_response_header(Box::new(header), false)
        .await?;
    loop {
        let piece = match answer.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) => return session.write_response_body(None, true).await,
            Err(error) => {
                context.termination = Termination::AnswerBroke;
                return Err(Error::because(ErrorType::ReadError, "a statement", error).into_up());
            }
        };
        tokio::select! {
            biased;
            written = write_piece(session, &piece) => written?,
            () = answer.given_up() => {
                context.termination = Termination::ClientLeft;
                return Err(Error::explain(
                    ErrorType::WriteTimedout,
                    "the client takes the answer to a statement too slowly",
                )
                .into_down());
            }
        }
    }
}
