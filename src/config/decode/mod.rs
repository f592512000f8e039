//! The tree becomes a configuration: `server`, `stats_socket`, `log`, `frontend`, `access`, `http_rules`, `condition`, `backend`, `check`, `relay`, `tls`, `server_tls`, `udp` and `users`
//! each read one kind of table, `network` what several of them have; names of other tables stay names until `resolve` has seen all of them.

mod access;
mod backend;
mod check;
mod condition;
mod frontend;
mod healing;
mod http2;
mod http_rules;
mod log;
mod login;
mod network;
mod own_logins;
mod queries;
mod relay;
mod resolve;
mod server;
mod server_tls;
mod shadow;
mod sizes;
mod stats_socket;
mod tls;
mod udp;
mod users;

pub(super) use backend::{BALANCES, ON_STALE, PROXY_HEADERS, READS};
use frontend::FrontendDraft;
pub(super) use frontend::METRICS_NAME;
pub(super) use log::{FORMATS, LINES, facility_name, form_name};
pub(super) use queries::UNBOUNDED;
pub(super) use relay::{ACKS, ON_UNAVAILABLE};
pub(super) use server::LEVELS;
pub(super) use tls::{CLIENT_CERTIFICATES, PROTOCOLS, VERSIONS};
pub(super) use udp::PRECISIONS;

use std::path::PathBuf;

use super::error::{Origin, Problem, Sink, Suggestion};
use super::field::{Field, Keys, Table};
use super::model::{Config, ServerTls, Tls};
use super::tree::{Node, Text, quote};

/// The tables at the top of a file.
const TOP: Keys = Keys::of(&[
    "server", "log", "users", "frontend", "relay", "backend", "udp",
]);

/// The longest name of a frontend, backend, relay or server.
const LONGEST_NAME: usize = 64;

/// A text and the field that it came from.
struct Spelled<'a> {
    text: &'a Text,
    field: Field<'a>,
}

/// What stands in a file.
pub(super) struct Decoded {
    /// It counts only if nothing was reported.
    pub(super) config: Config,
    /// Where `data_dir` is set, or would be, unless it is set wrongly.
    pub(super) data_dir: Option<Origin>,
    /// Where `user` is set.
    pub(super) run_as: Option<Origin>,
    /// Files with passwords, and where they are named.
    pub(super) password_files: Vec<(PathBuf, Origin)>,
    /// Tables of frontends that name certificates, and where they stand.
    pub(super) tls: Vec<(Tls, Origin)>,
    /// The same of servers.
    pub(super) server_tls: Vec<(ServerTls, Origin)>,
    /// Where the file of users is named, if it is.
    pub(super) users: Option<Origin>,
}

