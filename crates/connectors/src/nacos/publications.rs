//! What we publish in one Nacos cluster, and how a record is known as ours.

mod attribute;
mod http;
mod kind_switch;
mod other_tools;
#[cfg(test)]
mod tests;

use super::beats::Beats;
use super::client::{Carried, Error as WireError, NacosClient, SpreadPublisher, WireInstance};
use super::convert;
use super::protocol::ServerProtocol;
use crate::SocketKeeper;
use crate::bridge::other_tools::is_other_tool;
use causeway_core::{Carrier, Change, Error, Instance, InstanceId, OwnerId, ServiceKey, Written};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// One record that we publish, and for which task. A shadow has no mark.
#[derive(Clone, Debug)]
struct Published {
    record: Instance,
    owner: OwnerId,
}

/// Longest wait for the servers' version at the start.
const PATIENCE: Duration = Duration::from_secs(3);

type Records = BTreeMap<InstanceId, Published>;

/// Everything that this process publishes in the cluster. A server keeps one publication a connection and service, so
/// the records of all tasks in a service go together; services are spread over connections ([`SpreadPublisher`]). On 1.x,
/// which has no connections, each record is kept by heart beats.
pub(super) struct Publications {
    client: NacosClient,
    name: String,
    keeper: Option<Arc<dyn SocketKeeper>>,
    /// The publishing connections, made when there is something to publish.
    publisher: Mutex<Option<Arc<SpreadPublisher>>>,
    records: Mutex<BTreeMap<ServiceKey, Records>>,
    /// Connections of an earlier process that may still be open.
    inherited: BTreeSet<String>,
    /// Whether the server tells who publishes an address.
    attributes: OnceCell<bool>,
    /// Copies of other tools that are kept by heart beats over HTTP, as last read where ours stand with them.
    beaten: Mutex<BTreeMap<ServiceKey, BTreeSet<InstanceId>>>,
    /// What the servers speak, and in which way our records were published.
    protocol: Arc<ServerProtocol>,
    way: tokio::sync::Mutex<Option<bool>>,
    beats: Beats,
}

impl Publications {
    pub fn new(
        client: NacosClient,
        name: String,
        keeper: Option<Arc<dyn SocketKeeper>>,
        inherited: Vec<String>,
    ) -> Self {
        let protocol = Arc::new(ServerProtocol::new(client.clone()));
        Self {
            beats: Beats::new(client.clone(), protocol.clone()),
            protocol,
            way: tokio::sync::Mutex::default(),
            client,
            name,
            keeper,
            publisher: Mutex::default(),
            records: Mutex::default(),
            inherited: inherited.into_iter().collect(),
            attributes: OnceCell::new(),
            beaten: Mutex::default(),
        }
    }

    /// What the servers speak.
    pub fn protocol(&self) -> &Arc<ServerProtocol> {
        &self.protocol
    }

    fn publisher(&self) -> Arc<SpreadPublisher> {
        let make = || Arc::new(self.client.spread_publisher(&self.name, self.keeper.clone()));
        self.publisher.lock().get_or_insert_with(make).clone()
    }

    /// The connections that hold our copies.
    pub fn carriers(&self) -> Vec<Carrier> {
        let limit = self.client.options().connection_bytes;
        let carrier = |one: Carried| Carrier {
            what: "connection",
            id: one.id.unwrap_or_default(),
            records: one.load.records,
            bytes: one.load.bytes,
            limit,
        };
        self.carried().into_iter().map(carrier).collect()
    }

    /// The same as the servers know them.
    pub fn carried(&self) -> Vec<Carried> {
        self.publisher.lock().as_ref().map(|publisher| publisher.carried()).unwrap_or_default()
    }

