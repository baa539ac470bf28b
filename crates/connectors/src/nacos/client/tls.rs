//! TLS for HTTP and gRPC alike.

use super::error::{Error, Result};
use crate::util::tls::{self, Pem, Trust};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

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
    let trust = match tls {
        Some(tls) if tls.insecure => Trust::Anybody,
        Some(Tls { ca: Some(ca), .. }) => Trust::Given(Pem { name: "TLS CA certificate", text: ca.as_bytes() }),
        _ if needed => Trust::System,
        _ => Trust::Nobody,
    };
    let identity = tls.and_then(|tls| tls.identity.as_ref()).map(|(chain, key)| {
        let chain = Pem { name: "TLS client certificate", text: chain.as_bytes() };
        (chain, Pem { name: "TLS client key", text: key.expose_secret().as_bytes() })
    });
    tls::config(trust, identity).map_err(Error::Rejected)
}
