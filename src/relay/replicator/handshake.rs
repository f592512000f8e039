//! The handshake: what a node is asked before anything is sent to it (rules R1 and R2).
//!
//! 1. A [`Liveness`] connection is opened, unless one is still open: should the process end from here on, that is noticed.
//! 2. `GET /ping`: it answers, and says its version.
//! 3. Unless the way to it was never interrupted, it is [asked](crate::relay::replica::questions) for the point that belongs to the place
//!    that its cursor would be set back to, the [`IdentityPoint`]. Where that cannot be asked for, or no point is known, it is asked for
//!    the databases that it [had](crate::relay::replica::known).
//! 4. When did its process start? If it is the one that was trusted, and the newest point that it accepted is there, it has lost
//!    nothing, and is not set back. The time alone is not enough: a virtual machine that is put back with its memory has an
//!    older disk and the same process.
//!
//! | the node says | it is |
//! | --- | --- |
//! | the point is there | the one it was |
//! | the point, or one of the databases, is missing | another one, or an older copy |
//! | the point cannot be asked for, a database is there | taken for the one it was |
//! | it refuses all credentials that it took before, and another replica refuses the same | taken for the one it was: a statement took the rights away |
//! | it refuses them all, and no other replica says the same | held: nothing is sent to it, nobody reads from it, and it is asked again |

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::influx::{Started, read_started};
use crate::relay::record::write::Destination;
use crate::relay::replica::answer::ReplicaAnswer;
use crate::relay::replica::handle::Replica;
use crate::relay::replica::identity_point::IdentityPoint;
use crate::relay::replica::known::Known;
use crate::relay::replica::liveness::Liveness;
use crate::relay::replica::questions::{Asked, DatabaseAnswer, PointAnswer, Unanswered, busy};
use crate::relay::replica::request::get_request;
use crate::shown;

/// How long the start of the process is waited for: a node that does not say it is taken for one that started anew. Less than
/// the first requests after a start wait for the handshakes.
const MAX_WAIT_FOR_START: Duration = Duration::from_secs(1);

/// What is known of a node before the handshake.
pub(super) struct Handshake {
    pub(super) replica: Arc<Replica>,
    /// Those that are asked whether they refuse the same credentials.
    pub(super) others: Vec<Arc<Replica>>,
    pub(super) address: SocketAddr,
    /// Whether a new liveness connection may be opened.
    pub(super) may_open: bool,
    pub(super) liveness: Option<Liveness>,
    /// The process that was trusted last.
    pub(super) started: Option<Started>,
    /// Of the place that it would be set back to.
    pub(super) identity_point: Option<Arc<IdentityPoint>>,
    /// The newest one.
    pub(super) newest: Option<Arc<IdentityPoint>>,
    pub(super) known: Known,
}

/// How a handshake ended.
pub(super) struct Completed {
    pub(super) liveness: Option<Liveness>,
    pub(super) outcome: Result<Welcome, Unwelcome>,
}

/// The node answers.
pub(super) struct Welcome {
    /// Its answer to the ping.
    pub(super) ping: ReplicaAnswer,
    pub(super) started: Option<Started>,
    pub(super) identity: Identity,
    /// It need not be set back.
    pub(super) has_lost_nothing: bool,
}

/// Who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// The way to it was never interrupted.
    Uninterrupted,
    /// It has the point.
    Proven,
    /// It cannot be asked for a point, and why; nothing else speaks against it.
    Unproven(String),
    /// It is not the node it was, and why.
    Another(String),
}

/// The handshake is to be repeated later.
pub(super) enum Unwelcome {
    /// It gave no answer that says anything.
    Unanswered(Unanswered),
    /// It may be another one, and why. A person may have to look.
    Doubtful(String),
}

impl<E: Into<Unanswered>> From<E> for Unwelcome {
    fn from(error: E) -> Unwelcome {
        Unwelcome::Unanswered(error.into())
    }
}

impl Handshake {
    pub(super) async fn run(mut self) -> Completed {
        let outcome = self.ask().await;
        Completed {
            liveness: self.liveness,
            outcome,
        }
    }

