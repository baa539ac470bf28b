//! What the node shows of documents.

use super::slot::{Slot, TroubleKind};
use crate::api::{self, DocumentState};
use crate::node::{Inner, Node};
use causeway_peers::polaris_sync::{DocumentSubject, Loaded};

impl Node {
    /// The documents that the node follows.
    pub fn documents(&self) -> Vec<api::Document> {
        let desired = self.inner.desired();
        let state = self.inner.documents.state.lock();
        let unsupported = &state.converted.unsupported;
        let show = |slot: &Slot| {
            let own = desired
                .tasks
                .values()
                .filter(|task| desired.origin.tasks.get(&*task.id).is_some_and(|of| of == slot.name));
            let subject = slot.used().map(|used| match used.subject() {
                DocumentSubject::Registry => "Registry",
                DocumentSubject::Configuration => "Configuration",
            });
            let problems = match &slot.trouble {
                Some(trouble) if !trouble.problems.is_empty() => trouble.problems.clone(),
                _ => slot.used().map(Loaded::warnings).unwrap_or_default(),
            };
            api::Document {
                place: slot.place.clone(),
                state: document_state(slot),
                subject: subject.unwrap_or_default().to_owned(),
                tasks: own.map(|task| task.name.clone()).collect(),
                reason: slot.trouble.as_ref().map(|trouble| trouble.reason.clone()).unwrap_or_default(),
                problems,
                backup: slot.backup.display().to_string(),
            }
        };
        let mut documents: Vec<_> = state.slots.iter().map(show).collect();
        for (document, slot) in documents.iter_mut().zip(&state.slots).filter(|_| !unsupported.is_empty()) {
            let Some(file) = slot.used().map(Loaded::file) else { continue };
            let mine = unsupported.iter().filter(|task| task.file == file);
            document.tasks.extend(mine.map(|task| task.name.clone()));
        }
        documents
    }
}

fn document_state(slot: &Slot) -> DocumentState {
    match &slot.trouble {
        _ if slot.from_backup => DocumentState::Backup,
        None if slot.used().is_some() => DocumentState::InUse,
        None => DocumentState::Pending,
        Some(trouble) => match trouble.kind {
            TroubleKind::Invalid => DocumentState::Invalid,
            TroubleKind::Refused => DocumentState::Refused,
            TroubleKind::Missing => DocumentState::Missing,
            TroubleKind::Away => DocumentState::Away,
        },
    }
}

impl Inner {
    /// Why the document of a task is not in use as it stands, if so.
    pub fn document_trouble(&self, task: &str) -> Option<String> {
        let desired = self.desired();
        let of = desired.origin.tasks.get(task)?;
        let state = self.documents.state.lock();
        let slot = state.slots.iter().find(|slot| slot.name == of)?;
        let trouble = slot.trouble.as_ref()?;
        Some(format!("{} is not used as it stands ({}): {}", slot.place, document_state(slot).as_str(), trouble.reason))
    }

    /// The tasks of documents that cannot be done, as tasks.
    pub fn unsupported_tasks(&self) -> Vec<api::Task> {
        let state = self.documents.state.lock();
        let show = |task: &causeway_peers::polaris_sync::UnsupportedTask| api::Task {
            name: task.name.clone(),
            source: task.source.clone(),
            destination: task.destination.clone(),
            kind: if task.configuration { "Config" } else { "Service" }.to_owned(),
            mode: "Unidirectional".to_owned(),
            state: api::State::Unsupported,
            reason: task.reason.clone(),
            ..api::Task::default()
        };
        state.converted.unsupported.iter().map(show).collect()
    }
}
