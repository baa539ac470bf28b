//! Writing a Kong without a database: the whole configuration at once, with everything in it that is not ours.
//!
//! Changes that come while one is written go into the next one together.

use super::apply::{Hand, Outcomes};
use super::client::{Body, Client, TargetRow};
use super::document::{Document, bare};
use super::gateway::{Gateway, again};
use super::names::Place;
use super::settings::KongOptions;
use super::upkeep::{Repair, mend};
use super::view::Targets;
use causeway_core::{Change, Error, ServiceKey};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// Changes are gathered for this long after a write.
const GATHER: Duration = Duration::from_millis(300);
/// What cannot be written again as Kong shows it: keys, passwords, and what leads to them.
const NOT_REBUILT: [&str; 10] = [
    "consumers",
    "certificates",
    "ca_certificates",
    "vaults",
    "key-sets",
    "keys",
    "basic-auths",
    "key-auths",
    "consumer_groups",
    FILTER_CHAINS,
];
const FILTER_CHAINS: &str = "filter-chains";

/// One call that writes.
struct Job {
    scope: ServiceKey,
    place: Place,
    changes: Vec<Change>,
    tell: oneshot::Sender<Outcomes>,
}

#[derive(Default)]
struct LastWrite {
    at: Option<Instant>,
    /// What Kong called the configuration after it, and the configuration.
    held: Option<(String, Document)>,
}

/// What writes the whole configuration.
pub(super) struct Declarative {
    file: Option<ConfigFile>,
    base: Option<PathBuf>,
    jobs: Mutex<Vec<Job>>,
    last: tokio::sync::Mutex<LastWrite>,
}

/// A file's size and time.
type Print = (u64, SystemTime);

/// A file that Kong is to load.
pub(super) struct ConfigFile {
    path: PathBuf,
    /// As it was last read.
    known: Mutex<Option<(Print, Arc<Document>)>>,
}

impl ConfigFile {
    /// What stands in it. A file that is not there is an empty one.
    pub async fn load(&self) -> Result<Arc<Document>, Error> {
        let print = match std::fs::metadata(&self.path) {
            Ok(about) => (about.len(), about.modified().unwrap_or(SystemTime::UNIX_EPOCH)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Arc::new(Document::empty()));
            }
            Err(error) => return Err(Error::unavailable(format!("{}: {error}", self.path.display()))),
        };
        if let Some((before, document)) = &*self.known.lock()
            && *before == print
        {
            return Ok(document.clone());
        }
        let document = Arc::new(read(&self.path).await?);
        if !document.is_ours {
            return Err(Error::Denied(format!(
                "{} was not made by Causeway, and is not written over: name it as `base`, and another one as `file`",
                self.path.display()
            )));
        }
        *self.known.lock() = Some((print, document.clone()));
        Ok(document)
    }
}

async fn read(path: &Path) -> Result<Document, Error> {
    let name = path.display().to_string();
    let text = tokio::fs::read_to_string(path).await.map_err(|error| Error::unavailable(format!("{name}: {error}")))?;
    Document::read(&text).map_err(|error| Error::unavailable(format!("{name}: {error}")))
}

/// Puts a text in the place of a file: readers see the old one or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    let fresh = real.with_file_name(format!(".{name}.causeway-new"));
    let mut file = std::fs::File::create(&fresh)?;
    // Whoever may not read the one before may not read this one.
    if let Ok(before) = std::fs::metadata(&real) {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, &real)?;
    std::fs::File::open(real.parent().unwrap_or(Path::new("/")))?.sync_all()
}

impl Declarative {
    pub fn new(options: &KongOptions) -> Self {
        let file = options.file.as_ref().map(|path| ConfigFile { path: path.into(), known: Mutex::default() });
        Self { file, base: options.base.as_ref().map(PathBuf::from), jobs: Mutex::default(), last: Default::default() }
    }

    /// The file that is written in place of the Admin API.
    pub fn file(&self) -> Option<&ConfigFile> {
        self.file.as_ref()
    }
}

impl Gateway {
    /// Makes changes; returns once the configuration that holds them is written.
    pub async fn declare(&self, scope: &ServiceKey, place: &Place, changes: &[Change]) -> Outcomes {
        let (tell, mut told) = oneshot::channel();
        let (scope, place) = (scope.clone(), place.clone());
        self.declarative.jobs.lock().push(Job { scope, place, changes: changes.to_vec(), tell });
        // The first caller writes for all callers that wait by then.
        let mut last = tokio::select! {
            biased;
            outcomes = &mut told => return outcomes.unwrap_or_else(|_| lost(changes)),
            last = self.declarative.last.lock() => last,
        };
        if let Some(at) = last.at {
            sleep_until(at + GATHER).await;
        }
        let mut jobs = std::mem::take(&mut *self.declarative.jobs.lock());
        // A job whose caller has stopped waiting has been planned anew since.
        jobs.retain(|job| !job.tell.is_closed());
        if !jobs.is_empty() {
            self.write_together(jobs, &mut last).await;
            last.at = Some(Instant::now());
        }
        drop(last);
        told.await.unwrap_or_else(|_| lost(changes))
    }

