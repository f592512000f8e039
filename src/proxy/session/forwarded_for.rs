//! `X-Forwarded-For` and `X-Forwarded-Proto`: for whom a request is passed on.

use std::net::IpAddr;

use http::HeaderMap;
use pingora::http::RequestHeader;

/// For whom.
pub(in crate::proxy) const FOR: &str = "X-Forwarded-For";
/// By which scheme they asked.
pub(in crate::proxy) const PROTO: &str = "X-Forwarded-Proto";

/// Adds the client to those that the request already names, and the scheme unless a proxy before us gave it.
///
/// # Errors
///
/// A value that no header can hold.
pub(crate) fn apply(
    request: &mut RequestHeader,
    (client, scheme): (IpAddr, &'static str),
) -> pingora::Result<()> {
    request.insert_header(FOR, chain(&request.headers, client))?;
    if !request.headers.contains_key(PROTO) {
        request.insert_header(PROTO, scheme)?;
    }
    Ok(())
}

/// Whom a request with these headers is passed on for: those that it names, and `client`.
pub(in crate::proxy) fn chain(headers: &HeaderMap, client: IpAddr) -> Vec<u8> {
    let client = client.to_canonical().to_string();
    let mut chain: Vec<&[u8]> = headers
        .get_all(FOR)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .filter(|value| !value.is_empty())
        .collect();
    chain.push(client.as_bytes());
    chain.join(&b", "[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_added_to_the_chain() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        let client = "::ffff:192.0.2.1".parse().unwrap();
        apply(&mut request, (client, "http")).unwrap();
        assert_eq!(request.headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(request.headers["x-forwarded-proto"], "http");

        request.insert_header(PROTO, "https").unwrap();
        let client = "2001:db8::1".parse().unwrap();
        apply(&mut request, (client, "http")).unwrap();
        assert_eq!(request.headers["x-forwarded-for"], "192.0.2.1, 2001:db8::1");
        assert_eq!(request.headers.get_all(FOR).iter().count(), 1);
        assert_eq!(request.headers["x-forwarded-proto"], "https");
    }
}
