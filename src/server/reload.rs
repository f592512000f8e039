//! The configuration file is read again while the process runs.
//!
//! The process runs by one whole file at any moment. A file with an error, or with a change that needs a restart, changes nothing:
//! whoever asked hears everything that stands against it. What a running request sees, and what becomes of servers, is said in
//! [`proxy`](crate::proxy); `docs/decisions/reload.md` says why.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jiff::Timestamp;
use log::{error, info, warn};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinError;
use tokio::time::timeout;

use super::accounts::{AccountsError, read_accounts};
use super::certificates::{TlsSideError, build_acceptors, build_connectors, server_place};
use super::confinement::Confinement;
use super::counters;
use super::service_manager::{self, ServiceManager};
use super::signals::Reload;
use crate::config::model::{self, Backend, BackendId, PoolServer};
use crate::config::{Change, Config, Errors, changes};
use crate::control::{Configuration, ControlError};
use crate::dial::ServerLink;
use crate::proxy::{
    Accounts, CheckError, ClientSide, Connectors, Identities, IdentitiesError, Proxy, RelayHandler,
    ServerOrders, ServerSide, UnresolvedError, build_pools,
};
use crate::relay::Relay;
use crate::tls::Acceptor;

/// How long files may take to be read: less than `haflux reload` waits.
const LONGEST_READING: Duration = Duration::from_secs(20);

