//! Real Dubbo programs. All but the first test are part of `./test --full` alone: each program takes seconds to start.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_testbed::{
    DUBBO_HOST, DubboConsumer, DubboProvider, GREETER, Server, ZkConnect, ZkDoor, ZooKeeper, ZooOptions, shared, trial,
};
use libtest_mimic::Arguments;
use tokio::time::sleep;

/// A busy machine needs some of it.
const SOON: Duration = Duration::from_secs(20);

fn main() {
    let full = |name, needs, test: fn() -> Result<()>| {
        let trial = trial(name, needs, test);
        if causeway_testbed::full() { trial } else { trial.with_ignored_flag(true) }
    };
    let trials = vec![
        trial("by_interface_on_zookeeper", &[Server::Zoo], || block_on(by_interface())),
        full("by_application_on_zookeeper", &[], || block_on(by_application())),
        full("tags_on_zookeeper", &[Server::Zoo], || block_on(tags())),
        full("on_nacos", &[Server::Nacos2], || block_on(on_nacos())),
    ];
    let mut arguments = Arguments::from_args();
    // Two cores: more programs at once only wait for one another.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    libtest_mimic::run(&arguments, causeway_testbed::share(trials)).exit();
}

fn block_on(body: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(body)
}

async fn provider(registry: &str, keys: &[(&str, &str)]) -> Result<DubboProvider> {
    let began = Instant::now();
    let provider = DubboProvider::start(registry, keys).await?;
    println!("provider ready in {:.1} s", began.elapsed().as_secs_f64());
    Ok(provider)
}

async fn by_interface() -> Result<()> {
    let zoo = shared(Server::Zoo).context("no address")?;
    let registry = format!("zookeeper://{zoo}");
    let keys = [("group", "by-interface"), ("version", "1.0.0"), ("mode", "interface")];
    let provider = provider(&registry, &keys).await?;

    let door = ZkDoor::start().await?;
    let client = door.connect("one", &ZkConnect::to(&zoo)).await?;
    let providers = format!("/dubbo/{GREETER}/providers");
    let start = format!("dubbo%3A%2F%2F{DUBBO_HOST}%3A{}%2F{GREETER}%3F", provider.port());
    let own =
        async || Ok::<_, anyhow::Error>(client.children(&providers).await?.into_iter().find(|n| n.starts_with(&start)));
    let name = own().await?.context("not registered when it is ready")?;
    ensure!(name.contains("group%3Dby-interface"), "{name}");

    let keys = [("group", "by-interface"), ("version", "1.0.0"), ("migration", "FORCE_INTERFACE")];
    let consumer = DubboConsumer::start(&registry, &keys).await?;
    consumer.wait_for(&[provider.port()], SOON).await?;
    consumer.forget();
    let began = Instant::now();
    provider.stop().await?;
    println!("provider ended in {:.1} s", began.elapsed().as_secs_f64());
    ensure!(own().await?.is_none(), "still registered");
    consumer.wait_for(&[], SOON).await?;
    let report = consumer.report();
    ensure!(consumer.errors() == report.errors().len() && consumer.answers().is_empty());
    ensure!(report.longest_outage() > Duration::from_millis(500));
    client.close().await
}

async fn by_application() -> Result<()> {
    let zoo = ZooKeeper::start(ZooOptions::default()).await?;
    let registry = format!("zookeeper://{}", zoo.addr());
    let one = provider(&registry, &[("app", "orders"), ("mode", "instance")]).await?;
    let consumer = DubboConsumer::start(&registry, &[("migration", "FORCE_APPLICATION")]).await?;
    consumer.wait_for(&[one.port()], SOON).await?;
    // One with the other protocol, and its metadata in the registry.
    let keys = [("app", "orders"), ("mode", "instance"), ("metadata-type", "remote"), ("protocol", "tri")];
    let two = provider(&registry, &keys).await?;
    consumer.wait_for(&[one.port(), two.port()], SOON).await?;
    let door = ZkDoor::start().await?;
    let client = door.connect("one", &ZkConnect::to(&zoo.addr())).await?;
    let nodes = client.children("/services/orders").await?;
    ensure!(nodes.len() == 2 && nodes.contains(&format!("{DUBBO_HOST}:{}", one.port())), "{nodes:?}");
    one.kill9()?;
    consumer.wait_for(&[two.port()], SOON).await?;
    // Dubbo: a provider that is back before its node went is called again at once or after up to a minute.
    let began = Instant::now();
    while client.children("/services/orders").await?.len() > 1 {
        ensure!(began.elapsed() < SOON, "the dead provider's node stays");
        sleep(Duration::from_millis(50)).await;
    }
    let port = one.port().to_string();
    let again = provider(&registry, &[("app", "orders"), ("mode", "instance"), ("port", &port)]).await?;
    consumer.wait_for(&[again.port(), two.port()], SOON).await?;
    Ok(())
}

async fn tags() -> Result<()> {
    let registry = format!("zookeeper://{}", shared(Server::Zoo).context("no address")?);
    let gray = provider(&registry, &[("version", "tags"), ("tag", "gray"), ("weight", "150")]).await?;
    let plain = provider(&registry, &[("version", "tags")]).await?;
    let of_gray = DubboConsumer::start(&registry, &[("version", "tags"), ("tag", "gray")]).await?;
    of_gray.wait_for(&[gray.port()], SOON).await?;
    let of_all = DubboConsumer::start(&registry, &[("version", "tags")]).await?;
    of_all.wait_for(&[plain.port()], SOON).await?;
    Ok(())
}

async fn on_nacos() -> Result<()> {
    let nacos = shared(Server::Nacos2).context("no address")?;
    let registry = format!("nacos://{nacos}?namespace=testbed-dubbo");
    let provider = provider(&registry, &[]).await?;
    let consumer = DubboConsumer::start(&registry, &[]).await?;
    consumer.wait_for(&[provider.port()], SOON).await?;
    provider.stop().await?;
    consumer.wait_for(&[], SOON).await
}
