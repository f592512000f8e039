//! One line for each request: HAProxy's `option httplog`, or the same as a JSON object.
//!
//! `CLIENT [DATE] FRONTEND BACKEND/SERVER HEADER/CHOSEN/CONNECTED/ANSWERED/TOTAL STATUS BYTES - - HOW
//! PROCESS/FRONT/BACK/SERVER/RETRIES 0/0 "REQUEST"`
//!
//! - DATE: when the request's header had been read, in local time;
//! - times in milliseconds, each counted from the moment before it: header read → server chosen → connected → header of the
//!   answer; the last is the whole, from the header read to the last byte. -1: it did not come to that. HEADER is 0, because the
//!   reading of headers is not timed, or -1 for a header that could not be read;
//! - FRONTEND: its name, and `~` behind it if the client speaks TLS; the object has version and cipher;
//! - HOW: see [`Termination`], and two dashes in place of cookies, which haflux does not use for balancing;
//! - connections of the process and of the frontend, requests under way on the backend and on the server, and how often the
//!   request was moved to another server (`+` before it, as HAProxy marks it);
//! - two dashes for captured cookies, two zeros for queues: haflux has neither.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::Version;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use pingora::protocols::tls::SslDigest;
use serde::Serialize;

use crate::logging::{AccessLine, rfc3339};
use crate::shown::Target;
use crate::stats::{Abort, Durations};

/// How a request ended, in two letters as HAProxy's: who ended it, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Termination {
    /// `--`: as it should.
    #[default]
    Normal,
    /// `CD`: the client left.
    ClientLeft,
    /// `cR`: the client did not send its header or its body in time.
    ClientSilent,
    /// `PR`: refused by us.
    Refused,
    /// `PT`: refused by us, after a wait.
    Tarpitted,
    /// `LR`: answered by us (the status page).
    Local,
    /// `LR`: sent elsewhere by us.
    Redirected,
    /// `SC`: no server, or none that could be reached.
    NoServer,
    /// `SH`: the server broke off before its answer.
    ServerBroke,
    /// `sH`: the server was silent before its answer.
    ServerSilent,
    /// `SD`: the server broke off inside its answer.
    AnswerBroke,
    /// `sD`: the server fell silent inside its answer.
    AnswerSilent,
    /// `PH`, `PD`: the query ran for `queries.max_time`, before its answer or inside it.
    QueryOverTime { has_begun: bool },
    /// `KH`, `KD`: a person ended the query, before its answer or inside it.
    QueryKilled { has_begun: bool },
}

impl Termination {
    /// Who gave the request up, as HAProxy counts it.
    pub(crate) fn abort(self) -> Option<Abort> {
        match self {
            Termination::ClientLeft | Termination::ClientSilent => Some(Abort::Client),
            Termination::AnswerBroke | Termination::AnswerSilent => Some(Abort::Server),
            Termination::Normal
            | Termination::Refused
            | Termination::Tarpitted
            | Termination::Local
            | Termination::Redirected
            | Termination::NoServer
            | Termination::ServerBroke
            | Termination::ServerSilent
            | Termination::QueryOverTime { .. }
            | Termination::QueryKilled { .. } => None,
        }
    }

    fn letters(self) -> &'static str {
        match self {
            Termination::Normal => "--",
            Termination::ClientLeft => "CD",
            Termination::ClientSilent => "cR",
            Termination::Refused => "PR",
            Termination::Tarpitted => "PT",
            Termination::Local | Termination::Redirected => "LR",
            Termination::NoServer => "SC",
            Termination::ServerBroke => "SH",
            Termination::ServerSilent => "sH",
            Termination::AnswerBroke => "SD",
            Termination::AnswerSilent => "sD",
            Termination::QueryOverTime { has_begun: false } => "PH",
            Termination::QueryOverTime { has_begun: true } => "PD",
            Termination::QueryKilled { has_begun: false } => "KH",
            Termination::QueryKilled { has_begun: true } => "KD",
        }
    }
}

/// When a request reached what, counted from its header.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) chosen: Option<Duration>,
    pub(crate) connected: Option<Duration>,
    pub(crate) answered: Option<Duration>,
    pub(crate) total: Duration,
}

impl Times {
    /// Milliseconds between the moments: chosen, connected, answered.
    fn steps(&self) -> [Option<u128>; 3] {
        let mut before = Duration::ZERO;
        [self.chosen, self.connected, self.answered].map(|moment| {
            let step = moment?.saturating_sub(before);
            before = moment?;
            Some(step.as_millis())
        })
    }