/// Where a configuration came from, and how its levels of logging are set.
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// Has the log follow `[server]` from now on.
    pub set_levels: fn(&model::Server),
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// The file has errors.
    #[error("{0}\nhaflux goes on as it was: nothing was changed")]
    File(#[from] Errors),
    /// A check cannot be made.
    #[error("{0}\nhaflux goes on as it was: nothing was changed")]
    Check(#[from] CheckError),
    /// A frontend cannot speak TLS, or none can be spoken to a server.
    #[error("{0}\nhaflux goes on as it was: nothing was changed")]
    Tls(#[from] TlsSideError),
    /// haflux's own users cannot be had.
    #[error("{0}\nhaflux goes on as it was: nothing was changed")]
    Identities(#[from] IdentitiesError),
    /// The accounts of a server cannot be had.
    #[error("{0}\nhaflux goes on as it was: nothing was changed")]
    Accounts(#[from] AccountsError),
    /// Servers are to be asked at names that have no answer.
    #[error("{}haflux goes on as it was: nothing was changed", lines(.0))]
    Unresolved(Vec<UnresolvedError>),
    /// It names files that the process has locked itself out of.
    #[error(
        "haflux may read nothing in {folders} (landlock), because the file that it started with named nothing there; a restart lets it\nhaflux goes on as it was: nothing was changed"
    )]
    Confined {
        /// Where they are.
        folders: String,
    },
    /// A disk does not answer.
    #[error("its files were not read within {} s\nhaflux goes on as it was: nothing was changed", LONGEST_READING.as_secs())]
    Slow,
    /// The task that reads the file failed.
    #[error("the file was not read: {0}\nhaflux goes on as it was: nothing was changed")]
    Failed(#[from] JoinError),
    /// Something in it cannot be changed while the process runs.
    #[error("{0}")]
    NeedsRestart(String),
}

/// Has the process run by what the file says now.
pub(super) struct Reloader {
    pub(super) source: Source,
    /// What the process may do with files.
    pub(super) confinement: Option<Confinement>,
    pub(super) proxy: Arc<Proxy>,
    /// What a person ordered for servers.
    pub(super) orders: Arc<ServerOrders>,
    pub(super) relays: Vec<Arc<Relay>>,
    pub(super) service_manager: Arc<ServiceManager>,
    /// One reload at a time.
    pub(super) turn: Mutex<()>,
}

impl Reloader {
    /// Reloads at each SIGHUP until `stop` is true.
    pub(super) async fn heed(self: Arc<Self>, asked: Reload, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = asked.notified() => {}
            }
            // It is in the log.
            let _ = self.take(false).await;
        }
    }

    /// Reads the file again, and has the process run by it unless that is a `dry_run`. Returns what that changes, for a person.
    ///
    /// # Errors
    /// Why nothing was changed, or would be.
    async fn take(&self, dry_run: bool) -> Result<String, ReloadError> {
        let _turn = self.turn.lock().await;
        if dry_run {
            return self.try_take(true).await;
        }
        self.service_manager.reloading();
        let result = self.try_take(false).await;
        let status = service_manager::status(&self.proxy.stats());
        self.service_manager.ready(&match &result {
            Ok(_) => status,
            Err(error) => format!("{status}; the last reload changed nothing: {error}"),
        });
        let file = self.source.file.display();
        match &result {
            Ok(said) => said
                .lines()
                .for_each(|line| info!("reload of {file}: {line}")),
            Err(error) => {
                let said = error.to_string();
                said.lines()
                    .for_each(|line| error!("reload of {file}: {line}"));
            }
        }
        result
    }

    async fn try_take(&self, dry_run: bool) -> Result<String, ReloadError> {
        let file = self.source.file.clone();
        let loaded = read(move || Config::load_to_reload(&file)).await??;
        let config = Arc::new(loaded.config);
        let changes = changes(&self.proxy.config(), &config);
        if changes.iter().any(Change::needs_restart) {
            return Err(ReloadError::NeedsRestart(refusal(&changes)));
        }
        self.check_files(&config, &loaded.secret_files)?;
        let pools = self.proxy.pools();
        let stats = Arc::new(counters::after(&config, &self.proxy.stats()));
        let built = build_pools(&config, &stats, &pools)?;
        let reading = Arc::clone(&config);
        let sides = move || {
            let clients = ClientSide {
                acceptors: build_acceptors(&reading)?,
                identities: Identities::read(&reading)?,
            };
            let servers = ServerSide {
                connectors: build_connectors(&reading)?,
                accounts: read_accounts(&reading)?,
            };
            Ok::<_, ReloadError>((clients, servers))
        };
        let (clients, servers) = read(sides).await??;
        let files = self.new_certificates(&config, &clients.acceptors)
            + &self.new_connectors(&config, &servers.connectors)
            + self.new_users(&config, clients.identities.as_deref())
            + &self.new_logins(&config, clients.identities.as_deref())
            + &self.new_accounts(&config, &servers.accounts);
        let resolved = self.proxy.resolve(built).await;
        let resolved = resolved.map_err(ReloadError::Unresolved)?;
        let said = report(&changes, &files, dry_run);
        if dry_run {
            return Ok(said);
        }
        for warning in &loaded.warnings {
            warn!("{warning}");
        }
        (self.source.set_levels)(&config.server);
        let relays = config.relays.iter().filter_map(|settings| {
            let mut relays = self.relays.iter();
            relays.find(|relay| relay.stats().name == settings.name)
        });
        let relays = relays.map(|relay| Arc::clone(relay) as Arc<dyn RelayHandler>);
        let relays = relays.collect();
        self.proxy
            .reload(config, stats, resolved, relays, &clients, &servers);
        for (frontend, acceptor) in self.proxy.acceptors() {
            acceptor.warn_of_ends(&frontend, SystemTime::now());
        }
        let (orders, pools) = (Arc::clone(&self.orders), self.proxy.pools());
        // It may wait for the disk.
        if let Err(broken) = tokio::task::spawn_blocking(move || orders.follow(pools)).await {
            error!("the orders for servers do not follow the reload: {broken}");
        }
        Ok(said)
    }
}

/// Does what reads files, in a thread that may wait for a disk.
async fn read<T: Send + 'static>(
    reading: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReloadError> {
    let reading = tokio::task::spawn_blocking(reading);
    let done = timeout(LONGEST_READING, reading).await;
    Ok(done.map_err(|_| ReloadError::Slow)??)
}

impl Reloader {
    /// Finds out whether the process may read what `config` names.
    fn check_files(&self, config: &Config, secrets: &[PathBuf]) -> Result<(), ReloadError> {
        let Some(confinement) = &self.confinement else {
            return Ok(());
        };
        let wanted = Confinement::of(config, &self.source.file, secrets);
        let lacking = confinement.lacks(&wanted);
        let folders: Vec<String> = lacking
            .iter()
            .map(|one| one.display().to_string())
            .collect();
        match folders.is_empty() {
            true => Ok(()),
            false => Err(ReloadError::Confined {
                folders: folders.join(", "),
            }),
        }
    }

    /// A line for each certificate that frontends do not show now, and for each file by which clients are judged otherwise.
    fn new_certificates(&self, config: &Config, acceptors: &[Option<Arc<Acceptor>>]) -> String {
        let before = self.proxy.acceptors();
        let mut lines = String::new();
        for (frontend, acceptor) in config.frontends.iter().zip(acceptors) {
            let before = before.iter().find(|(name, _)| *name == frontend.name);
            let before = before.map(|(_, acceptor)| acceptor.as_ref());
            let acceptor = acceptor.as_ref();
            let staples = acceptor.map(|acceptor| acceptor.newer_staples_than(before));
            for staple in staples.into_iter().flatten() {
                let file = staple.file().display();
                // A text takes whatever is written to it.
                let _ = writeln!(
                    lines,
                    "frontend \"{}\", tls: a new OCSP response in {file}",
                    frontend.name
                );
            }
            let judges = acceptor.map(|acceptor| acceptor.newer_judges_than(before));
            for file in judges.into_iter().flatten() {
                // A text takes whatever is written to it.
                let _ = writeln!(
                    lines,
                    "frontend \"{}\", tls: clients' certificates are judged by what {} holds now",
                    frontend.name,
                    file.display()
                );
            }
            let newer = acceptor.map(|acceptor| acceptor.newer_than(before));
            for certificate in newer.into_iter().flatten() {
                let valid_until = Timestamp::try_from(certificate.not_after()).unwrap_or_default();
                // A text takes whatever is written to it.
                let _ = writeln!(
                    lines,
                    "frontend \"{}\", tls: a new certificate in {}, valid until {valid_until:.0}",
                    frontend.name,
                    certificate.file().display()
                );
            }
        }
        lines
    }

    /// A line if the file of users holds others than now, though the configuration names the same one.
    fn new_users(&self, config: &Config, identities: Option<&Identities>) -> &'static str {
        let (before, now) = (self.proxy.config(), self.proxy.identities());
        let file = |config: &Config| config.users.as_ref().map(|users| users.file.clone());
        match (now, identities) {
            (Some(now), Some(new))
                if file(&before) == file(config) && !now.have_same_users(new) =>
            {
                "users: their file holds others\n"
            }
            _ => "",
        }
    }

    /// A line for each backend that haflux's users are let in to by other passwords than now, though the configuration says the same.
    fn new_logins(&self, config: &Config, identities: Option<&Identities>) -> String {
        let (before, now) = (self.proxy.config(), self.proxy.identities());
        let (Some(now), Some(new)) = (now, identities) else {
            return String::new();
        };
        let mut lines = String::new();
        for (index, backend) in config.backends.iter().enumerate() {
            let mut known = before.backends.iter();
            let same = |one: &Backend| (&one.name, &one.logins) == (&backend.name, &backend.logins);
            if let Some(known) = known.position(same)
                && !now.have_same_logins(BackendId(known), new, BackendId(index))
            {
                // A text takes whatever is written to it.
                let _ = writeln!(
                    lines,
                    "backend \"{}\", login: its password files hold others",
                    backend.name
                );
            }
        }
        lines
    }

    /// The same for each server with accounts of its own.
    fn new_accounts(&self, config: &Config, accounts: &Accounts) -> String {
        self.lines_of_servers(config, accounts, |known, server, link, accounts| {
            let is_other =
                known.logins == server.logins && !link.dialer.has_same_accounts(accounts);
            is_other.then_some("login: its password files hold others")
        })
    }

    /// A line for each server that TLS is spoken to with other certificates than now, though the configuration says the same.
    fn new_connectors(&self, config: &Config, connectors: &Connectors) -> String {
        self.lines_of_servers(config, connectors, |known, server, link, connector| {
            let now = link.dialer.connector()?;
            let is_other = known.tls == server.tls && !now.is_same(connector.as_ref()?);
            is_other.then_some("tls: its files hold other certificates")
        })
    }

    /// What `line` says of the servers of `config` that haflux has already, each with what stands for it in `new`, in the order of `config`.
    /// It is given a server's settings until now, those of `config`, and what leads to it.
    fn lines_of_servers<T>(
        &self,
        config: &Config,
        new: &[Vec<T>],
        line: impl Fn(&PoolServer, &PoolServer, &ServerLink, &T) -> Option<&'static str>,
    ) -> String {
        let before = self.proxy.config();
        let pools = self.proxy.pools();
        let mut lines = String::new();
        for (backend, new) in config.backends.iter().zip(new) {
            let Some(pool) = pools.iter().find(|pool| pool.name() == backend.name) else {
                continue;
            };
            let known = before.backends.iter().find(|one| one.name == backend.name);
            let links = pool.links();
            for (server, new) in backend.servers.iter().zip(new) {
                let mut known = known.iter().flat_map(|known| &known.servers);
                let known = known.find(|one| one.name == server.name);
                let link = links.iter().find(|link| link.state.name() == server.name);
                if let (Some(known), Some(link)) = (known, link)
                    && let Some(said) = line(known, server, link, new)
                {
                    let place = server_place(&backend.name, &server.name);
                    // A text takes whatever is written to it.
                    let _ = writeln!(lines, "{place}, {said}");
                }
            }
        }
        lines
    }
}

