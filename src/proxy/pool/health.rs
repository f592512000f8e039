//! The health checks of one pool: Pingora's machinery runs them, this wraps each in a deadline and keeps what it found.
//!
//! Pingora knows a checked server by address and weight, and by address two servers could be one. So the weight it sees is
//! the server's position in the pool plus one, and its registry is told that nothing else makes a server: its health
//! survives a change of address.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use pingora::http::RequestHeader;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck, TcpHealthCheck};
use pingora::lb::{Backend as Target, BackendView, Extensions, HealthCheckService, HealthRegistry};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType};
use tokio::sync::watch;

use crate::config::model::{Backend, Check, Probe, ServerAddress};
use crate::proxy::pool::{CheckError, Pool};
use crate::stats::LastCheck;

/// The checks of one pool.
pub(crate) struct PoolChecks {
    view: BackendView,
    service: HealthCheckService,
}

/// Whether the checks of `backend` can be made.
pub(crate) fn validate(backend: &Backend) -> Result<(), CheckError> {
    for server in &backend.servers {
        if let Probe::Http { path, host, .. } = &backend.check.probe {
            check_request(path, host.as_deref(), &server.address).map_err(|error| {
                CheckError::Request {
                    backend: backend.name.clone(),
                    reason: error.to_string(),
                }
            })?;
        }
    }
    Ok(())
}

impl PoolChecks {
    /// The checks of `pool`, or `None` if it has none.
    pub(crate) fn new(pool: &Arc<Pool>) -> Option<Self> {
        let check = &pool.config().check;
        let probes: Vec<Option<ServerProbe>> = pool
            .servers()
            .iter()
            .map(|server| {
                let checked = pool.is_checked(server);
                checked
                    .then(|| probe(check, &server.config.address))
                    .flatten()
            })
            .collect();
        if probes.iter().all(Option::is_none) {
            return None;
        }
        let registry = Arc::new(HealthRegistry::with_equivalence(|target| {
            u64::try_from(target.weight).unwrap_or(u64::MAX)
        }));
        registry.set_health_check(Box::new(RecordedCheck {
            pool: Arc::clone(pool),
            probes,
        }));
        let mut service = HealthCheckService::new(Arc::clone(&registry));
        service.health_check_frequency = Some(check.interval);
        service.parallel_health_check = true;
        let view = BackendView::new_with_health_registry(
            Box::new(CheckedServers(Arc::clone(pool))),
            registry,
        );
        Some(Self { view, service })
    }

    /// Takes over the addresses as they are now.
    pub(crate) async fn update(&self) {
        if let Err(error) = self.view.update(|_| ()).await {
            log::error!("the servers to check could not be taken over: {error}");
        }
    }

    /// Checks until `stop` is true.
    pub(crate) async fn run(&self, stop: watch::Receiver<bool>) {
        self.service.run(stop, None).await;
    }
}

/// The servers that have a check and an address, for Pingora.
struct CheckedServers(Arc<Pool>);

#[async_trait]
impl ServiceDiscovery for CheckedServers {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Target>, HashMap<u64, bool>)> {
        let pool = &self.0;
        let targets = pool
            .servers()
            .iter()
            .enumerate()
            .filter(|(_, server)| pool.is_checked(server))
            .filter_map(|(index, server)| {
                Some(Target {
                    addr: SocketAddr::Inet(server.handle.address()?),
                    weight: index + 1,
                    ext: Extensions::new(),
                })
            })
            .collect();
        Ok((targets, HashMap::new()))
    }
}

/// Runs a server's probe within the check's deadline and keeps the outcome.
struct RecordedCheck {
    pool: Arc<Pool>,
    /// By position in the pool; `None` for servers without a check.
    probes: Vec<Option<ServerProbe>>,
}

/// What is asked of one server.
struct ServerProbe {
    probe: Box<dyn HealthCheck + Send + Sync>,
    /// The HTTP status of the newest answer; 0 if there is none.
    status: Arc<AtomicU16>,
}

fn index_of(target: &Target) -> usize {
    target.weight.saturating_sub(1)
}

