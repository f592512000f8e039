//! One line for each request, in the spirit of HAProxy's `option httplog`:
//!
//! `CLIENT FRONTEND BACKEND/SERVER CHOSEN/CONNECTED/ANSWERED/TOTAL STATUS BYTES HOW FRONT/BACK/SERVER/RETRIES "REQUEST"`
//!
//! - times in milliseconds, each counted from the moment before it: header read → server chosen → connected → header of the
//!   answer; the last is the whole, from the header read to the last byte. -1: it did not come to that;
//! - HOW: see [`Termination`];
//! - connections of the frontend, requests under way on the backend and on the server, and how often the request was moved.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use percent_encoding::percent_decode;

/// The log target of these lines.
pub(crate) const TARGET: &str = "access";
/// Most bytes of a request's target that are logged.
const MAX_TARGET: usize = 2048;

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
    /// `LR`: answered by us (the status page).
    Local,
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
}

impl Termination {
    fn letters(self) -> &'static str {
        match self {
            Termination::Normal => "--",
            Termination::ClientLeft => "CD",
            Termination::ClientSilent => "cR",
            Termination::Refused => "PR",
            Termination::Local => "LR",
            Termination::NoServer => "SC",
            Termination::ServerBroke => "SH",
            Termination::ServerSilent => "sH",
            Termination::AnswerBroke => "SD",
            Termination::AnswerSilent => "sD",
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

/// One line.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) client: Option<SocketAddr>,
    pub(crate) frontend: &'a str,
    pub(crate) backend: Option<&'a str>,
    pub(crate) server: Option<&'a str>,
    pub(crate) times: Times,
    pub(crate) status: Option<u16>,
    pub(crate) bytes: usize,
    pub(crate) termination: Termination,
    /// Of the frontend, the backend and the server.
    pub(crate) sessions: [u64; 3],
    pub(crate) retries: usize,
    pub(crate) method: &'a [u8],
    /// As the client sent it.
    pub(crate) target: &'a [u8],
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client {
            Some(client) => write!(f, "{}:{}", client.ip().to_canonical(), client.port())?,
            None => f.write_str("-")?,
        }
        let nobody = if self.termination == Termination::Local {
            "<STATS>"
        } else {
            "<NOSRV>"
        };
        write!(
            f,
            " {} {}/{} ",
            self.frontend,
            self.backend.unwrap_or(self.frontend),
            self.server.unwrap_or(nobody)
        )?;
        let mut before = Duration::ZERO;
        for moment in [self.times.chosen, self.times.connected, self.times.answered] {
            match moment {
                Some(moment) => {
                    write!(f, "{}/", moment.saturating_sub(before).as_millis())?;
                    before = moment;
                }
                None => f.write_str("-1/")?,
            }
        }
        write!(f, "{} ", self.times.total.as_millis())?;
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str("-1")?,
        }
        let [front, back, server] = self.sessions;
        write!(
            f,
            " {} {} {front}/{back}/{server}/{} \"{} {}\"",
            self.bytes,
            self.termination.letters(),
            self.retries,
            self.method.escape_ascii(),
            Target(self.target)
        )
    }
}

/// A request's target without secrets and without bytes that could forge a line.
struct Target<'a>(&'a [u8]);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.0.splitn(2, |byte| *byte == b'?');
        let path = parts.next().unwrap_or_default();
        let mut left = MAX_TARGET;
        match value_start(path).and_then(|start| path.get(..start)) {
            None => write_escaped(f, path, &mut left)?,
            Some(shown) => {
                write_escaped(f, shown, &mut left)?;
                f.write_str("***")?;
            }
        }
        let Some(query) = parts.next() else {
            return Ok(());
        };
        for (position, pair) in query.split(|byte| *byte == b'&').enumerate() {
            f.write_str(if position == 0 { "?" } else { "&" })?;
            // A server may take a semicolon for a separator, or a plus for a space: what is unclear is hidden whole.
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = halves.next().unwrap_or_default();
            write_escaped(f, name, &mut left)?;
            let Some(value) = halves.next() else {
                continue;
            };
            if is_secret(name) || value.contains(&b';') || name.contains(&b';') {
                f.write_str("=***")?;
            } else {
                f.write_str("=")?;
                write_escaped(f, value, &mut left)?;
            }
            if left == 0 {
                return f.write_str("...");
            }
        }
        Ok(())
    }
}

