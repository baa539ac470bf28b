//! What happens to our session while the node goes on: other settings, crashes.

use crate::estate::seconds;
use crate::node::Node;
use crate::zk::{Zoo, alike, settings};
use crate::zk_services::provide;
use anyhow::{Result, ensure};
use causeway_testbed::ZooKeeper;
use std::collections::BTreeSet;
use std::time::Instant;

/// Both servers' usual longest session.
const SESSION_MS: u32 = 40_000;

/// The sessions that hold ephemeral nodes.
async fn sessions(server: &ZooKeeper) -> Result<Vec<i64>> {
    Ok(server.ephemerals().await?.into_keys().collect())
}

pub async fn other_settings_of_a_running_cluster_are_no_event() -> Result<()> {
    let zoo = Zoo::start(SESSION_MS).await?;
    let one = zoo.provider("one").await?;
    provide(&one, "lab.Greeter", 20880..20900).await?;
    zoo.at_a.create("/config", "").await?;
    zoo.at_a.create("/config/one", "1").await?;
    let node = Node::start().await?;
    let text = settings(&zoo.a.addr(), &zoo.b.addr(), "All", "Bidirectional", "");
    node.apply(&text)?;
    alike(&zoo, "/dubbo", 20, seconds(10)).await?;
    let watch = zoo.watch_b("watcher", "/dubbo").await?;
    let session = sessions(&zoo.b).await?;

    for time in ["30s", "35s", "40s"] {
        let said = node.whole_log().len();
        node.apply(&text.replace("clusterType", &format!("zookeeper: {{sessionTimeout: {time}}}, clusterType")))?;
        let began = Instant::now();
        let mut states = BTreeSet::new();
        while began.elapsed() < seconds(6) {
            states.insert(node.task()?["state"].to_string());
        }
        ensure!(!states.contains("\"failing\""), "{time}: {states:?}");
        let log = node.whole_log();
        let warned: Vec<_> =
            log[said..].lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
        ensure!(warned.is_empty(), "{time}: {warned:#?}");
    }
    // What the first connection had still open would be closed by now.
    tokio::time::sleep(seconds(12)).await;
    ensure!(watch.events().is_empty(), "{:?}", watch.events());
    ensure!(sessions(&zoo.b).await? == session, "the same session");

    // It still works, both ways.
    provide(&one, "lab.Greeter", 20990..20991).await?;
    alike(&zoo, "/dubbo", 21, seconds(5)).await?;
    ensure!(sessions(&zoo.b).await? == session, "a copy of the same session");
    Ok(())
}
