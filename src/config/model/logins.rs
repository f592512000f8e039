//! Who haflux, and its users, are on the nodes.

use std::path::PathBuf;

use super::{Backend, BackendId, Config, Pattern, Relay, Udp};

/// In whose name haflux asks and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// `username`: at most 255 bytes, without a colon.
    pub username: String,
    /// `password_file`: holds the password, one line.
    pub password_file: PathBuf,
}

/// One table of a backend's `login`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLogin {
    /// `users`: whom of haflux's users it is for; everybody if it is empty.
    pub users: Vec<Pattern>,
    /// `username` and `password_file`.
    pub login: Login,
}

/// One table of a server's `login`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLogin {
    /// `instead_of`: the `username` of a [login of its pool](Config::logins_of).
    pub instead_of: String,
    /// `username` and `password_file`: who that is on this server.
    pub login: Login,
}

impl Backend {
    /// Whose names haflux itself puts into requests to its servers: those of its `login`, and of `heal` and `[[udp]]` of the relay
    /// that replicates to it.
    pub(in crate::config) fn logins_among<'all>(
        &'all self,
        relays: &'all [Relay],
        udp: &'all [Udp],
    ) -> impl Iterator<Item = &'all Login> {
        let of_users = self.logins.iter().map(|of_users| &of_users.login);
        let relay = self.replicated_by;
        let of_heal = relay.and_then(|relay| relays.get(relay.index())?.heal.login.as_ref());
        let listeners = udp.iter().filter(move |udp| Some(udp.relay) == relay);
        let of_udp = listeners.filter_map(|udp| udp.login.as_ref());
        of_users.chain(of_heal).chain(of_udp)
    }
}

impl Config {
    /// Whose names haflux itself puts into requests to the servers of a pool.
    pub fn logins_of(&self, pool: BackendId) -> impl Iterator<Item = &Login> {
        let backend = self.backends.get(pool.index()).into_iter();
        backend.flat_map(|backend| backend.logins_among(&self.relays, &self.udp))
    }
}
