//! Which relay a command is about.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::output::tell;
use super::{ConfigFile, USAGE, running};
use crate::config::model::{PoolServer, Relay};
use crate::config::{Config, PasswordFileError};
use crate::influx::Account;

/// The arguments that say it.
#[derive(Debug, Args)]
pub(super) struct Place {
    #[command(flatten)]
    file: ConfigFile,

    /// The relay, if there are several
    #[arg(short, long, value_name = "NAME")]
    relay: Option<String>,
}

/// A relay of a configuration.
pub(super) struct Chosen {
    config: Config,
    index: usize,
}

impl Place {
    /// Reads the configuration, without trying the folder, and finds the relay; or says what is wrong and gives the exit
    /// status.
    pub(super) fn choose(&self) -> Result<Chosen, ExitCode> {
        let config = running::configuration(&self.file.config)?;
        let file = self.file.config.display();
        let names: Vec<&str> = config
            .relays
            .iter()
            .map(|relay| relay.name.as_str())
            .collect();
        let index = match (&self.relay, names.as_slice()) {
            (Some(name), _) => names.iter().position(|each| each == name),
            (None, [_]) => Some(0),
            (None, _) => None,
        };
        if let Some(index) = index {
            return Ok(Chosen { config, index });
        }
        match (&self.relay, names.as_slice()) {
            (_, []) => tell!("{file} has no relay"),
            (Some(name), _) => {
                tell!("{file} has no relay {name}, but {}", names.join(", "));
            }
            (None, _) => tell!(
                "{file} has several relays; say --relay with one of {}",
                names.join(", ")
            ),
        }
        Err(ExitCode::from(USAGE))
    }
}

impl Chosen {
    /// The relay's settings.
    pub(super) fn relay(&self) -> &Relay {
        &self.config.relays[self.index]
    }

    /// Users of one of its replicas, each with the account that it has there alone, second.
    pub(super) fn own_accounts(
        &self,
        replica: &PoolServer,
    ) -> Result<Vec<(Account, Account)>, PasswordFileError> {
        self.config.own_accounts(self.relay().pool, replica)
    }

    /// The folder of its journal.
    pub(super) fn folder(&self) -> PathBuf {
        self.config.server.data_dir.join(&self.relay().name)
    }

    /// One of its replicas.
    pub(super) fn replica(&self, name: &str) -> Option<&PoolServer> {
        let pool = self.config.backend(self.relay().pool);
        pool.servers.iter().find(|server| server.name == name)
    }
}
