//! The servers that `causeway-testbed run` started, as other test programs find them.

use anyhow::{Context, Result, ensure};
use causeway_testbed::{
    ConsulApi, ConsulRow, EurekaApi, Instance, KongApi, NacosVersion, OpenApi, Server, ServiceName, ZkConnect, ZkDoor,
    shared, trial,
};
use libtest_mimic::Arguments;

fn main() {
    let trials = Server::ALL
        .into_iter()
        .map(|server| trial(&format!("{}_answers", server.name()), &[server], move || answers(server)));
    libtest_mimic::run(&Arguments::from_args(), causeway_testbed::share(trials.collect())).exit();
}

fn answers(server: Server) -> Result<()> {
    let addr = shared(server).context("no address")?;
    let runtime = tokio::runtime::Runtime::new()?;
    match server.nacos() {
        Some(version) => runtime.block_on(nacos(version, &addr)),
        None if server == Server::Consul => runtime.block_on(consul(&addr)),
        None if server == Server::Eureka => runtime.block_on(eureka(&addr)),
        None if server == Server::Kong => runtime.block_on(kong(&addr)),
        None => runtime.block_on(zookeeper(&addr)),
    }
}

async fn nacos(version: NacosVersion, addr: &str) -> Result<()> {
    let api = OpenApi::connect(version, &format!("http://{addr}/nacos"), None)?;
    let service = ServiceName::new("testbed-shared", "DEFAULT_GROUP", "orders");
    let one = Instance::new("127.0.0.1", 7001);
    api.register(&service, &one).await?;
    let seen = api.visible(&service).await?;
    ensure!(seen.len() == 1 && seen[0] == one, "{seen:?}");
    api.deregister(&service, &one).await
}

async fn zookeeper(addr: &str) -> Result<()> {
    let door = ZkDoor::start().await?;
    let client = door.connect("one", &ZkConnect::to(addr)).await?;
    client.create("/testbed-shared", "here").await?;
    let seen = client.get("/testbed-shared").await?.context("not there")?;
    ensure!(seen.text() == "here", "{seen:?}");
    client.delete("/testbed-shared").await
}

async fn consul(addr: &str) -> Result<()> {
    let api = ConsulApi::connect(&format!("http://{addr}"), None)?;
    let row = ConsulRow::new("testbed-shared", "127.0.0.1", 7001);
    api.register("testbed-node", &row).await?;
    let seen = api.all("testbed-shared").await?;
    ensure!(seen.len() == 1 && seen[0].1.port == 7001, "{seen:?}");
    api.deregister("testbed-node", &row.id).await
}

async fn eureka(addr: &str) -> Result<()> {
    let api = EurekaApi::new(&format!("http://{addr}/eureka"), None, &None)?;
    let one = EurekaApi::instance("TESTBED-SHARED", "127.0.0.1:one:7001", "127.0.0.1", 7001, &[].into());
    api.register(&one).await?;
    ensure!(api.renew("testbed-shared", "127.0.0.1:one:7001").await?);
    let seen = api.instances("TESTBED-SHARED").await?;
    ensure!(seen.len() == 1 && seen[0]["ipAddr"] == "127.0.0.1" && seen[0]["status"] == "UP", "{seen:?}");
    ensure!(api.cancel("TESTBED-SHARED", "127.0.0.1:one:7001").await?);
    ensure!(api.instances("TESTBED-SHARED").await?.is_empty());
    Ok(())
}

async fn kong(addr: &str) -> Result<()> {
    let api = KongApi::connect(&format!("http://{addr}"), None)?;
    api.make_upstream("testbed-shared").await?;
    api.put_target("testbed-shared", "127.0.0.1:7001", 50, &[]).await?;
    let seen = api.targets("testbed-shared").await?;
    ensure!(seen.len() == 1 && seen["127.0.0.1:7001"].weight == 50, "{seen:?}");
    api.call(reqwest::Method::DELETE, "/upstreams/testbed-shared", None).await.map(drop)
}