/// Reads a whole file.
pub(super) fn decode(root: &Node, sink: &Sink) -> Decoded {
    let root = Field::root(root, sink);
    let Some(top) = root.table(TOP, "a table with \"frontend\"") else {
        return Decoded {
            config: empty(),
            data_dir: None,
            run_as: None,
            password_files: Vec::new(),
            tls: Vec::new(),
            server_tls: Vec::new(),
            users: None,
        };
    };
    let server::Decoded {
        mut server,
        data_dir,
        run_as,
        metrics,
    } = server::decode(&top, sink);
    server.log.targets = log::targets(&top);
    let users = top.get("users");
    let has_users = users.is_some();
    let users = users.as_ref().and_then(users::decode);
    let frontends = top
        .require("frontend", "at least one frontend")
        .and_then(|field| field.some_items("a list of at least one frontend"))
        .unwrap_or_default();
    let list = |key| {
        top.get(key)
            .and_then(|field| field.items("a list of tables"))
            .unwrap_or_default()
    };
    let (relays, backends, udp) = (list("relay"), list("backend"), list("udp"));
    let udp: Vec<udp::UdpDraft<'_>> = number(udp, "udp")
        .map(|field| udp::decode(&field))
        .collect();
    let relays: Vec<relay::RelayDraft<'_>> = number(relays, "relay")
        .map(|field| relay::decode(&field))
        .collect();
    let password_files = relays
        .iter()
        .filter_map(|relay| relay.password_file.clone());
    let password_files = password_files.chain(udp.iter().filter_map(udp::UdpDraft::password_file));
    let password_files: Vec<(PathBuf, Origin)> = password_files.collect();
    let drafts = resolve::Drafts {
        frontends: number(frontends, "frontend")
            .map(|field| frontend::decode(&field))
            .chain(metrics)
            .collect(),
        relays,
        backends: number(backends, "backend")
            .map(|field| backend::decode(&field))
            .collect(),
        udp,
    };
    if !has_users {
        let asking = drafts.frontends.iter().flat_map(|draft| &draft.auth);
        let logins = drafts.backends.iter().flat_map(|draft| &draft.login);
        for field in asking.chain(logins) {
            field.report(Problem::Needs { other: "[users]" });
        }
    }
    let logins = drafts
        .backends
        .iter()
        .flat_map(|draft| &draft.password_files);
    let password_files = password_files.into_iter().chain(logins.cloned());
    let password_files = password_files.collect();
    let tls = drafts.frontends.iter().filter_map(FrontendDraft::tls);
    let tls = tls.collect();
    let server_tls = drafts
        .backends
        .iter()
        .flat_map(|backend| backend.tls.clone());
    let server_tls = server_tls.collect();
    let (frontends, relays, backends, udp) = drafts.resolve();
    let (users, users_origin) = users.map(|draft| (draft.settings, draft.origin)).unzip();
    let config = Config {
        server,
        users,
        frontends,
        relays,
        backends,
        udp,
    };
    Decoded {
        config,
        data_dir,
        run_as,
        password_files,
        tls,
        server_tls,
        users: users_origin,
    }
}

fn number<'a>(fields: Vec<Field<'a>>, kind: &'static str) -> impl Iterator<Item = Field<'a>> {
    fields
        .into_iter()
        .enumerate()
        .map(move |(index, field)| field.as_section(kind, index))
}

fn empty() -> Config {
    Config {
        server: server::default(),
        users: None,
        frontends: Vec::new(),
        relays: Vec::new(),
        backends: Vec::new(),
        udp: Vec::new(),
    }
}

/// The `name` of a table. One that is not sound is reported, but still says what others mean by it.
fn name<'a>(table: &Table<'a>) -> Option<Spelled<'a>> {
    const EXPECTED: &str = "a name of up to 64 letters, digits, \"-\", \"_\", \".\" and \":\" that begins with a letter, a digit or \"_\"";
    let field = table.require("name", "a name")?;
    let text = field.text(EXPECTED)?;
    let sound = text.value.len() <= LONGEST_NAME
        && text
            .value
            .starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && text
            .value
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_.:".contains(character));
    if !sound {
        field.expected(EXPECTED);
    }
    Some(Spelled { text, field })
}

/// A path with an optional query, as it can stand in a request.
fn path_and_query(field: &Field<'_>) -> Option<String> {
    const EXPECTED: &str = "a path that begins with \"/\"";
    // An address with a password, or a user with theirs, may stand in its place.
    let field = field.hidden();
    let text = field.text(EXPECTED)?;
    let sound = text.value.starts_with('/')
        && !text.value.contains('#')
        && text.value.parse::<http::uri::PathAndQuery>().is_ok();
    if !sound {
        match text.raw.split_once('?') {
            // A query may hold a password.
            Some((path, _)) if path.starts_with('/') => field.report(Problem::Expected {
                expected: EXPECTED.to_owned(),
                found: quote(&format!("{path}?…")),
                suggestion: Suggestion(None),
            }),
            _ => field.expected(EXPECTED),
        }
        return None;
    }
    Some(text.value.clone())
}
