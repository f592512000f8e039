//! Serving a socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use log::warn;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::unix::WriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::LONGEST_REQUEST;
use super::bind::{self, ControlBindError, Place};
use super::carry_out::{Orders, carry_out};
use super::line::{self, LineError};
use super::message::{Answer, Request};
use super::replicas::ControlError;
use super::text::{self, Step};
use crate::config::model::{Level, SocketSettings};

/// How long to wait when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(200);

/// A bound socket. Dropped, or served to its end, it is removed.
#[derive(Debug)]
pub struct ControlSocket {
    listener: std::os::unix::net::UnixListener,
    place: Place,
    settings: SocketSettings,
}

impl ControlSocket {
    /// Binds a socket, in a folder that exists. Connections wait until it is served.
    ///
    /// # Errors
    /// [`ControlBindError`]; in particular if another haflux answers there.
    pub fn bind(settings: SocketSettings) -> Result<ControlSocket, ControlBindError> {
        let (listener, place) = bind::bind(&settings)?;
        Ok(ControlSocket {
            listener,
            place,
            settings,
        })
    }

    /// Carries out `orders` until `stop` is true (or its sender is gone), then ends connections after the answer that is
    /// under way, and removes the socket. Must run in a tokio runtime with I/O and time.
    pub async fn serve(self, orders: Orders, mut stop: watch::Receiver<bool>) {
        let ControlSocket {
            listener,
            place,
            settings,
        } = self;
        let listener = match UnixListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                warn!("{} cannot be served: {error}", place.path().display());
                return;
            }
        };
        let places = Arc::new(Semaphore::new(settings.connections));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = accept(&listener, &places) => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((connection, place)) => {
                    let conversation = Conversation {
                        orders: orders.clone(),
                        place: Arc::new(place),
                        level: settings.level,
                        timeout: settings.timeout,
                        deadline: Instant::now() + settings.timeout,
                        is_interactive: false,
                    };
                    connections.spawn(conversation.hold(connection, stop.clone()));
                }
                Err(error) => {
                    warn!("{} takes no connection: {error}", settings.path.display());
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

/// One connection.
struct Conversation {
    orders: Orders,
    place: Arc<OwnedSemaphorePermit>,
    level: Level,
    /// How long it may last; in interactive mode, its silence.
    timeout: Duration,
    deadline: Instant,
    /// A person types: each answer is followed by a prompt.
    is_interactive: bool,
}

/// What follows the answers to a line.
enum Next {
    /// The next line.
    Line,
    /// The next line, if it has come already: one who speaks text and is no person is answered what came together, as HAProxy does.
    LineThatCame,
    /// The end of the connection.
    End,
}

/// Nobody takes the answer.
struct Gone;

impl Conversation {
    /// Answers the requests of the connection until its end.
    async fn hold(mut self, mut connection: UnixStream, mut stop: watch::Receiver<bool>) {
        let (from, mut to) = connection.split();
        let mut from = BufReader::new(from);
        loop {
            let read = tokio::select! {
                biased;
                read = timeout_at(self.deadline, line::read(&mut from, LONGEST_REQUEST)) => read,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            self.renew();
            let next = match read {
                Ok(Ok(Some(line))) => match is_document(&line) {
                    true => self.answer_document(&line, &mut to).await,
                    false => self.answer_text(&line, &mut to).await,
                },
                Ok(Err(error @ (LineError::TooLong { .. } | LineError::Unfinished))) => {
                    let answer = document(&Answer::Misunderstood(error.to_string()));
                    self.say(&answer, &mut to).await.map(|()| Next::End)
                }
                // The other side has left, is silent for too long, or the connection broke: nobody to tell.
                Ok(Ok(None) | Err(LineError::Network(_))) | Err(_) => return,
            };
            match next {
                Ok(Next::Line) => self.renew(),
                Ok(Next::LineThatCame) if from.buffer().contains(&b'\n') => {}
                Ok(Next::LineThatCame | Next::End) | Err(Gone) => return,
            }
        }
    }

    /// A person has all the time again for the next line, and haflux for its answer.
    fn renew(&mut self) {
        if self.is_interactive {
            self.deadline = Instant::now() + self.timeout;
        }
    }

    async fn answer_document(&self, line: &[u8], to: &mut WriteHalf<'_>) -> Result<Next, Gone> {
        let (answer, is_whole) = match serde_json::from_slice(line) {
            Ok(request) => self.ask(request).await,
            Err(error) => (Answer::Misunderstood(error.to_string()), false),
        };
        self.say(&document(&answer), to).await?;
        Ok(match is_whole {
            true => Next::Line,
            false => Next::End,
        })
    }

    /// Each command's answer goes before the next command is carried out, so that no more than one answer is held.
    async fn answer_text(&mut self, line: &[u8], to: &mut WriteHalf<'_>) -> Result<Next, Gone> {
        for command in text::commands(&String::from_utf8_lossy(line)) {
            let mut is_whole = true;
            let mut said = match text::read(&command, self.level) {
                Step::Ask(request, view) => {
                    let (answer, whole) = self.ask(request).await;
                    is_whole = whole;
                    text::show(answer, &view)
                }
                Step::Say(said) => said,
                Step::Prompt => {
                    self.is_interactive = !self.is_interactive;
                    String::new()
                }
                Step::Lower(level) => {
                    self.level = self.level.min(level);
                    String::new()
                }
                Step::Timeout(timeout) => {
                    self.timeout = timeout;
                    String::new()
                }
                Step::Quit => return Ok(Next::End),
            };
            said.push('\n');
            if self.is_interactive {
                said.push_str("> ");
            }
            self.say(said.as_bytes(), to).await?;
            if !is_whole {
                // The order goes on, and nothing is to overtake it.
                return Ok(Next::End);
            }
        }
        Ok(match self.is_interactive {
            true => Next::Line,
            false => Next::LineThatCame,
        })
    }

    /// Sends an answer.
    async fn say(&self, answer: &[u8], to: &mut WriteHalf<'_>) -> Result<(), Gone> {
        // After the deadline there is still a moment to say so.
        let until = self.deadline.max(Instant::now() + PAUSE);
        match timeout_at(until, send(to, answer)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    /// Carries the request out; the answer, and whether that came to its end.
    async fn ask(&self, request: Request) -> (Answer, bool) {
        if request.level() > self.level {
            let level = self.level.word().to_owned();
            return (Answer::Refused(ControlError::NotAllowed { level }), true);
        }
        let place = Arc::clone(&self.place);
        let orders = self.orders.clone();
        let carried_out = tokio::spawn(async move {
            let _place = place;
            carry_out(request, &orders).await
        });
        match timeout_at(self.deadline, carried_out).await {
            Ok(Ok(answer)) => (answer, true),
            Ok(Err(broken)) => (failed(&broken), false),
            Err(_) => (self.late(), false),
        }
    }

    fn late(&self) -> Answer {
        Answer::Refused(ControlError::Failed {
            reason: format!(
                "it takes longer than {} s and goes on; the log and the status say what became of it",
                self.timeout.as_secs()
            ),
        })
    }
}

fn document(answer: &Answer) -> Vec<u8> {
    let mut line = serde_json::to_vec(answer).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Whether the line is a JSON document, and not one of HAProxy's commands.
fn is_document(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{")
}

fn failed(broken: &tokio::task::JoinError) -> Answer {
    warn!("an order on the control socket broke off: {broken}");
    Answer::Refused(ControlError::Failed {
        reason: "it broke off; the log says more".to_owned(),
    })
}

async fn send(to: &mut WriteHalf<'_>, answer: &[u8]) -> io::Result<()> {
    to.write_all(answer).await?;
    to.flush().await
}
