//! Clusters in memory, an engine between them, and a notebook of what it said.
#![allow(dead_code, clippy::unwrap_used)]

use causeway_connectors::memory::{Memory, MemoryPorts};
use causeway_core::*;
use causeway_engine::*;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub type Ledgers = BTreeMap<ClusterId, Ledger>;

#[derive(Default)]
pub struct Notebook {
    pub events: Mutex<Vec<Event>>,
    pub ledger: Mutex<BTreeMap<(ClusterId, ServiceKey), Written>>,
    /// How long it takes until a later process would find what was noted.
    pub slow: Mutex<Duration>,
}

impl Recorder for Notebook {
    fn ledger(&self, cluster: &ClusterId, scope: &ServiceKey, written: &Written) {
        self.ledger.lock().insert((cluster.clone(), scope.clone()), written.clone());
    }
    fn kept(&self) -> BoxFuture<'_, ()> {
        let slow = *self.slow.lock();
        Box::pin(tokio::time::sleep(slow))
    }
    fn event(&self, event: Event) {
        self.events.lock().push(event);
    }
    fn only(&self, _: &OwnerId, _: &ClusterId, _: &BTreeSet<ServiceKey>) {}
}

impl Notebook {
    pub fn count(&self, action: Action) -> usize {
        self.events.lock().iter().filter(|event| event.action == action).count()
    }
    pub fn said(&self, action: Action, words: &str) -> bool {
        self.events.lock().iter().any(|event| event.action == action && event.reason.to_string().contains(words))
    }
    /// What the next process finds.
    pub fn ledgers(&self) -> Ledgers {
        let mut ledgers = Ledgers::new();
        for ((cluster, scope), written) in self.ledger.lock().iter().filter(|(_, written)| !written.is_empty()) {
            ledgers.entry(cluster.clone()).or_default().insert(scope.clone(), Arc::new(written.clone()));
        }
        ledgers
    }
}

/// Registries by name, and one process of ours.
pub struct World {
    pub install: String,
    pub clusters: BTreeMap<String, Memory>,
    pub ports: BTreeMap<String, Arc<MemoryPorts>>,
    pub notebook: Arc<Notebook>,
    pub engine: Arc<Engine>,
    pub routes: Vec<RouteSpec>,
    lens: Arc<ServiceLens>,
}

impl World {
    pub fn new(install: &str, clusters: &BTreeMap<String, Memory>) -> Self {
        Self::after(install, clusters, Arc::default())
    }

    /// A process that finds what an earlier one has noted.
    pub fn after(install: &str, clusters: &BTreeMap<String, Memory>, notebook: Arc<Notebook>) -> Self {
        let engine = Engine::new(Timing::default(), notebook.clone(), notebook.ledgers());
        Self {
            install: install.into(),
            clusters: clusters.clone(),
            ports: clusters.iter().map(|(n, memory)| (n.clone(), Arc::new(MemoryPorts::open(memory)))).collect(),
            notebook,
            engine,
            routes: Vec::new(),
            lens: Arc::default(),
        }
    }

    pub fn route(&self, task: &str, from: &str, to: &str) -> RouteSpec {
        RouteSpec {
            task: task.into(),
            owner: OwnerId::new(&self.install, task),
            source: self.id(from),
            destination: self.id(to),
            way_back: false,
            parts: None,
            lens: self.lens.clone(),
            mode: WriteMode::Sync,
            overrides: Overrides::Keep,
            relay: false,
            take_over: None,
            guard: GuardLimits::default(),
            settle: Duration::from_secs(30),
            only: Only::Any,
            run: RunState::On,
        }
    }

    pub fn one_way(mut self, from: &str, to: &str) -> Self {
        self.routes.push(self.route("task", from, to));
        self.start();
        self
    }

    pub fn two_way(mut self, a: &str, b: &str) -> Self {
        self.routes.push(self.route("task", a, b));
        self.routes.push(RouteSpec { way_back: true, ..self.route("task", b, a) });
        self.start();
        self
    }

    pub fn start(&self) {
        let clusters = self.ports.iter().map(|(name, ports)| ClusterSpec {
            id: self.id(name),
            name: name.as_str().into(),
            port: Port::read_write(ports.clone()),
        });
        self.engine.configure(clusters.collect(), self.routes.clone());
    }

    pub fn run_all(&mut self, run: RunState) {
        self.routes.iter_mut().for_each(|route| route.run = run);
        self.start();
    }

    pub fn id(&self, name: &str) -> ClusterId {
        ClusterId::of(&format!("{}/{name}", self.install))
    }

    pub fn owner(&self) -> OwnerId {
        OwnerId::new(&self.install, "task")
    }

    pub fn held(&self) -> usize {
        self.engine.status().iter().map(|status| status.held).sum()
    }

    /// The process dies; its sessions end after `linger`, or are kept.
    pub async fn crash(self, expire: bool) -> Arc<Notebook> {
        self.engine.stop().await;
        if expire {
            for (name, ports) in &self.ports {
                self.clusters[name].expire(ports.session());
            }
        }
        self.notebook.clone()
    }
}

pub fn registries(names: &[&str]) -> BTreeMap<String, Memory> {
    names.iter().map(|name| ((*name).to_owned(), Memory::new())).collect()
}

pub fn service(n: usize) -> ServiceKey {
    ServiceKey::new("public", "DEFAULT_GROUP", &format!("s{n}"))
}

pub fn instance(port: u16) -> Instance {
    Instance::new("127.0.0.1", port)
}

/// `services` × `instances`, each by a provider of its own.
pub fn populate(memory: &Memory, services: usize, instances: usize) {
    for n in 0..services {
        for i in 0..instances {
            memory.register(&service(n), &format!("p{i}"), instance(1000 + i as u16));
        }
    }
}

pub fn total(memory: &Memory) -> usize {
    memory.services().iter().map(|scope| memory.list(scope).len()).sum()
}

pub async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}
pub async fn millis(n: u64) {
    tokio::time::sleep(Duration::from_millis(n)).await;
}
