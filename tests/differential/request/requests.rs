//! Generates requests, as bytes: what InfluxDB's clients send, with up to three oddities each.
//!
//! A request bears a number, and all that it changes has that number in its name ([`Request::names`]). So many can be sent at
//! once, and each effect is told apart.

use std::io::Write as _;

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A request.
pub struct Request {
    pub number: usize,
    pub bytes: Vec<u8>,
    /// Nothing in it is odd: what InfluxDB does with it, haflux does.
    pub plain: bool,
    /// Its topic and its oddities.
    pub told: String,
    /// How many these are.
    pub oddities: usize,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    CreateDatabase,
    DropDatabase,
    DropMeasurement,
    Delete,
    Into,
    Several,
    Read,
    Write,
    PartlyBadWrite,
    WriteToPolicy,
}

const TOPICS: [Topic; 10] = [
    Topic::CreateDatabase,
    Topic::DropDatabase,
    Topic::DropMeasurement,
    Topic::Delete,
    Topic::Into,
    Topic::Several,
    Topic::Read,
    Topic::Write,
    Topic::PartlyBadWrite,
    Topic::WriteToPolicy,
];

/// The measurement that is there before, the database that is, and the names of what is made.
pub struct Names {
    pub measurement: String,
    pub database: String,
}

impl Request {
    /// What bears a request's number. Other names of it begin with the measurement's.
    pub fn names(number: usize) -> Names {
        Names {
            measurement: format!("x{number}x"),
            database: format!("x{number}xd"),
        }
    }

    /// What a request has made that stands behind the one with this number, by the other's reading.
    pub fn behind(number: usize) -> String {
        format!("database x{number}xbehind")
    }

    /// The number in a name.
    pub fn number_of(name: &str) -> Option<usize> {
        let (number, _) = name.strip_prefix('x')?.split_once('x')?;
        number.parse().ok()
    }

