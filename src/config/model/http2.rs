//! `http2`: how a frontend speaks HTTP/2, where it does.

/// What a connection of HTTP/2 may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    /// `plain`: HTTP/2 is spoken on addresses without TLS too, to clients that begin with it. Default false.
    pub plain: bool,
    /// `max_streams`: most requests of one connection at once; more wait with the client. Default 100.
    pub max_streams: u32,
    /// `max_resets`: how many requests the client of one connection may take back within a minute, before they are answered. Past it the
    /// connection is ended. Default 200.
    pub max_resets: u32,
    /// `window`: most bytes of requests that one connection may send before they are read; a quarter of it for one request. Default 1 MiB.
    pub window: u32,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            plain: false,
            max_streams: 100,
            max_resets: 200,
            window: 1 << 20,
        }
    }
}
