//! Lines that no reader spoke for. Each of them is a warning, but for those of which a list says that it is harmless to lose them: so a
//! word of HAProxy's that nobody here knows is never dropped silently.

use super::ledger::{ASKS_NOBODY, KEEPS_NOBODY_OUT, Ledger};
use super::statement::{Kind, Script, Section, Statement, StatementId};

/// Reasons, each with the lines that it is true of: the words that they begin with, `*` for the rest of a word. What they ask for
/// changes neither where a request goes, nor what the server gets, nor who is let in, nor which servers are used.
const HARMLESS: &[(&str, &[&str])] = &[
    (
        "haflux has its own way with memory, threads, processes and files",
        &[
            "tune.*",
            "nbproc",
            "cpu-map",
            "cpu-policy",
            "thread-groups",
            "thread-group",
            "thread-hard-limit",
            "numa-cpu-mapping",
            "bind-process",
            "ulimit-n",
            "fd-hard-limit",
            "strict-limits",
            "set-dumpable",
            "maxpipes",
            "maxcompcpuusage",
            "maxcomprate",
            "maxzlibmem",
            "spread-checks",
            "max-spread-checks",
            "busy-polling",
            "noepoll",
            "nokqueue",
            "noevports",
            "nopoll",
            "nosplice",
            "nogetaddrinfo",
            "noreuseport",
            "no-memory-trimming",
            "master-worker",
            "mworker-max-reloads",
            "insecure-fork-wanted",
            "quiet",
            "zero-warning",
            "profiling.*",
            "close-spread-time",
            "server-state-base",
            "server-state-file",
            "load-server-state-from-file",
            "unix-bind",
            "stats bind-process",
        ],
    ),
    (
        "haflux has its own way with connections",
        &[
            "backlog",
            "option nolinger",
            "option tcp-smart-accept",
            "option tcp-smart-connect",
            "option splice-auto",
            "option splice-request",
            "option splice-response",
            "option tcpka",
            "option clitcpka",
            "option srvtcpka",
            "clitcpka-*",
            "srvtcpka-*",
            "option http-no-delay",
            "option http-server-close",
            "option httpclose",
            "option forceclose",
            "option http-tunnel",
            "option http-pretend-keepalive",
            "option http-keep-alive",
            "option http-use-htx",
            "option http-buffer-request",
            "option independent-streams",
            "option idle-close-on-response",
            "option disable-h2-upgrade",
            "option abortonclose",
            "http-reuse",
            "max-keep-alive-queue",
            "timeout client-fin",
            "timeout server-fin",
            "fullconn",
        ],
    ),
    (
        "haflux's log and figures have fields of their own",
        &[
            "option httplog",
            "option httpslog",
            "option tcplog",
            "option logasap",
            "option dontlognull",
            "option dontlog-normal",
            "option log-separate-errors",
            "option log-health-checks",
            "option contstats",
            "option socket-stats",
            "error-log-format",
            "log-tag",
            "log-send-hostname",
            "log-steps",
            "unique-id-format",
            "capture",
            "declare capture",
            "http-request capture",
            "http-response capture",
            "http-request set-log-level",
            "http-response set-log-level",
        ],
    ),
    (
        "haflux's page has its own form",
        &[
            "stats show-desc",
            "stats show-legends",
            "stats show-modules",
            "stats show-node",
            "node",
            "description",
            "id",
            "guid",
        ],
    ),
    (
        "haflux's errors have pages of their own",
        &[
            "errorfile",
            "errorfiles",
            "errorloc",
            "errorloc302",
            "errorloc303",
            "http-error",
        ],
    ),
    (
        "clients get what servers answer, as they answer it",
        &[
            "compression",
            "filter compression",
            "filter cache",
            "http-request cache-use",
            "http-response cache-store",
        ],
    ),
    ("haflux writes no mails", &["email-alert"]),
    (
        "haflux keeps no tables; a warning names each rule that asks one",
        &[
            "stick-table",
            "http-request track-sc*",
            "http-response track-sc*",
            "tcp-request connection track-sc*",
            "tcp-request content track-sc*",
            "tcp-request session track-sc*",
            "peers",
        ],
    ),
    (
        "it counts for cookies alone, which haflux does not look at",
        &["option persist", "force-persist", "ignore-persist"],
    ),
    (
        "haflux has its own hash",
        &["hash-type", "hash-preserve-affinity"],
    ),
    (
        "haflux speaks TLS 1.2 and 1.3, with ciphers of its own that are all strong",
        &[
            "ssl-default-bind-ciphers",
            "ssl-default-bind-ciphersuites",
            "ssl-default-bind-curves",
            "ssl-default-server-ciphers",
            "ssl-default-server-ciphersuites",
            "ssl-default-server-curves",
            "ssl-dh-param-file",
            "ssl-mode-async",
        ],
    ),
    (
        "files must be named by their whole path; a warning names each that is not",
        &["ca-base", "crt-base"],
    ),
    ("no rule that is translated asks for it", &["acl"]),
    ("the system's resolver is asked", &["resolvers"]),
    (
        "[users] names a file of haflux's own users; a warning names each rule that asks for these",
        &["userlist"],
    ),
    (
        "a warning names each rule that asks for it",
        &["mailers", "cache", "http-errors", "crt-store"],
    ),
    (
        "it says what counts anyway",
        &["enabled", "http-check comment"],
    ),
    ("the server is not told", &["http-check send-state"]),
    (
        "it says nothing of requests",
        &[".else", ".endif", ".notice", ".warning", ".alert", ".diag"],
    ),
];

