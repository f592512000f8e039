//! Serving the socket.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::logging;
use log::{info, warn};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::bind::{self, ControlBindError, Place};
use super::line::{self, LineError};
use super::message::{Answer, Request};
use super::replicas::{ControlError, Replicas};
use super::{DEADLINE, LONGEST_REQUEST, MOST_CONNECTIONS};

/// How long to wait when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(200);

/// The bound socket of one data_dir. Dropped, or served to its end, it is removed.
#[derive(Debug)]
pub struct ControlSocket {
    listener: std::os::unix::net::UnixListener,
    place: Place,
}

impl ControlSocket {
    /// Binds the socket in `data_dir`, a folder that exists. Connections wait until it is served.
    ///
    /// # Errors
    /// [`ControlBindError`]; in particular if another haflux answers there.
    pub fn bind(data_dir: &Path) -> Result<ControlSocket, ControlBindError> {
        let (listener, place) = bind::bind(data_dir)?;
        Ok(ControlSocket { listener, place })
    }

    /// Answers with `replicas` until `stop` is true (or its sender is gone), then ends connections after the answer that is
    /// under way, and removes the socket. Must run in a tokio runtime with I/O and time.
    pub async fn serve(self, replicas: Arc<dyn Replicas>, mut stop: watch::Receiver<bool>) {
        let ControlSocket { listener, place } = self;
        let listener = match UnixListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                warn!("{} cannot be served: {error}", place.path().display());
                return;
            }
        };
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = accept(&listener, &places) => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((connection, place)) => {
                    connections.spawn(converse(
                        connection,
                        Arc::clone(&replicas),
                        stop.clone(),
                        Arc::new(place),
                    ));
                }
                Err(error) => {
                    warn!("the control socket takes no connection: {error}");
                    sleep(PAUSE).await;
                }
            }
        }
        drop(listener);
        drop(place);
        connections.join_all().await;
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &UnixListener,
    places: &Arc<Semaphore>,
) -> io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (connection, _) = listener.accept().await?;
    Ok((connection, place))
}

/// Answers the requests of one connection.
async fn converse(
    mut connection: UnixStream,
    replicas: Arc<dyn Replicas>,
    mut stop: watch::Receiver<bool>,
    place: Arc<OwnedSemaphorePermit>,
) {
    let deadline = Instant::now() + DEADLINE;
    let (from, mut to) = connection.split();
    let mut from = BufReader::new(from);
    loop {
        let read = tokio::select! {
            biased;
            read = timeout_at(deadline, line::read(&mut from, LONGEST_REQUEST)) => read,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (answer, last) = match read {
            Ok(Ok(Some(line))) => match serde_json::from_slice(&line) {
                Ok(request) => {
                    let carried_out = tokio::spawn(carry_out(
                        request,
                        Arc::clone(&replicas),
                        Arc::clone(&place),
                    ));
                    match timeout_at(deadline, carried_out).await {
                        Ok(Ok(answer)) => (answer, false),
                        Ok(Err(broken)) => (failed(&broken), true),
                        Err(_) => (late(), true),
                    }
                }
                Err(error) => (Answer::Misunderstood(error.to_string()), true),
            },
            Ok(Err(error @ (LineError::TooLong { .. } | LineError::Unfinished))) => {
                (Answer::Misunderstood(error.to_string()), true)
            }
            // The other side has left, is silent for too long, or the connection broke: nobody to tell.
            Ok(Ok(None) | Err(LineError::Network(_))) | Err(_) => return,
        };
        // After the deadline there is still a moment to say so.
        let until = deadline.max(Instant::now() + PAUSE);
        let sent = timeout_at(until, send(&mut to, &answer)).await;
        if last || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// Carries out one request to its end, whether or not somebody still waits for the answer.
async fn carry_out(
    request: Request,
    replicas: Arc<dyn Replicas>,
    _place: Arc<OwnedSemaphorePermit>,
) -> Answer {
    let (order, name, result) = match request {
        Request::Status {} => return Answer::Replicas(replicas.status().await),
        Request::LogLevel { levels } => return log_level(&levels),
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
    };
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

fn failed(broken: &tokio::task::JoinError) -> Answer {
    warn!("an order on the control socket broke off: {broken}");
    Answer::Refused(ControlError::Failed {
        reason: "it broke off; the log says more".to_owned(),
    })
}

fn late() -> Answer {
    Answer::Refused(ControlError::Failed {
        reason: format!(
            "it takes longer than {} s and goes on; the log and the replica's status say what became of it",
            DEADLINE.as_secs()
        ),
    })
}

async fn send(to: &mut (impl tokio::io::AsyncWrite + Unpin), answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}
