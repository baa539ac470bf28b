//! Several writes that are made together or not at all.

use super::wire::{Check, Service};
use super::{Client, words};
use causeway_core::Error;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    Get,
    Set,
    /// Only where it stands as it was when it was last read.
    Cas,
    Delete,
    DeleteCas,
}

/// One of the writes.
#[derive(Clone, Debug, Serialize)]
pub enum Op {
    Node(NodeOp),
    Service(ServiceOp),
    Check(CheckOp),
}

/// About a node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeOp {
    pub verb: Verb,
    pub node: NewNode,
}

/// A node as it is made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NewNode {
    pub node: String,
    pub address: &'static str,
    pub meta: BTreeMap<&'static str, String>,
    pub modify_index: u64,
}

/// About an instance.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceOp {
    pub verb: Verb,
    pub node: String,
    pub service: Service,
}

/// About a check.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckOp {
    pub verb: Verb,
    pub check: Check,
}

/// Why none of the writes was made.
#[derive(Debug)]
pub enum TxnFailure {
    /// These of them cannot be made, and the servers' words.
    Of(Vec<(usize, String)>),
    /// The call failed as a whole.
    Whole(Error),
}

#[derive(Deserialize)]
struct Conflict {
    #[serde(rename = "Errors")]
    errors: Option<Vec<What>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct What {
    op_index: usize,
    what: String,
}

impl NodeOp {
    /// Whether a node of this name is there.
    pub fn look(name: &str) -> Self {
        Self::with(Verb::Get, name, "", BTreeMap::new())
    }

    /// Makes it where it is not there; what is there stays as it is.
    pub fn make(name: &str, address: &'static str, meta: BTreeMap<&'static str, String>) -> Self {
        Self::with(Verb::Cas, name, address, meta)
    }

    fn with(verb: Verb, name: &str, address: &'static str, meta: BTreeMap<&'static str, String>) -> Self {
        Self { verb, node: NewNode { node: name.to_owned(), address, meta, modify_index: 0 } }
    }
}

impl Client {
    /// The operations with what the parameters of a request do not tell them: a node's data centre, and where all of them stand.
    pub(super) fn body(&self, ops: &[Op]) -> serde_json::Result<Vec<u8>> {
        let mut body = serde_json::to_value(ops)?;
        let param = |name: &str| self.params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        for op in body.as_array_mut().into_iter().flatten() {
            for (kind, keys) in [
                ("Node", &[("Datacenter", "dc"), ("Partition", "partition")][..]),
                ("Service", &[("Namespace", "ns"), ("Partition", "partition")]),
                ("Check", &[("Namespace", "ns"), ("Partition", "partition")]),
            ] {
                let Some(Value::Object(fields)) = op.pointer_mut(&format!("/{kind}/{kind}")) else { continue };
                let known = keys.iter().filter_map(|&(key, name)| Some((key, param(name)?)));
                fields.extend(known.map(|(key, value)| (key.to_owned(), Value::from(value.as_str()))));
            }
        }
        serde_json::to_vec(&body)
    }

    /// Makes all of these writes, or none.
    pub async fn txn(&self, ops: &[Op]) -> Result<(), TxnFailure> {
        let body = self.body(ops).map_err(|e| TxnFailure::Whole(Error::protocol(e.to_string())))?;
        let reply = self.send(Method::PUT, "/v1/txn", &[], Some(body), None).await.map_err(TxnFailure::Whole)?;
        if reply.status == StatusCode::CONFLICT {
            let found = serde_json::from_slice::<Conflict>(&reply.body).ok().and_then(|said| said.errors);
            return Err(match found.filter(|errors| !errors.is_empty()) {
                Some(errors) => TxnFailure::Of(errors.into_iter().map(|one| (one.op_index, one.what)).collect()),
                None => TxnFailure::Whole(Error::protocol(format!("409: {}", words(&reply.body)))),
            });
        }
        self.refused(&reply).map_or(Ok(()), |error| Err(TxnFailure::Whole(error)))
    }
}
