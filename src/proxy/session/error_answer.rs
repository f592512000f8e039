//! The answers that are our own: a page for a browser, JSON as InfluxDB's for everything else.

use std::time::Duration;

use askama::Template;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;

use crate::influx::Answer;
use crate::proxy::PageOrderError;
use crate::proxy::client::BodyFault;
use crate::proxy::pool::Pool;
use crate::proxy::routing::acl;
use crate::proxy::session::request_body::BodyError;

/// For how long the rest of a body that is not wanted is read, so that the client sees the answer.
const DRAIN: Duration = Duration::from_secs(2);
/// Seconds after which a client may try again, if nothing says more.
const RETRY_AFTER_SECONDS: u64 = 1;

/// An error that the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorAnswer {
    status: StatusCode,
    message: String,
    /// Seconds after which the client may try again, if that helps at all.
    retry_after: u64,
}

impl ErrorAnswer {
    /// No server of the backend is up.
    pub(crate) fn no_server(backend: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("no server of backend \"{backend}\" is up"),
        )
    }

    /// No server of the pool may be asked.
    pub(crate) fn none_of(pool: &Pool) -> Self {
        if pool.is_set_aside() {
            Self::none_follows(pool.name())
        } else if pool.is_ordered_away() {
            Self::none_ready(pool.name())
        } else {
            Self::no_server(pool.name())
        }
    }

    /// Every server has diverged, or is held.
    fn none_follows(backend: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "every server of backend \"{backend}\" has diverged or is held, so none may answer before a person has looked: haflux replica status"
            ),
        )
    }

    /// Every server that is up is in drain or maint, or has no weight.
    fn none_ready(backend: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "no server of backend \"{backend}\" takes requests: those that are up are in drain or maint, or have weight 0: haflux server list"
            ),
        )
    }

    /// Servers are up, and none of them has what was acknowledged.
    pub(crate) fn none_fresh(backend: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "no server of backend \"{backend}\" has applied everything that was acknowledged (on_stale = reject)"
            ),
        )
    }

    /// No rule and no default says where the request goes.
    pub(crate) fn no_backend(frontend: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("frontend \"{frontend}\" has no backend for this request"),
        )
    }

    /// No connection could be made to a server.
    pub(crate) fn unreachable(backend: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("no server of backend \"{backend}\" could be reached"),
        )
    }

    /// A server broke off before its answer.
    pub(crate) fn bad_gateway(backend: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            format!("a server of backend \"{backend}\" broke off before its answer"),
        )
    }

    /// A server ended while it had the request.
    pub(crate) fn ended(backend: &str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            format!(
                "a server of backend \"{backend}\" ended while it carried this request out, and may have ended because of it: no other server is asked"
            ),
        )
    }

    /// A server was silent for too long.
    pub(crate) fn gateway_timeout(backend: &str) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!("a server of backend \"{backend}\" did not answer in time"),
        )
    }

    /// The client is one of those that are not served.
    pub(crate) fn kept_out() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden: this client is not served here".into(),
        )
    }

    /// A rule refuses the request.
    pub(crate) fn denied(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("refused");
        let message = format!("{}: refused by a rule", reason.to_ascii_lowercase());
        Self::new(status, message)
    }

    /// The client sends more than it may, and has to wait for so long.
    pub(crate) fn too_many_requests(wait: Duration) -> Self {
        let started = u64::from(wait.subsec_nanos() > 0);
        Self {
            retry_after: wait.as_secs().saturating_add(started),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests from this address (rate_limit)".into(),
            )
        }
    }

    /// The status page wants a user and a password.
    pub(crate) fn wants_password() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "the status page wants a user and a password".into(),
        )
    }

    /// An order that is not carried out.
    pub(crate) fn order(error: &PageOrderError) -> Self {
        let status = match error {
            PageOrderError::NotFromPage => StatusCode::FORBIDDEN,
            PageOrderError::NoOrder => StatusCode::BAD_REQUEST,
            PageOrderError::Refused { .. } => StatusCode::NOT_FOUND,
        };
        Self::new(status, error.to_string())
    }

    /// The request's own fault.
    pub(crate) fn bad_request() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "the request is malformed".into())
    }

    /// Something of ours.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error".into())
    }

    /// Why a body was not taken. `None` if there is nobody left to tell.
    pub(crate) fn body(error: &BodyError) -> Option<Self> {
        if let BodyError::Client(error) = error
            && let Some(fault) = BodyFault::of(error)
        {
            return Some(Self::fault(fault));
        }
        let status = match error {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::Client(error) => match error.etype() {
                pingora::ErrorType::ReadTimedout => StatusCode::REQUEST_TIMEOUT,
                pingora::ErrorType::ReadError
                | pingora::ErrorType::WriteError
                | pingora::ErrorType::ConnectionClosed => return None,
                _ => return Some(Self::bad_request()),
            },
        };
        let message = match error {
            BodyError::Client(_) => "the body did not come in time".to_owned(),
            other => other.to_string(),
        };
        Some(Self::new(status, message))
    }

    /// Why a body did not arrive whole.
    pub(crate) fn fault(fault: BodyFault) -> Self {
        Self::new(fault.status(), fault.to_string())
    }

    fn new(status: StatusCode, message: String) -> Self {
        Self {
            status,
            message,
            retry_after: RETRY_AFTER_SECONDS,
        }
    }

    /// Whether the client may simply try again.
    fn is_passing(&self) -> bool {
        matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        )
    }

    /// Content type and body for who asked.
    fn render(&self, request: &RequestHeader) -> (&'static str, Bytes) {
        if wants_json(request) {
            let body = serde_json::json!({ "error": self.message });
            return ("application/json", Bytes::from(format!("{body}\n")));
        }
        let page = ErrorPage {
            code: self.status.as_u16(),
            reason: self.status.canonical_reason().unwrap_or_default(),
            message: &self.message,
        };
        // Writing to memory does not fail.
        let page = page.render().unwrap_or_default();
        ("text/html; charset=utf-8", Bytes::from(page))
    }

    /// Answers the request with it. Nothing happens if an answer has begun.
    ///
    /// # Errors
    ///
    /// Of the client's connection.
    pub(crate) async fn send(&self, session: &mut Session) -> pingora::Result<()> {
        if has_begun(session) {
            return Ok(());
        }
        if self.status == StatusCode::REQUEST_TIMEOUT {
            session.set_keepalive(None);
        } else {
            drain_rest(session);
        }
        let (content_type, body) = self.render(session.req_header());
        let mut header = ResponseHeader::build(self.status, Some(5))?;
        header.insert_header(CONTENT_TYPE, content_type)?;
        header.insert_header(CONTENT_LENGTH, body.len())?;
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = "Basic realm=\"haflux\", charset=\"UTF-8\"";
            header.insert_header(WWW_AUTHENTICATE, challenge)?;
        }
        if self.is_passing() {
            header.insert_header(RETRY_AFTER, self.retry_after)?;
        }
        send_whole(session, header, body).await
    }
}

