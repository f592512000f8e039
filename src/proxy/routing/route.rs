//! Where a request goes: the status page or the metrics, the first rule that matches, the frontend's default.

use std::net::IpAddr;

use http::Method;
use pingora::http::RequestHeader;

use crate::config::Config;
use crate::config::model::{BackendId, Frontend, RelayId, Target};
use crate::influx::influxql::Endpoint;
use crate::proxy::routing::acl::{self, Subject};

/// The paths by which data is written to InfluxDB 1.8, as it matches them: byte for byte.
const WRITE_ENDPOINTS: [&[u8]; 3] = [b"/write", b"/api/v2/write", b"/api/v1/prom/write"];

/// What is done with a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// The status page, with what followed its address.
    Status(&'a str),
    /// The metrics for Prometheus.
    Metrics,
    /// A relay answers.
    Relay(RelayId),
    /// A pool that this relay replicates to.
    Replicated(BackendId, RelayId),
    /// A pool of its own.
    Plain(BackendId),
    /// No rule matched and there is no default.
    Nowhere,
}

/// Finds the route of `request` through `frontend`.
pub(crate) fn find<'a>(
    config: &Config,
    frontend: &Frontend,
    request: &'a RequestHeader,
    source: IpAddr,
) -> Route<'a> {
    if let Some(options) = status_options(frontend, request) {
        return Route::Status(options);
    }
    if asks_for_metrics(frontend, request) {
        return Route::Metrics;
    }
    let target = if frontend.rules.is_empty() {
        frontend.default_target
    } else {
        let subject = Subject::new(request, source);
        frontend
            .rules
            .iter()
            .find(|rule| acl::matches(&rule.condition, &subject))
            .map(|rule| rule.target)
            .or(frontend.default_target)
    };
    match target {
        None => Route::Nowhere,
        // A relay knows writes only; what else may change data is judged where its pool's requests are.
        Some(Target::Relay(relay)) if Endpoint::of(acl::path(request)).is_some() => {
            Route::Replicated(config.relay(relay).pool, relay)
        }
        Some(Target::Relay(relay)) => Route::Relay(relay),
        Some(Target::Backend(backend)) => match config.backend(backend).replicated_by {
            None => Route::Plain(backend),
            Some(relay) if WRITE_ENDPOINTS.contains(&acl::path(request)) => Route::Relay(relay),
            Some(relay) => Route::Replicated(backend, relay),
        },
    }
}

/// What follows `stats_uri` in the request, if it asks for it: nothing, or HAProxy's `;csv` and the like. HAProxy takes a slash
/// before them too, and Telegraf asks so; and a query, as in `/haproxy?stats;csv`, which exporters ask for by default.
fn status_options<'a>(frontend: &Frontend, request: &'a RequestHeader) -> Option<&'a str> {
    let uri = frontend.stats_uri.as_deref()?;
    let rest = std::str::from_utf8(request.raw_path())
        .ok()?
        .strip_prefix(uri)?;
    let options = match rest.strip_prefix('?') {
        Some(query) if !uri.contains('?') => {
            let options = query.find(';').and_then(|at| query.get(at..));
            options.unwrap_or_default()
        }
        _ => {
            let behind_slash = rest.strip_prefix('/').filter(|rest| rest.starts_with(';'));
            behind_slash.unwrap_or(rest)
        }
    };
    let asked = is_read(request) || (request.method == Method::POST && frontend.stats_admin);
    (asked && (options.is_empty() || options.starts_with(';'))).then_some(options)
}

/// Whether the request asks for `metrics_uri`, with a query or without one.
fn asks_for_metrics(frontend: &Frontend, request: &RequestHeader) -> bool {
    let Some(uri) = frontend.metrics_uri.as_deref() else {
        return false;
    };
    let rest = request.raw_path().strip_prefix(uri.as_bytes());
    is_read(request) && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"?"))
}

fn is_read(request: &RequestHeader) -> bool {
    matches!(request.method, Method::GET | Method::HEAD)
}
