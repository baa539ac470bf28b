//! Files, in each form that can be written.

use super::open;
use crate::shape::Shape;
use crate::subject::{Facts, Kind, Limit, Meter, Session, Subject, Told, Who};
use anyhow::{Context, Result, bail, ensure};
use causeway_connectors::Connect;
use causeway_connectors::file::{FileFormat, FileOptions};
use causeway_core::{Endpoint, Instance, InstanceId, Mark, Part, ServiceKey};
use causeway_testbed::Server;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// Files of one form; a folder of its own for every test.
#[derive(Clone, Copy)]
pub struct FileKind {
    label: &'static str,
    form: FileFormat,
}

impl FileKind {
    /// Files of this form.
    pub fn new(label: &'static str, form: FileFormat) -> Self {
        Self { label, form }
    }
}

impl Kind for FileKind {
    type Subject = FileSubject;

    fn label(&self) -> &'static str {
        self.label
    }
    fn needs(&self) -> &'static [Server] {
        &[]
    }
    async fn shared(&self) -> Result<FileSubject> {
        let subject = FileSubject { form: self.form, folder: TempDir::new()?, published: Mutex::default() };
        std::fs::create_dir(subject.folder.path().join("there"))?;
        let session = subject.open(&Who::Administrator, &[]).await?;
        session.prepare(&Part::new("public"), None).await?;
        Ok(subject)
    }
    async fn own(&self) -> Result<FileSubject> {
        self.shared().await
    }
}

/// One file. What providers and operators do is done with an editor: the whole file is read, changed, and renamed into its place.
pub struct FileSubject {
    form: FileFormat,
    folder: TempDir,
    /// What each provider has put into the file.
    published: Mutex<BTreeMap<(String, ServiceKey), Vec<InstanceId>>>,
}

const LABEL: &str = "__meta_causeway_";

impl FileSubject {
    fn path(&self) -> PathBuf {
        let name = if self.form == FileFormat::Prometheus { "targets.json" } else { "services.json" };
        self.folder.path().join("there").join(name)
    }

    /// The file as JSON, whatever we think of it.
    fn document(&self) -> Result<Value> {
        Ok(serde_json::from_str(&std::fs::read_to_string(self.path())?)?)
    }

    fn save(&self, document: &Value) -> Result<()> {
        let fresh = self.path().with_extension("edited");
        std::fs::write(&fresh, serde_json::to_string_pretty(document)?)?;
        Ok(std::fs::rename(fresh, self.path())?)
    }

    /// Changes the rows of a service, as an editor does. Our own write may come between: then it is done again.
    fn edit_rows(&self, service: &ServiceKey, change: impl Fn(&mut Vec<Instance>)) -> Result<()> {
        let mut document = self.document()?;
        let mut rows = rows(self.form, &document, service)?;
        change(&mut rows);
        put_rows(self.form, &mut document, service, &rows)?;
        self.save(&document)
    }
}

/// Every row of a service, as any tool would find it.
fn rows(form: FileFormat, document: &Value, service: &ServiceKey) -> Result<Vec<Instance>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    if form == FileFormat::Prometheus {
        let mine = |group: &Value| is_of(group, service) && !list(&group["targets"]).is_empty();
        return list(document).iter().filter(|group| mine(group)).map(target).collect();
    }
    let mine = list(&document["services"]).into_iter().find(|one| key(one) == *service);
    mine.map(|one| list(&one["instances"]).iter().map(row).collect()).unwrap_or(Ok(Vec::new()))
}

fn put_rows(form: FileFormat, document: &mut Value, service: &ServiceKey, rows: &[Instance]) -> Result<()> {
    if form == FileFormat::Prometheus {
        let groups = document.as_array_mut().context("a list")?;
        groups.retain(|group| !is_of(group, service) || group["targets"] == json!([]));
        groups.extend(rows.iter().map(|row| group(service, row)));
        return Ok(());
    }
    let services = document["services"].as_array_mut().context("a list")?;
    let attributes = services.iter().find(|one| key(one) == *service).cloned();
    services.retain(|one| key(one) != *service);
    if !rows.is_empty() {
        let mut one = attributes.unwrap_or_else(
            || json!({"name": &*service.name, "namespace": &*service.namespace, "group": &*service.group}),
        );
        one["instances"] = rows.iter().map(plain).collect();
        services.push(one);
    }
    Ok(())
}

