//! Writes of line protocol, as clients send them.

use super::haflux::Haflux;
use super::http::{self, Answer};
use super::lab::Lab;
use super::wait::{SOON, wait_until};

/// A name and a password; none: neither is sent.
pub type User<'a> = Option<(&'a str, &'a str)>;

/// Writes lines to a database, at a node or at what stands before it.
#[track_caller]
pub fn write(url: &str, database: &str, lines: impl AsRef<[u8]>) -> Answer {
    write_with(url, &[("db", database)], lines)
}

/// The same in somebody's name.
#[track_caller]
pub fn write_as(url: &str, user: User, database: &str, lines: impl AsRef<[u8]>) -> Answer {
    write_with(url, &parameters(user, &[("db", database)]), lines)
}

/// The same with these parameters.
#[track_caller]
pub fn write_with(url: &str, parameters: &[(&str, &str)], lines: impl AsRef<[u8]>) -> Answer {
    http::post(&target(url, parameters), lines)
}

/// The status that is answered; 0 if there is no whole answer, because what is asked may be ended meanwhile.
pub fn try_write(url: &str, database: &str, lines: impl AsRef<[u8]>) -> u16 {
    try_write_with(url, &[("db", database)], lines)
}

/// The same with these parameters.
pub fn try_write_with(url: &str, parameters: &[(&str, &str)], lines: impl AsRef<[u8]>) -> u16 {
    let answer = http::try_request("POST", &target(url, parameters), &[], lines.as_ref());
    answer.map_or(0, |answer| answer.status)
}

/// Writes until that is acknowledged: after a start, replicas are in reach only after a handshake.
#[track_caller]
pub fn write_until_taken(url: &str, parameters: &[(&str, &str)], lines: impl AsRef<[u8]>) {
    wait_until("the write to be acknowledged", SOON, || {
        write_with(url, parameters, &lines).status == 204
    });
}

/// These parameters and the user's.
pub fn parameters<'a>(user: User<'a>, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let credentials = user.map(|(name, password)| [("u", name), ("p", password)]);
    let credentials = credentials.into_iter().flatten();
    more.iter().copied().chain(credentials).collect()
}

fn target(url: &str, parameters: &[(&str, &str)]) -> String {
    format!("{url}/write?{}", http::query_string(parameters))
}

impl Lab {
    /// Writes lines through haflux.
    #[track_caller]
    pub fn write(&self, database: &str, lines: impl AsRef<[u8]>) -> Answer {
        write(&self.influx_url(), database, lines)
    }
}

impl Haflux {
    /// Writes lines at its frontend `front`.
    #[track_caller]
    pub fn write(&self, database: &str, lines: impl AsRef<[u8]>) -> Answer {
        write(&self.url("front"), database, lines)
    }
}
