//! The measurements of a write's lines. A relay looks at those of its writes itself, where they are unpacked; the body of a write to a
//! plain pool is held and looked at here, if its sender may not write to every measurement.

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, CONTENT_ENCODING};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::{Forbidden, rule_for};
use crate::config::model::AllowedMeasurements;
use crate::influx::{
    MeasurementCheck, OtherMeasurement, Refusal, UnpackError, Unpacker, check_measurements,
};
use crate::offload::{LARGE, offload};
use crate::proxy::routing::acl;
use crate::proxy::serving::Serving;
use crate::proxy::session::access_log::Termination;
use crate::proxy::session::context::RequestContext;
use crate::proxy::session::error_answer::send;
use crate::proxy::session::user::Sender;

/// Why a body is not let through.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NotPassed {
    #[error(transparent)]
    Other(#[from] OtherMeasurement),
    /// It is no gzip, or unfolds to more than may be held.
    #[error(transparent)]
    Packed(#[from] UnpackError),
}

/// Whether a request's body is lines.
pub(in crate::proxy) fn writes_lines(request: &RequestHeader) -> bool {
    let path = acl::path(request);
    request.method == Method::POST && matches!(path, b"/write" | b"/api/v2/write")
}

impl Serving {
    /// The measurements that the lines of a write may be of; nothing if all.
    pub(in crate::proxy) fn allowed_measurements(
        &self,
        session: &Session,
        context: &RequestContext,
    ) -> Option<AllowedMeasurements> {
        let rules = &self.config.access;
        // Most frontends bound no measurements, and need not look whom a rule is for once more.
        let is_bounded = rules.iter().any(|rule| rule.measurements.is_some());
        if !is_bounded || context.sender == Sender::Anybody {
            return None;
        }
        let rule = rule_for(rules, session.req_header(), &context.sender)?;
        let allowed = rule.measurements.clone();
        allowed.filter(|allowed| !allowed.are_all())
    }

    /// Refuses a write of which a line is not allowed; true if it did.
    ///
    /// # Errors
    ///
    /// Of the client's connection.
    pub(in crate::proxy) async fn forbids_lines(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        body: &Bytes,
        allowed: AllowedMeasurements,
    ) -> pingora::Result<bool> {
        let headers = &session.req_header().headers;
        // In this spelling only, as InfluxDB does it; any other body is lines as it stands.
        let is_packed = headers
            .get(CONTENT_ENCODING)
            .is_some_and(|encoding| encoding == "gzip");
        let checked = match is_packed {
            true => check_packed(body.clone(), self.max_held_body(), allowed).await,
            false => check(body.clone(), allowed).await.map_err(NotPassed::Other),
        };
        match checked {
            Ok(()) => return Ok(false),
            Err(NotPassed::Other(other)) => {
                self.forbid_measurement(session, context, other).await?;
            }
            Err(NotPassed::Packed(error)) => {
                self.stats.request_errors.increment();
                context.termination = Termination::Refused;
                let accept = session.req_header().headers.get(ACCEPT);
                let answer = Refusal::from(error).answer(accept, false);
                self.close_if_stopping(session);
                send(session, answer).await?;
            }
        }
        Ok(true)
    }

    /// Refuses a write with a line of this measurement.
    ///
    /// # Errors
    ///
    /// Of the client's connection.
    pub(in crate::proxy) async fn forbid_measurement(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        other: OtherMeasurement,
    ) -> pingora::Result<()> {
        let forbidden = Forbidden::Measurement(other.name);
        self.forbid(session, context, &forbidden).await
    }
}

/// What cannot be looked at cannot be told.
const UNTOLD: OtherMeasurement = OtherMeasurement { name: None };

async fn check(body: Bytes, allowed: AllowedMeasurements) -> Result<(), OtherMeasurement> {
    let is_large = body.len() >= LARGE;
    let checking = move || check_measurements(&body, |name| allowed.allow(name));
    match is_large {
        true => offload(checking).await.unwrap_or(Err(UNTOLD)),
        false => checking(),
    }
}

/// Checks a gzip body that unfolds to at most `most` bytes. What it unfolds to is looked at piece by piece; a line that is as long as
/// all of it is in memory as often as work is done outside the threads that serve requests.
async fn check_packed(
    body: Bytes,
    most: usize,
    allowed: AllowedMeasurements,
) -> Result<(), NotPassed> {
    let checking = move || {
        let mut check = MeasurementCheck::new(|name| allowed.allow(name), most);
        let mut unpacker = Unpacker::new(body, most);
        while let Some(piece) = unpacker.next_piece()? {
            check.piece(piece)?;
        }
        Ok(check.finish()?)
    };
    offload(checking).await.unwrap_or(Err(UNTOLD.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Pattern;
    use crate::influx::pack_gzip;

    #[tokio::test]
    async fn a_packed_body_is_judged_by_what_it_unfolds_to() {
        let allowed = || AllowedMeasurements::new(vec![Pattern::new("m*")]);
        let line = "m1,host=a v=1 1\n";
        let packed = |more: &str| {
            let body = line.repeat(10_000) + more;
            Bytes::from(pack_gzip(body.as_bytes()).expect("smaller"))
        };
        let most = 1 << 20;
        assert_eq!(check_packed(packed(""), most, allowed()).await, Ok(()));
        let other = check_packed(packed("n v=1 1"), most, allowed()).await;
        let name = Some("n".to_owned());
        assert_eq!(other, Err(OtherMeasurement { name }.into()));
        let large = check_packed(packed(""), 1000, allowed()).await;
        assert_eq!(large, Err(UnpackError::TooLarge.into()));
        let plain = check_packed(Bytes::from(line), most, allowed()).await;
        assert_eq!(plain, Err(UnpackError::InvalidHeader.into()));
    }

    #[test]
    fn only_writes_of_lines_have_lines() {
        for (method, target, expected) in [
            ("POST", "/write?db=a", true),
            ("POST", "/api/v2/write", true),
            ("GET", "/write", false),
            ("POST", "/api/v1/prom/write", false),
            ("POST", "/%77rite", false),
            ("POST", "/query", false),
        ] {
            let request = RequestHeader::build(method, target.as_bytes(), None).unwrap();
            assert_eq!(writes_lines(&request), expected, "{target}");
        }
    }
}
