//! Authorities and lists of revoked certificates, arranged so that webpki judges each certificate by the lists of the key that signed it.
//!
//! webpki takes the first list whose issuer has the right name. Two authorities that share a name but not a key, as before and after
//! a change of the key, would both be judged by the list of the first. So authorities that have a list and share their name stand in
//! different layers, each with the lists that its keys signed, and a certificate that one layer takes is taken.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};
use rustls::server::VerifierBuilderError;
use rustls::{CertificateError, Error, RootCertStore};
use webpki::anchor_from_trusted_cert;

use super::revocation::{self, RevocationError};

/// Authorities of which no two that have a list share their name, and the newest lists of each.
#[derive(Debug)]
pub(super) struct Layer {
    roots: RootCertStore,
    lists: Vec<CertificateRevocationListDer<'static>>,
}

/// Authorities with their lists, in as few layers as these can stand in.
#[derive(Debug)]
pub(super) struct Layers(Vec<Layer>);

impl Layers {
    /// These authorities, without lists.
    pub(super) fn without_lists(roots: RootCertStore) -> Self {
        let lists = Vec::new();
        Self(vec![Layer { roots, lists }])
    }

    /// These authorities with the newest of `lists`. A list whose issuer is not among them stands in every layer.
    ///
    /// # Errors
    ///
    /// [`RevocationError`]
    pub(super) fn of(
        roots: RootCertStore,
        lists: &[CertificateRevocationListDer<'static>],
    ) -> Result<Self, RevocationError> {
        let lists = revocation::newest(lists, &roots)?;
        let signers: Vec<_> = lists.iter().filter_map(|list| list.signer).collect();
        let levels: Vec<usize> = roots
            .roots
            .iter()
            .map(|root| level(root, &roots.roots, &signers))
            .collect();
        let deepest = levels.iter().max().copied().unwrap_or_default();
        let layers = (0..=deepest).map(|layer| {
            let here = roots.roots.iter().zip(&levels);
            let here = here.filter(|(_, level)| **level == layer);
            let here: Vec<_> = here.map(|(root, _)| root.clone()).collect();
            let counts = |signer: &TrustAnchor<'_>| here.iter().any(|root| is_same(root, signer));
            let lists = lists
                .iter()
                .filter(|list| list.signer.is_none_or(counts))
                .map(|list| list.der.clone())
                .collect();
            Layer {
                roots: RootCertStore { roots: here },
                lists,
            }
        });
        Ok(Self(layers.collect()))
    }
}

/// How many other keys that share the name of `root` stand before its own; 0 if none of them signed a list.
fn level(
    root: &TrustAnchor<'_>,
    roots: &[TrustAnchor<'static>],
    signers: &[&TrustAnchor<'_>],
) -> usize {
    if !signers.iter().any(|signer| signer.subject == root.subject) {
        return 0;
    }
    let mut keys = Vec::new();
    for other in roots.iter().filter(|other| other.subject == root.subject) {
        if is_same(other, root) {
            break;
        }
        if !keys.contains(&&other.subject_public_key_info) {
            keys.push(&other.subject_public_key_info);
        }
    }
    keys.len()
}

/// Whether both have one name and one key.
fn is_same(one: &TrustAnchor<'_>, other: &TrustAnchor<'_>) -> bool {
    one.subject == other.subject && one.subject_public_key_info == other.subject_public_key_info
}

/// Something that judges certificates, one of it for each layer.
#[derive(Debug)]
pub(super) struct Judges<J> {
    first: J,
    others: Vec<J>,
    /// All authorities, where there are several layers.
    roots: RootCertStore,
}

impl<J> Judges<J> {
    /// Makes them by `build`, which is given a layer's authorities and lists.
    ///
    /// # Errors
    ///
    /// Those of `build`, and that there are no authorities.
    pub(super) fn build(
        Layers(layers): Layers,
        build: impl Fn(
            Arc<RootCertStore>,
            Vec<CertificateRevocationListDer<'static>>,
        ) -> Result<J, VerifierBuilderError>,
    ) -> Result<Self, VerifierBuilderError> {
        let roots = layers.iter().flat_map(|layer| &layer.roots.roots);
        let roots = RootCertStore {
            roots: roots.cloned().collect(),
        };
        let mut judges = layers
            .into_iter()
            .map(|layer| build(Arc::new(layer.roots), layer.lists))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        Ok(Self {
            first: judges.next().ok_or(VerifierBuilderError::NoRootAnchors)?,
            others: judges.collect(),
            roots,
        })
    }

    /// The one for the first layer, which has an authority of each name.
    pub(super) fn first(&self) -> &J {
        &self.first
    }

    /// What the first of them says that takes a certificate with this chain, or else the one that knows its authority.
    ///
    /// # Errors
    ///
    /// None of them takes it.
    pub(super) fn judge<T>(
        &self,
        chain: &[CertificateDer<'_>],
        judge: impl Fn(&J, &[CertificateDer<'_>]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.others.is_empty() {
            return judge(&self.first, chain);
        }
        let chain: Vec<_> = chain
            .iter()
            .filter(|one| !self.is_root(one))
            .cloned()
            .collect();
        let mut fault = match judge(&self.first, &chain) {
            Err(fault) => fault,
            taken => return taken,
        };
        for other in &self.others {
            match judge(other, &chain) {
                Err(found) if is_of_other_key(&fault) => fault = found,
                Err(_) => {}
                taken => return taken,
            }
        }
        Err(fault)
    }

    /// Whether a certificate of a chain is made out to the name and the key of an authority. Where one authority signed another,
    /// such a certificate would lead to the first one, in whose layer the lists of the second do not stand.
    fn is_root(&self, certificate: &CertificateDer<'_>) -> bool {
        anchor_from_trusted_cert(certificate).is_ok_and(|anchor| {
            let mut roots = self.roots.roots.iter();
            roots.any(|root| is_same(root, &anchor))
        })
    }
}

/// Whether this is what is said of a certificate that no key of a layer signed.
fn is_of_other_key(fault: &Error) -> bool {
    matches!(
        fault,
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer
                | CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        )
    )
}
