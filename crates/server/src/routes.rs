//! From what the node knows to what the engine is told.

use crate::desired::{ClusterEntry, Desired, RunState, TaskEntry, TaskSetup};
use crate::lens::Lenses;
use crate::recorder::Frozen;
use crate::sessions::Sessions;
use crate::socket_keeper::HolderSockets;
use crate::tls::Texts;
use crate::unopened::Broken;
use causeway_connectors::bridge::dubbo::Views;
use causeway_connectors::{Connect, InlineMarks, SocketKeeper, TlsTexts, connector, kinds};
use causeway_core::{ClusterId, DataPort, Overrides, OwnerId, Part, Port, WriteMode};
use causeway_engine::{ClusterSpec, GuardLimits, Only, RouteSpec, RunState as EngineRun, TakeOverSpec};
use causeway_holder::Holder;
use causeway_settings as settings;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A cluster's connection, and the settings it was made of.
#[derive(Clone)]
pub(crate) struct Opened {
    id: ClusterId,
    settings: settings::Cluster,
    /// Whether access lists are read.
    access: bool,
    /// What its TLS files held.
    tls: Option<TlsTexts>,
    error: Option<String>,
    pub port: Port,
    data: Option<DataPort>,
}

/// Connections by the cluster's name. Unchanged settings keep the same one.
#[derive(Clone)]
pub(crate) struct Connections {
    opened: BTreeMap<String, Opened>,
    install: Arc<str>,
    holder: Option<Arc<Holder>>,
    sessions: Sessions,
    /// Ports that show one kind's entries as another's: the same one for the same settings.
    pub views: Arc<Views>,
    /// Only for a look: what is opened takes nothing over, and keeps nothing.
    looks: bool,
    inline: InlineMarks,
    /// Clusters whose access lists are copied, or copied to.
    access: BTreeSet<String>,
    /// What the files for TLS held when they were last read.
    tls: Texts,
}

impl Connections {
    pub fn new(install: Arc<str>, holder: Option<Arc<Holder>>, sessions: Sessions) -> Self {
        Self {
            opened: BTreeMap::new(),
            install,
            holder,
            sessions,
            views: Arc::default(),
            looks: false,
            inline: InlineMarks::default(),
            access: BTreeSet::new(),
            tls: Texts::new(),
        }
    }

    /// The connection as it is, if it works and is still what the settings say.
    pub fn current(&self, entry: &ClusterEntry) -> Option<&Opened> {
        let same = |opened: &&Opened| {
            opened.id == entry.id
                && opened.settings == entry.settings
                && opened.error.is_none()
                && entry.error.is_none()
                && opened.access == self.access.contains(&entry.name)
                && match self.tls.get(&entry.name) {
                    Some(Ok(texts)) => opened.tls.as_ref() == Some(texts),
                    // A connection goes on with what it has read when the files are not there any more.
                    Some(Err(_)) | None => true,
                }
        };
        self.opened.get(&entry.name).filter(same)
    }

    /// Whether a connection is set up, and what was wrong with it.
    pub fn of(&self, name: &str) -> Option<&Opened> {
        self.opened.get(name)
    }

    /// Opens what is needed and not open, forgets what is not needed, and returns all that is open. `tls`: what the files for
    /// TLS hold now; a cluster for which it has changed is connected to anew.
    pub fn update(&mut self, desired: &Desired, tls: Texts) -> Vec<ClusterSpec> {
        self.tls = tls;
        let inline = |task: &&Arc<TaskEntry>| {
            task.setup.as_ref().is_ok_and(|setup| setup.settings.marks == settings::Marks::Inline)
        };
        self.inline.set(desired.tasks.values().filter(inline).map(|task| task.id.clone()).collect());
        self.access = access(desired);
        let needed = desired.needed();
        let entries: Vec<_> = needed.iter().filter_map(|name| desired.clusters.get(*name)).collect();
        let mut opened = BTreeMap::new();
        for entry in &entries {
            let connection = self.current(entry).cloned().unwrap_or_else(|| self.open_again(entry));
            if let Some(Err(error)) = self.tls.get(&entry.name).filter(|_| connection.error.is_none()) {
                tracing::warn!(cluster = %entry.name, "goes on with the TLS files as they were read before: {error}");
            }
            opened.insert(entry.name.clone(), connection);
        }
        self.opened = opened;
        entries.iter().filter_map(|entry| Some(self.opened.get(&entry.name)?.spec(entry))).collect()
    }

