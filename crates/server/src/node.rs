//! A node put together: store, ledger, holder, engine and connections; how it starts and how it ends.

use crate::api;
use crate::data;
use crate::desired::{Desired, TaskSetup};
use crate::documents::Documents;
use crate::error::{Error, Result};
use crate::pulls::{Pulls, pull};
use crate::recorder::{Frozen, Scribe, ledgers};
use crate::routes::{Connections, routes};
use crate::sessions::Sessions;
use crate::tls;
use causeway_connectors::keep_running;
use causeway_core::{ClusterId, ServiceKey};
use causeway_engine::{DataEngine, DataTiming, Engine, Timing};
use causeway_holder::{Holder, Launch};
use causeway_settings::ProcessEnv;
use causeway_store::{Database, Edit, Keep, Store, Writer};
use parking_lot::{Mutex, RwLock};
use secrecy::ExposeSecret;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The environment's word for the install's id; it stays set once it was.
pub const INSTALL_VARIABLE: &str = "CAUSEWAY_INSTALL";

/// How long taking over what earlier runs wrote may take before their sockets are closed all the same.
const ADOPTION: Duration = Duration::from_secs(8);
/// How long an ending node waits for its database.
const FLUSH: Duration = Duration::from_secs(3);
/// How often draining tasks are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// The fingerprint of the file that was last applied at a start.
const APPLIED: &str = "applied file";

/// What a node is started with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where everything is kept that no other node may have: the lock, the holder's socket, and the database unless it is shared.
    pub data_dir: PathBuf,
    /// Where settings, ledger and history are kept.
    pub database: Database,
    /// The program that becomes the socket holder; its `main` begins with `causeway_holder::run_if_asked`. For a node
    /// `/proc/self/exe`.
    pub exe: PathBuf,
    /// A settings file to apply, once per content: its name and its text.
    pub file: Option<(String, String)>,
    /// Whether sockets outlive a crash of this process.
    pub keep_sockets: bool,
}

/// A running node. Clones are the same node. Dropping the last one is like a crash; [`Node::stop`] ends it well.
#[derive(Clone)]
pub struct Node {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub install: Arc<str>,
    pub store: Store,
    pub writer: Writer,
    pub scribe: Arc<Scribe>,
    pub engine: Arc<Engine>,
    pub data: Arc<DataEngine>,
    pub holder: Option<Arc<Holder>>,
    /// One edit of the settings at a time.
    pub edit: tokio::sync::Mutex<()>,
    pub desired: RwLock<Arc<Desired>>,
    pub connections: Mutex<Connections>,
    pub frozen: Mutex<Frozen>,
    pub documents: Documents,
    pub pulls: Pulls,
    pub ready: Mutex<api::Ready>,
    /// Work of the node that has failed and is about to be started again, and why.
    pub failed: Arc<Mutex<BTreeMap<&'static str, String>>>,
    pub work: TaskTracker,
    pub stop: CancellationToken,
}

