//! What a request to `/query` is: a read or a change, and of which databases.

use divan::{Bencher, black_box};
use haflux::influx::influxql::{Limits, Request, classify, classify_request};
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};

const GRAFANA: &str = "SELECT mean(\"usage_idle\") FROM \"autogen\".\"cpu\" WHERE (\"host\" =~ /^(server01|server02)\\.example\\.com$/ \
     AND \"cpu\" = 'cpu-total') AND time >= 1700000000000ms and time <= 1700003600000ms GROUP BY time(10s), \"host\" fill(null)";
const SHOW: &str = "SHOW TAG VALUES FROM \"cpu\" WITH KEY = \"host\"";

fn several() -> String {
    [GRAFANA; 8].join(";\n")
}

/// As browsers and Go encode it.
fn encoded(query: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    query
        .bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn get(bencher: Bencher<'_, '_>, query: &str) {
    let parameters = format!("db=telegraf&epoch=ms&q={}", encoded(query));
    let headers = HeaderMap::new();
    request(bencher, &Method::GET, &parameters, &headers, "");
}

fn request(
    bencher: Bencher<'_, '_>,
    method: &Method,
    parameters: &str,
    headers: &HeaderMap,
    body: &str,
) {
    let limits = Limits::default();
    bencher.bench(|| {
        let request = Request {
            method,
            path: b"/query",
            query_string: black_box(parameters).as_bytes(),
            headers,
            body: black_box(body).as_bytes(),
        };
        classify_request(&request, &limits)
    });
}

#[divan::bench]
fn select_of_a_dashboard(bencher: Bencher<'_, '_>) {
    get(bencher, GRAFANA);
}

#[divan::bench]
fn select_of_a_script(bencher: Bencher<'_, '_>) {
    get(bencher, "SELECT last(v) FROM m");
}

#[divan::bench]
fn show_tag_values(bencher: Bencher<'_, '_>) {
    get(bencher, SHOW);
}

#[divan::bench]
fn eight_statements(bencher: Bencher<'_, '_>) {
    get(bencher, &several());
}

#[divan::bench]
fn form(bencher: Bencher<'_, '_>) {
    let mut headers = HeaderMap::new();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, form);
    let body = format!("q={}", encoded(GRAFANA));
    request(bencher, &Method::POST, "db=telegraf", &headers, &body);
}

/// The text alone, nothing to decode.
#[divan::bench]
fn text_of_a_dashboard(bencher: Bencher<'_, '_>) {
    bencher.bench(|| classify(black_box(GRAFANA.as_bytes())));
}