    /// The same connections, and fresh ones for the clusters of a desired that have none: for a look. The caller closes the
    /// fresh ones, which come second.
    pub fn for_a_look(&self, desired: &Desired, names: &BTreeSet<&str>, tls: Texts) -> (Self, Vec<Opened>) {
        let mut all = Self { looks: true, access: access(desired), tls, ..self.clone() };
        let mut fresh = Vec::new();
        for entry in names.iter().filter_map(|name| desired.clusters.get(*name)) {
            if self.current(entry).is_none() {
                let opened = all.open(entry);
                fresh.push(opened.clone());
                all.opened.insert(entry.name.clone(), opened);
            }
        }
        (all, fresh)
    }

    /// What is open of these clusters, for the engine.
    pub fn specs(&self, desired: &Desired, names: &BTreeSet<&str>) -> Vec<ClusterSpec> {
        let entries = names.iter().filter_map(|name| desired.clusters.get(*name));
        entries.filter_map(|entry| Some(self.opened.get(&entry.name)?.spec(entry))).collect()
    }

    /// Tries what was broken once more; if it still is for the same reason, nothing changes.
    fn open_again(&self, entry: &ClusterEntry) -> Opened {
        let fresh = self.open(entry);
        let broken = |old: &&Opened| old.error.is_some() && old.error == fresh.error && old.id == fresh.id;
        self.opened.get(&entry.name).filter(broken).cloned().unwrap_or(fresh)
    }

    /// A new connection; one that only says what is wrong when it cannot be set up. Touches no network.
    pub fn open(&self, entry: &ClusterEntry) -> Opened {
        let ports = match &entry.error {
            Some(error) => Err(error.clone()),
            None => self.connect(entry),
        };
        let (port, data, error) = match ports {
            Ok((port, data)) => (port, data, None),
            Err(error) => {
                let broken = Arc::new(Broken::new(error.clone()));
                let data = DataPort::read_write(broken.clone());
                (Port::read_write(broken as Arc<_>), Some(data), Some(error))
            }
        };
        let access = self.access.contains(&entry.name);
        let tls = self.tls.get(&entry.name).and_then(|read| read.as_ref().ok()).cloned();
        Opened { id: entry.id.clone(), settings: entry.settings.clone(), access, tls, error, port, data }
    }

    /// The port to a cluster's config entries, where it has any and is open.
    pub fn data(&self, entry: &ClusterEntry) -> Option<DataPort> {
        self.of(&entry.name).and_then(|opened| opened.data.clone())
    }

    fn connect(&self, entry: &ClusterEntry) -> Result<(Port, Option<DataPort>), String> {
        let cluster = &entry.settings;
        let connector = connector(&cluster.kind).ok_or_else(|| format!("{} is not supported yet", cluster.kind))?;
        let secret = |secret: &Option<settings::Secret>| {
            SecretString::from(secret.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default())
        };
        let pair = |name: &Option<String>, value| name.clone().map(|name| (name, secret(value)));
        let tls = match (&cluster.tls, self.tls.get(&cluster.name)) {
            (None, _) => None,
            (Some(_), Some(read)) => Some(read.clone()?),
            (Some(_), None) => return Err("its TLS files have not been read".into()),
        };
        let inherited = self.holder.iter().flat_map(|holder| holder.inherited());
        let connect = Connect {
            install: self.install.clone(),
            vault: Some(self.sessions.of(&entry.id)),
            looks: self.looks,
            inline: self.inline.clone(),
            addresses: cluster.addresses.clone(),
            namespaces: cluster.namespaces.clone(),
            login: pair(&cluster.user, &cluster.password),
            keys: pair(&cluster.ak, &cluster.sk),
            token: cluster.token.as_ref().map(|token| token.expose().to_owned().into()),
            context_path: cluster.context_path.clone(),
            tls,
            keeper: self.holder.clone().map(|holder| Arc::new(HolderSockets(holder)) as Arc<dyn SocketKeeper>),
            inherited: inherited.map(|entry| entry.label).filter(|label| !label.is_empty()).collect(),
            access: self.access.contains(&entry.name),
            block: cluster.own.clone(),
        };
        let ports = connector.open(entry.id.clone(), connect).map_err(|error| error.to_string())?;
        let services = ports.services.ok_or_else(|| format!("{} has no services", cluster.kind))?;
        Ok((services, ports.data))
    }
}

