//! The clusters and tasks that the node knows: read from the store at the start, and replaced whole by every edit.

use crate::error::Result;
use crate::lens::Lenses;
use crate::origin::{ORIGIN, Origin};
use causeway_connectors::kinds;
use causeway_core::ClusterId;
use causeway_settings::{self as settings, Env, Kinds, Problem, Problems, Secrets, Severity};
use causeway_store::{self as store, Store};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The fields of a cluster that are stored encrypted.
const SECRETS: [&str; 3] = ["password", "sk", "token"];
/// The names of clusters that go when no task uses them any more.
pub(crate) const LEAVING: &str = "leaving clusters";

/// What the operator wants of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    Running,
    Paused,
    Draining,
    /// Draining, and to be removed after it.
    Removing,
    Drained,
}

impl RunState {
    /// The store's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Removing => "removing",
            Self::Drained => "drained",
        }
    }

    fn of(word: &str) -> Self {
        let all = [Self::Running, Self::Paused, Self::Draining, Self::Removing, Self::Drained];
        // An unknown word is a newer version's: nothing is done before somebody says what.
        all.into_iter().find(|run| run.word() == word).unwrap_or(Self::Paused)
    }

    /// Whether it takes back what it wrote.
    pub fn drains(self) -> bool {
        matches!(self, Self::Draining | Self::Removing)
    }
}

/// A cluster that the node knows.
#[derive(Debug)]
pub(crate) struct ClusterEntry {
    pub name: String,
    pub id: ClusterId,
    /// With references resolved. Only name and kind when they could not be.
    pub settings: settings::Cluster,
    /// As the file writes it, without secrets.
    pub document: Value,
    /// Why its settings cannot be used.
    pub error: Option<String>,
}

/// A task that the node knows.
#[derive(Clone)]
pub(crate) struct TaskEntry {
    pub id: Arc<str>,
    pub name: String,
    /// As the file writes it.
    pub document: Value,
    pub run: RunState,
    pub warnings: Vec<String>,
    /// What its settings say, or why they cannot be used.
    pub setup: std::result::Result<TaskSetup, String>,
}

/// A task's settings, and what follows from them.
#[derive(Clone)]
pub(crate) struct TaskSetup {
    pub settings: settings::Task,
    pub lenses: Lenses,
}

/// Everything the node knows. Clones are cheap.
#[derive(Clone, Default)]
pub(crate) struct Desired {
    /// The store's revision that this is, or is made from.
    pub revision: i64,
    pub clusters: BTreeMap<String, Arc<ClusterEntry>>,
    pub tasks: BTreeMap<String, Arc<TaskEntry>>,
    /// Clusters that go when no task uses them any more.
    pub leaving: BTreeSet<String>,
    /// What comes from documents.
    pub origin: Origin,
}

impl ClusterEntry {
    /// As the settings file says.
    pub fn new(install: &str, settings: settings::Cluster) -> Self {
        let id = cluster_id(install, &settings.name, settings.cluster_id.as_deref());
        let document = settings.to_value(Secrets::Omitted);
        Self { name: settings.name.clone(), id, settings, document, error: None }
    }

    /// As it stands in the store.
    fn stored(install: &str, stored: &store::StoredCluster, env: &dyn Env, kinds: &Kinds) -> Self {
        let document: Value = serde_json::from_str(&stored.document).unwrap_or_default();
        let mut whole = document.clone();
        if let Some(fields) = whole.as_object_mut() {
            fields.extend(stored.secrets.iter().map(|(key, secret)| (key.clone(), json!(secret.expose_secret()))));
        }
        let text = json!({"clusters": [whole], "tasks": []}).to_string();
        let error = match settings::parse(&stored.name, &text, env, kinds) {
            Ok(mut read) if read.clusters.len() == 1 => return Self::new(install, read.clusters.remove(0)),
            Ok(_) => "its settings cannot be read".to_owned(),
            Err(problems) => in_short(&problems),
        };
        let word = |key: &str| document.get(key).and_then(Value::as_str).filter(|word| !word.contains("${"));
        let kind = word("clusterType").map(|word| kinds.canonical(word)).unwrap_or_default();
        let id = cluster_id(install, &stored.name, word("clusterId"));
        let settings = settings::Cluster { name: stored.name.clone(), kind, ..settings::Cluster::default() };
        Self { name: stored.name.clone(), id, settings, document, error: Some(error) }
    }

    /// For the store: secrets that stand in the file apart from the rest.
    pub fn to_store(&self) -> store::StoredCluster {
        let kept = self.settings.to_value(Secrets::Kept);
        let literal = |key: &str| match (kept.get(key), self.document.get(key)) {
            (Some(Value::String(secret)), None) => Some((key.to_owned(), SecretString::from(secret.clone()))),
            _ => None,
        };
        let secrets = SECRETS.into_iter().filter_map(literal).collect();
        store::StoredCluster { name: self.name.clone(), document: self.document.to_string(), secrets }
    }
}

/// The operator's id where it is set; else what no other install can have.
fn cluster_id(install: &str, name: &str, given: Option<&str>) -> ClusterId {
    given.map_or_else(|| ClusterId::of(&format!("{install}/{name}")), ClusterId::of)
}

impl TaskEntry {
    /// As the settings file says. `warnings` are those of this task.
    pub fn new(id: Arc<str>, settings: settings::Task, run: RunState, warnings: Vec<String>) -> Self {
        let (name, document) = (settings.name(), settings.to_value());
        let lenses = Lenses::of(&settings);
        Self { id, name, document, run, warnings, setup: Ok(TaskSetup { settings, lenses }) }
    }

