//! TLS for HTTP and gRPC alike.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use secrecy::{ExposeSecret, SecretString};

use super::error::{Error, Result};

/// How servers are trusted, and who we are. All texts are PEM.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Speak TLS to the gRPC port. HTTP follows each address' scheme.
    pub grpc: bool,
    /// Certificates to trust instead of the system's.
    pub ca: Option<String>,
    /// Our certificate chain and its private key, for servers that ask.
    pub identity: Option<(String, SecretString)>,
    /// Name expected in the servers' certificates instead of the address' host.
    pub server_name: Option<String>,
    /// Take any certificate: encrypted, but anybody can stand in between.
    pub insecure: bool,
}

/// The client side of TLS. The system's certificates are read only when `needed`, so that a
/// machine without any can still speak plain HTTP.
pub(super) fn config(tls: Option<&Tls>, needed: bool) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Protocol(format!("TLS: {e}")))?;
    let builder = if tls.is_some_and(|t| t.insecure) {
        let anybody = Arc::new(Anybody(provider));
        builder.dangerous().with_custom_certificate_verifier(anybody)
    } else {
        builder.with_root_certificates(roots(tls, needed)?)
    };
    let Some((chain, key)) = tls.and_then(|t| t.identity.as_ref()) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(chain, "client certificate")?;
    // The parser's error is not shown: it may quote the text of the key.
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
        .map_err(|_| Error::Rejected("TLS client key: no private key in PEM".into()))?;
    builder.with_client_auth_cert(chain, key).map_err(|e| Error::Rejected(format!("TLS client certificate: {e}")))
}

fn roots(tls: Option<&Tls>, needed: bool) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    if let Some(ca) = tls.and_then(|t| t.ca.as_ref()) {
        for certificate in certificates(ca, "CA certificate")? {
            store.add(certificate).map_err(|e| Error::Rejected(format!("TLS CA certificate: {e}")))?;
        }
    } else if needed {
        let (added, _ignored) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if added == 0 {
            return Err(Error::Rejected("TLS: this machine has no CA certificates; name one".into()));
        }
    }
    Ok(store)
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| Error::Rejected(format!("TLS {what}: {e}")))?;
    if found.is_empty() {
        return Err(Error::Rejected(format!("TLS {what}: none in the text")));
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
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_pem() {
        let tls = Tls { ca: Some("nonsense".into()), ..Tls::default() };
        assert!(matches!(config(Some(&tls), true), Err(Error::Rejected(_))));
        assert!(config(None, false).is_ok());
    }
}
