//! Services of one ZooKeeper cluster: all of them in one part, since ZooKeeper has no namespaces.

use super::client::{Phase, Session, Status, TreeNews};
use super::convert;
use super::layout::{self, Roots};
use super::publications::Publications;
use super::view::{Classes, View};
use super::watch::{readable, tree_options, watch};
use super::writes::Writes;
use causeway_core::{
    Capabilities, Change, Error, Instance, Limits, Lost, Normalized, Part, Parts, Selector, ServiceKey, Set, Sink,
    Source, Update, Written,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch as watch_channel;
use tokio::task::JoinSet;

/// The one part.
pub(super) const PART: &str = "public";
/// The one group.
const GROUP: &str = "DEFAULT_GROUP";

/// What ZooKeeper cannot hold, by the names of the conformance suite.
const LOSSES: [(&str, &str); 0] = [];

/// One cluster. Its session goes on after it: it keeps what we wrote.
pub(super) struct ZooKeeperServices {
    writes: Writes,
    capabilities: Capabilities,
    /// Sees to a new session; ends with this.
    upkeep: Mutex<JoinSet<()>>,
}

impl ZooKeeperServices {
    pub fn new(writes: Writes) -> Self {
        let capabilities = Capabilities { losses: LOSSES.into(), shadows: false, keeps: false };
        let mut upkeep = JoinSet::new();
        upkeep.spawn(keep_up(writes.clone()));
        Self { writes, capabilities, upkeep: Mutex::new(upkeep) }
    }

    fn session(&self) -> &Session {
        &self.writes.session
    }

    fn roots(&self) -> &Arc<Roots> {
        &self.writes.roots
    }

    fn ours(&self) -> &Publications {
        &self.writes.ours
    }

    /// Everything there is, read anew.
    async fn look(&self) -> Result<View, Error> {
        let mut view = View::new(self.roots().clone(), Classes::default());
        for root in self.roots().roots() {
            let mut tree = self.session().tree(tree_options(self.roots(), root)).map_err(convert::error)?;
            match tree.next().await {
                Some(TreeNews::Reset(listing)) => drop(view.replace(root, readable(listing))),
                Some(TreeNews::Lost(error)) => return Err(convert::error(error)),
                _ => return Err(Error::unavailable("the connection was closed")),
            }
        }
        Ok(view)
    }
}

/// A session that was lost took everything of ours with it: it is made again at once.
async fn keep_up(writes: Writes) {
    let mut status = writes.session.status();
    let mut upheld = 0;
    loop {
        let (session, epoch) = {
            let status = status.borrow_and_update();
            (status.session, status.epoch)
        };
        if let Some(session) = session {
            writes.ours.own(session);
            if epoch != upheld {
                match writes.uphold().await {
                    Ok(()) => upheld = epoch,
                    Err(error) => {
                        tracing::info!(%error, "not all of ours stands under the new session yet");
                        tokio::time::sleep(AGAIN).await;
                        continue;
                    }
                }
            }
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// Between two tries to uphold what is ours.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(500);

impl Source<Instance> for ZooKeeperServices {
    fn watch(&self, select: &Selector<Instance>) -> BoxStream<'static, Result<Update<Instance>, Lost>> {
        watch(self.session(), self.roots(), self.ours(), self.writes.classes.clone(), select.clone())
    }

    fn read<'a>(
        &'a self,
        part: &'a Part,
        select: &'a Selector<Instance>,
    ) -> BoxFuture<'a, Result<Vec<Set<Instance>>, Error>> {
        async move {
            known(part)?;
            let view = self.look().await?;
            let scopes = view.scopes().filter(|scope| select.scope(scope));
            Ok(scopes.map(|scope| view.set(scope, self.ours())).collect())
        }
        .boxed()
    }

    fn count<'a>(&'a self, part: &'a Part) -> BoxFuture<'a, Result<usize, Error>> {
        async move {
            known(part)?;
            Ok(self.look().await?.scopes().count())
        }
        .boxed()
    }

    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>> {
        async move { Ok(Parts::from([(Part::new(PART), None)])) }.boxed()
    }
}

impl Sink<Instance> for ZooKeeperServices {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn limits(&self) -> Limits {
        Limits { max_batch: 5000, in_flight: 32, per_second: None }
    }

    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized<Instance> {
        if &*scope.namespace != PART {
            return Err(no_namespaces(&scope.namespace));
        }
        if &*scope.group != GROUP {
            return Err(format!("ZooKeeper has no groups, and this one is {:?}: map it to {GROUP}", &*scope.group));
        }
        layout::write(self.roots(), scope, &record)?;
        Ok(record)
    }

    fn prepare<'a>(&'a self, part: &'a Part, _title: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        async move { known(part) }.boxed()
    }

    fn apply<'a>(
        &'a self,
        scope: &'a ServiceKey,
        changes: &'a [Change<Instance>],
    ) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        self.writes.apply(scope, changes).boxed()
    }

    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written<Instance>)]) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            for (scope, written) in owned {
                for one in written.records.values() {
                    self.writes.remember(scope, &one.record, &one.owner);
                }
            }
            connected(self.session().status()).await?;
            self.writes.uphold().await
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.upkeep.lock().abort_all();
            self.session().close().await;
        }
        .boxed()
    }
}

/// Waits for a connection.
async fn connected(mut status: watch_channel::Receiver<Status>) -> Result<(), Error> {
    let up = status.wait_for(|status| status.phase == Phase::Connected).await;
    up.map(drop).map_err(|_| Error::unavailable("the connection was closed"))
}

fn known(part: &Part) -> Result<(), Error> {
    match &*part.0 {
        PART => Ok(()),
        other => Err(Error::Rejected(no_namespaces(other))),
    }
}

fn no_namespaces(namespace: &str) -> String {
    format!("ZooKeeper has no namespaces, and this one is {namespace:?}: name it `{PART}` with map.namespace")
}
