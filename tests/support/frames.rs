//! Frames of HTTP/2 (RFC 9113), as a client would not send them that means well.

/// A frame: its kind, flags, stream and what is in it.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a small frame")
        .to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
/// Of [`SETTINGS`]: they are taken.
pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// `:method GET`, `:scheme http`, `:path /`, and `:authority x`, as HPACK has them.
pub const GET: &[u8] = b"\x82\x86\x84\x41\x01x";

/// What a client sends first.
pub fn opening() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

/// Whether frames of `kind` are among the bytes.
pub fn has_frame(mut bytes: &[u8], kind: u8) -> bool {
    while bytes.len() >= 9 {
        if bytes[3] == kind {
            return true;
        }
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    false
}

/// The header of a request inside TLS, as HPACK has it, for a path of less than 127 bytes.
pub fn header(method: &str, path: &str) -> Vec<u8> {
    let text = |value: &str| {
        let length = u8::try_from(value.len())
            .ok()
            .filter(|length| *length < 127);
        let mut bytes = vec![length.expect("a short text")];
        bytes.extend_from_slice(value.as_bytes());
        bytes
    };
    // `:method`, `:scheme https`, `:path`, `:authority`.
    let method: &[u8] = if method == "GET" { b"\x82" } else { b"\x83" };
    [method, b"\x87\x04", &text(path), b"\x41", &text("haflux")].concat()
}
