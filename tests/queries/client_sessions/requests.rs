//! Requests as they stand on the wire, with what clients leave out, double and misspell.

use std::collections::BTreeSet;

use super::{CREDENTIALS, Step, Way};
use crate::support::http::{self, Answer, query_string};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=XX");
const CSV: (&str, &str) = ("Accept", "application/csv");
const MSGPACK: (&str, &str) = ("Accept", "application/x-msgpack");

/// Headers that clients act on. `Date` and the values of request ids differ from answer to answer.
const COMPARED: &[&str] = &[
    "content-type",
    "content-encoding",
    "x-influxdb-version",
    "x-influxdb-build",
    "x-influxdb-error",
    "www-authenticate",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "retry-after",
    "location",
];

/// One request.
struct Request {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    /// In whose name it is sent, where there are users.
    name: Name,
}

#[derive(Clone, Copy, PartialEq)]
enum Name {
    Admin,
    Nobody,
}

impl Request {
    fn with(mut self, header: (&'static str, &'static str)) -> Self {
        self.headers.push(header);
        self
    }

    fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    fn by_nobody(mut self) -> Self {
        self.name = Name::Nobody;
        self
    }

    fn told(&self) -> String {
        let headers: Vec<String> = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let body = self.body.escape_ascii().to_string();
        let name = if self.name == Name::Nobody {
            " by nobody"
        } else {
            ""
        };
        let shown = body.get(..200).unwrap_or(&body);
        format!(
            "{} {} [{}] {shown}{name}",
            self.method,
            self.target,
            headers.join(", ")
        )
    }
}

fn request(method: &'static str, target: &str) -> Request {
    Request {
        method,
        target: target.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        name: Name::Admin,
    }
}

fn get(target: &str) -> Request {
    request("GET", target)
}

fn post(target: &str) -> Request {
    request("POST", target)
}

/// A query by GET.
fn query(q: &str, more: &[(&str, &str)]) -> Request {
    get(&format!(
        "/query?{}",
        query_string(&[more, &[("q", q)]].concat())
    ))
}

/// A query by POST, in a form.
fn form(q: &str, more: &[(&str, &str)]) -> Request {
    post("/query")
        .with(FORM)
        .body(query_string(&[more, &[("q", q)]].concat()))
}

fn write(parameters: &str, lines: impl AsRef<[u8]>) -> Request {
    post(&format!("/write{parameters}")).body(lines)
}

fn packed(body: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).expect("a Vec takes it");
    encoder.finish().expect("a Vec takes it")
}

fn multipart(parts: &[(&str, &str)]) -> String {
    let parts: String = parts
        .iter()
        .map(|(name, value)| {
            format!("--XX\r\nContent-Disposition: form-data; {name}\r\n\r\n{value}\r\n")
        })
        .collect();
    format!("{parts}--XX--\r\n")
}

/// Everything else is about what these leave.
fn beginning() -> Vec<Request> {
    vec![
        form("CREATE DATABASE first", &[]),
        form(
            "CREATE RETENTION POLICY week ON first DURATION 0s REPLICATION 1; CREATE DATABASE second",
            &[],
        ),
        write(
            "?db=first",
            "m,a=b v=1,s=\"x\" 1000000000\nm,a=c v=2 2000000000\nm,a=c v=3 3000000000",
        ),
        write("?db=first&rp=week", "w v=1 1"),
    ]
}

