//! `tls` of a backend and of a server.

use std::path::PathBuf;

use super::tls::{VERSIONS, certificate, file};
use crate::config::error::{Notice, Origin, Problem};
use crate::config::field::{Field, Keys, Table};
use crate::config::model::{CertificateFiles, ServerAddress, ServerTls, TlsVersion};
use crate::tls::ServerName;

const KEYS: Keys = Keys::with_secret(&[
    "ca",
    "crl",
    "verify",
    "server_name",
    "certificate",
    "key",
    "min_version",
]);

const EXPECTED: &str = "true, false or a table such as { ca = \"/etc/haflux/ca.pem\" }";

const NAME: &str = "a host name or an IP address such as \"influx.example.org\"";

/// What one table says of TLS; what it leaves open another one may say.
#[derive(Default, Clone)]
pub(super) struct Secured<'a> {
    field: Option<Field<'a>>,
    is_spoken: Option<bool>,
    authorities: Option<PathBuf>,
    revoked: Option<PathBuf>,
    verify: Option<bool>,
    name: Option<ServerName<'static>>,
    certificate: Option<CertificateFiles>,
    min_version: Option<TlsVersion>,
}

impl<'a> Secured<'a> {
    /// Reads `tls` of the table of a backend or of a server.
    pub(super) fn decode(table: &Table<'a>) -> Self {
        let Some(field) = table.get("tls") else {
            return Self::default();
        };
        let said = Self {
            field: Some(field.clone()),
            is_spoken: Some(true),
            ..Self::default()
        };
        if let Some(is_spoken) = field.as_boolean() {
            return Self {
                is_spoken: Some(is_spoken),
                ..said
            };
        }
        let Some(table) = field.table(KEYS, EXPECTED) else {
            return said;
        };
        let verify = table.get("verify").map(|field| (verify(&field), field));
        if let Some((Some(false), field)) = &verify {
            field.warn(Notice::ServerNotVerified);
        }
        if let Some(key) = table.get("key")
            && table.get("certificate").is_none()
        {
            let other = "certificate";
            key.report(Problem::Needs { other });
        }
        Self {
            authorities: file(&table, "ca"),
            revoked: file(&table, "crl"),
            verify: verify.and_then(|(verify, _)| verify),
            name: table.get("server_name").and_then(|field| name(&field)),
            certificate: table.get("certificate").and_then(|_| certificate(&table)),
            min_version: table
                .get("min_version")
                .and_then(|field| field.choice(&VERSIONS)),
            ..said
        }
    }

    /// What both say; `own` counts where it says something.
    pub(super) fn and(&self, own: &Self) -> Self {
        Self {
            field: own.field.clone().or_else(|| self.field.clone()),
            is_spoken: own.is_spoken.or(self.is_spoken),
            authorities: own.authorities.clone().or_else(|| self.authorities.clone()),
            revoked: own.revoked.clone().or_else(|| self.revoked.clone()),
            verify: own.verify.or(self.verify),
            name: own.name.clone().or_else(|| self.name.clone()),
            certificate: own.certificate.clone().or_else(|| self.certificate.clone()),
            min_version: own.min_version.or(self.min_version),
        }
    }

    /// How TLS is spoken to a server at `address`, if it is.
    pub(super) fn speak(self, address: &ServerAddress) -> Option<ServerTls> {
        if !self.is_spoken.unwrap_or_default() {
            return None;
        }
        let name = match (self.name, address) {
            (Some(name), _) => name,
            (None, ServerAddress::Ip(address)) => ServerName::from(address.ip()),
            (None, ServerAddress::Dns { host, .. }) => match ServerName::try_from(host.clone()) {
                Ok(name) => name,
                Err(_) => {
                    if let Some(field) = self.field {
                        let other = "server_name";
                        field.report(Problem::Needs { other });
                    }
                    return None;
                }
            },
        };
        Some(ServerTls {
            name,
            verify: self.verify.unwrap_or(true),
            authorities: self.authorities,
            revoked: self.revoked,
            certificate: self.certificate,
            min_version: self.min_version.unwrap_or(TlsVersion::Tls12),
        })
    }

    /// Where it is said.
    pub(super) fn origin(&self) -> Option<Origin> {
        self.field.as_ref().map(Field::origin)
    }
}

fn verify(field: &Field<'_>) -> Option<bool> {
    field.choice(&[("required", true), ("none", false)])
}

fn name(field: &Field<'_>) -> Option<ServerName<'static>> {
    let text = field.text(NAME)?;
    let name = ServerName::try_from(text.value.clone());
    if name.is_err() {
        field.expected(NAME);
    }
    name.ok()
}