impl Node {
    /// Starts it. What earlier processes wrote is kept alive first; clusters need not be reachable. Errors: the data folder cannot be
    /// used, or the settings file is wrong and there are no stored settings to go on with.
    pub async fn start(options: Options) -> Result<Self> {
        let store = Store::open_at(&options.data_dir, &options.database).await?;
        let install: Arc<str> = install(&store).await?.into();
        let holder = if options.keep_sockets { holder(&options).await } else { None };
        let writer = Writer::start(store.clone(), Keep::default());
        let scribe = Arc::new(Scribe::new(writer.clone()));
        let (entries, services) = data::ledgers(store.ledger_load().await?);
        let ledger = ledgers(services);
        let desired = Desired::load(&store, &install, &ProcessEnv).await?;
        let frozen = frozen(&store, &desired).await?;
        let engine = Engine::new(Timing::default(), scribe.clone(), ledger);
        let data = DataEngine::sharing(engine.pacers(), DataTiming::default(), scribe.clone(), entries);
        let work = TaskTracker::new();
        let clusters = desired.clusters.values().map(|entry| entry.id.clone());
        let sessions = Sessions::load(&store, clusters, &work).await;
        let inner = Arc::new(Inner {
            connections: Mutex::new(Connections::new(install.clone(), holder.clone(), sessions)),
            install,
            store,
            writer,
            scribe,
            engine,
            data,
            holder,
            edit: tokio::sync::Mutex::default(),
            desired: RwLock::new(Arc::new(desired)),
            frozen: Mutex::new(frozen),
            documents: Documents::default(),
            pulls: Pulls::default(),
            ready: Mutex::new(api::Ready { ready: false, reasons: vec!["it is starting".into()] }),
            failed: Arc::default(),
            work,
            stop: CancellationToken::new(),
        });
        let node = Self { inner };
        if let Some((name, text)) = &options.file {
            node.inner.again(|| node.apply_once(name, text)).await?;
        }
        node.inner.configure().await;
        node.inner.tell_orphans();
        node.start_work();
        Ok(node)
    }

    /// Applies the file of a start, unless its content was applied by an earlier start.
    async fn apply_once(&self, name: &str, text: &str) -> Result<()> {
        let inner = &self.inner;
        let draft = match inner.draft(name, text, false).await {
            Err(error @ (Error::Settings(..) | Error::Misfit(_) | Error::Conflict { .. }))
                if !inner.desired.read().tasks.is_empty() =>
            {
                tracing::error!("{error}");
                tracing::warn!(file = name, "goes on with the settings that were applied before");
                return Ok(());
            }
            draft => draft?,
        };
        let key = inner.store.fingerprint_key().await?;
        let fingerprint = draft.settings.fingerprint(key.expose_secret().as_bytes());
        if inner.store.kv(APPLIED).await?.as_deref() == Some(&fingerprint) {
            tracing::info!(file = name, "was applied by an earlier start");
            return Ok(());
        }
        for warning in &draft.applied.warnings {
            tracing::warn!("{warning}");
        }
        inner.commit(draft, vec![Edit::PutKv(APPLIED.into(), fingerprint)]).await?;
        Ok(())
    }

    fn start_work(&self) {
        let inner = &self.inner;
        inner.keep("taking over what earlier runs wrote", adopt);
        inner.keep("keeping lists of services", keep_frozen);
        inner.keep("watching drains", watch_drains);
        inner.keep("copying at intervals", pull);
    }

    /// Whether it works: its clusters are configured, what earlier runs wrote was taken over as far as it could be, and no work
    /// inside it has failed and is being restarted.
    pub fn ready(&self) -> api::Ready {
        let mut ready = self.inner.ready.lock().clone();
        ready.reasons.extend(self.inner.failed.lock().values().cloned());
        ready.reasons.extend(self.inner.writer.health().failed);
        let crashes = [self.inner.engine.crashes(), self.inner.data.crashes()].concat();
        ready.reasons.extend(crashes.iter().map(ToString::to_string));
        ready.ready &= ready.reasons.is_empty();
        ready
    }

    /// Who this is.
    pub fn version(&self) -> api::Version {
        api::Version {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            install: self.inner.install.to_string(),
            api: "v1".to_owned(),
        }
    }

    /// Returns as soon as the node is about to stop.
    pub async fn stopped(&self) {
        self.inner.stop.cancelled().await;
    }

    /// Stops the node and withdraws nothing: connections stay as they are, and the holder keeps their sockets while another process
    /// takes over. The caller then leaves the process at once, without dropping the node: dropped connections would say goodbye.
    pub async fn stop(&self) {
        let inner = &self.inner;
        *inner.ready.lock() = api::Ready { ready: false, reasons: vec!["it is stopping".into()] };
        // From here on nothing is let go.
        if let Some(holder) = &inner.holder {
            holder.leave(true);
        }
        inner.stop.cancel();
        let engines = futures_util::future::join(inner.engine.stop(), inner.data.stop());
        if tokio::time::timeout(FLUSH, engines).await.is_err() {
            tracing::warn!("some writes did not end in time");
        }
        inner.work.close();
        if tokio::time::timeout(FLUSH, inner.work.wait()).await.is_err() {
            tracing::warn!("some work did not end in time");
        }
        if !inner.writer.stop(FLUSH).await {
            tracing::warn!("the database was not reached: the last changes are not kept; marks prove them");
        }
        if tokio::time::timeout(FLUSH, inner.store.close()).await.is_err() {
            tracing::warn!("the database did not close in time");
        }
    }
}

