//! The figures of frontends, backends and servers.

use super::figure::{About, Figure, Kind, Readable, Reading, figure, figure_by, text};
use super::group::{Part, Typed};
use super::traffic;
use crate::stats::snapshot::{
    BackendView, CertificateView, CheckView, FrontendView, ServerView, StapleView, Status,
};

macro_rules! handshake_failure {
    ($view:ty, $reason:ident, $description:literal) => {
        Figure {
            about: About {
                path: concat!("tls.failures.", stringify!($reason)),
                kind: Kind::Counter,
                metric: "tls_failed_handshakes_total",
                label: Some(("reason", stringify!($reason))),
                unit: "handshakes",
                description: $description,
            },
            read: |view: &$view| view.tls.failures.$reason.reading(),
        }
    };
}

/// Queries of a frontend that were refused or ended, by the reason.
macro_rules! stopped_queries {
    ($field:ident, $metric:literal, $reason:literal, $description:literal) => {
        Figure {
            about: About {
                path: concat!("queries.", stringify!($field)),
                kind: Kind::Counter,
                metric: $metric,
                label: Some(("reason", $reason)),
                unit: "queries",
                description: $description,
            },
            read: |view: &FrontendView| view.queries.$field.reading(),
        }
    };
}

macro_rules! refused_queries {
    ($field:ident, $reason:literal) => {
        stopped_queries!(
            $field,
            "refused_queries_total",
            $reason,
            "Queries that were refused, by the key of `queries` that says so."
        )
    };
}

macro_rules! ended_queries {
    ($field:ident, $reason:literal) => {
        stopped_queries!(
            $field,
            "ended_queries_total",
            $reason,
            "Queries that were ended, by `queries.max_time` or by `haflux queries kill`."
        )
    };
}

/// Of a frontend's handshakes with clients.
macro_rules! client_handshake_failure {
    ($reason:ident) => {
        handshake_failure!(
            FrontendView,
            $reason,
            "TLS handshakes that made no connection, by the reason."
        )
    };
}

/// Of handshakes with a server.
macro_rules! server_handshake_failure {
    ($reason:ident) => {
        handshake_failure!(
            ServerView,
            $reason,
            "TLS handshakes with it that made no connection, by the reason."
        )
    };
}

