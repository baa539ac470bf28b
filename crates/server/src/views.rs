//! What the node shows of itself.

use crate::api::{self, State};
use crate::desired::{ClusterEntry, Desired, RunState, TaskEntry};
use crate::error::{Error, Result};
use crate::left_behind::orphaned;
use crate::node::{Inner, Node};
use causeway_core::{Carrier, InstanceId, Reason, Skip};
use causeway_engine::{DataStatus, LeftAlone, Notice, RouteState, RouteStatus};
use causeway_settings::{TaskMode, TaskType};
use causeway_store::EventFilter;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most rows of one answer.
const MAX_ROWS: u32 = 100_000;
const DEFAULT_ROWS: u32 = 1_000;

/// Which services; a missing part means any.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceFilter {
    /// Exactly this cluster.
    pub cluster: Option<String>,
    /// Exactly this namespace's id.
    pub namespace: Option<String>,
    /// At most so many; 1,000 when it is not given.
    pub limit: Option<u32>,
}

impl Node {
    /// Every cluster, by name.
    pub fn clusters(&self) -> Vec<api::Cluster> {
        let desired = self.inner.desired();
        let services = self.inner.engine.status().into_iter().flat_map(|route| route.notices);
        let data = self.inner.data.status().into_iter().flat_map(|status| status.notices);
        let notices: Vec<Notice> = services.chain(data).collect();
        let notices: BTreeSet<(&str, String)> = notices.iter().filter_map(Notice::with_cluster).collect();
        let orphans = self.inner.orphans();
        let carriers = self.inner.engine.carriers();
        let connections = self.inner.connections.lock();
        let show = |entry: &ClusterEntry| {
            let opened = connections.of(&entry.name);
            let said = notices.iter().filter(|(cluster, _)| *cluster == &*entry.name).map(|(_, what)| what.clone());
            let broken = opened.and_then(|opened| opened.error()).or(entry.error.as_deref());
            let left = orphans.get(&entry.id).map(|count| orphaned(*count));
            let reason = match broken {
                Some(broken) => join(std::iter::once(broken.to_owned()).chain(left)),
                None => join(said.chain(left)),
            };
            api::Cluster {
                name: entry.name.clone(),
                id: entry.id.to_string(),
                kind: entry.settings.kind.clone(),
                addresses: list(&entry.document, "connectKeyList"),
                namespaces: namespaces(&entry.document),
                user: text(&entry.document, "userName"),
                tasks: desired.users(&entry.name).map(|task| task.name.clone()).collect(),
                open: opened.is_some(),
                carriers: carriers.get(&entry.id).into_iter().flatten().map(carrier).collect(),
                reason,
            }
        };
        desired.clusters.values().map(|entry| show(entry)).collect()
    }

    /// Every task, by name.
    pub fn tasks(&self) -> Vec<api::Task> {
        self.inner.task_views(&self.inner.desired(), &self.inner.statuses(), &self.inner.data.status())
    }

    /// One task.
    pub fn task(&self, name: &str) -> Result<api::Task> {
        let task = self.inner.find(name)?;
        let statuses = self.inner.statuses();
        let mine = statuses.into_iter().filter(|status| *status.owner.task == *task.id).collect();
        let data = self.inner.data.status().into_iter().find(|status| *status.route.owner.task == *task.id);
        Ok(self.inner.finish_view(&task, task_view(&self.inner.desired(), &task, mine, data.as_ref())))
    }

    /// Services that clusters in use hold, and how many there are beyond the limit.
    pub fn services(&self, filter: &ServiceFilter) -> (Vec<api::Service>, usize) {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        let rows = self.inner.engine.services(&self.inner.install);
        let mut rows: Vec<_> = rows
            .into_iter()
            .filter(|row| fits(&filter.cluster, &row.cluster) && fits(&filter.namespace, &row.scope.namespace))
            .collect();
        rows.sort_by(|a, b| (&a.cluster, &a.scope).cmp(&(&b.cluster, &b.scope)));
        let count = rows.len();
        rows.truncate(filter.limit.unwrap_or(DEFAULT_ROWS).min(MAX_ROWS) as usize);
        let skipped = |(id, skip): (InstanceId, Skip)| api::SkippedRecord {
            record: id.to_string(),
            cause: api::Cause::of(&Reason::from(skip)),
        };
        let show = |row: causeway_engine::ServiceRow| api::Service {
            cluster: row.cluster.to_string(),
            namespace: row.scope.namespace.to_string(),
            group: row.scope.group.to_string(),
            name: row.scope.name.to_string(),
            native: row.native,
            copies: row.copies,
            foreign: row.foreign,
            skipped: row.skipped.into_iter().map(skipped).collect(),
        };
        (rows.into_iter().map(show).collect(), count)
    }