fn key(service: &Value) -> ServiceKey {
    let text = |key: &str, default: &str| service[key].as_str().unwrap_or(default).to_owned();
    ServiceKey::new(&text("namespace", "public"), &text("group", "DEFAULT_GROUP"), &text("name", ""))
}

fn is_of(group: &Value, service: &ServiceKey) -> bool {
    let label = |key: &str| group["labels"][format!("{LABEL}{key}")].as_str().map(str::to_owned);
    let wanted = [("namespace", &service.namespace), ("group", &service.group), ("service", &service.name)];
    wanted.into_iter().all(|(key, value)| label(key).as_deref() == Some(value))
}

fn instance(address: &str, slot: &str) -> Result<Instance> {
    let (host, port) = address.rsplit_once(':').context("no port")?;
    let endpoint = Endpoint { host: host.trim_matches(['[', ']']).into(), port: port.parse()? };
    Ok(Instance::new("", 0).with(|one| one.id = InstanceId { endpoint, slot: slot.into() }))
}

fn target(group: &Value) -> Result<Instance> {
    let labels: BTreeMap<String, String> = serde_json::from_value(group["labels"].clone())?;
    let label = |key: &str| labels.get(&format!("{LABEL}{key}")).map(String::as_str);
    let mut row = instance(group["targets"][0].as_str().context("no target")?, label("slot").unwrap_or_default())?;
    row.weight = label("weight").context("no weight")?.parse()?;
    (row.healthy, row.enabled) = (label("healthy") == Some("true"), label("enabled") == Some("true"));
    row.mark = label("mark").and_then(Mark::decode);
    let own = |(key, value): (&String, &String)| {
        Some((key.strip_prefix(LABEL)?.strip_prefix("metadata_")?.to_owned(), value.clone()))
    };
    row.metadata = labels.iter().filter_map(own).collect();
    Ok(row)
}

fn group(service: &ServiceKey, row: &Instance) -> Value {
    let mut labels = Map::new();
    let mut put = |key: &str, value: String| drop(labels.insert(format!("{LABEL}{key}"), value.into()));
    put("namespace", service.namespace.to_string());
    put("group", service.group.to_string());
    put("service", service.name.to_string());
    put("weight", row.weight.to_string());
    put("healthy", row.healthy.to_string());
    put("enabled", row.enabled.to_string());
    put("slot", row.id.slot.to_string());
    row.metadata.iter().for_each(|(key, value)| put(&format!("metadata_{key}"), value.to_owned()));
    if let Some(mark) = &row.mark {
        put("mark", mark.encode());
    }
    json!({"targets": [address(row)], "labels": labels})
}

fn address(row: &Instance) -> String {
    row.clone().with(|one| one.id = InstanceId { slot: "".into(), ..row.id.clone() }).id.to_string()
}

fn row(row: &Value) -> Result<Instance> {
    let flag = |key: &str| row[key].as_bool().unwrap_or(true);
    let mut one = instance(row["address"].as_str().context("no address")?, row["slot"].as_str().unwrap_or_default())?;
    one.weight = row["weight"].as_f64().unwrap_or(1.0);
    (one.healthy, one.enabled, one.ephemeral) = (flag("healthy"), flag("enabled"), flag("ephemeral"));
    let mut metadata: BTreeMap<String, String> = serde_json::from_value(row["metadata"].clone()).unwrap_or_default();
    one.mark = metadata.get("causeway").and_then(|text| Mark::decode(text));
    if one.mark.is_some() {
        metadata.remove("causeway");
    }
    one.metadata = metadata.into();
    Ok(one)
}

