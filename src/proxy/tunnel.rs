//! Upgraded connections: WebSocket.
//!
//! Pingora's own path can do this, but it takes the end of the request that asked for the upgrade for the end of the tunnel
//! when the server's 101 is faster than that end travels through its pipe. It also knows one timeout only for the answer and
//! for the tunnel.

use std::time::Duration;

use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::v1::client::HttpSession;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::forward::write_piece;
use super::hop_by_hop;

/// The protocol that the request asks to change to, if that is WebSocket and nothing else stands in the way.
pub(super) fn wanted(session: &mut Session) -> Option<HeaderValue> {
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

/// Makes a request that has lost its hop-by-hop headers ask for `protocol` again.
pub(super) fn ask(request: &mut RequestHeader, protocol: HeaderValue) -> pingora::Result<()> {
    request.insert_header("Connection", "Upgrade")?;
    request.insert_header("Upgrade", protocol)
}

/// Tells the client that the protocol changed, and passes bytes both ways until one side ends or both were silent for
/// `silence`.
///
/// # Errors
///
/// Of either connection. One that ends or falls silent is none.
pub(super) async fn run(
    session: &mut Session,
    mut upstream: HttpSession,
    mut header: ResponseHeader,
    silence: Duration,
) -> pingora::Result<()> {
    let protocol = header.headers.get(UPGRADE).cloned();
    hop_by_hop::strip_response(&mut header);
    header.insert_header("Connection", "Upgrade")?;
    if let Some(protocol) = protocol {
        header.insert_header("Upgrade", protocol)?;
    }
    session.set_read_timeout(Some(silence));
    upstream.read_timeout = Some(silence);
    session
        .write_response_header(Box::new(header), false)
        .await?;
    if !session.was_upgraded() {
        return Err(Error::new_in(ErrorType::InternalError));
    }
    upstream.maybe_upgrade_body_writer();
    loop {
        // Traffic in either direction starts both waits anew.
        tokio::select! {
            sent = session.downstream_session.read_request_body() => match sent {
                Ok(Some(piece)) => {
                    upstream.write_body(&piece).await.map_err(|error| error.into_up())?;
                }
                Ok(None) => break,
                Err(error) if *error.etype() == ErrorType::ReadTimedout => break,
                Err(error) => return Err(error.into_down()),
            },
            answered = upstream.read_body_ref() => match answered {
                Ok(Some(piece)) => write_piece(session, piece).await?,
                Ok(None) => break,
                Err(error) if *error.etype() == ErrorType::ReadTimedout => break,
                Err(error) => return Err(error.into_up()),
            },
        }
    }
    upstream.shutdown().await;
    Ok(())
}
