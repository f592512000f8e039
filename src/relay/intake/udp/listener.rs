//! A listener: reads datagrams, gathers their lines, has records appended.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use log::{debug, error, info};
use tokio::net::UdpSocket;
use tokio::sync::watch;

use crate::config::model;
use crate::influx::unix_nanos;
use crate::relay::intake::relay::Relay;
use crate::stats::UdpStats;

use super::append::Appender;
use super::gather::{Gathered, Gathering};
use super::socket::Bound;
use super::{BURST, DRAIN_FOR, FULL, GATHER_FOR, READ_PAUSE, stopped};

/// More than any datagram holds.
const LARGEST_DATAGRAM: usize = 64 * 1024;

/// A listener of UDP.
pub struct Listener {
    address: SocketAddr,
    appender: Appender,
    stats: Arc<UdpStats>,
    gathering: Gathering,
    /// The one that was read last.
    datagram: Box<[u8]>,
    /// Gathered from a burst, and to be appended before the next one.
    gathered: Vec<Gathered>,
}

/// How a burst of reads ended.
enum Burst {
    /// Nothing is left to read.
    Emptied,
    /// More may be there.
    Cut,
    /// A read failed.
    Failed(io::Error),
}

impl Listener {
    /// A listener that writes to `relay`, no record larger than `max_body`, no line with more than `max_tags` tags.
    pub fn new(
        settings: &model::Udp,
        (max_body, max_tags): (usize, usize),
        relay: Arc<Relay>,
        stats: Arc<UdpStats>,
    ) -> Listener {
        Listener {
            address: settings.bind,
            appender: Appender::new(settings, relay, Arc::clone(&stats)),
            stats,
            gathering: Gathering::new(max_body.min(FULL), settings.precision, max_tags),
            datagram: vec![0; LARGEST_DATAGRAM].into_boxed_slice(),
            gathered: Vec::new(),
        }
    }

    /// Reads from `bound` until `stop` is true, then what the kernel still holds, and appends what was gathered.
    pub async fn run(mut self, bound: Bound, mut stop: watch::Receiver<bool>) {
        self.appender.log_in(bound.credentials);
        let socket = match UdpSocket::from_std(bound.socket) {
            Ok(socket) => socket,
            Err(error) => {
                error!("udp {}: nothing is read: {error}", self.address);
                return;
            }
        };
        tokio::select! {
            () = self.appender.look_for_database() => {}
            () = stopped(&mut stop) => {}
        }
        let waited = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(waited);
        let rights = self.appender.rights().watch();
        tokio::pin!(rights);
        loop {
            let empty = self.gathering.is_empty();
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                () = &mut waited, if !empty => self.flush().await,
                ready = socket.readable() => {
                    let burst = match ready {
                        Ok(()) => self.read(|datagram| socket.try_recv(datagram)),
                        Err(error) => Burst::Failed(error),
                    };
                    self.go_on(burst).await;
                }
                never = &mut rights => match never {},
            }
            if empty && !self.gathering.is_empty() {
                let until = tokio::time::Instant::now() + GATHER_FOR;
                waited.as_mut().reset(until);
            }
        }
        match socket.into_std() {
            // The kernel is asked itself: the runtime may not know yet what has come.
            Ok(socket) => self.drain(|datagram| socket.recv(datagram)).await,
            Err(error) => error!("udp {}: nothing more is read: {error}", self.address),
        }
        self.flush().await;
        info!(
            "udp {}: stopped; it has read {} datagrams and kept {} lines",
            self.address,
            self.stats.packets.get(),
            self.stats.lines.get()
        );
    }

    /// Reads what is left.
    async fn drain(&mut self, mut receive: impl FnMut(&mut [u8]) -> io::Result<usize>) {
        let until = Instant::now() + DRAIN_FOR;
        while Instant::now() < until {
            match self.read(&mut receive) {
                Burst::Emptied => return self.append().await,
                burst => self.go_on(burst).await,
            }
        }
    }

    async fn go_on(&mut self, after: Burst) {
        self.append().await;
        match after {
            Burst::Emptied => {}
            Burst::Cut => tokio::task::yield_now().await,
            Burst::Failed(error) => {
                self.stats.read_errors.increment();
                debug!("udp {}: a read failed: {error}", self.address);
                tokio::time::sleep(READ_PAUSE).await;
            }
        }
    }

    fn read(&mut self, mut receive: impl FnMut(&mut [u8]) -> io::Result<usize>) -> Burst {
        for _ in 0..BURST {
            match receive(&mut self.datagram) {
                Ok(length) => self.take(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Burst::Emptied,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Burst::Failed(error),
            }
        }
        Burst::Cut
    }

    /// Takes the datagram that was read, of this length.
    fn take(&mut self, length: usize) {
        let taken = self.gathering.take(
            self.datagram.get(..length).unwrap_or_default(),
            unix_nanos(SystemTime::now()),
            |gathered| self.gathered.push(gathered),
        );
        self.stats.packets.increment();
        self.stats.bytes.add(length as u64);
        self.stats.lines.add(taken.lines);
        self.stats.refused_lines.add(taken.refused);
    }

    async fn flush(&mut self) {
        self.gathered.extend(self.gathering.finish());
        self.append().await;
    }

    async fn append(&mut self) {
        for gathered in self.gathered.drain(..) {
            self.appender.append(gathered).await;
        }
    }
}
