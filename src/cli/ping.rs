//! `haflux ping`: is a server answering? For health checks of containers and scripts that have no other client at hand.

use std::fmt::{self, Display, Formatter};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use http::Uri;
use thiserror::Error;

/// For everything together: the name, the connection and the answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Longest first line of an answer that is looked at.
const LONGEST_STATUS_LINE: usize = 256;

/// What `haflux ping` is told.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Asked with GET; any 2xx within two seconds is well
    #[arg(
        short,
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8086/ping"
    )]
    url: Uri,
}

/// Asks; the exit status is 0 for an answer 2xx within two seconds and 1 for anything else, which is said on standard error.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match ask(&arguments.url, LIMIT) {
        Ok(200..=299) => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("{} answered {status}", Shown(&arguments.url));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{}: {error}", Shown(&arguments.url));
            ExitCode::FAILURE
        }
    }
}

/// A URL without the user, the password and the query, which may hold one too.
struct Shown<'a>(&'a Uri);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Shown(url) = self;
        if let Some(scheme) = url.scheme_str() {
            write!(f, "{scheme}://")?;
        }
        f.write_str(url.host().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())
    }
}

/// Why there is no status.
#[derive(Debug, Error)]
enum PingError {
    /// Not something that can be asked.
    #[error("only http:// followed by a host can be asked")]
    Url,
    /// The name stands for no address.
    #[error("the name has no address")]
    NoAddress,
    /// The time was over.
    #[error("no answer in {} s", LIMIT.as_secs())]
    Timeout,
    /// Something answered that is not HTTP.
    #[error("what answers does not speak HTTP/1")]
    NotHttp,
    /// The network said so.
    #[error(transparent)]
    Network(io::Error),
}

impl From<io::Error> for PingError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => PingError::Timeout,
            _ => PingError::Network(error),
        }
    }
}

/// The status that a GET of `url` is answered with.
fn ask(url: &Uri, limit: Duration) -> Result<u16, PingError> {
    let deadline = Instant::now() + limit;
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(PingError::Url);
    };
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let mut connection = connect(authority, deadline)?;
    connection.set_write_timeout(Some(left(deadline)?))?;
    write!(
        connection,
        "GET {target} HTTP/1.1\r\nHost: {}:{}\r\nUser-Agent: haflux/{}\r\nConnection: close\r\n\r\n",
        authority.host(),
        authority.port_u16().unwrap_or(80),
        env!("CARGO_PKG_VERSION"),
    )?;
    let mut answer = Vec::new();
    let mut buffer = [0; LONGEST_STATUS_LINE];
    while !answer.contains(&b'\n') && answer.len() < LONGEST_STATUS_LINE {
        connection.set_read_timeout(Some(left(deadline)?))?;
        match connection.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => answer.extend(buffer.iter().take(read)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    status_of(&answer).ok_or(PingError::NotHttp)
}

/// A connection to the first address that takes one.
fn connect(authority: &http::uri::Authority, deadline: Instant) -> Result<TcpStream, PingError> {
    let host = authority.host().trim_matches(['[', ']']);
    let mut failure = PingError::NoAddress;
    for address in (host, authority.port_u16().unwrap_or(80)).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = error.into(),
        }
    }
    Err(failure)
}

fn left(deadline: Instant) -> Result<Duration, PingError> {
    let left = deadline.saturating_duration_since(Instant::now());
    // Sockets take no timeout of zero: it would mean none at all.
    if left.is_zero() {
        Err(PingError::Timeout)
    } else {
        Ok(left)
    }
}

/// The status in `HTTP/1.1 204 No Content`.
fn status_of(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let status = line.strip_prefix("HTTP/1.")?.split_whitespace().nth(1)?;
    status
        .parse()
        .ok()
        .filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// The address of a server that reads a request, answers it with `answer` and then keeps the connection open.
    fn server(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                connection.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            assert!(request.starts_with(b"GET /haproxy?stats HTTP/1.1\r\nHost: 127.0.0.1:"));
            connection.write_all(answer).unwrap();
            let _ = io::copy(&mut connection, &mut io::sink());
        });
        format!("http://{address}/haproxy?stats")
    }

    fn arguments(url: &str) -> Arguments {
        Arguments {
            url: url.parse().unwrap(),
        }
    }

    #[test]
    fn only_2xx_is_well() {
        for (answer, code) in [
            (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], ExitCode::SUCCESS),
            (b"HTTP/1.0 200\r\n\r\n", ExitCode::SUCCESS),
            (b"HTTP/1.1 302 Found\r\n\r\n", ExitCode::FAILURE),
            (
                b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
                ExitCode::FAILURE,
            ),
            (b"SSH-2.0-OpenSSH\r\n", ExitCode::FAILURE),
        ] {
            assert_eq!(run(&arguments(&server(answer))), code);
        }
    }

    #[test]
    fn silence_is_given_up() {
        for answer in [&b""[..], b"HTTP/1.1 20"] {
            let url = server(answer).parse().unwrap();
            let begun = Instant::now();
            let result = ask(&url, Duration::from_millis(100));
            assert!(matches!(result, Err(PingError::Timeout)), "{result:?}");
            assert!(begun.elapsed() < LIMIT);
        }
    }

    #[test]
    fn what_cannot_be_asked_is_said() {
        let nobody = TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let refused = ask(&format!("http://{nobody}/").parse().unwrap(), LIMIT);
        assert!(matches!(refused, Err(PingError::Network(_))), "{refused:?}");
        for url in ["https://127.0.0.1/", "/ping", "127.0.0.1:80"] {
            let result = ask(&url.parse().unwrap(), LIMIT);
            assert!(matches!(result, Err(PingError::Url)), "{url}: {result:?}");
        }
    }

    #[test]
    fn nothing_that_answers_makes_it_fail_otherwise() {
        for answer in [
            &b""[..],
            b"\n",
            b"HTTP/1.",
            b"HTTP/1.1 ",
            b"HTTP/1.1 99999",
            b"HTTP/1.1 \xff",
            b"HTTP/1.1 042",
        ] {
            assert_eq!(status_of(answer), None);
        }
    }
}
