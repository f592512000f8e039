//! Upgraded connections: WebSocket.
//!
//! Pingora's own path can do this, but it takes the end of the request that asked for the upgrade for the end of the tunnel
//! when the server's 101 is faster than that end travels through its pipe. It also knows one timeout only for the answer and
//! for the tunnel, and holds two buffers of 64 KiB for each. So the two streams are taken out of their sessions, and bytes
//! are passed between them directly; a tunnel on which nothing happens holds no buffer.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{BError, Error, ErrorType};

use super::exchange::Upstream;
use crate::proxy::client::Client;
use crate::proxy::session::context::Passed;

mod pass;

use pass::{Broken, Tunnel};

/// The protocol that the request asks to change to, if that is WebSocket and nothing else stands in the way.
pub(in crate::proxy) fn wanted(session: &mut Session) -> Option<HeaderValue> {
    if !session.is_upgrade_req() || !session.is_body_done() {
        return None;
    }
    let headers = &session.req_header().headers;
    let protocol = headers.get(UPGRADE)?;
    let is_websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    (is_websocket && names_upgrade(headers)).then(|| protocol.clone())
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case("upgrade"))
}

/// Tells the client that the protocol changed, and passes bytes both ways until both sides end or both were silent for
/// `silence`. `passed` becomes how many bytes went from the client and to it.
///
/// # Errors
///
/// Of either connection. One that ends or falls silent is none.
pub(in crate::proxy) async fn run(
    session: &mut Session,
    upstream: Upstream,
    mut header: ResponseHeader,
    silence: Duration,
    passed: &mut Passed,
) -> pingora::Result<()> {
    header.insert_header("Connection", "Upgrade")?;
    session
        .write_response_header(Box::new(header), false)
        .await?;
    if !session.was_upgraded() {
        return Err(Error::new_in(ErrorType::InternalError));
    }
    let Some((client, sent)) = Client::take_stream(session.as_downstream()) else {
        return Err(Error::new_in(ErrorType::InternalError));
    };
    let mut tunnel = Tunnel::new((client, sent), upstream.into_tunnel(), silence);
    let ended = poll_fn(|context| tunnel.poll(context)).await;
    *passed = tunnel.passed();
    match ended {
        Ok(()) => Ok(()),
        Err(Broken::Client(error)) => Err(broken(error).into_down()),
        Err(Broken::Server(error)) => Err(broken(error).into_up()),
    }
}

fn broken(error: io::Error) -> BError {
    Error::because(ErrorType::ReadError, "a tunnel broke", error)
}
