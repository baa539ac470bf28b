//! Switching from another tool is no outage: it runs, ours starts beside it, it is killed, and nobody sees anything.

use crate::estate::{Shared, namespace_at, provide, seconds, service, shared_nacos, until};
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Backdoor, Instance, NacosSync, NacosSyncSetup, PolarisSync, Poller, Server, ServiceName};
use serde_json::Value;
use std::time::Duration;

const SERVICES: usize = 3;
const INSTANCES: u16 = 3;

pub async fn from_nacos_sync_on_2_5() -> Result<()> {
    from_nacos_sync("old-2", Server::Nacos3, Server::Nacos2).await
}

pub async fn from_nacos_sync_on_1_4() -> Result<()> {
    from_nacos_sync("old-1", Server::Nacos2, Server::Nacos1).await
}

pub async fn from_nacos_sync_on_3_1() -> Result<()> {
    from_nacos_sync("old-3", Server::Nacos2, Server::Nacos3).await
}

fn settings(a: &Shared, b: &Shared, ns: &str, tool: &str) -> String {
    let task = crate::estate::settings(&a.address, &b.address, ns, "Unidirectional");
    format!("{task}    takeOver: {tool}\n    settle: 5s\n")
}

/// What a subscriber of the vendor's client and one that polls every 20 ms see of these services.
struct Watch {
    polls: Poller,
    services: Vec<ServiceName>,
    told: Option<(Backdoor, causeway_testbed::Subscription)>,
}

impl Watch {
    async fn start(at: &Shared, services: &[ServiceName], subscribes: bool) -> Result<Self> {
        let polls = Poller::start(at.api.clone(), services.to_vec());
        let told = match subscribes {
            false => None,
            true => {
                let watcher = Backdoor::start().await?;
                watcher.connect("w", &at.address, &services[0].namespace).await?;
                let told = watcher.subscribe("w", &services[0]).await?;
                told.wait(seconds(5), |hosts| hosts.len() == usize::from(INSTANCES)).await?;
                told.forget();
                Some((watcher, told))
            }
        };
        Ok(Self { polls, services: services.to_vec(), told })
    }

    /// No instance was missing at any time, and none stood there twice for longer than a second.
    fn check(&self, when: &str) -> Result<()> {
        let report = self.polls.report();
        for service in &self.services {
            let watched = report.services.get(service).context("not polled")?;
            ensure!(watched.gaps.is_empty(), "{when}: {service:?}: {:?}", watched.gaps);
        }
        let double = report.longest_double(Duration::MAX);
        ensure!(double <= seconds(1), "{when}: seen twice for {double:?}: {:?}", report.services);
        if let Some((_, told)) = &self.told {
            let missing = told.events().into_iter().find(|event| event.instances.len() < usize::from(INSTANCES));
            ensure!(missing.is_none(), "{when}: a subscriber was told {missing:?}");
        }
        Ok(())
    }
}

