//! What is wrong with a backend or one of its servers.

use super::{Found, Severity};
use crate::stats::snapshot::{
    BackendView, CertificateView, FrontendView, ServerView, Snapshot, Status,
};
use crate::stats::{AdminState, CERTIFICATE_ENDS_SOON};

impl Found {
    /// Certificates that end soon, or have ended.
    pub(super) fn certificates(&mut self, frontend: &FrontendView) {
        for certificate in &frontend.tls.certificates {
            self.certificate(
                certificate,
                format!(
                    "Frontend {} shows it, until {}: clients that verify it are turned away from then on.",
                    frontend.name, certificate.not_after
                ),
            );
        }
    }

    /// What is to be shown with certificates, and is not.
    pub(super) fn staples(&mut self, frontend: &FrontendView) {
        for staple in &frontend.tls.ocsp {
            let Some(fault) = &staple.fault else {
                continue;
            };
            self.say(
                Severity::Warning,
                format!("The OCSP response in {} is not stapled", staple.file),
                format!(
                    "Frontend {}: {fault}. Clients that ask for one ask the authority, or do without; those that insist are lost.",
                    frontend.name
                ),
                "Put a new one in its place, and have haflux read it.",
                vec!["haflux reload".to_owned()],
            );
        }
    }

    /// The same of what a server is shown.
    pub(super) fn own_certificates(&mut self, backend: &BackendView, server: &ServerView) {
        for certificate in &server.tls.certificates {
            self.certificate(
                certificate,
                format!(
                    "Server {}/{} is shown it, until {}: if it asks for a certificate, it turns haflux away from then on.",
                    backend.name, server.name, certificate.not_after
                ),
            );
        }
    }

    fn certificate(&mut self, certificate: &CertificateView, why: String) {
        let file = &certificate.file;
        let (severity, what) = match certificate.valid_for {
            Some(left) if left.0 >= CERTIFICATE_ENDS_SOON => return,
            Some(left) => (
                Severity::Warning,
                format!("The certificate in {file} expires in {left}"),
            ),
            None => (
                Severity::Error,
                format!("The certificate in {file} has expired"),
            ),
        };
        self.say(
            severity,
            what,
            why,
            "Put the new certificate in its place, and have haflux read it.",
            vec!["haflux reload".to_owned()],
        );
    }

    pub(super) fn backend(&mut self, backend: &BackendView) {
        if !backend.up {
            let is_ordered = |server: &ServerView| server.admin != AdminState::Ready;
            self.say(
                Severity::Error,
                format!("Backend {} is DOWN", backend.name),
                format!(
                    "None of its {} servers can serve: its requests are answered 503.",
                    backend.servers.len()
                ),
                match backend.servers.iter().any(is_ordered) {
                    true => "Bring a server back, or end an order: the orders are named below.",
                    false => {
                        "Bring a server back; its last check below says what is wrong with it."
                    }
                },
                Vec::new(),
            );
        }
    }

    /// A server that is down, unless its replica says so already.
    pub(super) fn server(&mut self, all: &Snapshot, backend: &BackendView, server: &ServerView) {
        let is_said = all.relays.iter().any(|relay| {
            relay.pool == backend.name
                && relay.replicas.iter().any(|replica| {
                    replica.name == server.name
                        && matches!(replica.status, Status::Down | Status::Diverged)
                })
        });
        if server.status == Status::Down && !is_said {
            let (check, url) = match &server.last_check {
                Some(check) => (
                    format!(" Last check: {} {}.", check.code, check.detail),
                    check.asked.clone(),
                ),
                None => (String::new(), format!("{}/", server.url())),
            };
            self.say(
                Severity::Warning,
                format!("Server {}/{} is DOWN", backend.name, server.name),
                format!(
                    "For {}: {}.{check}",
                    server.since.age(),
                    server.reason.trim_end_matches('.')
                ),
                match backend.up {
                    true => "The other servers of its backend serve meanwhile. Bring it back.",
                    false => "Bring it back.",
                },
                vec![format!("curl -i {url}")],
            );
        }
    }
}
