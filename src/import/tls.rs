//! `ssl` and what belongs to it in a `bind` line.

use super::criterion::ReadFile;
use super::value::{Toml, quoted};
use super::word::Word;

/// TLS as a frontend of haflux has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tls {
    certificates: Vec<Certificate>,
    min_version: Option<&'static str>,
    /// In the order of preference; none if HTTP/1 alone is spoken.
    alpn: Vec<&'static str>,
    /// `required` or `optional`.
    client_certificate: Option<&'static str>,
    client_ca: Option<String>,
    client_crl: Option<String>,
}

/// `crt`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Certificate {
    file: String,
    /// Whether HAProxy finds what the authority says of it beside it.
    is_stapled: bool,
}

impl Certificate {
    /// Its keys.
    fn pairs(&self) -> Vec<Toml> {
        let staple = self
            .is_stapled
            .then(|| format!("ocsp = {}", quoted(&beside(&self.file))));
        let file = format!("certificate = {}", quoted(&self.file));
        [file].into_iter().chain(staple).collect()
    }

    /// As an entry of a list.
    fn entry(&self) -> Toml {
        match self.is_stapled {
            false => quoted(&self.file),
            true => format!("{{ {} }}", self.pairs().join(", ")),
        }
    }
}

/// Where HAProxy looks for an OCSP response.
fn beside(certificate: &str) -> String {
    format!("{certificate}.ocsp")
}

/// Parameters whose value stands in the next word, and that have no counterpart.
pub(super) const WITH_VALUE: [&str; 22] = [
    "backlog",
    "ca-ignore-err",
    "ca-sign-file",
    "ca-sign-pass",
    "ca-verify-file",
    "ciphers",
    "ciphersuites",
    "crt-ignore-err",
    "crt-list",
    "curves",
    "ecdhe",
    "gid",
    "interface",
    "maxconn",
    "mode",
    "mss",
    "name",
    "nice",
    "npn",
    "proto",
    "ssl-max-ver",
    "tls-ticket-keys",
];

/// Reads the parameters of an address with `ssl`: what haflux does of it, and what has no counterpart. `files` finds what stands beside
/// certificates.
///
/// # Errors
///
/// Why haflux cannot listen there without weakening something.
pub(super) fn read(parameters: &[Word], files: ReadFile<'_>) -> Result<(Tls, Vec<String>), String> {
    let mut tls = Tls::default();
    let mut rest = Vec::new();
    let mut words = parameters.iter();
    while let Some(word) = words.next() {
        let parameter = word.as_str();
        match parameter {
            "ssl" => {}
            "crt" => {
                let file = file(parameter, words.next())?;
                let is_stapled = files(&beside(&file)).is_ok();
                tls.certificates.push(Certificate { file, is_stapled });
            }
            "ca-file" => tls.client_ca = Some(file(parameter, words.next())?),
            "crl-file" => tls.client_crl = Some(file(parameter, words.next())?),
            "verify" => {
                tls.client_certificate = match words.next().map(Word::as_str) {
                    Some("none") => None,
                    Some("optional") => Some("optional"),
                    Some("required") => Some("required"),
                    _ => return Err("what verify says is unknown here".to_owned()),
                };
            }
            "ssl-min-ver" => match words.next().map(Word::as_str) {
                Some("TLSv1.3") => tls.min_version = Some("1.3"),
                Some("TLSv1.2") => {}
                Some(other) => rest.push(format!("{parameter} {other}")),
                None => rest.push(parameter.to_owned()),
            },
            "alpn" => match words.next().map(|word| protocols(word.as_str())) {
                Some(Some(alpn)) => tls.alpn = alpn,
                _ => rest.push("alpn".to_owned()),
            },
            "no-tlsv12" | "force-tlsv13" => tls.min_version = Some("1.3"),
            // haflux speaks none of these.
            "no-sslv3" | "no-tlsv10" | "no-tlsv11" => {}
            "crt-list" => return Err("haflux reads no list of certificates".to_owned()),
            _ => {
                let value = WITH_VALUE.contains(&parameter).then(|| words.next());
                let value = value.flatten().map(Word::as_str);
                rest.extend(
                    [Some(parameter), value]
                        .into_iter()
                        .flatten()
                        .map(str::to_owned),
                );
            }
        }
    }
    if tls.certificates.is_empty() {
        return Err("no crt is given".to_owned());
    }
    if tls.client_certificate.is_some() && tls.client_ca.is_none() {
        return Err("verify needs a ca-file here".to_owned());
    }
    if tls.client_certificate.is_none() {
        // Nobody is asked for what they would judge.
        (tls.client_ca, tls.client_crl) = (None, None);
    }
    Ok((tls, rest))
}

/// The protocols of a list that haflux speaks inside TLS; none if that is HTTP/1 alone. Nothing if it speaks none of them.
fn protocols(list: &str) -> Option<Vec<&'static str>> {
    let known = list.split(',').filter_map(|name| match name {
        "h2" => Some("h2"),
        "http/1.1" => Some("http/1.1"),
        _ => None,
    });
    let known: Vec<_> = known.collect();
    match known[..] {
        [] => None,
        ["http/1.1"] => Some(Vec::new()),
        _ => Some(known),
    }
}

/// The name of a file as haflux's configuration has it. A folder and a name below a base of HAProxy's own are none.
pub(super) fn file(parameter: &str, word: Option<&Word>) -> Result<String, String> {
    let Some(word) = word else {
        return Err(format!("no {parameter} is given"));
    };
    let name = word.notation();
    if word.is_variable() || (name.starts_with('/') && !name.ends_with('/')) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "{parameter} must name one file by its whole path here, and {name} does not"
    ))
}

impl Tls {
    /// The keys of the table but for the addresses.
    pub(super) fn pairs(&self) -> Vec<Toml> {
        let texts = |(key, value): (&str, Option<&str>)| {
            value.map(|value| format!("{key} = {}", quoted(value)))
        };
        let mut certificates = self.certificates.iter();
        let first = certificates.next().map(Certificate::pairs);
        let further: Vec<Toml> = certificates.map(Certificate::entry).collect();
        let further =
            (!further.is_empty()).then(|| format!("certificates = [{}]", further.join(", ")));
        let alpn: Vec<Toml> = self.alpn.iter().map(|name| quoted(name)).collect();
        let alpn = (!alpn.is_empty()).then(|| format!("alpn = [{}]", alpn.join(", ")));
        let rest = [
            ("min_version", self.min_version),
            ("client_certificate", self.client_certificate),
            ("client_ca", self.client_ca.as_deref()),
            ("client_crl", self.client_crl.as_deref()),
        ];
        first
            .into_iter()
            .flatten()
            .chain(further)
            .chain(alpn)
            .chain(rest.into_iter().filter_map(texts))
            .collect()
    }

    /// Adds the certificates of another line of the same frontend; false if the two differ in more.
    pub(super) fn join(&mut self, other: Tls) -> bool {
        let certificates = self.certificates.clone();
        let is_same = Tls {
            certificates,
            ..other.clone()
        } == *self;
        if is_same {
            for certificate in other.certificates {
                if !self.certificates.contains(&certificate) {
                    self.certificates.push(certificate);
                }
            }
        }
        is_same
    }
}
