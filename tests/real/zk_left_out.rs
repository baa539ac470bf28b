//! What of a tree is left out, and what must not be: judged by the vendor's own client.

use crate::estate::{seconds, until};
use crate::node::Node;
use crate::zk::provider_node;
use crate::zk_estate::{Land, cluster, settings};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{ZkClient, ZkNode};
use serde_json::Value;
use std::time::{Duration, Instant};

/// The name of the task between `src` and `dst`.
const TASK: &str = "src-dst-config";

fn between(land: &Land, kind: &str, mode: &str, more: &str) -> String {
    let clusters = [cluster("src", "ZK", &land.a(), ""), cluster("dst", "ZK", &land.b(), "")];
    settings(
        &clusters,
        &[format!("  - {{source: src, destination: dst, mode: {mode}, type: {kind}, settle: 2s{more}}}\n")],
    )
}

/// Exit code and report of `verify`.
fn verified(node: &Node, task: &str) -> Result<(Option<i32>, Value)> {
    let output = node.cli(&["verify", task, "-o", "json"])?;
    let report =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((output.status.code(), report))
}

/// What `verify` lists as left out on purpose.
fn left_out(report: &Value) -> Vec<String> {
    let all = report["leftOut"].as_array().into_iter().flatten();
    all.filter_map(|one| one["record"].as_str().map(str::to_owned)).collect()
}

async fn stands(who: &ZkClient, path: &str) -> Result<bool> {
    Ok(who.get(path).await?.is_some())
}

