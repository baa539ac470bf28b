//! Servers, providers and settings that tests share.

use anyhow::{Context, Result, bail};
use causeway_testbed::{Backdoor, Instance, Nacos, NacosVersion, OpenApi, Options, Server, ServiceName, shared};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

static PAIR: OnceCell<(Nacos, Nacos)> = OnceCell::const_new();

/// Nacos 2.5 and 3.1, started once for all tests that leave them running. Each test has a namespace of its own.
pub async fn pair() -> Result<&'static (Nacos, Nacos)> {
    PAIR.get_or_try_init(|| own(NacosVersion::V2_5, NacosVersion::V3_1)).await
}

static OLD: OnceCell<Nacos> = OnceCell::const_new();

/// A server that other test programs may use at the same time: its address and its own API.
pub struct Shared {
    pub address: String,
    pub api: OpenApi,
}

/// One that was started for many test programs, else one of this program's. Namespaces there are to have new names.
pub async fn shared_nacos(server: Server) -> Result<Shared> {
    let version = server.nacos().context("no Nacos")?;
    let address = match (shared(server), version) {
        (Some(address), _) => address,
        (None, NacosVersion::V1_4) => {
            OLD.get_or_try_init(|| Nacos::start(NacosVersion::V1_4, Options::default())).await?.addr()
        }
        (None, NacosVersion::V2_5) => pair().await?.0.addr(),
        (None, NacosVersion::V3_1) => pair().await?.1.addr(),
    };
    let api = OpenApi::connect(version, &format!("http://{address}/nacos"), None)?;
    Ok(Shared { address, api })
}

/// A new namespace on these servers: its id.
pub async fn namespace_at(servers: &[&Shared], name: &str) -> Result<String> {
    let id = format!("{name}-{}", std::process::id());
    for server in servers {
        server.api.create_namespace(&id, &format!("{name} of a test")).await?;
    }
    Ok(id)
}

/// Ends the shared servers and removes their folders.
pub fn end() {
    if let Some(old) = OLD.get() {
        drop(old.kill9());
        drop(std::fs::remove_dir_all(old.data()));
    }
    if let Some((a, b)) = PAIR.get() {
        for server in [a, b] {
            drop(server.kill9());
            drop(std::fs::remove_dir_all(server.data()));
        }
    }
}

/// Two servers for one test alone.
pub async fn own(a: NacosVersion, b: NacosVersion) -> Result<(Nacos, Nacos)> {
    let (a, b) = tokio::join!(Nacos::start(a, Options::default()), Nacos::start(b, Options::default()));
    Ok((a?, b?))
}

/// A namespace of this test on both sides.
pub async fn namespace(servers: &[&Nacos], id: &str) -> Result<()> {
    for server in servers {
        server.open_api().await?.create_namespace(id, &format!("{id} of a test")).await?;
    }
    Ok(())
}

/// Two clusters and one task between them.
pub fn settings(a: &str, b: &str, namespace: &str, mode: &str) -> String {
    format!(
        "clusters:\n  - clusterName: src\n    connectKeyList: [\"{a}\"]\n    clusterType: NACOS\n    namespace: {namespace}\n  \
         - clusterName: dst\n    connectKeyList: [\"{b}\"]\n    clusterType: NACOS\ntasks:\n  - source: src\n    \
         destination: dst\n    type: Service\n    mode: {mode}\n"
    )
}

pub fn service(namespace: &str, n: usize) -> ServiceName {
    ServiceName::new(namespace, "DEFAULT_GROUP", &format!("svc-{n}"))
}

/// `count` instances with ports from `first` on.
pub fn instances(count: u16, first: u16) -> Vec<Instance> {
    (0..count).map(|n| Instance::new("127.0.0.1", first + n).with("zone", "a")).collect()
}

/// `services` × `count` by one provider process on one connection.
pub async fn provide(who: &Backdoor, client: &str, namespace: &str, services: usize, count: u16) -> Result<()> {
    for n in 0..services {
        who.batch_register(client, &service(namespace, n), &instances(count, 20_000)).await?;
    }
    Ok(())
}

/// How many instances subscribers see in all of these services.
pub async fn total(api: &OpenApi, namespace: &str, services: usize) -> Result<usize> {
    let mut sum = 0;
    for n in 0..services {
        sum += api.visible(&service(namespace, n)).await?.len();
    }
    Ok(sum)
}

/// Waits until `test` holds; answers how long that took.
pub async fn until<F: Future<Output = Result<bool>>>(
    what: &str,
    limit: Duration,
    mut test: impl FnMut() -> F,
) -> Result<Duration> {
    let began = Instant::now();
    loop {
        if test().await? {
            return Ok(began.elapsed());
        }
        if began.elapsed() > limit {
            bail!("not within {limit:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub async fn pause(n: u64) {
    tokio::time::sleep(seconds(n)).await;
}
