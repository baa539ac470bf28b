//! What happens to our session while the node goes on: other settings, crashes.

use crate::estate::{pause, seconds};
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
    pause(12).await;
    ensure!(watch.events().is_empty(), "{:?}", watch.events());
    ensure!(sessions(&zoo.b).await? == session, "the same session");

    // It still works, both ways.
    provide(&one, "lab.Greeter", 20990..20991).await?;
    alike(&zoo, "/dubbo", 21, seconds(5)).await?;
    ensure!(sessions(&zoo.b).await? == session, "a copy of the same session");
    Ok(())
}

pub async fn a_session_is_kept_before_it_holds_anything() -> Result<()> {
    let zoo = Zoo::start(SESSION_MS).await?;
    let one = zoo.provider("one").await?;
    provide(&one, "lab.Greeter", 20880..20930).await?;
    let mut node = Node::start().await?;
    node.apply(&settings(&zoo.a.addr(), &zoo.b.addr(), "Service", "Unidirectional", ""))?;
    alike(&zoo, "/dubbo", 50, seconds(10)).await?;
    for turn in ["first", "second"] {
        let old = sessions(&zoo.b).await?;
        let lock = node.lock_database().await?;
        zoo.door.terminate_session(&zoo.b, old[0]).await?;
        pause(1).await;
        let early = sessions(&zoo.b).await?;
        ensure!(early.is_empty(), "a session holds copies and is not kept: {early:x?}");
        drop(lock);
        // The very first copy, and we die.
        let begun = Instant::now();
        let session = loop {
            let session = sessions(&zoo.b).await?;
            if !session.is_empty() {
                break session;
            }
            ensure!(begun.elapsed() < seconds(5), "no copy");
        };
        let (data, port) = node.kill()?;
        ensure!(session != old, "the old session: {old:x?}");
        let watch = zoo.watch_b(turn, "/dubbo").await?;
        node = Node::on(data, port).await?;
        alike(&zoo, "/dubbo", 50, seconds(10)).await?;
        ensure!(sessions(&zoo.b).await? == session, "another session");
        let gone: Vec<_> = watch.events().into_iter().filter(|event| event.kind == "NodeDeleted").collect();
        ensure!(gone.is_empty(), "{gone:?}");
    }

    // A database that is away for longer holds up nothing.
    let old = sessions(&zoo.b).await?;
    let lock = node.lock_database().await?;
    zoo.door.terminate_session(&zoo.b, old[0]).await?;
    let took = alike(&zoo, "/dubbo", 50, seconds(10)).await?;
    eprintln!("all copies again without a database: {took:?}");
    let told = node.whole_log().matches("the session is not kept yet").count();
    ensure!(told == 1, "told {told} times");
    drop(lock);
    Ok(())
}
