//! One watch of the registry: what has changed since the last look, told part by part.

use super::ports::Owned;
use super::{Fault, Memory};
use causeway_core::{Error, Lost, Part, Selector, ServiceKey, Update};
use futures_util::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where one watch has got to.
struct Watch {
    memory: Memory,
    owned: Arc<Mutex<Owned>>,
    select: Selector,
    /// What is not of interest, by the selection of this epoch.
    left_out: BTreeSet<ServiceKey>,
    selection: u64,
    epoch: Option<u64>,
    seen: Arc<AtomicU64>,
    complete: BTreeSet<Part>,
    /// What is followed although no list shows it.
    unlisted: BTreeSet<Part>,
    /// The one part of a registry that has no others is not there, and that was told.
    missing: bool,
    ready: VecDeque<Result<Update, Lost>>,
}

impl Watch {
    fn look(&mut self) {
        let needed = self.select.needed();
        let named: BTreeSet<_> = self.select.named().into_iter().map(Part).collect();
        let mut state = self.memory.state.lock();
        if state.fault == Fault::Hung && self.epoch != Some(state.epoch) {
            return;
        }
        if let Some(error) = state.refusal(None) {
            if self.epoch != Some(state.epoch) {
                self.epoch = Some(state.epoch);
                self.complete.clear();
                self.ready.push_back(Err(Lost { part: None, error }));
            }
            return;
        }
        if self.epoch != Some(state.epoch) {
            if self.epoch.is_some() {
                let error = Error::unavailable("connection closed");
                self.ready.push_back(Err(Lost { part: None, error }));
            }
            self.epoch = Some(state.epoch);
            self.complete.clear();
        }
        let listed = |part: &Part| state.parts.contains_key(part);
        let unlisted: BTreeSet<_> = named
            .iter()
            .filter(|part| state.is_used(part))
            .chain(&needed)
            .chain(&self.unlisted)
            .filter(|part| !listed(part))
            .cloned()
            .collect();
        let mut gone: Vec<_> =
            self.complete.iter().filter(|part| !listed(part) && !self.unlisted.contains(*part)).cloned().collect();
        let only = Part::new("public");
        let missing = state.names.one_part && !listed(&only) && !unlisted.contains(&only);
        if missing && !self.missing && !gone.contains(&only) {
            gone.push(only);
        }
        self.missing = missing;
        for part in gone {
            self.complete.remove(&part);
            let error = Error::Missing(format!("namespace {part} is no longer there"));
            self.ready.push_back(Err(Lost { part: Some(part), error }));
        }
        let all = state.parts.iter().map(|(part, title)| (part, title.clone()));
        for (part, title) in all.chain(unlisted.iter().map(|part| (part, None))) {
            let wanted = unlisted.contains(part) || self.select.part(part, title.as_deref());
            if self.complete.contains(part) || !wanted {
                continue;
            }
            self.complete.insert(part.clone());
            if let Some(error) = state.refusal(Some(part)) {
                self.ready.push_back(Err(Lost { part: Some(part.clone()), error }));
                continue;
            }
            let owned = self.owned.lock();
            let (scopes, left_out): (Vec<_>, Vec<_>) = state.scopes(part).partition(|scope| self.select.scope(scope));
            self.left_out.retain(|scope| scope.part() != *part);
            self.left_out.extend(left_out.into_iter().cloned());
            let sets = scopes.into_iter().map(|scope| state.set(scope, &owned)).collect();
            self.ready.push_back(Ok(Update::Reset { part: part.clone(), title, sets }));
        }
        let selection = self.select.epoch();
        if std::mem::replace(&mut self.selection, selection) != selection {
            let select = &self.select;
            let taken: Vec<_> = self.left_out.extract_if(.., |scope| select.scope(scope)).collect();
            for scope in taken.into_iter().filter(|scope| self.complete.contains(&scope.part())) {
                self.ready.push_back(Ok(Update::Changed(state.set(&scope, &self.owned.lock()))));
            }
        }
        for scope in state.since(self.seen.load(Ordering::SeqCst)) {
            let readable = self.complete.contains(&scope.part()) && state.refusal(Some(&scope.part())).is_none();
            if !readable {
                continue;
            }
            let known = self.left_out.contains(&scope);
            if !known && self.select.scope(&scope) {
                self.ready.push_back(Ok(Update::Changed(state.set(&scope, &self.owned.lock()))));
            } else if state.services.contains_key(&scope) {
                self.left_out.insert(scope);
            } else {
                self.left_out.remove(&scope);
            }
        }
        self.seen.store(state.now(), Ordering::SeqCst);
        state.forget_gone();
        drop(state);
        self.unlisted = unlisted;
    }
}

/// An endless stream of what stands in the registry.
pub(super) fn watch(
    memory: &Memory,
    owned: &Arc<Mutex<Owned>>,
    select: &Selector,
) -> BoxStream<'static, Result<Update, Lost>> {
    let watch = Watch {
        memory: memory.clone(),
        owned: owned.clone(),
        select: select.clone(),
        left_out: BTreeSet::new(),
        selection: select.epoch(),
        epoch: None,
        seen: memory.state.lock().follow(),
        complete: BTreeSet::new(),
        unlisted: BTreeSet::new(),
        missing: false,
        ready: VecDeque::new(),
    };
    stream::unfold(watch, async |mut watch| {
        loop {
            if let Some(item) = watch.ready.pop_front() {
                return Some((item, watch));
            }
            let memory = watch.memory.clone();
            let changed = memory.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            watch.look();
            if watch.ready.is_empty() {
                // A part may have become interesting without any change here.
                drop(tokio::time::timeout(Duration::from_secs(1), changed).await);
            }
        }
    })
    .boxed()
}