fn queries() -> Vec<Request> {
    let all = "SELECT * FROM m";
    let db = ("db", "first");
    vec![
        get("/query"),
        get("/query?q="),
        get("/query?db=first"),
        post("/query"),
        request("HEAD", "/query?q=SHOW+DATABASES"),
        request("PUT", "/query?q=SHOW+DATABASES"),
        request("DELETE", "/query?q=SHOW+DATABASES"),
        request("OPTIONS", "/query"),
        request("OPTIONS", "/query").with(("Origin", "http://there")),
        query(all, &[db]),
        query(all, &[db]).with(("Origin", "http://there")),
        query(all, &[("db", "nowhere")]),
        query(all, &[]),
        query(all, &[db, ("rp", "week")]),
        query("SELECT * FROM w", &[db, ("rp", "week")]),
        query("SELECT * FROM w", &[db, ("rp", "nowhere")]),
        query(all, &[db, ("pretty", "true")]),
        query(all, &[db, ("pretty", "1")]),
        query(all, &[db, ("epoch", "ms")]),
        query(all, &[db, ("epoch", "fortnight")]),
        query(all, &[db, ("chunked", "true")]),
        query(all, &[db, ("chunked", "true"), ("chunk_size", "1")]),
        query(all, &[db, ("chunked", "true"), ("chunk_size", "many")]),
        query(all, &[db, ("chunk_size", "1")]),
        query(all, &[db, ("params", "{\"x\":1}")]),
        query(
            "SELECT * FROM m WHERE v > $x",
            &[db, ("params", "{\"x\":1}")],
        ),
        query("SELECT * FROM m WHERE v > $x", &[db, ("params", "no JSON")]),
        query("SELECT * FROM m WHERE v > $x", &[db]),
        query(all, &[db]).with(CSV),
        query(all, &[db]).with(MSGPACK),
        query(all, &[db]).with(("Accept", "text/csv")),
        query(all, &[db]).with(("Accept", "text/html, */*;q=0.1")),
        query(all, &[db]).with(("Accept-Encoding", "gzip")),
        query(all, &[("db", "nowhere")]).with(CSV),
        query(all, &[("db", "nowhere")]).with(MSGPACK),
        query("SELECT", &[]).with(CSV),
        query("SELECT", &[]).with(MSGPACK),
        query("SELECT", &[("pretty", "true")]),
        query("SHOW DATABASES; SELECT * FROM nowhere..m; SHOW USERS", &[]),
        query(
            "SHOW DATABASES; SELECT * FROM nowhere..m; SHOW USERS",
            &[("chunked", "true")],
        ),
        query(";;SHOW DATABASES;;", &[]),
        query("-- nothing", &[]),
        query("/* SHOW */ SHOW /* all */ DATABASES", &[]),
        form(all, &[db]),
        form(all, &[db, ("pretty", "true")]),
        post("/query?db=first&q=SHOW+USERS")
            .with(FORM)
            .body("q=SHOW+MEASUREMENTS"),
        post("/query?db=first&q=SHOW+MEASUREMENTS").body("q=SHOW+USERS"),
        post("/query?db=first").body("SHOW MEASUREMENTS"),
        post("/query?db=first")
            .with(("Content-Type", "application/json"))
            .body("{\"q\":\"SHOW DATABASES\"}"),
        post("/query?db=first")
            .with(("Content-Type", "application/vnd.influxql"))
            .body("SHOW MEASUREMENTS"),
        post("/query?db=first").with(MULTIPART).body(multipart(&[(
            "name=\"q\"; filename=\"q.txt\"",
            "SHOW MEASUREMENTS; SHOW TAG KEYS",
        )])),
        post("/query?db=first")
            .with(MULTIPART)
            .body(multipart(&[("name=\"q\"", "SHOW MEASUREMENTS")])),
        post("/query?db=first&q=SHOW+DATABASES")
            .with(MULTIPART)
            .body(multipart(&[("name=\"q\"", "SHOW MEASUREMENTS")])),
        post("/query?db=first")
            .with(MULTIPART)
            .body(multipart(&[("name=\"other\"", "SHOW MEASUREMENTS")])),
        get("/query?db=first")
            .with(FORM)
            .body("q=SHOW+MEASUREMENTS"),
        get("/query?q=SHOW+DATABASES&q=SHOW+USERS"),
        get("/query?Q=SHOW+DATABASES"),
        get("/query?%71=SHOW+DATABASES"),
        get("/query?q=SHOW+DATABASES%ZZ"),
        get("/query?q=SHOW+DATABASES;db=first"),
        get("/query?q=SHOW%20DATABASES").with(("X-Request-Id", "mine")),
        get("/query?q=SHOW%20DATABASES").with(("Request-Id", "mine")),
        query("KILL QUERY 999999", &[]),
        query("SHOW MEASUREMENTS ON nowhere", &[]),
    ]
}

