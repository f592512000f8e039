//! `haflux ping`: is a server answering? For health checks of containers and scripts that have no other client at hand.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use http::Uri;
use http::uri::{Authority, Scheme};
use percent_encoding::percent_decode_str;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::output::tell;
use crate::dial::{Call, Connection, DialError, Dialer};
use crate::http_response::{ResponseError, ResponseReader};
use crate::tls::{Connector, ServerName, ServerTls, TlsError, TlsVersion};

/// For everything together: the name, the connection and the answer.
const LIMIT: Duration = Duration::from_secs(2);

/// What `haflux ping` is told.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Asked with GET; any 2xx within two seconds is well. May have `user:password@` before its host
    #[arg(
        short,
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8086/ping"
    )]
    url: Uri,
    /// Who may have signed the certificate of an https:// URL, in place of the system's authorities
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name that is asked for and that the certificate must be made out to, in place of the URL's host
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Takes any certificate
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

/// Asks; the exit status is 0 for an answer 2xx within two seconds and 1 for anything else, which is said on standard error.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match ask(arguments, LIMIT) {
        Ok(200..=299) => ExitCode::SUCCESS,
        Ok(status @ 401) if credentials(&arguments.url).is_none() => {
            tell!(
                "{} answered {status}: it wants a user and a password, which may stand before the host, as in http://user:password@host/",
                Shown(&arguments.url)
            );
            ExitCode::FAILURE
        }
        Ok(status) => {
            tell!("{} answered {status}", Shown(&arguments.url));
            ExitCode::FAILURE
        }
        Err(error) => {
            tell!("{}: {error}", Shown(&arguments.url));
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
    #[error("only http:// or https:// followed by a host can be asked")]
    Url,
    /// A certificate can be made out to a host's name or an IP address alone.
    #[error("{0:?} is no name that a certificate can have")]
    Name(String),
    /// The name stands for no address.
    #[error("the name has no address")]
    NoAddress,
    /// The time was over.
    #[error("no answer in {} s", LIMIT.as_secs())]
    Timeout,
    /// There are no authorities to verify a certificate by.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// What came is no answer.
    #[error(transparent)]
    Answer(#[from] ResponseError),
    /// The system or the network said so.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The status that a GET of the URL is answered with.
fn ask(arguments: &Arguments, limit: Duration) -> Result<u16, PingError> {
    let url = &arguments.url;
    let authority = url.authority().ok_or(PingError::Url)?;
    let is_secure = match url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        _ => return Err(PingError::Url),
    };
    let dialer = Dialer::default();
    if is_secure {
        dialer.speak(Some(Arc::new(connector(arguments, authority)?)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asking = status(url, authority, &dialer);
    let asked = runtime.block_on(async { timeout(limit, asking).await });
    // A name may still be looked up, which nobody waits for.
    runtime.shutdown_background();
    asked.unwrap_or(Err(PingError::Timeout))
}

fn connector(arguments: &Arguments, authority: &Authority) -> Result<Connector, PingError> {
    let name = arguments.server_name.as_deref();
    let name = name.unwrap_or_else(|| bare(authority));
    let name =
        ServerName::try_from(name.to_owned()).map_err(|_| PingError::Name(name.to_owned()))?;
    Ok(Connector::build(&ServerTls {
        name,
        verify: !arguments.insecure,
        authorities: arguments.ca.clone(),
        revoked: None,
        certificate: None,
        min_version: TlsVersion::Tls12,
    })?)
}

/// The host; an address of IPv6 without its brackets.
fn bare(authority: &Authority) -> &str {
    authority.host().trim_matches(['[', ']'])
}

async fn status(url: &Uri, authority: &Authority, dialer: &Dialer) -> Result<u16, PingError> {
    let port = authority.port_u16();
    let port = port.unwrap_or(if dialer.is_secure() { 443 } else { 80 });
    let mut connection = connect(authority, port, dialer).await?;
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {}:{port}\r\nUser-Agent: haflux/{}\r\n{}Connection: close\r\n\r\n",
        authority.host(),
        env!("CARGO_PKG_VERSION"),
        credentials(url).unwrap_or_default(),
    );
    connection.write_all(request.as_bytes()).await?;
    connection.flush().await?;
    let head = ResponseReader::new(connection).begin().await?;
    Ok(head.status())
}

/// The header with the user and the password that stand before the URL's host, if they do.
fn credentials(url: &Uri) -> Option<String> {
    let (user, _) = url.authority()?.as_str().rsplit_once('@')?;
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut pair: Vec<u8> = percent_decode_str(name).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    Some(format!(
        "Authorization: Basic {}\r\n",
        STANDARD.encode(pair)
    ))
}

/// A connection to the first address that takes one.
async fn connect(
    authority: &Authority,
    port: u16,
    dialer: &Dialer,
) -> Result<Connection, PingError> {
    let mut failure = PingError::NoAddress;
    for address in tokio::net::lookup_host((bare(authority), port)).await? {
        match dialer.dial(address, Call::within(LIMIT)).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = error.into(),
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Instant;

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
            ca: None,
            server_name: None,
            insecure: false,
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
    fn a_user_in_the_url_is_sent_and_not_shown() {
        let (asked, request) = std::sync::mpsc::channel();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut request = vec![0; 4096];
                let length = connection.read(&mut request).unwrap();
                request.truncate(length);
                asked.send(String::from_utf8(request).unwrap()).unwrap();
                let answer = b"HTTP/1.1 401 Unauthorized\r\n\r\n";
                connection.write_all(answer).unwrap();
            }
        });
        for (user, sent) in [
            ("admin:sesame@", Some("YWRtaW46c2VzYW1l")),
            ("a%40b:s%3As@", Some("YUBiOnM6cw==")),
            ("admin@", Some("YWRtaW46")),
            ("", None),
        ] {
            let arguments = arguments(&format!("http://{user}{address}/haproxy?stats"));
            assert_eq!(ask(&arguments, LIMIT).unwrap(), 401);
            let request = request.recv().unwrap();
            let given = request
                .lines()
                .find_map(|line| line.strip_prefix("Authorization: "));
            let expected = sent.map(|sent| format!("Basic {sent}"));
            assert_eq!(given.map(str::to_owned), expected, "{user}");
            let shown = Shown(&arguments.url).to_string();
            assert_eq!(shown, format!("http://{address}/haproxy"));
        }
    }

    #[test]
    fn silence_is_given_up() {
        for answer in [&b""[..], b"HTTP/1.1 20"] {
            let arguments = arguments(&server(answer));
            let begun = Instant::now();
            let result = ask(&arguments, Duration::from_millis(100));
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
        let refused = ask(&arguments(&format!("http://{nobody}/")), LIMIT);
        assert!(
            matches!(refused, Err(PingError::Dial(DialError::Tcp(_)))),
            "{refused:?}"
        );
        let unnamed = Arguments {
            server_name: Some("a b".to_owned()),
            ..arguments("https://127.0.0.1/")
        };
        let unnamed = ask(&unnamed, LIMIT);
        assert!(matches!(unnamed, Err(PingError::Name(_))), "{unnamed:?}");
        for url in ["ftp://127.0.0.1/", "/ping", "127.0.0.1:80"] {
            let result = ask(&arguments(url), LIMIT);
            assert!(matches!(result, Err(PingError::Url)), "{url}: {result:?}");
        }
    }
}
