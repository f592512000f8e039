//! `tls` of a frontend.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::frontend::bind;
use crate::config::error::Problem;
use crate::config::field::{Field, Keys, Table};
use crate::config::model::{Alpn, CertificateFiles, ClientCertificate, Frontend, Tls, TlsVersion};

const KEYS: Keys = Keys::with_secret(&[
    "addresses",
    "certificate",
    "key",
    "ocsp",
    "certificates",
    "min_version",
    "alpn",
    "client_certificate",
    "client_ca",
    "client_crl",
    "max_handshakes",
]);

pub(in crate::config) const PROTOCOLS: [(&str, Alpn); 2] =
    [("h2", Alpn::Http2), ("http/1.1", Alpn::Http1)];

pub(in crate::config) const CLIENT_CERTIFICATES: [(&str, ClientCertificate); 3] = [
    ("none", ClientCertificate::None),
    ("optional", ClientCertificate::Optional),
    ("required", ClientCertificate::Required),
];

const CERTIFICATE: Keys = Keys::with_secret(&["certificate", "key", "ocsp"]);

const FILE: &str = "the name of a file in PEM form";

const RESPONSE: &str = "the name of a file with an OCSP response in DER form";

const FURTHER: &str =
    "a list of files, or of tables such as { certificate = \"site.pem\", key = \"site.key\" }";

pub(in crate::config) const VERSIONS: [(&str, TlsVersion); 2] =
    [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];

/// Reads the table of a frontend whose addresses and `maxconn` are known.
pub(super) fn decode(field: &Field<'_>, frontend: &Frontend) -> Option<Tls> {
    let table = field.table(KEYS, "a table with \"certificate\"")?;
    let mut certificates: Vec<_> = stapled(&table).into_iter().collect();
    let further = table
        .get("certificates")
        .and_then(|field| field.items(FURTHER));
    for field in further.unwrap_or_default() {
        let Some(files) = one_further(&field) else {
            continue;
        };
        let mut before = certificates.iter();
        if before.any(|one: &CertificateFiles| one.certificate == files.certificate) {
            field.expected("a certificate that is not named before");
        }
        certificates.push(files);
    }
    let client_certificate = table.choice(
        "client_certificate",
        &CLIENT_CERTIFICATES,
        ClientCertificate::None,
    );
    let client_ca = file(&table, "client_ca");
    let client_crl = file(&table, "client_crl");
    needs(
        &table,
        "client_certificate",
        client_certificate != ClientCertificate::None,
        "client_ca",
    );
    needs(&table, "client_crl", true, "client_ca");
    if client_certificate == ClientCertificate::None
        && let Some(field) = table.get("client_ca")
    {
        let other = "client_certificate";
        field.report(Problem::Needs { other });
    }
    Some(Tls {
        addresses: addresses(&table, frontend),
        certificates,
        min_version: table.choice("min_version", &VERSIONS, TlsVersion::Tls12),
        alpn: protocols(&table),
        client_certificate,
        client_ca,
        client_crl,
        max_handshakes: table.whole(
            "max_handshakes",
            1..=1_000_000,
            (frontend.max_connections / 2).max(1),
        ),
    })
}

/// `alpn`.
fn protocols(table: &Table<'_>) -> Vec<Alpn> {
    let Some(field) = table.get("alpn") else {
        return vec![Alpn::Http1];
    };
    let fields = field.one_or_more("\"h2\", \"http/1.1\", or a list of both");
    let mut protocols = Vec::new();
    for field in fields.unwrap_or_default() {
        let Some(protocol) = field.choice(&PROTOCOLS) else {
            continue;
        };
        if protocols.contains(&protocol) {
            field.expected("a protocol that is not named before");
        }
        protocols.push(protocol);
    }
    protocols
}

/// Those of `bind` that are named here, or all of them.
fn addresses(table: &Table<'_>, frontend: &Frontend) -> Vec<SocketAddr> {
    let Some(field) = table.get("addresses") else {
        return frontend.bind.clone();
    };
    let fields = field.one_or_more("one or more of the addresses of \"bind\"");
    let each = fields.unwrap_or_default().into_iter().filter_map(|field| {
        let address = bind(&field)?;
        if !frontend.bind.contains(&address) {
            field.expected("an address that stands in \"bind\" too");
        }
        Some(address)
    });
    each.collect()
}

/// `certificate` and `key`.
pub(super) fn certificate(table: &Table<'_>) -> Option<CertificateFiles> {
    let field = table.require("certificate", FILE)?;
    let certificate = path(&field)?;
    Some(CertificateFiles {
        key: file(table, "key").unwrap_or_else(|| certificate.clone()),
        certificate,
        ocsp: None,
    })
}

/// The same with `ocsp`.
fn stapled(table: &Table<'_>) -> Option<CertificateFiles> {
    let response = table.get("ocsp");
    let response = response.and_then(|field| field.text(RESPONSE));
    Some(CertificateFiles {
        ocsp: response.map(|text| PathBuf::from(&text.value)),
        ..certificate(table)?
    })
}

fn one_further(field: &Field<'_>) -> Option<CertificateFiles> {
    if field.is_text() {
        let certificate = path(field)?;
        return Some(CertificateFiles {
            key: certificate.clone(),
            certificate,
            ocsp: None,
        });
    }
    stapled(&field.table(CERTIFICATE, FURTHER)?)
}

/// A key that names a file.
pub(super) fn file(table: &Table<'_>, key: &str) -> Option<PathBuf> {
    table.get(key).and_then(|field| path(&field))
}

fn path(field: &Field<'_>) -> Option<PathBuf> {
    if let Some(path) = field.withheld_path() {
        return Some(path);
    }
    let text = field.text(FILE)?;
    // What belongs into the file may stand in place of its name.
    if text.value.contains(char::is_control) {
        field.hidden().expected(FILE);
        return None;
    }
    Some(PathBuf::from(&text.value))
}

/// Reports `key`, if it is there and `counts`, without `other`.
fn needs(table: &Table<'_>, key: &str, counts: bool, other: &'static str) {
    if counts
        && table.get(other).is_none()
        && let Some(field) = table.get(key)
    {
        field.report(Problem::Needs { other });
    }
}
