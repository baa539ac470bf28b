//! What callers of the client give and get.

use super::connection_counts::ConnectionCounts;
use super::error::{Result, WireError};
use crate::{TlsTexts, Turn};
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How to reach one cluster and to sign in. [`Options::new`] has the defaults.
#[derive(Clone)]
pub struct Options {
    /// `host:port` each; any may end with a chroot, the same for all.
    pub addresses: Vec<String>,
    /// User and password of ZooKeeper's digest scheme.
    pub login: Option<(String, SecretString)>,
    /// Speak TLS.
    pub tls: Option<TlsTexts>,
    /// How long the server is asked to keep our session, and with it our ephemeral nodes, while it does not hear of
    /// us. It may choose a shorter or a longer time. Default 40 s.
    pub session_timeout: Duration,
    /// Limit for the answer to one call. Default 10 s.
    pub call_timeout: Duration,
    /// Longest request in bytes. A server ends the connection that sends it a longer one than its `jute.maxbuffer`,
    /// so that we refuse it here. Default 1 MiB less 1, which is the server's default.
    pub max_request: usize,
    /// An earlier session to continue.
    pub saved: Option<SavedSession>,
    /// Receives every new session.
    pub keep: Option<Arc<dyn SessionKeeper>>,
    /// Our turn with the saved session, where another connection of this process may have it, or want it.
    pub turn: Option<Turn>,
    /// Whether another session is made when a server says that this one is over.
    pub renew: bool,
    /// Another session of ours that connects first: without it, this one is of no use.
    pub after: Option<watch::Receiver<SessionStatus>>,
    /// The connections of all sessions to the same servers.
    pub connections: Arc<ConnectionCounts>,
}

impl Options {
    /// Defaults for these servers.
    pub fn new(addresses: Vec<String>) -> Self {
        Options {
            addresses,
            login: None,
            tls: None,
            session_timeout: Duration::from_secs(40),
            call_timeout: Duration::from_secs(10),
            max_request: 0xf_ffff,
            saved: None,
            keep: None,
            turn: None,
            renew: true,
            after: None,
            connections: Arc::default(),
        }
    }

    /// How many servers there are, and how many bytes they have in front of each path. Errors: `Rejected` for addresses
    /// that cannot be used.
    pub fn reach(&self) -> Result<(usize, usize)> {
        let (addresses, chroot) = super::address::parse(&self.addresses)?;
        Ok((addresses.len(), chroot.len()))
    }
}

/// Keeps the session's id and password, so that a later process can continue it.
pub trait SessionKeeper: Send + Sync {
    /// A new session, before anything can be written in it. Must not block. Returns false where the session is not to be
    /// used: it is ended then.
    fn save(&self, saved: &SavedSession) -> bool;

    /// Completes once what was saved last would survive the end of this process. Nothing is written in the session before,
    /// for two seconds at most.
    fn kept(&self) -> BoxFuture<'_, ()>;
}

/// Id and password of a session: all that it takes to continue it, or to take it over.
#[derive(Clone, PartialEq, Eq)]
pub struct SavedSession {
    /// The server's id for the session; what `ephemeral_owner` of its nodes says.
    pub id: i64,
    /// The server's password for it.
    pub password: Vec<u8>,
}

impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SavedSession({:#x})", self.id)
    }
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No server; tried again and again.
    #[default]
    Down,
    /// Connected.
    Connected,
}

/// What is known of a session. The default: it has not tried to connect yet.
#[derive(Clone, Debug, Default)]
pub struct SessionStatus {
    /// Where it stands.
    pub phase: Phase,
    /// Grows by one with every connection; 0 before the first. Watches end with their connection, so that
    /// everything that is followed must be read again at every new generation.
    pub generation: u64,
    /// The session's id; `None` before the first.
    pub session: Option<i64>,
    /// Grows by one whenever the session becomes another one: all our ephemeral nodes of older epochs are gone. 0
    /// is the saved session, or none yet.
    pub epoch: u64,
    /// The server that we are connected to, `host:port`.
    pub server: Option<String>,
    /// Why the last connection or try failed, while there is no other.
    pub error: Option<WireError>,
    /// The session is over, and no other one is made ([`Options::renew`]).
    pub over: bool,
}

