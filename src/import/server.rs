//! `server` and `default-server`.

use std::time::Duration;

use super::secrets;
use super::server_tls::ServerTls;
use super::statement::{Statement, StatementId};
use super::value::{self, Toml};
use super::word::Word;
use crate::config::address::{node_of, parse_server};
use crate::config::model::ServerAddress;

/// A server of a pool.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) name: String,
    /// As haflux's configuration writes it, in quotes.
    pub(super) address: Toml,
    /// The node; unknown if a variable stands in the address.
    pub(super) node: Option<ServerAddress>,
    /// As haflux's configuration writes it; nothing if plain HTTP is spoken.
    pub(super) tls: Option<Toml>,
    pub(super) weight: Option<Toml>,
    pub(super) backup: bool,
    pub(super) check: bool,
    /// What its check asks.
    pub(super) asked: Asked,
    /// The version of the PROXY header that it gets.
    pub(super) send_proxy: Option<&'static str>,
    /// The line that asks for it; nothing if a relay's file does.
    pub(super) statement: Option<StatementId>,
    pub(super) inter: Option<Duration>,
    pub(super) rise: Option<Toml>,
    pub(super) fall: Option<Toml>,
}

/// What HAProxy asks to learn whether a server is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// The server, as requests reach it.
    Itself,
    /// Another port of it, in the clear.
    Port(u16),
    /// The server of that name is asked in its place.
    Tracked(String),
    /// Something that haflux cannot ask, and why.
    Elsewhere(String),
}

/// What `server` and `default-server` say besides name and address.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    check: bool,
    backup: bool,
    weight: Option<Toml>,
    inter: Option<Duration>,
    rise: Option<Toml>,
    fall: Option<Toml>,
    check_port: Option<String>,
    check_address: Option<String>,
    check_tls: bool,
    check_proxy: bool,
    track: Option<String>,
    tls: ServerTls,
    disabled: bool,
    send_proxy: Option<&'static str>,
    /// What else is said.
    pub(super) without_counterpart: WithoutCounterpart,
}

/// Parameters without a counterpart, as they stand there.
#[derive(Debug, Clone, Default)]
pub(super) struct WithoutCounterpart {
    /// It is harmless to lose them.
    pub(super) harmless: Vec<String>,
    /// Each with what is lost with it.
    pub(super) lost: Vec<String>,
}

/// Parameters that are harmless to lose: they change neither whether the server counts as up, nor what it gets.
const HARMLESS: [&str; 30] = [
    "alpn",
    "ciphers",
    "ciphersuites",
    "cookie",
    "curves",
    "downinter",
    "fastinter",
    "guid",
    "hash-key",
    "id",
    "label",
    "log-bufsize",
    "log-proto",
    "max-reuse",
    "no-ssl-reuse",
    "no-tls-tickets",
    "non-stick",
    "npn",
    "pool-low-conn",
    "pool-max-conn",
    "pool-purge-delay",
    "resolve-net",
    "resolve-opts",
    "resolve-prefer",
    "slowstart",
    "ssl-reuse",
    "stick",
    "tcp-ut",
    "tfo",
    "tls-tickets",
];

/// What is lost with a parameter that is not harmless.
fn loss(key: &str) -> &'static str {
    match key {
        "agent-check" | "agent-addr" | "agent-inter" | "agent-port" | "agent-send" => {
            "haflux asks no agent, so its check alone says whether the server is up"
        }
        "observe" | "on-error" | "error-limit" | "on-marked-down" | "on-marked-up" => {
            "haflux takes a server down by its checks alone, and closes no connections then"
        }
        "maxconn" | "minconn" | "maxqueue" => {
            "haflux limits no connections to a server; maxconn of a frontend limits those of clients"
        }
        "check-sni" | "check-alpn" | "check-proto" | "check-via-socks4" | "no-check-ssl" => {
            "the check speaks as requests do"
        }
        "proto" => "haflux speaks HTTP/1.1 to servers",
        "redir" => "haflux passes every request on",
        "source" | "usesrc" | "interface" | "namespace" | "socks4" => {
            "haflux reaches servers as the system does"
        }
        _ => "haflux has no counterpart",
    }
}

