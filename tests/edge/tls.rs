//! TLS on a frontend, by clients that people use: curl, openssl, Python's `influxdb`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::authority::{Authority, SecureConnection};
use crate::support::lab::also_secure;
use crate::support::programs::{python, run, succeeds};
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, Lab, Options, StandIn, http, status, wait_until};
use serde_json::Value;

/// How many seconds a certificate is valid that ends in a test.
const SHORT_TIME: u32 = 12;

/// haflux before a node that echoes which scheme a request came by. Its frontend speaks TLS on one address, with `keys` in the table, and
/// plain HTTP on the other.
pub(crate) struct Site {
    pub(crate) haflux: Haflux,
    pub(crate) authority: Authority,
    _node: StandIn,
    _folder: tempfile::TempDir,
}

impl Site {
    /// `sign` makes the certificate; `KEYS(name)` in `keys` is a file of the authority.
    pub(crate) fn start(sign: impl FnOnce(&Authority) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new(&folder.path().join("authority"));
        let keys = sign(&authority);
        let node = StandIn::start(|request| {
            let scheme = request.header("x-forwarded-proto").unwrap_or("none");
            Behaviour::status(200, scheme)
        });
        // The control socket lies there.
        let home = folder.path().join("haflux");
        std::fs::create_dir_all(home.join("data")).expect("a folder");
        let configuration = format!(
            "[server]\ndata_dir = \"FOLDER/data\"\n\
             [[frontend]]\nname = \"front\"\nbind = [\"127.0.0.1:PORT(plain)\", \"127.0.0.1:PORT(secure)\"]\n\
             stats_uri = \"/haproxy?stats\"\nmetrics_uri = \"/metrics\"\nforwarded_for = true\ndefault_backend = \"back\"\n\
             timeout = {{ http_request = \"2s\" }}\n\
             tls = {{ addresses = \"127.0.0.1:PORT(secure)\", {keys} }}\n\
             [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{}\" }}]\n",
            node.address()
        );
        Self {
            haflux: Haflux::start(&home, &configuration),
            authority,
            _node: node,
            _folder: folder,
        }
    }

    /// With one certificate, for `localhost`.
    fn simple() -> Self {
        Self::start(|authority| key("certificate", &authority.sign("site.pem", "localhost", 90)))
    }

    pub(crate) fn address(&self) -> String {
        self.haflux.address("secure")
    }

    /// What curl prints for `path` asked of `name`, and its exit status.
    pub(crate) fn curl(&self, name: &str, path: &str, more: &[&str]) -> (String, Option<i32>) {
        let address = self.address();
        let (_, port) = address.split_once(':').expect("host:port");
        let resolve = format!("{name}:{port}:127.0.0.1");
        let url = format!("https://{name}:{port}{path}");
        let ca = self.authority.certificate();
        let usual = ["-sS", "--cacert", &ca, "--resolve", &resolve, &url];
        let output = run("curl", &[&usual, more].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (said, output.status.code())
    }

    /// What `openssl s_client` says of a handshake.
    pub(crate) fn s_client(&self, more: &[&str]) -> String {
        let address = self.address();
        let output = run(
            "openssl",
            &[&["s_client", "-connect", &address][..], more].concat(),
        );
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    }

    fn tls(&self) -> Value {
        status::frontend(&self.haflux.url("plain"), "front")["tls"].take()
    }

    fn failures(&self, reason: &str) -> u64 {
        self.tls()["failures"][reason].as_u64().expect("a number")
    }
}

pub(crate) fn key(name: &str, file: &str) -> String {
    format!("{name} = \"{file}\"")
}

#[test]
fn clients_write_and_read_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    let certificate = authority.sign("site.pem", "localhost", 90);
    let lab = Lab::start_with(Options::default(), also_secure(&certificate, &[]));
    lab.create_database("telegraf");
    let address = lab.haflux.address("secure");
    let ca = authority.certificate();
    let url = format!("https://{address}");
    let large = "curled,host=somewhere v=2 2\n".repeat(60_000);
    let file = folder.path().join("large");
    std::fs::write(&file, large).expect("a file");
    for body in ["curled v=1 1", &format!("@{}", file.display())] {
        let written = run(
            "curl",
            &[
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "--cacert",
                &ca,
                "-XPOST",
                &format!("{url}/write?db=telegraf"),
                "--data-binary",
                body,
            ],
        );
        assert_eq!(succeeds(&written), "204");
    }
    lab.both_hold("telegraf", "curled", 2);
    // An answer of a few megabytes, in pieces.
    let points: String = (0..50_000).map(|n| format!("many v={n} {n}\n")).collect();
    std::fs::write(&file, points).expect("a file");
    let body = format!("@{}", file.display());
    let path = format!("{url}/write?db=telegraf");
    let write = ["-sS", "--cacert", &ca, "--data-binary", &body, &path];
    succeeds(&run("curl", &write));
    lab.both_hold("telegraf", "many", 50_000);
    let read = run(
        "curl",
        &[
            "-sS",
            "--cacert",
            &ca,
            "-G",
            &format!("{url}/query?db=telegraf&chunked=true"),
            "--data-urlencode",
            "q=SELECT v FROM many",
        ],
    );
    let read = succeeds(&read);
    assert!(read.len() > 1_000_000, "{}", read.len());
    assert!(read.contains(",49999]"));

