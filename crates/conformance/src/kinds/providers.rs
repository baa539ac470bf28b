//! What native providers publish, each on a connection of its own.

use anyhow::Result;
use causeway_testbed::{Backdoor, Connect, Instance, NacosVersion, OpenApi, ServiceName};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::interval;

/// A server of 1.x needs a beat every 5 s.
const BEAT: Duration = Duration::from_secs(3);

type Published = BTreeMap<(String, ServiceName), Vec<Instance>>;

/// The providers of one test.
pub struct Providers {
    door: Arc<Backdoor>,
    api: OpenApi,
    server: String,
    user: Option<(String, String)>,
    /// Begins the names of our clients in the shared Java process.
    tag: String,
    clients: tokio::sync::Mutex<BTreeSet<String>>,
    published: Arc<Mutex<Published>>,
    beats: Mutex<JoinSet<()>>,
}

impl Providers {
    /// None yet.
    pub fn new(door: Arc<Backdoor>, api: OpenApi, server: &str, user: Option<(String, String)>) -> Self {
        Self {
            door,
            api,
            server: server.to_owned(),
            user,
            tag: uuid::Uuid::new_v4().simple().to_string(),
            clients: tokio::sync::Mutex::default(),
            published: Arc::default(),
            beats: Mutex::default(),
        }
    }

    /// The vendor's client of this name in this namespace; connects at the first call.
    pub async fn client(&self, provider: &str, namespace: &str) -> Result<String> {
        let name = format!("{}/{namespace}/{provider}", self.tag);
        let mut clients = self.clients.lock().await;
        if !clients.contains(&name) {
            let mut how = Connect::to(&self.server, namespace);
            how.user.clone_from(&self.user);
            self.door.connect_as(&name, &how).await?;
            clients.insert(name.clone());
        }
        Ok(name)
    }

    /// `provider` publishes exactly these from now on.
    pub async fn publish(&self, provider: &str, service: &ServiceName, instances: &[Instance]) -> Result<()> {
        let key = (provider.to_owned(), service.clone());
        let before = self.published.lock().insert(key, instances.to_vec()).unwrap_or_default();
        let http = self.api.version() == NacosVersion::V1_4;
        let by_http = |one: &&Instance| http || !one.ephemeral;
        let same_place = |a: &Instance, b: &Instance| a.address() == b.address() && a.cluster == b.cluster;
        for gone in before.iter().filter(by_http).filter(|old| !instances.iter().any(|new| same_place(old, new))) {
            self.api.deregister(service, gone).await?;
        }
        for one in instances.iter().filter(by_http).filter(|new| !before.contains(*new)) {
            self.api.register(service, one).await?;
        }
        if http {
            self.beat();
            return Ok(());
        }
        let pushed = |list: &[Instance]| list.iter().filter(|one| one.ephemeral).cloned().collect::<Vec<_>>();
        let (before, now) = (pushed(&before), pushed(instances));
        if before.is_empty() && now.is_empty() {
            return Ok(());
        }
        let client = self.client(provider, &service.namespace).await?;
        match (before.as_slice(), now.as_slice()) {
            ([one], []) => self.door.deregister(&client, service, one).await,
            (many, []) => self.door.batch_deregister(&client, service, many).await,
            (_, [one]) => self.door.register(&client, service, one).await,
            (_, many) => self.door.batch_register(&client, service, many).await,
        }
    }

    /// Upholds what was registered over HTTP; an unhealthy one is one without beats.
    fn beat(&self) {
        let mut beats = self.beats.lock();
        if !beats.is_empty() {
            return;
        }
        let (api, published) = (self.api.clone(), self.published.clone());
        beats.spawn(async move {
            let mut tick = interval(BEAT);
            loop {
                tick.tick().await;
                let now = published.lock().clone();
                for ((_, service), instances) in now {
                    for one in instances.iter().filter(|one| one.ephemeral && one.healthy) {
                        // As the vendor's client: who is not known registers again, and a server that is away will
                        // hear the next beat.
                        if let Ok(false) = api.beat(&service, one).await {
                            drop(api.register(&service, one).await);
                        }
                    }
                }
            }
        });
    }

    /// Ends all clients.
    pub async fn close(&self) -> Result<()> {
        let clients = std::mem::take(&mut *self.clients.lock().await);
        for client in clients {
            self.door.close(&client).await?;
        }
        self.beats.lock().abort_all();
        Ok(())
    }
}
