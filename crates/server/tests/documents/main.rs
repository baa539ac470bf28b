//! Documents of another tool beside the settings file. The tests bear the names of what the other tool does wrong.
#![allow(clippy::unwrap_used, reason = "a test's error is its failure")]

#[path = "../common/mod.rs"]
mod common;
mod origins;
mod reload;
mod reports;

use causeway_connectors::memory::Memory;
use causeway_peers::environment::{Installation, installation};
use causeway_server::api::{Document, DocumentState, Task};
use common::{Host, PATIENCE, key, register};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

/// Longer than a change of a file takes to be noticed and applied.
const NOTICED: Duration = Duration::from_millis(1500);

/// A folder with `conf/`, and a data folder in it.
struct Install {
    folder: TempDir,
}

impl Install {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("conf")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, document: &Value) {
        std::fs::write(self.path(name), serde_json::to_string_pretty(document).unwrap()).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn installation(&self) -> Installation {
        installation(&|_| None, self.folder.path()).unwrap()
    }

    async fn start(&self, data: &str) -> Host {
        let host = Host::start(&self.path(data)).await;
        host.node.follow(&self.installation());
        host
    }
}

const REGISTRY: &str = "conf/sync-registry.json";
const CONFIG: &str = "conf/sync-config.json";
const BACKUP: &str = "conf/sync-config-backup.json";

fn end(memory: &str) -> Value {
    json!({ "name": memory, "type": "memory", "addresses": [memory] })
}

fn task(name: &str, source: &str, destination: &str) -> Value {
    json!({
        "name": name, "enable": true, "source": end(source), "destination": end(destination),
        "match": [{ "namespace": "empty_ns", "service": "s" }]
    })
}

fn document(tasks: &[Value]) -> Value {
    json!({ "tasks": tasks, "methods": [{ "type": "watch", "enable": true }] })
}

async fn documents(host: &Host, what: &str, is: impl Fn(&[Document]) -> bool) -> Vec<Document> {
    let began = Instant::now();
    loop {
        let found: Vec<Document> = host.get("/api/v1/documents").await;
        if is(&found) {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "the documents never were {what}: {found:#?}");
        sleep(Duration::from_millis(30)).await;
    }
}

async fn registry_is(host: &Host, state: DocumentState) -> Document {
    documents(host, state.as_str(), |all| all[0].state == state).await.remove(0)
}

async fn names(host: &Host) -> Vec<String> {
    host.get::<Vec<Task>>("/api/v1/tasks").await.into_iter().map(|task| task.name).collect()
}

/// Waits for a task that is about to be made.
async fn in_step(host: &Host, name: &str, instances: usize) -> Task {
    let began = Instant::now();
    while !names(host).await.contains(&name.to_owned()) {
        let documents: Vec<Document> = host.get("/api/v1/documents").await;
        assert!(began.elapsed() < PATIENCE, "{name} never came: {documents:#?}");
        sleep(Duration::from_millis(30)).await;
    }
    host.in_step(name, instances).await
}

fn providers<const N: usize>(names: [&str; N]) -> [Memory; N] {
    names.map(|name| {
        let memory = Memory::named(name);
        register(&memory, &key("public", "s"), 1000);
        memory
    })
}
