//! Queries and statements, in the forms that clients give them.

use fastrand::Rng;

use super::connection::Request;
use crate::support::http::query_string;

/// A request to `/query`, in one of the forms that it can have.
pub fn query(rng: &mut Rng, database: &str, text: &str, mark: &str) -> Request {
    let target = |parameters: &[(&str, &str)]| {
        let mut all = parameters.to_vec();
        all.extend([("epoch", "ns"), ("n", mark)]);
        format!("/query?{}", query_string(&all))
    };
    let (db, q) = (("db", database), ("q", text));
    let (method, target, form) = match rng.u8(..4) {
        0 => ("GET", target(&[db, q]), None),
        1 => ("POST", target(&[db, q]), None),
        2 => ("POST", target(&[db]), Some(query_string(&[q]))),
        _ => ("POST", target(&[]), Some(query_string(&[db, q]))),
    };
    Request {
        method,
        target,
        header: form
            .as_ref()
            .map(|_| ("Content-Type", "application/x-www-form-urlencoded")),
        body: form.unwrap_or_default().into_bytes(),
    }
}