/// Parameters that take a value.
const WITH_VALUE: [&str; 58] = [
    "addr",
    "agent-addr",
    "agent-inter",
    "agent-port",
    "agent-send",
    "alpn",
    "ca-file",
    "check-alpn",
    "check-proto",
    "check-sni",
    "ciphers",
    "ciphersuites",
    "cookie",
    "crl-file",
    "crt",
    "curves",
    "downinter",
    "error-limit",
    "fall",
    "fastinter",
    "guid",
    "hash-key",
    "id",
    "init-addr",
    "inter",
    "interface",
    "label",
    "log-bufsize",
    "log-proto",
    "max-reuse",
    "maxconn",
    "maxqueue",
    "minconn",
    "namespace",
    "npn",
    "observe",
    "on-error",
    "on-marked-down",
    "on-marked-up",
    "pool-low-conn",
    "pool-max-conn",
    "pool-purge-delay",
    "port",
    "proto",
    "proxy-v2-options",
    "redir",
    "resolve-net",
    "resolve-opts",
    "resolve-prefer",
    "resolvers",
    "rise",
    "slowstart",
    "sni",
    "socks4",
    "source",
    "ssl-max-ver",
    "ssl-min-ver",
    "track",
];

const WITH_VALUE_TOO: [&str; 7] = [
    "usesrc",
    "verify",
    "verifyhost",
    "weight",
    "ws",
    "shard",
    "tcp-ut",
];

impl Parameters {
    /// Adds what these words say.
    pub(super) fn read(&mut self, words: &[Word]) {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let key = word.as_str();
            let value = if WITH_VALUE.contains(&key) || WITH_VALUE_TOO.contains(&key) {
                words.next()
            } else {
                None
            };
            if !self.take(key, value) {
                let shown = match value {
                    Some(value) => secrets::parameter(key, value.as_str()),
                    None => key.to_owned(),
                };
                let WithoutCounterpart { harmless, lost } = &mut self.without_counterpart;
                let (known, shown) = match HARMLESS.contains(&key) {
                    true => (harmless, shown),
                    false => (lost, format!("{shown} ({})", loss(key))),
                };
                if !known.contains(&shown) {
                    known.push(shown);
                }
            }
        }
    }

    /// Whether the parameter has a counterpart.
    fn take(&mut self, key: &str, value: Option<&Word>) -> bool {
        self.check_tls |= key == "check-ssl";
        if let Some(is_taken) = self.tls.take(key, value) {
            return is_taken;
        }
        let time = value.and_then(|value| value::duration(value.as_str()));
        match (key, value) {
            ("check", _) => self.check = true,
            ("no-check", _) => self.check = false,
            ("backup", _) => self.backup = true,
            ("no-backup", _) => self.backup = false,
            ("disabled", _) => self.disabled = true,
            ("enabled", _) => self.disabled = false,
            // haflux asks the system's resolver, and starts without an answer.
            ("resolvers" | "init-addr", _) => {}
            ("send-proxy", _) => self.send_proxy = Some("v1"),
            ("send-proxy-v2", _) => self.send_proxy = Some("v2"),
            ("send-proxy-v2-ssl" | "send-proxy-v2-ssl-cn", _) => {
                self.send_proxy = Some("v2");
                return false;
            }
            ("no-send-proxy" | "no-send-proxy-v2", _) => self.send_proxy = None,
            // Its checks begin with the header where its connections do.
            ("check-send-proxy", _) if self.send_proxy.is_some() => self.check_proxy = true,
            ("weight", Some(value)) => match value::whole(value, 0..=256) {
                Some(weight) => self.weight = Some(weight),
                None => return false,
            },
            ("rise", Some(value)) => match value::whole(value, 1..=1000) {
                Some(rise) => self.rise = Some(rise),
                None => return false,
            },
            ("fall", Some(value)) => match value::whole(value, 1..=1000) {
                Some(fall) => self.fall = Some(fall),
                None => return false,
            },
            ("inter", Some(_)) if time.is_some() => self.inter = time,
            ("port", Some(value)) => self.check_port = Some(value.as_str().to_owned()),
            ("addr", Some(value)) => self.check_address = Some(value.as_str().to_owned()),
            ("track", Some(value)) => self.track = Some(value.as_str().to_owned()),
            _ => return false,
        }
        true
    }

    /// What its check asks of a server that is at `node`.
    fn asked(&self, node: Option<&ServerAddress>) -> Asked {
        if let Some(tracked) = &self.track {
            return Asked::Tracked(tracked.clone());
        }
        if let Some(address) = &self.check_address
            && node.map(host_of).as_ref() != Some(address)
        {
            return Asked::Elsewhere(format!(
                "haflux checks a server at its own address, not at {address}"
            ));
        }
        let is_tls = self.tls.is_spoken();
        if self.check_tls && !is_tls {
            return Asked::Elsewhere(
                "haflux speaks TLS with checks where it does with requests".to_owned(),
            );
        }
        let Some(port) = &self.check_port else {
            return Asked::Itself;
        };
        if node.map(|node| port_of(node).to_string()).as_ref() == Some(port) {
            return Asked::Itself;
        }
        // Of a check at a port of its own HAProxy has its own words for TLS and PROXY headers.
        if is_tls != self.check_tls || self.send_proxy.is_some() != self.check_proxy {
            return Asked::Elsewhere(format!(
                "haflux checks port {port} with TLS and PROXY headers where requests have them"
            ));
        }
        match port.parse() {
            Ok(port) if port > 0 => Asked::Port(port),
            _ => Asked::Elsewhere(format!("haflux takes no {port} for the port of a check")),
        }
    }
}

