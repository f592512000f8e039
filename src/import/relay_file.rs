//! influxdb-relay's own file.

use std::net::{IpAddr, SocketAddr};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ImportError;
use super::secrets::{self, one_line};
use super::statement::Source;
use super::value::{self, Toml};
use crate::config::address::{node_of, parse_bind, parse_server};
use crate::config::model::ServerAddress;

/// `[[http]]`: takes writes and sends them to its outputs.
#[derive(Debug, Clone)]
pub(super) struct HttpRelay {
    pub(super) name: String,
    pub(super) bind: Option<SocketAddr>,
    /// Its file and line.
    pub(super) place: String,
    pub(super) outputs: Vec<Output>,
    /// What has no counterpart, as comments.
    pub(super) quoted: Vec<String>,
}

/// One of a relay's outputs that can be reached.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) name: String,
    /// As it stands there, without scheme and path.
    pub(super) address: String,
    pub(super) node: ServerAddress,
    /// As haflux's configuration writes it; nothing if plain HTTP is spoken.
    pub(super) tls: Option<Toml>,
}

/// `[[udp]]`: takes lines by UDP.
#[derive(Debug, Clone)]
pub(super) struct UdpRelay {
    pub(super) bind: Option<SocketAddr>,
    pub(super) precision: Option<&'static str>,
    pub(super) read_buffer: Option<u64>,
    pub(super) hosts: Vec<String>,
    pub(super) quoted: Vec<String>,
}

/// A file as it was read.
#[derive(Debug, Default)]
pub(super) struct RelayFile {
    pub(super) http: Vec<HttpRelay>,
    pub(super) udp: Vec<UdpRelay>,
    /// What belongs to neither.
    pub(super) quoted: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Reads a file.
pub(super) fn read(source: &Source) -> Result<RelayFile, ImportError> {
    let lines = Lines(source);
    let table = DeTable::parse(&source.text).map_err(|error| ImportError::Toml {
        file: source.name.clone(),
        line: error.span().map_or(1, |span| lines.at(span.start)),
        reason: one_line(error.message()),
    })?;
    let mut file = RelayFile::default();
    for (key, item) in table.get_ref() {
        let entries: Vec<(usize, &DeTable<'_>)> = match item.get_ref() {
            DeValue::Array(list) => list
                .iter()
                .filter_map(|item| Some((item.span().start, item.get_ref().as_table()?)))
                .collect(),
            _ => Vec::new(),
        };
        match key.get_ref().as_ref() {
            "http" if !entries.is_empty() => {
                for (start, entry) in entries {
                    let relay = http(entry, lines.place(start), &lines, &mut file.warnings);
                    file.http.push(relay);
                }
            }
            "udp" if !entries.is_empty() => {
                for (_, entry) in entries {
                    let listener = udp(entry, &lines, &mut file.warnings);
                    file.udp.push(listener);
                }
            }
            _ => file
                .quoted
                .push(lost(key, item.get_ref(), &lines, &mut file.warnings)),
        }
    }
    Ok(file)
}

/// Keys of influxdb-relay's, whose values may be shown.
const KEYS: [&str; 13] = [
    "bind-addr",
    "buffer-size-mb",
    "default-retention-policy",
    "location",
    "max-batch-kb",
    "max-delay-interval",
    "mtu",
    "name",
    "precision",
    "read-buffer",
    "skip-tls-verification",
    "ssl-combined-pem",
    "timeout",
];

/// Keys that are harmless to lose: haflux keeps what a node lacks in limits of its own.
const HARMLESS: [&str; 4] = [
    "buffer-size-mb",
    "max-batch-kb",
    "max-delay-interval",
    "timeout",
];

const UNKNOWN: &str = "haflux has no counterpart";

/// Quotes a key that is not translated, and warns of it unless it is harmless to lose it.
fn lost(
    key: &Key<'_>,
    value: &DeValue<'_>,
    lines: &Lines<'_>,
    warnings: &mut Vec<String>,
) -> String {
    let name = key.get_ref().as_ref();
    let quoted = lines.pair(key.span().start, name, value);
    let reason = match name {
        _ if HARMLESS.contains(&name) => return quoted,
        "default-retention-policy" => {
            "haflux writes to the policy that the client names, and to the database's own default where it names none: make this the default policy at the nodes"
        }
        "ssl-combined-pem" => {
            "not listened at: give the frontend tls by hand, or have a TLS terminator take these connections"
        }
        "bind-addr" => "haflux cannot listen there",
        "precision" => "haflux knows no such precision: nanoseconds are written",
        "read-buffer" => "haflux takes 64 KiB to 1 GiB here",
        _ => UNKNOWN,
    };
    warnings.push(format!("{quoted}: {reason}"));
    quoted
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

struct Lines<'a>(&'a Source);

impl Lines<'_> {
    fn at(&self, offset: usize) -> usize {
        let before = self.0.text.as_bytes().get(..offset).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// File and line.
    fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.0.name, self.at(offset))
    }

    /// A key and its value, with file and line. The value of a key that nobody knows may be a secret.
    fn pair(&self, offset: usize, key: &str, value: &DeValue<'_>) -> String {
        let shown = match value {
            _ if !KEYS.contains(&key) => "…".to_owned(),
            DeValue::String(text) => format!("\"{}\"", one_line(&secrets::location(text))),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            _ => "…".to_owned(),
        };
        format!("{}:{}: {key} = {shown}", self.0.name, self.at(offset))
    }
}

