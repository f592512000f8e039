//! What a proxy says of a connection that it makes for a client: the header of the PROXY protocol, before anything else.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::proxy_header::{self, FIXED, LONGEST_LINE, Malformed, SIGNATURE};

/// Why a connection is not introduced.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unintroduced {
    /// It was closed before its first byte, as by a check of whether somebody listens.
    #[error("closed before its PROXY header")]
    Left,
    /// It begins with something else.
    #[error("a PROXY header that is {0}")]
    Malformed(#[from] Malformed),
    /// The header is longer than it may be.
    #[error("a PROXY header that is longer than max_header_size")]
    TooLong,
    /// It broke.
    #[error("no whole PROXY header: {0}")]
    Broken(#[from] io::Error),
}

/// Reads the header, of at most `most` bytes, and no byte behind it. Returns the client that it names; nothing if it names none.
///
/// # Errors
///
/// There is no header.
pub(super) async fn read(
    connection: &mut TcpStream,
    most: usize,
) -> Result<Option<SocketAddr>, Unintroduced> {
    let mut header = [0; LONGEST_LINE];
    let (beginning, line) = header.split_at_mut(SIGNATURE.len());
    // Both versions are longer than the signature of the second.
    match connection.read(beginning).await {
        Ok(0) => return Err(Unintroduced::Left),
        // Checks reset what they open, to keep no closed connection about.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {
            return Err(Unintroduced::Left);
        }
        Err(error) => return Err(error.into()),
        Ok(read) => {
            let rest = beginning.get_mut(read..).unwrap_or_default();
            connection.read_exact(rest).await?;
        }
    }
    if beginning == SIGNATURE {
        return read_binary(connection, most).await;
    }
    if !beginning.starts_with(b"PROXY ") {
        return Err(Malformed.into());
    }
    let length = SIGNATURE.len() + read_line(connection, line).await?;
    let line = header.get(..length).unwrap_or_default();
    Ok(proxy_header::of_line(line)?)
}

/// Reads the line's rest into `line`, and returns how long it is.
async fn read_line(connection: &mut TcpStream, line: &mut [u8]) -> Result<usize, Unintroduced> {
    let mut length = 0;
    loop {
        let space = line.get_mut(length..).unwrap_or_default();
        if space.is_empty() {
            return Err(Malformed.into());
        }
        // What stands behind the line is not to be read.
        let seen = connection.peek(space).await?;
        if seen == 0 {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        let seen = space.get(..seen).unwrap_or_default();
        let end = memchr::memchr(b'\n', seen);
        let taken = end.map_or(seen.len(), |end| end + 1);
        let taken = space.get_mut(..taken).unwrap_or_default();
        connection.read_exact(taken).await?;
        length += taken.len();
        if end.is_some() {
            return Ok(length);
        }
    }
}

async fn read_binary(
    connection: &mut TcpStream,
    most: usize,
) -> Result<Option<SocketAddr>, Unintroduced> {
    let mut fixed = [0; FIXED];
    let (signature, meaning) = fixed.split_at_mut(SIGNATURE.len());
    signature.copy_from_slice(&SIGNATURE);
    connection.read_exact(meaning).await?;
    let announced = proxy_header::announced(&fixed)?;
    if announced.length > most {
        return Err(Unintroduced::TooLong);
    }
    let mut rest = vec![0; announced.length];
    connection.read_exact(&mut rest).await?;
    Ok(announced.client(&rest)?)
}
