//! Whether a server's certificate is good.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::VerifierBuilderError;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use webpki::{EndEntityCert, InvalidNameContext};

use super::layers::{Judges, Layers};
use super::validity;

/// Judges servers' certificates. What a handshake signs is verified whatever is taken, so that it is the certificate's owner who answers.
#[derive(Debug)]
pub(super) struct Judge {
    taken: Taken,
    provider: Arc<CryptoProvider>,
}

/// Which certificates are taken.
#[derive(Debug)]
enum Taken {
    /// Those that an authority has signed, and those that are named themselves.
    ///
    /// `openssl req -x509`, by which most certificates of InfluxDB nodes were made, signs a certificate with its own key and marks it as an
    /// authority's, which webpki takes from no server. One that an operator has named is trusted for what it is: its time and its name count.
    Known {
        signed: Judges<Arc<WebPkiServerVerifier>>,
        named: Vec<CertificateDer<'static>>,
    },
    Every,
}

impl Judge {
    /// `named` are the certificates of the authorities as the operator named them; none for those of the operating system.
    pub(super) fn new(
        layers: Layers,
        named: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let signed = Judges::build(layers, |roots, revoked| {
            let by = Arc::clone(&provider);
            let mut signed = WebPkiServerVerifier::builder_with_provider(roots, by);
            if !revoked.is_empty() {
                // An authority without a list revokes nothing.
                signed = signed.with_crls(revoked).allow_unknown_revocation_status();
            }
            signed.build()
        })?;
        Ok(Self {
            taken: Taken::Known { signed, named },
            provider,
        })
    }

    /// Takes every certificate.
    pub(super) fn taking_everything(provider: Arc<CryptoProvider>) -> Self {
        Self {
            taken: Taken::Every,
            provider,
        }
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.taken {
            Taken::Every => Ok(ServerCertVerified::assertion()),
            Taken::Known { named, .. } if named.iter().any(|named| named == certificate) => {
                judge_itself(certificate, name, now)
            }
            Taken::Known { signed, .. } => signed.judge(chain, |signed, chain| {
                signed.verify_server_cert(certificate, chain, name, ocsp_response, now)
            }),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Judges a certificate whose issuer does not matter.
fn judge_itself(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let malformed = || Error::InvalidCertificate(CertificateError::BadEncoding);
    let (not_before, not_after) = validity::period(certificate).ok_or_else(malformed)?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
    if now < not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > not_after {
        return Err(CertificateError::Expired.into());
    }
    let parsed = EndEntityCert::try_from(certificate).map_err(|_| malformed())?;
    let is_named = parsed.verify_is_valid_for_subject_name(name);
    is_named.map_err(|error| match error {
        webpki::Error::CertNotValidForName(InvalidNameContext {
            expected,
            presented,
        }) => CertificateError::NotValidForNameContext {
            expected,
            presented,
        },
        _ => CertificateError::NotValidForName,
    })?;
    Ok(ServerCertVerified::assertion())
}
