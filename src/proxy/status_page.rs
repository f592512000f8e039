//! Requests for the status page: who may see it, and orders that are given on it.
//!
//! An order is a POST of the page's own form. A browser sends the user's password along with whatever another page makes it send, so
//! the password alone admits no order: `Sec-Fetch-Site` or `Origin` must name this page, and the form bears a token of this process,
//! which [`StatusPage`](super::StatusPage) checks.

use std::sync::Arc;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
    LOCATION, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::forward;
use super::serving::Serving;
use super::session::access_log::Termination;
use super::session::context::RequestContext;
use super::session::error_answer::{ErrorAnswer, send_whole};
use super::{PageOrderError, PageRequest};
use crate::config::model::Frontend;

/// Answers a request for the page or one of its forms; `options` is what followed its address.
pub(super) async fn serve(
    serving: &Serving,
    session: &mut Session,
    context: &mut RequestContext,
    options: &str,
) -> pingora::Result<()> {
    serving.stats.intercepted.increment();
    let frontend = &serving.config;
    if !is_admitted(frontend, session.req_header()) {
        context.termination = Termination::Refused;
        return serving
            .answer(session, &ErrorAnswer::wants_password())
            .await;
    }
    if session.req_header().method == Method::POST {
        return order(serving, session, context).await;
    }
    let asked = PageRequest {
        uri: frontend.stats_uri.as_deref().unwrap_or_default(),
        options,
        refresh: frontend.stats_refresh,
        admin: frontend.stats_admin,
    };
    let shared = &serving.shared;
    let page = shared.status.render(&shared.stats, &asked);
    serving.close_if_stopping(session);
    let mut header = ResponseHeader::build(page.status, Some(7))?;
    header.insert_header(CONTENT_TYPE, page.content_type)?;
    header.insert_header(CONTENT_LENGTH, page.body.len())?;
    header.insert_header(CACHE_CONTROL, "no-store")?;
    header.insert_header(X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    header.insert_header(REFERRER_POLICY, "same-origin")?;
    if let Some(policy) = page.policy {
        header.insert_header(CONTENT_SECURITY_POLICY, policy)?;
    }
    send_whole(session, header, page.body).await
}

async fn order(
    serving: &Serving,
    session: &mut Session,
    context: &mut RequestContext,
) -> pingora::Result<()> {
    let status = &serving.shared.status;
    let ordered = match is_from_page(session.req_header()) {
        false => Err(PageOrderError::NotFromPage),
        true => {
            let Some(form) = forward::read_body(serving, session, context).await? else {
                return Ok(());
            };
            let (status, form) = (Arc::clone(status), form.bytes().clone());
            tokio::task::spawn_blocking(move || status.order(&form))
                .await
                .map_err(|_| Error::new_in(ErrorType::InternalError))?
        }
    };
    if let Err(error) = ordered {
        context.termination = Termination::Refused;
        return serving.refuse(session, &ErrorAnswer::order(&error)).await;
    }
    serving.close_if_stopping(session);
    let uri = serving.config.stats_uri.as_deref().unwrap_or_default();
    let mut header = ResponseHeader::build(StatusCode::SEE_OTHER, Some(3))?;
    header.insert_header(LOCATION, uri)?;
    header.insert_header(CONTENT_LENGTH, 0)?;
    header.insert_header(CACHE_CONTROL, "no-store")?;
    send_whole(session, header, bytes::Bytes::new()).await
}

/// Whether the request names one of the frontend's users, if it has any.
fn is_admitted(frontend: &Frontend, request: &RequestHeader) -> bool {
    let users = &frontend.stats_auth;
    let header = request.headers.get(AUTHORIZATION);
    users.is_empty()
        || header.is_some_and(|header| users.iter().any(|user| user.is_meant_by(header.as_bytes())))
}

/// Whether a page of this origin sent the request, as far as the browser says. One that says nothing is no browser.
fn is_from_page(request: &RequestHeader) -> bool {
    let named = |name: &str| request.headers.get(name).map(|value| value.as_bytes());
    let site = named("sec-fetch-site").is_none_or(|site| site == b"same-origin");
    let origin = named(ORIGIN.as_str()).is_none_or(|origin| {
        let authority = std::str::from_utf8(origin)
            .ok()
            .and_then(|origin| Some(origin.split_once("://")?.1));
        let host = named(HOST.as_str()).unwrap_or_default();
        authority.is_some_and(|authority| host.eq_ignore_ascii_case(authority.as_bytes()))
    });
    site && origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_site_is_told_from_the_page() {
        let is_from = |headers: &[(&'static str, &str)]| {
            let mut request = RequestHeader::build("POST", b"/haproxy?stats", None).unwrap();
            for (name, value) in headers {
                request.insert_header(*name, *value).unwrap();
            }
            is_from_page(&request)
        };
        let host = ("Host", "lab:8086");
        for page in [
            &[host][..],
            &[host, ("Origin", "http://lab:8086")],
            &[
                host,
                ("Origin", "https://LAB:8086"),
                ("Sec-Fetch-Site", "same-origin"),
            ],
        ] {
            assert!(is_from(page), "{page:?}");
        }
        for other in [
            &[host, ("Origin", "http://lab")][..],
            &[host, ("Origin", "http://evil:8086")],
            &[host, ("Origin", "null")],
            &[host, ("Origin", "")],
            &[("Origin", "http://lab:8086")],
            &[host, ("Sec-Fetch-Site", "cross-site")],
            &[
                host,
                ("Sec-Fetch-Site", "same-site"),
                ("Origin", "http://lab:8086"),
            ],
            &[host, ("Sec-Fetch-Site", "none")],
        ] {
            assert!(!is_from(other), "{other:?}");
        }
    }
}
