use super::*;
use pingora::protocols::http::ServerSession;
use proptest::prelude::*;

fn rewritten(text: &str) -> Result<String, u16> {
    let header = understand(text.as_bytes()).map_err(|no| no.status.as_u16())?;
    let header = header.expect("a whole header");
    assert_eq!(header.length, text.len(), "{text:?}");
    Ok(String::from_utf8_lossy(&header.text).into_owned())
}

fn refused(text: &str) -> Option<u16> {
    understand(text.as_bytes())
        .err()
        .map(|no| no.status.as_u16())
}

#[test]
fn a_good_header_has_one_form() {
    let plain = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(rewritten(plain).as_deref(), Ok(plain));
    for (text, expected) in [
        (
            "GET /ping HTTP/1.1\nhost:x  \nA:\tb c\t\n\n",
            "GET /ping HTTP/1.1\r\nhost: x\r\nA: b c\r\n\r\n",
        ),
        (
            "\r\nGET http://y:1/ping HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /ping HTTP/1.1\r\nHost: y:1\r\n\r\n",
        ),
        (
            "GET http://y HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: y\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\nExpect:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n",
        ),
        (
            "GET / HTTP/1.0\r\nExpect: 100-continue\r\nX: \u{e9}\r\n\r\n",
            "GET / HTTP/1.0\r\nX: \u{e9}\r\n\r\n",
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: \r\n\r\n",
        ),
    ] {
        assert_eq!(rewritten(text).as_deref(), Ok(expected), "{text:?}");
    }
}

#[test]
fn what_connection_names_is_taken_out() {
    let with = |lines: &str| {
        let header = rewritten(&format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n"))?;
        let lines = header.strip_prefix("GET / HTTP/1.1\r\nHost: x\r\n");
        Ok(lines
            .and_then(|lines| lines.strip_suffix("\r\n"))
            .map(str::to_owned))
    };
    for (lines, expected) in [
        (
            "connection:Close\r\nA: b\r\n",
            "A: b\r\nConnection: close\r\n",
        ),
        (
            "X-Mine: 1\r\nConnection: close, x-mine,,X-Absent\r\nX-Other: 2\r\nx-MINE: 3\r\n",
            "X-Other: 2\r\nConnection: close\r\n",
        ),
        (
            "Connection: keep-alive, A\r\nConnection: upgrade,b,keep-alive\r\nA: 1\r\nB: 2\r\nAB: 3\r\n",
            "AB: 3\r\nConnection: keep-alive, upgrade\r\n",
        ),
        ("A: 1\r\nConnection: A\r\n", ""),
        ("A: 1\r\nConnection:\r\n", "A: 1\r\n"),
        ("A: 1\r\nConnection: \"A\", :path, A:\r\n", "A: 1\r\n"),
        ("Connection: close, connection\r\n", "Connection: close\r\n"),
    ] {
        assert_eq!(with(lines), Ok(Some(expected.to_owned())), "{lines:?}");
    }
    // A request without these means something else.
    for name in [
        "Authorization",
        "Content-Encoding",
        "Content-Type",
        "Content-Length",
        "Cookie",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
    ] {
        let kept = format!("{name}: 0\r\n");
        let lines = format!("{kept}Connection: {name}\r\n");
        assert_eq!(with(&lines), Ok(Some(kept)), "{name}");
    }
    assert_eq!(with("Connection: host\r\n"), Ok(Some(String::new())));
    let many = format!("Connection: {}\r\n", "a,".repeat(33));
    assert_eq!(with(&many), Err(400));
}

#[test]
fn the_body_is_told_by_the_header() {
    let framing = |lines: &str| {
        let text = format!("POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
        understand(text.as_bytes()).unwrap().unwrap().framing
    };
    assert_eq!(framing(""), Framing::Ended);
    assert_eq!(framing("Content-Length: 0\r\n"), Framing::Ended);
    assert_eq!(framing("content-length: 12\r\n"), Framing::of_length(12));
    assert_eq!(framing("Transfer-Encoding: CHUNKED\r\n"), Framing::CHUNKED);
}

#[test]
fn what_may_mean_two_things_is_refused() {
    let with = |lines: &str| format!("POST /write HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n");
    for (text, status) in [
        (with("Transfer-Encoding: gzip, chunked"), 501),
        (with("Transfer-Encoding: identity"), 501),
        (
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            501,
        ),
        (with("Transfer-Encoding: chunked\r\nContent-Length: 3"), 400),
        (with("Content-Length: 3\r\nContent-Length: 4"), 400),
        (with("Content-Length: +3"), 400),
        (with("Content-Length: 3, 3"), 400),
        (with("Content-Length: 0x3"), 400),
        (with("Content-Length:"), 400),
        (with("Content-Length: 9223372036854775808"), 400),
        (with("Expect: 200-ok"), 417),
        (with("Expect: 100-continue, x"), 417),
        (
            with("Content-Type: application/x-www-form-urlencoded\u{a0}"),
            400,
        ),
        (with("Content-Type: a/b\r\nContent-Type: c/d"), 400),
        (with("A: b\r\n c"), 400),
        (with(" A: b"), 400),
        (with("A : b"), 400),
        (with(": b"), 400),
        (with("A"), 400),
        (with("A: b\rC: d"), 400),
        (with("A: b\0"), 400),
        (with("A: b\u{1b}"), 400),
        (with("A\0: b"), 400),
        (with("Host: y"), 400),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nA: b\r\n\r\n".into(), 400),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            400,
        ),
        ("GET foo:/query HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / http/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1x\r\nHost: x\r\n\r\n".into(), 400),
        ("GET / HTTP/1.2\r\nHost: x\r\n\r\n".into(), 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
        ("GET /\r\n\r\n".into(), 400),
        ("G(T / HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".into(), 405),
        ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n".into(), 400),
        (with(&"A: b\r\n".repeat(300)), 431),
    ] {
        assert_eq!(refused(&text), Some(status), "{text:?}");
    }
}

#[test]
fn a_bad_first_line_is_refused_before_the_rest_is_there() {
    assert_eq!(refused("GET /\r\n"), Some(400));
    assert_eq!(refused("\u{16}\u{3}\u{1}"), Some(400));
    for partial in [
        "",
        "\r\n",
        "GE",
        "GET /ping HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n",
    ] {
        assert!(
            matches!(understand(partial.as_bytes()), Ok(None)),
            "{partial:?}"
        );
    }
}

#[test]
fn the_log_sees_no_more_than_a_path() {
    for (text, expected) in [
        ("GET /query?q=secret HTTP/1.1\r\n", ("GET", "/query")),
        ("GET /query?q=a secret HTTP/1.1\r\n", ("GET", "/query")),
        ("GET /query#secret", ("GET", "/query")),
        ("GET /p=secret HTTP/1.1\r\n", ("GET", "/p")),
        ("GET http://u:secret@x/ HTTP/1.1\r\n", ("GET", "-")),
        ("secret", ("-", "-")),
        ("s\u{e9}cret /x", ("-", "-")),
        ("", ("-", "-")),
    ] {
        let (method, path) = shown(text.as_bytes());
        let found = (
            &*String::from_utf8_lossy(&method),
            &*String::from_utf8_lossy(&path),
        );
        assert_eq!(found, expected, "{text:?}");
    }
}

/// Pingora reads what is handed on without a complaint, and finds the same in it.
fn pingora_agrees(text: BytesMut) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut session = ServerSession::new_http1(Box::new(ours));
        let (whole, length) = (text.clone().freeze(), text.len());
        session.set_pipelined_prefix(text);
        let read = session.read_request().await;
        assert!(matches!(read, Ok(true)), "{read:?} {whole:?}");
        let header = session.req_header();
        let mut line = BytesMut::from(header.method.as_str().as_bytes());
        line.put_u8(b' ');
        line.put_slice(header.raw_path());
        line.put_u8(b' ');
        assert!(whole.starts_with(&line), "{line:?} {whole:?}");
        assert_eq!(length, whole.len());
    });
}

