//! Secrets of every kind are planted wherever haflux is given some, and everything that it writes is read for each of them: plain,
//! percent-encoded, in base64 and in hexadecimal.
//!
//! Two kinds of files are not read, because they must hold what they hold: the journal's segments and cursors with the dead letters,
//! from which nodes are sent and asked again, and the configuration itself. That nobody but their owner can read them is looked at in their place.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::authority::Authority;
use crate::support::http::{query_string, raw, request};
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, wait_until};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::bytes::{RegexSet, RegexSetBuilder};

/// The secrets, by where they are planted.
struct Planted(BTreeMap<&'static str, String>);

impl Planted {
    fn new(places: &[&'static str]) -> Self {
        let secret = |(number, place): (usize, &&'static str)| {
            // `/` and `+` are what encodings differ in.
            (*place, format!("Pl4nt/{number:02}+zQx7"))
        };
        Planted(places.iter().enumerate().map(secret).collect())
    }

    #[track_caller]
    fn at(&self, place: &str) -> &str {
        self.0
            .get(place)
            .unwrap_or_else(|| panic!("nothing is planted at {place}"))
    }

    /// The text with `{place}` replaced.
    fn fill(&self, text: &str) -> String {
        let filled = self
            .0
            .iter()
            .fold(text.to_owned(), |text, (place, secret)| {
                let encoded = percent_encoded(secret);
                text.replace(&format!("{{{place}}}"), secret)
                    .replace(&format!("{{%{place}}}"), &encoded)
            });
        assert!(
            !filled.contains("{S_") && !filled.contains("{%"),
            "{filled}"
        );
        filled
    }

    /// A search for all of them.
    fn search(&self) -> Search {
        let mut names = Vec::new();
        let mut patterns = Vec::new();
        for (place, secret) in &self.0 {
            for (form, text) in forms(secret) {
                names.push(format!("{place}, {form}"));
                patterns.push(regex::escape(&text));
            }
        }
        let set = RegexSetBuilder::new(patterns)
            .case_insensitive(true)
            .size_limit(64 << 20)
            .build();
        Search {
            set: set.expect("patterns"),
            names,
        }
    }
}

/// Finds secrets in one pass.
struct Search {
    set: RegexSet,
    names: Vec<String>,
}

impl Search {
    /// Which of the secrets stand in what was said, each with how.
    fn found_in(&self, said: &[u8]) -> Vec<&str> {
        let found = self.set.matches(said);
        found
            .iter()
            .map(|index| self.names[index].as_str())
            .collect()
    }
}

fn percent_encoded(text: &str) -> String {
    query_string(&[("", text)])
        .trim_start_matches('=')
        .to_owned()
}

/// How a secret may be written. Of base64 what does not depend on what stands before and behind it.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let percent = percent_encoded(secret);
    let hexadecimal = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let numbers: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    let mut forms = vec![
        ("plain", secret.to_owned()),
        ("percent-encoded", percent),
        ("hexadecimal", hexadecimal),
        ("bytes", numbers.join(", ")),
    ];
    for before in 0..3 {
        let padded = ["x".repeat(before).as_str(), secret].concat();
        let encoded = STANDARD.encode(padded);
        let encoded = encoded.trim_end_matches('=');
        let whole = &encoded[[0, 2, 3][before]..encoded.len() - 1];
        forms.push(("base64", whole.to_owned()));
        forms.push(("base64 for URLs", whole.replace('+', "-").replace('/', "_")));
    }
    forms
}

/// What is planted in the configuration, in requests of clients, in what nodes say, and on command lines.
const PLACES: [&str; 40] = [
    "S_PAGE",
    "S_PAGE_VARIABLE",
    "S_PAGE_FILE",
    "S_PAGE_CREDENTIAL",
    "S_HEADER",
    "S_HEADER_FILE",
    "S_UDP",
    "S_HEAL",
    "S_NODE_LOGIN",
    "S_OWN_LOGIN",
    "S_USER",
    "S_USER_TOKEN",
    "S_USER_HASH",
    "S_CHECK",
    "S_NEW_PAGE",
    "S_NEW_HEADER",
    "S_WRONG_PAGE",
    "S_WRONG_HEADER",
    "S_SYNTAX",
    "S_URL",
    "S_FORM",
    "S_BASIC",
    "S_TOKEN",
    "S_BEARER",
    "S_COOKIE",
    "S_API_KEY",
    "S_PROXY_AUTH",
    "S_USERINFO",
    "S_PARAMETER",
    "S_PARAMS",
    "S_CREATE",
    "S_SET",
    "S_REFUSED",
    "S_SUBSCRIPTION",
    "S_MALFORMED",
    "S_LOGIN",
    "S_PROXY_HEADER",
    "S_ECHO",
    "S_REFUSED_WRITE",
    "S_STRANGE",
];

const CONFIGURATION: &str = r#"
[server]
data_dir = "FOLDER/data"
log_level = "debug"
stats_socket = { path = "FOLDER/stats.sock", level = "admin" }
[[log]]
to = "stderr"
[[log]]
to = "FOLDER/log.json"
format = "json"
[[frontend]]
name = "front"
bind = ["127.0.0.1:PORT(front)", "127.0.0.1:PORT(secure)"]
tls = { addresses = "127.0.0.1:PORT(secure)", certificate = "CERTIFICATE" }
stats_uri = "/haproxy?stats"
stats_auth = ["one:{S_PAGE}", "two:${VARIABLE}", "three:${file:FOLDER/page}", "four:${credential:page}"]
metrics_uri = "/metrics"
default_backend = "relay"
queries = { slow = "1ms" }
http_request = [{ set_header = { X-One = "{S_HEADER}", Authorization = "Token ${file:FOLDER/token}" }, if = { path = "/haflux" } }]
[users]
file = "FOLDER/users"
max_failures = 100000
[[frontend]]
name = "known"
bind = "127.0.0.1:PORT(known)"
auth = true
default_backend = "relay"
[[frontend]]
name = "ruled"
bind = "127.0.0.1:PORT(ruled)"
rules = { read = "t", write = ["u", "refused*"], measurements = "n" }
default_backend = "relay"
[[frontend]]
name = "plain"
bind = "127.0.0.1:PORT(plain)"
default_backend = "other"
[[frontend]]
name = "behind"
bind = "127.0.0.1:PORT(behind)"
accept_proxy = "127.0.0.0/8"
default_backend = "other"
[[relay]]
name = "relay"
replicate_to = "pool"
retry = { min = "50ms", max = "200ms" }
heal = { username = "healer", password_file = "FOLDER/heal" }
[[udp]]
bind = "127.0.0.1:UDP(udp)"
relay = "relay"
db = "udp"
username = "collector"
password_file = "FOLDER/udp"
[[backend]]
name = "pool"
check = false
servers = [{ name = "one", address = "ONE" }, { name = "two", address = "TWO", login = { instead_of = "reader", username = "two", password_file = "FOLDER/own" } }]
login = { username = "reader", password_file = "FOLDER/login" }
[[backend]]
name = "other"
check = { http = "/ping?u=x&p={S_CHECK}" }
servers = [{ name = "one", address = "ONE" }, { name = "none", address = "127.0.0.1:1" }]
"#;

/// A request with headers, of which each holds a secret.
fn secrets_in_headers(planted: &Planted, line: &str, authorization: &str, body: &str) -> Vec<u8> {
    let text = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nCookie: session={{S_COOKIE}}\r\nX-Api-Key: {{S_API_KEY}}\r\n\
         Proxy-Authorization: Basic {{S_PROXY_AUTH}}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        planted.fill(body).len()
    );
    planted.fill(&text).into_bytes()
}

