//! Puts the parts together into a Pingora server, and takes them apart again in the right order.
//!
//! # Start
//!
//! [What may need root](mod@prepare) comes first, even before the first file of the log; then root is left for good, if so configured.
//! Counters, pools, relays (each opens its journal and recovers), the sockets of UDP, the proxy, its sockets: whatever fails, fails before
//! anything is served. Then Pingora runs two services: the pools' checks and names, and the frontends. What they accept is served on
//! [reactors](crate::reactors), on which the relays' replicators and the UDP listeners run too; from there the
//! [service manager](service_manager) is told that haflux is ready.
//!
//! Sockets that systemd holds are [taken](crate::inherited) instead of bound; they outlive the process, so that a restart refuses nobody.
//!
//! # Reload
//!
//! SIGHUP, and an order over the control socket: the file is read again and taken, whole or not at all ([`reload`]).
//!
//! # Stop
//!
//! SIGTERM and SIGINT: frontends stop accepting and close connections after their answer; what is in flight is answered,
//! for at most `stop_timeout`; UDP listeners append what they have, replicators finish or abandon what they have under way; journals are synced and closed, the
//! last to go, because every acknowledgement before that leans on them.

mod accounts;
mod certificates;
mod confinement;
mod counters;
mod healing;
mod open_files;
mod prepare;
mod queries;
mod reload;
mod replicas;
mod servers;
mod service_manager;
mod signals;
mod status;
mod stop;

use std::net::UdpSocket;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use log::{error, info};
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use rustix::process::Signal;
use tokio::sync::{Mutex, mpsc, watch};

use crate::config::{Config, DataDirError};
use crate::control::{Configuration, ControlBindError, ControlSocket, Orders, of_data_dir};
use crate::heal::Healer;
use crate::identity::IdentityError;
use crate::inherited::Inherited;
use crate::proxy::{
    BindError, CheckError, ClientSide, Identities, IdentitiesError, Proxy, RelayHandler,
    ServerOrders, ServerSide, build_pools,
};
use crate::reactors::Reactors;
use crate::relay::udp::{Bound, Listener, UdpBindError, watch_drops};
use crate::relay::{Relay, RelayError, words_of};
use crate::stats::Stats;

pub use accounts::AccountsError;
pub use certificates::TlsSideError;
pub use confinement::ConfinementError;
pub use prepare::{Prepared, prepare};
pub use reload::Source;

use accounts::read_accounts;
use healing::AllHealers;
use queries::AllQueries;
use reload::Reloader;
use replicas::AllReplicas;
use servers::AllServers;
use service_manager::ServiceManager;
use status::GivesOrders;
use stop::Stop;

