//! Queries and statements, as clients send them.

use serde_json::Value;

use super::haflux::Haflux;
use super::http::{self, Answer};
use super::lab::Lab;
use super::write::{User, parameters};

/// Asks or states something, at a node or at what stands before it. Without a name, no database is named.
#[track_caller]
pub fn query(url: &str, database: &str, text: &str) -> Answer {
    query_with(url, &of(database, text))
}

/// The same in somebody's name.
#[track_caller]
pub fn query_as(url: &str, user: User, database: &str, text: &str) -> Answer {
    query_with(url, &parameters(user, &of(database, text)))
}

/// The same with these parameters.
#[track_caller]
pub fn query_with(url: &str, parameters: &[(&str, &str)]) -> Answer {
    http::post(&query_url(url, parameters), "")
}

/// Asks something by GET, which changes nothing.
#[track_caller]
pub fn read(url: &str, database: &str, text: &str) -> Answer {
    http::get(&query_url(url, &of(database, text)))
}

/// Where to ask it.
pub fn query_url(url: &str, parameters: &[(&str, &str)]) -> String {
    format!("{url}/query?{}", http::query_string(parameters))
}

fn of<'a>(database: &'a str, text: &'a str) -> Vec<(&'a str, &'a str)> {
    let database = Some(("db", database)).filter(|(_, name)| !name.is_empty());
    database.into_iter().chain([("q", text)]).collect()
}

/// What is answered to statements that must all be carried out.
#[track_caller]
pub fn carry_out(url: &str, parameters: &[(&str, &str)]) -> Value {
    let answer = query_with(url, parameters);
    let text = answer.text();
    let is_done = answer.status == 200 && !text.contains("error");
    assert!(is_done, "{parameters:?}: {} {text}", answer.status);
    answer.json()
}

impl Lab {
    /// Asks or states something through haflux.
    #[track_caller]
    pub fn query(&self, database: &str, text: &str) -> Answer {
        query(&self.influx_url(), database, text)
    }

    /// States something through haflux, which must carry it out.
    #[track_caller]
    pub fn carry_out(&self, database: &str, statement: &str) -> Value {
        carry_out(&self.influx_url(), &of(database, statement))
    }
}

impl Haflux {
    /// Asks or states something at its frontend `reads`, which leads to the nodes' pool.
    #[track_caller]
    pub fn query(&self, database: &str, text: &str) -> Answer {
        query(&self.url("reads"), database, text)
    }
}
