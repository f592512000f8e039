//! `[[backend]]` and its servers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::login::logins;
use super::own_logins::OwnLogins;
use super::server_tls::Secured;
use super::{Spelled, check, name};
use crate::config::address::{node_of, parse_server};
use crate::config::error::{Notice, Origin, Position, Problem};
use crate::config::field::{Field, Keys, Table};
use crate::config::model::{
    Backend, Balance, OnStale, PoolServer, Reads, ServerAddress, ServerTls,
};
use crate::config::tree::quote;
use crate::proxy_header::Version;

const KEYS: Keys = Keys::of(&[
    "name",
    "balance",
    "check",
    "servers",
    "tls",
    "login",
    "send_proxy",
    "timeout",
    "retries",
    "reads",
    "read_wait",
    "on_stale",
    "pool_max_conn",
]);

const TIMEOUTS: Keys = Keys::of(&["connect", "server", "keep_alive"]);

const SERVER: Keys = Keys::of(&[
    "name", "address", "tls", "weight", "backup", "check", "login",
]);

const ADDRESS: &str = "an address such as \"10.0.2.2:8086\" or \"influx.example.org:8086\"";

const EXAMPLES: &str = "\"10.0.2.2:8086\" or \"influx.example.org:8086\"";

const SERVERS: &str =
    "a list of at least one server, such as [{ name = \"a\", address = \"10.0.2.2:8086\" }]";

pub(in crate::config) const BALANCES: [(&str, Balance); 4] = [
    ("roundrobin", Balance::RoundRobin),
    ("leastconn", Balance::LeastConnections),
    ("random", Balance::Random),
    ("source", Balance::Source),
];

pub(in crate::config) const PROXY_HEADERS: [(&str, Version); 2] =
    [("v1", Version::One), ("v2", Version::Two)];

pub(in crate::config) const READS: [(&str, Reads); 2] =
    [("fresh", Reads::Fresh), ("any", Reads::Any)];

pub(in crate::config) const ON_STALE: [(&str, OnStale); 2] =
    [("serve", OnStale::Serve), ("reject", OnStale::Reject)];

/// A backend and what is needed to refer to it.
pub(super) struct BackendDraft<'a> {
    pub(super) name: Option<Spelled<'a>>,
    pub(super) backend: Backend,
    /// The addresses of its servers, as they stand in the file.
    pub(super) addresses: Vec<Placed<'a>>,
    pub(super) send_proxy: Option<Field<'a>>,
    /// `login`.
    pub(super) login: Option<Field<'a>>,
    /// The files with its passwords, and where they are named.
    pub(super) password_files: Vec<(PathBuf, Origin)>,
    /// Whom its servers replace by users of their own.
    pub(super) own_logins: Vec<Spelled<'a>>,
    /// What TLS is spoken with to its servers, and where that is said; once what several are told alike.
    pub(super) tls: Vec<(ServerTls, Origin)>,
    /// The whole backend.
    pub(super) field: Field<'a>,
}

/// A server's address and where it stands.
pub(super) struct Placed<'a> {
    pub(super) node: ServerAddress,
    /// As written.
    pub(super) raw: String,
    pub(super) field: Field<'a>,
}

pub(super) fn decode<'a>(field: &Field<'a>) -> BackendDraft<'a> {
    let mut draft = BackendDraft {
        name: None,
        backend: default(),
        addresses: Vec::new(),
        send_proxy: None,
        login: None,
        password_files: Vec::new(),
        own_logins: Vec::new(),
        tls: Vec::new(),
        field: field.clone(),
    };
    let Some(table) = field.table(KEYS, "a table") else {
        return draft;
    };
    draft.name = name(&table);
    let backend = &mut draft.backend;
    if let Some(name) = &draft.name {
        backend.name.clone_from(&name.text.value);
    }
    backend.balance = table.choice("balance", &BALANCES, backend.balance);
    if let Some(field) = table.get("check") {
        backend.check = check::decode(&field);
    }
    let taken;
    (backend.servers, taken) = servers(&table, Secured::decode(&table));
    (draft.addresses, draft.tls) = (taken.addresses, taken.tls);
    draft.own_logins = taken.logins.replaced;
    backend.reads = table.choice("reads", &READS, backend.reads);
    backend.read_wait = table.duration("read_wait", backend.read_wait);
    backend.on_stale = table.choice("on_stale", &ON_STALE, backend.on_stale);
    backend.pool_max_connections =
        table.whole("pool_max_conn", 0..=1_000_000, backend.pool_max_connections);
    draft.login = table.get("login");
    if let Some(field) = &draft.login {
        (backend.logins, draft.password_files) = logins(field);
    }
    draft.password_files.extend(taken.logins.password_files);
    draft.send_proxy = table.get("send_proxy");
    if let Some(field) = &draft.send_proxy {
        backend.send_proxy = field.choice(&PROXY_HEADERS);
    }
    backend.retries = table.whole("retries", 0..=100, backend.retries);
    if let Some(timeouts) = table
        .get("timeout")
        .and_then(|field| field.table(TIMEOUTS, "a table of timeouts"))
    {
        backend.connect_timeout = timeouts.duration("connect", backend.connect_timeout);
        backend.server_timeout = timeouts.duration("server", backend.server_timeout);
        backend.server_keep_alive = timeouts.duration("keep_alive", backend.server_keep_alive);
    }
    if !backend.servers.is_empty() && backend.servers.iter().all(|server| server.weight == 0) {
        table.warn(Notice::AllWeightsZero);
    }
    draft
}

