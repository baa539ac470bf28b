//! What an operator says about how to reach a cluster, whatever its kind.

use crate::util::tls::{self, Pem, Trust};
use crate::vault_turns::Turn;
use causeway_core::{ClusterId, Error, Ports};
use causeway_settings::Kind;
use futures_util::future::BoxFuture;
use parking_lot::RwLock;
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keeps a few bytes of one cluster's connection, encrypted, for the next process of this install.
pub trait Vault: Send + Sync {
    /// What was kept last, by this process or an earlier one.
    fn load(&self) -> Option<Vec<u8>>;
    /// Keeps these bytes instead. Never waits: a write that fails is retried.
    fn save(&self, bytes: Vec<u8>);
    /// Completes once what was saved last would survive the end of this process.
    fn kept(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    /// A turn with what is kept, for a connection that goes on with it. Connections without one take it from each other.
    fn turn(&self) -> Option<Turn> {
        None
    }
}

/// Another process that holds duplicates of our sockets, so that connections survive our crash.
/// Calls must not block for long.
pub trait SocketKeeper: Send + Sync {
    /// A new connection's socket, before anything was sent. `tag` is unique a connection.
    fn keep(&self, tag: &str, socket: BorrowedFd<'_>);
    /// The server now knows the connection by this id.
    fn label(&self, tag: &str, connection_id: &str);
    /// We end this connection on purpose: let go of its socket.
    fn drop_kept(&self, tag: &str);
}

/// Tasks, by their ids, whose marks are written into the data. Clones share the list: it may change while a connection works.
#[derive(Clone, Debug, Default)]
pub struct InlineMarks(Arc<RwLock<BTreeSet<Arc<str>>>>);

impl InlineMarks {
    /// These tasks, from now on. What stands already is as it was written.
    pub fn set(&self, tasks: BTreeSet<Arc<str>>) {
        *self.0.write() = tasks;
    }

    /// Whether a task's marks are written into the data.
    pub fn has(&self, task: &str) -> bool {
        self.0.read().contains(task)
    }
}

/// A kind of cluster: what it says of itself to the settings file, and its ports.
pub trait Connector: Kind {
    /// Checks the settings and builds the ports. Touches no network.
    fn open(&self, id: ClusterId, connect: Connect) -> Result<Ports, Error>;
}

/// How to reach a cluster. A connector refuses what it cannot use.
#[derive(Clone, Default)]
pub struct Connect {
    /// This install, as it stands in marks.
    pub install: Arc<str>,
    /// `host:port` each, or what the kind takes.
    pub addresses: Vec<String>,
    /// The namespaces that the operator named: ids or display names. Empty: all.
    pub namespaces: Vec<String>,
    /// User and password.
    pub login: Option<(String, SecretString)>,
    /// Access key and its secret.
    pub keys: Option<(String, SecretString)>,
    /// The token of a kind that knows tokens.
    pub token: Option<SecretString>,
    /// Where the API begins on its host; the kind's own when it is not given.
    pub context_path: Option<String>,
    /// Speak TLS.
    pub tls: Option<TlsTexts>,
    /// Keeps sockets open across a crash of this process.
    pub keeper: Option<Arc<dyn SocketKeeper>>,
    /// What the keeper still holds of an earlier process of this install: the servers' names for those connections.
    /// What they publish is ours.
    pub inherited: Vec<String>,
    /// Keeps what the next process needs to go on with this connection's session.
    pub vault: Option<Arc<dyn Vault>>,
    /// Only for a look beside a connection that works: nothing is taken over from it, and nothing is kept.
    pub looks: bool,
    /// The tasks whose marks are written into the data, where the kind needs no place for them.
    pub inline: InlineMarks,
    /// Whether access lists are read with services, since they are copied somewhere.
    pub access: bool,
    /// The kind's own block of the settings, as its [`Kind::read_block`] made it.
    pub block: Option<serde_json::Value>,
}

/// Files and names for TLS, as the settings name them.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Certificates to trust instead of the system's, PEM.
    pub ca: Option<PathBuf>,
    /// Our own certificate and key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name in the server's certificate, where it is not the address.
    pub server_name: Option<String>,
    /// Trust any certificate.
    pub insecure: bool,
}

/// What the files for TLS hold. Equal when the same would be done with it.
#[derive(Clone, Default, PartialEq)]
pub struct TlsTexts {
    pub(crate) ca: Option<TlsText>,
    pub(crate) identity: Option<(TlsText, TlsText)>,
    pub(crate) server_name: Option<String>,
    pub(crate) insecure: bool,
}

/// A file's path and its text, which may be a key.
#[derive(Clone, PartialEq)]
pub(crate) struct TlsText {
    pub path: String,
    pub text: Arc<str>,
}

impl TlsText {
    fn read(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { path: name, text: text.into() }),
            Err(error) => Err(format!("{name}: {error}")),
        }
    }

    pub fn pem(&self) -> Pem<'_> {
        Pem { name: &self.path, text: self.text.as_bytes() }
    }
}

impl TlsFiles {
    /// Reads the files, and checks that they can be used. It blocks, for as long as their disk does. The error names the file.
    pub fn read(&self) -> Result<TlsTexts, String> {
        let identity = match &self.identity {
            Some((chain, key)) => Some((TlsText::read(chain)?, TlsText::read(key)?)),
            None => None,
        };
        let ca = self.ca.as_deref().map(TlsText::read).transpose()?;
        let (server_name, insecure) = (self.server_name.clone(), self.insecure);
        let texts = TlsTexts { ca, identity, server_name, insecure };
        let trust = texts.ca.as_ref().map_or(Trust::Nobody, |ca| Trust::Given(ca.pem()));
        tls::config(trust, texts.identity())?;
        Ok(texts)
    }
}

impl TlsTexts {
    /// Our certificate chain and its key.
    pub(crate) fn identity(&self) -> Option<(Pem<'_>, Pem<'_>)> {
        self.identity.as_ref().map(|(chain, key)| (chain.pem(), key.pem()))
    }
}

impl fmt::Debug for TlsTexts {
    /// Without any text: one is a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> =
            self.ca.iter().chain(self.identity.iter().flat_map(|(a, b)| [a, b])).map(|t| &t.path).collect();
        f.debug_struct("TlsTexts").field("files", &paths).field("insecure", &self.insecure).finish_non_exhaustive()
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("addresses", &self.addresses)
            .field("namespaces", &self.namespaces)
            .field("login", &self.login.as_ref().map(|(user, _)| user))
            .field("context_path", &self.context_path)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_file() {
        let missing = TlsFiles { ca: Some("/nowhere/ca.pem".into()), ..TlsFiles::default() };
        assert!(missing.read().unwrap_err().starts_with("/nowhere/ca.pem: No such file"));
        let folder = std::env::temp_dir().join(format!("causeway-tls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [chain, key] = ["own.pem", "own.key"].map(|name| folder.join(name));
        std::fs::write(&chain, "nonsense").unwrap();
        std::fs::write(&key, "hunter2").unwrap();
        let broken = TlsFiles { identity: Some((chain, key.clone())), ..TlsFiles::default() };
        let error = broken.read().unwrap_err();
        assert!(error.starts_with(&key.display().to_string()) && !error.contains("hunter2"), "{error}");
        assert!(TlsFiles::default().read().is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