#[async_trait]
impl Configuration for Reloader {
    async fn reload(&self, dry_run: bool) -> Result<String, ControlError> {
        let said = self.take(dry_run).await;
        said.map_err(|error| ControlError::Configuration {
            reason: error.to_string(),
        })
    }
}

/// Lines that say what is changed; `files` are such lines about what the configuration names.
fn report(changes: &[Change], files: &str, dry_run: bool) -> String {
    let mut lines: String = changes.iter().fold(String::new(), |mut lines, change| {
        // A text takes whatever is written to it.
        let _ = writeln!(lines, "{change}");
        lines
    });
    lines += files;
    lines += match (lines.is_empty(), dry_run) {
        (true, _) => "the file says what haflux runs by already",
        (false, true) => "a reload takes all of it",
        (false, false) => "taken",
    };
    lines
}

/// A line for each of `errors`.
fn lines(errors: &[UnresolvedError]) -> String {
    let lines = errors.iter().map(|error| format!("{error}\n"));
    lines.collect()
}

/// Lines that say what stands against a file that is right in itself.
fn refusal(changes: &[Change]) -> String {
    let mut lines = String::new();
    for change in changes {
        let mark = match change.needs_restart() {
            true => " (needs a restart)",
            false => "",
        };
        let _ = writeln!(lines, "{change}{mark}");
    }
    lines + "haflux goes on as it was: nothing was changed, because some of it needs a restart"
}
