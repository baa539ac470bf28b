//! What the server holds, and the journal that keeps it over restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use causeway_proto::polaris::{Instance, Namespace, Service};
use jiff::Zoned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::checks;
use super::json as words;

pub struct HeldNamespace {
    pub it: Namespace,
    /// Grows with every change of anything.
    pub changed: u64,
}

pub struct HeldService {
    pub it: Service,
    pub changed: u64,
}

impl HeldService {
    pub fn id(&self) -> &str {
        self.it.id.as_deref().unwrap_or_default()
    }
}

pub struct HeldInstance {
    pub service: String,
    pub it: Instance,
    pub changed: u64,
    /// When it was written; `None`: before the start.
    pub written: Option<Instant>,
}

/// The cache looks for what was written in the last seconds, and a removal counts as written when its instance was.
const NOTICED: Duration = Duration::from_secs(5);
/// How long the cache goes on showing what was removed later than that, at the least.
const LINGERS: Duration = Duration::from_secs(60);

impl HeldInstance {
    pub fn id(&self) -> &str {
        self.it.id.as_deref().unwrap_or_default()
    }

    /// How long it lives without a heartbeat, a third of it in seconds; `None`: for ever.
    pub fn ttl(&self) -> Option<u32> {
        let beats = self.it.health_check.and_then(|check| check.heartbeat);
        beats.filter(|_| self.it.enable_health_check == Some(true)).and_then(|beat| beat.ttl)
    }
}

/// Everything as it was last written. Services and instances go by their ids.
#[derive(Default)]
pub struct HeldRecords {
    pub namespaces: BTreeMap<String, Arc<HeldNamespace>>,
    pub services: BTreeMap<String, Arc<HeldService>>,
    /// The ids of services by namespace and name.
    pub names: BTreeMap<(String, String), String>,
    pub instances: BTreeMap<String, Arc<HeldInstance>>,
    /// The ids of instances by service.
    pub standing: BTreeMap<String, BTreeSet<String>>,
    /// What was removed and the cache goes on showing, until then. A restart ends it.
    lingering: BTreeMap<String, (Arc<HeldInstance>, Instant)>,
    /// Services with other instances than the cache knows.
    pub touched: BTreeSet<String>,
    /// Who makes services on the way; `None`: a client.
    pub maker: Option<String>,
    clock: u64,
    journal: Option<File>,
    lines: Vec<u8>,
}

