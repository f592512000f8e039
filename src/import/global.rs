//! `global`: the process.

use std::time::Duration;

use super::ledger::Ledger;
use super::log_target::LogTargets;
use super::statement::{Script, Statement};
use super::stats_socket::StatsSocket;
use super::value::{self, Toml};

/// What `global` says of the process.
#[derive(Debug, Default)]
pub(super) struct Global {
    pub(super) threads: Option<Toml>,
    pub(super) stop_timeout: Option<Duration>,
    pub(super) socket: StatsSocket,
    /// `maxconn`, which haflux has for each frontend only.
    pub(super) max_connections: Option<u64>,
}

/// How long haflux's service waits for a graceful stop; the journal's last sync is in it.
const SERVICE_WAITS: Duration = Duration::from_secs(50);

impl Global {
    /// Reads a line.
    pub(super) fn read(
        &mut self,
        statement: &Statement,
        logs: &mut LogTargets,
        ledger: &mut Ledger,
    ) {
        match statement.word(0) {
            "nbthread" => {
                let count = statement.words.get(1);
                self.threads = count.and_then(|word| value::whole(word, 1..=1024));
                if self.threads.is_some() {
                    ledger.used(statement);
                }
            }
            "maxconn" => {
                self.max_connections = statement.word(1).parse().ok();
                ledger.note(
                    statement,
                    "haflux limits the connections of each frontend (maxconn), not of the process",
                );
            }
            "daemon" | "user" | "group" | "chroot" | "pidfile" | "uid" | "gid" => {
                ledger.note(statement, "haflux leaves that to systemd");
            }
            "log" => logs.read(statement, false, ledger),
            "stats" => self.socket.read(statement, ledger),
            "hard-stop-after" => self.stop_timeout(statement, ledger),
            "grace" => ledger.note(statement, super::GRACE),
            "setenv" => ledger.note(statement, "its value stands wherever the file asks for it"),
            _ => {}
        }
    }

    fn stop_timeout(&mut self, statement: &Statement, ledger: &mut Ledger) {
        let Some(time) = value::duration(statement.word(1)) else {
            ledger.note(
                statement,
                "haflux takes 1ms to 30d here, as a number; its own default counts",
            );
            return;
        };
        self.stop_timeout = Some(time);
        ledger.used(statement);
        if time > SERVICE_WAITS {
            ledger.note(
                statement,
                "TimeoutStopSec of haflux's service must be longer",
            );
        }
    }

    /// Gives what is left over a reason.
    pub(super) fn finish(&self, script: &Script, ledger: &mut Ledger) {
        self.socket.finish(script, ledger);
    }
}