    let (host, port) = address.split_once(':').expect("host:port");
    let script = r#"
import sys, time
from influxdb import InfluxDBClient
client = InfluxDBClient(sys.argv[1], int(sys.argv[2]), database="telegraf", ssl=True, verify_ssl=sys.argv[3])
assert client.ping(), "ping"
points = [{"measurement": "python", "fields": {"v": float(n)}, "time": n} for n in range(500)]
assert client.write_points(points, batch_size=100)
for _ in range(3000):
    result = list(client.query("SELECT count(v) FROM python").get_points())
    if result and result[0]["count"] == 500:
        break
    time.sleep(0.01)
else:
    raise SystemExit(f"not all points: {result}")
"#;
    succeeds(&run(python(), &["-c", script, host, port, &ca]));
    lab.both_hold("telegraf", "python", 500);
    // HAProxy's mark of a frontend that speaks TLS.
    lab.haflux.says(" influx_front~ ");
}

#[test]
fn each_name_has_its_certificate_and_the_node_hears_of_https() {
    let site = Site::start(|authority| {
        authority.sign("one.pem", "one.example", 90);
        authority.sign("two.pem", "two.example", 90);
        authority.sign("star.pem", "*.star.example", 90);
        format!(
            "{}, certificates = [\"{}\", {{ certificate = \"{}\", key = \"{}\" }}]",
            key("certificate", &authority.file("one.pem")),
            authority.file("two.pem"),
            authority.file("star.pem"),
            authority.file("star.pem"),
        )
    });
    for name in [
        "one.example",
        "two.example",
        "TWO.example",
        "a.star.example",
    ] {
        let (said, status) = site.curl(name, "/", &[]);
        assert_eq!((said.as_str(), status), ("https", Some(0)), "{name}");
    }
    // The first certificate is for all other names, and this one is not its own.
    assert_eq!(site.curl("other.example", "/", &[]).1, Some(60));
    let (said, _) = site.curl("other.example", "/", &["--insecure"]);
    assert_eq!(said, "https");
    assert_eq!(http::get(&site.haflux.url("plain")).text(), "http");
    // A client without a name.
    let address = site.haflux.address("secure");
    let nameless = ["-sS", "-k", &format!("https://{address}/")];
    assert_eq!(succeeds(&run("curl", &nameless)), "https");

    let tls = site.tls();
    let names: Vec<_> = (0..3)
        .map(|n| &tls["certificates"][n]["names"][0])
        .collect();
    assert_eq!(names, ["one.example", "two.example", "*.star.example"]);
    let metrics = http::get(&format!("{}/metrics", site.haflux.url("plain"))).text();
    let line = format!(
        "haflux_frontend_certificate_not_after_seconds{{frontend=\"front\",certificate=\"{}\"}} ",
        site.authority.file("two.pem")
    );
    assert!(metrics.contains(&line), "{metrics}");
}

