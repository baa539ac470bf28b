//! What one record may be depends on its neighbours: a service holds either persistent or ephemeral instances, and of two at
//! one address only those with different cluster names. Pure.

use super::client::DEFAULT_CLUSTER;
use super::convert::{self, METADATA_LIMIT};
use causeway_core::{Governed, Instance, InstanceId, Set, Skip, Wish, Written, intern};
use std::sync::Arc;

/// By this key providers of one address differ, as those of two of Dubbo's protocols do.
const PROTOCOL: &str = "protocol";

/// The cluster name by which a record stands beside another one at its address.
fn own_cluster(record: &Instance) -> Option<Arc<str>> {
    let protocol = record.metadata.get(PROTOCOL)?;
    let fits = convert::is_cluster(protocol) && protocol != DEFAULT_CLUSTER && &*record.id.slot == DEFAULT_CLUSTER;
    fits.then(|| intern(protocol))
}

fn in_cluster(record: &Instance, slot: &Arc<str>) -> InstanceId {
    InstanceId { endpoint: record.id.endpoint.clone(), slot: slot.clone() }
}

/// Whether what stands there as ours is of the same protocol.
fn stands(written: &Written, id: &InstanceId, record: &Instance) -> bool {
    let there = written.records.get(id);
    there.is_some_and(|there| there.record.metadata.get(PROTOCOL) == record.metadata.get(PROTOCOL))
}

/// A record that stands under a cluster name of its own stays there, also when its neighbour has gone.
pub(super) fn place(written: &Written, mut record: Instance) -> Instance {
    if let Some(slot) = own_cluster(&record) {
        let own = in_cluster(&record, &slot);
        if !stands(written, &record.id, &record) && stands(written, &own, &record) {
            record.id = own;
        }
    }
    record
}

/// Of records at one address that differ in protocol the one that stands there already keeps it (else the newest, which
/// comes first), and the others get cluster names of their own.
pub(super) fn apart(written: &Written, records: &mut [Instance]) {
    let protocol = |record: &Instance| record.metadata.get(PROTOCOL).map(str::to_owned);
    let stays = records.iter().find(|record| stands(written, &record.id, record)).or(records.first());
    let stays = stays.and_then(protocol);
    for record in records.iter_mut().filter(|record| protocol(record) != stays) {
        if let Some(slot) = own_cluster(record) {
            record.id.slot = slot;
        }
    }
}

/// A service is ephemeral as soon as one of its instances is, and stays so: the server forgets that only when the service
/// has been empty for a minute or two. A persistent one among them is published as an ephemeral one that says what it was.
/// Where somebody else's persistent instance stands, it is the ephemeral ones that the server refuses.
pub(super) fn shape(there: &Set, written: &Written, wishes: &mut [Wish]) {
    let is_ours = |one: &Instance| {
        let copy = one.mark.as_ref();
        copy.is_some_and(|mark| wishes.iter().any(|wish| wish.owner.install == mark.owner.install))
    };
    let standing = there.records.values().flat_map(|held| held.native.iter().chain(&held.copies));
    let ephemeral = match standing.filter(|one| !is_ours(one)).map(|one| one.ephemeral).reduce(|a, b| a || b) {
        Some(theirs) => theirs,
        None => {
            written.records.values().any(|one| one.record.ephemeral)
                || wishes.iter().flat_map(|wish| wish.records.values()).any(|one| one.ephemeral)
        }
    };
    if !ephemeral {
        return;
    }
    for wish in wishes {
        let fixed: Vec<_> = wish.records.values().filter(|one| !one.ephemeral).cloned().collect();
        for record in fixed {
            let id = record.id.clone();
            wish.records.remove(&id);
            let record = record.with(|one| {
                one.ephemeral = true;
                one.lasting = true;
            });
            match convert::fits(record, METADATA_LIMIT) {
                Ok(record) => drop(wish.records.insert(id, record)),
                Err(why) => drop(wish.refused.insert(id, Skip::Rejected { why })),
            }
        }
    }
}

/// A persistent instance is checked by the server that holds it.
pub(super) fn governed(stands: &Instance, wanted: &Instance) -> Option<Governed> {
    let alike = || stands.clone().with(|one| one.healthy = wanted.healthy) == *wanted;
    (!stands.ephemeral && stands.healthy != wanted.healthy && alike()).then_some(Governed::Health)
}

#[cfg(test)]
mod tests;