pub(super) fn frontends() -> Typed<FrontendView> {
    let mut figures: Vec<Figure<FrontendView>> = vec![
        text!("name", "Its name."),
        text!("bind", "Its addresses."),
        figure!(
            Gauge,
            session_limit,
            "session_limit",
            "sessions",
            "Most connections at once (`maxconn`)."
        ),
    ];
    figures.extend(traffic::figures());
    let own: Vec<Figure<FrontendView>> = vec![
        figure!(
            Counter,
            intercepted,
            "intercepted_requests_total",
            "requests",
            "Requests for the status page or the metrics."
        ),
        figure!(
            Counter,
            request_errors,
            "request_errors_total",
            "requests",
            "Requests that were refused as malformed, too large or too slow."
        ),
        figure!(
            Counter,
            malformed_requests,
            "malformed_requests_total",
            "requests",
            "Of those, requests that were malformed."
        ),
        figure!(
            Counter,
            slow_requests,
            "slow_requests_total",
            "requests",
            "Of those, requests whose header or body did not come in time."
        ),
        figure!(
            Counter,
            source_limit,
            "source_limit_connections_total",
            "connections",
            "Connections that were closed because their source had `maxconn_per_source` already."
        ),
        figure!(
            Counter,
            denied_connections,
            "denied_connections_total",
            "connections",
            "Connections that were closed because `allow` or `deny` keeps their source out."
        ),
        figure!(
            Counter,
            denied_requests,
            "denied_requests_total",
            "requests",
            "Requests that were refused by a `deny` or `tarpit` of `http_request`, or because `allow` or `deny` keeps out the client that a trusted proxy names."
        ),
        figure!(
            Counter,
            tarpitted,
            "tarpitted_requests_total",
            "requests",
            "Of those, requests that a `tarpit` had wait for their answer."
        ),
        figure!(
            Counter,
            tarpit_overflows,
            "tarpit_overflows_total",
            "requests",
            "Of those, requests that a `tarpit` answered at once, because as many as `max_tarpitted` waited."
        ),
        figure!(
            Counter,
            proxy_header_errors,
            "proxy_header_errors_total",
            "connections",
            "Connections from `accept_proxy` that were closed because their PROXY header was missing, malformed or late."
        ),
        figure!(
            Counter,
            auth_refusals,
            "auth_refusals_total",
            "requests",
            "Requests that were answered 401 because they are of none of haflux's own users."
        ),
        figure!(
            Counter,
            auth_limited,
            "auth_limited_requests_total",
            "requests",
            "Requests that were answered 429 or 503 because `max_failures` or `max_waiting` of haflux's own users let no more passwords be checked."
        ),
        figure!(
            Counter,
            rule_refusals,
            "rule_refusals_total",
            "requests",
            "Requests that were answered 403 because `rules` do not allow what they would do."
        ),
        figure!(
            Counter,
            rate_limited,
            "rate_limited_requests_total",
            "requests",
            "Requests that were answered 429 because their source sent more than `rate_limit`."
        ),
        figure!(
            Gauge,
            queries.running,
            "running_queries",
            "queries",
            "Queries that run."
        ),
        figure!(
            Gauge,
            queries.running_max,
            "running_queries_max",
            "queries",
            "The most queries that ran at once."
        ),
        refused_queries!(refused_all, "max_running"),
        refused_queries!(refused_user, "max_running_per_user"),
        refused_queries!(refused_unbounded, "unbounded"),
        ended_queries!(ended_by_time, "max_time"),
        ended_queries!(ended_by_order, "order"),
        figure!(
            Counter,
            queries.slow,
            "slow_queries_total",
            "queries",
            "Queries that took `queries.slow` or longer."
        ),
        figure!(
            Counter,
            throttled.bodies,
            "throttled_bodies_total",
            "requests",
            "Requests whose body `bandwidth` slowed."
        ),
        figure!(
            Counter,
            throttled.body_time,
            "throttled_body_seconds_total",
            "seconds",
            "How long bodies waited for `bandwidth`, together."
        ),
        figure!(
            Counter,
            throttled.answers,
            "throttled_answers_total",
            "requests",
            "Requests whose answer `bandwidth` slowed."
        ),
        figure!(
            Counter,
            throttled.answer_time,
            "throttled_answer_seconds_total",
            "seconds",
            "How long answers waited for `bandwidth`, together."
        ),
        figure!(
            Counter,
            tls.handshakes,
            "tls_handshakes_total",
            "handshakes",
            "TLS handshakes that made a connection."
        ),
        figure!(
            Counter,
            tls.resumed,
            "tls_resumed_handshakes_total",
            "handshakes",
            "Of those, handshakes that went on with an earlier session."
        ),
        figure!(
            Gauge,
            tls.under_way,
            "tls_handshakes_under_way",
            "handshakes",
            "TLS handshakes under way now, with those that wait to begin."
        ),
        client_handshake_failure!(plain),
        client_handshake_failure!(slow),
        client_handshake_failure!(busy),
        client_handshake_failure!(left),
        client_handshake_failure!(incompatible),
        client_handshake_failure!(client_certificate),
        client_handshake_failure!(turned_down),
        client_handshake_failure!(malformed),
        figure!(
            Counter,
            http2.connections,
            "http2_connections_total",
            "connections",
            "Connections that spoke HTTP/2."
        ),
        figure!(
            Gauge,
            http2.streams,
            "http2_streams",
            "requests",
            "Requests of HTTP/2 under way now."
        ),
        figure!(
            Counter,
            http2.refused,
            "http2_refused_streams_total",
            "requests",
            "Requests of HTTP/2 that were turned away unseen, because their frontend had `maxconn` or their source had `maxconn_per_source` connections and requests already."
        ),
        figure!(
            Counter,
            http2.resets,
            "http2_reset_streams_total",
            "requests",
            "Requests of HTTP/2 that their clients took back, or had reset, before they were answered."
        ),
        figure!(
            Counter,
            http2.calmed,
            "http2_calmed_connections_total",
            "connections",
            "Connections of HTTP/2 that were ended because their client took back more than `http2.max_resets` requests in a minute."
        ),
        figure!(
            Counter,
            http2.broken,
            "http2_broken_connections_total",
            "connections",
            "Connections of HTTP/2 that were ended because what their client sent breaks the protocol or a bound against floods."
        ),
    ];
    figures.extend(own);
    Typed {
        part: Part {
            title: "Frontends",
            path: "frontends[].",
            prefix: "haflux_frontend_",
            labels: &["frontend"],
        },
        each: |snapshot| {
            let each = snapshot.frontends.iter();
            each.map(|frontend| (vec![frontend.name.clone()], frontend))
                .collect()
        },
        figures,
    }
}

