//! `[[frontend]]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::access;
use super::http_rules;
use super::http2;
use super::network::networks;
use super::queries;
use super::{Spelled, name, path_and_query};
use super::{condition, tls};
use crate::config::address::parse_bind;
use crate::config::error::{Origin, Problem};
use crate::config::field::{Field, Keys, Table};
use crate::config::model::{
    Condition, ForwardedHeader, Frontend, Http2, Networks, QueryGuards, RequestAction, SourceRules,
    StatsUser, Tls,
};

const KEYS: Keys = Keys::of(&[
    "name",
    "bind",
    "tls",
    "http2",
    "stats_uri",
    "metrics_uri",
    "stats_refresh",
    "stats_auth",
    "stats_admin",
    "allow",
    "deny",
    "accept_proxy",
    "trust_forwarded",
    "forwarded_header",
    "auth",
    "rules",
    "rate_limit",
    "bandwidth",
    "queries",
    "http_request",
    "http_response",
    "use_backend",
    "default_backend",
    "forwarded_for",
    "maxconn",
    "maxconn_per_source",
    "ipv6_source_prefix",
    "max_tarpitted",
    "max_header_size",
    "min_body_rate",
    "timeout",
]);

const TIMEOUTS: Keys = Keys::of(&[
    "client",
    "http_request",
    "http_body",
    "http_keep_alive",
    "tunnel",
    "tarpit",
]);

const RULE: Keys = Keys::of(&["backend", "if", "unless"]);

/// Smaller ones would refuse what browsers send; Pingora takes none over 1 MiB.
const HEADER_SIZES: RangeInclusive<usize> = 1024..=512 * 1024;

const ADDRESS: &str = "an address such as \"0.0.0.0:8086\" or \"[::]:8086\"";

/// The name of the frontend of `server.metrics_bind`, which no frontend of a file can have.
pub(in crate::config) const METRICS_NAME: &str = "<METRICS>";

/// Where that frontend serves the metrics, as Prometheus asks by default.
const METRICS_PATH: &str = "/metrics";

const EXAMPLES: &str = "\"0.0.0.0:8086\" or \"[::]:8086\"";

/// A frontend whose targets are still names.
pub(super) struct FrontendDraft<'a> {
    pub(super) name: Option<Spelled<'a>>,
    /// Everything but `rules` and `default_target`.
    pub(super) frontend: Frontend,
    pub(super) binds: Vec<(SocketAddr, Field<'a>)>,
    pub(super) rules: Vec<RuleDraft<'a>>,
    pub(super) default: Option<Spelled<'a>>,
    pub(super) tls: Option<Field<'a>>,
    /// `auth`, if it is true.
    pub(super) auth: Option<Field<'a>>,
}

impl FrontendDraft<'_> {
    /// The table with the names of certificates, and where it stands.
    pub(super) fn tls(&self) -> Option<(Tls, Origin)> {
        let (tls, field) = (self.frontend.tls.clone()?, self.tls.as_ref()?);
        Some((tls, field.origin()))
    }
}

/// A rule whose target is still a name.
pub(super) struct RuleDraft<'a> {
    pub(super) target: Option<Spelled<'a>>,
    pub(super) condition: Option<Condition>,
    /// The whole rule.
    pub(super) field: Field<'a>,
}

