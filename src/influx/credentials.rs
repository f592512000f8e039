//! Who a request says it comes from, as InfluxDB would read it (`parseCredentials`).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::parameters::Parameters;

/// What Go percent-encodes in a value (`url.QueryEscape`), besides a space.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What a request offers to prove who sends it. Two equal values are the same to every node.
///
/// Bytes, not text: what is not UTF-8 must not become equal to something else. `Debug` shows the kind and nothing more.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// Nothing.
    #[default]
    None,
    /// `u` and `p` of the URL. They count if both are non-empty, and then they win over a header, even when they are wrong.
    Parameters {
        /// `u`
        user: Vec<u8>,
        /// `p`
        password: Vec<u8>,
    },
    /// The first `Authorization` header: Basic, Bearer, or Token (InfluxDB 1.7 and newer).
    Authorization(Vec<u8>),
}

impl Credentials {
    /// Takes the credentials from a request's parameters and headers.
    pub fn read(parameters: &Parameters<'_>, headers: &HeaderMap) -> Self {
        let not_empty = |name| {
            parameters
                .first_bytes(name)
                .filter(|value| !value.is_empty())
        };
        if let (Some(user), Some(password)) = (not_empty("u"), not_empty("p")) {
            return Self::Parameters {
                user: user.to_vec(),
                password: password.to_vec(),
            };
        }
        match headers.get(header::AUTHORIZATION) {
            Some(value) if !value.is_empty() => Self::Authorization(value.as_bytes().to_vec()),
            _ => Self::None,
        }
    }

    /// The name of the user, as InfluxDB reads it; nothing if there is none, it is not UTF-8, or it stands in a token.
    pub fn user_name(&self) -> Option<String> {
        let name = match self {
            Self::None => return None,
            Self::Parameters { user, .. } => user.clone(),
            Self::Authorization(value) => {
                let (scheme, value) = value.split_at_checked(6)?;
                let pair = match scheme {
                    b"Token " => value.to_vec(),
                    // By Go's `BasicAuth`, in any case.
                    _ if scheme.eq_ignore_ascii_case(b"Basic ") => STANDARD.decode(value).ok()?,
                    _ => return None,
                };
                let colon = memchr::memchr(b':', &pair)?;
                pair.get(..colon)?.to_vec()
            }
        };
        String::from_utf8(name).ok()
    }

    /// The texts that must not be shown, in each form in which a text may quote them: as they are, and percent-encoded with a space as
    /// `%20` and as `+`.
    pub fn secrets(&self) -> Vec<String> {
        let mut plain = Vec::new();
        match self {
            Self::None => {}
            Self::Parameters { password, .. } => plain.push(password.clone()),
            Self::Authorization(value) => {
                let scheme = memchr::memchr(b' ', value).map_or(0, |space| space + 1);
                let value = value.get(scheme..).unwrap_or_default();
                plain.push(value.to_vec());
                let pair = STANDARD.decode(value).unwrap_or_else(|_| value.to_vec());
                let colon = memchr::memchr(b':', &pair);
                plain.extend(colon.and_then(|colon| Some(pair.get(colon + 1..)?.to_vec())));
            }
        }
        let mut secrets = Vec::new();
        for secret in plain.iter().filter(|secret| !secret.is_empty()) {
            let encoded = percent_encode(secret, RESERVED).to_string();
            let of_form = encoded.replace("%20", "+");
            let texts = [
                String::from_utf8(secret.clone()).ok(),
                Some(encoded),
                Some(of_form),
            ];
            secrets.extend(texts.into_iter().flatten());
        }
        secrets
    }

    /// Bytes of all of it.
    pub fn length(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Parameters { user, password } => user.len().saturating_add(password.len()),
            Self::Authorization(value) => value.len(),
        }
    }

    /// Whether the request offers nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// A user of a node, with the password. `Debug` shows the name alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    username: String,
    password: Vec<u8>,
}

impl Account {
    /// One that has this password. A name with a colon is another one in [`Account::header`].
    pub fn new(username: String, password: Vec<u8>) -> Self {
        Self { username, password }
    }

    /// Its name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Its password.
    pub fn password(&self) -> &[u8] {
        &self.password
    }

    /// The `Authorization` that it is known by: Basic (RFC 7617).
    pub fn header(&self) -> String {
        let pair = [self.username.as_bytes(), b":", &self.password].concat();
        format!("Basic {}", STANDARD.encode(pair))
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Account({:?}, …)", self.username)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Parameters { .. } => "Parameters(…)",
            Self::Authorization(_) => "Authorization(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(query: &str, authorization: Option<&'static str>) -> Credentials {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        Credentials::read(&Parameters::parse(query), &headers)
    }

    #[test]
    fn the_url_wins_if_both_are_there() {
        let url = Credentials::Parameters {
            user: b"a".to_vec(),
            password: b"b".to_vec(),
        };
        let header = Credentials::Authorization(b"Basic x".to_vec());
        assert_eq!(read("u=a&p=b", None), url);
        assert_eq!(read("u=a&p=b", Some("Basic x")), url);
        assert_eq!(read("u=a&p=", Some("Basic x")), header);
        assert_eq!(read("u=a", Some("Basic x")), header);
        assert!(read("u=a&p=", None).is_none());
        assert!(read("", Some("")).is_none());
        assert!(!read("", Some("Basic x")).is_none());
    }

    #[test]
    fn an_account_is_known_by_its_header() {
        let account = Account::new("eva".to_owned(), b"a:b \xff".to_vec());
        let header = Credentials::Authorization(account.header().into_bytes());
        assert_eq!(header.user_name().as_deref(), Some("eva"));
        assert_eq!(account.header(), "Basic ZXZhOmE6YiD/");
        assert_eq!(format!("{account:?}"), "Account(\"eva\", …)");
    }

    #[test]
    fn the_name_is_that_of_the_user() {
        for (query, authorization, name) in [
            ("u=adam&p=x", None, Some("adam")),
            ("u=adam&p=x", Some("Basic ZXZhOng="), Some("adam")),
            ("", Some("Basic ZXZhOng="), Some("eva")),
            ("", Some("Basic ZXZhOng6eQ=="), Some("eva")),
            ("", Some("bAsic ZXZhOng="), Some("eva")),
            ("", Some("token eva:x"), None),
            ("", Some("Token eva:x:y"), Some("eva")),
            ("", Some("Token eva"), None),
            ("", Some("Basic ZXZh"), None),
            ("", Some("Basic ZXZhOng"), None),
            ("", Some("Bearer eva:x"), None),
            ("", Some("Basic"), None),
            ("u=%ff&p=x", None, None),
            ("", None, None),
        ] {
            let read = read(query, authorization).user_name();
            assert_eq!(read.as_deref(), name, "{query} {authorization:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!(
            "{:?} {:?}",
            read("u=adam&p=secret", None),
            read("", Some("Basic secret"))
        );
        assert!(
            !shown.contains("secret") && !shown.contains("adam"),
            "{shown}"
        );
    }
}
