//! Writes copies.
//!
//! An address is one record of a service, whoever registers it: a provider that comes takes our copy's place, and a write of ours would
//! take the provider's. So what stands is looked at before every write; servers answer that from their store.

use super::beats::Beats;
use super::client::{InstanceJson, WriteKind, WriteOutcome, again};
use super::convert;
use super::names;
use super::pack::MARK;
use super::reading::{Reading, WireService};
use causeway_core::{Change, Error, Instance, InstanceId, OwnerId, ServiceKey, Written, intern};
use causeway_proto::polaris;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most changes of one call: one look and one write each, which take no more.
pub(super) const BATCH: usize = 100;

/// Writes copies, and keeps those alive that need it.
pub(super) struct Writer {
    reading: Arc<Reading>,
    install: Arc<str>,
    /// Services that were there when we last saw them.
    services: Mutex<BTreeSet<WireService>>,
    beats: Beats,
}

/// What stands in a service, by id: native instances and copies, and each as the server holds it.
type Standing = BTreeMap<InstanceId, Vec<(polaris::Instance, Instance)>>;

/// What a change comes to.
enum Step {
    /// Nothing is to be written.
    Done,
    Write(WriteKind, Box<InstanceJson>),
}

impl Writer {
    pub fn new(reading: Arc<Reading>, install: Arc<str>) -> Self {
        let beats = Beats::new(reading.clone());
        Self { reading, install, services: Mutex::default(), beats }
    }

    /// One outcome a change: creations and updates first, removals last.
    pub async fn apply(&self, scope: &ServiceKey, changes: &[Change]) -> Vec<Result<(), Error>> {
        let all = |error: &Error| changes.iter().map(|_| Err(again(error))).collect();
        let name = match self.reading.wire_name(scope) {
            Ok(name) => name,
            Err(error) => return all(&error),
        };
        let standing = match self.look(scope, &name, changes).await {
            Ok(standing) => standing,
            Err(error) => return all(&error),
        };
        let mut outcomes: Vec<Result<(), Error>> = Vec::with_capacity(changes.len());
        let mut writes: BTreeMap<usize, (WriteKind, InstanceJson)> = BTreeMap::new();
        for (n, change) in changes.iter().enumerate() {
            outcomes.push(match self.step(scope, &name, change, &standing) {
                Ok(Step::Done) => Ok(()),
                Ok(Step::Write(how, wire)) => {
                    writes.insert(n, (how, *wire));
                    Ok(())
                }
                Err(error) => Err(error),
            });
        }
        for how in [WriteKind::Put, WriteKind::Update, WriteKind::Delete] {
            let some = || writes.iter().filter(|(_, (kind, _))| *kind == how);
            let (at, wires): (Vec<usize>, Vec<InstanceJson>) = some().map(|(n, (_, wire))| (*n, wire.clone())).unzip();
            if how == WriteKind::Delete {
                // A server whose store is a file goes on showing what is removed later than some seconds after its last
                // change: so it is changed first.
                let leaving: Vec<_> = wires.iter().map(leaving).collect();
                drop(self.write(scope, &name, WriteKind::Update, &leaving).await);
            }
            for (n, outcome) in at.into_iter().zip(self.write(scope, &name, how, &wires).await) {
                outcomes[n] = outcome;
            }
        }
        for (change, outcome) in changes.iter().zip(&outcomes) {
            if outcome.is_ok() {
                self.note(scope, change);
            }
        }
        outcomes
    }

    /// What stands at the addresses of these changes. Makes the service where something is to stand in it: in a new one nothing does.
    async fn look(&self, scope: &ServiceKey, name: &str, changes: &[Change]) -> Result<Standing, Error> {
        let makes = changes.iter().any(|change| matches!(change, Change::Create(_) | Change::Adopt(_)));
        if makes && self.ensure(&(scope.namespace.clone(), intern(name))).await? {
            return Ok(Standing::new());
        }
        self.standing(scope, name, changes).await
    }

    /// What stands at the addresses of these changes.
    async fn standing(&self, scope: &ServiceKey, name: &str, changes: &[Change]) -> Result<Standing, Error> {
        let mut hosts: BTreeSet<&str> =
            changes.iter().filter_map(Change::record).map(|one| &*one.id.endpoint.host).collect();
        for change in changes {
            if let Change::Update { from, .. } = change {
                hosts.insert(&from.id.endpoint.host);
            }
        }
        let mut standing = Standing::new();
        if hosts.is_empty() {
            return Ok(standing);
        }
        let hosts: Vec<&str> = hosts.into_iter().collect();
        for wire in self.reading.client.standing(&scope.namespace, name, &hosts).await? {
            if let Some(record) = convert::read(&wire, &self.reading.options) {
                standing.entry(record.id()).or_default().push((wire, record));
            }
        }
        Ok(standing)
    }