    fn stored(stored: &store::StoredTask, known: &[settings::Cluster], env: &dyn Env, kinds: &Kinds) -> Self {
        let id: Arc<str> = stored.id.as_str().into();
        let document: Value = serde_json::from_str(&stored.document).unwrap_or_default();
        let run = RunState::of(&stored.state);
        let why = match read_task(&document, &stored.name, known, env, kinds) {
            Ok((settings, warnings)) => return Self::new(id, settings, run, warnings),
            Err(why) => why,
        };
        let warnings = Vec::new();
        Self { id, name: stored.name.clone(), document, run, warnings, setup: Err(why) }
    }

    /// For the store.
    pub fn to_store(&self) -> store::StoredTask {
        store::StoredTask {
            id: self.id.to_string(),
            name: self.name.clone(),
            document: self.document.to_string(),
            state: self.run.word().to_owned(),
        }
    }

    /// The names of source and destination.
    pub fn ends(&self) -> [&str; 2] {
        ["source", "destination"].map(|key| match &self.setup {
            Ok(setup) if key == "source" => setup.settings.source.as_str(),
            Ok(setup) => setup.settings.destination.as_str(),
            Err(_) => self.document.get(key).and_then(Value::as_str).unwrap_or_default(),
        })
    }

    /// The same task with another wish of the operator's; its lenses stay the same.
    pub fn with_run(&self, run: RunState) -> Self {
        Self { run, ..self.clone() }
    }
}

/// Reads one task that stands alone. The error says in one line what is wrong.
pub(crate) fn read_task(
    document: &Value,
    name: &str,
    known: &[settings::Cluster],
    env: &dyn Env,
    kinds: &Kinds,
) -> std::result::Result<(settings::Task, Vec<String>), String> {
    let text = json!({"clusters": [], "tasks": [document]}).to_string();
    match settings::parse_beside(name, &text, env, kinds, known) {
        Ok(mut read) if read.tasks.len() == 1 => {
            let warnings = warnings_of(&read.warnings, 0);
            Ok((read.tasks.remove(0), warnings))
        }
        Ok(_) => Err("its settings cannot be read".into()),
        Err(problems) => Err(in_short(&problems)),
    }
}

/// What is said of the file's task number `n`.
pub(crate) fn warnings_of(warnings: &[Problem], n: usize) -> Vec<String> {
    let (whole, part) = (format!("tasks[{n}]"), format!("tasks[{n}]."));
    let of = |problem: &&Problem| problem.field == whole || problem.field.starts_with(&part);
    let say = |problem: &Problem| match problem.field.strip_prefix(&part) {
        Some(field) => format!("{field}: {}", problem.message),
        None => problem.message.clone(),
    };
    warnings.iter().filter(of).map(say).collect()
}

fn in_short(problems: &Problems) -> String {
    let errors = problems.0.iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ")
}

impl Desired {
    /// What the store holds. Settings that cannot be used any more (a variable is missing) are kept with the reason.
    pub async fn load(store: &Store, install: &str, env: &(dyn Env + Sync)) -> Result<Self> {
        loop {
            let revision = store.revision().await?;
            let loaded = Self::load_parts(store, install, env).await?;
            // Another node's edit may have come in between.
            if store.revision().await? == revision {
                return Ok(Self { revision, ..loaded });
            }
        }
    }

    async fn load_parts(store: &Store, install: &str, env: &(dyn Env + Sync)) -> Result<Self> {
        let kinds = kinds();
        let mut desired = Self::default();
        for stored in store.clusters().await? {
            let entry = ClusterEntry::stored(install, &stored, env, &kinds);
            if let Some(error) = &entry.error {
                tracing::error!(cluster = %stored.name, "cannot be used: {error}");
            }
            desired.clusters.insert(stored.name, Arc::new(entry));
        }
        let known = desired.known();
        for stored in store.tasks().await? {
            let entry = TaskEntry::stored(&stored, &known, env, &kinds);
            if let Err(error) = &entry.setup {
                tracing::error!(task = %stored.name, "cannot run: {error}");
            }
            desired.tasks.insert(stored.name, Arc::new(entry));
        }
        let origin = store.kv(ORIGIN).await?;
        desired.origin = origin.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let leaving = store.kv(LEAVING).await?;
        desired.leaving = leaving.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Ok(desired)
    }

    /// The clusters in the form that the check of settings takes.
    pub fn known(&self) -> Vec<settings::Cluster> {
        self.clusters.values().map(|entry| entry.settings.clone()).collect()
    }

    /// The tasks that use a cluster.
    pub fn users<'a>(&'a self, cluster: &'a str) -> impl Iterator<Item = &'a Arc<TaskEntry>> {
        self.tasks.values().filter(move |task| task.ends().contains(&cluster))
    }

    /// Clusters that a connection is needed for: those of tasks that are not drained.
    pub fn needed(&self) -> BTreeSet<&str> {
        self.tasks.values().filter(|task| task.run != RunState::Drained).flat_map(|task| task.ends()).collect()
    }

    /// The name of the cluster with this id.
    pub fn cluster_name(&self, id: &ClusterId) -> String {
        let named = self.clusters.values().find(|entry| entry.id == *id);
        named.map_or_else(|| id.to_string(), |entry| entry.name.clone())
    }

    /// The task with this id.
    pub fn task_by_id(&self, id: &str) -> Option<&Arc<TaskEntry>> {
        self.tasks.values().find(|task| &*task.id == id)
    }
}