    /// The parts between these moments.
    pub(crate) fn durations(&self) -> Durations {
        let part = |from: Option<Duration>, to: Option<Duration>| Some(to?.saturating_sub(from?));
        Durations {
            queue: self.chosen,
            connect: part(self.chosen, self.connected),
            response: part(self.connected, self.answered),
            total: Some(self.total),
        }
    }
}

/// One line.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// When the request's header had been read.
    pub(crate) at: SystemTime,
    pub(crate) client: Option<SocketAddr>,
    /// What the client's TLS is, if the connection has any.
    pub(crate) tls: Option<&'a SslDigest>,
    pub(crate) frontend: &'a str,
    pub(crate) backend: Option<&'a str>,
    pub(crate) server: Option<&'a str>,
    pub(crate) times: Times,
    pub(crate) status: Option<u16>,
    /// Of the answer's body.
    pub(crate) bytes: usize,
    /// Of the request's body.
    pub(crate) received: usize,
    pub(crate) termination: Termination,
    /// Of the process, the frontend, the backend and the server.
    pub(crate) sessions: [u64; 4],
    pub(crate) retries: usize,
    pub(crate) method: &'a [u8],
    /// As the client sent it.
    pub(crate) target: &'a [u8],
    /// Nothing for a request whose header could not be read.
    pub(crate) version: Option<Version>,
}

impl Line<'_> {
    /// In place of a server's name.
    fn server(&self) -> &str {
        self.server.unwrap_or(match self.termination {
            Termination::Local => "<STATS>",
            _ => "<NOSRV>",
        })
    }

    /// Milliseconds between the moments. Nothing has to be waited for where haflux itself answers.
    fn steps(&self) -> [Option<u128>; 3] {
        match self.termination {
            Termination::Local => [Some(0); 3],
            _ => self.times.steps(),
        }
    }

    /// When the request came, in local time.
    fn date(&self) -> Zoned {
        let time = Timestamp::try_from(self.at).unwrap_or_default();
        time.to_zoned(TimeZone::system())
    }

    fn version(&self) -> &'static str {
        match self.version {
            Some(Version::HTTP_10) => "HTTP/1.0",
            Some(Version::HTTP_2) => "HTTP/2.0",
            Some(_) => "HTTP/1.1",
            None => "",
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client {
            Some(client) => write!(f, "{}:{}", client.ip().to_canonical(), client.port())?,
            None => f.write_str("-")?,
        }
        let date = self.date();
        let date = date.strftime("%d/%b/%Y:%H:%M:%S.%3f");
        write!(
            f,
            " [{date}] {}{} {}/{} ",
            self.frontend,
            if self.tls.is_some() { "~" } else { "" },
            self.backend.unwrap_or(self.frontend),
            self.server()
        )?;
        f.write_str(if self.version.is_some() { "0/" } else { "-1/" })?;
        for step in self.steps() {
            match step {
                Some(step) => write!(f, "{step}/")?,
                None => f.write_str("-1/")?,
            }
        }
        write!(f, "{} ", self.times.total.as_millis())?;
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str("-1")?,
        }
        let [process, front, back, server] = self.sessions;
        let moved = if self.retries > 0 { "+" } else { "" };
        write!(
            f,
            " {} - - {}-- {process}/{front}/{back}/{server}/{moved}{} 0/0 ",
            self.bytes,
            self.termination.letters(),
            self.retries,
        )?;
        if self.method == b"-" {
            return f.write_str("\"<BADREQ>\"");
        }
        let (method, target) = (self.method.escape_ascii(), Target(self.target));
        match self.version() {
            "" => write!(f, "\"{method} {target}\""),
            version => write!(f, "\"{method} {target} {version}\""),
        }
    }
}

/// A line as JSON; times in milliseconds, nothing where it did not come to that.
#[derive(Serialize)]
struct Object<'a> {
    time: &'a str,
    kind: &'static str,
    client: Option<String>,
    client_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cipher: Option<&'a str>,
    began: String,
    frontend: &'a str,
    backend: Option<&'a str>,
    server: Option<&'a str>,
    chosen_ms: Option<u128>,
    connected_ms: Option<u128>,
    answered_ms: Option<u128>,
    total_ms: u128,
    status: Option<u16>,
    received_bytes: usize,
    sent_bytes: usize,
    termination: &'static str,
    process_connections: u64,
    frontend_connections: u64,
    backend_requests: u64,
    server_requests: u64,
    moved: usize,
    method: String,
    target: String,
    version: Option<&'static str>,
}

