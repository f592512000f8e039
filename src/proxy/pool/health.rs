//! The health checks of one pool: Pingora's probes, each within a deadline, and what becomes of their outcomes.
//!
//! Each server is checked for itself, so that one that is silent holds up no other's checks. How its checks ended lately goes with the
//! server from one configuration to the next: a reload makes none of them begin anew.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use parking_lot::Mutex;
use pingora::http::RequestHeader;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck, TcpHealthCheck};
use pingora::lb::{Backend as Target, Extensions};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType};
use tokio::time::MissedTickBehavior;

use crate::config::model::{Backend, Check, Probe, ServerAddress};
use crate::dial::DialError;
use crate::proxy::pool::greeting::Greeting;
use crate::proxy::pool::pingora_dial::{PingoraDial, dial_error};
use crate::proxy::pool::{CheckError, Pool, Server};
use crate::proxy_header::Version;
use crate::stats::{CheckCode, LastCheck};

/// How many checks of a server in a row ended otherwise than its state says.
#[derive(Debug, Default)]
pub(crate) struct Streak(Mutex<usize>);

impl Streak {
    /// One more check ended. True if the state is to change: that was the last of `needed` in a row.
    fn ended(&self, as_the_state_says: bool, needed: usize) -> bool {
        let mut streak = self.0.lock();
        *streak = if as_the_state_says { 0 } else { *streak + 1 };
        let is_long_enough = *streak >= needed && !as_the_state_says;
        if is_long_enough {
            *streak = 0;
        }
        is_long_enough
    }
}

/// Whether the checks of `backend` can be made.
pub(crate) fn validate(backend: &Backend) -> Result<(), CheckError> {
    for server in &backend.servers {
        if let Probe::Http { path, host, .. } = &backend.check.probe {
            let asked = asked(&server.address, backend.check.port);
            check_request(path, host.as_deref(), &asked).map_err(|error| CheckError::Request {
                backend: backend.name.clone(),
                reason: error.to_string(),
            })?;
        }
    }
    Ok(())
}

/// What is asked of one server.
struct ServerProbe {
    probe: Box<dyn HealthCheck + Send + Sync>,
    /// The HTTP status of the newest answer; 0 if there is none.
    status: Arc<AtomicU16>,
}

/// Checks the servers of `pool` that are to be checked, until it is dropped.
pub(crate) async fn check(pool: &Pool) {
    let checked = pool.servers().iter().enumerate();
    let checked = checked.filter(|(_, server)| pool.is_checked(server));
    join_all(checked.map(|(index, server)| check_server(pool, index, server))).await;
}

async fn check_server(pool: &Pool, index: usize, server: &Server) {
    let check = &pool.config().check;
    let Some(probe) = probe(check, server, pool.config().send_proxy) else {
        return;
    };
    let asked = url(check, server);
    let mut pace = tokio::time::interval(check.interval);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        // In maint it is not asked, and stays what it was.
        if server.handle.is_in_maint() {
            continue;
        }
        let Some(mut address) = server.handle.address() else {
            continue;
        };
        if let Some(port) = check.port {
            address.set_port(port);
        }
        let target = Target {
            addr: SocketAddr::Inet(address),
            weight: 1,
            ext: Extensions::new(),
        };
        let started = Instant::now();
        probe.status.store(0, Ordering::Relaxed);
        let result = match tokio::time::timeout(check.timeout, probe.probe.check(&target)).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(ErrorType::ReadTimedout)),
        };
        let is_secure = server.dialer.is_secure();
        let error = result.as_ref().err().map(AsRef::as_ref);
        let (code, detail) = describe(&check.probe, is_secure, error);
        match (&result, &check.probe, check.port) {
            (Err(_), ..) => server.stats.check_failures.increment(),
            (Ok(()), Probe::Http { .. }, None) => server.handle.note_answer(),
            // The kernel makes connections also for a process that stands still, and another port may be another process's.
            (Ok(()), ..) => {}
        }
        let reason = format!("{code} {detail}");
        server.stats.last_check.store(Some(Arc::new(LastCheck {
            at: SystemTime::now(),
            took: started.elapsed(),
            asked: asked.clone(),
            code,
            status: match probe.status.load(Ordering::Relaxed) {
                0 => None,
                status => Some(status),
            },
            detail,
        })));
        let healthy = result.is_ok();
        let needed = if healthy { check.rise } else { check.fall };
        if server
            .streak
            .ended(server.handle.is_up() == healthy, needed)
        {
            pool.mark(index, healthy, &reason);
        }
    }
}