    fn step(&self, scope: &ServiceKey, name: &str, change: &Change, standing: &Standing) -> Result<Step, Error> {
        let at = |id: &InstanceId| standing.get(id).map(Vec::as_slice).unwrap_or_default();
        match change {
            // It stands as it is wanted: that was seen, and copies stand by themselves.
            Change::Adopt(to) if at(&to.id).iter().any(|(_, one)| self.is_ours(one)) => Ok(Step::Done),
            Change::Create(to) | Change::Adopt(to) => self.put(scope, name, None, to, at(&to.id)),
            Change::Update { from, to } => self.put(scope, name, from.mark().map(|mark| &mark.owner), to, at(&to.id)),
            Change::Delete { record, owner, .. } => {
                let is_it = |one: &Instance| one.mark().is_some_and(|mark| mark.owner.install == owner.install);
                let gone =
                    |wire: &polaris::Instance| InstanceJson { priority: wire.priority, ..named(wire, scope, name) };
                let found = at(&record.id).iter().find(|(_, one)| is_it(one)).map(|(wire, _)| gone(wire));
                // A look may be older than what we wrote.
                let unseen = || at(&record.id).is_empty() && self.written(scope, &record.id) == Some(true);
                let found = found.or_else(|| unseen().then(|| named(&place(record), scope, name)));
                Ok(found.map_or(Step::Done, |wire| Step::Write(WriteKind::Delete, Box::new(wire))))
            }
            Change::Edit { from, to, .. } => {
                let native = at(&from.id).iter().find(|(_, one)| one.mark().is_none());
                let (wire, _) = native.ok_or(Error::Conflict)?;
                Ok(Step::Write(WriteKind::Update, Box::new(edited(wire, from, to, scope, name))))
            }
            Change::Shadow(..) => Err(Error::Rejected("Polaris has one record for an address".into())),
            // What a service says of itself is not written.
            Change::Scope { .. } => Ok(Step::Done),
        }
    }

    /// Writes a copy where nothing stands, one of ours, or one of the owner whose place it takes.
    fn put(
        &self,
        scope: &ServiceKey,
        name: &str,
        before: Option<&OwnerId>,
        to: &Instance,
        standing: &[(polaris::Instance, Instance)],
    ) -> Result<Step, Error> {
        if to.mark().is_none() {
            return Err(Error::protocol("a copy without a mark"));
        }
        let mut wire = convert::write(scope, to, &self.reading.options).map_err(Error::Rejected)?;
        wire.service = Some(name.to_owned());
        let is_theirs = |one: &Instance| before.is_some() && one.mark().map(|mark| &mark.owner) == before;
        let found = standing.iter().find(|(_, one)| self.is_ours(one) || is_theirs(one));
        if found.is_none() && !standing.is_empty() {
            // A provider's, or somebody else's.
            return Err(Error::Conflict);
        }
        let nothing = polaris::Instance::default();
        let (stands, before) = match (found, self.written(scope, &to.id)) {
            (None, None | Some(false)) | (Some(_), Some(false)) => {
                return Ok(Step::Write(WriteKind::Put, Box::new(wire.into())));
            }
            (Some((stands, before)), _) => (stands, Some(before)),
            // A look may be older than what we wrote.
            (None, Some(true)) => (&nothing, None),
        };
        wire.id.clone_from(&stands.id);
        // Switched on by a change, a health check would call it unhealthy until the first heartbeat.
        let is_checked = |wire: &polaris::Instance| wire.enable_health_check.unwrap_or_default();
        let how = if is_checked(&wire) && !is_checked(stands) { WriteKind::Put } else { WriteKind::Update };
        if how == WriteKind::Update {
            // A change leaves out nothing that is to go.
            wire.protocol.get_or_insert_default();
            wire.version.get_or_insert_default();
            wire.logic_set.get_or_insert_default();
            wire.priority.get_or_insert_default();
            if before.is_none_or(convert::has_place) {
                let nowhere = || Some(String::new());
                let location = polaris::Location { region: nowhere(), zone: nowhere(), campus: nowhere() };
                wire.location.get_or_insert(location);
            }
        }
        Ok(Step::Write(how, Box::new(wire.into())))
    }

    fn is_ours(&self, record: &Instance) -> bool {
        record.mark().is_some_and(|mark| mark.owner.install == self.install)
    }

    /// What we wrote there a moment ago.
    fn written(&self, scope: &ServiceKey, id: &InstanceId) -> Option<bool> {
        self.reading.recent.written(scope, id)
    }