impl Opened {
    /// For the engine.
    pub fn spec(&self, entry: &ClusterEntry) -> ClusterSpec {
        ClusterSpec { id: self.id.clone(), name: entry.name.as_str().into(), port: self.port.clone() }
    }

    /// Why it cannot be used.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

/// Both ends of the tasks that copy access lists with services.
fn access(desired: &Desired) -> BTreeSet<String> {
    let kinds = kinds();
    let copies = |name: &str| {
        let settings = desired.clusters.get(name).map(|entry| &entry.settings);
        settings.is_some_and(|cluster| kinds.get(&cluster.kind).is_some_and(|kind| kind.copies_access(cluster)))
    };
    let tasks = desired.tasks.values().filter(|task| task.ends().into_iter().any(copies));
    tasks.flat_map(|task| task.ends()).map(str::to_owned).collect()
}

/// The routes of these tasks: one each way. A task whose settings cannot be used has none, nor has one that is drained.
pub(crate) fn routes<'a>(
    install: &str,
    desired: &Desired,
    tasks: impl Iterator<Item = &'a Arc<TaskEntry>>,
    frozen: &Frozen,
) -> Vec<RouteSpec> {
    tasks
        .filter(|task| task.run != RunState::Drained)
        .flat_map(|task| task_routes(install, desired, task, frozen))
        .collect()
}

fn task_routes(install: &str, desired: &Desired, task: &TaskEntry, frozen: &Frozen) -> Vec<RouteSpec> {
    let Ok(TaskSetup { settings, lenses }) = &task.setup else { return Vec::new() };
    if !settings.kind.wants_services() {
        return Vec::new();
    }
    let [source, destination] = task.ends().map(|name| desired.clusters.get(name));
    let (Some(source), Some(destination)) = (source, destination) else { return Vec::new() };
    let only = |from: &ClusterId| match settings.auto_scan {
        true => Only::Any,
        false => frozen.get(&(task.id.clone(), from.clone())).map_or(Only::Freeze, |set| Only::Frozen(set.clone())),
    };
    let words = settings.namespaces_of(&source.settings);
    let parts: Option<BTreeSet<Arc<str>>> =
        (!words.is_empty()).then(|| words.iter().map(|word| word.as_str().into()).collect());
    let there = RouteSpec {
        task: task.name.as_str().into(),
        owner: OwnerId::new(install, &task.id),
        source: source.id.clone(),
        destination: destination.id.clone(),
        way_back: false,
        parts: parts.clone(),
        lens: lenses.there.clone(),
        mode: mode(settings.policy),
        overrides: overrides(settings.overrides),
        relay: settings.relay,
        take_over: take_over(settings, lenses, &source.name),
        guard: guard(&settings.guard),
        settle: settings.settle,
        only: only(&source.id),
        run: run(task.run),
    };
    let back = lenses.back.as_ref().map(|lens| RouteSpec {
        source: destination.id.clone(),
        destination: source.id.clone(),
        way_back: true,
        // The task's namespaces are those of its source, under the names that they have at the other side.
        parts: parts.map(|words| words.into_iter().map(|word| lenses.there.part(&Part(word)).0).collect()),
        lens: lens.clone(),
        take_over: settings
            .take_over
            .map(|tool| TakeOverSpec { back: Some(lenses.there.clone()), ..theirs(tool, &destination.name) }),
        only: only(&destination.id),
        ..there.clone()
    });
    std::iter::once(there).chain(back).collect()
}

