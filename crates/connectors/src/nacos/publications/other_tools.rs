//! Copies that other tools registered: how they are taken over, and what of them can be removed.
//!
//! Who registers over HTTP shares one record with all others who do so at the address, and anybody can remove it. What a
//! connection publishes goes with that connection alone.

use super::Publications;
use crate::bridge::other_tools::tool_of;
use crate::nacos::client::{PublisherRef, WireInstance};
use crate::nacos::convert;
use causeway_core::{Change, Error, Instance, InstanceId, ServiceKey};
use std::collections::BTreeSet;

/// How the id of a publisher ends that is no connection: an ephemeral registration over HTTP.
const OVER_HTTP: &str = "#true";

impl Publications {
    /// Whether another tool's copy is kept by heart beats, as far as is known: it was asked because ours stands with it.
    pub fn is_beaten(&self, scope: &ServiceKey, id: &InstanceId) -> bool {
        self.beaten.lock().get(scope).is_some_and(|ids| ids.contains(id))
    }

    /// Notes which of the copies of other tools in a service are kept by heart beats.
    pub(super) fn note_beaten(&self, scope: &ServiceKey, ids: BTreeSet<InstanceId>) {
        match ids.is_empty() {
            true => drop(self.beaten.lock().remove(scope)),
            false => drop(self.beaten.lock().insert(scope.clone(), ids)),
        }
    }

    /// Removes what ours has taken the place of, where it does not go by itself: a persistent record under another cluster name,
    /// and one whose heart beats have ended.
    pub(super) async fn take_over(&self, scope: &ServiceKey, changes: &[Change], outcomes: &mut [Result<(), Error>]) {
        for (change, outcome) in changes.iter().zip(outcomes) {
            let Change::Update { from, to } = change else { continue };
            if outcome.is_err() || tool_of(from.mark()).is_none() {
                continue;
            }
            // A persistent one of the same id has been written over.
            if from.ephemeral || from.id != to.id {
                *outcome = self.take_theirs(scope, from).await;
            }
        }
    }

    /// Removes a copy of another tool. [`Error::Rejected`] where a connection of that tool publishes it.
    pub(super) async fn take_theirs(&self, scope: &ServiceKey, theirs: &Instance) -> Result<(), Error> {
        let wire: WireInstance = convert::write(theirs);
        if !theirs.ephemeral {
            return self.publisher().write_persistent(scope, &wire, false).await.map_err(convert::error);
        }
        let publishers = self.client.publishers(scope, &wire.ip, wire.port).await.map_err(convert::error)?;
        let here: Vec<_> = publishers.iter().filter(|one| *one.cluster == *theirs.id.slot).collect();
        let mine = self.connections();
        let connection = here.iter().find(|one| !is_over_http(one) && !mine.contains(&one.client_id));
        if here.iter().any(|one| is_over_http(one)) {
            self.client.deregister_http(scope, &wire).await.map_err(convert::error)?;
        }
        match connection {
            None => Ok(()),
            Some(one) => Err(Error::Rejected(format!(
                "it is published by the connection {} of another program, and goes when that ends",
                one.client_id
            ))),
        }
    }
}

/// Whether a publisher is a registration over HTTP.
pub(super) fn is_over_http(publisher: &PublisherRef) -> bool {
    publisher.client_id.ends_with(OVER_HTTP)
}
