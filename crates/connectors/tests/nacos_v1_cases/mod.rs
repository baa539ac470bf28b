//! The cases, by the servers that they need.

pub mod restarts;
pub mod shared;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use causeway_connectors::Connect;
use causeway_core::{Instance, ServiceKey};
use causeway_testbed::{Instance as Row, NacosVersion, OpenApi, ServiceName};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::nacos_ports::{Session, open};

/// The vendor's own way in.
pub fn door(address: &str) -> Result<OpenApi> {
    OpenApi::connect(NacosVersion::V1_4, &format!("http://{address}/nacos"), None)
}

pub fn name(scope: &ServiceKey) -> ServiceName {
    ServiceName::new(&scope.namespace, &scope.group, &scope.name)
}

/// Opens the cluster at one address.
pub fn at(address: &str) -> Result<Session> {
    open(Connect { addresses: vec![address.to_owned()], ..Connect::default() })
}

/// A namespace that no other run uses.
pub fn namespace() -> String {
    format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..8])
}

/// As a provider writes it.
pub fn row(instance: &Instance) -> Row {
    let mut row = Row::new(&instance.id.endpoint.host, instance.id.endpoint.port);
    row.weight = instance.weight;
    row.enabled = instance.enabled;
    row.metadata = instance.metadata.to_map();
    row
}

/// A provider: registers and beats until it is dropped.
pub struct Provider {
    _beats: JoinSet<()>,
}

impl Provider {
    pub async fn start(api: &OpenApi, scope: &ServiceKey, instance: &Instance) -> Result<Self> {
        let (api, service, row) = (api.clone(), name(scope), row(instance));
        api.register(&service, &row).await?;
        let mut beats = JoinSet::new();
        beats.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(2)).await;
                if !api.beat(&service, &row).await.unwrap_or(true) {
                    drop(api.register(&service, &row).await);
                }
            }
        });
        Ok(Self { _beats: beats })
    }
}

/// Counts the looks at which not all of `wanted` instances of a service were shown as healthy.
pub struct Gaps {
    pub seen: Arc<Mutex<(usize, usize)>>,
    _looks: JoinSet<()>,
}

impl Gaps {
    pub fn watch(api: &OpenApi, scope: &ServiceKey, wanted: usize) -> Self {
        let (api, service, seen) = (api.clone(), name(scope), Arc::new(Mutex::new((0, 0))));
        let counted = seen.clone();
        let mut looks = JoinSet::new();
        looks.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let list = api.visible(&service).await;
                let mut counted = counted.lock();
                counted.0 += 1;
                counted.1 +=
                    usize::from(list.is_ok_and(|list| list.iter().filter(|one| one.healthy).count() != wanted));
            }
        });
        Self { seen, _looks: looks }
    }

    /// Looks that missed something.
    pub fn missed(&self) -> usize {
        self.seen.lock().1
    }
}
