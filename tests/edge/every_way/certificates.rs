//! Clients' certificates, and WebSockets inside TLS.

use super::{Plan, Site, WAYS};
use crate::support::authority::SecureConnection;
use crate::support::wait::SOON;
use crate::support::{status, wait_until, websocket};

/// A site for clients with certificates, of which `good.pem` is good and `revoked.pem` is revoked.
fn site_for_certificates() -> Site {
    Site::start_as(
        |_, authority| {
            authority.sign("good.pem", "a client", 90);
            let file = authority.sign("revoked.pem", "a revoked client", 90);
            authority.revoke(&file);
        },
        &Plan {
            head: "",
            tls: ", client_certificate = \"required\", client_ca = \"FOLDER/authority/ca.pem\", client_crl = \"FOLDER/authority/crl.pem\"",
            frontends: &[("front", "")],
        },
    )
}

#[test]
fn a_revoked_certificate_is_turned_away_by_each_way() {
    let site = site_for_certificates();
    let failures = || {
        let front = status::frontend(&site.haflux.url("page"), "front");
        let failures = &front["tls"]["failures"];
        failures["client_certificate"].as_u64().expect("a number")
    };
    for way in WAYS.iter().filter(|way| way.address == "secure") {
        let shown = |file: &str, more: &[&str]| {
            let file = site.authority.file(file);
            site.ask("front", *way, "/ping", &[&["--cert", &file], more].concat())
        };
        for version in ["1.2", "1.3"] {
            let version = ["--tls-max", version];
            shown("good.pem", &version).assert_status(*way, 204);
            let before = failures();
            shown("revoked.pem", &version).assert_closed(*way);
            site.ask("front", *way, "/ping", &version)
                .assert_closed(*way);
            wait_until("both to be counted", SOON, || failures() == before + 2);
        }
    }
}

#[test]
fn a_list_that_grows_keeps_out_who_comes_anew_by_each_way() {
    let site = site_for_certificates();
    let secure: Vec<_> = WAYS.iter().filter(|way| way.address == "secure").collect();
    let good = site.authority.file("good.pem");
    let ask = |way| site.ask("front", way, "/ping", &["--cert", &good]);
    for way in &secure {
        ask(**way).assert_status(**way, 204);
    }
    site.authority.revoke(&good);
    site.haflux.order(&["reload"]);
    for way in &secure {
        ask(**way).assert_closed(**way);
    }
}

#[test]
fn a_websocket_is_spoken_inside_tls() {
    let server = websocket::echo();
    let head = format!(
        "[[backend]]\nname = \"live\"\nservers = [{{ name = \"a\", address = \"{server}\" }}]\n"
    );
    let site = Site::start_as(
        |_, _| (),
        &Plan {
            head: &head,
            tls: "",
            frontends: &[(
                "front",
                "use_backend = [{ backend = \"live\", if = { path_beg = \"/api/live\" } }]",
            )],
        },
    );
    let address = site.haflux.address("front_secure");
    let connection = SecureConnection::open(&address, &site.authority, "localhost");
    let url = "wss://localhost/api/live/ws";
    let (mut socket, answer) = tungstenite::client(url, connection).expect("an upgrade");
    assert_eq!(answer.status(), 101);
    for length in [3, 200_000] {
        let text = "x".repeat(length);
        socket
            .send(tungstenite::Message::text(text.clone()))
            .expect("sent");
        let echo = socket.read().expect("an echo").into_text().expect("text");
        assert_eq!(echo.as_str(), text);
    }
    // What has another way inside goes on meanwhile.
    for way in WAYS {
        site.ask("front", way, "/ping", &[]).assert_status(way, 204);
    }
    socket.close(None).expect("a goodbye");
    wait_until("the tunnel to end", SOON, || socket.read().is_err());
}
