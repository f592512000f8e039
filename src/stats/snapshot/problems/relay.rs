//! What is wrong with a relay: its journal, its replicas, its dead letters.

use std::time::Duration;

use super::{Found, Severity, counted, percent, text_of};
use crate::stats::snapshot::{BackendView, RelayView, ReplicaView, ServerView, Status};
use crate::stats::units::Bytes;

/// A replica that is behind for less than this is at work, and no problem.
const BEHIND: Duration = Duration::from_secs(5);

/// With less room on its disk than this, a journal is about to refuse: a few of its segments.
const LITTLE_ROOM: u64 = 256 << 20;

/// From this part of a limit on, in percent, it is said that the limit is near; from the second on it is an error.
const NEAR: [u64; 2] = [60, 85];

impl Found {
    pub(super) fn journal(&mut self, relay: &RelayView) {
        let last = text_of(relay.journal.last_error.as_ref());
        if !relay.journal.takes_records {
            self.say(
                Severity::Error,
                format!("Relay {} takes no writes", relay.name),
                format!(
                    "Its disk is full, read-only, ill or gone: writes and statements get 503, reads go on. {last}"
                ),
                "Make room under data_dir or mend the disk. Writes go on by themselves then, without a restart.",
                vec!["haflux journal inspect".to_owned(), "df -h".to_owned()],
            );
        } else if !relay.journal.errors.is_zero() {
            self.say(
                Severity::Warning,
                format!("The disk of relay {} has failed {}", relay.name, counted(relay.journal.errors, "time")),
                last,
                "It takes writes again. Ask the journal whether anything is lost, and look at the disk.",
                vec!["haflux journal verify".to_owned()],
            );
        }
    }

    /// The journal's file system has less room than the backlog of a replica may still take.
    pub(super) fn disk(&mut self, relay: &RelayView) {
        let Some(free) = relay.journal.disk_free else {
            return;
        };
        let left = relay.max_backlog.0.saturating_sub(relay.backlog.0);
        let is_short = free.0 < left.max(LITTLE_ROOM);
        if !is_short || !relay.journal.takes_records {
            return;
        }
        let severity = match free.0 < LITTLE_ROOM {
            true => Severity::Error,
            false => Severity::Warning,
        };
        self.say(
            severity,
            format!("The disk of relay {} has {free} left", relay.name),
            format!(
                "The backlog of a replica that is away may grow by {} until max_backlog. A full disk comes first: then writes and statements get 503, whoever is up.",
                Bytes(left)
            ),
            "Make room under data_dir, give it a larger disk, or lower max_backlog.",
            vec!["df -h".to_owned(), "haflux journal inspect".to_owned()],
        );
    }

    pub(super) fn freshness(&mut self, relay: &RelayView) {
        let serves = |replica: &ReplicaView| match replica.status {
            Status::Fresh => true,
            Status::Lagging => replica.lag.seconds.0 < BEHIND,
            _ => false,
        };
        if !relay.replicas.is_empty() && !relay.replicas.iter().any(serves) {
            self.say(
                Severity::Error,
                format!("No replica of relay {} is fresh", relay.name),
                "None has everything that was acknowledged, so queries wait, and are then answered stale or 503, as on_stale says.",
                "Bring the replica back that was fresh last, or wait for one to catch up.",
                vec![self.told(relay, "replica status")],
            );
        }
    }

