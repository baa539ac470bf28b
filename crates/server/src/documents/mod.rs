//! Documents of another tool: followed while the node runs, and applied by difference beside the settings file.
//!
//! A document that is in use stays so until a whole, valid one takes its place: while its provider is away, or what stands there cannot be
//! used, what ran goes on, and why is shown. [`take`] applies, [`backup`] keeps the last valid one, [`report`] probes and reports.

mod backup;
mod report;
mod slot;
mod take;
mod view;

pub(crate) use report::Tally;

use crate::error::{Error, Result};
use crate::node::{Inner, Node};
use causeway_connectors::kinds;
use causeway_peers::environment::Installation;
use causeway_peers::polaris_sync::{Converted, Loaded, to_settings};
use causeway_peers::providers::{Provider, Sighting};
use causeway_settings::{self as settings, Problems, ProcessEnv, Severity};
use futures_util::StreamExt;
use futures_util::stream::select_all;
use parking_lot::Mutex;
use slot::{Slot, Trouble};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a start waits for all providers before it goes on without those that have not answered.
const FIRST: Duration = Duration::from_secs(5);
/// How often a document is tried again that is valid and could not be applied as things stood.
const AGAIN: Duration = Duration::from_secs(10);

/// The documents that the node follows, and what was made of them.
#[derive(Default)]
pub(crate) struct Documents {
    state: Mutex<State>,
    /// Something has changed that a document may wait for.
    pub again: Notify,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    /// What is in use.
    converted: Converted,
    log_folder: PathBuf,
}

impl Documents {
    /// The clusters of documents that are valid and wait to be applied.
    pub fn waiting(&self) -> Vec<settings::Cluster> {
        let state = self.state.lock();
        let waiting: Vec<Loaded> = state.slots.iter().filter_map(Slot::next).cloned().collect();
        if !state.slots.iter().any(Slot::waits) {
            return Vec::new();
        }
        drop(state);
        to_settings(&waiting, &ProcessEnv, &kinds()).map(|converted| converted.settings.clusters).unwrap_or_default()
    }
}

impl Node {
    /// Follows the documents of an installation of another tool until the node stops. Call it once.
    pub fn follow(&self, installation: &Installation) {
        for warning in &installation.warnings {
            tracing::warn!("{warning}");
        }
        {
            let mut state = self.inner.documents.state.lock();
            state.slots = installation.slots.iter().map(Slot::new).collect();
            state.log_folder.clone_from(&installation.log_folder);
        }
        self.inner.keep("following documents", follow);
        self.inner.keep("probing clusters for reports", report::probe);
        self.inner.keep("writing reports", report::write);
    }
}

async fn follow(inner: Arc<Inner>) {
    let providers: Vec<Arc<dyn Provider>> =
        inner.documents.state.lock().slots.iter().map(|slot| slot.provider.clone()).collect();
    if providers.is_empty() {
        return inner.stop.cancelled().await;
    }
    let numbered = |(n, provider): (usize, &Arc<dyn Provider>)| provider.watch().map(move |sighting| (n, sighting));
    let mut sightings = select_all(providers.iter().enumerate().map(numbered));
    let begun = Instant::now();
    let mut starting = true;
    loop {
        let again = match starting {
            true => begun + FIRST,
            false => Instant::now() + AGAIN,
        };
        let mut changed = !starting;
        tokio::select! {
            () = inner.stop.cancelled() => return,
            Some((n, sighting)) = sightings.next() => changed &= inner.sighted(n, sighting),
            () = inner.documents.again.notified() => {}
            () = tokio::time::sleep_until(again) => {}
        }
        if starting {
            let all = inner.documents.state.lock().slots.iter().all(|slot| slot.seen);
            if !all && begun.elapsed() < FIRST {
                continue;
            }
            starting = false;
            inner.use_backups().await;
            changed = true;
        }
        let waits = inner.documents.state.lock().slots.iter().any(Slot::waits);
        if changed && waits {
            inner.apply_documents().await;
        }
    }
}

impl Inner {
    /// Notes what a provider tells; whether something of it may be applied.
    fn sighted(&self, n: usize, sighting: Sighting) -> bool {
        let mut state = self.documents.state.lock();
        let Some(slot) = state.slots.get_mut(n) else { return false };
        slot.seen = true;
        slot.sighted(sighting);
        slot.waits()
    }

    /// Applies what waits: all of it together or, where that fails, each document by itself.
    async fn apply_documents(&self) {
        let waiting: Vec<usize> = {
            let state = self.documents.state.lock();
            state.slots.iter().enumerate().filter(|(_, slot)| slot.waits()).map(|(n, _)| n).collect()
        };
        let Err(refused) = self.apply_slots(&waiting).await else { return };
        if waiting.len() < 2 {
            self.refuse(&waiting, &refused);
            return;
        }
        for n in waiting {
            if let Err(refused) = self.apply_slots(&[n]).await {
                self.refuse(&[n], &refused);
            }
        }
    }

    /// Applies the documents that wait in these slots, together with those in use in the others.
    async fn apply_slots(&self, new: &[usize]) -> Result<()> {
        let (loaded, names): (Vec<Loaded>, Vec<String>) = {
            let state = self.documents.state.lock();
            let used = state.slots.iter().enumerate().filter_map(|(n, slot)| {
                let loaded = if new.contains(&n) { slot.next() } else { slot.used() };
                Some((loaded?.clone(), slot.name.to_owned()))
            });
            used.unzip()
        };
        let file = loaded.iter().map(Loaded::file).collect::<Vec<_>>().join(" and ");
        let converted = to_settings(&loaded, &ProcessEnv, &kinds());
        let converted = converted.map_err(|problems| Error::Settings(file.clone(), problems))?;
        let applied = self.take_documents(&converted, &names).await?;
        for warning in &converted.warnings {
            tracing::warn!("{warning}");
        }
        tracing::info!(
            tasks = converted.settings.tasks.len(),
            unsupported = converted.unsupported.len(),
            added = applied.tasks.added.join(", "),
            changed = applied.tasks.changed.join(", "),
            removed = [applied.tasks.removed, applied.tasks.draining].concat().join(", "),
            "{file} is in use"
        );
        let kept: Vec<(&'static str, PathBuf, Arc<str>)> = {
            let mut state = self.documents.state.lock();
            state.converted = converted;
            let slots = state.slots.iter_mut().enumerate().filter(|(n, _)| new.contains(n));
            slots.filter_map(|(_, slot)| slot.accept()).collect()
        };
        for (name, path, text) in kept {
            self.keep_backup(name, &path, &text).await;
        }
        Ok(())
    }

    /// Notes why documents are not applied.
    fn refuse(&self, slots: &[usize], refused: &Error) {
        let trouble = match refused {
            Error::Settings(_, problems) => Trouble::invalid(problems),
            Error::Conflict { what, help } if !help.is_empty() => Trouble::refused(format!("{what}; {help}")),
            other => Trouble::refused(other.to_string()),
        };
        let mut state = self.documents.state.lock();
        for n in slots {
            if let Some(slot) = state.slots.get_mut(*n) {
                slot.refused(trouble.clone());
            }
        }
    }
}

/// The errors of a document, one a line.
fn errors(problems: &Problems) -> Vec<String> {
    problems.0.iter().filter(|problem| problem.severity == Severity::Error).map(ToString::to_string).collect()
}