fn http(
    table: &DeTable<'_>,
    place: String,
    lines: &Lines<'_>,
    warnings: &mut Vec<String>,
) -> HttpRelay {
    let mut relay = HttpRelay {
        name: value::name(text(table, "name").unwrap_or("relay")),
        bind: text(table, "bind-addr").and_then(|bind| parse_bind(bind).ok()),
        place,
        outputs: Vec::new(),
        quoted: Vec::new(),
    };
    for (key, item) in table {
        let name = key.get_ref().as_ref();
        match name {
            "name" if text(table, "name").is_some() => {}
            "bind-addr" if relay.bind.is_some() => {}
            "output" if item.get_ref().as_array().is_some() => {
                outputs(item, lines, &mut relay, warnings);
            }
            _ => {
                let quoted = lost(key, item.get_ref(), lines, warnings);
                relay.quoted.push(quoted);
                if name == "ssl-combined-pem" {
                    relay.bind = None;
                }
            }
        }
    }
    relay
}

fn outputs(
    item: &Spanned<DeValue<'_>>,
    lines: &Lines<'_>,
    relay: &mut HttpRelay,
    warnings: &mut Vec<String>,
) {
    let entries = item.get_ref().as_array();
    for entry in entries.into_iter().flat_map(|entries| entries.iter()) {
        let Some(table) = entry.get_ref().as_table() else {
            let quoted = lines.pair(entry.span().start, "output", entry.get_ref());
            warnings.push(format!("{quoted}: {UNKNOWN}"));
            relay.quoted.push(quoted);
            continue;
        };
        for (key, item) in table {
            let name = key.get_ref().as_ref();
            let is_read = match (name, item.get_ref()) {
                // Of a location that is not read the whole output is left out.
                ("name", DeValue::String(_)) | ("location", _) => true,
                ("skip-tls-verification", DeValue::Boolean(_)) => true,
                _ => false,
            };
            if !is_read {
                let quoted = lost(key, item.get_ref(), lines, warnings);
                relay.quoted.push(quoted);
            }
        }
        let location = text(table, "location").unwrap_or_default();
        let start = table
            .get("location")
            .map_or(entry.span().start, |item| item.span().start);
        let quoted = lines.pair(start, "location", &DeValue::String(location.into()));
        let mut leave_out = |reason: &str| {
            let line = format!("{quoted}: left out, because {reason}");
            warnings.push(line.clone());
            relay.quoted.push(line);
        };
        let place = place_of(location);
        let parsed = place.and_then(|place| parse_server(place.address).ok().map(|a| (place, a)));
        let Some((place, parsed)) = parsed else {
            leave_out("its location is not http://HOST:PORT/write, or the same with https");
            continue;
        };
        let address = place.address;
        let node = node_of(&parsed);
        if relay.outputs.iter().any(|known| known.node == node) {
            leave_out("another output has its address");
            continue;
        }
        if place.has_query {
            let reason = "influxdb-relay does not send this query either";
            relay.quoted.push(format!("{quoted}: {reason}"));
        }
        let mut name = value::name(text(table, "name").unwrap_or(address));
        if relay.outputs.iter().any(|known| known.name == name) {
            name = value::name(address);
        }
        if matches!(&node, ServerAddress::Ip(address) if address.ip().is_loopback()) {
            warnings.push(format!(
                "{}:{}: output {name}: {address} is the relay's own machine; haflux takes it for its own",
                lines.0.name,
                lines.at(entry.span().start)
            ));
        }
        relay.outputs.push(Output {
            name,
            address: address.to_owned(),
            node,
            tls: place
                .is_secure
                .then(|| match is_true(table, "skip-tls-verification") {
                    true => "{ verify = \"none\" }".to_owned(),
                    false => "true".to_owned(),
                }),
        });
    }
}

