//! Why there is no TLS.

use std::path::PathBuf;

use thiserror::Error;

use super::revocation::RevocationError;
use crate::small_file::SmallFileError;

/// Why certificates and keys cannot be used. What a key holds is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsError {
    /// A file is not there, or larger than certificates and keys are.
    #[error(transparent)]
    File(#[from] SmallFileError),
    /// It has marks of PEM, but is none.
    #[error("{} is not PEM: {reason}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A key in it is encrypted, in the old form that says so in lines of its own.
    #[error("the key in {} has a passphrase: expected one without, which openssl pkey -in OLD -out NEW makes", path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
    },
    /// No certificate stands in it.
    #[error("{} holds no certificate in PEM form", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No key stands in it, or one that is encrypted.
    #[error("{} holds no private key in PEM form without a passphrase", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// No list of revoked certificates stands in it.
    #[error("{} holds no certificate revocation list in PEM form", path.display())]
    NoRevocationList {
        /// The file.
        path: PathBuf,
    },
    /// A list of revoked certificates that would turn away all certificates of its authority.
    #[error("a certificate revocation list in {} cannot be used: {reason}", path.display())]
    RevocationList {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: RevocationError,
    },
    /// A certificate that is none, or of a kind that nobody here understands.
    #[error("the certificate in {} cannot be used: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A key that is none, or of a kind that nobody here understands.
    #[error("the key in {} cannot be used: expected RSA of at least 2048 bits, ECDSA (P-256, P-384) or Ed25519", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key belong to others.
    #[error("the key in {} does not match the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// What others' certificates are judged with.
    #[error("certificates cannot be judged with {}: {reason}", path.display())]
    Authorities {
        /// The file of the authorities.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system knows no authorities.
    #[error(
        "the operating system has no authorities ({reason}), and none are named: expected the package ca-certificates, or ca"
    )]
    NoSystemAuthorities {
        /// What was found instead.
        reason: String,
    },
    /// The library refuses to be set up.
    #[error("TLS cannot be set up: {reason}")]
    Library {
        /// Its reason.
        reason: String,
    },
}
