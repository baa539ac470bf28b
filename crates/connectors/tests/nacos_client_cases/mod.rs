//! The cases, by what they use.

pub mod cut;
pub mod grpc;
pub mod http;
pub mod kept;

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use causeway_connectors::nacos::client::{Error, NacosClient, ServiceKey, WireInstance};

/// A key that no other run uses.
pub fn key(name: &str) -> ServiceKey {
    ServiceKey::new("public", "causeway-test", &format!("{name}-{}", unique()))
}

/// Differs from run to run.
pub fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..8].to_owned()
}

/// `count` instances with metadata, in 127.0.0.0/8.
pub fn set(count: u16) -> Vec<WireInstance> {
    (0..count)
        .map(|n| {
            let mut instance = WireInstance::new(&format!("127.0.{}.{}", n / 250, n % 250 + 1), 7000 + n);
            instance.weight = 0.5;
            instance.metadata.insert("zone", format!("z{n} ü"));
            instance
        })
        .collect()
}

/// Asks until `check` is content, for at most `limit`.
pub async fn until<F, Fut>(what: &str, limit: Duration, mut check: F) -> Result<Duration>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<bool>>,
{
    let started = Instant::now();
    loop {
        if check().await? {
            return Ok(started.elapsed());
        }
        if started.elapsed() > limit {
            bail!("not within {limit:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sorted `ip:port` of what the server has, disabled ones included; none for no service.
pub async fn standing(client: &NacosClient, key: &ServiceKey) -> Result<Vec<WireInstance>> {
    match client.truth(key).await {
        Ok(mut truth) => {
            truth.instances.sort_by_key(|i| (i.ip.clone(), i.port));
            Ok(truth.instances)
        }
        Err(Error::NotFound(_) | Error::Unavailable(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until exactly `count` instances stand.
pub async fn stands(client: &NacosClient, key: &ServiceKey, count: usize) -> Result<Duration> {
    until(&format!("{count} in {key}"), Duration::from_secs(10), || async {
        Ok(standing(client, key).await?.len() == count)
    })
    .await
}