pub(super) fn decode<'a>(field: &Field<'a>) -> FrontendDraft<'a> {
    let mut draft = FrontendDraft {
        name: None,
        frontend: default(),
        binds: Vec::new(),
        rules: Vec::new(),
        default: None,
        tls: None,
        auth: None,
    };
    let Some(table) = field.table(KEYS, "a table") else {
        return draft;
    };
    draft.name = name(&table);
    if let Some(name) = &draft.name {
        draft.frontend.name.clone_from(&name.text.value);
    }
    draft.binds = binds(&table);
    draft.frontend.bind = draft.binds.iter().map(|(address, _)| *address).collect();
    draft.frontend.stats_uri = table
        .get("stats_uri")
        .and_then(|field| path_and_query(&field));
    draft.frontend.metrics_uri = table
        .get("metrics_uri")
        .and_then(|field| metrics_uri(&field, draft.frontend.stats_uri.as_deref()));
    status_page(&table, &mut draft.frontend);
    draft.frontend.sources = SourceRules {
        allow: networks(&table, "allow"),
        deny: networks(&table, "deny"),
    };
    draft.frontend.accept_proxy = networks(&table, "accept_proxy");
    draft.frontend.trust_forwarded = networks(&table, "trust_forwarded");
    draft.frontend.forwarded_header = forwarded_header(&table);
    draft.frontend.auth = table.boolean("auth", false);
    draft.auth = table.get("auth").filter(|_| draft.frontend.auth);
    draft.frontend.access = access::decode(&table);
    draft.frontend.rate_limit = http_rules::rate_limit(&table);
    draft.frontend.bandwidth = http_rules::bandwidth(&table);
    draft.frontend.queries = queries::decode(&table);
    draft.frontend.http_request = http_rules::requests(&table);
    draft.frontend.http_response = http_rules::responses(&table);
    draft.rules = rules(&table);
    let default_backend = table.get("default_backend");
    draft.default = default_backend.as_ref().and_then(target);
    let has_rules = table.get("use_backend").is_some() && !is_empty_list(&table);
    let redirects = &draft.frontend.http_request;
    let is_answered = redirects
        .iter()
        .any(|rule| rule.condition.is_none() && !matches!(rule.action, RequestAction::Edit(_)));
    let has_views = table.get("stats_uri").is_some() || table.get("metrics_uri").is_some();
    if default_backend.is_none() && !has_rules && !is_answered && !has_views {
        table.report(Problem::LeadsNowhere);
    }
    draft.frontend.forwarded_for = table.boolean("forwarded_for", false);
    draft.frontend.max_connections =
        table.whole("maxconn", 1..=1_000_000, draft.frontend.max_connections);
    draft.frontend.max_connections_per_source = table.whole(
        "maxconn_per_source",
        1..=1_000_000,
        (draft.frontend.max_connections / 4).max(1),
    );
    draft.frontend.ipv6_source_prefix = table.whole(
        "ipv6_source_prefix",
        32..=128,
        draft.frontend.ipv6_source_prefix,
    );
    draft.frontend.max_tarpitted = table.whole(
        "max_tarpitted",
        1..=1_000_000,
        (draft.frontend.max_connections / 4).max(1),
    );
    draft.tls = table.get("tls");
    draft.frontend.tls = draft
        .tls
        .as_ref()
        .and_then(|field| tls::decode(field, &draft.frontend));
    draft.frontend.http2 = http2::decode(&table);
    if let Some(size) = table
        .get("max_header_size")
        .and_then(|field| field.size(HEADER_SIZES))
    {
        draft.frontend.max_header_size = size;
    }
    draft.frontend.min_body_rate =
        table.whole("min_body_rate", 1..=1_000_000, draft.frontend.min_body_rate);
    if let Some(timeouts) = table
        .get("timeout")
        .and_then(|field| field.table(TIMEOUTS, "a table of timeouts"))
    {
        let frontend = &mut draft.frontend;
        frontend.client_timeout = timeouts.duration("client", frontend.client_timeout);
        frontend.request_header_timeout =
            timeouts.duration("http_request", frontend.request_header_timeout);
        frontend.request_body_timeout =
            timeouts.duration("http_body", frontend.request_body_timeout);
        frontend.keep_alive_timeout =
            timeouts.duration("http_keep_alive", frontend.keep_alive_timeout);
        frontend.tunnel_timeout = timeouts.duration("tunnel", frontend.tunnel_timeout);
        frontend.tarpit_timeout = timeouts.duration("tarpit", frontend.tarpit_timeout);
    }
    draft
}

/// How trusted proxies name the client.
fn forwarded_header(table: &Table<'_>) -> ForwardedHeader {
    const WORDS: [(&str, ForwardedHeader); 2] = [
        ("x-forwarded-for", ForwardedHeader::XForwardedFor),
        ("forwarded", ForwardedHeader::Forwarded),
    ];
    let Some(field) = table.get("forwarded_header") else {
        return ForwardedHeader::XForwardedFor;
    };
    if table.get("trust_forwarded").is_none() {
        field.report(Problem::Needs {
            other: "trust_forwarded",
        });
    }
    let header = field.choice(&WORDS);
    header.unwrap_or(ForwardedHeader::XForwardedFor)
}

/// The frontend that serves the metrics on an address of its own, and nothing else.
pub(super) fn of_metrics<'a>(
    address: SocketAddr,
    field: Field<'a>,
    max_connections: usize,
) -> FrontendDraft<'a> {
    FrontendDraft {
        name: None,
        frontend: Frontend {
            name: METRICS_NAME.to_owned(),
            bind: vec![address],
            metrics_uri: Some(METRICS_PATH.to_owned()),
            max_connections,
            max_connections_per_source: max_connections,
            ..default()
        },
        binds: vec![(address, field)],
        rules: Vec::new(),
        default: None,
        tls: None,
        auth: None,
    }
}

/// A path that is not the status page's, which would hide it.
fn metrics_uri(field: &Field<'_>, stats_uri: Option<&str>) -> Option<String> {
    let uri = path_and_query(field)?;
    if Some(uri.as_str()) == stats_uri {
        field.expected("another path than stats_uri");
        return None;
    }
    Some(uri)
}