/// What a frontend alone has, so that a backend does without it.
const OF_FRONTENDS: [&str; 3] = ["timeout client", "clitimeout", "maxconn"];

/// What does something in a backend of HAProxy's, and in haflux in a frontend alone.
const OF_FRONTENDS_HERE: [&str; 6] = [
    "option forwardfor",
    "stats",
    "timeout http-request",
    "timeout http-keep-alive",
    "timeout tarpit",
    "timeout tunnel",
];

/// What a backend alone has, so that a frontend does without it.
const OF_POOLS: [&str; 15] = [
    "balance",
    "retries",
    "timeout connect",
    "timeout server",
    "timeout tunnel",
    "timeout check",
    "timeout queue",
    "contimeout",
    "srvtimeout",
    "option redispatch",
    "option httpchk",
    "option tcp-check",
    "http-check",
    "tcp-check",
    "default-server",
];

/// Words of `ssl-default-bind-options` and `ssl-default-server-options` that ask for what haflux does anyway.
const TLS_OPTIONS: [&str; 8] = [
    "no-sslv3",
    "no-tlsv10",
    "no-tlsv11",
    "no-tls-tickets",
    "prefer-client-ciphers",
    "ssl-min-ver",
    "TLSv1.2",
    "no-renegotiate",
];

/// Speaks for every line that has been spoken for by nobody, in the sections that are not left out.
pub(super) fn finish(script: &Script, ledger: &mut Ledger) {
    let is_live = |section: &Section, ledger: &Ledger| {
        let opening = section.opening.map(|id| script.statement(id));
        opening.is_none_or(|opening| ledger.is_used(opening))
    };
    let is_inherited = |at: usize, ledger: &Ledger| {
        script.sections.iter().any(|section| {
            let is_proxy = matches!(
                section.kind,
                Kind::Frontend | Kind::Backend | Kind::Listen | Kind::Defaults
            );
            is_proxy && section.defaults == Some(at) && is_live(section, ledger)
        })
    };
    for (at, section) in script.sections.iter().enumerate() {
        let is_read = match section.kind {
            Kind::Defaults => is_inherited(at, ledger),
            Kind::Other => true,
            _ => is_live(section, ledger),
        };
        if !is_read {
            continue;
        }
        // What stands in a section of another kind goes with its first line.
        let own: &[StatementId] = match (section.kind, section.opening) {
            (Kind::Other, Some(_)) => &[],
            _ => &section.statements,
        };
        for id in section.opening.iter().chain(own) {
            let statement = script.statement(*id);
            if ledger.is_spoken_for(statement) {
                continue;
            }
            speak_for(statement, section.kind, ledger);
        }
    }
}

fn speak_for(statement: &Statement, kind: Kind, ledger: &mut Ledger) {
    let is_directive = statement.word(0).starts_with('.');
    // The condition of its block has been spoken for.
    if statement.conditional && !is_directive {
        return;
    }
    if is_directive {
        match (statement.word(0), statement.word(1), statement.words.len()) {
            (".if", "0" | "1", 2) | (".if", _, 1) => return,
            (".if" | ".elif", ..) => ledger.warn(
                statement,
                "only HAProxy knows whether this holds: the lines under it are left out",
            ),
            _ if harmless(statement).is_some() => {}
            _ => ledger.warn(statement, UNKNOWN),
        }
        return;
    }
    let of_other_kind = match kind {
        Kind::Frontend => begins_with_one_of(statement, &OF_POOLS),
        Kind::Backend => begins_with_one_of(statement, &OF_FRONTENDS),
        // It has no servers: what has read them would have spoken for it.
        Kind::Listen => statement.word(0) == "timeout" && begins_with_one_of(statement, &OF_POOLS),
        Kind::Defaults => {
            let all = [&OF_POOLS[..], &OF_FRONTENDS, &OF_FRONTENDS_HERE];
            if begins_with_one_of(statement, &all.concat()) {
                // No section that it could count for takes it from here.
                return;
            }
            false
        }
        _ => false,
    };
    if of_other_kind {
        ledger.note(
            statement,
            "it does nothing in a section of this kind; in haflux neither",
        );
    } else if kind == Kind::Backend
        && statement.word(0) == "timeout"
        && begins_with_one_of(statement, &OF_FRONTENDS_HERE)
    {
        ledger.note(
            statement,
            "in haflux a frontend has it, for all that it leads to",
        );
    } else if let Some(reason) = harmless(statement) {
        ledger.note(statement, reason);
    } else {
        ledger.warn(statement, reason(statement, kind));
    }
}

