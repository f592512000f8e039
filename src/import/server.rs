//! `server` and `default-server`.

use std::time::Duration;

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
    /// The version of the PROXY header that it gets.
    pub(super) send_proxy: Option<&'static str>,
    /// The line that asks for it; nothing if a relay's file does.
    pub(super) statement: Option<StatementId>,
    pub(super) inter: Option<Duration>,
    pub(super) rise: Option<Toml>,
    pub(super) fall: Option<Toml>,
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
    tls: ServerTls,
    disabled: bool,
    send_proxy: Option<&'static str>,
    /// Without a counterpart, as they stand there.
    rest: Vec<String>,
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

const WITH_VALUE_TOO: [&str; 6] = ["usesrc", "verify", "verifyhost", "weight", "ws", "shard"];

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
                    Some(value) => format!("{key} {}", value.as_str()),
                    None => key.to_owned(),
                };
                if !self.rest.contains(&shown) {
                    self.rest.push(shown);
                }
            }
        }
    }

    /// What has no counterpart.
    pub(super) fn rest(&self) -> &[String] {
        &self.rest
    }

    /// Whether the parameter has a counterpart.
    fn take(&mut self, key: &str, value: Option<&Word>) -> bool {
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
            ("check-send-proxy", _) if self.send_proxy.is_some() => {}
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
            _ => return false,
        }
        true
    }
}

/// What became of a `server` line.
pub(super) enum Read {
    /// It can be served.
    Server {
        /// The server.
        server: Box<Server>,
        /// Parameters without a counterpart.
        rest: Vec<String>,
    },
    /// It cannot, and why.
    LeftOut(String),
}

/// Reads a `server` line; `defaults` is what `default-server` said before it. `port` is what the server gets if it has none.
pub(super) fn read(statement: &Statement, defaults: &Parameters, port: Option<u16>) -> Read {
    let mut parameters = Parameters {
        rest: Vec::new(),
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
    let own_port = |node: &ServerAddress| match node {
        ServerAddress::Ip(address) => address.port().to_string(),
        ServerAddress::Dns { port, .. } => port.to_string(),
    };
    if let Some(port) = parameters.check_port
        && node.as_ref().map(own_port).as_ref() != Some(&port)
    {
        parameters.rest.push(format!("port {port}"));
    }
    Read::Server {
        server: Box::new(Server {
            name: value::name(statement.word(1)),
            address: toml,
            node,
            tls,
            weight: parameters.weight,
            backup: parameters.backup,
            check: parameters.check,
            send_proxy: parameters.send_proxy,
            statement: Some(statement.id),
            inter: parameters.inter,
            rise: parameters.rise,
            fall: parameters.fall,
        }),
        rest: parameters.rest,
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
