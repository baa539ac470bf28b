//! Copies in the catalog, on nodes of our own.
//!
//! A node of ours is nobody's machine: no agent tends to it, so that what stands on it stays until we take it away. One install
//! has several, so that none of them grows with the number of services.

use super::client::{Check, CheckOp, Entry, NodeOp, Op, Service, ServiceOp, TxnFailure, Verb};
use super::convert;
use super::reading::Reading;
use crate::bridge::other_tools::is_other_tool;
use causeway_core::{Change, Error, Instance, OwnerId, ServiceKey};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Most operations of one transaction: older servers take no more.
const OPERATIONS: usize = 64;
/// Most bytes of one, below the servers' limit of 512 KiB.
const BYTES: usize = 400 << 10;
/// Nodes of one install.
const NODES: u64 = 16;
/// The address of our nodes: one that leads nowhere. Each instance has its own.
const NOWHERE: &str = "192.0.2.1";
/// The check that an agent's node has.
const AGENT: &str = "serfHealth";
/// What the servers say of a node that is not there.
const NO_NODE: &str = "Missing node registration";
/// How often a service is looked at again because its records have changed meanwhile.
const TRIES: usize = 3;

/// Writes copies.
pub(super) struct Catalog {
    reading: Arc<Reading>,
    install: Arc<str>,
    /// Nodes that were there when we last saw them.
    nodes: Mutex<BTreeSet<String>>,
}

/// What one change comes to, and which one it is.
struct Unit {
    change: usize,
    ops: Vec<Op>,
}

/// What is to be done about one change.
enum Step {
    Done,
    Write { node: Option<String>, ops: Vec<Op> },
}

impl Catalog {
    pub fn new(reading: Arc<Reading>, install: Arc<str>) -> Self {
        Self { reading, install, nodes: Mutex::default() }
    }

    /// One outcome a change. What stands is read first: what stands as it is to stand is not written, and what was changed since
    /// is not written over.
    pub async fn apply(&self, scope: &ServiceKey, changes: &[Change]) -> Vec<Result<(), Error>> {
        let standing = match self.standing(scope).await {
            Ok(standing) => standing,
            Err(error) => return changes.iter().map(|_| Err(again(&error))).collect(),
        };
        let mut outcomes: Vec<Result<(), Error>> = Vec::with_capacity(changes.len());
        let (mut units, mut nodes) = (Vec::new(), BTreeSet::new());
        for (change, wanted) in changes.iter().enumerate() {
            outcomes.push(match self.step(scope, wanted, &standing) {
                Ok(Step::Done) => Ok(()),
                Ok(Step::Write { node, ops }) => {
                    nodes.extend(node);
                    units.push(Unit { change, ops });
                    Ok(())
                }
                Err(error) => Err(error),
            });
        }
        if let Err(error) = self.ensure(nodes).await {
            units.into_iter().for_each(|unit| outcomes[unit.change] = Err(again(&error)));
            return outcomes;
        }
        for (change, outcome) in self.write(units).await {
            outcomes[change] = outcome;
        }
        outcomes
    }

    /// What stands in a service, by id. An error where not all of it may be read.
    async fn standing(&self, scope: &ServiceKey) -> Result<BTreeMap<String, Entry>, Error> {
        let (entries, filtered) = self.reading.entries(&scope.name).await?;
        match filtered {
            true => Err(Error::Denied(format!("the token may not read all of {}", scope.name))),
            false => Ok(entries.into_iter().map(|entry| (entry.service.id.clone(), entry)).collect()),
        }
    }

    fn step(&self, scope: &ServiceKey, change: &Change, standing: &BTreeMap<String, Entry>) -> Result<Step, Error> {
        match change {
            Change::Create(to) | Change::Adopt(to) => self.put(scope, None, to, standing),
            Change::Update { from, to } => self.put(scope, Some(from), to, standing),
            Change::Delete { record, owner, .. } => {
                let id = match is_other_tool(owner) {
                    true => convert::standing_id(scope, record).unwrap_or_default(),
                    false => convert::id_of(owner, scope, &record.id),
                };
                let found = standing.get(&id);
                found.map_or(Ok(()), may_go)?;
                Ok(found.map_or(Step::Done, |entry| Step::Write { node: None, ops: vec![delete(entry)] }))
            }
            Change::Shadow(..) => Err(Error::Rejected("Consul shows every record by itself".into())),
            Change::Edit { .. } => {
                Err(Error::Rejected("an instance of somebody else's is its agent's to change".into()))
            }
            // A service has nothing of its own.
            Change::Scope { .. } => Ok(Step::Done),
        }
    }

