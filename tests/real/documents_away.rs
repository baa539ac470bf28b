//! Documents of polaris-sync that stand in a ConfigMap or under a key of etcd, on real servers: edited, spoiled, deleted, and away.

use crate::estate::until;
use crate::node::{Node, free_port};
use anyhow::{Context, Result, ensure};
use causeway_testbed::{Etcd, EtcdSetup, KUBE_TOKEN, Kube, KubeSetup};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A change is noticed, whatever else is going on.
const SOON: Duration = Duration::from_secs(15);
const KEY: &str = "sync-registry.json";
/// The namespace and the name of the ConfigMap.
const AT: (&str, &str) = ("polaris-system", "polaris-sync-config");
const PASSWORD: &str = "hunter2-of-a-document";

/// A document with tasks of these names. Nobody listens at the addresses: what counts is which tasks there are.
fn document(tasks: &[&str]) -> String {
    let end = |name: String| json!({"name": name, "type": "nacos", "addresses": ["127.0.0.1:9"], "user": "u", "password": PASSWORD});
    let task = |name: &&str| {
        json!({"name": name, "enable": true, "source": end(format!("{name}-from")), "destination": end(format!("{name}-to")),
            "match": [{"namespace": "empty_ns", "service": "orders"}]})
    };
    let tasks: Vec<Value> = tasks.iter().map(task).collect();
    json!({"tasks": tasks, "methods": [{"type": "watch", "enable": true}]}).to_string()
}

/// Waits until the node has exactly these tasks; returns after how long.
async fn has(node: &Node, tasks: &[&str]) -> Result<Duration> {
    let look = async || {
        let all: Value = serde_json::from_str(&node.ok(&["get", "tasks", "-o", "json"])?)?;
        let mut names: Vec<_> =
            all.as_array().context("no list")?.iter().filter_map(|task| task["name"].as_str()).collect();
        names.sort_unstable();
        Ok(names == tasks)
    };
    until(&format!("the tasks are {tasks:?}"), SOON, look).await.with_context(|| node.log())
}

/// Waits until the node has said this.
async fn says(node: &Node, words: &str) -> Result<()> {
    let said = async || Ok(node.whole_log().contains(words));
    until(&format!("«{words}» is logged"), SOON, said).await.map(drop).with_context(|| node.log())
}

/// What somebody does to the document while the node follows it. Both kinds of place see the same.
async fn edits(node: &Node, write: impl AsyncFn(String) -> Result<()>) -> Result<()> {
    has(node, &["one"]).await?;
    write(document(&["one", "two"])).await?;
    let took = has(node, &["one", "two"]).await?;
    ensure!(took < Duration::from_secs(5), "an edit is noticed after {took:?}");
    write(document(&["two"])).await?;
    has(node, &["two"]).await?;
    // A document that is wrong changes nothing, and says where.
    write(document(&["two"]).replace("\"nacos\"", "\"nakos\"")).await?;
    says(node, "nakos").await?;
    has(node, &["two"]).await.map(drop)
}

fn kube_variables(server: &Kube, port: &str) -> Vec<(&'static str, String)> {
    vec![
        ("SERVER_PORT", port.to_owned()),
        ("POLARIS_SYNC_REGISTRY_CONFIG_PROVIDER", "kubernetes".to_owned()),
        ("POLARIS_SYNC_CONFIG_K8S_ADDRESS", server.addr()),
        ("POLARIS_SYNC_CONFIG_K8S_TOKEN", KUBE_TOKEN.to_owned()),
        ("POLARIS_SYNC_CONFIG_K8S_NAMESPACE", AT.0.to_owned()),
        ("POLARIS_SYNC_CONFIG_K8S_CA_FILE", server.ca_file().display().to_string()),
        ("POLARIS_SYNC_REGISTRY_BACKUP_PATH", "backup.json".to_owned()),
    ]
}

