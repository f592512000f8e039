//! Who sends a request to a frontend with `auth`, and in whose name it goes on.
//!
//! A request proves that it is of one of [haflux's users](crate::users) by what InfluxDB would take, or by the certificate that its
//! connection was made with. All of that is taken out of it, and it goes on with the credentials that `login` of its pool has for its
//! user, or with none. That happens before anything else sees the request: rules, a node that judges, the journal, the log and the nodes
//! know the new credentials alone. So a record of the journal reaches a node in the name that haflux has there, whenever it does.
//!
//! Whoever is nobody hears what InfluxDB says to it. What InfluxDB tells everybody, it tells everybody here: pings, and what pages ask
//! before they ask with credentials.

mod offered;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Method, StatusCode};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use thiserror::Error;

use self::offered::{Offered, take};
use super::frontend::rates::Rates;
use super::routing::acl;
use super::serving::Serving;
use super::session::access_log::Termination;
use super::session::context::RequestContext;
use super::session::error_answer::send;
use super::session::user::Sender;
use crate::config::PasswordFileError;
use crate::config::model::{Backend, BackendId, Config, NodeLogin, Pattern, RateLimit};
use crate::influx::{Parameters, Refusal, wants_pretty};
use crate::per_source::PerSource;
use crate::source::Source;
use crate::tls::ClientNames;
use crate::users::{Users, UsersError};

/// Of `max_failures`.
const MINUTE: Duration = Duration::from_secs(60);

/// Addresses whose failures are counted each for itself.
const MOST_SOURCES: usize = 100_000;

/// Seconds that a client is told to wait.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Paths that a node answers to everybody.
const OPEN: [&[u8]; 3] = [b"/ping", b"/health", b"/status"];

/// Paths of which it tells everybody how they may be asked.
const OPEN_TO_OPTIONS: [&[u8]; 7] = [
    b"/ping",
    b"/health",
    b"/status",
    b"/query",
    b"/write",
    b"/api/v2/query",
    b"/api/v2/write",
];

/// haflux's users, and who they are on the nodes. A reload makes new ones.
#[derive(Debug)]
pub struct Identities {
    users: Users,
    /// Of each backend, in the order of the configuration.
    logins: Vec<Vec<Credential>>,
    failures: Rates,
    waiting: Arc<PerSource>,
}

/// One `login`, with the password.
#[derive(Debug)]
struct Credential {
    users: Vec<Pattern>,
    authorization: HeaderValue,
}

/// Why there are no identities.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentitiesError {
    /// The file of users.
    #[error("users: {0}")]
    Users(#[from] UsersError),
    /// A file with a password for nodes.
    #[error("backend \"{backend}\", login: {source}")]
    Login {
        /// The backend.
        backend: String,
        /// Why.
        source: PasswordFileError,
    },
}

impl Identities {
    /// Reads the files of `config`; nothing if it has no users.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn read(config: &Config) -> Result<Option<Arc<Identities>>, IdentitiesError> {
        let Some(settings) = &config.users else {
            return Ok(None);
        };
        let logins = config.backends.iter().map(credentials);
        Ok(Some(Arc::new(Identities {
            users: Users::read(settings)?,
            logins: logins.collect::<Result<_, _>>()?,
            failures: Rates::new(Some(RateLimit {
                requests: settings.max_failures,
                per: MINUTE,
                burst: settings.max_failures,
                max_sources: MOST_SOURCES,
            })),
            waiting: PerSource::new(settings.max_waiting, settings.max_waiting.div_ceil(4)),
        })))
    }

    /// Whether the file of users held the same.
    pub fn have_same_users(&self, other: &Identities) -> bool {
        self.users.are_same(&other.users)
    }

    /// Whether users of the backend `of` are let in by the same names and passwords as those of `of_other` by `other`.
    pub fn have_same_logins(&self, of: BackendId, other: &Identities, of_other: BackendId) -> bool {
        let shown = |identities: &Identities, of: BackendId| -> Vec<HeaderValue> {
            let logins = identities.logins.get(of.index()).into_iter().flatten();
            logins.map(|login| login.authorization.clone()).collect()
        };
        shown(self, of) == shown(other, of_other)
    }

    /// Whose request it is.
    async fn user(
        &self,
        offered: Offered,
        certificate: &[String],
        source: Source,
    ) -> Result<Arc<str>, Denial> {
        match offered {
            Offered::Nothing => self
                .users
                .with_certificate(certificate)
                .ok_or(Denial::Unreadable),
            Offered::Unreadable => Err(Denial::Unreadable),
            Offered::NoName => Err(Denial::NoName),
            Offered::Token(token) => match self.users.with_token(&token) {
                Some(user) => Ok(user),
                None if self.failures.would_admit(source, Instant::now()) => {
                    self.failures.charge(source, Instant::now());
                    Err(Denial::Wrong)
                }
                None => Err(Denial::TooManyFailures),
            },
            Offered::Password { name, password } => self.check(&name, &password, source).await,
        }
    }

    async fn check(&self, name: &str, password: &[u8], source: Source) -> Result<Arc<str>, Denial> {
        if let Some(user) = self.users.remembered(name, password) {
            return Ok(user);
        }
        // Who can send nothing but a name and a password may send a token as the latter.
        let with_token = self.users.with_token(password);
        if let Some(user) = with_token.filter(|user| **user == *name) {
            return Ok(user);
        }
        if !self.failures.would_admit(source, Instant::now()) {
            return Err(Denial::TooManyFailures);
        }
        let Some(_place) = self.waiting.enter(source) else {
            return Err(Denial::Busy);
        };
        let checked = self.users.check(name, password).await;
        if checked.is_none() {
            // As many as wait at once may fail past the limit, and are charged for it.
            self.failures.charge(source, Instant::now());
        }
        checked.ok_or(Denial::Wrong)
    }

    /// What a request of this user goes to a node of this pool with.
    fn authorization(&self, pool: BackendId, user: &str) -> Option<&HeaderValue> {
        let mut logins = self.logins.get(pool.index())?.iter();
        let is_for = |login: &&Credential| {
            login.users.is_empty() || login.users.iter().any(|pattern| pattern.matches(user))
        };
        logins.find(is_for).map(|login| &login.authorization)
    }
}

