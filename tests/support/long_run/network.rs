//! A network that delivers late, or slowly.
//!
//! What was sent on a connection arrives in the end, though the sender has given up and closed it long ago: its kernel goes on
//! sending, and what was lost on one path comes through when later connections have long been carried by another. A write that
//! nobody answered in time can so land behind newer ones.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::support::lock::lock;

/// The way to one node. It lasts as long as the process.
pub struct Network {
    address: SocketAddr,
    begun: Instant,
    connections: Arc<Mutex<Vec<Weak<Hold>>>>,
    pace: Arc<Pace>,
}

/// What every connection keeps to, on its way to the node.
#[derive(Default)]
struct Pace {
    /// Milliseconds that each piece takes.
    delay: AtomicU64,
    /// Most bytes a second of one connection; 0 for as many as come.
    rate: AtomicU64,
}

impl Pace {
    fn time_for(&self, bytes: usize) -> Duration {
        let delay = Duration::from_millis(self.delay.load(Ordering::Relaxed));
        match self.rate.load(Ordering::Relaxed) {
            0 => delay,
            rate => delay + Duration::from_secs_f64(bytes as f64 / rate as f64),
        }
    }
}

/// Until when a connection keeps what it is given for the node: milliseconds since the network began; 0 before it is held.
type Hold = AtomicU64;

impl Network {
    /// Puts one before a replica of a configuration.
    pub fn before(name: &str, configuration: &mut String) -> Self {
        let node = address_of(configuration, name);
        let network = Network::to(&node);
        *configuration = configuration.replace(&node, &network.address.to_string());
        network
    }

    /// A way to `node`.
    fn to(node: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let network = Self {
            address: listener.local_addr().expect("a bound port"),
            begun: Instant::now(),
            connections: Arc::default(),
            pace: Arc::default(),
        };
        let (begun, connections) = (network.begun, Arc::clone(&network.connections));
        let pace = Arc::clone(&network.pace);
        let node = node.to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A node that is away: the connection is closed, which is all a client of it can see.
                let Ok(server) = TcpStream::connect(&node) else {
                    continue;
                };
                let hold = Arc::new(Hold::new(0));
                let mut connections = lock(&connections);
                connections.retain(|connection| connection.strong_count() > 0);
                connections.push(Arc::downgrade(&hold));
                carry(client, server, begun, hold, Arc::clone(&pace));
            }
        });
        network
    }

    /// From now on every piece of a request takes this long to its node.
    pub fn delay(&self, delay: Duration) {
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.pace.delay.store(delay, Ordering::Relaxed);
    }

    /// From now on no connection carries more bytes a second to the node.
    pub fn slow_to(&self, bytes_per_second: u64) {
        self.pace.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    /// What is sent from now on over the connections that there are arrives after `delay`, and those behind it do not wait for
    /// it. A connection is held once only: so nothing is ever later than one delay, and a rewind longer than that must mend it.
    /// Returns how many connections that are.
    pub fn hold(&self, delay: Duration) -> usize {
        let until = self.begun.elapsed() + delay;
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        let connections = lock(&self.connections);
        let held = connections.iter().filter_map(Weak::upgrade);
        held.filter(|hold| {
            let first = hold.compare_exchange(0, until, Ordering::Relaxed, Ordering::Relaxed);
            first.is_ok()
        })
        .count()
    }
}

/// The address of a replica in a configuration.
fn address_of(configuration: &str, name: &str) -> String {
    let server = format!("{{ name = \"{name}\"");
    configuration
        .split_once("name = \"influx_back\"")
        .and_then(|(_, pool)| {
            let (_, server) = pool.split_once(&server)?;
            server.split('"').nth(1).map(str::to_owned)
        })
        .unwrap_or_else(|| panic!("no {name} in the configuration"))
}

fn carry(client: TcpStream, server: TcpStream, begun: Instant, hold: Arc<Hold>, pace: Arc<Pace>) {
    let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    for stream in [&client, &server] {
        // Without it the connection is slower, and no less right.
        let _ = stream.set_nodelay(true);
    }
    std::thread::spawn(move || {
        copy(from_client, server, |bytes| {
            // The pauses are the network that was asked for.
            std::thread::sleep(pace.time_for(bytes));
            let until = Duration::from_millis(hold.load(Ordering::Relaxed));
            std::thread::sleep(until.saturating_sub(begun.elapsed()));
        });
    });
    std::thread::spawn(move || copy(from_server, client, |_| {}));
}

/// Copies until either side is closed.
fn copy(mut from: TcpStream, mut to: TcpStream, wait: impl Fn(usize)) {
    let mut buffer = [0; 16_384];
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        wait(read);
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            // Whoever reads there may have closed it already.
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
    }
}
