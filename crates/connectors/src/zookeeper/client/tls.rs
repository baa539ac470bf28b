//! TLS from what the operator named.

use super::error::{Result, WireError};
use crate::TlsTexts;
use crate::util::tls::{Trust, config};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;

/// The client side of TLS for all connections of a session.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// From what the files hold.
    pub(super) fn new(texts: &TlsTexts) -> Result<Tls> {
        let trust = match &texts.ca {
            _ if texts.insecure => Trust::Anybody,
            Some(ca) => Trust::Given(ca.pem()),
            None => Trust::System,
        };
        let name = texts.server_name.as_deref().map(name_of).transpose()?;
        Ok(Tls { config: Arc::new(config(trust, texts.identity()).map_err(WireError::Rejected)?), name })
    }

    /// What the certificate of the server at `host` must be for.
    pub(super) fn name(&self, host: &str) -> Result<ServerName<'static>> {
        self.name.clone().map_or_else(|| name_of(host), Ok)
    }
}

fn name_of(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| WireError::Rejected(format!("TLS: \"{host}\" is no server's name")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_may_be_given() {
        let tls =
            Tls::new(&TlsTexts { insecure: true, server_name: Some("zoo".into()), ..TlsTexts::default() }).unwrap();
        assert_eq!(tls.name("127.0.0.1").unwrap(), ServerName::try_from("zoo").unwrap());
    }
}
