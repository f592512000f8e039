//! What is wrong with a listener of UDP.

use super::{Found, Severity, counted};
use crate::stats::snapshot::UdpView;

impl Found {
    /// Nodes that refuse what nobody waits for.
    pub(super) fn udp(&mut self, listener: &UdpView) {
        if listener.refusing_nodes.is_zero() {
            return;
        }
        self.say(
            Severity::Error,
            format!(
                "{} refuse what comes by UDP on {}",
                counted(listener.refusing_nodes, "node"),
                listener.bind
            ),
            format!(
                "They want credentials that may write to database {}, or it was dropped: its lines are in the journal, and no such node stores them.",
                listener.database
            ),
            "Give the listener username and password_file, or its user the right to write, or make the database again; the log says which node answers what.",
            vec!["haflux check".to_owned()],
        );
    }
}
