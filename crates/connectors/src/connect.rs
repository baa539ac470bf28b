//! What an operator says about how to reach a cluster, whatever its kind.

use crate::nacos::client::SocketKeeper;
use crate::turn::Turn;
use futures_util::future::BoxFuture;
use parking_lot::RwLock;
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Keeps a few bytes of one cluster's connection, encrypted, for the next process of this install.
pub trait Vault: Send + Sync {
    /// What was kept last, by this process or an earlier one.
    fn load(&self) -> Option<Vec<u8>>;
    /// Keeps these bytes instead. Never waits: where they cannot be written yet, they are tried on.
    fn save(&self, bytes: Vec<u8>);
    /// Answers once what was saved last would survive the end of this process.
    fn kept(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    /// A turn with what is kept, for a connection that goes on with it. Connections without one take it from each other.
    fn turn(&self) -> Option<Turn> {
        None
    }
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
    /// Where the API begins on its host; the kind's own when it is not given.
    pub context_path: Option<String>,
    /// Speak TLS.
    pub tls: Option<TlsFiles>,
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
    /// What only ZooKeeper has.
    pub zookeeper: crate::zookeeper::Options,
}

/// Files and names for TLS.
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
