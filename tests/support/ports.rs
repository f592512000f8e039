//! Ports for programs that must be told one.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{LazyLock, Mutex};

use super::lock::lock;

/// Below the range from which Linux takes ports for outgoing connections: a port that a stopped program listened on is not
/// taken by a passing connection before the program is started again.
const RANGE: std::ops::Range<u16> = 10_240..32_768;

static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A loopback port that nobody listens on, and that this process has not been given before.
///
/// Another process may take it before it is used: whoever starts a program on it tries again with another one if that happened.
pub fn free_port() -> u16 {
    free(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
}

/// The same for UDP.
pub fn free_udp_port() -> u16 {
    free(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
}

fn free(is_free: impl Fn(u16) -> bool) -> u16 {
    for _ in 0..1000 {
        let port = fastrand::u16(RANGE);
        let new = lock(&GIVEN).insert(port);
        if new && is_free(port) {
            return port;
        }
    }
    panic!("no free port between {} and {}", RANGE.start, RANGE.end);
}
