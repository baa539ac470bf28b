//! Nodes that share a MariaDB, as MSE Sync's deployments name it.

use crate::node::{Node, free_port};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{MariaDb, MariaDbSetup};
use serde_json::Value;
use std::sync::Arc;
use tempfile::TempDir;

const SETTINGS: &str = r#"
clusters:
  - {clusterName: a, clusterType: MEMORY, connectKeyList: [shared-a], userName: u, password: correct-horse}
  - {clusterName: b, clusterType: MEMORY, connectKeyList: [shared-b]}
  - {clusterName: c, clusterType: MEMORY, connectKeyList: [shared-c]}
tasks:
  - {name: one, source: a, destination: b, type: Service}
  - {name: two, source: b, destination: c, type: Service, mode: Bidirectional}
  - {name: three, source: a, destination: c, type: Service}
"#;

async fn database(server: &MariaDb) -> Result<[(&'static str, String); 3]> {
    server.make_database("sync", "sync", "ALL")?;
    let url = format!("jdbc:mysql://127.0.0.1:1,{}/sync?useSSL=false&serverTimezone=Asia/Shanghai", server.addr());
    Ok([("MYSQL_URL", url), ("MYSQL_USER_NAME", "sync".into()), ("MYSQL_PASSWORD", "sync".into())])
}

/// A folder with the settings file where a node looks for it.
fn folder(settings: &str) -> Result<Arc<TempDir>> {
    let folder = TempDir::with_prefix("causeway-test-")?;
    std::fs::create_dir(folder.path().join("conf"))?;
    std::fs::write(folder.path().join("conf/config.yaml"), settings)?;
    Ok(Arc::new(folder))
}

async fn start(folder: Arc<TempDir>, variables: &[(&str, String)]) -> Result<Node> {
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Node::on_with(folder, free_port()?, &variables).await
}

/// `get tasks -o json`: names and ids.
fn tasks(node: &Node) -> Result<Vec<(String, String)>> {
    let tasks: Vec<Value> = serde_json::from_str(&node.ok(&["get", "tasks", "-o", "json"])?)?;
    let word = |task: &Value, key: &str| task[key].as_str().map(str::to_owned).context(format!("{key} of {task}"));
    tasks.iter().map(|task| Ok((word(task, "name")?, word(task, "id")?))).collect()
}

pub async fn three_nodes_that_start_at_once_make_one_set_of_tasks() -> Result<()> {
    let server = MariaDb::start(MariaDbSetup::default()).await?;
    let mut variables = database(&server).await?.to_vec();
    variables.push(("JAVA_OPT", "-Xmx1g -Dmsesync.daemon.refresh.interval=60".into()));
    let folders = [folder(SETTINGS)?, folder(SETTINGS)?, folder(SETTINGS)?];
    let (one, two, three) = tokio::join!(
        start(folders[0].clone(), &variables),
        start(folders[1].clone(), &variables),
        start(folders[2].clone(), &variables),
    );
    let nodes = [one?, two?, three?];
    let all = [tasks(&nodes[0])?, tasks(&nodes[1])?, tasks(&nodes[2])?];
    ensure!(all[0].len() == 3 && all.iter().all(|tasks| *tasks == all[0]), "{all:?}");
    ensure!(server.sql("SELECT COUNT(*) FROM sync.causeway_tasks")? == "3");
    ensure!(server.sql("SELECT revision FROM sync.causeway_revision")? == "1", "one of them has applied the file");
    ensure!(server.sql("SELECT COUNT(*) FROM sync.causeway_kv WHERE name = 'install id'")? == "1");
    let dump = server.sql("SELECT document FROM sync.causeway_clusters")?;
    ensure!(dump.contains("shared-a") && !dump.contains("correct-horse"), "{dump}");
    let log = nodes[0].whole_log();
    for part in ["the database sync at", "serverTimezone", "-Xmx1g", "no effect: nothing here waits 60 s"] {
        ensure!(log.contains(part), "{part} is not in {log}");
    }
    ensure!(!folders[0].path().join("causeway.db").exists() && !folders[0].path().join("key").exists());

    // One after the other says something: nobody is overwritten.
    for (node, task) in nodes.iter().zip(["one", "two", "three"]) {
        node.ok(&["pause", task])?;
    }
    ensure!(server.sql("SELECT COUNT(*) FROM sync.causeway_tasks WHERE state = 'paused'")? == "3");
    let more = SETTINGS.replace("name: two", "name: renamed");
    nodes[0].apply(&more)?;
    nodes[1].apply(&more)?;
    ensure!(server.sql("SELECT COUNT(*) FROM sync.causeway_tasks")? == "4", "a task that both have added is one");

    let [_, _, last] = nodes;
    let (data, _) = last.stop()?;
    let last = start(data, &variables).await?;
    ensure!(tasks(&last)?.len() == 4, "a restart goes on with what there is");
    Ok(())
}

pub async fn what_is_wrong_with_the_database_is_told() -> Result<()> {
    let server = MariaDb::start(MariaDbSetup::default()).await?;
    let variables = database(&server).await?;
    // Some of the variables only: a file, and a warning.
    let node = start(folder(SETTINGS)?, &variables[..2]).await?;
    ensure!(node.whole_log().contains("MYSQL_PASSWORD is not set"), "{}", node.log());
    ensure!(node.folder().join("causeway.db").exists());
    drop(node);
    let with = |url: &str, password: &str| {
        [("MYSQL_URL", url.to_owned()), variables[1].clone(), ("MYSQL_PASSWORD", password.to_owned())]
    };
    for (variables, says) in [
        (with(&variables[0].1, "wrong-word"), "refuses MYSQL_USER_NAME or MYSQL_PASSWORD"),
        (with("jdbc:oracle:thin:@db", "sync"), "jdbc:mysql://"),
        (with(&format!("jdbc:mysql://{}/missing", server.addr()), "sync"), "CREATE DATABASE IF NOT EXISTS `missing`"),
    ] {
        let Err(error) = start(folder(SETTINGS)?, &variables).await else { anyhow::bail!("{says}: it starts") };
        let text = error.to_string();
        ensure!(text.contains(says) && !text.contains("wrong-word"), "{says} is not in {text}");
    }
    Ok(())
}
