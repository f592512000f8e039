//! The accounts that servers have of their own, read at the start and at each reload.

use std::sync::Arc;

use super::certificates::server_place;
use crate::config::PasswordFileError;
use crate::config::model::{BackendId, Config};
use crate::dial::OwnAccounts;
use crate::proxy::Accounts;

/// Why a server's accounts are not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}, login: {source}")]
pub struct AccountsError {
    /// The server, as messages name it.
    pub place: String,
    /// Why.
    pub source: PasswordFileError,
}

/// Those of each server of each backend of `config`, in their order.
///
/// # Errors
///
/// The first file that cannot be used, with its server.
pub(super) fn read_accounts(config: &Config) -> Result<Accounts, AccountsError> {
    let each = config.backends.iter().enumerate();
    let each = each.map(|(index, backend)| {
        let servers = backend.servers.iter().map(|server| {
            let accounts = config.own_accounts(BackendId(index), server);
            let named = accounts.map_err(|source| AccountsError {
                place: server_place(&backend.name, &server.name),
                source,
            });
            named.map(|pairs| Arc::new(OwnAccounts::new(pairs)))
        });
        servers.collect()
    });
    each.collect()
}
