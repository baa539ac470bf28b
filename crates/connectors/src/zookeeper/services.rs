//! Services of one ZooKeeper cluster: all of them in one part, since ZooKeeper has no namespaces.

use super::carriers::keep_up;
use super::client::{Create, WireError};
use super::connected::{connected, connected_soon, list_tree};
use super::create::acl;
use super::layout::{GROUP, Layout, PUBLIC};
use super::service_watch::{denied, readable, tree_options, watch};
use super::view::{Classes, ServiceView};
use super::writes::Writes;
use crate::util::keep_running;
use causeway_core::{
    Capabilities, Carrier, Change, Error, Instance, Limits, Lost, Normalized, OwnerId, Part, Parts, Selector,
    ServiceKey, Set, Sink, Source, Unreadable, Update, Written,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;

/// What no layout can hold, by the names of the conformance suite.
const LOSSES: [(&str, &str); 6] = [
    ("metadata and protect threshold of services", "a service is a folder, and has nothing of its own"),
    ("punctuation in groups", NO_GROUPS),
    ("services without a group", NO_GROUPS),
    ("slots", NO_SLOTS),
    ("slots with other characters than 0-9 a-z A-Z -", NO_SLOTS),
    ("unicode in groups", NO_GROUPS),
];
const NO_GROUPS: &str = "ZooKeeper has none: a task maps all to DEFAULT_GROUP, else it is refused";
const NO_SLOTS: &str = "what tells two apart is the name of the znode; a copy elsewhere has a hash of it";

/// What Spring Cloud's layout, which records of other kinds get by default, cannot hold either.
const SPRING_LOSSES: [(&str, &str); 7] = [
    ("disabled and unhealthy", "one word says either; it is written as disabled"),
    ("unicode in service names", "a path has no characters beyond U+FFFF; it is refused"),
    ("weight 0", "Spring Cloud has no weights in ZooKeeper: it is written as `OUT_OF_SERVICE`"),
    ("weight 0.001", NO_WEIGHTS),
    ("weight 0.5", NO_WEIGHTS),
    ("weight 10,000", NO_WEIGHTS),
    ("weights over 10,000", NO_WEIGHTS),
];
const NO_WEIGHTS: &str = "Spring Cloud has no weights in ZooKeeper: all get the same share of calls";

/// The same of Dubbo's layout.
const DUBBO_LOSSES: [(&str, &str); 6] = [
    ("disabled and unhealthy", "`enabled` says either; it is written as disabled"),
    ("empty metadata keys", "a parameter has a name"),
    ("no metadata", "a URL has a protocol, without which no consumer could call it; it is refused"),
    ("separators in metadata", "a parameter holds no `&`: it is written as `%26`"),
    ("unhealthy", "`enabled` says either; it is written as disabled"),
    ("weight 0.001", "a weight is a whole number, 100 as 1: less than 0.01 is written as that"),
];

/// One cluster. Its sessions outlive it: they keep what we wrote.
pub(super) struct ZooKeeperServices {
    writes: Writes,
    capabilities: Capabilities,
    /// Looks after the sessions; ends with this.
    upkeep: Mutex<JoinSet<()>>,
}

impl ZooKeeperServices {
    pub fn new(writes: Writes) -> Self {
        let dubbo = writes.roots.layouts.iter().all(|layout| *layout == Layout::Dubbo);
        let own = if dubbo { DUBBO_LOSSES.as_slice() } else { &SPRING_LOSSES };
        let losses = LOSSES.iter().chain(own).copied().collect();
        let capabilities = Capabilities { renames: false, losses, shadows: dubbo, keeps: false };
        let mut upkeep = JoinSet::new();
        let kept = writes.clone();
        let run = move || keep_up(kept.clone());
        upkeep.spawn(async move { keep_running("keeping copies under the ZooKeeper session", run, drop).await });
        Self { writes, capabilities, upkeep: Mutex::new(upkeep) }
    }

    /// Reads everything once. If part of it may not be read, that is an error, and never a shorter list.
    async fn look(&self) -> Result<ServiceView, Error> {
        let Writes { session, roots, .. } = &self.writes;
        let mut view = ServiceView::new(roots.clone(), Classes::default(), self.writes.access);
        let mut stands = false;
        for root in roots.roots() {
            let listing = list_tree(session, tree_options(roots, root)).await?;
            let denied = denied(roots, &listing.denied);
            if let Some(path) = denied.first() {
                return Err(Error::Denied(format!("{path} may not be read, and {} more", denied.len() - 1)));
            }
            stands |= !listing.nodes.is_empty();
            let nodes = view.znodes(session, readable(listing)).await;
            view.replace(root, nodes.into_iter(), &BTreeSet::new()).await;
        }
        if !stands && !self.stands().await? {
            return Err(missing());
        }
        Ok(view)
    }

    /// Whether there is the znode that everything stands below.
    async fn stands(&self) -> Result<bool, Error> {
        connected_soon(&self.writes.session).await?;
        Ok(self.writes.session.stat("/").await?.is_some())
    }
}

/// The error for an address that ends with a path that does not exist.
pub(super) fn missing() -> Error {
    Error::Missing("the path at the end of the address is no znode".into())
}

impl Source for ZooKeeperServices {
    fn watch(&self, select: &Selector) -> BoxStream<'static, Result<Update, Lost>> {
        watch(&self.writes, select.clone())
    }

    fn read<'a>(&'a self, part: &'a Part, select: &'a Selector) -> BoxFuture<'a, Result<Vec<Set>, Error>> {
        async move {
            known(part)?;
            let view = self.look().await?;
            let scopes = view.scopes().filter(|scope| select.scope(scope));
            Ok(scopes.map(|scope| view.set(scope, &self.writes.ours)).collect())
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

    /// Ephemeral znodes outlive a server that stops. A provider that rewrites its znode may be away for a moment.
    fn doubt(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn unreadable(&self) -> Vec<Unreadable> {
        self.writes.classes.unreadable()
    }

    fn parts(&self) -> BoxFuture<'_, Result<Parts, Error>> {
        async move {
            match self.stands().await {
                Ok(false) => Ok(Parts::new()),
                // What is below it may still be readable.
                Ok(true) | Err(Error::Denied(_)) => Ok(Parts::from([(Part::new(PUBLIC), None)])),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }
}

impl Sink for ZooKeeperServices {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn limits(&self) -> Limits {
        Limits { max_batch: 5000, in_flight: 32, per_second: None }
    }

    fn normalize(&self, scope: &ServiceKey, record: Instance) -> Normalized {
        if &*scope.namespace != PUBLIC {
            return Err(no_namespaces(&scope.namespace));
        }
        if &*scope.group != GROUP {
            return Err(format!("ZooKeeper has no groups, and this one is {:?}: map it to {GROUP}", &*scope.group));
        }
        self.writes.node(scope, &record)?;
        Ok(record)
    }

    /// Only a single instance: where there are others, consumers have them to call, and one that stands twice would get
    /// twice its share.
    fn shadows(&self, there: &Set, native: &Instance, owner: &OwnerId) -> bool {
        there.records.len() == 1 && self.writes.shadows(&there.scope, native, owner)
    }

    /// No session proves a persistent znode.
    fn proven_by_ledger(&self, record: &Instance) -> bool {
        !record.ephemeral
    }

    fn prepare<'a>(&'a self, part: &'a Part, _title: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            if &*part.0 != PUBLIC {
                return Err(Error::Rejected(no_namespaces(&part.0)));
            }
            if self.stands().await? {
                return Ok(());
            }
            let acl = acl(self.writes.acl);
            match self.writes.session.create("/", Some(b""), Create { ephemeral: false, acl: &acl }).await {
                Ok(_) | Err(WireError::Exists(_)) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
        .boxed()
    }

    fn apply<'a>(&'a self, scope: &'a ServiceKey, changes: &'a [Change]) -> BoxFuture<'a, Vec<Result<(), Error>>> {
        self.writes.apply(scope, changes).boxed()
    }

    fn adopt<'a>(&'a self, owned: &'a [(ServiceKey, Written)]) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            for (scope, written) in owned {
                for one in written.records.values() {
                    self.writes.remember(scope, one);
                }
            }
            connected(&self.writes.session).await?;
            self.writes.restore(None).await
        }
        .boxed()
    }

    fn carriers(&self) -> Vec<Carrier> {
        self.writes.ours.spread().report()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.upkeep.lock().abort_all();
            self.writes.carriers.close().await;
        }
        .boxed()
    }
}

fn known(part: &Part) -> Result<(), Error> {
    match &*part.0 {
        PUBLIC => Ok(()),
        other => Err(Error::Missing(no_namespaces(other))),
    }
}

fn no_namespaces(namespace: &str) -> String {
    format!("ZooKeeper has no namespaces, and this one is {namespace:?}: name it `{PUBLIC}` with map.namespace")
}
