//! What the service manager is told: systemd, or whatever else speaks its protocol, of a unit with `Type=notify`.
//!
//! `NOTIFY_SOCKET` names a datagram socket; each message is some lines of `NAME=value` (sd_notify(3)). Without that variable
//! nobody listens, and nothing is sent.
//!
//! # Invariants
//!
//! - Nothing here waits: a service manager that does not read its socket stops no request. A message that finds no room is
//!   sent again with the next beat.
//! - `WATCHDOG=1` is sent by a task of the runtime that serves. A runtime whose threads all hang sends none, and the service
//!   manager ends the process. The task goes on while a stop answers what is in flight.

use std::env::{self, VarError};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use log::{debug, warn};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::reactors::Pulse;
use crate::stats::Stats;
use crate::stats::snapshot::Status;

/// How often `STATUS=` follows the replicas, where no watchdog wants a beat more often.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// Beats within the time that the service manager allows between two of them: one may be late and another lost.
const BEATS: u32 = 3;

/// The service manager that started the process, if one did.
#[derive(Debug, Default)]
pub(super) struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// The longest time between two beats that it takes for life.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that the environment names: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. One that cannot be reached is
    /// logged and told nothing.
    pub(super) fn from_environment() -> ServiceManager {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else {
            return ServiceManager::default();
        };
        let for_us = match env::var("WATCHDOG_PID") {
            Ok(process) => process == std::process::id().to_string(),
            Err(VarError::NotPresent) => true,
            Err(VarError::NotUnicode(_)) => false,
        };
        let watchdog = env::var("WATCHDOG_USEC").ok().filter(|_| for_us);
        let watchdog = watchdog.and_then(|usec| usec.parse().ok());
        match connect(&name) {
            Ok(socket) => ServiceManager {
                socket: Some(socket),
                watchdog: watchdog.filter(|usec| *usec > 0).map(Duration::from_micros),
            },
            Err(error) => {
                warn!("the service manager at NOTIFY_SOCKET cannot be reached: {error}");
                ServiceManager::default()
            }
        }
    }

    /// Says that everything is recovered and served, then keeps saying that whatever serves lives (`pulse`) and how haflux is (`status`,
    /// a line), and once that `stop` has become true. Runs until it is dropped. Returns at once if there is no service manager.
    pub(super) async fn attend(
        self: Arc<Self>,
        status: impl Fn() -> String + Send,
        pulse: Pulse,
        mut stop: watch::Receiver<bool>,
    ) {
        if self.socket.is_none() {
            return;
        }
        let beat = self.watchdog.map_or(STATUS_EVERY, |limit| {
            (limit / BEATS).clamp(Duration::from_millis(1), STATUS_EVERY)
        });
        let mut beats = interval(beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unsaid = "READY=1\n";
        let mut said = String::new();
        let mut is_stopping = false;
        loop {
            tokio::select! {
                _ = beats.tick() => {}
                _ = stop.wait_for(|stop| *stop), if !is_stopping => {
                    is_stopping = true;
                    unsaid = "STOPPING=1\n";
                }
            }
            pulse.beat().await;
            let status = match is_stopping {
                false => status(),
                true => "stops: answers what is in flight, then closes the journal".to_owned(),
            };
            let mut message = unsaid.to_owned();
            if self.watchdog.is_some() {
                message.push_str("WATCHDOG=1\n");
            }
            if status != said {
                message.push_str(&format!("STATUS={status}\n"));
            }
            if message.is_empty() || self.send(&message) {
                unsaid = "";
                said = status;
            }
        }
    }

    /// Says that the configuration is being read again. [`ServiceManager::ready`] must follow, whether or not it is taken.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!(
            "RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reloads its configuration\n"
        ));
    }

    /// Says that a reload is over, and what became of it in a line of text.
    pub(super) fn ready(&self, status: &str) {
        let status = status.replace('\n', " ");
        self.send(&format!("READY=1\nSTATUS={status}\n"));
    }

    /// Whether the service manager has it, or there is none.
    fn send(&self, message: &str) -> bool {
        let Some(socket) = &self.socket else {
            return true;
        };
        match socket.send(message.as_bytes()) {
            Ok(_) => true,
            Err(error) => {
                debug!("the service manager does not take {message:?}: {error}");
                false
            }
        }
    }
}

/// A socket that sends to `name`: a path, or `@` and a name that is no file's.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// One line for `systemctl status`: which replicas want a look.
pub(super) fn status(stats: &Stats) -> String {
    let mut behind = Vec::new();
    for relay in &stats.relays {
        for replica in &relay.replicas {
            let status = Status::from(replica.state.load().status);
            if status != Status::Fresh {
                behind.push(format!(
                    "{}/{} is {}",
                    relay.name,
                    replica.name,
                    status.word()
                ));
            }
        }
    }
    match (behind.is_empty(), stats.relays.is_empty()) {
        (true, true) => "serves".to_owned(),
        (true, false) => "serves; every replica is fresh".to_owned(),
        (false, _) => format!("serves; {}", behind.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::reactors::Reactors;

    fn manager(folder: &TempDir, watchdog: Duration) -> (ServiceManager, UnixDatagram) {
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = ServiceManager {
            socket: Some(connect(path.as_os_str()).unwrap()),
            watchdog: Some(watchdog),
        };
        socket.set_nonblocking(true).unwrap();
        (manager, socket)
    }

    fn heard(socket: &UnixDatagram) -> Vec<String> {
        let mut message = [0; 1024];
        let messages = std::iter::from_fn(|| {
            let length = socket.recv(&mut message).ok()?;
            Some(String::from_utf8_lossy(&message[..length]).into_owned())
        });
        messages.collect()
    }

    /// One of the threads that serve hangs: there is no beat until it goes on.
    #[test]
    fn a_reactor_that_hangs_stops_the_beat() {
        let folder = tempfile::tempdir().unwrap();
        let (manager, socket) = manager(&folder, Duration::from_millis(30));
        let reactors = Reactors::start(2).unwrap();
        let (_stop, stopped) = watch::channel(false);
        let status = || "serves".to_owned();
        reactors.spawn(Arc::new(manager).attend(status, reactors.pulse(), stopped));
        let begun = std::time::Instant::now();
        while heard(&socket).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "no beat");
        }
        let (hangs, is_hanging) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        // The other one has less to do.
        reactors.spawn(async move {
            hangs.send(()).unwrap();
            ended.recv().unwrap();
        });
        is_hanging.recv().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        heard(&socket);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(heard(&socket), Vec::<String>::new());
        end.send(()).unwrap();
        while heard(&socket).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "no beat");
        }
    }

    #[test]
    fn a_reload_says_when_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let (manager, socket) = manager(&folder, Duration::from_secs(1));
        manager.reloading();
        manager.ready("the file is wrong:\nline 3");
        let said = heard(&socket);
        let now = clock_gettime(ClockId::Monotonic).tv_sec;
        let began = said[0]
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .and_then(|rest| rest.split_once('\n'))
            .map(|(usec, _)| usec.parse::<i64>().unwrap() / 1_000_000);
        assert!(
            began.is_some_and(|began| (now - 60..=now).contains(&began)),
            "{said:?}"
        );
        assert_eq!(said[1], "READY=1\nSTATUS=the file is wrong: line 3\n");
    }

    #[test]
    fn a_name_that_is_no_files_is_reached_too() {
        let name = format!("haflux-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        connect(OsStr::new(&format!("@{name}")))
            .unwrap()
            .send(b"x")
            .unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
    }
}
