//! Tasks' config entries: from the settings to the data engine, and its memory to the store.

mod ledger;
mod select;
mod verify;

pub(crate) use ledger::ledgers;
pub(crate) use verify::{EntryComparison, compare};

use crate::desired::{ClusterEntry, Desired, RunState, TaskEntry, TaskSetup};
use crate::routes::{Connections, guard, mode, overrides, run};
use causeway_connectors::bridge::dubbo::{Companions, Root, lists};
use causeway_core::{Conflicts, DataPort, EntryKey, OwnerId, Part, Ways};
use causeway_engine::{AttributeFilter, DataCluster, DataSpec};
use causeway_settings::{self as settings, PUBLIC, Task};
use std::sync::Arc;

/// What the data engine is to do for these tasks. A task whose settings cannot be used, or whose clusters hold no entries,
/// has no data; nor has one that is drained.
pub(crate) fn specs<'a>(
    install: &str,
    desired: &Desired,
    tasks: impl Iterator<Item = &'a Arc<TaskEntry>>,
    connections: &Connections,
) -> Vec<DataSpec> {
    tasks
        .filter(|task| task.run != RunState::Drained)
        .filter_map(|task| spec(install, desired, task, connections))
        .collect()
}

/// One task's.
fn spec(install: &str, desired: &Desired, task: &TaskEntry, connections: &Connections) -> Option<DataSpec> {
    let Ok(TaskSetup { settings, lenses }) = &task.setup else { return None };
    let [Some(left), Some(right)] = task.ends().map(|name| desired.clusters.get(name)) else { return None };
    let companions = Companions::between([&left.settings, &right.settings]);
    // What only comes with services stays where it is: providers that live there now rely on it.
    if !settings.kind.wants_configs() && (companions == Companions::None || task.run.drains()) {
        return None;
    }
    let cluster = |entry: &ClusterEntry| {
        let port = match companions.shown_below(&entry.settings) {
            Some(root) => view(task, [left, right], entry, root, connections)?,
            None => connections.data(entry)?,
        };
        Some(DataCluster { id: entry.id.clone(), name: entry.name.as_str().into(), port })
    };
    let (source, destination) = (cluster(left)?, cluster(right)?);
    Some(DataSpec {
        task: task.name.as_str().into(),
        owner: OwnerId::new(install, &task.id),
        source,
        destination,
        select: select::entries(settings, companions, &lenses.given_up),
        ways: if settings.is_two_way() { Ways::Two } else { Ways::One },
        mode: mode(settings.policy),
        overrides: overrides(settings.overrides),
        conflicts: conflicts(settings),
        attributes: match (settings.kind.wants_configs(), settings.data.acl) {
            (true, settings::DataAcl::Copy) => AttributeFilter::All,
            _ => AttributeFilter::None,
        },
        lists: [left, right].iter().flat_map(|entry| lists(&entry.settings)).collect(),
        services: settings.kind.wants_services(),
        guard: guard(&settings.guard),
        settle: settings.settle,
        run: run(task.run),
    })
}

/// A cluster with flat entries as the tree at the other side of a task sees it. `None`: none of its namespaces takes part.
fn view(
    task: &TaskEntry,
    [left, right]: [&ClusterEntry; 2],
    flat: &ClusterEntry,
    root: &Root,
    connections: &Connections,
) -> Option<DataPort> {
    let TaskSetup { settings, lenses } = task.setup.as_ref().ok()?;
    let becomes = |namespace: &str| lenses.there.part(&Part::new(namespace)).0;
    let namespace = match flat.name == right.name {
        true => becomes(PUBLIC).to_string(),
        false => {
            let named = settings.namespaces_of(&left.settings);
            let mapped: Vec<String> = match &settings.map.namespace {
                Some(settings::Rename::Table(table)) => table.keys().cloned().collect(),
                _ => Vec::new(),
            };
            let public = [PUBLIC.to_owned()];
            let all = if named.is_empty() { mapped.iter().chain(&public) } else { named.iter().chain(&[]) };
            all.into_iter().find(|namespace| &*becomes(namespace) == PUBLIC)?.clone()
        }
    };
    let writes = flat.name == right.name || settings.is_two_way();
    let (services, data) = (&connections.of(&flat.name)?.port, connections.data(flat)?);
    Some(connections.views.of(&task.id, (services, &data), (root, &namespace), writes))
}

fn conflicts(task: &Task) -> Conflicts {
    match task.conflict {
        // Entries that only accompany services have no setting of their own.
        _ if !task.kind.wants_configs() => Conflicts::Newest,
        settings::ConflictRule::Source => Conflicts::Source,
        settings::ConflictRule::Destination => Conflicts::Destination,
        settings::ConflictRule::Newest => Conflicts::Newest,
        settings::ConflictRule::Manual => Conflicts::Manual,
    }
}

/// An entry as a user names it: a path, or `namespace/group/name`.
pub(crate) fn key(text: &str) -> Option<EntryKey> {
    if text.starts_with('/') {
        return Some(EntryKey::path(text));
    }
    let mut parts = text.splitn(3, '/');
    Some(EntryKey::new(parts.next()?, parts.next()?, parts.next()?))
}
