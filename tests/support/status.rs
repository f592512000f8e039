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