    /// A replica that holds not what the others hold: haflux fills it, or is to be told so.
    fn diverged(&mut self, relay: &RelayView, name: &str, last: &str) {
        let work = relay.work.as_ref();
        let work = work.filter(|work| work.target.as_deref() == Some(name));
        let (why, action, command) = match work {
            Some(work) if work.running => (
                format!(
                    "haflux is rebuilding it: until that is done it gets no writes, answers no queries and counts for no acknowledgement. {last}"
                ),
                "Nothing: at its end it is taken back, and serves again.".to_owned(),
                "replica rebuild --follow".to_owned(),
            ),
            work => {
                let failed = work.and_then(|work| work.failed.as_ref());
                let failed = failed.map_or_else(String::new, |reason| {
                    format!(" The last rebuild of it failed: {reason}.")
                });
                let mut others = relay.replicas.iter();
                let source = others.find(|other| other.status == Status::Fresh);
                let source = source.map_or("the replica that follows", |source| &source.name);
                (
                    format!(
                        "It missed records for good, or is not the node it was: it gets no writes, answers no queries and counts for no acknowledgement.{failed} {last}"
                    ),
                    format!(
                        "Rebuild it: haflux copies what {source} holds to it, and takes it back (docs/operation.md, \"Diverged replicas and rebuilding\", which also says how that is done by hand)."
                    ),
                    format!("replica rebuild {name}"),
                )
            }
        };
        self.say(
            Severity::Error,
            format!("Replica {name} is diverged"),
            why,
            action,
            vec![self.told(relay, command)],
        );
    }

    pub(super) fn replica(
        &mut self,
        relay: &RelayView,
        replica: &ReplicaView,
        pool: Option<&BackendView>,
    ) {
        let name = &replica.name;
        let url = pool
            .and_then(|pool| pool.servers.iter().find(|server| server.name == *name))
            .map(ServerView::url);
        let last = text_of(replica.last_error.as_ref());
        match replica.status {
            Status::Diverged => self.diverged(relay, name, &last),
            Status::Down => {
                self.say(
                    Severity::Error,
                    format!("Replica {name} is DOWN"),
                    format!(
                        "For {}. {} ({}) in the journal, which is sent to it in order when it is back; the others go on. {last}",
                        replica.since.age(), counted(replica.lag.records, "record"), replica.lag.bytes
                    ),
                    "Bring the node back with its data; it catches up by itself.",
                    url.map(|url| format!("curl -i {url}/ping"))
                        .into_iter()
                        .chain([
                            format!("systemctl status influxdb   # on {name}"),
                            self.told(relay, "replica status"),
                        ])
                        .collect(),
                );
            }
            Status::Lagging if replica.lag.seconds.0 >= BEHIND => {
                let left = match replica.lag.catch_up {
                    Some(left) => {
                        format!("It is fresh in about {left}, at the pace of the last ten seconds.")
                    }
                    None => "It does not catch up at the pace of the last ten seconds.".to_owned(),
                };
                let reason = replica.last_error.as_ref();
                let reason = reason.filter(|error| error.at.age().0 < BEHIND);
                let (reason, action) = match reason {
                    Some(error) => (
                        format!(" {}", error.text),
                        "What the reason asks for; other nodes answer what it has not.",
                    ),
                    None => (
                        String::new(),
                        "Nothing; other nodes answer what it has not.",
                    ),
                };
                self.say(
                    Severity::Warning,
                    format!("Replica {name} is behind"),
                    format!(
                        "By {}: it is applying what it missed; to go: {} ({}). {left}{reason}",
                        replica.lag.seconds,
                        counted(replica.lag.records, "record"),
                        replica.lag.bytes
                    ),
                    action,
                    Vec::new(),
                );
            }
            _ => {}
        }
        if replica.status != Status::Diverged {
            self.backlog(relay, replica);
        }
        if !replica.tried.is_zero() {
            self.say(
                Severity::Warning,
                format!("{} without a verdict at {name}", counted(replica.tried, "record")),
                "The node ended over them, cut its connection or did not answer. Each is tried again, alone; after max_attempts it is set aside there.",
                "Look at the log, which names the records. One that is not wanted can be passed over.",
                vec![self.told(relay, format_args!("replica skip {name} SEQUENCE"))],
            );
        }
    }

