//! Who sends a request.

use std::sync::Arc;

use pingora::http::RequestHeader;

use crate::influx::{Credentials, Parameters};
use crate::proxy::routing::acl;

/// Who a request was found to be of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::proxy) enum Sender {
    /// Its frontend does not ask: the nodes do.
    #[default]
    Unasked,
    /// Nobody has to say who they are.
    Anybody,
    /// One of haflux's users.
    User(Arc<str>),
}

/// Whose request it is: one of haflux's users', or whom its credentials name, whom a node has still to verify.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) enum User {
    /// It has no credentials.
    Nobody,
    /// This one.
    Named(String),
    /// It has some, and releases of InfluxDB may read another name in them.
    Untold,
}

impl User {
    /// Of a request whose header this is.
    pub(in crate::proxy) fn of(request: &RequestHeader, sender: &Sender) -> Self {
        if let Sender::User(name) = sender {
            return Self::Named(name.to_string());
        }
        let query = acl::query_string(request);
        let query = std::str::from_utf8(query)
            .ok()
            .filter(|query| !query.contains(';'));
        let Some(query) = query else {
            return Self::Untold;
        };
        let credentials = Credentials::read(&Parameters::parse(query), &request.headers);
        match credentials.user_name() {
            Some(name) => Self::Named(name),
            None if credentials.is_none() => Self::Nobody,
            None => Self::Untold,
        }
    }
}
