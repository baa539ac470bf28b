//! TLS from what the operator named.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::error::{Error, Result};
use crate::TlsFiles;

/// The client side of TLS for all connections of a session.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn new(files: &TlsFiles) -> Result<Tls> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::Protocol(format!("TLS: {e}")))?;
        let builder = if files.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            builder.with_root_certificates(roots(files.ca.as_deref())?)
        };
        let config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let named = |why: String| Error::Rejected(format!("{}: {why}", key.display()));
                // The parser's error is not shown: it may quote the text of the key.
                let pem = std::fs::read(key).map_err(|e| named(e.to_string()))?;
                let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| named("no private key in PEM".into()))?;
                let chain = certificates(chain)?;
                builder.with_client_auth_cert(chain, key).map_err(|e| Error::Rejected(format!("TLS: {e}")))?
            }
        };
        let name = files.server_name.as_deref().map(name_of).transpose()?;
        Ok(Tls { config: Arc::new(config), name })
    }

    /// What the certificate of the server at `host` must be for.
    pub(super) fn name(&self, host: &str) -> Result<ServerName<'static>> {
        self.name.clone().map_or_else(|| name_of(host), Ok)
    }
}

fn name_of(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|_| Error::Rejected(format!("TLS: \"{host}\" is no server's name")))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    if let Some(path) = ca {
        for certificate in certificates(path)? {
            store.add(certificate).map_err(|e| Error::Rejected(format!("{}: {e}", path.display())))?;
        }
    } else {
        let (added, _ignored) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if added == 0 {
            return Err(Error::Rejected("TLS: this machine has no CA certificates; name one".into()));
        }
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let named = |why: String| Error::Rejected(format!("{}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|e| named(e.to_string()))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| named(e.to_string()))?;
    if found.is_empty() {
        return Err(named("no certificate in PEM".into()));
    }
    Ok(found)
}

/// Takes every certificate, yet still asks for the proof that the other side has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_file_that_is_wrong() {
        let files = TlsFiles { ca: Some("/nowhere/ca.pem".into()), ..TlsFiles::default() };
        let error = Tls::new(&files).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("/nowhere/ca.pem"), "{error}");
        let insecure = TlsFiles { insecure: true, server_name: Some("zoo".into()), ..TlsFiles::default() };
        let tls = Tls::new(&insecure).unwrap();
        assert_eq!(tls.name("127.0.0.1").unwrap(), ServerName::try_from("zoo").unwrap());
    }
}
