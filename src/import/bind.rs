//! `bind`: where a frontend listens.

use std::net::SocketAddr;

use super::criterion::ReadFile;
use super::secrets;
use super::statement::{Statement, StatementId};
use super::tls::{self, Tls};
use super::value::quoted;
use super::word::Word;
use crate::config::address::parse_bind;

/// An address to listen at.
#[derive(Debug, Clone)]
pub(super) struct Bind {
    /// As haflux's configuration writes it, in quotes.
    pub(super) toml: String,
    /// What it is; unknown if a variable stands in it.
    pub(super) address: Option<SocketAddr>,
    /// The line that asks for it; nothing if a relay's file does.
    pub(super) statement: Option<StatementId>,
    /// `v6only`.
    pub(super) is_v6_only: bool,
}

/// What a `bind` line asks for.
#[derive(Debug, Default)]
pub(super) struct BindLine {
    pub(super) binds: Vec<Bind>,
    /// Why an address is left out.
    pub(super) refused: Vec<String>,
    /// `ssl`: what haflux does of it, or why it cannot.
    pub(super) tls: Option<Result<Tls, String>>,
    /// `accept-proxy`: connections begin with a PROXY header.
    pub(super) accept_proxy: bool,
    /// `proto h2` without `ssl`: clients begin with HTTP/2.
    pub(super) plain_http2: bool,
    /// `accept-netscaler-cip`: they begin with one that haflux would take for a request.
    pub(super) citrix: bool,
    /// Parameters without a counterpart, as they stand there.
    pub(super) rest: Vec<String>,
}

/// How many ports a range may have.
const MOST_PORTS: u16 = 32;

/// Reads the addresses and parameters of a `bind`, which begin at the word `first`.
pub(super) fn read(statement: &Statement, first: usize, files: ReadFile<'_>) -> BindLine {
    let mut line = BindLine::default();
    let Some((addresses, parameters)) = statement.from(first).split_first() else {
        line.refused.push("no address is given".to_owned());
        return line;
    };
    if addresses.is_variable() {
        line.binds.push(Bind {
            toml: quoted(addresses.notation()),
            address: None,
            statement: Some(statement.id),
            is_v6_only: false,
        });
    } else {
        for address in addresses.as_str().split(',') {
            match resolve(address, statement.id) {
                Ok(found) => line.binds.extend(found),
                Err(reason) => line.refused.push(reason),
            }
        }
    }
    let words: Vec<&str> = parameters.iter().map(Word::as_str).collect();
    line.accept_proxy = words.contains(&"accept-proxy");
    line.citrix = words.contains(&"accept-netscaler-cip");
    line.rest = words.iter().map(|word| (*word).to_owned()).collect();
    if words.contains(&"ssl") {
        line.tls = Some(tls::read(parameters, files).map(|(tls, rest)| {
            line.rest = rest;
            tls
        }));
    }
    let is_v6_only = words.contains(&"v6only");
    for bind in &mut line.binds {
        bind.is_v6_only = is_v6_only;
    }
    // [::] takes IPv4 too.
    line.rest
        .retain(|word| !matches!(word.as_str(), "accept-proxy" | "v6only" | "v4v6"));
    let proto = line
        .rest
        .windows(2)
        .position(|pair| pair == ["proto", "h2"]);
    if let Some(at) = proto.filter(|_| line.tls.is_none()) {
        line.plain_http2 = true;
        line.rest.drain(at..at + 2);
    }
    line
}

/// Parameters that are harmless to lose: they change neither who may connect nor what is spoken.
const HARMLESS: [&str; 25] = [
    "accept-netscaler-cip",
    "alpn",
    "backlog",
    "ciphers",
    "ciphersuites",
    "curves",
    "defer-accept",
    "ecdhe",
    "guid-prefix",
    "id",
    "label",
    "mss",
    "name",
    "nice",
    "no-tls-tickets",
    "npn",
    "prefer-client-ciphers",
    "process",
    "severity-output",
    "shards",
    "tcp-ut",
    "tfo",
    "thread",
    "tls-ticket-keys",
    // haflux speaks no less than TLS 1.2.
    "ssl-min-ver",
];

/// Parameters with a value that may stand there without `ssl`, beside those of [`tls::WITH_VALUE`].
const WITH_VALUE: [&str; 12] = [
    "accept-netscaler-cip",
    "guid-prefix",
    "id",
    "label",
    "level",
    "namespace",
    "process",
    "severity-output",
    "shards",
    "tcp-ut",
    "thread",
    "user",
];

/// Parameters without a counterpart, each with its value: those that are harmless to lose, and the others.
pub(super) fn without_counterpart(rest: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut harmless, mut lost) = (Vec::new(), Vec::new());
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        let key = word.split(' ').next().unwrap_or_default();
        let has_value = word == key && [&tls::WITH_VALUE[..], &WITH_VALUE].concat().contains(&key);
        let shown = match has_value.then(|| words.next()).flatten() {
            Some(value) => secrets::parameter(word, value),
            None => word.clone(),
        };
        match HARMLESS.contains(&key) {
            true => harmless.push(shown),
            false => lost.push(shown),
        }
    }
    (harmless, lost)
}

fn resolve(address: &str, statement: StatementId) -> Result<Vec<Bind>, String> {
    let plain = ["ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"]
        .iter()
        .find_map(|prefix| address.strip_prefix(prefix))
        .unwrap_or(address);
    if plain.contains('@') || plain.starts_with('/') {
        return Err(format!("haflux cannot listen at {address}"));
    }
    let Some((host, ports)) = plain.rsplit_once(':') else {
        return Err(format!("{address} has no port"));
    };
    let host = match host {
        "" | "*" if address.contains("6@") => "[::]".to_owned(),
        "localhost" => "127.0.0.1".to_owned(),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let range = match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last && last - first < MOST_PORTS => first..=last,
        _ => return Err(format!("{address} has no port that haflux can listen at")),
    };
    range
        .map(|port| {
            let address = parse_bind(&format!("{host}:{port}"))
                .map_err(|_| format!("haflux cannot listen at {address}"))?;
            Ok(Bind {
                toml: quoted(&address.to_string()),
                address: Some(address),
                statement: Some(statement),
                is_v6_only: false,
            })
        })
        .collect()
}
