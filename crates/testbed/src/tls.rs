//! Certificates for a server with TLS.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// The authority's certificate.
pub fn authority(data: &Path) -> PathBuf {
    data.join("tls").join("ca.pem")
}

/// The files of a certificate for 127.0.0.1 and localhost and of its key, PEM. Made with their authority, unless they
/// are there from an earlier start.
pub fn certificate(data: &Path) -> Result<(PathBuf, PathBuf)> {
    let folder = data.join("tls");
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    if !key.exists() {
        std::fs::create_dir_all(&folder)?;
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.distinguished_name.push(DnType::CommonName, "testbed authority");
        std::fs::write(authority(data), ca.self_signed(&ca_key)?.pem())?;
        let issuer = Issuer::new(ca, ca_key);
        let server_key = KeyPair::generate()?;
        let server = CertificateParams::new(vec!["localhost".to_string(), "127.0.0.1".to_string()])?;
        std::fs::write(&certificate, server.signed_by(&server_key, &issuer)?.pem())?;
        std::fs::write(&key, server_key.serialize_pem())?;
    }
    Ok((certificate, key))
}
