//! Tasks' config entries: from the settings to the data engine, and its memory to the store.

mod ledger;
mod select;
mod verify;

pub(crate) use ledger::{DataScribe, ledgers};
pub(crate) use select::Selections;
use select::companions;
pub(crate) use verify::{Compared, compare};

use crate::routes::{Connections, guard, mode, overrides, run};
use crate::world::{Run, TaskEntry, TaskPlan, World};
use causeway_core::{Conflicts, EntryKey, OwnerId, Ways};
use causeway_engine::{Attend, DataCluster, DataSpec};
use causeway_settings::{self as settings, Task};
use std::sync::Arc;

/// What the data engine shall do for these tasks. A task whose settings cannot be used, or whose clusters hold no entries,
/// has no data; nor has one that is drained.
pub(crate) fn specs<'a>(
    install: &str,
    world: &World,
    tasks: impl Iterator<Item = &'a Arc<TaskEntry>>,
    connections: &Connections,
) -> Vec<DataSpec> {
    tasks.filter(|task| task.run != Run::Drained).filter_map(|task| spec(install, world, task, connections)).collect()
}

/// One task's.
fn spec(install: &str, world: &World, task: &TaskEntry, connections: &Connections) -> Option<DataSpec> {
    let Ok(TaskPlan { settings, lenses }) = &task.plan else { return None };
    let cluster = |name: &str| {
        let entry = world.clusters.get(name)?;
        let port = connections.data(entry)?;
        Some(DataCluster { id: entry.id.clone(), name: name.into(), port })
    };
    let [source, destination] = task.ends().map(cluster);
    let ends: Vec<_> = task.ends().iter().filter_map(|name| world.clusters.get(*name)).collect();
    let companions = companions(ends.iter().map(|entry| &entry.settings));
    if !settings.kind.wants_configs() && companions.is_empty() {
        return None;
    }
    Some(DataSpec {
        task: task.name.as_str().into(),
        owner: OwnerId::new(install, &task.id),
        source: source?,
        destination: destination?,
        select: connections.selections.of(&task.id, settings, companions, &lenses.given_up),
        ways: if settings.is_two_way() { Ways::Two } else { Ways::One },
        mode: mode(settings.policy),
        overrides: overrides(settings.overrides),
        conflicts: conflicts(settings),
        attributes: match (settings.kind.wants_configs(), settings.data.acl) {
            (true, settings::DataAcl::Copy) => Attend::All,
            _ => Attend::None,
        },
        lists: ends.iter().flat_map(|entry| select::lists(&entry.settings)).collect(),
        guard: guard(&settings.guard),
        settle: settings.settle,
        run: run(task.run),
    })
}

fn conflicts(task: &Task) -> Conflicts {
    match task.conflict {
        // Nobody has been asked about what only comes with services.
        _ if !task.kind.wants_configs() => Conflicts::Newest,
        settings::Conflict::Source => Conflicts::Source,
        settings::Conflict::Destination => Conflicts::Destination,
        settings::Conflict::Newest => Conflicts::Newest,
        settings::Conflict::Manual => Conflicts::Manual,
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
