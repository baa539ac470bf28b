//! The file connector on real files in a folder of its own.

use super::contents::{self, Contents};
use super::disk;
use super::{FileConnector, FileFormat, FileOptions};
use crate::{Connect, Connector};
use causeway_core::{
    Change, ClusterId, Error, Everything, Evidence, Instance, Mark, OwnerId, Part, Port, Removal, Selector, ServiceKey,
    Set, Sink, Source, Update, Written,
};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

mod forms;
mod watching;
mod writing;

const FORMS: [(FileFormat, &str); 3] = [
    (FileFormat::Prometheus, "targets.json"),
    (FileFormat::Json, "services.json"),
    (FileFormat::Yaml, "services.yaml"),
];

fn port(path: &Path, format: Option<FileFormat>) -> Result<Port, Error> {
    let addresses = vec![path.display().to_string()];
    let connect = Connect { addresses, block: Some(serde_json::json!(FileOptions { format })), ..Connect::default() };
    Ok(FileConnector.open(ClusterId::of("t"), connect)?.services.unwrap())
}

fn source(path: &Path) -> Arc<dyn Source> {
    port(path, Some(FileFormat::Services)).unwrap().source()
}

fn sink(path: &Path, format: FileFormat) -> Arc<dyn Sink> {
    port(path, Some(format)).unwrap().sink().unwrap()
}

fn everything() -> Selector {
    Arc::new(Everything)
}

type Items = BoxStream<'static, Result<Update, causeway_core::Lost>>;

/// The next item, in short; `None` where nothing comes for a while.
async fn next(items: &mut Items, limit: Duration) -> Option<String> {
    let item = timeout(limit, items.next()).await.ok()??;
    Some(match item {
        Ok(Update::Reset { part, sets, .. }) => format!("reset {part} {}", sets.len()),
        Ok(Update::Changed(set)) => format!("changed {} {}", set.scope.name, set.records.len()),
        Ok(Update::Attributes(scope, _)) => format!("attributes {}", scope.name),
        Ok(Update::Removed(scope)) => format!("removed {}", scope.name),
        Err(lost) => format!("lost {:?} {}", lost.part.map(|part| part.to_string()), lost.error),
    })
}

/// What must be told within the 2 s that the port promises.
async fn told(items: &mut Items) -> String {
    next(items, Duration::from_secs(2)).await.expect("nothing within 2 s")
}

async fn silent(items: &mut Items) {
    let said = next(items, Duration::from_millis(2500)).await;
    assert_eq!(said, None);
}

fn service(name: &str, addresses: &[&str]) -> String {
    let rows = addresses.iter().map(|address| format!("\n      - address: {address}"));
    format!("  - name: {name}\n    instances:{}\n", rows.collect::<String>())
}

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("public", "DEFAULT_GROUP", name)
}

fn owner() -> OwnerId {
    OwnerId::new("i", "t")
}

fn copy(port: u16) -> Instance {
    Instance::new("127.0.0.1", port).with(|one| one.mark = Some(Mark::new(owner(), vec![ClusterId::of("a")])))
}

fn delete(record: &Instance) -> Change {
    Change::Delete { record: record.clone(), owner: owner(), why: Removal::Gone { evidence: Evidence::Witnessed } }
}

async fn sets(port: &dyn Source) -> Vec<Set> {
    port.read(&Part::new("public"), &everything()).await.unwrap()
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}