/// Where an output writes to.
struct Place<'a> {
    is_secure: bool,
    address: &'a str,
    has_query: bool,
}

/// The place that a location names; nothing if writes do not go to `/write` there, or need a user.
fn place_of(location: &str) -> Option<Place<'_>> {
    let (is_secure, rest) = match location.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, location.strip_prefix("http://")?),
    };
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    let address = place.strip_suffix("/write")?;
    (!address.contains(['/', '@'])).then_some(Place {
        is_secure,
        address,
        has_query: query.is_some(),
    })
}

fn is_true(table: &DeTable<'_>, key: &str) -> bool {
    let value = table.get(key).map(|value| value.get_ref());
    matches!(value, Some(DeValue::Boolean(true)))
}

fn udp(table: &DeTable<'_>, lines: &Lines<'_>, warnings: &mut Vec<String>) -> UdpRelay {
    let mut relay = UdpRelay {
        bind: text(table, "bind-addr").and_then(|bind| parse_bind(bind).ok()),
        precision: None,
        read_buffer: None,
        hosts: Vec::new(),
        quoted: Vec::new(),
    };
    for (key, item) in table {
        let name = key.get_ref().as_ref();
        match (name, item.get_ref()) {
            ("name", _) => {}
            ("bind-addr", _) if relay.bind.is_some() => {}
            ("precision", DeValue::String(precision)) => {
                relay.precision = match precision.as_ref() {
                    "" | "n" | "ns" => None,
                    "u" | "us" => Some("u"),
                    "ms" => Some("ms"),
                    "s" => Some("s"),
                    "m" => Some("m"),
                    "h" => Some("h"),
                    _ => {
                        let quoted = lost(key, item.get_ref(), lines, warnings);
                        relay.quoted.push(quoted);
                        None
                    }
                };
            }
            ("read-buffer", DeValue::Integer(number)) => {
                let bytes = number.as_str().parse().ok();
                relay.read_buffer =
                    bytes.filter(|bytes: &u64| (64 * 1024..=1 << 30).contains(bytes));
                if relay.read_buffer.is_none() && bytes != Some(0) {
                    let quoted = lost(key, item.get_ref(), lines, warnings);
                    relay.quoted.push(quoted);
                }
            }
            ("output", DeValue::Array(list)) => {
                let hosts = list
                    .iter()
                    .filter_map(|item| text(item.get_ref().as_table()?, "location"))
                    .map(|location| location.rsplit_once(':').map_or(location, |(host, _)| host));
                relay.hosts = hosts.map(str::to_owned).collect();
                relay.quoted.push(format!(
                    "{}: haflux writes what comes by UDP to the pool by HTTP",
                    lines.pair(key.span().start, name, item.get_ref())
                ));
            }
            _ => {
                let quoted = lost(key, item.get_ref(), lines, warnings);
                relay.quoted.push(quoted);
            }
        }
    }
    relay
}

fn text<'a>(table: &'a DeTable<'_>, key: &str) -> Option<&'a str> {
    match table.get(key)?.get_ref() {
        DeValue::String(text) => Some(text.as_ref()),
        _ => None,
    }
}

impl HttpRelay {
    /// Whether a HAProxy server at `node` leads to this relay.
    pub(super) fn is_at(&self, node: &ServerAddress) -> bool {
        let Some(bind) = self.bind else {
            return false;
        };
        let (ip, port) = match node {
            ServerAddress::Ip(address) => (Some(address.ip()), address.port()),
            ServerAddress::Dns { port, .. } => (None, *port),
        };
        let everywhere = bind.ip().is_unspecified();
        let canonical: Option<IpAddr> = ip.map(|ip| ip.to_canonical());
        port == bind.port() && (everywhere || canonical == Some(bind.ip().to_canonical()))
    }

    /// The nodes of its outputs, in an order of their own.
    pub(super) fn nodes(&self) -> Vec<String> {
        let mut nodes: Vec<String> = self
            .outputs
            .iter()
            .map(|output| output.node.to_string())
            .collect();
        nodes.sort();
        nodes
    }
}
