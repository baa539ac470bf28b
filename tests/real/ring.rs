//! A ring over three kinds of registry: nothing comes round, and nothing is left when its origin dies.

use crate::estate::{namespace_at, pause, seconds, shared_nacos, until};
use crate::eureka::{Providers, spring};
use crate::node::Node;
use crate::zk_estate::{cluster, settings, task};
use anyhow::{Context, Result, bail, ensure};
use causeway_testbed::{
    Backdoor, Consul, ConsulRow, ConsulSetup, Eureka, EurekaOptions, Instance, Server, ServiceName,
};
use std::collections::BTreeSet;

pub async fn nothing_comes_round() -> Result<()> {
    let nacos = shared_nacos(Server::Nacos3).await?;
    let space = namespace_at(&[&nacos], "ring").await?;
    let (consul, eureka) =
        tokio::try_join!(Consul::start(ConsulSetup::default()), Eureka::start(EurekaOptions::default()))?;
    let (at_consul, at_eureka, providers) = (consul.api()?, eureka.api()?, Providers::at(&eureka)?);
    let node = Node::start().await?;
    let clusters = [
        cluster("nacos", "NACOS", &nacos.address, &format!(", namespace: {space}")),
        cluster("consul", "CONSUL", &consul.addr(), ""),
        cluster("eureka", "EUREKA", &eureka.addr(), ", eureka: {lease: 30s}"),
    ];
    let one_way = "Unidirectional";
    let ring = [task("nacos", "consul", one_way), task("consul", "eureka", one_way), task("eureka", "nacos", one_way)];

    // Two origins at each, one of them at the address of another's.
    let who = Backdoor::start().await?;
    who.connect("p", &nacos.address, &space).await?;
    let of_nacos = [("From-Nacos", 9401), ("shared", 9402)]
        .map(|(name, port)| (ServiceName::new(&space, "DEFAULT_GROUP", name), Instance::new("127.0.0.1", port)));
    for (service, instance) in &of_nacos {
        who.register("p", service, instance).await?;
    }
    let of_consul = [ConsulRow::new("From-Consul", "127.0.0.1", 9403), ConsulRow::new("shared", "127.0.0.1", 9404)];
    for row in &of_consul {
        at_consul.register("node-a", row).await?;
    }
    let of_eureka = [spring("FROM-EUREKA", 9405), spring("SHARED", 9406)];
    for one in &of_eureka {
        providers.put(one.clone()).await?;
    }
    node.apply(&settings(&clusters, &ring))?;

    // What each shows, as service and port.
    let in_nacos = async || {
        let mut all = BTreeSet::new();
        for (group, name) in nacos.api.services(&space).await? {
            let shown = nacos.api.all(&ServiceName::new(&space, &group, &name)).await?;
            all.extend(shown.into_iter().map(|one| (name.clone(), one.port)));
        }
        anyhow::Ok(all)
    };
    let in_consul = async || {
        let mut all = BTreeSet::new();
        for name in at_consul.names().await?.into_iter().filter(|name| name != "consul") {
            let shown = at_consul.all(&name).await?;
            all.extend(shown.into_iter().map(|(_, row)| (name.clone(), row.port)));
        }
        anyhow::Ok(all)
    };
    let in_eureka = async || {
        let shown = at_eureka.all().await?;
        let row = |one: &serde_json::Value| {
            let port = one["port"]["$"].as_u64().and_then(|port| u16::try_from(port).ok());
            Some((one["app"].as_str()?.to_owned(), port?))
        };
        anyhow::Ok(shown.iter().filter_map(row).collect::<BTreeSet<_>>())
    };
    let names = |nacos: &str, consul: &str, eureka: &str, port: u16| {
        let row = |name: &str| (!name.is_empty()).then(|| (name.to_owned(), port));
        [row(nacos), row(consul), row(eureka)]
    };
    let shows = async |what: &str, rows: &[[Option<(String, u16)>; 3]]| {
        let column = |n: usize| rows.iter().filter_map(|row| row[n].clone()).collect::<BTreeSet<_>>();
        let wanted = [column(0), column(1), column(2)];
        let all = async || anyhow::Ok([in_nacos().await?, in_consul().await?, in_eureka().await?]);
        if let Err(error) = until(what, seconds(40), async || Ok(all().await? == wanted)).await {
            bail!("{error:#}: {:?}, wanted {wanted:?}", all().await?);
        }
        Ok(())
    };
    // Consul gives the name of Nacos on as it is; Eureka makes it upper, and on the way from there it is lower.
    let full = [
        names("From-Nacos", "From-Nacos", "FROM-NACOS", 9401),
        names("shared", "shared", "SHARED", 9402),
        names("from-consul", "From-Consul", "FROM-CONSUL", 9403),
        names("shared", "shared", "SHARED", 9404),
        names("from-eureka", "from-eureka", "FROM-EUREKA", 9405),
        names("shared", "shared", "SHARED", 9406),
    ];
    shows("all of it everywhere, once", &full).await?;
    let events = |node: &Node| anyhow::Ok(node.events()?.lines().count());
    pause(5).await;
    let before = events(&node)?;
    pause(10).await;
    ensure!(events(&node)? == before, "something moves at rest: {}", node.events()?);
    shows("nothing has come round", &full).await?;

    // A node that dies and comes back changes nothing.
    let (data, port) = node.kill()?;
    let node = Node::on(data, port).await?;
    pause(5).await;
    let all = [in_nacos().await?, in_consul().await?, in_eureka().await?];
    ensure!(all.iter().map(BTreeSet::len).eq([6, 6, 6]), "after a restart: {all:?}");

    // The origins die, one registry after the other.
    for (service, instance) in &of_nacos {
        who.deregister("p", service, instance).await?;
    }
    let gone = async |rows: usize| {
        let what = format!("{rows} are left everywhere");
        let left = async || {
            let all = [in_nacos().await?, in_consul().await?, in_eureka().await?];
            Ok(all.iter().all(|one| one.len() == rows))
        };
        until(&what, seconds(40), left).await.with_context(|| node.log())
    };
    gone(4).await?;
    for row in &of_consul {
        at_consul.deregister("node-a", &row.id).await?;
    }
    gone(2).await?;
    for one in &of_eureka {
        providers.end(one).await?;
    }
    gone(0).await?;
    Ok(())
}