/// The tool that a task takes over from, on the way from this source. It calls clusters as the task's settings do, or by ids of its
/// own.
fn theirs(tool: settings::TakeOver, source: &str) -> TakeOverSpec {
    let source = tool.names_sources().then(|| source.into());
    TakeOverSpec { tool: tool.word().into(), source, back: None }
}

fn take_over(settings: &settings::Task, lenses: &Lenses, source: &str) -> Option<TakeOverSpec> {
    let back = lenses.back.clone().or_else(|| lenses.undone.clone());
    settings.take_over.map(|tool| TakeOverSpec { back, ..theirs(tool, source) })
}

pub(crate) fn run(run: RunState) -> EngineRun {
    match run {
        RunState::Running => EngineRun::On,
        RunState::Paused => EngineRun::Paused,
        RunState::Draining | RunState::Removing | RunState::Drained => EngineRun::Drain,
    }
}

pub(crate) fn mode(policy: settings::Policy) -> WriteMode {
    match policy {
        settings::Policy::Sync => WriteMode::Sync,
        settings::Policy::UpsertOnly => WriteMode::UpsertOnly,
        settings::Policy::CreateOnly => WriteMode::CreateOnly,
    }
}

pub(crate) fn overrides(overrides: settings::Overrides) -> Overrides {
    match overrides {
        settings::Overrides::Keep => Overrides::Keep,
        settings::Overrides::Replace => Overrides::Replace,
        settings::Overrides::Travel => Overrides::Travel,
    }
}

pub(crate) fn guard(guard: &settings::Guard) -> GuardLimits {
    let floor = usize::try_from(guard.floor).unwrap_or(usize::MAX);
    GuardLimits { share: guard.share, floor, window: guard.window, ..GuardLimits::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_connectors::TlsFiles;
    use causeway_store::Store;
    use tokio_util::task::TaskTracker;

    #[tokio::test]
    async fn changed_tls_files_are_a_new_connection_and_missing_ones_change_nothing() {
        let text = "clusters: [{clusterName: a, connectKeyList: ['127.0.0.1:1'], clusterType: NACOS, tls: {ca: /ca}}, \
                    {clusterName: b, connectKeyList: ['127.0.0.1:2'], clusterType: NACOS}]\n\
                    tasks: [{source: a, destination: b}]";
        let read = settings::parse("t", text, &settings::FixedEnv::default(), &kinds());
        let read = read.unwrap_or_else(|problems| panic!("{problems}"));
        let mut desired = Desired::default();
        for cluster in read.clusters {
            desired.clusters.insert(cluster.name.clone(), Arc::new(ClusterEntry::new("i", cluster)));
        }
        let task = TaskEntry::new("t".into(), read.tasks[0].clone(), RunState::Running, Vec::new());
        desired.tasks.insert("t".into(), Arc::new(task));
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_with(folder.path(), None).await.unwrap();
        let sessions = Sessions::load(&store, std::iter::empty(), &TaskTracker::new()).await;
        let mut connections = Connections::new("i".into(), None, sessions);
        let texts =
            |name: &str| TlsFiles { server_name: Some(name.into()), insecure: true, ..TlsFiles::default() }.read();
        let mut open = |read| {
            let specs = connections.update(&desired, [("a".to_owned(), read)].into());
            assert_eq!(specs.len(), 2);
            let error = connections.of("a").unwrap().error().map(str::to_owned);
            (connections.of("a").unwrap().port.source(), error)
        };
        let missing = || Err("/ca: No such file or directory".to_owned());
        let (_, error) = open(missing());
        assert!(error.is_some_and(|error| error.contains("/ca: No such file")));
        let (first, error) = open(texts("one"));
        assert_eq!(error, None);
        assert!(Arc::ptr_eq(&first, &open(texts("one")).0), "the same");
        assert!(Arc::ptr_eq(&first, &open(missing()).0), "what was read before is still good");
        assert!(!Arc::ptr_eq(&first, &open(texts("two")).0), "they have changed");
    }
}
