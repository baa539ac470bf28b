//! A double of Polaris, a namespace of a Nacos, and a node between them.

use crate::estate::{Shared, namespace_at, shared_nacos, until};
use crate::node::Node;
use crate::zk_estate::settings;
use anyhow::{Context, Result, ensure};
use causeway_testbed::{
    Instance, POLARIS_TOKEN, Polaris, PolarisApi, PolarisCounts, PolarisDoor, PolarisRow, PolarisSetup, Server,
    ServiceName,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Clock};
use tokio::task::JoinSet;

/// How often consumers of Polaris look in [`Watch`].
const LOOK: Duration = Duration::from_millis(20);

pub struct Estate {
    pub polaris: Polaris,
    pub api: PolarisApi,
    pub door: PolarisDoor,
    pub nacos: Shared,
    /// The namespace, on both sides.
    pub space: String,
    pub node: Node,
}

impl Estate {
    /// A server that asks for a token, and one task's namespace in it.
    pub async fn new(name: &str) -> Result<Self> {
        let polaris = Polaris::start(PolarisSetup { auth: true, ..PolarisSetup::default() }).await?;
        let (api, door, nacos) = (polaris.api()?, polaris.door()?, shared_nacos(Server::Nacos2).await?);
        let space = namespace_at(&[&nacos], name).await?;
        api.create_namespace(&space, "of a test").await?;
        Ok(Self { polaris, api, door, nacos, space, node: Node::start().await? })
    }

    /// The cluster's line in settings: `more` are further keys, each behind a comma.
    pub fn polaris_cluster(&self, name: &str, more: &str) -> String {
        let [http, grpc] = self.polaris.addresses();
        format!(
            "  - {{clusterName: {name}, clusterType: POLARIS, connectKeyList: [\"{http}\", \"{grpc}\"], token: {POLARIS_TOKEN}{more}}}\n"
        )
    }

    pub fn nacos_cluster(&self, name: &str, more: &str) -> String {
        crate::zk_estate::cluster(name, "NACOS", &self.nacos.address, more)
    }

    /// The two clusters, with the namespace, and these tasks.
    pub fn apply(&self, tasks: &[String]) -> Result<()> {
        let space = format!(", namespace: {}", self.space);
        let clusters = [self.polaris_cluster("polaris", &space), self.nacos_cluster("nacos", &space)];
        self.node.apply(&settings(&clusters, tasks))
    }

    pub fn service(&self, name: &str) -> ServiceName {
        ServiceName::new(&self.space, "DEFAULT_GROUP", name)
    }

    /// What consumers of Nacos see of a service, by port.
    pub async fn seen(&self, name: &str) -> Result<BTreeMap<u16, Instance>> {
        let all = self.nacos.api.visible(&self.service(name)).await?;
        Ok(all.into_iter().map(|one| (one.port, one)).collect())
    }

    /// The same of Polaris, also of those that nobody should call.
    pub async fn held(&self, name: &str) -> Result<BTreeMap<u16, PolarisRow>> {
        let all = self.api.discovered(&self.space, name).await?;
        Ok(all.into_iter().map(|one| (one.port, one)).collect())
    }

    /// Waits until consumers of Nacos see exactly these ports.
    pub async fn shows(&self, name: &str, ports: &[u16], limit: Duration) -> Result<Duration> {
        let look = async || Ok(self.seen(name).await?.into_keys().eq(ports.iter().copied()));
        let done = until(&format!("{name} shows {ports:?} in Nacos"), limit, look).await;
        done.with_context(|| self.state())
    }

    /// Waits until consumers of Polaris see exactly these ports.
    pub async fn polaris_shows(&self, name: &str, ports: &[u16], limit: Duration) -> Result<Duration> {
        let look = async || {
            let mut seen: Vec<_> = self.api.visible(&self.space, name).await?.into_iter().map(|row| row.port).collect();
            seen.sort_unstable();
            Ok(seen == ports)
        };
        let done = until(&format!("{name} shows {ports:?} in Polaris"), limit, look).await;
        done.with_context(|| self.state())
    }

    /// For messages.
    pub fn state(&self) -> String {
        format!("{:?} {}", self.node.task(), self.node.log())
    }

    /// Consumers of Nacos see these ports of a service all the time.
    pub async fn stays(&self, name: &str, ports: &[u16], time: Duration) -> Result<()> {
        let end = Clock::now() + time;
        while Clock::now() < end {
            let seen = self.seen(name).await?;
            ensure!(ports.iter().all(|port| seen.contains_key(port)), "{name} lacks some of {ports:?}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    pub fn verify(&self, task: &str) -> Result<()> {
        let output = self.node.cli(&["verify", task, "-o", "json"])?;
        ensure!(output.status.success(), "{task}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    }

    /// The writes of instances since the calls were counted last.
    pub async fn writes(&self) -> Result<(usize, usize)> {
        let counts = self.door.counts().await?;
        let of = |map: &BTreeMap<String, usize>, name: &str| map.get(name).copied().unwrap_or_default();
        let names = ["POST /naming/v1/instances", "PUT /naming/v1/instances"];
        let calls = names.iter().map(|name| of(&counts.calls, name)).sum();
        Ok((calls, names.iter().map(|name| of(&counts.largest, name)).max().unwrap_or_default()))
    }

    /// No call was refused but those whose names begin so.
    pub async fn nothing_refused(&self, but: &[&str]) -> Result<PolarisCounts> {
        let counts = self.door.counts().await?;
        let others: Vec<_> =
            counts.refused.iter().filter(|(name, _)| !but.iter().any(|but| name.starts_with(but))).collect();
        ensure!(others.is_empty(), "refused: {others:?}");
        Ok(counts)
    }
}

/// Consumers of Polaris that look every 20 ms, and must see as many instances of a service every time.
pub struct Watch {
    looks: Arc<AtomicUsize>,
    work: JoinSet<Result<()>>,
}

impl Watch {
    pub fn start(api: &PolarisApi, space: &str, services: &[(String, usize)]) -> Self {
        let (looks, mut work) = (Arc::<AtomicUsize>::default(), JoinSet::new());
        for (service, count) in services {
            let (api, space, service, count, looks) =
                (api.clone(), space.to_owned(), service.clone(), *count, looks.clone());
            work.spawn(async move {
                loop {
                    let seen = api.visible(&space, &service).await?;
                    ensure!(seen.len() == count, "{service} shows {} of {count}: {seen:?}", seen.len());
                    looks.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(LOOK).await;
                }
            });
        }
        Self { looks, work }
    }

    /// How many looks there were. An error if one has seen something else.
    pub async fn end(mut self) -> Result<usize> {
        if let Some(ended) = self.work.try_join_next() {
            ended??;
        }
        Ok(self.looks.load(Ordering::Relaxed))
    }
}