impl Inner {
    /// What the node knows now.
    pub fn desired(&self) -> Arc<Desired> {
        self.desired.read().clone()
    }

    /// Configures the engines with the desired state; what has not changed keeps running. The caller holds the edit lock, or is the
    /// only one.
    pub async fn configure(&self) {
        let desired = self.desired();
        let tls = tls::read_needed(&desired).await;
        let mut connections = self.connections.lock();
        let clusters = connections.update(&desired, tls);
        let mut routes = routes(&self.install, &desired, desired.tasks.values(), &self.frozen.lock());
        self.pulls.pause(&mut routes);
        self.engine.know_tasks(desired.tasks.values().map(|task| self.owner(task)).collect());
        self.engine.configure(clusters, routes);
        self.data.configure(data::specs(&self.install, &desired, desired.tasks.values(), &connections));
    }

    /// Runs work to its end even if the caller stops waiting for it.
    pub async fn finish<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        if self.stop.is_cancelled() {
            return Err(Error::Stopping);
        }
        self.work.spawn(work).await.unwrap_or_else(|error| Err(Error::unexpected("the work on this request", &error)))
    }

    /// Starts work that runs until the node stops. A panic in it is logged, shown by [`Node::ready`], and it is started
    /// again.
    pub fn keep<F>(self: &Arc<Self>, name: &'static str, work: impl Fn(Arc<Self>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (inner, failed) = (self.clone(), self.failed.clone());
        let told = move |why: Option<String>| match why {
            Some(why) => drop(failed.lock().insert(name, why)),
            None => drop(failed.lock().remove(name)),
        };
        let stop = self.stop.clone();
        self.work.spawn(async move {
            let start = move || work(inner.clone());
            tokio::select! {
                () = keep_running(name, start, told) => {}
                // The work itself ends with the node, in order; only a wait for a restart is cut short.
                () = async { stop.cancelled().await; tokio::time::sleep(FLUSH).await } => {}
            }
        });
    }
}

async fn install(store: &Store) -> Result<String> {
    let stored = store.install_id().await?;
    let Some(given) = std::env::var(INSTALL_VARIABLE).ok().filter(|text| !text.is_empty()) else { return Ok(stored) };
    if given.len() > 16 || !given.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        let text = format!("{INSTALL_VARIABLE} must be at most 16 letters, digits, `-` and `_`");
        return Err(Error::Request(text));
    }
    if given != stored {
        tracing::warn!(%stored, %given, "this install has another id now; copies of the former one are not ours any more");
        store.set_install_id(&given).await?;
    }
    Ok(given)
}

async fn holder(options: &Options) -> Option<Arc<Holder>> {
    let (dir, exe) = (options.data_dir.clone(), options.exe.clone());
    let found = tokio::task::spawn_blocking(move || Holder::connect(&dir, Launch::new(exe))).await;
    let found = found.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    match found {
        Ok(holder) => Some(Arc::new(holder)),
        Err(error) => {
            tracing::warn!(%error, "no socket holder: the next restart of this node will be seen by subscribers");
            None
        }
    }
}

/// The name under which a list of scopes is kept.
pub(crate) fn frozen_key(task: &str, source: &ClusterId) -> String {
    format!("only/{task}/{source}")
}