    /// Applies the changes of one service; one outcome each.
    pub async fn apply(&self, scope: &ServiceKey, changes: &[Change]) -> Vec<Result<(), Error>> {
        match self.ready().await {
            Ok(true) => return self.apply_http(scope, changes).await,
            Ok(false) => {}
            Err(error) => return all_failed(changes, &error),
        }
        let emptied = match self.make_way(scope, changes).await {
            Ok(emptied) => emptied,
            Err(error) => return all_failed(changes, &error),
        };
        self.take_dead(scope, changes).await;
        let mut outcomes: Vec<_> = changes.iter().map(|_| Err(Error::protocol("not applied"))).collect();
        let mut together = Vec::new();
        for (change, outcome) in changes.iter().zip(&mut outcomes) {
            match change {
                Change::Scope { .. } => {}
                Change::Edit { to, .. } => *outcome = self.edit(scope, to).await,
                Change::Delete { record, owner, .. } if is_other_tool(owner) => {
                    *outcome = self.take_theirs(scope, record).await;
                }
                change if self.is_persistent(scope, change) => *outcome = self.write_persistent(scope, change).await,
                change => together.push((change, outcome)),
            }
        }
        if !together.is_empty() {
            let batch: Vec<_> = together.iter().map(|(change, _)| *change).collect();
            let published = self.publish(scope, &batch).await;
            together.into_iter().zip(published).for_each(|((_, outcome), published)| *outcome = published);
        }
        self.take_over(scope, changes, &mut outcomes).await;
        if let Some(attributes) = emptied {
            self.put_attributes_back(scope, &attributes).await;
        }
        // Last: registrations make the service.
        for (change, outcome) in changes.iter().zip(&mut outcomes) {
            if let Change::Scope { to, .. } = change {
                *outcome = self.write_attributes(scope, to).await;
            }
        }
        outcomes
    }

    /// Publishes the whole set of the service with these changes made. One bad record must not spoil the rest, and the
    /// server does not say which it is: a refused batch is retried in halves.
    async fn publish(&self, scope: &ServiceKey, changes: &[&Change]) -> Vec<Result<(), Error>> {
        let before = self.of(scope);
        let mut after = before.clone();
        let shadows = changes.iter().any(|change| matches!(change, Change::Shadow(..)));
        let backed = shadows && self.can_attribute(scope).await;
        changes.iter().for_each(|change| make(&mut after, change, backed));
        match self.send(scope, after).await {
            Ok(()) => changes.iter().map(|_| Ok(())).collect(),
            // Of one record, or of the kind of the whole service: then halves would be refused as well.
            Err(WireError::Rejected(why)) if changes.len() == 1 || convert::is_mixed(&why) => {
                let error = match self.send(scope, before).await {
                    Ok(()) | Err(WireError::Unavailable(_)) => WireError::Rejected(why),
                    Err(error) => error,
                };
                all_failed(changes, &error)
            }
            Err(WireError::Rejected(_)) => {
                self.records.lock().insert(scope.clone(), before);
                let (left, right) = changes.split_at(changes.len() / 2);
                let mut outcomes = Box::pin(self.publish(scope, left)).await;
                outcomes.extend(Box::pin(self.publish(scope, right)).await);
                outcomes
            }
            // The wish is kept, and met when the server is back; the caller retries until then.
            Err(error) => all_failed(changes, &error),
        }
    }

    async fn send(&self, scope: &ServiceKey, records: Records) -> Result<(), WireError> {
        let set = wire_set(&records);
        self.keep(scope, records);
        self.publisher().publish(scope, set).await
    }

    /// Remembers what is published in a service; nothing of one in which nothing is.
    fn keep(&self, scope: &ServiceKey, records: Records) {
        match records.is_empty() {
            true => drop(self.records.lock().remove(scope)),
            false => drop(self.records.lock().insert(scope.clone(), records)),
        }
    }

    fn of(&self, scope: &ServiceKey) -> Records {
        self.records.lock().get(scope).cloned().unwrap_or_default()
    }

    fn is_persistent(&self, scope: &ServiceKey, change: &Change) -> bool {
        let held =
            |id: &InstanceId| self.records.lock().get(scope)?.get(id).map(|published| published.record.ephemeral);
        match change {
            Change::Delete { record, .. } => !held(&record.id()).unwrap_or(record.ephemeral),
            change => change.record().is_some_and(|record| !record.ephemeral),
        }
    }

    /// Persistent instances stand by themselves, one by one, and share their address with whoever registers there.
    async fn write_persistent(&self, scope: &ServiceKey, change: &Change) -> Result<(), Error> {
        let Some(record) = change.record() else { return Ok(()) };
        let wire = convert::write(record);
        let mut records = self.of(scope);
        // What is adopted stands there already.
        if !matches!(change, Change::Adopt(_)) {
            let register = !matches!(change, Change::Delete { .. });
            self.publisher().write_persistent(scope, &wire, register).await.map_err(convert::error)?;
        }
        make(&mut records, change, false);
        self.keep(scope, records);
        Ok(())
    }

