//! The accounts that the configuration names by a name and a file with the password.

use super::model::{BackendId, Config, Login, PoolServer};
use super::password_file::{PasswordFileError, read};
use crate::influx::Account;

impl Login {
    /// The user with the password that its file holds now.
    ///
    /// # Errors
    /// Of the file.
    pub fn account(&self) -> Result<Account, PasswordFileError> {
        let password = read(&self.password_file)?;
        Ok(Account::new(self.username.clone(), password))
    }
}

impl Config {
    /// Who is known on a server of this pool by an account of its own: each with the account that it has on the others, first.
    ///
    /// # Errors
    /// Of the first file that cannot be used.
    pub fn own_accounts(
        &self,
        pool: BackendId,
        server: &PoolServer,
    ) -> Result<Vec<(Account, Account)>, PasswordFileError> {
        let mut accounts = Vec::new();
        for own in &server.logins {
            let account = own.login.account()?;
            let replaced = self.logins_of(pool);
            for login in replaced.filter(|login| login.username == own.instead_of) {
                accounts.push((login.account()?, account.clone()));
            }
        }
        Ok(accounts)
    }
}
