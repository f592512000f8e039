//! What a request offers to prove who sends it, taken out of it, so that neither a node nor the log nor the journal sees any of it.
//!
//! It is found where InfluxDB finds it (`parseCredentials`): `u` and `p` of the URL, if both say something; else the header
//! `Authorization`, which is `Token user:password` or HTTP's Basic. What follows `Bearer`, and what follows `Token` without a colon, is a
//! token. `u` and `p` in a form are no credentials to InfluxDB, so they are none here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode;
use pingora::http::RequestHeader;

use crate::influx::{Credentials, Parameters};
use crate::proxy::routing::acl;

/// What a request offers. Holds secrets: it has no `Debug`.
#[derive(PartialEq, Eq)]
pub(super) enum Offered {
    Nothing,
    /// Something that nobody understands, or that releases of InfluxDB read differently.
    Unreadable,
    /// A password without a user's name.
    NoName,
    Password {
        name: String,
        password: Vec<u8>,
    },
    Token(Vec<u8>),
}

/// Takes it out of the request: all of it, also what does not count.
pub(super) fn take(request: &mut RequestHeader) -> Offered {
    let query = acl::query_string(request);
    let offered = read(query, request);
    let is_kept = |pair: &&[u8]| !pair.split(|byte| *byte == b';').any(is_credential);
    let pairs = query.split(|byte| *byte == b'&');
    let kept: Vec<&[u8]> = pairs.clone().filter(is_kept).collect();
    if kept.len() < pairs.count() {
        let (path, kept) = (acl::path(request), kept.join(&b'&'));
        let target = match kept.is_empty() {
            true => path.to_vec(),
            false => [path, b"?", &kept].concat(),
        };
        // The target was well-formed with what is gone, and is so without it.
        if request.set_raw_path(&target).is_err() {
            return Offered::Unreadable;
        }
    }
    while request.remove_header(&AUTHORIZATION).is_some() {}
    offered
}

/// Whether the pair is called `u` or `p`.
fn is_credential(pair: &[u8]) -> bool {
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    let mut name = percent_decode(name);
    matches!((name.next(), name.next()), (Some(b'u' | b'p'), None))
}

fn read(query: &[u8], request: &RequestHeader) -> Offered {
    let Ok(text) = std::str::from_utf8(query) else {
        return Offered::Unreadable;
    };
    // Go before 1.17 takes `;` for `&`, and newer ones drop the pair.
    let is_torn = text.contains(';') && query.split(|byte| b"&;".contains(byte)).any(is_credential);
    if is_torn {
        return Offered::Unreadable;
    }
    match Credentials::read(&Parameters::parse(text), &request.headers) {
        Credentials::None => Offered::Nothing,
        Credentials::Parameters { user, password } => pair(user, password),
        Credentials::Authorization(value) => of_header(&value),
    }
}

fn of_header(value: &[u8]) -> Offered {
    let Some((scheme, value)) = value
        .iter()
        .position(|byte| *byte == b' ')
        .and_then(|space| value.split_at_checked(space))
    else {
        return Offered::Unreadable;
    };
    let value = value.get(1..).unwrap_or_default();
    let is_one = !value.is_empty() && !value.contains(&b' ');
    match scheme {
        b"Token" if is_one => match memchr::memchr(b':', value) {
            Some(_) => split(value),
            None => Offered::Token(value.to_vec()),
        },
        b"Bearer" if is_one => Offered::Token(value.to_vec()),
        _ if scheme.eq_ignore_ascii_case(b"Basic") => match STANDARD.decode(value) {
            Ok(decoded) => split(&decoded),
            Err(_) => Offered::Unreadable,
        },
        _ => Offered::Unreadable,
    }
}

fn split(text: &[u8]) -> Offered {
    match memchr::memchr(b':', text).and_then(|colon| text.split_at_checked(colon)) {
        Some((name, password)) => pair(
            name.to_vec(),
            password.get(1..).unwrap_or_default().to_vec(),
        ),
        None => Offered::Unreadable,
    }
}