fn credentials(backend: &Backend) -> Result<Vec<Credential>, IdentitiesError> {
    let each = backend.logins.iter().map(|NodeLogin { users, login }| {
        let account = login.account();
        let account = account.map_err(|source| IdentitiesError::Login {
            backend: backend.name.clone(),
            source,
        })?;
        // Base64 is fit for a header.
        let mut authorization =
            HeaderValue::from_str(&account.header()).unwrap_or(HeaderValue::from_static(""));
        authorization.set_sensitive(true);
        Ok(Credential {
            users: users.clone(),
            authorization,
        })
    });
    each.collect()
}

/// Why a request is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denial {
    /// It offers nothing, or what nobody understands.
    Unreadable,
    NoName,
    /// Another password than the user's, another user than there is, another token.
    Wrong,
    TooManyFailures,
    /// Too many passwords wait to be checked.
    Busy,
}

impl Denial {
    /// InfluxDB's own words, where it has some.
    fn refusal(self) -> Refusal {
        let unauthorized = |words| Refusal::new(StatusCode::UNAUTHORIZED, words);
        match self {
            Self::Unreadable => unauthorized("unable to parse authentication credentials"),
            Self::NoName => unauthorized("username required"),
            Self::Wrong => unauthorized("authorization failed"),
            Self::TooManyFailures => Refusal {
                retry_after: Some(RETRY_AFTER_SECONDS),
                ..Refusal::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too many wrong passwords from this address (users.max_failures)",
                )
            },
            Self::Busy => Refusal::unavailable(
                "too many passwords wait to be checked (users.max_waiting)",
                RETRY_AFTER_SECONDS,
            ),
        }
    }
}

/// Whether a node answers it to everybody.
pub(super) fn is_open(request: &RequestHeader) -> bool {
    let path = acl::path(request);
    match request.method {
        Method::GET | Method::HEAD => OPEN.contains(&path),
        Method::OPTIONS => OPEN_TO_OPTIONS.contains(&path),
        _ => false,
    }
}

/// The names in the certificate that the client's connection was made with.
fn certificate_names(session: &Session) -> Vec<String> {
    let digest = session
        .digest()
        .and_then(|digest| digest.proxy_digest.as_ref());
    let names = digest.and_then(|digest| digest.user_data.as_ref()?.downcast_ref::<ClientNames>());
    names.map(|names| names.0.clone()).unwrap_or_default()
}

impl Serving {
    /// Finds out who sends a request to `pool`, if the frontend asks, and puts their credentials for its nodes in the place of what they
    /// said. True if the request is nobody's, and its client has been told.
    ///
    /// # Errors
    ///
    /// Of the client's connection.
    pub(super) async fn turns_away(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        pool: BackendId,
    ) -> pingora::Result<bool> {
        if !self.config.auth {
            return Ok(false);
        }
        let offered = take(session.req_header_mut());
        if is_open(session.req_header()) {
            context.sender = Sender::Anybody;
            return Ok(false);
        }
        let denial = match self.identities() {
            Some(identities) => {
                let certificate = certificate_names(session);
                // Boxed, so that a request without a check does not hold its place.
                let user = Box::pin(identities.user(offered, &certificate, self.source(context)));
                match user.await {
                    Ok(user) => {
                        let authorization = identities.authorization(pool, &user);
                        if let Some(authorization) = authorization {
                            let request = session.req_header_mut();
                            request.insert_header(AUTHORIZATION, authorization.clone())?;
                        }
                        context.sender = Sender::User(user);
                        return Ok(false);
                    }
                    Err(denial) => denial,
                }
            }
            None => Denial::Unreadable,
        };
        self.count_denial(denial, context);
        let request = session.req_header();
        let query = String::from_utf8_lossy(acl::query_string(request));
        let pretty = wants_pretty(&Parameters::parse(&query));
        let answer = denial.refusal().answer(request.headers.get(ACCEPT), pretty);
        self.close_if_stopping(session);
        send(session, answer).await?;
        Ok(true)
    }

    fn count_denial(&self, denial: Denial, context: &mut RequestContext) {
        context.termination = Termination::Refused;
        match denial {
            Denial::Unreadable | Denial::NoName => self.stats.auth_refusals.increment(),
            Denial::Wrong => {
                self.stats.auth_refusals.increment();
                log::warn!(
                    "frontend \"{}\": a wrong password, token or user's name from {}",
                    self.config.name,
                    context.address()
                );
            }
            Denial::TooManyFailures | Denial::Busy => self.stats.auth_limited.increment(),
        }
    }
}
