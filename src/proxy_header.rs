//! The header of the PROXY protocol: a proxy says by it, before anything else on a connection, whom the connection is for.
//!
//! HAProxy's `doc/proxy-protocol.txt` is the norm. Version 1 is a line of text, version 2 is binary. Of both only TCP over IPv4 and IPv6 is
//! read and written. A header of version 2 for another kind of connection names nobody, as the norm has it (section 2.2). What that version
//! may carry behind the addresses is skipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 2 begins with. No HTTP request does.
pub(crate) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of version 2 before its addresses.
pub(crate) const FIXED: usize = 16;

/// The longest line of version 1, with its end.
pub(crate) const LONGEST_LINE: usize = 107;

const PROXY: u8 = 0x21;
const LOCAL: u8 = 0x20;
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// UDP over IPv4 and IPv6, and streams and datagrams of Unix sockets.
const OTHERS: [u8; 4] = [0x12, 0x22, 0x31, 0x32];

/// A version of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    One,
    /// Binary.
    Two,
}

impl Version {
    /// The header of a connection that a proxy makes for itself, for instance to check a server.
    pub(crate) fn for_itself(self) -> &'static [u8] {
        const BINARY: [u8; FIXED] = [
            b'\r',
            b'\n',
            b'\r',
            b'\n',
            0,
            b'\r',
            b'\n',
            b'Q',
            b'U',
            b'I',
            b'T',
            b'\n',
            LOCAL,
            UNSPECIFIED,
            0,
            0,
        ];
        match self {
            Self::One => b"PROXY UNKNOWN\r\n",
            Self::Two => &BINARY,
        }
    }

    /// The header of a connection for the client at `from`, which connected to `to`.
    pub(crate) fn header(self, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let (from_ip, to_ip) = match (from.ip().to_canonical(), to.ip().to_canonical()) {
            (IpAddr::V4(from), IpAddr::V6(to)) => (from.to_ipv6_mapped().into(), to.into()),
            (IpAddr::V6(from), IpAddr::V4(to)) => (from.into(), to.to_ipv6_mapped().into()),
            same => same,
        };
        let (from_port, to_port) = (from.port(), to.port());
        match self {
            Self::One => {
                let family = if from_ip.is_ipv4() { "TCP4" } else { "TCP6" };
                format!("PROXY {family} {from_ip} {to_ip} {from_port} {to_port}\r\n").into_bytes()
            }
            Self::Two => {
                let mut addresses = Vec::with_capacity(36);
                for ip in [from_ip, to_ip] {
                    match ip {
                        IpAddr::V4(ip) => addresses.extend_from_slice(&ip.octets()),
                        IpAddr::V6(ip) => addresses.extend_from_slice(&ip.octets()),
                    }
                }
                for port in [from_port, to_port] {
                    addresses.extend_from_slice(&port.to_be_bytes());
                }
                let (family, length) = if from_ip.is_ipv4() {
                    (TCP4, 12)
                } else {
                    (TCP6, 36)
                };
                [&SIGNATURE, &[PROXY, family, 0, length][..], &addresses].concat()
            }
        }
    }
}

/// A header that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed")]
pub(crate) struct Malformed;

/// The client that a line of version 1 names, with its end; nothing if the proxy names none.
pub(crate) fn of_line(line: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    let line = line.strip_suffix(b"\r\n").ok_or(Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
    let line = line.strip_prefix("PROXY ").ok_or(Malformed)?;
    let mut words = line.split(' ');
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(None);
    }
    let mut next = || words.next().ok_or(Malformed);
    let (from, to, from_port, to_port) = (next()?, next()?, port(next()?)?, next()?);
    let is_family = |text: &str| match family {
        Some("TCP4") => text.parse::<Ipv4Addr>().is_ok(),
        Some("TCP6") => text.parse::<Ipv6Addr>().is_ok(),
        _ => false,
    };
    port(to_port)?;
    if !is_family(from) || !is_family(to) || words.next().is_some() {
        return Err(Malformed);
    }
    let from: IpAddr = from.parse().map_err(|_| Malformed)?;
    Ok(Some(SocketAddr::new(from, from_port)))
}

fn port(text: &str) -> Result<u16, Malformed> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| is_number);
    port.ok_or(Malformed)
}

/// How many bytes follow the fixed part of version 2, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) length: usize,
    /// The two bytes that say what for.
    meaning: [u8; 2],
}

/// What the fixed part of version 2 announces.
pub(crate) fn announced(fixed: &[u8; FIXED]) -> Result<Announced, Malformed> {
    let [.., command, family, high, low] = *fixed;
    let is_known = fixed.starts_with(&SIGNATURE) && matches!(command, PROXY | LOCAL);
    let announced = Announced {
        length: usize::from(u16::from_be_bytes([high, low])),
        meaning: [command, family],
    };
    is_known.then_some(announced).ok_or(Malformed)
}