fn statements() -> Vec<Request> {
    let db = ("db", "first");
    let left = || {
        query(
            "SELECT * FROM /.*/; SHOW DATABASES; SHOW RETENTION POLICIES ON first",
            &[db],
        )
    };
    vec![
        query("CREATE DATABASE third", &[]),
        query("CREATE DATABASE third", &[]).with(CSV),
        form("CREATE DATABASE fourth", &[("pretty", "true")]),
        form("CREATE DATABASE fifth", &[]).with(CSV),
        form("CREATE DATABASE sixth", &[]).with(MSGPACK),
        form("CREATE DATABASE seventh", &[]).with(("Accept-Encoding", "gzip")),
        form("DROP DATABASE seventh", &[]).with(("Origin", "http://there")),
        form(
            "CREATE DATABASE eighth; SHOW DATABASES; DROP DATABASE eighth",
            &[("chunked", "true")],
        ),
        form(
            "CREATE DATABASE eighth; SELECT * FROM nowhere..m; CREATE DATABASE ninth",
            &[],
        ),
        form("CREATE DATABASE eighth; CREATE", &[]),
        form("CREATE DATABASE \"\"", &[]),
        form("DROP SHARD 999999", &[]),
        post("/query?db=first").with(MULTIPART).body(multipart(&[(
            "name=\"q\"; filename=\"q.txt\"",
            "SELECT v INTO copy FROM m; SHOW MEASUREMENTS",
        )])),
        query("SELECT v INTO copy FROM m", &[db]),
        form("SELECT v INTO copy2 FROM m", &[db, ("epoch", "ns")]),
        form("SELECT v INTO copy3 FROM m", &[db, ("chunked", "true")]),
        form("SELECT v INTO copy3 FROM m", &[db]).with(MSGPACK),
        form("SELECT v INTO copy3 FROM m", &[db]).with(CSV),
        form("DELETE FROM m WHERE a = 'b'", &[db]),
        form(
            "DELETE FROM m WHERE a = $a",
            &[db, ("params", "{\"a\":\"c\"}")],
        ),
        form("DELETE FROM m", &[]),
        form("DELETE FROM m", &[("db", "nowhere")]),
        form("DELETE FROM m WHERE v = 1", &[db]).with(CSV),
        form("DROP MEASUREMENT copy", &[("db", "nowhere")]),
        form("DROP MEASUREMENT copy2", &[db]).with(("X-Request-Id", "mine")),
        request("HEAD", "/query?q=CREATE+DATABASE+tenth"),
        request("PUT", "/query?q=CREATE+DATABASE+tenth"),
        form("CREATE USER plain WITH PASSWORD 'plain'", &[]),
        form("CREATE USER plain WITH PASSWORD 'other'", &[]),
        form("GRANT READ ON first TO plain", &[]),
        get("/query?q=SHOW+MEASUREMENTS&db=first&u=plain&p=plain").by_nobody(),
        get("/query?q=DROP+DATABASE+first&u=plain&p=plain").by_nobody(),
        post("/query?q=DROP+DATABASE+first&db=first&u=plain&p=plain").by_nobody(),
        post("/query?q=DROP+MEASUREMENT+copy3&db=first&u=plain&p=plain").by_nobody(),
        post("/query?q=DROP+DATABASE+first&u=plain&p=wrong"),
        write("?db=first&u=plain&p=plain", "refused v=1 1").by_nobody(),
        write("?db=first&u=plain&p=wrong", "refused v=1 1"),
        form("DROP DATABASE third", &[]).by_nobody(),
        write("?db=first", "refused v=1 1").by_nobody(),
        query("SHOW DATABASES", &[]).by_nobody(),
        get("/query?q=SHOW+DATABASES")
            .with(("Authorization", "Bearer x"))
            .by_nobody(),
        get("/query?q=SHOW+DATABASES")
            .with(("Authorization", "Token root:root"))
            .by_nobody(),
        get("/query?q=SHOW+DATABASES")
            .with(("Authorization", "nonsense"))
            .by_nobody(),
        form("DROP DATABASE third", &[])
            .with(("Authorization", "nonsense"))
            .by_nobody(),
        left(),
    ]
}

fn writes() -> Vec<Request> {
    let bad_gzip = b"\x1f\x8b not gzip".as_slice();
    let left = || query("SELECT * FROM /.*/ GROUP BY *", &[("db", "second")]);
    vec![
        get("/write?db=second"),
        request("HEAD", "/write?db=second"),
        request("PUT", "/write?db=second").body("p v=1 1"),
        request("DELETE", "/write?db=second"),
        request("OPTIONS", "/write"),
        request("OPTIONS", "/write").with(("Origin", "http://there")),
        write("", "a v=1 1"),
        write("?db=", "a v=1 1"),
        write("?db=nowhere", "a v=1 1"),
        write("?db=second&rp=nowhere", "a v=1 1"),
        write("?db=second", ""),
        write("?db=second", "\n# nothing\n\n"),
        write("?db=second", "a v=1 1"),
        write("?db=second", "a v=1 1").with(("Origin", "http://there")),
        write("?db=second", "a v=2 2\r\n"),
        write("?db=second", "bad"),
        write("?db=second", "bad").with(CSV),
        write("?db=second", "bad").with(MSGPACK),
        write("?db=second&pretty=true", "bad"),
        write("?db=second", "a v=3 3\nbad\na v=4 4\nworse v="),
        write("?db=second", "a v=\"text\" 1"),
        write("?db=second", "a,time=1 v=1 1"),
        write("?db=second", "a time=1 1"),
        write("?db=second", "a v=1 99999999999999999999"),
        write("?db=second&precision=s", "a v=5 5"),
        write("?db=second&consistency=all", "a v=6 6"),
        write("?db=second&consistency=most", "a v=7 7"),
        write("?db=second", packed(b"packed v=1 1")).with(("Content-Encoding", "gzip")),
        write("?db=second", bad_gzip).with(("Content-Encoding", "gzip")),
        write("?db=second", "").with(("Content-Encoding", "gzip")),
        write("?db=second", b"plain v=2 2").with(("Content-Encoding", "deflate")),
        write("?db=second", "a v=8 8").with(FORM),
        write("?db=second&db=first", "a v=9 9"),
        write("?db=second", "a v=10 10").with(("X-Request-Id", "mine")),
        write("/?db=second", "a v=1 1"),
        write("r?db=second", "a v=1 1"),
        post("//write?db=second").body("a v=1 1"),
        post("/%77rite?db=second").body("a v=1 1"),
        post("/WRITE?db=second").body("a v=1 1"),
        left(),
    ]
}

