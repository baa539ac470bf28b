//! The registry in memory.

use super::open;
use crate::shape::Shape;
use crate::subject::{Facts, Kind, Limit, Meter, Session, Subject, Told, Who};
use anyhow::Result;
use causeway_connectors::Connect;
use causeway_connectors::memory::{Fault, Memory, Names};
use causeway_core::{Instance, InstanceId, Part, ServiceKey};
use causeway_testbed::Server;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The registry in memory; a new one for every test.
#[derive(Clone)]
pub struct MemoryKind {
    label: &'static str,
    /// Begins its table of losses.
    versions: &'static str,
    names: Names,
    shape: Shape,
}

impl MemoryKind {
    /// One that takes every name.
    pub fn plain() -> Self {
        Self { label: "memory", versions: "", names: Names::default(), shape: Shape::PLAIN }
    }

    /// One without namespaces and groups, whose names are host names in lower case.
    pub fn flat() -> Self {
        let shape = Shape {
            only: Some(("public", "DEFAULT_GROUP")),
            service: str::to_ascii_lowercase,
            neighbours: ["orders", "order", "orders-1", "orders.1"],
            ..Shape::PLAIN
        };
        let names = Names { one_part: true, one_group: true, host_names: true, ..Names::default() };
        Self { label: "memory_flat", versions: " of narrow names", names, shape }
    }
}

impl Kind for MemoryKind {
    type Subject = MemorySubject;

    fn label(&self) -> &'static str {
        self.label
    }
    fn needs(&self) -> &'static [Server] {
        &[]
    }
    async fn shared(&self) -> Result<MemorySubject> {
        let name = uuid::Uuid::new_v4().to_string();
        let memory = Memory::named(&name);
        memory.narrow(self.names.clone());
        Ok(MemorySubject { name, memory, versions: self.versions, shape: self.shape, published: Mutex::default() })
    }
    async fn own(&self) -> Result<MemorySubject> {
        self.shared().await
    }
}

/// One registry.
pub struct MemorySubject {
    name: String,
    memory: Memory,
    versions: &'static str,
    shape: Shape,
    published: Mutex<BTreeMap<(String, ServiceKey), BTreeSet<InstanceId>>>,
}

impl Subject for MemorySubject {
    fn facts(&self) -> Facts {
        Facts {
            kind: "memory",
            versions: self.versions,
            told_in: Duration::from_millis(200),
            found_in: Duration::from_secs(2),
            health_in: Duration::from_millis(200),
            lost_in: Duration::from_secs(2),
            ends_in: Duration::from_millis(200),
            checked_in: Duration::from_millis(100),
            expiry: None,
            size_limit: Limit::None,
            calls_to_write: |services, instances| services * instances,
            calls_to_read: |_, _| 0,
            calls_at_once: 1,
            shape: self.shape,
        }
    }

    async fn open(&self, who: &Who, namespaces: &[String]) -> Result<Session> {
        match who {
            Who::Administrator => {}
            Who::WrongPassword => self.memory.fail(Fault::Denied),
            // The registry knows no users: what is denied is denied to all. See `deny`.
            Who::Only(_) => {}
        }
        open(
            "memory",
            Connect { addresses: vec![self.name.clone()], namespaces: namespaces.to_vec(), ..Connect::default() },
        )
    }

    async fn open_next(&self) -> Result<Session> {
        self.open(&Who::Administrator, &[]).await
    }

    async fn open_metered(&self) -> Result<(Session, Meter)> {
        let (memory, before) = (self.memory.clone(), self.memory.writes());
        let calls = Box::new(move || usize::try_from(memory.writes() - before).unwrap_or(usize::MAX));
        let meter = Meter { calls, peak: Box::new(|| 0), wire: Box::new(()) };
        Ok((self.open(&Who::Administrator, &[]).await?, meter))
    }

    async fn create_namespace(&self, id: &str) -> Result<()> {
        self.memory.create_part(id, None);
        Ok(())
    }
    async fn remove_namespace(&self, id: &str) -> Result<()> {
        self.memory.remove_part(id);
        Ok(())
    }

    async fn publish(&self, provider: &str, service: &ServiceKey, instances: &[Instance]) -> Result<()> {
        let ids: BTreeSet<_> = instances.iter().map(|one| one.id.clone()).collect();
        let key = (provider.to_owned(), service.clone());
        let before = self.published.lock().insert(key, ids.clone()).unwrap_or_default();
        for gone in before.difference(&ids) {
            self.memory.deregister(service, provider, gone);
        }
        for instance in instances {
            self.memory.register(service, provider, instance.clone());
        }
        Ok(())
    }

    async fn edit(&self, service: &ServiceKey, as_wanted: &Instance) -> Result<bool> {
        self.memory.override_with(service, as_wanted.clone());
        Ok(true)
    }
    async fn visible(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        Ok(self.memory.list(service))
    }
    async fn truth(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        Ok(self.memory.truth(service))
    }
    async fn subscribe(&self, _: &ServiceKey) -> Result<Told> {
        Ok(Box::new(Vec::new))
    }
    async fn unwelcome(&self, mut record: Instance) -> Instance {
        self.memory.refuse_host("unwelcome.example");
        record.id.endpoint.host = "unwelcome.example".into();
        record
    }
    async fn deny(&self, service: &ServiceKey) -> Result<()> {
        self.memory.fail(Fault::PartDenied(Part::new(&service.namespace)));
        Ok(())
    }
    async fn stop(&self) -> Result<()> {
        self.memory.fail(Fault::Down);
        Ok(())
    }
    async fn start(&self) -> Result<()> {
        self.memory.fail(Fault::None);
        Ok(())
    }
}
