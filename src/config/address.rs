//! Addresses: those a frontend binds, and those servers have.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::model::ServerAddress;

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressError {
    /// Neither an IP address nor, where that is allowed, a name.
    Host,
    /// No `:PORT` at its end.
    NoPort,
    /// A port outside of 1 to 65535.
    Port,
    /// An IPv6 address without brackets.
    Brackets,
    /// A URL.
    Url,
}

impl AddressError {
    /// What would have been right.
    pub(crate) fn expected(self, examples: &str) -> String {
        let detail = match self {
            AddressError::Host => "",
            AddressError::NoPort => " with a port",
            AddressError::Port => " with a port from 1 to 65535",
            AddressError::Brackets => " with IPv6 in brackets",
            AddressError::Url => " without scheme and path",
        };
        format!("an address{detail}, such as {examples}")
    }
}

/// An address to bind. As in HAProxy, `*:80` and `:80` are every IPv4 address.
pub(crate) fn parse_bind(text: &str) -> Result<SocketAddr, AddressError> {
    let (host, port) = split(text)?;
    let ip = match host {
        "" | "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => parse_ip(host)?.ok_or(AddressError::Host)?,
    };
    Ok(SocketAddr::new(ip, port))
}

/// The address of a server: an IP address or a DNS name, and a port.
pub(crate) fn parse_server(text: &str) -> Result<ServerAddress, AddressError> {
    let (host, port) = split(text)?;
    if let Some(ip) = parse_ip(host)? {
        return Ok(ServerAddress::Ip(SocketAddr::new(ip, port)));
    }
    if !is_dns_name(host) {
        return Err(AddressError::Host);
    }
    Ok(ServerAddress::Dns {
        host: host.to_ascii_lowercase(),
        port,
    })
}

/// The node that a server's address leads to, as far as its text tells: `localhost`, `127.0.0.1` and `[::1]` are one, and so
/// are a DNS name with and without the dot at its end. Two names of one host are not told.
pub(crate) fn node_of(address: &ServerAddress) -> ServerAddress {
    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match address {
        ServerAddress::Ip(address) => {
            let ip = match address.ip().to_canonical() {
                IpAddr::V6(ip) if ip.is_loopback() => LOOPBACK,
                ip => ip,
            };
            ServerAddress::Ip(SocketAddr::new(ip, address.port()))
        }
        ServerAddress::Dns { host, port } => match host.strip_suffix('.').unwrap_or(host) {
            "localhost" => ServerAddress::Ip(SocketAddr::new(LOOPBACK, *port)),
            host => ServerAddress::Dns {
                host: host.to_owned(),
                port: *port,
            },
        },
    }
}

/// Whether two sockets cannot listen at once: one of them would get the other's connections, or could not be bound.
/// `[::]` listens for IPv4 as well.
pub(crate) fn overlap(left: SocketAddr, right: SocketAddr) -> bool {
    let (left_ip, right_ip) = (left.ip().to_canonical(), right.ip().to_canonical());
    let takes_all = |ip: IpAddr, other: IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_unspecified() && other.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    left.port() == right.port()
        && (left_ip == right_ip || takes_all(left_ip, right_ip) || takes_all(right_ip, left_ip))
}

fn split(text: &str) -> Result<(&str, u16), AddressError> {
    if text.contains("://") || text.contains('/') {
        return Err(AddressError::Url);
    }
    let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
    if host.contains(':') && !host.starts_with('[') {
        return Err(AddressError::Brackets);
    }
    if host.starts_with('[') && !host.ends_with(']') {
        return Err(if port.ends_with(']') {
            AddressError::NoPort
        } else {
            AddressError::Host
        });
    }
    if port.is_empty() {
        return Err(AddressError::NoPort);
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::Port);
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(AddressError::Port),
        Ok(port) => Ok((host, port)),
    }
}

/// The IP address, if the text is one.
fn parse_ip(host: &str) -> Result<Option<IpAddr>, AddressError> {
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inner) => inner
            .parse()
            .map(|ip| Some(IpAddr::V6(ip)))
            .map_err(|_| AddressError::Host),
        None => Ok(host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)),
    }
}

/// Letters, digits, `-` and `_` in labels of at most 63, as container runtimes hand them out; not the look of an IPv4
/// address, since that is one mistyped.
fn is_dns_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let looks_like_ip = host
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    host.len() <= 253 && !looks_like_ip && host.split('.').all(is_label)
}