/// Whether all that stands in these services is ours, and says nothing of the other tool.
async fn all_ours(at: &Shared, services: &[ServiceName]) -> Result<bool> {
    for service in services {
        let all = at.api.all(service).await?;
        let ours = |one: &Instance| {
            let keys = ["sourceClusterId", "syncSource", "destClusterId", "sync.instance.tag", "__sync__"];
            one.metadata.contains_key("causeway") && keys.iter().all(|key| !one.metadata.contains_key(*key))
        };
        if all.len() != usize::from(INSTANCES) || !all.iter().all(ours) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What `get tasks` says of the first task.
fn reason(node: &Node) -> Result<String> {
    Ok(node.task()?["reason"].as_str().unwrap_or_default().to_owned())
}

async fn from_nacos_sync(name: &str, source: Server, destination: Server) -> Result<()> {
    let (a, b) = (shared_nacos(source).await?, shared_nacos(destination).await?);
    let ns = namespace_at(&[&a, &b], name).await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.address, &ns).await?;
    provide(&who, "p", &ns, SERVICES, INSTANCES).await?;
    let mut services: Vec<_> = (0..SERVICES).map(|n| service(&ns, n)).collect();
    // Persistent ones, which pass the servers' health checks.
    services.push(ServiceName::new(&ns, "DEFAULT_GROUP", "fixed"));
    let mut listening = Vec::new();
    for _ in 0..INSTANCES {
        let listener = std::net::TcpListener::bind("127.0.0.9:0")?;
        let one = Instance::new("127.0.0.9", listener.local_addr()?.port()).with("zone", "a");
        a.api.register(&services[SERVICES], &Instance { ephemeral: false, ..one }).await?;
        listening.push(listener);
    }
    let total = services.len() * usize::from(INSTANCES);
    until("providers", seconds(10), async || {
        let mut sum = 0;
        for service in &services {
            sum += a.api.visible(service).await?.len();
        }
        Ok(sum == total)
    })
    .await?;
    let setup = NacosSyncSetup {
        from: a.api.clone(),
        to: b.api.clone(),
        services: services.clone(),
        source_id: "c-source".to_owned(),
        destination_id: "c-destination".to_owned(),
    };
    let tool = NacosSync::start(setup).await?;
    // What it has left behind, of its source and of another one, and a provider's own beside it.
    let left = ServiceName::new(&ns, "DEFAULT_GROUP", "left");
    let marked = |port, source: &str| {
        let one = Instance::new("127.0.0.9", port).with("sourceClusterId", source).with("syncSource", "NACOS");
        Instance { ephemeral: false, ..one }
    };
    for (port, source) in [(9_001, "c-source"), (9_002, "c-other")] {
        b.api.register(&left, &marked(port, source)).await?;
    }
    b.api.register(&left, &Instance { ephemeral: false, ..Instance::new("127.0.0.9", 9_003) }).await?;
    until("the tool's copies", seconds(10), async || {
        let mut sum = 0;
        for service in &services {
            sum += b.api.visible(service).await?.len();
        }
        Ok(sum == total)
    })
    .await?;

    let in_place = destination == Server::Nacos1;
    let watch = Watch::start(&b, &services, !in_place).await?;
    let node = Node::start().await?;
    node.apply(&settings(&a, &b, &ns, "nacos-sync"))?;
    match in_place {
        true => until("ours in place", seconds(30), async || all_ours(&b, &services).await).await?,
        false => {
            let told = format!("{} copies of nacos-sync stand in dst", SERVICES * usize::from(INSTANCES));
            until("ours with theirs", seconds(30), async || Ok(reason(&node)?.contains(&told))).await?
        }
    };
    tokio::time::sleep(seconds(8)).await;
    watch.check("side by side")?;
    tool.kill9();
    until("all ours", seconds(60), async || all_ours(&b, &services).await).await?;
    // Longer than a copy without heart beats stands.
    tokio::time::sleep(seconds(20)).await;
    ensure!(all_ours(&b, &services).await?, "and they stay");
    watch.check("after its end")?;
    drop(watch);

    let said = reason(&node)?;
    ensure!(said.contains("1 copies of nacos-sync in dst are wanted by no task") && said.contains("9001"), "{said}");
    let refused = node.cli(&["drain", "--theirs", "src-dst-service"])?;
    ensure!(!refused.status.success(), "it must ask");
    let done: Value =
        serde_json::from_str(&node.ok(&["drain", "--theirs", "src-dst-service", "--yes", "-o", "json"])?)?;
    ensure!(done["copies"].as_array().is_some_and(|copies| copies.len() == 1), "{done}");
    until("gone", seconds(10), async || {
        let mut ports: Vec<_> = b.api.all(&left).await?.iter().map(|one| one.port).collect();
        ports.sort_unstable();
        Ok(ports == [9_002, 9_003])
    })
    .await?;
    ensure!(all_ours(&b, &services).await?, "nothing else");
    who.batch_deregister("p", &services[0], &crate::estate::instances(1, 20_000)).await?;
    until("a copy goes with its provider", seconds(15), async || Ok(b.api.all(&services[0]).await?.len() == 2)).await?;
    for one in [marked(9_002, "c-other"), Instance { ephemeral: false, ..Instance::new("127.0.0.9", 9_003) }] {
        b.api.deregister(&left, &one).await?;
    }
    Ok(())
}

pub async fn from_polaris_sync_on_nacos() -> Result<()> {
    let (a, b) = (shared_nacos(Server::Nacos3).await?, shared_nacos(Server::Nacos2).await?);
    let ns = namespace_at(&[&a, &b], "old-polaris-sync").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.address, &ns).await?;
    provide(&who, "p", &ns, SERVICES, INSTANCES).await?;
    let services: Vec<_> = (0..SERVICES).map(|n| service(&ns, n)).collect();
    let natives = crate::estate::instances(INSTANCES, 20_000);
    let tool = PolarisSync::start(&b.address, &ns, "src").await?;
    for service in &services {
        tool.copy(service, &natives).await?;
    }
    let left = ServiceName::new(&ns, "DEFAULT_GROUP", "left");
    tool.copy(&left, &crate::estate::instances(1, 9_001)).await?;
    until("its copies", seconds(10), async || {
        Ok(b.api.visible(&services[0]).await?.len() == usize::from(INSTANCES) && b.api.visible(&left).await?.len() == 1)
    })
    .await?;
    let watch = Watch::start(&b, &services, true).await?;
    let node = Node::start().await?;
    node.apply(&settings(&a, &b, &ns, "polaris-sync"))?;
    until("ours with theirs", seconds(30), async || {
        Ok(reason(&node)?.contains("9 copies of polaris-sync stand in dst"))
    })
    .await?;
    // On a change it takes all of a service away for two seconds; now nobody sees that.
    for _ in 0..2 {
        tool.change(&services[0], &natives, &natives).await?;
        tokio::time::sleep(seconds(4)).await;
    }
    watch.check("side by side")?;
    // What its connection holds, nobody else can remove.
    until("what it left", seconds(30), async || Ok(reason(&node)?.contains("wanted by no task"))).await?;
    let refused = node.cli(&["drain", "--theirs", "src-dst-service", "--yes"])?;
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    ensure!(said.contains("127.0.0.1:9001") && said.contains("of another program"), "{said}");
    ensure!(!refused.status.success() && b.api.all(&left).await?.len() == 1, "it stays: {said}");
    tool.kill9()?;
    until("all ours", seconds(30), async || all_ours(&b, &services).await).await?;
    tokio::time::sleep(seconds(3)).await;
    watch.check("after its end")?;
    until("what it left is gone with it", seconds(10), async || Ok(b.api.all(&left).await?.is_empty())).await?;
    Ok(())
}