/// The host of a node, as `addr` has it.
pub(super) fn host_of(node: &ServerAddress) -> String {
    match node {
        ServerAddress::Ip(address) => address.ip().to_string(),
        ServerAddress::Dns { host, .. } => host.clone(),
    }
}

/// The port of a node.
pub(super) fn port_of(node: &ServerAddress) -> u16 {
    match node {
        ServerAddress::Ip(address) => address.port(),
        ServerAddress::Dns { port, .. } => *port,
    }
}

/// What became of a `server` line.
pub(super) enum Read {
    /// It can be served.
    Server {
        /// The server.
        server: Box<Server>,
        /// Parameters without a counterpart.
        without_counterpart: WithoutCounterpart,
    },
    /// It cannot, and why.
    LeftOut(String),
}

/// Reads a `server` line; `defaults` is what `default-server` said before it. `port` is what the server gets if it has none.
pub(super) fn read(statement: &Statement, defaults: &Parameters, port: Option<u16>) -> Read {
    let mut parameters = Parameters {
        without_counterpart: WithoutCounterpart::default(),
        ..defaults.clone()
    };
    parameters.read(statement.from(3));
    let Some(address) = statement.words.get(2) else {
        return Read::LeftOut("it has no address".to_owned());
    };
    let tls = match parameters.tls.value() {
        Ok(tls) => tls,
        Err(reason) => return Read::LeftOut(format!("left out, because {reason}")),
    };
    if parameters.disabled {
        return Read::LeftOut(
            "left out, because it is disabled; haflux server maint disables one that is written"
                .to_owned(),
        );
    }
    let (toml, node) = match place(address, port) {
        Ok(place) => place,
        Err(reason) => return Read::LeftOut(reason),
    };
    let asked = parameters.asked(node.as_ref());
    Read::Server {
        server: Box::new(Server {
            name: value::name(statement.word(1)),
            address: toml,
            node,
            tls,
            weight: parameters.weight,
            backup: parameters.backup,
            check: parameters.check || parameters.track.is_some(),
            asked,
            send_proxy: parameters.send_proxy,
            statement: Some(statement.id),
            inter: parameters.inter,
            rise: parameters.rise,
            fall: parameters.fall,
        }),
        without_counterpart: parameters.without_counterpart,
    }
}

fn place(address: &Word, port: Option<u16>) -> Result<(Toml, Option<ServerAddress>), String> {
    if address.is_variable() {
        return Ok((value::quoted(address.notation()), None));
    }
    let text = address.as_str();
    let plain = ["ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text);
    let has_port = !plain.ends_with(']')
        && plain
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.is_empty());
    let whole = match (has_port, port) {
        (true, _) => plain.to_owned(),
        (false, Some(port)) => format!("{}:{port}", plain.trim_end_matches(':')),
        (false, None) => {
            return Err(format!(
                "left out, because {text} has no port; HAProxy would take that of the client's connection"
            ));
        }
    };
    // `::1:80`, IPv6 without brackets.
    let whole = match whole.rsplit_once(':') {
        Some((host, port)) if host.contains(':') && !host.starts_with('[') => {
            format!("[{host}]:{port}")
        }
        _ => whole,
    };
    match parse_server(&whole) {
        Ok(address) => Ok((value::quoted(&whole), Some(node_of(&address)))),
        Err(_) => Err(format!("left out, because haflux cannot reach {text}")),
    }
}
