//! What a process that was started by root has to do as root, and the end of that.
//!
//! Addresses are bound and certificates are read; then the process becomes the configured user. Everything else happens as that
//! user, so that its files are that user's: journals, log files, sockets in the file system.
//!
//! Last of all the process confines itself to the files that it needs from then on, if so configured.
//!
//! No thread of haflux runs yet. Those that libraries have started change with the others.

use std::path::Path;
use std::sync::Arc;

use super::RunError;
use super::certificates::{build_acceptors, build_connectors};
use super::confinement::{Confined, Confinement};
use crate::config::{Loaded, create_data_dir};
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
    /// What the process may do with files, and how far the kernel sees to that; nothing if it may do what its user may.
    pub(super) confinement: Option<(Confinement, Confined)>,
}

/// Does what may need root for what was `loaded` from `file`, and leaves root if a user is configured. Sockets are bound here only then: otherwise
/// addresses are taken last, when all else has been had.
///
/// # Errors
/// A certificate, a folder, an address or the user cannot be had, or the kernel does not confine the process. The process must end then.
pub fn prepare(loaded: &Loaded, file: &Path) -> Result<Prepared, RunError> {
    let config = &loaded.config;
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
    let confinement = match config.server.landlock {
        false => None,
        true => {
            let confinement = Confinement::of(config, file, &loaded.secret_files);
            let confined = confinement.enter()?;
            Some((confinement, confined))
        }
    };
    Ok(Prepared {
        inherited,
        acceptors,
        connectors,
        confinement,
    })
}
