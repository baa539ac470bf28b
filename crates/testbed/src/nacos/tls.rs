//! Certificates for a server with TLS.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// The authority's certificate.
pub fn authority(data: &Path) -> PathBuf {
    data.join("tls").join("ca.pem")
}

/// Makes an authority and a certificate for 127.0.0.1 and localhost, unless they are there from an earlier start, and
/// gives the properties that use them.
pub fn properties(data: &Path) -> Result<Vec<(&'static str, String)>> {
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
    let (certificate, key) = (certificate.display(), key.display());
    Ok(vec![
        ("server.ssl.enabled", "true".into()),
        ("server.ssl.certificate", format!("file:{certificate}")),
        ("server.ssl.certificate-private-key", format!("file:{key}")),
        ("nacos.remote.server.rpc.tls.enableTls", "true".into()),
        ("nacos.remote.server.rpc.tls.compatibility", "false".into()),
        ("nacos.remote.server.rpc.tls.certChainFile", format!("file:{certificate}")),
        ("nacos.remote.server.rpc.tls.certPrivateKey", format!("file:{key}")),
    ])
}
