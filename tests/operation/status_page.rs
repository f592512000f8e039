//! The status page as a person meets it: in a real browser, over real nodes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support;
use crate::support::browser::Browser;
use crate::support::lab::{Lab, replace};
use crate::support::wait::SOON;
use crate::support::{Options, http, status, wait_until};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// Where pictures of the page are left.
fn pictures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("status-page")
}

/// The page's address at a lab.
fn address(lab: &Lab) -> String {
    format!("{}/haproxy?stats", lab.influx_url())
}

/// Lines enough for a backlog that is seen.
fn lines(count: usize) -> String {
    let line = |number: usize| format!("cpu,host=h{} v={number} {}\n", number % 50, number + 1);
    (0..count).map(line).collect()
}

/// A lab with a database whose second node is down while records wait for it.
fn lab_with_a_node_down() -> Lab {
    let mut lab = Lab::start();
    lab.create_database("d");
    support::write_until_taken(&lab.influx_url(), &[("db", "d")], lines(10));
    lab.node2.kill9();
    let url = lab.influx_url();
    for _ in 0..20 {
        assert_eq!(support::try_write(&url, "d", lines(200)), 204);
    }
    wait_until("the node to be down", SOON, || {
        let replica = status::replica(&url, 1);
        replica["status"] == "down" && replica["lag"]["records"].as_u64() >= Some(20)
    });
    lab
}

#[test]
fn everything_is_there_without_script() {
    let lab = lab_with_a_node_down();
    let mut browser = Browser::start(&lab.folder().join("browser"));
    browser.view(1280, 900, false);
    browser.call(
        "Emulation.setScriptExecutionDisabled",
        json!({ "value": true }),
    );
    browser.open(&address(&lab));
    let text = browser.text("document.body.innerText");
    for expected in [
        "Replica influxlab2 is DOWN",
        "Records on one node only",
        "systemctl status influxdb",
        "loads itself anew every 5 s",
        "influx_front",
        "grafana_back",
        "influx_relay",
        "L7OK",
        "Average times of the last 1,024",
        "Writes acknowledged in",
        "of the last 21",
        "Lines dropped",
    ] {
        assert!(text.contains(expected), "no {expected:?} in: {text}");
    }
    // What only script can do is not offered.
    assert_eq!(
        browser.evaluate("document.querySelector('#tools').offsetHeight"),
        0
    );
    assert_eq!(
        browser.evaluate("document.querySelectorAll('main button').length"),
        0
    );
    // The picture: replicas stand where their cursors are.
    let cursors = browser.text(
        "[...document.querySelectorAll('.picture .cursor')].map(one => one.getAttribute('x')).join()",
    );
    let (fresh, behind) = cursors.split_once(',').expect("two cursors");
    assert_eq!(fresh, "100.00%");
    assert!(behind < "90", "{cursors}");
    browser.screenshot(&pictures().join("without-script.png"));
    assert_eq!(browser.complaints(&lab.influx_url()), [""; 0]);
}

