//! A proxy that says whom its connections are for, as load balancers do: by the header of the PROXY protocol.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

use super::source::connect_from;

/// Passes connections on from 127.0.0.`last`, each with the same bytes before it. It runs until the test ends.
pub struct Introducer {
    address: String,
}

impl Introducer {
    /// Before what listens at `to`.
    pub fn start(last: u8, to: &str, header: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let (to, header) = (to.to_owned(), header.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut server = connect_from(last, &to);
                let header = header.clone();
                std::thread::spawn(move || {
                    if server.write_all(&header).is_ok() {
                        carry(&client, &server);
                    }
                });
            }
        });
        Self { address }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Both ways, until both sides are silent.
fn carry(client: &TcpStream, server: &TcpStream) {
    let copy = |mut from: &TcpStream, mut to: &TcpStream| {
        let mut bytes = [0; 16 << 10];
        while let Ok(read) = from.read(&mut bytes)
            && read > 0
            && to.write_all(bytes.get(..read).unwrap_or_default()).is_ok()
        {}
        // The other side may have left.
        let _ = to.shutdown(Shutdown::Write);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| copy(client, server));
        copy(server, client);
    });
}

/// The header of version 1 for a client at `address`.
pub fn introduced(address: &str) -> String {
    let (family, own) = match address.contains(':') {
        true => ("TCP6", "::1"),
        false => ("TCP4", "127.0.0.1"),
    };
    format!("PROXY {family} {address} {own} 4711 8086\r\n")
}

/// The header of version 2 for a client at `address`, with something behind the address that means nothing to haflux.
pub fn introduced_in_binary(address: Ipv4Addr) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13".to_vec();
    header.extend_from_slice(&address.octets());
    header.extend_from_slice(&[127, 0, 0, 1, 0x12, 0x67, 0x1f, 0x96]);
    header.extend_from_slice(&[0x04, 0, 4, b'n', b'o', b'o', b'p']);
    header
}