    /// Request `number`, on `base`, a database that holds its measurement. `seed` says what it is like; `only` leaves one of its
    /// oddities, by its place.
    pub fn generate(number: usize, base: &str, seed: u64, only: Option<usize>) -> Request {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let topic = *rng.choice(&TOPICS).expect("there are some");
        let mut draft = Draft::new(number, base, topic, rng);
        let oddities = [0, 1, 1, 1, 1, 2, 2, 3];
        let oddities = *rng.choice(&oddities).expect("there are some");
        for place in 0..oddities {
            // With choices of its own, so that it is the same where another one is left out.
            let mut own = rng.fork();
            if only.is_none_or(|only| only == place) {
                draft.make_odd(&mut own);
            }
        }
        let told = format!("{topic:?}: {}", draft.oddities.join("; "));
        Request {
            number,
            plain: draft.plain,
            bytes: draft.bytes(rng),
            told,
            oddities,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length,
    Chunked,
}

/// A request in parts.
struct Draft {
    measurement: String,
    is_write: bool,
    method: String,
    /// Everything between method and version but the query.
    before: Vec<u8>,
    path: Vec<u8>,
    /// Pairs that are escaped already.
    query: Vec<Vec<u8>>,
    after: Vec<u8>,
    version: String,
    /// Whole lines.
    headers: Vec<Vec<u8>>,
    host: Vec<Vec<u8>>,
    framing: Framing,
    body: Vec<u8>,
    /// Bytes behind the body.
    tail: Vec<u8>,
    line_end: &'static [u8],
    /// The statements, if it has any.
    statement: String,
    plain: bool,
    oddities: Vec<String>,
}

impl Draft {
    fn new(number: usize, base: &str, topic: Topic, rng: &mut Rng) -> Draft {
        let Names {
            measurement: m,
            database: d,
        } = Request::names(number);
        let statement = match topic {
            Topic::CreateDatabase => format!("CREATE DATABASE {m}new"),
            Topic::DropDatabase => format!("DROP DATABASE {d}"),
            Topic::DropMeasurement => format!("DROP MEASUREMENT \"{m}\""),
            Topic::Delete => format!("DELETE FROM {m} WHERE time < 5"),
            Topic::Into => format!("SELECT v INTO {m}into FROM {m} WHERE v < 100 AND v > -1"),
            Topic::Several => {
                format!("SELECT * FROM {m}; CREATE DATABASE \"{m}new\"; DELETE FROM {m}")
            }
            Topic::Read => format!("SELECT * FROM \"{m}\" WHERE v<3 AND t='é'"),
            _ => String::new(),
        };
        let lines = match topic {
            Topic::PartlyBadWrite => format!("{m}w v=1 1\n{m}bad\n{m}w v=2 2"),
            _ => format!("{m}w,t=a v=1 1\n{m}w,t=a v=2,s=\"two\nlines\" 2\n"),
        };
        let is_write = statement.is_empty();
        let mut draft = Draft {
            measurement: m,
            is_write,
            method: "POST".to_owned(),
            before: Vec::new(),
            path: if is_write {
                b"/write".to_vec()
            } else {
                b"/query".to_vec()
            },
            query: vec![format!("db={base}").into_bytes()],
            after: Vec::new(),
            version: "HTTP/1.1".to_owned(),
            headers: Vec::new(),
            host: vec![b"Host: haflux".to_vec()],
            framing: Framing::Length,
            body: Vec::new(),
            tail: Vec::new(),
            line_end: b"\r\n",
            statement,
            plain: true,
            oddities: Vec::new(),
        };
        if topic == Topic::WriteToPolicy {
            draft.query.push(b"rp=autogen".to_vec());
        }
        if is_write {
            draft.body = lines.into_bytes();
            return draft;
        }
        let pair = [b"q=".to_vec(), escaped(draft.statement.as_bytes())].concat();
        match rng.u8(..5) {
            0 | 1 => draft.query.push(pair),
            2 => {
                draft.query.push(pair);
                if topic == Topic::Read {
                    draft.method = "GET".to_owned();
                    draft.framing = Framing::None;
                }
            }
            3 => {
                draft.body = pair;
                draft.header("Content-Type: application/x-www-form-urlencoded");
            }
            _ => {
                draft.body = multipart(&[("q", draft.statement.as_bytes())]);
                draft.header("Content-Type: multipart/form-data; boundary=xyz");
            }
        }
        draft
    }

    fn header(&mut self, line: impl AsRef<[u8]>) {
        self.headers.push(line.as_ref().to_vec());
    }

    fn odd(&mut self, what: impl Into<String>) {
        self.oddities.push(what.into());
        self.plain = false;
    }

    /// Something that is unusual, and can be read in one way only.
    fn unusual(&mut self, what: impl Into<String>) {
        self.oddities.push(what.into());
    }

    fn make_odd(&mut self, rng: &mut Rng) {
        match rng.u8(..12) {
            0 | 1 => self.odd_target(rng),
            2 | 3 => self.odd_query(rng),
            4 => self.odd_pairs(rng),
            5 => self.odd_line(rng),
            6 => self.odd_host(rng),
            7 => self.odd_content_type(rng),
            8 | 9 => self.odd_framing(rng),
            10 => self.odd_encoding(rng),
            _ => self.odd_header(rng),
        }
    }

    /// The form of the target.
    fn odd_target(&mut self, rng: &mut Rng) {
        let before = [
            "http://haflux",
            "HTTP://haflux",
            "https://haflux",
            "http://u:p@haflux",
            "http://haflux:80",
            "foo:",
            "foo://haflux",
            "ftp://haflux",
            "http:",
            "http:/",
            "http://",
            "/",
            "//",
            "/.",
            "/x/..",
            "",
            "*",
            "haflux:80",
            "\\",
            "%2f",
            "file://",
            "mailto:",
            "1http://haflux",
            "http://[::1]",
            "http://haf lux",
            "http://hafl\u{fc}x",
        ];
        let path = [
            "query",
            "/query/",
            "/QUERY",
            "/%71uery",
            "/query;x",
            "/query%3f",
            "/query%20",
            "/./query",
            "/write",
            "/wr%69te",
            "/write/",
            "/api/v2/write",
            "/query\u{e9}",
            "*",
            "",
        ];
        let after = ["#", "#2", "#?", "?", "??", "&", "%23", " ", "\t", "#%"];
        match rng.u8(..4) {
            0 | 1 => {
                let form = *rng.choice(&before).expect("there are some");
                self.before = form.as_bytes().to_vec();
                self.odd(format!("target begins with {form:?}"));
            }
            2 => {
                let form = *rng.choice(&path).expect("there are some");
                self.path = form.as_bytes().to_vec();
                self.odd(format!("path {form:?}"));
            }
            _ => {
                let form = *rng.choice(&after).expect("there are some");
                if rng.bool() {
                    self.after = form.as_bytes().to_vec();
                    self.odd(format!("target ends with {form:?}"));
                } else {
                    self.path.extend_from_slice(form.as_bytes());
                    self.odd(format!("path ends with {form:?}"));
                }
            }
        }
    }

    /// How the statement is written in the query.
    fn odd_query(&mut self, rng: &mut Rng) {
        let statement = self.statement.clone().into_bytes();
        let Some(place) = self.query.iter().position(|pair| pair.starts_with(b"q=")) else {
            return self.odd_pairs(rng);
        };
        let kind = rng.u8(..12);
        let mut value = Vec::new();
        for byte in &statement {
            let hex = format!("%{byte:02X}").into_bytes();
            match (kind, byte) {
                // As many clients send it.
                (0 | 1, b'"' | b'<' | b'>') => value.push(*byte),
                (2, 0x80..) => value.push(*byte),
                (3, _) => value.extend(hex),
                (4, _) if rng.bool() => value.extend(hex.to_ascii_lowercase()),
                (5, b' ') => {
                    value.extend(*rng.choice(&[b"%20", b"%0a", b"%0d", b"%09"]).expect("some"))
                }
                (6, b';' | b'=' | b'\'' | b'*' | b'<') => value.push(*byte),
                (7, b' ') => value.extend_from_slice(b"%00"),
                (8, b' ') => value.push(*rng.choice(b" \t+").expect("some")),
                _ => value.extend(escaped(&[*byte])),
            }
        }
        match kind {
            0 | 1 => self.unusual("raw quotes and angles"),
            2 => self.unusual("raw UTF-8"),
            3 => self.unusual("all escaped"),
            4 => self.unusual("some escaped, in small letters"),
            5 => self.odd("other blanks, escaped"),
            6 => self.odd("raw signs"),
            7 => self.odd("NUL for blanks"),
            8 => self.odd("raw blanks"),
            9 => {
                let broken = *rng
                    .choice(&["%zz", "%", "%2", "%u0041", "%-1"])
                    .expect("some");
                let at = rng.usize(..=value.len());
                value.splice(at..at, broken.bytes());
                self.odd(format!("{broken} in the statement"));
            }
            10 => {
                let sign = *rng.choice(b"{}|\\^`[]#\x7f\x80\xff\x01").expect("some");
                let at = rng.usize(..=value.len());
                value.insert(at, sign);
                self.odd(format!("raw byte {sign:#x} in the statement"));
            }
            _ => {
                value.extend_from_slice(&escaped(b" -- and so on"));
                self.unusual("a comment");
            }
        }
        self.query[place] = [b"q=".to_vec(), value].concat();
    }

    /// Parameters more than once, under nearly the same name, or as nothing.
    fn odd_pairs(&mut self, rng: &mut Rng) {
        let m = &self.measurement;
        let read = b"q=SHOW+DATABASES".to_vec();
        let change = format!("q=CREATE+DATABASE+{m}odd").into_bytes();
        let pairs = [
            read,
            change.clone(),
            [b"%71=", &change[2..]].concat(),
            [b"Q=", &change[2..]].concat(),
            [b"q%00=", &change[2..]].concat(),
            [b"a;", &change[..]].concat(),
            [b"a=b;", &change[..]].concat(),
            b"q=".to_vec(),
            b"q".to_vec(),
            b"=".to_vec(),
            b"".to_vec(),
            b"db=".to_vec(),
            b"db=none".to_vec(),
            b"DB=none".to_vec(),
            b"d%62=none".to_vec(),
            b"rp=none".to_vec(),
            b"precision=s".to_vec(),
            b"precision=xx".to_vec(),
            b"consistency=all".to_vec(),
            b"consistency=xx".to_vec(),
            b"async=true".to_vec(),
            b"chunked=true&chunk_size=1".to_vec(),
            b"epoch=s".to_vec(),
            b"pretty=true".to_vec(),
            b"params={\"a\":1}".to_vec(),
            b"params=%7B%7D".to_vec(),
            b"node_id=1".to_vec(),
            b"u=&p=".to_vec(),
            b"u=a&p=b".to_vec(),
        ];
        let pair = rng.choice(&pairs).expect("there are some").clone();
        let shown = pair.escape_ascii().to_string();
        match rng.u8(..4) {
            0 => self.query.insert(0, pair),
            1 if !self.is_write => {
                // What is said twice is said in two places.
                self.body = pair;
                self.headers
                    .retain(|line| !line.starts_with(b"Content-Type"));
                self.header("Content-Type: application/x-www-form-urlencoded");
                self.framing = Framing::Length;
            }
            _ => self.query.push(pair),
        }
        self.odd(format!("pair {shown}"));
    }

    /// Method, version, ends of lines.
    fn odd_line(&mut self, rng: &mut Rng) {
        match rng.u8(..3) {
            0 => {
                let methods = [
                    "GET",
                    "HEAD",
                    "PUT",
                    "DELETE",
                    "PATCH",
                    "OPTIONS",
                    "TRACE",
                    "CONNECT",
                    "post",
                    "POST\t",
                    "POS",
                    "PO\u{53}T",
                    "POST ",
                    " POST",
                    "G\u{cb}T",
                ];
                self.method = (*rng.choice(&methods).expect("there are some")).to_owned();
                self.odd(format!("method {:?}", self.method));
            }
            1 => {
                let versions = [
                    "HTTP/1.0",
                    "HTTP/0.9",
                    "HTTP/1.2",
                    "HTTP/2.0",
                    "HTTP/1.1 ",
                    "http/1.1",
                    "",
                    "HTTP/1.10",
                    "HTTP/01.1",
                    "HTTP/1",
                    "HTTP/1.1\t",
                ];
                self.version = (*rng.choice(&versions).expect("there are some")).to_owned();
                self.odd(format!("version {:?}", self.version));
            }
            _ => {
                self.line_end = *rng
                    .choice(&[&b"\n"[..], b"\r", b"\r\r\n", b" \r\n", b"\n\r\n"])
                    .expect("some");
                self.odd(format!("lines end with {}", self.line_end.escape_ascii()));
            }
        }
    }

    fn odd_host(&mut self, rng: &mut Rng) {
        let hosts = [
            "Host:",
            "Host: ",
            "Host: a b",
            "Host : haflux",
            "Host: h\u{e4}flux",
            "Host: u@haflux",
            "Host: haflux:80",
            "Host: haflux:port",
            "Host: haflux, other",
            "Host: /",
            "hOST: haflux",
            "Host: haflux#",
            "Host: haflux\0",
        ];
        match rng.u8(..4) {
            0 => self.host.clear(),
            1 => self.host.push(b"Host: other".to_vec()),
            _ => {
                let host = *rng.choice(&hosts).expect("there are some");
                self.host = vec![host.as_bytes().to_vec()];
            }
        }
        let shown: Vec<String> = self
            .host
            .iter()
            .map(|line| line.escape_ascii().to_string())
            .collect();
        self.odd(format!("hosts {shown:?}"));
    }

    fn odd_content_type(&mut self, rng: &mut Rng) {
        let types: [&[u8]; 22] = [
            b"application/x-www-form-urlencoded",
            b"APPLICATION/X-WWW-FORM-URLENCODED",
            b"application/x-www-form-urlencoded; charset=utf-8",
            b"application/x-www-form-urlencoded; charset",
            b"application/x-www-form-urlencoded; charset=\"",
            b"application/x-www-form-urlencoded;;",
            b"application/x-www-form-urlencoded; a=b; a=c",
            b"application/x-www-form-urlencoded, text/plain",
            b"text/plain, application/x-www-form-urlencoded",
            b" \tapplication/x-www-form-urlencoded \t",
            b"application / x-www-form-urlencoded",
            b"application/x-www-form-urlencoded\xe4",
            b"application/x-www-form-urlencoded; a=\xff",
            b"application/json",
            b"text/plain",
            b"",
            b"multipart/form-data",
            b"multipart/form-data; boundary=xyz",
            b"multipart/form-data; boundary=\"xyz\"",
            b"multipart/form-data; boundary=xyz; boundary=zyx",
            b"Multipart/Form-Data; BOUNDARY=xyz",
            b"multipart/mixed; boundary=xyz",
        ];
        let kind = *rng.choice(&types).expect("there are some");
        let line = [b"Content-Type: ", kind].concat();
        if rng.u8(..3) > 0 {
            self.headers
                .retain(|line| !line.starts_with(b"Content-Type"));
        }
        let place = rng.usize(..=self.headers.len());
        self.headers.insert(place, line);
        if !self.is_write && self.body.is_empty() {
            // So that there is something to be read in one way or the other.
            let form = format!("q=CREATE+DATABASE+{}odd", self.measurement);
            self.body = if kind.to_ascii_lowercase().starts_with(b"multipart") {
                multipart(&[("q", form[2..].replace('+', " ").as_bytes())])
            } else {
                form.into_bytes()
            };
            self.framing = Framing::Length;
        }
        self.odd(format!("type {}", kind.escape_ascii()));
    }

    /// What says where the body ends.
    fn odd_framing(&mut self, rng: &mut Rng) {
        let length = self.body.len();
        match rng.u8(..5) {
            0 => {
                self.framing = Framing::Chunked;
                return self.unusual("chunked");
            }
            1 => {
                let lines = [
                    format!("Content-Length: {length}"),
                    format!("Content-Length: {}", length + 5),
                    format!("Content-Length: {}", length.saturating_sub(5)),
                    format!("Content-Length: +{length}"),
                    format!("Content-Length: 0{length}"),
                    format!("Content-Length: {length}, {length}"),
                    format!("Content-Length: 0x{length:x}"),
                    format!("Content-Length : {length}"),
                    format!("Content-Length: {length}\t"),
                    "Content-Length: -1".to_owned(),
                    "Content-Length: 0".to_owned(),
                    "Content-Length:".to_owned(),
                    "Content-Length: 99999999999999999999".to_owned(),
                ];
                let line = rng.choice(&lines).expect("there are some").clone();
                self.odd(format!("with {line:?}"));
                if rng.bool() {
                    self.framing = if rng.bool() {
                        Framing::None
                    } else {
                        Framing::Chunked
                    };
                }
                self.header(line);
            }
            2 | 3 => {
                let lines: [&[u8]; 15] = [
                    b"Transfer-Encoding: gzip, chunked",
                    b"Transfer-Encoding: chunked, gzip",
                    b"Transfer-Encoding: chunked, chunked",
                    b"Transfer-Encoding: identity",
                    b"Transfer-Encoding: chunked, identity",
                    b"Transfer-Encoding: xchunked",
                    b"Transfer-Encoding: CHUNKED",
                    b"Transfer-Encoding : chunked",
                    b"Transfer-Encoding: \x0bchunked",
                    b"Transfer-Encoding: \"chunked\"",
                    b"Transfer-Encoding: chunked;a=b",
                    b"Transfer-Encoding:",
                    b"Transfer-Encoding: deflate",
                    b"Transfer-Encoding\t: chunked",
                    b"X: y\r\n Transfer-Encoding: chunked",
                ];
                let line = *rng.choice(&lines).expect("there are some");
                if rng.u8(..3) == 0 {
                    self.framing = Framing::Chunked;
                }
                self.odd(format!("with {}", line.escape_ascii()));
                self.header(line);
            }
            _ => {
                let lines = [
                    "Expect: 100-continue",
                    "Expect: 200-ok",
                    "Expect:",
                    "Expect: 100-Continue",
                    "Expect: 100-continue, 200-ok",
                ];
                let line = *rng.choice(&lines).expect("there are some");
                self.odd(format!("with {line:?}"));
                self.header(line);
            }
        }
        if rng.u8(..4) == 0 {
            // Behind the body, by one reading, stands another request.
            let create = format!("q=CREATE+DATABASE+{}behind", self.measurement);
            self.tail = format!(
                "POST /query?{create} HTTP/1.1\r\nHost: haflux\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
            .into_bytes();
            self.odd("another request behind it");
        }
    }

    fn odd_encoding(&mut self, rng: &mut Rng) {
        let packed = packed(&self.body);
        let cut = packed.len() / 2;
        match rng.u8(..10) {
            0 | 1 if self.is_write => {
                self.body = packed;
                self.header("Content-Encoding: gzip");
                return self.unusual("gzip");
            }
            2 if self.is_write => {
                self.body = [packed, self::packed(b"\n")].concat();
                self.header("Content-Encoding: gzip");
            }
            3 => {
                self.body = packed[..cut].to_vec();
                self.header("Content-Encoding: gzip");
            }
            4 => {
                self.body = [packed, b"garbage".to_vec()].concat();
                self.header("Content-Encoding: gzip");
            }
            5 => {
                self.body = packed;
                self.header("Content-Encoding: gzip");
                self.header("Content-Encoding: gzip");
            }
            _ => {
                let codings = [
                    "gzip",
                    "GZIP",
                    "deflate",
                    "identity",
                    "gzip, gzip",
                    "gzip;q=1",
                    "x-gzip",
                    "",
                    " gzip ",
                    "gzip,",
                ];
                let coding = *rng.choice(&codings).expect("there are some");
                if rng.bool() {
                    self.body = packed;
                }
                self.header(format!("Content-Encoding: {coding}"));
                self.odd(format!("encoding {coding:?}"));
            }
        }
        self.odd("encoding");
    }

    fn odd_header(&mut self, rng: &mut Rng) {
        let lines: [&[u8]; 22] = [
            b"Connection: Content-Type",
            b"Connection: Content-Encoding",
            b"Connection: Content-Length",
            b"Connection: Transfer-Encoding",
            b"Connection: Host",
            b"Connection: close, Content-Type",
            b"Connection: upgrade\r\nUpgrade: websocket",
            b"Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x",
            b"X-HTTP-Method-Override: GET",
            b"no colon",
            b": no name",
            b" leading: blank",
            b"X y: z",
            b"X\0: y",
            b"X: \0",
            b"X: a\rb",
            b"X: \xff\xfe",
            b"X: a\r\n  folded",
            b"Accept: text/csv",
            b"Accept-Encoding: gzip",
            b"Range: bytes=0-1",
            b"Content-Type: text/plain\nX: y",
        ];
        let line = *rng.choice(&lines).expect("there are some");
        let place = rng.usize(..=self.headers.len());
        self.headers.insert(place, line.to_vec());
        self.odd(format!("header {}", line.escape_ascii()));
    }

    fn bytes(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.method.clone().into_bytes();
        bytes.push(b' ');
        bytes.extend_from_slice(&self.before);
        bytes.extend_from_slice(&self.path);
        if !self.query.is_empty() {
            bytes.push(b'?');
            bytes.extend_from_slice(&self.query.join(&b'&'));
        }
        bytes.extend_from_slice(&self.after);
        if !self.version.is_empty() {
            bytes.push(b' ');
            bytes.extend_from_slice(self.version.as_bytes());
        }
        bytes.extend_from_slice(self.line_end);
        let mut lines = [self.host.clone(), self.headers.clone()].concat();
        match self.framing {
            Framing::None => {}
            Framing::Length => {
                lines.push(format!("Content-Length: {}", self.body.len()).into_bytes())
            }
            Framing::Chunked => lines.push(b"Transfer-Encoding: chunked".to_vec()),
        }
        if self.tail.is_empty() {
            lines.push(b"Connection: close".to_vec());
        }
        for line in lines {
            bytes.extend(line);
            bytes.extend_from_slice(self.line_end);
        }
        bytes.extend_from_slice(self.line_end);
        if self.framing == Framing::Chunked {
            for chunk in self.body.chunks(rng.usize(1..64)) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(&self.body);
        }
        bytes.extend_from_slice(&self.tail);
        bytes
    }
}

/// As a careful client escapes a form's value.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in text {
        match byte {
            b' ' => escaped.push(b'+'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => escaped.push(*byte),
            _ => escaped.extend(format!("%{byte:02X}").bytes()),
        }
    }
    escaped
}

fn multipart(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend(
            format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes(),
        );
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--xyz--\r\n");
    body
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("a Vec takes it");
    encoder.finish().expect("a Vec takes it")
}
