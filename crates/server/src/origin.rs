//! Which clusters and tasks come from documents of another tool, and which from the settings file.
//!
//! Each origin changes its own: a settings file does not remove what documents made, and documents do not remove what a settings
//! file made. A cluster that both name is one, as long as they say the same of it.

use crate::apply::Proposal;
use crate::desired::{Desired, TaskEntry};
use crate::error::{Error, Result};
use causeway_settings as settings;
use causeway_store::Edit;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The name under which it is kept.
pub(crate) const ORIGIN: &str = "origin of documents";

/// What came from where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Origin {
    /// The tasks of documents by their ids, each with the name of its document's slot.
    pub tasks: BTreeMap<String, String>,
    /// The clusters that documents name.
    pub clusters: BTreeMap<String, DocumentCluster>,
    /// Where the tasks of documents stand, by name: `file:line`.
    pub places: BTreeMap<String, String>,
    /// The settings files that clusters were last taken from, by the cluster's name.
    pub files: BTreeMap<String, String>,
}

/// A cluster that documents name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DocumentCluster {
    /// Where it stands: `file:line`.
    pub place: String,
    /// Whether no settings file names it.
    pub alone: bool,
}

impl Origin {
    /// Whether a task comes from a document.
    pub fn has(&self, task: &TaskEntry) -> bool {
        self.tasks.contains_key(&*task.id)
    }

    /// Where a task of a document stands.
    pub fn place_of(&self, task: &str) -> &str {
        self.places.get(task).map_or("a document", String::as_str)
    }

    /// The settings file that a cluster was taken from.
    pub fn file_of(&self, cluster: &str) -> &str {
        self.files.get(cluster).map_or("the settings file", String::as_str)
    }

    pub fn edit(&self) -> Edit {
        Edit::PutKv(ORIGIN.into(), serde_json::json!(self).to_string())
    }
}

/// Whether two settings mean one cluster, reached in the same way: kind, addresses and credentials are equal.
pub(crate) fn is_same_cluster(one: &settings::Cluster, other: &settings::Cluster) -> bool {
    let addresses = |cluster: &settings::Cluster| -> BTreeSet<String> {
        cluster.addresses.iter().map(|address| address.trim_start_matches("http://").to_owned()).collect()
    };
    let secret = |secret: &Option<settings::Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    let login = |cluster: &settings::Cluster| {
        let [password, token] = [&cluster.password, &cluster.token].map(secret);
        (cluster.user.clone(), password, token)
    };
    one.kind == other.kind && addresses(one) == addresses(other) && login(one) == login(other)
}

/// Two places say different things of one cluster.
pub(crate) fn other_cluster(name: &str, one: &str, other: &str) -> Error {
    Error::Misfit(format!(
        "the cluster {name} stands in {one} and in {other}, with another type, other addresses or other credentials: make the two \
         the same, or give one of them another name"
    ))
}

/// Two places have a task of one name.
pub(crate) fn same_task(name: &str, one: &str, other: &str) -> Error {
    Error::Misfit(format!("the task {name} stands in {one} and in {other}: rename one of the two, or take it out"))
}

impl Proposal {
    /// What a settings file says must not contradict what documents say. `waiting`: clusters of a document that is not in use because
    /// it contradicts the settings file as it was.
    pub fn check_documents(&mut self, before: &Desired, file: &str, waiting: &[settings::Cluster]) -> Result<()> {
        let origin = &before.origin;
        for name in self.settings.tasks.iter().map(settings::Task::name) {
            if before.tasks.get(&name).is_some_and(|task| origin.has(task)) {
                return Err(same_task(&name, file, origin.place_of(&name)));
            }
        }
        let own = &mut self.desired.origin;
        for cluster in &self.settings.clusters {
            own.files.insert(cluster.name.clone(), file.to_owned());
            let Some(named) = own.clusters.get_mut(&cluster.name) else { continue };
            named.alone = false;
            let known = before.clusters.get(&cluster.name).map(|entry| &entry.settings);
            let meant = waiting.iter().filter(|other| other.name == cluster.name).chain(known);
            if !meant.into_iter().any(|other| is_same_cluster(other, cluster)) {
                return Err(other_cluster(&cluster.name, file, &named.place));
            }
        }
        Ok(())
    }
}