/// Requests of clients, with secrets in them.
fn requests(planted: &Planted) -> Vec<Vec<u8>> {
    let user = format!("Basic {}", STANDARD.encode(planted.fill("eva:{S_USER}")));
    let line = |path: &str, parameters: &[(&str, &str)]| {
        let filled: Vec<(&str, String)> = parameters
            .iter()
            .map(|(name, value)| (*name, planted.fill(value)))
            .collect();
        let filled: Vec<(&str, &str)> = filled
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        format!("{path}?{}", query_string(&filled))
    };
    let basic = format!("Basic {}", STANDARD.encode(planted.fill("admin:{S_BASIC}")));
    let statement = |text: &str| {
        line(
            "POST /query",
            &[("db", "t"), ("q", text), ("u", "admin"), ("p", "{S_URL}")],
        )
    };
    let mut lines = vec![
        line(
            "POST /write",
            &[("db", "t"), ("u", "admin"), ("p", "{S_URL}")],
        ),
        line(
            "POST /write",
            &[
                ("db", "refused"),
                ("u", "admin"),
                ("p", "{S_REFUSED_WRITE}"),
            ],
        ),
        line(
            "POST /write",
            &[("db", "refused"), ("u", "eva"), ("p", "{S_USER}")],
        ),
        line(
            "POST /write",
            &[("db", "strange"), ("u", "admin"), ("p", "{S_STRANGE}")],
        ),
        line(
            "POST /write",
            &[("db", "stranger"), ("u", "admin"), ("p", "{S_STRANGE}")],
        ),
        line(
            "POST /query",
            &[
                ("q", "CREATE DATABASE strange"),
                ("p", "{S_STRANGE}"),
                ("u", "admin"),
            ],
        ),
        line(
            "POST /query",
            &[("q", "CREATE USER refused WITH PASSWORD '{S_REFUSED}'")],
        ),
        line(
            "GET /query",
            &[
                ("db", "t"),
                ("q", "SELECT v FROM m"),
                ("u", "admin"),
                ("p", "{S_URL}"),
            ],
        ),
        line(
            "GET /query",
            &[
                ("db", "t"),
                ("q", "SELECT v FROM m WHERE a = $b"),
                ("params", "{\"b\":\"{S_PARAMS}\"}"),
            ],
        ),
        line(
            "GET /anything",
            &[
                ("access_token", "{S_PARAMETER}"),
                ("password", "{S_PARAMETER}"),
                ("secret", "{S_PARAMETER}"),
            ],
        ),
    ];
    lines.extend([
        "CREATE USER a WITH PASSWORD '{S_CREATE}'",
        "CREATE USER a WITH PASSWORD '{S_CREATE}' WITH ALL PRIVILEGES",
        "SET PASSWORD FOR a = '{S_SET}'",
        "CREATE USER refused WITH PASSWORD '{S_REFUSED}'; SET PASSWORD FOR refused = '{S_REFUSED}'",
        "CREATE SUBSCRIPTION s ON d.r DESTINATIONS ALL 'http://u:{S_SUBSCRIPTION}@refused'",
        "CREATE USER a WITH PASSWORD '{S_MALFORMED}",
        "CREATE USER a WITH PASSWORD \"{S_MALFORMED}\"",
        "SET PASSWORD FOR a = {S_MALFORMED}; DROP",
    ].map(statement));
    // What separates the parameters is encoded, or is what only nodes built with an old Go take for a separator.
    lines.extend([
        "GET /query?db=t;u=admin;p={%S_URL};q=SHOW+DATABASES".to_owned(),
        "GET /query?u%3Dadmin%26p%3D{%S_URL}".to_owned(),
        "GET /query?db=t%26p={%S_URL}&q=SHOW+DATABASES".to_owned(),
        "GET /query?db=t%3Bp%3D{%S_URL}&q=SHOW+DATABASES".to_owned(),
        "GET /query?db=t?p={%S_URL}".to_owned(),
        "GET /query?pwd={%S_URL}&+p={%S_URL}&p%00={%S_URL}".to_owned(),
        // The whole of it was encoded once too often: it is the name of a database, which a rule, a lane or a dead letter names.
        "GET /query?db=t%26p%3D{%S_URL}&q=SELECT+v+FROM+m".to_owned(),
        "GET /query?q=SHOW+DATABASES%26u%3Dadmin%26p%3D{%S_URL}".to_owned(),
        "POST /write?db=t%26u%3Dadmin%26p%3D{%S_URL}".to_owned(),
        "POST /write?db=refused%26p%3D{%S_REFUSED_WRITE}".to_owned(),
        "POST /write?db=strange%26p%3D{%S_STRANGE}".to_owned(),
        "POST /write?db=stranger%26p%3D{%S_STRANGE}".to_owned(),
        "POST /write?db=missing%26p%3D{%S_STRANGE}".to_owned(),
    ]);
    let mut requests = Vec::new();
    for line in &lines {
        for authorization in [
            &basic,
            "Token admin:{S_TOKEN}",
            "Bearer {S_BEARER}",
            "Strange {S_BEARER}",
            &user,
            "Token adam:{S_USER_TOKEN}",
        ] {
            requests.push(secrets_in_headers(planted, line, authorization, ""));
        }
    }
    let form = planted.fill("q=CREATE+USER+f+WITH+PASSWORD+'{S_FORM}'&u=admin&p={S_FORM}");
    requests.push(secrets_in_headers(planted, "POST /query", &basic, &form));
    requests.push(secrets_in_headers(
        planted,
        "POST /write?db=refused",
        &basic,
        "m v=1 1",
    ));
    requests.push(secrets_in_headers(
        planted,
        "GET http://u:{%S_USERINFO}@x/query",
        &basic,
        "",
    ));
    requests.push(secrets_in_headers(
        planted,
        "GET http://u:{%S_USERINFO}@x:y:z/\u{1}",
        &basic,
        "",
    ));
    let wrong = format!("Basic {}", STANDARD.encode(planted.fill("one:{S_LOGIN}")));
    requests.push(secrets_in_headers(
        planted,
        "GET /haproxy?stats",
        &wrong,
        "",
    ));
    requests.push(secrets_in_headers(planted, "GET /haflux", &basic, ""));
    requests.push(
        planted
            .fill("PROXY TCP4 {S_PROXY_HEADER} 1 2 3\r\nGET / HTTP/1.1\r\n\r\n")
            .into_bytes(),
    );
    requests
}

