//! Orders that are given on the status page with a real browser, and those that come from elsewhere, which are refused.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use crate::support::lab::Lab;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Browser, Options, StandIn, http, status, wait_until};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const SERVER: &str = "influx_back/influxlab2";

/// Who may give orders.
const USER: &str = "admin:sesame";

/// The lab, whose page at the nodes' frontend takes orders of a user; that at the other one is for everybody to look at.
fn lab() -> Lab {
    Lab::start_with(Options::default(), |text| {
        let uri = "stats_uri = \"/haproxy?stats\"\n";
        let (before, behind) = text.rsplit_once(uri).expect("a page");
        format!("{before}{uri}stats_admin = true\nstats_auth = [\"{USER}\"]\n{behind}")
    })
}

/// A browser that knows the password, as one in which a person has said it once.
fn browser(lab: &Lab) -> Browser {
    let mut browser = Browser::start(&lab.folder().join("browser"));
    browser.view(1280, 900, false);
    let address = address(lab).replace("http://", &format!("http://{USER}@"));
    browser.open(&format!("{address};norefresh"));
    assert_eq!(
        browser.text("document.querySelector('h1').textContent"),
        "haflux"
    );
    browser.forget();
    browser
}

fn address(lab: &Lab) -> String {
    format!("{}/haproxy?stats", lab.influx_url())
}

/// The column `status` of the server in HAProxy's `show stat`, over the socket.
fn status_on_the_socket(lab: &Lab) -> String {
    let socket = lab.haflux.folder().join("data/control.sock");
    let mut connection = UnixStream::connect(socket).expect("the socket");
    connection
        .write_all(b"show stat influx_back 4 -1\n")
        .expect("asked");
    connection.shutdown(Shutdown::Write).expect("asked");
    let mut csv = String::new();
    connection.read_to_string(&mut csv).expect("an answer");
    let row = csv
        .lines()
        .find(|line| line.starts_with("influx_back,influxlab2,"));
    let cell = row.and_then(|row| row.split(',').nth(17));
    cell.expect("a status").to_owned()
}

/// The state as it stands in the server's row of the page.
const SHOWN: &str = "document.querySelector('[data-key=\"backend-influx_back\"] tr[data-key=influxlab2] .state')?.textContent";

#[test]
fn buttons_of_the_page_take_a_server_out_and_bring_it_back() {
    let lab = lab();
    let mut browser = browser(&lab);
    browser.open(&address(&lab));
    browser.until("document.querySelector('#connection').textContent === 'live'");
    browser.until(&format!("{SHOWN} === 'UP'"));
    for (order, word) in [("drain", "DRAIN"), ("maint", "MAINT"), ("ready", "UP")] {
        press(&mut browser, order);
        browser.until(&format!("{SHOWN} === '{word}'"));
        assert_eq!(status_on_the_socket(&lab), word);
        let headline = match order {
            "ready" => "All is well".to_owned(),
            _ => format!("Nothing is wrong. Server {SERVER} is in {order} by order"),
        };
        // A replica that was in maint has to be met first.
        browser.until(&format!(
            "document.querySelector('#headline')?.textContent.startsWith('{headline}')"
        ));
    }
    // Each answer leads back to the page.
    assert_eq!(browser.text("location.href"), address(&lab));
    browser.until("document.querySelector('#connection').textContent === 'live'");

    // A button is in sight without scrolling, and names what it does to which server.
    let right = browser.evaluate(&format!(
        "{}.getBoundingClientRect().right",
        button("maint")
    ));
    assert!(right.as_f64() < Some(1280.0), "{right}");
    let told = browser.accessible();
    for order in ["drain", "maint", "ready"] {
        let wanted = ("button".to_owned(), format!("{order} {SERVER}"));
        assert!(told.contains(&wanted), "no {wanted:?} in {told:?}");
    }

    // Without script it is the same.
    browser.call(
        "Emulation.setScriptExecutionDisabled",
        json!({ "value": true }),
    );
    browser.open(&address(&lab));
    for (order, word) in [("drain", "DRAIN"), ("ready", "UP")] {
        press(&mut browser, order);
        browser.until(&format!("{SHOWN} === '{word}'"));
        assert_eq!(status_on_the_socket(&lab), word);
    }
    assert_eq!(browser.complaints(&lab.influx_url()), [""; 0]);
}