/// Why it is harmless to lose the line, if it is.
fn harmless(statement: &Statement) -> Option<&'static str> {
    if matches!(
        statement.word(0),
        "ssl-default-bind-options" | "ssl-default-server-options"
    ) {
        let mut options = statement.from(1).iter();
        let is_met = options.all(|word| TLS_OPTIONS.contains(&word.as_str()));
        return is_met.then_some("haflux speaks TLS 1.2 and 1.3 alone");
    }
    if (statement.word(0), statement.word(1)) == ("ssl-server-verify", "required") {
        return Some("haflux verifies servers unless their own line says otherwise");
    }
    HARMLESS
        .iter()
        .find(|(_, lines)| begins_with_one_of(statement, lines))
        .map(|(reason, _)| *reason)
}

fn begins_with_one_of(statement: &Statement, lines: &[&str]) -> bool {
    let first = usize::from(statement.word(0) == "no");
    lines.iter().any(|line| {
        line.split(' ').enumerate().all(|(at, known)| {
            let word = statement.word(first + at);
            match known.strip_suffix('*') {
                Some(beginning) => word.starts_with(beginning),
                None => word == known,
            }
        })
    })
}

const UNKNOWN: &str = "haflux has no counterpart";

const IN_A_FRONTEND: &str = "in haflux a frontend changes headers: http_request and http_response";

/// What is lost with a line that is not harmless.
fn reason(statement: &Statement, kind: Kind) -> &'static str {
    let is_backend = kind == Kind::Backend;
    match (statement.word(0), statement.word(1), statement.word(2)) {
        (
            "http-request",
            "replace-path" | "replace-pathq" | "replace-uri" | "set-path" | "set-pathq" | "set-uri"
            | "set-query" | "set-method" | "normalize-uri",
            _,
        )
        | ("reqrep" | "reqirep", ..) => {
            "haflux passes the method, the path and the query on as the client sends them"
        }
        (
            "http-request" | "tcp-request",
            "set-src" | "set-src-port" | "set-dst" | "set-dst-port",
            _,
        ) => "haflux takes addresses from the connection, accept_proxy and trust_forwarded alone",
        (
            "http-request" | "http-response" | "http-after-response",
            "set-header" | "add-header" | "del-header" | "replace-header" | "replace-value",
            _,
        ) if is_backend => IN_A_FRONTEND,
        ("http-after-response", "set-header" | "add-header" | "del-header", _) => {
            "haflux changes headers of servers' answers alone: http_response"
        }
        (
            "http-request" | "http-response" | "http-after-response",
            "replace-header" | "replace-value",
            _,
        ) => "haflux sets and deletes headers, and computes no values",
        ("reqadd" | "rspadd" | "reqdel" | "reqidel" | "rspdel" | "rspidel", ..) => {
            "haflux knows http-request and http-response in its place"
        }
        ("http-request", "auth", _) => ASKS_NOBODY,
        ("http-request", "return", _) => {
            "haflux gives no answers of its own here: these requests go where the others go"
        }
        ("http-response", "deny" | "return", _) => "haflux passes every answer of a server on",
        ("http-request", "deny" | "tarpit" | "reject" | "silent-drop", _)
        | ("block" | "reqdeny" | "reqideny" | "reqtarpit" | "reqallow", ..)
        | ("tcp-request", "connection" | "content" | "session", "reject" | "silent-drop") => {
            KEEPS_NOBODY_OUT
        }
        ("tcp-request", ..) => "haflux does nothing of the kind with connections",
        ("http-request" | "http-response", "set-bandwidth-limit", _)
        | ("filter", "bwlim-in" | "bwlim-out", _) => "in haflux a frontend has it: bandwidth",
        ("server-template", ..) => "left out: haflux names each server, with an address of its own",
        ("monitor-uri" | "monitor-net", ..) | ("monitor", "fail", _) => {
            "haflux has no answer of its own for the checks of another balancer: servers get them"
        }
        ("use-server", ..) => "in haflux the balance alone chooses the server",
        ("retry-on", ..) => "haflux tries again by its own rules: docs/configuration.md, retries",
        ("option", "allbackups", _) => "haflux uses the first backup that is up",
        ("stick" | "appsession", ..) => {
            "haflux keeps no client with a server by a table; balance = \"source\" does so by address"
        }
        ("option", "forwardfor", _) => {
            "in haflux a frontend does so for all that it serves: forwarded_for = true"
        }
        ("stats", ..) if is_backend => {
            "in haflux a frontend has the page: stats_uri = \"/haproxy?stats\""
        }
        ("rate-limit", ..) | ("maxconnrate" | "maxsessrate" | "maxsslrate", ..) => {
            "rate_limit of a frontend limits requests by address"
        }
        ("unique-id-header", ..) => "haflux computes no values",
        ("source", ..) => "haflux reaches servers from the address that the system chooses",
        ("nbthread", ..) => "haflux takes 1 to 1024 here",
        ("program", ..) => "haflux starts no program",
        _ => UNKNOWN,
    }
}
