use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Certificates of an authority that nobody else knows, as PEM files in a directory: the authority's `ca.crt`, a
/// server's `server.crt` and `server.key` for loopback and `registry.example.com`, a client's `client.cert` and `client.key`.
#[derive(Debug)]
pub struct TestCertificate {
    directory: PathBuf,
}

impl TestCertificate {
    /// Makes them.
    pub fn create(directory: &Path) -> Self {
        let made = make(directory);
        made.unwrap_or_else(|error| panic!("cannot make certificates in {}: {error}", directory.display()));
        Self { directory: directory.to_owned() }
    }

    /// One of the files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn make(directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    authority.distinguished_name.push(DnType::CommonName, "offshoot's tests");
    fs::write(directory.join("ca.crt"), authority.self_signed(&authority_key)?.pem())?;
    let issuer = Issuer::new(authority, authority_key);
    for (name, certificate, hosts) in [
        ("server", "server.crt", vec!["127.0.0.1", "localhost", "registry.example.com"]),
        ("client", "client.cert", vec!["client.example.com"]),
    ] {
        let key = KeyPair::generate()?;
        let signed = CertificateParams::new(hosts.into_iter().map(str::to_owned).collect::<Vec<_>>())?
            .signed_by(&key, &issuer)?;
        fs::write(directory.join(certificate), signed.pem())?;
        fs::write(directory.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}