    /// Writes a copy; `from` is what it takes the place of.
    fn put(
        &self,
        scope: &ServiceKey,
        from: Option<&Instance>,
        to: &Instance,
        standing: &BTreeMap<String, Entry>,
    ) -> Result<Step, Error> {
        let owner = &to.mark().ok_or_else(|| Error::protocol("a copy without a mark"))?.owner;
        let mut service = convert::write(scope, to, owner).map_err(Error::Rejected)?;
        // Transactions drop them (agents do not).
        service.tagged_addresses.clear();
        let there = standing.get(&service.id);
        let node = there.map_or_else(|| self.node_of(owner, scope), |entry| entry.node.node.clone());
        let checks = convert::checks(&node, &service, to);
        let mut ops: Vec<Op> = Vec::new();
        let before = from.and_then(|from| convert::standing_id(scope, from));
        // Another owner has another id.
        let before = before.filter(|id| *id != service.id).and_then(|id| standing.get(&id));
        before.map_or(Ok(()), may_go)?;
        ops.extend(before.map(delete));
        if !there.is_some_and(|entry| convert::same(&entry.service, &service)) {
            service.modify_index = there.map_or(0, |entry| entry.service.modify_index);
            ops.push(Op::Service(ServiceOp { verb: Verb::Cas, node: node.clone(), service: service.clone() }));
        }
        ops.extend(check_ops(there, &service, checks));
        match ops.is_empty() {
            true => Ok(Step::Done),
            false => Ok(Step::Write { node: there.is_none().then_some(node), ops }),
        }
    }

    /// The node that a new copy stands on.
    fn node_of(&self, owner: &OwnerId, scope: &ServiceKey) -> String {
        format!("causeway-{}-{:02}", owner.install, xxh3_64(scope.name.as_bytes()) % NODES)
    }

    /// Makes the nodes that are not there. What is there stays as it is: writing a node replaces all that it says.
    async fn ensure(&self, wanted: BTreeSet<String>) -> Result<(), Error> {
        for name in wanted {
            if self.nodes.lock().contains(&name) {
                continue;
            }
            match self.reading.client.txn(&[Op::Node(NodeOp::look(&name))]).await {
                Ok(()) => {}
                Err(TxnFailure::Of(_)) => self.make(&name).await?,
                Err(TxnFailure::Whole(error)) => return Err(error),
            }
            self.nodes.lock().insert(name);
        }
        Ok(())
    }

    async fn make(&self, name: &str) -> Result<(), Error> {
        // As Consul's own tools mark nodes without an agent; nobody is to ping this one.
        let meta = [("external-node", "true"), ("external-probe", "false"), ("causeway", &*self.install)];
        let meta = meta.map(|(key, value)| (key, value.to_owned())).into();
        match self.reading.client.txn(&[Op::Node(NodeOp::make(name, NOWHERE, meta))]).await {
            Ok(()) => Ok(()),
            // Somebody was faster.
            Err(TxnFailure::Of(why)) if why.iter().all(|(_, what)| what.contains("index is stale")) => Ok(()),
            Err(TxnFailure::Of(why)) => Err(because(why.into_iter().next().map(|(_, what)| what).unwrap_or_default())),
            Err(TxnFailure::Whole(error)) => Err(error),
        }
    }

    /// Writes in as few transactions as they fit into. A record that is refused spoils no other.
    async fn write(&self, units: Vec<Unit>) -> Vec<(usize, Result<(), Error>)> {
        let mut outcomes = Vec::new();
        let mut chunks = chunks(units).into_iter();
        for chunk in chunks.by_ref() {
            if let Some(error) = self.write_chunk(chunk, &mut outcomes).await {
                // No server answers: the others would only wait, too.
                for unit in chunks.flatten() {
                    outcomes.push((unit.change, Err(again(&error))));
                }
                break;
            }
        }
        outcomes
    }