fn others() -> Vec<Request> {
    vec![
        get("/ping"),
        request("HEAD", "/ping"),
        post("/ping"),
        get("/ping?verbose=true"),
        get("/ping?wait_for_leader=1s"),
        get("/ping?wait_for_leader=soon"),
        get("/ping").by_nobody(),
        get("/status"),
        request("HEAD", "/status"),
        get("/health"),
        get("/"),
        get("/nowhere"),
        post("/nowhere").body("x"),
        get("/query/"),
        get("/%71uery?q=SHOW+DATABASES"),
        get("/api/v1/prom/read?db=first"),
        post("/api/v1/prom/read?db=first").body("x"),
        post("/api/v1/prom/write?db=first").body("x"),
        get("/api/v1/prom/write?db=first"),
        post("/api/v2/query")
            .with(("Content-Type", "application/vnd.flux"))
            .body("buckets()"),
        get("/debug/nowhere"),
    ]
}

/// Does it all.
pub fn session(way: &Way, auth: bool) -> Vec<Step> {
    let mut requests = Vec::new();
    if auth {
        let (user, password) = CREDENTIALS;
        let create = format!("CREATE USER {user} WITH PASSWORD '{password}' WITH ALL PRIVILEGES");
        requests.extend([
            query("SHOW DATABASES", &[]).by_nobody(),
            form("CREATE DATABASE early", &[]).by_nobody(),
            write("?db=early", "m v=1 1").by_nobody(),
            form(&format!("CREATE DATABASE early; {create}"), &[]).by_nobody(),
            form(&create, &[]).by_nobody(),
            form(&create, &[]).by_nobody(),
        ]);
    }
    requests.extend(beginning());
    requests.extend(queries());
    requests.extend(writes());
    requests.extend(others());
    requests.extend(statements());
    requests
        .into_iter()
        .map(|request| Step {
            name: request.told(),
            shown: way.without_what_must_differ(&shown(way, &request, auth)),
        })
        .collect()
}

fn shown(way: &Way, request: &Request, auth: bool) -> String {
    let mut headers = request.headers.clone();
    // "root:root"
    if auth && request.name == Name::Admin && !request.target.contains("u=") {
        headers.push(("Authorization", "Basic cm9vdDpyb290"));
    }
    let url = format!("http://{}{}", way.address(), request.target);
    match http::try_request(request.method, &url, &headers, &request.body) {
        Ok(answer) => told(&answer),
        Err(error) => format!("no answer: {error}"),
    }
}

/// What of an answer must be the same.
fn told(answer: &Answer) -> String {
    let mut text = answer.status.to_string();
    for name in COMPARED {
        if let Some(value) = answer.header(name) {
            text.push_str(&format!("\n      {name}: {value}"));
        }
    }
    if let Some(allowed) = answer.header("allow") {
        let allowed: BTreeSet<&str> = allowed.split(',').map(str::trim).collect();
        text.push_str(&format!("\n      allow: {allowed:?}"));
    }
    // The router's own answers have none; haflux gives one always.
    let by_the_router = answer.status == 405 || answer.text().starts_with("404");
    for name in ["request-id", "x-request-id"] {
        if by_the_router {
            continue;
        }
        let shown = match answer.header(name) {
            Some("mine") => "mine",
            Some(_) => "some",
            None => "none",
        };
        text.push_str(&format!("\n      {name}: {shown}"));
    }
    let body = if answer.header("content-encoding") == Some("gzip") {
        unpacked(&answer.body)
    } else {
        answer.body.clone()
    };
    text.push_str(&format!("\n      {}", body.escape_ascii()));
    text
}

fn unpacked(body: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut unpacked = Vec::new();
    let read = flate2::read::GzDecoder::new(body).read_to_end(&mut unpacked);
    read.map_or_else(|error| error.to_string().into_bytes(), |_| unpacked)
}