#[async_trait]
impl HealthCheck for RecordedCheck {
    async fn check(&self, target: &Target) -> pingora::Result<()> {
        let index = index_of(target);
        let (Some(Some(probe)), Some(server)) = (self.probes.get(index), self.pool.server(index))
        else {
            return Ok(());
        };
        if server.handle.is_in_maint() {
            // It is not asked, and stays what it was before.
            return match server.handle.is_up() {
                true => Ok(()),
                false => Err(Error::new(ErrorType::ConnectError)),
            };
        }
        let check = &self.pool.config().check;
        let started = Instant::now();
        probe.status.store(0, Ordering::Relaxed);
        let result = match tokio::time::timeout(check.timeout, probe.probe.check(target)).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(ErrorType::ReadTimedout)),
        };
        let (code, detail) = describe(&check.probe, result.as_ref().err().map(AsRef::as_ref));
        match (&result, &check.probe) {
            (Err(_), _) => server.stats.check_failures.increment(),
            (Ok(()), Probe::Http { .. }) => server.handle.note_answer(),
            // The kernel makes connections also for a process that stands still.
            (Ok(()), _) => {}
        }
        server.stats.last_check.store(Some(Arc::new(LastCheck {
            at: SystemTime::now(),
            took: started.elapsed(),
            code,
            status: match probe.status.load(Ordering::Relaxed) {
                0 => None,
                status => Some(status),
            },
            detail,
        })));
        result
    }

    async fn health_status_change(&self, target: &Target, healthy: bool) {
        let index = index_of(target);
        let Some(server) = self.pool.server(index) else {
            return;
        };
        let reason = server
            .stats
            .last_check
            .load()
            .as_deref()
            .map_or_else(String::new, |last| format!("{} {}", last.code, last.detail));
        self.pool.mark(index, healthy, &reason);
    }

    fn health_threshold(&self, success: bool) -> usize {
        let check = &self.pool.config().check;
        if success { check.rise } else { check.fall }
    }
}

/// HAProxy's code for the outcome of a check, and words for a person.
fn describe(probe: &Probe, error: Option<&Error>) -> (&'static str, String) {
    let http = matches!(probe, Probe::Http { .. });
    let Some(error) = error else {
        return match http {
            true => ("L7OK", "check passed".to_owned()),
            false => ("L4OK", "check passed".to_owned()),
        };
    };
    match error.etype() {
        ErrorType::ConnectRefused => ("L4CON", "connection refused".to_owned()),
        ErrorType::ConnectNoRoute => ("L4CON", "no route to host".to_owned()),
        ErrorType::ConnectTimedout => ("L4TOUT", "no connection in time".to_owned()),
        ErrorType::CustomCode(_, status) => ("L7STS", format!("HTTP status {status}")),
        ErrorType::ReadTimedout | ErrorType::WriteTimedout if http => {
            ("L7TOUT", "no answer in time".to_owned())
        }
        ErrorType::ReadTimedout => ("L4TOUT", "no connection in time".to_owned()),
        ErrorType::ConnectError | ErrorType::SocketError | ErrorType::BindError => {
            ("L4CON", "no connection".to_owned())
        }
        _ if http => ("L7RSP", "no valid HTTP answer".to_owned()),
        _ => ("L4CON", "no connection".to_owned()),
    }
}

/// The probe of one server. `None` if there is none to make.
fn probe(check: &Check, address: &ServerAddress) -> Option<ServerProbe> {
    let answered = Arc::new(AtomicU16::new(0));
    let status = Arc::clone(&answered);
    // A little less than the whole, so that what ran out can be told.
    let connect = check.timeout * 9 / 10;
    match &check.probe {
        Probe::None => None,
        Probe::Tcp => {
            let mut tcp = TcpHealthCheck::new();
            tcp.peer_template.options.connection_timeout = Some(connect);
            Some(ServerProbe { probe: tcp, status })
        }
        Probe::Http { path, expect, host } => {
            let mut http = HttpHealthCheck::new("localhost", false);
            http.req = check_request(path, host.as_deref(), address).ok()?;
            http.peer_template.options.connection_timeout = Some(connect);
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
