//! An idle connection to a node whose end says that the node's process may have ended, also while nothing is sent to it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socket2::TcpKeepalive;
use tokio::io::{AsyncRead, ReadBuf};

use crate::dial::{Call, Connection, Dialer, SocketOptions};
use crate::relay::replica::client::SendError;

/// A host that went away without a word is noticed after these: silence, then so many probes without an answer.
const SILENCE: Duration = Duration::from_secs(5);
const PROBE_PACE: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;

/// The connection. Nothing is ever sent on it but a handshake.
#[derive(Debug)]
pub(in crate::relay) struct Liveness {
    connection: Mutex<Connection>,
    since: Instant,
}

impl Liveness {
    /// Connects.
    ///
    /// # Errors
    /// [`SendError::Connect`]
    pub(in crate::relay) async fn open(
        dialer: &Dialer,
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Liveness, SendError> {
        let probes = TcpKeepalive::new()
            .with_time(SILENCE)
            .with_interval(PROBE_PACE)
            .with_retries(PROBES);
        let call = Call {
            socket: SocketOptions {
                keep_alive: Some(probes),
                drops_unsent_after: None,
            },
            ..Call::within(timeout)
        };
        let dialled = dialer.dial(address, call).await;
        let connection = dialled.map_err(|error| SendError::not_connected(address, &error))?;
        Ok(Liveness {
            connection: Mutex::new(connection),
            since: Instant::now(),
        })
    }

    /// Returns when the connection has ended, or something came on it, which no node sends unasked.
    pub(in crate::relay) async fn ended(&self) {
        let mut byte = [0];
        poll_fn(|context| {
            let mut connection = self.connection.lock();
            let mut buffer = ReadBuf::new(&mut byte);
            Pin::new(&mut *connection)
                .poll_read(context, &mut buffer)
                .map(drop)
        })
        .await;
    }

    /// How long it has been open.
    pub(in crate::relay) fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

/// As [`Liveness::ended`]; without a liveness connection, never.
pub(in crate::relay) async fn ended(liveness: Option<&Liveness>) {
    match liveness {
        Some(liveness) => liveness.ended().await,
        None => std::future::pending().await,
    }
}