fn default() -> Backend {
    Backend {
        name: String::new(),
        balance: Balance::RoundRobin,
        check: check::default(),
        servers: Vec::new(),
        connect_timeout: Duration::from_secs(5),
        server_timeout: Duration::from_secs(50),
        server_keep_alive: Duration::from_secs(60),
        pool_max_connections: 1024,
        send_proxy: None,
        logins: Vec::new(),
        retries: 3,
        reads: Reads::Fresh,
        read_wait: Duration::from_secs(1),
        on_stale: OnStale::Serve,
        replicated_by: None,
    }
}

fn servers<'a>(table: &Table<'a>, secured: Secured<'a>) -> (Vec<PoolServer>, Taken<'a>) {
    let fields = table
        .require("servers", SERVERS)
        .and_then(|field| field.some_items(SERVERS));
    let mut taken = Taken::default();
    let servers = fields
        .unwrap_or_default()
        .iter()
        .filter_map(|field| server(field, &secured, &mut taken))
        .collect();
    (servers, taken)
}

/// The names and addresses of a pool, and who has them where.
#[derive(Default)]
struct Taken<'a> {
    names: HashMap<String, Position>,
    addresses: Vec<Placed<'a>>,
    nodes: HashMap<ServerAddress, usize>,
    tls: Vec<(ServerTls, Origin)>,
    logins: OwnLogins<'a>,
}

fn server<'a>(
    field: &Field<'a>,
    secured: &Secured<'a>,
    taken: &mut Taken<'a>,
) -> Option<PoolServer> {
    let table = field.table(
        SERVER,
        "a server such as { name = \"a\", address = \"10.0.2.2:8086\" }",
    )?;
    let spelled = name(&table);
    if let Some(name) = &spelled {
        match taken.names.get(&name.text.value) {
            Some(first) => name.field.report(Problem::NameTaken {
                found: quote(&name.text.raw),
                other: "another server".to_owned(),
                line: first.line,
            }),
            None => {
                taken
                    .names
                    .insert(name.text.value.clone(), name.field.position());
            }
        }
    }
    let own = Secured::decode(&table);
    let address = address(&table, taken);
    let logins = taken.logins.decode(&table);
    let name = spelled
        .map(|name| name.text.value.clone())
        .unwrap_or_default();
    let address = address?;
    let tls = secured.and(&own).speak(&address);
    if let Some(tls) = &tls {
        let origin = own.origin().or_else(|| secured.origin());
        if let Some(origin) = origin
            && taken.tls.iter().all(|(_, before)| *before != origin)
        {
            taken.tls.push((tls.clone(), origin));
        }
    }
    let server = PoolServer {
        name,
        address,
        tls,
        weight: table.whole("weight", 0..=256, 1),
        backup: table.boolean("backup", false),
        check: table.boolean("check", true),
        logins,
    };
    Some(server)
}

fn address<'a>(table: &Table<'a>, taken: &mut Taken<'a>) -> Option<ServerAddress> {
    let field = table.require("address", ADDRESS)?;
    let text = field.text(ADDRESS)?;
    let address = match parse_server(&text.value) {
        Ok(address) => address,
        Err(error) => {
            field.expected(error.expected(EXAMPLES));
            return None;
        }
    };
    let node = node_of(&address);
    let first = taken.nodes.get(&node);
    match first.and_then(|first| taken.addresses.get(*first)) {
        Some(first) => field.report(Problem::SameAddress {
            found: quote(&text.raw),
            taken: quote(&first.raw),
            line: first.field.position().line,
        }),
        None => {
            taken.nodes.insert(node.clone(), taken.addresses.len());
            taken.addresses.push(Placed {
                node,
                raw: text.raw.clone(),
                field,
            });
        }
    }
    Some(address)
}
