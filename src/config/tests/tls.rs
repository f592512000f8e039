//! `tls` of a frontend.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::toml;
use crate::config::model::{Alpn, CertificateFiles, ClientCertificate, Tls, TlsVersion};

fn with(tls: &str) -> String {
    format!(
        "[[frontend]]\nname = \"front\"\nbind = [\"0.0.0.0:443\", \"0.0.0.0:80\"]\nmaxconn = 100\ndefault_backend = \"back\"\n\
         tls = {{ {tls} }}\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"a\", address = \"10.0.2.2:80\" }}]\n"
    )
}

fn files(certificate: &str, key: &str) -> CertificateFiles {
    CertificateFiles {
        certificate: PathBuf::from(certificate),
        key: PathBuf::from(key),
        ocsp: None,
    }
}

fn stapled(certificate: &str, key: &str, response: &str) -> CertificateFiles {
    CertificateFiles {
        ocsp: Some(PathBuf::from(response)),
        ..files(certificate, key)
    }
}

#[test]
fn it_says_what_a_frontend_does() {
    let read = |tls: &str| {
        let config = toml(&with(tls)).unwrap_or_else(|errors| panic!("{errors}"));
        config.config.frontends[0].tls.clone().expect("TLS")
    };
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let least = Tls {
        addresses: vec![address("0.0.0.0:443"), address("0.0.0.0:80")],
        certificates: vec![files("a.pem", "a.pem")],
        min_version: TlsVersion::Tls12,
        alpn: vec![Alpn::Http1],
        client_certificate: ClientCertificate::None,
        client_ca: None,
        client_crl: None,
        max_handshakes: 50,
    };
    assert_eq!(read("certificate = \"a.pem\""), least);
    let most = Tls {
        addresses: vec![address("0.0.0.0:443")],
        certificates: vec![
            stapled("a.pem", "a.key", "a.der"),
            files("b.pem", "b.pem"),
            stapled("c.pem", "c.key", "c.der"),
        ],
        min_version: TlsVersion::Tls13,
        alpn: vec![Alpn::Http2, Alpn::Http1],
        client_certificate: ClientCertificate::Required,
        client_ca: Some(PathBuf::from("ca.pem")),
        client_crl: Some(PathBuf::from("crl.pem")),
        max_handshakes: 7,
    };
    assert_eq!(
        read(
            "addresses = \"0.0.0.0:443\", certificate = \"a.pem\", key = \"a.key\", ocsp = \"a.der\", \
             certificates = [\"b.pem\", { certificate = \"c.pem\", key = \"c.key\", ocsp = \"c.der\" }], \
             min_version = \"1.3\", alpn = [\"h2\", \"http/1.1\"], client_certificate = \"required\", client_ca = \"ca.pem\", \
             client_crl = \"crl.pem\", max_handshakes = 7"
        ),
        most
    );
}

#[test]
fn what_cannot_be_meant_is_an_error() {
    for (tls, said) in [
        ("", "tls: \"certificate\" is missing"),
        (
            "certificate = \"a.pem\", certificates = [\"b.pem\", \"a.pem\"]",
            "tls.certificates[1]: expected a certificate that is not named before",
        ),
        (
            "certificate = \"a.pem\", addresses = \"0.0.0.0:8443\"",
            "tls.addresses: expected an address that stands in \"bind\" too",
        ),
        (
            "certificate = \"a.pem\", addresses = []",
            "tls.addresses: expected one or more of the addresses of \"bind\"",
        ),
        (
            "certificate = \"a.pem\", min_version = \"1.1\"",
            "tls.min_version: expected \"1.2\" or \"1.3\"",
        ),
        (
            "certificate = \"a.pem\", alpn = []",
            "tls.alpn: expected \"h2\", \"http/1.1\", or a list of both",
        ),
        (
            "certificate = \"a.pem\", alpn = [\"h2\", \"h2\"]",
            "tls.alpn[1]: expected a protocol that is not named before",
        ),
        (
            "certificate = \"a.pem\", alpn = \"h3\"",
            "tls.alpn: expected \"h2\" or \"http/1.1\", found a text",
        ),
        (
            "certificate = \"a.pem\", client_certificate = \"required\"",
            "tls.client_certificate: needs client_ca beside it",
        ),
        (
            "certificate = \"a.pem\", client_ca = \"ca.pem\"",
            "tls.client_ca: needs client_certificate beside it",
        ),
        (
            "certificate = \"a.pem\", client_crl = \"crl.pem\"",
            "tls.client_crl: needs client_ca beside it",
        ),
        (
            "certificate = \"a.pem\", client_ca = \"ca.pem\", client_certificate = \"none\"",
            "tls.client_ca: needs client_certificate beside it",
        ),
    ] {
        let errors = toml(&with(tls)).expect_err(tls).to_string();
        assert!(errors.contains(said), "{tls}: {errors}");
    }
}
