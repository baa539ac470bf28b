//! The client side of TLS, for every kind.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// A text in PEM, and what errors call it.
pub struct Pem<'a> {
    pub name: &'a str,
    pub text: &'a [u8],
}

/// Whose certificates are trusted.
pub enum Trust<'a> {
    /// Those that these have signed.
    Given(Pem<'a>),
    /// Those that the system trusts.
    System,
    /// None: nothing is going to be sent over TLS.
    Nobody,
    /// Any: encrypted, but anybody can stand in between.
    Anybody,
}

/// The client side of TLS, with our certificate chain and its key for servers that ask. Errors say which text is wrong, and
/// never quote a key.
pub fn config(trust: Trust<'_>, identity: Option<(Pem<'_>, Pem<'_>)>) -> Result<ClientConfig, String> {
    config_for(trust, identity, None)
}

/// The same where the servers' certificates hold this name, and not that of their address.
pub fn config_for(
    trust: Trust<'_>,
    identity: Option<(Pem<'_>, Pem<'_>)>,
    name: Option<&str>,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?;
    let builder = match (trust, name) {
        (Trust::Anybody, _) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        (trust, None) => builder.with_root_certificates(roots(trust)?),
        (trust, Some(name)) => {
            let name = ServerName::try_from(name.to_owned()).map_err(|e| format!("TLS: {name}: {e}"))?;
            let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(trust)?), provider).build();
            let inner = inner.map_err(|e| format!("TLS: {e}"))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Named { name, inner }))
        }
    };
    let Some((chain, key)) = identity else { return Ok(builder.with_no_client_auth()) };
    // The parser's error is not shown: it may quote the text of the key.
    let private =
        PrivateKeyDer::from_pem_slice(key.text).map_err(|_| format!("{}: no private key in PEM", key.name))?;
    let certificates = certificates(&chain)?;
    builder.with_client_auth_cert(certificates, private).map_err(|e| format!("{}: {e}", chain.name))
}

fn roots(trust: Trust<'_>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match trust {
        Trust::Given(ca) => {
            for certificate in certificates(&ca)? {
                store.add(certificate).map_err(|e| format!("{}: {e}", ca.name))?;
            }
        }
        Trust::System => {
            let (added, _ignored) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err("TLS: this machine has no CA certificates; name one".into());
            }
        }
        Trust::Nobody | Trust::Anybody => {}
    }
    Ok(store)
}

fn certificates(pem: &Pem<'_>) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem.text).collect::<Result<Vec<_>, _>>();
    match found.map_err(|e| format!("{}: {e}", pem.name))? {
        none if none.is_empty() => Err(format!("{}: no certificate in PEM", pem.name)),
        found => Ok(found),
    }
}

/// Takes certificates that hold one name, whatever the address.
#[derive(Debug)]
struct Named {
    name: ServerName<'static>,
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
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
        let pem = |name| Pem { name, text: b"nonsense" };
        let error = config(Trust::Given(pem("ca.pem")), None).unwrap_err();
        assert!(error.starts_with("ca.pem: "), "{error}");
        let error = config(Trust::Anybody, Some((pem("own.pem"), pem("own.key")))).unwrap_err();
        assert!(error.starts_with("own.key: ") && !error.contains("nonsense"), "{error}");
        assert!(config(Trust::Nobody, None).is_ok());
    }
}
