//! Real Spring Cloud ZooKeeper applications. They start slowly, so this is part of `./test --full` alone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use causeway_testbed::{SpringApp, ZkConnect, ZkDoor, ZooKeeper, ZooOptions};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use tokio::time::sleep;

fn main() {
    let test = || {
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(registers_and_sees()).map_err(|error| Failed::from(format!("{error:#}")))
    };
    let trials = vec![Trial::test("registers_and_sees", test).with_ignored_flag(!causeway_testbed::full())];
    libtest_mimic::run(&Arguments::from_args(), causeway_testbed::share(trials)).exit();
}

async fn registers_and_sees() -> Result<()> {
    let zoo = ZooKeeper::start(ZooOptions::default()).await?;
    let began = Instant::now();
    let one =
        SpringApp::at_zookeeper("Orders", &zoo.addr(), &[("spring.cloud.zookeeper.discovery.metadata.zone", "z1")])
            .await?;
    println!("ready in {:.1} s", began.elapsed().as_secs_f64());
    let reader =
        SpringApp::at_zookeeper("reader", &zoo.addr(), &[("spring.cloud.zookeeper.discovery.register", "false")])
            .await?;
    ensure!(reader.services().await?.body == json!(["Orders"]));
    let seen = reader.instances("Orders").await?;
    ensure!(seen.status == 200 && seen.body.as_array().is_some_and(|list| list.len() == 1), "{seen:?}");
    let instance = &seen.body[0];
    ensure!(instance["host"] == "127.0.0.1" && instance["port"] == one.port(), "{seen:?}");
    ensure!(instance["uri"] == format!("http://127.0.0.1:{}", one.port()), "{seen:?}");
    ensure!(instance["metadata"]["zone"] == "z1" && instance["secure"] == false, "{seen:?}");
    ensure!(reader.instances("orders").await?.body == json!([]), "names keep their case");
    ensure!(reader.call("Orders").await? == one.port());

    let door = ZkDoor::start().await?;
    let client = door.connect("one", &ZkConnect::to(&zoo.addr())).await?;
    let node = client.children("/services/Orders").await?.pop().context("not registered")?;
    let read = client.get(&format!("/services/Orders/{node}")).await?.context("not there")?;
    let document: Value = serde_json::from_str(&read.text())?;
    ensure!(document["id"] == node && read.stat.owner != 0, "{document}");

    // One node that is not JSON hides all the others.
    client.create("/services/Orders/bad", "not json").await?;
    let broken = reader.instances("Orders").await?;
    ensure!(broken.status == 500 && reader.call("Orders").await.is_err(), "{broken:?}");
    client.delete("/services/Orders/bad").await?;
    ensure!(reader.instances("Orders").await?.status == 200);

    let began = Instant::now();
    one.stop().await?;
    println!("ended in {:.1} s", began.elapsed().as_secs_f64());
    while reader.instances("Orders").await?.body != json!([]) {
        ensure!(began.elapsed() < Duration::from_secs(20), "still seen");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
