//! What the rules about HTTP do with a request and with its answer: `rate_limit`, `http_request`, `http_response`.

use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, HOST, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::client::{Client, Throttle};
use super::routing::acl::{self, Subject, matches};
use super::serving::Serving;
use super::session::access_log::Termination;
use super::session::context::RequestContext;
use super::session::error_answer::{ErrorAnswer, drain_rest, send_whole};
use super::session::request_body::take_whole_body;
use crate::config::model::{Condition, HeaderEdit, Redirect, RedirectTo, RequestAction};

impl Serving {
    /// Does what the rules say, in their order; true if they have answered the request.
    ///
    /// # Errors
    ///
    /// Of the client's connection.
    pub(super) async fn ruled(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> pingora::Result<bool> {
        let source = self.source(context);
        let is_limited = self.config.rate_limit.is_some();
        if is_limited && let Err(wait) = self.admission.rates().admit(source, Instant::now()) {
            self.stats.rate_limited.increment();
            context.termination = Termination::Refused;
            self.answer(session, &ErrorAnswer::too_many_requests(wait))
                .await?;
            return Ok(true);
        }
        let config = &self.config;
        for rule in &config.http_request {
            if !is_met(rule.condition.as_ref(), session.req_header(), context) {
                continue;
            }
            match &rule.action {
                RequestAction::Edit(edits) => edit_request(session.req_header_mut(), edits)?,
                RequestAction::Deny(status) => {
                    self.stats.denied_requests.increment();
                    context.termination = Termination::Refused;
                    self.answer(session, &ErrorAnswer::denied(*status)).await?;
                    return Ok(true);
                }
                RequestAction::Tarpit(status) => {
                    self.tarpit(session, context, *status).await?;
                    return Ok(true);
                }
                RequestAction::Redirect(redirect) => {
                    context.termination = Termination::Redirected;
                    self.redirect(session, redirect).await?;
                    return Ok(true);
                }
            }
        }
        for rule in &config.http_response {
            if is_met(rule.condition.as_ref(), session.req_header(), context) {
                context.edits.extend_from_slice(&rule.edits);
            }
        }
        Ok(false)
    }

    /// Answers with `status` after `timeout.tarpit`; at once if as many as `max_tarpitted` wait, or haflux is to stop.
    async fn tarpit(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        status: StatusCode,
    ) -> pingora::Result<()> {
        self.stats.denied_requests.increment();
        match self.admission.tarpit(self.config.max_tarpitted) {
            None => {
                self.stats.tarpit_overflows.increment();
                context.termination = Termination::Refused;
            }
            Some(_place) => {
                self.stats.tarpitted.increment();
                context.termination = Termination::Tarpitted;
                let longest = self.config.tarpit_timeout;
                if context.is_whole {
                    drop(take_whole_body(session).await?);
                }
                let waited = self.wait(session, longest).await;
                context.times.chosen = Some(context.started.elapsed());
                waited?;
            }
        }
        self.answer(session, &ErrorAnswer::denied(status)).await
    }

    /// Has `bandwidth` slow the request down; says how long it is to wait for what has come of its body.
    pub(super) fn throttle(&self, session: &mut Session, context: &RequestContext) -> Duration {
        let Some(limits) = &self.config.bandwidth else {
            return Duration::ZERO;
        };
        let throttle = Throttle::new(
            limits,
            self.admission.bandwidth(),
            self.source(context),
            self.config.client_timeout,
            &self.stats.throttled,
        );
        Client::throttle(session, throttle)
    }

    /// Waits for so long, unless haflux is to stop.
    ///
    /// # Errors
    ///
    /// The client has left. Of a body that is still to come nothing is read, and so that is not seen.
    pub(super) async fn wait(&self, session: &mut Session, time: Duration) -> pingora::Result<()> {
        let is_whole = session.is_body_done();
        tokio::select! {
            biased;
            _ = session.downstream_session.read_body_or_idle(true), if is_whole => {
                Err(Error::new_down(ErrorType::ConnectionClosed))
            }
            () = self.stopping() => Ok(()),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    async fn redirect(&self, session: &mut Session, redirect: &Redirect) -> pingora::Result<()> {
        let location = location(session.req_header(), &redirect.to);
        let Some(location) = location.and_then(|text| HeaderValue::from_bytes(&text).ok()) else {
            return self.refuse(session, &ErrorAnswer::bad_request()).await;
        };
        self.close_if_stopping(session);
        drain_rest(session);
        let mut header = ResponseHeader::build(redirect.status, Some(3))?;
        header.insert_header(LOCATION, location)?;
        header.insert_header(CONTENT_LENGTH, 0)?;
        send_whole(session, header, bytes::Bytes::new()).await
    }
}

fn is_met(
    condition: Option<&Condition>,
    request: &RequestHeader,
    context: &RequestContext,
) -> bool {
    condition.is_none_or(|condition| matches(condition, &Subject::new(request, context.address())))
}

/// Where a client is sent; nowhere if that takes a host and the request names none.
fn location(request: &RequestHeader, to: &RedirectTo) -> Option<Vec<u8>> {
    let target = || {
        let (path, query) = (acl::path(request), acl::query_string(request));
        match query.is_empty() {
            true => path.to_vec(),
            false => [path, b"?", query].concat(),
        }
    };
    Some(match to {
        RedirectTo::Location(place) => place.clone().into_bytes(),
        // As with HAProxy, this prefix changes nothing; two slashes would make a host of the path.
        RedirectTo::Prefix(prefix) if prefix == "/" => target(),
        RedirectTo::Prefix(prefix) => [prefix.as_bytes(), &target()].concat(),
        RedirectTo::Scheme(scheme) => {
            let host = request.headers.get(HOST).map(HeaderValue::as_bytes);
            let host = host.filter(|host| !host.is_empty())?;
            [scheme.as_bytes(), b"://", host, &target()].concat()
        }
    })
}

fn edit_request(request: &mut RequestHeader, edits: &[HeaderEdit]) -> pingora::Result<()> {
    for edit in edits {
        match edit {
            HeaderEdit::Set(name, value) => request.insert_header(name, value)?,
            HeaderEdit::Remove(name) => drop(request.remove_header(name)),
        }
    }
    Ok(())
}

/// Changes the headers of a server's answer.
pub(super) fn edit_response(
    response: &mut ResponseHeader,
    edits: &[HeaderEdit],
) -> pingora::Result<()> {
    for edit in edits {
        match edit {
            HeaderEdit::Set(name, value) => response.insert_header(name, value)?,
            HeaderEdit::Remove(name) => drop(response.remove_header(name)),
        }
    }
    Ok(())
}

/// Changes the headers of a relay's answer.
pub(super) fn edit_answer(headers: &mut Vec<(HeaderName, HeaderValue)>, edits: &[HeaderEdit]) {
    for edit in edits {
        match edit {
            HeaderEdit::Set(name, value) => {
                headers.retain(|(known, _)| known != name);
                headers.push((name.clone(), value.clone()));
            }
            HeaderEdit::Remove(name) => headers.retain(|(known, _)| known != name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_sent_to_what_it_asked_for() {
        let mut request = RequestHeader::build("GET", b"/a%20b?x=1", None).unwrap();
        let scheme = RedirectTo::Scheme("https".into());
        assert_eq!(location(&request, &scheme), None);
        request
            .insert_header("Host", "influx.example.org:8086")
            .unwrap();
        let sent = |to: &RedirectTo| String::from_utf8(location(&request, to).unwrap()).unwrap();
        assert_eq!(sent(&scheme), "https://influx.example.org:8086/a%20b?x=1");
        assert_eq!(
            sent(&RedirectTo::Prefix("https://y".into())),
            "https://y/a%20b?x=1"
        );
        // It would name a host `a%20b` to browsers.
        assert_eq!(sent(&RedirectTo::Prefix("/".into())), "/a%20b?x=1");
        assert_eq!(sent(&RedirectTo::Location("/grafana/".into())), "/grafana/");
    }

    #[test]
    fn the_answer_of_a_relay_is_edited_like_that_of_a_server() {
        let name = |text: &'static str| HeaderName::from_static(text);
        let value = HeaderValue::from_static;
        let mut headers = vec![
            (name("x-a"), value("1")),
            (name("x-a"), value("2")),
            (name("x-b"), value("3")),
        ];
        let edits = [
            HeaderEdit::Set(name("x-a"), value("4")),
            HeaderEdit::Remove(name("x-b")),
        ];
        let mut response = ResponseHeader::build(204, None).unwrap();
        for (name, value) in &headers {
            response.append_header(name, value).unwrap();
        }
        edit_answer(&mut headers, &edits);
        edit_response(&mut response, &edits).unwrap();
        assert_eq!(headers, [(name("x-a"), value("4"))]);
        let left: Vec<_> = response
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        assert_eq!(left, headers);
    }
}
