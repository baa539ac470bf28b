//! TLS from what the operator named.

use super::error::{Error, Result};
use crate::TlsFiles;
use crate::tls::{Pem, Trust, config};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The client side of TLS for all connections of a session.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

/// A file's name and what is in it.
type Text = (String, Vec<u8>);

impl Tls {
    /// Reads the files.
    pub(super) fn new(files: &TlsFiles) -> Result<Tls> {
        let ca = files.ca.as_deref().map(read).transpose()?;
        let identity = files.identity.as_ref();
        let identity = identity.map(|(chain, key): &(PathBuf, PathBuf)| Ok((read(chain)?, read(key)?))).transpose()?;
        let trust = match &ca {
            _ if files.insecure => Trust::Anybody,
            Some(ca) => Trust::Given(pem(ca)),
            None => Trust::System,
        };
        let config = config(trust, identity.as_ref().map(|(chain, key)| (pem(chain), pem(key))));
        let name = files.server_name.as_deref().map(name_of).transpose()?;
        Ok(Tls { config: Arc::new(config.map_err(Error::Rejected)?), name })
    }

    /// What the certificate of the server at `host` must be for.
    pub(super) fn name(&self, host: &str) -> Result<ServerName<'static>> {
        self.name.clone().map_or_else(|| name_of(host), Ok)
    }
}

fn read(path: &Path) -> Result<Text> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|e| Error::Rejected(format!("{name}: {e}")))?;
    Ok((name, text))
}

fn pem((name, text): &Text) -> Pem<'_> {
    Pem { name, text }
}

fn name_of(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|_| Error::Rejected(format!("TLS: \"{host}\" is no server's name")))
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
