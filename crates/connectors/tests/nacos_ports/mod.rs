//! What the tests of the Nacos connector through its ports share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use causeway_connectors::nacos::NacosConnector;
use causeway_connectors::{Connect, Connector};
use causeway_core::{
    Change, ClusterId, Everything, Instance, Mark, Occupants, OwnerId, Part, Port, ServiceKey, Set, Sink, Update,
};
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::task::JoinSet;

/// A session of ours.
pub type Session = Arc<dyn Sink>;

/// Opens a cluster as the product does.
pub fn open(connect: Connect) -> Result<Session> {
    let ports = NacosConnector.open(ClusterId::of("under test"), connect)?;
    ports.services.as_ref().and_then(Port::sink).context("cannot be written")
}

/// The task that the copies of these tests are made for.
pub fn owner() -> OwnerId {
    OwnerId::new("3f9a2c1b", "5d2e8a01")
}

/// A provider's record in 127.0.0.0/8.
pub fn native(port: u16) -> Instance {
    let mut instance = Instance::new("127.0.0.1", port);
    instance.id.slot = "DEFAULT".into();
    instance.metadata = [("zone".to_owned(), "a".to_owned())].into();
    instance
}

/// Our copy of it.
pub fn copy(port: u16) -> Instance {
    native(port).with_mark(Some(Mark::new(owner(), vec![ClusterId::of("a")])))
}

/// Writes, and wants every change to be taken.
pub async fn write(session: &Session, scope: &ServiceKey, changes: &[Change]) -> Result<()> {
    for (change, outcome) in changes.iter().zip(session.apply(scope, changes).await) {
        outcome.with_context(|| format!("{change:?}"))?;
    }
    Ok(())
}

/// Asks until it is so; answers how long it took.
pub async fn until(what: &str, limit: Duration, mut check: impl AsyncFnMut() -> Result<bool>) -> Result<Duration> {
    let started = Instant::now();
    while !check().await? {
        if started.elapsed() > limit {
            bail!("not within {limit:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(started.elapsed())
}

/// What a watch has said so far.
#[derive(Default)]
pub struct View {
    pub sets: BTreeMap<ServiceKey, Set>,
    pub resets: BTreeMap<Part, usize>,
    pub lost: usize,
}

/// A watch that goes on in the background.
pub struct Follow {
    pub view: Arc<Mutex<View>>,
    _task: JoinSet<()>,
}

impl Follow {
    pub fn start(session: &Session) -> Self {
        let view = Arc::new(Mutex::new(View::default()));
        let (seen, mut watch) = (view.clone(), session.watch(&(Arc::new(Everything) as _)));
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(item) = watch.next().await {
                let mut view = seen.lock();
                match item {
                    Ok(Update::Reset { part, sets, .. }) => {
                        view.sets.retain(|scope, _| scope.namespace != part.0);
                        view.sets.extend(sets.into_iter().map(|set| (set.scope.clone(), set)));
                        *view.resets.entry(part).or_default() += 1;
                    }
                    Ok(Update::Changed(set)) => drop(view.sets.insert(set.scope.clone(), set)),
                    Ok(Update::Attributes(..)) => {}
                    Ok(Update::Removed(scope)) => drop(view.sets.remove(&scope)),
                    Err(_) => view.lost += 1,
                }
            }
        });
        Self { view, _task: task }
    }

    /// What stands at the only address of a service.
    pub fn held(&self, scope: &ServiceKey) -> Occupants {
        let view = self.view.lock();
        view.sets.get(scope).and_then(|set| set.records.values().next().cloned()).unwrap_or_default()
    }

    pub async fn sees(&self, what: &str, limit: Duration, check: impl Fn(&View) -> bool) -> Result<Duration> {
        let seen = until(what, limit, async || Ok(check(&self.view.lock()))).await;
        seen.with_context(|| format!("there is {:?}", self.view.lock().sets))
    }
}
