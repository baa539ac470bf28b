//! Copies that other tools registered: how they are taken over, and what of them can be removed.
//!
//! Who registers over HTTP shares one record with all others who do so at the address, and anybody can remove it. What a
//! connection publishes goes with that connection alone.

use super::Publications;
use crate::bridge::other_tools::tool_of;
use crate::nacos::client::{PublisherRef, WireInstance};
use crate::nacos::convert;
use causeway_core::{Change, Error, Instance, InstanceId, ServiceKey};
use futures_util::stream::{self, StreamExt};
use std::collections::BTreeSet;

/// Copies of one service that are removed at a time.
const AT_ONCE: usize = 8;
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

    /// Removes those records that ours are to take the place of whose heart beats have ended and with which ours stand: they are
    /// listed beside ours, as unhealthy, until then.
    pub(super) async fn take_dead(&self, scope: &ServiceKey, changes: &[Change]) {
        let ours = self.of(scope);
        let stands = |from: &Instance| ours.get(&from.id).is_some_and(|ours| ours.record.mark.is_none());
        let mut dead = Vec::new();
        for change in changes {
            match change {
                Change::Update { from, .. }
                    if tool_of(from.mark()).is_some()
                        && from.ephemeral
                        && stands(from)
                        && self.is_beaten(scope, &from.id) =>
                {
                    dead.push(convert::write(from));
                }
                _ => {}
            }
        }
        let calls = dead.into_iter().map(|wire| async move { self.client.deregister_http(scope, &wire).await });
        // What fails now is removed with the rest.
        let done: Vec<_> = stream::iter(calls).buffer_unordered(AT_ONCE).collect().await;
        if let Some(Err(error)) = done.into_iter().find(Result::is_err) {
            tracing::debug!(%scope, %error, "another tool's copy was not removed yet");
        }
    }

    /// Removes what ours has taken the place of, where it does not go by itself: a persistent record under another cluster name,
    /// and one whose heart beats have ended.
    pub(super) async fn take_over(&self, scope: &ServiceKey, changes: &[Change], outcomes: &mut [Result<(), Error>]) {
        let mut taken = Vec::new();
        for (n, change) in changes.iter().enumerate() {
            if let Change::Update { from, to } = change
                && tool_of(from.mark()).is_some()
                // A persistent one of the same id has been written over.
                && (from.ephemeral || from.id != to.id)
                && outcomes[n].is_ok()
            {
                taken.push((n, from.clone()));
            }
        }
        let calls = taken.into_iter().map(|(n, from)| async move { (n, self.take_theirs(scope, &from).await) });
        let done: Vec<_> = stream::iter(calls).buffer_unordered(AT_ONCE).collect().await;
        done.into_iter().for_each(|(n, outcome)| outcomes[n] = outcome);
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