fn certificate_figures() -> Vec<Figure<CertificateView>> {
    vec![
        text!("file", "Its file."),
        text!("names", "The names that it is made out to."),
        figure!(
            Moment,
            not_after,
            "not_after_seconds",
            "",
            "Its last second."
        ),
        text!(
            "valid_for",
            "How many seconds it is valid still; nothing once it has expired."
        ),
    ]
}

pub(super) fn certificates() -> Typed<CertificateView> {
    Typed {
        part: Part {
            title: "Certificates of frontends",
            path: "frontends[].tls.certificates[].",
            prefix: "haflux_frontend_certificate_",
            labels: &["frontend", "certificate"],
        },
        each: |snapshot| {
            let each = snapshot.frontends.iter().flat_map(|frontend| {
                let certificates = frontend.tls.certificates.iter();
                certificates.map(|one| (vec![frontend.name.clone(), one.file.clone()], one))
            });
            each.collect()
        },
        figures: certificate_figures(),
    }
}

/// What authorities say of certificates of frontends.
pub(super) fn staples() -> Typed<StapleView> {
    Typed {
        part: Part {
            title: "OCSP responses of frontends",
            path: "frontends[].tls.ocsp[].",
            prefix: "haflux_frontend_ocsp_",
            labels: &["frontend", "certificate"],
        },
        each: |snapshot| {
            let each = snapshot.frontends.iter().flat_map(|frontend| {
                let staples = frontend.tls.ocsp.iter();
                staples.map(|one| (vec![frontend.name.clone(), one.certificate.clone()], one))
            });
            each.collect()
        },
        figures: vec![
            text!("certificate", "The file of the certificate."),
            text!("file", "The file of the response."),
            figure!(
                Gauge,
                stapled,
                "stapled",
                "1 or 0",
                "Whether clients that ask are shown it now (in JSON true or false)."
            ),
            figure!(
                Moment,
                until,
                "next_update_seconds",
                "",
                "Until when it is good, if it says so."
            ),
            text!("fault", "Why it is not shown."),
        ],
    }
}

/// What servers are shown that ask for a certificate.
pub(super) fn own_certificates() -> Typed<CertificateView> {
    Typed {
        part: Part {
            title: "Certificates for servers",
            path: "backends[].servers[].tls.certificates[].",
            prefix: "haflux_server_certificate_",
            labels: &["backend", "server", "certificate"],
        },
        each: |snapshot| {
            let mut each = Vec::new();
            for backend in &snapshot.backends {
                for server in &backend.servers {
                    for one in &server.tls.certificates {
                        let place = [&backend.name, &server.name, &one.file];
                        each.push((place.map(String::clone).to_vec(), one));
                    }
                }
            }
            each
        },
        figures: certificate_figures(),
    }
}

