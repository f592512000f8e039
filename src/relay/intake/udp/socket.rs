//! The socket of a listener: bound before anything is served, its buffer as large as the kernel allows.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use log::warn;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::units::format_size;
use crate::config::{PasswordFileError, model};
use crate::influx::Credentials;

/// Why a listener cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum UdpBindError {
    /// It cannot have its address.
    #[error("udp: cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Its password cannot be had.
    #[error("udp {address}: {source}")]
    Password {
        /// The listener's address.
        address: SocketAddr,
        /// Why.
        source: PasswordFileError,
    },
}

/// A listener's socket. Datagrams gather in the kernel from here on.
#[derive(Debug)]
pub struct Bound {
    pub(super) socket: UdpSocket,
    pub(super) address: SocketAddr,
    /// By which `/proc/net/udp` knows the socket.
    pub(super) inode: u64,
    /// In whose name its lines are written.
    pub(super) credentials: Credentials,
}

impl Bound {
    /// Takes the address, and asks the kernel for `read_buffer`; warns if it gives less.
    ///
    /// # Errors
    /// [`UdpBindError`] if the address is in use, or not one of this machine, or if there is no password.
    pub fn bind(settings: &model::Udp) -> Result<Bound, UdpBindError> {
        Bound::over(settings, Bound::reserve(settings)?.into())
    }

    /// Binds a socket to the address, for [`Bound::over`].
    ///
    /// # Errors
    /// [`UdpBindError`] if the address is in use, or not one of this machine.
    pub fn reserve(settings: &model::Udp) -> Result<Socket, UdpBindError> {
        open(settings).map_err(|source| UdpBindError::Address {
            address: settings.bind,
            source,
        })
    }

    /// The same over a socket that is bound to the address already.
    ///
    /// # Errors
    /// [`UdpBindError`] if the kernel does not let it be used, or if there is no password.
    pub fn over(settings: &model::Udp, socket: UdpSocket) -> Result<Bound, UdpBindError> {
        let credentials = credentials(settings)?;
        let fail = |source| UdpBindError::Address {
            address: settings.bind,
            source,
        };
        let socket = Socket::from(socket);
        socket.set_nonblocking(true).map_err(fail)?;
        let asked = settings.read_buffer;
        socket.set_recv_buffer_size(asked).map_err(fail)?;
        let given = given(socket.recv_buffer_size().map_err(fail)?);
        if given < asked {
            warn!(
                "udp {}: read_buffer is {}, but the kernel gives {}: it drops more datagrams when they come in bursts; net.core.rmem_max is its limit",
                settings.bind,
                format_size(asked as u64),
                format_size(given as u64),
            );
        }
        let inode = rustix::fs::fstat(&socket)
            .map_err(|error| fail(error.into()))?
            .st_ino;
        let address = socket
            .local_addr()
            .map_err(fail)?
            .as_socket()
            .unwrap_or(settings.bind);
        Ok(Bound {
            socket: socket.into(),
            address,
            inode,
            credentials,
        })
    }

    /// Where it listens; if the configuration said port 0, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Those of the configuration, as a request's header.
fn credentials(settings: &model::Udp) -> Result<Credentials, UdpBindError> {
    let Some(login) = &settings.login else {
        return Ok(Credentials::None);
    };
    let account = login.account().map_err(|source| UdpBindError::Password {
        address: settings.bind,
        source,
    })?;
    Ok(Credentials::Authorization(account.header().into_bytes()))
}

/// Without SO_REUSEADDR: with it, two sockets of UDP can have one address, and one of them gets nothing.
fn open(settings: &model::Udp) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(settings.bind),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(settings.read_buffer)?;
    socket.bind(&settings.bind.into())?;
    Ok(socket)
}

/// What was granted of a size that was asked for: Linux reads back twice as much, for its own bookkeeping (socket(7)).
pub(super) fn given(read_back: usize) -> usize {
    read_back / 2
}