    /// The targets of a cluster for Prometheus' `http_sd_config`, as JSON; an error while what is known of it is not complete.
    pub fn http_sd(&self, name: &str) -> Result<String> {
        let desired = self.inner.desired();
        let entry = desired.clusters.get(name).ok_or_else(|| Error::Missing(format!("cluster {name}")))?;
        let incomplete = |why| Error::Incomplete { cluster: name.to_owned(), why };
        let sets = self.inner.engine.contents(&entry.id).map_err(incomplete)?;
        Ok(causeway_connectors::bridge::http_sd(sets.iter().map(|set| &**set)))
    }

    /// The history, newest first.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<api::Event>> {
        let found = self.inner.store.events(&filter).await?;
        let show = |recorded: causeway_store::Recorded| {
            let event = recorded.event;
            api::Event {
                id: recorded.id,
                time: time(event.time_ms),
                task: event.task,
                cluster: event.cluster,
                service: event.scope,
                record: event.record,
                action: event.action.into_owned(),
                cause: api::Cause::of(&event.reason),
            }
        };
        Ok(found.into_iter().map(show).collect())
    }
}

impl Inner {
    /// Every task, by name, from what the engines show.
    pub(crate) fn task_views(&self, desired: &Desired, routes: &[RouteStatus], data: &[DataStatus]) -> Vec<api::Task> {
        let mut statuses: BTreeMap<&str, Vec<RouteStatus>> = BTreeMap::new();
        for status in routes {
            statuses.entry(&status.owner.task).or_default().push(status.clone());
        }
        let data: BTreeMap<_, _> = data.iter().map(|status| (&*status.route.owner.task, status)).collect();
        let shown = desired.tasks.values().map(|task| {
            let mine = statuses.remove(&*task.id).unwrap_or_default();
            self.finish_view(task, task_view(desired, task, mine, data.get(&*task.id).copied()))
        });
        shown.chain(self.unsupported_tasks()).collect()
    }

    /// Adds what is known of a task beside its routes.
    fn finish_view(&self, task: &TaskEntry, mut view: api::Task) -> api::Task {
        view.warnings.extend(self.document_trouble(&task.id));
        if task.run == RunState::Running && self.pulls.sleeps(&task.id) {
            // Its routes are paused until then.
            let states = view.routes.iter_mut().map(|route| &mut route.state).chain([&mut view.state]);
            states.filter(|state| **state == State::Paused).for_each(|state| *state = State::InStep);
        }
        view
    }

    /// Every route, with what its source holds that is no instance among what is left alone.
    pub(crate) fn statuses(&self) -> Vec<RouteStatus> {
        let unreadable = self.engine.unreadable();
        let mut statuses = self.engine.status();
        for status in &mut statuses {
            if let Some(all) = unreadable.get(&status.source) {
                status.skipped.insert(LeftAlone::Unreadable, all.len());
            }
        }
        statuses
    }
}