pub(super) fn backends() -> Typed<BackendView> {
    let mut figures: Vec<Figure<BackendView>> = vec![
        text!("name", "Its name."),
        text!("balance", "How it balances, as the configuration says it."),
        figure!(
            Gauge,
            up,
            "up",
            "1 or 0",
            "Whether a server with a weight is up, so that a request can be served (in JSON true or false)."
        ),
        figure!(
            Gauge,
            servers_up,
            "servers_up",
            "servers",
            "Servers that are up or not checked."
        ),
        figure!(
            Counter,
            downs,
            "downs_total",
            "times",
            "How often its last server that was up went down."
        ),
        figure!(
            Counter,
            down_for,
            "down_seconds_total",
            "seconds",
            "How long none of its servers was up."
        ),
        figure!(
            Gauge,
            changed,
            "state_age_seconds",
            "seconds",
            "How long ago its first server went up, or its last one down."
        ),
    ];
    figures.extend(traffic::figures());
    let own: Vec<Figure<BackendView>> = vec![
        figure!(
            Counter,
            no_server,
            "no_server_requests_total",
            "requests",
            "Requests that were answered 503 because no server was up."
        ),
        figure!(
            Gauge,
            barrier.waiting,
            "barrier_waiting",
            "reads",
            "Reads that wait for a fresh replica now."
        ),
        figure!(
            Gauge,
            barrier.waiting_max,
            "barrier_waiting_max",
            "reads",
            "The most reads that waited for a fresh replica at once."
        ),
        figure!(
            Counter,
            barrier.waits,
            "barrier_waits_total",
            "reads",
            "Reads that had to wait for a fresh replica."
        ),
        figure!(
            Counter,
            barrier.waited,
            "barrier_wait_seconds_total",
            "seconds",
            "How long reads waited for a fresh replica, together."
        ),
        figure!(
            Counter,
            barrier.stale,
            "barrier_stale_reads_total",
            "reads",
            "Reads that were answered by a replica that was not fresh, and said so."
        ),
        figure!(
            Counter,
            barrier.rejected,
            "barrier_rejected_reads_total",
            "reads",
            "Reads that were answered 503 because no replica was fresh in time."
        ),
        figure!(
            Counter,
            barrier.repeated,
            "barrier_repeated_reads_total",
            "reads",
            "Answers that were thrown away because their replica was set back meanwhile; the reads were sent again."
        ),
    ];
    figures.extend(own);
    Typed {
        part: Part {
            title: "Backends",
            path: "backends[].",
            prefix: "haflux_backend_",
            labels: &["backend"],
        },
        each: |snapshot| {
            let each = snapshot.backends.iter();
            each.map(|backend| (vec![backend.name.clone()], backend))
                .collect()
        },
        figures,
    }
}

/// The states of a server.
const SERVER_STATES: &[Status] = &[
    Status::Up,
    Status::Down,
    Status::NoCheck,
    Status::Drain,
    Status::Maint,
];

fn check(server: &ServerView, read: fn(&CheckView) -> Reading) -> Reading {
    server.last_check.as_ref().map_or(Reading::Nothing, read)
}