#[test]
fn page_lives_and_keeps_what_a_person_did() {
    let mut lab = Lab::start();
    lab.create_database("d");
    support::write_until_taken(&lab.influx_url(), &[("db", "d")], lines(10));
    let origin = lab.influx_url();
    let mut browser = Browser::start(&lab.folder().join("browser"));
    browser.view(1280, 700, false);
    browser.open(&address(&lab));
    browser.until("document.querySelector('#connection').textContent === 'live'");
    browser.until("document.querySelector('#headline').textContent.startsWith('All is well')");

    // Sorting, by keyboard: the title of a column is a button.
    let order = "[...document.querySelectorAll('[data-key=backend-influx_back] tbody tr')].map(row => row.dataset.key).join()";
    assert_eq!(browser.text(order), "influxlab,influxlab2");
    browser.evaluate(
        "document.querySelector('[data-key=backend-influx_back] thead th button').focus()",
    );
    browser.press("Enter");
    browser.press("Enter");
    assert_eq!(browser.text(order), "influxlab2,influxlab");
    let sorted = "document.querySelector('[data-key=backend-influx_back] thead th').ariaSort";
    assert_eq!(browser.text(sorted), "descending");

    // The filter, by keyboard; it has the focus from here on.
    browser.press("/");
    for letter in ["l", "a", "b", "2"] {
        browser.press(letter);
    }
    let shown = "[...document.querySelectorAll('tbody tr')].filter(row => row.offsetHeight > 0).map(row => row.dataset.key).join()";
    assert_eq!(browser.text(shown), "influxlab2,influxlab2");
    browser.evaluate("scrollTo(0, 150)");

    // What happens at the nodes comes to the page, and nothing of this is lost.
    lab.node2.kill9();
    browser.until("document.querySelector('#headline').textContent.includes('influxlab2 is DOWN')");
    for _ in 0..20 {
        assert_eq!(support::try_write(&origin, "d", lines(100)), 204);
    }
    browser.until("parseInt(document.querySelector('#one-node dd').textContent) >= 20");
    browser.until("document.title === '(1 problem) haflux'");
    assert_eq!(browser.text("document.activeElement.id"), "filter");
    assert_eq!(
        browser.text("document.querySelector('#filter').value"),
        "lab2"
    );
    assert_eq!(browser.text(shown), "influxlab2,influxlab2");
    assert_eq!(browser.text(order), "influxlab2,influxlab");
    assert_eq!(browser.evaluate("scrollY"), 150);
    browser.press("Escape");
    assert_eq!(browser.text("document.querySelector('#found').value"), "");
    assert_ne!(browser.text("document.activeElement.id"), "filter");

    // `r` stops it and lets it go on; `?` tells of the keys.
    browser.press("r");
    browser.until("document.querySelector('#refresh').ariaPressed === 'false'");
    let seen = "document.querySelector('main').dataset.at";
    let before = browser.text(seen);
    browser.rest(Duration::from_millis(2500));
    assert_eq!(browser.text(seen), before);
    browser.press("r");
    browser.until(&format!("{seen} !== '{before}'"));
    browser.press("?");
    assert_eq!(
        browser.evaluate("document.querySelector('#help').open"),
        true
    );
    browser.press("Escape");
    browser.until("!document.querySelector('#help').open");

    // Assistive programs are told a name for whatever can be used, and the tables' titles.
    let told = browser.accessible();
    for (role, name) in &told {
        let is_used = ["button", "searchbox", "link", "textbox", "region", "table"];
        assert!(
            !is_used.contains(&role.as_str()) || !name.is_empty() || role == "table",
            "{role}"
        );
    }
    for wanted in [
        ("banner", ""),
        ("main", ""),
        ("navigation", "The same for programs"),
        ("search", ""),
        ("searchbox", "Filter"),
        ("button", "Responses 5xx"),
        ("button", "Average times of the last 1,024 response"),
        ("button", "Requests per s"),
        ("rowheader", "influxlab2"),
        ("region", "Servers of influx_back"),
    ] {
        let is_there =
            |(role, name): &(String, String)| role == wanted.0 && name.starts_with(wanted.1);
        assert!(told.iter().any(is_there), "no {wanted:?} in {told:?}");
    }
    assert_eq!(browser.complaints(&origin), [""; 0]);

    // It says so when haflux is gone, and when it is back.
    lab.haflux.terminate();
    browser.until("document.querySelector('#headline').textContent.startsWith('haflux has not answered since')");
    assert_eq!(
        browser.text("document.querySelector('#connection').textContent"),
        "no answer"
    );
    lab.haflux.restart();
    browser.until("document.querySelector('#connection').textContent === 'live'");
    browser.until("!document.querySelector('#headline').textContent.startsWith('haflux has not')");
}

#[test]
fn page_fits_narrow_and_dark_screens() {
    let lab = lab_with_a_node_down();
    let mut browser = Browser::start(&lab.folder().join("browser"));
    for (width, height, dark) in [
        (1440, 1000, false),
        (1440, 1000, true),
        (360, 800, false),
        (360, 800, true),
    ] {
        browser.view(width, height, dark);
        browser.open(&address(&lab));
        browser.until("document.querySelector('#connection').textContent === 'live'");
        let most = browser.evaluate("document.documentElement.scrollWidth");
        assert!(
            most.as_u64() <= Some(width.into()),
            "the page is {most} wide in a window of {width}"
        );
        let page = browser.text("getComputedStyle(document.body).backgroundColor");
        let is_dark = page
            .strip_prefix("rgb(")
            .and_then(|rest| rest.split(',').next()?.parse::<u8>().ok())
            < Some(128);
        assert_eq!(is_dark, dark, "{page}");
        let scheme = if dark { "dark" } else { "light" };
        browser.screenshot(&pictures().join(format!("{width}-{scheme}.png")));
    }
    assert_eq!(browser.complaints(&lab.influx_url()), [""; 0]);
}