fn pair(name: Vec<u8>, password: Vec<u8>) -> Offered {
    match String::from_utf8(name) {
        Ok(name) if name.is_empty() => Offered::NoName,
        Ok(name) => Offered::Password { name, password },
        Err(_) => Offered::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is taken, what of the target is left, and whether a header is.
    fn taken(target: &str, authorization: &[&str]) -> (String, String) {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        for value in authorization {
            request.append_header("Authorization", *value).unwrap();
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let offered = match take(&mut request) {
            Offered::Nothing => "nothing".to_owned(),
            Offered::Unreadable => "unreadable".to_owned(),
            Offered::NoName => "no name".to_owned(),
            Offered::Password { name, password } => format!("{name}/{}", text(&password)),
            Offered::Token(token) => format!("token {}", text(&token)),
        };
        assert!(!request.headers.contains_key("Authorization"));
        (offered, text(request.raw_path()))
    }

    #[test]
    fn it_is_found_as_influxdb_finds_it() {
        for (target, authorization, expected) in [
            ("/query", &[][..], "nothing"),
            ("/query?u=eva&p=x", &[], "eva/x"),
            ("/query?u=eva&p=x%26y+z&u=b&p=c", &[], "eva/x&y z"),
            ("/query?u=eva&p=x", &["Basic YWRhbTp5"], "eva/x"),
            ("/query?u=eva", &["Basic YWRhbTp5"], "adam/y"),
            ("/query?u=&p=x", &["Basic YWRhbTp5"], "adam/y"),
            ("/query?%75=eva&%70=x", &[], "eva/x"),
            ("/query?u=eva;p=x", &[], "unreadable"),
            ("/query?a;u=eva&p=x", &["Basic YWRhbTp5"], "unreadable"),
            ("/query?a;b", &["Basic YWRhbTp5"], "adam/y"),
            ("/query", &["basic YWRhbTp5OnI="], "adam/y:r"),
            ("/query", &["Basic YWRhbTp5", "Basic eDp5"], "adam/y"),
            ("/query", &["Basic !"], "unreadable"),
            ("/query", &["Basic YWRhbQ=="], "unreadable"),
            ("/query", &["Basic OnBhc3M="], "no name"),
            ("/query", &["Basic /zpw"], "unreadable"),
            ("/query", &["Token eva:x:y"], "eva/x:y"),
            ("/query", &["Token abc"], "token abc"),
            ("/query", &["Bearer a.b:c"], "token a.b:c"),
            ("/query", &["Bearer"], "unreadable"),
            ("/query", &["Bearer a b"], "unreadable"),
            ("/query", &["token abc"], "unreadable"),
            ("/query", &["Digest abc"], "unreadable"),
        ] {
            assert_eq!(
                taken(target, authorization).0,
                expected,
                "{target} {authorization:?}"
            );
        }
    }

    #[test]
    fn nothing_of_it_is_left_and_the_rest_stays_as_it_was() {
        for (target, left) in [
            ("/write?db=a&u=eva&p=x", "/write?db=a"),
            ("/write?u=eva&p=x&db=a&u=b", "/write?db=a"),
            ("/write?u=eva&p=x", "/write"),
            ("/write?%75=eva&%70=x&&db=%61", "/write?&db=%61"),
            ("/write?u=%zz&p&db=a", "/write?db=a"),
            ("/write?db=a;u=eva&p=x&rp=r", "/write?rp=r"),
            ("/write?db=a;b&up=1&U=2", "/write?db=a;b&up=1&U=2"),
            ("/write?", "/write?"),
            ("/u=1&p=2", "/u=1&p=2"),
        ] {
            assert_eq!(taken(target, &["Basic YWRhbTp5"]).1, left, "{target}");
        }
    }

    proptest! {
        #[test]
        fn no_reading_of_what_is_left_has_any(query in "[up&;=%750a]{0,30}") {
            let (_, left) = taken(&format!("/query?{query}"), &[]);
            let left = left.split_once('?').map_or("", |(_, query)| query);
            for separators in [&['&'][..], &['&', ';']] {
                for pair in left.split(separators) {
                    let pair = pair.replace(';', "&");
                    let read = Parameters::parse(&pair);
                    prop_assert!(read.first("u").is_none() && read.first("p").is_none(), "{left}");
                }
            }
        }
    }
}