/// As the server writes times.
pub fn now() -> String {
    Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// 32 hex digits.
pub fn random_id() -> String {
    Uuid::new_v4().simple().to_string()
}

impl HeldRecords {
    /// What the journal in this folder tells; a server's first namespaces without one.
    pub fn load(folder: Option<&Path>) -> Result<Self> {
        let mut records = Self::default();
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder)?;
            let path = folder.join("records.jsonl");
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for line in text.lines() {
                // The last one may be half a line after a crash.
                let Ok(line) = serde_json::from_str::<Value>(line) else { break };
                records.replay(&line).map_err(anyhow::Error::msg).with_context(|| format!("{line}"))?;
            }
            let fresh = folder.join("records.jsonl.new");
            records.journal = Some(File::create(&fresh)?);
            records.note_all();
            records.flush()?;
            std::fs::rename(&fresh, &path)?;
        }
        if records.namespaces.is_empty() {
            for (name, comment) in [("default", "Default Environment"), ("Polaris", "Polaris-server")] {
                let (comment, owners) = (Some(comment.to_owned()), Some("polaris".to_owned()));
                let it = Namespace { name: Some(name.to_owned()), comment, owners, ..Namespace::default() };
                records.put_namespace(it);
            }
            // The server's own, which is kept alive by itself.
            let own = Instance {
                host: Some("127.0.0.1".to_owned()),
                port: Some(8_091),
                protocol: Some("grpc".to_owned()),
                version: Some("v0.1.0".to_owned()),
                metadata: [("polaris_service".to_owned(), "polaris.checker".to_owned())].into(),
                namespace: Some("Polaris".to_owned()),
                service: Some("polaris.checker".to_owned()),
                ..Instance::default()
            };
            let id = Some(checks::id_of(&own));
            records.create_instance(&Instance { id, ..own });
            records.flush()?;
        }
        Ok(records)
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Writes what was noted since the last time.
    pub fn flush(&mut self) -> Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.write_all(&self.lines)?;
        }
        self.lines.clear();
        Ok(())
    }

    fn note(&mut self, line: &Value) {
        if self.journal.is_some() {
            self.lines.extend(line.to_string().bytes().chain([b'\n']));
        }
    }

    fn note_all(&mut self) {
        let mut lines: Vec<_> =
            self.namespaces.values().map(|one| json!({"namespace": words::namespace(&one.it, None)})).collect();
        lines.extend(self.services.values().map(|one| json!({"service": words::service(&one.it, None)})));
        let instances = self.instances.values();
        lines.extend(instances.map(|one| json!({"instance": words::instance(&one.it), "of": one.service})));
        lines.iter().for_each(|line| self.note(line));
    }

    fn replay(&mut self, line: &Value) -> Result<(), String> {
        if let Some(it) = line.get("namespace") {
            self.keep_namespace(words::read_namespace(it)?);
        } else if let Some(it) = line.get("service") {
            self.keep_service(words::read_service(it)?.it);
        } else if let Some(it) = line.get("instance") {
            let service = line["of"].as_str().unwrap_or_default().to_owned();
            self.keep_instance(service, words::read_instance(it)?.it, None);
        } else if let Some(id) = line["no"].as_str() {
            self.forget_instance(id);
            self.drop_service(id);
            self.drop_namespace(id);
        }
        self.lines.clear();
        Ok(())
    }

    fn keep_namespace(&mut self, it: Namespace) {
        let changed = self.tick();
        let name = it.name.clone().unwrap_or_default();
        self.namespaces.insert(name, Arc::new(HeldNamespace { it, changed }));
    }

    fn keep_service(&mut self, it: Service) {
        let changed = self.tick();
        let id = it.id.clone().unwrap_or_default();
        let name = (it.namespace.clone().unwrap_or_default(), it.name.clone().unwrap_or_default());
        self.names.insert(name, id.clone());
        self.touched.insert(id.clone());
        self.services.insert(id, Arc::new(HeldService { it, changed }));
    }

    fn keep_instance(&mut self, service: String, it: Instance, written: Option<Instant>) {
        let changed = self.tick();
        let id = it.id.clone().unwrap_or_default();
        self.forget_instance(&id);
        self.lingering.remove(&id);
        self.touched.insert(service.clone());
        self.standing.entry(service.clone()).or_default().insert(id.clone());
        self.instances.insert(id, Arc::new(HeldInstance { service, it, changed, written }));
    }

    /// A new one, or other words for one that is there.
    pub fn put_namespace(&mut self, mut it: Namespace) -> Namespace {
        it.ctime = it.ctime.or_else(|| Some(now()));
        it.mtime = Some(now());
        it.token = it.token.filter(|token| !token.is_empty()).or_else(|| Some(random_id()));
        self.note(&json!({"namespace": words::namespace(&it, None)}));
        self.keep_namespace(it.clone());
        it
    }

    pub fn put_service(&mut self, mut it: Service) -> Service {
        it.id = it.id.or_else(|| Some(random_id()));
        it.ctime = it.ctime.or_else(|| Some(now()));
        it.mtime = Some(now());
        it.token = it.token.filter(|token| !token.is_empty()).or_else(|| Some(random_id()));
        self.note(&json!({"service": words::service(&it, None)}));
        self.keep_service(it.clone());
        it
    }

    /// With a revision of its own.
    pub fn put_instance(&mut self, service: &str, mut it: Instance) {
        it.ctime = it.ctime.or_else(|| Some(now()));
        it.mtime = Some(now());
        it.revision = Some(random_id());
        (it.service, it.namespace, it.service_token) = (None, None, None);
        self.note(&json!({"instance": words::instance(&it), "of": service}));
        self.keep_instance(service.to_owned(), it, Some(Instant::now()));
    }

    pub fn drop_namespace(&mut self, name: &str) {
        if self.namespaces.remove(name).is_some() {
            self.note(&json!({"no": name}));
            self.tick();
        }
    }

    pub fn drop_service(&mut self, id: &str) {
        if let Some(gone) = self.services.remove(id) {
            self.names.retain(|_, other| other != id);
            self.standing.remove(id);
            self.touched.insert(gone.id().to_owned());
            self.tick();
            self.note(&json!({"no": id}));
        }
    }

    pub fn drop_instance(&mut self, id: &str) {
        let gone = self.instances.get(id).cloned();
        if self.forget_instance(id) {
            self.note(&json!({"no": id}));
        }
        if let Some(gone) = gone.filter(|gone| gone.written.is_none_or(|at| at.elapsed() > NOTICED)) {
            self.lingering.insert(id.to_owned(), (gone, Instant::now() + LINGERS));
        }
    }

    /// The instances of a service as the cache sees them.
    pub fn noticed<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Arc<HeldInstance>> {
        let ids = self.standing.get(service).into_iter().flatten();
        let lingering = self.lingering.values().map(|(gone, _)| gone).filter(move |gone| gone.service == service);
        ids.filter_map(|id| self.instances.get(id)).chain(lingering)
    }

    /// Ends the time of what lingers; `all`: at once, as with a store that knows when it removed something.
    pub fn expire(&mut self, all: bool) {
        let now = Instant::now();
        let ended = self.lingering.extract_if(.., |_, (_, until)| all || *until <= now);
        let touched: Vec<_> = ended.map(|(_, (gone, _))| gone.service.clone()).collect();
        if !touched.is_empty() {
            self.touched.extend(touched);
            self.tick();
        }
    }

    /// Returns whether it was there.
    fn forget_instance(&mut self, id: &str) -> bool {
        let Some(gone) = self.instances.remove(id) else { return false };
        if let Some(others) = self.standing.get_mut(&gone.service) {
            others.remove(id);
        }
        self.touched.insert(gone.service.clone());
        self.tick();
        true
    }

    pub fn service_named(&self, namespace: &str, name: &str) -> Option<&Arc<HeldService>> {
        self.services.get(self.names.get(&(namespace.to_owned(), name.to_owned()))?)
    }

    /// Counts changes of anything.
    pub fn clock(&self) -> u64 {
        self.clock
    }
}