/// Requests that rules refuse over a name with a secret in it.
fn against_rules(planted: &Planted) -> Vec<Vec<u8>> {
    let lines = [
        "GET /query?db=t&q=SELECT+v+FROM+%22m%26p%3D{%S_URL}%22",
        "POST /query?q=DROP+DATABASE+%22t%26p%3D{%S_URL}%22",
    ];
    let request = |line| secrets_in_headers(planted, line, "Bearer {S_BEARER}", "");
    lines.map(request).into()
}

/// A node that takes everything; with `repeats`, it refuses what is about `refused`, has no verdict the first times on what is about
/// `strange`, and repeats in its answer what it was asked.
fn node(planted: &Planted, repeats: bool) -> StandIn {
    let echo = planted.at("S_ECHO").to_owned();
    let strange = [const { AtomicUsize::new(0) }; 6];
    StandIn::start(move |request| {
        let kinds = [
            ("db=strange&", 500),
            ("db=stranger&", 401),
            ("q=CREATE%20DATABASE%20strange", 500),
            ("db=strange%26", 500),
            ("db=stranger%26", 401),
            ("db=missing%26", 404),
        ];
        let mut kinds = kinds.iter().zip(&strange);
        if repeats
            && let Some(((_, status), asked)) =
                kinds.find(|((part, _), _)| request.target.contains(part))
            && asked.fetch_add(1, Ordering::SeqCst) < 2
        {
            let authorization = request.header("authorization").unwrap_or_default();
            return Behaviour::status(
                *status,
                &format!(
                    "{{\"error\":\"strange: {} {authorization}\"}}\n",
                    request.target
                ),
            );
        }
        let is_refused = format!("{}{}", request.target, request.text()).contains("refused");
        match request.path() {
            "/query" if repeats && is_refused => Behaviour::status(
                200,
                &format!(
                    "{{\"results\":[{{\"statement_id\":0,\"error\":\"error parsing query: found {}, expected SET PASSWORD FOR x = '{echo}'\"}}]}}\n",
                    request.target.replace('"', "'")
                ),
            ),
            "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
            "/write" if repeats && is_refused => Behaviour::status(
                400,
                &format!(
                    "{{\"error\":\"unable to parse {}\"}}\n",
                    request.target.replace('"', "'")
                ),
            ),
            _ => Behaviour::no_content(),
        }
    })
}