    async fn write_together(&self, jobs: Vec<Job>, last: &mut LastWrite) {
        let before = match self.document(last).await {
            Ok(document) => document,
            Err(error) => {
                for Job { changes, tell, .. } in jobs {
                    tell.send(changes.iter().map(|_| Err(again(&error))).collect()).unwrap_or_default();
                }
                return;
            }
        };
        let _writing: Vec<_> = jobs.iter().map(|job| self.view.writes(&job.place.upstream)).collect();
        let mut document = before.clone();
        let mut done = Vec::with_capacity(jobs.len());
        for job in &jobs {
            done.push(self.edit(&mut document, job, &job.changes).await);
        }
        let saved = if document == before { Ok(()) } else { self.save(document.clone(), last).await };
        if let Err(error) = &saved {
            // Kong takes all or nothing: one change of many may be what it refuses, unless it refuses what stands already.
            let is_refused = matches!(error, Error::Rejected(_));
            if is_refused && self.save(before.clone(), last).await.is_ok() {
                (document, done) = self.write_each(before, &jobs, last).await;
            } else {
                done = done.into_iter().map(|outcomes| failed(outcomes, error)).collect();
            }
        }
        for (job, outcomes) in jobs.into_iter().zip(done) {
            if outcomes.iter().any(Result::is_ok) {
                self.show(&document, &job);
            }
            job.tell.send(outcomes).unwrap_or_default();
        }
    }

    /// Writes the calls apart, and each change by itself where Kong refuses one of a call.
    async fn write_each(&self, mut stands: Document, jobs: &[Job], last: &mut LastWrite) -> (Document, Vec<Outcomes>) {
        let mut done = Vec::with_capacity(jobs.len());
        for job in jobs {
            let mut outcomes = self.write_some(&mut stands, job, &job.changes, last).await;
            if job.changes.len() > 1 && outcomes.iter().any(|outcome| matches!(outcome, Err(Error::Rejected(_)))) {
                outcomes.clear();
                for change in &job.changes {
                    outcomes.extend(self.write_some(&mut stands, job, std::slice::from_ref(change), last).await);
                }
            }
            done.push(outcomes);
        }
        (stands, done)
    }

    async fn write_some(&self, stands: &mut Document, job: &Job, changes: &[Change], last: &mut LastWrite) -> Outcomes {
        let mut document = stands.clone();
        let outcomes = self.edit(&mut document, job, changes).await;
        let saved = if document == *stands { Ok(()) } else { self.save(document.clone(), last).await };
        match saved {
            Ok(()) => {
                *stands = document;
                outcomes
            }
            Err(error) => failed(outcomes, &error),
        }
    }

