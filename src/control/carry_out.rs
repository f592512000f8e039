//! What a request means: the one place that gives orders, whatever socket and phrasing they came in.

use std::sync::Arc;

use log::{info, warn};

use super::configuration::Configuration;
use super::healing::Healing;
use super::message::{Answer, Request};
use super::queries::Queries;
use super::replicas::{ControlError, Replicas};
use super::servers::Servers;
use crate::logging;

/// Whoever carries out what is asked for.
#[derive(Clone)]
pub struct Orders {
    /// Of the replicas.
    pub replicas: Arc<dyn Replicas>,
    /// Of comparing, mending and rebuilding.
    pub healing: Arc<dyn Healing>,
    /// Of the servers.
    pub servers: Arc<dyn Servers>,
    /// Of the queries that run.
    pub queries: Arc<dyn Queries>,
    /// Of the configuration.
    pub configuration: Arc<dyn Configuration>,
}

/// Carries out one request to its end.
pub(super) async fn carry_out(request: Request, orders: &Orders) -> Answer {
    let Orders {
        replicas,
        healing,
        servers,
        queries,
        configuration,
    } = orders;
    let (order, name, result) = match request {
        Request::Status {} => return Answer::Replicas(replicas.status().await),
        Request::LogLevel { levels } => return log_level(&levels),
        Request::Reload { dry_run } => {
            // It says in the log what it changes.
            return match configuration.reload(dry_run).await {
                Ok(said) => Answer::Done(said),
                Err(error) => Answer::Refused(error),
            };
        }
        Request::Heal { order, relay } => {
            // It says in the log what it does.
            return match healing.heal(relay.as_deref(), order).await {
                Ok(report) => Answer::Heal(report),
                Err(error) => Answer::Refused(error),
            };
        }
        Request::LackingUsers {
            target,
            source,
            relay,
        } => {
            let users = healing.lacking_users(relay.as_deref(), &target, source.as_deref());
            return match users.await {
                Ok(users) => Answer::Users(users),
                Err(error) => Answer::Refused(error),
            };
        }
        Request::Servers {} => return Answer::Servers(servers.servers()),
        Request::Statistics(query) => {
            return match servers.statistics(&query) {
                Some(statistics) => Answer::Statistics(statistics),
                None => Answer::Refused(ControlError::Invalid {
                    reason: "No such proxy.".to_owned(),
                }),
            };
        }
        Request::Snapshot {} => return Answer::Snapshot(servers.snapshot()),
        Request::Process {} => {
            let values = servers.process().into_iter();
            let values = values.map(|(name, value)| (name.to_owned(), value));
            return Answer::Process(values.collect());
        }
        Request::Queries {} => return Answer::Queries(Box::new(queries.queries())),
        Request::KillQuery { id } => {
            // The log says that the query has ended.
            return match queries.kill(id) {
                Ok(killed) => Answer::Done(killed),
                Err(error) => Answer::Refused(error),
            };
        }
        Request::RebuildBegin { name, relay } => {
            let result = replicas.rebuild_begin(relay.as_deref(), &name).await;
            ("rebuild-begin", name, result)
        }
        Request::Readmit {
            name,
            relay,
            as_it_is,
        } => {
            let result = replicas.readmit(relay.as_deref(), &name, as_it_is).await;
            ("readmit", name, result)
        }
        Request::Skip {
            name,
            sequence,
            relay,
        } => {
            let result = replicas.skip(relay.as_deref(), &name, sequence).await;
            ("skip", name, result)
        }
        Request::ServerState {
            backend,
            server,
            state,
        } => {
            let result = servers.set_state(&backend, &server, state).await;
            (state.word(), format!("{backend}/{server}"), result)
        }
        Request::ServerWeight {
            backend,
            server,
            weight,
        } => {
            let result = servers.set_weight(&backend, &server, &weight).await;
            ("weight", format!("{backend}/{server}"), result)
        }
    };
    told(order, &name, result)
}

fn log_level(levels: &str) -> Answer {
    match logging::change_levels(levels) {
        Ok(now) => {
            if !levels.is_empty() {
                info!("log levels are {now} from now on");
            }
            Answer::Done(now)
        }
        Err(error) => Answer::Refused(ControlError::Failed {
            reason: error.to_string(),
        }),
    }
}

fn told(order: &str, name: &str, result: Result<String, ControlError>) -> Answer {
    match result {
        Ok(next) => {
            info!("{order} {name:?}: {next}");
            Answer::Done(next)
        }
        Err(error) => {
            warn!("{order} {name:?}: {error}");
            Answer::Refused(error)
        }
    }
}