/// What haflux says, by where.
#[derive(Default)]
struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    fn add(&mut self, whence: impl Into<String>, what: impl Into<Vec<u8>>) {
        self.0.push((whence.into(), what.into()));
    }

    /// What a command prints of the configuration in `haflux`, on both of its outputs.
    fn command(
        &mut self,
        haflux: &Haflux,
        environment: &[(String, String)],
        arguments: &[&str],
    ) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haflux"));
        command.args(arguments).arg("--config").arg(haflux.file());
        let output = command
            .envs(environment.iter().cloned())
            .output()
            .expect("haflux");
        let said = [output.stdout, output.stderr].concat();
        self.add(format!("haflux {}", arguments.join(" ")), said.clone());
        String::from_utf8_lossy(&said).into_owned()
    }
}

/// What stats_socket answers to a line.
fn on_socket(path: &Path, line: &str) -> Vec<u8> {
    let mut socket = UnixStream::connect(path).expect("the socket");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    writeln!(socket, "{line}").expect("a question");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("an answer");
    answer
}

/// Every file below `folder`.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let kind = fs::symlink_metadata(&path).expect("a file").file_type();
        if kind.is_dir() {
            files.extend(files_below(&path));
        } else if kind.is_file() {
            files.push(path);
        }
    }
    files
}