/// Who may do what on the status page.
fn status_page(table: &Table<'_>, frontend: &mut Frontend) {
    // What belongs to stats_auth may stand in their place.
    let hidden = |key| table.get(key).map(|field| field.hidden());
    if let Some(refresh) = hidden("stats_refresh").and_then(|field| field.duration()) {
        frontend.stats_refresh = refresh;
    }
    frontend.stats_admin = hidden("stats_admin").and_then(|field| field.boolean()) == Some(true);
    let users = table.get("stats_auth");
    if let Some(field) = &users {
        let fields = field.one_or_more("one or more \"user:password\"");
        frontend.stats_auth = fields.unwrap_or_default().iter().filter_map(user).collect();
        if table.get("stats_uri").is_none() {
            field.report(Problem::Needs { other: "stats_uri" });
        }
    }
    if frontend.stats_admin
        && users.is_none()
        && let Some(field) = table.get("stats_admin")
    {
        field.report(Problem::Needs {
            other: "stats_auth",
        });
    }
}

/// A user and a password, of which no error says anything.
fn user(field: &Field<'_>) -> Option<StatsUser> {
    if field.withheld().is_some() {
        return None;
    }
    field.note_secret();
    let user = field.as_secret();
    let user = user.and_then(|text| StatsUser::new(&text.value));
    if user.is_none() {
        field.report(Problem::NoUser);
    }
    user
}

fn default() -> Frontend {
    Frontend {
        name: String::new(),
        bind: Vec::new(),
        tls: None,
        http2: Http2::default(),
        stats_uri: None,
        metrics_uri: None,
        stats_refresh: Duration::from_secs(5),
        stats_auth: Vec::new(),
        stats_admin: false,
        sources: SourceRules::default(),
        accept_proxy: Networks::default(),
        trust_forwarded: Networks::default(),
        forwarded_header: ForwardedHeader::XForwardedFor,
        auth: false,
        access: Vec::new(),
        rate_limit: None,
        bandwidth: None,
        queries: QueryGuards::default(),
        http_request: Vec::new(),
        http_response: Vec::new(),
        rules: Vec::new(),
        default_target: None,
        forwarded_for: false,
        max_connections: 2000,
        max_connections_per_source: 500,
        ipv6_source_prefix: 128,
        max_tarpitted: 500,
        max_header_size: 64 << 10,
        min_body_rate: 500,
        client_timeout: Duration::from_secs(50),
        request_header_timeout: Duration::from_secs(10),
        request_body_timeout: Duration::from_secs(30),
        keep_alive_timeout: Duration::from_secs(60),
        tunnel_timeout: Duration::from_secs(60 * 60),
        tarpit_timeout: Duration::from_secs(5),
    }
}

fn is_empty_list(table: &Table<'_>) -> bool {
    table
        .get("use_backend")
        .is_some_and(|field| field.is_empty_list())
}

fn binds<'a>(table: &Table<'a>) -> Vec<(SocketAddr, Field<'a>)> {
    let fields = table
        .require("bind", ADDRESS)
        .and_then(|field| field.one_or_more(ADDRESS))
        .unwrap_or_default();
    fields
        .into_iter()
        .filter_map(|field| bind(&field).map(|address| (address, field)))
        .collect()
}

/// An address to listen on.
pub(super) fn bind(field: &Field<'_>) -> Option<SocketAddr> {
    let text = field.text(ADDRESS)?;
    match parse_bind(&text.value) {
        Ok(address) => Some(address),
        Err(error) => {
            let port_alone = text
                .value
                .parse::<u16>()
                .ok()
                .filter(|_| !text.from_environment);
            let suggestion = port_alone.map(|port| format!("{}:{port}", Ipv4Addr::UNSPECIFIED));
            field.expected_or(error.expected(EXAMPLES), suggestion);
            None
        }
    }
}

fn rules<'a>(table: &Table<'a>) -> Vec<RuleDraft<'a>> {
    let fields = table.get("use_backend").and_then(|field| {
        field.items("a list of rules such as { backend = \"…\", if = { path_beg = \"/write\" } }")
    });
    fields.unwrap_or_default().into_iter().map(rule).collect()
}

fn rule(field: Field<'_>) -> RuleDraft<'_> {
    let mut draft = RuleDraft {
        target: None,
        condition: None,
        field: field.clone(),
    };
    let Some(table) = field.table(RULE, "a table with \"backend\" and \"if\" or \"unless\"") else {
        return draft;
    };
    draft.target = table
        .require("backend", "the name of a backend or relay")
        .as_ref()
        .and_then(target);
    draft.condition = match (table.get("if"), table.get("unless")) {
        (Some(field), None) => condition::decode(&field, false),
        (None, Some(field)) => condition::decode(&field, true),
        (Some(_), Some(_)) => {
            table.report(Problem::IfAndUnless);
            None
        }
        (None, None) => {
            table.report(Problem::NoCondition);
            None
        }
    };
    draft
}

fn target<'a>(field: &Field<'a>) -> Option<Spelled<'a>> {
    let text = field.text("the name of a backend or relay")?;
    Some(Spelled {
        text,
        field: field.clone(),
    })
}