    /// Makes repairs of what stands; all are written at once.
    pub async fn declare_repairs(&self, repairs: &[Repair]) {
        let mut last = self.declarative.last.lock().await;
        let written = async {
            let before = self.document(&mut last).await?;
            let mut document = before.clone();
            mend(&mut document, repairs).await;
            if document == before { Ok(()) } else { self.save(document, &mut last).await }
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "the configuration of Kong could not be put right: {repairs:?}");
        }
        last.at = Some(Instant::now());
    }

    async fn edit(&self, document: &mut Document, job: &Job, changes: &[Change]) -> Outcomes {
        match Hand::open(self, document, &job.scope, &job.place, false).await {
            Ok(mut hand) => hand.make(changes).await,
            Err(error) => changes.iter().map(|_| Err(again(&error))).collect(),
        }
    }

    fn show(&self, document: &Document, job: &Job) {
        let name = &job.place.upstream;
        let row = document.upstreams().into_iter().find(|row| row.name == *name);
        let targets = document.targets(name).unwrap_or_default();
        let targets: Targets = targets.into_iter().map(|row| (row.target.clone(), row)).collect();
        match row {
            Some(row) if self.view.scope_of(&row).is_some() => self.view.put(&job.scope, row, targets),
            Some(_) => {}
            None => self.view.remove(name),
        }
    }

    /// The configuration as it stands, with what the base says in place of what is not ours.
    async fn document(&self, last: &mut LastWrite) -> Result<Document, Error> {
        let stands = match (self.declarative.file(), &last.held) {
            (Some(file), _) => (*file.load().await?).clone(),
            (None, Some((name, document))) if hash(&self.client).await.as_ref() == Some(name) => document.clone(),
            (None, _) => {
                let before = hash(&self.client).await;
                let document = self.listed().await?;
                if hash(&self.client).await != before {
                    // Somebody has replaced it meanwhile: what was read is partly of either.
                    return Err(Error::Conflict);
                }
                document
            }
        };
        match &self.declarative.base {
            Some(base) => Ok(read(base).await?.with_ours(&stands, |tags| self.view.is_own(tags))),
            None => Ok(stands),
        }
    }

    async fn save(&self, document: Document, last: &mut LastWrite) -> Result<(), Error> {
        last.held = None;
        let text = document.write();
        let Some(file) = self.declarative.file() else {
            self.client.put_config(&text).await?;
            last.held = hash(&self.client).await.map(|hash| (hash, document));
            return Ok(());
        };
        let path = file.path.clone();
        let text = serde_json::to_string_pretty(&text).unwrap_or_default();
        let written = tokio::task::spawn_blocking(move || replace(&path, &text)).await;
        let written = written.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        written.map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => Error::Denied(format!("{}: {error}", file.path.display())),
            _ => Error::unavailable(format!("{}: {error}", file.path.display())),
        })
    }

    /// Everything that Kong lists, as a configuration that says the same.
    async fn listed(&self) -> Result<Document, Error> {
        let client = &self.client;
        if self.declarative.base.is_none() {
            for kind in NOT_REBUILT {
                if !optional(client, kind).await?.is_empty() {
                    return Err(Error::Denied(format!(
                        "Kong has {kind}, which cannot be written again as Kong shows them: name the file that its configuration comes \
                         from as `base` in the block `kong` of the cluster"
                    )));
                }
            }
        }
        let mut document = Document::default();
        let mut plugins: BTreeMap<Option<String>, Vec<Body>> = BTreeMap::new();
        for mut plugin in optional(client, "plugins").await? {
            let [route, service] = ["route", "service"].map(|key| id_of(plugin.remove(key).as_ref()));
            if let (Some(route), Some(service)) = (&route, &service) {
                // One that stands in a route can name no service.
                plugin
                    .extend([("route", route), ("service", service)].map(|(key, id)| (key.into(), id.clone().into())));
                plugins.entry(None).or_default().push(bare(plugin));
                continue;
            }
            plugins.entry(route.or(service)).or_default().push(bare(plugin));
        }
        let mut with_plugins = |mut body: Body| {
            let own = body.get("id").and_then(Value::as_str).map(str::to_owned);
            if let Some(list) = own.and_then(|own| plugins.remove(&Some(own))) {
                body.insert("plugins".into(), json!(list));
            }
            body
        };
        for upstream in client.list::<Body>("/upstreams", None).await? {
            let id = id_of(Some(&Value::Object(upstream.clone()))).unwrap_or_default();
            let targets: Vec<TargetRow> = client.list(&format!("/upstreams/{id}/targets"), None).await?;
            let target = |row: TargetRow| {
                let body = json!({"target": row.target, "weight": row.weight, "tags": row.tags});
                body.as_object().cloned().unwrap_or_default()
            };
            document.add("upstreams", bare(upstream), targets.into_iter().map(target).collect());
        }
        let mut routes: BTreeMap<Option<String>, Vec<Body>> = BTreeMap::new();
        for mut route in client.list::<Body>("/routes", None).await? {
            let of = id_of(route.remove("service").as_ref());
            routes.entry(of).or_default().push(with_plugins(bare(route)));
        }
        for service in client.list::<Body>("/services", None).await? {
            let id = id_of(Some(&Value::Object(service.clone())));
            let own = id.and_then(|id| routes.remove(&Some(id))).unwrap_or_default();
            document.add("services", with_plugins(bare(service)), own);
        }
        document.add_others("routes", routes.remove(&None).unwrap_or_default());
        document.add_others("plugins", plugins.remove(&None).unwrap_or_default());
        Ok(document)
    }
}

fn id_of(value: Option<&Value>) -> Option<String> {
    value.and_then(|value| value.get("id")).and_then(Value::as_str).map(str::to_owned)
}

/// The entities of a kind; one that this Kong does not have has none.
async fn optional(client: &Client, kind: &str) -> Result<Vec<Body>, Error> {
    match client.list(&format!("/{kind}"), None).await {
        Err(Error::Missing(_)) => Ok(Vec::new()),
        // They are switched off.
        Err(Error::Rejected(_)) if kind == FILTER_CHAINS => Ok(Vec::new()),
        all => all,
    }
}

/// What Kong calls the configuration that it has now.
async fn hash(client: &Client) -> Option<String> {
    let status: Option<Body> = client.get("/status").await.ok()?;
    status?.get("configuration_hash").and_then(Value::as_str).map(str::to_owned)
}

/// None of it was written.
fn failed(outcomes: Outcomes, error: &Error) -> Outcomes {
    outcomes.into_iter().map(|outcome| outcome.and(Err(again(error)))).collect()
}

fn lost(changes: &[Change]) -> Outcomes {
    changes.iter().map(|_| Err(Error::unavailable("writing the configuration ended unexpectedly"))).collect()
}
