//! A server that answers at once: what is measured before it is what stands before it.
//!
//! `answering_replica ADDRESS…` takes writes and pings with 204, as InfluxDB does, and answers anything else with 300 bytes of
//! JSON. One thread a connection, blocking: the cheapest there is for a few dozen connections.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const NO_CONTENT: &[u8] =
    b"HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\nX-Influxdb-Build: OSS\r\nX-Influxdb-Version: 1.8.10\r\n\r\n";

const BODY: usize = 300;

fn main() -> std::io::Result<()> {
    let listeners: Vec<TcpListener> = std::env::args()
        .skip(1)
        .map(TcpListener::bind)
        .collect::<Result<_, _>>()?;
    let threads = listeners
        .into_iter()
        .map(|listener| std::thread::spawn(move || accept(&listener)));
    for thread in threads.collect::<Vec<_>>() {
        // It ends with the process.
        let _ = thread.join();
    }
    Ok(())
}

fn accept(listener: &TcpListener) {
    for connection in listener.incoming().flatten() {
        std::thread::spawn(move || {
            // A connection ends when the other side has had enough of it.
            let _ = serve(connection);
        });
    }
}

fn serve(mut connection: TcpStream) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let read = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {BODY}\r\n\r\n{{\"results\":[{}]}}",
        " ".repeat(BODY - r#"{"results":[]}"#.len())
    );
    let mut buffer = vec![0; 256 * 1024];
    let mut filled = 0;
    loop {
        let Some(end) = memchr::memmem::find(&buffer[..filled], b"\r\n\r\n") else {
            match connection.read(&mut buffer[filled..])? {
                0 => return Ok(()),
                more => filled += more,
            }
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let answer = if head.starts_with("post /write") || head.starts_with("get /ping") {
            NO_CONTENT
        } else {
            read.as_bytes()
        };
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
            .unwrap_or(0);
        let begun = filled - (end + 4);
        if begun > length {
            buffer.copy_within(end + 4 + length..filled, 0);
            filled = begun - length;
        } else {
            let mut missing = length - begun;
            while missing > 0 {
                let room = missing.min(buffer.len());
                match connection.read(&mut buffer[..room])? {
                    0 => return Ok(()),
                    more => missing -= more,
                }
            }
            filled = 0;
        }
        connection.write_all(answer)?;
    }
}
