//! What the Java clients write and read back.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

/// A node to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZkNode {
    pub path: String,
    /// A node without data is another thing than one with empty data; some programs make one, some the other.
    pub data: Option<Vec<u8>>,
    pub ephemeral: bool,
    /// The server appends a number of ten digits to the path.
    pub sequential: bool,
    /// As [`ZkRead::acl`]; `auth::cdrwa` is «who creates it».
    pub acl: String,
}

impl ZkNode {
    /// Persistent, open to everybody.
    pub fn new(path: &str, data: impl AsRef<[u8]>) -> Self {
        let data = Some(data.as_ref().to_vec());
        Self { path: path.into(), data, ephemeral: false, sequential: false, acl: OPEN.into() }
    }

    pub fn ephemeral(path: &str, data: impl AsRef<[u8]>) -> Self {
        Self { ephemeral: true, ..Self::new(path, data) }
    }

    pub fn sequential(self) -> Self {
        Self { sequential: true, ..self }
    }

    pub fn without_data(self) -> Self {
        Self { data: None, ..self }
    }

    pub fn acl(self, acl: &str) -> Self {
        Self { acl: acl.into(), ..self }
    }

    pub(super) fn json(&self) -> Value {
        let mode = match (self.ephemeral, self.sequential) {
            (false, false) => "PERSISTENT",
            (false, true) => "PERSISTENT_SEQUENTIAL",
            (true, false) => "EPHEMERAL",
            (true, true) => "EPHEMERAL_SEQUENTIAL",
        };
        let data = self.data.as_ref().map(|data| BASE64.encode(data));
        json!({"do": "create", "path": self.path, "data": data, "mode": mode, "acl": self.acl})
    }
}

const OPEN: &str = "world:anyone:cdrwa";

/// One write of a transaction or of a bulk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZkStep {
    Create(ZkNode),
    Set {
        path: String,
        data: Vec<u8>,
    },
    Delete {
        path: String,
    },
    /// In a transaction: all fails unless the node has this version.
    Check {
        path: String,
        version: i32,
    },
}

impl ZkStep {
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Create(node) => node.json(),
            Self::Set { path, data } => json!({"do": "set", "path": path, "data": BASE64.encode(data)}),
            Self::Delete { path } => json!({"do": "delete", "path": path}),
            Self::Check { path, version } => json!({"do": "check", "path": path, "version": version}),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ZkStat {
    /// The transactions that created the node, last set its data, and last changed its list of children.
    pub czxid: i64,
    pub mzxid: i64,
    pub pzxid: i64,
    /// Milliseconds since 1970 by the server's clock.
    pub ctime: i64,
    pub mtime: i64,
    /// How often the data, and the access list, was set.
    pub version: i32,
    pub aversion: i32,
    /// The session that holds an ephemeral node, else 0.
    pub owner: i64,
    pub length: usize,
    pub children: usize,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZkRead {
    pub data: Option<Vec<u8>>,
    /// Such as `world:anyone:cdrwa` or `digest:alice:<base64>:r`, several with a comma, in the server's order.
    pub acl: String,
    pub stat: ZkStat,
}

impl ZkRead {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.data.as_deref().unwrap_or_default()).into_owned()
    }

    pub(super) fn parse(said: &Value) -> Result<Self> {
        let data = said["data"].as_str().map(|text| BASE64.decode(text)).transpose()?;
        let acl = said["acl"].as_str().context("no acl")?.to_string();
        Ok(Self { data, acl, stat: ZkStat::deserialize(&said["stat"])? })
    }
}

/// One node of a whole tree.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ZkEntry {
    /// SHA-256 in hex; `null` without data; `unreadable` where the client may not read it.
    pub data: String,
    /// As [`ZkRead::acl`], or `unreadable`.
    pub acl: String,
    /// All zero of a node that is unreadable: the server does not tell it.
    #[serde(default)]
    pub stat: ZkStat,
}

impl ZkEntry {
    pub fn ephemeral(&self) -> bool {
        self.stat.owner != 0
    }
}

/// A whole tree by path, without `/zookeeper`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZkTree(pub BTreeMap<String, ZkEntry>);

impl ZkTree {
    /// What `other` lacks (`-`), has more (`+`) or holds otherwise (`!`: data, ephemeral or not, access list), one line
    /// a node; empty when they are alike. Paths are compared as they stand: walk both trees with a chroot, or none.
    pub fn difference(&self, other: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for (path, here) in &self.0 {
            let Some(there) = other.0.get(path) else {
                out.push(format!("- {path}"));
                continue;
            };
            let show =
                |entry: &ZkEntry| format!("{} {} {} {}", entry.data, entry.stat.length, entry.ephemeral(), entry.acl);
            if show(here) != show(there) {
                out.push(format!("! {path}: {} became {}", show(here), show(there)));
            }
        }
        out.extend(other.0.keys().filter(|path| !self.0.contains_key(*path)).map(|path| format!("+ {path}")));
        out
    }
}

/// `user:base64(sha1(user:password))`, as access lists name the user of a client with this digest (`user:password`).
pub fn digest_id(digest: &str) -> String {
    let user = digest.split(':').next().unwrap_or_default();
    format!("{user}:{}", BASE64.encode(Sha1::digest(digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_named_as_the_server_names_it() {
        assert_eq!(digest_id("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
    }
}