    /// `Some`: the servers cannot be reached any more.
    async fn write_chunk(&self, mut units: Vec<Unit>, outcomes: &mut Vec<(usize, Result<(), Error>)>) -> Option<Error> {
        let mut tries = 0;
        while !units.is_empty() {
            let ops: Vec<Op> = units.iter().flat_map(|unit| unit.ops.iter().cloned()).collect();
            let failed = match self.reading.client.txn(&ops).await {
                Ok(()) => {
                    outcomes.extend(units.into_iter().map(|unit| (unit.change, Ok(()))));
                    return None;
                }
                Err(TxnFailure::Of(failed)) => failed,
                Err(TxnFailure::Whole(error)) => {
                    outcomes.extend(units.into_iter().map(|unit| (unit.change, Err(again(&error)))));
                    return matches!(error, Error::Unavailable(_)).then_some(error);
                }
            };
            tries += 1;
            if tries < TRIES && failed.iter().any(|(_, what)| what.contains(NO_NODE)) {
                // Somebody took a node of ours away.
                let nodes: BTreeSet<_> = units.iter().flat_map(|unit| &unit.ops).filter_map(node_of).collect();
                self.nodes.lock().retain(|node| !nodes.contains(node));
                if let Err(error) = self.ensure(nodes).await {
                    outcomes.extend(units.into_iter().map(|unit| (unit.change, Err(again(&error)))));
                    return matches!(error, Error::Unavailable(_)).then_some(error);
                }
                continue;
            }
            let mut at = 0;
            let mut rest = Vec::new();
            let count = units.len();
            for unit in units {
                let range = at..at + unit.ops.len();
                at = range.end;
                match failed.iter().find(|(op, _)| range.contains(op)) {
                    Some((_, what)) => outcomes.push((unit.change, Err(because(what.clone())))),
                    None => rest.push(unit),
                }
            }
            if rest.len() == count {
                let error = Error::protocol("a transaction failed, and none of its operations did");
                outcomes.extend(rest.into_iter().map(|unit| (unit.change, Err(again(&error)))));
                return None;
            }
            units = rest;
        }
        None
    }
}

/// Whether what stands there can be taken out of the catalog. An agent brings back whatever it tends to.
fn may_go(entry: &Entry) -> Result<(), Error> {
    let tended = entry.checks.iter().any(|check| check.id == AGENT && check.service_id.is_empty());
    match tended && convert::owner_of(&entry.service.id).is_none() {
        false => Ok(()),
        true => Err(Error::Rejected(format!(
            "{} was registered with the agent of node {}, which would bring it back: set `destination: agent` and that agent's \
             address, or deregister it there",
            entry.service.id, entry.node.node
        ))),
    }
}

/// Takes a copy away, with its checks.
fn delete(entry: &Entry) -> Op {
    let (id, service) = (entry.service.id.clone(), entry.service.service.clone());
    let service = Service { id, service, modify_index: entry.service.modify_index, ..Service::default() };
    Op::Service(ServiceOp { verb: Verb::DeleteCas, node: entry.node.node.clone(), service })
}

/// Makes the checks of a copy those that are wanted.
fn check_ops(there: Option<&Entry>, service: &Service, wanted: Vec<Check>) -> Vec<Op> {
    let own = there.into_iter().flat_map(|entry| &entry.checks);
    let own: Vec<&Check> = own.filter(|check| check.service_id == service.id).collect();
    let gone = own.iter().filter(|check| !wanted.iter().any(|one| one.id.eq_ignore_ascii_case(&check.id)));
    let gone = gone.map(|check| Op::Check(CheckOp { verb: Verb::Delete, check: (*check).clone() }));
    let stands = |one: &Check| own.iter().any(|check| check.id == one.id && check.status == one.status);
    let come = wanted.iter().filter(|one| !stands(one));
    gone.chain(come.map(|one| Op::Check(CheckOp { verb: Verb::Set, check: one.clone() }))).collect()
}

fn node_of(op: &Op) -> Option<String> {
    match op {
        Op::Service(ServiceOp { verb: Verb::Cas, node, .. }) => Some(node.clone()),
        _ => None,
    }
}

/// What one refused operation means.
fn because(what: String) -> Error {
    match what {
        what if what.contains("index is stale") => Error::Conflict,
        what if what.contains("ermission denied") || what.contains("ACL not found") => Error::Denied(what),
        what => Error::Rejected(what),
    }
}

/// The same error once more.
pub(super) fn again(error: &Error) -> Error {
    match error {
        Error::Unavailable(cause) => Error::unavailable(cause.to_string()),
        Error::Throttled(wait) => Error::Throttled(*wait),
        Error::Conflict => Error::Conflict,
        Error::Denied(why) => Error::Denied(why.clone()),
        Error::Missing(why) => Error::Missing(why.clone()),
        Error::Rejected(why) => Error::Rejected(why.clone()),
        Error::Blocked(why) => Error::Blocked(why.clone()),
        Error::Protocol(cause) => Error::protocol(cause.to_string()),
    }
}

fn chunks(units: Vec<Unit>) -> Vec<Vec<Unit>> {
    let mut chunks: Vec<Vec<Unit>> = Vec::new();
    let (mut operations, mut bytes) = (0, 0);
    for unit in units {
        let size = serde_json::to_vec(&unit.ops).map_or(0, |text| text.len());
        (operations, bytes) = (operations + unit.ops.len(), bytes + size);
        match chunks.last_mut().filter(|_| operations <= OPERATIONS && bytes <= BYTES) {
            Some(chunk) => chunk.push(unit),
            None => {
                (operations, bytes) = (unit.ops.len(), size);
                chunks.push(vec![unit]);
            }
        }
    }
    chunks
}

#[cfg(test)]
mod tests;
