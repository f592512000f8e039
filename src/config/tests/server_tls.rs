//! `tls` of backends and of servers.

use std::path::PathBuf;

use super::toml;
use crate::config::model::{CertificateFiles, ServerTls, TlsVersion};
use crate::tls::ServerName;

/// A backend with these keys, and servers whose tables end so.
fn with(keys: &str, servers: &[&str]) -> String {
    let each = servers.iter().enumerate();
    let each = each.map(|(number, more)| {
        let address = match number {
            0 => "10.0.2.2:8086".to_owned(),
            _ => format!("influx{number}.example.org:8086"),
        };
        format!("{{ name = \"s{number}\", address = \"{address}\"{more} }}")
    });
    let each: Vec<String> = each.collect();
    format!(
        "[[frontend]]\nname = \"front\"\nbind = \"0.0.0.0:80\"\ndefault_backend = \"back\"\n\
         [[backend]]\nname = \"back\"\n{keys}\nservers = [{}]\n",
        each.join(", ")
    )
}

fn read(keys: &str, servers: &[&str]) -> Vec<Option<ServerTls>> {
    let loaded = toml(&with(keys, servers)).unwrap_or_else(|errors| panic!("{errors}"));
    let servers = &loaded.config.backends[0].servers;
    servers.iter().map(|server| server.tls.clone()).collect()
}

fn named(name: &str) -> ServerTls {
    ServerTls {
        name: ServerName::try_from(name.to_owned()).expect("a name"),
        verify: true,
        authorities: None,
        revoked: None,
        certificate: None,
        min_version: TlsVersion::Tls12,
    }
}

#[test]
fn a_server_is_told_what_its_pool_is_and_what_it_says_itself() {
    assert_eq!(read("", &["", ""]), [None, None]);
    let by_address = [Some(named("10.0.2.2")), Some(named("influx1.example.org"))];
    assert_eq!(read("tls = true", &["", ""]), by_address);
    assert_eq!(read("tls = {}", &["", ", tls = false"])[1], None);
    assert_eq!(read("tls = false", &["", ", tls = true"])[0], None);
    let own = ", tls = { verify = \"none\", server_name = \"b.example\", certificate = \"b.pem\", key = \"b.key\" }";
    let both = read(
        "tls = { ca = \"ca.pem\", crl = \"crl.pem\", certificate = \"a.pem\", min_version = \"1.3\" }",
        &["", own],
    );
    let files = |certificate: &str, key: &str| CertificateFiles {
        certificate: PathBuf::from(certificate),
        key: PathBuf::from(key),
        ocsp: None,
    };
    let first = ServerTls {
        authorities: Some(PathBuf::from("ca.pem")),
        revoked: Some(PathBuf::from("crl.pem")),
        certificate: Some(files("a.pem", "a.pem")),
        min_version: TlsVersion::Tls13,
        ..named("10.0.2.2")
    };
    let second = ServerTls {
        name: named("b.example").name,
        verify: false,
        certificate: Some(files("b.pem", "b.key")),
        ..first.clone()
    };
    assert_eq!(both, [Some(first), Some(second)]);
}

#[test]
fn what_cannot_be_meant_is_an_error() {
    for (tls, said) in [
        (
            "\"yes\"",
            "tls: expected true, false or a table such as { ca = \"/etc/haflux/ca.pem\" }",
        ),
        (
            "{ verify = \"optional\" }",
            "tls.verify: expected \"required\" or \"none\"",
        ),
        (
            "{ key = \"a.key\" }",
            "tls.key: needs certificate beside it",
        ),
        (
            "{ server_name = \"a name\" }",
            "tls.server_name: expected a host name or an IP address",
        ),
        ("{ sni = \"a\" }", "tls.sni: unknown key"),
        (
            "{ min_version = \"1.1\" }",
            "tls.min_version: expected \"1.2\" or \"1.3\"",
        ),
    ] {
        for text in [
            with(&format!("tls = {tls}"), &[""]),
            with("", &[&format!(", tls = {tls}")]),
        ] {
            let errors = toml(&text).expect_err(tls).to_string();
            assert!(errors.contains(said), "{tls}: {errors}");
        }
    }
}

#[test]
fn who_is_not_verified_is_warned_of() {
    let loaded = toml(&with("tls = { verify = \"none\" }", &["", ""]));
    let warnings = loaded.expect("a configuration").warnings;
    let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("tls.verify: the certificates of servers are not verified"));
}