    async fn ask(&mut self) -> Result<Welcome, Unwelcome> {
        let was_never_interrupted = self.liveness.is_some() && self.replica.is_trusted();
        if self.liveness.is_none() && self.may_open {
            let client = &self.replica.client;
            let opened = Liveness::open(client.dialer(), self.address, client.timeout()).await?;
            self.liveness = Some(opened);
        }
        let asked = self.asked();
        let ping = asked.ask(get_request("/ping", self.address)).await?;
        if ping.status >= 500 {
            return Err(busy("a ping", &ping).into());
        }
        if was_never_interrupted {
            return Ok(Welcome {
                ping,
                started: self.started.take(),
                identity: Identity::Uninterrupted,
                has_lost_nothing: true,
            });
        }
        let started = self.ask_for_start().await;
        let identity = self.identify().await?;
        let is_same_process = started.is_some() && started == self.started;
        let has_lost_nothing = is_same_process && !self.lacks_newest().await?;
        Ok(Welcome {
            ping,
            started,
            identity,
            has_lost_nothing,
        })
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            client: &self.replica.client,
            address: self.address,
        }
    }

    async fn ask_for_start(&self) -> Option<Started> {
        let request = get_request("/debug/vars", self.address);
        let asked = self.asked();
        let answer = tokio::time::timeout(MAX_WAIT_FOR_START, asked.ask(request)).await;
        let answer = answer.ok()?.ok()?;
        (answer.status == 200).then(|| read_started(&answer.body))?
    }

    /// Whether the newest point that it accepted is gone; no where it cannot be asked for.
    async fn lacks_newest(&self) -> Result<bool, Unwelcome> {
        match &self.newest {
            Some(newest) if self.newest != self.identity_point => {
                let answer = self.asked().point(newest).await?;
                Ok(matches!(answer, PointAnswer::Missing(_)))
            }
            _ => Ok(false),
        }
    }

    async fn identify(&self) -> Result<Identity, Unwelcome> {
        let why = match &self.identity_point {
            Some(identity_point) => match self.asked().point(identity_point).await? {
                PointAnswer::There => return Ok(Identity::Proven),
                PointAnswer::Missing(what) => return Ok(Identity::Another(what)),
                PointAnswer::NotAsked(why) => why,
            },
            None => "no write is known that it must have".to_owned(),
        };
        self.identify_databases(why).await
    }

    /// The point cannot be asked for: are at least the databases there?
    async fn identify_databases(&self, why: String) -> Result<Identity, Unwelcome> {
        let destinations = self.known.destinations(self.identity_point.as_deref());
        let asked = self.asked();
        let answers = destinations.iter().map(|place| asked.database(place));
        let mut is_there = false;
        let mut refused = None;
        for (place, answer) in destinations.iter().zip(join_all(answers).await) {
            match answer? {
                DatabaseAnswer::There => is_there = true,
                DatabaseAnswer::Missing => {
                    return Ok(Identity::Another(format!(
                        "database {:?} is not there, in which it had accepted writes",
                        shown::name(&place.database)
                    )));
                }
                DatabaseAnswer::Refused(status) => refused = Some((place, status)),
            }
        }
        match refused {
            Some((place, status)) if !is_there => self.identify_by_others(place, status).await,
            _ => self.identify_at_last(why).await,
        }
    }

    /// Its databases are there. Between the questions somebody may have given an empty node its users, so it is asked for the
    /// point once more.
    async fn identify_at_last(&self, why: String) -> Result<Identity, Unwelcome> {
        let Some(identity_point) = &self.identity_point else {
            return Ok(Identity::Unproven(why));
        };
        Ok(match self.asked().point(identity_point).await? {
            PointAnswer::There => Identity::Proven,
            PointAnswer::Missing(what) => Identity::Another(what),
            PointAnswer::NotAsked(why) => Identity::Unproven(why),
        })
    }

    /// It refuses credentials that it took before: a statement may have changed them everywhere, or its disk is another one.
    async fn identify_by_others(
        &self,
        place: &Destination,
        status: u16,
    ) -> Result<Identity, Unwelcome> {
        let said = format!(
            "it answers {status} to credentials with which it had accepted writes to database {:?}",
            shown::name(&place.database)
        );
        let others: Vec<&Arc<Replica>> =
            self.others.iter().filter(|other| other.follows()).collect();
        if others.is_empty() {
            return Ok(Identity::Another(said));
        }
        let mut taken_by = None;
        for other in others {
            let Some(address) = other.address() else {
                continue;
            };
            let asked = Asked {
                client: &other.client,
                address,
            };
            let name = &other.stats.name;
            match asked.database(place).await {
                Ok(DatabaseAnswer::Refused(_)) => {
                    return Ok(Identity::Unproven(format!(
                        "{said}, and {name} refuses them too"
                    )));
                }
                Ok(DatabaseAnswer::There) => taken_by = Some(name),
                Ok(DatabaseAnswer::Missing) | Err(_) => {}
            }
        }
        let elsewhere = match taken_by {
            Some(name) => format!("{name} takes them"),
            None => "no other replica can be asked whether it takes them".to_owned(),
        };
        Err(Unwelcome::Doubtful(format!(
            "{said}, and {elsewhere}: it may have lost its disk, so nothing is sent to it and nobody reads from it. Give it its users back; or, if it lost data, rebuild it; or, if it is the node it was, haflux replica readmit {} --as-it-is",
            self.replica.stats.name
        )))
    }
}