/// What a server knows of a node besides its data. Times are milliseconds of the server's wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The transaction that created it.
    pub czxid: i64,
    /// The transaction that last wrote its data.
    pub mzxid: i64,
    /// When it was created.
    pub ctime: i64,
    /// When its data was last written.
    pub mtime: i64,
    /// How often its data was written since.
    pub version: i32,
    /// How often its children came or went.
    pub cversion: i32,
    /// How often its ACL was written.
    pub aversion: i32,
    /// The session that it lives and dies with; 0 for a persistent node.
    pub ephemeral_owner: i64,
    /// Bytes of data.
    pub data_length: i32,
    /// Number of children.
    pub children: i32,
    /// The transaction by which a child last came or went.
    pub pzxid: i64,
}

impl Stat {
    /// Whether a node with this stat has the same data as one with `other`. The times guard against a server that
    /// was wiped, whose transactions begin again at 1.
    pub(super) fn same_data(&self, other: &Stat) -> bool {
        (self.czxid, self.mzxid, self.ctime, self.mtime) == (other.czxid, other.mzxid, other.ctime, other.mtime)
            && (self.version, self.data_length) == (other.version, other.data_length)
    }

    /// Whether nothing but the comings and goings of children is between the two.
    pub(super) fn same_node(&self, other: &Stat) -> bool {
        self.same_data(other) && (self.aversion, self.ephemeral_owner) == (other.aversion, other.ephemeral_owner)
    }
}

/// One entry of a node's access list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Acl {
    /// Bits: 1 read, 2 write, 4 create, 8 delete, 16 admin.
    pub permissions: i32,
    /// `world`, `digest`, `ip`, `auth`, `x509`, `sasl`, …
    pub scheme: String,
    /// The user, address, … within that scheme.
    pub id: String,
}

impl Acl {
    /// All five permissions.
    pub const ALL: i32 = 31;

    /// An entry.
    pub fn new(permissions: i32, scheme: &str, id: &str) -> Acl {
        Acl { permissions, scheme: scheme.to_owned(), id: id.to_owned() }
    }

    /// Open to all.
    pub fn open() -> Acl {
        Acl::new(Acl::ALL, "world", "anyone")
    }

    /// The user who creates the node may do everything.
    pub fn creator() -> Acl {
        Acl::new(Acl::ALL, "auth", "")
    }
}

/// How to create a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Create<'a> {
    /// It goes with our session.
    pub ephemeral: bool,
    /// Its access list; empty: open to all.
    pub acl: &'a [Acl],
}

/// One step of a transaction.
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    /// Creates a node with these data, as [`Session::create`](super::Session::create) does.
    Create(&'a str, Option<&'a [u8]>, Create<'a>),
    /// Deletes a node; with a version, only that version.
    Delete(&'a str, Option<i32>),
}

impl Op<'_> {
    /// The node it is about.
    pub fn path(&self) -> &str {
        match self {
            Op::Create(path, ..) | Op::Delete(path, _) => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_password() {
        let saved = SavedSession { id: 0x1234, password: b"geheim!!".to_vec() };
        assert_eq!(format!("{saved:?}"), "SavedSession(0x1234)");
    }

    #[test]
    fn a_wiped_server_does_not_look_unchanged() {
        let old = Stat { czxid: 2, mzxid: 3, ctime: 1000, mtime: 1001, ..Stat::default() };
        assert!(old.same_data(&Stat { cversion: 7, pzxid: 9, children: 3, ..old }));
        assert!(!old.same_data(&Stat { ctime: 5000, mtime: 5000, ..old }));
        assert!(!old.same_node(&Stat { aversion: 1, ..old }));
    }
}