/// HAProxy's code for the outcome of a check, and words for a person.
fn describe(probe: &Probe, is_secure: bool, error: Option<&Error>) -> (CheckCode, String) {
    let http = matches!(probe, Probe::Http { .. });
    let Some(error) = error else {
        let code = match (http, is_secure) {
            (true, _) => CheckCode::L7Ok,
            (false, true) => CheckCode::L6Ok,
            (false, false) => CheckCode::L4Ok,
        };
        return (code, "check passed".to_owned());
    };
    if let Some(DialError::Handshake(reason)) = dial_error(error) {
        let code = match error.etype() {
            ErrorType::TLSHandshakeTimedout => CheckCode::L6Timeout,
            _ => CheckCode::L6Response,
        };
        return (code, reason.to_string());
    }
    if let Some(alert) = alert(error) {
        return (
            CheckCode::L6Response,
            format!("it turns the connection down: {alert}"),
        );
    }
    match error.etype() {
        ErrorType::ConnectRefused => (CheckCode::L4Connection, "connection refused".to_owned()),
        ErrorType::ConnectNoRoute => (CheckCode::L4Connection, "no route to host".to_owned()),
        ErrorType::ConnectTimedout => (CheckCode::L4Timeout, "no connection in time".to_owned()),
        ErrorType::CustomCode(_, status) => (CheckCode::L7Status, format!("HTTP status {status}")),
        ErrorType::ReadTimedout | ErrorType::WriteTimedout if http => {
            (CheckCode::L7Timeout, "no answer in time".to_owned())
        }
        ErrorType::ReadTimedout => (CheckCode::L4Timeout, "no connection in time".to_owned()),
        ErrorType::ConnectError | ErrorType::SocketError | ErrorType::BindError => {
            (CheckCode::L4Connection, "no connection".to_owned())
        }
        _ if http => (CheckCode::L7Response, "no valid HTTP answer".to_owned()),
        _ => (CheckCode::L4Connection, "no connection".to_owned()),
    }
}

/// What the server says in TLS after the handshake: of version 1.3 it judges haflux's certificate only then.
fn alert(error: &Error) -> Option<&rustls::Error> {
    let broken = error.root_cause().downcast_ref::<io::Error>()?;
    let said = broken.get_ref()?.downcast_ref()?;
    matches!(said, rustls::Error::AlertReceived(_)).then_some(said)
}

/// The probe of one server. `None` if there is none to make.
fn probe(check: &Check, server: &Server, send_proxy: Option<Version>) -> Option<ServerProbe> {
    let address = asked(&server.config.address, check.port);
    let answered = Arc::new(AtomicU16::new(0));
    let status = Arc::clone(&answered);
    // A little less than the whole, so that what ran out can be told.
    let connect = check.timeout * 9 / 10;
    let dial = Arc::new(PingoraDial {
        dialer: Arc::clone(&server.dialer),
        greeting: send_proxy.map(Greeting::of_check),
        longest: connect,
    });
    match &check.probe {
        Probe::None => None,
        Probe::Tcp => {
            let mut tcp = TcpHealthCheck::new();
            tcp.peer_template.options.custom_l4 = Some(dial);
            Some(ServerProbe { probe: tcp, status })
        }
        Probe::Http { path, expect, host } => {
            let mut http = HttpHealthCheck::new("localhost", false);
            http.req = check_request(path, host.as_deref(), &address).ok()?;
            http.peer_template.options.custom_l4 = Some(dial);
            // The deadline around the whole check does it.
            http.peer_template.options.read_timeout = None::<Duration>;
            let expect = expect.clone();
            http.validator = Some(Box::new(move |answer| {
                let status = answer.status.as_u16();
                answered.store(status, Ordering::Relaxed);
                let expected = expect
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&status));
                if expected {
                    return Ok(());
                }
                Err(Error::new(ErrorType::CustomCode(
                    "unexpected status",
                    status,
                )))
            }));
            Some(ServerProbe {
                probe: Box::new(http),
                status,
            })
        }
    }
}

/// The URL that a check asks, for a person who asks the same; without a query, which may hold a secret.
fn url(check: &Check, server: &Server) -> String {
    let scheme = if server.dialer.is_secure() {
        "https"
    } else {
        "http"
    };
    let path = match &check.probe {
        Probe::Http { path, .. } => path.split('?').next().unwrap_or_default(),
        Probe::Tcp | Probe::None => "/",
    };
    format!(
        "{scheme}://{}{path}",
        asked(&server.config.address, check.port)
    )
}

/// The address that a check asks.
fn asked(server: &ServerAddress, other: Option<u16>) -> ServerAddress {
    let mut asked = server.clone();
    match (&mut asked, other) {
        (_, None) => {}
        (ServerAddress::Ip(address), Some(other)) => address.set_port(other),
        (ServerAddress::Dns { port, .. }, Some(other)) => *port = other,
    }
    asked
}

fn check_request(
    path: &str,
    host: Option<&str>,
    address: &ServerAddress,
) -> pingora::Result<RequestHeader> {
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(3))?;
    let host = host.map_or_else(|| address.to_string(), str::to_owned);
    request.insert_header("Host", host)?;
    request.insert_header("User-Agent", "haflux")?;
    request.insert_header("Connection", "close")?;
    Ok(request)
}