/// Where a value begins that somebody put into the path: behind its first `=`, which may be escaped.
fn value_start(path: &[u8]) -> Option<usize> {
    let plain = path.iter().position(|byte| *byte == b'=').map(|at| at + 1);
    let escaped = path
        .windows(3)
        .position(|three| three.eq_ignore_ascii_case(b"%3D"))
        .map(|at| at + 3);
    match (plain, escaped) {
        (Some(plain), Some(escaped)) => Some(plain.min(escaped)),
        (plain, escaped) => plain.or(escaped),
    }
}

/// Credentials, and statements, which may hold some (`CREATE USER … WITH PASSWORD …`).
fn is_secret(name: &[u8]) -> bool {
    const SECRETS: [&[u8]; 9] = [
        b"u",
        b"p",
        b"q",
        b"params",
        b"token",
        b"auth_token",
        b"access_token",
        b"password",
        b"api_key",
    ];
    let name = Cow::from(percent_decode(name));
    let name = name.trim_ascii().to_ascii_lowercase();
    SECRETS.contains(&name.as_slice())
}

/// Writes `bytes`, at most `left` of them; what is not plain ASCII, quotes and backslashes are escaped.
fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8], left: &mut usize) -> fmt::Result {
    let taken = bytes.get(..*left).unwrap_or(bytes);
    *left -= taken.len();
    write!(f, "{}", taken.escape_ascii())?;
    if taken.len() < bytes.len() {
        f.write_str("...")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(target: &[u8]) -> String {
        Target(target).to_string()
    }

    #[test]
    fn secrets_are_hidden_however_they_are_written() {
        for (target, expected) in [
            (
                "/query?db=x&u=me&p=secret&q=SELECT+1&epoch=ms",
                "/query?db=x&u=***&p=***&q=***&epoch=ms",
            ),
            ("/query?%70=secret&%71=x", "/query?%70=***&%71=***"),
            ("/query?P=secret&p", "/query?P=***&p"),
            ("/write?db=a;p=secret", "/write?db=***"),
            ("/write?db;p=secret", "/write?db;p=***"),
            ("/?auth_token=ey", "/?auth_token=***"),
            ("/query?p=a=b&x=", "/query?p=***&x="),
            ("/query?", "/query?"),
            ("/query;p=secret?db=x", "/query;p=***?db=x"),
            ("/query%3Fp%3dsecret", "/query%3Fp%3d***"),
            ("/ping", "/ping"),
        ] {
            assert_eq!(shown(target.as_bytes()), expected);
        }
    }

    #[test]
    fn nothing_can_forge_a_line() {
        assert_eq!(
            shown(b"/a\r\nb\"\\\x1b\xff?x=\n\""),
            "/a\\r\\nb\\\"\\\\\\x1b\\xff?x=\\n\\\""
        );
    }

    #[test]
    fn long_targets_are_cut() {
        let shown = shown(format!("/{}?p=secret", "a".repeat(5000)).as_bytes());
        assert!(shown.len() < MAX_TARGET + 100, "{}", shown.len());
        assert!(!shown.contains("secret"));
    }

    #[test]
    fn a_line_says_what_haproxy_would() {
        let line = Line {
            client: "[::ffff:10.0.0.9]:4321".parse().ok(),
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
            termination: Termination::Normal,
            sessions: [3, 2, 1],
            retries: 1,
            method: b"GET",
            target: b"/query?db=x&q=SHOW",
        };
        assert_eq!(
            line.to_string(),
            "10.0.0.9:4321 influx_front influx_back/influxlab2 2/3/20/31 200 512 -- 3/2/1/1 \"GET /query?db=x&q=***\""
        );
        let nobody = Line {
            client: None,
            backend: None,
            server: None,
            times: Times::default(),
            status: None,
            termination: Termination::NoServer,
            ..line
        };
        assert_eq!(
            nobody.to_string(),
            "- influx_front influx_front/<NOSRV> -1/-1/-1/0 -1 512 SC 3/2/1/1 \"GET /query?db=x&q=***\""
        );
    }

    proptest! {
        #[test]
        fn every_target_is_one_plain_line(target in proptest::collection::vec(any::<u8>(), 0..300)) {
            let shown = shown(&target);
            prop_assert!(shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        }
    }
}
