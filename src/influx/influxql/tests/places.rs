//! Queries in every place of a request.

use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use crate::influx::FORM;

use super::super::{
    Canonical, Class, Databases, Endpoint, Kind, Limits, NotCanonical, Refusal, Request,
    candidates, classify_request,
};

const DROP: &str = "DROP+DATABASE+d";

/// A request whose parts a test changes.
struct Sent {
    method: Method,
    path: &'static str,
    query_string: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn sent(method: Method, query_string: &str) -> Sent {
    Sent {
        method,
        path: "/query",
        query_string: query_string.to_owned(),
        headers: HeaderMap::new(),
        body: Vec::new(),
    }
}

impl Sent {
    fn body(mut self, content_type: &str, body: &str) -> Self {
        self.headers
            .append(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        self.body = body.as_bytes().to_vec();
        self
    }

    fn path(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            path: self.path.as_bytes(),
            query_string: self.query_string.as_bytes(),
            headers: &self.headers,
            body: &self.body,
        }
    }

    fn class(&self) -> Class {
        classify_request(&self.request(), &Limits::default()).unwrap()
    }

    fn kind(&self) -> Kind {
        self.class().kind
    }

    fn canonical(&self) -> Result<Canonical, NotCanonical> {
        Canonical::of(&self.request())
    }
}

fn part(name: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(name: &str, value: &str) -> String {
    format!(
        "--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\nContent-Type: application/octet-stream\r\n\r\n{value}\r\n"
    )
}

#[test]
fn the_url_is_read_in_every_way() {
    for (query_string, kind) in [
        ("", Kind::Empty),
        ("q=", Kind::Empty),
        ("q=SELECT+v+FROM+m", Kind::Read),
        ("db=d&q=SELECT%20v%20FROM%20m", Kind::Read),
        ("q=DROP+DATABASE+d", Kind::Change),
        ("%71=DROP%20DATABASE%20d", Kind::Change),
        ("q=%44ROP+DATABASE+d", Kind::Change),
        ("Q=DROP+DATABASE+d", Kind::Empty),
        ("q=&q=DROP+DATABASE+d", Kind::Change),
        ("q=SELECT+v+FROM+m&q=DROP+DATABASE+d", Kind::Change),
        ("a=b;q=DROP+DATABASE+d", Kind::Change),
        ("q=SELECT+v+FROM+m;q=DROP+DATABASE+d", Kind::Change),
        ("q=SELECT+v+FROM+m;DROP+DATABASE+d", Kind::Change),
        ("q=SELECT+v+FROM+m%3BDROP+DATABASE+d", Kind::Change),
        ("q=DROP+DATABASE+d%", Kind::Empty),
        ("q=DROP+DATABASE+d%zz&q=SHOW+USERS", Kind::Read),
        ("q=KILL+QUERY+5", Kind::KillQuery),
        (
            "q=KILL+QUERY+5&q=DROP+DATABASE+d",
            Kind::Refused(Refusal::MixedKillQuery),
        ),
        (
            "q=SHOW+USERS&q=KILL+QUERY+5",
            Kind::Refused(Refusal::MixedKillQuery),
        ),
        (
            "q=SHOW+USERS&q=DROP+SHARD+5",
            Kind::Refused(Refusal::DropShard),
        ),
        ("db=_internal&q=SELECT+v+FROM+m", Kind::NodeLocalRead),
        ("db=_internal&q=SELECT+v+FROM+d..m", Kind::Read),
        ("db=_internal&q=DROP+MEASUREMENT+m", Kind::Change),
        (
            "q=SELECT+v+IN%00TO+x+FROM+m",
            Kind::Refused(Refusal::NulByte),
        ),
    ] {
        assert_eq!(
            sent(Method::GET, query_string).kind(),
            kind,
            "{query_string}"
        );
        assert_eq!(
            sent(Method::POST, query_string).kind(),
            kind,
            "{query_string}"
        );
    }
    assert_eq!(
        sent(Method::OPTIONS, "q=DROP+DATABASE+d").kind(),
        Kind::Empty
    );
    assert_eq!(sent(Method::HEAD, "q=DROP+DATABASE+d").kind(), Kind::Empty);
}

#[test]
fn forms_are_read_under_any_spelling() {
    for content_type in [
        FORM,
        "Application/X-WWW-Form-URLEncoded",
        "application/x-www-form-urlencoded; charset=utf-8;;",
        " a; application/x-www-form-urlencoded",
    ] {
        let body = format!("q={DROP}");
        assert_eq!(
            sent(Method::POST, "q=SHOW+USERS")
                .body(content_type, &body)
                .kind(),
            Kind::Change,
            "{content_type}"
        );
        assert_eq!(
            sent(Method::GET, "").body(content_type, &body).kind(),
            Kind::Change,
            "{content_type}"
        );
    }
    assert_eq!(
        sent(Method::POST, "q=DROP+DATABASE+d")
            .body(FORM, "q=SHOW+USERS")
            .kind(),
        Kind::Change
    );
    assert_eq!(
        sent(Method::POST, "")
            .body(FORM, "a=b;q=DROP+DATABASE+d")
            .kind(),
        Kind::Change
    );
    assert_eq!(
        sent(Method::POST, "")
            .body("application/json", "q=DROP+DATABASE+d")
            .kind(),
        Kind::Empty
    );
    assert_eq!(
        sent(Method::POST, "q=SHOW+USERS")
            .body("text/plain", "q=DROP+DATABASE+d")
            .kind(),
        Kind::Read
    );
}

#[test]
fn multipart_forms_and_files_are_read() {
    for method in [Method::GET, Method::POST] {
        let multipart = |body: String| {
            sent(method.clone(), "q=SHOW+USERS").body("multipart/form-data; boundary=b", &body)
        };
        assert_eq!(
            multipart(part("q", "DROP DATABASE d") + "--b--\r\n").kind(),
            Kind::Change
        );
        assert_eq!(
            multipart(file("q", "DROP DATABASE d") + "--b--\r\n").kind(),
            Kind::Change
        );
        assert_eq!(
            multipart(part("db", "x") + &file("q", "DROP DATABASE d") + "--b--").kind(),
            Kind::Change
        );
        assert_eq!(
            multipart(part("db", "x") + &file("q", "SHOW USERS;") + "--b--\r\n").kind(),
            Kind::Read
        );
        assert_eq!(multipart(file("q", "") + "--b--\r\n").kind(), Kind::Read);
        // Whatever is unusual is a change, and not to be journaled.
        for odd in [
            String::new(),
            part("q", "SHOW USERS"),
            "preamble\r\n".to_owned() + &part("q", "SHOW USERS") + "--b--\r\n",
            part("q", "SHOW USERS").replace("form-data; ", "form-data; name*=utf-8''q; ") + "--b--",
            part("q", "SHOW USERS").replace(
                "\r\n\r\n",
                "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
            ) + "--b--",
            part("q", "SHOW USERS").replace("; name", ";\r\n name") + "--b--",
            part("\\q", "SHOW USERS") + "--b--",
            part("q", "SHOW USERS") + "--b--\r\n" + &part("q", "DROP DATABASE d") + "--b--",
            part("q", "SHOW USERS").replace("\r\n", "\n") + "--b--",
            part("q", "x\n--bound SHOW USERS") + "--b--",
        ] {
            assert_eq!(multipart(odd.clone()).kind(), Kind::Change, "{odd:?}");
            assert_eq!(
                multipart(odd.clone()).canonical(),
                Err(NotCanonical::Form),
                "{odd:?}"
            );
        }
    }
    let body = part("q", "SHOW USERS") + "--b--";
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; boundary*=b",
        "multipart/form-data; boundary=b; boundary=c",
        "MULTIPART/x; boundary=\"a b\"",
    ] {
        assert_eq!(
            sent(Method::POST, "").body(content_type, &body).kind(),
            Kind::Change,
            "{content_type}"
        );
    }
    assert_eq!(
        sent(Method::POST, "")
            .body("Multipart/Form-Data; BOUNDARY=\"b\"", &body)
            .kind(),
        Kind::Read
    );
    let twice = sent(Method::POST, "")
        .body("multipart/form-data; boundary=b", &body)
        .body(FORM, &body);
    assert_eq!(twice.kind(), Kind::Change);
}

#[test]
fn other_endpoints_are_known_by_their_exact_path() {
    assert_eq!(Endpoint::of(b"/query"), Some(Endpoint::Query));
    for path in [
        "/query/",
        "//query",
        "/Query",
        "/%71uery",
        "/",
        "",
        "/write",
        "/api/v2/bucketsx",
        "/api/v2/query/",
    ] {
        assert_eq!(Endpoint::of(path.as_bytes()), None, "{path}");
    }
    for (method, path, kind) in [
        (Method::POST, "/api/v2/delete", Kind::Change),
        (Method::OPTIONS, "/api/v2/delete", Kind::Read),
        (Method::GET, "/api/v2/buckets", Kind::Read),
        (Method::POST, "/api/v2/buckets", Kind::Change),
        (Method::GET, "/api/v2/buckets/db%2Frp", Kind::Read),
        (Method::PATCH, "/api/v2/buckets/db%2Frp", Kind::Change),
        (Method::DELETE, "/api/v2/buckets/db%2Frp", Kind::Change),
        (Method::GET, "/api/v2/query", Kind::Read),
    ] {
        assert_eq!(sent(method, "").path(path).kind(), kind, "{path}");
    }
}

#[test]
fn flux_reads_only_if_nothing_in_it_may_write() {
    const FLUX: &str = "application/vnd.flux";
    const JSON: &str = "application/json; charset=utf-8";
    const REFUSED: Kind = Kind::Refused(Refusal::Flux);
    for (kind, content_type, body) in [
        (
            Kind::Read,
            FLUX,
            r#"from(bucket:"d/r") |> range(start:-1h) |> toFloat() |> filter(fn: (r) => r.total == "x")"#,
        ),
        (
            Kind::Read,
            FLUX,
            "import \"strings\"\nimport s \"influxdata/influxdb/schema\"\nfrom(bucket:\"d\")",
        ),
        (
            Kind::Change,
            FLUX,
            r#"from(bucket:"d/r") |> to(bucket:"e/r")"#,
        ),
        (Kind::Change, FLUX, "x = to\nfrom(bucket:\"d\") |> x()"),
        (
            Kind::Change,
            FLUX,
            "import \"influxdata/influxdb\"\ninfluxdb.wideTo(bucket:\"d\")",
        ),
        (
            Kind::Change,
            FLUX,
            "import\n\"influxdata/influxdb/monitor\"\nmonitor.check()",
        ),
        (REFUSED, FLUX, "import // c\n\"strings\""),
        (Kind::Change, FLUX, r#"influxdb["\x74o"]"#),
        (REFUSED, FLUX, "import strings"),
        (REFUSED, FLUX, "import \"http\"\nhttp.post(url:\"x\")"),
        (REFUSED, FLUX, r#"import "\x68ttp""#),
        (REFUSED, FLUX, "import \"a/package/of/no/list\""),
        (
            REFUSED,
            FLUX,
            "import \"strings\"\nimport r \"http/requests\"",
        ),
        (Kind::Read, FLUX, "import \"system\"\nx = system.time()"),
        (
            REFUSED,
            FLUX,
            "import \"system\"\nfrom(bucket:\"d\") |> to(bucket:\"e\")",
        ),
        (
            REFUSED,
            FLUX,
            "import \"system\"\nimport \"influxdata/influxdb/monitor\"\nmonitor.check()",
        ),
        (
            Kind::Read,
            JSON,
            r#"{"query":"import \"math\"\nfrom(bucket:\"d\") |\u003e range(start:-1h)","type":"flux"}"#,
        ),
        (
            Kind::Change,
            JSON,
            r#"{"query":"from(bucket:\"d\")|\u003eto(bucket:\"e\")"}"#,
        ),
        (
            Kind::Change,
            JSON,
            r#"{"query":"from(bucket:\"d\") |> \u0074\u006f(bucket:\"e\")"}"#,
        ),
        (Kind::Change, JSON, r#"{"query":"x()\nto(bucket:\"e\")"}"#),
        (
            Kind::Change,
            JSON,
            r#"{"query":"imp\u006frt \"influxdata/influxdb/monitor\""}"#,
        ),
        (
            Kind::Change,
            JSON,
            r#"{"query":"x","extern":{"body":[{"type":"CallExpression","callee":{"name":"to"}}]}}"#,
        ),
        (
            REFUSED,
            JSON,
            r#"{"query":"imp\u006frt \"http\"\nhttp.post(url:\"x\")"}"#,
        ),
        (
            REFUSED,
            JSON,
            r#"{"query":"x","extern":{"imports":[{"type":"ImportDeclaration"}]}}"#,
        ),
        (Kind::Change, JSON, r#"{"query":"x[\"\\x74o\"]()"}"#),
        (Kind::Read, "text/plain", r#"from(bucket:"d/r")"#),
        (Kind::Change, "text/plain", r#"{"query":"\u0074o"}"#),
    ] {
        let sent = sent(Method::POST, "")
            .path("/api/v2/query")
            .body(content_type, body);
        assert_eq!(sent.kind(), kind, "{body}");
        assert_eq!(sent.class().databases, Databases::Unknown);
    }
    let mut packed = sent(Method::POST, "")
        .path("/api/v2/query")
        .body(FLUX, "from(bucket:\"d\")");
    packed
        .headers
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert_eq!(packed.kind(), Kind::Change);
}

#[test]
fn the_default_database_is_any_that_may_count() {
    let class = sent(Method::POST, "db=a&q=SHOW+SERIES")
        .body(FORM, "db=b")
        .class();
    let names = ["a", "b"].map(str::to_owned).into();
    assert_eq!(
        class.databases,
        Databases::Named {
            names,
            default: true
        }
    );
    assert!(class.databases.may_name("a") && !class.databases.may_name("c"));
    let class = sent(Method::GET, "db=a&q=SELECT+v+FROM+b..m").class();
    assert_eq!(
        class.databases,
        Databases::Named {
            names: ["b".to_owned()].into(),
            default: false
        }
    );
    assert_eq!(
        sent(Method::GET, "db=%ff&q=SHOW+SERIES").class().databases,
        Databases::Unknown
    );
}

#[test]
fn what_shapes_the_answer_is_seen() {
    let sent = sent(Method::POST, "pretty=true&epoch=&async=false")
        .body(FORM, "epoch=ms&chunked=true&async=true&rp=r");
    let request = sent.request();
    let candidates = candidates(&request, &Limits::default()).unwrap();
    assert!(candidates.pretty() && candidates.chunked() && candidates.asynchronous());
    assert_eq!(candidates.epoch(), Some(&b"ms"[..]));
    assert_eq!(candidates.retention_policies().collect::<Vec<_>>(), [b"r"]);
    let sent = super::places::sent(Method::POST, "chunked=1&async=TRUE").body(FORM, "pretty=true");
    let request = sent.request();
    let candidates = super::super::candidates(&request, &Limits::default()).unwrap();
    assert!(!candidates.pretty() && !candidates.chunked() && !candidates.asynchronous());
}

#[test]
fn a_changing_request_has_one_canonical_form() {
    let mut given = sent(Method::POST, "u=me&p=se%20cret&pretty=true&db=d%26b&async=true")
        .body(FORM, "q=CREATE+USER+%22%C3%A9%22+WITH+PASSWORD+'secret'&rp=r&params=%7B%7D&chunk_size=7&epoch=s&node_id=3&u=other");
    given
        .headers
        .insert(AUTHORIZATION, HeaderValue::from_static("Basic secret"));
    let canonical = given.canonical().unwrap();
    assert_eq!(
        canonical.query,
        "CREATE USER \"é\" WITH PASSWORD 'secret'".as_bytes()
    );
    assert_eq!(
        canonical.form(),
        "q=CREATE%20USER%20%22%C3%A9%22%20WITH%20PASSWORD%20%27secret%27&db=d%26b&rp=r&params=%7B%7D"
    );
    assert_eq!(
        canonical.answer.query_string(),
        "epoch=s&chunk_size=7&pretty=true"
    );
    assert!(canonical.answer.asynchronous && !canonical.answer.get);
    assert_eq!(
        canonical.credentials.user,
        Some(("me".to_owned(), "se cret".to_owned()))
    );
    assert_eq!(
        canonical.credentials.authorization.as_deref(),
        Some(&b"Basic secret"[..])
    );
    assert!(!format!("{canonical:?}").contains("cret"), "{canonical:?}");

    // Sent again, it is the same request.
    let again = sent(Method::POST, "")
        .body(FORM, &canonical.form())
        .canonical()
        .unwrap();
    assert_eq!(
        (&again.query, &again.database, &again.parameters),
        (&canonical.query, &canonical.database, &canonical.parameters)
    );
    assert_eq!(
        sent(Method::GET, "q=DROP+DATABASE+d&u=me&p=")
            .canonical()
            .unwrap()
            .credentials
            .user,
        None
    );
    assert!(
        sent(Method::GET, "q=DROP+DATABASE+d")
            .canonical()
            .unwrap()
            .answer
            .get
    );
    let uploaded = sent(Method::POST, "db=d").body(
        "multipart/form-data; boundary=b",
        &(file("q", "DROP DATABASE d\n") + "--b--"),
    );
    assert_eq!(uploaded.canonical().unwrap().query, b"DROP DATABASE d");
}

#[test]
fn what_influxdb_does_not_look_at_is_not_journaled() {
    let statement = "q=DROP+MEASUREMENT+m";
    let refused = sent(Method::GET, "db=d").body(FORM, statement).canonical();
    assert_eq!(refused, Err(NotCanonical::MissingQuery));
    let form = "db=e&rp=r&q=DROP+DATABASE+d&epoch=s&async=true";
    let taken = sent(Method::GET, statement).body(FORM, form).canonical();
    let alone = sent(Method::GET, statement).canonical();
    assert_eq!(taken, alone);
    assert_eq!(alone.map(|canonical| canonical.database), Ok(None));
}

#[test]
fn what_leaves_a_choice_is_not_journaled() {
    for (query_string, form, error) in [
        ("", "", NotCanonical::MissingQuery),
        ("q=+", "", NotCanonical::MissingQuery),
        (
            "q=DROP+DATABASE+d",
            "q=DROP+DATABASE+e",
            NotCanonical::Conflict("q"),
        ),
        ("q=&q=DROP+DATABASE+d", "", NotCanonical::Conflict("q")),
        (
            "q=DROP+MEASUREMENT+m&db=d",
            "db=e",
            NotCanonical::Conflict("db"),
        ),
        (
            "q=DROP+MEASUREMENT+m&rp=d",
            "rp=",
            NotCanonical::Conflict("rp"),
        ),
        (
            "q=DROP+MEASUREMENT+m&params=1&params=2",
            "",
            NotCanonical::Conflict("params"),
        ),
        ("q=DROP+DATABASE+d;x=y", "", NotCanonical::Semicolon),
        ("q=DROP+DATABASE+d", "x;y", NotCanonical::Semicolon),
        ("q=DROP+DATABASE+d&u=%ff&p=x", "", NotCanonical::Credentials),
    ] {
        assert_eq!(
            sent(Method::POST, query_string)
                .body(FORM, form)
                .canonical(),
            Err(error),
            "{query_string} {form}"
        );
    }
    assert!(
        sent(Method::POST, "q=DROP+DATABASE+d&db=d")
            .body(FORM, "q=DROP+DATABASE+d&db=d")
            .canonical()
            .is_ok()
    );
    let large = format!("q={}", "%27".repeat(4 << 20));
    assert_eq!(
        sent(Method::POST, "").body(FORM, &large).canonical(),
        Err(NotCanonical::TooLarge)
    );
}
