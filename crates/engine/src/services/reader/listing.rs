//! What is asked beside the watch: which parts there are, and what stands in those where routes find nothing of theirs.

use super::ClusterReader;
use crate::kit::call::call;
use crate::spec::Only;
use causeway_core::{Error, Part, Parts, Source};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often the parts are listed, where parts are named or written to.
const LIST: Duration = Duration::from_secs(5);

/// What was asked beside the watch, so that the watch is never kept waiting.
pub(super) enum ListingAnswer {
    /// With the named parts that are not listed and hold something, where that was asked for.
    Parts(Result<Parts, Error>, Result<Option<BTreeSet<Part>>, Error>),
    Counts(Vec<(Part, usize)>),
}

impl ClusterReader {
    /// Lists the parts where some are named or written to: the task says which named ones are missing or not listed, a name
    /// may be a display name, and one that we write to is made again when it has gone from the list. Also where a list of
    /// what exists now is to be made.
    pub(super) fn list(&mut self, asks: &mut JoinSet<ListingAnswer>) {
        let (wanted, words) = {
            let outbound = self.cluster.outbound.read();
            let words: BTreeSet<_> = outbound.iter().filter_map(|route| route.spec.parts.clone()).flatten().collect();
            let freezes = outbound.iter().any(|route| *route.memory.only.lock() == Only::Freeze);
            let written = !self.cluster.inbound.read().is_empty();
            let wanted = self.cluster.mirror.lock().error.is_none() && (freezes || written || !words.is_empty());
            (wanted, freezes.then_some(words))
        };
        if !wanted || self.listed_at.is_some_and(|at| at.elapsed() < LIST) {
            return;
        }
        self.listed_at = Some(Instant::now());
        let (source, limit) = (self.cluster.source.clone(), self.timing.call);
        asks.spawn(async move {
            let parts = call(limit, async { source.parts().await }).await;
            let used = match (&parts, words) {
                (Ok(parts), Some(words)) => call(limit, async { Ok(Some(used(&*source, parts, words).await)) }).await,
                _ => Ok(None),
            };
            ListingAnswer::Parts(parts, used)
        });
    }

    /// Counts what there is in parts where routes find nothing of theirs, so that the task can say why.
    pub(super) fn count(&mut self, asks: &mut JoinSet<ListingAnswer>) {
        let empty: Vec<_> = {
            let mirror = self.cluster.mirror.lock();
            let ready = mirror.parts().iter().filter(|(_, state)| state.ready());
            ready.filter(|(_, state)| state.filled() == 0).map(|(part, _)| part.clone()).collect()
        };
        if empty.is_empty() || self.counted_at.is_some_and(|at| at.elapsed() < LIST) {
            return;
        }
        self.counted_at = Some(Instant::now());
        let (source, limit) = (self.cluster.source.clone(), self.timing.call);
        asks.spawn(async move {
            let mut counts = Vec::new();
            for part in empty {
                match call(limit, async { source.count(&part).await }).await {
                    Ok(count) => counts.push((part, count)),
                    Err(error) => tracing::debug!(%part, %error, "its services cannot be counted"),
                }
            }
            ListingAnswer::Counts(counts)
        });
    }

    pub(super) fn answered(&mut self, answer: ListingAnswer) {
        match answer {
            ListingAnswer::Parts(Ok(parts), used) => {
                self.note_used(used);
                self.cluster.part_errors.lock().retain(|part, _| !parts.contains_key(part));
                self.cluster.once_listed.lock().extend(parts.keys().cloned());
                let before = self.cluster.listed.lock().replace(parts.clone());
                if before.as_ref() != Some(&parts) {
                    self.list_changed(&before.unwrap_or_default(), &parts);
                }
            }
            ListingAnswer::Parts(Err(error), _) => {
                tracing::debug!(cluster = %self.cluster.spec.name, %error, "the parts cannot be listed");
            }
            ListingAnswer::Counts(counts) => self.cluster.counted.lock().extend(counts),
        }
    }

    /// Takes in which named parts are used. Where that could not be found out, no list of what exists is made until it can:
    /// it is asked again with the next listing.
    pub(super) fn note_used(&mut self, used: Result<Option<BTreeSet<Part>>, Error>) {
        let error = used.as_ref().err().map(Error::to_string);
        self.used = used.unwrap_or_default();
        let mut told = self.cluster.freeze_error.lock();
        if let Some(error) = error.as_ref().filter(|_| *told != error) {
            tracing::warn!(cluster = %self.cluster.spec.name, %error, "the list of what exists now cannot be made yet");
        }
        *told = error;
    }

    /// What a route's words mean may have changed, and a part that holds copies of ours may have gone from the list.
    pub(super) fn list_changed(&self, before: &Parts, after: &Parts) {
        let other = |from: &Parts, to: &Parts| -> Vec<_> {
            let changed = from.iter().filter(|(part, title)| to.get(*part) != Some(*title));
            changed.flat_map(|(part, title)| [Some(part.0.clone()), title.clone()]).flatten().collect()
        };
        let changed: BTreeSet<_> = other(before, after).into_iter().chain(other(after, before)).collect();
        for route in self.cluster.outbound.read().iter() {
            if route.spec.parts.as_ref().is_some_and(|words| !words.is_disjoint(&changed)) {
                route.sweep_all();
            }
        }
        let held = self.cluster.ledger.lock().parts_held();
        held.iter().filter(|part| !after.contains_key(*part)).for_each(|part| self.cluster.sweep_part(part));
    }

    /// Makes the list of scopes for routes that are limited to those that exist now.
    pub(super) fn freeze(&self) {
        for route in self.cluster.outbound.read().iter() {
            // A route that was not limited before goes on with everything until the list is made.
            let made = matches!(*route.memory.only.lock(), Only::Frozen(_));
            if made || route.spec.only != Only::Freeze {
                continue;
            }
            // All of the parts that exist now and belong to the route must have been read.
            let (Some(listed), Some(used)) = (self.cluster.listed.lock().clone(), &self.used) else { continue };
            let unlisted = used.iter().map(|part| (part, None));
            let wanted: BTreeSet<_> = listed
                .iter()
                .map(|(part, title)| (part, title.as_deref()))
                .chain(unlisted)
                .filter(|(part, title)| route.takes_part(part, *title))
                .map(|(part, _)| part)
                .collect();
            let scopes = {
                let mirror = self.cluster.mirror.lock();
                let states: Vec<_> = wanted.iter().filter_map(|part| mirror.part(part)).collect();
                if wanted.is_empty() || states.len() < wanted.len() || !states.iter().all(|state| state.ready()) {
                    continue;
                }
                states.iter().flat_map(|state| state.sets().keys().cloned()).collect::<BTreeSet<_>>()
            };
            if !route.knows_names(&wanted) {
                continue;
            }
            let scopes: BTreeSet<_> = scopes.into_iter().filter(|scope| route.wanted(scope).is_some()).collect();
            self.recorder.only(&route.spec.owner, route.source.id(), &scopes);
            *route.memory.only.lock() = Only::Frozen(Arc::new(scopes));
            route.sweep_all();
        }
    }
}

/// Which of these words are ids of parts that hold something and are not listed.
async fn used(source: &dyn Source, listed: &Parts, words: BTreeSet<Arc<str>>) -> BTreeSet<Part> {
    let mut used = BTreeSet::new();
    for word in words {
        let part = Part(word);
        let known = listed.contains_key(&part) || listed.values().any(|title| title.as_ref() == Some(&part.0));
        if !known && matches!(source.count(&part).await, Ok(count) if count > 0) {
            used.insert(part);
        }
    }
    used
}
