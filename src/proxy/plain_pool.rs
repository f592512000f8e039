//! The decisions on Pingora's own path: which server, whether another one, and what the client hears when none will do.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::TRANSFER_ENCODING;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{BError, Error, ErrorSource, ErrorType};

use super::client::BodyFault;
use super::pool::greeting::Greeting;
use super::pool::pingora_dial::PingoraDial;
use super::serving::Serving;
use super::session::access_log::Termination;
use super::session::context::RequestContext;
use super::session::error_answer::{ErrorAnswer, has_begun};
use super::session::error_kind::ErrorKind;
use crate::http_response::TransferEncoding;

impl Serving {
    /// The server for the next try.
    ///
    /// # Errors
    ///
    /// There is none: 503.
    pub(super) fn peer(
        &self,
        session: &Session,
        context: &mut RequestContext,
    ) -> pingora::Result<Box<HttpPeer>> {
        let chosen = self.pool(context.target).and_then(|pool| {
            let (index, address) = pool.choose(context.address(), &context.tried)?;
            Some((pool, index, pool.server(index)?, address))
        });
        let Some((pool, index, server, address)) = chosen else {
            return Err(Error::new_up(ErrorType::HTTPStatus(503)));
        };
        context.chose(index, server);
        let config = pool.config();
        let mut peer = HttpPeer::new(address, false, String::new());
        peer.options.connection_timeout = Some(config.connect_timeout);
        peer.options.read_timeout = Some(config.server_timeout);
        peer.options.write_timeout = Some(config.server_timeout);
        peer.options.idle_timeout = Some(config.server_keep_alive);
        let greeting = Greeting::of_client(config, session, context.client);
        if greeting.is_some() || server.dialer.is_secure() {
            peer.options.custom_l4 = Some(Arc::new(PingoraDial {
                dialer: Arc::clone(&server.dialer),
                greeting,
                longest: config.connect_timeout,
            }));
            // Kept for nobody, and what is kept for others is not taken.
            peer.options.idle_timeout = Some(Duration::ZERO);
            peer.group_key = fastrand::u64(1..);
        }
        Ok(Box::new(peer))
    }

    /// Gives up the server that the stock path is talking to; true if there is another one to go to.
    fn another(&self, context: &mut RequestContext) -> bool {
        let Some(pool) = self.pool(context.target) else {
            return false;
        };
        context.tried.extend(context.server);
        let again =
            context.tried.len() <= pool.config().retries && pool.choose_exists(&context.tried);
        if again && let Some(server) = self.current_server(context) {
            context.moves_from(server);
        }
        again
    }

    /// No connection could be made.
    pub(super) fn not_connected(&self, context: &mut RequestContext, mut error: BError) -> BError {
        if let Some(server) = self.current_server(context) {
            server.stats.count_connection(false);
            server.stats.connect_errors.increment();
        }
        context.termination = Termination::NoServer;
        // Nothing was sent.
        error.set_retry(self.another(context));
        error
    }

    /// The exchange broke off. Tried again only if that cannot do anything twice.
    pub(super) fn broken(
        &self,
        session: &mut Session,
        mut error: BError,
        context: &mut RequestContext,
        reused: bool,
    ) -> BError {
        if *error.esource() != ErrorSource::Upstream {
            context.termination = Termination::ClientLeft;
            error.set_retry(false);
            return error;
        }
        let begun = has_begun(session);
        let silent = matches!(
            error.etype(),
            ErrorType::ReadTimedout | ErrorType::WriteTimedout
        );
        context.termination = match (begun, silent) {
            (false, false) => Termination::ServerBroke,
            (false, true) => Termination::ServerSilent,
            (true, false) => Termination::AnswerBroke,
            (true, true) => Termination::AnswerSilent,
        };
        let safe = !begun
            && !silent
            && session.req_header().method.is_idempotent()
            && !session.retry_buffer_truncated();
        if safe && reused {
            // The connection may have been closed while it lay idle: that says nothing against the server.
            error.set_retry(true);
            return error;
        }
        if let Some(server) = self.current_server(context) {
            server.stats.response_errors.increment();
        }
        error.set_retry(safe && self.another(context));
        error
    }

    /// Finds out whether the answer of a server may be passed on: not a change of protocol that nobody asked for, nor a body of which
    /// nobody knows the encoding. What answers small requests judges alike.
    ///
    /// # Errors
    ///
    /// It may not: 502.
    pub(super) fn judge_answer(session: &Session, answer: &ResponseHeader) -> pingora::Result<()> {
        if answer.status == StatusCode::SWITCHING_PROTOCOLS && !session.is_upgrade_req() {
            let why = "a change of protocol that nobody asked for";
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, why).into_up());
        }
        let mut encoding = TransferEncoding::default();
        for line in answer.headers.get_all(TRANSFER_ENCODING) {
            encoding.note(line.as_bytes());
        }
        match encoding.is_chunked() {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = Error::because(ErrorType::InvalidHTTPHeader, "an answer", error);
                Err(error.into_up())
            }
        }
    }

    /// What the client is told of a failure, or `None` if it is gone.
    pub(super) fn failure_answer(
        &self,
        error: &Error,
        context: &mut RequestContext,
    ) -> Option<ErrorAnswer> {
        if context.termination == Termination::Tarpitted {
            // Who leaves while it waits is logged as who waits to the end.
            return None;
        }
        let backend = context
            .target
            .and_then(|target| self.target_name(target))
            .unwrap_or_default();
        if let Some(fault) = BodyFault::of(error) {
            return Some(ErrorAnswer::fault(fault));
        }
        match (error.esource(), error.etype()) {
            (
                ErrorSource::Downstream,
                ErrorType::ReadError
                | ErrorType::WriteError
                | ErrorType::WriteTimedout
                | ErrorType::ConnectionClosed
                | ErrorType::ConnectError,
            ) => {
                context.termination = Termination::ClientLeft;
                None
            }
            (ErrorSource::Downstream, _) => {
                context.termination = Termination::Refused;
                Some(ErrorAnswer::bad_request())
            }
            (ErrorSource::Upstream, etype) => Some(match etype {
                ErrorType::ReadTimedout | ErrorType::WriteTimedout => {
                    ErrorAnswer::gateway_timeout(backend)
                }
                ErrorType::ConnectTimedout
                | ErrorType::ConnectRefused
                | ErrorType::ConnectNoRoute
                | ErrorType::ConnectError
                | ErrorType::TLSHandshakeFailure
                | ErrorType::TLSHandshakeTimedout
                | ErrorType::SocketError
                | ErrorType::BindError => ErrorAnswer::unreachable(backend),
                ErrorType::HTTPStatus(_) => {
                    context.termination = Termination::NoServer;
                    ErrorAnswer::no_server(backend)
                }
                _ => ErrorAnswer::bad_gateway(backend),
            }),
            (ErrorSource::Internal | ErrorSource::Unset, _) => {
                log::error!("{}: {}", self.config.name, ErrorKind(error));
                context.termination = Termination::Refused;
                Some(ErrorAnswer::internal())
            }
        }
    }
}
