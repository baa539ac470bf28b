//! A gateway, a source, a node between them, and live traffic.

use crate::estate::{Shared, namespace_at, seconds, shared_nacos, until};
use crate::node::Node;
use crate::zk_estate::{cluster, settings};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{HttpBackend, Instance, Kong, KongApi, KongDesk, KongSetup, Server, ServiceName};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Clock};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// A Kong, a namespace of a Nacos, a folder of static services, and a node.
pub struct KongEstate {
    pub kong: Kong,
    pub api: KongApi,
    pub desk: KongDesk,
    pub nacos: Shared,
    pub space: String,
    pub node: Node,
    pub folder: TempDir,
    more: String,
}

/// Targets by port, with their weights.
pub type Weights = BTreeMap<u16, u16>;

impl KongEstate {
    /// `more`: further keys of the Kong cluster, each behind a comma.
    pub async fn new(name: &str, setup: KongSetup, more: &str) -> Result<Self> {
        let kong = Kong::start(setup).await?;
        let (api, desk) = (kong.api()?, kong.desk()?);
        let nacos = shared_nacos(Server::Nacos2).await?;
        let space = namespace_at(&[&nacos], name).await?;
        let (node, folder) = (Node::start().await?, TempDir::with_prefix("causeway-static-")?);
        Ok(Self { kong, api, desk, nacos, space, node, folder, more: more.to_owned() })
    }

    /// All clusters of the estate in settings: `nacos`, `static` and `gateway`.
    pub fn clusters(&self) -> Vec<String> {
        vec![
            cluster("nacos", "NACOS", &self.nacos.address, &format!(", namespace: {}", self.space)),
            cluster("static", "FILE", &self.file().display().to_string(), ""),
            cluster("gateway", "KONG", &self.kong.addr(), &self.more),
        ]
    }

    /// Applies one task to the gateway. `more`: further keys of it, each behind a comma.
    pub fn apply(&self, source: &str, more: &str) -> Result<()> {
        let task = format!("  - {{source: {source}, destination: gateway, settle: 2s{more}}}\n");
        self.node.apply(&settings(&self.clusters(), &[task]))
    }

    pub fn service(&self, name: &str) -> ServiceName {
        ServiceName::new(&self.space, "DEFAULT_GROUP", name)
    }

    /// The upstream of a group of a service of the Nacos.
    pub fn upstream(&self, service: &str, group: &str) -> String {
        format!("nacos.{}.{service}.{group}", self.space)
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("services.json")
    }

    /// What the file says from now on: services with their ports, each instance at 127.0.0.1.
    pub fn write(&self, services: &BTreeMap<String, Vec<u16>>) -> Result<()> {
        let instance = |port: &u16| serde_json::json!({"address": format!("127.0.0.1:{port}")});
        let service = |(name, ports): (&String, &Vec<u16>)| {
            let instances: Vec<_> = ports.iter().map(instance).collect();
            serde_json::json!({"name": name, "instances": instances})
        };
        let text = serde_json::json!({"services": services.iter().map(service).collect::<Vec<_>>()}).to_string();
        let fresh = self.folder.path().join("fresh");
        std::fs::write(&fresh, text)?;
        Ok(std::fs::rename(fresh, self.file())?)
    }

    /// The targets of an upstream that stand at 127.0.0.1.
    pub async fn targets(&self, upstream: &str) -> Result<Weights> {
        let all = self.api.targets(upstream).await?;
        let port = |target: &str| target.strip_prefix("127.0.0.1:")?.parse().ok();
        Ok(all.into_values().filter_map(|one| Some((port(&one.target)?, one.weight))).collect())
    }

    /// Waits until an upstream has exactly these targets.
    pub async fn shows(&self, upstream: &str, wanted: &[(u16, u16)], limit: Duration) -> Result<Duration> {
        let wanted: Weights = wanted.iter().copied().collect();
        let look = async || Ok(self.targets(upstream).await? == wanted);
        let done = until(&format!("{upstream} has {wanted:?}"), limit, look).await;
        let seen = self.targets(upstream).await?;
        done.with_context(|| format!("it has {seen:?}; {:?}\n{}", self.node.task(), self.node.log()))
    }

    /// An upstream never lacks one of these ports for so long.
    pub async fn stays(&self, upstream: &str, ports: &[u16], time: Duration) -> Result<()> {
        let end = Clock::now() + time;
        while Clock::now() < end {
            let seen = self.targets(upstream).await?;
            ensure!(ports.iter().all(|port| seen.contains_key(port)), "{upstream} lacks some of {ports:?}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Attaches a route to a service that stands, and waits until the proxy takes it.
    pub async fn expose(&self, service: &str, path: &str) -> Result<()> {
        self.api.route(service, path).await?;
        let url = format!("http://{}{path}", self.kong.proxy_addr());
        let taken = async || Ok(reqwest::get(&url).await.is_ok_and(|answer| answer.status() == 200));
        until(&format!("{path} is served"), seconds(10), taken).await.map(drop)
    }

    /// Whether the source and the gateway are in step.
    pub fn verify(&self, task: &str) -> Result<()> {
        let output = self.node.cli(&["verify", task, "-o", "json"])?;
        ensure!(output.status.success(), "{task}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    }
}

/// A provider's own program, and what it registers.
pub fn instance(backend: &HttpBackend, version: &str) -> Instance {
    Instance::new("127.0.0.1", backend.port()).with("version", version)
}

/// Requests through the proxy, one after another at each of several clients.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    work: JoinSet<Tally>,
}

/// What became of them.
#[derive(Debug, Default)]
pub struct Tally {
    /// By the port that answered.
    pub good: BTreeMap<u16, usize>,
    pub bad: Vec<String>,
}

const CLIENTS: usize = 4;
/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(4);

impl Traffic {
    /// Goes on until [`Self::end`].
    pub fn start(kong: &Kong, path: &str) -> Result<Self> {
        let (stop, mut work) = (Arc::<AtomicBool>::default(), JoinSet::new());
        for _ in 0..CLIENTS {
            let client = reqwest::Client::builder().no_proxy().timeout(seconds(10)).build()?;
            let (url, stop) = (format!("http://{}{path}", kong.proxy_addr()), stop.clone());
            work.spawn(async move {
                let mut tally = Tally::default();
                while !stop.load(Ordering::Relaxed) {
                    match answer(&client, &url).await {
                        Ok(port) => *tally.good.entry(port).or_default() += 1,
                        Err(error) => tally.bad.push(format!("{error:#}")),
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                tally
            });
        }
        Ok(Self { stop, work })
    }

    pub async fn end(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        for tally in self.work.join_all().await {
            sum.bad.extend(tally.bad);
            tally.good.into_iter().for_each(|(port, count)| *sum.good.entry(port).or_default() += count);
        }
        sum
    }
}

impl Tally {
    /// None has failed; gives how many there were.
    pub fn whole(&self) -> Result<usize> {
        let good = self.good.values().sum();
        ensure!(self.bad.is_empty(), "{} of {} requests failed: {:?}", self.bad.len(), self.bad.len() + good, self.bad);
        ensure!(good > 100, "only {good} requests");
        Ok(good)
    }
}

/// The port of who answered.
async fn answer(client: &reqwest::Client, url: &str) -> Result<u16> {
    let answer = client.get(url).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 200, "{status}: {text}");
    Ok(text.parse()?)
}
