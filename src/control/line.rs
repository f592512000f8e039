//! Reading one line of bounded length.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// It does not end where it must.
    #[error("a request has at most {limit} bytes")]
    TooLong {
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// The other side left in the middle of it.
    #[error("the request has no end")]
    Unfinished,
    /// The connection broke.
    #[error(transparent)]
    Network(#[from] io::Error),
}

/// The next line without its end, or none if the other side has no more. Keeps at most `limit` bytes.
pub(super) async fn read(
    from: &mut (impl AsyncBufRead + Unpin),
    limit: usize,
) -> Result<Option<Vec<u8>>, LineError> {
    let mut line = Vec::new();
    loop {
        let available = from.fill_buf().await?;
        if available.is_empty() {
            return if line.is_empty() {
                Ok(None)
            } else {
                Err(LineError::Unfinished)
            };
        }
        let end = memchr::memchr(b'\n', available);
        let part = end
            .and_then(|end| available.get(..end))
            .unwrap_or(available);
        if line.len() + part.len() > limit {
            return Err(LineError::TooLong { limit });
        }
        line.extend_from_slice(part);
        let used = part.len() + usize::from(end.is_some());
        from.consume(used);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}