    /// Changes a native record as an operator does in the console.
    async fn edit(&self, scope: &ServiceKey, to: &Instance) -> Result<(), Error> {
        self.client.edit_instance(scope, &convert::write(to)).await.map_err(convert::error)
    }

    async fn write_attributes(&self, scope: &ServiceKey, to: &causeway_core::Attributes) -> Result<(), Error> {
        let wire = convert::wire_attributes(to);
        match self.client.update_service(scope, &wire).await {
            Err(WireError::NotFound(_)) => Err(Error::Conflict),
            outcome => outcome.map_err(convert::error),
        }
    }

    /// Publishes what an earlier process wrote, as it was. The caller may give up waiting: all is asked for by then, and
    /// published when the servers are there.
    pub async fn adopt(&self, owned: &[(ServiceKey, Written)]) -> Result<(), Error> {
        // A server that hangs must not hold this up. One that then turns out to be a 1.x is dealt with when it is known.
        let http = matches!(tokio::time::timeout(PATIENCE, self.protocol.http()).await, Ok(Ok(true)));
        let shadow = owned.iter().find(|(_, written)| written.records.values().any(|record| record.shadow));
        let backed = match shadow {
            Some((scope, _)) if !http => self.can_attribute(scope).await,
            _ => false,
        };
        let mut sets = Vec::new();
        for (scope, written) in owned {
            let mut records = self.of(scope);
            for (id, written) in &written.records {
                // A shadow that cannot be told from its native must not outlive it.
                if !written.shadow || backed {
                    let published = Published { record: written.record.clone(), owner: written.owner.clone() };
                    records.insert(id.clone(), published);
                }
            }
            let set = wire_set(&records);
            self.records.lock().insert(scope.clone(), records);
            if !set.is_empty() {
                sets.push((scope.clone(), set));
            }
        }
        *self.way.lock().await = Some(http);
        if http {
            return self.keep_all().await.map_err(convert::error);
        }
        // The connection is still being made at the start: then the wishes are met by its first replay.
        let keys: Vec<_> = sets.iter().map(|(key, _)| key.clone()).collect();
        let mut done = Ok(());
        for (key, outcome) in keys.into_iter().zip(self.publisher().publish_all(sets).await) {
            match outcome {
                Ok(()) => {}
                Err(WireError::Unavailable(text)) => done = done.and(Err(Error::unavailable(text))),
                Err(error) => tracing::warn!(service = %key, %error, "what was written before is refused now"),
            }
        }
        done
    }

    /// Ends the connections: the servers drop all that they published.
    pub async fn close(&self) {
        self.beats.close();
        let publisher = self.publisher.lock().take();
        if let Some(publisher) = publisher {
            publisher.close().await;
        }
    }
}

/// The same failure of every change.
fn all_failed<T>(changes: &[T], error: &WireError) -> Vec<Result<(), Error>> {
    changes.iter().map(|_| Err(convert::error(error.clone()))).collect()
}

/// The ephemeral ones, as they are written.
fn wire_set(records: &Records) -> Vec<WireInstance> {
    let ephemeral = records.values().filter(|published| published.record.ephemeral);
    ephemeral.map(|published| convert::write(&published.record)).collect()
}

/// Makes one change among the records of a service.
fn make(records: &mut Records, change: &Change, backed: bool) {
    match change {
        Change::Create(record) | Change::Adopt(record) | Change::Update { to: record, .. } => {
            if let Some(mark) = &record.mark {
                let published = Published { record: record.clone(), owner: mark.owner.clone() };
                if let Change::Update { from, .. } = change {
                    records.remove(&from.id());
                }
                records.insert(record.id(), published);
            }
        }
        Change::Shadow(record, owner) => match backed {
            true => {
                let record = record.clone().with_mark(None);
                records.insert(record.id(), Published { record, owner: owner.clone() });
            }
            false => drop(records.remove(&record.id())),
        },
        Change::Delete { record, .. } => drop(records.remove(&record.id())),
        Change::Scope { .. } | Change::Edit { .. } => {}
    }
}