    async fn write(
        &self,
        scope: &ServiceKey,
        name: &str,
        how: WriteKind,
        wires: &[InstanceJson],
    ) -> Vec<Result<(), Error>> {
        let all = |error: &Error| wires.iter().map(|_| Err(again(error))).collect();
        if wires.is_empty() {
            return Vec::new();
        }
        let service = (scope.namespace.clone(), intern(name));
        if how == WriteKind::Put
            && let Err(error) = self.ensure(&service).await
        {
            return all(&error);
        }
        let mut outcomes = self.reading.client.write(how, wires).await;
        let lacking = |outcome: &WriteOutcome| matches!(outcome, WriteOutcome::NoService);
        if outcomes.iter().any(lacking) {
            // Somebody has removed it since we saw it.
            self.services.lock().remove(&service);
            if let Err(error) = self.ensure(&service).await {
                return all(&error);
            }
            let missed = || outcomes.iter().enumerate().filter(|(_, outcome)| lacking(outcome)).map(|(n, _)| n);
            let at: Vec<usize> = missed().collect();
            let some: Vec<InstanceJson> = at.iter().map(|n| wires[*n].clone()).collect();
            for (n, outcome) in at.into_iter().zip(self.reading.client.write(how, &some).await) {
                outcomes[n] = outcome;
            }
        }
        let outcome = |outcome| match outcome {
            WriteOutcome::Done => Ok(()),
            WriteOutcome::NoService => {
                Err(Error::unavailable(format!("the service {name} is not there right after it was made")))
            }
            WriteOutcome::Failed(error) => Err(error),
        };
        outcomes.into_iter().map(outcome).collect()
    }

    /// Makes a service where there is none, with our mark, by which one sees who made it. Returns whether it is new.
    async fn ensure(&self, service: &WireService) -> Result<bool, Error> {
        if self.services.lock().contains(service) {
            return Ok(false);
        }
        let (client, (namespace, name)) = (&self.reading.client, service);
        // A list may be older than what a provider has made.
        let mark = [(MARK, &*self.install)];
        let is_new = match client.has_service(namespace, name).await? {
            true => false,
            false => match client.make_service(namespace, name, &mark).await {
                Err(Error::Missing(_)) => {
                    client.make_namespace(namespace, None).await?;
                    client.make_service(namespace, name, &mark).await?
                }
                made => made?,
            },
        };
        self.services.lock().insert(service.clone());
        Ok(is_new)
    }

    /// Makes a namespace where there is none.
    pub async fn prepare(&self, namespace: &str, title: Option<&str>) -> Result<(), Error> {
        names::check_namespace(namespace).map_err(Error::Rejected)?;
        let client = &self.reading.client;
        if client.has_namespace(namespace).await? {
            return Ok(());
        }
        client.make_namespace(namespace, title.filter(|title| *title != namespace)).await
    }

    /// Remembers what was written.
    fn note(&self, scope: &ServiceKey, change: &Change) {
        let recent = &self.reading.recent;
        match change {
            Change::Create(to) | Change::Adopt(to) | Change::Update { to, .. } => {
                recent.note(scope, to.id(), Some(to.clone()));
                self.beats.keep(scope, to);
            }
            Change::Delete { record, .. } => {
                recent.note(scope, record.id(), None);
                self.beats.stop(scope, &record.id());
            }
            Change::Shadow(..) | Change::Edit { .. } | Change::Scope { .. } => {}
        }
    }

    /// Goes on with the heartbeats of an earlier process. Copies without stand by themselves.
    pub fn adopt(&self, owned: &[(ServiceKey, Written)]) {
        for (scope, written) in owned {
            written.records.values().filter(|one| !one.shadow).for_each(|one| self.beats.keep(scope, &one.record));
        }
    }

    /// Ends the heartbeats, and withdraws nothing.
    pub fn close(&self) {
        self.beats.close();
    }
}

/// Where a copy stands.
fn place(record: &Instance) -> polaris::Instance {
    polaris::Instance {
        vpc_id: Some(record.id.slot.to_string()),
        host: Some(record.id.endpoint.host.to_string()),
        port: Some(record.id.endpoint.port.into()),
        ..polaris::Instance::default()
    }
}

/// What names an instance.
fn named(wire: &polaris::Instance, scope: &ServiceKey, name: &str) -> InstanceJson {
    InstanceJson {
        id: wire.id.clone(),
        namespace: Some(scope.namespace.to_string()),
        service: Some(name.to_owned()),
        vpc_id: wire.vpc_id.clone().filter(|id| !id.is_empty()),
        host: wire.host.clone(),
        port: wire.port,
        ..InstanceJson::default()
    }
}

/// A copy that is to go: changed in any case, and only in what is not read of a copy. If it stays after all, because the removal
/// fails or we are killed, and its provider comes back, anything else would be taken for an operator's doing, for good.
fn leaving(wire: &InstanceJson) -> InstanceJson {
    InstanceJson { priority: Some(wire.priority.unwrap_or_default() ^ 1), ..wire.clone() }
}

/// What an operator changed of a copy elsewhere, laid over the native instance. Metadata are its provider's: without any, they stay as
/// they are.
fn edited(wire: &polaris::Instance, from: &Instance, to: &Instance, scope: &ServiceKey, name: &str) -> InstanceJson {
    let weight = to.clone().with(|one| one.payload = None);
    let weight = convert::write(scope, &weight, &super::PolarisOptions::default()).ok().and_then(|wire| wire.weight);
    InstanceJson {
        weight: weight.filter(|_| from.weight != to.weight),
        isolate: (from.enabled != to.enabled).then_some(!to.enabled),
        ..named(wire, scope, name)
    }
}

#[cfg(test)]
mod tests;
