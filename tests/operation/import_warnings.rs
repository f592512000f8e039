//! `haflux import` warns of what the result does not do though the files ask for it.

use std::time::Duration;

use haflux::config::model::Probe;
use haflux::config::{Config, Format};
use haflux::import::{Imported, Source, import};

/// A file with one frontend, which leads to `b`, and that backend.
fn imported(global: &str, front: &str, backend: &str) -> Imported {
    let text = format!(
        "global\n{global}\ndefaults\n mode http\nfrontend f\n bind *:80\n default_backend b\n{front}\nbackend b\n{backend}\n"
    );
    imported_text(&text)
}

fn imported_text(text: &str) -> Imported {
    let source = Source {
        name: "t.cfg".to_owned(),
        text: text.to_owned(),
    };
    let imported = import(&[source], &[], &|_| Err("no file".to_owned()), &|_| None);
    imported.unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn config(imported: &Imported) -> Config {
    let loaded = Config::parse(&imported.text, Format::Toml, "output", &|_| None);
    loaded.unwrap_or_else(|errors| panic!("{errors}")).config
}

const SERVER: &str = " server s 10.0.0.1:8086 check";

#[test]
fn a_check_that_haflux_cannot_make_takes_no_server_down() {
    let http = " option httpchk GET /x\n";
    let side = " server s 10.0.0.1:8086 check port 41001\n server t 10.0.0.2:8086 check port 41001";
    let made = imported("", "", &format!("{http}{side}"));
    let check = &config(&made).backends[0].check;
    assert_eq!(check.port, Some(41001));
    assert!(matches!(&check.probe, Probe::Http { path, .. } if path == "/x"));
    assert!(made.warnings.is_empty(), "{:?}", made.warnings);

    for (servers, said) in [
        (
            " server s 10.0.0.1:8086 check port 41001\n server t 10.0.0.2:8086 check",
            "not all at port 41001",
        ),
        (
            " server s 10.0.0.1:8086 check addr 10.0.0.9",
            "not at 10.0.0.9",
        ),
        (
            " server s 10.0.0.1:8086 check port 41001 send-proxy",
            "with TLS and PROXY headers where requests have them",
        ),
        (
            " http-check connect port 1 ssl\n server s 10.0.0.1:8086 check",
            "a connection is written in its place",
        ),
        (
            " option external-check\n external-check command /bin/true\n server s 10.0.0.1:8086 check",
            "option external-check: haflux checks by a connection or by HTTP",
        ),
    ] {
        let made = imported("", "", &format!("{http}{servers}"));
        let check = &config(&made).backends[0].check;
        assert!(
            matches!(check.probe, Probe::Tcp),
            "{servers}: {}",
            made.text
        );
        assert_eq!(check.port, None, "{servers}");
        let warnings = made.warnings.concat();
        assert!(warnings.contains(said), "{said} is not in {warnings}");
    }
    for (line, said) in [
        (
            "option httpchk OPTIONS /",
            "haflux checks with GET, not OPTIONS",
        ),
        (
            "option httpchk\n http-check send hdr X-Key ours",
            "haflux sends no header X-Key with checks",
        ),
        (
            "option httpchk GET / HTTP/1.1\\r\\nX-Key:\\ ours",
            "haflux sends no header X-Key with checks",
        ),
        ("http-check disable-on-404", "answers 404 is down"),
        (
            "tcp-check expect string +PONG",
            "neither sends nor expects anything",
        ),
        ("default-server agent-check", "haflux asks no agent"),
        ("default-server observe layer7", "by its checks alone"),
    ] {
        let made = imported("", "", &format!(" {line}\n{SERVER}"));
        let warnings = made.warnings.concat();
        assert!(warnings.contains(said), "{said} is not in {warnings}");
    }
}

#[test]
fn a_server_that_tracks_another_is_checked_as_that_one_is() {
    let tracked = |server: &str, other: &str| {
        let made = imported(
            "",
            "",
            &format!(
                " server s {server} track ba/x\nbackend ba\n mode http\n option httpchk GET /health\n server x {other} check inter 7s rise 4"
            ),
        );
        assert!(
            made.warnings.concat().contains("a server follow no other"),
            "{:?}",
            made.warnings
        );
        let pool = config(&made).backends[0].clone();
        assert!(pool.servers[0].check, "{}", made.text);
        pool.check
    };
    let check = tracked("10.0.0.1:8086", "10.0.0.1:8086");
    assert!(matches!(&check.probe, Probe::Http { path, .. } if path == "/health"));
    assert_eq!(
        (check.port, check.rise, check.interval.as_secs()),
        (None, 4, 7)
    );
    let check = tracked("10.0.0.1:8086", "10.0.0.1:9000");
    assert!(matches!(&check.probe, Probe::Http { path, .. } if path == "/health"));
    assert_eq!(check.port, Some(9000));
    let check = tracked("10.0.0.1:8086", "10.0.0.2:9000");
    assert!(matches!(check.probe, Probe::Tcp));
    assert_eq!(check.port, None);
}

#[test]
fn a_line_that_nobody_knows_is_a_warning() {
    const FRONT: [(&str, &str); 15] = [
        (
            "http-request replace-path /a/(.*) /b",
            "as the client sends them",
        ),
        ("http-request set-method POST", "as the client sends them"),
        ("http-request set-method GET", "as the client sends them"),
        ("http-request set-src hdr(x)", "trust_forwarded alone"),
        (
            "http-request add-header X-A b",
            "haflux adds no header beside",
        ),
        (
            "http-response add-header X-A b",
            "haflux adds no header beside",
        ),
        ("http-response replace-header X-A b c", "computes no values"),
        (
            "http-response deny if { status 500 }",
            "passes every answer of a server on",
        ),
        (
            "http-after-response set-header X-A b",
            "servers' answers alone",
        ),
        (
            "http-request return status 200",
            "haflux gives no answers of its own here",
        ),
        ("monitor-uri /alive", "no answer of its own for the checks"),
        (
            "monitor fail if { nbsrv(b) lt 1 }",
            "no answer of its own for the checks",
        ),
        ("no option forwardfor", "haflux has no counterpart"),
        ("maxconn 0", "haflux takes 1 to 1000000"),
        ("newest-word of a release", "haflux has no counterpart"),
    ];
    for (line, said) in FRONT {
        let warnings = imported("", &format!(" {line}"), SERVER).warnings.concat();
        assert!(
            warnings.contains(line) && warnings.contains(said),
            "{line}: {warnings}"
        );
    }
    for (line, said) in [
        (
            "http-request set-header X-A b",
            "a frontend changes headers",
        ),
        ("http-request deny", "haflux keeps nobody out here"),
        ("server-template t 3 nodes.example.org:8086", "left out"),
        ("use-server s if { path /a }", "the balance alone"),
        ("retry-on all-retryable-errors", "by its own rules"),
        ("stats enable", "a frontend has the page"),
        (
            "default-server maxconn 50",
            "limits no connections to a server",
        ),
        ("newest-word of a release", "haflux has no counterpart"),
    ] {
        let warnings = imported("", "", &format!(" {line}\n{SERVER}"))
            .warnings
            .concat();
        assert!(
            warnings.contains(line) && warnings.contains(said),
            "{line}: {warnings}"
        );
    }
    let sockets = " stats socket /run/haflux/a level user\n stats socket /run/haflux/b level admin\n newest-word";
    let warnings = imported(sockets, "", SERVER).warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let warnings = imported("", " bind :::8086 v6only", SERVER).warnings;
    assert!(
        warnings
            .concat()
            .contains("haflux takes IPv4 at [::]:8086 too"),
        "{warnings:?}"
    );
    let both = imported("", " bind :::80 v6only", SERVER);
    assert!(both.warnings.is_empty(), "{:?}", both.warnings);
    let block = imported("", " .if feature(X)\n http-request deny\n .endif", SERVER);
    assert!(
        block.warnings.concat().contains("only HAProxy knows"),
        "{:?}",
        block.warnings
    );
}

#[test]
fn what_is_harmless_to_lose_is_a_comment_alone() {
    let global = " tune.bufsize 32768\n ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets\n ca-base /etc/ssl\n user haproxy";
    let front = " option nolinger\n option tcplog\n capture request header Host len 40\n errorfile 503 /x\n http-request track-sc0 src\n stick-table type ip size 1m\n acl unasked path /a\n .if 0\n http-request deny\n .endif";
    let backend = " timeout queue 3s\n default-server id 7 slowstart 5s\n timeout client 5s\n server s 10.0.0.1:8086 check resolvers r\nresolvers r\n nameserver a 10.0.0.3:53\ndefaults unasked\n newest-word";
    let made = imported(global, front, backend);
    assert!(made.warnings.is_empty(), "{:#?}", made.warnings);
    for line in [
        "tune.bufsize",
        "errorfile",
        "nameserver",
        "newest-word",
        "default-server",
    ] {
        assert!(made.text.contains(line), "{line}: {}", made.text);
    }
}

#[test]
fn headers_of_forwarding_are_those_that_are_written() {
    let front = |lines: &str, backend: &str| {
        let made = imported("", lines, &format!("{backend}{SERVER}"));
        (config(&made).frontends[0].forwarded_for, made)
    };
    let (is_forwarded, made) = front(
        " http-request set-header X-Forwarded-Proto https\n http-request set-header X-Forwarded-Port %[dst_port]",
        "",
    );
    assert!(!is_forwarded);
    assert!(
        made.text
            .contains("{ set_header = { \"X-Forwarded-Proto\" = \"https\" } }"),
        "{}",
        made.text
    );
    assert_eq!(made.warnings.len(), 1);
    assert!(
        made.warnings.concat().contains("computes no values"),
        "{:?}",
        made.warnings
    );

    let (is_forwarded, made) = front(
        " http-request set-header X-Forwarded-Proto http\n http-request set-header X-Forwarded-Proto https if { ssl_fc }\n http-request set-header X-Forwarded-Port 80",
        " option forwardfor\n",
    );
    assert!(is_forwarded, "all backends of the frontend have it");
    assert!(made.warnings.is_empty(), "{:?}", made.warnings);
    assert!(
        !made.text.contains("\"X-Forwarded-Proto\""),
        "{}",
        made.text
    );
    assert!(
        made.text.contains("\"X-Forwarded-Port\" = \"80\""),
        "{}",
        made.text
    );

    let (_, made) = front(
        " option forwardfor\n http-request set-header X-Forwarded-Proto https",
        "",
    );
    let warnings = made.warnings.concat();
    assert!(warnings.contains("as the connection is"), "{warnings}");
    let (is_forwarded, made) = front(
        " use_backend other if { path /a }\nbackend other\n mode http\n server o 10.0.0.8:8086",
        " option forwardfor\n",
    );
    assert!(!is_forwarded);
    let warnings = made.warnings.concat();
    assert!(warnings.contains("for all that it serves"), "{warnings}");
}

#[test]
fn an_acl_of_haproxys_own_is_called_that() {
    let said = |rule: &str| imported("", rule, SERVER).warnings.concat();
    let warnings = said(" http-request deny if HTTP_1.0");
    assert!(
        warnings.contains("HAProxy's own ACL HTTP_1.0"),
        "{warnings}"
    );
    let warnings = said(" http-request deny if nobody");
    assert!(
        warnings.contains("no ACL is named \"nobody\""),
        "{warnings}"
    );
}

/// HAProxy asks the backend for it, haflux the frontend.
#[test]
fn timeout_tunnel_of_backends_counts_for_the_frontend_that_leads_to_them() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let tunnel = |made: &Imported| config(made).frontends[0].tunnel_timeout;
    let ignored = " timeout tunnel 9m\n timeout server 9m\n timeout connect 9m\n timeout queue 9m";
    let made = imported("", ignored, &format!(" timeout tunnel 2m\n{SERVER}"));
    assert_eq!(tunnel(&made), minutes(2), "{}", made.text);
    assert!(made.warnings.is_empty(), "{:?}", made.warnings);
    let note = "it does nothing in a section of this kind";
    assert_eq!(made.text.matches(note).count(), 4, "{}", made.text);

    let made = imported("", ignored, SERVER);
    assert_eq!(tunnel(&made), minutes(60), "HAProxy ignores it there");

    let front = " use_backend c if { path /c }";
    let both = |first: &str, second: &str| {
        let backends = format!("{first}\n{SERVER}\nbackend c\n{second}\n server t 10.0.0.2:8086");
        imported("", front, &backends)
    };
    let made = both(" timeout tunnel 4m", " timeout tunnel 4m");
    assert_eq!((tunnel(&made), made.warnings.len()), (minutes(4), 0));
    for (first, second) in [
        (" timeout tunnel 2m", " timeout tunnel 5m"),
        (" timeout tunnel 5m", ""),
    ] {
        let made = both(first, second);
        assert_eq!(tunnel(&made), minutes(5), "the longest");
        let warnings = made.warnings.concat();
        assert!(warnings.contains("the longest is written"), "{warnings}");
    }
    // As the commonest file has it.
    let text = "defaults\n mode http\n timeout tunnel 3m\nfrontend f\n bind *:80\n default_backend b\nbackend b\n server s 10.0.0.1:8086\n";
    let made = imported_text(text);
    assert_eq!((tunnel(&made), made.warnings.len()), (minutes(3), 0));
}

#[test]
fn what_frontends_have_is_said_of_a_backend_as_it_is() {
    let lines = " timeout http-request 2s\n timeout http-keep-alive 2s\n timeout tarpit 2s";
    let made = imported("", "", &format!("{lines}\n{SERVER}"));
    assert!(!made.text.contains("it does nothing"), "{}", made.text);
    assert_eq!(made.text.matches("in haflux a frontend has it").count(), 3);
    let made = imported("", "", &format!(" timeout client 2s\n maxconn 2\n{SERVER}"));
    assert_eq!(made.text.matches("it does nothing").count(), 2);
}