/// Pieces of which headers are made, good ones and bad ones.
fn headers() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof!["GET|POST|HEAD|OPTIONS|get|M-SEARCH", "[A-Z]{1,9}"];
    let target = prop_oneof![
        "/[!-~]{0,30}",
        "/(query|write|ping)\\?[!-~é]{0,40}",
        "(http|https|foo|HTTP)://[!-~]{0,12}/?[!-~]{0,20}",
        "[!-~]{0,20}",
        "\\*",
    ];
    let version = prop_oneof![8 => "HTTP/1\\.[01]", 1 => "HTTP/[0-9]\\.[0-9]", 1 => "[ -~]{0,9}"];
    let name = prop_oneof![
        "Host|host|Content-Length|Transfer-Encoding|Expect|Content-Type|Connection|Upgrade|Accept",
        "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}",
        "[ -~]{0,9}",
    ];
    let value = prop_oneof![
        "x|y:8086|0|3|\\+3|3, 3|chunked|gzip, chunked|100-continue|close|websocket|close, Accept,Host",
        "[ -~\té]{0,20}",
        "[\u{0}-\u{7f}]{0,9}",
    ];
    let end = prop_oneof![9 => Just("\r\n"), 1 => Just("\n")];
    let lines = proptest::collection::vec(
        (name, prop_oneof![Just(":"), Just(": ")], value, end.clone()),
        0..6,
    );
    (method, target, version, lines, end, any::<bool>()).prop_map(
        |(method, target, version, lines, end, host)| {
            let mut text = format!("{method} {target} {version}{end}");
            if host {
                text += "Host: x\r\n";
            }
            for (name, colon, value, end) in lines {
                text += &format!("{name}{colon}{value}{end}");
            }
            (text + end).into_bytes()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_taken_is_taken_again_as_it_is(text in headers()) {
        if let Ok(Some(header)) = understand(&text) {
            prop_assert!(header.length <= text.len());
            let again = understand(&header.text).expect("taken again").expect("whole");
            prop_assert_eq!(&again.text, &header.text);
            prop_assert_eq!(again.framing, header.framing);
            prop_assert_eq!(again.length, header.text.len());
            pingora_agrees(header.text);
        }
    }

    #[test]
    fn what_comes_in_pieces_is_judged_alike(text in headers(), cut in any::<prop::sample::Index>()) {
        let whole = understand(&text);
        let early = understand(&text[..cut.index(text.len())]);
        match (whole, early) {
            (Ok(Some(whole)), Ok(Some(early))) => prop_assert_eq!(whole.text, early.text),
            (Ok(Some(_)), Err(early)) => prop_assert!(false, "{early} of a beginning only"),
            (Err(whole), Err(early)) => prop_assert_eq!(whole, early),
            _ => {}
        }
    }

    #[test]
    fn nothing_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = understand(&text);
        let (method, path) = shown(&text);
        prop_assert!(!method.is_empty() && !path.is_empty());
    }
}
