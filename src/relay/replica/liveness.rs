//! An idle connection to a node whose end says that the node's process may have ended, also while nothing is sent to it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::relay::replica::client::SendError;

/// A host that went away without a word is noticed after these: silence, then so many probes without an answer.
const SILENCE: Duration = Duration::from_secs(5);
const PROBE_PACE: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;

/// The connection. Nothing is ever sent on it.
#[derive(Debug)]
pub(in crate::relay) struct Liveness {
    stream: TcpStream,
    since: Instant,
}

impl Liveness {
    /// Connects.
    ///
    /// # Errors
    /// [`SendError::Connect`]
    pub(in crate::relay) async fn open(
        address: SocketAddr,
        timeout: Duration,
    ) -> Result<Liveness, SendError> {
        let failed = |reason: String| SendError::Connect { address, reason };
        let stream = match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed(format!("no answer within {timeout:?}"))),
        };
        keep_alive(&stream).map_err(|error| failed(error.to_string()))?;
        Ok(Liveness {
            stream,
            since: Instant::now(),
        })
    }

    /// Returns when the connection has ended, or something came on it, which no node sends unasked.
    pub(in crate::relay) async fn ended(&self) {
        let mut byte = [0];
        loop {
            if self.stream.readable().await.is_err() {
                return;
            }
            match self.stream.try_read(&mut byte) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }

    /// How long it has been open.
    pub(in crate::relay) fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

fn keep_alive(stream: &TcpStream) -> std::io::Result<()> {
    let probes = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(PROBE_PACE)
        .with_retries(PROBES);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

/// As [`Liveness::ended`]; without a liveness connection, never.
pub(in crate::relay) async fn ended(liveness: Option<&Liveness>) {
    match liveness {
        Some(liveness) => liveness.ended().await,
        None => std::future::pending().await,
    }
}