impl AccessLine for Line<'_> {
    fn write_json(&self, time: &str, to: &mut Vec<u8>) {
        let [chosen_ms, connected_ms, answered_ms] = self.steps();
        let [
            process_connections,
            frontend_connections,
            backend_requests,
            server_requests,
        ] = self.sessions;
        let object = Object {
            time,
            kind: "access",
            client: self
                .client
                .map(|client| client.ip().to_canonical().to_string()),
            client_port: self.client.map(|client| client.port()),
            tls_version: self.tls.map(|tls| &*tls.version),
            tls_cipher: self.tls.map(|tls| &*tls.cipher),
            began: rfc3339(Timestamp::try_from(self.at).unwrap_or_default()),
            frontend: self.frontend,
            backend: self.backend,
            server: self.server,
            chosen_ms,
            connected_ms,
            answered_ms,
            total_ms: self.times.total.as_millis(),
            status: self.status,
            received_bytes: self.received,
            sent_bytes: self.bytes,
            termination: self.termination.letters(),
            process_connections,
            frontend_connections,
            backend_requests,
            server_requests,
            moved: self.retries,
            method: self.method.escape_ascii().to_string(),
            target: Target(self.target).to_string(),
            version: Some(self.version()).filter(|version| !version.is_empty()),
        };
        // Texts and numbers can always be written.
        let _ = serde_json::to_writer(to, &object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_haproxy_would() {
        let line = Line {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            client: "[::ffff:10.0.0.9]:4321".parse().ok(),
            tls: None,
            frontend: "influx_front",
            backend: Some("influx_back"),
            server: Some("influxlab2"),
            times: Times {
                chosen: Some(Duration::from_millis(2)),
                connected: Some(Duration::from_millis(5)),
                answered: Some(Duration::from_millis(25)),
                total: Duration::from_millis(31),
            },
            status: Some(200),
            bytes: 512,
            received: 7,
            termination: Termination::Normal,
            sessions: [4, 3, 2, 1],
            retries: 1,
            method: b"GET",
            target: b"/query?db=x&q=SHOW",
            version: Some(Version::HTTP_11),
        };
        let date = line.date().strftime("%d/%b/%Y:%H:%M:%S").to_string();
        assert_eq!(
            line.to_string(),
            format!(
                "10.0.0.9:4321 [{date}.123] influx_front influx_back/influxlab2 0/2/3/20/31 200 512 - - ---- 4/3/2/1/+1 0/0 \"GET /query?db=x&q=*** HTTP/1.1\""
            )
        );
        let mut json = Vec::new();
        line.write_json("now", &mut json);
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "{\"time\":\"now\",\"kind\":\"access\",\"client\":\"10.0.0.9\",\"client_port\":4321,\
             \"began\":\"2023-11-14T22:13:20.123Z\",\"frontend\":\"influx_front\",\"backend\":\"influx_back\",\
             \"server\":\"influxlab2\",\"chosen_ms\":2,\"connected_ms\":3,\"answered_ms\":20,\"total_ms\":31,\
             \"status\":200,\"received_bytes\":7,\"sent_bytes\":512,\"termination\":\"--\",\
             \"process_connections\":4,\"frontend_connections\":3,\"backend_requests\":2,\"server_requests\":1,\
             \"moved\":1,\"method\":\"GET\",\"target\":\"/query?db=x&q=***\",\"version\":\"HTTP/1.1\"}"
        );
        let nobody = Line {
            client: None,
            backend: None,
            server: None,
            times: Times::default(),
            status: None,
            termination: Termination::NoServer,
            version: None,
            retries: 0,
            ..line
        };
        assert_eq!(
            nobody.to_string(),
            format!(
                "- [{date}.123] influx_front influx_front/<NOSRV> -1/-1/-1/-1/0 -1 512 - - SC-- 4/3/2/1/0 0/0 \"GET /query?db=x&q=***\""
            )
        );
        let unread = Line {
            method: b"-",
            target: b"-",
            ..nobody
        };
        assert!(unread.to_string().ends_with(" 0/0 \"<BADREQ>\""));
    }
}
