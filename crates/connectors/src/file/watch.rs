//! One watch: what has changed since the last look, told part by part.

use super::contents::Contents;
use super::disk::FileFault;
use super::store::{FileStore, TICK};
use causeway_core::{Error, Lost, Part, Selector, ServiceKey, Set, Update};
use futures_util::stream::{self, BoxStream, StreamExt};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::time::timeout;

struct Watch {
    store: Arc<FileStore>,
    select: Selector,
    /// The selection's epoch at the last look.
    selection: u64,
    /// What was last told of: the same for as long as nothing has changed.
    contents: Option<Arc<Contents>>,
    fault: Option<FileFault>,
    complete: BTreeSet<Part>,
    /// Every scope of a complete part as it was told; `None`: it is not of interest.
    told: BTreeMap<ServiceKey, Option<Arc<Set>>>,
    ready: VecDeque<Result<Update, Lost>>,
}

/// An endless stream of what stands in the file or folder.
pub(super) fn watch(store: &Arc<FileStore>, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
    let watch = Watch {
        store: store.clone(),
        select: select.clone(),
        selection: select.epoch(),
        contents: None,
        fault: None,
        complete: BTreeSet::new(),
        told: BTreeMap::new(),
        ready: VecDeque::new(),
    };
    stream::unfold(watch, async |mut watch| {
        loop {
            if let Some(item) = watch.ready.pop_front() {
                return Some((item, watch));
            }
            let store = watch.store.clone();
            let changed = store.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match store.look().await {
                None => {}
                Some(Ok(contents)) => watch.take(&contents),
                Some(Err(fault)) => watch.lose(&fault),
            }
            if watch.ready.is_empty() {
                drop(timeout(TICK, changed).await);
            }
        }
    })
    .boxed()
}

impl Watch {
    /// Nothing can be read: what was told stands, and nothing counts as removed.
    fn lose(&mut self, fault: &FileFault) {
        let needed = if matches!(fault, FileFault::Missing(_)) { self.missing() } else { BTreeSet::new() };
        if self.fault.as_ref() != Some(fault) {
            if let FileFault::Missing(_) = fault {
                needed.into_iter().for_each(|part| self.tell_lost(Some(part), fault.clone()));
            } else {
                self.tell_lost(None, fault.clone());
            }
        }
        self.fault = Some(fault.clone());
        self.contents = None;
        self.complete.clear();
        self.told.clear();
    }

    /// The parts that are away with the file.
    fn missing(&self) -> BTreeSet<Part> {
        let public = Part::new(causeway_settings::PUBLIC);
        let public = self.select.part(&public, None).then_some(public);
        self.complete.iter().cloned().chain(self.select.needed()).chain(public).collect()
    }

    fn tell_lost(&mut self, part: Option<Part>, fault: FileFault) {
        self.ready.push_back(Err(Lost { part, error: fault.into() }));
    }

    fn take(&mut self, contents: &Arc<Contents>) {
        self.fault = None;
        let before = self.contents.replace(contents.clone());
        let same = before.as_ref().is_some_and(|before| Arc::ptr_eq(before, contents));
        let listed = contents.parts();
        let gone: Vec<_> = match &before {
            // A namespace that was listed by itself and is not any more is away. One that has only lost its last service is empty.
            Some(before) if !same => {
                let away = |part: &&Part| before.namespaces.contains_key(*part) && !listed.contains_key(*part);
                self.complete.iter().filter(away).cloned().collect()
            }
            _ => Vec::new(),
        };
        for part in gone {
            self.complete.remove(&part);
            self.told.retain(|scope, _| scope.namespace != part.0);
            let error = Error::Missing(format!("the namespace {part} is not in the file any more"));
            self.ready.push_back(Err(Lost { part: Some(part), error }));
        }
        let selection = self.select.epoch();
        let anew = std::mem::replace(&mut self.selection, selection) != selection;
        if !same || anew {
            self.changes(contents, anew);
        }
        let mut wanted = listed;
        wanted.retain(|part, title| self.select.part(part, title.as_deref()));
        for part in self.select.needed() {
            wanted.entry(part).or_default();
        }
        for (part, title) in wanted {
            if !self.complete.insert(part.clone()) {
                continue;
            }
            let mut sets = Vec::new();
            for set in contents.of(&part) {
                let told = self.select.scope(&set.scope).then(|| set.clone());
                sets.extend(told.as_deref().cloned());
                self.told.insert(set.scope.clone(), told);
            }
            self.ready.push_back(Ok(Update::Reset { part, title, sets }));
        }
    }

    /// Tells the scopes of complete parts that are other than before, or have become of interest.
    fn changes(&mut self, contents: &Contents, anew: bool) {
        let missing: Vec<_> = self.told.keys().filter(|scope| !contents.sets.contains_key(*scope)).cloned().collect();
        for scope in missing {
            if let Some(Some(_)) = self.told.remove(&scope) {
                self.ready.push_back(Ok(Update::Removed(scope)));
            }
        }
        for (scope, set) in &contents.sets {
            if !self.complete.iter().any(|part| part.0 == scope.namespace) {
                continue;
            }
            let before = self.told.get(scope);
            let wanted = match before {
                Some(before) if !anew => before.is_some(),
                _ => self.select.scope(scope),
            };
            let same = |before: &Arc<Set>| Arc::ptr_eq(before, set) || before == set;
            let known = before.and_then(Option::as_ref).is_some_and(same);
            if wanted && !known {
                self.ready.push_back(Ok(Update::Changed((**set).clone())));
            }
            self.told.insert(scope.clone(), wanted.then(|| set.clone()));
        }
    }
}