#[test]
fn nothing_that_haflux_writes_shows_a_secret() {
    let planted = Planted::new(&PLACES);
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("haflux");
    fs::create_dir_all(home.join("credentials")).expect("a folder");
    let authority = Authority::new(&folder.path().join("authority"));
    let certificate = authority.sign("site.pem", "localhost", 90);
    for (name, place) in [
        ("page", "S_PAGE_FILE"),
        ("credentials/page", "S_PAGE_CREDENTIAL"),
        ("token", "S_HEADER_FILE"),
        ("udp", "S_UDP"),
        ("heal", "S_HEAL"),
        ("login", "S_NODE_LOGIN"),
        ("own", "S_OWN_LOGIN"),
    ] {
        fs::write(home.join(name), planted.at(place)).expect("a file");
    }
    let users = [("eva", "S_USER"), ("adam", "S_USER_TOKEN")].map(|(name, place)| {
        let hash = bcrypt::hash(planted.at(place), 4).expect("a hash");
        format!("{name}:{hash}\n")
    });
    fs::write(home.join("users"), users.concat()).expect("a file");
    let (one, two) = (node(&planted, false), node(&planted, true));
    let configuration = planted
        .fill(CONFIGURATION)
        .replace("ONE\"", &format!("{}\"", one.address()))
        .replace("TWO\"", &format!("{}\"", two.address()))
        .replace("CERTIFICATE", &certificate);
    let environment = [
        ("VARIABLE", planted.at("S_PAGE_VARIABLE").to_owned()),
        (
            "CREDENTIALS_DIRECTORY",
            home.join("credentials").display().to_string(),
        ),
        ("RUST_LOG", "trace".to_owned()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value));
    let mut haflux = Haflux::start_in(&home, &configuration, &environment);
    wait_until("writes to be taken", SOON, || {
        haflux.write("t", "m v=1 1").status == 204
    });

    let mut said = Said::default();
    let sent = requests(&planted);
    for front in ["front", "known", "ruled", "plain", "behind"] {
        for request in &sent {
            // Some are answered, some are cut off. What a client hears is its own.
            let _ = raw(&haflux.address(front), request, Duration::from_millis(30));
        }
    }
    for request in against_rules(&planted) {
        let answer = raw(&haflux.address("ruled"), &request, SOON).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 403 "));
    }
    wait_until("dead letters", SOON, || {
        said.command(&haflux, &environment, &["dead-letters", "list"])
            .contains("two")
    });

    // The commands of people. The control socket answers most of them.
    let letters = said.command(&haflux, &environment, &["dead-letters", "list"]);
    let ids = letters
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next());
    let ids: Vec<String> = ids.map(str::to_owned).collect();
    assert!(ids.len() > 3, "{letters}");
    for id in ids.iter().take(6) {
        said.command(&haflux, &environment, &["dead-letters", "show", id]);
    }
    let records = said.command(
        &haflux,
        &environment,
        &["journal", "inspect", "--records", ".."],
    );
    let numbers = records
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next());
    let numbers: Vec<String> = numbers.map(str::to_owned).collect();
    assert!(numbers.len() > 10, "{records}");
    for number in numbers.iter().take(25) {
        said.command(
            &haflux,
            &environment,
            &["journal", "inspect", "--show", number],
        );
    }
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["replica", "status"],
        &["server", "status"],
        &["journal", "inspect"],
        &["journal", "verify"],
        &["socket-unit"],
        &["log-level"],
        &["queries"],
        &["queries", "--running"],
        &["queries", "--json"],
        &["reload", "--dry-run"],
        &["dead-letters", "drop", "all"],
        &["dead-letters", "replay", "all"],
        &["compare"],
    ] {
        said.command(&haflux, &environment, arguments);
    }
    let url = planted.fill("http://u:{%S_USERINFO}@127.0.0.1:1/ping?p={S_PARAMETER}");
    let output = Haflux::command(&["ping", "--url", &url]);
    said.add("haflux ping", [output.stdout, output.stderr].concat());

    // Pages and sockets.
    let user = STANDARD.encode(planted.fill("one:{S_PAGE}"));
    let authorization = format!("Basic {user}");
    for path in [
        "/haproxy?stats",
        "/haproxy?stats;csv",
        "/haproxy?stats;json",
        "/metrics",
    ] {
        let url = haflux.url("front") + path;
        let answer = request("GET", &url, &[("Authorization", &authorization)], b"");
        assert_eq!(answer.status, 200, "{path}");
        said.add(path, answer.text());
    }
    for line in [
        "help",
        "show info",
        "show info typed",
        "show stat",
        "show stat json",
        "show servers state",
        "show servers conn",
        "show backend",
        "show errors",
        "show sess",
        "show nothing",
    ] {
        said.add(line, on_socket(&home.join("stats.sock"), line));
    }

    // Configurations: checked, compared with what runs, and wrong in each place that may hold a secret.
    let before = fs::read_to_string(haflux.file()).expect("the configuration");
    let check = |said: &mut Said, haflux: &Haflux, changes: &[(&str, &str)]| {
        let changes: Vec<(String, String)> = changes
            .iter()
            .map(|(from, to)| (planted.fill(from), planted.fill(to)))
            .collect();
        let changes: Vec<(&str, &str)> = changes
            .iter()
            .map(|(from, to)| (from.as_str(), to.as_str()))
            .collect();
        fs::write(haflux.file(), &before).expect("the configuration");
        haflux.edit(&changes);
        said.command(haflux, &environment, &["check"]);
        said.command(haflux, &environment, &["reload", "--dry-run"])
    };
    let same = check(&mut said, &haflux, &[]);
    assert!(same.contains("runs by already"), "{same}");
    let users = fs::read(home.join("users")).expect("the users");
    let plain = format!("eva:{}\n", planted.at("S_USER_HASH"));
    fs::write(home.join("users"), plain).expect("the users");
    let refused = check(&mut said, &haflux, &[]);
    assert!(refused.contains("users, line 1: expected"), "{refused}");
    fs::write(home.join("users"), users).expect("the users");
    let differs = check(
        &mut said,
        &haflux,
        &[
            ("one:{S_PAGE}", "one:{S_NEW_PAGE}"),
            ("{S_HEADER}", "{S_NEW_HEADER}"),
        ],
    );
    assert!(
        differs.contains("stats_auth: 4 -> 4 (others)") && differs.contains("http_request"),
        "{differs}"
    );
    for changes in [
        [
            ("\"one:{S_PAGE}\"", "\"{S_WRONG_PAGE}\""),
            ("retry =", "wrong ="),
        ],
        [
            ("\"{S_HEADER}\"", "\"{S_WRONG_HEADER}\\u0001\""),
            ("retry =", "wrong ="),
        ],
        [
            ("\"one:{S_PAGE}\"", "[\"{S_WRONG_PAGE}\"]"),
            ("retry =", "retry ="),
        ],
        [
            ("\"one:{S_PAGE}\"", "\"one:{S_SYNTAX}\" \"{S_SYNTAX}\""),
            ("retry =", "retry ="),
        ],
        [
            ("\"one:{S_PAGE}\"", "\"one:{S_SYNTAX}"),
            ("retry =", "retry ="),
        ],
        [
            (
                "X-One = \"{S_HEADER}\"",
                "X-One = \"{S_SYNTAX}\", X-One = \"{S_SYNTAX}\"",
            ),
            ("retry =", "retry ="),
        ],
        [
            ("{S_HEADER}", "{S_SYNTAX}${NO_SUCH}"),
            ("retry =", "retry ="),
        ],
        [("{S_CHECK}", "{S_SYNTAX} "), ("retry =", "retry =")],
        [
            ("retry =", "retry ="),
            ("bind = \"127.0.0.1:", "bind = \"${file:FOLDER_/token}:"),
        ],
    ] {
        let home = home.display().to_string();
        let changes = changes.map(|(from, to)| (from, to.replace("FOLDER_", &home)));
        let changes: Vec<(&str, &str)> = changes
            .iter()
            .map(|(from, to)| (*from, to.as_str()))
            .collect();
        check(&mut said, &haflux, &changes);
    }
    fs::write(haflux.file(), &before).expect("the configuration");
    said.command(&haflux, &environment, &["reload"]);
    haflux.terminate();

    // Files.
    let search = planted.search();
    let mut hold_records = 0;
    for file in files_below(&home.join("data")) {
        let mode = fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file:?} is its owner's alone");
        let bytes = fs::read(&file).expect("a file");
        let path = file.display().to_string();
        let holds_records = path.contains("dead-letters/")
            || path.contains("/cursors.")
            || path.contains("segment")
            || path.contains("pending");
        hold_records += usize::from(holds_records && !search.found_in(&bytes).is_empty());
        if !holds_records {
            said.add(path, bytes);
        }
    }
    assert!(hold_records > 1, "what is planted was replicated");
    said.add("log", haflux.log());
    said.add(
        "log as JSON",
        fs::read(home.join("log.json")).expect("a file"),
    );

    let faults: Vec<String> = said
        .0
        .iter()
        .filter_map(|(whence, what)| {
            let found = search.found_in(what);
            (!found.is_empty()).then(|| format!("{whence}: {found:?}\n{}", shown(what)))
        })
        .collect();
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        said.0.len(),
        faults.join("\n\n")
    );
    // The search finds what it is to find.
    for (place, secret) in &planted.0 {
        for before in ["", "a", "ab"] {
            let line = format!("x {} y", STANDARD.encode(format!("{before}{secret}:more")));
            assert!(!search.found_in(line.as_bytes()).is_empty(), "{place}");
        }
    }
}

/// The lines with something planted in them, as far as they stand there plainly.
fn shown(what: &[u8]) -> String {
    let text = String::from_utf8_lossy(what);
    let lines = text
        .lines()
        .filter(|line| line.to_ascii_lowercase().contains("pl4nt"));
    let lines = lines
        .take(3)
        .map(|line| line.chars().take(600).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}