async fn all_stand(who: &ZkClient, paths: &[String]) -> Result<bool> {
    for path in paths {
        if !stands(who, path).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn same_below(land: &Land, root: &str) -> Result<bool> {
    Ok(land.at_a.walk(root).await?.difference(&land.at_b.walk(root).await?).is_empty())
}

/// Persistent nodes with long numeric names are copied; what the server numbered is not, and `verify` and `get tasks` tell.
/// Whatever is deleted beside them, nothing flips, and nothing is taken for deleted.
pub async fn only_what_the_server_numbered_is_left_out() -> Result<()> {
    let land = Land::new("leftout").await?;
    let a = &land.at_a;
    for folder in ["/config", "/config/ids", "/config/shards", "/config/locks", "/dubbo", "/dubbo/lab.X"] {
        a.create(folder, "").await?;
    }
    let mut named = Vec::new();
    for n in 0..25u64 {
        named.push(format!("/config/ids/{}", 1_346_358_560_427_216_896 + n * 104_729_977_123));
    }
    for name in ["0912345678", "release-2024010100", "20240101120000", "0000000099", "tel-0041791234567"] {
        named.push(format!("/config/ids/{name}"));
    }
    named.extend((1..=12).map(|n| format!("/config/shards/{n:010}")));
    for path in &named {
        a.create(path, path).await?;
    }
    let mut numbered = Vec::new();
    for _ in 0..3 {
        numbered.push(a.create_node(&ZkNode::new("/config/locks/lock-", "").sequential()).await?);
    }
    a.create(&format!("{}/below", numbered[0]), "").await?;
    numbered.push(a.create_node(&ZkNode::new("/config/ids/", "").sequential()).await?);
    a.create_node(&ZkNode::ephemeral("/config/leader", "me")).await?;

    let node = Node::start().await?;
    node.apply(&between(&land, "Config", "Bidirectional", ""))?;
    until("all that clients named", seconds(15), async || all_stand(&land.at_b, &named).await).await?;
    let (code, report) = verified(&node, TASK)?;
    ensure!(code == Some(0), "{report}");
    let mut wanted: Vec<String> = numbered.clone();
    wanted.push(format!("{}/below", numbered[0]));
    wanted.extend(["/config/leader".to_owned(), "/dubbo".to_owned()]);
    wanted.sort();
    ensure!(left_out(&report) == wanted, "{report}");
    let text = String::from_utf8(node.cli(&["get", "tasks"])?.stdout)?;
    ensure!(text.contains("4 left alone: the server numbered it"), "{text}");
    ensure!(text.contains("1 left alone: it is ephemeral"), "{text}");
    ensure!(text.contains("1 left alone: services stand below it"), "{text}");
    for path in numbered.iter().chain([&"/config/leader".to_owned()]) {
        ensure!(!stands(&land.at_b, path).await?, "{path} was copied");
    }

    // News: as in a listing, also in one burst; and on the other side.
    for n in 0..10 {
        named.push(format!("/config/ids/9{n:018}"));
        a.create(named.last().context("none")?, "new").await?;
        numbered.push(a.create_node(&ZkNode::new("/config/ids/q-", "").sequential()).await?);
    }
    named.push("/config/ids/0000000001".to_owned());
    land.at_b.create("/config/ids/0000000001", "of b").await?;
    // Members of a queue come and go: what was told by their order cannot be told any more, and stays as it is.
    for path in [&named[0], &named[30], &named[31], &numbered[1]] {
        a.delete(path).await?;
    }
    let gone: Vec<String> = named.splice(30..32, []).chain([]).collect();
    let first = named.remove(0);
    until("the deletions", seconds(15), async || {
        Ok(!stands(&land.at_b, &first).await? && !stands(&land.at_b, &gone[0]).await?)
    })
    .await?;
    let both =
        async |named: &[String]| anyhow::Ok(all_stand(&land.at_a, named).await? && all_stand(&land.at_b, named).await?);
    let news = until("the news", seconds(15), async || both(&named).await).await;
    news.with_context(|| node.events().unwrap_or_default())?;
    a.set("/config/shards/0000000007", "edited").await?;
    let (data, port) = node.kill()?;
    for n in [8, 9, 10] {
        a.delete(&format!("/config/shards/{n:010}")).await?;
    }
    let node = Node::on(data, port).await?;
    named.retain(|path| !["08", "09", "10"].iter().any(|n| *path == format!("/config/shards/00000000{n}")));
    until("the edit, and deletions while we were down", seconds(20), async || {
        let edited = land.at_b.get("/config/shards/0000000007").await?.is_some_and(|read| read.text() == "edited");
        Ok(edited && !stands(&land.at_b, "/config/shards/0000000010").await?)
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    ensure!(both(&named).await?, "something that was copied is gone: {}", node.events()?);
    for path in &numbered {
        ensure!(!stands(&land.at_b, path).await?, "{path} was copied");
    }
    let (code, report) = verified(&node, TASK)?;
    ensure!(code == Some(0), "{report}");
    Ok(())
}

/// Children are copied before the access list of their parent, and what is refused delays nothing but itself.
pub async fn refused_entries_hold_up_nobody() -> Result<()> {
    let land = Land::new("refused").await?;
    let a = &land.at_a;
    for path in ["/conf", "/conf/frozen", "/conf/open"] {
        a.create(path, "0").await?;
    }
    for n in 0..300 {
        a.create(&format!("/conf/frozen/{n}"), "x").await?;
    }
    a.set_acl("/conf/frozen", "world:anyone:r").await?;
    let node = Node::start().await?;
    node.apply(&between(&land, "Config", "Unidirectional", ""))?;
    let same = until("all with its lists", seconds(15), async || same_below(&land, "/conf").await).await;
    same.with_context(|| node.events().unwrap_or_default())?;
    let (code, report) = verified(&node, TASK)?;
    ensure!(code == Some(0), "{report}");

    // Below a node that is frozen in the destination only.
    for n in 0..5 {
        let path = format!("/conf/cold{n}");
        land.at_b.create(&path, "").await?;
        land.at_b.set_acl(&path, "world:anyone:r").await?;
        a.create(&path, "").await?;
        a.create(&format!("{path}/child"), "").await?;
    }
    until("the refusals", seconds(10), async || Ok(node.events()?.contains("the access list of /conf/cold"))).await?;
    let mut slowest = Duration::ZERO;
    for n in 0..20 {
        let began = Instant::now();
        a.set("/conf/open", format!("edit {n}")).await?;
        until("the edit", seconds(20), async || {
            Ok(land.at_b.get("/conf/open").await?.is_some_and(|read| read.text() == format!("edit {n}")))
        })
        .await?;
        slowest = slowest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    eprintln!("slowest of 20 edits while others are refused: {slowest:?}");
    ensure!(slowest < seconds(2), "{slowest:?}");
    let (code, report) = verified(&node, TASK)?;
    let text = report.to_string();
    ensure!(code == Some(1) && text.contains("refused") && text.contains("the access list of /conf/cold0"), "{report}");
    Ok(())
}

/// `null` stays `null`, and empty data stay empty: entries and services' nodes, both ways, over a restart.
pub async fn no_data_stays_no_data() -> Result<()> {
    let land = Land::new("nodata").await?;
    let folder = "/dubbo/lab.Null/providers";
    for who in [&land.at_a, &land.at_b] {
        for path in ["/dubbo", "/dubbo/lab.Null", folder, "/dubbo/mapping", "/config"] {
            who.create(path, "").await?;
        }
    }
    let provider = |port: u16| format!("{folder}/{}", provider_node("lab.Null", "127.0.0.1", port, "").1);
    let node_at = async |who: &ZkClient, path: &str, null: bool, ephemeral: bool| {
        let node = ZkNode { ephemeral, ..ZkNode::new(path, "") };
        who.create_node(&if null { node.without_data() } else { node }).await
    };
    let mut all = Vec::new();
    for (n, (who, side)) in [(&land.at_a, "a"), (&land.at_b, "b")].into_iter().enumerate() {
        for null in [true, false] {
            for ephemeral in [true, false] {
                let port = u16::try_from(1 + n * 4)? + u16::from(null) * 2 + u16::from(ephemeral);
                node_at(who, &provider(port), null, ephemeral).await?;
                all.push((provider(port), null));
            }
            for path in [format!("/config/{side}-{null}"), format!("/dubbo/mapping/{side}.{null}")] {
                node_at(who, &path, null, false).await?;
                all.push((path, null));
            }
        }
    }
    let node = Node::start().await?;
    node.apply(&between(&land, "All", "Bidirectional", ""))?;
    let as_made = async |all: &[(String, bool)]| {
        for who in [&land.at_a, &land.at_b] {
            for (path, null) in all {
                match who.get(path).await? {
                    Some(read) if read.data.is_none() == *null && read.text().is_empty() => {}
                    other => return Ok(Some(format!("{path}, null {null}: {other:?}"))),
                }
            }
        }
        anyhow::Ok(None)
    };
    let found = until("all as it was made", seconds(15), async || Ok(as_made(&all).await?.is_none())).await;
    found.with_context(|| format!("{:?}", node.events()))?;
    // An edit from the one to the other, a new provider, and a restart.
    land.at_a.set("/config/a-true", "").await?;
    let (data, port) = node.kill()?;
    node_at(&land.at_b, &provider(20), true, true).await?;
    all.push((provider(20), true));
    for (path, null) in &mut all {
        *null &= path != "/config/a-true";
    }
    let node = Node::on(data, port).await?;
    let found = until("all after a restart", seconds(20), async || Ok(as_made(&all).await?.is_none())).await;
    found.with_context(|| node.events().unwrap_or_default())?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(as_made(&all).await?.is_none(), "{:?}", as_made(&all).await?);
    // What is no instance is left out, counted and listed, and hides no sibling.
    let stray = format!("{folder}/no-url");
    land.at_a.create_node(&ZkNode::ephemeral(&stray, "x")).await?;
    until("the stray child counted", seconds(10), async || {
        let text = String::from_utf8(node.cli(&["get", "tasks"])?.stdout)?;
        Ok(text.contains("1 left alone: it cannot be read as an instance"))
    })
    .await?;
    let (code, report) = verified(&node, "src-dst-all")?;
    ensure!(code == Some(0) && left_out(&report).contains(&stray), "{report}");
    land.at_a.delete(&stray).await?;
    until("the stray child gone", seconds(10), async || {
        Ok(!left_out(&verified(&node, "src-dst-all")?.1).contains(&stray))
    })
    .await?;
    Ok(())
}