fn task_view(desired: &Desired, task: &TaskEntry, statuses: Vec<RouteStatus>, data: Option<&DataStatus>) -> api::Task {
    let told: Vec<_> = statuses.iter().flat_map(|status| status.notices.iter().cloned()).collect();
    let routes: Vec<_> = statuses.into_iter().map(|status| route_view(desired, status)).collect();
    let states = routes.iter().map(|route| route.state).chain(data.map(|data| api_state(data.state)));
    let worst = states.max().unwrap_or(State::Failing);
    let (kind, mode, unusable) = match &task.setup {
        Ok(setup) => (setup.settings.kind, setup.settings.mode, None),
        Err(why) => (TaskType::default(), TaskMode::default(), Some(Notice::Unusable { text: why.clone() })),
    };
    let told = told.into_iter().chain(data.iter().flat_map(|data| data.notices.iter().cloned()));
    let mut notices: Vec<Notice> = unusable.into_iter().chain(told).collect();
    let pending = routes.iter().map(|route| route.pending).sum::<usize>() + data.map_or(0, |data| data.pending);
    if task.run == RunState::Running && worst == State::Syncing && pending == 0 && notices.is_empty() {
        notices.push(Notice::NotRead);
    }
    if task.run == RunState::Drained {
        notices = vec![Notice::HasDrained];
    }
    if task.run == RunState::Removing {
        notices.insert(0, Notice::Leaves);
    }
    let mut skipped = BTreeMap::new();
    let others = data.iter().flat_map(|data| counted(&data.skipped));
    for (reason, count) in routes.iter().flat_map(|route| route.skipped.clone()).chain(others) {
        *skipped.entry(reason).or_insert(0) += count;
    }
    let [source, destination] = task.ends().map(str::to_owned);
    api::Task {
        name: task.name.clone(),
        id: task.id.to_string(),
        source,
        destination,
        kind: kind.word().to_owned(),
        mode: mode.word().to_owned(),
        state: match task.run {
            RunState::Running => worst,
            RunState::Paused => State::Paused,
            RunState::Draining | RunState::Removing => State::Draining,
            RunState::Drained => State::Drained,
        },
        reason: join(notices.iter().map(ToString::to_string)),
        causes: causes(&notices),
        services: routes.iter().map(|route| route.services).sum(),
        instances: routes.iter().map(|route| route.instances).sum(),
        entries: data.map_or(0, |data| data.entries),
        conflicts: data.map_or(0, |data| data.conflicts),
        pending,
        held: routes.iter().map(|route| route.held).sum::<usize>()
            + data.map_or(0, |data| data.held.left + data.held.right),
        warnings: task.warnings.clone(),
        skipped,
        routes,
    }
}

/// Counts by their words.
fn counted(skipped: &BTreeMap<LeftAlone, usize>) -> impl Iterator<Item = (String, usize)> {
    skipped.iter().map(|(why, count)| (why.to_string(), *count))
}

fn route_view(desired: &Desired, status: RouteStatus) -> api::Route {
    api::Route {
        source: desired.cluster_name(&status.source),
        destination: desired.cluster_name(&status.destination),
        state: api_state(status.state),
        reasons: status.notices.iter().map(ToString::to_string).collect(),
        services: status.services,
        instances: status.instances,
        pending: status.pending,
        held: status.held,
        held_seconds: status.hold.map(|hold| hold.age.as_secs()),
        skipped: counted(&status.skipped).collect(),
    }
}

fn api_state(state: RouteState) -> State {
    match state {
        RouteState::InStep => State::InStep,
        RouteState::Syncing => State::Syncing,
        RouteState::Held => State::Held,
        RouteState::Failing => State::Failing,
        RouteState::Paused => State::Paused,
        RouteState::Draining => State::Draining,
        RouteState::Drained => State::Drained,
    }
}

/// Each once, in order.
fn causes(notices: &[Notice]) -> Vec<api::Cause> {
    let mut causes: Vec<api::Cause> = Vec::new();
    for cause in notices.iter().map(api::Cause::of) {
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    causes
}

/// Each text once, in order.
fn join(reasons: impl IntoIterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for reason in reasons {
        if !seen.contains(&reason) {
            seen.push(reason);
        }
    }
    seen.join("; ")
}

fn text(document: &Value, key: &str) -> Option<String> {
    document.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn list(document: &Value, key: &str) -> Vec<String> {
    let items = document.get(key).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn carrier(carrier: &Carrier) -> api::Carrier {
    let Carrier { what, id, records, bytes, limit } = carrier.clone();
    api::Carrier { what: what.to_owned(), id, records, bytes, limit }
}

fn namespaces(document: &Value) -> Vec<String> {
    let words = text(document, "namespace").unwrap_or_default();
    words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// RFC 3339 in UTC, with milliseconds.
pub(crate) fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|time| format!("{time:.3}")).unwrap_or_default()
}