pub(super) fn servers() -> Typed<ServerView> {
    let mut figures: Vec<Figure<ServerView>> = vec![
        text!("name", "Its name."),
        text!("address", "Its address as configured."),
        figure_by!(
            State,
            "status",
            "state",
            "",
            "Whether its checks find it up or down, or do not look; or what a person ordered.",
            |server: &ServerView| Reading::State(server.status, SERVER_STATES)
        ),
        figure!(
            Moment,
            since,
            "state_since_timestamp_seconds",
            "",
            "Since when it is in this state."
        ),
        text!("admin", "What is ordered: ready, drain or maint."),
        text!("reason", "Why it is in this state."),
        figure!(Gauge, weight, "weight", "1", "Its share of the requests."),
        figure!(
            Gauge,
            backup,
            "backup",
            "1 or 0",
            "Whether it gets requests only while no other server is up (in JSON true or false)."
        ),
    ];
    figures.extend(traffic::figures());
    let own: Vec<Figure<ServerView>> = vec![
        figure!(
            Counter,
            connects,
            "connects_total",
            "connections",
            "Connections that were tried to be made for requests."
        ),
        figure!(
            Counter,
            reuses,
            "reuses_total",
            "requests",
            "Requests that went over a connection that was idle."
        ),
        figure!(
            Counter,
            connect_errors,
            "connect_errors_total",
            "connections",
            "Connections that could not be made."
        ),
        figure!(
            Counter,
            response_errors,
            "response_errors_total",
            "requests",
            "Requests whose answer broke off or never came."
        ),
        figure!(
            Counter,
            ends,
            "ends_total",
            "times",
            "Times that it ended while it had a request."
        ),
        figure!(
            Counter,
            redispatches,
            "redispatches_total",
            "requests",
            "Requests that were moved from this server to another one."
        ),
        text!(
            "last_check.asked",
            "The URL that the last check asked, without its query; of a check that only connects, the root of what it connects to."
        ),
        text!(
            "last_check.code",
            "The outcome of the last check, in HAProxy's code."
        ),
        figure_by!(
            Gauge,
            "last_check.status",
            "last_check_status_code",
            "HTTP status",
            "The HTTP status that the last check was answered with; nothing if it got none.",
            |server: &ServerView| check(server, |check| { check.status.map(u32::from).reading() })
        ),
        figure_by!(
            Moment,
            "last_check.at",
            "last_check_timestamp_seconds",
            "",
            "When the last check ended.",
            |server: &ServerView| check(server, |check| check.at.reading())
        ),
        figure_by!(
            Gauge,
            "last_check.took",
            "last_check_duration_seconds",
            "seconds",
            "How long the last check took.",
            |server: &ServerView| check(server, |check| check.took.reading())
        ),
        text!("last_check.detail", "What was wrong at the last check."),
        figure!(
            Counter,
            check_failures,
            "check_failures_total",
            "checks",
            "Checks that failed."
        ),
        figure!(
            Counter,
            downs,
            "downs_total",
            "times",
            "How often it went from up to down."
        ),
        figure!(
            Counter,
            down_for,
            "down_seconds_total",
            "seconds",
            "How long it was down."
        ),
        figure!(
            Gauge,
            tls.is_spoken,
            "tls",
            "1 or 0",
            "Whether new connections to it are inside TLS (in JSON true or false)."
        ),
        figure!(
            Counter,
            tls.handshakes,
            "tls_handshakes_total",
            "handshakes",
            "TLS handshakes with it that made a connection."
        ),
        figure!(
            Counter,
            tls.resumed,
            "tls_resumed_handshakes_total",
            "handshakes",
            "Of those, handshakes that went on with an earlier session."
        ),
        server_handshake_failure!(unknown_authority),
        server_handshake_failure!(expired),
        server_handshake_failure!(wrong_name),
        server_handshake_failure!(bad_certificate),
        server_handshake_failure!(plain),
        server_handshake_failure!(incompatible),
        server_handshake_failure!(turned_down),
        server_handshake_failure!(malformed),
        server_handshake_failure!(left),
        server_handshake_failure!(slow),
    ];
    figures.extend(own);
    Typed {
        part: Part {
            title: "Servers",
            path: "backends[].servers[].",
            prefix: "haflux_server_",
            labels: &["backend", "server"],
        },
        each: |snapshot| {
            let of = |backend: &'_ BackendView| backend.name.clone();
            let each = snapshot.backends.iter().flat_map(|backend| {
                let servers = backend.servers.iter();
                servers.map(move |server| (vec![of(backend), server.name.clone()], server))
            });
            each.collect()
        },
        figures,
    }
}
