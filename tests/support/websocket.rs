//! A server that speaks WebSocket and sends back whatever it is sent.

use std::net::{SocketAddr, TcpListener};

/// Starts one, which ends with the test's process. Returns where it listens.
pub fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || {
                // A health check connects and says nothing.
                let Ok(mut socket) = tungstenite::accept(connection) else {
                    return;
                };
                while let Ok(message) = socket.read() {
                    if message.is_close() || socket.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