    fn backlog(&mut self, relay: &RelayView, replica: &ReplicaView) {
        // What counts begins with the process.
        let age = replica.lag.seconds.0.min(self.since_start);
        let most_age = relay.max_backlog_age.0;
        let bytes = percent(replica.lag.bytes.0.into(), relay.max_backlog.0.into());
        let time = percent(age.as_millis(), most_age.as_millis());
        let severity = match bytes.max(time) {
            used if used >= NEAR[1] => Severity::Error,
            used if used >= NEAR[0] => Severity::Warning,
            _ => return,
        };
        let used = match bytes >= time {
            true => format!("{bytes} % of max_backlog ({})", relay.max_backlog),
            false => format!("{time} % of max_backlog_age ({})", relay.max_backlog_age),
        };
        self.say(
            severity,
            format!("The backlog of {} is at {used}", replica.name),
            "Past the limit the replica is diverged, its backlog is let go, and it must be rebuilt.",
            "Bring the node back before that, or raise the limit if the disk has room.",
            vec!["df -h".to_owned(), self.told(relay, "replica status")],
        );
    }

    pub(super) fn letters(&mut self, relay: &RelayView) {
        if !relay.open_dead_letters.is_zero() {
            let aside: Vec<String> = relay
                .replicas
                .iter()
                .filter(|replica| !replica.set_aside.is_zero())
                .map(|replica| {
                    format!(
                        " {} were set aside for {}.",
                        replica.set_aside, replica.name
                    )
                })
                .collect();
            self.say(
                Severity::Error,
                format!("{} of relay {}", counted(relay.open_dead_letters, "dead letter"), relay.name),
                format!(
                    "Records that one node applied and another refused for good, or left without a verdict: the nodes differ in them, and the one that lacks them answers no reads of these databases. In what every node refused they do not differ.{}",
                    aside.concat()
                ),
                "Look at them, mend the cause on the node that refused, then replay or drop them.",
                vec![
                    self.told(relay, "dead-letters list"),
                    self.told(relay, "dead-letters show ID"),
                    self.told(relay, "dead-letters replay ID"),
                ],
            );
        }
    }

    pub(super) fn differences(&mut self, relay: &RelayView) {
        if let Some(reason) = &relay.compared.failed {
            self.say(
                Severity::Warning,
                format!("The nodes of relay {} were not compared to the end", relay.name),
                format!("The last comparison that haflux began by itself failed: {reason}."),
                "Mend the cause; until everything is compared, it is not known whether the nodes hold the same. The next comparison of everything ends this.",
                vec![self.told(relay, "compare")],
            );
        }
        if let (Some(at), Some(differences)) = (&relay.compared.last, relay.compared.differences)
            && !differences.is_zero()
        {
            self.say(
                Severity::Warning,
                format!("The nodes of relay {} differ", relay.name),
                format!(
                    "The comparison that ended {} ago found {}.",
                    at.age(),
                    counted(differences, "difference")
                ),
                "Look at them, and make the nodes hold the same; the next comparison ends this.",
                vec![
                    self.told(relay, "compare"),
                    self.told(relay, "mend --from NODE"),
                ],
            );
        }
    }

    /// Nodes of different releases.
    pub(super) fn releases(&mut self, relay: &RelayView) {
        if let Some(releases) = relay.differing_releases() {
            self.say(
                Severity::Warning,
                format!("The nodes of relay {} run different releases of InfluxDB", relay.name),
                format!("{releases}. What only one of them knows (a statement, a limit, a setting), it carries out alone."),
                "During an upgrade, nothing: go on with the next node. Otherwise bring all nodes to one release.",
                Vec::new(),
            );
        }
    }

    pub(super) fn faults(&mut self, relay: &RelayView) {
        if relay.refusals_unwritten {
            self.say(
                Severity::Error,
                format!("Relay {} cannot write down what nodes refused", relay.name),
                "The nodes' places are not saved, so the journal grows, and a restart sends more again; nothing is forgotten.",
                "See the log for the reason: disk full, folder gone, too many open files. It heals by itself.",
                vec!["df -h".to_owned()],
            );
        }
        if !relay.failed_tasks.is_zero() {
            self.say(
                Severity::Warning,
                format!(
                    "{} of relay {} failed",
                    counted(relay.failed_tasks, "task"),
                    relay.name
                ),
                "A fault of haflux: each began again where its cursor is saved.",
                "Report it with the log, which has the reason.",
                Vec::new(),
            );
        }
    }
}