/// Why the program cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A pool's check cannot be made.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A frontend cannot speak TLS, or none can be spoken to a server.
    #[error(transparent)]
    Tls(#[from] TlsSideError),
    /// haflux's own users cannot be had.
    #[error(transparent)]
    Identities(#[from] IdentitiesError),
    /// The accounts of a server cannot be had.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The folder of the journals cannot be had.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The process cannot become who it is to be.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The process cannot be confined.
    #[error(transparent)]
    Confinement(#[from] ConfinementError),
    /// A relay cannot start.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// An address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Signals cannot be heeded.
    #[error("signals cannot be waited for: {0}")]
    Signals(#[from] std::io::Error),
    /// The threads that serve connections cannot be had.
    #[error("the threads that serve connections cannot be started: {0}")]
    Threads(#[source] std::io::Error),
    /// The control socket cannot be had.
    #[error(transparent)]
    Control(#[from] ControlBindError),
    /// An address of a UDP listener cannot be had.
    #[error(transparent)]
    UdpBind(#[from] UdpBindError),
    /// It served, and stopped because a task that cannot begin again has failed.
    #[error("a task failed, and the process has ended for it; the log has the reason")]
    Task,
}

/// Runs `config`, for which all is `prepared` and which came from `source`, until the process is told to stop.
///
/// # Errors
///
/// [`RunError`] before anything is served; later only [`RunError::Task`].
pub fn run(config: Config, prepared: Prepared, source: Source) -> Result<(), RunError> {
    let Prepared {
        mut inherited,
        acceptors,
        connectors,
        confinement,
    } = prepared;
    if let Some((confinement, confined)) = &confinement {
        confinement.say(*confined);
    }
    let (asked, reload_asked) = signals::heed()?;
    let connections = config
        .frontends
        .iter()
        .map(|frontend| frontend.max_connections as u64);
    open_files::raise(connections.sum());
    let clients = ClientSide {
        acceptors,
        identities: Identities::read(&config)?,
    };
    let config = Arc::new(config);
    let stats = Arc::new(counters::of(&config));
    let pools = build_pools(&config, &stats, &[])?;
    let servers = ServerSide {
        connectors,
        accounts: read_accounts(&config)?,
    };
    servers.tell(&pools);
    // Without a relay `data_dir` need not be there.
    let data_dir = config.server.data_dir.as_path();
    let keeps = !config.relays.is_empty() || data_dir.is_dir();
    let server_orders = ServerOrders::open(keeps.then_some(data_dir), pools.clone());
    let server_orders = Arc::new(server_orders);
    let serving = watch::Sender::new(false);
    let replicating = watch::Sender::new(false);
    let (ended, tasks_ended) = mpsc::channel::<()>(1);
    let failed = Arc::new(AtomicBool::new(false));

    let mut relays = Vec::with_capacity(config.relays.len());
    let mut tasks = Vec::new();
    for (settings, stats) in config.relays.iter().zip(&stats.relays) {
        let servers = pools
            .get(settings.pool.index())
            .map(|pool| pool.links())
            .unwrap_or_default();
        let (relay, relay_tasks) = Relay::open(
            settings.clone(),
            &config.server.data_dir,
            servers,
            Arc::clone(stats),
            &replicating.subscribe(),
        )?;
        relays.push(relay);
        tasks.extend(relay_tasks);
    }
    // After the journals: their locks say whether another haflux runs on this folder.
    let sockets = sockets(&config, keeps)?;
    tasks.extend(listen(
        &config,
        &stats,
        &relays,
        &replicating,
        &mut inherited,
    )?);

    let handlers = relays
        .iter()
        .map(|relay| Arc::clone(relay) as Arc<dyn RelayHandler>)
        .collect();
    let proxy = Arc::new(Proxy::new(
        Arc::clone(&config),
        stats,
        pools,
        handlers,
        Arc::new(status::Page::new(Some(
            Arc::clone(&server_orders) as Arc<dyn GivesOrders>
        ))?),
        &clients,
        serving.subscribe(),
    ));
    let service_manager = Arc::new(ServiceManager::from_environment());
    let reloader = Arc::new(Reloader {
        source,
        confinement: confinement.map(|(confinement, _)| confinement),
        proxy: Arc::clone(&proxy),
        orders: Arc::clone(&server_orders),
        relays: relays.clone(),
        service_manager: Arc::clone(&service_manager),
        turn: Mutex::default(),
    });
    let healers = relays.iter().map(|relay| {
        let folder = data_dir.join(&relay.stats().name);
        let healer = Arc::new(Healer::new(Arc::clone(relay), folder));
        healer.compare_by_itself();
        healer.make_up_for_missed_runs();
        healer
    });
    let healers: Vec<Arc<Healer>> = healers.collect();
    healers.iter().for_each(Healer::go_on);
    let orders = Orders {
        healing: Arc::new(AllHealers { healers }),
        replicas: Arc::new(AllReplicas {
            proxy: Arc::clone(&proxy),
            relays: relays.clone(),
        }),
        servers: Arc::new(AllServers {
            proxy: Arc::clone(&proxy),
            orders: server_orders,
        }),
        queries: Arc::new(AllQueries {
            proxy: Arc::clone(&proxy),
        }),
        configuration: Arc::clone(&reloader) as Arc<dyn Configuration>,
    };
    for socket in sockets {
        tasks.push(Box::pin(socket.serve(orders.clone(), serving.subscribe())));
    }
    let certificates = certificates::watch(Arc::clone(&proxy), serving.subscribe());
    tasks.push(Box::pin(certificates));
    tasks.push(Box::pin(reloader.heed(reload_asked, serving.subscribe())));
    let mut tasks: Vec<BoxFuture<'static, ()>> = tasks
        .into_iter()
        .map(|task| until_the_end(task, ended.clone(), Arc::clone(&failed)))
        .collect();
    drop(ended);
    let reactors = Reactors::start(config.server.threads).map_err(RunError::Threads)?;
    let reactors = Arc::new(reactors);
    // The stop does not wait for this one: it must say that the process lives until the end.
    let counting = Arc::clone(&proxy);
    tasks.push(Box::pin(service_manager.attend(
        move || service_manager::status(&counting.stats()),
        reactors.pulse(),
        serving.subscribe(),
    )));
    let bound = proxy.bind(&mut inherited)?;
    inherited.let_go();
    for (frontend, addresses) in config.frontends.iter().zip(bound.addresses()) {
        for address in addresses {
            info!("frontend {} listens on {address}", frontend.name);
        }
    }

    let mut server = Server::new_with_opt_and_conf(None, pingora_configuration(&config));
    server.bootstrap();
    let checks = server.add_service(proxy.background_service());
    let frontends =
        server.add_service(proxy.listening_service(Arc::clone(&reactors), bound, tasks));
    frontends.add_dependency(&checks);
    let stop = Stop::new(asked, serving, replicating, proxy, tasks_ended, relays);
    server.run(RunArgs {
        shutdown_signal: Box::new(stop),
    });
    drop(reactors);
    info!("stopped");
    match failed.load(Ordering::Acquire) {
        false => Ok(()),
        true => Err(RunError::Task),
    }
}

/// Binds the sockets for orders: the one in `data_dir`, if haflux `keeps` anything there, and `stats_socket`.
fn sockets(config: &Config, keeps: bool) -> Result<Vec<ControlSocket>, ControlBindError> {
    let control = keeps.then(|| of_data_dir(&config.server.data_dir));
    let stats = config.server.stats_socket.as_ref().map(|settings| {
        info!("stats_socket {}", settings.path.display());
        settings.clone()
    });
    control
        .into_iter()
        .chain(stats)
        .map(ControlSocket::bind)
        .collect()
}

/// Binds the UDP listeners; the tasks that serve them.
fn listen(
    config: &Config,
    stats: &Stats,
    relays: &[Arc<Relay>],
    stop: &watch::Sender<bool>,
    inherited: &mut Inherited,
) -> Result<Vec<BoxFuture<'static, ()>>, UdpBindError> {
    let bound: Vec<Bound> = config
        .udp
        .iter()
        .map(|settings| {
            let reserved = inherited.take_reserved_udp(settings.bind);
            let held = inherited.take_udp(settings.bind);
            match held.or_else(|| reserved.map(UdpSocket::from)) {
                Some(socket) => Bound::over(settings, socket),
                None => Bound::bind(settings),
            }
        })
        .collect::<Result<_, _>>()?;
    if bound.is_empty() {
        return Ok(Vec::new());
    }
    let watched = bound.iter().zip(stats.udp.iter().cloned());
    let mut tasks: Vec<BoxFuture<'static, ()>> =
        vec![Box::pin(watch_drops(watched, stop.subscribe()))];
    for ((settings, bound), stats) in config.udp.iter().zip(bound).zip(&stats.udp) {
        if let Some(relay) = relays.get(settings.relay.index()) {
            info!(
                "udp {} listens for relay {}",
                bound.address(),
                relay.stats().name
            );
            let limits = config.relay(settings.relay);
            let limits = (limits.max_body, limits.max_tags);
            let listener = Listener::new(settings, limits, Arc::clone(relay), Arc::clone(stats));
            tasks.push(Box::pin(listener.run(bound, stop.subscribe())));
        }
    }
    Ok(tasks)
}

/// The task, holding on to `ended` until it has ended. A process that one of its tasks has left is not whole: it stops, as it does on
/// a signal, and whoever started it starts another one.
fn until_the_end(
    task: BoxFuture<'static, ()>,
    ended: mpsc::Sender<()>,
    failed: Arc<AtomicBool>,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
            error!(
                "a task failed ({}); the process ends",
                words_of(panic.as_ref())
            );
            failed.store(true, Ordering::Release);
            let process = rustix::process::getpid();
            if let Err(error) = rustix::process::kill_process(process, Signal::TERM) {
                error!("it cannot be told to stop: {error}");
            }
        }
        drop(ended);
    })
}

fn pingora_configuration(config: &Config) -> ServerConf {
    ServerConf {
        threads: config.server.threads,
        // Everything has ended when Pingora is told to stop: it need not wait.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}
