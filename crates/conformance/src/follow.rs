//! Follows one watch and keeps what it said.

use crate::Session;
use crate::shape::Shape;
use anyhow::{Result, bail};
use causeway_core::{Error, Instance, Part, Selector, ServiceKey, Set, Update};
use futures_util::StreamExt;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// One item of a watch.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// The part, and how many scopes stood in it.
    Reset(Part, usize),
    /// The whole of one scope.
    Changed(ServiceKey),
    /// The scope is gone.
    Removed(ServiceKey),
    /// The part (`None`: the whole cluster) cannot be read: denied, missing, or anything else.
    Lost(Option<Part>, Why, String),
}

/// Why something cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Not allowed.
    Denied,
    /// Not there.
    Missing,
    /// Not reachable.
    Unavailable,
    /// Anything else.
    Other,
}

impl From<&Error> for Why {
    fn from(error: &Error) -> Self {
        match error {
            Error::Denied(_) => Self::Denied,
            Error::Missing(_) => Self::Missing,
            Error::Unavailable(_) => Self::Unavailable,
            _ => Self::Other,
        }
    }
}

/// What a watch has said so far.
#[derive(Clone, Debug)]
pub struct View {
    shape: Shape,
    /// In order.
    pub items: Vec<Item>,
    /// What stands, as told.
    pub sets: BTreeMap<ServiceKey, Set>,
    /// Parts with a `Reset` and no loss since.
    pub complete: BTreeSet<Part>,
}

impl View {
    fn new(shape: Shape) -> Self {
        Self { shape, items: Vec::new(), sets: BTreeMap::new(), complete: BTreeSet::new() }
    }

    fn take(&mut self, update: Result<Update, causeway_core::Lost>) {
        let item = match update {
            Ok(Update::Reset { part, sets, .. }) => {
                self.sets.retain(|scope, _| *scope.namespace != *part.0);
                let count = sets.len();
                self.sets.extend(sets.into_iter().map(|set| (set.scope.clone(), set)));
                self.complete.insert(part.clone());
                Item::Reset(part, count)
            }
            Ok(Update::Changed(mut set)) => {
                let scope = set.scope.clone();
                if set.attributes.is_none() {
                    set.attributes = self.sets.get(&scope).and_then(|before| before.attributes.clone());
                }
                self.sets.insert(scope.clone(), set);
                Item::Changed(scope)
            }
            Ok(Update::Attributes(scope, attributes)) => {
                if let Some(set) = self.sets.get_mut(&scope) {
                    set.attributes = Some(attributes);
                }
                return;
            }
            Ok(Update::Removed(scope)) => {
                self.sets.remove(&scope);
                Item::Removed(scope)
            }
            Err(lost) => {
                self.complete.retain(|part| lost.part.as_ref().is_some_and(|one| one != part));
                Item::Lost(lost.part, Why::from(&lost.error), lost.error.to_string())
            }
        };
        self.items.push(item);
    }

    /// The native records of a service, without what the kind itself adds.
    pub fn natives(&self, service: &ServiceKey) -> Vec<Instance> {
        self.sets.get(service).map(|set| self.shape.natives(set)).unwrap_or_default()
    }

    /// How often the part was reported whole.
    pub fn resets(&self, part: &Part) -> usize {
        self.items.iter().filter(|item| matches!(item, Item::Reset(one, _) if one == part)).count()
    }

    /// What could not be read of the part, or of the whole cluster.
    pub fn losses(&self, part: &Part) -> Vec<Why> {
        let of = |item: &Item| match item {
            Item::Lost(None, why, _) => Some(*why),
            Item::Lost(Some(one), why, _) if one == part => Some(*why),
            _ => None,
        };
        self.items.iter().filter_map(of).collect()
    }
}

/// Follows a watch until it is dropped.
pub struct Follow {
    view: Arc<Mutex<View>>,
    news: Arc<Notify>,
    _work: JoinSet<()>,
}

impl Follow {
    /// Starts following.
    pub fn start(session: &Session, select: &Selector, shape: Shape) -> Self {
        let (view, news) = (Arc::new(Mutex::new(View::new(shape))), Arc::<Notify>::default());
        let mut stream = session.watch(select);
        let (into, tell) = (view.clone(), news.clone());
        let mut work = JoinSet::new();
        work.spawn(async move {
            while let Some(update) = stream.next().await {
                into.lock().take(update);
                tell.notify_waiters();
            }
        });
        Self { view, news, _work: work }
    }

    /// What it said so far.
    pub fn view(&self) -> View {
        self.view.lock().clone()
    }

    /// Waits until what it said passes `test`; gives the time that took. The error says `what` did not come, and the
    /// last items.
    pub async fn wait(&self, limit: Duration, what: &str, test: impl Fn(&View) -> bool) -> Result<Duration> {
        let began = Instant::now();
        let look = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if test(&self.view.lock()) {
                    return;
                }
                news.await;
            }
        };
        if timeout(limit, look).await.is_err() {
            let view = self.view();
            let last = &view.items[view.items.len().saturating_sub(8)..];
            bail!("the watch did not say within {limit:?}: {what}; last items {last:?}, it has {:?}", view.sets);
        }
        Ok(began.elapsed())
    }
}
