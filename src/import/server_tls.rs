//! `ssl` and what belongs to it in a `server` line.

use super::tls::file;
use super::value::{Toml, quoted};
use super::word::Word;

/// TLS as a server of haflux has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServerTls {
    is_spoken: bool,
    is_unverified: bool,
    authorities: Option<String>,
    revoked: Option<String>,
    /// Whom `verifyhost` or else `sni` names.
    name: Option<String>,
    is_name_verified: bool,
    certificate: Option<String>,
    min_version: Option<&'static str>,
    /// Why haflux cannot speak it without weakening something.
    refused: Option<String>,
}

impl ServerTls {
    /// Takes a parameter. Nothing if it is no matter of TLS; else whether it has a counterpart.
    pub(super) fn take(&mut self, key: &str, value: Option<&Word>) -> Option<bool> {
        match key {
            "ssl" => self.is_spoken = true,
            "no-ssl" => self.is_spoken = false,
            "verify" => self.is_unverified = value.map(Word::as_str) == Some("none"),
            "ca-file" if value.map(Word::as_str) == Some("@system-ca") => self.authorities = None,
            "ca-file" => self.authorities = self.file(key, value),
            "crl-file" => self.revoked = self.file(key, value),
            "crt" => self.certificate = self.file(key, value),
            "verifyhost" => {
                self.name = value.map(|name| name.notation().to_owned());
                self.is_name_verified = true;
            }
            "sni" => return Some(self.sni(value)),
            "ssl-min-ver" => match value.map(Word::as_str) {
                Some("TLSv1.3") => self.min_version = Some("1.3"),
                Some("TLSv1.2") => self.min_version = None,
                _ => return Some(false),
            },
            "no-tlsv12" | "force-tlsv13" => self.min_version = Some("1.3"),
            // haflux speaks none of these.
            "no-sslv3" | "no-tlsv10" | "no-tlsv11" => {}
            // It speaks HTTP/1.1 inside, and its checks speak TLS where its requests do.
            "alpn" | "check-ssl" => {}
            _ => return None,
        }
        Some(true)
    }

    /// A name that each request has for itself is no name of a server.
    fn sni(&mut self, value: Option<&Word>) -> bool {
        let text = value.map(Word::notation).unwrap_or_default();
        let constant = text
            .strip_prefix("str(")
            .and_then(|rest| rest.strip_suffix(')'));
        match constant {
            Some(name) if self.is_name_verified => self.name.as_deref() == Some(name),
            Some(name) => {
                self.name = Some(name.to_owned());
                true
            }
            None => false,
        }
    }

    fn file(&mut self, key: &str, value: Option<&Word>) -> Option<String> {
        let file = file(key, value);
        match file {
            Ok(file) => Some(file),
            Err(reason) => {
                self.refused.get_or_insert(reason);
                None
            }
        }
    }

    /// Whether it is spoken.
    pub(super) fn is_spoken(&self) -> bool {
        self.is_spoken
    }

    /// The value of `tls`, if it is spoken.
    ///
    /// # Errors
    ///
    /// Why haflux cannot speak it.
    pub(super) fn value(&self) -> Result<Option<Toml>, String> {
        if !self.is_spoken {
            return Ok(None);
        }
        if let Some(reason) = &self.refused {
            return Err(reason.clone());
        }
        let verify = self.is_unverified.then_some("none");
        // What is not verified is not verified with anything.
        let verified = |file: &Option<String>| match verify {
            None => file.clone(),
            Some(_) => None,
        };
        let pairs = [
            ("ca", verified(&self.authorities)),
            ("crl", verified(&self.revoked)),
            ("verify", verify.map(str::to_owned)),
            ("server_name", self.name.clone()),
            ("certificate", self.certificate.clone()),
            ("min_version", self.min_version.map(str::to_owned)),
        ];
        let pairs = pairs.into_iter();
        let pairs = pairs.filter_map(|(key, value)| {
            let value = quoted(&value?);
            Some(format!("{key} = {value}"))
        });
        let pairs: Vec<Toml> = pairs.collect();
        Ok(Some(match pairs.is_empty() {
            true => "true".to_owned(),
            false => format!("{{ {} }}", pairs.join(", ")),
        }))
    }
}