/// Whether a final answer, or a tunnel, has begun.
pub(crate) fn has_begun(session: &Session) -> bool {
    session.response_written().is_some_and(|answer| {
        !answer.status.is_informational() || answer.status == StatusCode::SWITCHING_PROTOCOLS
    })
}

/// Before an answer to a request whose body is not wanted: a connection closed with bytes unread is reset, and the answer may
/// be lost with it, so the rest is read for a little while.
pub(crate) fn drain_rest(session: &mut Session) {
    if !session.is_body_done() {
        session.set_close_on_response_before_downstream_finish(false);
        session.set_total_drain_timeout(Some(DRAIN));
    }
}

/// Sends a whole answer in InfluxDB's form.
pub(in crate::proxy) async fn send(session: &mut Session, answer: Answer) -> pingora::Result<()> {
    drain_rest(session);
    let mut header = ResponseHeader::build(answer.status, Some(answer.headers.len() + 2))?;
    for (name, value) in answer.headers {
        header.append_header(name, value)?;
    }
    if answer.status != StatusCode::NO_CONTENT {
        header.insert_header(CONTENT_LENGTH, answer.body.len())?;
    }
    send_whole(session, header, answer.body).await
}

/// Writes an answer whose body is known; a HEAD request gets its header only.
pub(crate) async fn send_whole(
    session: &mut Session,
    header: ResponseHeader,
    body: Bytes,
) -> pingora::Result<()> {
    let bare = session.req_header().method == Method::HEAD || body.is_empty();
    session
        .write_response_header(Box::new(header), bare)
        .await?;
    let body = if bare { Bytes::new() } else { body };
    session.write_response_body(Some(body), true).await
}

/// What a browser shows.
#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'answer> {
    code: u16,
    reason: &'answer str,
    message: &'answer str,
}

/// Whether a program asks and not a browser.
fn wants_json(request: &RequestHeader) -> bool {
    const API: [&[u8]; 5] = [b"/query", b"/write", b"/api", b"/ping", b"/debug"];
    let path = acl::path(request);
    if API.iter().any(|prefix| path.starts_with(prefix)) {
        return true;
    }
    let accepts = |kind: &str| {
        request
            .headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.to_ascii_lowercase().contains(kind))
    };
    accepts("json") || !accepts("text/html")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, accept: Option<&str>) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        if let Some(accept) = accept {
            request.insert_header("Accept", accept).unwrap();
        }
        request
    }

    #[test]
    fn browsers_get_a_page_and_programs_json() {
        const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";
        for (target, accept, json) in [
            ("/", Some(BROWSER), false),
            ("/d/abc", Some(BROWSER), false),
            ("/", Some("application/json, text/html"), true),
            ("/", Some("*/*"), true),
            ("/", None, true),
            ("/query?q=x", Some(BROWSER), true),
            ("/api/health", Some(BROWSER), true),
        ] {
            let (content_type, _) = ErrorAnswer::internal().render(&request(target, accept));
            assert_eq!(
                content_type == "application/json",
                json,
                "{target} {accept:?}"
            );
        }
    }

    #[test]
    fn the_backend_is_named_and_escaped() {
        let answer = ErrorAnswer::no_server("a<b");
        let (_, page) = answer.render(&request("/", Some("text/html")));
        let page = String::from_utf8_lossy(&page).into_owned();
        assert!(
            page.contains("no server of backend &#34;a&#60;b&#34; is up"),
            "{page}"
        );
        assert!(page.contains("503 Service Unavailable"));
        let (_, json) = answer.render(&request("/query", None));
        assert_eq!(
            json,
            "{\"error\":\"no server of backend \\\"a<b\\\" is up\"}\n"
        );
    }
}