impl Announced {
    /// The client that the bytes behind the fixed part name; nothing if the proxy names none.
    pub(crate) fn client(self, rest: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
        let port = |at: usize| {
            let port = rest.get(at..)?.first_chunk::<2>()?;
            Some(u16::from_be_bytes(*port))
        };
        let client = match self.meaning {
            [LOCAL, _] | [_, UNSPECIFIED] => return Ok(None),
            [_, other] if OTHERS.contains(&other) => return Ok(None),
            [_, TCP4] => rest
                .first_chunk::<4>()
                .zip(port(8))
                .filter(|_| rest.len() >= 12)
                .map(|(address, port)| SocketAddr::new(Ipv4Addr::from(*address).into(), port)),
            [_, TCP6] => rest
                .first_chunk::<16>()
                .zip(port(32))
                .filter(|_| rest.len() >= 36)
                .map(|(address, port)| SocketAddr::new(Ipv6Addr::from(*address).into(), port)),
            _ => None,
        };
        client.map(Some).ok_or(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of_binary(bytes: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>().ok_or(Malformed)?;
        let announced = announced(fixed)?;
        announced.client(rest.get(..announced.length).ok_or(Malformed)?)
    }

    #[test]
    fn lines_are_read_as_the_norm_has_them() {
        let named = |text: &str| Ok(Some(text.parse().unwrap()));
        for (line, expected) in [
            (
                "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n",
                named("192.0.2.1:56324"),
            ),
            (
                "PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
                named("[2001:db8::1]:1"),
            ),
            ("PROXY UNKNOWN\r\n", Ok(None)),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Ok(None)),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\n", Err(Malformed)),
            (
                "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443 \r\n",
                Err(Malformed),
            ),
            (
                "PROXY TCP4 192.0.2.1  10.0.0.1 56324 443\r\n",
                Err(Malformed),
            ),
            (
                "PROXY TCP4 192.0.2.1 10.0.0.1 +6324 443\r\n",
                Err(Malformed),
            ),
            (
                "PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n",
                Err(Malformed),
            ),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 1 x\r\n", Err(Malformed)),
            ("PROXY TCP4 192.0.2.01 10.0.0.1 1 2\r\n", Err(Malformed)),
            ("PROXY TCP4 2001:db8::1 ::1 1 2\r\n", Err(Malformed)),
            ("PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n", Err(Malformed)),
            ("PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n", Err(Malformed)),
            ("PROXY \r\n", Err(Malformed)),
            ("GET / HTTP/1.1\r\n", Err(Malformed)),
        ] {
            assert_eq!(of_line(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn binary_headers_are_read_as_the_norm_has_them() {
        let client: SocketAddr = "192.0.2.1:56324".parse().unwrap();
        let header = Version::Two.header(client, "10.0.0.1:443".parse().unwrap());
        let with = |at: usize, byte: u8| {
            let mut header = header.clone();
            header[at] = byte;
            header
        };
        assert_eq!(of_binary(&header), Ok(Some(client)));
        assert_eq!(of_binary(&with(12, LOCAL)), Ok(None));
        for unnamed in [UNSPECIFIED, 0x12, 0x22, 0x31, 0x32] {
            assert_eq!(of_binary(&with(13, unnamed)), Ok(None), "{unnamed:#x}");
        }
        for wrong in [
            with(0, b'G'),
            with(12, 0x11),
            with(12, 0x22),
            with(13, 0x10),
            with(13, 0x13),
            with(13, 0x41),
            with(13, TCP6),
            with(15, 11),
        ] {
            assert_eq!(of_binary(&wrong), Err(Malformed), "{wrong:?}");
        }
        // What follows the addresses is skipped.
        let mut longer = with(15, 12 + 4);
        longer.extend_from_slice(&[0x20, 0, 1, 7]);
        assert_eq!(of_binary(&longer), Ok(Some(client)));
        for version in [Version::One, Version::Two] {
            let own = version.for_itself();
            let read = if version == Version::One {
                of_line(own)
            } else {
                of_binary(own)
            };
            assert_eq!(read, Ok(None));
        }
    }

    fn address() -> impl Strategy<Value = SocketAddr> {
        let four = any::<[u8; 4]>().prop_map(IpAddr::from);
        let six = any::<[u8; 16]>().prop_map(IpAddr::from);
        (prop_oneof![four, six], any::<u16>()).prop_map(SocketAddr::from)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(from in address(), to in address()) {
            let canonical = |ip: IpAddr, port| SocketAddr::new(ip.to_canonical(), port);
            let named = canonical(from.ip(), from.port());
            let line = Version::One.header(from, to);
            prop_assert!(line.len() <= LONGEST_LINE);
            let binary = Version::Two.header(from, to);
            for read in [of_line(&line), of_binary(&binary)] {
                let read = read.unwrap().unwrap();
                prop_assert_eq!(canonical(read.ip(), read.port()), named);
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60), line in "PROXY (TCP[46]|UNKNOWN)?[0-9a-f:. ]{0,40}\r\n") {
            let _ = (of_line(&bytes), of_line(line.as_bytes()), of_binary(&bytes));
            let _ = of_binary(&[&SIGNATURE[..], &bytes].concat());
        }
    }
}