#[test]
fn old_versions_are_refused() {
    let site = Site::simple();
    let old = ["-cipher", "ALL:@SECLEVEL=0"];
    for version in ["-tls1", "-tls1_1"] {
        let said = site.s_client(&[&[version][..], &old].concat());
        assert!(said.contains("Cipher is (NONE)"), "{version}: {said}");
    }
    wait_until("both to be counted", SOON, || {
        site.failures("incompatible") == 2
    });
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = site.s_client(&[version, "-alpn", "h2,http/1.1"]);
        assert!(said.contains(&format!("New, {name}, Cipher is ")), "{said}");
        assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
    }
    site.haflux
        .edit(&[("tls = { ", "tls = { min_version = \"1.3\", ")]);
    site.haflux.order(&["reload"]);
    let said = site.s_client(&["-tls1_2"]);
    assert!(said.contains("Cipher is (NONE)"), "{said}");
}

#[test]
fn a_session_is_resumed() {
    let site = Site::simple();
    for version in ["-tls1_2", "-tls1_3"] {
        let file = site.authority.file("session");
        let address = site.address();
        let (said, _) = {
            let script = format!(
                "printf 'GET /ping HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' | \
                 openssl s_client -ign_eof -connect {address} {version} -sess_out {file} && \
                 printf 'GET /ping HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' | \
                 openssl s_client -ign_eof -connect {address} {version} -sess_in {file}"
            );
            let output = run("sh", &["-c", &script]);
            (String::from_utf8_lossy(&output.stdout).into_owned(), ())
        };
        assert!(said.contains("Reused, TLSv1."), "{version}: {said}");
    }
    assert_eq!(site.tls()["resumed"], 2);
}