/// The lists of scopes that earlier processes made for tasks without automatic scanning.
pub(crate) async fn frozen(store: &Store, desired: &Desired) -> Result<Frozen> {
    let mut frozen = Frozen::new();
    for task in desired.tasks.values() {
        let limited = |setup: &TaskSetup| !setup.settings.auto_scan;
        if !task.setup.as_ref().is_ok_and(limited) {
            continue;
        }
        for cluster in task.ends().into_iter().filter_map(|name| desired.clusters.get(name)) {
            let Some(text) = store.kv(&frozen_key(&task.id, &cluster.id)).await? else { continue };
            match serde_json::from_str::<BTreeSet<ServiceKey>>(&text) {
                Ok(scopes) => drop(frozen.insert((task.id.clone(), cluster.id.clone()), Arc::new(scopes))),
                Err(error) => tracing::warn!(task = %task.name, %error, "its list of services cannot be read"),
            }
        }
    }
    Ok(frozen)
}

/// A cluster's other servers hear of what one of them accepted after a second or two, and later of much of it: until then
/// they would show a gap where the connection of an earlier run was theirs. (Where servers can be asked one by
/// one they are; one address may stand for many of them.)
const REPLICATION: Duration = Duration::from_secs(3);
/// So much longer for every record: servers on a busy machine passed on two or three a millisecond.
const REPLICATION_RECORD: Duration = Duration::from_millis(1);

/// Waits until what earlier runs wrote is kept alive here, and lets their sockets go.
async fn adopt(inner: Arc<Inner>) {
    *inner.ready.lock() = api::Ready { ready: false, reasons: vec!["it takes over what earlier runs wrote".into()] };
    let whole = tokio::select! {
        () = inner.stop.cancelled() => return,
        whole = inner.engine.adopted(ADOPTION) => whole,
    };
    if !whole {
        tracing::warn!("not everything that earlier runs wrote could be taken over in time; it is retried");
    }
    if let Some(holder) = inner.holder.clone() {
        if !holder.inherited().is_empty() {
            let records: usize = inner.engine.holdings().values().flat_map(BTreeMap::values).sum();
            let more = REPLICATION_RECORD * u32::try_from(records).unwrap_or(u32::MAX);
            tokio::time::sleep(REPLICATION + more).await;
        }
        match tokio::task::spawn_blocking(move || holder.release_old()).await {
            Ok(Ok(count)) if count > 0 => tracing::info!(count, "connections of earlier runs were closed"),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "connections of earlier runs could not be closed"),
            Err(error) => tracing::error!(%error, "closing connections of earlier runs failed unexpectedly"),
        }
    }
    if !inner.stop.is_cancelled() {
        *inner.ready.lock() = api::Ready { ready: true, reasons: Vec::new() };
    }
}

/// Stores the lists of scopes that the engine makes, so that a restart does not make them anew.
async fn keep_frozen(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = inner.scribe.froze.notified() => {}
        }
        let made = inner.scribe.take_frozen();
        let edit = inner.edit.lock().await;
        let edits = made.iter().filter_map(|((task, source), scopes)| {
            let text = serde_json::to_string(&**scopes).ok()?;
            Some(Edit::PutKv(frozen_key(task, source), text))
        });
        let mut desired = Desired::clone(&inner.desired());
        if let Err(error) = inner.store_edits(&mut desired, edits.collect()).await {
            drop(edit);
            tracing::warn!(%error, "a task's list of services could not be kept yet");
            inner.scribe.put_back(made);
            inner.scribe.froze.notify_one();
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        *inner.desired.write() = Arc::new(desired);
        inner.frozen.lock().extend(made);
        inner.configure().await;
    }
}

/// Ends drains whose tasks have taken back everything.
async fn watch_drains(inner: Arc<Inner>) {
    let mut tick = tokio::time::interval(LOOK);
    let mut seen = BTreeSet::new();
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        if inner.desired().tasks.values().any(|task| task.run.drains())
            && let Err(error) = inner.end_drains(&mut seen).await
        {
            tracing::warn!(%error, "the end of a drain could not be kept yet");
        }
    }
}