#[test]
fn page_is_for_who_has_the_password() {
    let lab = Lab::start_with(Options::default(), |text| {
        let keys = "stats_uri = \"/haproxy?stats\"\nstats_auth = [\"guest:one\", \"admin:open sesame\"]\nstats_refresh = \"9s\"\n";
        replace(text, &[("stats_uri = \"/haproxy?stats\"\n", keys)])
    });
    let ask = |uri: &str, credentials: Option<&str>| {
        let header = credentials.map(|text| format!("Basic {}", STANDARD.encode(text)));
        let headers: Vec<(&str, &str)> = header
            .iter()
            .map(|text| ("Authorization", text.as_str()))
            .collect();
        http::request("GET", &format!("{}{uri}", lab.influx_url()), &headers, b"")
    };
    for uri in [
        "/haproxy?stats",
        "/haproxy?stats;json",
        "/haproxy?stats;csv",
        "/haproxy?stats;inside",
    ] {
        for wrong in [
            None,
            Some("admin:wrong"),
            Some("admin:"),
            Some("guest:open sesame"),
        ] {
            let answer = ask(uri, wrong);
            assert_eq!(answer.status, 401, "{uri} {wrong:?}");
            assert_eq!(
                answer.header("WWW-Authenticate"),
                Some("Basic realm=\"haflux\", charset=\"UTF-8\"")
            );
            assert!(!answer.text().contains("influx_relay"), "{}", answer.text());
        }
    }
    let page = ask("/haproxy?stats", Some("admin:open sesame"));
    assert_eq!(page.status, 200);
    assert!(page.text().contains("content=\"9\""));
    assert_eq!(ask("/haproxy?stats;json", Some("guest:one")).status, 200);
    // The nodes are asked without it, and the log shows nothing of it.
    assert_eq!(ask("/ping", None).status, 204);
    assert!(!lab.haflux.log().contains("sesame"));
}

#[test]
fn page_is_found_by_an_absolute_address() {
    let lab = Lab::start();
    let address = lab.haflux.address("influx_front");
    for target in [
        "/haproxy?stats",
        "http://lab/haproxy?stats",
        "HTTP://lab:8086/haproxy?stats;norefresh",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
        let answer = http::raw(&address, request.as_bytes(), SOON).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200"), "{target}: {answer}");
        assert!(answer.contains("<h1>haflux</h1>"), "{target}");
        assert!(
            answer
                .to_lowercase()
                .contains("content-security-policy: default-src 'none'")
        );
    }
}

/// Makes the pictures of README and docs: `cargo test --test operation status_page:: -- --ignored pictures`.
#[test]
#[ignore = "makes docs/status-page.png anew"]
fn pictures_for_the_docs() {
    let mut lab = Lab::start_of(3, Options::default(), |text| text);
    lab.create_database("telegraf");
    let url = lab.influx_url();
    support::write_until_taken(&url, &[("db", "telegraf")], lines(1000));
    lab.node2.kill9();
    lab.further[0].kill9();
    let body = lines(20_000);
    for _ in 0..60 {
        assert_eq!(support::try_write(&url, "telegraf", &body), 204);
        status::page(&url);
        support::query(&url, "telegraf", "SELECT count(v) FROM cpu");
    }
    wait_until("the nodes to be down", SOON, || {
        (1..3).all(|number| status::replica(&url, number)["status"] == "down")
    });
    let mut browser = Browser::start(&lab.folder().join("browser"));
    browser.open(&address(&lab));
    lab.further[0].restart();
    wait_until("the third node to catch up", SOON, || {
        status::replica(&url, 2)["lag"]["catch_up"].is_number()
    });
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (dark, name) in [(false, "status-page.png"), (true, "status-page-dark.png")] {
        browser.view(1360, 1060, dark);
        browser.call("Emulation.setScrollbarsHidden", json!({ "hidden": true }));
        browser.rest(Duration::from_millis(1500));
        browser.screenshot(&docs.join(name));
    }
}
