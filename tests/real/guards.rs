//! Removals: what passes, what is held, and how it is let go.

use crate::estate::{instances, namespace, pair, provide, seconds, service, settings, total, until};
use crate::node::Node;
use anyhow::{Result, ensure};
use causeway_testbed::Backdoor;

pub async fn a_service_scaled_down_follows() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "scale").await?;
    let who = Backdoor::start().await?;
    who.connect("p", &a.addr(), "scale").await?;
    provide(&who, "p", "scale", 10, 10).await?;
    let at_b = b.open_api().await?;
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), "scale", "Unidirectional"))?;
    until("all", seconds(15), async || Ok(total(&at_b, "scale", 10).await? == 100)).await?;
    who.batch_deregister("p", &service("scale", 0), &instances(6, 20_000)).await?;
    let took =
        until("60 % less", seconds(8), async || Ok(at_b.visible(&service("scale", 0)).await?.len() == 4)).await?;
    eprintln!("scaled down by 60 %: {took:?}");
    ensure!(node.number("held")? == 0);
    Ok(())
}

pub async fn most_services_gone_is_held_and_released() -> Result<()> {
    let (a, b) = pair().await?;
    namespace(&[a], "burst").await?;
    let (leaving, staying) = (Backdoor::start().await?, Backdoor::start().await?);
    leaving.connect("p", &a.addr(), "burst").await?;
    staying.connect("p", &a.addr(), "burst").await?;
    for n in 0..100 {
        let who = if n < 60 { &leaving } else { &staying };
        who.batch_register("p", &service("burst", n), &instances(2, 20_000)).await?;
    }
    let at_b = b.open_api().await?;
    let node = Node::start().await?;
    node.apply(&settings(&a.addr(), &b.addr(), "burst", "Unidirectional"))?;
    until("all", seconds(20), async || Ok(total(&at_b, "burst", 100).await? == 200)).await?;
    leaving.kill9()?;
    until("held", seconds(15), async || Ok(node.number("held")? > 0)).await?;
    crate::estate::pause(5).await;
    let (left, held) = (total(&at_b, "burst", 100).await?, node.number("held")?);
    ensure!(left >= 140 && held == (left - 80) as u64, "{left} left, {held} held");
    ensure!(node.task()?["state"] == "held", "{}", node.task()?);
    ensure!(node.events()?.contains("held"));
    node.ok(&["release", "src-dst-service"])?;
    until("gone after the release", seconds(15), async || Ok(total(&at_b, "burst", 100).await? == 80)).await?;
    ensure!(node.number("held")? == 0);
    Ok(())
}
