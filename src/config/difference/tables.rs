//! Tables within tables, as keys with their values.

use super::in_file::InFile;
use super::words::word;
use crate::config::decode::{CLIENT_CERTIFICATES, PROTOCOLS, VERSIONS};
use crate::config::model::{
    AccessRule, Bandwidth, CertificateFiles, Http2, Level, NodeLogin, OwnLogin, RateLimit,
    ServerTls, SocketSettings, Tls,
};

/// Keys and what stands behind them, in the words of the file.
pub(super) type Table = Vec<(&'static str, String)>;

/// The table in one line, without the keys that are not there.
pub(super) fn line(table: &Table) -> String {
    let there = table.iter().filter(|(_, value)| value != "none");
    let pairs: Vec<String> = there
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    match pairs.is_empty() {
        true => "{}".to_owned(),
        false => format!("{{ {} }}", pairs.join(", ")),
    }
}

pub(super) fn socket(settings: &SocketSettings) -> Table {
    let SocketSettings {
        path,
        mode,
        group,
        level,
        connections,
        timeout,
    } = settings;
    vec![
        ("path", path.in_file()),
        ("mode", format!("{mode:o}").in_file()),
        ("group", group.in_file()),
        ("level", word(&Level::WORDS, level)),
        ("maxconn", connections.in_file()),
        ("timeout", timeout.in_file()),
    ]
}

pub(super) fn tls(tls: &Tls) -> Table {
    let Tls {
        addresses,
        certificates,
        min_version,
        alpn,
        client_certificate,
        client_ca,
        client_crl,
        max_handshakes,
    } = tls;
    let (first, further) = match certificates.split_first() {
        Some((first, further)) => (Some(first), further),
        None => (None, &[][..]),
    };
    let further: Vec<String> = further
        .iter()
        .map(|one| line(&certificate(Some(one))))
        .collect();
    let protocols: Vec<String> = alpn.iter().map(|one| word(&PROTOCOLS, one)).collect();
    let mut table = certificate(first);
    table.extend([
        (
            "certificates",
            match further.is_empty() {
                true => "none".to_owned(),
                false => format!("[{}]", further.join(", ")),
            },
        ),
        ("addresses", addresses.in_file()),
        ("min_version", word(&VERSIONS, min_version)),
        ("alpn", format!("[{}]", protocols.join(", "))),
        (
            "client_certificate",
            word(&CLIENT_CERTIFICATES, client_certificate),
        ),
        ("client_ca", client_ca.in_file()),
        ("client_crl", client_crl.in_file()),
        ("max_handshakes", max_handshakes.in_file()),
    ]);
    table
}

/// A key that stands in the certificate's own file is not named.
fn certificate(files: Option<&CertificateFiles>) -> Table {
    let own_key = files.filter(|files| files.key != files.certificate);
    vec![
        (
            "certificate",
            files.map(|files| &files.certificate).in_file(),
        ),
        ("key", own_key.map(|files| &files.key).in_file()),
        (
            "ocsp",
            files.and_then(|files| files.ocsp.as_ref()).in_file(),
        ),
    ]
}

pub(super) fn server_tls(tls: &ServerTls) -> Table {
    let ServerTls {
        name,
        verify,
        authorities,
        revoked,
        certificate,
        min_version,
    } = tls;
    let verify = if *verify { "required" } else { "none" };
    let mut table = vec![
        ("ca", authorities.in_file()),
        ("server_name", name.to_str().in_file()),
        ("verify", verify.in_file()),
        ("crl", revoked.in_file()),
    ];
    table.extend(self::certificate(certificate.as_ref()));
    table.push(("min_version", word(&VERSIONS, min_version)));
    table
}

pub(super) fn http2(http2: &Http2) -> Table {
    let Http2 {
        plain,
        max_streams,
        max_resets,
        window,
    } = http2;
    vec![
        ("plain", plain.in_file()),
        ("max_streams", max_streams.in_file()),
        ("max_resets", max_resets.in_file()),
        ("window", window.in_file()),
    ]
}

pub(super) fn rate_limit(limit: &RateLimit) -> Table {
    let RateLimit {
        requests,
        per,
        burst,
        max_sources,
    } = limit;
    vec![
        ("requests", requests.in_file()),
        ("per", per.in_file()),
        ("burst", burst.in_file()),
        ("max_sources", max_sources.in_file()),
    ]
}

pub(super) fn bandwidth(bandwidth: &Bandwidth) -> Table {
    let Bandwidth {
        in_per_source,
        out_per_source,
        in_per_request,
        out_per_request,
        max_sources,
    } = bandwidth;
    vec![
        ("in_per_source", in_per_source.in_file()),
        ("out_per_source", out_per_source.in_file()),
        ("in_per_request", in_per_request.in_file()),
        ("out_per_request", out_per_request.in_file()),
        ("max_sources", max_sources.in_file()),
    ]
}

/// An entry of `rules`.
pub(super) fn access_rule(rule: &AccessRule) -> Table {
    let AccessRule {
        users,
        read,
        write,
        measurements,
        read_only,
        statements,
        deny_statements,
    } = rule;
    let users = (!users.is_empty()).then_some(users);
    vec![
        ("users", users.in_file()),
        ("read", read.in_file()),
        ("write", write.in_file()),
        ("measurements", measurements.in_file()),
        ("read_only", read_only.then_some(true).in_file()),
        ("statements", statements.in_file()),
        ("deny_statements", deny_statements.in_file()),
    ]
}

/// An entry of a backend's `login`.
pub(super) fn node_login(login: &NodeLogin) -> Table {
    let NodeLogin { users, login } = login;
    let users = (!users.is_empty()).then_some(users);
    vec![
        ("users", users.in_file()),
        ("username", login.username.in_file()),
        ("password_file", login.password_file.in_file()),
    ]
}

/// An entry of a server's `login`.
pub(super) fn own_login(login: &OwnLogin) -> Table {
    let OwnLogin { instead_of, login } = login;
    vec![
        ("instead_of", instead_of.in_file()),
        ("username", login.username.in_file()),
        ("password_file", login.password_file.in_file()),
    ]
}
