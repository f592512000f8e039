//! What an authority says of a frontend's certificate (OCSP) comes with the certificate, to clients that want to know.

use std::fs;
use std::io::Write;

use crate::support::authority::SecureConnection;
use crate::support::http;
use crate::support::wait::SOON;
use crate::support::{status, wait_until};
use crate::tls::{Site, key};

const MONTH: [&str; 2] = ["-ndays", "30"];
const VALID: &str = "-valid";

/// Two certificates, each with what its authority says of it.
fn start() -> Site {
    Site::start(|authority| {
        let files = ["one", "two"].map(|name| {
            let file = authority.sign(&format!("{name}.pem"), &format!("{name}.example"), 90);
            let response = authority.respond(VALID, &file, "-1s", MONTH);
            fs::write(format!("{file}.ocsp"), response).expect("a file");
            // curl looks for the authority in the chain.
            let [own, chain] = [&file, &authority.certificate()].map(fs::read);
            let whole = [own.expect("a file"), chain.expect("a file")].concat();
            fs::write(&file, whole).expect("a file");
            file
        });
        let [one, two] = &files;
        format!(
            "{}, {}, certificates = [{{ {}, {} }}]",
            key("certificate", one),
            key("ocsp", &format!("{one}.ocsp")),
            key("certificate", two),
            key("ocsp", &format!("{two}.ocsp")),
        )
    })
}

/// What comes with the certificate for this name.
fn status_of(site: &Site, name: &str, version: &str) -> String {
    site.s_client(&["-status", version, "-servername", name])
}

const NOTHING: &str = "OCSP response: no response sent";

#[track_caller]
fn assert_good(site: &Site, name: &str) {
    for version in ["-tls1_2", "-tls1_3"] {
        let said = status_of(site, name, version);
        assert!(
            said.contains("OCSP Response Status: successful (0x0)")
                && said.contains("Cert Status: good"),
            "{version}: {said}"
        );
    }
}

#[test]
fn a_client_that_asks_is_told_what_the_authority_says() {
    let site = start();
    for name in ["one.example", "two.example"] {
        assert_good(&site, name);
        // This one verifies who says it of what.
        let (said, exit) = site.curl(name, "/", &["--cert-status"]);
        assert_eq!((said.as_str(), exit), ("https", Some(0)), "{name}");
    }
    let page = status::frontend(&site.haflux.url("plain"), "front");
    for one in page["tls"]["ocsp"].as_array().expect("a list") {
        assert_eq!(one["stapled"], true, "{one}");
    }
    let metrics = http::get(&format!("{}/metrics", site.haflux.url("plain"))).text();
    let file = site.authority.file("one.pem");
    let line =
        format!("haflux_frontend_ocsp_stapled{{frontend=\"front\",certificate=\"{file}\"}} 1\n");
    assert!(metrics.contains(&line), "{metrics}");
}

#[test]
fn a_reload_takes_a_new_response_and_what_is_none_is_named_and_left_out() {
    let site = start();
    let (one, staple) = (
        site.authority.file("one.pem"),
        site.authority.file("one.pem.ocsp"),
    );
    let mut kept = SecureConnection::open(&site.address(), &site.authority, "one.example");
    let mut ask = || {
        let request = b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n";
        kept.write_all(request).expect("it is open");
        let (answer, stays) = http::read_answer(&mut kept.from, false).expect("an answer");
        assert!(stays);
        answer.text()
    };
    assert_eq!(ask(), "https");
    let respond = |what, from, lasts| site.authority.respond(what, &one, from, lasts);
    let good = respond(VALID, "-1s", MONTH);
    let other = fs::read(site.authority.file("two.pem.ocsp")).expect("a file");
    let request = fs::read(site.authority.file("ocsp.request")).expect("a file");
    let no_answer = b"\x30\x03\x0a\x01\x06".to_vec();
    for (response, why) in [
        (respond("-revoke", "-1s", MONTH), "revoked"),
        (
            respond(VALID, "-200s", ["-nmin", "1"]),
            "it was good until ",
        ),
        (respond(VALID, "+1h", MONTH), "it is good from "),
        (other, "of another certificate"),
        (no_answer, "the responder did not answer"),
        (request, "it is no OCSP response in DER form"),
        (Vec::new(), "it is empty"),
        (
            b"-----BEGIN OCSP RESPONSE-----".to_vec(),
            "it is no OCSP response in DER form",
        ),
    ] {
        fs::write(&staple, response).expect("a file");
        let words = format!("the OCSP response in {staple} is not stapled: ");
        let checked = site.haflux.told(&["check"]);
        let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
        assert!(checked.status.success(), "{why}: {said}");
        let line = said.lines().find(|line| line.contains(&words));
        assert!(line.is_some_and(|line| line.contains(why)), "{why}: {said}");
        site.haflux.order(&["reload"]);
        for version in ["-tls1_2", "-tls1_3"] {
            let said = status_of(&site, "one.example", version);
            assert!(said.contains(NOTHING), "{why}: {said}");
        }
        assert_eq!(site.curl("one.example", "/", &[]).0, "https");
        assert_good(&site, "two.example");
        let page = status::page(&site.haflux.url("plain"));
        let problem = page["problems"][0]["what"].as_str().unwrap_or_default();
        assert!(problem.contains(&staple), "{why}: {page}");
    }
    site.haflux.says("is not stapled: ");
    fs::remove_file(&staple).expect("the file");
    site.haflux.order(&["reload"]);
    site.haflux.says("cannot be read: ");

    fs::write(&staple, good).expect("a file");
    let said = site.haflux.order(&["reload"]);
    assert!(said.contains("tls: a new OCSP response in "), "{said}");
    assert!(!said.contains("a new certificate"), "{said}");
    assert_good(&site, "one.example");
    assert_eq!(ask(), "https");
}

#[test]
fn a_response_is_shown_until_its_end() {
    let site = start();
    let (one, staple) = (
        site.authority.file("one.pem"),
        site.authority.file("one.pem.ocsp"),
    );
    let short = site.authority.respond(VALID, &one, "-45s", ["-nmin", "1"]);
    fs::write(&staple, short).expect("a file");
    site.haflux.order(&["reload"]);
    assert!(status_of(&site, "one.example", "-tls1_3").contains("Cert Status: good"));
    wait_until("its end", SOON, || {
        status_of(&site, "one.example", "-tls1_3").contains(NOTHING)
    });
    let page = status::page(&site.haflux.url("plain"));
    let problem = page["problems"][0]["what"].as_str().unwrap_or_default();
    assert!(problem.contains(&staple), "{page}");
    assert_eq!(site.curl("one.example", "/", &[]).0, "https");
}
