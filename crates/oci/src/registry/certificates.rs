use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::Error;
use crate::bounded_file;

/// Whom to trust beside the system's authorities, and who to be, with one host.
#[derive(Clone, Default)]
pub(crate) struct HostCertificates {
    pub(crate) authorities: Vec<Certificate<'static>>,
    pub(crate) client: Option<ClientCert>,
    pub(crate) skip_verify: bool,
}

/// Why a file of certificates or keys is of no use.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// Nothing in PEM, or nothing of the kind that is needed.
    #[error("it has no {0} in PEM")]
    Missing(&'static str),
    /// The key is not the certificate's, or of no use.
    #[error("its key does not fit it")]
    Key(#[source] rustls::Error),
}

impl HostCertificates {
    /// Takes authorities from a PEM file.
    pub(crate) fn add_authorities(&mut self, path: &Path) -> Result<(), Error> {
        self.authorities.extend(certificates(path)?);
        Ok(())
    }

    /// Takes a client's certificate chain and key from PEM files; they may be one.
    pub(crate) fn set_client(&mut self, certificate: &Path, key: &Path) -> Result<(), Error> {
        let chain = certificates(certificate)?;
        let key_bytes = bounded_file::read(key)?;
        let missing = || problem(key, CertificateProblem::Missing("private key"));
        let parsed = PrivateKeyDer::from_pem_slice(&key_bytes).map_err(|_| missing())?;
        // Checked here, since ureq takes for granted that they fit.
        let ders = chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
        rustls::sign::CertifiedKey::from_der(ders, parsed, &rustls::crypto::ring::default_provider())
            .map_err(|error| problem(certificate, CertificateProblem::Key(error)))?;
        let key = PrivateKey::from_pem(&key_bytes).map_err(|_| missing())?;
        self.client = Some(ClientCert::new_with_certs(&chain, key));
        Ok(())
    }

    /// Whether the host itself is to be met otherwise than what it leads to.
    pub(crate) fn are_personal(&self) -> bool {
        self.client.is_some() || self.skip_verify
    }

    /// For those that the host leads to: its authorities only.
    pub(crate) fn impersonal(&self) -> Self {
        Self { authorities: self.authorities.clone(), ..Self::default() }
    }

    /// For plain HTTP, for which no authority is read.
    pub(crate) fn none() -> TlsConfig {
        TlsConfig::builder().root_certs(RootCerts::from([])).build()
    }

    pub(crate) fn tls(&self, system: &SystemAuthorities) -> TlsConfig {
        let authorities = system.get().iter().chain(&self.authorities).cloned();
        TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::from(authorities))
            .client_cert(self.client.clone())
            .disable_verification(self.skip_verify)
            .build()
    }
}

impl fmt::Debug for HostCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostCertificates")
            .field("authorities", &self.authorities.len())
            .field("client", &self.client.is_some())
            .field("skip_verify", &self.skip_verify)
            .finish()
    }
}

/// The authorities that the system trusts, read when they are first needed: the distribution's bundle, or what
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` name, as every program here has it. None are compiled in, so that who
/// administers the host decides.
#[derive(Default)]
pub(crate) struct SystemAuthorities(OnceLock<Vec<Certificate<'static>>>);

impl SystemAuthorities {
    fn get(&self) -> &[Certificate<'static>] {
        self.0.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs().certs;
            found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
        })
    }
}

impl fmt::Debug for SystemAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemAuthorities")
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let bytes = bounded_file::read(path)?;
    let missing = || problem(path, CertificateProblem::Missing("certificate"));
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| missing())?
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    if found.is_empty() { Err(missing()) } else { Ok(found) }
}

fn problem(path: &Path, problem: CertificateProblem) -> Error {
    Error::Certificate { path: PathBuf::from(path), problem }
}
