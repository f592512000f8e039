//! What a process that was started by root has to do as root, and the end of that.
//!
//! Addresses are bound and certificates are read; then the process becomes the configured user. Everything else happens as that
//! user, so that its files are that user's: journals, log files, sockets in the file system.
//!
//! No thread of haflux runs yet. Those that libraries have started change with the others.

use std::sync::Arc;

use super::RunError;
use super::certificates::{build_acceptors, build_connectors};
use crate::config::{Config, create_data_dir};
use crate::identity::forbid_new_privileges;
use crate::inherited::Inherited;
use crate::proxy::{Connectors, reserve};
use crate::relay::udp::Bound;
use crate::tls::Acceptor;

/// What was had before root was left.
#[derive(Debug)]
pub struct Prepared {
    /// Sockets that were handed over, and those that were bound.
    pub(super) inherited: Inherited,
    /// The acceptor of each frontend, in their order.
    pub(super) acceptors: Vec<Option<Arc<Acceptor>>>,
    /// What TLS is spoken with to the servers of each backend, in their order.
    pub(super) connectors: Connectors,
}

/// Does what may need root for `config`, and leaves root if a user is configured. Sockets are bound here only then: otherwise
/// addresses are taken last, when all else has been had.
///
/// # Errors
/// A certificate, a folder, an address or the user cannot be had. The process must end then.
pub fn prepare(config: &Config) -> Result<Prepared, RunError> {
    forbid_new_privileges()?;
    let mut inherited = Inherited::from_environment();
    let acceptors = build_acceptors(config)?;
    let connectors = build_connectors(config)?;
    let identity = config.identity()?;
    identity.check_start()?;
    if !config.relays.is_empty() {
        create_data_dir(&config.server.data_dir, &identity)?;
    }
    if !identity.is_taken_on() {
        reserve(&config.frontends, &mut inherited)?;
        for settings in &config.udp {
            inherited.reserve_udp(settings.bind, || Bound::reserve(settings))?;
        }
        identity.take_on()?;
    }
    Ok(Prepared {
        inherited,
        acceptors,
        connectors,
    })
}