fn plain(row: &Instance) -> Value {
    let mut metadata = row.metadata.to_map();
    if let Some(mark) = &row.mark {
        metadata.insert("causeway".into(), mark.encode());
    }
    json!({
        "address": address(row), "slot": &*row.id.slot, "weight": row.weight, "healthy": row.healthy,
        "enabled": row.enabled, "ephemeral": row.ephemeral, "metadata": metadata,
    })
}

impl Subject for FileSubject {
    fn facts(&self) -> Facts {
        Facts {
            kind: "file",
            versions: if self.form == FileFormat::Prometheus { " of prometheus" } else { "" },
            told_in: Duration::from_secs(2),
            found_in: Duration::from_secs(2),
            health_in: Duration::from_secs(2),
            lost_in: Duration::from_secs(3),
            ends_in: Duration::from_secs(1),
            checked_in: Duration::from_millis(100),
            expiry: None,
            size_limit: Limit::None,
            calls_to_write: |_, _| 0,
            calls_to_read: |_, _| 0,
            calls_at_once: 1,
            shape: Shape::PLAIN,
        }
    }

    async fn open(&self, who: &Who, namespaces: &[String]) -> Result<Session> {
        ensure!(*who == Who::Administrator, "a file has no users");
        let block = serde_json::to_value(FileOptions { format: Some(self.form) })?;
        let addresses = vec![self.path().display().to_string()];
        open("file", Connect { addresses, namespaces: namespaces.to_vec(), block: Some(block), ..Connect::default() })
    }

    async fn open_next(&self) -> Result<Session> {
        self.open(&Who::Administrator, &[]).await
    }

    async fn open_metered(&self) -> Result<(Session, Meter)> {
        let meter = Meter { calls: Box::new(|| 0), peak: Box::new(|| 0), wire: Box::new(()) };
        Ok((self.open(&Who::Administrator, &[]).await?, meter))
    }

    async fn create_namespace(&self, id: &str) -> Result<()> {
        self.open(&Who::Administrator, &[]).await?.prepare(&Part::new(id), None).await?;
        Ok(())
    }

    async fn remove_namespace(&self, id: &str) -> Result<()> {
        let mut document = self.document()?;
        if self.form == FileFormat::Prometheus {
            let label = format!("{LABEL}namespace");
            document.as_array_mut().context("a list")?.retain(|group| group["labels"][&label] != id);
        } else {
            document["services"].as_array_mut().context("a list")?.retain(|one| *key(one).namespace != *id);
            document["namespaces"].as_array_mut().context("a list")?.retain(|one| one["id"] != id);
        }
        self.save(&document)
    }

    async fn publish(&self, provider: &str, service: &ServiceKey, instances: &[Instance]) -> Result<()> {
        let ids = instances.iter().map(|one| one.id.clone()).collect();
        let before = self.published.lock().insert((provider.to_owned(), service.clone()), ids).unwrap_or_default();
        self.edit_rows(service, |rows| {
            rows.retain(|row| row.mark.is_some() || !before.contains(&row.id));
            rows.extend(instances.iter().cloned());
        })
    }

    async fn edit(&self, service: &ServiceKey, as_wanted: &Instance) -> Result<bool> {
        self.edit_rows(service, |rows| {
            rows.retain(|row| row.id != as_wanted.id);
            rows.push(as_wanted.clone());
        })?;
        Ok(true)
    }

    async fn visible(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        self.truth(service).await
    }

    async fn truth(&self, service: &ServiceKey) -> Result<Vec<Instance>> {
        rows(self.form, &self.document()?, service)
    }

    async fn subscribe(&self, _: &ServiceKey) -> Result<Told> {
        Ok(Box::new(Vec::new))
    }

    async fn unwelcome(&self, mut record: Instance) -> Instance {
        record.id.endpoint.host = "no host".into();
        record
    }

    async fn deny(&self, _: &ServiceKey) -> Result<()> {
        bail!("a file has no users")
    }

    async fn stop(&self) -> Result<()> {
        Ok(std::fs::rename(self.folder.path().join("there"), self.folder.path().join("away"))?)
    }

    async fn start(&self) -> Result<()> {
        Ok(std::fs::rename(self.folder.path().join("away"), self.folder.path().join("there"))?)
    }
}
