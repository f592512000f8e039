//! What haflux says of itself: its status page as JSON.

use serde_json::Value;

use super::http;

/// The page, of a haflux that has a frontend at `url`.
#[track_caller]
pub fn page(url: &str) -> Value {
    http::get(&format!("{url}/haproxy?stats;json")).json()
}

/// What it says of the only relay.
#[track_caller]
pub fn relay(url: &str) -> Value {
    page(url)["relays"][0].take()
}

/// What it says of a replica of the only relay, by its number from 0 on.
#[track_caller]
pub fn replica(url: &str, number: usize) -> Value {
    relay(url)["replicas"][number].take()
}

/// What it says of the frontend of this name.
#[track_caller]
pub fn frontend(url: &str, name: &str) -> Value {
    let mut page = page(url);
    let frontends = page["frontends"].as_array_mut().expect("frontends");
    let found = frontends
        .iter_mut()
        .find(|frontend| frontend["name"] == name);
    found.map(Value::take).expect("a frontend of that name")
}
