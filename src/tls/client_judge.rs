//! Whether a client's certificate is good.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::layers::{Judges, Layers};

/// Judges clients' certificates. The layers differ in authorities and lists only, so the first one answers for all in everything else.
#[derive(Debug)]
pub(super) struct ClientJudge(Judges<Arc<dyn ClientCertVerifier>>);

impl ClientJudge {
    /// Takes clients without a certificate, too, if that `is_optional`.
    pub(super) fn new(
        layers: Layers,
        is_optional: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let judges = Judges::build(layers, |roots, revoked| {
            let by = Arc::clone(provider);
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, by);
            if !revoked.is_empty() {
                // An authority without a list revokes nothing.
                verifier = verifier
                    .with_crls(revoked)
                    .allow_unknown_revocation_status();
            }
            if is_optional {
                verifier = verifier.allow_unauthenticated();
            }
            verifier.build()
        })?;
        Ok(Self(judges))
    }
}

impl ClientCertVerifier for ClientJudge {
    fn offer_client_auth(&self) -> bool {
        self.0.first().offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.first().client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.first().root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.judge(chain, |judge, chain| {
            judge.verify_client_cert(certificate, chain, now)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let first = self.0.first();
        first.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let first = self.0.first();
        first.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.first().supported_verify_schemes()
    }
}