#[test]
fn a_session_ends_with_the_clients_certificate() {
    for needed in ["required", "optional"] {
        let site = Site::start(|authority| {
            authority.sign("site.pem", "localhost", 90);
            format!(
                "client_certificate = \"{needed}\", {}, {}",
                key("certificate", &authority.file("site.pem")),
                key("client_ca", &authority.certificate()),
            )
        });
        let begun = Instant::now();
        let certificate = site
            .authority
            .sign_briefly("client.pem", "a client", SHORT_TIME);
        let address = site.address();
        let ask = |more: &[&str]| {
            let script = format!(
                "printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' | \
                 openssl s_client -ign_eof -connect {address} -cert {certificate} {}",
                more.join(" ")
            );
            let output = run("sh", &["-c", &script]);
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let ways = ["-tls1_3", "-tls1_2", "-tls1_2 -no_ticket"];
        let files: Vec<String> = (0..ways.len())
            .map(|n| site.authority.file(&format!("session{n}")))
            .collect();
        for (way, file) in ways.iter().zip(&files) {
            let said = ask(&[way, "-sess_out", file]);
            assert!(said.contains("200 OK"), "{way}: {said}");
        }
        let resumed = ask(&[ways[0], "-sess_in", &files[0], "-sess_out", &files[0]]);
        assert!(resumed.contains("Reused, TLSv1.3"), "{resumed}");
        assert!(resumed.contains("200 OK"), "{resumed}");
        let end = Duration::from_secs(u64::from(SHORT_TIME) + 2);
        std::thread::sleep(end.saturating_sub(begun.elapsed()));
        for (way, file) in ways.iter().zip(&files) {
            let said = ask(&[way, "-sess_in", file]);
            assert!(!said.contains("200 OK"), "{way}: {said}");
        }
        // Without tickets there is no session that could go on.
        let there = files.iter().filter(|file| Path::new(file).exists());
        let there = u64::try_from(there.count()).expect("a few");
        assert_eq!(there, 2);
        wait_until("they to be counted", SOON, || {
            site.failures("client_certificate") == there
        });
        // A new certificate, and the session of the old one.
        let renewed = site.authority.sign("renewed.pem", "a client", 90);
        let said = ask(&["-cert", &renewed, "-sess_in", &files[0]]);
        assert!(said.contains("200 OK"), "{said}");
    }
}

#[test]
fn who_does_not_speak_tls_is_closed_without_a_word() {
    let site = Site::simple();
    let request = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = http::raw(&site.address(), request, SOON).expect("closed, not reset");
    assert_eq!(String::from_utf8_lossy(&answer), "");
    wait_until("it to be counted", SOON, || site.failures("plain") == 1);
    // A handshake in form, and rubbish in it.
    let rubbish = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff";
    let _alert = http::raw(&site.address(), rubbish, SOON);
    wait_until("it to be counted", SOON, || site.failures("malformed") == 1);
    assert_eq!(site.curl("localhost", "/", &[]).0, "https");
}

#[test]
fn a_handshake_that_does_not_end_is_closed_and_others_go_on() {
    let site = Site::start(|authority| {
        authority.sign("site.pem", "localhost", 90);
        format!(
            "max_handshakes = 2, {}",
            key("certificate", &authority.file("site.pem"))
        )
    });
    let begun = Instant::now();
    let mut silent: Vec<TcpStream> = (0..2)
        .map(|_| TcpStream::connect(site.address()).expect("a connection"))
        .collect();
    // One of them sends the beginning of a handshake, byte by byte.
    silent[0].write_all(b"\x16").expect("a byte");
    wait_until("both to be under way", SOON, || {
        site.tls()["under_way"] == 2
    });
    // Two wait, and one more is too many.
    let mut waiting: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(site.address()).expect("a connection"))
        .collect();
    wait_until("one to be turned away", SOON, || site.failures("busy") >= 1);
    for connection in silent.iter_mut().chain(&mut waiting) {
        connection.set_read_timeout(Some(SOON)).expect("a limit");
        // The end, or a reset.
        let read = connection.read(&mut [0; 1]);
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
    wait_until("all to be counted", SOON, || {
        site.failures("slow") >= 2 && site.failures("busy") >= 1
    });
    assert_eq!(site.curl("localhost", "/", &[]).0, "https");
    assert_eq!(site.tls()["under_way"], 0);
}

#[test]
fn clients_show_certificates() {
    let site = Site::start(|authority| {
        authority.sign("site.pem", "localhost", 90);
        authority.sign("client.pem", "a client", 90);
        authority.sign("revoked.pem", "a revoked client", 90);
        format!(
            "client_certificate = \"required\", {}, {}, {}",
            key("certificate", &authority.file("site.pem")),
            key("client_ca", &authority.certificate()),
            key(
                "client_crl",
                &authority.revoke(&authority.file("revoked.pem"))
            ),
        )
    });
    let stranger = Authority::new(&site.haflux.folder().join("stranger"));
    stranger.sign("client.pem", "a client", 90);
    let (good, revoked) = (
        site.authority.file("client.pem"),
        site.authority.file("revoked.pem"),
    );
    let strange = stranger.file("client.pem");
    let asked = |certificate: &str| site.curl("localhost", "/", &["--cert", certificate]);
    assert_eq!(asked(&good).0, "https");
    for bad in [&revoked, &strange] {
        assert_ne!(asked(bad).1, Some(0), "{bad}");
    }
    assert_ne!(site.curl("localhost", "/", &[]).1, Some(0));
    wait_until("they to be counted", SOON, || {
        site.failures("client_certificate") == 3
    });

    site.haflux.edit(&[("\"required\"", "\"optional\"")]);
    site.haflux.order(&["reload"]);
    assert_eq!(asked(&good).0, "https");
    assert_eq!(site.curl("localhost", "/", &[]).0, "https");
    for bad in [&revoked, &strange] {
        assert_ne!(asked(bad).1, Some(0), "{bad}");
    }
}

#[test]
fn a_list_of_revoked_clients_must_be_signed_by_their_authority() {
    let site = Site::start(|authority| {
        authority.sign("site.pem", "localhost", 90);
        authority.sign("client.pem", "a client", 90);
        authority.sign("revoked.pem", "a revoked client", 90);
        authority.sign("lost.pem", "a client that lost its key", 90);
        format!(
            "client_certificate = \"required\", {}, {}, {}",
            key("certificate", &authority.file("site.pem")),
            key("client_ca", &authority.certificate()),
            key(
                "client_crl",
                &authority.revoke(&authority.file("revoked.pem"))
            ),
        )
    });
    let authority = &site.authority;
    let asked = |name: &str| {
        let certificate = authority.file(name);
        site.curl("localhost", "/", &["--cert", &certificate])
    };
    assert_eq!(asked("lost.pem").0, "https");
    assert!(
        site.haflux
            .order(&["reload", "--dry-run"])
            .contains("runs by already")
    );

    authority.revoke(&authority.file("lost.pem"));
    let said = site.haflux.order(&["reload"]);
    let file = authority.file("crl.pem");
    assert!(
        said.contains(&format!("by what {file} holds now")),
        "{said}"
    );
    assert_ne!(asked("lost.pem").1, Some(0));
    assert_eq!(asked("client.pem").0, "https");

    // Another authority of the same name.
    let other = Authority::new(&site.haflux.folder().join("other"));
    other.sign("revoked.pem", "a revoked client", 90);
    let list = other.revoke(&other.file("revoked.pem"));
    std::fs::copy(list, &file).expect("a file");
    for command in ["check", "reload"] {
        let said = site.haflux.refuses(&[command]);
        let expected = format!("a certificate revocation list in {file} cannot be used");
        assert!(said.contains(&expected), "{command}: {said}");
    }
    assert_eq!(asked("client.pem").0, "https");

    let both = [authority.certificate(), other.certificate()];
    let both = both.map(|file| std::fs::read(file).expect("a file"));
    std::fs::write(authority.certificate(), both.concat()).expect("a file");
    let said = site.haflux.order(&["reload"]);
    let file = authority.certificate();
    assert!(
        said.contains(&format!("by what {file} holds now")),
        "{said}"
    );
}

#[test]
fn a_reload_takes_a_new_certificate_and_no_connection_ends() {
    let site = Site::start(|authority| {
        key(
            "certificate",
            &authority.sign("site.pem", "old.example", 90),
        )
    });
    let mut kept = SecureConnection::open(&site.address(), &site.authority, "old.example");
    let mut ask = || {
        let request = b"GET / HTTP/1.1\r\nHost: old.example\r\n\r\n";
        kept.to.write_all(request).expect("it is open");
        kept.to.flush().expect("it is open");
        let (answer, stays) = http::read_answer(&mut kept.from, false).expect("an answer");
        assert!(stays);
        answer.text()
    };
    assert_eq!(ask(), "https");
    assert_eq!(site.curl("new.example", "/", &[]).1, Some(60));

    // A file that cannot be used changes nothing.
    let file = site.authority.file("site.pem");
    let old = std::fs::read(&file).expect("the file");
    std::fs::write(&file, "nothing").expect("a file");
    let said = site.haflux.refuses(&["reload"]);
    assert!(said.contains("holds no certificate"), "{said}");
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(site.curl("old.example", "/", &[]).0, "https");

    site.authority.sign("site.pem", "new.example", 90);
    let said = site.haflux.order(&["reload"]);
    assert!(said.contains("tls: a new certificate in "), "{said}");
    assert_eq!(site.curl("new.example", "/", &[]).0, "https");
    assert_eq!(site.curl("old.example", "/", &[]).1, Some(60));
    assert_eq!(ask(), "https");

    std::fs::write(&file, old).expect("a file");
    site.haflux
        .edit(&[("certificate =", "min_version = \"1.3\", certificate =")]);
    site.haflux.order(&["reload"]);
    assert_eq!(site.curl("old.example", "/", &[]).0, "https");
    assert_eq!(ask(), "https");
}

#[test]
fn check_reads_certificates_and_says_what_is_wrong() {
    let site = Site::simple();
    let authority = &site.authority;
    let file = authority.file("site.pem");
    let check = || {
        let output = site.haflux.told(&["check"]);
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (is_good, said) = check();
    assert!(is_good && !said.contains("certificate"), "{said}");

    authority.sign("site.pem", "localhost", 5);
    let (is_good, said) = check();
    assert!(
        is_good && said.contains("site.pem expires in 4 days"),
        "{said}"
    );

    authority.sign_expired("site.pem", "localhost");
    let (is_good, said) = check();
    assert!(is_good && said.contains("site.pem has expired"), "{said}");
    site.haflux.order(&["reload"]);
    site.haflux.says("site.pem has expired");
    let page = status::page(&site.haflux.url("plain"));
    let problem = &page["problems"][0];
    assert_eq!(problem["severity"], "error");
    assert!(
        problem["what"]
            .as_str()
            .is_some_and(|what| what.ends_with("site.pem has expired"))
    );
    // A client that does not verify is served.
    assert_eq!(site.curl("localhost", "/", &["--insecure"]).0, "https");

    let certificate = std::fs::read_to_string(&file).expect("the file");
    let end = "-----END CERTIFICATE-----\n";
    let (certificate, _key) = certificate.split_once(end).expect("a certificate");
    let certificate = format!("{certificate}{end}");
    std::fs::write(&file, &certificate).expect("a file");
    let (is_good, said) = check();
    assert!(
        !is_good && said.contains("site.pem holds no private key"),
        "{said}"
    );
    assert!(
        said.contains("frontend \"front\".tls") || said.contains("frontend \"front\", tls"),
        "{said}"
    );

    let other = std::fs::read_to_string(authority.sign("other.pem", "other", 90)).expect("a file");
    let (_certificate, other_key) = other.split_once(end).expect("a key");
    std::fs::write(&file, format!("{certificate}{other_key}")).expect("a file");
    let (is_good, said) = check();
    assert!(
        !is_good && said.contains("does not match the certificate"),
        "{said}"
    );
    assert!(!said.contains("PRIVATE"), "{said}");

    std::fs::remove_file(&file).expect("the file");
    let (is_good, said) = check();
    assert!(
        !is_good && said.contains("site.pem cannot be read"),
        "{said}"
    );
}

#[test]
fn ping_asks_inside_tls() {
    let site = Site::simple();
    let url = site.haflux.url("secure").replace("http:", "https:") + "/haproxy?stats";
    let ca = site.authority.certificate();
    let ping = |more: &[&str]| {
        let output = Haflux::command(&[&["ping", "--url", &url], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    for well in [
        &["--ca", &ca][..],
        &["--ca", &ca, "--server-name", "localhost"],
        &["--insecure"],
    ] {
        assert_eq!(ping(well), (Some(0), String::new()), "{well:?}");
    }
    for (more, reason) in [
        (&[][..], "authority"),
        (&["--ca", &ca, "--server-name", "elsewhere"], "elsewhere"),
        (&["--ca", "/nowhere.pem"], "/nowhere.pem"),
    ] {
        let (code, said) = ping(more);
        assert!(code == Some(1) && said.contains(reason), "{more:?}: {said}");
    }
}