async fn node_on(data: Arc<TempDir>, port: u16, variables: &[(&'static str, String)]) -> Result<Node> {
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Node::on_with(data, port, &variables).await
}

pub async fn in_a_config_map() -> Result<()> {
    let server = Kube::start(KubeSetup::default()).await?;
    let api = server.api()?;
    api.create_namespace(AT.0).await?;
    let write = async |text: String| api.put_config_map(AT.0, AT.1, &json!({KEY: text})).await.map(drop);
    // The key is the shipped one, not the default: it is found.
    write(document(&["one"])).await?;
    let variables = kube_variables(&server, &free_port()?.to_string());
    let data = Arc::new(TempDir::with_prefix("causeway-test-")?);
    let node = node_on(data, free_port()?, &variables).await?;
    edits(&node, &write).await?;
    api.delete_config_map(AT.0, AT.1).await?;
    says(&node, "there is no ConfigMap polaris-system/polaris-sync-config").await?;
    has(&node, &["two"]).await?;
    // The server is away: what ran goes on, and what comes then is noticed.
    server.kill9()?;
    says(&node, "does not answer").await?;
    has(&node, &["two"]).await?;
    server.start_again().await?;
    write(document(&["three", "two"])).await?;
    has(&node, &["three", "two"]).await?;
    // Started while it is away: the backup counts, and later the ConfigMap.
    server.kill9()?;
    let (data, port) = node.kill()?;
    let backup = std::fs::read_to_string(data.path().join("backup.json"))?;
    ensure!(backup.contains("three") && !backup.contains(PASSWORD), "the backup: {backup}");
    let node = node_on(data, port, &variables).await?;
    has(&node, &["three", "two"]).await?;
    server.start_again().await?;
    write(document(&["four"])).await?;
    has(&node, &["four"]).await?;
    ensure!(!node.whole_log().contains(PASSWORD) && !node.whole_log().contains(KUBE_TOKEN), "a secret is logged");
    Ok(())
}

/// Nothing was ever read: the node runs without tasks, and gets them when the server is there.
pub async fn a_config_map_that_comes_later() -> Result<()> {
    let server = Kube::start(KubeSetup::default()).await?;
    let api = server.api()?;
    api.create_namespace(AT.0).await?;
    api.put_config_map(AT.0, AT.1, &json!({KEY: document(&["one"])})).await?;
    server.kill9()?;
    let variables = kube_variables(&server, &free_port()?.to_string());
    let began = Instant::now();
    let node = node_on(Arc::new(TempDir::with_prefix("causeway-test-")?), free_port()?, &variables).await?;
    ensure!(began.elapsed() < Duration::from_secs(20), "ready after {:?}", began.elapsed());
    says(&node, "does not answer").await?;
    has(&node, &[]).await?;
    server.start_again().await?;
    has(&node, &["one"]).await.map(drop)
}

pub async fn under_a_key_of_etcd() -> Result<()> {
    let server = Etcd::start(EtcdSetup::default()).await?;
    let api = server.api()?;
    let key = "polaris-sync/registry";
    let write = async |text: String| api.put(key, &text).await.map(drop);
    write(document(&["one"])).await?;
    let data = Arc::new(TempDir::with_prefix("causeway-test-")?);
    std::fs::create_dir(data.path().join("bin"))?;
    let application = format!(
        "server: {{port: {}}}\npolaris:\n  sync:\n    registry:\n      configProvider: etcd\n      configBackupPath: backup.json\n      \
         options:\n        endpoints: {}\n        dataId: {key}\n",
        free_port()?,
        server.url(),
    );
    std::fs::write(data.path().join("bin/application.yaml"), application)?;
    let node = node_on(data, free_port()?, &[]).await?;
    edits(&node, &write).await?;
    api.delete(key).await?;
    says(&node, &format!("there is no key {key}")).await?;
    has(&node, &["two"]).await?;
    server.kill9()?;
    says(&node, "does not answer").await?;
    has(&node, &["two"]).await?;
    let (data, port) = node.kill()?;
    let node = node_on(data, port, &[]).await?;
    has(&node, &["two"]).await?;
    server.start_again().await?;
    write(document(&["four"])).await?;
    has(&node, &["four"]).await.map(drop)
}
