//! What happens to our session while the node goes on: other settings, crashes.

use crate::cut::Cut;
use crate::estate::{pause, seconds, until};
use crate::node::Node;
use crate::zk::{Zoo, alike, provider_node, settings, spring_node};
use crate::zk_services::provide;
use anyhow::{Result, ensure};
use causeway_testbed::{ZkClient, ZooKeeper};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Both servers' usual longest session.
const SESSION_MS: u32 = 40_000;
const FOREIGN: &str = "somebody else's";

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

/// What stands on a server where services are, but for the folders.
async fn standing(who: &ZkClient) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (root, depth) in [("/dubbo", 4), ("/services", 3)] {
        let tree = who.walk(root).await?.0;
        let leaves = tree.into_iter().filter(|(path, _)| path.matches('/').count() == depth);
        all.extend(leaves.map(|(path, entry)| (path, entry.data)));
    }
    Ok(all)
}

pub async fn copies_without_a_session_survive_crashes() -> Result<()> {
    let zoo = Zoo::start(SESSION_MS).await?;
    let (folder, name) = provider_node("lab.Fixed", "127.0.0.1", 20880, "");
    let dubbo = format!("{folder}/{name}");
    let (spring, data) = spring_node("Orders", "a9c9232b-b5aa-4369-82f5-17b4c37ca613", 18091);
    let fixed = data.replace("DYNAMIC", "STATIC");
    for path in ["/dubbo", "/dubbo/lab.Fixed", &folder, "/services", "/services/Orders"] {
        zoo.at_a.create(path, "").await?;
    }
    let same = async |what: &str, count: usize| -> Result<()> {
        let began = Instant::now();
        loop {
            let all = [standing(&zoo.at_a).await?, standing(&zoo.at_b).await?];
            if all[0] == all[1] && all[0].len() == count {
                return Ok(());
            }
            ensure!(began.elapsed() < seconds(15), "{what}: {all:#?}");
            sleep(Duration::from_millis(30)).await;
        }
    };
    let way = Cut::to(&zoo.b.addr()).await?;
    let mut node = Node::start().await?;
    node.apply(&settings(&zoo.a.addr(), &way.addr(), "Service", "Unidirectional", ""))?;
    until("both read", seconds(10), async || Ok(node.task()?["state"] == "in-step")).await?;

    // Nothing is written before the ledger has it; killed at the first sight of it, we know it afterwards.
    let lock = node.lock_database().await?;
    zoo.at_a.create(&dubbo, "127.0.0.1").await?;
    zoo.at_a.create(&spring, &fixed).await?;
    pause(1).await;
    ensure!(zoo.at_b.get(&dubbo).await?.is_none() && zoo.at_b.get(&spring).await?.is_none(), "written and not noted");
    drop(lock);
    until("the copies", seconds(5), async || Ok(zoo.at_b.get(&dubbo).await?.is_some())).await?;
    let (home, port) = node.kill()?;
    node = Node::on(home, port).await?;
    same("all copies", 2).await?;

    // The same of a change, where either version may stand.
    for zone in ["z2", "z3", "z4"] {
        let changed = fixed.replace("z1", zone);
        zoo.at_a.set(&spring, &changed).await?;
        if zone != "z4" {
            until("a change", seconds(5), async || {
                Ok(zoo.at_b.get(&spring).await?.is_some_and(|it| it.text() == changed))
            })
            .await?;
        }
        let (home, port) = node.kill()?;
        node = Node::on(home, port).await?;
        same("a change after a crash", 2).await?;
    }

    // Noted and never written: it is written by the next process, or forgotten where it is not wanted any more.
    let mut foreign = String::new();
    for stays in [true, false] {
        way.cut();
        let (folder, name) = provider_node("lab.Fixed", "127.0.0.1", if stays { 20881 } else { 20882 }, "");
        let path = format!("{folder}/{name}");
        zoo.at_a.create(&path, "127.0.0.1").await?;
        pause(1).await;
        let (home, port) = node.kill()?;
        if !stays {
            zoo.at_a.delete(&path).await?;
            // Somebody else's comes to the very place.
            zoo.at_b.create(&path, FOREIGN).await?;
            foreign = path;
        }
        // What was on its way still comes.
        way.mend();
        node = Node::on(home, port).await?;
        if stays {
            same("what was only noted", 3).await?;
        }
    }
    pause(10).await;
    let all = standing(&zoo.at_b).await?;
    ensure!(all.len() == 4 && zoo.at_b.get(&foreign).await?.is_some_and(|it| it.text() == FOREIGN), "{all:#?}");

    // All of it is known as ours, and nothing else.
    node.ok(&["drain", "src-dst-service", "--yes"])?;
    until("drained", seconds(10), async || Ok(standing(&zoo.at_b).await?.into_keys().eq([foreign.clone()]))).await?;
    Ok(())
}