/// The button of this order, as an expression.
fn button(order: &str) -> String {
    format!("document.querySelector('button[aria-label=\"{order} {SERVER}\"]')")
}

/// Presses the button of this order by keyboard.
#[track_caller]
fn press(browser: &mut Browser, order: &str) {
    let button = button(order);
    browser.until("document.readyState === 'complete'");
    browser.evaluate(&format!("{button}.focus()"));
    assert_eq!(
        browser.evaluate(&format!("document.activeElement === {button}")),
        true
    );
    browser.press("Enter");
}

#[test]
fn an_order_of_another_page_is_refused_even_with_the_token() {
    let lab = lab();
    let known = format!("Basic {}", STANDARD.encode(USER));
    let known = ("Authorization", known.as_str());
    let page = http::request("GET", &address(&lab), &[known], b"").text();
    let (_, rest) = page.split_once("name=\"token\" value=\"").expect("a token");
    let token = rest.split_once('"').expect("its end").0.to_owned();
    let form = |token: &str| format!("token={token}&order=maint+influx_back%2Finfluxlab2");

    // A page of another origin, on which a person who may give orders presses a button.
    let html = format!(
        "<!DOCTYPE html><title>elsewhere</title><form method=post action=\"{}\">\
         <input type=hidden name=token value={token}>\
         <button id=trap name=order value=\"maint {SERVER}\">Win</button></form>",
        address(&lab)
    );
    let elsewhere = StandIn::start(move |_| Behaviour::Answer {
        status: 200,
        headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
        body: html.clone().into_bytes(),
    });
    let mut browser = browser(&lab);
    browser.open(&format!("http://{}/", elsewhere.address()));
    browser.evaluate("document.querySelector('#trap').focus()");
    browser.press("Enter");
    browser.until("document.body?.innerText.includes('does not come from the status page')");
    // Nor by a request of its script, whose answer it may not read.
    browser.open(&format!("http://{}/", elsewhere.address()));
    let sent = format!(
        "fetch('{}', {{ method: 'POST', mode: 'no-cors', credentials: 'include', body: new URLSearchParams('{}') }}).then(answer => answer.type)",
        address(&lab),
        form(&token)
    );
    assert_eq!(browser.text(&sent), "opaque");
    assert_eq!(status_on_the_socket(&lab), "UP");

    // Without a browser: no token, another one, another origin.
    let post = |headers: &[(&str, &str)], body: &str| {
        let headers = [&[known], headers].concat();
        http::request("POST", &address(&lab), &headers, body.as_bytes()).status
    };
    let host = lab.haflux.address("influx_front");
    let here = format!("http://{host}");
    for (headers, body) in [
        (&[][..], "order=maint+influx_back%2Finfluxlab2".to_owned()),
        (&[("Origin", here.as_str())][..], form("")),
        (
            &[("Origin", here.as_str())][..],
            form(&"0".repeat(token.len())),
        ),
        (&[("Origin", "http://127.0.0.1:1")][..], form(&token)),
        (&[("Origin", "null")][..], form(&token)),
        (&[("Sec-Fetch-Site", "same-site")][..], form(&token)),
    ] {
        assert_eq!(post(headers, &body), 403, "{headers:?} {body}");
    }
    let notices = || status::page(&lab.grafana_url())["notices"].take();
    assert_eq!(notices(), Value::Array(Vec::new()));
    assert_eq!(post(&[("Origin", &here)], &form(&token)), 303);
    wait_until("the order to count", SOON, || {
        status_on_the_socket(&lab) == "MAINT"
    });
    assert_eq!(
        notices()[0]["what"],
        format!("Server {SERVER} is in maint by order")
    );
}
