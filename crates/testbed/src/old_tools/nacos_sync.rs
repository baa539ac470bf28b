//! nacos-sync 0.5.0 between two Nacos: it registers over HTTP, as its client of version 1.4 does, and keeps its copies by heart
//! beats. Changes of metadata are never passed on, and an instance whose weight has changed is registered and then deregistered.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::open_api::OpenApi;
use crate::record::{Instance, ServiceName};

/// How often the source is looked at, and how often each copy is beaten for.
const LOOK: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_secs(5);

/// What to copy, and from where to where. Names of services stay as they are.
pub struct NacosSyncSetup {
    pub from: OpenApi,
    pub to: OpenApi,
    pub services: Vec<ServiceName>,
    /// The ids that it gave the two clusters.
    pub source_id: String,
    pub destination_id: String,
}

/// The running tool. Dropping it is like a kill -9: nothing is deregistered, and nobody beats any more.
pub struct NacosSync {
    _work: JoinSet<()>,
}

/// A copy is known by its service and address.
type Copies = BTreeMap<(ServiceName, String), Instance>;

struct Tool {
    setup: NacosSyncSetup,
    copies: Copies,
}

impl NacosSync {
    /// Starts it, and returns once it has copied what the source had.
    pub async fn start(setup: NacosSyncSetup) -> Result<Self> {
        let mut tool = Tool { setup, copies: Copies::new() };
        tool.look().await?;
        let mut work = JoinSet::new();
        work.spawn(async move { tool.run().await });
        Ok(Self { _work: work })
    }

    /// kill -9.
    pub fn kill9(self) {}
}

impl Tool {
    async fn run(&mut self) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beat_at = Instant::now() + BEAT;
        loop {
            tick.tick().await;
            if let Err(error) = self.look().await {
                eprintln!("nacos-sync: {error:#}");
            }
            if Instant::now() >= beat_at {
                beat_at += BEAT;
                if let Err(error) = self.beat().await {
                    eprintln!("nacos-sync: {error:#}");
                }
            }
        }
    }

    /// What it makes of a record of the source; `None`: a copy of its own kind is never a source.
    fn copy(&self, native: &Instance) -> Option<Instance> {
        if ["sourceClusterId", "sync.instance.tag"].iter().any(|key| native.metadata.contains_key(*key)) {
            return None;
        }
        let NacosSyncSetup { source_id, destination_id, .. } = &self.setup;
        let copy = native.clone().with("destClusterId", destination_id).with("syncSource", "NACOS");
        Some(copy.with("sourceClusterId", source_id).with("sync.instance.tag", &format!("{source_id}@@null")))
    }

    async fn look(&mut self) -> Result<()> {
        for service in self.setup.services.clone() {
            let listed = self.setup.from.all(&service).await?;
            let wanted: BTreeMap<_, _> =
                listed.iter().filter_map(|native| Some((native.address(), self.copy(native)?))).collect();
            for (address, copy) in &wanted {
                let key = (service.clone(), address.clone());
                match self.copies.get(&key) {
                    // Whatever has become of its metadata.
                    Some(known) if known.weight == copy.weight && known.healthy == copy.healthy => {}
                    known => {
                        let changed = known.is_some();
                        self.setup.to.register_as_client(&service, copy).await?;
                        self.copies.insert(key.clone(), copy.clone());
                        if changed {
                            self.setup.to.deregister_as_client(&service, copy).await?;
                        }
                    }
                }
            }
            let gone = |(one, address): &(ServiceName, String)| *one == service && !wanted.contains_key(address);
            for key in self.copies.keys().filter(|key| gone(key)).cloned().collect::<Vec<_>>() {
                if let Some(copy) = self.copies.remove(&key) {
                    self.setup.to.deregister_as_client(&service, &copy).await?;
                }
            }
        }
        Ok(())
    }

    /// What the server does not know is registered again, as its client does.
    async fn beat(&self) -> Result<()> {
        for ((service, _), copy) in self.copies.iter().filter(|(_, copy)| copy.ephemeral) {
            if !self.setup.to.beat(service, copy).await? {
                self.setup.to.register_as_client(service, copy).await?;
            }
        }
        Ok(())
    }
}
